#include "release/release_spec.h"

#include <math.h>

#include "base/check.h"
#include "base/clock.h"

const char *const APPROVAL_ROLE_NAMES[APPROVAL_ROLE_N] = {"ml", "business"};

#define STEP_WINDOW_DEFAULT_US (10 * US_PER_MIN)
#define STEP_SAMPLES_DEFAULT   1000
#define SHADOW_SAMPLES_DEFAULT 1000
#define REQUESTS_MIN_DEFAULT   100
#define EXPIRES_DEFAULT_US     (7 * US_PER_DAY)
#define KEEP_DEFAULT           3

static const struct guardrail GUARDS_DEFAULT[] = {
    {.metric = GUARD_ERROR_RATE, .rule = GUARD_NO_WORSE_BY, .value = 0.01, .is_required = true},
    {.metric = GUARD_SCORE_MEAN, .rule = GUARD_CHANGES_AT_MOST, .value = 0.1, .is_required = true}};

static void plan_defaults(struct rollout_plan *p)
{
    static const int SHARES[] = {0, 100, 500, 2500, 5000, 10000};

    *p = (struct rollout_plan){.alpha = GUARDRAIL_ALPHA,
                               .fuse = 0.5,
                               .min_buckets = GUARDRAIL_K_MIN,
                               .min_requests = REQUESTS_MIN_DEFAULT,
                               .expires_us = EXPIRES_DEFAULT_US,
                               .pair = 1};
    for (size_t i = 0; i < ARRAY_LEN(SHARES); i++)
        p->steps[i] =
            (struct rollout_step){SHARES[i], SHARES[i] ? STEP_WINDOW_DEFAULT_US : 0,
                                  SHARES[i] ? STEP_SAMPLES_DEFAULT : SHADOW_SAMPLES_DEFAULT};
    p->n_steps = (int)ARRAY_LEN(SHARES);
    for (size_t i = 0; i < ARRAY_LEN(GUARDS_DEFAULT); i++)
        p->guards[i] = GUARDS_DEFAULT[i];
    p->n_guards = (int)ARRAY_LEN(GUARDS_DEFAULT);
}

/* ---- guardrails ---- */
static bool guard_metric_decode(const struct cfg_node *n, struct guardrail *g,
                                struct cfg_problems *ps)
{
    static const struct {
        const char *name;
        double quantile;
    } LATENCY[] = {{"latency_p50", 0.5}, {"latency_p95", 0.95}, {"latency_p99", 0.99}};
    struct str name;
    int m;

    if (!n || !cfg_str(n, "metric", &name, ps))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(LATENCY); i++)
        if (str_is(name, LATENCY[i].name)) {
            g->metric = GUARD_LATENCY;
            g->quantile = LATENCY[i].quantile;
            return true;
        }
    if (!cfg_enum(n, "metric of a guardrail", GUARD_METRIC_NAMES, GUARD_METRIC_N, &m, ps))
        return false;
    g->metric = (enum guard_metric)m;
    if (g->metric == GUARD_LATENCY)
        g->quantile = 0.99;
    return true;
}

/* Which rules a metric may have, as bits. */
static unsigned guard_rules_of(enum guard_metric m)
{
    switch (m) {
    case GUARD_ERROR_RATE:
        return 1U << GUARD_NO_WORSE_BY | 1U << GUARD_TIMES;
    case GUARD_SCORE_MEAN:
        return 1U << GUARD_CHANGES_AT_MOST;
    case GUARD_DECISION_FLIPS:
        return 1U << GUARD_AT_MOST;
    case GUARD_LATENCY:
    case GUARD_LOG_LOSS:
    case GUARD_NORMALIZED_LOG_LOSS:
    case GUARD_BRIER:
        return 1U << GUARD_NO_WORSE_BY;
    case GUARD_METRIC_N:
        break;
    }
    return 0;
}

static bool guard_rule_decode(const struct cfg_node *n, struct guardrail *g,
                              struct cfg_problems *ps)
{
    const struct cfg_node *found = NULL;

