#include "track/logged_model.h"

#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/vec.h"
#include "track/filter.h"
#include "track/track_int.h"

#define MODEL_COLUMNS                                                                              \
    "m.id, m.experiment_id, m.name, m.model_type, m.source_run_id, m.status, m.is_deleted,"        \
    " m.created_us, m.updated_us, e.artifact_location"
#define MODEL_FROM "logged_models m JOIN experiments e ON e.id = m.experiment_id"

static enum err_code not_found(const char *id, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "Logged model with ID '%s' not found.", id);
}

static enum err_code pair_put(struct db_tx *tx, const char *sql, const char *id,
                              const struct tag *pair, struct err *err)
{
    return db_exec(tx, err, sql, "sss", id, pair->key, pair->value ? pair->value : "");
}

static enum err_code metric_put(struct db_tx *tx, const char *id,
                                const struct logged_model_metric *m, struct err *err)
{
    double value;
    int64_t kind;
    metric_pack(m->point.value, &value, &kind);
    return db_exec(tx, err,
                   "INSERT INTO logged_model_metrics(model_id, key, at_us, step, value, kind,"
                   " run_id, dataset_name, dataset_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                   " ON CONFLICT DO NOTHING",
                   "ssiifisss", id, m->point.key, m->point.at_us, m->point.step, value, kind,
                   m->run_id ? m->run_id : "", m->dataset_name ? m->dataset_name : "",
                   m->dataset_digest ? m->dataset_digest : "");
}

static enum err_code parts_put(struct db_tx *tx, const char *id, const struct logged_model_batch *b,
                               struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < b->n_params && code == ERR_OK; i++)
        code = pair_put(tx,
                        "INSERT INTO logged_model_params(model_id, key, value) VALUES (?, ?, ?)"
                        " ON CONFLICT (model_id, key) DO NOTHING",
                        id, &b->params[i], err);
    for (size_t i = 0; i < b->n_tags && code == ERR_OK; i++)
        code = pair_put(tx,
                        "INSERT INTO logged_model_tags(model_id, key, value) VALUES (?, ?, ?)"
                        " ON CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
                        id, &b->tags[i], err);
    for (size_t i = 0; i < b->n_metrics && code == ERR_OK; i++)
        code = metric_put(tx, id, &b->metrics[i], err);
    return code;
}

struct model_args {
    const struct logged_model *m;
    const struct logged_model_batch *batch;
    const char *id, *key;
    char made_id[LOGGED_MODEL_ID_BYTES], name[64];
    int64_t at_us;
};

static enum err_code create_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct model_args *x = arg;
    const struct logged_model *m = x->m;
    int64_t is_deleted = 0;
    enum err_code code =
        db_get_i64(tx, &is_deleted, err, "SELECT is_deleted FROM experiments WHERE id = ?", "i",
                   m->experiment_id);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "No Experiment with id=%lld exists", (long long)m->experiment_id);
    if (code == ERR_OK && is_deleted)
        code = err_set(err, ERR_REFUSED, "The experiment %lld must be in the 'active' state.",
                       (long long)m->experiment_id);
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "INSERT INTO logged_models(id, experiment_id, name, model_type, source_run_id, status,"
            " is_deleted, created_us, updated_us) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)",
            "sisssiii", x->made_id, m->experiment_id, m->name && *m->name ? m->name : x->name,
            m->model_type, m->source_run_id, (int64_t)LOGGED_MODEL_PENDING, x->at_us, x->at_us);
    return code == ERR_OK ? parts_put(tx, x->made_id, x->batch, err) : code;
}

enum err_code logged_model_create(struct track *t, const struct logged_model *m,
                                  char ret_id[LOGGED_MODEL_ID_BYTES], struct err *err)
{
    uint8_t bytes[16];
    struct logged_model_batch b = {
        .params = m->params, .n_params = m->n_params, .tags = m->tags, .n_tags = m->n_tags};
    struct model_args x = {.m = m, .batch = &b, .at_us = clock_now_us(&t->clock)};
    if (m->name && strpbrk(m->name, "/:.%\"'"))
        return err_set(err, ERR_INVALID,
                       "Invalid model name: %s. It may not contain any of: / : . %% \" '", m->name);
    random_bytes(bytes, sizeof(bytes));
    memcpy(x.made_id, "m-", 2);
    hex_encode(bytes, sizeof(bytes), x.made_id + 2);
    run_name_make(x.name);
    enum err_code code = db_write(t->db, create_fn, &x, err);
    if (code == ERR_OK)
        memcpy(ret_id, x.made_id, sizeof(x.made_id));
    return code;
}

