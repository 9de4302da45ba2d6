/* data.profile: what a version holds, in one pass over all columns and one more over the columns of few values. Everything
 * streams through the engine's aggregates: memory does not grow with the rows. */
#include "data/profile.h"

#include "base/check.h"
#include "data/data_worker.h"
#include "data/scan.h"
#include "data/sketch.h"

#define PROFILE_SQL_MAX (16 << 20)
#define PROFILE_TOP_N   20
#define PROFILE_FEW     1000 /* columns of more values have no list of the frequent ones */

/* Each a whole number of hundredths: sketches keep all hundredths. */
const double PROFILE_QUANTILES[PROFILE_N_QUANTILES] = {
    0, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99, 1};

struct profile {
    struct arena *a;
    struct table *t;
    const struct json *binding;
    struct str name;
    struct table_column *cols; /* without the added known_at */
    size_t n_cols;
    struct buf sql;
};

static enum err_code fetch(struct profile *p, size_t max_rows, struct table_values *ret,
                           struct err *err)
{
    enum err_code code = buf_ok(&p->sql, err);
    if (code == ERR_OK)
        code = table_fetch(p->t, TABLE_SQL(p->sql.p), max_rows, p->a, ret, err);
    buf_reset(&p->sql);
    return code;
}

struct json *profile_value_json(struct arena *a, const struct value *v)
{
    switch (v->type) {
    case VAL_BOOL:
        return json_bool(a, v->u.b);
    case VAL_INT:
        return json_int(a, v->u.i);
    case VAL_FLOAT:
        return json_num(a, v->u.f);
    case VAL_TIME:
        return json_time(a, v->u.i);
    case VAL_STR:
        return str_utf8_valid(v->u.s) ? json_str(a, v->u.s) : json_cstr(a, "(not UTF-8)");
    case VAL_NULL:
    case VAL_TYPE_N:
    default:
        return NULL;
    }
}

static bool is_number(const struct table_column *c)
{
    return c->type == VAL_INT || c->type == VAL_FLOAT;
}

/* The answers of one column, in this order. */
enum { ASK_NULLS, ASK_DISTINCT, ASK_MIN, ASK_MAX, ASK_MEAN, ASK_STD, ASK_QUANTILES, ASK_N };

static void ask_column(struct buf *sql, struct arena *a, const struct table_column *c)
{
    struct buf id = {0};
    buf_init(&id, 1 << 16);
    table_sql_ident(&id, str_c(c->name));
    const char *x = str_dup(a, buf_view(&id));
    buf_fini(&id);
    x = x ? x : "NULL";
    buf_printf(sql, ", count(*) - count(%s), ", x);
    if (!c->is_supported) {
        buf_c(sql, "NULL, NULL, NULL, NULL, NULL, NULL");
        return;
    }
    buf_printf(sql, "approx_count_distinct(%s), ", x);
    if (c->type == VAL_STR)
        buf_printf(sql,
                   "left(min(CAST(%s AS VARCHAR)), 200), left(max(CAST(%s AS VARCHAR)), 200), ", x,
                   x);
    else
        buf_printf(sql, "min(%s), max(%s), ", x, x);
    if (!is_number(c)) {
        buf_c(sql, "NULL, NULL, NULL");
        return;
    }
    const char *d = str_printf(a, "CAST(%s AS DOUBLE)", x);
    const char *finite = str_printf(a, "FILTER (WHERE isfinite(%s))", d ? d : "NULL");
    buf_printf(sql, "avg(%s) %s, stddev_samp(%s) %s, CAST(approx_quantile(%s, [", d, finite, d,
               finite, d);
    for (int q = 0; q <= SKETCH_Q_MAX; q++)
        buf_printf(sql, "%s%d.%02d", q ? ", " : "", q / SKETCH_Q_MAX, q % SKETCH_Q_MAX);
    buf_printf(sql, "]) %s AS VARCHAR)", finite);
}

static void column_json(struct profile *p, const struct value *v, struct json *out,
                        struct json *sketch)
{
    static const char *const KEYS[ASK_QUANTILES] = {"nulls", "distinct", "min",
                                                    "max",   "mean",     "std"};
    struct json *list = NULL;
    for (int k = 0; k < ASK_QUANTILES; k++)
        json_set(p->a, out, KEYS[k], profile_value_json(p->a, &v[k]));
    struct err ignored = ERR_INIT;
    /* A list of numbers as the engine prints it is JSON. */
    if (v[ASK_QUANTILES].type == VAL_STR &&
        json_read(v[ASK_QUANTILES].u.s, p->a, &list, &ignored) == ERR_OK &&
        json_len(list) == SKETCH_Q_MAX + 1)
        sketch_set_quantiles(p->a, out, sketch, list);
}

