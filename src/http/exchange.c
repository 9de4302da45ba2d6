/* Exchanges are pooled: body buffer and arena stay warm from request to request, so that a small request takes nothing
 * from the heap here. */
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "http/server_int.h"

static struct exchange *pool_pop(struct http_server *s)
{
    mutex_lock(&s->pool_mutex);
    struct exchange *x = s->pool;
    if (x) {
        s->pool = x->pool_next;
        s->n_pool--;
    }
    mutex_unlock(&s->pool_mutex);
    return x;
}

struct exchange *exchange_take(struct http_server *s)
{
    struct exchange *x = pool_pop(s);
    if (!x) {
        x = calloc(1, sizeof *x);
        if (!x)
            return NULL;
        arena_init(&x->arena, s->opt.arena_bytes);
    }
    x->pub = (struct http_request){.arena = &x->arena, .mono_ns = mono_ns()};
    x->server = s;
    x->answer.kind = ANSWER_NONE;
    x->answer.fd = -1;
    x->answer.stream = NULL;
    x->answer.n_headers = 0;
    x->conn = NULL;
    x->is_begun = x->is_dispatched = x->is_refused = false;
    x->n_headers = 0;
    x->spool = NULL;
    x->expire_status = 0;
    x->deadline_ns = INT64_MAX;
    atomic_store_explicit(&x->claim, CLAIM_NONE, memory_order_relaxed);
    atomic_store_explicit(&x->n_refs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->n_inflight, 1, memory_order_relaxed);
    return x;
}

static void exchange_destroy(struct exchange *x)
{
    arena_fini(&x->arena);
    free(x->body);
    free(x);
}

void exchange_unref(struct exchange *x)
{
    if (atomic_fetch_sub_explicit(&x->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    struct http_server *s = x->server;
    answer_discard(&x->answer);
    spool_free(x->spool);
    x->spool = NULL;
    if (x->body_cap > BODY_KEEP_BYTES) {
        free(x->body);
        x->body = NULL;
        x->body_cap = 0;
    }
    bool is_large = x->arena.used_bytes > ARENA_KEEP_BYTES;
    arena_reset(&x->arena);
    if (is_large) {
        arena_fini(&x->arena);
        arena_init(&x->arena, s->opt.arena_bytes);
    }
    mutex_lock(&s->pool_mutex);
    bool is_kept = s->n_pool < POOL_MAX;
    if (is_kept) {
        x->pool_next = s->pool;
        s->pool = x;
        s->n_pool++;
    }
    mutex_unlock(&s->pool_mutex);
    if (!is_kept)
        exchange_destroy(x);
    atomic_fetch_sub_explicit(&s->n_inflight, 1, memory_order_release);
}

void exchange_pool_free(struct http_server *s)
{
    while (s->pool) {
        struct exchange *x = s->pool;
        s->pool = x->pool_next;
        exchange_destroy(x);
    }
}

enum err_code exchange_body_add(struct exchange *x, const char *p, size_t n, struct err *err)
{
    size_t have = x->pub.body.n;
    if (n > x->body_max || have > x->body_max - n)
        return err_set(err, ERR_TOO_LARGE,
                       "the body is larger than %zu bytes, the most that this route takes",
                       x->body_max);
    if (have + n + 1 > x->body_cap) {
        size_t cap = x->body_cap ? x->body_cap : 4096;
        while (cap < have + n + 1)
            cap *= 2;
        unsigned char *b = realloc(x->body, cap);
        if (!b)
            return err_nomem(err);
        x->body = b;
        x->body_cap = cap;
    }
    memcpy(x->body + have, p, n);
    x->body[have + n] = 0;
    x->pub.body = str_n((const char *)x->body, have + n);
    x->pub.body_bytes = (int64_t)(have + n);
    return ERR_OK;
}

enum err_code exchange_detach(struct exchange *x, struct err *err)
{
    for (size_t i = 0; i < x->n_headers; i++) {
        const char *name = str_dup(&x->arena, x->headers[i].name);
        const char *value = str_dup(&x->arena, x->headers[i].value);
        if (!name || !value)
            return arena_err(&x->arena, err);
        x->headers[i] = (struct http_pair){str_n(name, x->headers[i].name.n),
                                           str_n(value, x->headers[i].value.n)};
    }
    x->pub.method = str_dup(&x->arena, str_c(x->pub.method));
    return x->pub.method ? ERR_OK : arena_err(&x->arena, err);
}