/* ---- reading ---- */

static enum err_code model_load(const struct db_rows *rows, struct arena *a,
                                struct logged_model *ret, struct err *err)
{
    *ret = (struct logged_model){.id = db_dup(rows, 0, a),
                                 .experiment_id = db_i64(rows, 1),
                                 .name = db_dup(rows, 2, a),
                                 .model_type = db_dup(rows, 3, a),
                                 .source_run_id = db_dup(rows, 4, a),
                                 .status = (enum logged_model_status)db_i64(rows, 5),
                                 .is_deleted = db_i64(rows, 6) != 0,
                                 .created_us = db_i64(rows, 7),
                                 .updated_us = db_i64(rows, 8)};
    struct str location = db_str(rows, 9);
    ret->artifact_uri = location.p
                            ? str_printf(a, "%.*s/models/%s/artifacts", STR_ARG(location), ret->id)
                            : str_printf(a, "mlflow-artifacts:/%lld/models/%s/artifacts",
                                         (long long)ret->experiment_id, ret->id);
    return ret->id && ret->name && ret->artifact_uri ? ERR_OK : arena_err(a, err);
}

static enum err_code metrics_load(struct db_tx *tx, struct arena *a, struct logged_model *m,
                                  struct err *err)
{
    struct db_rows *rows = NULL;
    VEC(struct logged_model_metric) v = {0};
    bool is_full = false;
    enum err_code code = db_query(tx, &rows, err,
                                  "SELECT key, value, kind, step, at_us, run_id, dataset_name,"
                                  " dataset_digest FROM logged_model_metrics WHERE model_id = ?"
                                  " ORDER BY key, at_us, step",
                                  "s", m->id);
    if (code != ERR_OK)
        return code;
    while (!is_full && db_next(rows)) {
        struct logged_model_metric *x = VEC_ADD(a, &v);
        is_full = !x;
        if (is_full)
            break;
        *x = (struct logged_model_metric){
            .point = {.key = db_dup(rows, 0, a),
                      .value = metric_unpack(db_f64(rows, 1), db_i64(rows, 2)),
                      .step = db_i64(rows, 3),
                      .at_us = db_i64(rows, 4)},
            .run_id = db_dup(rows, 5, a),
            .dataset_name = db_dup(rows, 6, a),
            .dataset_digest = db_dup(rows, 7, a)};
        is_full = !x->point.key || !x->run_id || !x->dataset_name || !x->dataset_digest;
    }
    code = db_done(rows, err);
    m->metrics = v.p;
    m->n_metrics = v.n;
    return code == ERR_OK && is_full ? arena_err(a, err) : code;
}

static enum err_code parts_load(struct db_tx *tx, struct arena *a, struct logged_model *m,
                                struct err *err)
{
    struct db_rows *rows = NULL;
    enum err_code code = db_query(
        tx, &rows, err, "SELECT key, value FROM logged_model_tags WHERE model_id = ? ORDER BY key",
        "s", m->id);
    if (code == ERR_OK)
        code = tags_load(rows, a, &m->tags, &m->n_tags, err);
    if (code == ERR_OK)
        code = db_query(tx, &rows, err,
                        "SELECT key, value FROM logged_model_params WHERE model_id = ?"
                        " ORDER BY key",
                        "s", m->id);
    if (code == ERR_OK)
        code = tags_load(rows, a, &m->params, &m->n_params, err);
    return code == ERR_OK ? metrics_load(tx, a, m, err) : code;
}

struct list_args {
    const char *text;
    const struct db_arg *args;
    size_t n_args;
    struct arena *arena;
    struct logged_model *models;
    size_t n;
};

static enum err_code list_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct list_args *l = arg;
    struct db_rows *rows = NULL;
    VEC(struct logged_model) v = {0};
    enum err_code loaded = ERR_OK;
    enum err_code code = db_query_args(tx, &rows, err, l->text, l->args, l->n_args);
    if (code != ERR_OK)
        return code;
    while (loaded == ERR_OK && db_next(rows)) {
        struct logged_model *m = VEC_ADD(l->arena, &v);
        loaded = m ? model_load(rows, l->arena, m, err) : arena_err(l->arena, err);
    }
    code = db_done(rows, loaded == ERR_OK ? err : NULL);
    if (loaded != ERR_OK)
        return loaded;
    for (size_t i = 0; i < v.n && code == ERR_OK; i++)
        code = parts_load(tx, l->arena, &v.p[i], err);
    l->models = v.p;
    l->n = v.n;
    return code;
}

