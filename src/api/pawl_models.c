/* models ls, show, register, alias. */
#include <stdio.h>

#include "api/op_handlers.h"
#include "api/services.h"
#include "audit/chain.h"
#include "base/file.h"
#include "blob/tree.h"
#include "engine/engine.h"
#include "engine/mlmodel.h"
#include "registry/registry.h"

#define MODELS_LIMIT_MAX   1000
#define VERSIONS_SHOWN_MAX 1000
#define MODEL_BYTES_MAX    ((size_t)1 << 30)

static enum err_code registry_of(const struct op_call *call, struct registry **ret, struct err *err)
{
    *ret = call->sv->registry;
    return services_need(*ret, "the model registry", err);
}

enum err_code op_models_list(struct op_call *call, const struct json *in, struct json **ret,
                             struct err *err)
{
    struct arena *a = call->arena;
    struct registry *r = NULL;
    struct model *list = NULL;
    struct search_query q = {.filter = json_get_c(in, "filter"),
                             .page_token = json_get_c(in, "page_token"),
                             .limit = json_get_int(in, "limit", 0)};
    size_t n = 0;
    char *token = NULL;
    enum err_code code = registry_of(call, &r, err);
    if (code == ERR_OK && (q.limit < 1 || q.limit > MODELS_LIMIT_MAX))
        code = err_set(err, ERR_USAGE, "limit must be 1 to %d", MODELS_LIMIT_MAX);
    if (code == ERR_OK)
        code = model_search(r, &q, a, &list, &n, &token, err);
    if (code != ERR_OK)
        return code;
    struct json *out = json_arr(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, out, model_json(&list[i], a));
    *ret = json_set(a, json_set(a, json_obj(a), "models", out), "next_page_token",
                    json_cstr(a, token));
    return ERR_OK;
}

/* Every version of a model, newest first. */
static enum err_code versions_put(struct registry *r, const char *name, struct arena *a,
                                  struct json *out, struct err *err)
{
    struct model_version *list = NULL;
    const char *order = "version_number DESC";
    size_t n = 0;
    char *token = NULL, *filter = str_printf(a, "name = '%s'", name);
    struct search_query q = {
        .filter = filter, .limit = VERSIONS_SHOWN_MAX, .order_by = &order, .n_order_by = 1};
    /* A name with both kinds of quotes cannot be said in the filter language. */
    if (filter && strchr(name, '\''))
        filter = str_printf(a, "name = \"%s\"", name);
    q.filter = filter;
    enum err_code code =
        filter ? version_search(r, &q, a, &list, &n, &token, err) : arena_err(a, err);
    struct json *versions = json_arr(a);
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        json_add(a, versions, model_version_json(&list[i], a));
    json_set(a, out, "versions", versions);
    return code;
}

enum err_code op_models_show(struct op_call *call, const struct json *in, struct json **ret,
                             struct err *err)
{
    struct arena *a = call->arena;
    const char *ref = json_get_c(in, "model");
    struct registry *r = NULL;
    struct model m;
    struct model_version v;
    enum err_code code = registry_of(call, &r, err);
    if (code != ERR_OK)
        return code;
    if (strchr(ref, '@') || strchr(ref, '/')) {
        code = version_find(r, ref, a, &v, err);
        if (code == ERR_OK)
            *ret = model_version_json(&v, a);
        return code;
    }
    code = model_get(r, ref, a, &m, err);
    if (code != ERR_OK)
        return code;
    *ret = model_json(&m, a);
    return versions_put(r, ref, a, *ret, err);
}

/* ---- register ---- */

/* A directory of its own for a bare model file: what an engine reads of it becomes the signature. */
static enum err_code wrap_file(const char *path, const char *dir, int64_t at_us, struct arena *a,
                               struct err *err)
{
    struct engine *e = NULL;
    struct str text;
    struct signature s = {0};
    enum err_code code = engine_open(path, NULL, &e, err);
    if (code != ERR_OK)
        return code;
    s.n_inputs = engine_n_inputs(e);
    s.inputs = ARENA_NEW_N(a, struct sig_field, s.n_inputs);
    if (!s.inputs)
        code = arena_err(a, err);
    for (size_t i = 0; i < s.n_inputs && code == ERR_OK; i++) {
        const char *name = engine_input_name(e, i);
        s.inputs[i] = (struct sig_field){.type = SIG_DOUBLE, .is_required = true};
        s.inputs[i].name = name ? str_dup(a, str_c(name)) : str_printf(a, "f%zu", i);
        if (!s.inputs[i].name)
            code = arena_err(a, err);
    }
    if (code == ERR_OK)
        code = file_read(path, MODEL_BYTES_MAX, a, &text, err);
    const struct tree_model *trees = engine_trees(e);
    const char *version = trees ? tree_model_version(trees) : NULL;
    struct model_write w = {.booster_json = text,
                            .signature = &s,
                            .xgboost_version = version ? str_dup(a, str_c(version)) : NULL,
                            .at_us = at_us};
    engine_close(e);
    return code == ERR_OK ? model_dir_write(dir, &w, a, err) : code;
}

