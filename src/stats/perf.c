/* The performance window: a grid over the logit of the score plus exact sums. */
#include "stats/perf.h"

#include <math.h>
#include <string.h>

#include "stats/metric_int.h"

#define LOGIT_MAX 10.0
#define STEP      (2.0 * LOGIT_MAX / (PERF_BINS - 2))

void perf_init(struct perf_window *w)
{
    memset(w, 0, sizeof(*w));
}

size_t perf_bin(double score)
{
    double logit = log(score) - log1p(-score);
    if (!(logit > -LOGIT_MAX)) /* also scores of 0 and below */
        return 0;
    if (!(logit < LOGIT_MAX))
        return PERF_BINS - 1;
    size_t b = 1 + (size_t)((logit + LOGIT_MAX) / STEP);
    return b < PERF_BINS - 1 ? b : PERF_BINS - 2;
}

double perf_bin_score(size_t bin)
{
    if (bin == 0)
        return 0;
    if (bin >= PERF_BINS - 1)
        return 1;
    return 1.0 / (1.0 + exp(LOGIT_MAX - STEP * ((double)bin - 0.5)));
}

void perf_add_score(struct perf_window *w, double score)
{
    size_t b = perf_bin(score);
    w->n_scored++;
    w->scored[b]++;
    w->scored_sum[b] += score;
}

static void add_binary(struct perf_window *w, double score, bool decision, double label)
{
    size_t b = perf_bin(score);
    bool is_pos = label > 0.5;
    (is_pos ? w->pos : w->neg)[b]++;
    w->label_score_sum[b] += score;
    *(decision ? (is_pos ? &w->confusion.tp : &w->confusion.fp)
               : (is_pos ? &w->confusion.fn : &w->confusion.tn)) += 1;
    double loss = metric_row_loss(METRIC_LOG_LOSS, TASK_BINARY, score, label, 0);
    w->sum_loss += loss;
    w->sum_loss2 += loss * loss;
    w->n_correct += decision == is_pos ? 1 : 0;
}

void perf_add_label(struct perf_window *w, enum metric_task task, double score, bool decision,
                    double label)
{
    w->n++;
    if (task == TASK_MULTICLASS) { /* score: the probability given to the class that came true */
        double loss = -log(metric_clip(score));
        w->sum_loss += loss;
        w->sum_loss2 += loss * loss;
        w->n_correct += decision ? 1 : 0;
        return;
    }
    double e = score - label;
    w->sum_score += score;
    w->sum_label += label;
    w->sum_label2 += label * label;
    w->sum_error += e;
    w->sum_squared += e * e;
    w->sum_abs += fabs(e);
    if (task == TASK_BINARY)
        add_binary(w, score, decision, label);
}

void perf_merge(struct perf_window *dst, const struct perf_window *src)
{
    dst->n += src->n;
    dst->n_scored += src->n_scored;
    dst->confusion.tp += src->confusion.tp;
    dst->confusion.fp += src->confusion.fp;
    dst->confusion.tn += src->confusion.tn;
    dst->confusion.fn += src->confusion.fn;
    dst->sum_score += src->sum_score;
    dst->sum_label += src->sum_label;
    dst->sum_label2 += src->sum_label2;
    dst->sum_loss += src->sum_loss;
    dst->sum_loss2 += src->sum_loss2;
    dst->sum_squared += src->sum_squared;
    dst->sum_abs += src->sum_abs;
    dst->sum_error += src->sum_error;
    dst->n_correct += src->n_correct;
    for (size_t b = 0; b < PERF_BINS; b++) {
        dst->scored[b] += src->scored[b];
        dst->scored_sum[b] += src->scored_sum[b];
        dst->neg[b] += src->neg[b];
        dst->pos[b] += src->pos[b];
        dst->label_score_sum[b] += src->label_score_sum[b];
    }
}

static double grid_auc(const struct perf_window *w)
{
    double neg = 0, pos = 0, area = 0;
    for (size_t b = 0; b < PERF_BINS; b++) {
        area += w->pos[b] * (neg + 0.5 * w->neg[b]);
        neg += w->neg[b];
        pos += w->pos[b];
    }
    return neg > 0 && pos > 0 ? area / (neg * pos) : NAN;
}

static double grid_pr_auc(const struct perf_window *w)
{
    double tp = 0, all = 0, sum = 0;
    for (size_t b = PERF_BINS; b-- > 0;) {
        tp += w->pos[b];
        all += (double)w->pos[b] + w->neg[b];
        sum += all > 0 ? w->pos[b] * tp / all : 0;
    }
    return tp > 0 ? sum / tp : NAN;
}

