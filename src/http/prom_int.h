/* Rows of the metric table. */
#ifndef PAWL_HTTP_PROM_INT_H
#define PAWL_HTTP_PROM_INT_H

#include "http/prom.h"

enum prom_kind { PROM_COUNTER, PROM_GAUGE, PROM_HISTOGRAM };

struct prom_row {
    const char *name;
    enum prom_kind kind;
    const char *help;
};

extern const struct prom_row PROM_ROWS[PROM_METRIC_N];

#endif
