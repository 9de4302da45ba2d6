/* train.xgboost and train.versions: the glue between data set, plan, library and model directory. */
#include "train/train_worker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "engine/engine.h"
#include "engine/mlmodel.h"
#include "train/train_data.h"
#include "train/train_package.h"
#include "train/train_xgboost.h"

#define TRAIN_MEMORY_MAX ((size_t)64 << 30)

/* Everything one training holds; fini in one place. */
struct session {
    struct worker *w;
    const struct json *args;
    struct arena data; /* rows: may be large, apart from the request's arena */
    struct table *table;
    const struct xgb *xgb;
    struct train_plan plan;
    struct train_rows train, validation;
    bool has_validation;
    float *train_values, *validation_values;
    struct xgb_feature *features;
    struct xgb_matrix *m_train, *m_validation;
    struct boost_result boost;
};

static void session_fini(struct session *s)
{
    xgb_model_free(s->boost.model);
    xgb_matrix_free(s->m_train);
    xgb_matrix_free(s->m_validation);
    free(s->train_values);
    free(s->validation_values);
    table_close(s->table);
    arena_fini(&s->data);
}

static struct train_pick pick(const struct session *s, const char *split)
{
    bool is_train = strcmp(split, "train") == 0;
    return (struct train_pick){.path = json_get_c(s->args, "dataset"),
                               .split = split,
                               .sample = is_train ? json_get_f64(s->args, "sample", 1) : 1,
                               .seed = json_get_int(s->args, "seed", 0)};
}

/* Loads both splits and closes the dictionaries over the training rows. */
static enum err_code load_data(struct session *s, struct err *err)
{
    const struct json *doc = json_get(s->args, "plan");
    struct table_options opt = {.n_threads = (int)json_get_int(s->args, "threads", 2),
                                .temp_dir = json_get_c(s->args, "temp_dir")};
    struct train_pick train = pick(s, "train"), validation = pick(s, "validation");
    struct plan *open = NULL;
    if (doc == NULL || train.path == NULL || json_get_c(s->args, "out") == NULL)
        return err_set(err, ERR_INVALID, "train.xgboost needs dataset, plan and out");
    enum err_code code = table_open(&opt, &s->table, err);
    if (code == ERR_OK)
        code = plan_read(doc, &s->data, &open, err);
    if (code == ERR_OK)
        code = train_rows_load(s->table, open, &train, &s->data, &s->train, err);
    if (code == ERR_OK)
        code = train_plan_finish(open, doc, &s->train, &s->data, &s->plan, err);
    if (code != ERR_OK)
        return code;
    code = train_rows_load(s->table, s->plan.p, &validation, &s->data, &s->validation, err);
    s->has_validation = code == ERR_OK;
    if (code == ERR_EMPTY && json_get_int(s->args, "early_stopping", 0) == 0) {
        err_reset(err);
        code = ERR_OK;
    }
    return code;
}

static enum err_code make_matrix(struct session *s, const struct train_rows *rows, float **values,
                                 struct xgb_matrix **ret, struct err *err)
{
    enum err_code code = train_matrix(s->plan.p, rows, values, err);
    struct xgb_table t = {.values = *values,
                          .n_rows = rows->n,
                          .n_features = plan_n_inputs(s->plan.p),
                          .features = s->features,
                          .labels = rows->labels,
                          .threads = (int)json_get_int(s->args, "threads", 2)};
    return code == ERR_OK ? xgb_matrix_new(s->xgb, &t, ret, err) : code;
}

static enum err_code make_matrices(struct session *s, struct err *err)
{
    size_t k = plan_n_inputs(s->plan.p);
    s->features = ARENA_NEW_N(&s->data, struct xgb_feature, k);
    if (s->features == NULL)
        return arena_err(&s->data, err);
    for (size_t i = 0; i < k; i++) {
        s->features[i].name = plan_input(s->plan.p, i)->name;
        s->features[i].is_category = plan_input(s->plan.p, i)->is_category;
    }
    enum err_code code = make_matrix(s, &s->train, &s->train_values, &s->m_train, err);
    if (code == ERR_OK && s->has_validation)
        code = make_matrix(s, &s->validation, &s->validation_values, &s->m_validation, err);
    return code;
}

