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

#endif
