/* features.dataset and features.join: rows, join, file. */
#include <sys/stat.h>

#include "base/clock.h"
#include "data/scan.h"
#include "features/dataset_rows.h"
#include "features/features_ops.h"

/* The look-ups of dataset.features: one per view and name; its columns are those of all items together. */
static enum err_code add_lookups(struct dataset_work *d, struct err *err)
{
    const struct json *features = json_get(d->spec, "features");
    enum err_code code = pit_init(&d->join, d->fs, json_len(features) + 1, err);
    for (size_t i = 0; code == ERR_OK && i < json_len(features); i++) {
        const struct json *f = json_at(features, i);
        struct json *columns = json_arr(d->fs->a);
        struct pit_want want = {json_get_str(f, "view"), json_get_str(f, "as"),
                                json_get(f, "entity"), json_get(f, "from"), columns};
        if (!str_is(json_get_str(f, "kind"), "view"))
            continue;
        if (json_get_str(f, "column").n > 0)
            json_add(d->fs->a, columns, json_str(d->fs->a, json_get_str(f, "column")));
        else if (json_get(f, "columns"))
            want.columns = json_get(f, "columns");
        code = pit_add(&d->join, &want, err);
        if (code != ERR_OK)
            code = err_wrap(err, "dataset.features[%zu]", i);
    }
    return code;
}

static bool is_own_column(struct str name)
{
    return str_starts(name, STR("__"));
}

static bool is_text_in(const struct json *list, struct str name)
{
    for (size_t i = 0; i < json_len(list); i++)
        if (str_eq(json_at(list, i)->u.s, name))
            return true;
    return false;
}

/* The columns of the rows that a request may carry: all but what the label is made of and what Pawl added. */
static enum err_code row_columns(struct dataset_work *d, struct json **ret, struct err *err)
{
    struct fsession *fs = d->fs;
    struct table_column *cols = NULL;
    struct json *list = json_arr(fs->a);
    size_t n = 0;
    bool is_source = json_get_str(d->spec, "rows").n > 0;
    const char *select = str_printf(fs->a, "SELECT * FROM \"%.*s\"", STR_ARG(d->rows_table));
    if (!select)
        return arena_err(fs->a, err);
    enum err_code code = table_describe(fs->t, str_c(select), fs->a, &cols, &n, err);
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        struct str name = str_c(cols[i].name);
        if (is_own_column(name) || is_text_in(d->label_columns, name) || !cols[i].is_supported)
            continue;
        if (is_source && str_is(name, "known_at"))
            continue;
        json_add(fs->a, list, json_str(fs->a, name));
    }
    *ret = list;
    return code;
}

/* Columns of other sources by a key, for slices only. */
static void protected_select(struct dataset_work *d, const struct json *rows)
{
    const struct json *list = json_get(d->spec, "protected");
    struct buf *sql = &d->fs->sql;
    for (size_t i = 0; list && i < list->u.obj.n; i++) {
        struct str name = list->u.obj.members[i].key;
        if (is_text_in(rows, name))
            continue;
        buf_printf(sql, ", p%zu.__p AS ", i);
        table_sql_ident(sql, name);
    }
}

static void protected_from(struct dataset_work *d)
{
    const struct json *list = json_get(d->spec, "protected");
    struct buf *sql = &d->fs->sql;
    for (size_t i = 0; list && i < list->u.obj.n; i++) {
        const struct json *p = list->u.obj.members[i].val;
        buf_c(sql, " LEFT JOIN (SELECT ");
        table_sql_ident(sql, json_get_str(p, "key"));
        buf_c(sql, " AS __pk, max(");
        table_sql_ident(sql, list->u.obj.members[i].key);
        buf_c(sql, ") AS __p FROM ");
        table_sql_ident(sql, json_get_str(p, "source"));
        buf_printf(sql, " GROUP BY 1) p%zu ON p%zu.__pk = x.", i, i);
        table_sql_ident(sql, json_get_str(p, "key"));
    }
}

static void select_file(struct fsession *fs, const char *path)
{
    buf_c(&fs->sql, "SELECT * FROM read_parquet(");
    table_sql_text(&fs->sql, str_c(path));
    buf_ch(&fs->sql, ')');
}

