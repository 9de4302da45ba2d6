/* A chain of blocks, newest first; bytes beyond a block's `dirty` mark have never been handed out and are
 * still zero from calloc, so that zeroing costs only where memory is used again. */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/vec.h"

#define ARENA_ALIGN       16
#define BLOCK_FIRST_BYTES 4096
#define BLOCK_MAX_BYTES   (1U << 20)

struct arena_block {
    struct arena_block *older;
    size_t cap, used, dirty;
    _Alignas(ARENA_ALIGN) unsigned char data[];
};

struct arena_hook {
    struct arena_hook *older;
    void (*fn)(void *arg);
    void *arg;
};

void arena_init(struct arena *a, size_t limit_bytes)
{
    *a = (struct arena){.limit_bytes = limit_bytes};
}

/* Keeps the larger of the two as the spare. */
static void block_retire(struct arena *a, struct arena_block *b)
{
    b->used = 0;
    if (!a->spare || b->cap > a->spare->cap) {
        free(a->spare);
        a->spare = b;
    } else {
        free(b);
    }
}

static void release_to(struct arena *a, const struct arena_mark *m)
{
    while (a->hooks != m->hooks) {
        struct arena_hook *h = a->hooks;
        CHECK(h != NULL);
        a->hooks = h->older;
        h->fn(h->arg);
    }
    while (a->head != m->block) {
        struct arena_block *b = a->head;
        CHECK(b != NULL);
        a->head = b->older;
        block_retire(a, b);
    }
    if (a->head)
        a->head->used = m->block_used;
    a->used_bytes = m->used_bytes;
}

void arena_reset(struct arena *a)
{
    struct arena_mark start = {0};
    release_to(a, &start);
    a->is_over_limit = false;
    a->is_out_of_memory = false;
}

void arena_fini(struct arena *a)
{
    if (!a)
        return;
    arena_reset(a);
    free(a->spare);
    a->spare = NULL;
}

static struct arena_block *block_new(struct arena *a, size_t n)
{
    struct arena_block *b = a->spare;
    if (b && b->cap >= n) {
        a->spare = NULL;
        return b;
    }
    size_t cap = a->head ? a->head->cap * 2 : BLOCK_FIRST_BYTES;
    cap = cap > BLOCK_MAX_BYTES ? BLOCK_MAX_BYTES : cap;
    cap = cap < n ? n : cap;
    if (cap > SIZE_MAX - sizeof *b)
        return NULL;
    b = calloc(1, sizeof *b + cap);
    if (b)
        b->cap = cap;
    return b;
}

static unsigned char *block_take(struct arena_block *b, size_t n)
{
    unsigned char *p = b->data + b->used;
    if (b->used < b->dirty)
        memset(p, 0, b->dirty - b->used < n ? b->dirty - b->used : n);
    b->used += n;
    if (b->dirty < b->used)
        b->dirty = b->used;
    return p;
}

static size_t round_up(size_t n)
{
    return n == 0 ? ARENA_ALIGN : (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX - ARENA_ALIGN || round_up(n) > a->limit_bytes ||
        a->used_bytes > a->limit_bytes - round_up(n)) {
        a->is_over_limit = true;
        return NULL;
    }
    n = round_up(n);
    if (!a->head || a->head->cap - a->head->used < n) {
        struct arena_block *b = block_new(a, n);
        if (!b) {
            a->is_out_of_memory = true;
            return NULL;
        }
        b->older = a->head;
        a->head = b;
    }
    a->used_bytes += n;
    return block_take(a->head, n);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        a->is_over_limit = true;
        return NULL;
    }
    return arena_alloc(a, bytes);
}

/* True when p is the newest piece and its block has room to make it new_n bytes. */
static bool can_extend(const struct arena *a, const unsigned char *p, size_t old_n, size_t new_n)
{
    const struct arena_block *b = a->head;
    if (!b || !p || p < b->data || p + round_up(old_n) != b->data + b->used)
        return false;
    size_t more = round_up(new_n) - round_up(old_n);
    return more <= b->cap - b->used && more <= a->limit_bytes - a->used_bytes;
}

void *arena_grow(struct arena *a, void *p, size_t old_n, size_t new_n)
{
    CHECK(new_n >= old_n && (p || old_n == 0));
    if (new_n <= SIZE_MAX - ARENA_ALIGN && p && can_extend(a, p, old_n, new_n)) {
        size_t more = round_up(new_n) - round_up(old_n);
        if (more > 0) {
            block_take(a->head, more);
            a->used_bytes += more;
        }
        return p;
    }
    void *q = arena_alloc(a, new_n);
    if (q && old_n)
        memcpy(q, p, old_n);
    return q;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->head, a->head ? a->head->used : 0, a->used_bytes, a->hooks};
}

void arena_release(struct arena *a, struct arena_mark m)
{
    release_to(a, &m);
}

bool arena_on_release(struct arena *a, void (*fn)(void *arg), void *arg)
{
    struct arena_hook *h = ARENA_NEW(a, struct arena_hook);
    if (!h)
        return false;
    *h = (struct arena_hook){a->hooks, fn, arg};
    a->hooks = h;
    return true;
}

enum err_code arena_err(const struct arena *a, struct err *err)
{
    if (a->is_out_of_memory || !a->is_over_limit)
        return err_nomem(err);
    return err_set(err, ERR_LIMIT, "this needs more than the %zu bytes of memory it may use",
                   a->limit_bytes);
}

bool vec_grow(struct arena *a, void **p, size_t *cap, size_t elem_bytes)
{
    size_t n = *cap ? *cap * 2 : 8, bytes;
    if (n < *cap || __builtin_mul_overflow(n, elem_bytes, &bytes)) {
        a->is_over_limit = true;
        return false;
    }
    void *q = arena_grow(a, *p, *cap * elem_bytes, bytes);
    if (!q)
        return false;
    *p = q;
    *cap = n;
    return true;
}
