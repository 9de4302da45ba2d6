#include "monitor/evidence.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "stats/metric.h"

const char *const EV_MEASURE_NAMES[EV_MEASURE_N] = {
    "error", "slow", "score", "pair_score", "pair_flip", "pair_loss", "pair_brier"};

struct ev_stratum {
    int step, slot;
    int64_t from_us;
    double labelled, label_sum;
    bool is_dirty;
    struct bucket_sums
        *sums[EV_MEASURE_N][ARM_N]; /* paired measures use ARM_CANDIDATE; NULL until seen */
};

struct evidence {
    struct ev_stratum **strata; /* by (step, slot); owner: this */
    size_t n, cap;
};

bool ev_is_paired(enum ev_measure m)
{
    return m >= EV_PAIR_SCORE;
}

struct evidence *evidence_new(void)
{
    return calloc(1, sizeof(struct evidence));
}

static void stratum_free(struct ev_stratum *s)
{
    for (int m = 0; m < EV_MEASURE_N; m++)
        for (int arm = 0; arm < ARM_N; arm++)
            bucket_sums_free(s->sums[m][arm]);
    free(s);
}

void evidence_free(struct evidence *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->n; i++)
        stratum_free(e->strata[i]);
    free(e->strata);
    free(e);
}

/* Index of the first stratum not before (step, slot). New ones nearly always come last. */
static size_t stratum_lower(const struct evidence *e, int step, int slot)
{
    size_t i = e->n;

    while (i > 0 && (e->strata[i - 1]->step > step ||
                     (e->strata[i - 1]->step == step && e->strata[i - 1]->slot >= slot)))
        i--;
    return i;
}

static enum err_code evidence_grow(struct evidence *e, struct err *err)
{
    size_t cap = e->cap ? e->cap * 2 : 16;
    struct ev_stratum **p;

    if (e->n < e->cap)
        return ERR_OK;
    if (e->n >= EV_STRATA_MAX)
        return err_set(err, ERR_LIMIT, "a rollout keeps at most %d strata of evidence",
                       EV_STRATA_MAX);
    p = realloc(e->strata, cap * sizeof(struct ev_stratum *));
    if (!p)
        return err_nomem(err);
    e->strata = p;
    e->cap = cap;
    return ERR_OK;
}

static enum err_code stratum_at(struct evidence *e, const struct ev_place *at,
                                struct ev_stratum **ret, struct err *err)
{
    size_t i = stratum_lower(e, at->step, at->slot);
    struct ev_stratum *s;

    CHECK(at->step >= 0 && at->step < EV_STEPS_MAX);
    if (i < e->n && e->strata[i]->step == at->step && e->strata[i]->slot == at->slot) {
        *ret = e->strata[i];
        return ERR_OK;
    }
    if (evidence_grow(e, err) != ERR_OK)
        return err->code;
    s = calloc(1, sizeof(*s));
    if (!s)
        return err_nomem(err);
    s->step = at->step;
    s->slot = at->slot;
    s->from_us = at->from_us;
    memmove(&e->strata[i + 1], &e->strata[i], (e->n - i) * sizeof(struct ev_stratum *));
    e->strata[i] = s;
    e->n++;
    *ret = s;
    return ERR_OK;
}

static enum err_code measure_add(struct ev_stratum *s, enum ev_measure m, enum ev_arm arm,
                                 uint32_t bucket, double y, struct err *err)
{
    struct bucket_sums **b = &s->sums[m][arm];

    if (!*b)
        *b = bucket_sums_new();
    if (!*b || !bucket_sums_add(*b, bucket, 1, y))
        return err_nomem(err);
    s->is_dirty = true;
    return ERR_OK;
}

static enum err_code bucket_check(uint32_t bucket, struct err *err)
{
    return bucket < GUARDRAIL_BUCKETS
               ? ERR_OK
               : err_set(err, ERR_CORRUPT, "assignment bucket %u is not below %d", bucket,
                         GUARDRAIL_BUCKETS);
}

