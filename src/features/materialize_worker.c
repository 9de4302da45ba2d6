/* features.materialize: a view as of a time, less what was handed over before, as a file of rows.
 *
 * What was handed over is a Parquet file that the last call left. Comparing whole rows finds late and corrected values, which a
 * window over event time would miss (features.md 1.3). For each key only the newest rows count: the online store keeps a
 * bounded history. */
#include "base/clock.h"
#include "data/scan.h"
#include "features/features_ops.h"
#include "features/fsession.h"
#include "features/rows_file.h"

#define MATERIALIZE_PER_KEY 256 /* rows of one key that can matter online; the store keeps fewer */

struct materialize {
    struct fsession *fs;
    const struct json *info;
    const char *view, *rows_path, *snapshot_path,
        *previous; /* previous: NULL when nothing was handed over yet */
    int64_t n_new, n_total, newest_us;
};

/* Table __now: the rows that the store should have. */
static enum err_code rows_now(struct materialize *m, struct err *err)
{
    struct fsession *fs = m->fs;
    int64_t keep_us = json_get_int(json_get(fs->args, "keep"), m->view, 0);
    const struct json *entities = json_get(m->info, "entity");
    buf_c(&fs->sql, "CREATE OR REPLACE TEMP TABLE __now AS SELECT ");
    fs_names(&fs->sql, "", entities);
    buf_c(&fs->sql, ", ");
    table_sql_ident(&fs->sql, json_get_str(m->info, "time"));
    buf_c(&fs->sql, " AS __time, __known_at, ");
    fs_names(&fs->sql, "", json_get(m->info, "columns"));
    fs_from_view(fs, m->info);
    if (keep_us > 0 && fs->as_of_us != AT_US_NONE) {
        buf_c(&fs->sql, " AND ");
        table_sql_ident(&fs->sql, json_get_str(m->info, "time"));
        buf_c(&fs->sql, " >= "); /* both ends of a ttl are inclusive */
        table_sql_time(&fs->sql, fs->as_of_us - keep_us);
    }
    buf_c(&fs->sql, " QUALIFY row_number() OVER (PARTITION BY ");
    fs_names(&fs->sql, "", entities);
    buf_printf(&fs->sql, " ORDER BY __time DESC, __known_at DESC) <= %d", MATERIALIZE_PER_KEY);
    return fs_exec(fs, err);
}

static enum err_code count_now(struct materialize *m, struct err *err)
{
    struct table_values v = {0};
    buf_c(&m->fs->sql, "SELECT count(*), max(__time) FROM __now");
    enum err_code code = fs_fetch(m->fs, 1, &v, err);
    if (code != ERR_OK)
        return code;
    m->n_total = v.p[0].u.i;
    m->newest_us = v.p[1].type == VAL_TIME ? v.p[1].u.i : AT_US_NONE;
    buf_c(&m->fs->sql, "SELECT count(*) FROM __new");
    code = fs_fetch(m->fs, 1, &v, err);
    if (code == ERR_OK)
        m->n_new = v.p[0].u.i;
    return code;
}

/* Table __new: without the rows of the snapshot. */
static enum err_code rows_new(struct materialize *m, struct err *err)
{
    struct fsession *fs = m->fs;
    buf_c(&fs->sql, "CREATE OR REPLACE TEMP TABLE __new AS SELECT * FROM __now");
    if (m->previous) {
        buf_c(&fs->sql, " EXCEPT ALL SELECT * FROM read_parquet(");
        table_sql_text(&fs->sql, str_c(m->previous));
        buf_ch(&fs->sql, ')');
    }
    enum err_code code = fs_exec(fs, err);
    if (code == ERR_OK)
        code = count_now(m, err);
    return code;
}

static struct json *file_header(struct materialize *m)
{
    struct arena *a = m->fs->a;
    struct json *h = json_obj(a);
    json_set(a, h, "view", json_copy(a, json_get(m->info, "name")));
    json_set(a, h, "version", json_copy(a, json_get(m->info, "version")));
    json_set(a, h, "entity", json_copy(a, json_get(m->info, "entity")));
    json_set(a, h, "columns", json_copy(a, json_get(m->info, "columns")));
    json_set(a, h, "rows", json_int(a, m->n_new));
    return h;
}

/* Columns arrive as keys, time, known_at, values. */
static enum err_code write_chunk(struct rows_writer *w, const struct table_chunk *c, size_t n_keys,
                                 struct value *row, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < c->n_rows; i++) {
        size_t n = 0;
        for (size_t j = 0; j < c->n_cols; j++)
            if (j != n_keys && j != n_keys + 1)
                row[n++] = column_value(&c->cols[j], i);
        code = rows_writer_add(w, c->cols[n_keys].u.i[i], c->cols[n_keys + 1].u.i[i], row, n, err);
    }
    return code;
}

