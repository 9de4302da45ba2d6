/* MLflow 3: logged models. */
#include <strings.h>

#include "api/mlflow_int.h"
#include "base/check.h"

static const char *const STATUSES[] = {NULL, "LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY",
                                       "LOGGED_MODEL_UPLOAD_FAILED"};

static struct json *metric_out(struct arena *a, const struct logged_model_metric *m,
                               const char *model_id)
{
    struct json *j = mlf_metric_json(a, &m->point);
    json_set(a, j, "run_id", *m->run_id ? json_cstr(a, m->run_id) : NULL);
    json_set(a, j, "model_id", json_cstr(a, model_id));
    json_set(a, j, "dataset_name", *m->dataset_name ? json_cstr(a, m->dataset_name) : NULL);
    return json_set(a, j, "dataset_digest",
                    *m->dataset_digest ? json_cstr(a, m->dataset_digest) : NULL);
}

static struct json *model_out(struct arena *a, const struct logged_model *m)
{
    struct json *j = json_obj(a), *info = json_obj(a), *data = json_obj(a), *metrics = json_arr(a);
    json_set(a, info, "model_id", json_cstr(a, m->id));
    json_set(a, info, "experiment_id", json_fmt(a, "%lld", (long long)m->experiment_id));
    json_set(a, info, "name", json_cstr(a, m->name));
    json_set(a, info, "creation_timestamp_ms", mlf_ms(a, m->created_us));
    json_set(a, info, "last_updated_timestamp_ms", mlf_ms(a, m->updated_us));
    json_set(a, info, "artifact_uri", json_cstr(a, m->artifact_uri));
    json_set(a, info, "status", json_cstr(a, STATUSES[m->status]));
    json_set(a, info, "model_type", json_cstr(a, m->model_type));
    json_set(a, info, "source_run_id", json_cstr(a, m->source_run_id));
    json_set(a, info, "tags", mlf_tags_json(a, m->tags, m->n_tags));
    for (size_t i = 0; i < m->n_metrics; i++)
        json_add(a, metrics, metric_out(a, &m->metrics[i], m->id));
    json_set(a, data, "params", mlf_tags_json(a, m->params, m->n_params));
    json_set(a, data, "metrics", m->n_metrics ? metrics : NULL);
    json_set(a, j, "info", info);
    return json_set(a, j, "data", data);
}

static const char *model_id(struct mlflow_call *c)
{
    struct str id = http_param(c->req, "model_id");
    return str_dup(c->a, id.p ? id : STR(""));
}

static enum err_code answer_model(struct mlflow_call *c, const char *id, struct json **ret,
                                  struct err *err)
{
    struct logged_model m;
    const char *allow = mlf_str(c, c->in, "allow_deleted");
    enum err_code code = logged_model_get(c->track, id, c->a, &m, err);
    if (code == ERR_OK && m.is_deleted && !(allow && strcasecmp(allow, "true") == 0))
        code = err_set(err, ERR_NOT_FOUND, "Logged model with ID '%s' not found.", id);
    if (code == ERR_OK)
        json_set(c->a, *ret, "model", model_out(c->a, &m));
    return code;
}

static enum err_code create(struct mlflow_call *c, struct json **ret, struct err *err)
{
    struct logged_model m = {.name = mlf_str(c, c->in, "name"),
                             .model_type = mlf_str(c, c->in, "model_type"),
                             .source_run_id = mlf_str(c, c->in, "source_run_id")};
    const char *experiment = NULL;
    char id[LOGGED_MODEL_ID_BYTES];
    enum err_code code = mlf_need(c, "experiment_id", &experiment, err);
    if (code == ERR_OK)
        code = mlf_experiment_id(experiment, &m.experiment_id, err);
    if (code == ERR_OK)
        code = mlf_tags(c, mlf_list(c, "tags"), &m.tags, &m.n_tags, err);
    if (code == ERR_OK)
        code = mlf_tags(c, mlf_list(c, "params"), &m.params, &m.n_params, err);
    if (code == ERR_OK)
        code = logged_model_create(c->track, &m, id, err);
    return code == ERR_OK ? answer_model(c, id, ret, err) : code;
}

static enum err_code get(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = model_id(c);
    return id ? answer_model(c, id, ret, err) : arena_err(c->a, err);
}

static enum err_code finalize(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = model_id(c), *text = mlf_str(c, c->in, "status");
    struct logged_model_batch b = {0};
    for (int i = LOGGED_MODEL_PENDING; text && i <= LOGGED_MODEL_FAILED; i++)
        if (strcmp(text, STATUSES[i]) == 0 || (text[0] == '0' + i && !text[1]))
            b.status = (enum logged_model_status)i;
    if (!id)
        return arena_err(c->a, err);
    if (text && !b.status)
        return mlf_invalid(mlf_get(c->in, "status"), "status", err);
    enum err_code code = logged_model_log(c->track, id, &b, err);
    return code == ERR_OK ? answer_model(c, id, ret, err) : code;
}

