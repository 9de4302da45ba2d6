#include "model/tree_model.h"

#include <stdlib.h>

#include "base/check.h"
#include "model/tree_int.h"

#define READ_MEMORY_MAX (INT64_C(4) << 30) /* staging while a file is read */

const struct tree_format TREE_FORMATS[] = {
    {"xgboost-json", xgboost_json_is_it, xgboost_json_read},
    {"xgboost-ubjson", xgboost_ubjson_is_it, xgboost_ubjson_read},
};
const size_t TREE_N_FORMATS = ARRAY_LEN(TREE_FORMATS);

/* Files that people try and that no reader takes: say what to do. */
static enum err_code refuse(struct str text, struct err *err)
{
    if (str_starts(text, STR("binf")) || str_starts(text, STR("bs64")) ||
        (text.n > 4 && text.p[4] == 0))
        return err_set(err, ERR_UNSUPPORTED,
                       "XGBoost's old binary format: load it with the library that wrote it and "
                       "save it as .json");
    if (str_starts(text, STR("tree\n")))
        return err_set(err, ERR_UNSUPPORTED, "LightGBM text models are not read yet");
    return err_set(err, ERR_UNSUPPORTED, "not a tree model: expected XGBoost JSON or UBJSON");
}

enum err_code tree_model_read(struct str text, struct tree_model **ret, struct err *err)
{
    const struct tree_format *format = NULL;
    for (size_t i = 0; i < TREE_N_FORMATS && !format; i++) {
        if (TREE_FORMATS[i].is_it(text))
            format = &TREE_FORMATS[i];
    }
    if (!format)
        return refuse(text, err);
    if ((int64_t)text.n > TREE_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a model file of more than %lld bytes",
                       (long long)TREE_FILE_BYTES_MAX);
    struct tree_model *m = calloc(1, sizeof *m);
    if (!m)
        return err_nomem(err);
    struct arena tmp;
    arena_init(&tmp, READ_MEMORY_MAX);
    arena_init(&m->names, READ_MEMORY_MAX);
    m->format = format->name;
    enum err_code rc = format->read(text, m, &tmp, err);
    arena_fini(&tmp);
    if (rc != ERR_OK) {
        tree_model_free(m);
        return rc;
    }
    *ret = m;
    return ERR_OK;
}

void tree_model_free(struct tree_model *m)
{
    if (!m)
        return;
    arena_fini(&m->names);
    free(m->nodes);
    free(m->roots);
    free(m->groups);
    free(m->blocks);
    free(m->sets);
    free(m->set_words);
    free(m);
}

void tree_model_keep_best(struct tree_model *m)
{
    if (m->best_iteration < 0 || m->best_iteration >= TREE_TREES_MAX)
        return;
    size_t n = ((size_t)m->best_iteration + 1) * m->n_iteration_trees;
    if (n >= m->n_trees)
        return;
    m->n_trees = n;
    m->n_blocks = (n + TREE_LANES - 1) / TREE_LANES;
    for (size_t i = n; i < m->n_blocks * TREE_LANES; i++)
        m->groups[i] = TREE_GROUPS_MAX; /* summed by none */
}

size_t tree_model_n_inputs(const struct tree_model *m)
{
    return m->n_features;
}

size_t tree_model_n_outputs(const struct tree_model *m)
{
    return m->n_groups;
}

size_t tree_model_n_groups(const struct tree_model *m)
{
    return m->n_groups;
}

size_t tree_model_n_trees(const struct tree_model *m)
{
    return m->n_trees;
}

size_t tree_model_n_nodes(const struct tree_model *m)
{
    return m->n_nodes;
}

size_t tree_model_size_bytes(const struct tree_model *m)
{
    return sizeof *m + m->names.used_bytes + m->n_nodes * sizeof *m->nodes +
           m->n_blocks * (sizeof *m->blocks + TREE_LANES * (sizeof *m->roots + sizeof *m->groups)) +
           m->n_sets * sizeof *m->sets + m->n_set_words * sizeof *m->set_words;
}

enum tree_task tree_model_task(const struct tree_model *m)
{
    return m->objective->task;
}

const char *tree_model_objective(const struct tree_model *m)
{
    return m->objective->name;
}

const char *tree_model_format(const struct tree_model *m)
{
    return m->format;
}

const char *tree_model_version(const struct tree_model *m)
{
    return m->version;
}

const struct tree_feature *tree_model_feature(const struct tree_model *m, size_t i)
{
    CHECK(i < m->n_features);
    return &m->features[i];
}