/* Equal-count bins of whole cells. */
static double grid_ece(const struct perf_window *w)
{
    double seen = 0, sum = 0, gap = 0;
    size_t bin = 0;
    for (size_t b = 0; b < PERF_BINS; b++) {
        double n = (double)w->pos[b] + w->neg[b];
        size_t at = (size_t)(seen * ECE_BINS / (double)w->n);
        if (n > 0 && at > bin) {
            sum += fabs(gap);
            gap = 0;
            bin = at;
        }
        gap += w->label_score_sum[b] - w->pos[b];
        seen += n;
    }
    return (sum + fabs(gap)) / (double)w->n;
}

static struct metric_sums sums_of(const struct perf_window *w, enum metric_task task)
{
    struct metric_sums s = {{0}};
    s.v[SUM_N] = (double)w->n;
    s.v[SUM_SCORE] = w->sum_score;
    s.v[SUM_LABEL] = w->sum_label;
    s.v[SUM_LABEL2] = w->sum_label2;
    s.v[SUM_LOSS] = w->sum_loss;
    s.v[SUM_SQUARED] = w->sum_squared;
    s.v[SUM_ABS] = w->sum_abs;
    s.v[SUM_TP] = task == TASK_MULTICLASS ? w->n_correct : w->confusion.tp;
    s.v[SUM_FP] = w->confusion.fp;
    s.v[SUM_FN] = w->confusion.fn;
    return s;
}

double perf_metric(const struct perf_window *w, enum metric_task task, enum metric_id m)
{
    if (w->n == 0)
        return NAN;
    if (task == TASK_BINARY && m == METRIC_ROC_AUC)
        return grid_auc(w);
    if (task == TASK_BINARY && m == METRIC_PR_AUC)
        return grid_pr_auc(w);
    if (task == TASK_BINARY && m == METRIC_ECE)
        return grid_ece(w);
    if (!metric_is_of_sums(m, task) || m == METRIC_COST ||
        (task == TASK_MULTICLASS && m == METRIC_BRIER))
        return NAN;
    struct metric_rows r = {.task = task};
    struct metric_sums s = sums_of(w, task);
    return metric_from_sums(m, &r, &s);
}

/* Hanley and McNeil 1982, Radiology 143. */
static double auc_se(double auc, double pos, double neg)
{
    double q1 = auc / (2.0 - auc), q2 = 2.0 * auc * auc / (1.0 + auc);
    double v = auc * (1.0 - auc) + (pos - 1.0) * (q1 - auc * auc) + (neg - 1.0) * (q2 - auc * auc);
    return pos > 0 && neg > 0 ? sqrt(fmax(0, v) / (pos * neg)) : NAN;
}

static double mean_se(double sum, double sum2, double n)
{
    return n > 1 ? sqrt(fmax(0, sum2 / n - (sum / n) * (sum / n)) / (n - 1.0)) : NAN;
}

static double share_se(double k, double n)
{
    return n > 0 ? sqrt(k / n * (1.0 - k / n) / n) : NAN;
}

double perf_metric_se(const struct perf_window *w, enum metric_task task, enum metric_id m)
{
    const struct confusion *c = &w->confusion;
    double n = (double)w->n, v = perf_metric(w, task, m);
    if (isnan(v))
        return NAN;
    switch ((int)m) {
    case METRIC_ROC_AUC:
        return auc_se(v, c->tp + c->fn, c->fp + c->tn);
    case METRIC_LOG_LOSS:
        return mean_se(w->sum_loss, w->sum_loss2, n);
    case METRIC_NORMALIZED_LOG_LOSS:
        return w->sum_loss > 0 ? mean_se(w->sum_loss, w->sum_loss2, n) * v * n / w->sum_loss : NAN;
    case METRIC_CALIBRATION:
    case METRIC_MEAN_ERROR:
        return mean_se(w->sum_error, w->sum_squared, n);
    case METRIC_MAE:
        return mean_se(w->sum_abs, w->sum_squared, n);
    case METRIC_ACCURACY:
        return share_se(w->n_correct, n);
    case METRIC_PRECISION:
        return share_se(c->tp, c->tp + c->fp);
    case METRIC_RECALL:
        return share_se(c->tp, c->tp + c->fn);
    case METRIC_FALSE_POSITIVE_RATE:
        return share_se(c->fp, c->fp + c->tn);
    case METRIC_POSITIVE_RATE:
        return share_se(c->tp + c->fp, n);
    default:
        return NAN;
    }
}
