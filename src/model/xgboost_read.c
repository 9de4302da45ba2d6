/* XGBoost model files, JSON and UBJSON, written by versions 1.0 to 3.x.
 *
 * The file is gone through once for everything but the trees, whose place is remembered; then the
 * trees are read, because they stand before the number of features in the file. The version is
 * checked: a newer file may mean something else, and reading it wrongly in silence is what the
 * library itself does. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/vec.h"
#include "model/xgboost_int.h"

typedef enum err_code key_reader(struct xgboost_file *f, struct doc *d, struct str key,
                                 struct err *err);

/* Reads an object key by key; read sees each key and consumes its value. */
static enum err_code read_object(struct xgboost_file *f, struct doc *d, key_reader *read,
                                 const char *name, struct err *err)
{
    enum err_code rc = doc_enter_object(d, err);
    if (rc != ERR_OK)
        return err_wrap(err, "%s", name);
    for (;;) {
        struct str key;
        bool has_more;
        rc = doc_next(d, &key, &has_more, err);
        if (rc == ERR_OK && !has_more)
            return ERR_OK;
        if (rc == ERR_OK)
            rc = read(f, d, key, err);
        if (rc != ERR_OK)
            return name[0] ? err_wrap(err, "%s", name) : rc;
    }
}

/* "x: sentence" for the value of key x. */
static enum err_code at_key(enum err_code rc, struct str key, struct err *err)
{
    return rc == ERR_OK ? rc : err_wrap(err, "%.*s", STR_ARG(key));
}

static enum err_code read_model_param(struct xgboost_file *f, struct doc *d, struct str key,
                                      struct err *err)
{
    if (str_is(key, "num_trees"))
        return at_key(doc_int_text(d, &f->n_trees, err), key, err);
    if (str_is(key, "num_parallel_tree"))
        return at_key(doc_int_text(d, &f->n_parallel, err), key, err);
    return doc_skip(d, err);
}

static enum err_code read_weight_drop(struct xgboost_file *f, struct doc *d, struct err *err)
{
    enum err_code rc = doc_floats(d, TREE_TREES_MAX, &f->weight_drop, &f->n_weight_drop, err);
    return rc == ERR_OK ? rc : err_wrap(err, "weight_drop");
}

/* Goes over the trees; they are read later. */
static enum err_code skip_trees(struct doc *d, struct err *err)
{
    enum err_code rc = doc_enter_array(d, err);
    if (rc != ERR_OK)
        return err_wrap(err, "trees");
    for (size_t i = 0;; i++) {
        struct str key;
        bool has_more = false;
        rc = doc_next(d, &key, &has_more, err);
        if (rc == ERR_OK && !has_more)
            return ERR_OK;
        if (rc == ERR_OK)
            rc = doc_skip(d, err);
        if (rc != ERR_OK)
            return err_wrap(err, "trees[%zu]", i);
    }
}

static enum err_code read_gbtree_model(struct xgboost_file *f, struct doc *d, struct str key,
                                       struct err *err)
{
    if (str_is(key, "gbtree_model_param"))
        return read_object(f, d, read_model_param, "gbtree_model_param", err);
    if (str_is(key, "tree_info"))
        return at_key(doc_ints(d, TREE_TREES_MAX, &f->groups, &f->n_groups, err), key, err);
    if (str_is(key, "weight_drop"))
        return read_weight_drop(f, d, err);
    if (!str_is(key, "trees"))
        return doc_skip(d, err);
    if (f->has_trees)
        return err_set(err, ERR_PARSE, "trees: given twice");
    f->has_trees = true;
    f->trees_at = *d;
    return skip_trees(d, err);
}

/* Of a gbtree, or of a DART booster, whose trees are a gbtree inside it (until 3.2). */
static enum err_code read_booster(struct xgboost_file *f, struct doc *d, struct str key,
                                  struct err *err)
{
    if (str_is(key, "name")) {
        struct str name;
        enum err_code rc = doc_string(d, &name, err);
        if (rc == ERR_OK && !str_is(name, "gbtree") && !str_is(name, "dart"))
            return err_set(err, ERR_UNSUPPORTED,
                           "name: booster '%.*s'; only tree boosters (gbtree, dart) are known",
                           STR_ARG(name));
        f->booster = rc == ERR_OK ? name : f->booster;
        return rc;
    }
    if (str_is(key, "model"))
        return read_object(f, d, read_gbtree_model, "model", err);
    if (str_is(key, "gbtree"))
        return read_object(f, d, read_booster, "gbtree", err);
    if (str_is(key, "weight_drop"))
        return read_weight_drop(f, d, err);
    return doc_skip(d, err);
}

