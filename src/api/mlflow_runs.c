/* MLflow: runs, metrics, params, tags, inputs. */
#include <stdio.h>

#include "api/mlflow_int.h"
#include "base/check.h"
#include "base/vec.h"

#define METRICS_MAX  1000
#define PARAMS_MAX   100
#define TAGS_MAX     100
#define BATCH_MAX    1000
#define PARAM_CHARS  6000
#define HISTORY_TAG  "mlflow.log-model.history"
#define HISTORY_RUNS 100

/* ---- pieces of answers ---- */

struct json *mlf_metric_json(struct arena *a, const struct metric_point *m)
{
    struct json *j = json_obj(a);
    json_set(a, j, "key", json_cstr(a, m->key));
    json_set(a, j, "value", json_num(a, m->value));
    json_set(a, j, "timestamp", mlf_ms(a, m->at_us));
    return json_set(a, j, "step", json_int(a, m->step));
}

struct json *mlf_run_info_json(struct arena *a, const struct run_info *r)
{
    struct json *j = json_obj(a);
    json_set(a, j, "run_id", json_cstr(a, r->id));
    json_set(a, j, "run_uuid", json_cstr(a, r->id));
    json_set(a, j, "run_name", json_cstr(a, r->name));
    json_set(a, j, "experiment_id", json_fmt(a, "%lld", (long long)r->experiment_id));
    json_set(a, j, "user_id", json_cstr(a, r->user));
    json_set(a, j, "status", json_cstr(a, run_status_name(r->status)));
    json_set(a, j, "start_time", mlf_ms(a, r->start_us));
    json_set(a, j, "end_time", mlf_ms(a, r->end_us));
    json_set(a, j, "artifact_uri", json_cstr(a, r->artifact_uri));
    return json_set(a, j, "lifecycle_stage", json_cstr(a, r->is_deleted ? "deleted" : "active"));
}

static struct json *dataset_json(struct arena *a, const struct run_input *in)
{
    struct json *d = json_obj(a), *j = json_obj(a);
    json_set(a, d, "name", json_cstr(a, in->name));
    json_set(a, d, "digest", json_cstr(a, in->digest));
    json_set(a, d, "source_type", json_cstr(a, in->source_type));
    json_set(a, d, "source", json_cstr(a, in->source));
    json_set(a, d, "schema", json_cstr(a, in->schema));
    json_set(a, d, "profile", json_cstr(a, in->profile));
    json_set(a, j, "tags", mlf_tags_json(a, in->tags, in->n_tags));
    return json_set(a, j, "dataset", d);
}

/* Models on one side of the run; NULL when there is none. */
static struct json *models_json(struct mlflow_call *c, const char *run_id, enum run_model_side side)
{
    struct run_model *list = NULL;
    size_t n = 0;
    struct json *out = json_arr(c->a);
    if (run_models_get(c->track, run_id, side, c->a, &list, &n, NULL) != ERR_OK || n == 0)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        struct json *m = json_obj(c->a);
        json_set(c->a, m, "model_id", json_cstr(c->a, list[i].model_id));
        if (side == RUN_MODEL_OUTPUT)
            json_set(c->a, m, "step", json_int(c->a, list[i].step));
        json_add(c->a, out, m);
    }
    return out;
}

struct json *mlf_run_json(struct mlflow_call *c, const struct run *r)
{
    struct arena *a = c->a;
    struct json *j = json_obj(a), *data = json_obj(a), *metrics = json_arr(a),
                *params = json_arr(a), *datasets = json_arr(a);
    for (size_t i = 0; i < r->n_metrics; i++)
        json_add(a, metrics, mlf_metric_json(a, &r->metrics[i]));
    for (size_t i = 0; i < r->n_params; i++) {
        struct json *p = json_obj(a);
        json_set(a, p, "key", json_cstr(a, r->params[i].key));
        json_add(a, params, json_set(a, p, "value", json_cstr(a, r->params[i].value)));
    }
    for (size_t i = 0; i < r->n_inputs; i++)
        json_add(a, datasets, dataset_json(a, &r->inputs[i]));
    json_set(a, data, "metrics", r->n_metrics ? metrics : NULL);
    json_set(a, data, "params", r->n_params ? params : NULL);
    json_set(a, data, "tags", mlf_tags_json(a, r->tags, r->n_tags));
    json_set(a, j, "info", mlf_run_info_json(a, &r->info));
    json_set(a, j, "data", data);
    struct json *inputs = json_obj(a);
    json_set(a, inputs, "dataset_inputs", r->n_inputs ? datasets : NULL);
    return json_set(a, j, "inputs", inputs);
}