/* fs->sql as a file, described in `out`. */
static enum err_code write_out(struct fsession *fs, const char *path, struct json *out,
                               struct err *err)
{
    struct table_column *cols = NULL;
    struct json *columns = json_arr(fs->a);
    struct stat st = {0};
    int64_t n_rows = 0;
    size_t n = 0;
    enum err_code code = buf_ok(&fs->sql, err);
    if (code == ERR_OK)
        code = table_describe(fs->t, buf_view(&fs->sql), fs->a, &cols, &n, err);
    if (code == ERR_OK)
        code = table_write(fs->t, buf_view(&fs->sql), path, table_format_of(path), &n_rows, err);
    buf_reset(&fs->sql);
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        struct json *c = json_obj(fs->a);
        json_set(fs->a, c, "name", json_cstr(fs->a, cols[i].name));
        json_set(fs->a, c, "type", json_cstr(fs->a, value_type_name(cols[i].type)));
        json_set(fs->a, c, "sql_type", json_cstr(fs->a, cols[i].sql_type));
        json_add(fs->a, columns, c);
    }
    (void)stat(path, &st);
    json_set(fs->a, out, "path", json_cstr(fs->a, path));
    json_set(fs->a, out, "rows", json_int(fs->a, n_rows));
    json_set(fs->a, out, "bytes", json_int(fs->a, st.st_size));
    json_set(fs->a, out, "columns", columns);
    return code;
}

static enum err_code name_rows(struct fsession *fs, const char *path, struct json *out,
                               struct err *err)
{
    struct digest digest;
    int64_t n_rows = 0;
    worker_progress(fs->w, 0.9, "naming the rows");
    select_file(fs, path);
    enum err_code code = table_digest(fs->t, buf_view(&fs->sql), &digest, &n_rows, err);
    buf_reset(&fs->sql);
    if (code == ERR_OK)
        json_set(fs->a, out, "digest", json_hex(fs->a, &digest));
    return code;
}

static enum err_code dataset_write(struct dataset_work *d, const char *path, struct json *out,
                                   struct err *err)
{
    struct fsession *fs = d->fs;
    struct json *rows = NULL;
    enum err_code code = row_columns(d, &rows, err);
    if (code != ERR_OK)
        return code;
    worker_progress(fs->w, 0.6, "writing the data set");
    buf_c(&fs->sql, "SELECT ");
    fs_names(&fs->sql, "x.", rows);
    if (json_len(rows) > 0)
        buf_c(&fs->sql, ", ");
    buf_c(&fs->sql, "r.__row");
    pit_select(&d->join);
    protected_select(d, rows);
    buf_c(&fs->sql, ", r.__label, r.__t AS __time, r.__known_at, r.__split, CAST(r.__t AS DATE) AS "
                    "__day FROM __j r JOIN ");
    table_sql_ident(&fs->sql, d->rows_table);
    buf_c(&fs->sql, " x ON x.__row = r.__row");
    pit_from(&d->join);
    protected_from(d);
    buf_c(&fs->sql, " ORDER BY r.__row");
    code = write_out(fs, path, out, err);
    return code == ERR_OK ? name_rows(fs, path, out, err) : code;
}

static void dataset_report(struct dataset_work *d, int64_t start_ns, struct json *out)
{
    struct arena *a = d->fs->a;
    struct json *label = json_obj(a);
    json_set(a, label, "type", json_cstr(a, d->label_type));
    json_set(a, label, "columns", d->label_columns);
    if (d->classes)
        json_set(a, label, "classes", d->classes);
    json_set(a, out, "label", label);
    json_set(a, out, "splits", d->splits);
    json_set(a, out, "dropped", d->dropped);
    json_set(a, out, "benchmark_days", d->benchmark_days);
    json_set(a, out, "views", pit_report(&d->join));
    json_set(a, out, "as_of", json_time(a, d->as_of_us));
    json_set(a, out, "sample", json_copy(a, json_get(d->spec, "sample")));
    json_set(a, out, "duration_ms", json_int(a, (mono_ns() - start_ns) / 1000000));
}

enum err_code features_op_dataset(struct worker *w, const struct json *args, struct json **ret,
                                  struct err *err)
{
    struct fsession fs;
    int64_t start = mono_ns();
    const char *out_path = json_get_c(args, "out");
    struct dataset_work d = {.fs = &fs, .spec = json_get(args, "dataset")};
    struct json *out = json_obj(worker_arena(w));
    d.gap_us = json_get_int(d.spec, "label_after_us", 0);
    d.as_of_us = json_get_time(args, "as_of");
    d.until_us = json_get_time(args, "benchmark_until");
    worker_progress(w, 0, "reading sources");
    enum err_code code = fsession_open(w, args, &out_path, 1, &fs, err);
    if (code == ERR_OK)
        code = add_lookups(&d, err);
    if (code == ERR_OK)
        code = dataset_rows(&d, err);
    if (code == ERR_OK)
        code = dataset_split_rows(&d, err);
    if (code == ERR_OK)
        code = data_scan_set_as_of(fs.t, d.as_of_us, err);
    if (code == ERR_OK)
        code = pit_run(&d.join, err);
    if (code == ERR_OK)
        code = data_scan_set_as_of(fs.t, AT_US_NONE, err);
    if (code == ERR_OK)
        code = dataset_write(&d, out_path, out, err);
    if (code == ERR_OK)
        dataset_report(&d, start, out);
    fsession_close(&fs);
    if (code == ERR_OK)
        *ret = out;
    return code;
}

/* ---- features.join ---- */

