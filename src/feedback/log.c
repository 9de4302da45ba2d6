#include "feedback/log.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "feedback/frame.h"
#include "feedback/log_int.h"
#include "feedback/record_int.h"

#define LANES         4
#define RING_BYTES    (UINT64_C(4) << 20)
#define SYNC_MS       1000
#define DEDUP_US      (10 * US_PER_MIN)
#define DEDUP_IDS     262144
#define WAIT_ROUND_MS 50

/* ---- the calling thread's lane ---- */

struct own_lane {
    uint64_t serial; /* of the log */
    int lane;
};
static _Thread_local struct own_lane own;
static _Atomic uint64_t last_serial;

static int lane_of_thread(struct feedback_log *l)
{
    if (own.serial != l->serial) {
        int i = atomic_fetch_add(&l->lanes_taken, 1);
        own = (struct own_lane){l->serial, i < l->n_lanes - 1 ? i : l->n_lanes - 1};
    }
    return own.lane;
}

static bool lane_is_shared(const struct feedback_log *l, int lane)
{
    return lane == l->n_lanes - 1;
}

/* ---- putting ---- */

/* Records as they are, or encoded already. */
struct batch {
    const struct prediction_record *rows; /* or: */
    const struct str *payloads;
    size_t n;
};

static uint64_t batch_bytes(const struct batch *b)
{
    uint64_t n = 0;
    for (size_t k = 0; k < b->n; k++)
        n += SERIES_FRAME_HEAD + (b->rows ? record_bytes_max(&b->rows[k]) : b->payloads[k].n);
    return n;
}

static size_t frame_put(unsigned char *at, const struct batch *b, size_t k, int lane, uint64_t seq)
{
    size_t n = b->rows ? record_encode(&b->rows[k], at + SERIES_FRAME_HEAD) : b->payloads[k].n;
    if (!b->rows)
        memcpy(at + SERIES_FRAME_HEAD, b->payloads[k].p, n);
    series_frame_seal(at, FRAME_RECORD, (uint16_t)lane, seq, (uint32_t)n);
    return SERIES_FRAME_HEAD + n;
}

static bool lane_put(struct feedback_log *l, int i, const struct batch *b,
                     struct log_ticket *ret_last)
{
    struct lane *lane = &l->lanes[i];
    struct ring *ring = &lane->ring;
    uint64_t used = 0;
    unsigned char *at = ring_reserve(ring, batch_bytes(b));
    if (!at) {
        atomic_fetch_add_explicit(&lane->n_dropped, b->n, memory_order_relaxed);
        return false;
    }
    uint64_t seq = atomic_load_explicit(&ring->h->next_seq, memory_order_relaxed);
    for (size_t k = 0; k < b->n; k++)
        used += frame_put(at + used, b, k, i, seq + k);
    atomic_store_explicit(&ring->h->next_seq, seq + b->n, memory_order_relaxed);
    ring_commit(ring, used);
    atomic_store_explicit(&lane->n_records,
                          atomic_load_explicit(&lane->n_records, memory_order_relaxed) + b->n,
                          memory_order_relaxed);
    *ret_last = (struct log_ticket){(uint16_t)i, seq + b->n - 1};
    return true;
}

static bool batch_put(struct feedback_log *l, const struct batch *b, struct log_ticket *ret_last)
{
    CHECK(l->has_writer && b->n > 0);
    int i = lane_of_thread(l);
    bool is_shared = lane_is_shared(l, i);
    if (is_shared)
        pthread_spin_lock(&l->lanes[i].lock);
    bool is_put = lane_put(l, i, b, ret_last);
    if (is_shared)
        pthread_spin_unlock(&l->lanes[i].lock);
    if (atomic_load_explicit(&l->is_idle, memory_order_relaxed) &&
        atomic_exchange(&l->is_idle, false))
        cond_signal(&l->wake);
    return is_put;
}

bool feedback_log_put_rows(struct feedback_log *l, const struct prediction_record *rows, size_t n,
                           struct log_ticket *ret_last)
{
    struct batch b = {.rows = rows, .n = n};
    return batch_put(l, &b, ret_last);
}

bool feedback_log_put_encoded(struct feedback_log *l, const struct str *payloads, size_t n,
                              struct log_ticket *ret_last)
{
    struct batch b = {.payloads = payloads, .n = n};
    return batch_put(l, &b, ret_last);
}