enum err_code evidence_add(struct evidence *e, const struct ev_request *r, struct err *err)
{
    struct ev_stratum *s;

    if (bucket_check(r->at.bucket, err) != ERR_OK || stratum_at(e, &r->at, &s, err) != ERR_OK ||
        measure_add(s, EV_ERROR, r->arm, r->at.bucket, r->is_error ? 1 : 0, err) != ERR_OK)
        return err->code;
    if (r->has_latency &&
        measure_add(s, EV_SLOW, r->arm, r->at.bucket, r->is_slow ? 1 : 0, err) != ERR_OK)
        return err->code;
    if (isfinite(r->score))
        return measure_add(s, EV_SCORE, r->arm, r->at.bucket, r->score, err);
    return ERR_OK;
}

enum err_code evidence_add_pair(struct evidence *e, const struct ev_scored *p, struct err *err)
{
    struct ev_stratum *s;

    if (bucket_check(p->at.bucket, err) != ERR_OK || stratum_at(e, &p->at, &s, err) != ERR_OK ||
        measure_add(s, EV_PAIR_SCORE, ARM_CANDIDATE, p->at.bucket, p->candidate - p->incumbent,
                    err) != ERR_OK)
        return err->code;
    return measure_add(s, EV_PAIR_FLIP, ARM_CANDIDATE, p->at.bucket, p->is_flip ? 1 : 0, err);
}

enum err_code evidence_add_label(struct evidence *e, const struct ev_scored *p, double label,
                                 bool is_binary, struct err *err)
{
    enum metric_id loss = is_binary ? METRIC_LOG_LOSS : METRIC_MAE,
                   square = is_binary ? METRIC_BRIER : METRIC_RMSE;
    enum metric_task task = is_binary ? TASK_BINARY : TASK_REGRESSION;
    struct ev_stratum *s;
    double d_loss = metric_row_loss(loss, task, p->candidate, label, 0.5) -
                    metric_row_loss(loss, task, p->incumbent, label, 0.5);
    double d_square = metric_row_loss(square, task, p->candidate, label, 0.5) -
                      metric_row_loss(square, task, p->incumbent, label, 0.5);

    if (bucket_check(p->at.bucket, err) != ERR_OK || stratum_at(e, &p->at, &s, err) != ERR_OK ||
        measure_add(s, EV_PAIR_LOSS, ARM_CANDIDATE, p->at.bucket, d_loss, err) != ERR_OK ||
        measure_add(s, EV_PAIR_BRIER, ARM_CANDIDATE, p->at.bucket, d_square, err) != ERR_OK)
        return err->code;
    s->labelled += 1;
    s->label_sum += label;
    return ERR_OK;
}

enum err_code evidence_strata(const struct evidence *e, enum ev_measure m, int step,
                              const double *share, struct arena *a, struct stratum **ret,
                              size_t *ret_n, struct err *err)
{
    struct stratum *out = ARENA_NEW_N(a, struct stratum, e->n);
    size_t n = 0;

    if (!out)
        return arena_err(a, err);
    for (size_t i = 0; i < e->n && e->strata[i]->step <= step; i++) {
        const struct ev_stratum *s = e->strata[i];
        if (!s->sums[m][ARM_CANDIDATE] && !s->sums[m][ARM_INCUMBENT])
            continue;
        out[n] = (struct stratum){.step = s->step, .from_us = s->from_us, .share = share[s->step]};
        bucket_sums_summary(s->sums[m][ARM_CANDIDATE], &out[n].candidate);
        bucket_sums_summary(ev_is_paired(m) ? NULL : s->sums[m][ARM_INCUMBENT], &out[n].incumbent);
        n++;
    }
    *ret = out;
    *ret_n = n;
    return ERR_OK;
}