/* The models that a run made and read hang on the whole run only: searches leave them out. */
static struct json *run_with_models(struct mlflow_call *c, const struct run *r)
{
    struct json *j = mlf_run_json(c, r);
    struct json *inputs = (struct json *)(uintptr_t)json_get(j, "inputs");
    struct json *made = models_json(c, r->info.id, RUN_MODEL_OUTPUT);
    json_set(c->a, inputs, "model_inputs", models_json(c, r->info.id, RUN_MODEL_INPUT));
    if (made)
        json_set(c->a, j, "outputs", json_set(c->a, json_obj(c->a), "model_outputs", made));
    return j;
}

/* ---- runs ---- */

static enum err_code need_run(struct mlflow_call *c, const char **ret, struct err *err)
{
    const char *old = mlf_str(c, c->in, "run_uuid");
    if (!mlf_str(c, c->in, "run_id") && old && *old) {
        *ret = old;
        return ERR_OK;
    }
    return mlf_need(c, "run_id", ret, err);
}

static enum err_code create(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *experiment = mlf_str(c, c->in, "experiment_id");
    struct run_new n = {.name = mlf_str(c, c->in, "run_name"),
                        .user = mlf_str(c, c->in, "user_id")};
    struct tag *tags = NULL;
    struct run r;
    char id[RUN_ID_BYTES];
    int64_t start_ms = 0;
    enum err_code code = mlf_int(c->in, "start_time", "start_time", &start_ms, err);
    if (code == ERR_OK && experiment && *experiment)
        code = mlf_experiment_id(experiment, &n.experiment_id, err);
    if (code == ERR_OK)
        code = mlf_tags(c, mlf_list(c, "tags"), &tags, &n.n_tags, err);
    n.tags = tags;
    n.start_us = start_ms * US_PER_MS;
    if (code == ERR_OK)
        code = run_create(c->track, &n, id, err);
    if (code == ERR_OK)
        code = run_get(c->track, id, c->a, &r, err);
    if (code == ERR_OK)
        json_set(c->a, *ret, "run", mlf_run_json(c, &r));
    return code;
}

static enum err_code status_read(struct mlflow_call *c, struct run_update *u, struct err *err)
{
    static const char *const NUMBERS = "12345"; /* MLflow's, in the order of ours */
    const char *text = mlf_str(c, c->in, "status");
    if (!text)
        return ERR_OK;
    u->has_status = true;
    const char *at = text[0] && !text[1] ? strchr(NUMBERS, text[0]) : NULL;
    if (at)
        u->status = (enum run_status)(at - NUMBERS);
    else if (!run_status_from_name(str_c(text), &u->status))
        return mlf_invalid(mlf_get(c->in, "status"), "status", err);
    return ERR_OK;
}

static enum err_code update(struct mlflow_call *c, struct json **ret, struct err *err)
{
    struct run_update u = {.name = mlf_str(c, c->in, "run_name")};
    const char *id = NULL;
    struct run r;
    int64_t end_ms = 0;
    u.has_name = u.name && *u.name;
    u.has_end = mlf_get(c->in, "end_time") != NULL;
    enum err_code code = need_run(c, &id, err);
    if (code == ERR_OK)
        code = status_read(c, &u, err);
    if (code == ERR_OK)
        code = mlf_int(c->in, "end_time", "end_time", &end_ms, err);
    u.end_us = end_ms * US_PER_MS;
    if (code == ERR_OK)
        code = run_update(c->track, id, &u, err);
    if (code == ERR_OK)
        code = run_get(c->track, id, c->a, &r, err);
    if (code == ERR_OK)
        json_set(c->a, *ret, "run_info", mlf_run_info_json(c->a, &r.info));
    return code;
}

static enum err_code get(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = NULL;
    struct run r;
    enum err_code code = need_run(c, &id, err);
    if (code == ERR_OK)
        code = run_get(c->track, id, c->a, &r, err);
    if (code == ERR_OK)
        json_set(c->a, *ret, "run", run_with_models(c, &r));
    return code;
}

static enum err_code delete_(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = NULL;
    enum err_code code = need_run(c, &id, err);
    return code == ERR_OK ? run_delete(c->track, id, err) : code;
}

