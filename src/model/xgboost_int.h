/* Private to the XGBoost reader: what a model file says, between its two files. */
#ifndef PAWL_MODEL_XGBOOST_INT_H
#define PAWL_MODEL_XGBOOST_INT_H

#include "model/doc.h"
#include "model/tree_int.h"

/* The versions whose files were read and compared with the library's answers. */
#define XGBOOST_MAJOR_MAX 3
#define XGBOOST_MINOR_MAX 5

struct xgboost_file {
    struct tree_model *m;
    struct arena *tmp;
    int64_t version[3];
    bool has_version, has_trees, has_booster;
    int64_t n_features, n_classes, n_targets, n_trees, n_parallel, best_iteration;
    struct str base_score, objective, booster;
    struct str *names, *types; /* of the features; none or n_features */
    size_t n_names, n_types;
    int64_t *groups;
    size_t n_groups;
    float *weight_drop; /* DART: factor of each tree */
    size_t n_weight_drop;
    struct doc trees_at; /* stands before the array of trees */
};

/* Reads the array of trees with a builder that knows the number of features. */
enum err_code xgboost_trees_read(struct xgboost_file *f, struct tree_builder *b,
                                 struct err *err) MUST_CHECK;

#endif
