/* The built-in trainer as worker operations: in a child, because they load libxgboost and DuckDB.
 *
 * "train.xgboost"   trains and writes a model directory
 *   takes    {dataset: PATH of the Parquet, plan: without categories, task, params, rounds,
 *            early_stopping, seed, threads, sample, classes?, out: PATH of an empty directory,
 *            run_id?, python?, temp_dir?}
 *   records  "metrics" {step, metrics: {"validation-logloss": x, …}}, one a round
 *   gives    {rounds, kept, n_train, n_validation, metrics, versions: {xgboost}, model_digest,
 *            importance: [{feature, gain, share, splits}], plan: with categories}
 *
 * "train.export"    the files that a `run:` command gets
 *   takes    {dataset, plan, train: PATH, validation: PATH, sample, seed, threads}
 *   gives    {plan, n_train, n_validation}
 *
 * "train.package"   a model directory made of what a command left
 *   takes    {left: DIR, out: DIR, plan, task, classes?, run_id?, python?}
 *   gives    {model_digest, plan, kind}
 *
 * "train.versions"  what computes, for step keys
 *   takes    {xgboost: bool}
 *   gives    {duckdb: "v1.4.4", xgboost?: "1.7.4"}
 *
 * The same arguments and data give the same model digest: one thread count, one seed, one version
 * of the library, rows in the data set's order. */
#ifndef PAWL_TRAIN_TRAIN_WORKER_H
#define PAWL_TRAIN_TRAIN_WORKER_H

#include "job/worker.h"

extern const struct worker_op TRAIN_WORKER_OPS[];
extern const size_t N_TRAIN_WORKER_OPS;

#endif
