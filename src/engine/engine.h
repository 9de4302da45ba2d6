/* One interface to predict: an engine is opened from an MLflow model directory and answers rows of
 * float32.
 *
 * Kinds of engine are rows of a table (engine.c): the flavor that each understands and its
 * functions. Native trees are the first; they are inline (no I/O, no lock, microseconds). An engine
 * that is not inline must be called from engine workers, never from an HTTP thread.
 * Threads: an open engine is immutable; engine_predict from any thread with that thread's own
 * scratch. */
#ifndef PAWL_ENGINE_ENGINE_H
#define PAWL_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "model/signature.h"
#include "model/tree_model.h"

#define ENGINE_MEMORY_MAX (INT64_C(4) << 30)

enum engine_task {
    ENGINE_BINARY,
    ENGINE_MULTICLASS,
    ENGINE_REGRESSION,
    ENGINE_RANKING,
    ENGINE_TASK_N
};
const char *engine_task_name(enum engine_task t); /* "binary" "multiclass" "regression" "ranking" */

struct engine;

/* Opens the model directory (or a bare model file). When `expect` is not NULL, the model digest of
 * the directory is computed and must equal it (ERR_CORRUPT otherwise): what serves is what was
 * evaluated. Errors name file and place. Owner of *ret: the caller (engine_close). */
enum err_code engine_open(const char *path, const struct digest *expect, struct engine **ret,
                          struct err *err) MUST_CHECK;
void engine_close(struct engine *e); /* accepts NULL */

const char *engine_kind(const struct engine *e); /* "trees" */
bool engine_is_inline(const struct engine *e);
enum engine_task engine_task(const struct engine *e);
size_t engine_n_inputs(const struct engine *e);
size_t engine_n_outputs(
    const struct engine *e); /* scores a row: binary 1 (the positive class), multiclass k */
const char *engine_input_name(const struct engine *e, size_t i);
const struct signature *
engine_signature(const struct engine *e); /* as the MLmodel file has it; empty for a bare file */
const char *engine_objective(const struct engine *e); /* "binary:logistic" */
size_t engine_memory_bytes(const struct engine *e);
/* The tree ensemble behind, or NULL: importance, counts. */
const struct tree_model *engine_trees(const struct engine *e);

/* Floats of scratch that engine_predict needs; per thread. */
size_t engine_scratch_floats(const struct engine *e);
/* rows    n_rows x n_inputs float32, row-major, NaN = missing
 * scores  n_rows x n_outputs
 * Errors  none for inline engines; ERR_CHILD, ERR_TIMEOUT for others */
enum err_code engine_predict(const struct engine *e, const float *rows, size_t n_rows,
                             float *scratch, float *ret_scores, struct err *err) MUST_CHECK;

#endif
