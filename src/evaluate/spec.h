/* The `evaluate:` section of pawl.yaml and the file of known-hard cases.
 *
 *     evaluate:
 *       metrics: [roc_auc, normalized_log_loss]             # names of stats/metric.h; first = primary
 *       threshold: { maximize: f1, split: validation }      # or { minimize: cost, false_positive: 5,
 *                                                           #      false_negative: 1 }, or a number
 *       slices: [origin, "hour < 6 or hour >= 22"]          # a column, or a row expression
 *       entity: [origin]                                    # rows alike: blocks of the intervals
 *       confidence: 95%
 *       cases: cases.yaml
 *
 * The cases file is a list (or { cases: [...] }); each case names one expectation:
 *
 *     - name: a red-eye over a short distance is on time
 *       given: { origin: SEA, distance: 129, date: 2001-03-01 06:00 }
 *       expect: { score: { below: 0.4 } }                   # below, above, between: [a, b]; or
 *                                                           # expect: { decision: negative } / class / value
 *     - name: the name of the carrier does not matter
 *       sample: 200                                         # rows of the benchmark, or given: {...}
 *       change: { carrier: XX }                             # a value, or { field: { expr: "distance * 1.1" } }
 *       invariant: { tolerance: 0.02 }                      # |score change| at most
 *     - name: more delay at the origin never helps
 *       sample: 200
 *       change: { airport_hour.delay_1h: { expr: "\"airport_hour.delay_1h\" + 30" } }
 *       direction: { score: up, tolerance: 0.01, share: 95% }   # up | down; holds for at least that share
 *
 * Any case may carry `on_fail: warn` (reported, never fails the rule `cases: pass`) and `why:` (a sentence). */
#ifndef PAWL_EVALUATE_SPEC_H
#define PAWL_EVALUATE_SPEC_H

#include "config/config.h"
#include "stats/metric.h"

struct evaluate_slice {
    struct str
        text; /* column name or expression, as declared: also its name in reports and gates */
};

enum threshold_kind { THRESHOLD_FIXED, THRESHOLD_BEST, THRESHOLD_COST };

struct evaluate_threshold {
    enum threshold_kind kind;
    double value;                          /* FIXED; default 0.5 */
    enum metric_id metric;                 /* BEST */
    double false_positive, false_negative; /* COST */
    const char *split;                     /* "validation" unless declared */
};

struct evaluate_spec {
    enum metric_task task;
    enum metric_id metrics[METRIC_N];
    size_t n_metrics; /* >= 1: the task's usual ones when none are declared */
    struct evaluate_threshold threshold;
    struct evaluate_slice *slices;
    size_t n_slices;
    struct str *entity;
    size_t n_entity;
    double confidence;
    const char *cases; /* path as declared, or NULL */
};

/* section: the `evaluate` node or NULL (defaults); root: for `task`. Problems are added to `ps`. */
void evaluate_spec_decode(const struct cfg_node *section, const struct cfg_node *root,
                          struct arena *a, struct evaluate_spec *ret, struct cfg_problems *ps);
/* The spec as worker argument "spec"; evaluate_spec_read is its inverse. */
struct json *evaluate_spec_json(const struct evaluate_spec *s, struct arena *a);
enum err_code evaluate_spec_read(const struct json *v, struct arena *a, struct evaluate_spec *ret,
                                 struct err *err) MUST_CHECK;
/* The cases file: checked, as worker argument "cases" (array). Problems carry its positions. */
struct json *evaluate_cases_decode(const struct cfg_node *file, struct arena *a,
                                   struct cfg_problems *ps);

#endif
