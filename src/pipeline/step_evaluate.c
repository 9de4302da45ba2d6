/* profile (what a model version carries: baseline, calibration, regression rows) and evaluate (candidate, incumbent, best and
 * baseline on the same benchmark rows). */
#include <math.h>

#include "base/check.h"
#include "base/file.h"
#include "engine/mlmodel.h"
#include "pipeline/evaluate.h"
#include "pipeline/pipe.h"
#include "project/revision.h"

#define REGRESSION_ROWS 100
#define LATENCY_CALLS   2000

enum err_code pipe_checkout_tree(struct pipe *p, const char *hex, const char *dir, struct err *err)
{
    struct digest d;
    enum err_code code = digest_parse(str_c(hex), &d, err);
    if (code == ERR_OK)
        code = dir_remove(dir, err);
    if (code == ERR_OK)
        code = tree_materialize(p->host->blobs, &d, dir, err);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "model directory %.12s", hex);
}

/* ---- profile ---- */

static enum err_code profile_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    struct json *def = json_obj(a);
    (void)err;
    (void)json_set(a, def, "spec", p->spec->evaluate.spec);
    (void)json_set(a, def, "regression_rows", json_int(a, REGRESSION_ROWS));
    struct pipe_parts x = {.definition = def, .inputs = pipe_inputs(s)};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

static enum err_code profile_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    const char *dir = pipe_tmp(p, s, ".model"), *dataset = NULL;
    struct json *args = json_obj(a), *out = NULL;
    struct digest model;
    if (dir == NULL)
        return arena_err(a, err);
    enum err_code code = pipe_blob_path(p, step_out(p->dataset, "blob"), a, &dataset, err);
    if (code == ERR_OK)
        code = pipe_checkout_tree(p, step_out(p->train, "tree"), dir, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, args, "dataset", json_cstr(a, dataset));
    (void)json_set(a, args, "model", json_cstr(a, dir));
    (void)json_set(a, args, "spec", p->spec->evaluate.spec);
    (void)json_set(a, args, "seed", json_int(a, 0));
    (void)json_set(a, args, "regression_rows", json_int(a, REGRESSION_ROWS));
    struct pipe_call call = {.op = "evaluate.profile", .args = args};
    code = pipe_call(p, s, &call, &out, err);
    if (code == ERR_OK)
        code = model_dir_digest(dir, a, &model, err);
    if (code == ERR_OK)
        code = pipe_keep_tree(p, s, dir, out, err);
    if (code == ERR_OK)
        code = dir_remove(dir, err);
    if (code != ERR_OK)
        return code;
    *ret = json_set(a, out, "digest", json_hex(a, &model));
    return ERR_OK;
}

const struct step_ops STEP_PROFILE = {"profile", profile_parts, profile_run, pipe_has_blobs};

/* ---- which rows a model of another revision sees ---- */

static bool has_column(const struct json *columns, const char *name)
{
    for (size_t i = 0; i < json_len(columns); i++) {
        const char *have = json_get_c(json_at(columns, i), "name");
        if (have != NULL && strcmp(have, name) == 0)
            return true;
    }
    return false;
}

/* Does the run's data set hold what this plan reads, from the same versions of the views? */
static bool is_served(struct pipe *p, const struct json *plan, struct arena *a)
{
    const struct json *columns = json_get(p->dataset->out, "columns");
    const struct json *views = p->views != NULL ? json_get(p->views->out, "views") : NULL;
    const struct json *request = json_get(plan, "request"), *lookups = json_get(plan, "lookups");
    for (size_t i = 0; i < json_len(request); i++) {
        const char *name = json_get_c(json_at(request, i), "name");
        if (name == NULL || !has_column(columns, name))
            return false;
    }
    for (size_t i = 0; i < json_len(lookups); i++) {
        const struct json *l = json_at(lookups, i);
        const struct json *mine = pipe_view(views, json_get_c(l, "view"));
        if (mine == NULL || !str_eq(json_get_str(mine, "version"), json_get_str(l, "version")))
            return false;
        for (size_t k = 0; k < json_len(json_get(l, "columns")); k++) {
            const char *c = json_get_c(json_at(json_get(l, "columns"), k), "name");
            const char *whole = str_printf(a, "%s.%s", json_get_c(l, "view"), c);
            if (whole == NULL || !has_column(columns, whole))
                return false;
        }
    }
    return true;
}

