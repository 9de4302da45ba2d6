/* From "1 per 30d" to each test's share, and a verdict as JSON. */
#include <math.h>

#include "stats/drift.h"

#define SHARE_SCORE       0.5
#define SHARE_UNIMPORTANT 0.02
#define ALPHA_WINDOW_MAX  0.5

const char *drift_verdict_name(enum drift_verdict v)
{
    static const char *const NAMES[DRIFT_VERDICT_N] = {"none", "drift", "not_enough_evidence"};
    return v < DRIFT_VERDICT_N ? NAMES[v] : "?";
}

enum err_code drift_alarm_rate_parse(struct str s, double *ret_per_us, struct err *err)
{
    ptrdiff_t at = str_find(s, STR(" per "));
    double n = 0;
    int64_t us = 0;
    if (at < 0 || parse_f64(str_trim(str_n(s.p, (size_t)at)), &n, NULL) != ERR_OK || !(n > 0) ||
        !isfinite(n) ||
        parse_duration_us(str_trim(str_n(s.p + at + 5, s.n - (size_t)at - 5)), &us, NULL) !=
            ERR_OK ||
        us <= 0)
        return err_set(err, ERR_PARSE, "\"%.*s\" is not an alarm rate: write it as \"1 per 30d\"",
                       STR_ARG(s));
    *ret_per_us = n / (double)us;
    return ERR_OK;
}

void drift_budget(double alpha_window, const double *importance, size_t n, bool has_score,
                  double *alphas, double *ret_score)
{
    double alpha = fmin(fmax(alpha_window, 0), ALPHA_WINDOW_MAX), sum = 0;
    size_t n_zero = 0;
    for (size_t i = 0; i < n; i++) {
        sum += importance[i] > 0 ? importance[i] : 0;
        n_zero += !(importance[i] > 0);
    }
    double features = has_score && n > 0 ? alpha * (1.0 - SHARE_SCORE) : alpha;
    *ret_score = has_score ? alpha - (n > 0 ? features : 0) : 0;
    double to_zero = n_zero == 0 ? 0 : (n_zero == n ? 1.0 : SHARE_UNIMPORTANT);
    for (size_t i = 0; i < n; i++)
        alphas[i] = importance[i] > 0 ? features * (1.0 - to_zero) * importance[i] / sum
                                      : features * to_zero / (double)n_zero;
}

bool drift_persists(const enum drift_verdict *last, size_t n, size_t k, size_t r)
{
    size_t seen = 0, drifted = 0;
    for (size_t i = n; i > 0 && seen < r; i--) {
        if (last[i - 1] == DRIFT_OPEN)
            continue;
        seen++;
        drifted += last[i - 1] == DRIFT_YES;
    }
    return drifted >= k;
}

static struct json *test_json(const struct drift_test *t, struct arena *a)
{
    struct json *o = json_obj(a);
    json_set(a, o, "test", json_cstr(a, t->name));
    json_set(a, o, "score", json_num(a, t->score));
    json_set(a, o, "null", json_num(a, t->null));
    json_set(a, o, "null_rows", json_num(a, t->null_rows));
    json_set(a, o, "null_chunks", json_num(a, t->null_chunks));
    json_set(a, o, "ratio", json_num(a, t->ratio));
    json_set(a, o, "quantile", json_num(a, 1.0 - t->alpha));
    json_set(a, o, "p", json_num(a, t->p_rows));
    json_set(a, o, "effect", json_num(a, t->effect));
    return json_set(a, o, "is_over", json_bool(a, t->is_over));
}

static struct json *shown_json(const struct drift_scores *s, struct arena *a)
{
    struct json *o = json_obj(a);
    json_set(a, o, "psi", json_num(a, s->psi));
    json_set(a, o, "ks", json_num(a, s->ks));
    json_set(a, o, "kl", json_num(a, s->kl));
    json_set(a, o, "js", json_num(a, s->js));
    json_set(a, o, "hellinger", json_num(a, s->hellinger));
    json_set(a, o, "l_inf", json_num(a, s->l_inf));
    return json_set(a, o, "tvd", json_num(a, s->tvd));
}

static struct json *counts_json(const uint64_t *c, size_t n, struct arena *a)
{
    struct json *arr = json_arr(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, arr, json_int(a, (int64_t)c[i]));
    return arr;
}

struct json *drift_result_json(const struct hist_reference *ref, const uint64_t *cur,
                               const struct drift_result *r, struct arena *a)
{
    struct json *o = json_obj(a), *tests = json_arr(a);
    const struct drift_test *w = &r->test[r->worst];
    json_set(a, o, "feature", json_cstr(a, ref->name));
    json_set(a, o, "kind", json_cstr(a, ref->edges.kind == HIST_NUMBER ? "number" : "category"));
    json_set(a, o, "verdict", json_cstr(a, drift_verdict_name(r->verdict)));
    json_set(a, o, "why", json_cstr(a, r->why));
    if (r->n_tests > 0) {
        json_set(a, o, "test", json_cstr(a, w->name));
        json_set(a, o, "score", json_num(a, w->score));
        json_set(a, o, "null", json_num(a, w->null));
        json_set(a, o, "ratio", json_num(a, w->ratio));
        json_set(a, o, "quantile", json_num(a, 1.0 - w->alpha));
        json_set(a, o, "effect", json_num(a, w->effect));
    }
    json_set(a, o, "n", json_int(a, (int64_t)r->n));
    json_set(a, o, "n_reference", json_int(a, (int64_t)r->n_ref));
    json_set(a, o, "chunks", json_int(a, (int64_t)r->n_chunks));
    json_set(a, o, "chunk_rows", json_int(a, (int64_t)r->chunk_rows));
    json_set(a, o, "is_few_chunks", json_bool(a, r->is_few_chunks));
    json_set(a, o, "importance", json_num(a, r->importance));
    for (size_t i = 0; i < r->n_tests; i++)
        json_add(a, tests, test_json(&r->test[i], a));
    json_set(a, o, "tests", tests);
    json_set(a, o, "shown", shown_json(&r->shown, a));
    json_set(a, o, "cells", hist_cells_json(&ref->edges, a));
    json_set(a, o, "reference", counts_json(ref->counts, ref->edges.n_cells, a));
    return json_set(a, o, "window", counts_json(cur, ref->edges.n_cells, a));
}