/* The share of all hashes that is kept: about SKETCH_HASHES of them. */
static double theta_of(const struct value *distinct)
{
    double n = distinct->type == VAL_INT ? (double)distinct->u.i : 0;
    return n <= SKETCH_HASHES ? 1 : SKETCH_HASHES / n;
}

static bool has_few(const struct table_column *c, const struct value *distinct)
{
    bool is_kind = c->type == VAL_STR || c->type == VAL_BOOL || c->type == VAL_INT;
    return c->is_supported && is_kind && distinct->type == VAL_INT && distinct->u.i <= PROFILE_FEW;
}

static void ask_sketch(struct buf *sql, const struct table_column *c, const struct value *distinct)
{
    double theta = theta_of(distinct);
    buf_c(sql, ", CAST(to_json(list_sort(list(DISTINCT hash(");
    table_sql_ident(sql, str_c(c->name));
    buf_c(sql, ") >> 1) FILTER (WHERE ");
    table_sql_ident(sql, str_c(c->name));
    buf_c(sql, " IS NOT NULL");
    if (theta < 1) {
        buf_c(sql, " AND hash(");
        table_sql_ident(sql, str_c(c->name));
        buf_printf(sql, ") >> 1 < %lld", (long long)(theta * SKETCH_HASH_END));
    }
    buf_c(sql, "))) AS VARCHAR), ");
    if (!has_few(c, distinct)) {
        buf_c(sql, "NULL");
        return;
    }
    buf_c(sql, "CAST(to_json(list_reverse_sort(list_transform(map_entries(histogram(");
    table_sql_ident(sql, str_c(c->name));
    buf_c(sql, ")), e -> {'n': e.value, 'value': e.key}))) AS VARCHAR)");
}

/* One more pass over all columns: the smallest of their values' hashes, and how often each value of those that have few. */
static enum err_code sketch_values(struct profile *p, const struct value *asked, struct json *out,
                                   struct json *sketches, struct err *err)
{
    struct table_values v = {0};
    size_t n = 0;
    buf_c(&p->sql, "SELECT 0");
    for (size_t i = 0; i < p->n_cols; i++)
        if (p->cols[i].is_supported)
            ask_sketch(&p->sql, &p->cols[i], &asked[i * ASK_N + ASK_DISTINCT]);
    buf_c(&p->sql, " FROM ");
    table_sql_ident(&p->sql, p->name);
    enum err_code code = fetch(p, 1, &v, err);
    for (size_t i = 0; code == ERR_OK && i < p->n_cols; i++) {
        struct json *hashes = NULL, *counts = NULL;
        struct err ignored = ERR_INIT;
        const char *name = p->cols[i].name;
        if (!p->cols[i].is_supported)
            continue;
        const struct value *text = &v.p[1 + 2 * n++];
        struct json *sketch = (struct json *)(uintptr_t)json_get(sketches, name);
        if (text[0].type == VAL_STR && json_read(text[0].u.s, p->a, &hashes, &ignored) == ERR_OK)
            json_set(p->a, sketch, "hashes", hashes);
        json_set(p->a, sketch, "theta", json_num(p->a, theta_of(&asked[i * ASK_N + ASK_DISTINCT])));
        if (text[1].type == VAL_STR && json_read(text[1].u.s, p->a, &counts, &ignored) == ERR_OK)
            sketch_set_counts(p->a, (struct json *)(uintptr_t)json_get(out, name), sketch, counts);
    }
    return code;
}

static enum err_code profile_columns(struct profile *p, struct json *out, struct err *err)
{
    struct table_values v = {0};
    struct json *all = json_obj(p->a), *sketches = json_obj(p->a);
    buf_c(&p->sql, "SELECT count(*)");
    for (size_t i = 0; i < p->n_cols; i++)
        ask_column(&p->sql, p->a, &p->cols[i]);
    buf_c(&p->sql, " FROM ");
    table_sql_ident(&p->sql, p->name);
    enum err_code code = fetch(p, 1, &v, err);
    if (code != ERR_OK)
        return code;
    for (size_t i = 0; i < p->n_cols; i++) {
        struct json *column = json_obj(p->a), *sketch = json_obj(p->a);
        column_json(p, &v.p[1 + i * ASK_N], column, sketch);
        json_set(p->a, all, p->cols[i].name, column);
        json_set(p->a, sketches, p->cols[i].name, sketch);
    }
    json_set(p->a, out, "rows", json_int(p->a, v.p[0].u.i));
    json_set(p->a, out, "profile", all);
    json_set(p->a, out, "sketches", sketches);
    return sketch_values(p, v.p + 1, all, sketches, err);
}

