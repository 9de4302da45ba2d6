/* MLflow: experiments. */
#include "api/mlflow_int.h"
#include "base/check.h"

static struct json *experiment_out(struct arena *a, const struct experiment *e)
{
    struct json *j = json_obj(a);
    json_set(a, j, "experiment_id", json_fmt(a, "%lld", (long long)e->id));
    json_set(a, j, "name", json_cstr(a, e->name));
    json_set(a, j, "artifact_location",
             e->artifact_location ? json_cstr(a, e->artifact_location)
                                  : json_fmt(a, "mlflow-artifacts:/%lld", (long long)e->id));
    json_set(a, j, "lifecycle_stage", json_cstr(a, e->is_deleted ? "deleted" : "active"));
    json_set(a, j, "creation_time", mlf_ms(a, e->created_us));
    json_set(a, j, "last_update_time", mlf_ms(a, e->updated_us));
    return json_set(a, j, "tags", mlf_tags_json(a, e->tags, e->n_tags));
}

static enum err_code need_id(struct mlflow_call *c, int64_t *ret, struct err *err)
{
    const char *text = NULL;
    enum err_code code = mlf_need(c, "experiment_id", &text, err);
    return code == ERR_OK ? mlf_experiment_id(text, ret, err) : code;
}

static enum err_code create(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL, *location = mlf_str(c, c->in, "artifact_location");
    struct tag *tags = NULL;
    size_t n_tags = 0;
    int64_t id = 0;
    enum err_code code = mlf_need(c, "name", &name, err);
    if (code == ERR_OK)
        code = mlf_tags(c, mlf_list(c, "tags"), &tags, &n_tags, err);
    if (code == ERR_OK)
        code = experiment_create(c->track, name, location && *location ? location : NULL, tags,
                                 n_tags, &id, err);
    if (code == ERR_OK)
        json_set(c->a, *ret, "experiment_id", json_fmt(c->a, "%lld", (long long)id));
    return code;
}

static enum err_code get(struct mlflow_call *c, struct json **ret, struct err *err)
{
    struct experiment e;
    int64_t id = 0;
    enum err_code code = need_id(c, &id, err);
    if (code == ERR_OK)
        code = experiment_get(c->track, id, c->a, &e, err);
    if (code == ERR_OK)
        json_set(c->a, *ret, "experiment", experiment_out(c->a, &e));
    return code;
}

static enum err_code get_by_name(struct mlflow_call *c, struct json **ret, struct err *err)
{
    struct experiment e;
    const char *name = NULL;
    enum err_code code = mlf_need(c, "experiment_name", &name, err);
    if (code == ERR_OK)
        code = experiment_get_by_name(c->track, name, c->a, &e, err);
    if (code == ERR_OK)
        json_set(c->a, *ret, "experiment", experiment_out(c->a, &e));
    return code;
}

static enum err_code search(struct mlflow_call *c, struct json **ret, struct err *err)
{
    struct search_query q;
    struct experiment *list = NULL;
    size_t n = 0;
    char *token = NULL;
    enum err_code code = mlf_query(c, 1000, SEARCH_LIMIT_MAX, &q, err);
    if (code == ERR_OK)
        code = experiment_search(c->track, &q, c->a, &list, &n, &token, err);
    struct json *out = json_arr(c->a);
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        json_add(c->a, out, experiment_out(c->a, &list[i]));
    json_set(c->a, *ret, "experiments", out);
    mlf_page(c->a, *ret, token);
    return code;
}

static enum err_code delete_(struct mlflow_call *c, struct json **ret, struct err *err)
{
    int64_t id = 0;
    enum err_code code = need_id(c, &id, err);
    return code == ERR_OK ? experiment_delete(c->track, id, err) : code;
}

static enum err_code restore(struct mlflow_call *c, struct json **ret, struct err *err)
{
    int64_t id = 0;
    enum err_code code = need_id(c, &id, err);
    return code == ERR_OK ? experiment_restore(c->track, id, err) : code;
}

static enum err_code update(struct mlflow_call *c, struct json **ret, struct err *err)
{
    int64_t id = 0;
    const char *name = mlf_str(c, c->in, "new_name");
    enum err_code code = need_id(c, &id, err);
    return code == ERR_OK && name && *name ? experiment_rename(c->track, id, name, err) : code;
}

static enum err_code tag_set(struct mlflow_call *c, struct json **ret, struct err *err)
{
    int64_t id = 0;
    const char *key = NULL, *value = mlf_str(c, c->in, "value");
    enum err_code code = need_id(c, &id, err);
    if (code == ERR_OK)
        code = mlf_need(c, "key", &key, err);
    return code == ERR_OK ? experiment_tag_set(c->track, id, key, value, err) : code;
}

static enum err_code tag_delete(struct mlflow_call *c, struct json **ret, struct err *err)
{
    int64_t id = 0;
    const char *key = NULL;
    enum err_code code = need_id(c, &id, err);
    if (code == ERR_OK)
        code = mlf_need(c, "key", &key, err);
    return code == ERR_OK ? experiment_tag_delete(c->track, id, key, err) : code;
}

const struct mlflow_route MLFLOW_EXPERIMENTS[] = {
    {"POST", "/experiments/create", create},
    {"GET", "/experiments/get", get},
    {"GET", "/experiments/get-by-name", get_by_name},
    {"POST", "/experiments/search", search},
    {"GET", "/experiments/search", search},
    {"POST", "/experiments/delete", delete_},
    {"POST", "/experiments/restore", restore},
    {"POST", "/experiments/update", update},
    {"POST", "/experiments/set-experiment-tag", tag_set},
    {"POST", "/experiments/delete-experiment-tag", tag_delete},
};
const size_t N_MLFLOW_EXPERIMENTS = ARRAY_LEN(MLFLOW_EXPERIMENTS);
