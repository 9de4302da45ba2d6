#include "features/dataset_rows.h"

#include "base/clock.h"

static enum err_code label_columns(struct dataset_work *d, struct err *err)
{
    struct fsession *fs = d->fs;
    struct str label = json_get_str(d->spec, "label");
    struct table_names names = {0};
    d->label_columns = json_arr(fs->a);
    if (label.n == 0)
        return ERR_OK;
    enum err_code code = table_names_used(fs->t, label, true, fs->a, &names, err);
    for (size_t i = 0; code == ERR_OK && i < names.n_columns; i++)
        json_add(fs->a, d->label_columns, json_str(fs->a, names.columns[i]));
    return code;
}

/* Where the rows come from: a source with its ordinals, or the project's SQL in a total order. */
static enum err_code rows_table(struct dataset_work *d, struct err *err)
{
    struct fsession *fs = d->fs;
    struct str rows = json_get_str(d->spec, "rows"), sql = json_get_str(d->spec, "rows_sql");
    if (rows.n > 0) {
        const struct json *b = json_get(fs->args, "bindings");
        for (size_t i = 0; i < json_len(b); i++)
            if (str_eq(json_get_str(json_at(b, i), "name"), rows))
                d->time = json_get_str(json_at(b, i), "time");
        if (d->time.n == 0)
            return err_set(err, ERR_INVALID, "source %.*s is not there, or has no `time:`",
                           STR_ARG(rows));
        d->rows_table = str_c(str_printf(fs->a, "%.*s__rows", STR_ARG(rows)));
        return ERR_OK;
    }
    enum err_code code = table_check_select(fs->t, sql, err);
    if (code != ERR_OK)
        return err_wrap(err, "dataset.rows.sql");
    d->time = json_get_str(d->spec, "rows_time");
    d->rows_table = STR("__sql_rows");
    buf_printf(&fs->sql,
               "CREATE TEMP TABLE __sql_rows AS SELECT row_number() OVER () - 1 AS __row, * FROM "
               "(SELECT * FROM "
               "(\n%.*s\n) ORDER BY ALL)",
               STR_ARG(sql));
    code = fs_exec(fs, err);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "dataset.rows.sql");
}

/* The label as DOUBLE. Text labels become the index of their class, classes in byte order. */
static enum err_code label_sql(struct dataset_work *d, struct buf *out, struct err *err)
{
    struct fsession *fs = d->fs;
    struct str label = json_get_str(d->spec, "label");
    struct table_column *c = NULL;
    struct table_values v = {0};
    size_t n = 0;
    if (label.n == 0) {
        buf_c(out, "CAST(NULL AS DOUBLE)");
        d->label_type = "null";
        return ERR_OK;
    }
    const char *select = str_printf(fs->a, "SELECT (%.*s\n) AS y FROM \"%.*s\"", STR_ARG(label),
                                    STR_ARG(d->rows_table));
    if (!select)
        return arena_err(fs->a, err);
    enum err_code code = table_describe(fs->t, str_c(select), fs->a, &c, &n, err);
    if (code != ERR_OK)
        return err_wrap(err, "dataset.label");
    d->label_type = value_type_name(c[0].type);
    if (c[0].type == VAL_BOOL || c[0].type == VAL_INT || c[0].type == VAL_FLOAT) {
        buf_printf(out, "CAST((%.*s\n) AS DOUBLE)", STR_ARG(label));
        return ERR_OK;
    }
    if (c[0].type != VAL_STR)
        return err_set(err, ERR_INVALID,
                       "dataset.label is a %s: a label is true or false, a number or a text",
                       c[0].sql_type);
    buf_printf(&fs->sql, "SELECT DISTINCT y FROM (%s) WHERE y IS NOT NULL ORDER BY y", select);
    code = fs_fetch(fs, 10000, &v, err);
    if (code != ERR_OK)
        return err_wrap(err, "dataset.label: its classes");
    d->classes = json_arr(fs->a);
    buf_c(out, "CAST(list_position([");
    for (size_t i = 0; i < v.n_rows; i++) {
        json_add(fs->a, d->classes, json_str(fs->a, v.p[i].u.s));
        buf_c(out, i ? ", " : "");
        table_sql_text(out, v.p[i].u.s);
    }
    buf_printf(out, "]::VARCHAR[], (%.*s\n)) - 1 AS DOUBLE)", STR_ARG(label));
    return ERR_OK;
}

