/* Boosting with early stopping: from matrices to the cut model and its history. In children only. */
#ifndef PAWL_TRAIN_TRAIN_XGBOOST_H
#define PAWL_TRAIN_TRAIN_XGBOOST_H

#include "train/xgb.h"
#include "json/json.h"

struct boost_order {
    const char *task;          /* "binary" "multiclass" "regression" */
    const struct json *params; /* the engine's own */
    int64_t rounds, early_stopping, seed;
    int threads;
    size_t n_classes; /* multiclass */
    const struct xgb_feature *features;
    size_t n_features;
    /* After each round; may stop the training by an error. */
    enum err_code (*on_round)(void *arg, int64_t round, const struct xgb_metrics *m,
                              struct err *err);
    void *arg;
};

struct boost_result {
    struct xgb_model *model;    /* the caller frees */
    int64_t rounds;             /* trained */
    int64_t kept;               /* rounds of the model: up to the best */
    struct xgb_metrics metrics; /* of the last kept round */
};

/* validation may be NULL: then nothing stops early. Early stopping looks at the last metric of the validation matrix,
 * as the library's own wrappers do. */
enum err_code boost(const struct xgb *x, const struct boost_order *o, struct xgb_matrix *train,
                    struct xgb_matrix *validation, struct boost_result *ret,
                    struct err *err) MUST_CHECK;

#endif