static enum err_code read_learner_param(struct xgboost_file *f, struct doc *d, struct str key,
                                        struct err *err)
{
    enum err_code rc;
    if (str_is(key, "base_score"))
        rc = doc_string(d, &f->base_score, err);
    else if (str_is(key, "num_class"))
        rc = doc_int_text(d, &f->n_classes, err);
    else if (str_is(key, "num_feature"))
        rc = doc_int_text(d, &f->n_features, err);
    else if (str_is(key, "num_target"))
        rc = doc_int_text(d, &f->n_targets, err);
    else
        rc = doc_skip(d, err);
    return at_key(rc, key, err);
}

static enum err_code read_objective(struct xgboost_file *f, struct doc *d, struct str key,
                                    struct err *err)
{
    if (str_is(key, "name"))
        return at_key(doc_string(d, &f->objective, err), key, err);
    return doc_skip(d, err);
}

/* Free text of training programs; of it only what early stopping notes. */
static enum err_code read_attribute(struct xgboost_file *f, struct doc *d, struct str key,
                                    struct err *err)
{
    struct str text;
    enum doc_kind kind;
    enum err_code rc = doc_peek(d, &kind, err);
    if (rc != ERR_OK || kind != DOC_STRING || !str_is(key, "best_iteration"))
        return rc == ERR_OK ? doc_skip(d, err) : rc;
    rc = doc_string(d, &text, err);
    if (rc == ERR_OK && parse_i64(text, &f->best_iteration, NULL) != ERR_OK)
        f->best_iteration = -1;
    return rc;
}

static enum err_code read_learner(struct xgboost_file *f, struct doc *d, struct str key,
                                  struct err *err)
{
    if (str_is(key, "feature_names"))
        return at_key(doc_strings(d, TREE_FEATURES_MAX, &f->names, &f->n_names, err), key, err);
    if (str_is(key, "feature_types"))
        return at_key(doc_strings(d, TREE_FEATURES_MAX, &f->types, &f->n_types, err), key, err);
    if (str_is(key, "gradient_booster")) {
        f->has_booster = true;
        return read_object(f, d, read_booster, "gradient_booster", err);
    }
    if (str_is(key, "attributes"))
        return read_object(f, d, read_attribute, "attributes", err);
    if (str_is(key, "learner_model_param"))
        return read_object(f, d, read_learner_param, "learner_model_param", err);
    if (str_is(key, "objective"))
        return read_object(f, d, read_objective, "objective", err);
    return doc_skip(d, err);
}

static enum err_code read_top(struct xgboost_file *f, struct doc *d, struct str key,
                              struct err *err)
{
    if (str_is(key, "learner"))
        return read_object(f, d, read_learner, "learner", err);
    if (!str_is(key, "version"))
        return doc_skip(d, err);
    int64_t *version = NULL;
    size_t n = 0;
    enum err_code rc = doc_ints(d, 3, &version, &n, err);
    if (rc == ERR_OK && n != 3)
        rc = err_set(err, ERR_PARSE, "expected three numbers");
    if (rc == ERR_OK) {
        f->has_version = true;
        memcpy(f->version, version, sizeof f->version);
    }
    return at_key(rc, key, err);
}

static enum err_code check_version(const struct xgboost_file *f, struct err *err)
{
    if (!f->has_version)
        return err_set(err, ERR_PARSE, "version: missing; is it an XGBoost model?");
    int64_t major = f->version[0], minor = f->version[1];
    if (major < 1 || minor < 0 || f->version[2] < 0)
        return err_set(err, ERR_PARSE, "version: [%lld,%lld,%lld] is none", (long long)major,
                       (long long)minor, (long long)f->version[2]);
    if (major > XGBOOST_MAJOR_MAX || (major == XGBOOST_MAJOR_MAX && minor > XGBOOST_MINOR_MAX))
        return err_set(err, ERR_UNSUPPORTED,
                       "version: written by XGBoost %lld.%lld.%lld, files are understood up to "
                       "%d.%d: save the model with "
                       "an earlier release",
                       (long long)major, (long long)minor, (long long)f->version[2],
                       XGBOOST_MAJOR_MAX, XGBOOST_MINOR_MAX);
    return ERR_OK;
}

