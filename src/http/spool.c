/* Large bodies go to a file: HTTP threads hand chunks to one spool thread through a bounded queue and never write
 * themselves. When the queue is full the connection is suspended until a chunk has been written, so that a fast
 * sender is slowed down to the disk and memory stays bounded by the queue. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "http/server_int.h"

#define CHUNK_BYTES    (256u << 10)
#define QUEUE_CHUNKS   64 /* 16 MiB in all */
#define SPOOL_POP_MS   1000
#define SPOOL_NAME_MAX 64

struct chunk {
    struct spool *sp;
    size_t n;
    bool is_last;
    unsigned char data[CHUNK_BYTES];
};

struct spool {
    struct exchange *x;
    struct chunk *filling;
    bool is_waiting_last; /* waits for room for its last chunk, not for more body */
    struct spool *next_waiting;
    /* the spool thread's: */
    int fd;
    char *path;
    struct err err;
};

bool spool_wanted(const struct exchange *x, uint64_t content_length)
{
    return (x->pub.route->flags & HTTP_SPOOL) && content_length > x->server->opt.body_memory_bytes;
}

static struct chunk *chunk_new(struct spool *sp)
{
    struct chunk *c = malloc(sizeof *c);
    if (c) {
        c->sp = sp;
        c->n = 0;
        c->is_last = false;
    }
    return c;
}

enum err_code spool_open(struct exchange *x, struct err *err)
{
    struct spool *sp = calloc(1, sizeof *sp);
    if (!sp)
        return err_nomem(err);
    sp->x = x;
    sp->fd = -1;
    sp->filling = chunk_new(sp);
    if (!sp->filling) {
        free(sp);
        return err_nomem(err);
    }
    x->spool = sp;
    return ERR_OK;
}

/* The chunk takes a reference of the exchange along. */
static bool chunk_push(struct spool *sp)
{
    atomic_fetch_add(&sp->x->n_refs, 1);
    if (queue_push(sp->x->server->spool_queue, sp->filling)) {
        sp->filling = NULL;
        return true;
    }
    atomic_fetch_sub(&sp->x->n_refs, 1);
    return false;
}

/* Under the mutex that the spool thread takes after each chunk, so that no wake-up is lost. */
static bool push_or_wait(struct spool *sp, bool is_suspended)
{
    struct http_server *s = sp->x->server;
    if (chunk_push(sp))
        return true;
    mutex_lock(&s->pending_mutex);
    bool is_pushed = chunk_push(sp);
    if (!is_pushed) {
        sp->is_waiting_last = is_suspended;
        sp->next_waiting = s->spool_waiting;
        s->spool_waiting = sp;
        if (!is_suspended)
            MHD_suspend_connection(sp->x->conn);
    }
    mutex_unlock(&s->pending_mutex);
    return is_pushed;
}

bool spool_add(struct exchange *x, const char *p, size_t n)
{
    struct spool *sp = x->spool;
    CHECK(n <= CHUNK_BYTES);
    if (sp->filling && sp->filling->n + n > CHUNK_BYTES && !push_or_wait(sp, false))
        return false;
    if (!sp->filling)
        sp->filling = chunk_new(sp);
    if (!sp->filling) {
        x->is_refused = true;
        err_nomem(&x->refusal);
        return true;
    }
    memcpy(sp->filling->data + sp->filling->n, p, n);
    sp->filling->n += n;
    x->pub.body_bytes += (int64_t)n;
    return true;
}

void spool_finish(struct exchange *x)
{
    struct spool *sp = x->spool;
    if (!sp->filling)
        sp->filling = chunk_new(sp);
    if (!sp->filling) {
        err_nomem(&x->refusal);
        answer_refusal(x);
        pending_claim(x, CLAIM_DONE, 0);
        return;
    }
    sp->filling->is_last = true;
    push_or_wait(sp, true);
}

void spool_free(struct spool *sp)
{
    if (!sp)
        return;
    if (sp->fd >= 0)
        close(sp->fd);
    if (sp->path)
        unlink(sp->path);
    free(sp->path);
    free(sp->filling);
    free(sp);
}

/* ---- the spool thread ---- */

static enum err_code file_open(struct spool *sp, struct err *err)
{
    const char *dir = sp->x->server->opt.spool_dir;
    if (!dir)
        return err_set(err, ERR_TOO_LARGE, "this server keeps no large bodies");
    unsigned char random[12];
    char hex[sizeof random * 2 + 1], path[PATH_BYTES];
    random_bytes(random, sizeof random);
    hex_encode(random, sizeof random, hex);
    snprintf(path, sizeof path, "%s/body-%s", dir, hex);
    sp->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (sp->fd < 0)
        return err_errno(err, errno, "keep the body in %s", dir);
    sp->path = strdup(path);
    return sp->path ? ERR_OK : err_nomem(err);
}

static void chunk_write(struct chunk *c)
{
    struct spool *sp = c->sp;
    if (sp->err.code == ERR_OK && sp->fd < 0 && file_open(sp, &sp->err) != ERR_OK)
        return;
    if (sp->err.code == ERR_OK && fd_write_all(sp->fd, c->data, c->n, &sp->err) != ERR_OK)
        err_wrap(&sp->err, "keep the request's body");
}

static void body_complete(struct spool *sp)
{
    struct exchange *x = sp->x;
    if (sp->err.code == ERR_OK) {
        x->pub.body_path = sp->path;
        x->pub.body = STR("");
        pending_enqueue(x);
        return;
    }
    x->refusal = sp->err;
    answer_refusal(x);
    pending_claim(x, CLAIM_DONE, 0);
}

/* Wakes who waited for room; a last chunk is pushed here, or goes on waiting. */
static void waiters_wake(struct http_server *s)
{
    mutex_lock(&s->pending_mutex);
    struct spool *list = s->spool_waiting, *next;
    s->spool_waiting = NULL;
    for (struct spool *sp = list; sp; sp = next) {
        next = sp->next_waiting;
        if (!sp->is_waiting_last) {
            MHD_resume_connection(sp->x->conn);
        } else if (!chunk_push(sp)) {
            sp->next_waiting = s->spool_waiting;
            s->spool_waiting = sp;
        }
    }
    mutex_unlock(&s->pending_mutex);
}

static void *spooler_main(void *arg)
{
    struct http_server *s = arg;
    for (;;) {
        struct chunk *c = queue_pop(s->spool_queue, SPOOL_POP_MS);
        if (!c) {
            if (queue_is_closed(s->spool_queue))
                return NULL;
            continue;
        }
        struct exchange *x = c->sp->x;
        chunk_write(c);
        if (c->is_last)
            body_complete(c->sp);
        free(c);
        waiters_wake(s);
        exchange_unref(x);
    }
}

enum err_code spool_start(struct http_server *s, struct err *err)
{
    s->spool_queue = queue_new("http.spool", QUEUE_CHUNKS);
    if (!s->spool_queue)
        return err_nomem(err);
    if (thread_start(&s->spooler, "http-spool", spooler_main, s, err) != ERR_OK)
        return err->code;
    s->has_spooler = true;
    return ERR_OK;
}

void spool_stop(struct http_server *s)
{
    if (s->spool_queue)
        queue_close(s->spool_queue);
    if (s->has_spooler)
        pthread_join(s->spooler, NULL);
    queue_free(s->spool_queue);
    s->spool_queue = NULL;
}