static enum err_code on_round(void *arg, int64_t round, const struct xgb_metrics *m,
                              struct err *err)
{
    struct session *s = arg;
    struct arena *a = worker_arena(s->w);
    struct arena_mark mark = arena_mark(a);
    struct json *rec = json_obj(a), *values = json_obj(a);
    int64_t rounds = json_get_int(s->args, "rounds", 100);
    for (size_t i = 0; i < m->n; i++)
        (void)json_set(a, values, m->p[i].key, json_num(a, m->p[i].value));
    (void)json_set(a, rec, "step", json_int(a, round));
    (void)json_set(a, rec, "metrics", values);
    enum err_code code = worker_record(s->w, "metrics", rec, err);
    worker_progress(s->w, (double)(round + 1) / (double)rounds, "round %lld, %s %.5g",
                    (long long)round + 1, m->n > 0 ? m->p[m->n - 1].key : "",
                    m->n > 0 ? m->p[m->n - 1].value : 0);
    arena_release(a, mark);
    return code;
}

static enum err_code run_boost(struct session *s, struct err *err)
{
    const char *task = json_get_c(s->args, "task");
    struct boost_order o = {.task = task != NULL ? task : "binary",
                            .params = json_get(s->args, "params"),
                            .rounds = json_get_int(s->args, "rounds", 100),
                            .early_stopping = json_get_int(s->args, "early_stopping", 0),
                            .seed = json_get_int(s->args, "seed", 0),
                            .threads = (int)json_get_int(s->args, "threads", 2),
                            .n_classes = (size_t)json_get_int(s->args, "classes", 0),
                            .features = s->features,
                            .n_features = plan_n_inputs(s->plan.p),
                            .on_round = on_round,
                            .arg = s};
    return boost(s->xgb, &o, s->m_train, s->has_validation ? s->m_validation : NULL, &s->boost,
                 err);
}

static struct json *importance_json(struct session *s, struct arena *a, struct err *err)
{
    struct xgb_importance *rows = NULL;
    struct json *list = json_arr(a);
    size_t k = plan_n_inputs(s->plan.p);
    double sum = 0;
    if (xgb_importance(s->boost.model, s->features, k, a, &rows, err) != ERR_OK)
        return NULL;
    for (size_t i = 0; i < k; i++)
        sum += rows[i].total;
    for (size_t i = 0; i < k; i++) {
        struct json *r = json_obj(a);
        (void)json_set(a, r, "feature", json_cstr(a, rows[i].feature));
        (void)json_set(a, r, "gain", json_num(a, rows[i].gain));
        (void)json_set(a, r, "share", json_num(a, sum > 0 ? rows[i].total / sum : 0));
        (void)json_set(a, r, "splits", json_int(a, rows[i].splits));
        (void)json_add(a, list, r);
    }
    return list;
}

static enum err_code write_model(struct session *s, const struct json *importance, struct err *err)
{
    struct arena *a = worker_arena(s->w);
    struct str booster = STR_NONE, plan = STR_NONE, gain = STR_NONE;
    struct signature sig = {0};
    enum err_code code = xgb_save_json(s->boost.model, &s->data, &booster, err);
    if (code == ERR_OK)
        code = train_json_text(s->plan.doc, a, &plan, err);
    if (code == ERR_OK)
        code = train_json_text(importance, a, &gain, err);
    if (code == ERR_OK)
        code = train_signature(s->plan.p, json_get_c(s->args, "task"),
                               (size_t)json_get_int(s->args, "classes", 0), a, &sig, err);
    if (code != ERR_OK)
        return code;
    struct model_file files[] = {{"pawl/plan.json", plan}, {"pawl/importance.json", gain}};
    struct model_write w = {.booster_json = booster,
                            .signature = &sig,
                            .xgboost_version = xgb_version(s->xgb),
                            .python_version = json_get_c(s->args, "python"),
                            .run_id = json_get_c(s->args, "run_id"),
                            .at_us = clock_now_us(&CLOCK_SYSTEM),
                            .files = files,
                            .n_files = ARRAY_LEN(files)};
    return model_dir_write(json_get_c(s->args, "out"), &w, a, err);
}