/* When the label is known: the source's known_at where it declares one, else label_after its time. */
static void known_sql(struct dataset_work *d, struct buf *out)
{
    const struct json *b = json_get(d->fs->args, "bindings");
    bool is_declared = false;
    for (size_t i = 0; i < json_len(b); i++)
        if (str_eq(json_get_str(json_at(b, i), "name"), json_get_str(d->spec, "rows")))
            is_declared = json_get_str(json_at(b, i), "known_at").n > 0 ||
                          json_get_int(json_at(b, i), "available_after_us", -1) >= 0;
    if (json_get_str(d->spec, "label_source").n > 0)
        buf_printf(out, "x.__t + to_microseconds(%lld)",
                   (long long)json_get_int(d->spec, "label_within_us", 0));
    else if (is_declared)
        buf_c(out, "x.known_at");
    else
        buf_printf(out, "x.__t + to_microseconds(%lld)",
                   (long long)json_get_int(d->spec, "label_after_us", 0));
}

/* Is there a row of another source for the key in (time, time + within]? */
static void label_of_source(struct dataset_work *d, struct buf *select, struct buf *from)
{
    struct str source = json_get_str(d->spec, "label_source"),
               key = json_get_str(d->spec, "label_key"), time = {0};
    const struct json *b = json_get(d->fs->args, "bindings");
    for (size_t i = 0; i < json_len(b); i++)
        if (str_eq(json_get_str(json_at(b, i), "name"), source))
            time = json_get_str(json_at(b, i), "time");
    d->label_type = "bool";
    buf_printf(select, "CAST(coalesce(e.__et <= x.__t + to_microseconds(%lld), false) AS DOUBLE)",
               (long long)json_get_int(d->spec, "label_within_us", 0));
    buf_c(from, " ASOF LEFT JOIN (SELECT ");
    table_sql_ident(from, key);
    buf_c(from, " AS __ek, ");
    table_sql_ident(from, time);
    buf_c(from, " AS __et FROM ");
    table_sql_ident(from, source);
    buf_c(from, ") e ON x.");
    table_sql_ident(from, key);
    buf_c(from, " = e.__ek AND x.__t < e.__et");
}

static enum err_code all_rows(struct dataset_work *d, struct err *err)
{
    struct fsession *fs = d->fs;
    struct json *keys = pit_key_columns(&d->join);
    struct str group = json_get_str(json_get(d->spec, "split"), "group");
    struct buf label = {0}, from = {0};
    enum err_code code = ERR_OK;
    buf_init(&label, 1 << 20);
    buf_init(&from, 1 << 20);
    if (json_get_str(d->spec, "label_source").n > 0)
        label_of_source(d, &label, &from);
    else
        code = label_sql(d, &label, err);
    if (code == ERR_OK)
        code = buf_ok(&label, err);
    buf_c(&fs->sql, "CREATE TEMP TABLE __all AS SELECT x.__row, x.__t, CAST(");
    known_sql(d, &fs->sql);
    buf_c(&fs->sql, " AS TIMESTAMP) AS __known_at, ");
    buf_str(&fs->sql, buf_view(&label));
    buf_c(&fs->sql, " AS __label");
    if (group.n > 0) {
        buf_c(&fs->sql, ", CAST(x.");
        table_sql_ident(&fs->sql, group);
        buf_c(&fs->sql, " AS VARCHAR) AS __group");
    }
    if (json_len(keys) > 0)
        buf_c(&fs->sql, ", ");
    fs_names(&fs->sql, "x.", keys);
    buf_c(&fs->sql, " FROM (SELECT *, CAST(");
    table_sql_ident(&fs->sql, d->time);
    buf_c(&fs->sql, " AS TIMESTAMP) AS __t FROM ");
    table_sql_ident(&fs->sql, d->rows_table);
    buf_c(&fs->sql, ") x");
    buf_str(&fs->sql, buf_view(&from));
    if (code == ERR_OK)
        code = fs_exec(fs, err);
    buf_fini(&label);
    buf_fini(&from);
    return code;
}

enum err_code dataset_rows(struct dataset_work *d, struct err *err)
{
    struct table_values v = {0};
    enum err_code code = label_columns(d, err);
    if (code != ERR_OK)
        return err_wrap(err, "dataset.label");
    code = rows_table(d, err);
    if (code == ERR_OK)
        code = all_rows(d, err);
    if (code != ERR_OK)
        return err_wrap(err, "rows of the data set");
    buf_c(&d->fs->sql, "SELECT min(__t), max(__t), count(*) FROM __all WHERE __t IS NOT NULL");
    code = fs_fetch(d->fs, 1, &v, err);
    if (code != ERR_OK)
        return code;
    if (v.p[2].u.i == 0)
        return err_set(err, ERR_EMPTY, "the data set has no rows with a time");
    d->min_us = v.p[0].u.i;
    d->max_us = v.p[1].u.i;
    return ERR_OK;
}
