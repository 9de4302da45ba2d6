#include "monitor/monitor_spec.h"

#include "base/check.h"
#include "base/clock.h"

const char *const PERF_RULE_KIND_NAMES[PERF_RULE_KIND_N] = {"drop", "at_most", "at_least"};
const char *const SLO_KIND_NAMES[SLO_KIND_N] = {"availability", "latency", "freshness"};

#define FALSE_ALARMS_DEFAULT "1 per 30d"
#define PERF_WINDOWS_DEFAULT 2 /* one bad day is not yet decay */
#define PERF_WINDOWS_MAX     30

const struct monitor_spec MONITOR_DEFAULTS = {.window_us = US_PER_DAY,
                                              .alarms_per_us = 1.0 / (30.0 * (double)US_PER_DAY),
                                              .false_alarms = FALSE_ALARMS_DEFAULT,
                                              .k = 1,
                                              .r = 1,
                                              .min_rows = DRIFT_N_MIN_DEFAULT,
                                              .effect_floor = DRIFT_EFFECT_FLOOR_DEFAULT,
                                              .coverage = 0.8};

/* "2 of 3" */
static void persist_decode(const struct cfg_node *n, int *ret_k, int *ret_r,
                           struct cfg_problems *ps)
{
    struct str text, k;
    int64_t kv, rv;
    ptrdiff_t of;

    if (!n || !cfg_str(n, "persist", &text, ps))
        return;
    of = str_find(text, STR(" of "));
    if (of < 0) {
        cfg_error(ps, n, "persist is written as \"2 of 3\": so many of the last so many windows");
        return;
    }
    k = str_n(text.p, (size_t)of);
    if (parse_i64(str_trim(k), &kv, NULL) != ERR_OK ||
        parse_i64(str_trim(str_n(text.p + of + 4, text.n - (size_t)of - 4)), &rv, NULL) != ERR_OK ||
        kv < 1 || rv < kv || rv > 30) {
        cfg_error(ps, n, "persist needs two numbers, as in \"2 of 3\", the second at most 30");
        return;
    }
    *ret_k = (int)kv;
    *ret_r = (int)rv;
}

