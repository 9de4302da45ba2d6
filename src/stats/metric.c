/* The table of metrics and everything that is a function of sums. Ranks and bins are in metric_rank.c. */
#include "stats/metric.h"

#include <math.h>
#include <string.h>

#include "stats/metric_int.h"

#define BINARY     (1u << TASK_BINARY)
#define MULTICLASS (1u << TASK_MULTICLASS)
#define REGRESSION (1u << TASK_REGRESSION)
#define CLASSES    (BINARY | MULTICLASS)

static const struct metric_info METRICS[METRIC_N] = {
    [METRIC_ROC_AUC] = {"roc_auc", "ROC AUC", CLASSES, BETTER_HIGHER, false, 0, 1},
    [METRIC_PR_AUC] = {"pr_auc", "PR AUC", BINARY, BETTER_HIGHER, false, 0, 1},
    [METRIC_LOG_LOSS] = {"log_loss", "log loss", CLASSES, BETTER_LOWER, false, 0, INFINITY},
    [METRIC_NORMALIZED_LOG_LOSS] = {"normalized_log_loss", "normalised log loss", CLASSES,
                                    BETTER_LOWER, false, 0, INFINITY},
    [METRIC_BRIER] = {"brier", "Brier score", CLASSES, BETTER_LOWER, false, 0, 2},
    [METRIC_CALIBRATION] = {"calibration_in_the_large", "calibration in the large", BINARY,
                            BETTER_ZERO, false, -1, 1},
    [METRIC_ECE] = {"ece", "expected calibration error", BINARY, BETTER_LOWER, false, 0, 1},
    [METRIC_ACCURACY] = {"accuracy", "accuracy", CLASSES, BETTER_HIGHER, true, 0, 1},
    [METRIC_PRECISION] = {"precision", "precision", CLASSES, BETTER_HIGHER, true, 0, 1},
    [METRIC_RECALL] = {"recall", "recall", CLASSES, BETTER_HIGHER, true, 0, 1},
    [METRIC_F1] = {"f1", "F1", CLASSES, BETTER_HIGHER, true, 0, 1},
    [METRIC_FALSE_POSITIVE_RATE] = {"false_positive_rate", "false positive rate", BINARY,
                                    BETTER_LOWER, true, 0, 1},
    [METRIC_POSITIVE_RATE] = {"positive_rate", "share of positive decisions", BINARY, BETTER_LOWER,
                              true, 0, 1},
    [METRIC_COST] = {"cost", "mean cost", BINARY, BETTER_LOWER, true, 0, INFINITY},
    [METRIC_RMSE] = {"rmse", "RMSE", REGRESSION, BETTER_LOWER, false, 0, INFINITY},
    [METRIC_MAE] = {"mae", "MAE", REGRESSION, BETTER_LOWER, false, 0, INFINITY},
    [METRIC_R2] = {"r2", "R squared", REGRESSION, BETTER_HIGHER, false, -INFINITY, 1},
    [METRIC_MEAN_ERROR] = {"mean_error", "mean error", REGRESSION, BETTER_ZERO, false, -INFINITY,
                           INFINITY},
};

const char *const METRIC_NAMES[METRIC_N] = {
    "roc_auc",
    "pr_auc",
    "log_loss",
    "normalized_log_loss",
    "brier",
    "calibration_in_the_large",
    "ece",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "false_positive_rate",
    "positive_rate",
    "cost",
    "rmse",
    "mae",
    "r2",
    "mean_error",
};

static const char *const TASKS[TASK_N] = {"binary", "multiclass", "regression"};

const char *metric_task_name(enum metric_task t)
{
    return t < TASK_N ? TASKS[t] : "?";
}

bool metric_task_from_name(struct str s, enum metric_task *ret)
{
    for (int t = 0; t < TASK_N; t++) {
        if (str_is(s, TASKS[t])) {
            *ret = (enum metric_task)t;
            return true;
        }
    }
    return false;
}

const struct metric_info *metric_info(enum metric_id m)
{
    return &METRICS[m];
}

bool metric_from_name(struct str name, enum metric_id *ret)
{
    for (int m = 0; m < METRIC_N; m++) {
        if (str_is(name, METRICS[m].name)) {
            *ret = (enum metric_id)m;
            return true;
        }
    }
    return false;
}

double metric_goodness(enum metric_id m, double v)
{
    switch (METRICS[m].better) {
    case BETTER_HIGHER:
        return v;
    case BETTER_LOWER:
        return -v;
    case BETTER_ZERO:
        break;
    }
    return -fabs(v);
}

