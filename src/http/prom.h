/* Writer of Prometheus' text page (version 0.0.4). Each module offers `void x_metrics(…, struct prom *p)` and the page is
 * the calls one after the other: nothing is registered, nothing is global.
 *
 *     prom_family(p, METRIC_PREDICTIONS);                        // HELP and TYPE from the table, once
 *     prom_sample(p, 17, "model", "delay", "role", "live", NULL);
 *
 * Names, types and help are rows of one table (http/prom_table.c). Names end in a base unit; counters in _total. */
#ifndef PAWL_HTTP_PROM_H
#define PAWL_HTTP_PROM_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/str.h"

enum metric {
    METRIC_BUILD_INFO,
    METRIC_START_TIME,
    METRIC_HTTP_REQUESTS,
    METRIC_HTTP_CONNECTIONS,
    METRIC_HTTP_QUEUE_WAITING,
    METRIC_HTTP_QUEUE_FULL,
    METRIC_HTTP_EXPIRED,
    METRIC_HTTP_REFUSED,
    METRIC_PREDICTIONS,
    METRIC_PREDICTION_DURATION,
    METRIC_PREDICTION_FALLBACKS,
    METRIC_PREDICTION_NO_KEY,
    METRIC_ENDPOINT_RELEASE,
    METRIC_ENDPOINT_SHARE,
    METRIC_ENDPOINT_HOLD,
    METRIC_ROLLBACKS,
    METRIC_SNAPSHOTS_RETIRED,
    METRIC_LOG_RECORDS,
    METRIC_LOG_DROPPED,
    METRIC_LOG_BYTES,
    METRIC_LOG_RECOVERED,
    METRIC_LOG_RING_FULL_RATIO,
    METRIC_LABELS,
    METRIC_JOURNAL_GENERATION,
    METRIC_FEATURE_DRIFT,
    METRIC_MODEL_METRIC,
    METRIC_LABEL_COVERAGE,
    METRIC_SLO_BURN_RATE,
    METRIC_SOURCE_AGE,
    METRIC_ALERTS_FIRING,
    METRIC_ROLLOUT_VERDICT,
    METRIC_COST,
    METRIC_JOBS,
    METRIC_JOB_DURATION,
    METRIC_N
};

struct prom {
    struct buf *out;
    enum metric current;
};

void prom_init(struct prom *p, struct buf *out);
void prom_family(struct prom *p, enum metric m);
/* Label name, value, …, NULL behind the value. Values are escaped; a NULL value is left out. */
void prom_sample(struct prom *p, double value, ...) __attribute__((sentinel));

/* A histogram with fixed upper bounds in seconds, counted by atomics; many writers. */
#define PROM_BUCKETS 14
extern const double PROM_LATENCY_S[PROM_BUCKETS]; /* 50 us .. 2.5 s */
struct prom_histogram {
    _Atomic uint64_t n[PROM_BUCKETS + 1];
    _Atomic uint64_t sum_ns;
};
void prom_observe_ns(struct prom_histogram *h, int64_t ns);
/* labels as for prom_sample. */
void prom_histogram(struct prom *p, const struct prom_histogram *h, ...) __attribute__((sentinel));
uint64_t prom_histogram_count(const struct prom_histogram *h);

const char *metric_name(enum metric m);

#endif