    for (int r = 0; r < GUARD_RULE_N; r++) {
        const struct cfg_node *v = cfg_get(n, GUARD_RULE_NAMES[r]);
        if (!v)
            continue;
        if (found) {
            cfg_error(ps, v, "a guardrail has one rule");
            return false;
        }
        found = v;
        g->rule = (enum guard_rule)r;
    }
    if (!found) {
        cfg_error(ps, n,
                  "a guardrail says how much is too much: no_worse_by, times, changes_at_most or "
                  "at_most");
        return false;
    }
    if (!(guard_rules_of(g->metric) & (1U << g->rule))) {
        cfg_error(ps, found, "%s does not go with %s", GUARD_RULE_NAMES[g->rule],
                  GUARD_METRIC_NAMES[g->metric]);
        return false;
    }
    if (g->rule == GUARD_TIMES)
        return cfg_f64(found, "times", 1, 1000, &g->value, ps);
    return cfg_ratio(found, GUARD_RULE_NAMES[g->rule], &g->value, ps);
}

static bool guard_decode(const struct cfg_node *n, struct guardrail *g, struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"metric",          "no_worse_by", "times",
                                       "changes_at_most", "at_most",     "margin",
                                       "required",        "when",        "owner"};
    struct str when;

    *g = (struct guardrail){.is_required = true, .margin = 0.01};
    if (!cfg_is_map(n, "a guardrail", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return false;
    if (!guard_metric_decode(cfg_require(n, "metric", ps), g, ps) || !guard_rule_decode(n, g, ps))
        return false;
    if (!(g->value > 0)) {
        cfg_error(
            ps, n,
            "the margin of a guardrail is above 0: nothing can be shown to change by nothing");
        return false;
    }
    if (cfg_get(n, "margin"))
        (void)cfg_ratio(cfg_get(n, "margin"), "margin", &g->margin, ps);
    if (cfg_get(n, "required"))
        (void)cfg_bool(cfg_get(n, "required"), "required", &g->is_required, ps);
    if (cfg_get(n, "when") && cfg_str(cfg_get(n, "when"), "when", &when, ps) &&
        !str_is(when, "labels"))
        cfg_error(ps, cfg_get(n, "when"), "a guardrail's `when` is \"labels\"");
    return true;
}

static void guards_decode(const struct cfg_node *list, struct rollout_plan *p,
                          struct cfg_problems *ps)
{
    if (!list || !cfg_is_list(list, "guardrails", ps))
        return;
    p->n_guards = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (p->n_guards == ROLLOUT_GUARDS_MAX) {
            cfg_error(ps, list->items[i], "a rollout has at most %d guardrails",
                      ROLLOUT_GUARDS_MAX);
            return;
        }
        if (guard_decode(list->items[i], &p->guards[p->n_guards], ps))
            p->n_guards++;
    }
}