/* ---- sums ---- */

double metric_clip(double p)
{
    return fmin(fmax(p, 1e-15), 1.0 - 1e-15);
}

static void add_binary(const struct metric_rows *r, double score, double label, double w,
                       struct metric_sums *s)
{
    bool is_pos = label > 0.5, said_pos = score >= r->threshold;
    s->v[SUM_N] += w;
    s->v[SUM_SCORE] += w * score;
    s->v[SUM_LABEL] += w * label;
    s->v[SUM_LOSS] += w * metric_row_loss(METRIC_LOG_LOSS, TASK_BINARY, score, label, 0);
    s->v[SUM_SQUARED] += w * (score - label) * (score - label);
    s->v[SUM_TP] += is_pos && said_pos ? w : 0;
    s->v[SUM_FP] += !is_pos && said_pos ? w : 0;
    s->v[SUM_FN] += is_pos && !said_pos ? w : 0;
}

static void add_regression(double score, double label, double w, struct metric_sums *s)
{
    double e = score - label;
    s->v[SUM_N] += w;
    s->v[SUM_SCORE] += w * score;
    s->v[SUM_LABEL] += w * label;
    s->v[SUM_LABEL2] += w * label * label;
    s->v[SUM_SQUARED] += w * e * e;
    s->v[SUM_ABS] += w * fabs(e);
}

static void add_multiclass(const struct metric_rows *r, size_t i, double w, struct metric_sums *s)
{
    const double *p = &r->score[i * r->n_classes];
    size_t best = 0, label = (size_t)r->label[i];
    double squared = 0;
    for (size_t k = 0; k < r->n_classes; k++) {
        double y = k == label ? 1.0 : 0.0;
        best = p[k] > p[best] ? k : best;
        squared += (p[k] - y) * (p[k] - y);
    }
    s->v[SUM_N] += w;
    s->v[SUM_LOSS] += label < r->n_classes ? -w * log(metric_clip(p[label])) : w * 34.5;
    s->v[SUM_SQUARED] += w * squared;
    s->v[SUM_TP] += best == label ? w : 0;
}

void metric_sums_add(const struct metric_rows *r, size_t i, struct metric_sums *s)
{
    double w = r->weight ? r->weight[i] : 1.0;
    switch (r->task) {
    case TASK_BINARY:
        add_binary(r, r->score[i], r->label[i], w, s);
        break;
    case TASK_MULTICLASS:
        add_multiclass(r, i, w, s);
        break;
    case TASK_REGRESSION:
        add_regression(r->score[i], r->label[i], w, s);
        break;
    case TASK_N:
        break;
    }
}

/* Entropy of a share in nats. */
static double entropy2(double p)
{
    return p > 0 && p < 1 ? -p * log(p) - (1 - p) * log1p(-p) : 0;
}