bool feedback_log_put(struct feedback_log *l, const struct prediction_record *r,
                      struct log_ticket *ret_ticket)
{
    return feedback_log_put_rows(l, r, 1, ret_ticket);
}

/* ---- waiting ---- */

static bool is_acked(struct feedback_log *l, const struct log_ticket *t, enum log_ack ack)
{
    const struct lane *lane = &l->lanes[t->lane];
    return ack == LOG_ACK_RING ||
           (ack == LOG_ACK_WRITTEN ? atomic_load(&lane->written_seq) >= t->seq
                                   : atomic_load(&lane->synced_seq) >= t->seq);
}

static bool all_acked(struct feedback_log *l, const struct log_ticket *t, size_t n,
                      enum log_ack ack)
{
    for (size_t i = 0; i < n; i++)
        if (!is_acked(l, &t[i], ack))
            return false;
    return true;
}

static enum err_code wait_for(struct feedback_log *l, const struct log_ticket *t, size_t n,
                              enum log_ack ack, int64_t timeout_ms, struct err *err)
{
    int64_t until_ns = mono_ns() + timeout_ms * 1000000;
    if (all_acked(l, t, n, ack))
        return ERR_OK;
    mutex_lock(&l->mutex);
    atomic_fetch_add(&l->n_waiting, 1);
    atomic_fetch_add(&l->n_wants_sync, ack == LOG_ACK_SYNCED);
    bool is_done = false;
    while (!(is_done = all_acked(l, t, n, ack)) && mono_ns() < until_ns) {
        cond_signal(&l->wake);
        cond_wait(&l->done, &l->mutex, WAIT_ROUND_MS);
    }
    atomic_fetch_sub(&l->n_waiting, 1);
    atomic_fetch_sub(&l->n_wants_sync, ack == LOG_ACK_SYNCED);
    cond_signal(&l->wake);
    mutex_unlock(&l->mutex);
    if (is_done)
        return ERR_OK;
    return err_set(err, ERR_TIMEOUT, "the record is safe in memory but was not %s within %lld ms",
                   ack == LOG_ACK_SYNCED ? "synced" : "written", (long long)timeout_ms);
}

enum err_code feedback_log_wait(struct feedback_log *l, const struct log_ticket *t,
                                enum log_ack ack, int64_t timeout_ms, struct err *err)
{
    return wait_for(l, t, 1, ack, timeout_ms, err);
}

enum err_code feedback_log_flush(struct feedback_log *l, enum log_ack ack, int64_t timeout_ms,
                                 struct err *err)
{
    struct log_ticket t[SERIES_LANES_MAX];
    if (!l->has_writer)
        return ERR_OK;
    for (int i = 0; i < l->n_lanes; i++)
        t[i] = (struct log_ticket){(uint16_t)i, atomic_load(&l->lanes[i].ring.h->next_seq) - 1};
    return wait_for(l, t, (size_t)l->n_lanes, ack, timeout_ms, err);
}

/* ---- client ids ---- */

enum dedup_result feedback_log_dedup(struct feedback_log *l, struct str endpoint,
                                     struct str client_id, int64_t now_us, uint8_t id[16])
{
    if (!dedup_get(l->dedup, endpoint, client_id, now_us, id))
        return DEDUP_NEW;
    atomic_fetch_add_explicit(&l->n_duplicates, 1, memory_order_relaxed);
    return DEDUP_KNOWN;
}

void feedback_log_forget(struct feedback_log *l, struct str endpoint, struct str client_id)
{
    dedup_forget(l->dedup, endpoint, client_id);
}

/* ---- opening ---- */

static enum err_code lane_open(struct feedback_log *l, int i, const struct series_recovery *rec,
                               struct err *err)
{
    char path[PATH_BYTES];
    bool is_old = false;
    struct lane *lane = &l->lanes[i];
    snprintf(path, sizeof path, "%s/ring-%02d", l->dir, i);
    pthread_spin_init(&lane->lock, PTHREAD_PROCESS_PRIVATE);
    if (ring_open(&lane->ring, path, series_start(l->series).instance, (uint16_t)i,
                  l->opt.ring_bytes, &is_old, err) != ERR_OK)
        return err->code;
    return log_ring_recover(l, i, rec->last_seq[i], err);
}

