/* From rows to structs in the caller's arena. */
#include <math.h>

#include <float.h>
#include <stdio.h>

#include "base/vec.h"
#include "track/track_int.h"

void metric_pack(double v, double *ret_value, int64_t *ret_kind)
{
    *ret_kind = isnan(v)    ? METRIC_NAN
                : !isinf(v) ? METRIC_FINITE
                : v > 0     ? METRIC_PLUS_INF
                            : METRIC_MINUS_INF;
    *ret_value = isnan(v) ? 0 : !isinf(v) ? v : v > 0 ? DBL_MAX : -DBL_MAX;
}

double metric_unpack(double value, int64_t kind)
{
    switch ((enum metric_kind)kind) {
    case METRIC_NAN:
        return NAN;
    case METRIC_PLUS_INF:
        return INFINITY;
    case METRIC_MINUS_INF:
        return -INFINITY;
    case METRIC_FINITE:
    case METRIC_KIND_N:
        break;
    }
    return value;
}

enum err_code tags_load(struct db_rows *rows, struct arena *a, struct tag **ret, size_t *ret_n,
                        struct err *err)
{
    VEC(struct tag) v = {0};
    bool is_full = false;
    while (!is_full && db_next(rows)) {
        struct tag *t = VEC_ADD(a, &v);
        is_full = !t || !(t->key = db_dup(rows, 0, a)) || !(t->value = db_dup(rows, 1, a));
    }
    enum err_code code = db_done(rows, err);
    if (code == ERR_OK && is_full)
        code = arena_err(a, err);
    if (code != ERR_OK)
        return code;
    *ret = v.p;
    *ret_n = v.n;
    return ERR_OK;
}

enum err_code experiment_load(struct db_tx *tx, const struct db_rows *row, struct arena *a,
                              struct experiment *ret, struct err *err)
{
    *ret = (struct experiment){.id = db_i64(row, 0),
                               .name = db_dup(row, 1, a),
                               .artifact_location = db_dup(row, 2, a),
                               .is_deleted = db_i64(row, 3) != 0,
                               .created_us = db_i64(row, 4),
                               .updated_us = db_i64(row, 5)};
    return ret->name ? ERR_OK : arena_err(a, err);
}

enum err_code experiment_tags_load(struct db_tx *tx, struct arena *a, struct experiment *e,
                                   struct err *err)
{
    struct db_rows *rows = NULL;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT key, value FROM experiment_tags WHERE experiment_id = ? ORDER BY key", "i", e->id);
    return code == ERR_OK ? tags_load(rows, a, &e->tags, &e->n_tags, err) : code;
}

/* The home's own layout is what MLflow's client reaches through the server. */
static char *artifact_uri(struct arena *a, const struct run_info *r, const char *location)
{
    if (location)
        return str_printf(a, "%s/%s/artifacts", location, r->id);
    return str_printf(a, "mlflow-artifacts:/%lld/%s/artifacts", (long long)r->experiment_id, r->id);
}

enum err_code run_info_load(const struct db_rows *row, struct arena *a, struct run_row *ret,
                            struct err *err)
{
    struct run_info *r = &ret->run.info;
    char location[2100];
    memset(ret, 0, sizeof(*ret));
    ret->no = db_i64(row, 0);
    snprintf(r->id, sizeof(r->id), "%.*s", STR_ARG(db_str(row, 1)));
    snprintf(r->parent_id, sizeof(r->parent_id), "%.*s", (int)db_str(row, 2).n,
             db_is_null(row, 2) ? "" : db_str(row, 2).p);
    r->experiment_id = db_i64(row, 3);
    r->name = db_dup(row, 4, a);
    r->user = db_dup(row, 5, a);
    r->status = (enum run_status)db_i64(row, 6);
    r->is_deleted = db_i64(row, 7) != 0;
    r->start_us = db_i64(row, 8);
    r->end_us = db_is_null(row, 9) ? AT_US_NONE : db_i64(row, 9);
    bool has_location = !db_is_null(row, 10);
    if (has_location)
        snprintf(location, sizeof(location), "%.*s", STR_ARG(db_str(row, 10)));
    r->artifact_uri = artifact_uri(a, r, has_location ? location : NULL);
    return r->name && r->user && r->artifact_uri ? ERR_OK : arena_err(a, err);
}