static enum err_code profile_times(struct profile *p, struct json *out, struct err *err)
{
    struct table_values v = {0};
    struct str time = json_get_str(p->binding, "time");
    struct json *known = json_obj(p->a), *range = json_obj(p->a);
    if (time.n == 0)
        return ERR_OK;
    buf_c(&p->sql, "SELECT min(");
    table_sql_ident(&p->sql, time);
    buf_c(&p->sql, "), max(");
    table_sql_ident(&p->sql, time);
    buf_c(&p->sql, "), max(known_at) FROM ");
    table_sql_ident(&p->sql, p->name);
    enum err_code code = fetch(p, 1, &v, err);
    if (code != ERR_OK)
        return code;
    json_set(p->a, range, "column", json_str(p->a, time));
    json_set(p->a, range, "min", profile_value_json(p->a, &v.p[0]));
    json_set(p->a, range, "max", profile_value_json(p->a, &v.p[1]));
    json_set(p->a, known, "max", profile_value_json(p->a, &v.p[2]));
    json_set(p->a, out, "time", range);
    json_set(p->a, out, "known_at", known);
    return ERR_OK;
}

static enum err_code count_file(struct profile *p, const struct json *file, struct json *binding,
                                int64_t *ret, struct err *err)
{
    struct json *one = json_arr(p->a);
    struct table_values v = {0};
    json_add(p->a, one, json_copy(p->a, file));
    json_set(p->a, binding, "files", one);
    buf_c(&p->sql, "SELECT count(*) FROM (");
    enum err_code code = data_scan_sql(binding, false, &p->sql, err);
    buf_ch(&p->sql, ')');
    if (code == ERR_OK)
        code = fetch(p, 1, &v, err);
    if (code == ERR_OK)
        *ret = v.p[0].u.i;
    return code;
}

/* Rows of each file, in the binding's order: Parquet says it (and `count(*)` reads no more), other files are counted. */
static enum err_code profile_files(struct profile *p, struct json *out, struct err *err)
{
    struct json *binding = json_copy(p->a, p->binding), *files = json_arr(p->a);
    const struct json *list = json_get(p->binding, "files");
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < json_len(list); i++) {
        struct json *file = json_obj(p->a);
        int64_t n = 0;
        code = count_file(p, json_at(list, i), binding, &n, err);
        json_set(p->a, file, "path", json_copy(p->a, json_get(json_at(list, i), "path")));
        json_set(p->a, file, "rows", json_int(p->a, n));
        json_add(p->a, files, file);
    }
    if (code == ERR_OK)
        json_set(p->a, out, "files", files);
    return code;
}

static enum err_code profile_schema(struct profile *p, struct json *out, struct err *err)
{
    struct json *list = json_arr(p->a);
    enum err_code code = data_scan_sql(p->binding, false, &p->sql, err);
    if (code == ERR_OK)
        code = table_describe(p->t, buf_view(&p->sql), p->a, &p->cols, &p->n_cols, err);
    buf_reset(&p->sql);
    for (size_t i = 0; code == ERR_OK && i < p->n_cols; i++) {
        struct json *c = json_obj(p->a);
        json_set(p->a, c, "name", json_cstr(p->a, p->cols[i].name));
        json_set(p->a, c, "sql_type", json_cstr(p->a, p->cols[i].sql_type));
        json_set(
            p->a, c, "type",
            json_cstr(p->a, p->cols[i].is_supported ? value_type_name(p->cols[i].type) : "other"));
        json_add(p->a, list, c);
    }
    json_set(p->a, out, "columns", list);
    return code;
}

/* Have all Parquet files the columns of the first? Then reading them need not compare. */
static enum err_code parquet_uniform(struct profile *p, struct json *out, struct err *err)
{
    const struct json *files = json_get(p->binding, "files");
    struct table_values v = {0};
    buf_c(&p->sql,
          "SELECT count(DISTINCT s) FROM (SELECT file_name, string_agg(concat_ws(':', name, type, "
          "repetition_type, converted_type, logical_type), ',') AS s FROM parquet_schema([");
    for (size_t i = 0; i < json_len(files); i++) {
        buf_c(&p->sql, i ? ", " : "");
        table_sql_text(&p->sql, json_get_str(json_at(files, i), "path"));
    }
    buf_c(&p->sql, "]) GROUP BY file_name)");
    enum err_code code = fetch(p, 1, &v, err);
    if (code == ERR_OK)
        json_set(p->a, out, "is_uniform", json_bool(p->a, v.p[0].u.i == 1));
    return code;
}

