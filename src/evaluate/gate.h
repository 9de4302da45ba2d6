/* Gates: the rules a release must pass, declared before the work; all are checked, each gets its own verdict.
 *
 *     gates:
 *       - { metric: roc_auc, at_least: 0.68 }                    # at_most for errors; confidence: reads the bound
 *       - { metric: roc_auc, against: [incumbent, best], no_worse_by: 0.002, confidence: 95%,
 *           baseline: { predict: majority }, undecided: wait }   # ask | longer_shadow
 *       - { metric: roc_auc, slice: origin, min_rows: 500, at_least: 0.58 }
 *       - { metric: recall, across: age_band, difference_at_most: 0.05 }
 *       - { latency_p99: 5ms }
 *       - { cases: pass }  { checks: pass }  { loads: pass }  { interface: compatible }  { regression: pass }
 *
 * `loads`, `interface` and `regression` are rules of every list, declared or not; they can be made a warning
 * (on_fail: warn) but not left out. Decoding and judging are pure; what they judge are documents made elsewhere.
 * at_least reads the lower bound when a confidence is given, else the estimate, and the result prints which. A
 * difference passes when its lower end is above -margin, fails when its upper end is below; in between it is undecided.
 * Slices below min_rows are shown, not judged; a slice fails only if it is below its bound beyond chance after
 * Holm over all slices of the rule; a slice whose estimate is below but might be chance leaves the rule undecided. */
#ifndef PAWL_EVALUATE_GATE_H
#define PAWL_EVALUATE_GATE_H

#include "config/config.h"
#include "stats/guardrail.h"
#include "stats/metric.h"

enum gate_kind {
    GATE_METRIC_BOUND,   /* at_least / at_most */
    GATE_METRIC_AGAINST, /* no_worse_by / better_by */
    GATE_METRIC_ACROSS,  /* difference between the groups of a column */
    GATE_LATENCY,        /* latency_p50 | latency_p99 */
    GATE_SIZE,           /* size: 50MB */
    GATE_CASES,
    GATE_CHECKS,
    GATE_LOADS,
    GATE_INTERFACE,
    GATE_REGRESSION,
    GATE_KIND_N
};
enum gate_undecided { GATE_WAIT, GATE_ASK, GATE_LONGER_SHADOW, GATE_UNDECIDED_N };

#define GATE_AGAINST_MAX 4

struct gate_rule {
    enum gate_kind kind;
    struct json *declared; /* as written, for the report */
    enum metric_id metric;
    bool is_at_most;
    double bound;      /* at_least / at_most / difference_at_most; latency in us; size in bytes */
    double margin;     /* no_worse_by; better_by is a negative margin */
    double confidence; /* 0: not declared */
    struct str slice;  /* n 0: none; also the column of `across` */
    int64_t min_rows;  /* of a slice; default 200 */
    const char *against[GATE_AGAINST_MAX];
    size_t n_against;
    struct json *baseline;   /* first release: {predict: majority} | {column} ; NULL: none */
    double latency_quantile; /* 0.5 | 0.99 */
    bool is_warning;         /* on_fail: warn */
    enum gate_undecided undecided;
};

struct gate_rules {
    struct gate_rule *p;
    size_t n;
};

/* list: the `gates` node or NULL; the rules of every list are added. */
void gate_rules_decode(const struct cfg_node *list, const struct cfg_node *root, struct arena *a,
                       struct gate_rules *ret, struct cfg_problems *ps);
/* The list as declared (for freezing into a record), and back. */
struct json *gate_rules_json(const struct gate_rules *r, struct arena *a);
enum err_code gate_rules_read(const struct json *list, struct arena *a, struct gate_rules *ret,
                              struct err *err) MUST_CHECK;
/* Models to put into evaluate.run beside the candidate for these rules: "incumbent", "best", …; baseline only when
 * there is no incumbent. Returns {name: baseline document or true}. */
struct json *gate_rules_models(const struct gate_rules *r, bool has_incumbent, struct arena *a);

/* What the rules look at; each may be NULL = not there yet, which is undecided, never a pass. */
struct gate_documents {
    const struct json *report; /* of evaluate.run */
    const struct json *
        checks; /* {verdict: "pass" | "fail", why, …}: data checks of the data the model was made from */
    const struct json *loads;     /* {ok, why}: the release was loaded by the serving engine */
    const struct json *interface; /* {ok, why}: against the live release; ok for the first */
    const struct json
        *regression;    /* {ok, why, rows, differing}: loaded model against regression.json */
    bool has_incumbent; /* false: the first release, `baseline` is compared with instead */
};

struct gate_result {
    const struct gate_rule *rule;
    enum verdict verdict; /* VERDICT_OPEN = undecided */
    struct json *
        doc; /* {rule, verdict, candidate, incumbent, difference, low, high, reads, rows, rows_needed, why, evidence} */
};
struct gate_outcome {
    enum verdict
        verdict; /* fail if a rule that is not a warning fails; else open if one is open; else pass */
    struct gate_result *results;
    size_t n;
};
enum err_code gate_judge(const struct gate_rules *rules, const struct gate_documents *docs,
                         struct arena *a, struct gate_outcome *ret, struct err *err) MUST_CHECK;
/* {verdict, passed, failed, undecided, rules: [doc…], benchmark} */
struct json *gate_outcome_json(const struct gate_outcome *o, struct arena *a);
/* What changed between two lists: [{rule, from, to, is_looser}], for policy releases. */
struct json *gate_rules_diff(const struct gate_rules *from, const struct gate_rules *to,
                             struct arena *a);

#endif