static enum err_code metrics_load(struct db_tx *tx, struct arena *a, struct run_row *r,
                                  struct err *err)
{
    struct db_rows *rows = NULL;
    VEC(struct metric_point) v = {0};
    bool is_full = false;
    enum err_code code = db_query(tx, &rows, err,
                                  "SELECT key, value, kind, step, at_us FROM latest_metrics WHERE"
                                  " run_no = ? ORDER BY key",
                                  "i", r->no);
    if (code != ERR_OK)
        return code;
    while (!is_full && db_next(rows)) {
        struct metric_point *m = VEC_ADD(a, &v);
        is_full = !m || !(m->key = db_dup(rows, 0, a));
        if (is_full)
            break;
        m->value = metric_unpack(db_f64(rows, 1), db_i64(rows, 2));
        m->step = db_i64(rows, 3);
        m->at_us = db_i64(rows, 4);
    }
    code = db_done(rows, err);
    if (code == ERR_OK && is_full)
        code = arena_err(a, err);
    r->run.metrics = v.p;
    r->run.n_metrics = v.n;
    return code;
}

/* The tags of one input edge; the context is lifted out of them. */
static enum err_code input_tags_load(struct db_tx *tx, struct arena *a, int64_t run_no,
                                     int64_t dataset_id, struct run_input *in, struct err *err)
{
    struct db_rows *rows = NULL;
    struct tag *tags = NULL;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT key, value FROM input_tags WHERE run_no = ? AND dataset_id = ? ORDER BY key", "ii",
        run_no, dataset_id);
    if (code == ERR_OK)
        code = tags_load(rows, a, &tags, &in->n_tags, err);
    if (code != ERR_OK)
        return code;
    in->tags = tags;
    for (size_t i = 0; i < in->n_tags; i++)
        if (strcmp(tags[i].key, TAG_CONTEXT) == 0)
            in->context = tags[i].value;
    return ERR_OK;
}

static enum err_code inputs_load(struct db_tx *tx, struct arena *a, struct run_row *r,
                                 struct err *err)
{
    struct db_rows *rows = NULL;
    VEC(struct run_input) v = {0};
    VEC(int64_t) ids = {0};
    bool is_full = false;
    enum err_code code =
        db_query(tx, &rows, err,
                 "SELECT d.id, d.name, d.digest, d.source_type, d.source, d.schema_text, d.profile"
                 " FROM inputs i JOIN datasets d ON d.id = i.dataset_id WHERE i.run_no = ?"
                 " ORDER BY i.ordinal",
                 "i", r->no);
    if (code != ERR_OK)
        return code;
    while (!is_full && db_next(rows)) {
        struct run_input *in = VEC_ADD(a, &v);
        int64_t *id = VEC_ADD(a, &ids);
        is_full = !in || !id;
        if (is_full)
            break;
        *id = db_i64(rows, 0);
        *in = (struct run_input){.name = db_dup(rows, 1, a),
                                 .digest = db_dup(rows, 2, a),
                                 .source_type = db_dup(rows, 3, a),
                                 .source = db_dup(rows, 4, a),
                                 .schema = db_dup(rows, 5, a),
                                 .profile = db_dup(rows, 6, a)};
        is_full = !in->name || !in->digest || !in->source_type || !in->source;
    }
    code = db_done(rows, err);
    if (code == ERR_OK && is_full)
        code = arena_err(a, err);
    for (size_t i = 0; i < v.n && code == ERR_OK; i++)
        code = input_tags_load(tx, a, r->no, ids.p[i], &v.p[i], err);
    r->run.inputs = v.p;
    r->run.n_inputs = v.n;
    return code;
}

enum err_code run_parts_load(struct db_tx *tx, struct arena *a, struct run_row *r, struct err *err)
{
    struct db_rows *rows = NULL;
    struct tag *params = NULL;
    enum err_code code = metrics_load(tx, a, r, err);
    if (code == ERR_OK)
        code = db_query(tx, &rows, err,
                        "SELECT key, value FROM params WHERE run_no = ? ORDER BY key", "i", r->no);
    if (code == ERR_OK)
        code = tags_load(rows, a, &params, &r->run.n_params, err);
    if (code == ERR_OK && r->run.n_params > 0) {
        r->run.params = ARENA_NEW_N(a, struct param, r->run.n_params);
        if (!r->run.params)
            return arena_err(a, err);
        for (size_t i = 0; i < r->run.n_params; i++)
            r->run.params[i] = (struct param){params[i].key, params[i].value};
    }
    if (code == ERR_OK)
        code = db_query(tx, &rows, err, "SELECT key, value FROM tags WHERE run_no = ? ORDER BY key",
                        "i", r->no);
    if (code == ERR_OK)
        code = tags_load(rows, a, &r->run.tags, &r->run.n_tags, err);
    return code == ERR_OK ? inputs_load(tx, a, r, err) : code;
}
