#include "monitor/monitor_worker.h"

#include <math.h>

#include "base/check.h"
#include "base/clock.h"
#include "data/profile.h"
#include "data/scan.h"
#include "stats/drift.h"
#include "table/table.h"

#define COMPARE_ALPHA 0.01

/* ---- compare ---- */
struct side {
    struct table_columns cols;
};

static enum err_code side_load(struct table *t, struct worker *w, const char *path,
                               const char *name, struct side *ret, struct err *err)
{
    struct arena *a = worker_arena(w);
    struct json *binding;
    const char *sql = str_printf(a, "SELECT * EXCLUDE (known_at) FROM %s", name);

    if (!path || !sql)
        return err_set(err, ERR_INVALID, "\"%s\" names no file", name);
    if (data_binding_of_file(path, str_c(name), STR_NONE, a, &binding, err) != ERR_OK ||
        data_scan_bind(t, binding, err) != ERR_OK)
        return err_wrap(err, "read %s", path);
    return table_load(t, &(struct table_sql){.text = sql}, a, &ret->cols, err);
}

static const struct column *column_named(const struct side *s, const char *name)
{
    for (size_t i = 0; i < s->cols.n_cols; i++)
        if (strcmp(s->cols.p[i].name, name) == 0)
            return &s->cols.p[i];
    return NULL;
}

static bool is_number(enum value_type t)
{
    return t == VAL_INT || t == VAL_FLOAT;
}

static enum err_code compare_column(const struct column *ref, const struct column *cur,
                                    double alpha, struct arena *a, struct json **ret,
                                    enum drift_verdict *ret_verdict, struct err *err)
{
    struct hist_input in = {.name = ref->name,
                            .kind = is_number(ref->type) ? HIST_NUMBER : HIST_CATEGORY,
                            .values = *ref};
    struct drift_options opt = {
        .alpha = alpha, .effect_floor = DRIFT_EFFECT_FLOOR_DEFAULT, .n_min = DRIFT_N_MIN_DEFAULT};
    struct hist_reference h;
    struct drift_result r;
    uint64_t *counts;

    if (hist_reference_build(&in, a, &h, err) != ERR_OK)
        return err_wrap(err, "column %s", ref->name);
    counts = ARENA_NEW_N(a, uint64_t, h.edges.n_cells);
    if (!counts)
        return arena_err(a, err);
    for (size_t i = 0; i < cur->n; i++) {
        struct value v = column_value(cur, i);
        counts[hist_cell_value(&h.edges, &v)]++;
    }
    drift_judge(&h, counts, &opt, &r);
    *ret = json_set(a, drift_result_json(&h, counts, &r, a), "name", json_cstr(a, ref->name));
    *ret_verdict = r.verdict;
    return ERR_OK;
}

static enum err_code compare_sides(const struct side *ref, const struct side *cur, double alpha,
                                   struct arena *a, struct json *o, struct err *err)
{
    struct json *columns = json_arr(a), *drifted = json_arr(a), *missing = json_arr(a),
                *added = json_arr(a);
    size_t n_open = 0;

    for (size_t i = 0; i < ref->cols.n_cols; i++) {
        const struct column *c = &ref->cols.p[i], *other = column_named(cur, c->name);
        enum drift_verdict verdict;
        struct json *one;
        if (!other)
            json_add(a, missing, json_cstr(a, c->name));
        if (!other || c->type == VAL_TIME || c->type == VAL_NULL)
            continue;
        if (compare_column(c, other, alpha / (double)ref->cols.n_cols, a, &one, &verdict, err) !=
            ERR_OK)
            return err->code;
        json_add(a, columns, one);
        n_open += verdict == DRIFT_OPEN ? 1 : 0;
        if (verdict == DRIFT_YES)
            json_add(a, drifted, json_cstr(a, c->name));
    }
    for (size_t i = 0; i < cur->cols.n_cols; i++)
        if (!column_named(ref, cur->cols.p[i].name))
            json_add(a, added, json_cstr(a, cur->cols.p[i].name));
    json_set(
        a, o, "verdict",
        json_cstr(a, drift_verdict_name(json_len(drifted) > 0                   ? DRIFT_YES
                                        : n_open == json_len(columns) && n_open ? DRIFT_OPEN
                                                                                : DRIFT_NONE)));
    json_set(a, o, "drifted", drifted);
    json_set(a, o, "missing", missing);
    json_set(a, o, "new", added);
    json_set(a, o, "columns", columns);
    return ERR_OK;
}