static enum err_code read_plan(struct pipe *p, const char *tree, struct arena *a, struct json **ret,
                               struct err *err)
{
    struct digest d;
    struct str text = STR_NONE;
    enum err_code code = digest_parse(str_c(tree), &d, err);
    if (code == ERR_OK)
        code = tree_read_file(p->host->blobs, &d, "pawl/plan.json", PIPE_BLOB_MAX, a, &text, err);
    if (code == ERR_OK)
        code = json_read(text, a, ret, err);
    return code;
}

/* The candidate's rows, label and splits with the features of another revision, as a step of its own in the cache. */
static enum err_code build_peer(struct pipe *p, struct step *s, const struct pipeline_spec *peer,
                                struct json **ret, struct err *err)
{
    struct arena *a = &s->arena;
    struct dataset_spec mixed = p->spec->dataset;
    struct json *views = json_arr(a), *in = json_obj(a), *def = json_obj(a);
    mixed.features = peer->dataset.features;
    mixed.n_features = peer->dataset.n_features;
    for (size_t i = 0; i < peer->features.n; i++)
        (void)json_add(a, views, view_spec_json(&peer->features.p[i], a));
    for (size_t i = 0; i < p->spec->sources.n; i++)
        (void)json_set(a, in, str_dup(a, p->spec->sources.p[i].name),
                       json_hex(a, &p->sources[i].version.digest));
    (void)json_set(a, def, "views", views);
    (void)json_set(a, def, "dataset", dataset_spec_json(&mixed, a));
    struct pipe_parts x = {.definition = def,
                           .inputs = in,
                           .parameters = json_copy(a, json_get(p->dataset->parts, "parameters")),
                           .versions = json_copy(a, json_get(p->dataset->parts, "versions"))};
    struct dataset_order o = {.dataset = &mixed,
                              .views = &peer->features,
                              .benchmark_until_us =
                                  json_get_time(p->dataset->out, "benchmark_until")};
    struct json *parts = pipe_parts_json(&x, a);
    char key[DIGEST_HEX_BYTES];
    enum err_code code = step_key("peer-dataset", parts, key, err);
    if (code == ERR_OK)
        code = cache_get(p, key, a, ret, err);
    if (code != ERR_OK || (*ret != NULL && pipe_has_blobs(p, s, *ret)))
        return code;
    code = pipe_dataset_build(p, s, &o, ret, err);
    if (code == ERR_OK)
        code = cache_put(p, &(struct cache_row){key, "peer-dataset", s->name, *ret, parts}, err);
    return code;
}

static enum err_code peer_dataset(struct pipe *p, struct step *s, const struct pipeline_model *m,
                                  const char **ret_path, struct err *err)
{
    struct arena *a = &s->arena;
    struct json *plan = NULL, *out = NULL;
    struct cfg_problems ps;
    struct pipeline_spec peer = {0};
    const char *dir = str_printf(a, "%s/%s.%s.revision", p->tmp, s->name, m->role);
    *ret_path = NULL;
    enum err_code code = read_plan(p, m->tree, a, &plan, err);
    if (code == ERR_NOT_FOUND || (code == ERR_OK && is_served(p, plan, a))) {
        err_reset(err);
        return ERR_OK;
    }
    if (code != ERR_OK || m->revision == NULL || dir == NULL)
        return code;
    cfg_problems_init(&ps, a);
    code = dir_remove(dir, err);
    if (code == ERR_OK)
        code = revision_checkout(p->host->blobs, m->revision, dir, err);
    if (code == ERR_OK)
        code = pipeline_spec_read(dir, a, &peer, &ps, err);
    if (code == ERR_OK && peer.has_dataset)
        code = build_peer(p, s, &peer, &out, err);
    if (code == ERR_OK && out != NULL)
        code = pipe_blob_path(p, json_get_c(out, "blob"), a, ret_path, err);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "rows for %s", m->role);
}

