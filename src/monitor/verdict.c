#include "monitor/verdict.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

#define Z_95 1.959963984540054

/* ---- drift ---- */
struct judged {
    const struct hist_reference *ref;
    const uint64_t *cells;
    struct drift_result result;
};

static double result_ratio(const struct drift_result *r)
{
    return r->n_tests > 0 ? r->test[r->worst].ratio : 0;
}

static int by_ratio(const void *pa, const void *pb)
{
    const struct judged *a = pa, *b = pb;
    double ra = result_ratio(&a->result), rb = result_ratio(&b->result);

    if (ra != rb)
        return ra > rb ? -1 : 1;
    return strcmp(a->ref->name, b->ref->name);
}

static void judge_one(const struct window *w, const struct monitor_spec *spec, double alpha,
                      struct judged *j)
{
    struct drift_options opt = {.rule = spec->rule,
                                .alpha = alpha,
                                .effect_floor = spec->effect_floor,
                                .n_min = (uint64_t)spec->min_rows,
                                .season = DRIFT_SEASON_NONE,
                                .window_from_us = w->start_us,
                                .window_us = w->end_us - w->start_us};

    drift_judge(j->ref, j->cells, &opt, &j->result);
}

static struct json *judged_json(const struct judged *j, struct arena *a)
{
    struct json *o = drift_result_json(j->ref, j->cells, &j->result, a);

    json_set(a, o, "name", json_cstr(a, j->ref->name));
    return json_set(a, o, "importance", json_num(a, j->ref->importance));
}

static void outcome_count(const struct judged *j, struct drift_outcome *o, size_t *n_open,
                          struct json *names, struct arena *a)
{
    *n_open += j->result.verdict == DRIFT_OPEN ? 1 : 0;
    if (j->result.verdict != DRIFT_YES)
        return;
    o->n_drifted++;
    json_add(a, names, json_cstr(a, j->ref->name));
    if (!o->worst || result_ratio(&j->result) > o->worst_ratio) {
        o->worst = j->ref->name;
        o->worst_ratio = result_ratio(&j->result);
    }
}

static enum err_code judge_all(const struct window *w, const struct baseline *b,
                               const struct monitor_spec *spec, struct arena *a, struct judged *j,
                               size_t n, struct err *err)
{
    double alpha = spec->alarms_per_us * (double)(w->end_us - w->start_us), score_alpha = 0;
    double *importance = ARENA_NEW_N(a, double, b->n_features + 1),
           *alphas = ARENA_NEW_N(a, double, b->n_features + 1);
    size_t first = 0;

    if (!importance || !alphas)
        return arena_err(a, err);
    for (size_t i = 0; i < b->n_features; i++)
        importance[i] = b->features[i].importance;
    drift_budget(alpha, importance, b->n_features, b->score.n > 0, alphas, &score_alpha);
    for (size_t i = 0; i < n; i++) {
        j[i].ref = i < b->n_features ? &b->features[i] : &b->score;
        j[i].cells = w->cells + first;
        first += j[i].ref->edges.n_cells;
        judge_one(w, spec, i < b->n_features ? alphas[i] : score_alpha, &j[i]);
    }
    return ERR_OK;
}

enum err_code window_drift(const struct window *w, const struct baseline *b,
                           const struct monitor_spec *spec, struct arena *a,
                           struct drift_outcome *ret, struct err *err)
{
    size_t n = b->n_features + (b->score.n > 0 ? 1 : 0), n_open = 0;
    struct judged *j = ARENA_NEW_N(a, struct judged, n + 1);
    struct drift_outcome out = {.verdict = DRIFT_OPEN};
    struct json *o = json_obj(a), *features = json_arr(a), *names = json_arr(a), *score = NULL;

    if (!j)
        return arena_err(a, err);
    if (judge_all(w, b, spec, a, j, n, err) != ERR_OK)
        return err->code;
    if (b->score.n > 0) {
        outcome_count(&j[n - 1], &out, &n_open, names, a);
        out.is_score = j[n - 1].result.verdict == DRIFT_YES;
        score = judged_json(&j[n - 1], a);
    }
    qsort(j, b->n_features, sizeof(*j), by_ratio);
    for (size_t i = 0; i < b->n_features; i++) {
        outcome_count(&j[i], &out, &n_open, names, a);
        json_add(a, features, judged_json(&j[i], a));
    }
    out.verdict = out.n_drifted > 0 ? DRIFT_YES : (n_open == n ? DRIFT_OPEN : DRIFT_NONE);
    json_set(a, o, "verdict", json_cstr(a, drift_verdict_name(out.verdict)));
    json_set(a, o, "rows", json_int(a, (int64_t)w->n));
    json_set(a, o, "false_alarms", json_cstr(a, spec->false_alarms));
    json_set(a, o, "alarms_per_window",
             json_num(a, spec->alarms_per_us * (double)(w->end_us - w->start_us)));
    json_set(a, o, "drifted", names);
    json_set(a, o, "score", score);
    out.doc = json_set(a, o, "features", features);
    *ret = out;
    return ERR_OK;
}

