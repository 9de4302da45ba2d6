/* A rollout's evidence from the log: which step a record belongs to, what the other release would have said, and later,
 * by the label, which of them was nearer. */
#include <math.h>

#include "base/check.h"
#include "base/hash.h"
#include "monitor/monitor_int.h"
#include "serve/assign.h"

void mon_rollout_release(struct mon_rollout *r)
{
    for (int arm = 0; arm < ARM_N; arm++) {
        runtime_scratch_free(r->scratch[arm]);
        runtime_unref(r->runtime[arm]);
        r->scratch[arm] = NULL;
        r->runtime[arm] = NULL;
    }
    evidence_free(r->evidence);
    r->evidence = NULL;
    pair_map_fini(&r->pairs);
    r->is_watched = false;
}

enum err_code mon_rollout_load(struct monitor *m, struct mon_endpoint *ep, struct err *err)
{
    struct mon_rollout *r = &ep->rollout;
    int64_t release[ARM_N] = {r->watch.incumbent, r->watch.candidate};

    for (int arm = 0; arm < ARM_N; arm++) {
        if (r->runtime[arm])
            continue;
        if (serve_runtime(m->opt.serve, ep->name, release[arm], &r->runtime[arm], err) != ERR_OK) {
            r->runtime[arm] = NULL;
            return err_wrap(err, "pairs of the rollout of r%lld", (long long)r->watch.candidate);
        }
        r->scratch[arm] = runtime_scratch_new(r->runtime[arm]);
        if (!r->scratch[arm])
            return err_nomem(err);
    }
    return ERR_OK;
}

/* The decision that a record was answered under says its step, whatever its time says. False: before the rollout, or while it
 * was paused. */
static bool place_of(const struct rollout_watch *w, uint64_t generation, int64_t at_us,
                     uint32_t bucket, struct ev_place *ret)
{
    const struct watch_stretch *s = NULL;

    for (size_t i = 0; i < w->n_stretches && w->stretches[i].generation <= generation; i++)
        s = &w->stretches[i];
    if (!s || s->step < 0)
        return false;
    *ret = (struct ev_place){.step = s->step, .from_us = s->from_us, .bucket = bucket};
    if (w->step_window_us[s->step] > US_PER_DAY && at_us > s->from_us) {
        ret->slot = (int)((at_us - s->from_us) / US_PER_HOUR);
        ret->from_us = s->from_us + ret->slot * US_PER_HOUR;
    }
    return true;
}

/* Without a sticky key the request is its own entity: the bucket it was assigned by. */
static uint32_t bucket_of(const struct rollout_watch *w, const struct prediction_record *r)
{
    return r->bucket == BUCKET_FALLBACK ? assign_bucket_by_id(str_c(w->salt), r->id) : r->bucket;
}

static bool is_in_pairs(const struct rollout_watch *w, const struct prediction_record *r)
{
    return w->pair > 0 && (double)(hash64(r->id, sizeof(r->id), 1) % 10000) < w->pair * 10000;
}

static enum err_code shadow_write(struct monitor *m, const struct prediction_record *r,
                                  int64_t release, const struct runtime_answer *ans,
                                  struct err *err)
{
    struct prediction_record s = *r;
    double *scores = ARENA_NEW_N(&m->scratch, double, ans ? r->n_scores + 1 : 1);
    struct log_pos pos;

    if (!scores)
        return arena_err(&m->scratch, err);
    for (uint32_t i = 0; ans && i < r->n_scores; i++)
        scores[i] = (double)ans->scores[i];
    s.release = release;
    s.role = ROLE_SHADOW;
    s.status = ans ? RECORD_OK : RECORD_ERROR;
    s.is_paired = true;
    s.scores = scores;
    s.n_scores = ans ? r->n_scores : 0;
    s.decision = ans ? ans->decision : NAN;
    s.n_values = s.n_row = s.n_lookups = 0;
    return shadow_append(feedback_log_shadow(m->opt.log), ++m->shadow_seq, &s, &pos, err);
}

/* Scores the record by the release that did not answer. *ret_is_scored false: that release could not. */
static enum err_code score_other(struct monitor *m, struct mon_endpoint *ep,
                                 const struct prediction_record *r, enum ev_arm other,
                                 struct ev_scored *p, bool *ret_is_scored, struct err *err)
{
    const struct record_schema *schema =
        schema_store_get(feedback_log_schemas(m->opt.log), r->release);
    struct mon_rollout *ro = &ep->rollout;
    int64_t release = other == ARM_CANDIDATE ? ro->watch.candidate : ro->watch.incumbent;
    struct prediction_record scored = *r;
    struct runtime_answer ans;
    struct err why = ERR_INIT;
    double score, mine = record_score(r);