static bool is_within(int64_t v, int64_t max)
{
    return v >= 0 && v <= max;
}

static enum err_code check_sizes(const struct xgboost_file *f, struct err *err)
{
    if (!f->has_booster || !f->has_trees)
        return err_set(err, ERR_PARSE, "learner.gradient_booster: %s",
                       f->has_booster ? "model.trees is missing" : "missing");
    if (!is_within(f->n_features, TREE_FEATURES_MAX))
        return err_set(err, ERR_LIMIT, "learner_model_param.num_feature: %lld is outside 0..%d",
                       (long long)f->n_features, TREE_FEATURES_MAX);
    if (!is_within(f->n_classes, TREE_GROUPS_MAX) || !is_within(f->n_targets, TREE_GROUPS_MAX))
        return err_set(err, ERR_LIMIT,
                       "learner_model_param: num_class %lld or num_target %lld is outside 0..%d",
                       (long long)f->n_classes, (long long)f->n_targets, TREE_GROUPS_MAX);
    if (!is_within(f->n_parallel, TREE_TREES_MAX))
        return err_set(err, ERR_LIMIT,
                       "gbtree_model_param.num_parallel_tree: %lld is outside 0..%d",
                       (long long)f->n_parallel, TREE_TREES_MAX);
    if (f->n_names && f->n_names != (size_t)f->n_features)
        return err_set(err, ERR_PARSE, "feature_names: %zu names, but num_feature is %lld",
                       f->n_names, (long long)f->n_features);
    if (f->n_types && f->n_types != (size_t)f->n_features)
        return err_set(err, ERR_PARSE, "feature_types: %zu types, but num_feature is %lld",
                       f->n_types, (long long)f->n_features);
    return ERR_OK;
}

static enum err_code make_features(struct xgboost_file *f, struct err *err)
{
    struct tree_model *m = f->m;
    m->n_features = (size_t)f->n_features;
    m->features = ARENA_NEW_N(&m->names, struct tree_feature, m->n_features + 1);
    m->version = str_printf(&m->names, "%lld.%lld.%lld", (long long)f->version[0],
                            (long long)f->version[1], (long long)f->version[2]);
    for (size_t i = 0; m->features && i < m->n_features; i++) {
        struct tree_feature *feature = &m->features[i];
        feature->name =
            f->n_names ? str_dup(&m->names, f->names[i]) : str_printf(&m->names, "f%zu", i);
        feature->is_category = f->n_types && str_is(f->types[i], "c");
        if (!feature->name)
            return arena_err(&m->names, err);
    }
    return m->features && m->version ? ERR_OK : arena_err(&m->names, err);
}

static enum err_code make_objective(struct xgboost_file *f, struct err *err)
{
    struct tree_model *m = f->m;
    m->objective = tree_objective_find(f->objective);
    m->n_groups = (size_t)(f->n_classes > f->n_targets ? f->n_classes : f->n_targets);
    m->n_groups = m->n_groups ? m->n_groups : 1;
    m->best_iteration = f->best_iteration;
    m->n_iteration_trees = m->n_groups * (size_t)(f->n_parallel > 1 ? f->n_parallel : 1);
    if (m->objective) {
        if (m->objective->task == TREE_MULTICLASS && m->n_groups < 2)
            return err_set(err, ERR_PARSE,
                           "learner_model_param.num_class: %s needs at least two classes",
                           m->objective->name);
        return ERR_OK;
    }
    struct buf names;
    buf_init(&names, ERR_MSG_BYTES);
    tree_objective_names(&names);
    enum err_code rc =
        err_set(err, ERR_UNSUPPORTED, "objective.name: '%.*s' is not known; known are %.*s",
                STR_ARG(f->objective), STR_ARG(buf_view(&names)));
    buf_fini(&names);
    return rc;
}

/* "5E-1", or since 3.1 "[5E-1]" or "[1E-1,2E-1]"; output space, one for all outputs or one for
 * each. */