static void perf_rule_decode(const struct cfg_node *n, struct perf_rule *ret,
                             struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"metric",   "drop",    "at_most",
                                       "at_least", "persist", "windows"};
    const struct cfg_node *drop, *most, *least, *metric;
    int64_t windows = PERF_WINDOWS_DEFAULT;
    int m = 0;

    *ret = (struct perf_rule){0};
    if (!cfg_is_map(n, "a performance rule", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return;
    metric = cfg_require(n, "metric", ps);
    if (metric && cfg_enum(metric, "metric", METRIC_NAMES, METRIC_N, &m, ps))
        ret->metric = (enum metric_id)m;
    drop = cfg_get(n, "drop");
    most = cfg_get(n, "at_most");
    least = cfg_get(n, "at_least");
    if ((drop != NULL) + (most != NULL) + (least != NULL) != 1) {
        cfg_error(ps, n, "a performance rule has exactly one of drop, at_most, at_least");
        return;
    }
    if (cfg_get(n, "windows"))
        (void)cfg_i64(cfg_get(n, "windows"), "windows", 1, PERF_WINDOWS_MAX, &windows, ps);
    ret->k = ret->r = (int)windows;
    persist_decode(cfg_get(n, "persist"), &ret->k, &ret->r, ps);
    ret->kind = drop ? PERF_RULE_DROP : (most ? PERF_RULE_AT_MOST : PERF_RULE_AT_LEAST);
    if (drop)
        (void)cfg_ratio(drop, "drop", &ret->value, ps);
    else
        (void)cfg_ratio(most ? most : least, "the limit", &ret->value, ps);
}

static void evidence_decode(const struct cfg_node *n, struct monitor_spec *s,
                            struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"labels_by", "coverage"};

    if (!n || !cfg_is_map(n, "evidence", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return;
    if (cfg_get(n, "labels_by"))
        (void)cfg_duration_us(cfg_get(n, "labels_by"), "labels_by", &s->labels_by_us, ps);
    if (cfg_get(n, "coverage"))
        (void)cfg_ratio(cfg_get(n, "coverage"), "coverage", &s->coverage, ps);
}

static void drift_decode(const struct cfg_node *n, struct arena *a, struct monitor_spec *s,
                         struct cfg_problems *ps)
{
    const struct cfg_node *alarms = cfg_get(n, "false_alarms"), *rule = cfg_get(n, "rule");
    struct err err = ERR_INIT;
    struct str text;

    if (alarms && cfg_str(alarms, "false_alarms", &text, ps)) {
        if (drift_alarm_rate_parse(text, &s->alarms_per_us, &err) != ERR_OK)
            cfg_error(ps, alarms, "%s", err.msg);
        s->false_alarms = str_dup(a, text);
    }
    if (rule && cfg_str(rule, "rule", &text, ps)) {
        int i = 0;
        while (i < DRIFT_RULE_N && !str_is(text, drift_rule_name((enum drift_rule)i)))
            i++;
        if (i == DRIFT_RULE_N)
            cfg_error(
                ps, rule,
                "drift rule \"%.*s\" is not known: default, psi, ks, kl, js, hellinger, l_inf",
                STR_ARG(text));
        else
            s->rule = (enum drift_rule)i;
    }
    if (cfg_get(n, "effect_floor"))
        (void)cfg_f64(cfg_get(n, "effect_floor"), "effect_floor", 0, 100, &s->effect_floor, ps);
    if (cfg_get(n, "min_rows"))
        (void)cfg_i64(cfg_get(n, "min_rows"), "min_rows", 1, INT64_C(1) << 40, &s->min_rows, ps);
    persist_decode(cfg_get(n, "persist"), &s->k, &s->r, ps);
}

static void perf_decode(const struct cfg_node *list, struct arena *a, struct monitor_spec *s,
                        struct cfg_problems *ps)
{
    if (!list || !cfg_is_list(list, "performance", ps))
        return;
    s->perf = ARENA_NEW_N(a, struct perf_rule, list->n);
    if (!s->perf)
        return;
    for (size_t i = 0; i < list->n; i++) {
        perf_rule_decode(list->items[i], &s->perf[i], ps);
        for (size_t j = 0; j < i; j++)
            if (s->perf[j].metric == s->perf[i].metric && s->perf[i].r > 0)
                cfg_error(ps, list->items[i], "%s has a rule already: one rule a metric",
                          METRIC_NAMES[s->perf[i].metric]);
    }
    s->n_perf = list->n;
}

static void monitor_decode(const struct cfg_node *n, struct arena *a, struct monitor_spec *s,
                           struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"window",       "false_alarms", "persist",     "rule",
                                       "effect_floor", "min_rows",     "performance", "evidence",
                                       "cost",         "runbook",      "owner"};
    static const char *const COST_KEYS[] = {"per_cpu_hour"};
    const struct cfg_node *cost = cfg_get(n, "cost");
    struct str text;

    if (!n || !cfg_is_map(n, "monitor", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return;
    s->is_declared = true;
    if (cfg_get(n, "window") &&
        cfg_duration_us(cfg_get(n, "window"), "window", &s->window_us, ps) &&
        s->window_us < US_PER_MIN) {
        cfg_error(ps, cfg_get(n, "window"), "a monitor window is a minute or longer");
        s->window_us = US_PER_MIN;
    }
    drift_decode(n, a, s, ps);
    perf_decode(cfg_get(n, "performance"), a, s, ps);
    evidence_decode(cfg_get(n, "evidence"), s, ps);
    if (cost && cfg_is_map(cost, "cost", ps) &&
        cfg_known_keys(cost, COST_KEYS, ARRAY_LEN(COST_KEYS), ps))
        (void)cfg_f64(cfg_require(cost, "per_cpu_hour", ps), "per_cpu_hour", 0, 1e6,
                      &s->cost_per_cpu_hour, ps);
    if (cfg_get(n, "runbook") && cfg_str(cfg_get(n, "runbook"), "runbook", &text, ps))
        s->runbook = str_dup(a, text);
}

static void slo_decode(const struct cfg_node *n, struct arena *a, struct slo_spec *ret,
                       struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"name", "target", "window", "p99",     "p95",
                                       "p50",  "within", "source", "runbook", "owner"};
    static const char *const LATENCY[] = {"p99", "p95", "p50"};
    const struct cfg_node *limit = cfg_get(n, "within");
    struct str text;

    *ret =
        (struct slo_spec){.window_us = 28 * US_PER_DAY, .target = 0.99, .kind = SLO_AVAILABILITY};
    if (!cfg_is_map(n, "an objective of slo", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return;
    if (cfg_require(n, "name", ps) && cfg_str(cfg_get(n, "name"), "name", &text, ps))
        ret->name = str_dup(a, text);
    if (limit)
        ret->kind = SLO_FRESHNESS;
    for (size_t i = 0; i < ARRAY_LEN(LATENCY); i++)
        if (cfg_get(n, LATENCY[i])) {
            ret->kind = SLO_LATENCY;
            limit = cfg_get(n, LATENCY[i]);
        }
    if (limit)
        (void)cfg_duration_us(limit, "the limit", &ret->limit_us, ps);
    if (ret->kind == SLO_FRESHNESS && cfg_require(n, "source", ps) &&
        cfg_str(cfg_get(n, "source"), "source", &text, ps))
        ret->source = str_dup(a, text);
    if (cfg_require(n, "target", ps) &&
        cfg_ratio(cfg_get(n, "target"), "target", &ret->target, ps) &&
        (ret->target <= 0 || ret->target >= 1))
        cfg_error(ps, cfg_get(n, "target"),
                  "a target lies between 0%% and 100%%: 100%% leaves no budget for errors");
    if (cfg_get(n, "window"))
        (void)cfg_duration_us(cfg_get(n, "window"), "window", &ret->window_us, ps);
}

void monitor_spec_decode(const struct cfg_node *root, struct arena *a, struct monitor_spec *ret,
                         struct cfg_problems *ps)
{
    const struct cfg_node *slo = cfg_get(root, "slo");

    *ret = MONITOR_DEFAULTS;
    monitor_decode(cfg_get(root, "monitor"), a, ret, ps);
    if (!slo || !cfg_is_list(slo, "slo", ps))
        return;
    ret->slos = ARENA_NEW_N(a, struct slo_spec, slo->n);
    for (size_t i = 0; ret->slos && i < slo->n; i++)
        slo_decode(slo->items[i], a, &ret->slos[ret->n_slos++], ps);
}
