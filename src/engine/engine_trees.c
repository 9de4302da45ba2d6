/* Native tree ensembles: inline, no I/O, no lock, no failure once open. */
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "engine/engine_int.h"

static enum engine_task task_of(enum tree_task t)
{
    static const enum engine_task TASKS[TREE_TASK_N] = {
        [TREE_BINARY] = ENGINE_BINARY,
        [TREE_MULTICLASS] = ENGINE_MULTICLASS,
        [TREE_REGRESSION] = ENGINE_REGRESSION,
        [TREE_RANKING] = ENGINE_RANKING,
    };
    CHECK(t < TREE_TASK_N);
    return TASKS[t];
}

/* The columns of the signature must be the model's features, in any order the file's names say. */
static enum err_code check_signature(const struct engine *e, const struct tree_model *m,
                                     struct err *err)
{
    const struct signature *s = &e->signature;
    bool has_columns = s->n_inputs > 0 && s->inputs[0].type != SIG_TENSOR;
    if (has_columns && s->n_inputs != tree_model_n_inputs(m))
        return err_set(err, ERR_PARSE, "the signature has %zu inputs, the model %zu features",
                       s->n_inputs, tree_model_n_inputs(m));
    return ERR_OK;
}

static enum err_code trees_open(struct engine *e, const struct json *flavor, const char *model_path,
                                struct err *err)
{
    struct arena text_arena;
    struct str text;
    struct tree_model *m = NULL;
    arena_init(&text_arena, ENGINE_MEMORY_MAX);
    enum err_code rc = file_read(model_path, TREE_FILE_BYTES_MAX, &text_arena, &text, err);
    if (rc == ERR_OK)
        rc = tree_model_read(text, &m, err);
    arena_fini(&text_arena);
    if (rc == ERR_OK)
        rc = check_signature(e, m, err);
    if (rc != ERR_OK) {
        tree_model_free(m);
        return rc;
    }
    const char *model_class = json_get_c(flavor, "model_class");
    if (model_class && strstr(model_class, ".sklearn."))
        tree_model_keep_best(m);
    e->state = m;
    e->task = task_of(tree_model_task(m));
    e->n_inputs = tree_model_n_inputs(m);
    e->n_outputs = tree_model_n_outputs(m);
    e->scratch_floats = tree_model_scratch_floats(m);
    e->memory_bytes = tree_model_size_bytes(m);
    e->objective = tree_model_objective(m);
    return ERR_OK;
}

static void trees_close(struct engine *e)
{
    tree_model_free(e->state);
    e->state = NULL;
}

static const char *trees_input_name(const struct engine *e, size_t i)
{
    return tree_model_feature(e->state, i)->name;
}

static enum err_code trees_predict(const struct engine *e, const float *rows, size_t n_rows,
                                   float *scratch, float *ret_scores, struct err *err)
{
    tree_model_predict(e->state, rows, n_rows, scratch, ret_scores);
    return ERR_OK;
}

const struct engine_kind ENGINE_TREES = {
    .name = "trees",
    .flavor = "xgboost",
    .is_inline = true,
    .open = trees_open,
    .close = trees_close,
    .input_name = trees_input_name,
    .predict = trees_predict,
};
