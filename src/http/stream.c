/* Bodies that are written while they are sent: a bounded buffer between a producer and the HTTP thread. With nothing to
 * send the connection is suspended; the producer's next put resumes it. Two owners, the producer and the response:
 * the last one frees. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "http/server_int.h"

#define STREAM_BLOCK_BYTES 16384

struct http_stream {
    struct http_server *server;
    struct MHD_Connection *conn;
    struct mutex mutex;
    struct cond has_room;
    unsigned char *data; /* ring */
    size_t cap, first, n;
    int n_refs; /* producer, response */
    bool is_ended, is_gone, is_suspended;
    struct http_stream *prev, *next; /* in server->streams */
};

static void stream_unlist(struct http_stream *st)
{
    struct http_server *s = st->server;
    mutex_lock(&s->pending_mutex);
    if (st->prev)
        st->prev->next = st->next;
    else if (s->streams == st)
        s->streams = st->next;
    if (st->next)
        st->next->prev = st->prev;
    st->prev = st->next = NULL;
    mutex_unlock(&s->pending_mutex);
}

static void stream_unref(struct http_stream *st)
{
    mutex_lock(&st->mutex);
    bool is_last = --st->n_refs == 0;
    mutex_unlock(&st->mutex);
    if (!is_last)
        return;
    mutex_fini(&st->mutex);
    cond_fini(&st->has_room);
    free(st->data);
    free(st);
}

struct http_stream *http_answer_stream(struct http_request *r, int status, const char *content_type,
                                       size_t max_bytes)
{
    struct exchange *x = (struct exchange *)r;
    struct http_stream *st = calloc(1, sizeof *st);
    unsigned char *data = malloc(max_bytes);
    if (!st || !data) {
        free(st);
        free(data);
        err_nomem(&x->refusal);
        answer_refusal(x);
        return NULL;
    }
    mutex_init(&st->mutex, "http.stream", RANK_STREAM);
    cond_init(&st->has_room);
    st->server = x->server;
    st->conn = x->conn;
    st->data = data;
    st->cap = max_bytes;
    st->n_refs = 2;
    CHECK(x->answer.kind == ANSWER_NONE);
    x->answer.kind = ANSWER_STREAM;
    x->answer.status = status;
    x->answer.content_type = content_type;
    x->answer.stream = st;
    struct http_server *s = x->server;
    mutex_lock(&s->pending_mutex);
    st->next = s->streams;
    if (s->streams)
        s->streams->prev = st;
    s->streams = st;
    mutex_unlock(&s->pending_mutex);
    return st;
}

/* Under st->mutex. */
static void stream_resume(struct http_stream *st)
{
    if (st->is_suspended && !st->is_gone) {
        st->is_suspended = false;
        MHD_resume_connection(st->conn);
    }
}

static void ring_add(struct http_stream *st, const char *p, size_t n)
{
    size_t at = (st->first + st->n) % st->cap, head = st->cap - at < n ? st->cap - at : n;
    memcpy(st->data + at, p, head);
    memcpy(st->data, p + head, n - head);
    st->n += n;
}

bool http_stream_put(struct http_stream *st, struct str bytes, int64_t timeout_ms)
{
    int64_t until_ns = mono_ns() + timeout_ms * 1000000;
    bool is_ok = true;
    mutex_lock(&st->mutex);
    while (bytes.n > 0 && is_ok) {
        size_t room = st->cap - st->n, n = bytes.n < room ? bytes.n : room;
        if (st->is_gone || st->is_ended) {
            is_ok = false;
        } else if (n > 0) {
            ring_add(st, bytes.p, n);
            bytes.p += n;
            bytes.n -= n;
            stream_resume(st);
        } else {
            int64_t left_ms = (until_ns - mono_ns()) / 1000000;
            is_ok = left_ms > 0;
            if (is_ok)
                cond_wait(&st->has_room, &st->mutex, left_ms);
        }
    }
    is_ok = is_ok && !st->is_gone;
    mutex_unlock(&st->mutex);
    return is_ok;
}

void http_stream_end(struct http_stream *st)
{
    mutex_lock(&st->mutex);
    st->is_ended = true;
    stream_resume(st);
    mutex_unlock(&st->mutex);
    stream_unref(st);
}

static ssize_t stream_read(void *cls, uint64_t pos, char *out, size_t max)
{
    struct http_stream *st = cls;
    (void)pos;
    mutex_lock(&st->mutex);
    size_t n = st->n < max ? st->n : max, head = st->cap - st->first < n ? st->cap - st->first : n;
    memcpy(out, st->data + st->first, head);
    memcpy(out + head, st->data, n - head);
    st->first = (st->first + n) % st->cap;
    st->n -= n;
    ssize_t ret = (ssize_t)n;
    if (n > 0) {
        cond_signal(&st->has_room);
    } else if (st->is_ended) {
        ret = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        st->is_suspended = true;
        MHD_suspend_connection(st->conn);
    }
    mutex_unlock(&st->mutex);
    return ret;
}

/* The response is gone: sent, or its connection died. */
static void stream_release(void *cls)
{
    struct http_stream *st = cls;
    stream_unlist(st);
    mutex_lock(&st->mutex);
    st->is_gone = true;
    cond_broadcast(&st->has_room);
    mutex_unlock(&st->mutex);
    stream_unref(st);
}

struct MHD_Response *stream_response(struct http_stream *st)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, stream_read, st,
                                             stream_release);
}

void stream_discard(struct http_stream *st)
{
    stream_release(st);
}

void stream_end_all(struct http_server *s)
{
    mutex_lock(&s->pending_mutex);
    for (struct http_stream *st = s->streams; st; st = st->next) {
        mutex_lock(&st->mutex);
        st->is_ended = true;
        cond_broadcast(&st->has_room);
        stream_resume(st);
        mutex_unlock(&st->mutex);
    }
    mutex_unlock(&s->pending_mutex);
}
