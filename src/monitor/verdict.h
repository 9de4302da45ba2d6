/* Verdicts over windows: drift when a window closes, performance when it is final. Pure: a verdict is a function of counts,
 * the baseline and the declared rule, and carries them, so that it can be explained and computed again. */
#ifndef PAWL_MONITOR_VERDICT_H
#define PAWL_MONITOR_VERDICT_H

#include "monitor/monitor_spec.h"
#include "monitor/window.h"

/* One window against its baseline. The window's budget (declared rate x length) is split by importance, half of it kept for
 * the score. *ret {verdict, rows, alarms_per_window, drifted: [names], features: [drift_result_json + importance], score},
 * features by ratio, worst first. *ret_verdict: DRIFT_YES when any test drifts, DRIFT_OPEN when none could be decided.
 * *ret_is_score: the score itself drifts. */
struct drift_outcome {
    enum drift_verdict verdict;
    bool is_score;     /* the score drifts */
    const char *worst; /* name of the feature with the largest ratio; NULL: none */
    double worst_ratio;
    size_t n_drifted;
    struct json *doc;
};
enum err_code window_drift(const struct window *w, const struct baseline *b,
                           const struct monitor_spec *spec, struct arena *a,
                           struct drift_outcome *ret, struct err *err) MUST_CHECK;

/* A performance rule on one final window. */
struct perf_outcome {
    enum verdict verdict; /* stats/guardrail.h: FAIL = decayed */
    double value, low, high;
    struct json
        *doc; /* {metric, rule, value, low, high, n, limit, expected, median, verdict, why} */
};
/* expected: the evaluation's value; median: of earlier final windows; NaN: none. A rule fails only when the better end of
 * the interval is beyond its limit against both that are there. */
void window_perf(const struct window *w, const struct perf_rule *r, enum metric_task task,
                 double expected, double median, struct arena *a, struct perf_outcome *ret);
/* Evaluation's value of a metric in baseline.json; NaN. */
double baseline_metric(const struct baseline *b, enum metric_id m);

/* k of the last r decided ones, newest last: as drift_persists, for performance. */
bool perf_persists(const enum verdict *last, size_t n, int k, int r);

#endif
