/* Writer of Prometheus' text page (version 0.0.4). Each module offers `void x_metrics(…, struct prom *p)` and the page is
 * the calls one after the other: nothing is registered, nothing is global.
 *
 *     prom_family(p, PROM_PREDICTIONS);                        // HELP and TYPE from the table, once
 *     prom_sample(p, 17, "model", "delay", "role", "live", NULL);
 *
 * Names, kinds and help are rows of spec/metrics.toml. Names end in a base unit; counters in _total. */
#ifndef PAWL_HTTP_PROM_H
#define PAWL_HTTP_PROM_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/str.h"
#include "http/prom_metrics.h" /* enum prom_metric, generated from spec/metrics.toml */

struct prom {
    struct buf *out;
    enum prom_metric current;
};

void prom_init(struct prom *p, struct buf *out);
void prom_family(struct prom *p, enum prom_metric m);
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

const char *prom_name(enum prom_metric m);

#endif
