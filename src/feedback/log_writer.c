/* The writer thread: rings -> segments, group commit, wake-ups.
 *
 * It looks at the rings every millisecond or two while records come and sleeps longer when none do; a producer that finds
 * it idle gives it a nudge. A lost nudge costs at most IDLE_MS. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "feedback/frame.h"
#include "feedback/log_int.h"

#define BUSY_MS  2
#define IDLE_MS  40
#define RETRY_MS 200
#define N_QUIET  16 /* empty looks before it goes idle */

struct taken {
    struct iovec iov[SERIES_LANES_MAX];
    int lane[SERIES_LANES_MAX];
    uint64_t head[SERIES_LANES_MAX];
    uint64_t last_seq[SERIES_LANES_MAX]; /* by lane, for the segment's head */
    int n;
    uint64_t n_records, n_bytes;
};

/* The last seq of the frames in p[n], and their number. */
static uint64_t frames_walk(const unsigned char *p, uint64_t n, uint64_t *n_records)
{
    uint64_t seq = 0;
    for (uint64_t at = 0; at < n;) {
        struct frame f;
        frame_head(p + at, &f);
        at += SERIES_FRAME_HEAD + f.payload_bytes;
        CHECK(at <= n);
        seq = f.seq;
        (*n_records)++;
    }
    return seq;
}

static void take_all(struct feedback_log *l, struct taken *t)
{
    t->n = 0;
    t->n_records = t->n_bytes = 0;
    for (int i = 0; i < l->n_lanes; i++) {
        struct ring *r = &l->lanes[i].ring;
        uint64_t tail = atomic_load_explicit(&r->h->tail, memory_order_relaxed);
        uint64_t head = atomic_load_explicit(&r->h->head, memory_order_acquire);
        t->last_seq[i] = atomic_load_explicit(&l->lanes[i].written_seq, memory_order_relaxed);
        if (head == tail)
            continue;
        unsigned char *p = r->data + (tail & (r->cap - 1));
        t->last_seq[i] = frames_walk(p, head - tail, &t->n_records);
        t->iov[t->n] = (struct iovec){p, head - tail};
        t->lane[t->n] = i;
        t->head[t->n++] = head;
        t->n_bytes += head - tail;
    }
}

static void index_all(struct feedback_log *l, const struct taken *t, const struct log_pos *pos)
{
    uint64_t offset = pos->offset;
    for (int i = 0; i < t->n; i++) {
        struct ring *r = &l->lanes[t->lane[i]].ring;
        uint64_t tail = atomic_load_explicit(&r->h->tail, memory_order_relaxed);
        const unsigned char *p = r->data + (tail & (r->cap - 1));
        for (uint64_t at = 0, n = t->head[i] - tail; at < n;) {
            struct frame f;
            frame_head(p + at, &f);
            log_index_add(l->index, pos->segment, offset + at,
                          str_n((const char *)f.payload, f.payload_bytes));
            at += SERIES_FRAME_HEAD + f.payload_bytes;
        }
        offset += t->head[i] - tail;
    }
}

enum err_code log_drain(struct feedback_log *l, uint64_t *ret_n, struct err *err)
{
    struct taken t;
    struct log_pos pos;
    struct iovec iov[SERIES_LANES_MAX];
    for (size_t i = 0; i < SERIES_LANES_MAX; i++)
        t.last_seq[i] = 0;
    take_all(l, &t);
    *ret_n = t.n_records;
    if (t.n == 0)
        return ERR_OK;
    memcpy(iov, t.iov, sizeof iov); /* the append moves the pieces on */
    if (series_append_frames(l->series, iov, t.n, t.last_seq, &pos, err) != ERR_OK)
        return err->code;
    index_all(l, &t, &pos);
    for (int i = 0; i < t.n; i++) {
        struct lane *lane = &l->lanes[t.lane[i]];
        atomic_store_explicit(&lane->written_seq, t.last_seq[t.lane[i]], memory_order_release);
        atomic_store_explicit(&lane->ring.h->tail, t.head[i], memory_order_release);
    }
    atomic_fetch_add(&l->n_bytes, t.n_bytes);
    return ERR_OK;
}