static enum err_code write_rows(struct materialize *m, struct err *err)
{
    struct fsession *fs = m->fs;
    struct rows_writer *w = NULL;
    struct table_rows *rows = NULL;
    struct table_chunk c = {0};
    size_t n_keys = json_len(json_get(m->info, "entity"));
    enum err_code code = rows_writer_open(m->rows_path, file_header(m), &w, err);
    if (code != ERR_OK)
        return code;
    buf_c(&fs->sql, "SELECT * FROM __new ORDER BY ");
    fs_names(&fs->sql, "", json_get(m->info, "entity"));
    buf_c(&fs->sql, ", __time, __known_at, ");
    fs_names(&fs->sql, "", json_get(m->info, "columns"));
    code = buf_ok(&fs->sql, err);
    if (code == ERR_OK)
        code = table_query(fs->t, TABLE_SQL(fs->sql.p), &rows, err);
    buf_reset(&fs->sql);
    if (code == ERR_OK) {
        struct value *row = ARENA_NEW_N(fs->a, struct value, table_rows_n_cols(rows));
        code = row ? ERR_OK : arena_err(fs->a, err);
        while (code == ERR_OK && (code = table_rows_next(rows, &c, err)) == ERR_OK && c.n_rows > 0)
            code = write_chunk(w, &c, n_keys, row, err);
    }
    table_rows_close(rows);
    if (code == ERR_OK)
        return rows_writer_close(w, true, err);
    struct err ignored = ERR_INIT;
    (void)!rows_writer_close(w, false, &ignored);
    return code;
}

static struct json *report(struct materialize *m, int64_t start_ns)
{
    struct arena *a = m->fs->a;
    struct json *out = json_obj(a);
    json_set(a, out, "view", json_copy(a, json_get(m->info, "name")));
    json_set(a, out, "version", json_copy(a, json_get(m->info, "version")));
    json_set(a, out, "rows_new", json_int(a, m->n_new));
    json_set(a, out, "rows_total", json_int(a, m->n_total));
    json_set(a, out, "newest", json_time(a, m->newest_us));
    json_set(a, out, "duration_ms", json_int(a, (mono_ns() - start_ns) / 1000000));
    json_set(a, out, "rows", json_cstr(a, m->rows_path));
    if (m->n_new > 0 || !m->previous)
        json_set(a, out, "snapshot", json_cstr(a, m->snapshot_path));
    return out;
}

static enum err_code one_view(struct fsession *fs, const struct json *info, struct json *list,
                              struct err *err)
{
    struct materialize m = {.fs = fs, .info = info, .view = json_get_c(info, "name")};
    const struct json *known = json_get(json_get(fs->args, "previous"), m.view);
    int64_t start = mono_ns(), n = 0;
    m.previous = json_get_c(known, json_get_c(info, "version"));
    m.rows_path = str_printf(fs->a, "%s-%s.rows", json_get_c(fs->args, "out"), m.view);
    m.snapshot_path = str_printf(fs->a, "%s-%s.parquet", json_get_c(fs->args, "out"), m.view);
    if (!m.rows_path || !m.snapshot_path)
        return arena_err(fs->a, err);
    enum err_code code = rows_now(&m, err);
    if (code == ERR_OK)
        code = rows_new(&m, err);
    if (code == ERR_OK)
        code = write_rows(&m, err);
    if (code == ERR_OK && (m.n_new > 0 || !m.previous))
        code = table_write_parquet(fs->t, STR("SELECT * FROM __now"), m.snapshot_path, &n, err);
    json_add(fs->a, list, report(&m, start));
    return code == ERR_OK ? ERR_OK : err_wrap(err, "view %s", m.view);
}

static bool is_wanted(const struct json *names, struct str view)
{
    for (size_t i = 0; i < json_len(names); i++)
        if (str_eq(fs_name(json_at(names, i)), view))
            return true;
    return false;
}

/* Every file that the locked session reads or writes besides the sources: snapshots, of before and of now. */
static enum err_code files_of(const struct json *args, struct arena *a, const char ***ret,
                              size_t *ret_n, struct err *err)
{
    const struct json *names = json_get(args, "names"), *previous = json_get(args, "previous");
    size_t n = json_len(names), k = 0;
    for (size_t i = 0; previous && i < previous->u.obj.n; i++)
        n += json_len(previous->u.obj.members[i].val);
    const char **files = ARENA_NEW_N(a, const char *, n + 1);
    if (!files)
        return arena_err(a, err);
    for (size_t i = 0; i < json_len(names); i++)
        files[k++] = str_printf(a, "%s-%.*s.parquet", json_get_c(args, "out"),
                                STR_ARG(fs_name(json_at(names, i))));
    for (size_t i = 0; previous && i < previous->u.obj.n; i++) {
        const struct json *versions = previous->u.obj.members[i].val;
        for (size_t v = 0; v < json_len(versions); v++)
            files[k++] = versions->u.obj.members[v].val->u.s.p;
    }
    *ret = files;
    *ret_n = k;
    return ERR_OK;
}

enum err_code features_op_materialize(struct worker *w, const struct json *args, struct json **ret,
                                      struct err *err)
{
    struct fsession fs = {0};
    struct json *out = json_obj(worker_arena(w)), *list = json_arr(worker_arena(w));
    const char **files = NULL;
    size_t n = 0;
    enum err_code code = files_of(args, worker_arena(w), &files, &n, err);
    if (code != ERR_OK)
        return code;
    code = fsession_open(w, args, files, n, &fs, err);
    fs.as_of_us = json_get_time(args, "to");
    if (code == ERR_OK)
        code = data_scan_set_as_of(fs.t, fs.as_of_us, err);
    for (size_t i = 0; code == ERR_OK && i < json_len(fs.infos); i++)
        if (is_wanted(json_get(args, "names"), json_get_str(json_at(fs.infos, i), "name")))
            code = one_view(&fs, json_at(fs.infos, i), list, err);
    json_set(fs.a, out, "views", list);
    fsession_close(&fs);
    if (code == ERR_OK)
        *ret = out;
    return code;
}
