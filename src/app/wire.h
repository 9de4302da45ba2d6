/* Wiring: every long-lived part of the program, opened in order and closed in reverse.
 *
 * Local parts need the home's files only: with them predictions and rollbacks work. Store parts need the database and come
 * when it can be reached, in a server possibly later (wire_attach, tried again and again); until then operations that need
 * it answer "not available now". Order and reason: docs/ARCHITECTURE.md. */
#ifndef PAWL_APP_WIRE_H
#define PAWL_APP_WIRE_H

#include "api/services.h"
#include "app/home.h"
#include "app/settings.h"
#include "base/arena.h"

struct wiring;

enum wire_role { WIRE_COMMAND, WIRE_SERVER, WIRE_ROLE_N };

struct wire_options {
    enum wire_role role;
    const char *home; /* absolute; NULL: a command without a home */
    const char *root; /* the project's folder; NULL: the home's parent */
    const struct settings *settings;
    bool may_migrate; /* a server always may */
    int64_t lock_wait_ms;
};

/* Takes the lock and opens the local parts; a command also opens the store parts. Whatever fails, nothing stays open. */
enum err_code wire_open(const struct wire_options *opt, struct wiring **ret,
                        struct err *err) MUST_CHECK;
/* Opens the store parts that are not there yet. Idempotent. */
enum err_code wire_attach(struct wiring *w, struct err *err) MUST_CHECK;
/* Closes all, in reverse order, and lets go of the lock. NULL is fine. */
void wire_close(struct wiring *w);
struct services *wire_services(struct wiring *w);
struct home *wire_home(struct wiring *w);
/* Listens as the settings say, with a serving plane of its own when they ask for one; operations and children then know
 * where. A command listens on a free loopback port. */
enum err_code wire_listen(struct wiring *w, struct err *err) MUST_CHECK;

#endif