enum err_code logged_model_get(struct track *t, const char *id, struct arena *a,
                               struct logged_model *ret, struct err *err)
{
    struct db_arg arg = {.kind = 't', .u.t = str_c(id)};
    struct list_args l = {.text = "SELECT " MODEL_COLUMNS " FROM " MODEL_FROM " WHERE m.id = ?",
                          .args = &arg,
                          .n_args = 1,
                          .arena = a};
    enum err_code code = db_read(t->db, list_fn, &l, err);
    if (code != ERR_OK)
        return code;
    if (l.n == 0)
        return not_found(id, err);
    *ret = l.models[0];
    return ERR_OK;
}

static const struct filter_attribute ATTRIBUTES[] = {
    {"model_id", "r.id", false},
    {"name", "r.name", false},
    {"model_type", "r.model_type", false},
    {"source_run_id", "r.source_run_id", false},
    {"status", "CASE r.status WHEN 1 THEN 'PENDING' WHEN 2 THEN 'READY' ELSE 'FAILED' END", false},
    {"creation_timestamp", "r.created_us / 1000", true},
    {"creation_time", "r.created_us / 1000", true},
    {"last_updated_timestamp", "r.updated_us / 1000", true},
};

/* The table is aliased r, as filter_sql.c names the one that has experiments. */
static const struct filter_target LOGGED_MODELS = {
    .what = "logged model",
    .columns = "r.id, r.experiment_id, r.name, r.model_type, r.source_run_id, r.status,"
               " r.is_deleted, r.created_us, r.updated_us, e.artifact_location",
    .from = "logged_models r JOIN experiments e ON e.id = r.experiment_id",
    .deleted = "r.is_deleted",
    .attributes = ATTRIBUTES,
    .n_attributes = ARRAY_LEN(ATTRIBUTES),
    .parts =
        {[FILTER_METRIC] = {"logged_model_metrics x WHERE x.model_id = r.id AND x.key = ?"
                            " AND x.kind <> 1",
                            "x.value",
                            "LEFT JOIN (SELECT model_id, key, max(value) AS value"
                            " FROM logged_model_metrics WHERE kind <> 1 GROUP BY model_id, key)"
                            " o# ON o#.model_id = r.id AND o#.key = ?",
                            "CASE WHEN o#.key IS NULL THEN 1 ELSE 0 END, o#.value", true},
         [FILTER_PARAM] = {"logged_model_params x WHERE x.model_id = r.id AND x.key = ?", "x.value",
                           "LEFT JOIN logged_model_params o# ON o#.model_id = r.id"
                           " AND o#.key = ?",
                           "CASE WHEN o#.key IS NULL THEN 1 ELSE 0 END, o#.value", false},
         [FILTER_TAG] = {"logged_model_tags x WHERE x.model_id = r.id AND x.key = ?", "x.value",
                         "LEFT JOIN logged_model_tags o# ON o#.model_id = r.id"
                         " AND o#.key = ?",
                         "CASE WHEN o#.key IS NULL THEN 1 ELSE 0 END, o#.value", false}},
    .default_order = "r.created_us DESC, r.id",
};

enum err_code logged_model_search(struct track *t, const struct search_query *q, struct arena *a,
                                  struct logged_model **ret, size_t *ret_n, char **ret_next_token,
                                  struct err *err)
{
    struct filter_sql *sql = ARENA_NEW(a, struct filter_sql);
    if (!sql)
        return arena_err(a, err);
    enum err_code code = filter_sql_make(&LOGGED_MODELS, q, a, sql, err);
    struct list_args l = {.text = sql->text, .args = sql->args, .n_args = sql->n_args, .arena = a};
    if (code == ERR_OK)
        code = db_read(t->db, list_fn, &l, err);
    if (code == ERR_OK)
        code = filter_next_token(sql, l.n, a, ret_next_token, err);
    if (code == ERR_OK) {
        *ret = l.models;
        *ret_n = l.n > (size_t)q->limit ? (size_t)q->limit : l.n;
    }
    return code;
}

/* ---- changing ---- */

static enum err_code touch(struct db_tx *tx, const struct model_args *x, struct err *err)
{
    enum err_code code =
        db_exec(tx, err, "UPDATE logged_models SET updated_us = ? WHERE id = ? AND is_deleted = 0",
                "is", x->at_us, x->id);
    return code == ERR_OK && db_changes(tx) == 0 ? not_found(x->id, err) : code;
}

