/* Memory of one request, step or command: allocated piece by piece, freed at once.
 *
 * An arena has a byte limit; an allocation beyond it, or with no memory left, returns NULL and the arena
 * remembers it (arena_err gives ERR_LIMIT or ERR_NOMEM). Loops over rows take a mark and release to it.
 * Cleanup hooks run in reverse order when the arena is released past them or ends: for handles.
 * Threads: one at a time. Cost: O(1) amortised; blocks are kept for reuse by arena_reset. */
#ifndef PAWL_BASE_ARENA_H
#define PAWL_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct arena_block;
struct arena_hook;

struct arena {
    struct arena_block *head;  /* newest block */
    struct arena_block *spare; /* one empty block kept for reuse */
    struct arena_hook *hooks;
    size_t used_bytes, limit_bytes;
    bool is_over_limit, is_out_of_memory;
};

struct arena_mark {
    struct arena_block *block;
    size_t block_used, used_bytes;
    struct arena_hook *hooks;
};

void arena_init(struct arena *a, size_t limit_bytes);
void arena_fini(struct arena *a); /* accepts a zeroed arena */
void arena_reset(struct arena *a);
/* Zeroed, aligned to 16; NULL when full. n == 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc));
/* n elements; refuses n * size overflow. */
void *arena_array(struct arena *a, size_t n, size_t size) __attribute__((malloc));
/* Enlarges p (old_n bytes, from this arena) to new_n; in place when it is the last piece. */
void *arena_grow(struct arena *a, void *p, size_t old_n, size_t new_n);
struct arena_mark arena_mark(const struct arena *a);
void arena_release(struct arena *a, struct arena_mark m);
/* fn(arg) at release; false when there is no memory for the hook (fn is then NOT run). */
bool arena_on_release(struct arena *a, void (*fn)(void *arg), void *arg) MUST_CHECK;
/* The error for a NULL from this arena. */
enum err_code arena_err(const struct arena *a, struct err *err);

#define ARENA_NEW(a, type)      ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_NEW_N(a, type, n) ((type *)arena_array((a), (n), sizeof(type)))

#endif
