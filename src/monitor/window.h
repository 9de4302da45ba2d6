/* Windows: what one release of one endpoint did in one stretch of event time.
 *
 * Counts on the frozen edges of the release's baseline (per feature and for the score), the performance sums of
 * stats/perf.h, a latency histogram, requests, errors, fallbacks, compute time. Everything is a count or a sum, so windows
 * add, and a fold over the same records gives the same window whatever the interruptions. Threads: one at a time. */
#ifndef PAWL_MONITOR_WINDOW_H
#define PAWL_MONITOR_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "stats/baseline.h"
#include "stats/guardrail.h"
#include "stats/perf.h"
#include "json/json.h"

#define WINDOW_LATENCY_BINS 256 /* powers of 2^(1/8) from 1 us: 9 % wide, up to 1 h */

struct window {
    int64_t start_us, end_us; /* event time, [start, end) */
    int64_t release;
    bool is_closed, is_final; /* drift judged; performance judged */
    bool is_dirty;            /* not yet in the store */
    uint64_t n, n_errors, n_fallback, n_rescued;
    uint64_t n_labelled; /* predictions with a label */
    uint64_t compute_ns;
    int64_t first_event_us, last_event_us, last_label_us; /* AT_US_NONE: none */
    uint64_t latency[WINDOW_LATENCY_BINS];
    struct perf_window perf;
    size_t n_cells; /* of all features, then of the score */
    uint64_t *cells;
};

/* Where a histogram's cells lie in window.cells; feature == n_features: the score. */
size_t window_first_cell(const struct baseline *b, size_t feature);

/* A zeroed window on the heap; b NULL: without histograms. NULL without memory. */
struct window *window_new(const struct baseline *b, int64_t release, int64_t start_us,
                          int64_t end_us);
void window_free(struct window *w);
/* dst += src, of the same baseline. */
void window_add(struct window *dst, const struct window *src);

void window_latency_add(struct window *w, int64_t us);
/* Upper edge of the bin that holds the quantile (too large by at most 9 %); 0 without requests. */
double window_latency_quantile(const struct window *w, double q);
/* Requests in bins that lie above `us`. */
uint64_t window_latency_above(const struct window *w, double us);
uint64_t window_latency_total(const struct window *w);

/* Exact, for the store; and back into a window of the same baseline (ERR_CORRUPT when it does not fit). */
struct json *window_save(const struct window *w, struct arena *a);
enum err_code window_load(struct window *w, const struct json *doc, struct err *err) MUST_CHECK;
/* Totals for people. */
struct json *window_json(const struct window *w, struct arena *a);

#endif