static enum err_code run_compare(struct worker *w, const struct json *args, struct json **ret,
                                 struct err *err)
{
    struct arena *a = worker_arena(w);
    struct table *t = NULL;
    struct side ref, cur;
    struct json *o = json_obj(a), *rows = json_obj(a);
    enum err_code code = table_open(&(struct table_options){.n_threads = 2}, &t, err);

    if (code == ERR_OK)
        code = side_load(t, w, json_get_c(args, "reference"), "reference", &ref, err);
    if (code == ERR_OK)
        code = side_load(t, w, json_get_c(args, "current"), "current", &cur, err);
    if (code == ERR_OK) {
        json_set(a, rows, "reference", json_int(a, (int64_t)ref.cols.n_rows));
        json_set(a, rows, "current", json_int(a, (int64_t)cur.cols.n_rows));
        json_set(a, o, "rows", rows);
        code = compare_sides(&ref, &cur, json_get_f64(args, "alpha", COMPARE_ALPHA), a, o, err);
    }
    table_close(t);
    if (code == ERR_OK)
        *ret = o;
    return code;
}

/* ---- replay ---- */
struct replay {
    struct worker *w;
    struct table_rows *rows;
    size_t n_fields; /* columns of the file; then at, label, known */
    int64_t n_rows, from_us, to_us;
};

static struct json *column_json(const struct table_chunk *c, size_t col, size_t from, size_t n,
                                struct arena *a)
{
    struct json *list = json_arr(a);

    for (size_t i = from; i < from + n; i++) {
        struct value v = column_value(&c->cols[col], i);
        json_add(a, list, profile_value_json(a, &v));
    }
    return list;
}

static enum err_code replay_piece(struct replay *r, const struct table_chunk *c, size_t from,
                                  size_t n, struct err *err)
{
    struct arena *a = worker_arena(r->w);
    struct arena_mark mark = arena_mark(a);
    struct json *o = json_obj(a), *names = json_arr(a), *rows = json_arr(a);
    enum err_code code;

    for (size_t f = 0; f < r->n_fields; f++)
        json_add(a, names, json_cstr(a, table_rows_cols(r->rows)[f].name));
    for (size_t i = from; i < from + n; i++) {
        struct json *row = json_arr(a);
        for (size_t f = 0; f < r->n_fields; f++) {
            struct value v = column_value(&c->cols[f], i);
            json_add(a, row, profile_value_json(a, &v));
        }
        json_add(a, rows, row);
    }
    json_set(a, o, "columns", names);
    json_set(a, o, "rows", rows);
    json_set(a, o, "at", column_json(c, r->n_fields, from, n, a));
    json_set(a, o, "label", column_json(c, r->n_fields + 1, from, n, a));
    json_set(a, o, "known", column_json(c, r->n_fields + 2, from, n, a));
    code = worker_record(r->w, "rows", o, err);
    arena_release(a, mark);
    return code;
}

static enum err_code replay_chunk(struct replay *r, const struct table_chunk *c, struct err *err)
{
    const struct column *at = &c->cols[r->n_fields];

    for (size_t from = 0; from < c->n_rows; from += REPLAY_ROWS) {
        size_t n = c->n_rows - from < REPLAY_ROWS ? c->n_rows - from : REPLAY_ROWS;
        if (replay_piece(r, c, from, n, err) != ERR_OK)
            return err->code;
    }
    if (r->n_rows == 0)
        r->from_us = at->u.i[0];
    r->to_us = at->u.i[c->n_rows - 1];
    r->n_rows += (int64_t)c->n_rows;
    return ERR_OK;
}

