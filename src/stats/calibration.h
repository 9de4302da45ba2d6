/* Calibration: the curve from score to observed share, kept with a model version, and what follows from it: performance
 * estimated without labels (CBPE). CBPE is blind to a change of the concept or of the prior: it may raise suspicion, it
 * never passes anything; its gap to realised performance is the sign of such a change. */
#ifndef PAWL_STATS_CALIBRATION_H
#define PAWL_STATS_CALIBRATION_H

#include "stats/perf.h"
#include "json/json.h"

#define CALIBRATION_POINTS_MAX 256

/* Non-decreasing step points with linear interpolation between them. */
struct calibration_point {
    double score; /* mean score of the block */
    double share; /* observed share (isotonic) */
    double n, positives;
};
struct calibration {
    size_t n_points;
    struct calibration_point *points; /* ascending score */
    double ece, brier, log_loss;      /* of the raw scores on the rows it was fitted to */
    double prevalence, mean_score;
    uint64_t n;
};

/* Isotonic regression (pool adjacent violators) of label on score over labelled rows that were not trained on; blocks are
 * merged to at most CALIBRATION_POINTS_MAX. ERR_EMPTY without rows. O(n log n). */
enum err_code calibration_fit(const double *score, const double *label, size_t n, struct arena *a,
                              struct calibration *ret, struct err *err) MUST_CHECK;
double calibration_apply(const struct calibration *c, double score);
struct json *calibration_json(const struct calibration *c, struct arena *a);
enum err_code calibration_read(const struct json *v, struct arena *a, struct calibration *ret,
                               struct err *err) MUST_CHECK;
/* Reliability diagram over equal-count bins: [{score, share, n, low, high}] (Wilson 95 %). */
struct json *calibration_bins_json(const double *score, const double *label, size_t n,
                                   size_t n_bins, struct arena *a);

/* Expected metric of the window's scores under the curve: accuracy, precision, recall, f1, roc_auc, brier, log_loss,
 * positive_rate. threshold: the release's. NaN for others or an empty window. */
double calibration_cbpe(const struct calibration *c, const struct perf_window *w, enum metric_id m,
                        double threshold);

#endif
