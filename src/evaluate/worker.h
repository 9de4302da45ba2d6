/* Evaluation in a worker process: scores models on a dataset file through feature plan and engine, and writes what a
 * model version carries. Reads Parquet through table/, so it only ever runs in a child (or a test).
 *
 * ---- evaluate.run ----
 * args {
 *   dataset: path of the dataset Parquet (columns of features/dataset.h: request columns, "view.column", __label, …),
 *   models: [ { name: "candidate" | "incumbent" | "best" | …, dir: model directory with pawl/plan.json,
 *               id: any text put into the report, threshold: number (optional: the release's; else chosen by the spec),
 *               dataset: path (optional: another file with the same __row values, when this model reads other views) }
 *             | { name: "baseline", predict: "majority" } | { name, column: "old_score" } ],      first = candidate
 *   spec: evaluate_spec_json, cases: [..] (optional), gates: gate_rules_json (optional: which slices and comparisons),
 *   splits: ["validation", "test", "benchmark"] (default: those that have rows),
 *   benchmark: "benchmark" (default; falls back to "test" when that has no rows),
 *   benchmark_version: text (optional), seed: int (0), latency_calls: int (2000; 0 = do not measure), resamples: int (1000) }
 * result: the report {
 *   format: 1, task, seed, confidence, benchmark: { split, version, rows, blocks: {entity, day}, from, to },
 *   models: { NAME: { id, threshold: { value, how }, splits: { SPLIT: { rows, positives, metrics: { METRIC: {value, low,
 *             high, se, confidence, method, by, blocks} } } }, calibration: { bins: [..], ece, slope… },
 *             slices: [ { slice, value, rows, is_small, metrics: {..} } ], cases: { passed, failed, warned, items: [..] },
 *             latency: { calls, p50_us, p99_us, mean_us }, size_bytes, error (when it could not be scored) } },
 *   comparisons: [ { metric, against, slice?, value?, rows, candidate, incumbent, difference (as goodness), low, high, se,
 *                    confidence, method, by, blocks } ] }
 *
 * ---- evaluate.profile ----
 * args { dataset, model: dir, spec, threshold: number (optional), seed, regression_rows: int (100), importance_rows: int (2000),
 *        reference: "train" (split of the features' reference), scores: ["validation", "test", "benchmark"] }
 *        or, for an uploaded reference, { dataset: any Parquet or CSV, model, label: column (optional) }: all rows are used.
 * Writes DIR/pawl/baseline.json (stats/baseline.h), DIR/pawl/calibration.json (stats/calibration.h), DIR/pawl/regression.json.
 * result { threshold, importance: {feature: share}, rows, score_rows, files: ["pawl/baseline.json", …] }
 *
 * regression.json: { format: 1, threshold, tolerance: 0, rows: [ { request: {field: value…} (full features: a look-up is carried
 * as "view.column"), score, decision } ] }: times as RFC 3339, NaN and infinities as strings. */
#ifndef PAWL_EVALUATE_WORKER_H
#define PAWL_EVALUATE_WORKER_H

#include "job/worker.h"

extern const struct worker_op EVALUATE_WORKER_OPS[];
extern const size_t N_EVALUATE_WORKER_OPS;

#endif
