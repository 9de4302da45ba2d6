/* A guardrail's verdict as a document from which it can be decided again. */
#include <math.h>

#include "stats/guardrail.h"

static const char *const KINDS[GUARDRAIL_KIND_N] = {"no_worse", "changes", "events", "events_max"};

static void set_num(struct arena *a, struct json *o, const char *key, double v)
{
    if (!isnan(v))
        json_set(a, o, key, json_num(a, v));
}

static struct json *spec_json(const struct guardrail_spec *s, struct arena *a)
{
    struct json *o = json_obj(a);
    json_set(a, o, "kind", json_cstr(a, KINDS[s->kind]));
    json_set(a, o, "metric", json_cstr(a, s->metric));
    json_set(a, o, "is_paired", json_bool(a, s->is_paired));
    json_set(a, o, "is_higher_better", json_bool(a, s->is_higher_better));
    set_num(a, o, "margin", s->margin);
    set_num(a, o, "times", s->times);
    set_num(a, o, "limit", s->limit);
    set_num(a, o, "smallest_effect", s->smallest_effect);
    set_num(a, o, "alpha", s->alpha);
    set_num(a, o, "n_min", s->n_min);
    set_num(a, o, "fuse", s->fuse);
    return o;
}

static struct json *arm_json(const struct arm_summary *s, struct arena *a)
{
    struct json *o = json_obj(a);
    json_set(a, o, "n", json_num(a, s->n));
    json_set(a, o, "sum", json_num(a, s->sum));
    json_set(a, o, "mean", json_num(a, s->mean));
    json_set(a, o, "variance", json_num(a, s->variance));
    return json_set(a, o, "buckets", json_int(a, s->k));
}

static struct json *stratum_json(const struct stratum *s, struct arena *a)
{
    struct json *o = json_obj(a);
    json_set(a, o, "step", json_int(a, s->step));
    json_set(a, o, "from_us", json_int(a, s->from_us));
    json_set(a, o, "share", json_num(a, s->share));
    json_set(a, o, "candidate", arm_json(&s->candidate, a));
    return json_set(a, o, "incumbent", arm_json(&s->incumbent, a));
}

static struct json *result_json(const struct guardrail_result *r, struct arena *a)
{
    struct json *o = json_obj(a);
    json_set(a, o, "verdict", json_cstr(a, verdict_name(r->verdict)));
    json_set(a, o, "estimate", json_num(a, r->estimate));
    json_set(a, o, "low", json_num(a, r->low));
    json_set(a, o, "high", json_num(a, r->high));
    json_set(a, o, "se", json_num(a, r->se));
    json_set(a, o, "log_e_fail", json_num(a, r->log_e_fail));
    json_set(a, o, "log_e_pass", json_num(a, r->log_e_pass));
    json_set(a, o, "candidate", json_num(a, r->candidate));
    json_set(a, o, "incumbent", json_num(a, r->incumbent));
    json_set(a, o, "n_candidate", json_num(a, r->n_candidate));
    json_set(a, o, "n_incumbent", json_num(a, r->n_incumbent));
    json_set(a, o, "design_effect", json_num(a, r->design_effect));
    json_set(a, o, "strata_used", json_int(a, (int64_t)r->n_strata_used));
    json_set(a, o, "is_fuse", json_bool(a, r->is_fuse));
    return json_set(a, o, "why", json_cstr(a, r->why));
}

struct json *guardrail_json(const struct guardrail_spec *spec, const struct stratum *strata,
                            size_t n, const struct guardrail_result *r, struct arena *a)
{
    struct json *o = json_obj(a), *list = json_arr(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, list, stratum_json(&strata[i], a));
    json_set(a, o, "spec", spec_json(spec, a));
    json_set(a, o, "strata", list);
    return json_set(a, o, "result", result_json(r, a));
}

static enum err_code read_spec(const struct json *v, struct guardrail_spec *s, struct err *err)
{
    struct str kind = json_get_str(v, "kind");
    *s = (struct guardrail_spec){.kind = GUARDRAIL_KIND_N};
    for (int k = 0; k < GUARDRAIL_KIND_N; k++)
        if (str_is(kind, KINDS[k]))
            s->kind = (enum guardrail_kind)k;
    if (s->kind == GUARDRAIL_KIND_N)
        return err_set(err, ERR_CORRUPT, "spec/kind: \"%.*s\" is no kind of guardrail",
                       STR_ARG(kind));
    s->metric = json_get_c(v, "metric");
    s->is_paired = json_get_bool(v, "is_paired", false);
    s->is_higher_better = json_get_bool(v, "is_higher_better", false);
    s->margin = json_get_f64(v, "margin", NAN);
    s->times = json_get_f64(v, "times", NAN);
    s->limit = json_get_f64(v, "limit", NAN);
    s->smallest_effect = json_get_f64(v, "smallest_effect", 0);
    s->alpha = json_get_f64(v, "alpha", NAN);
    s->n_min = json_get_f64(v, "n_min", 0);
    s->fuse = json_get_f64(v, "fuse", NAN);
    return s->alpha > 0 && s->alpha < 1
               ? ERR_OK
               : err_set(err, ERR_CORRUPT, "spec/alpha must lie between 0 and 1");
}

static void read_arm(const struct json *v, struct arm_summary *s)
{
    s->n = json_get_f64(v, "n", 0);
    s->sum = json_get_f64(v, "sum", 0);
    s->mean = json_get_f64(v, "mean", 0);
    s->variance = json_get_f64(v, "variance", 0);
    s->k = (uint32_t)json_get_int(v, "buckets", 0);
}

enum err_code guardrail_replay(const struct json *doc, struct arena *a,
                               struct guardrail_result *ret, bool *ret_is_same, struct err *err)
{
    struct guardrail_spec spec;
    enum err_code rc = read_spec(json_get(doc, "spec"), &spec, err);
    if (rc != ERR_OK)
        return err_wrap(err, "replay of a guardrail");
    const struct json *list = json_get(doc, "strata"), *was = json_get(doc, "result");
    size_t n = json_len(list);
    struct stratum *strata = ARENA_NEW_N(a, struct stratum, n);
    if (!strata)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++) {
        const struct json *s = json_at(list, i);
        strata[i].step = (int)json_get_int(s, "step", 0);
        strata[i].from_us = json_get_int(s, "from_us", 0);
        strata[i].share = json_get_f64(s, "share", 0);
        read_arm(json_get(s, "candidate"), &strata[i].candidate);
        read_arm(json_get(s, "incumbent"), &strata[i].incumbent);
    }
    struct guardrail_result r;
    guardrail_decide(&spec, strata, n, &r);
    *ret_is_same = str_is(json_get_str(was, "verdict"), verdict_name(r.verdict)) &&
                   json_get_f64(was, "estimate", NAN) == r.estimate &&
                   json_get_f64(was, "low", NAN) == r.low &&
                   json_get_f64(was, "high", NAN) == r.high;
    *ret = r;
    return ERR_OK;
}