/* Rings that a start with more lanes left behind. */
static enum err_code lanes_open(struct feedback_log *l, const struct series_recovery *rec,
                                struct err *err)
{
    char path[PATH_BYTES];
    int n = l->opt.n_lanes;
    for (int i = n; i < SERIES_LANES_MAX; i++) {
        snprintf(path, sizeof path, "%s/ring-%02d", l->dir, i);
        n = file_exists(path) ? i + 1 : n;
    }
    l->lanes = aligned_alloc(_Alignof(struct lane), (size_t)n * sizeof *l->lanes);
    if (!l->lanes)
        return err_nomem(err);
    memset(l->lanes, 0, (size_t)n * sizeof *l->lanes);
    for (; l->n_lanes < n; l->n_lanes++)
        if (lane_open(l, l->n_lanes, rec, err) != ERR_OK) {
            ring_close(&l->lanes[l->n_lanes].ring);
            return err_wrap(err, "lane %d of the prediction log", l->n_lanes);
        }
    return ERR_OK;
}

/* Fills index and client ids from the newest segments. */
static enum err_code memory_fill(struct feedback_log *l, struct err *err)
{
    struct log_pos at = series_start(l->series), end = series_end(l->series);
    struct series_reader *r = NULL;
    struct series_frame f;
    bool is_there = true;
    int64_t since_us = clock_now_us(&CLOCK_SYSTEM) - l->opt.dedup_window_us;
    at.segment = end.segment > at.segment ? end.segment - 1 : at.segment;
    enum err_code code = series_reader_open(l->series, &at, &r, err);
    while (code == ERR_OK && is_there) {
        struct prediction_record rec = {0};
        code = series_reader_next(r, 0, &is_there, &f, err);
        if (code != ERR_OK || !is_there)
            break;
        struct record_cursor c = {(const unsigned char *)f.payload.p,
                                  (const unsigned char *)f.payload.p + f.payload.n, 0, false};
        if (f.pos.segment == end.segment)
            log_index_add(l->index, f.pos.segment, f.pos.offset, f.payload);
        if (record_peek(&c, &rec) && rec.client_id.n && rec.wall_us >= since_us)
            dedup_get(l->dedup, rec.endpoint, rec.client_id, rec.wall_us, rec.id);
    }
    series_reader_close(r);
    return code;
}

static enum err_code writing_open(struct feedback_log *l, const struct series_recovery *rec,
                                  struct err *err)
{
    l->dedup = dedup_new(l->opt.dedup_ids, l->opt.dedup_window_us);
    if (!l->dedup)
        return err_nomem(err);
    if (lanes_open(l, rec, err) != ERR_OK || memory_fill(l, err) != ERR_OK)
        return err->code;
    return log_writer_start(l, err);
}

static enum err_code parts_open(struct feedback_log *l, struct err *err)
{
    char path[PATH_BYTES];
    struct series_recovery rec = {0};
    struct series_options so = {path, l->opt.may_write, l->opt.segment_bytes};
    if (l->opt.may_write && dir_make(l->dir, 0700, err) != ERR_OK)
        return err->code;
    snprintf(path, sizeof path, "%s/schemas.log", l->dir);
    if (schema_store_open(path, l->opt.may_write, &l->schemas, err) != ERR_OK)
        return err->code;
    snprintf(path, sizeof path, "%s/shadow", l->dir);
    if (series_open(&so, &l->shadow, NULL, err) != ERR_OK)
        return err_wrap(err, "open the shadow log");
    snprintf(path, sizeof path, "%s/log", l->dir);
    if (series_open(&so, &l->series, &rec, err) != ERR_OK)
        return err_wrap(err, "open the prediction log");
    atomic_store(&l->n_torn, (uint64_t)rec.cut_bytes);
    l->index = log_index_new(l->series, path);
    if (!l->index)
        return err_nomem(err);
    return l->opt.may_write ? writing_open(l, &rec, err) : ERR_OK;
}

static void options_complete(struct feedback_log_options *o)
{
    o->n_lanes = o->n_lanes > 0 ? o->n_lanes : LANES;
    o->n_lanes = o->n_lanes < SERIES_LANES_MAX ? o->n_lanes : SERIES_LANES_MAX;
    o->ring_bytes = o->ring_bytes ? o->ring_bytes : RING_BYTES;
    o->sync_ms = o->sync_ms ? o->sync_ms : SYNC_MS;
    o->dedup_window_us = o->dedup_window_us ? o->dedup_window_us : DEDUP_US;
    o->dedup_ids = o->dedup_ids ? o->dedup_ids : DEDUP_IDS;
}

