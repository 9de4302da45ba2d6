#include "engine/engine_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"

static const struct engine_kind *const ENGINE_KINDS[] = {&ENGINE_TREES};

const char *engine_task_name(enum engine_task t)
{
    static const char *const NAMES[ENGINE_TASK_N] = {"binary", "multiclass", "regression",
                                                     "ranking"};
    CHECK(t < ENGINE_TASK_N);
    return NAMES[t];
}

/* The kind that understands one of the flavors. */
static enum err_code find_kind(const struct model_info *info, const struct engine_kind **ret,
                               struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(ENGINE_KINDS); i++) {
        if (json_get(info->flavors, ENGINE_KINDS[i]->flavor)) {
            *ret = ENGINE_KINDS[i];
            return ERR_OK;
        }
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "MLmodel: no engine here serves a model of flavor '%s'; served are: xgboost",
                   info->flavor);
}

static enum err_code open_dir(struct engine *e, const char *dir, struct err *err)
{
    struct model_info info;
    enum err_code rc = model_dir_read(dir, &e->arena, &info, err);
    if (rc == ERR_OK)
        rc = find_kind(&info, &e->kind, err);
    if (rc != ERR_OK)
        return rc;
    e->signature = info.signature;
    const struct json *flavor = json_get(info.flavors, e->kind->flavor);
    const char *data = json_get_c(flavor, "data");
    data = data ? data : info.data;
    if (!data)
        return err_set(err, ERR_PARSE, "MLmodel: flavors.%s.data is missing", e->kind->flavor);
    char *path = path_join(&e->arena, dir, data);
    if (!path)
        return arena_err(&e->arena, err);
    rc = e->kind->open(e, flavor, path, err);
    return rc == ERR_OK ? rc : err_wrap(err, "%s", data);
}

static enum err_code check_digest(const char *path, const struct digest *expect, struct arena *a,
                                  struct err *err)
{
    struct digest got;
    char want_hex[DIGEST_HEX_BYTES], got_hex[DIGEST_HEX_BYTES];
    enum err_code rc = model_dir_digest(path, a, &got, err);
    if (rc != ERR_OK || digest_cmp(&got, expect) == 0)
        return rc;
    digest_hex(expect, want_hex);
    digest_hex(&got, got_hex);
    return err_set(err, ERR_CORRUPT,
                   "the model's digest is %.12s, the release names %.12s: not what was evaluated",
                   got_hex, want_hex);
}

enum err_code engine_open(const char *path, const struct digest *expect, struct engine **ret,
                          struct err *err)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return err_nomem(err);
    arena_init(&e->arena, ENGINE_MEMORY_MAX);
    enum err_code rc = expect ? check_digest(path, expect, &e->arena, err) : ERR_OK;
    if (rc == ERR_OK && dir_exists(path)) {
        rc = open_dir(e, path, err);
    } else if (rc == ERR_OK) {
        e->kind = &ENGINE_TREES;
        rc = e->kind->open(e, NULL, path, err);
    }
    if (rc != ERR_OK) {
        engine_close(e);
        return err_wrap(err, "model %s", path_base(path));
    }
    *ret = e;
    return ERR_OK;
}

void engine_close(struct engine *e)
{
    if (!e)
        return;
    if (e->kind && e->state)
        e->kind->close(e);
    arena_fini(&e->arena);
    free(e);
}

const char *engine_kind(const struct engine *e)
{
    return e->kind->name;
}

bool engine_is_inline(const struct engine *e)
{
    return e->kind->is_inline;
}

enum engine_task engine_task(const struct engine *e)
{
    return e->task;
}

size_t engine_n_inputs(const struct engine *e)
{
    return e->n_inputs;
}

size_t engine_n_outputs(const struct engine *e)
{
    return e->n_outputs;
}

const char *engine_input_name(const struct engine *e, size_t i)
{
    CHECK(i < e->n_inputs);
    return e->kind->input_name(e, i);
}

const struct signature *engine_signature(const struct engine *e)
{
    return &e->signature;
}

const char *engine_objective(const struct engine *e)
{
    return e->objective;
}

size_t engine_memory_bytes(const struct engine *e)
{
    return e->memory_bytes;
}

const struct tree_model *engine_trees(const struct engine *e)
{
    return e->kind == &ENGINE_TREES ? e->state : NULL;
}

size_t engine_scratch_floats(const struct engine *e)
{
    return e->scratch_floats;
}

enum err_code engine_predict(const struct engine *e, const float *rows, size_t n_rows,
                             float *scratch, float *ret_scores, struct err *err)
{
    return e->kind->predict(e, rows, n_rows, scratch, ret_scores, err);
}
