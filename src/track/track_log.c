/* Logging to a run: one batch, one transaction, harmless when it is repeated. */
#include <stdio.h>

#include "base/vec.h"
#include "track/track_int.h"

enum err_code run_head_get(struct db_tx *tx, const char *id, struct run_head *ret, struct err *err)
{
    struct db_rows *rows = NULL;
    bool is_found = false;
    enum err_code code = db_query(
        tx, &rows, err, "SELECT no, experiment_id, is_deleted FROM runs WHERE id = ?", "s", id);
    if (code != ERR_OK)
        return code;
    if (db_next(rows)) {
        is_found = true;
        *ret = (struct run_head){db_i64(rows, 0), db_i64(rows, 1), db_i64(rows, 2) != 0};
    }
    code = db_done(rows, err);
    if (code == ERR_OK && !is_found)
        code = err_set(err, ERR_NOT_FOUND, "Run with id=%s not found", id);
    return code;
}

enum err_code run_head_active(struct db_tx *tx, const char *id, struct run_head *ret,
                              struct err *err)
{
    enum err_code code = run_head_get(tx, id, ret, err);
    if (code == ERR_OK && ret->is_deleted)
        code = err_set(err, ERR_REFUSED,
                       "The run %s must be in the 'active' state. Current state is deleted.", id);
    return code;
}

/* Params never change: a first value is kept, the same again is fine, another one is an error. */
static enum err_code param_put(struct db_tx *tx, const char *id, int64_t no, const struct param *p,
                               struct err *err)
{
    struct db_rows *rows = NULL;
    struct buf old;
    enum err_code code = db_exec(tx, err,
                                 "INSERT INTO params(run_no, key, value) VALUES (?, ?, ?)"
                                 " ON CONFLICT (run_no, key) DO NOTHING",
                                 "iss", no, p->key, p->value);
    if (code != ERR_OK || db_changes(tx) == 1)
        return code;
    buf_init(&old, 1 << 16);
    code = db_query(tx, &rows, err, "SELECT value FROM params WHERE run_no = ? AND key = ?", "is",
                    no, p->key);
    if (code == ERR_OK) {
        if (db_next(rows))
            buf_str(&old, db_str(rows, 0));
        code = db_done(rows, err);
    }
    if (code == ERR_OK && !str_is(buf_view(&old), p->value))
        code = err_set(err, ERR_INVALID,
                       "Changing param values is not allowed. Param with key='%s' was already "
                       "logged with value='%s' for run ID='%s'. Attempted logging new value '%s'.",
                       p->key, old.p ? old.p : "", id, p->value);
    buf_fini(&old);
    return code;
}

/* (step, time, value) decides which point is the latest; NaN counts as the smallest value. */
static bool is_later(const struct metric_point *a, const struct metric_point *b)
{
    if (a->step != b->step)
        return a->step > b->step;
    if (a->at_us != b->at_us)
        return a->at_us > b->at_us;
    return a->value > b->value || (b->value != b->value && a->value == a->value);
}

static enum err_code latest_put(struct db_tx *tx, int64_t no, const struct metric_point *m,
                                struct err *err)
{
    double value;
    int64_t kind;
    metric_pack(m->value, &value, &kind);
    return db_exec(
        tx, err,
        "INSERT INTO latest_metrics(run_no, key, at_us, step, value, kind)"
        " VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (run_no, key) DO UPDATE SET at_us = excluded.at_us, step = excluded.step,"
        " value = excluded.value, kind = excluded.kind WHERE excluded.step > latest_metrics.step"
        " OR (excluded.step = latest_metrics.step AND (excluded.at_us > latest_metrics.at_us"
        " OR (excluded.at_us = latest_metrics.at_us AND excluded.kind <> 1"
        " AND (latest_metrics.kind = 1 OR excluded.value > latest_metrics.value))))",
        "isiifi", no, m->key, m->at_us, m->step, value, kind);
}