/* ---- models side by side ---- */

static enum err_code model_args(struct pipe *p, struct step *s, const struct pipeline_model *m,
                                struct json *list, struct err *err)
{
    struct arena *a = &s->arena;
    struct json *v = m->baseline != NULL ? json_copy(a, m->baseline) : json_obj(a);
    const char *dir = str_printf(a, "%s/%s.%s.model", p->tmp, s->name, m->role), *dataset = NULL;
    enum err_code code = ERR_OK;
    (void)json_set(a, v, "name", json_cstr(a, m->role));
    if (m->baseline == NULL) {
        code = dir != NULL ? pipe_checkout_tree(p, m->tree, dir, err) : arena_err(a, err);
        if (code == ERR_OK)
            code = peer_dataset(p, s, m, &dataset, err);
        (void)json_set(a, v, "dir", json_cstr(a, dir));
        (void)json_set(a, v, "id", json_cstr(a, m->label != NULL ? m->label : m->tree));
        (void)json_set(a, v, "dataset", json_cstr(a, dataset));
        if (!isnan(m->threshold))
            (void)json_set(a, v, "threshold", json_num(a, m->threshold));
    }
    (void)json_add(a, list, v);
    return code;
}

enum err_code pipe_evaluate_models(struct pipe *p, struct step *s,
                                   const struct pipeline_models *models, struct json **ret,
                                   struct err *err)
{
    struct arena *a = &s->arena;
    struct json *args = json_obj(a), *list = json_arr(a);
    const char *dataset = NULL;
    enum err_code code = pipe_blob_path(p, step_out(p->dataset, "blob"), a, &dataset, err);
    for (size_t i = 0; code == ERR_OK && i < models->n; i++)
        code = model_args(p, s, &models->p[i], list, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, args, "dataset", json_cstr(a, dataset));
    (void)json_set(a, args, "models", list);
    (void)json_set(a, args, "spec", p->spec->evaluate.spec);
    (void)json_set(a, args, "cases", p->spec->evaluate.cases);
    (void)json_set(a, args, "gates",
                   models->gates != NULL ? json_copy(a, models->gates) : p->spec->evaluate.gates);
    (void)json_set(a, args, "benchmark_version", json_cstr(a, step_out(p->dataset, "digest")));
    (void)json_set(a, args, "seed", json_int(a, 0));
    (void)json_set(a, args, "latency_calls", json_int(a, LATENCY_CALLS));
    struct pipe_call call = {.op = "evaluate.run", .args = args};
    code = pipe_call(p, s, &call, ret, err);
    for (size_t i = 0; i < models->n; i++) {
        const char *dir = json_get_c(json_at(list, i), "dir");
        if (dir != NULL && code == ERR_OK)
            code = dir_remove(dir, err);
    }
    return code;
}

/* ---- evaluate ---- */

static bool has_incumbent(const struct pipe *p)
{
    for (size_t i = 0; i < p->order->n_peers; i++) {
        if (strcmp(p->order->peers[i].role, "incumbent") == 0)
            return true;
    }
    return false;
}

static enum err_code evaluate_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    struct json *def = json_obj(a), *params = json_obj(a);
    const struct pipeline_evaluate *e = &p->spec->evaluate;
    (void)err;
    (void)json_set(a, def, "spec", e->spec);
    (void)json_set(a, def, "cases", e->cases);
    (void)json_set(a, def, "gates", e->gates);
    (void)json_set(a, def, "baselines", e->baselines[has_incumbent(p)]);
    (void)json_set(a, def, "latency_calls", json_int(a, LATENCY_CALLS));
    for (size_t i = 0; i < p->order->n_peers; i++)
        (void)json_set(a, params, p->order->peers[i].role, json_cstr(a, p->order->peers[i].tree));
    struct pipe_parts x = {.definition = def, .inputs = pipe_inputs(s), .parameters = params};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