static double over(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

static double multiclass_from_sums(enum metric_id m, const struct metric_sums *s)
{
    double n = s->v[SUM_N];
    if (m == METRIC_LOG_LOSS)
        return over(s->v[SUM_LOSS], n);
    if (m == METRIC_BRIER)
        return over(s->v[SUM_SQUARED], n);
    return m == METRIC_ACCURACY ? over(s->v[SUM_TP], n) : NAN;
}

static double regression_from_sums(enum metric_id m, const struct metric_sums *s)
{
    double n = s->v[SUM_N], mean = over(s->v[SUM_LABEL], n);
    if (m == METRIC_RMSE)
        return sqrt(over(s->v[SUM_SQUARED], n));
    if (m == METRIC_MAE)
        return over(s->v[SUM_ABS], n);
    if (m == METRIC_R2)
        return 1.0 - over(s->v[SUM_SQUARED], s->v[SUM_LABEL2] - n * mean * mean);
    return m == METRIC_MEAN_ERROR ? over(s->v[SUM_SCORE] - s->v[SUM_LABEL], n) : NAN;
}

static double binary_from_sums(enum metric_id m, const struct metric_rows *r,
                               const struct metric_sums *s)
{
    double n = s->v[SUM_N];
    struct confusion c = {s->v[SUM_TP], s->v[SUM_FP],
                          n - s->v[SUM_TP] - s->v[SUM_FP] - s->v[SUM_FN], s->v[SUM_FN]};
    if (m == METRIC_LOG_LOSS)
        return over(s->v[SUM_LOSS], n);
    if (m == METRIC_NORMALIZED_LOG_LOSS)
        return over(over(s->v[SUM_LOSS], n), entropy2(over(s->v[SUM_LABEL], n)));
    if (m == METRIC_BRIER)
        return over(s->v[SUM_SQUARED], n);
    if (m == METRIC_CALIBRATION)
        return over(s->v[SUM_SCORE] - s->v[SUM_LABEL], n);
    if (m == METRIC_COST)
        return over(r->cost_false_positive * c.fp + r->cost_false_negative * c.fn, n);
    return metric_from_confusion(m, &c);
}

double metric_from_sums(enum metric_id m, const struct metric_rows *r, const struct metric_sums *s)
{
    switch (r->task) {
    case TASK_BINARY:
        return binary_from_sums(m, r, s);
    case TASK_MULTICLASS:
        return multiclass_from_sums(m, s);
    case TASK_REGRESSION:
        return regression_from_sums(m, s);
    case TASK_N:
        break;
    }
    return NAN;
}

bool metric_is_of_sums(enum metric_id m, enum metric_task task)
{
    if (m == METRIC_ROC_AUC || m == METRIC_PR_AUC || m == METRIC_ECE)
        return false;
    return task != TASK_MULTICLASS || m == METRIC_LOG_LOSS || m == METRIC_BRIER ||
           m == METRIC_ACCURACY;
}

double metric_from_confusion(enum metric_id m, const struct confusion *c)
{
    double n = c->tp + c->fp + c->tn + c->fn;
    switch ((int)m) {
    case METRIC_ACCURACY:
        return over(c->tp + c->tn, n);
    case METRIC_PRECISION:
        return over(c->tp, c->tp + c->fp);
    case METRIC_RECALL:
        return over(c->tp, c->tp + c->fn);
    case METRIC_F1:
        return over(2 * c->tp, 2 * c->tp + c->fp + c->fn);
    case METRIC_FALSE_POSITIVE_RATE:
        return over(c->fp, c->fp + c->tn);
    case METRIC_POSITIVE_RATE:
        return over(c->tp + c->fp, n);
    default:
        return NAN;
    }
}

void metric_confusion(const struct metric_rows *rows, struct confusion *ret)
{
    struct confusion c = {0};
    for (size_t i = 0; i < rows->n; i++) {
        double w = rows->weight ? rows->weight[i] : 1.0;
        bool is_pos = rows->label[i] > 0.5, said_pos = rows->score[i] >= rows->threshold;
        *(said_pos ? (is_pos ? &c.tp : &c.fp) : (is_pos ? &c.fn : &c.tn)) += w;
    }
    *ret = c;
}

double metric_row_loss(enum metric_id m, enum metric_task task, double score, double label,
                       double threshold)
{
    double e = score - label;
    switch ((int)m) {
    case METRIC_LOG_LOSS:
    case METRIC_NORMALIZED_LOG_LOSS:
        if (task != TASK_BINARY)
            return NAN;
        return -label * log(metric_clip(score)) - (1.0 - label) * log1p(-metric_clip(score));
    case METRIC_BRIER:
    case METRIC_RMSE:
        return e * e;
    case METRIC_CALIBRATION:
    case METRIC_MEAN_ERROR:
        return e;
    case METRIC_MAE:
        return fabs(e);
    case METRIC_ACCURACY:
        return task == TASK_BINARY ? ((score >= threshold) == (label > 0.5) ? 1.0 : 0.0) : NAN;
    case METRIC_POSITIVE_RATE:
        return score >= threshold ? 1.0 : 0.0;
    default:
        return NAN;
    }
}

enum err_code metric_compute(enum metric_id m, const struct metric_rows *rows, struct arena *a,
                             double *ret, struct err *err)
{
    if (rows->n == 0)
        return err_set(err, ERR_EMPTY, "there are no rows to compute %s on", METRICS[m].name);
    if (!(METRICS[m].tasks & (1u << rows->task)))
        return err_set(err, ERR_UNSUPPORTED, "%s is not defined for the task %s", METRICS[m].name,
                       metric_task_name(rows->task));
    if (!metric_is_of_sums(m, rows->task))
        return metric_compute_ranked(m, rows, a, ret, err);
    struct metric_sums s = {{0}};
    for (size_t i = 0; i < rows->n; i++)
        metric_sums_add(rows, i, &s);
    *ret = metric_from_sums(m, rows, &s);
    return ERR_OK;
}
