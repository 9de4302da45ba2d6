/* Inside of feedback: (endpoint, client id) -> prediction id, for a window of time and of memory.
 * Sets of eight, the oldest of a set is replaced; one spin lock per group of sets, held for some ten nanoseconds. */
#ifndef PAWL_FEEDBACK_DEDUP_H
#define PAWL_FEEDBACK_DEDUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct dedup;
struct dedup *dedup_new(size_t n_ids, int64_t window_us); /* NULL without memory */
void dedup_free(struct dedup *d);
/* True: known within the window, *id is the first one's. False: remembered now. */
bool dedup_get(struct dedup *d, struct str endpoint, struct str client_id, int64_t now_us,
               uint8_t id[16]);
void dedup_forget(struct dedup *d, struct str endpoint, struct str client_id);

#endif
