/* Work of the monitor that reads tables, in a child.
 *
 * ---- monitor.compare ----
 * args { reference: PATH, current: PATH, alpha: number (0.01, over all columns) }
 * result { rows: {reference, current}, verdict, drifted: [names], columns: [drift_result_json + name], missing: [names], new: [names] }
 * Columns that both have; times are left out, they always move.
 *
 * ---- monitor.replay ----
 * args { file: PATH, time: COLUMN, label: SQL (optional), known_at: SQL (optional), label_after_us: int (optional) }
 * records "rows": { columns: [names], rows: [[values…]], at: [us], label: [number | null], known: [us] } of REPLAY_ROWS rows in
 * order of time, then of the file; result { rows, from, to }. */
#ifndef PAWL_MONITOR_MONITOR_WORKER_H
#define PAWL_MONITOR_MONITOR_WORKER_H

#include "job/worker.h"

#define REPLAY_ROWS 500

extern const struct worker_op MONITOR_WORKER_OPS[];
extern const size_t N_MONITOR_WORKER_OPS;

#endif