static enum err_code params_log(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = model_id(c);
    struct tag *params = NULL;
    struct logged_model_batch b = {0};
    enum err_code code =
        id ? mlf_tags(c, mlf_list(c, "params"), &params, &b.n_params, err) : arena_err(c->a, err);
    b.params = params;
    return code == ERR_OK ? logged_model_log(c->track, id, &b, err) : code;
}

static enum err_code tags_log(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = model_id(c);
    struct tag *tags = NULL;
    struct logged_model_batch b = {0};
    enum err_code code =
        id ? mlf_tags(c, mlf_list(c, "tags"), &tags, &b.n_tags, err) : arena_err(c->a, err);
    b.tags = tags;
    if (code == ERR_OK)
        code = logged_model_log(c->track, id, &b, err);
    return code == ERR_OK ? answer_model(c, id, ret, err) : code;
}

static enum err_code tag_delete(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = model_id(c), *key = str_dup(c->a, http_param(c->req, "key"));
    return id && key ? logged_model_tag_delete(c->track, id, key, err) : arena_err(c->a, err);
}

static enum err_code delete_(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = model_id(c);
    return id ? logged_model_delete(c->track, id, err) : arena_err(c->a, err);
}

/* order_by is a list of objects here: {field_name, ascending}. */
static enum err_code order_read(struct mlflow_call *c, struct search_query *q, struct err *err)
{
    const struct json *list = mlf_list(c, "order_by");
    const char **items = ARENA_NEW_N(c->a, const char *, json_len(list));
    if (!items)
        return arena_err(c->a, err);
    for (size_t i = 0; i < json_len(list); i++) {
        const struct json *j = json_at(list, i);
        const char *field = mlf_str(c, j, "field_name");
        if (!field)
            return mlf_invalid(j, "order_by", err);
        const struct json *up = mlf_get(j, "ascending");
        bool is_down = up && up->type == JSON_BOOL && !up->u.b;
        items[i] = str_printf(c->a, "%s %s", field, is_down ? "DESC" : "ASC");
        if (!items[i])
            return arena_err(c->a, err);
    }
    q->order_by = items;
    q->n_order_by = json_len(list);
    return ERR_OK;
}

static enum err_code search(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const struct json *ids = mlf_list(c, "experiment_ids");
    struct search_query q = {.limit = 50,
                             .filter = mlf_str(c, c->in, "filter"),
                             .page_token = mlf_str(c, c->in, "page_token")};
    struct logged_model *list = NULL;
    size_t n = 0, n_ids = json_len(ids);
    char *token = NULL;
    int64_t *numbers = ARENA_NEW_N(c->a, int64_t, n_ids);
    enum err_code code = numbers ? mlf_int(c->in, "max_results", "max_results", &q.limit, err)
                                 : arena_err(c->a, err);
    if (code == ERR_OK)
        code = order_read(c, &q, err);
    for (size_t i = 0; i < n_ids && code == ERR_OK; i++) {
        const struct json *v = json_at(ids, i);
        numbers[i] = v->type == JSON_INT ? v->u.i : -1;
        if (v->type == JSON_STR && parse_i64(v->u.s, &numbers[i], NULL) != ERR_OK)
            numbers[i] = -1;
    }
    q.experiment_ids = numbers;
    q.n_experiment_ids = n_ids;
    if (code == ERR_OK && n_ids > 0)
        code = logged_model_search(c->track, &q, c->a, &list, &n, &token, err);
    if (code != ERR_OK)
        return code;
    struct json *out = json_arr(c->a);
    for (size_t i = 0; i < n; i++)
        json_add(c->a, out, model_out(c->a, &list[i]));
    json_set(c->a, *ret, "models", n ? out : NULL);
    mlf_page(c->a, *ret, token);
    return ERR_OK;
}

const struct mlflow_route MLFLOW_LOGGED_MODELS[] = {
    {"POST", "/logged-models", create},
    {"POST", "/logged-models/search", search},
    {"GET", "/logged-models/{model_id}", get},
    {"PATCH", "/logged-models/{model_id}", finalize},
    {"DELETE", "/logged-models/{model_id}", delete_},
    {"POST", "/logged-models/{model_id}/params", params_log},
    {"PATCH", "/logged-models/{model_id}/tags", tags_log},
    {"DELETE", "/logged-models/{model_id}/tags/{key}", tag_delete},
};
const size_t N_MLFLOW_LOGGED_MODELS = ARRAY_LEN(MLFLOW_LOGGED_MODELS);