static enum err_code log_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct model_args *x = arg;
    enum err_code code = touch(tx, x, err);
    if (code == ERR_OK && x->batch->status)
        code = db_exec(tx, err, "UPDATE logged_models SET status = ? WHERE id = ?", "is",
                       (int64_t)x->batch->status, x->id);
    return code == ERR_OK ? parts_put(tx, x->id, x->batch, err) : code;
}

enum err_code logged_model_log(struct track *t, const char *id, const struct logged_model_batch *b,
                               struct err *err)
{
    struct model_args x = {.id = id, .batch = b, .at_us = clock_now_us(&t->clock)};
    return db_write(t->db, log_fn, &x, err);
}

static enum err_code tag_delete_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct model_args *x = arg;
    enum err_code code = touch(tx, x, err);
    if (code == ERR_OK)
        code = db_exec(tx, err, "DELETE FROM logged_model_tags WHERE model_id = ? AND key = ?",
                       "ss", x->id, x->key);
    return code;
}

enum err_code logged_model_tag_delete(struct track *t, const char *id, const char *key,
                                      struct err *err)
{
    struct model_args x = {.id = id, .key = key, .at_us = clock_now_us(&t->clock)};
    return db_write(t->db, tag_delete_fn, &x, err);
}

static enum err_code delete_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct model_args *x = arg;
    enum err_code code = touch(tx, x, err);
    if (code == ERR_OK)
        code = db_exec(tx, err, "UPDATE logged_models SET is_deleted = 1 WHERE id = ?", "s", x->id);
    return code;
}

enum err_code logged_model_delete(struct track *t, const char *id, struct err *err)
{
    struct model_args x = {.id = id, .at_us = clock_now_us(&t->clock)};
    return db_write(t->db, delete_fn, &x, err);
}

/* ---- edges ---- */

struct edge_args {
    const char *run_id;
    enum run_model_side side;
    const struct run_model *models;
    struct run_model *found;
    size_t n;
    struct arena *arena;
};

static enum err_code edges_put(struct db_tx *tx, void *arg, struct err *err)
{
    const struct edge_args *e = arg;
    struct run_head run;
    enum err_code code = run_head_active(tx, e->run_id, &run, err);
    for (size_t i = 0; i < e->n && code == ERR_OK; i++)
        code = db_exec(tx, err,
                       "INSERT INTO run_models(run_no, model_id, is_input, step)"
                       " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                       "isii", run.no, e->models[i].model_id, (int64_t)(e->side == RUN_MODEL_INPUT),
                       e->models[i].step);
    return code;
}

enum err_code run_models_put(struct track *t, const char *run_id, enum run_model_side side,
                             const struct run_model *models, size_t n, struct err *err)
{
    struct edge_args e = {.run_id = run_id, .side = side, .models = models, .n = n};
    return db_write(t->db, edges_put, &e, err);
}

static enum err_code edges_get(struct db_tx *tx, void *arg, struct err *err)
{
    struct edge_args *e = arg;
    struct db_rows *rows = NULL;
    VEC(struct run_model) v = {0};
    bool is_full = false;
    enum err_code code =
        db_query(tx, &rows, err,
                 "SELECT m.model_id, m.step FROM run_models m JOIN runs r ON r.no = m.run_no"
                 " WHERE r.id = ? AND m.is_input = ? ORDER BY m.step, m.model_id",
                 "si", e->run_id, (int64_t)(e->side == RUN_MODEL_INPUT));
    if (code != ERR_OK)
        return code;
    while (!is_full && db_next(rows)) {
        struct run_model *m = VEC_ADD(e->arena, &v);
        is_full = !m || !(m->model_id = db_dup(rows, 0, e->arena));
        if (!is_full)
            m->step = db_i64(rows, 1);
    }
    code = db_done(rows, err);
    e->found = v.p;
    e->n = v.n;
    return code == ERR_OK && is_full ? arena_err(e->arena, err) : code;
}

enum err_code run_models_get(struct track *t, const char *run_id, enum run_model_side side,
                             struct arena *a, struct run_model **ret, size_t *ret_n,
                             struct err *err)
{
    struct edge_args e = {.run_id = run_id, .side = side, .arena = a};
    enum err_code code = db_read(t->db, edges_get, &e, err);
    if (code == ERR_OK) {
        *ret = e.found;
        *ret_n = e.n;
    }
    return code;
}
