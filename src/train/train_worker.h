/* The built-in trainer as a worker operation: it runs in a child, because it loads libxgboost and
 * DuckDB.
 *
 * "train.xgboost"
 *   {dataset: PATH of the dataset's Parquet, plan: the plan without categories (features/plan.h),
 *    task, params: {…}, rounds, early_stopping, seed, threads, sample,
 *    out: PATH of an empty directory, name: model name, run_id?, labels?: [class names]}
 *   records  "metric" {key: "train-logloss", step, value}
 *   result   {rounds, best_round, n_train, n_validation, metrics: {…last values}, importance:
 * [{feature, gain, share, splits}], versions: {xgboost}, model_digest, files: [...]} out/     the
 * model directory: MLmodel, model.json, requirements.txt, conda.yaml, python_env.yaml,
 * pawl/plan.json "train.package" {out: directory of a `run:` command or of a model file, model_dir:
 * where the model directory is made, plan, task, name} -> the same result without rounds: checks
 * what a command left and completes it. "train.versions" {} -> {xgboost, openmp}: what computes,
 * for step keys.
 *
 * The same arguments and data give the same model digest: one thread count, one seed, one library
 * version, rows in the dataset's order. */
#ifndef PAWL_TRAIN_TRAIN_WORKER_H
#define PAWL_TRAIN_TRAIN_WORKER_H

#include "job/worker.h"

extern const struct worker_op TRAIN_WORKER_OPS[];
extern const size_t N_TRAIN_WORKER_OPS;

#endif
