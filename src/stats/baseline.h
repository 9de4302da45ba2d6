/* baseline.json of a model version: what its inputs and scores looked like, so that life can be compared with it.
 *
 * {format: 1, task, rows, from, to, reference: "train", features: [hist_reference…], score: hist_reference of held-out scores,
 *  metrics: {roc_auc: {value, low, high, n}…}, positive_rate, threshold}. The calibration curve is a file of its own.
 * Feature names are those of the plan's inputs (and of request fields that the monitor also watches, importance 0).
 * Read-only after reading; any number of threads. */
#ifndef PAWL_STATS_BASELINE_H
#define PAWL_STATS_BASELINE_H

#include "stats/histogram.h"
#include "stats/metric.h"

struct baseline {
    enum metric_task task;
    uint64_t n_rows;
    int64_t from_us, to_us; /* AT_US_NONE when the reference has no time */
    const char *reference;  /* which rows: "train", "upload", "first 5000 requests" */
    struct hist_reference *features;
    size_t n_features;
    struct hist_reference score; /* n == 0: none */
    struct json *metrics;        /* object or NULL */
    double threshold;            /* NaN: none */
    double positive_rate;        /* of decisions on held-out rows; NaN: none */
};

enum err_code baseline_read(const struct json *v, struct arena *a, struct baseline *ret,
                            struct err *err) MUST_CHECK;
struct json *baseline_json(const struct baseline *b, struct arena *a);
/* Index of a feature by name, or -1. */
ptrdiff_t baseline_find(const struct baseline *b, struct str name);

#endif
