/* The trees of an XGBoost file: one object of parallel arrays each. */
#include <string.h>

#include "base/check.h"
#include "model/xgboost_int.h"

/* The arrays of one tree, in the order of TREE_ARRAYS. */
enum tree_array {
    A_LEFT,
    A_RIGHT,
    A_FEATURE,
    A_DEFAULT_LEFT,
    A_SPLIT_TYPE,
    A_CAT_NODES,
    A_CAT_SEGMENTS,
    A_CAT_SIZES,
    A_CATEGORIES,
    A_INT_N,
    A_VALUE = A_INT_N,
    A_GAIN,
    A_N
};

static const struct {
    const char *key;
    bool is_required, is_per_node;
} TREE_ARRAYS[A_N] = {
    [A_LEFT] = {"left_children", true, true},
    [A_RIGHT] = {"right_children", true, true},
    [A_FEATURE] = {"split_indices", true, true},
    [A_DEFAULT_LEFT] = {"default_left", true, true},
    [A_SPLIT_TYPE] = {"split_type", false, true},
    [A_CAT_NODES] = {"categories_nodes", false, false},
    [A_CAT_SEGMENTS] = {"categories_segments", false, false},
    [A_CAT_SIZES] = {"categories_sizes", false, false},
    [A_CATEGORIES] = {"categories", false, false},
    [A_VALUE] = {"split_conditions", true, true},
    [A_GAIN] = {"loss_changes", false, true},
};

struct xgboost_tree {
    bool has[A_N];
    int64_t *ints[A_INT_N];
    float *floats[A_N];
    size_t n[A_N];
    int64_t n_nodes;   /* tree_param.num_nodes, -1: not said */
    int64_t leaf_size; /* tree_param.size_leaf_vector */
};

static enum err_code read_tree_param(struct doc *d, struct xgboost_tree *t, struct err *err)
{
    enum err_code rc = doc_enter_object(d, err);
    for (;;) {
        struct str key;
        bool has_more = false;
        if (rc == ERR_OK)
            rc = doc_next(d, &key, &has_more, err);
        if (rc != ERR_OK || !has_more)
            return rc;
        if (str_is(key, "num_nodes"))
            rc = doc_int_text(d, &t->n_nodes, err);
        else if (str_is(key, "size_leaf_vector"))
            rc = doc_int_text(d, &t->leaf_size, err);
        else
            rc = doc_skip(d, err);
        if (rc != ERR_OK)
            return err_wrap(err, "tree_param.%.*s", STR_ARG(key));
    }
}

static enum err_code read_tree_key(struct doc *d, struct str key, struct xgboost_tree *t,
                                   struct err *err)
{
    if (str_is(key, "tree_param"))
        return read_tree_param(d, t, err);
    for (size_t i = 0; i < A_N; i++) {
        if (!str_is(key, TREE_ARRAYS[i].key))
            continue;
        if (t->has[i])
            return err_set(err, ERR_PARSE, "%s: given twice", TREE_ARRAYS[i].key);
        t->has[i] = true;
        enum err_code rc = i < A_INT_N
                               ? doc_ints(d, TREE_NODES_MAX, &t->ints[i], &t->n[i], err)
                               : doc_floats(d, TREE_NODES_MAX, &t->floats[i], &t->n[i], err);
        return rc == ERR_OK ? rc : err_wrap(err, "%s", TREE_ARRAYS[i].key);
    }
    return doc_skip(d, err);
}

static enum err_code check_arrays(const struct xgboost_tree *t, struct err *err)
{
    size_t n = t->n[A_LEFT];
    if (t->leaf_size > 1)
        return err_set(
            err, ERR_UNSUPPORTED,
            "leaves are vectors of %lld values (multi_strategy=multi_output_tree): train with one "
            "tree per output",
            (long long)t->leaf_size);
    for (size_t i = 0; i < A_N; i++) {
        if (TREE_ARRAYS[i].is_required && !t->has[i])
            return err_set(err, ERR_PARSE, "%s is missing", TREE_ARRAYS[i].key);
        if (TREE_ARRAYS[i].is_per_node && t->has[i] && t->n[i] != n)
            return err_set(err, ERR_PARSE, "%s has %zu entries, left_children %zu",
                           TREE_ARRAYS[i].key, t->n[i], n);
    }
    if (t->n_nodes >= 0 && (size_t)t->n_nodes != n)
        return err_set(err, ERR_PARSE,
                       "tree_param.num_nodes is %lld, left_children has %zu entries",
                       (long long)t->n_nodes, n);
    if (t->n[A_CAT_SEGMENTS] != t->n[A_CAT_NODES] || t->n[A_CAT_SIZES] != t->n[A_CAT_NODES])
        return err_set(err, ERR_PARSE, "categories_nodes, _segments and _sizes differ in length");
    return ERR_OK;
}

static enum err_code read_tree(struct doc *d, struct tree_builder *b, struct err *err)
{
    struct xgboost_tree t = {.n_nodes = -1};
    enum err_code rc = doc_enter_object(d, err);
    while (rc == ERR_OK) {
        struct str key;
        bool has_more;
        rc = doc_next(d, &key, &has_more, err);
        if (rc != ERR_OK || !has_more)
            break;
        rc = read_tree_key(d, key, &t, err);
    }
    if (rc == ERR_OK)
        rc = check_arrays(&t, err);
    if (rc != ERR_OK)
        return rc;
    struct raw_tree raw = {
        .n = t.n[A_LEFT],
        .left = t.ints[A_LEFT],
        .right = t.ints[A_RIGHT],
        .feature = t.ints[A_FEATURE],
        .default_left = t.ints[A_DEFAULT_LEFT],
        .split_type = t.has[A_SPLIT_TYPE] ? t.ints[A_SPLIT_TYPE] : NULL,
        .value = t.floats[A_VALUE],
        .gain = t.has[A_GAIN] ? t.floats[A_GAIN] : NULL,
        .cat_nodes = t.ints[A_CAT_NODES],
        .cat_first = t.ints[A_CAT_SEGMENTS],
        .cat_n = t.ints[A_CAT_SIZES],
        .n_cat_nodes = t.n[A_CAT_NODES],
        .categories = t.ints[A_CATEGORIES],
        .n_categories = t.n[A_CATEGORIES],
    };
    return tree_builder_add(b, &raw, err);
}

enum err_code xgboost_trees_read(struct xgboost_file *f, struct tree_builder *b, struct err *err)
{
    struct doc *d = &f->trees_at;
    enum err_code rc = doc_enter_array(d, err);
    for (size_t i = 0; rc == ERR_OK; i++) {
        struct str key;
        bool has_more;
        rc = doc_next(d, &key, &has_more, err);
        if (rc != ERR_OK || !has_more)
            break;
        struct arena_mark mark = arena_mark(f->tmp);
        rc = read_tree(d, b, err);
        arena_release(f->tmp, mark);
        if (rc != ERR_OK)
            return err_wrap(err, "trees[%zu]", i);
    }
    return rc;
}
