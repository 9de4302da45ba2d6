/* Performance window: mergeable sums from which the metrics of a period follow, for labels that arrive late.
 *
 * Binary: scores fall on a fixed grid of PERF_BINS cells, equal steps of the logit between -10 and 10, the same for
 * every model and for ever; per cell the counts and sums of each class. ROC AUC, PR AUC, ECE, and with a calibration
 * curve CBPE, come from the grid (ROC AUC within 1e-4 of the exact value); log loss, Brier, calibration, confusion
 * are exact sums. Multiclass: correct, log loss. Regression: moments.
 * Adding and merging commute, so windows may be cut and joined in any way. Plain data, 25 KB. */
#ifndef PAWL_STATS_PERF_H
#define PAWL_STATS_PERF_H

#include "stats/metric.h"
#include "json/json.h"

#define PERF_BINS 512

struct perf_window {
    uint64_t n;        /* labelled predictions */
    uint64_t n_scored; /* all predictions, labelled or not */
    struct confusion confusion;
    double sum_score, sum_label, sum_label2, sum_loss, sum_loss2, sum_squared, sum_abs, sum_error,
        n_correct;
    uint32_t scored[PERF_BINS];   /* all predictions */
    double scored_sum[PERF_BINS]; /* sum of their scores */
    uint32_t neg[PERF_BINS], pos[PERF_BINS];
    double label_score_sum[PERF_BINS]; /* sum of scores of labelled ones */
};

void perf_init(struct perf_window *w);
size_t perf_bin(double score);                            /* binary score 0..1 -> cell */
double perf_bin_score(size_t bin);                        /* middle of a cell */
void perf_add_score(struct perf_window *w, double score); /* at prediction time */
/* decision: the one that was returned. Call beside perf_add_score, when the label comes. */
void perf_add_label(struct perf_window *w, enum metric_task task, double score, bool decision,
                    double label);
void perf_merge(struct perf_window *dst, const struct perf_window *src);
/* NaN where it is not defined or not kept. */
double perf_metric(const struct perf_window *w, enum metric_task task, enum metric_id m);
/* Standard error for independent rows where a closed form exists (AUC by Hanley and McNeil 1982, means by their
 * variance); NaN otherwise. */
double perf_metric_se(const struct perf_window *w, enum metric_task task, enum metric_id m);
struct json *perf_json(const struct perf_window *w, struct arena *a); /* sparse */
enum err_code perf_read(const struct json *v, struct perf_window *ret, struct err *err) MUST_CHECK;

#endif
