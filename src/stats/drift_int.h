/* Private to the drift files of stats/. */
#ifndef PAWL_STATS_DRIFT_INT_H
#define PAWL_STATS_DRIFT_INT_H

#include "stats/drift.h"

/* A statistic with its closed-form law for independent rows. */
struct drift_law {
    const char *name;
    double (*score)(const uint64_t *ref, const uint64_t *cur, size_t n_bins);
    double (*quantile)(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double q);
    double (*mean)(const uint64_t *ref, const uint64_t *cur, size_t n_bins);
    double (*sf)(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double x);
    bool is_scaled; /* its mean by chance does not depend on the number of rows */
    bool
        is_squared; /* a gamma is fitted to the square of the score, whose law is a sum of squares */
};
const struct drift_law *drift_law_of(enum drift_rule rule, enum hist_kind kind);

/* The Anderson-Darling statistic alone. */
double drift_ad_score(const uint64_t *ref, const uint64_t *cur, size_t n_bins);
/* PSI less its expectation without drift. */
double drift_effect(const uint64_t *ref, const uint64_t *cur, size_t n_bins);

/* The reference cut into merged chunks: of the window's duration, on the same clock marks, where the window's length and
 * the reference's times are known; else of the window's number of rows. */
struct drift_group {
    uint32_t from, end; /* chunks [from, end) */
    uint64_t rows;
};
struct drift_chunks {
    size_t n;
    uint64_t rows; /* of one, on average */
    double scale;  /* nm/(n+m) of the window over that of a merged chunk */
    struct drift_group group[HIST_CHUNKS_MAX];
};
void drift_chunks_cut(const struct hist_reference *ref, const struct drift_options *opt, uint64_t n,
                      struct drift_chunks *ret);

/* Mean and variance of a score over merged chunks, each against the rest of the reference. */
struct drift_moments {
    double mean, variance;
    size_t n;
};
typedef double (*drift_chunk_score)(const void *arg, const uint64_t *rest, const uint64_t *chunk);
struct drift_moments drift_chunks_moments(const struct hist_reference *ref,
                                          const struct drift_chunks *c, drift_chunk_score score,
                                          const void *arg);

#endif