/* ---- performance ---- */
double baseline_metric(const struct baseline *b, enum metric_id m)
{
    const struct json *v = json_get(b->metrics, metric_info(m)->name);
    double d;

    if (json_as_f64(v, &d))
        return d;
    return json_get_f64(v, "value", NAN);
}

/* Limit of a DROP rule: relative to the distance from "knows nothing" for ranks, to the value itself otherwise. */
static double drop_limit(const struct perf_rule *r, double base)
{
    return metric_info(r->metric)->better == BETTER_LOWER ? base * (1 + r->value)
                                                          : base * (1 - r->value);
}

static bool is_beyond(const struct perf_rule *r, double low, double high, double limit)
{
    enum metric_better better = metric_info(r->metric)->better;

    if (!isfinite(limit))
        return false;
    if (better == BETTER_ZERO) {
        double nearest = low <= 0 && high >= 0 ? 0 : fmin(fabs(low), fabs(high));
        return r->kind == PERF_RULE_AT_LEAST ? fmax(fabs(low), fabs(high)) < limit
                                             : nearest > limit;
    }
    if (r->kind == PERF_RULE_AT_LEAST)
        return high < limit;
    if (r->kind == PERF_RULE_AT_MOST)
        return low > limit;
    return better == BETTER_LOWER ? low > limit : high < limit;
}

static bool has_decayed(const struct perf_rule *r, const struct perf_outcome *o, double expected,
                        double median)
{
    if (r->kind != PERF_RULE_DROP)
        return is_beyond(r, o->low, o->high, r->value);
    if (!isfinite(expected))
        return isfinite(median) && is_beyond(r, o->low, o->high, drop_limit(r, median));
    return is_beyond(r, o->low, o->high, drop_limit(r, expected));
}

void window_perf(const struct window *w, const struct perf_rule *r, enum metric_task task,
                 double expected, double median, struct arena *a, struct perf_outcome *ret)
{
    const char *name = metric_info(r->metric)->name;
    double se = perf_metric_se(&w->perf, task, r->metric);
    double limit = r->kind == PERF_RULE_DROP ? drop_limit(r, isfinite(expected) ? expected : median)
                                             : r->value;
    struct json *o = json_obj(a);

    *ret = (struct perf_outcome){.verdict = VERDICT_OPEN,
                                 .value = perf_metric(&w->perf, task, r->metric)};
    ret->low = isfinite(se) ? ret->value - Z_95 * se : ret->value;
    ret->high = isfinite(se) ? ret->value + Z_95 * se : ret->value;
    if (isfinite(ret->value) && isfinite(limit))
        ret->verdict = has_decayed(r, ret, expected, median) ? VERDICT_FAIL : VERDICT_PASS;
    json_set(a, o, "metric", json_cstr(a, name));
    json_set(a, o, "rule", json_cstr(a, PERF_RULE_KIND_NAMES[r->kind]));
    json_set(a, o, "declared", json_num(a, r->value));
    json_set(a, o, "value", json_num(a, ret->value));
    json_set(a, o, "low", json_num(a, ret->low));
    json_set(a, o, "high", json_num(a, ret->high));
    json_set(a, o, "labelled", json_int(a, (int64_t)w->perf.n));
    json_set(a, o, "expected", json_num(a, expected));
    json_set(a, o, "median", json_num(a, median));
    json_set(a, o, "limit", json_num(a, limit));
    json_set(a, o, "verdict", json_cstr(a, verdict_name(ret->verdict)));
    ret->doc = json_set(a, o, "why",
                        json_fmt(a, "%s is %.4g (%.4g to %.4g), the limit is %.4g", name,
                                 ret->value, ret->low, ret->high, limit));
}

bool perf_persists(const enum verdict *last, size_t n, int k, int r)
{
    int seen = 0, failed = 0;

    for (size_t i = n; i > 0 && seen < r; i--) {
        if (last[i - 1] == VERDICT_OPEN)
            continue;
        seen++;
        failed += last[i - 1] == VERDICT_FAIL ? 1 : 0;
    }
    return failed >= k;
}
