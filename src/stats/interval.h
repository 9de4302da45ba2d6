/* Intervals of metrics and of paired differences, for gates: resampling whole blocks, because rows of one entity and of one
 * day are alike.
 *
 * For each given partition into blocks (by entity, by day): 1,000 seeded resamples of blocks with replacement, percentile
 * interval; below 30 blocks the jackknife over blocks with t quantiles. The wider of the partitions counts. Without a partition
 * rows are their own blocks. Both models are evaluated on the same resample, so the difference is paired.
 * How it is fast: metrics that are functions of sums keep per-block sums (a resample costs blocks x sums); rank metrics
 * sort the rows once, and a resample is one pass over them with the block's multiplicity as weight: exact with ties. A pass works on
 * 8 resamples at a time. 100,000 rows x 1,000 resamples of an AUC difference take well under a second on one core.
 * Same input and seed: same interval, bit for bit. */
#ifndef PAWL_STATS_INTERVAL_H
#define PAWL_STATS_INTERVAL_H

#include "stats/guardrail.h"
#include "stats/metric.h"
#include "json/json.h"

#define INTERVAL_RESAMPLES  1000
#define INTERVAL_BLOCKS_FEW 30
#define INTERVAL_PARTITIONS 3

enum interval_method { INTERVAL_NONE, INTERVAL_BOOTSTRAP, INTERVAL_JACKKNIFE, INTERVAL_METHOD_N };

struct interval_partition {
    const char *by;        /* "entity", "day", "row" */
    const uint32_t *block; /* n block numbers, 0..n_blocks-1 */
    size_t n_blocks;
};

struct interval_input {
    enum metric_id metric;
    struct metric_rows a; /* the candidate (or the only model) */
    const double
        *score_b; /* the other model's scores of the same rows; NULL: interval of a's metric */
    double threshold_b;
    struct interval_partition by[INTERVAL_PARTITIONS];
    size_t n_by;
    size_t n_resamples; /* 0: INTERVAL_RESAMPLES */
    uint64_t seed;
    double confidence; /* two-sided, such as 0.95; 0: 0.95 */
};

struct interval {
    double estimate; /* a, or a - b as goodness (larger: a better) */
    double low, high, se;
    double value_a, value_b; /* raw metric values; b NaN when there is none */
    double confidence;
    enum interval_method method;
    const char *by; /* partition that was widest */
    size_t n_blocks, n_rows;
};

enum err_code interval_compute(const struct interval_input *in, struct arena *a,
                               struct interval *ret, struct err *err) MUST_CHECK;
struct json *interval_json(const struct interval *i, struct arena *a);

/* ---- reading an interval against a margin ---- */
struct margin_verdict {
    enum verdict verdict;
    double
        rows_needed; /* about how many rows would decide; 0 when decided; INFINITY when none would */
    double
        p_worse; /* one-sided p-value that the true value is below the bound (small: it is below) */
};
/* pass when low > bound, fail when high < bound. bound = -margin for a difference in goodness, or a floor. */
void margin_judge(const struct interval *i, double bound, struct margin_verdict *ret);
/* Smallest margin that this many rows can decide: half the interval's width. */
double margin_smallest(const struct interval *i);

/* Holm's step-down over n p-values at family error alpha: is_rejected[n] is written. */
void holm_reject(const double *p, size_t n, double alpha, bool *is_rejected);

#endif