enum err_code feedback_log_open(const struct feedback_log_options *opt, struct feedback_log **ret,
                                struct err *err)
{
    struct feedback_log *l = calloc(1, sizeof *l);
    if (!l)
        return err_nomem(err);
    l->opt = *opt;
    options_complete(&l->opt);
    l->serial = atomic_fetch_add(&last_serial, 1) + 1;
    snprintf(l->dir, sizeof l->dir, "%s", opt->dir);
    mutex_init(&l->mutex, "feedback.log", RANK_LOG);
    mutex_init(&l->pins_mutex, "feedback.pins", RANK_PINS);
    cond_init(&l->wake);
    cond_init(&l->done);
    if (parts_open(l, err) != ERR_OK) {
        feedback_log_close(l);
        return err->code;
    }
    *ret = l;
    return ERR_OK;
}

void feedback_log_close(struct feedback_log *l)
{
    if (!l)
        return;
    log_writer_stop(l);
    for (int i = 0; i < l->n_lanes; i++)
        ring_close(&l->lanes[i].ring);
    free(l->lanes);
    log_index_free(l->index);
    dedup_free(l->dedup);
    series_close(l->series);
    series_close(l->shadow);
    schema_store_close(l->schemas);
    cond_fini(&l->wake);
    cond_fini(&l->done);
    mutex_fini(&l->mutex);
    mutex_fini(&l->pins_mutex);
    free(l);
}

struct series *feedback_log_series(struct feedback_log *l)
{
    return l->series;
}

struct series *feedback_log_shadow(struct feedback_log *l)
{
    return l->shadow;
}

struct schema_store *feedback_log_schemas(struct feedback_log *l)
{
    return l->schemas;
}

/* ---- retention, figures ---- */

void feedback_log_pin(struct feedback_log *l, const char *name, const struct log_pos *pos)
{
    mutex_lock(&l->pins_mutex);
    size_t i = 0;
    while (i < l->n_pins && strcmp(l->pins[i].name, name) != 0)
        i++;
    if (i < PINS_MAX) {
        snprintf(l->pins[i].name, PIN_NAME_BYTES, "%s", name);
        l->pins[i].pos = *pos;
        l->n_pins = i == l->n_pins ? i + 1 : l->n_pins;
    }
    mutex_unlock(&l->pins_mutex);
}

size_t feedback_log_retain(struct feedback_log *l, int64_t now_us)
{
    struct log_pos keep = series_end(l->series);
    mutex_lock(&l->pins_mutex);
    for (size_t i = 0; i < l->n_pins; i++)
        if (log_pos_cmp(&l->pins[i].pos, &keep) < 0)
            keep = l->pins[i].pos;
    mutex_unlock(&l->pins_mutex);
    int64_t before_us = l->opt.retain_us ? now_us - l->opt.retain_us : INT64_MIN;
    size_t n = series_retain(l->series, before_us, l->opt.retain_bytes, &keep);
    log_index_drop_before(l->index, series_start(l->series).segment);
    return n;
}

void feedback_log_stats(struct feedback_log *l, struct feedback_log_stats *ret)
{
    struct log_pos start = series_start(l->series), end = series_end(l->series);
    *ret = (struct feedback_log_stats){
        .n_bytes = atomic_load(&l->n_bytes),
        .n_segments = end.segment ? end.segment - start.segment + 1 : 0,
        .n_recovered = atomic_load(&l->n_recovered),
        .n_torn_bytes = atomic_load(&l->n_torn),
        .n_duplicates = atomic_load(&l->n_duplicates),
        .log_bytes = series_bytes(l->series),
        .is_failing = atomic_load(&l->is_failing),
    };
    for (int i = 0; i < l->n_lanes; i++) {
        const struct lane *lane = &l->lanes[i];
        uint64_t used = atomic_load(&lane->ring.h->head) - atomic_load(&lane->ring.h->tail);
        double full = (double)used / (double)lane->ring.cap;
        ret->ring_full_ratio = full > ret->ring_full_ratio ? full : ret->ring_full_ratio;
        ret->n_records += atomic_load(&lane->n_records);
        ret->n_dropped += atomic_load(&lane->n_dropped);
    }
}
