/* libxgboost, loaded on first use: the one place that knows its C interface and its versions'
 * differences.
 *
 * Looks for $PAWL_XGBOOST, then libxgboost.so.0, libxgboost.so. Only in children and tests: the
 * server never calls this. Matrices are dense, row-major float32, NaN = missing. Threads: one per
 * handle. */
#ifndef PAWL_TRAIN_XGB_H
#define PAWL_TRAIN_XGB_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct xgb;        /* the loaded library; lives as long as the process */
struct xgb_matrix; /* rows with labels */
struct xgb_model;  /* a booster */

struct xgb_feature {
    const char *name;
    bool is_category;
};

/* ERR_UNAVAILABLE says where it was looked for and which package has it. */
enum err_code xgb_open(const struct xgb **ret, struct err *err) MUST_CHECK;
const char *xgb_version(const struct xgb *x); /* "1.7.4", as the library itself reports */
const char *xgb_path(const struct xgb *x);    /* file it was loaded from */

/* What a matrix is made of; everything is copied by the library. */
struct xgb_table {
    const float *values; /* n_rows x n_features, row-major */
    size_t n_rows, n_features;
    const struct xgb_feature *features;
    const float *labels; /* n_rows, or NULL */
    int threads;
};
enum err_code xgb_matrix_new(const struct xgb *x, const struct xgb_table *t,
                             struct xgb_matrix **ret, struct err *err) MUST_CHECK;
void xgb_matrix_free(struct xgb_matrix *m);

enum err_code xgb_model_new(const struct xgb *x, struct xgb_matrix *const *ms, size_t n,
                            struct xgb_model **ret, struct err *err) MUST_CHECK;
void xgb_model_free(struct xgb_model *m);
enum err_code xgb_set(struct xgb_model *m, const char *name, const char *value,
                      struct err *err) MUST_CHECK;
enum err_code xgb_set_attr(struct xgb_model *m, const char *name, const char *value,
                           struct err *err) MUST_CHECK;
/* One boosting round on `train`. */
enum err_code xgb_round(struct xgb_model *m, int64_t round, struct xgb_matrix *train,
                        struct err *err) MUST_CHECK;

struct xgb_metric {
    char key[64]; /* "validation-logloss" */
    double value;
};
#define XGB_METRICS_MAX 64
struct xgb_metrics {
    struct xgb_metric p[XGB_METRICS_MAX];
    size_t n;
};
#define XGB_WATCH_MAX 4
/* Matrices to evaluate on, and what they are called in metric keys. */
struct xgb_watch {
    struct xgb_matrix *matrices[XGB_WATCH_MAX];
    const char *names[XGB_WATCH_MAX];
    size_t n;
};
/* Metrics of all matrices after `round`. */
enum err_code xgb_eval(struct xgb_model *m, int64_t round, const struct xgb_watch *w,
                       struct xgb_metrics *ret, struct err *err) MUST_CHECK;
/* Keeps the first n_rounds rounds only; names are forgotten. */
enum err_code xgb_cut(struct xgb_model *m, int64_t n_rounds, struct err *err) MUST_CHECK;
/* Names and types of the features, which the saved model carries: a booster does not take them from its
 * matrices. */
enum err_code xgb_name(struct xgb_model *m, const struct xgb_feature *f, size_t n_features,
                       struct err *err) MUST_CHECK;
/* The model as JSON text, in the arena. */
enum err_code xgb_save_json(struct xgb_model *m, struct arena *a, struct str *ret,
                            struct err *err) MUST_CHECK;
enum err_code xgb_load_json(struct xgb_model *m, struct str text, struct err *err) MUST_CHECK;
/* Predictions (n_rows x outputs), in the arena. */
enum err_code xgb_predict(struct xgb_model *m, struct xgb_matrix *rows, struct arena *a,
                          const float **ret, size_t *ret_n, struct err *err) MUST_CHECK;

struct xgb_importance {
    const char *feature;
    double gain;  /* mean gain of its splits */
    double total; /* total gain */
    int64_t splits;
};
/* In the features' order; features never split on have zeros. */
enum err_code xgb_importance(struct xgb_model *m, const struct xgb_feature *f, size_t n_features,
                             struct arena *a, struct xgb_importance **ret,
                             struct err *err) MUST_CHECK;

#endif
