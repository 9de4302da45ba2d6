/* Eight resamples a pass: the multiplicities of a block stand side by side, so the inner loops vectorise and each row's
 * score, label and block are read once for all eight. */
#include "stats/interval_lanes.h"

#include <math.h>
#include <string.h>

/* How a metric is resampled: from sums per block, from one pass over sorted rows, or by plain recomputation. */
enum lanes_way { WAY_SUMS, WAY_BINS, WAY_ROC, WAY_PR, WAY_PLAIN };

static enum lanes_way way_of(const struct lanes_side *s)
{
    if (metric_is_of_sums(s->metric, s->rows.task))
        return WAY_SUMS;
    if (s->rows.task != TASK_BINARY)
        return WAY_PLAIN;
    if (s->metric == METRIC_ECE)
        return WAY_BINS;
    return s->metric == METRIC_ROC_AUC ? WAY_ROC : WAY_PR;
}

enum err_code lanes_side_init(struct lanes_side *s, enum metric_id m,
                              const struct metric_rows *rows, struct arena *a, struct err *err)
{
    *s = (struct lanes_side){.metric = m, .rows = *rows};
    enum lanes_way way = way_of(s);
    size_t n = rows->n;
    if (way == WAY_SUMS || way == WAY_PLAIN)
        return ERR_OK;
    s->order = metric_order(rows->score, n, a);
    s->is_pos = ARENA_NEW_N(a, uint8_t, n);
    s->ties_on = ARENA_NEW_N(a, uint8_t, n);
    s->bin = ARENA_NEW_N(a, uint8_t, n);
    s->weight = rows->weight ? ARENA_NEW_N(a, double, n) : NULL;
    if (!s->order || !s->is_pos || !s->ties_on || !s->bin || (rows->weight && !s->weight))
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++) {
        s->is_pos[i] = rows->label[s->order[i]] > 0.5;
        s->ties_on[i] = i + 1 < n && rows->score[s->order[i]] == rows->score[s->order[i + 1]];
        if (s->weight)
            s->weight[i] = rows->weight[s->order[i]];
    }
    if (way == WAY_BINS)
        (void)metric_equal_bins(rows->score, s->order, n, ECE_BINS, s->bin);
    return ERR_OK;
}

static void add_bin_sums(struct lanes_side *s)
{
    for (size_t i = 0; i < s->rows.n; i++) {
        size_t row = s->order[i];
        double w = s->weight ? s->weight[i] : 1.0, *to = &s->sums[s->row_block[row] * s->n_sums];
        to[2 * s->bin[i]] += w;
        to[2 * s->bin[i] + 1] += w * (s->rows.score[row] - s->rows.label[row]);
    }
}

static void add_plain_sums(struct lanes_side *s)
{
    for (size_t i = 0; i < s->rows.n; i++)
        metric_sums_add(&s->rows, i,
                        (struct metric_sums *)(void *)&s->sums[s->row_block[i] * s->n_sums]);
}

enum err_code lanes_side_set_blocks(struct lanes_side *s, const uint32_t *block, size_t n_blocks,
                                    struct arena *a, struct err *err)
{
    enum lanes_way way = way_of(s);
    s->row_block = block;
    s->n_blocks = n_blocks;
    if (way == WAY_SUMS || way == WAY_BINS) {
        s->n_sums = way == WAY_SUMS ? SUM_COUNT : 2 * ECE_BINS;
        s->sums = ARENA_NEW_N(a, double, n_blocks * s->n_sums);
        if (!s->sums)
            return arena_err(a, err);
        if (way == WAY_SUMS)
            add_plain_sums(s);
        else
            add_bin_sums(s);
    } else if (way == WAY_ROC || way == WAY_PR) {
        s->block = ARENA_NEW_N(a, uint32_t, s->rows.n);
        if (!s->block)
            return arena_err(a, err);
        for (size_t i = 0; i < s->rows.n; i++)
            s->block[i] = block[s->order[i]];
    }
    return ERR_OK;
}

/* ---- the passes ---- */

static void add_scaled(double *restrict to, const double *restrict c, double w)
{
    for (size_t l = 0; l < LANES; l++)
        to[l] += w * c[l];
}

static void roc_tie_group(const struct lanes_side *s, const double *count, size_t *i,
                          double *restrict neg, double *restrict pos, double *restrict area)
{
    double tie_neg[LANES] = {0}, tie_pos[LANES] = {0};
    bool is_more = true;
    for (; is_more; (*i)++) {
        is_more = s->ties_on[*i];
        add_scaled(s->is_pos[*i] ? tie_pos : tie_neg, &count[s->block[*i] * LANES],
                   s->weight ? s->weight[*i] : 1.0);
    }
    for (size_t l = 0; l < LANES; l++) {
        area[l] += tie_pos[l] * (neg[l] + 0.5 * tie_neg[l]);
        neg[l] += tie_neg[l];
        pos[l] += tie_pos[l];
    }
}

