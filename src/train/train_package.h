/* Before and after a user's command: the Parquet files it gets, and the model directory made of what it left.
 * In children only. Threads: one. */
#ifndef PAWL_TRAIN_TRAIN_PACKAGE_H
#define PAWL_TRAIN_TRAIN_PACKAGE_H

#include "features/plan.h"
#include "job/worker.h"
#include "model/signature.h"

/* "train.export" {dataset, plan, train: PATH, validation: PATH, sample, seed, threads} -> {plan, n_train, n_validation} */
enum err_code train_op_export(struct worker *w, const struct json *args, struct json **ret,
                              struct err *err);
/* "train.package" {left: DIR, out: DIR, plan, task, classes, run_id?, python?} -> {model_digest, plan, kind} */
enum err_code train_op_package(struct worker *w, const struct json *args, struct json **ret,
                               struct err *err);

/* The model's own inputs and outputs, as MLflow enforces them: the matrix columns as doubles. What a request to an
 * endpoint looks like is the plan's matter. */
enum err_code train_signature(const struct plan *p, const char *task, size_t n_classes,
                              struct arena *a, struct signature *ret, struct err *err) MUST_CHECK;
/* Canonical text of a document, in the arena. */
enum err_code train_json_text(const struct json *v, struct arena *a, struct str *ret,
                              struct err *err) MUST_CHECK;

#endif