static enum err_code restore(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = NULL;
    enum err_code code = need_run(c, &id, err);
    return code == ERR_OK ? run_restore(c->track, id, err) : code;
}

static enum err_code search(struct mlflow_call *c, struct json **ret, struct err *err)
{
    struct search_query q;
    struct run *runs = NULL;
    const struct json *ids = mlf_list(c, "experiment_ids");
    size_t n = 0, n_ids = json_len(ids);
    char *token = NULL;
    int64_t *list = ARENA_NEW_N(c->a, int64_t, n_ids);
    enum err_code code =
        list ? mlf_query(c, 1000, SEARCH_LIMIT_MAX, &q, err) : arena_err(c->a, err);
    for (size_t i = 0; i < n_ids && code == ERR_OK; i++) {
        const struct json *v = json_at(ids, i);
        struct str text = v->type == JSON_STR ? v->u.s : STR("");
        if (v->type == JSON_INT)
            list[i] = v->u.i;
        else if (parse_i64(text, &list[i], NULL) != ERR_OK)
            list[i] = -1; /* no such experiment: no runs */
    }
    q.experiment_ids = list;
    q.n_experiment_ids = n_ids;
    if (code == ERR_OK && n_ids > 0)
        code = run_search(c->track, &q, c->a, &runs, &n, &token, err);
    if (code != ERR_OK)
        return code;
    struct json *out = json_arr(c->a);
    for (size_t i = 0; i < n; i++)
        json_add(c->a, out, mlf_run_json(c, &runs[i]));
    json_set(c->a, *ret, "runs", out);
    mlf_page(c->a, *ret, token);
    return ERR_OK;
}

/* ---- logging ---- */

struct metric_extra {
    const char *model_id, *dataset_name, *dataset_digest;
};

static enum err_code metric_missing(const char *what, const char *at, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "Missing value for required parameter '%s%s'. See the API docs for more "
                   "information about request parameters.",
                   at, what);
}

/* at: "" or "metrics[3]." for messages. */
static enum err_code metric_read(struct mlflow_call *c, const struct json *j, const char *at,
                                 struct metric_point *ret, struct metric_extra *extra,
                                 struct err *err)
{
    char name[64];
    int64_t ms = 0;
    const struct json *value = mlf_get(j, "value");
    ret->key = mlf_str(c, j, "key");
    if (!ret->key || !*ret->key)
        return metric_missing("key", at, err);
    if (!value)
        return metric_missing("value", at, err);
    snprintf(name, sizeof(name), "%svalue", at);
    struct str text = value->type == JSON_STR ? value->u.s : STR_NONE;
    if (!json_as_f64(value, &ret->value) &&
        (!text.p || parse_f64(text, &ret->value, NULL) != ERR_OK))
        return mlf_invalid(value, name, err);
    if (!mlf_get(j, "timestamp"))
        return metric_missing("timestamp", at, err);
    snprintf(name, sizeof(name), "%stimestamp", at);
    enum err_code code = mlf_int(j, "timestamp", name, &ms, err);
    snprintf(name, sizeof(name), "%sstep", at);
    if (code == ERR_OK)
        code = mlf_int(j, "step", name, &ret->step, err);
    if (code == ERR_OK && (ms < 0 || ms > INT64_MAX / US_PER_MS))
        code = mlf_invalid(mlf_get(j, "timestamp"), "timestamp", err);
    ret->at_us = ms * US_PER_MS;
    *extra = (struct metric_extra){mlf_str(c, j, "model_id"), mlf_str(c, j, "dataset_name"),
                                   mlf_str(c, j, "dataset_digest")};
    return code;
}

/* A metric of a logged model is kept with the model too. */
static enum err_code model_metric(struct mlflow_call *c, const char *run_id,
                                  const struct metric_point *m, const struct metric_extra *x,
                                  struct err *err)
{
    struct logged_model_metric lm = {*m, run_id, x->dataset_name, x->dataset_digest};
    struct logged_model_batch b = {.metrics = &lm, .n_metrics = 1};
    return x->model_id && *x->model_id ? logged_model_log(c->track, x->model_id, &b, err) : ERR_OK;
}