/* How one CSV file is written, and the names of its columns. */
static enum err_code sniff_csv(struct profile *p, const struct json *file, struct json **ret,
                               struct err *err)
{
    static const char *const KEYS[] = {"delim",  "quote",      "escape",          "skip",
                                       "header", "dateformat", "timestampformat", "names"};
    struct table_values v = {0};
    struct json *dialect = json_obj(p->a);
    buf_c(&p->sql, "SELECT Delimiter, replace(Quote, '(empty)', '\"'), replace(Escape, '(empty)', "
                   "'\"'), SkipRows, HasHeader, "
                   "DateFormat, TimestampFormat, string_agg(x.name, chr(10)) FROM (SELECT *, "
                   "unnest(Columns) AS x FROM sniff_csv(");
    table_sql_text(&p->sql, json_get_str(file, "path"));
    buf_c(&p->sql, ", sample_size=204800)) GROUP BY ALL");
    enum err_code code = fetch(p, 1, &v, err);
    for (size_t i = 0; code == ERR_OK && v.n_rows > 0 && i < sizeof KEYS / sizeof *KEYS; i++)
        json_set(p->a, dialect, KEYS[i], profile_value_json(p->a, &v.p[i]));
    *ret = dialect;
    return code;
}

/* Are all CSV files written like the first? Then its dialect is kept, and no file is looked at again to find it out. */
static enum err_code csv_uniform(struct profile *p, struct json *out, struct err *err)
{
    const struct json *files = json_get(p->binding, "files");
    struct json *first = NULL, *other = NULL;
    enum err_code code = sniff_csv(p, json_at(files, 0), &first, err);
    bool is_uniform = true;
    for (size_t i = 1; code == ERR_OK && is_uniform && i < json_len(files); i++) {
        code = sniff_csv(p, json_at(files, i), &other, err);
        is_uniform = json_eq(first, other);
    }
    if (code != ERR_OK)
        return code;
    json_set(p->a, out, "is_uniform", json_bool(p->a, is_uniform));
    if (is_uniform)
        json_set(p->a, out, "dialect", first);
    return ERR_OK;
}

static enum err_code profile_uniform(struct profile *p, struct json *out, struct err *err)
{
    struct str kind = json_get_str(p->binding, "kind");
    if (json_len(json_get(p->binding, "files")) == 0)
        return ERR_OK;
    if (str_is(kind, "parquet"))
        return parquet_uniform(p, out, err);
    return str_is(kind, "csv") ? csv_uniform(p, out, err) : ERR_OK;
}

static enum err_code op_profile(struct worker *w, const struct json *args, struct json **ret,
                                struct err *err)
{
    struct profile p = {.a = worker_arena(w), .binding = json_get(args, "binding")};
    struct json *out = json_obj(p.a);
    enum err_code code = data_worker_session(args, &p.t, err);
    if (code != ERR_OK)
        return code;
    p.name = json_get_str(p.binding, "name");
    buf_init(&p.sql, PROFILE_SQL_MAX);
    worker_progress(w, 0, "profiling %.*s", STR_ARG(p.name));
    code = data_scan_bind(p.t, p.binding, err);
    if (code == ERR_OK)
        code = profile_schema(&p, out, err);
    if (code == ERR_OK)
        code = profile_uniform(&p, out, err);
    if (code == ERR_OK)
        code = profile_files(&p, out, err);
    if (code == ERR_OK)
        code = profile_columns(&p, out, err);
    if (code == ERR_OK)
        code = profile_times(&p, out, err);
    if (code == ERR_OK)
        *ret = out;
    buf_fini(&p.sql);
    table_close(p.t);
    return code;
}

enum err_code data_worker_session(const struct json *args, struct table **ret, struct err *err)
{
    const struct json *limits = json_get(args, "limits");
    struct table_options opt = {
        .n_threads = (int)json_get_int(limits, "threads", 0),
        .memory_bytes = json_get_int(limits, "memory_bytes", 0),
        .temp_dir = json_get_c(limits, "temp_dir"),
    };
    return table_open(&opt, ret, err);
}

const struct worker_op DATA_WORKER_OPS[] = {{"data.profile", op_profile}};
const size_t N_DATA_WORKER_OPS = ARRAY_LEN(DATA_WORKER_OPS);
