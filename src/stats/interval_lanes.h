/* Private to interval*.c: a metric of one model under eight sets of block multiplicities at once. */
#ifndef PAWL_STATS_INTERVAL_LANES_H
#define PAWL_STATS_INTERVAL_LANES_H

#include "stats/metric_int.h"

#define LANES 8

struct lanes_side {
    enum metric_id metric;
    struct metric_rows rows;
    /* ranked metrics: the rows in ascending order of score */
    uint32_t *order;
    uint8_t *is_pos;  /* by sorted position */
    uint8_t *ties_on; /* 1: the next row has the same score */
    double *weight;   /* by sorted position; NULL: all 1 */
    uint8_t *bin;     /* ECE: equal-count bin by sorted position */
    /* per partition */
    uint32_t *block; /* by sorted position */
    double *sums;    /* n_blocks x n_sums */
    size_t n_sums, n_blocks;
    const uint32_t *row_block; /* by row */
};

enum err_code lanes_side_init(struct lanes_side *s, enum metric_id m,
                              const struct metric_rows *rows, struct arena *a,
                              struct err *err) MUST_CHECK;
enum err_code lanes_side_set_blocks(struct lanes_side *s, const uint32_t *block, size_t n_blocks,
                                    struct arena *a, struct err *err) MUST_CHECK;
/* count: n_blocks x LANES multiplicities. */
enum err_code lanes_side_values(const struct lanes_side *s, const double *count, struct arena *a,
                                double ret[LANES], struct err *err) MUST_CHECK;

#endif