static enum err_code make_base_margin(struct xgboost_file *f, struct err *err)
{
    struct tree_model *m = f->m;
    struct str rest = str_trim(f->base_score);
    if (rest.n >= 2 && rest.p[0] == '[' && rest.p[rest.n - 1] == ']')
        rest = str_n(rest.p + 1, rest.n - 2);
    m->base_margin = ARENA_NEW_N(&m->names, float, m->n_groups);
    if (!m->base_margin)
        return arena_err(&m->names, err);
    size_t n = 0;
    while (rest.p && n < m->n_groups) {
        struct str part = str_trim(str_split(&rest, ','));
        float score;
        if (!doc_parse_f32(part, &score))
            return err_set(err, ERR_PARSE, "learner_model_param.base_score: '%.*s' is not a number",
                           STR_ARG(part));
        if (!tree_link_margin(m->objective->link, score, &m->base_margin[n]))
            return err_set(err, ERR_RANGE,
                           "learner_model_param.base_score: %.*s is impossible for %s",
                           STR_ARG(part), m->objective->name);
        n++;
    }
    if (rest.p || n == 0 || (n > 1 && n != m->n_groups))
        return err_set(err, ERR_PARSE, "learner_model_param.base_score: '%.*s' for %zu outputs",
                       STR_ARG(f->base_score), m->n_groups);
    for (size_t i = n; i < m->n_groups; i++)
        m->base_margin[i] = m->base_margin[0];
    return ERR_OK;
}

static enum err_code make_trees(struct xgboost_file *f, struct err *err)
{
    struct tree_builder b;
    enum err_code rc = tree_builder_init(&b, f->m, f->tmp, err);
    if (rc == ERR_OK)
        rc = xgboost_trees_read(f, &b, err);
    size_t n = f->m->n_trees;
    if (rc == ERR_OK && (f->n_groups != n || (f->n_trees >= 0 && (size_t)f->n_trees != n)))
        rc = err_set(err, ERR_PARSE,
                     "%zu trees, but tree_info has %zu entries and num_trees is %lld", n,
                     f->n_groups, (long long)f->n_trees);
    if (rc == ERR_OK && f->n_weight_drop && f->n_weight_drop != n)
        rc = err_set(err, ERR_PARSE, "weight_drop: %zu weights for %zu trees", f->n_weight_drop, n);
    for (size_t i = 0; rc == ERR_OK && i < f->n_weight_drop; i++)
        tree_builder_scale(&b, i, f->weight_drop[i]);
    if (rc == ERR_OK)
        rc = tree_builder_end(&b, f->groups, err);
    tree_builder_fini(&b);
    return rc;
}

static enum err_code read_file(struct doc *d, struct tree_model *m, struct arena *tmp,
                               struct err *err)
{
    struct xgboost_file f = {
        .m = m, .tmp = tmp, .n_features = -1, .n_trees = -1, .best_iteration = -1};
    enum err_code rc = read_object(&f, d, read_top, "", err);
    if (rc == ERR_OK)
        rc = check_version(&f, err);
    if (rc == ERR_OK)
        rc = check_sizes(&f, err);
    if (rc == ERR_OK)
        rc = make_features(&f, err);
    if (rc == ERR_OK)
        rc = make_objective(&f, err);
    if (rc == ERR_OK)
        rc = make_base_margin(&f, err);
    if (rc == ERR_OK)
        rc = make_trees(&f, err);
    return rc;
}

/* An object whose first key stands in quotes. */
bool xgboost_json_is_it(struct str text)
{
    struct str s = str_trim(text);
    if (s.n == 0 || s.p[0] != '{')
        return false;
    s = str_trim(str_n(s.p + 1, s.n - 1));
    return s.n == 0 || s.p[0] == '"' || s.p[0] == '}';
}

enum err_code xgboost_json_read(struct str text, struct tree_model *m, struct arena *tmp,
                                struct err *err)
{
    struct doc d;
    doc_init_json(&d, text, tmp);
    enum err_code rc = read_file(&d, m, tmp, err);
    struct str tail = str_trim(str_n(d.p, (size_t)(d.end - d.p)));
    if (rc == ERR_OK && tail.n)
        rc = doc_err(&d, err, "text behind the end of the model");
    return rc;
}

/* An object whose first key has a UBJSON length. */
bool xgboost_ubjson_is_it(struct str text)
{
    return text.n > 2 && text.p[0] == '{' && memchr("iUIlL#$", text.p[1], 7) != NULL;
}

enum err_code xgboost_ubjson_read(struct str text, struct tree_model *m, struct arena *tmp,
                                  struct err *err)
{
    struct doc d;
    doc_init_ubjson(&d, text, tmp);
    return read_file(&d, m, tmp, err);
}
