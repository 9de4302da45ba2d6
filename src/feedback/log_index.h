/* Inside of feedback: from a prediction's name to its place. The newest segment's index is a table in memory; a closed
 * segment has a sorted file beside it (<segment>.idx), made when it closes and made again when it is missing or damaged.
 * Threads: any; one mutex. */
#ifndef PAWL_FEEDBACK_LOG_INDEX_H
#define PAWL_FEEDBACK_LOG_INDEX_H

#include <stdint.h>

#include "base/arena.h"
#include "feedback/record.h"
#include "feedback/series.h"

struct log_index;
struct log_index *log_index_new(struct series *s, const char *dir); /* NULL without memory */
void log_index_free(struct log_index *x);

uint64_t log_index_key(const uint8_t id[16], uint32_t row);
uint64_t log_index_client_key(struct str endpoint, struct str client_id, uint32_t row);

/* Remembers the record whose payload this is. False without memory (the file is then made by a scan). */
bool log_index_add(struct log_index *x, uint64_t segment, uint64_t offset, struct str payload);
/* Places with that key, newest segment first, at most n_max. Hash collisions are the caller's to sort out. */
enum err_code log_index_find(struct log_index *x, uint64_t key, struct log_pos *ret, size_t n_max,
                             size_t *ret_n, struct err *err) MUST_CHECK;
/* Removes the files of segments before that one. */
void log_index_drop_before(struct log_index *x, uint64_t segment);

#endif
