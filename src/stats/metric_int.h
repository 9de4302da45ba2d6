/* Private to the metric and interval files of stats/. */
#ifndef PAWL_STATS_METRIC_INT_H
#define PAWL_STATS_METRIC_INT_H

#include "stats/metric.h"

enum {
    SUM_N,
    SUM_SCORE,
    SUM_LABEL,
    SUM_LABEL2,
    SUM_LOSS,
    SUM_SQUARED,
    SUM_ABS,
    SUM_TP,
    SUM_FP,
    SUM_FN,
    SUM_COUNT
};

struct metric_sums {
    double v[SUM_COUNT];
};

bool metric_is_of_sums(enum metric_id m, enum metric_task task);
void metric_sums_add(const struct metric_rows *r, size_t i, struct metric_sums *s);
/* Reads only task and costs of r. */
double metric_from_sums(enum metric_id m, const struct metric_rows *r, const struct metric_sums *s);
double metric_clip(double p);

/* Row numbers by score, ascending; NULL when the arena is full. */
uint32_t *metric_order(const double *score, size_t n, struct arena *a);
enum err_code metric_compute_ranked(enum metric_id m, const struct metric_rows *rows,
                                    struct arena *a, double *ret, struct err *err) MUST_CHECK;
#define ECE_BINS 10
/* Equal-count bins of sorted scores; ties stay together: bin_of[n] by sorted position, returns how many bins. */
size_t metric_equal_bins(const double *score, const uint32_t *order, size_t n, size_t n_bins,
                         uint8_t *bin_of);

#endif