static int64_t tree_bytes(struct blob_store *blobs, const struct digest *d, struct arena *a)
{
    struct tree t = {0};
    int64_t bytes = 0;
    if (tree_read(blobs, d, a, &t, NULL) == ERR_OK)
        for (size_t i = 0; i < t.n; i++)
            bytes += t.files[i].bytes;
    return bytes;
}

/* Digest, tree and flavor of a model directory into the version. */
static enum err_code dir_take(struct op_call *call, const char *dir, struct model_version *v,
                              struct tag *flavor, struct err *err)
{
    struct arena *a = call->arena;
    struct model_info info;
    struct digest model, tree;
    char *model_hex = ARENA_NEW_N(a, char, DIGEST_HEX_BYTES),
         *tree_hex = ARENA_NEW_N(a, char, DIGEST_HEX_BYTES);
    enum err_code code =
        model_hex && tree_hex ? model_dir_read(dir, a, &info, err) : arena_err(a, err);
    if (code == ERR_OK)
        code = model_dir_digest(dir, a, &model, err);
    if (code == ERR_OK)
        code = tree_put_dir(call->sv->blobs, dir, &tree, err);
    if (code != ERR_OK)
        return code;
    digest_hex(&model, model_hex);
    digest_hex(&tree, tree_hex);
    v->digest = model_hex;
    v->tree = tree_hex;
    v->bytes = tree_bytes(call->sv->blobs, &tree, a);
    *flavor = (struct tag){"pawl.flavor", info.flavor ? info.flavor : "unknown"};
    if (!v->run_id)
        v->run_id = info.run_id;
    return ERR_OK;
}

static enum err_code model_take(struct op_call *call, const char *path, struct model_version *v,
                                struct tag *flavor, struct err *err)
{
    uint8_t random[8];
    char hex[17];
    if (dir_exists(path))
        return dir_take(call, path, v, flavor, err);
    random_bytes(random, sizeof(random));
    hex_encode(random, sizeof(random), hex);
    char *dir = str_printf(call->arena, "%s/tmp/register-%s", call->sv->home, hex);
    if (!dir)
        return arena_err(call->arena, err);
    enum err_code code = wrap_file(path, dir, clock_now_us(call->sv->clock), call->arena, err);
    if (code == ERR_OK)
        code = dir_take(call, dir, v, flavor, err);
    if (dir_remove(dir, NULL) != ERR_OK && code == ERR_OK)
        code = err_set(err, ERR_IO, "cannot remove %s", dir);
    return code;
}

static enum err_code registered(struct op_call *call, const struct model_version *v,
                                int64_t version, struct err *err)
{
    struct audit_chain *chain = call->sv->audit;
    char *object = str_printf(call->arena, "model:%s/%lld", v->name, (long long)version);
    struct audit_entry e = {.actor = call->actor,
                            .action = "model.register",
                            .object = object,
                            .after = v->digest,
                            .reason = v->description};
    if (!object)
        return arena_err(call->arena, err);
    return chain ? audit_write(chain, &e, NULL, err) : ERR_OK;
}

enum err_code op_models_register(struct op_call *call, const struct json *in, struct json **ret,
                                 struct err *err)
{
    struct registry *r = NULL;
    struct version_made made = {0};
    struct tag flavor = {0};
    struct model_version v = {.name = json_get_c(in, "name"),
                              .description = json_get_c(in, "description"),
                              .run_id = json_get_c(in, "run"),
                              .user = call->actor,
                              .tags = &flavor,
                              .n_tags = 1};
    struct model_version got;
    enum err_code code = registry_of(call, &r, err);
    if (code == ERR_OK)
        code = services_need(call->sv->blobs, "the content store", err);
    if (code == ERR_OK)
        code = model_take(call, json_get_c(in, "path"), &v, &flavor, err);
    if (code == ERR_OK)
        code = version_create(r, &v, &made, err);
    if (code == ERR_OK && made.is_new)
        code = registered(call, &v, made.version, err);
    if (code == ERR_OK)
        code = version_get(r, v.name, made.version, call->arena, &got, err);
    if (code != ERR_OK)
        return code;
    *ret = json_set(call->arena, model_version_json(&got, call->arena), "is_new",
                    json_bool(call->arena, made.is_new));
    return ERR_OK;
}

enum err_code op_models_alias(struct op_call *call, const struct json *in, struct json **ret,
                              struct err *err)
{
    struct registry *r = NULL;
    struct model_version v;
    struct audit_chain *chain = call->sv->audit;
    const char *name = json_get_c(in, "name"), *alias = json_get_c(in, "alias");
    int64_t version = json_get_int(in, "version", 0);
    enum err_code code = registry_of(call, &r, err);
    if (code == ERR_OK)
        code = alias_set(r, name, alias, version, err);
    char *object = str_printf(call->arena, "model:%s@%s", name, alias),
         *after = str_printf(call->arena, "%lld", (long long)version);
    struct audit_entry e = {
        .actor = call->actor, .action = "model.alias", .object = object, .after = after};
    if (code == ERR_OK && (!object || !after))
        code = arena_err(call->arena, err);
    if (code == ERR_OK && chain)
        code = audit_write(chain, &e, NULL, err);
    if (code == ERR_OK)
        code = version_get(r, name, version, call->arena, &v, err);
    if (code == ERR_OK)
        *ret = model_version_json(&v, call->arena);
    return code;
}
