/* Evaluation metrics: exact values over rows. One table row each (METRICS in metric.c): name, tasks, direction.
 *
 * Rows: score is P(positive) for binary, n x n_classes probabilities for multiclass (row major), the prediction for
 * regression; label is 0/1, a class index, or a number. weight NULL: all 1. A NaN score or label is the caller's error.
 * Definitions: log loss natural, scores clipped to [1e-15, 1 - 1e-15]; normalized_log_loss = log loss / entropy of
 * the labels' shares (1 = as good as the prevalence); calibration_in_the_large = mean score - mean label (best is 0);
 * ece over 10 equal-count bins of the score (ties stay together); roc_auc with half credit for ties; pr_auc as average precision
 * (step-wise, ties together); decision score >= threshold. Multiclass: roc_auc one-vs-rest macro, precision, recall, f1 macro,
 * decision by the largest probability. Oracle in the tests: scikit-learn. Pure. */
#ifndef PAWL_STATS_METRIC_H
#define PAWL_STATS_METRIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

enum metric_task { TASK_BINARY, TASK_MULTICLASS, TASK_REGRESSION, TASK_N };
const char *metric_task_name(enum metric_task t); /* "binary" "multiclass" "regression" */
bool metric_task_from_name(struct str s, enum metric_task *ret);

enum metric_id {
    METRIC_ROC_AUC,
    METRIC_PR_AUC,
    METRIC_LOG_LOSS,
    METRIC_NORMALIZED_LOG_LOSS,
    METRIC_BRIER,
    METRIC_CALIBRATION, /* calibration_in_the_large */
    METRIC_ECE,
    METRIC_ACCURACY,
    METRIC_PRECISION,
    METRIC_RECALL,
    METRIC_F1,
    METRIC_FALSE_POSITIVE_RATE,
    METRIC_POSITIVE_RATE, /* share of positive decisions */
    METRIC_COST, /* mean cost per row at the threshold: needs false_positive, false_negative */
    METRIC_RMSE,
    METRIC_MAE,
    METRIC_R2,
    METRIC_MEAN_ERROR, /* mean prediction - mean label (best is 0) */
    METRIC_N
};

enum metric_better { BETTER_HIGHER, BETTER_LOWER, BETTER_ZERO };

struct metric_info {
    const char *name;  /* "roc_auc" */
    const char *label; /* "ROC AUC" */
    unsigned tasks;    /* bits 1 << TASK_x */
    enum metric_better better;
    bool needs_threshold;
    double min, max; /* range of values */
};
const struct metric_info *metric_info(enum metric_id m);
bool metric_from_name(struct str name, enum metric_id *ret);
/* All names, for suggestions. */
extern const char *const METRIC_NAMES[METRIC_N];
/* Signed so that larger is better: v, -v, or -|v|. */
double metric_goodness(enum metric_id m, double v);

struct metric_rows {
    enum metric_task task;
    size_t n;
    size_t n_classes; /* multiclass; else ignored */
    const double *score;
    const double *label;
    const double *weight; /* or NULL */
    double threshold;     /* binary decisions */
    double cost_false_positive, cost_false_negative;
};

/* ERR_EMPTY without rows, ERR_UNSUPPORTED for a task the metric has none for; *ret is NaN where it is not defined
 * (AUC with one class, precision without positive decisions). Scratch from `a`, released again. O(n log n) for ranks. */
enum err_code metric_compute(enum metric_id m, const struct metric_rows *rows, struct arena *a,
                             double *ret, struct err *err) MUST_CHECK;

/* Threshold that maximises f1 (or another metric), or minimises cost: tries every distinct score.
 * `m` one of accuracy, precision, recall, f1, cost. O(n log n). ERR_EMPTY, ERR_UNSUPPORTED. */
enum err_code metric_best_threshold(enum metric_id m, const struct metric_rows *rows,
                                    struct arena *a, double *ret_threshold, double *ret_value,
                                    struct err *err) MUST_CHECK;

struct confusion {
    double tp, fp, tn, fn;
};
void metric_confusion(const struct metric_rows *rows, struct confusion *ret);
/* accuracy, precision, recall, f1, false_positive_rate, positive_rate, from cells. */
double metric_from_confusion(enum metric_id m, const struct confusion *c);
/* Loss of one row, the y of paired guardrails: log_loss, brier, calibration, accuracy, rmse (squared error), mae,
 * mean_error; normalized_log_loss gives the log loss (divide by the entropy). NaN for the others. */
double metric_row_loss(enum metric_id m, enum metric_task task, double score, double label,
                       double threshold);

#endif