    *ret_is_scored = false;
    runtime_begin(ro->scratch[other]);
    if (runtime_score_record(ro->scratch[other], r, schema, &ans, &why) != ERR_OK || !ans.is_finite)
        return shadow_write(m, r, release, NULL, err);
    scored.n_scores = (uint32_t)runtime_n_outputs(ro->runtime[other]);
    score = (double)ans.scores[scored.n_scores == 2 ? 1 : 0];
    p->candidate = other == ARM_CANDIDATE ? score : mine;
    p->incumbent = other == ARM_CANDIDATE ? mine : score;
    p->is_flip = isfinite(r->decision) && isfinite(ans.decision) && r->decision != ans.decision;
    *ret_is_scored = true;
    if (scored.n_scores != r->n_scores) /* another kind of answer: nothing to log beside it */
        return ERR_OK;
    return shadow_write(m, r, release, &ans, err);
}

static enum err_code add_pair(struct monitor *m, struct mon_endpoint *ep,
                              const struct prediction_record *r, const struct ev_place *at,
                              enum ev_arm arm, bool is_shadow, struct err *err)
{
    struct mon_rollout *ro = &ep->rollout;
    enum ev_arm other = arm == ARM_CANDIDATE ? ARM_INCUMBENT : ARM_CANDIDATE;
    struct ev_scored p = {.at = *at};
    uint8_t key[16];
    bool is_scored;

    if (mon_rollout_load(m, ep, err) != ERR_OK)
        return err->code == ERR_NOMEM ? err->code
                                      : ERR_OK; /* a release that is not loaded gives no pairs */
    if (score_other(m, ep, r, other, &p, &is_scored, err) != ERR_OK)
        return err->code;
    if (is_shadow) { /* in shadow the candidate's scoring is its only sample */
        struct ev_request q = {.at = *at,
                               .arm = ARM_CANDIDATE,
                               .is_error = !is_scored,
                               .score = is_scored ? p.candidate : NAN};
        if (evidence_add(ro->evidence, &q, err) != ERR_OK)
            return err->code;
    }
    if (!is_scored)
        return ERR_OK;
    m->telemetry.n_pairs++;
    record_key(r->id, r->row, key);
    if (evidence_add_pair(ro->evidence, &p, err) != ERR_OK)
        return err->code;
    return pair_map_put(&ro->pairs, key, &p, err);
}

enum err_code fold_rollout_record(struct monitor *m, struct mon_endpoint *ep,
                                  const struct prediction_record *r, int64_t at_us, struct err *err)
{
    struct mon_rollout *ro = &ep->rollout;
    struct ev_request q = {.has_latency = true, .score = record_score(r)};
    bool is_candidate = r->release == ro->watch.candidate;
    bool is_shadow;

    if (!ro->is_watched || (!is_candidate && r->release != ro->watch.incumbent) ||
        r->status == RECORD_RESCUED ||
        !place_of(&ro->watch, r->generation, at_us, bucket_of(&ro->watch, r), &q.at))
        return ERR_OK;
    is_shadow = ro->watch.is_shadow[q.at.step];
    q.arm = is_candidate ? ARM_CANDIDATE : ARM_INCUMBENT;
    q.is_error = r->status != RECORD_OK;
    q.is_slow = ro->watch.latency_limit_us > 0 && r->latency_us > ro->watch.latency_limit_us;
    if (evidence_add(ro->evidence, &q, err) != ERR_OK)
        return err->code;
    if (r->status != RECORD_OK || !isfinite(q.score) || !is_in_pairs(&ro->watch, r))
        return ERR_OK;
    return add_pair(m, ep, r, &q.at, q.arm, is_shadow, err);
}

enum err_code fold_rollout_label(struct mon_endpoint *ep, const struct prediction_record *r,
                                 double label, enum metric_task task, struct err *err)
{
    struct mon_rollout *ro = &ep->rollout;
    const struct ev_scored *p;
    uint8_t key[16];

    if (!ro->is_watched || task == TASK_MULTICLASS)
        return ERR_OK;
    record_key(r->id, r->row, key);
    p = pair_map_get(&ro->pairs, key);
    return p ? evidence_add_label(ro->evidence, p, label, task == TASK_BINARY, err) : ERR_OK;
}
