/* Worker operation that reads a table file for serving's commands (labels push, score), in a child.
 *
 * ---- serve.rows ----
 * args { file: PATH }   CSV, Parquet or JSON Lines by content
 * records "rows": [ {column: value, …} … ] of at most ROWS_PIECE rows, in file order; nulls are left out; result { rows } */
#ifndef PAWL_SERVE_ROWS_WORKER_H
#define PAWL_SERVE_ROWS_WORKER_H

#include "job/worker.h"

#define ROWS_PIECE 1000

extern const struct worker_op SERVE_WORKER_OPS[];
extern const size_t N_SERVE_WORKER_OPS;

#endif