enum err_code log_ring_recover(struct feedback_log *l, int lane, uint64_t last_seq, struct err *err)
{
    struct ring *r = &l->lanes[lane].ring;
    uint64_t tail = atomic_load(&r->h->tail), head = atomic_load(&r->h->head), newest = last_seq;
    while (tail < head) {
        struct frame f;
        struct log_pos pos;
        uint64_t left = head - tail;
        if (frame_parse(r->data + (tail & (r->cap - 1)), left, &f) != FRAME_OK || f.lane != lane)
            break; /* only after a power failure: what follows cannot be trusted */
        if (f.seq > newest) {
            if (series_append(l->series, f.type, f.lane, f.seq,
                              str_n((const char *)f.payload, f.payload_bytes), &pos, err) != ERR_OK)
                return err_wrap(err, "take over the records of lane %d", lane);
            newest = f.seq;
            atomic_fetch_add(&l->n_recovered, 1);
        }
        tail += SERIES_FRAME_HEAD + f.payload_bytes;
    }
    if (series_sync(l->series, err) != ERR_OK)
        return err->code;
    uint64_t next = atomic_load(&r->h->next_seq);
    atomic_store(&r->h->next_seq, next > newest ? next : newest + 1);
    atomic_store(&l->lanes[lane].written_seq, newest);
    atomic_store(&l->lanes[lane].synced_seq, newest);
    atomic_store(&r->h->tail, head);
    return ERR_OK;
}

static void mark_synced(struct feedback_log *l)
{
    for (int i = 0; i < l->n_lanes; i++)
        atomic_store(&l->lanes[i].synced_seq, atomic_load(&l->lanes[i].written_seq));
}

/* Until there is something to do, or it is time to look. */
static void writer_sleep(struct feedback_log *l, int n_quiet, bool is_failing)
{
    int64_t ms = is_failing ? RETRY_MS : n_quiet < N_QUIET ? BUSY_MS : IDLE_MS;
    mutex_lock(&l->mutex);
    if (n_quiet >= N_QUIET)
        atomic_store(&l->is_idle, true);
    if (!atomic_load(&l->is_stopping) && (is_failing || atomic_load(&l->n_waiting) == 0))
        cond_wait(&l->wake, &l->mutex, ms);
    atomic_store(&l->is_idle, false);
    mutex_unlock(&l->mutex);
}

static void tell_waiting(struct feedback_log *l)
{
    if (atomic_load(&l->n_waiting) == 0)
        return;
    mutex_lock(&l->mutex);
    cond_broadcast(&l->done);
    if (atomic_load(&l->n_waiting) > 0) /* lets them look before the next round */
        cond_wait(&l->wake, &l->mutex, 1);
    mutex_unlock(&l->mutex);
}

static void *writer_main(void *arg)
{
    struct feedback_log *l = arg;
    int64_t synced_ns = mono_ns();
    int n_quiet = 0;
    bool is_dirty = false;
    for (;;) {
        bool is_stopping = atomic_load(&l->is_stopping);
        struct err err = ERR_INIT;
        uint64_t n = 0;
        enum err_code code = log_drain(l, &n, &err);
        is_dirty = is_dirty || n > 0;
        n_quiet = n > 0 ? 0 : n_quiet + (n_quiet < N_QUIET);
        bool is_due = mono_ns() - synced_ns >= l->opt.sync_ms * 1000000 || is_stopping;
        if (code == ERR_OK && (is_due ? is_dirty : atomic_load(&l->n_wants_sync) > 0)) {
            code = series_sync(l->series, &err);
            if (code == ERR_OK)
                mark_synced(l);
            is_dirty = code != ERR_OK;
            synced_ns = mono_ns();
        }
        atomic_store(&l->is_failing, code != ERR_OK);
        tell_waiting(l);
        if (is_stopping && (n == 0 || code != ERR_OK))
            return NULL;
        writer_sleep(l, n_quiet, code != ERR_OK);
    }
}

enum err_code log_writer_start(struct feedback_log *l, struct err *err)
{
    if (thread_start(&l->writer, "log-writer", writer_main, l, err) != ERR_OK)
        return err->code;
    l->has_writer = true;
    return ERR_OK;
}

void log_writer_stop(struct feedback_log *l)
{
    if (!l->has_writer)
        return;
    atomic_store(&l->is_stopping, true);
    mutex_lock(&l->mutex);
    cond_broadcast(&l->wake);
    mutex_unlock(&l->mutex);
    pthread_join(l->writer, NULL);
    l->has_writer = false;
}