static void roc_values(const struct lanes_side *s, const double *count, double *ret)
{
    double neg[LANES] = {0}, pos[LANES] = {0}, area[LANES] = {0};
    for (size_t i = 0; i < s->rows.n;) {
        if (s->ties_on[i]) {
            roc_tie_group(s, count, &i, neg, pos, area);
            continue;
        }
        const double *c = &count[s->block[i] * LANES];
        double w = s->weight ? s->weight[i] : 1.0;
        if (s->is_pos[i]) {
            for (size_t l = 0; l < LANES; l++) {
                area[l] += w * c[l] * neg[l];
                pos[l] += w * c[l];
            }
        } else {
            add_scaled(neg, c, w);
        }
        i++;
    }
    for (size_t l = 0; l < LANES; l++)
        ret[l] = neg[l] > 0 && pos[l] > 0 ? area[l] / (neg[l] * pos[l]) : NAN;
}

static void pr_values(const struct lanes_side *s, const double *count, double *ret)
{
    double tp[LANES] = {0}, all[LANES] = {0}, sum[LANES] = {0};
    for (size_t i = s->rows.n; i > 0;) {
        double step[LANES] = {0};
        bool is_more = true;
        for (; is_more; i--) {
            const double *c = &count[s->block[i - 1] * LANES];
            double w = s->weight ? s->weight[i - 1] : 1.0;
            add_scaled(all, c, w);
            if (s->is_pos[i - 1])
                add_scaled(step, c, w);
            is_more = i >= 2 && s->ties_on[i - 2];
        }
        for (size_t l = 0; l < LANES; l++) {
            tp[l] += step[l];
            sum[l] += step[l] > 0 ? step[l] * tp[l] / all[l] : 0;
        }
    }
    for (size_t l = 0; l < LANES; l++)
        ret[l] = tp[l] > 0 ? sum[l] / tp[l] : NAN;
}

static void resample_sums(const struct lanes_side *s, const double *count, double out[][LANES])
{
    for (size_t b = 0; b < s->n_blocks; b++)
        for (size_t j = 0; j < s->n_sums; j++)
            add_scaled(out[j], &count[b * LANES], s->sums[b * s->n_sums + j]);
}

static void sum_values(const struct lanes_side *s, const double *count, double *ret)
{
    double out[2 * ECE_BINS][LANES] = {{0}};
    resample_sums(s, count, out);
    for (size_t l = 0; l < LANES; l++) {
        struct metric_sums sums = {{0}};
        for (size_t j = 0; j < SUM_COUNT; j++)
            sums.v[j] = out[j][l];
        ret[l] = metric_from_sums(s->metric, &s->rows, &sums);
    }
}

static void bin_values(const struct lanes_side *s, const double *count, double *ret)
{
    double out[2 * ECE_BINS][LANES] = {{0}};
    resample_sums(s, count, out);
    for (size_t l = 0; l < LANES; l++) {
        double n = 0, gap = 0;
        for (size_t b = 0; b < ECE_BINS; b++) {
            n += out[2 * b][l];
            gap += fabs(out[2 * b + 1][l]);
        }
        ret[l] = n > 0 ? gap / n : NAN;
    }
}

static enum err_code plain_values(const struct lanes_side *s, const double *count, struct arena *a,
                                  double *ret, struct err *err)
{
    struct arena_mark mark = arena_mark(a);
    double *w = ARENA_NEW_N(a, double, s->rows.n);
    if (!w)
        return arena_err(a, err);
    enum err_code rc = ERR_OK;
    struct metric_rows rows = s->rows;
    rows.weight = w;
    for (size_t l = 0; rc == ERR_OK && l < LANES; l++) {
        for (size_t i = 0; i < rows.n; i++)
            w[i] = count[s->row_block[i] * LANES + l] * (s->rows.weight ? s->rows.weight[i] : 1.0);
        rc = metric_compute(s->metric, &rows, a, &ret[l], err);
    }
    arena_release(a, mark);
    return rc;
}

enum err_code lanes_side_values(const struct lanes_side *s, const double *count, struct arena *a,
                                double ret[LANES], struct err *err)
{
    switch (way_of(s)) {
    case WAY_SUMS:
        sum_values(s, count, ret);
        break;
    case WAY_BINS:
        bin_values(s, count, ret);
        break;
    case WAY_ROC:
        roc_values(s, count, ret);
        break;
    case WAY_PR:
        pr_values(s, count, ret);
        break;
    case WAY_PLAIN:
        return plain_values(s, count, a, ret, err);
    }
    return ERR_OK;
}
