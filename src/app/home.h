/* The home: the folder `.pawl` in which the program keeps what it knows, found upward from the working folder.
 *
 * One process owns a home at a time: home/lock is flocked for its life and holds {pid, boot_id, started_at, url}. Others
 * peek: a locked home with an address is a server to talk to; one without is a command that will be done soon.
 * FORMAT names the layout; a home of a newer layout is refused. Nothing inside holds an absolute path. */
#ifndef PAWL_APP_HOME_H
#define PAWL_APP_HOME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define HOME_FORMAT 1
#define HOME_FOLDER ".pawl"

struct home {
    const char *path; /* absolute; in the arena given to home_open */
    bool is_replay;   /* its event clocks follow replayed events */
    int lock_fd;      /* -1: not the owner */
};

/* The nearest folder at or above dir that has `name` in it; NULL: none. */
char *home_find_up(const char *dir, const char *name, struct arena *a);
/* Makes the folders and FORMAT. A home that is there is left as it is (ERR_EXISTS when a replay home is asked for and it is none). */
enum err_code home_make(const char *path, bool is_replay, struct err *err) MUST_CHECK;
bool home_is(const char *path); /* is a home there? */
/* Reads FORMAT; does not lock. */
enum err_code home_open(const char *path, struct arena *a, struct home *ret,
                        struct err *err) MUST_CHECK;

/* Takes the lock, waiting at most wait_ms for the owner to end. ERR_BUSY names the owner. */
enum err_code home_lock(struct home *h, int64_t wait_ms, struct err *err) MUST_CHECK;
/* Says where the owner listens. */
enum err_code home_publish(struct home *h, const char *url, struct err *err) MUST_CHECK;
void home_unlock(struct home *h);
/* Is there an owner? *ret_url: where it listens, or NULL (in the arena). */
enum err_code home_peek(const char *path, struct arena *a, bool *ret_is_owned, char **ret_url,
                        struct err *err) MUST_CHECK;

#endif
