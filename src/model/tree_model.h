/* Tree ensembles in memory: one flat, immutable layout that answers a row in a microsecond.
 *
 * A model file is read by the reader of its format (model/tree_format.h: one row a format) into
 * this layout. Margins are float32 sums in tree order, bit for bit what the training library's own
 * CPU prediction gives; transforms (sigmoid, softmax, exp) are the library's formulas in float32.
 * Not for: training, SHAP values, vector leaves (refused when read).
 * Threads: immutable after reading; predict from any number of threads, each with its own scratch.
 *
 *     struct tree_model *m;
 *     if (tree_model_read(text, &m, err) != ERR_OK)
 *         return err_wrap(err, "load %s", path);
 *     float *scratch = ARENA_NEW_N(a, float, tree_model_scratch_floats(m));
 *     tree_model_predict(m, row, 1, scratch, &score);
 */
#ifndef PAWL_MODEL_TREE_MODEL_H
#define PAWL_MODEL_TREE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Limits: a model is read wholly into memory and is answered inline. */
#define TREE_FILE_BYTES_MAX (INT64_C(1) << 30) /* text of a model file */
#define TREE_NODES_MAX      (1 << 26)          /* 16 bytes each: 1 GiB */
#define TREE_TREES_MAX      (1 << 20)
#define TREE_FEATURES_MAX   65536
#define TREE_GROUPS_MAX     4096 /* classes or targets */
#define TREE_DEPTH_MAX      4096 /* longest path of one tree */
#define TREE_CATEGORIES_MAX                                                                        \
    (1 << 24) /* highest category code: float32 holds whole numbers so far */

struct tree_model;

enum tree_task { TREE_BINARY, TREE_MULTICLASS, TREE_REGRESSION, TREE_RANKING, TREE_TASK_N };

struct tree_feature {
    const char *name; /* as in the file, or "f0", "f1" ...; owner: the model */
    bool is_category; /* some tree splits it by membership */
    int64_t n_splits; /* importance "weight" */
    double gain;      /* importance "total_gain": sum of loss changes, 0 where the file has none */
};

/* Reads a model of any known format; the format is told from the bytes. text.p must be followed by
 * a NUL byte.
 * Errors  ERR_PARSE, ERR_UNSUPPORTED, ERR_LIMIT, ERR_NOMEM: a sentence that names the place,
 *         "trees[3]: ..."
 * Owner   of *ret: the caller (tree_model_free)
 * Cost    linear in the text */
enum err_code tree_model_read(struct str text, struct tree_model **ret, struct err *err) MUST_CHECK;
void tree_model_free(struct tree_model *m); /* accepts NULL */
/* Keeps only the trees up to the best iteration that early stopping noted in the file, as the
 * library's scikit-learn classes predict (its Booster uses all trees). Without a note: no change. To be
 * called before the model is shared. */
void tree_model_keep_best(struct tree_model *m);

size_t tree_model_n_inputs(const struct tree_model *m);
size_t tree_model_n_outputs(
    const struct tree_model *m); /* scores a row: 1, or the number of classes or targets */
size_t tree_model_n_trees(const struct tree_model *m);
size_t tree_model_n_nodes(const struct tree_model *m);
size_t tree_model_size_bytes(const struct tree_model *m); /* in memory */
enum tree_task tree_model_task(const struct tree_model *m);
const char *tree_model_objective(const struct tree_model *m); /* "binary:logistic" */
const char *tree_model_format(const struct tree_model *m);    /* "xgboost-json" */
const char *
tree_model_version(const struct tree_model *m); /* of the library that wrote it: "1.7.4" */
const struct tree_feature *tree_model_feature(const struct tree_model *m, size_t i);

/* Floats of scratch that the predict calls need; per thread. */
size_t tree_model_scratch_floats(const struct tree_model *m);

/* rows        n_rows x n_inputs, row-major; NaN = missing; categories as their codes
 * scratch     tree_model_scratch_floats(m), contents undefined before and after
 * ret_margin  n_rows x groups (tree_model_n_groups), before the transform
 * Cost        about depth x trees x 1 ns a row; no allocation, no lock, no failure. */
void tree_model_margin(const struct tree_model *m, const float *rows, size_t n_rows, float *scratch,
                       float *ret_margin);
size_t tree_model_n_groups(const struct tree_model *m);

/* As above with the objective's transform: probability, class probabilities, mean. multi:softmax,
 * whose library answer is the class number, gives class probabilities here too.
 * ret_scores  n_rows x n_outputs */
void tree_model_predict(const struct tree_model *m, const float *rows, size_t n_rows,
                        float *scratch, float *ret_scores);

#endif