/* "view.column", "view.*" or "view": into look-ups. */
static enum err_code add_wanted(struct pit_join *p, const struct json *args, struct err *err)
{
    const struct json *wanted = json_get(args, "wanted");
    struct arena *a = p->fs->a;
    enum err_code code = pit_init(p, p->fs, json_len(wanted) + 1, err);
    for (size_t i = 0; code == ERR_OK && i < json_len(wanted); i++) {
        struct str rest = fs_name(json_at(wanted, i)), view = str_split(&rest, '.');
        struct json *columns = json_arr(a), *entity = json_arr(a), *from = json_arr(a);
        const char *name = str_dup(a, view);
        const struct json *keys = json_get(json_get(args, "keys"), name ? name : "");
        for (size_t k = 0; keys && k < keys->u.obj.n; k++) {
            json_add(a, entity, json_str(a, keys->u.obj.members[k].key));
            json_add(a, from, json_str(a, fs_name(keys->u.obj.members[k].val)));
        }
        if (rest.p && rest.n > 0 && !str_is(rest, "*"))
            json_add(a, columns, json_str(a, rest));
        code = pit_add(p, &(struct pit_want){view, view, entity, from, columns}, err);
    }
    return code;
}

static enum err_code join_rows(struct pit_join *p, const struct json *args, struct err *err)
{
    struct fsession *fs = p->fs;
    struct json *keys = pit_key_columns(p);
    buf_c(&fs->sql, "CREATE TEMP TABLE __rows AS SELECT __row, CAST(");
    table_sql_ident(&fs->sql, json_get_str(args, "time"));
    buf_c(&fs->sql, " AS TIMESTAMP) AS __t, ");
    fs_names(&fs->sql, "", keys);
    buf_c(&fs->sql, " FROM __input__rows");
    return fs_exec(fs, err);
}

/* Has the input columns beside keys and time? When not, its file need not be read again. */
static bool has_more_columns(const struct pit_join *p, struct str time,
                             const struct table_column *cols, size_t n)
{
    struct json *keys = pit_key_columns(p);
    for (size_t i = 0; i < n; i++)
        if (!str_is(time, cols[i].name) && !is_text_in(keys, str_c(cols[i].name)))
            return true;
    return false;
}

static enum err_code join_write(struct pit_join *p, const struct json *args, struct json *out,
                                struct err *err)
{
    struct fsession *fs = p->fs;
    struct str time = json_get_str(args, "time");
    struct table_column *cols = NULL;
    size_t n = 0;
    enum err_code code = table_describe(
        fs->t, STR("SELECT * EXCLUDE (__row, known_at) FROM __input__rows"), fs->a, &cols, &n, err);
    if (code != ERR_OK)
        return code;
    bool is_wide = has_more_columns(p, time, cols, n);
    buf_c(&fs->sql, "SELECT ");
    for (size_t i = 0; i < n; i++) {
        bool is_time = !is_wide && str_is(time, cols[i].name);
        buf_printf(&fs->sql, "%s%s.", i ? ", " : "", is_wide ? "x" : "r");
        table_sql_ident(&fs->sql, is_time ? STR("__t") : str_c(cols[i].name));
        buf_c(&fs->sql, " AS ");
        table_sql_ident(&fs->sql, str_c(cols[i].name));
    }
    pit_select(p);
    buf_c(&fs->sql, " FROM __j r");
    if (is_wide)
        buf_c(&fs->sql, " JOIN __input__rows x ON x.__row = r.__row");
    pit_from(p);
    buf_c(&fs->sql, " ORDER BY r.__row");
    return write_out(fs, json_get_c(args, "out"), out, err);
}

enum err_code features_op_join(struct worker *w, const struct json *args, struct json **ret,
                               struct err *err)
{
    struct fsession fs;
    struct pit_join join = {.fs = &fs};
    const char *out_path = json_get_c(args, "out");
    struct json *out = json_obj(worker_arena(w)), *input = NULL,
                *all = json_copy(worker_arena(w), args);
    struct json *bindings = json_copy(worker_arena(w), json_get(args, "bindings"));
    enum err_code code =
        data_binding_of_file(json_get_c(args, "rows"), STR("__input"), json_get_str(args, "time"),
                             worker_arena(w), &input, err);
    if (code != ERR_OK)
        return code;
    json_add(worker_arena(w), bindings, input);
    json_set(worker_arena(w), all, "bindings", bindings);
    code = fsession_open(w, all, &out_path, 1, &fs, err);
    if (code == ERR_OK)
        code = add_wanted(&join, args, err);
    if (code == ERR_OK)
        code = join_rows(&join, args, err);
    if (code == ERR_OK)
        code = pit_run(&join, err);
    if (code == ERR_OK)
        code = join_write(&join, args, out, err);
    if (code == ERR_OK)
        json_set(fs.a, out, "views", pit_report(&join));
    fsession_close(&fs);
    if (code == ERR_OK)
        *ret = out;
    return code;
}