/* The history row by row; of each key only the batch's own latest goes to latest_metrics. */
static enum err_code metrics_put(struct db_tx *tx, int64_t no, const struct run_batch *b,
                                 struct err *err)
{
    struct arena a;
    arena_init(&a, (size_t)64 << 20);
    struct map *latest = map_new(&a);
    enum err_code code = latest ? ERR_OK : arena_err(&a, err);
    for (size_t i = 0; i < b->n_metrics && code == ERR_OK; i++) {
        const struct metric_point *m = &b->metrics[i];
        double value;
        int64_t kind;
        metric_pack(m->value, &value, &kind);
        code = db_exec(tx, err,
                       "INSERT INTO metrics(run_no, key, at_us, step, value, kind)"
                       " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                       "isiifi", no, m->key, m->at_us, m->step, value, kind);
        size_t n = strlen(m->key);
        const struct metric_point *best = map_get(latest, m->key, n);
        if (code == ERR_OK && (!best || is_later(m, best)) &&
            !map_put(latest, m->key, n, (void *)(uintptr_t)m))
            code = arena_err(&a, err);
    }
    const char *key;
    size_t key_bytes, n_keys = latest ? map_count(latest) : 0;
    for (size_t i = 0; i < n_keys && code == ERR_OK; i++)
        code = latest_put(tx, no, map_at(latest, i, &key, &key_bytes), err);
    arena_fini(&a);
    return code;
}

/* The two tags that are also columns. */
static enum err_code tag_mirror(struct db_tx *tx, int64_t no, const struct tag *t, struct err *err)
{
    if (strcmp(t->key, TAG_RUN_NAME) == 0)
        return db_exec(tx, err, "UPDATE runs SET name = ? WHERE no = ?", "si", t->value, no);
    if (strcmp(t->key, TAG_PARENT) == 0)
        return db_exec(tx, err, "UPDATE runs SET parent_id = ? WHERE no = ?", "si", t->value, no);
    return ERR_OK;
}

enum err_code run_tag_put(struct db_tx *tx, int64_t no, const struct tag *t, struct err *err)
{
    enum err_code code = db_exec(tx, err,
                                 "INSERT INTO tags(run_no, key, value) VALUES (?, ?, ?)"
                                 " ON CONFLICT (run_no, key) DO UPDATE SET value = excluded.value",
                                 "iss", no, t->key, t->value);
    return code == ERR_OK ? tag_mirror(tx, no, t, err) : code;
}

static enum err_code dataset_id(struct db_tx *tx, int64_t experiment_id, const struct run_input *in,
                                int64_t *ret, struct err *err)
{
    static const char find[] =
        "SELECT id FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?";
    enum err_code code = db_get_i64(tx, ret, err, find, "iss", experiment_id, in->name, in->digest);
    if (code != ERR_NOT_FOUND)
        return code;
    code = db_next_number(tx, "dataset", ret, err);
    if (code != ERR_OK)
        return code;
    return db_exec(tx, err,
                   "INSERT INTO datasets(id, experiment_id, name, digest, source_type, source,"
                   " schema_text, profile) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   "iissssss", *ret, experiment_id, in->name, in->digest, in->source_type,
                   in->source, in->schema, in->profile);
}

static enum err_code input_tag_put(struct db_tx *tx, int64_t no, int64_t dataset,
                                   const struct tag *t, struct err *err)
{
    return db_exec(tx, err,
                   "INSERT INTO input_tags(run_no, dataset_id, key, value) VALUES (?, ?, ?, ?)"
                   " ON CONFLICT (run_no, dataset_id, key) DO UPDATE SET value = excluded.value",
                   "iiss", no, dataset, t->key, t->value);
}

static enum err_code input_put(struct db_tx *tx, const struct run_head *run,
                               const struct run_input *in, struct err *err)
{
    int64_t dataset = 0;
    enum err_code code = dataset_id(tx, run->experiment_id, in, &dataset, err);
    if (code == ERR_OK)
        code = db_exec(tx, err,
                       "INSERT INTO inputs(run_no, dataset_id, ordinal)"
                       " SELECT ?, ?, count(*) FROM inputs WHERE run_no = ?"
                       " ON CONFLICT (run_no, dataset_id) DO NOTHING",
                       "iii", run->no, dataset, run->no);
    struct tag context = {TAG_CONTEXT, in->context};
    if (code == ERR_OK && in->context)
        code = input_tag_put(tx, run->no, dataset, &context, err);
    for (size_t i = 0; i < in->n_tags && code == ERR_OK; i++)
        code = input_tag_put(tx, run->no, dataset, &in->tags[i], err);
    return code;
}

struct log_args {
    const char *id;
    const struct run_batch *batch;
};

static enum err_code log_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct log_args *l = arg;
    const struct run_batch *b = l->batch;
    struct run_head run;
    enum err_code code = run_head_active(tx, l->id, &run, err);
    for (size_t i = 0; i < b->n_params && code == ERR_OK; i++)
        code = param_put(tx, l->id, run.no, &b->params[i], err);
    if (code == ERR_OK && b->n_metrics > 0)
        code = metrics_put(tx, run.no, b, err);
    for (size_t i = 0; i < b->n_tags && code == ERR_OK; i++)
        code = run_tag_put(tx, run.no, &b->tags[i], err);
    for (size_t i = 0; i < b->n_inputs && code == ERR_OK; i++)
        code = input_put(tx, &run, &b->inputs[i], err);
    return code;
}

enum err_code run_log(struct track *t, const char *id, const struct run_batch *b, struct err *err)
{
    struct log_args args = {id, b};
    enum err_code code = batch_check(b, err);
    return code == ERR_OK ? db_write(t->db, log_fn, &args, err) : code;
}

struct tag_args {
    const char *id, *key;
};

static enum err_code tag_delete_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct tag_args *t = arg;
    struct run_head run;
    enum err_code code = run_head_active(tx, t->id, &run, err);
    if (code == ERR_OK)
        code =
            db_exec(tx, err, "DELETE FROM tags WHERE run_no = ? AND key = ?", "is", run.no, t->key);
    if (code == ERR_OK && db_changes(tx) == 0)
        code = err_set(err, ERR_NOT_FOUND, "No tag with name: %s in run with id %s", t->key, t->id);
    return code;
}

enum err_code run_tag_delete(struct track *t, const char *id, const char *key, struct err *err)
{
    struct tag_args args = {id, key};
    return db_write(t->db, tag_delete_fn, &args, err);
}
