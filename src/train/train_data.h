/* Rows of a data set as the model sees them: the matrix, the labels, and the plan with its dictionaries.
 * In children only. Threads: one. */
#ifndef PAWL_TRAIN_TRAIN_DATA_H
#define PAWL_TRAIN_TRAIN_DATA_H

#include "features/plan.h"
#include "features/plan_build.h"
#include "table/table.h"

/* Columns of one split as loaded, without what the plan does not need. */
struct train_rows {
    struct column *cols;
    size_t n_cols;
    size_t n;
    const float *labels; /* of the kept rows */
};

/* One split of the data set. sample < 1 keeps rows whose hash of (ordinal, seed) falls below it. Rows without a
 * label are left out. ERR_EMPTY when nothing is left. */
struct train_pick {
    const char *path;
    const char *split; /* "train" */
    double sample;
    int64_t seed;
};
enum err_code train_rows_load(struct table *t, const struct plan *p, const struct train_pick *pick,
                              struct arena *a, struct train_rows *ret, struct err *err) MUST_CHECK;

struct train_plan {
    struct json *doc; /* with the sorted categories of the training rows */
    struct plan *p;   /* the same, read */
};
enum err_code train_plan_finish(const struct plan *open, const struct json *doc,
                                const struct train_rows *train, struct arena *a,
                                struct train_plan *ret, struct err *err) MUST_CHECK;

/* n x inputs, row-major, malloc'ed: the caller frees. An infinite value is refused, naming feature and row. */
enum err_code train_matrix(const struct plan *p, const struct train_rows *rows, float **ret,
                           struct err *err) MUST_CHECK;

/* The rows as a Parquet file for a `run:` command: the plan's inputs by name (categories as text), __label, __time. */
enum err_code train_rows_write(struct table *t, const struct plan *p, const struct train_rows *rows,
                               const char *path, struct arena *a, struct err *err) MUST_CHECK;

#endif