/* Rows without a time are not sent. A label that has no known time of its own is known label_after behind the row. */
static enum err_code replay_sql(const struct json *args, struct arena *a, const char **ret,
                                struct err *err)
{
    struct buf b;
    const char *label = json_get_c(args, "label"), *known = json_get_c(args, "known_at");
    enum err_code code;

    buf_init(&b, 1 << 20);
    buf_c(&b, "SELECT * EXCLUDE (known_at, replay_row), epoch_us(");
    table_sql_ident(&b, json_get_str(args, "time"));
    buf_printf(&b, ") AS replay_at, (%s)::DOUBLE AS replay_label, ", label ? label : "NULL");
    if (known)
        buf_printf(&b, "epoch_us((%s)::TIMESTAMP) AS replay_known ", known);
    else {
        buf_c(&b, "epoch_us(");
        table_sql_ident(&b, json_get_str(args, "time"));
        buf_printf(&b, ") + %lld AS replay_known ",
                   (long long)json_get_int(args, "label_after_us", 0));
    }
    buf_c(&b, "FROM (SELECT *, row_number() OVER () AS replay_row FROM rows) WHERE ");
    table_sql_ident(&b, json_get_str(args, "time"));
    buf_c(&b, " IS NOT NULL ORDER BY replay_at, replay_row");
    code = buf_ok(&b, err);
    if (code == ERR_OK)
        *ret = str_dup(a, buf_view(&b));
    buf_fini(&b);
    return code;
}

static enum err_code replay_read(struct replay *r, struct table *t, const char *sql,
                                 struct err *err)
{
    struct table_chunk c;
    enum err_code code;

    if (table_query(t, &(struct table_sql){.text = sql}, &r->rows, err) != ERR_OK)
        return err->code;
    r->n_fields = table_rows_n_cols(r->rows) - 3;
    while ((code = table_rows_next(r->rows, &c, err)) == ERR_OK && c.n_rows > 0) {
        code = replay_chunk(r, &c, err);
        if (code != ERR_OK)
            break;
    }
    table_rows_close(r->rows);
    return code;
}

static enum err_code run_replay(struct worker *w, const struct json *args, struct json **ret,
                                struct err *err)
{
    struct arena *a = worker_arena(w);
    struct replay r = {.w = w, .from_us = AT_US_NONE, .to_us = AT_US_NONE};
    struct json *binding, *o = json_obj(a);
    struct table *t = NULL;
    struct str path, time;
    const char *sql;
    enum err_code code = json_need_str(args, "file", &path, err);

    if (code == ERR_OK)
        code = json_need_str(args, "time", &time, err);
    if (code == ERR_OK)
        code = table_open(&(struct table_options){.n_threads = 1}, &t, err);
    if (code == ERR_OK)
        code = data_binding_of_file(json_get_c(args, "file"), STR("rows"), time, a, &binding, err);
    if (code == ERR_OK)
        code = data_scan_bind(t, binding, err);
    if (code == ERR_OK)
        code = replay_sql(args, a, &sql, err);
    if (code == ERR_OK)
        code = replay_read(&r, t, sql, err);
    table_close(t);
    if (code != ERR_OK)
        return err_wrap(err, "replay %.*s", STR_ARG(path));
    json_set(a, o, "rows", json_int(a, r.n_rows));
    json_set(a, o, "from", json_time(a, r.from_us));
    *ret = json_set(a, o, "to", json_time(a, r.to_us));
    return ERR_OK;
}

const struct worker_op MONITOR_WORKER_OPS[] = {{"monitor.compare", run_compare},
                                               {"monitor.replay", run_replay}};
const size_t N_MONITOR_WORKER_OPS = ARRAY_LEN(MONITOR_WORKER_OPS);
