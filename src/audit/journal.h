/* The decision journal, home/decisions.log: the truth for what serves. Append-only JSON records with a generation number,
 * each in a frame with a checksum and synced before the append returns. A torn tail (the process or the machine
 * died in an append) is cut at the next open; damage before the tail is an error, never skipped.
 * The database is a projection: its owner remembers the last generation it took and reads on from there.
 * Threads: any. Cost of an append: one fdatasync. */
#ifndef PAWL_AUDIT_JOURNAL_H
#define PAWL_AUDIT_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "json/json.h"

struct journal;

/* Opens or makes the file. *ret_cut: bytes of a torn tail that were cut (may be NULL). ERR_CORRUPT names the offset. */
enum err_code journal_open(const char *path, struct journal **ret, int64_t *ret_cut,
                           struct err *err) MUST_CHECK;
void journal_close(struct journal *j); /* NULL is fine */
/* Appends {"gen": next, "at": now, …record's members}; synced when it returns. On an error nothing was appended
 * and the next append works again once the disk does. */
enum err_code journal_append(struct journal *j, const struct json *record, int64_t at_us,
                             uint64_t *ret_gen, struct err *err) MUST_CHECK;
/* Generation of the newest record; 0 when there is none. */
uint64_t journal_generation(const struct journal *j);

/* Calls fn for each record with generation > after, in order, until it returns false or they end. `arena` is reset
 * to its mark after each call. Safe while others append. */
typedef bool (*journal_fn)(void *arg, uint64_t gen, int64_t at_us, const struct json *record);
enum err_code journal_read(struct journal *j, uint64_t after, struct arena *a, journal_fn fn,
                           void *arg, struct err *err) MUST_CHECK;

#endif