/* Candidate first, then the caller's peers, then the baselines that gates name. */
static size_t gather(struct pipe *p, struct pipeline_model ms[PIPELINE_MODELS_MAX])
{
    const struct json *baselines = p->spec->evaluate.baselines[has_incumbent(p)];
    struct arena *a = &p->evaluate->arena;
    size_t n = 0;
    ms[n++] = (struct pipeline_model){.role = "candidate",
                                      .tree = step_out(p->profile, "tree"),
                                      .label = step_out(p->profile, "digest"),
                                      .threshold =
                                          json_get_f64(p->profile->out, "threshold", (double)NAN)};
    for (size_t i = 0; i < p->order->n_peers && n < PIPELINE_MODELS_MAX; i++)
        ms[n++] = (struct pipeline_model){.role = p->order->peers[i].role,
                                          .tree = p->order->peers[i].tree,
                                          .revision = p->order->peers[i].revision,
                                          .label = p->order->peers[i].label,
                                          .threshold = p->order->peers[i].threshold};
    for (size_t i = 0; i < json_len(baselines) && n < PIPELINE_MODELS_MAX; i++) {
        const struct json_member *b = &baselines->u.obj.members[i];
        if (b->val->type == JSON_OBJ)
            ms[n++] = (struct pipeline_model){
                .role = str_dup(a, b->key), .baseline = b->val, .threshold = (double)NAN};
    }
    return n;
}

/* The candidate's metrics on the benchmark rows. */
static const struct json *candidate_metrics(const struct json *report, const char **ret_split)
{
    const char *split = json_get_c(json_get(report, "benchmark"), "split");
    const struct json *of = json_path(report, "models.candidate.splits");
    *ret_split = split != NULL ? split : "test";
    return json_get(json_get(of, *ret_split), "metrics");
}

static enum err_code log_metrics(struct pipe *p, struct step *s, const struct json *metrics,
                                 struct err *err)
{
    struct arena *a = &s->arena;
    struct metric_point *list = ARENA_NEW_N(a, struct metric_point, json_len(metrics) + 1);
    size_t n = 0;
    if (list == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < json_len(metrics); i++) {
        const struct json_member *m = &metrics->u.obj.members[i];
        list[n].key = str_dup(a, m->key);
        list[n].at_us = clock_now_us(p->host->clock);
        if (json_as_f64(json_get(m->val, "value"), &list[n].value))
            n++;
    }
    struct run_batch b = {.metrics = list, .n_metrics = n};
    enum err_code code = ERR_OK;
    if (s->child_run[0] != '\0')
        code = run_log(p->host->track, s->child_run, &b, err);
    if (code == ERR_OK && p->run_id[0] != '\0')
        code = run_log(p->host->track, p->run_id, &b, err);
    return code;
}

static enum err_code evaluate_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    struct pipeline_model ms[PIPELINE_MODELS_MAX];
    struct pipeline_models models = {.p = ms, .n = gather(p, ms)};
    struct json *report = NULL, *out = json_obj(a);
    const char *split = NULL;
    struct digest d;
    struct buf text;
    buf_init(&text, PIPE_BLOB_MAX);
    enum err_code code = pipe_evaluate_models(p, s, &models, &report, err);
    if (code == ERR_OK)
        code = json_write(report, JSON_CANONICAL, &text, err);
    if (code == ERR_OK)
        code = blob_put_bytes(p->host->blobs, buf_view(&text), &d, err);
    buf_fini(&text);
    const struct json *metrics = code == ERR_OK ? candidate_metrics(report, &split) : NULL;
    if (code == ERR_OK)
        code = log_metrics(p, s, metrics, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, out, "split", json_cstr(a, split));
    (void)json_set(a, out, "metrics", metrics != NULL ? json_copy(a, metrics) : NULL);
    (void)json_set(a, out, "digest", json_hex(a, &d));
    (void)json_set(a, out, "report", json_hex(a, &d));
    (void)json_set(a, out, "threshold",
                   json_copy(a, json_path(report, "models.candidate.threshold.value")));
    *ret = out;
    return ERR_OK;
}

const struct step_ops STEP_EVALUATE = {"evaluate", evaluate_parts, evaluate_run, pipe_has_blobs};