void evidence_totals(const struct evidence *e, int step, struct ev_totals *ret)
{
    struct arm_summary s;

    *ret = (struct ev_totals){0};
    for (size_t i = 0; i < e->n; i++) {
        if (e->strata[i]->step != step)
            continue;
        for (int arm = 0; arm < ARM_N; arm++) {
            bucket_sums_summary(e->strata[i]->sums[EV_ERROR][arm], &s);
            ret->n[arm] += s.n;
            ret->entities[arm] = s.k > ret->entities[arm] ? s.k : ret->entities[arm];
        }
        bucket_sums_summary(e->strata[i]->sums[EV_PAIR_SCORE][ARM_CANDIDATE], &s);
        ret->pairs += s.n;
        ret->labelled += e->strata[i]->labelled;
    }
}

double evidence_base_rate(const struct evidence *e)
{
    double n = 0, sum = 0;

    for (size_t i = 0; i < e->n; i++) {
        n += e->strata[i]->labelled;
        sum += e->strata[i]->label_sum;
    }
    return n > 0 ? sum / n : NAN;
}

/* ---- the store ---- */
static const char *const ARM_KEYS[ARM_N] = {"incumbent", "candidate"};

static struct json *stratum_json(const struct ev_stratum *s, struct arena *a)
{
    struct json *o = json_obj(a), *sums = json_obj(a);

    for (int m = 0; m < EV_MEASURE_N; m++) {
        struct json *arms = json_obj(a);
        for (int arm = 0; arm < ARM_N; arm++)
            if (s->sums[m][arm])
                json_set(a, arms, ARM_KEYS[arm], bucket_sums_json(s->sums[m][arm], a));
        if (json_len(arms) > 0)
            json_set(a, sums, EV_MEASURE_NAMES[m], arms);
    }
    json_set(a, o, "step", json_int(a, s->step));
    json_set(a, o, "slot", json_int(a, s->slot));
    json_set(a, o, "from", json_int(a, s->from_us));
    json_set(a, o, "labelled", json_num(a, s->labelled));
    json_set(a, o, "label_sum", json_num(a, s->label_sum));
    return json_set(a, o, "sums", sums);
}

enum err_code evidence_save(struct evidence *e, struct arena *a, evidence_save_fn fn, void *arg,
                            struct err *err)
{
    for (size_t i = 0; i < e->n; i++) {
        struct ev_stratum *s = e->strata[i];
        struct arena_mark mark = arena_mark(a);
        enum err_code code =
            s->is_dirty ? fn(arg, s->step, s->slot, stratum_json(s, a), err) : ERR_OK;
        arena_release(a, mark);
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}

void evidence_saved(struct evidence *e)
{
    for (size_t i = 0; i < e->n; i++)
        e->strata[i]->is_dirty = false;
}

static enum err_code sums_read(struct ev_stratum *s, const struct json *sums, struct err *err)
{
    for (int m = 0; m < EV_MEASURE_N; m++)
        for (int arm = 0; arm < ARM_N; arm++) {
            const struct json *v = json_get(json_get(sums, EV_MEASURE_NAMES[m]), ARM_KEYS[arm]);
            bucket_sums_free(s->sums[m][arm]);
            s->sums[m][arm] = NULL;
            if (v && bucket_sums_read(v, &s->sums[m][arm], err) != ERR_OK)
                return err_wrap(err, "evidence of step %d", s->step);
        }
    return ERR_OK;
}

enum err_code evidence_load(struct evidence *e, const struct json *doc, struct err *err)
{
    struct ev_place at = {.step = (int)json_get_int(doc, "step", -1),
                          .slot = (int)json_get_int(doc, "slot", -1),
                          .from_us = json_get_int(doc, "from", 0)};
    struct ev_stratum *s;

    if (at.step < 0 || at.step >= EV_STEPS_MAX || at.slot < 0)
        return err_set(err, ERR_CORRUPT, "stored evidence names step %d", at.step);
    if (stratum_at(e, &at, &s, err) != ERR_OK)
        return err->code;
    s->labelled = json_get_f64(doc, "labelled", 0);
    s->label_sum = json_get_f64(doc, "label_sum", 0);
    s->is_dirty = false;
    return sums_read(s, json_get(doc, "sums"), err);
}
