/* MLflow: model versions. A version whose files lie in this home is taken into the content store as
 * well, so that `pawl deploy models:/NAME/VERSION` can serve it. */
#include <strings.h>

#include "api/mlflow_int.h"
#include "base/check.h"
#include "base/file.h"
#include "blob/tree.h"
#include "engine/mlmodel.h"

#define VERSIONS_LIMIT_MAX SEARCH_LIMIT_MAX

/* Where a client finds the files: as it said, or the tree in the store. */
static const char *storage_of(struct arena *a, const struct model_version *v)
{
    return v->source ? v->source : str_printf(a, "mlflow-artifacts:/trees/%s", v->tree);
}

/* The logged model of a version is kept as a tag; clients see a field. */
#define MODEL_ID_TAG "pawl.model_id"

struct json *mlf_version_json(struct arena *a, const struct model_version *v)
{
    struct json *j = json_obj(a), *aliases = json_arr(a);
    for (size_t i = 0; i < v->n_tags; i++)
        if (strcmp(v->tags[i].key, MODEL_ID_TAG) == 0)
            json_set(a, j, "model_id", json_cstr(a, v->tags[i].value));
    for (size_t i = 0; i < v->n_aliases; i++)
        json_add(a, aliases, json_cstr(a, v->aliases[i]));
    json_set(a, j, "name", json_cstr(a, v->name));
    json_set(a, j, "version", json_fmt(a, "%lld", (long long)v->version));
    json_set(a, j, "creation_timestamp", mlf_ms(a, v->created_us));
    json_set(a, j, "last_updated_timestamp", mlf_ms(a, v->updated_us));
    json_set(a, j, "user_id", json_cstr(a, v->user));
    json_set(a, j, "current_stage", json_cstr(a, model_stage_name(v->stage)));
    json_set(a, j, "description", json_cstr(a, v->description));
    json_set(a, j, "source", json_cstr(a, storage_of(a, v)));
    json_set(a, j, "run_id", json_cstr(a, v->run_id));
    json_set(a, j, "run_link", json_cstr(a, v->run_link));
    json_set(a, j, "status", json_cstr(a, v->status));
    json_set(a, j, "status_message", json_cstr(a, v->status_message));
    json_set(a, j, "tags", mlf_tags_json(a, v->tags, v->n_tags));
    return json_set(a, j, "aliases", v->n_aliases ? aliases : NULL);
}

static enum err_code need_version(struct mlflow_call *c, const char **ret_name, int64_t *ret,
                                  struct err *err)
{
    const char *text = NULL;
    enum err_code code = mlf_need(c, "name", ret_name, err);
    if (code == ERR_OK)
        code = mlf_need(c, "version", &text, err);
    if (code == ERR_OK && parse_i64(str_c(text), ret, NULL) != ERR_OK)
        code = mlf_invalid(mlf_get(c->in, "version"), "version", err);
    return code;
}

static enum err_code version_out(struct mlflow_call *c, const char *name, int64_t version,
                                 struct json **ret, struct err *err)
{
    struct model_version v;
    enum err_code code = version_get(c->registry, name, version, c->a, &v, err);
    if (code == ERR_OK)
        json_set(c->a, *ret, "model_version", mlf_version_json(c->a, &v));
    return code;
}

/* ---- create ---- */

/* "models:/m-…", "models:/NAME/3" and "models:/NAME@alias" mean a place: it is found now. */
static enum err_code source_resolve(struct mlflow_call *c, const char *source, const char **ret,
                                    struct err *err)
{
    struct logged_model m;
    struct model_version v;
    enum err_code code = ERR_OK;
    *ret = source;
    if (strncmp(source, "models:/m-", 10) == 0) {
        code = logged_model_get(c->track, source + 8, c->a, &m, err);
        *ret = code == ERR_OK ? m.artifact_uri : NULL;
    } else if (strncmp(source, "models:/", 8) == 0) {
        code = version_find(c->registry, source, c->a, &v, err);
        *ret = code == ERR_OK ? storage_of(c->a, &v) : NULL;
    } else if (source[0] == '/' || source[0] == '.' || strncmp(source, "file:", 5) == 0 ||
               strstr(source, "..")) {
        code = err_set(err, ERR_INVALID,
                       "Invalid model version source: '%s'. A local path is not one that this "
                       "server may read: log the model to a run and use its artifact address.",
                       source);
    }
    return code;
}

/* Takes the files into the content store when they are ours; a model that cannot be read stays a
 * source only. */
static void files_take(struct mlflow_call *c, struct model_version *v)
{
    struct model_info info;
    struct digest model, tree;
    struct tree t;
    char *dir = mlflow_local_path(c->sv, c->a, v->source);
    char *model_hex = ARENA_NEW_N(c->a, char, DIGEST_HEX_BYTES),
         *tree_hex = ARENA_NEW_N(c->a, char, DIGEST_HEX_BYTES);
    if (!dir || !model_hex || !tree_hex || !c->sv->blobs || !dir_exists(dir) ||
        model_dir_read(dir, c->a, &info, NULL) != ERR_OK ||
        model_dir_digest(dir, c->a, &model, NULL) != ERR_OK ||
        tree_put_dir(c->sv->blobs, dir, &tree, NULL) != ERR_OK ||
        tree_read(c->sv->blobs, &tree, c->a, &t, NULL) != ERR_OK)
        return;
    digest_hex(&model, model_hex);
    digest_hex(&tree, tree_hex);
    v->digest = model_hex;
    v->tree = tree_hex;
    for (size_t i = 0; i < t.n; i++)
        v->bytes += t.files[i].bytes;
}

/* An empty text is none. */
static const char *some(const char *text)
{
    return text && *text ? text : NULL;
}

