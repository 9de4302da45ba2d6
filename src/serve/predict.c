/* The predict path: endpoint -> release by bucket -> features -> score -> decision -> record. All of it between two marks of
 * one epoch, from memory, in the caller's arena. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "serve/predict_int.h"

/* UUIDv7 from a generator of the thread: a system call per prediction would cost more than the trees. */
static void id_make(int64_t wall_us, uint8_t id[16])
{
    static _Thread_local struct rng rng;
    static _Thread_local bool is_seeded;
    if (!is_seeded) {
        random_bytes(&rng, sizeof rng);
        is_seeded = true;
    }
    uint64_t ms = (uint64_t)(wall_us / US_PER_MS), a = rng_u64(&rng), b = rng_u64(&rng);
    for (int i = 0; i < 6; i++)
        id[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(id + 6, &a, 2);
    memcpy(id + 8, &b, 8);
    id[6] = (uint8_t)(0x70 | (id[6] & 0x0f));
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
}

static enum err_code base_find(struct predict *p, struct err *err)
{
    const struct snap_endpoint *ep = p->ep;
    p->base = ep->live;
    if (!ep->live)
        return err_set(err, ERR_UNAVAILABLE, "endpoint %.*s has no release that serves",
                       STR_ARG(ep->name));
    if (p->q->release == 0 || p->q->release == runtime_release(ep->live))
        return ERR_OK;
    p->base = runtime_of(ep->loaded, ep->n_loaded, p->q->release);
    p->is_test = true;
    if (!p->base)
        return err_set(err, ERR_NOT_FOUND, "endpoint %.*s does not serve r%lld: r%lld is live",
                       STR_ARG(ep->name), (long long)p->q->release,
                       (long long)runtime_release(ep->live));
    return ERR_OK;
}

/* ---- assignment ---- */

/* Values of the sticky fields of a row; false when one is missing. */
static bool sticky_get(const struct predict *p, size_t row, struct value *ret)
{
    for (size_t k = 0; k < p->ep->n_sticky; k++) {
        const struct value *v = NULL;
        for (size_t i = 0; i < p->n_binds && !v; i++)
            if (p->binds[i].slot == p->ep->sticky[k])
                v = p->binds[i].values + row * p->binds[i].stride;
        if (!v || v->type == VAL_NULL)
            return false;
        ret[k] = *v;
    }
    return p->ep->n_sticky > 0;
}

static uint16_t bucket_of(const struct predict *p, size_t row, bool *ret_has_key)
{
    struct value key[ASSIGN_KEYS_MAX];
    uint8_t id[16];
    *ret_has_key = sticky_get(p, row, key);
    if (*ret_has_key)
        return assign_bucket(p->ep->salt, key, p->ep->n_sticky);
    record_key(p->ans.id, (uint32_t)row, id);
    return assign_bucket_by_id(p->ep->salt, id);
}

static struct route route_row(const struct predict *p, size_t row)
{
    struct route r = {p->base, NULL, p->is_test ? ROLE_TEST : ROLE_LIVE, BUCKET_FALLBACK};
    const struct snap_endpoint *ep = p->ep;
    bool has_key = false;
    if (p->is_test || ep->rollout == 0)
        return r;
    uint16_t bucket = bucket_of(p, row, &has_key);
    r.bucket = has_key ? bucket : BUCKET_FALLBACK;
    if (!has_key && ep->n_sticky > 0)
        atomic_fetch_add_explicit(&ep->counters->n_no_key, 1, memory_order_relaxed);
    bool is_blown =
        atomic_load_explicit(&ep->counters->fuse_blown, memory_order_relaxed) == ep->rollout;
    if (ep->candidate && bucket < ep->share && !is_blown) {
        r.rt = ep->candidate;
        r.map = ep->to_candidate;
        r.role = ROLE_CANARY;
    }
    return r;
}

/* ---- scoring ---- */

static enum err_code row_set(const struct predict *p, struct runtime_scratch *s,
                             const struct route *r, size_t row, struct err *err)
{
    runtime_begin(s);
    for (size_t i = 0; i < p->n_binds; i++) {
        const struct bind *b = &p->binds[i];
        ptrdiff_t slot = r->map ? r->map[b->slot] : (ptrdiff_t)b->slot;
        if (slot >= 0 && runtime_set(s, (size_t)slot, b->values + row * b->stride, err) != ERR_OK)
            return err_wrap(err, "input \"%.*s\", row %zu", STR_ARG(b->tensor->name), row);
    }
    return ERR_OK;
}

static enum err_code row_score(struct predict *p, const struct route *r, size_t row,
                               struct outcome *o, struct err *err)
{
    struct runtime_scratch *s = runtime_slot_scratch(r->rt, p->slot);
    int64_t start_ns = p->mono_ns;
    if (!s)
        return err_nomem(err);
    if (row_set(p, s, r, row, err) != ERR_OK)
        return err->code;
    if (runtime_score(s, p->now_us, &o->ans, err) != ERR_OK)
        return err_wrap(err, "row %zu", row);
    p->mono_ns = mono_ns();
    o->compute_ns = (uint32_t)(p->mono_ns - start_ns);
    o->status = RECORD_OK;
    if (!o->ans.is_finite)
        return err_set(err, ERR_UNAVAILABLE, "row %zu: r%lld gave no finite score", row,
                       (long long)runtime_release(r->rt));
    return ERR_OK;
}

/* Is it the request that is wrong, rather than the release that cannot answer? */
static bool is_client_error(enum err_code code)
{
    return code == ERR_INVALID || code == ERR_PARSE || code == ERR_RANGE;
}

/* ---- one row ---- */

static void count_row(const struct predict *p, enum record_role role, enum record_status status)
{
    atomic_fetch_add_explicit(&p->ep->counters->rows[role][status], 1, memory_order_relaxed);
}

static void fuse_count(struct predict *p, bool is_error)
{
    struct endpoint_counters *c = p->ep->counters;
    if (atomic_load_explicit(&c->fuse_rollout, memory_order_relaxed) != p->ep->rollout)
        return;
    uint64_t n = atomic_fetch_add_explicit(&c->fuse_requests, 1, memory_order_relaxed) + 1;
    if (!is_error)
        return;
    uint64_t bad = atomic_fetch_add_explicit(&c->fuse_errors, 1, memory_order_relaxed) + 1;
    bool is_blown =
        p->ep->fuse > 0 && n >= (uint64_t)p->ep->fuse_min && (double)bad > p->ep->fuse * (double)n;
    if (is_blown && atomic_exchange(&c->fuse_blown, p->ep->rollout) != p->ep->rollout)
        reaper_nudge(p->s);
}

static void answer_row(struct predict *p, size_t row, const struct route *r,
                       const struct outcome *o)
{
    size_t n = p->ans.n_outputs;
    memcpy(p->scores + row * n, o->ans.scores, n * sizeof *p->scores);
    if (p->decisions)
        p->decisions[row] = o->ans.decision;
    if (row == 0) {
        p->ans.release = runtime_release(r->rt);
        p->ans.role = r->role;
        p->ans.bucket = r->bucket;
    }
    count_row(p, r->role, o->status);
}

/* The endpoint's own answer when its live release has none. */
static enum err_code row_fallback(struct predict *p, size_t row, const struct route *r,
                                  const struct route *failed, struct err *err)
{
    float scores[SERVE_OUTPUTS_MAX];
    struct outcome o = {.status = RECORD_FALLBACK};
    bool must_log = p->s->opt.log && !p->ans.is_known_id;
    if (!p->ep->has_fallback || p->is_test) {
        count_row(p, r->role, RECORD_ERROR);
        if (must_log)
            log_row(p, row, r, NULL, failed);
        struct err inner = *err;
        return err_set(err, ERR_UNAVAILABLE, "%s", inner.msg);
    }
    for (size_t i = 0; i < p->ans.n_outputs; i++)
        scores[i] = p->ep->fallback;
    o.ans.scores = scores;
    double threshold = runtime_threshold(r->rt);
    o.ans.decision = isnan(threshold) ? (double)NAN : (double)p->ep->fallback >= threshold;
    err_reset(err);
    p->ans.is_fallback = true;
    atomic_fetch_add_explicit(&p->ep->counters->n_fallback, 1, memory_order_relaxed);
    answer_row(p, row, r, &o);
    if (must_log)
        log_row(p, row, r, &o, failed);
    return ERR_OK;
}

static enum err_code row_predict(struct predict *p, size_t row, struct err *err)
{
    struct route r = route_row(p, row), first = r;
    struct outcome o = {0};
    const struct route *failed = NULL;
    enum err_code code = row_score(p, &r, row, &o, err);
    if (r.role == ROLE_CANARY && !is_client_error(code))
        fuse_count(p, code != ERR_OK);
    if (code != ERR_OK && r.role == ROLE_CANARY) { /* the incumbent answers for it */
        struct err why = *err;
        r.rt = p->ep->live;
        r.map = NULL;
        r.role = ROLE_LIVE;
        code = row_score(p, &r, row, &o, err);
        o.status = RECORD_RESCUED;
        if (is_client_error(why.code) && code == ERR_OK)
            fuse_count(
                p, true); /* a request that the incumbent understands is not the client's mistake */
        if (!is_client_error(code)) {
            count_row(p, ROLE_CANARY, RECORD_ERROR);
            failed = &first;
            p->ans.is_rescued = true;
        }
    }
    if (is_client_error(code))
        return code;
    if (code != ERR_OK)
        return row_fallback(p, row, &r, failed, err);
    err_reset(err);
    answer_row(p, row, &r, &o);
    if (p->s->opt.log && !p->ans.is_known_id)
        log_row(p, row, &r, &o, failed);
    return ERR_OK;
}

/* ---- the request ---- */

static enum err_code answer_room(struct predict *p, struct err *err)
{
    enum engine_task task = engine_task(runtime_engine(p->base));
    p->ans.n_rows = p->n_rows;
    p->ans.n_outputs = runtime_n_outputs(p->base);
    p->ans.is_multiclass = task == ENGINE_MULTICLASS;
    CHECK(p->ans.n_outputs <= SERVE_OUTPUTS_MAX);
    bool has_decision = p->ans.is_multiclass || !isnan(runtime_threshold(p->base));
    if (p->q->wants_decision && !has_decision)
        return err_set(err, ERR_INVALID, "there is no output \"decision\": r%lld has no threshold",
                       (long long)runtime_release(p->base));
    p->scores = ARENA_NEW_N(p->a, float, p->n_rows * p->ans.n_outputs);
    p->decisions = has_decision ? ARENA_NEW_N(p->a, double, p->n_rows) : NULL;
    p->payloads = p->n_rows > 1 ? ARENA_NEW_N(p->a, struct str, 2 * p->n_rows) : NULL;
    if (!p->scores || (has_decision && !p->decisions) || (p->n_rows > 1 && !p->payloads))
        return arena_err(p->a, err);
    p->ans.scores = p->scores;
    p->ans.decisions = p->decisions;
    return ERR_OK;
}

static void id_assign(struct predict *p)
{
    id_make(p->wall_us, p->ans.id);
    if (p->q->id.n && p->s->opt.log)
        p->ans.is_known_id = feedback_log_dedup(p->s->opt.log, p->ep->name, p->q->id, p->wall_us,
                                                p->ans.id) == DEDUP_KNOWN;
    p->ans.is_logged = p->s->opt.log != NULL;
}

static enum err_code rows_predict(struct predict *p, struct err *err)
{
    for (size_t row = 0; row < p->n_rows; row++)
        if (row_predict(p, row, err) != ERR_OK)
            return err->code;
    if (p->n_payloads)
        log_finish(p);
    return ERR_OK;
}

static enum err_code predict_in(struct predict *p, const struct snapshot *snap, struct err *err)
{
    p->ep = snapshot_find(snap, p->q->endpoint);
    if (!p->ep)
        return err_set(err, ERR_NOT_FOUND, "there is no endpoint %.*s", STR_ARG(p->q->endpoint));
    if (base_find(p, err) != ERR_OK || bind_inputs(p, err) != ERR_OK ||
        answer_room(p, err) != ERR_OK)
        return err->code;
    p->wall_us = clock_now_us(&CLOCK_SYSTEM);
    p->mono_ns = mono_ns();
    p->now_us = p->s->opt.is_replay ? clock_of(p->s, p->ep->counters) : p->wall_us;
    id_assign(p);
    enum err_code code = rows_predict(p, err);
    bool must_forget = code != ERR_OK || (!p->ans.is_logged && !p->ans.is_known_id);
    if (must_forget && p->q->id.n && p->s->opt.log && !p->ans.is_known_id)
        feedback_log_forget(p->s->opt.log, p->ep->name, p->q->id);
    if (!p->ans.is_logged)
        atomic_fetch_add_explicit(&p->ep->counters->n_unlogged, 1, memory_order_relaxed);
    prom_observe_ns(&p->ep->counters->latency, p->mono_ns - p->q->mono_ns);
    return code;
}

/* A thread beyond the slots: the snapshot by reference, scratch of slot 0 is another's, so one is borrowed under a lock. */
static enum err_code predict_without_slot(struct predict *p, struct err *err)
{
    struct snapshot *snap = snapshot_ref(p->s);
    mutex_lock(&p->s->spare_mutex);
    p->slot = EPOCH_SLOTS - 1;
    enum err_code code = predict_in(p, snap, err);
    mutex_unlock(&p->s->spare_mutex);
    snapshot_unref(snap);
    return code;
}

enum err_code serve_predict(struct serve *s, const struct serve_request *q, struct arena *a,
                            struct serve_answer *ret, struct err *err)
{
    struct predict p = {.s = s, .q = q, .a = a};
    enum err_code code;
    p.ans.endpoint = q->endpoint;
    p.slot = epoch_slot(&s->epochs);
    if (p.slot == EPOCH_NONE) {
        code = predict_without_slot(&p, err);
    } else {
        epoch_enter(&s->epochs, p.slot);
        code = predict_in(&p, atomic_load_explicit(&s->snapshot, memory_order_seq_cst), err);
        epoch_leave(&s->epochs, p.slot);
    }
    atomic_fetch_add_explicit(&s->n_predictions, 1, memory_order_relaxed);
    if (code != ERR_OK) {
        atomic_fetch_add_explicit(&s->n_errors, 1, memory_order_relaxed);
        return code;
    }
    *ret = p.ans;
    return ERR_OK;
}