static enum err_code log_metric(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = NULL;
    struct metric_point m = {0};
    struct metric_extra extra;
    struct run_batch b = {.metrics = &m, .n_metrics = 1};
    enum err_code code = need_run(c, &id, err);
    if (code == ERR_OK)
        code = metric_read(c, c->in, "", &m, &extra, err);
    if (code == ERR_OK)
        code = run_log(c->track, id, &b, err);
    return code == ERR_OK ? model_metric(c, id, &m, &extra, err) : code;
}

static enum err_code log_param(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = NULL, *key = NULL, *value = mlf_str(c, c->in, "value");
    enum err_code code = need_run(c, &id, err);
    if (code == ERR_OK)
        code = mlf_need(c, "key", &key, err);
    struct param p = {key, mlf_truncate(c->a, value ? value : "", PARAM_CHARS)};
    struct run_batch b = {.params = &p, .n_params = 1};
    return code == ERR_OK ? run_log(c->track, id, &b, err) : code;
}

static enum err_code tag_set(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = NULL, *key = NULL, *value = mlf_str(c, c->in, "value");
    enum err_code code = need_run(c, &id, err);
    if (code == ERR_OK)
        code = mlf_need(c, "key", &key, err);
    struct tag t = {key, mlf_truncate(c->a, value ? value : "", 8000)};
    struct run_batch b = {.tags = &t, .n_tags = 1};
    return code == ERR_OK ? run_log(c->track, id, &b, err) : code;
}

static enum err_code tag_delete(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = NULL, *key = NULL;
    enum err_code code = need_run(c, &id, err);
    if (code == ERR_OK)
        code = mlf_need(c, "key", &key, err);
    return code == ERR_OK ? run_tag_delete(c->track, id, key, err) : code;
}

static enum err_code too_many(const char *what, size_t n, size_t max, struct err *err)
{
    return err_set(
        err, ERR_INVALID,
        "A batch logging request can contain at most %zu %s. Got %zu %s. Please split up "
        "%s across multiple requests and try again.",
        max, what, n, what, what);
}

static enum err_code batch_sizes(size_t metrics, size_t params, size_t tags, struct err *err)
{
    if (metrics > METRICS_MAX)
        return too_many("metrics", metrics, METRICS_MAX, err);
    if (params > PARAMS_MAX)
        return too_many("params", params, PARAMS_MAX, err);
    if (tags > TAGS_MAX)
        return too_many("tags", tags, TAGS_MAX, err);
    if (metrics + params + tags > BATCH_MAX)
        return too_many("metrics, params, and tags", metrics + params + tags, BATCH_MAX, err);
    return ERR_OK;
}

static enum err_code params_read(struct mlflow_call *c, const struct json *list,
                                 struct run_batch *b, struct err *err)
{
    struct param *params = ARENA_NEW_N(c->a, struct param, json_len(list));
    if (!params)
        return arena_err(c->a, err);
    for (size_t i = 0; i < json_len(list); i++) {
        const char *value = mlf_str(c, json_at(list, i), "value");
        params[i].key = mlf_str(c, json_at(list, i), "key");
        params[i].value = mlf_truncate(c->a, value ? value : "", PARAM_CHARS);
        if (!params[i].key || !*params[i].key)
            return err_set(err, ERR_INVALID,
                           "Missing value for required parameter 'params[%zu].key'. See the API "
                           "docs for more information about request parameters.",
                           i);
    }
    b->params = params;
    b->n_params = json_len(list);
    return ERR_OK;
}