/* ---- steps ---- */
static void shadow_decode(const struct cfg_node *n, struct rollout_plan *p, struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"samples", "for"};
    struct rollout_step s = {0, 0, 0};
    struct str none;

    if (n->type == CFG_SCALAR && cfg_str(n, "shadow", &none, ps) && str_is(none, "none"))
        return;
    if (!cfg_is_map(n, "shadow", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return;
    if (cfg_get(n, "samples"))
        (void)cfg_i64(cfg_get(n, "samples"), "samples", 1, INT64_C(1) << 40, &s.samples, ps);
    if (cfg_get(n, "for"))
        (void)cfg_duration_us(cfg_get(n, "for"), "for", &s.window_us, ps);
    if (s.samples == 0 && s.window_us == 0)
        cfg_error(ps, n, "shadow needs samples or for");
    p->steps[p->n_steps++] = s;
}

static void shares_decode(const struct cfg_node *list, const struct rollout_step *like,
                          struct rollout_plan *p, struct cfg_problems *ps)
{
    int last = 0;

    if (!list || !cfg_is_list(list, "steps", ps))
        return;
    for (size_t i = 0; i < list->n; i++) {
        struct rollout_step s = *like;
        double share;
        if (p->n_steps == EV_STEPS_MAX) {
            cfg_error(ps, list->items[i], "a rollout has at most %d steps", EV_STEPS_MAX);
            return;
        }
        if (!cfg_ratio(list->items[i], "a step", &share, ps))
            return;
        s.share = (int)lround(share * 10000);
        if (s.share <= last || s.share > 10000) {
            cfg_error(ps, list->items[i], "steps rise, from above 0%% to 100%%");
            return;
        }
        last = s.share;
        p->steps[p->n_steps++] = s;
    }
    if (last != 10000)
        cfg_error(ps, list, "the last step is 100%%");
}

static void canary_decode(const struct cfg_node *n, struct arena *a, struct rollout_plan *p,
                          struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"steps", "window", "samples",      "sticky_by", "expires",
                                       "alpha", "fuse",   "min_requests", "pair"};
    struct rollout_step like = {0, STEP_WINDOW_DEFAULT_US, STEP_SAMPLES_DEFAULT};
    struct str *sticky = NULL, pair;
    const char **names;

    if (!cfg_is_map(n, "canary", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return;
    if (cfg_get(n, "window"))
        (void)cfg_duration_us(cfg_get(n, "window"), "window", &like.window_us, ps);
    if (cfg_get(n, "samples"))
        (void)cfg_i64(cfg_get(n, "samples"), "samples", 0, INT64_C(1) << 40, &like.samples, ps);
    shares_decode(cfg_require(n, "steps", ps), &like, p, ps);
    if (cfg_get(n, "expires"))
        (void)cfg_duration_us(cfg_get(n, "expires"), "expires", &p->expires_us, ps);
    if (cfg_get(n, "alpha"))
        (void)cfg_ratio(cfg_get(n, "alpha"), "alpha", &p->alpha, ps);
    if (cfg_get(n, "fuse"))
        (void)cfg_ratio(cfg_get(n, "fuse"), "fuse", &p->fuse, ps);
    if (cfg_get(n, "min_requests"))
        (void)cfg_i64(cfg_get(n, "min_requests"), "min_requests", 1, INT64_C(1) << 40,
                      &p->min_requests, ps);
    if (cfg_get(n, "pair") && cfg_str(cfg_get(n, "pair"), "pair", &pair, ps)) {
        if (str_is(pair, "all") || str_is(pair, "none"))
            p->pair = str_is(pair, "all") ? 1 : 0;
        else
            (void)cfg_ratio(cfg_get(n, "pair"), "pair", &p->pair, ps);
    }
    if (!cfg_get(n, "sticky_by") ||
        !cfg_str_list(cfg_get(n, "sticky_by"), "sticky_by", a, &sticky, &p->n_sticky, ps))
        return;
    names = ARENA_NEW_N(a, const char *, p->n_sticky + 1);
    for (size_t i = 0; names && i < p->n_sticky; i++)
        names[i] = str_dup(a, sticky[i]);
    p->sticky_by = names;
}

static void rollout_decode(const struct cfg_node *n, struct arena *a, struct rollout_plan *p,
                           struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"shadow", "canary", "guardrails"};
    struct rollout_plan defaults = *p;

    if (!n || !cfg_is_map(n, "rollout", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return;
    if (cfg_get(n, "shadow") || cfg_get(n, "canary")) {
        p->n_steps = 0;
        if (cfg_get(n, "shadow"))
            shadow_decode(cfg_get(n, "shadow"), p, ps);
        if (cfg_get(n, "canary"))
            canary_decode(cfg_get(n, "canary"), a, p, ps);
        else
            p->steps[p->n_steps++] = defaults.steps[defaults.n_steps - 1];
        if (p->n_steps == 0) { /* a problem was told; leave something that can be used */
            memcpy(p->steps, defaults.steps, sizeof(p->steps));
            p->n_steps = defaults.n_steps;
        }
    }
    guards_decode(cfg_get(n, "guardrails"), p, ps);
}

/* ---- endpoint, approvals ---- */
static void endpoint_decode(const struct cfg_node *n, struct arena *a, struct endpoint_spec *e,
                            struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"name", "rollout", "rollback", "owner", "runbook"};
    static const char *const ROLLBACK_KEYS[] = {"keep"};
    const struct cfg_node *back = cfg_get(n, "rollback");
    struct str text;
    int64_t keep;

    if (!n || !cfg_is_map(n, "endpoint", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return;
    e->is_declared = true;
    if (cfg_require(n, "name", ps) && cfg_str(cfg_get(n, "name"), "name", &text, ps))
        e->name = str_dup(a, text);
    rollout_decode(cfg_get(n, "rollout"), a, &e->rollout, ps);
    if (back && cfg_is_map(back, "rollback", ps) &&
        cfg_known_keys(back, ROLLBACK_KEYS, ARRAY_LEN(ROLLBACK_KEYS), ps) &&
        cfg_get(back, "keep") && cfg_i64(cfg_get(back, "keep"), "keep", 1, 20, &keep, ps))
        e->keep = (int)keep;
}

static void approvals_decode(const struct cfg_node *n, struct release_spec *s, struct arena *a,
                             struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"release"};
    struct str *who;
    size_t n_who;

    if (!n || !cfg_is_map(n, "approvals", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps) ||
        !cfg_get(n, "release") ||
        !cfg_str_list(cfg_get(n, "release"), "release", a, &who, &n_who, ps))
        return;
    for (size_t i = 0; i < n_who; i++) {
        if (str_is(who[i], "none") && n_who == 1)
            return;
        if (str_is(who[i], APPROVAL_ROLE_NAMES[APPROVAL_ML]))
            s->needs[APPROVAL_ML] = true;
        else if (str_is(who[i], APPROVAL_ROLE_NAMES[APPROVAL_BUSINESS]))
            s->needs[APPROVAL_BUSINESS] = true;
        else
            cfg_error(ps, cfg_get(n, "release"),
                      "\"%.*s\" cannot approve: none, or a list of ml and business",
                      STR_ARG(who[i]));
    }
}

void release_spec_decode(const struct cfg_node *root, struct arena *a, struct release_spec *ret,
                         struct cfg_problems *ps)
{
    struct json *policy = json_obj(a);

    *ret = (struct release_spec){.endpoint = {.keep = KEEP_DEFAULT}};
    plan_defaults(&ret->endpoint.rollout);
    endpoint_decode(cfg_get(root, "endpoint"), a, &ret->endpoint, ps);
    approvals_decode(cfg_get(root, "approvals"), ret, a, ps);
    gate_rules_decode(cfg_get(root, "gates"), root, a, &ret->gates, ps);
    json_set(a, policy, "gates", gate_rules_json(&ret->gates, a));
    json_set(a, policy, "rollout", rollout_plan_json(&ret->endpoint.rollout, a));
    if (cfg_get(root, "approvals"))
        json_set(a, policy, "approvals", cfg_json(cfg_get(root, "approvals"), a));
    if (cfg_get(root, "slo"))
        json_set(a, policy, "slo", cfg_json(cfg_get(root, "slo"), a));
    ret->policy = policy;
}

/* ---- policy ---- */
static void diff_member(const struct json *live, const struct json *candidate, const char *key,
                        struct arena *a, struct json *list)
{
    const struct json *from = json_get(live, key), *to = json_get(candidate, key);
    struct json *o;

    if (json_eq(from, to) || (!from && !to))
        return;
    o = json_obj(a);
    json_set(a, o, "path", json_cstr(a, key));
    json_set(a, o, "from", from ? json_copy(a, from) : NULL);
    json_set(a, o, "to", to ? json_copy(a, to) : NULL);
    json_add(a, list, o);
}

struct json *policy_diff(const struct json *live, const struct json *candidate, struct arena *a)
{
    static const char *const PARTS[] = {"gates", "rollout", "approvals", "slo"};
    struct json *list = json_arr(a);

    for (size_t i = 0; live && i < ARRAY_LEN(PARTS); i++)
        diff_member(live, candidate, PARTS[i], a, list);
    return list;
}