static enum err_code answer(struct session *s, struct json *importance, struct json **ret,
                            struct err *err)
{
    struct arena *a = worker_arena(s->w);
    struct json *r = json_obj(a), *metrics = json_obj(a), *versions = json_obj(a);
    for (size_t i = 0; i < s->boost.metrics.n; i++)
        (void)json_set(a, metrics, s->boost.metrics.p[i].key,
                       json_num(a, s->boost.metrics.p[i].value));
    (void)json_set(a, versions, "xgboost", json_cstr(a, xgb_version(s->xgb)));
    (void)json_set(a, r, "rounds", json_int(a, s->boost.rounds));
    (void)json_set(a, r, "kept", json_int(a, s->boost.kept));
    (void)json_set(a, r, "n_train", json_int(a, (int64_t)s->train.n));
    (void)json_set(a, r, "n_validation", json_int(a, (int64_t)s->validation.n));
    (void)json_set(a, r, "metrics", metrics);
    (void)json_set(a, r, "versions", versions);
    (void)json_set(a, r, "importance", importance);
    (void)json_set(a, r, "plan", json_copy(a, s->plan.doc));
    struct digest d;
    enum err_code code = model_dir_digest(json_get_c(s->args, "out"), a, &d, err);
    if (code == ERR_OK) {
        (void)json_set(a, r, "model_digest", json_hex(a, &d));
        *ret = r;
    }
    return code;
}

static enum err_code op_train(struct worker *w, const struct json *args, struct json **ret,
                              struct err *err)
{
    struct session s = {.w = w, .args = args};
    arena_init(&s.data, TRAIN_MEMORY_MAX);
    struct json *importance = NULL;
    enum err_code code = xgb_open(&s.xgb, err);
    if (code == ERR_OK)
        code = load_data(&s, err);
    if (code == ERR_OK)
        code = make_matrices(&s, err);
    if (code == ERR_OK)
        code = run_boost(&s, err);
    if (code == ERR_OK && (importance = importance_json(&s, worker_arena(w), err)) == NULL)
        code = err != NULL && err->code != ERR_OK ? err->code : ERR_NOMEM;
    if (code == ERR_OK)
        code = write_model(&s, importance, err);
    if (code == ERR_OK)
        code = answer(&s, importance, ret, err);
    session_fini(&s);
    return code;
}

/* What computes, for step keys: the libraries' own words, not what a file is called. */
static enum err_code op_versions(struct worker *w, const struct json *args, struct json **ret,
                                 struct err *err)
{
    struct arena *a = worker_arena(w);
    const struct xgb *x = NULL;
    struct str duckdb = STR_NONE;
    struct json *r = json_obj(a);
    enum err_code code = table_library_version(&duckdb, err);
    if (code == ERR_OK && json_get_bool(args, "xgboost", false))
        code = xgb_open(&x, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, r, "duckdb", json_str(a, duckdb));
    if (x != NULL)
        (void)json_set(a, r, "xgboost", json_cstr(a, xgb_version(x)));
    *ret = r;
    return ERR_OK;
}

const struct worker_op TRAIN_WORKER_OPS[] = {
    {"train.xgboost", op_train},
    {"train.versions", op_versions},
    {"train.export", train_op_export},
    {"train.package", train_op_package},
};
const size_t N_TRAIN_WORKER_OPS = ARRAY_LEN(TRAIN_WORKER_OPS);