static enum err_code create(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *source = NULL, *model_id = some(mlf_str(c, c->in, "model_id"));
    struct model m;
    struct logged_model logged;
    struct version_made made;
    struct model_version v = {.run_id = some(mlf_str(c, c->in, "run_id")),
                              .run_link = mlf_str(c, c->in, "run_link"),
                              .description = mlf_str(c, c->in, "description")};
    enum err_code code = mlf_need(c, "name", &v.name, err);
    if (code == ERR_OK)
        code = mlf_need(c, "source", &source, err);
    if (code == ERR_OK)
        code = model_get(c->registry, v.name, c->a, &m, err);
    if (code == ERR_OK)
        code = source_resolve(c, source, &v.source, err);
    if (code == ERR_OK)
        code = mlf_tags(c, mlf_list(c, "tags"), &v.tags, &v.n_tags, err);
    if (code == ERR_OK && model_id)
        code = logged_model_get(c->track, model_id, c->a, &logged, err);
    if (code != ERR_OK)
        return code;
    if (model_id && !v.run_id)
        v.run_id = logged.source_run_id;
    files_take(c, &v);
    code = version_create(c->registry, &v, &made, err);
    if (code == ERR_OK && model_id)
        code = version_tag_set(c->registry, v.name, made.version, MODEL_ID_TAG, model_id, err);
    return code == ERR_OK ? version_out(c, v.name, made.version, ret, err) : code;
}

/* ---- the rest ---- */

static enum err_code get(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL;
    int64_t version = 0;
    enum err_code code = need_version(c, &name, &version, err);
    return code == ERR_OK ? version_out(c, name, version, ret, err) : code;
}

static enum err_code update(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL;
    int64_t version = 0;
    enum err_code code = need_version(c, &name, &version, err);
    if (code == ERR_OK)
        code = version_describe(c->registry, name, version, mlf_str(c, c->in, "description"), err);
    return code == ERR_OK ? version_out(c, name, version, ret, err) : code;
}

static enum err_code delete_(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL;
    int64_t version = 0;
    enum err_code code = need_version(c, &name, &version, err);
    return code == ERR_OK ? version_delete(c->registry, name, version, err) : code;
}

static enum err_code transition(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL, *text = NULL, *archive = NULL;
    const struct json *flag = mlf_get(c->in, "archive_existing_versions");
    enum model_stage stage = STAGE_NONE;
    int64_t version = 0;
    enum err_code code = need_version(c, &name, &version, err);
    if (code == ERR_OK)
        code = mlf_need(c, "stage", &text, err);
    if (code == ERR_OK && !model_stage_from_name(str_c(text), &stage))
        code = err_set(err, ERR_INVALID,
                       "Invalid Model Version stage: %s. Value must be one of None, Staging, "
                       "Production, Archived.",
                       text);
    archive = mlf_str(c, c->in, "archive_existing_versions");
    bool others = (flag && flag->type == JSON_BOOL && flag->u.b) ||
                  (archive && strcasecmp(archive, "true") == 0);
    if (code == ERR_OK)
        code = version_stage_set(c->registry, name, version, stage,
                                 others ? STAGE_MOVE_ARCHIVE_OTHERS : STAGE_MOVE_ONE, err);
    return code == ERR_OK ? version_out(c, name, version, ret, err) : code;
}

static enum err_code search(struct mlflow_call *c, struct json **ret, struct err *err)
{
    struct search_query q;
    struct model_version *list = NULL;
    size_t n = 0;
    char *token = NULL;
    enum err_code code = mlf_query(c, 10000, 200000, &q, err);
    if (q.limit > VERSIONS_LIMIT_MAX)
        q.limit = VERSIONS_LIMIT_MAX;
    if (code == ERR_OK)
        code = version_search(c->registry, &q, c->a, &list, &n, &token, err);
    struct json *out = json_arr(c->a);
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        json_add(c->a, out, mlf_version_json(c->a, &list[i]));
    json_set(c->a, *ret, "model_versions", n ? out : NULL);
    mlf_page(c->a, *ret, token);
    return code;
}

static enum err_code download_uri(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL;
    int64_t version = 0;
    struct model_version v;
    enum err_code code = need_version(c, &name, &version, err);
    if (code == ERR_OK)
        code = version_get(c->registry, name, version, c->a, &v, err);
    if (code == ERR_OK)
        json_set(c->a, *ret, "artifact_uri", json_cstr(c->a, storage_of(c->a, &v)));
    return code;
}

static enum err_code tag_set(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL, *key = NULL;
    int64_t version = 0;
    enum err_code code = need_version(c, &name, &version, err);
    if (code == ERR_OK)
        code = mlf_need(c, "key", &key, err);
    return code == ERR_OK
               ? version_tag_set(c->registry, name, version, key, mlf_str(c, c->in, "value"), err)
               : code;
}

static enum err_code tag_delete(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL, *key = NULL;
    int64_t version = 0;
    enum err_code code = need_version(c, &name, &version, err);
    if (code == ERR_OK)
        code = mlf_need(c, "key", &key, err);
    return code == ERR_OK ? version_tag_delete(c->registry, name, version, key, err) : code;
}

const struct mlflow_route MLFLOW_VERSIONS[] = {
    {"POST", "/model-versions/create", create},
    {"GET", "/model-versions/get", get},
    {"PATCH", "/model-versions/update", update},
    {"DELETE", "/model-versions/delete", delete_},
    {"POST", "/model-versions/transition-stage", transition},
    {"GET", "/model-versions/search", search},
    {"GET", "/model-versions/get-download-uri", download_uri},
    {"POST", "/model-versions/set-tag", tag_set},
    {"DELETE", "/model-versions/delete-tag", tag_delete},
};
const size_t N_MLFLOW_VERSIONS = ARRAY_LEN(MLFLOW_VERSIONS);
