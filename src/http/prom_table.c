/* Every metric of the program, generated from spec/metrics.toml: name, kind, help. */
#include "http/prom_int.h"

const struct prom_row PROM_ROWS[PROM_METRIC_N] = {
#include "http/prom_rows.inc"
};

const char *prom_name(enum prom_metric m)
{
    return PROM_ROWS[m].name;
}