static enum err_code log_batch(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const struct json *metrics = mlf_list(c, "metrics"), *params = mlf_list(c, "params"),
                      *tags = mlf_list(c, "tags");
    size_t n = json_len(metrics);
    struct metric_point *points = ARENA_NEW_N(c->a, struct metric_point, n);
    struct metric_extra *extras = ARENA_NEW_N(c->a, struct metric_extra, n);
    struct tag *tag_list = NULL;
    struct run_batch b = {.metrics = points, .n_metrics = n};
    const char *id = NULL;
    char at[32];
    enum err_code code = points && extras ? need_run(c, &id, err) : arena_err(c->a, err);
    if (code == ERR_OK)
        code = batch_sizes(n, json_len(params), json_len(tags), err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        snprintf(at, sizeof(at), "metrics[%zu].", i);
        code = metric_read(c, json_at(metrics, i), at, &points[i], &extras[i], err);
    }
    if (code == ERR_OK)
        code = params_read(c, params, &b, err);
    if (code == ERR_OK)
        code = mlf_tags(c, tags, &tag_list, &b.n_tags, err);
    b.tags = tag_list;
    if (code == ERR_OK)
        code = run_log(c->track, id, &b, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        code = model_metric(c, id, &points[i], &extras[i], err);
    return code;
}

/* ---- inputs and outputs ---- */

static enum err_code input_read(struct mlflow_call *c, const struct json *j, struct run_input *ret,
                                struct err *err)
{
    const struct json *d = mlf_get(j, "dataset");
    struct tag *tags = NULL;
    *ret = (struct run_input){.name = mlf_str(c, d, "name"),
                              .digest = mlf_str(c, d, "digest"),
                              .source_type = mlf_str(c, d, "source_type"),
                              .source = mlf_str(c, d, "source"),
                              .schema = mlf_str(c, d, "schema"),
                              .profile = mlf_str(c, d, "profile")};
    const struct {
        const char *value, *name;
    } needed[] = {{ret->name, "name"},
                  {ret->digest, "digest"},
                  {ret->source_type, "source_type"},
                  {ret->source, "source"}};
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        if (!needed[i].value || !*needed[i].value)
            return err_set(
                err, ERR_INVALID,
                "Missing value for required parameter 'datasets.dataset.%s'. See the API "
                "docs for more information about request parameters.",
                needed[i].name);
    enum err_code code = mlf_tags(c, mlf_get(j, "tags"), &tags, &ret->n_tags, err);
    ret->tags = tags;
    return code;
}

static enum err_code edges_log(struct mlflow_call *c, const char *id, enum run_model_side side,
                               struct err *err)
{
    const struct json *list = mlf_list(c, "models");
    size_t n = json_len(list);
    struct run_model *models = ARENA_NEW_N(c->a, struct run_model, n);
    enum err_code code = models ? ERR_OK : arena_err(c->a, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        models[i].model_id = mlf_str(c, json_at(list, i), "model_id");
        code = models[i].model_id ? mlf_int(json_at(list, i), "step", "step", &models[i].step, err)
                                  : err_set(err, ERR_INVALID, "a model needs its model_id");
    }
    return code == ERR_OK && n > 0 ? run_models_put(c->track, id, side, models, n, err) : code;
}

static enum err_code log_inputs(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const struct json *list = mlf_list(c, "datasets");
    size_t n = json_len(list);
    struct run_input *inputs = ARENA_NEW_N(c->a, struct run_input, n);
    struct run_batch b = {.inputs = inputs, .n_inputs = n};
    const char *id = NULL;
    enum err_code code = inputs ? need_run(c, &id, err) : arena_err(c->a, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        code = input_read(c, json_at(list, i), &inputs[i], err);
    if (code == ERR_OK)
        code = run_log(c->track, id, &b, err);
    return code == ERR_OK ? edges_log(c, id, RUN_MODEL_INPUT, err) : code;
}

static enum err_code log_outputs(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = NULL;
    enum err_code code = need_run(c, &id, err);
    return code == ERR_OK ? edges_log(c, id, RUN_MODEL_OUTPUT, err) : code;
}

/* MLflow 2 keeps the models of a run as a JSON list in a tag. */
static enum err_code log_model(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *id = NULL, *text = NULL;
    struct json *model = NULL, *all = json_arr(c->a), *old = NULL;
    struct run r;
    struct buf out;
    enum err_code code = need_run(c, &id, err);
    if (code == ERR_OK)
        code = mlf_need(c, "model_json", &text, err);
    if (code == ERR_OK && json_read(str_c(text), c->a, &model, NULL) != ERR_OK)
        code = err_set(err, ERR_INVALID, "Malformed model info. The model_json is not JSON.");
    if (code == ERR_OK)
        code = run_get(c->track, id, c->a, &r, err);
    for (size_t i = 0; code == ERR_OK && i < r.n_tags; i++)
        if (strcmp(r.tags[i].key, HISTORY_TAG) == 0 &&
            json_read(str_c(r.tags[i].value), c->a, &old, NULL) == ERR_OK && old->type == JSON_ARR)
            all = old;
    if (code != ERR_OK)
        return code;
    json_add(c->a, all, model);
    buf_init(&out, 1 << 20);
    code = json_write(all, JSON_COMPACT, &out, err);
    struct tag t = {HISTORY_TAG, out.p};
    struct run_batch b = {.tags = &t, .n_tags = 1};
    /* A history that outgrew a tag starts again with this model. */
    if (code == ERR_OK && out.n > 8000) {
        buf_reset(&out);
        code = json_write(json_add(c->a, json_arr(c->a), model), JSON_COMPACT, &out, err);
        t.value = out.p;
    }
    if (code == ERR_OK && out.n <= 8000)
        code = run_log(c->track, id, &b, err);
    buf_fini(&out);
    return code;
}

/* ---- history ---- */

static enum err_code history(struct mlflow_call *c, struct json **ret, struct err *err)
{
    struct history_query q = {0};
    struct metric_point *points = NULL;
    const char *token = mlf_str(c, c->in, "page_token");
    size_t n = 0;
    enum err_code code = need_run(c, &q.run_id, err);
    if (code == ERR_OK)
        code = mlf_need(c, "metric_key", &q.key, err);
    if (code == ERR_OK)
        code = mlf_int(c->in, "max_results", "max_results", &q.limit, err);
    if (code == ERR_OK && token && *token &&
        (parse_i64(str_c(token), &q.offset, NULL) != ERR_OK || q.offset < 0))
        code = err_set(err, ERR_INVALID, "Invalid page token: %s", token);
    int64_t limit = q.limit;
    q.limit = limit > 0 ? limit + 1 : 0;
    if (code == ERR_OK)
        code = metric_history(c->track, &q, c->a, &points, &n, err);
    if (code != ERR_OK)
        return code;
    bool has_more = limit > 0 && n > (size_t)limit;
    struct json *out = json_arr(c->a);
    for (size_t i = 0; i < (has_more ? (size_t)limit : n); i++)
        json_add(c->a, out, mlf_metric_json(c->a, &points[i]));
    json_set(c->a, *ret, "metrics", out);
    if (has_more)
        json_set(c->a, *ret, "next_page_token",
                 json_fmt(c->a, "%lld", (long long)(q.offset + limit)));
    return ERR_OK;
}

/* Several runs' points of one key, for the page of MLflow. */
static enum err_code history_bulk(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const struct json *ids = mlf_list(c, "run_id");
    struct history_query q = {.limit = 25000};
    struct json *out = json_arr(c->a);
    int64_t left = 25000;
    enum err_code code = mlf_need(c, "metric_key", &q.key, err);
    if (code == ERR_OK && json_len(ids) > HISTORY_RUNS)
        code = err_set(err, ERR_INVALID, "at most %d runs at once", HISTORY_RUNS);
    if (code == ERR_OK)
        code = mlf_int(c->in, "max_results", "max_results", &left, err);
    for (size_t i = 0; i < json_len(ids) && code == ERR_OK && left > 0; i++) {
        struct metric_point *points = NULL;
        size_t n = 0;
        q.run_id = json_at(ids, i)->type == JSON_STR ? str_dup(c->a, json_at(ids, i)->u.s) : "";
        q.limit = left;
        code = metric_history(c->track, &q, c->a, &points, &n, err);
        for (size_t k = 0; k < n && code == ERR_OK; k++)
            json_add(c->a, out,
                     json_set(c->a, mlf_metric_json(c->a, &points[k]), "run_id",
                              json_cstr(c->a, q.run_id)));
        left -= (int64_t)n;
    }
    json_set(c->a, *ret, "metrics", out);
    return code;
}

const struct mlflow_route MLFLOW_RUNS[] = {
    {"POST", "/runs/create", create},
    {"POST", "/runs/update", update},
    {"GET", "/runs/get", get},
    {"POST", "/runs/delete", delete_},
    {"POST", "/runs/restore", restore},
    {"POST", "/runs/search", search},
    {"POST", "/runs/log-metric", log_metric},
    {"POST", "/runs/log-parameter", log_param},
    {"POST", "/runs/set-tag", tag_set},
    {"POST", "/runs/delete-tag", tag_delete},
    {"POST", "/runs/log-batch", log_batch},
    {"POST", "/runs/log-inputs", log_inputs},
    {"POST", "/runs/outputs", log_outputs},
    {"POST", "/runs/log-model", log_model},
    {"GET", "/metrics/get-history", history},
    {"GET", "/metrics/get-history-bulk", history_bulk},
    {"GET", "/artifacts/list", mlflow_run_artifacts},
};
const size_t N_MLFLOW_RUNS = ARRAY_LEN(MLFLOW_RUNS);
