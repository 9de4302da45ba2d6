/* The `monitor` and `slo` sections of pawl.yaml: what is watched, at which error rate, and what counts as bad.
 *
 *   monitor:
 *     window: 1d                       # of event time
 *     false_alarms: "1 per 30d"        # of the whole model; split over windows and features
 *     persist: 2 of 3                  # drift fires when so many of the last windows drift; default 1 of 1
 *     rule: psi                        # default: what stats/drift.h decides by
 *     effect_floor: 0.1
 *     min_rows: 50
 *     performance:
 *       - { metric: roc_auc, drop: 2%, windows: 3 }   # so many windows in a row; default 2
 *       - { metric: ece, at_most: 0.05, persist: 2 of 3 }
 *       - { metric: calibration_in_the_large, at_most: 0.02 }
 *     evidence: { labels_by: 2d, coverage: 80% }
 *     cost: { per_cpu_hour: 0.04 }
 *     runbook: runbooks/drift.md
 *   slo:
 *     - { name: availability, target: 99.9%, window: 28d }
 *     - { name: latency, p99: 10ms, target: 99%, window: 28d }
 *     - { name: freshness, source: flights, within: 36h, target: 99%, window: 28d }
 *
 * Lives in the arena that it was decoded into. Absent sections give defaults: an endpoint is always watched. */
#ifndef PAWL_MONITOR_MONITOR_SPEC_H
#define PAWL_MONITOR_MONITOR_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "config/config.h"
#include "stats/drift.h"
#include "stats/metric.h"

enum perf_rule_kind { PERF_RULE_DROP, PERF_RULE_AT_MOST, PERF_RULE_AT_LEAST, PERF_RULE_KIND_N };
extern const char *const PERF_RULE_KIND_NAMES[PERF_RULE_KIND_N];

struct perf_rule {
    enum metric_id metric;
    enum perf_rule_kind kind;
    double
        value; /* DROP: relative, 0..1; else absolute (of the magnitude, for metrics that are best at 0) */
    int k, r; /* k of the last r final windows */
};

enum slo_kind { SLO_AVAILABILITY, SLO_LATENCY, SLO_FRESHNESS, SLO_KIND_N };
extern const char *const SLO_KIND_NAMES[SLO_KIND_N];

struct slo_spec {
    const char *name;
    enum slo_kind kind;
    double target;      /* share of good events, 0 < target < 1 */
    int64_t window_us;  /* of the budget */
    int64_t limit_us;   /* LATENCY: a good answer is this fast; FRESHNESS: within */
    const char *source; /* FRESHNESS */
};

struct monitor_spec {
    bool is_declared;
    int64_t window_us;
    double alarms_per_us;
    const char *false_alarms; /* as written */
    int k, r;
    int64_t min_rows;
    double effect_floor;
    enum drift_rule rule;
    struct perf_rule *perf;
    size_t n_perf;
    int64_t labels_by_us;     /* age at which a window is final; 0: by coverage alone */
    double coverage;          /* share of labels at which a window is final */
    double cost_per_cpu_hour; /* 0: unknown */
    struct slo_spec *slos;
    size_t n_slos;
    const char *runbook; /* NULL: docs/runbooks */
};

extern const struct monitor_spec MONITOR_DEFAULTS;

/* Decodes `monitor` and `slo` below the root; what is wrong goes to `ps`. */
void monitor_spec_decode(const struct cfg_node *root, struct arena *a, struct monitor_spec *ret,
                         struct cfg_problems *ps);

#endif
