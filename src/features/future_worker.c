/* features.future: does a view know the future?
 *
 * What a view says of a moment <= T, and claims to know by T, must not change when only source rows known by T are used.
 * So each view is computed in full, and again with the sources cut at T, for several T; rows that the cut version lacks or has
 * otherwise knew something that was not known at T. T are known_at times of real rows at several shares of the range:
 * round hours would hide a view that is wrong only inside the hour. Sums of floats may differ in the last digits by the order
 * of addition: numbers are compared with a relative tolerance. */
#include "base/clock.h"
#include "data/scan.h"
#include "features/features_ops.h"
#include "features/features_worker.h"
#include "features/fsession.h"

#define FUTURE_TOLERANCE "1e-9"

static const double SHARES[] = {0.17, 0.41, 0.63, 0.86};
#define N_SHARES (sizeof SHARES / sizeof *SHARES)

struct future {
    struct fsession *fs;
    struct json *views;
    bool is_failed;
};

/* Times to cut at: from the known_at of the sources that have a time. */
static enum err_code cut_times(struct future *f, int64_t *ret, size_t *ret_n, struct err *err)
{
    struct fsession *fs = f->fs;
    const struct json *bindings = json_get(fs->args, "bindings");
    struct table_values v = {0};
    size_t n_sources = 0;
    buf_c(&fs->sql, "SELECT ");
    for (size_t s = 0; s < N_SHARES; s++)
        buf_printf(&fs->sql, "%squantile_disc(k, %.2f)", s ? ", " : "", SHARES[s]);
    buf_c(&fs->sql, " FROM (");
    for (size_t i = 0; i < json_len(bindings); i++) {
        const struct json *b = json_at(bindings, i);
        if (json_get_str(b, "time").n == 0 && json_get_str(b, "known_at").n == 0)
            continue;
        buf_c(&fs->sql, n_sources++ ? " UNION ALL " : "");
        buf_c(&fs->sql, "(SELECT known_at AS k FROM ");
        table_sql_ident(&fs->sql, json_get_str(b, "name"));
        buf_c(&fs->sql,
              " WHERE known_at IS NOT NULL USING SAMPLE reservoir(20000 ROWS) REPEATABLE (7))");
    }
    buf_c(&fs->sql, ")");
    *ret_n = 0;
    if (n_sources == 0) {
        buf_reset(&fs->sql);
        return ERR_OK;
    }
    enum err_code code = fs_fetch(fs, 1, &v, err);
    for (size_t s = 0; code == ERR_OK && s < N_SHARES; s++)
        if (v.p[s].type == VAL_TIME && (*ret_n == 0 || v.p[s].u.i != ret[*ret_n - 1]))
            ret[(*ret_n)++] = v.p[s].u.i;
    return code;
}

static void select_view(struct future *f, const struct json *info, const char *table)
{
    struct fsession *fs = f->fs;
    buf_printf(&fs->sql, "CREATE OR REPLACE TEMP TABLE %s AS SELECT ", table);
    fs_names(&fs->sql, "", json_get(info, "entity"));
    buf_c(&fs->sql, ", ");
    table_sql_ident(&fs->sql, json_get_str(info, "time"));
    buf_c(&fs->sql, " AS __time, __known_at, ");
    fs_names(&fs->sql, "", json_get(info, "columns"));
    fs_from_view(fs, info);
}

static void differs(struct buf *sql, const struct json *column)
{
    bool is_float = str_is(json_get_str(column, "type"), "float");
    buf_c(sql, "(f.");
    table_sql_ident(sql, fs_name(column));
    buf_c(sql, " IS DISTINCT FROM c.");
    table_sql_ident(sql, fs_name(column));
    if (is_float) {
        buf_c(sql, " AND NOT coalesce(abs(f.");
        table_sql_ident(sql, fs_name(column));
        buf_c(sql, " - c.");
        table_sql_ident(sql, fs_name(column));
        buf_c(sql, ") <= " FUTURE_TOLERANCE " * greatest(1, abs(f.");
        table_sql_ident(sql, fs_name(column));
        buf_c(sql, ")), false)");
    }
    buf_ch(sql, ')');
}

/* Joins the full rows of moments <= T with the cut ones; each column's count of differences, and the first row of one. Rows equal
 * in key and times are numbered in the order of their columns. */
static void compare_sql(struct future *f, const struct json *info, int64_t cut_us)
{
    struct buf *sql = &f->fs->sql;
    const struct json *entities = json_get(info, "entity"), *columns = json_get(info, "columns");
    buf_c(sql, "WITH fr AS (SELECT *, row_number() OVER (PARTITION BY ");
    fs_names(sql, "", entities);
    buf_c(sql, ", __time, __known_at ORDER BY ");
    fs_names(sql, "", columns);
    buf_c(sql, ") AS __i FROM __full WHERE __time <= ");
    table_sql_time(sql, cut_us);
    buf_c(sql, " AND __known_at <= ");
    table_sql_time(sql, cut_us);
    buf_c(sql, "), cr AS (SELECT *, row_number() OVER (PARTITION BY ");
    fs_names(sql, "", entities);
    buf_c(sql, ", __time, __known_at ORDER BY ");
    fs_names(sql, "", columns);
    buf_c(sql, ") AS __i FROM __cut WHERE __time <= ");
    table_sql_time(sql, cut_us);
    buf_c(sql, " AND __known_at <= ");
    table_sql_time(sql, cut_us);
    buf_c(sql, ") SELECT count(*), count(*) FILTER (WHERE c.__i IS NULL OR f.__i IS NULL), "
               "min(coalesce(f.__time, "
               "c.__time)) FILTER (WHERE c.__i IS NULL OR f.__i IS NULL");
    for (size_t i = 0; i < json_len(columns); i++) {
        buf_c(sql, " OR ");
        differs(sql, json_at(columns, i));
    }
    buf_ch(sql, ')');
    for (size_t i = 0; i < json_len(columns); i++) {
        buf_c(sql, ", count(*) FILTER (WHERE c.__i IS NOT NULL AND f.__i IS NOT NULL AND ");
        differs(sql, json_at(columns, i));
        buf_ch(sql, ')');
    }
    buf_c(sql, " FROM fr f FULL JOIN cr c ON f.__i = c.__i AND f.__time = c.__time AND "
               "f.__known_at = c.__known_at");
    for (size_t i = 0; i < json_len(entities); i++) {
        buf_c(sql, " AND f.");
        table_sql_ident(sql, fs_name(json_at(entities, i)));
        buf_c(sql, " = c.");
        table_sql_ident(sql, fs_name(json_at(entities, i)));
    }
}

static void finding(struct future *f, const struct json *info, const struct table_values *v,
                    int64_t cut_us, struct json *report)
{
    struct arena *a = f->fs->a;
    const struct json *columns = json_get(info, "columns");
    struct json *names = json_arr(a), *example = json_obj(a);
    struct buf list = {0};
    char cut[TIME_TEXT_BYTES];
    bool has_rows = v->p[1].u.i > 0;
    buf_init(&list, 1 << 16);
    for (size_t i = 0; i < json_len(columns); i++)
        if (v->p[3 + i].u.i > 0 || has_rows) {
            json_add(a, names, json_str(a, fs_name(json_at(columns, i))));
            buf_printf(&list, "%s%.*s", list.n ? ", " : "", STR_ARG(fs_name(json_at(columns, i))));
        }
    (void)time_text(cut, cut_us);
    json_set(a, example, "cut", json_time(a, cut_us));
    if (v->p[2].type == VAL_TIME)
        json_set(a, example, "time", json_time(a, v->p[2].u.i));
    json_set(a, example, "rows", json_int(a, v->p[0].u.i));
    json_set(a, report, "verdict", json_cstr(a, "fail"));
    json_set(a, report, "columns", names);
    json_set(a, report, "example", example);
    json_set(a, report, "message",
             json_fmt(a,
                      "view %.*s knows the future: what it says of moments up to %s (%.*s) changes "
                      "when only rows known "
                      "by then are used; let each source row enter at its known_at, or move the "
                      "view's time or "
                      "known_at later",
                      STR_ARG(json_get_str(info, "name")), cut, STR_ARG(buf_view(&list))));
    buf_fini(&list);
    f->is_failed = true;
}

static enum err_code check_cut(struct future *f, const struct json *info, int64_t cut_us,
                               struct json *report, bool *ret_found, struct err *err)
{
    struct table_values v = {0};
    enum err_code code = data_scan_set_as_of(f->fs->t, cut_us, err);
    if (code != ERR_OK)
        return code;
    select_view(f, info, "__cut");
    code = fs_exec(f->fs, err);
    if (code != ERR_OK)
        return code;
    compare_sql(f, info, cut_us);
    code = fs_fetch(f->fs, 1, &v, err);
    if (code != ERR_OK)
        return code;
    *ret_found = v.p[2].type == VAL_TIME;
    if (*ret_found)
        finding(f, info, &v, cut_us, report);
    return ERR_OK;
}

static enum err_code check_view(struct future *f, const struct json *info, const int64_t *cuts,
                                size_t n_cuts, struct err *err)
{
    struct arena *a = f->fs->a;
    struct json *report = json_obj(a);
    bool is_found = false;
    json_set(a, report, "view", json_str(a, json_get_str(info, "name")));
    json_set(a, report, "verdict", json_cstr(a, n_cuts > 0 ? "pass" : "no_evidence"));
    enum err_code code = data_scan_set_as_of(f->fs->t, AT_US_NONE, err);
    if (code == ERR_OK) {
        select_view(f, info, "__full");
        code = fs_exec(f->fs, err);
    }
    for (size_t i = 0; code == ERR_OK && !is_found && i < n_cuts; i++)
        code = check_cut(f, info, cuts[i], report, &is_found, err);
    json_add(a, f->views, report);
    return code == ERR_OK ? ERR_OK
                          : err_wrap(err, "view %.*s", STR_ARG(json_get_str(info, "name")));
}

enum err_code features_op_future(struct worker *w, const struct json *args, struct json **ret,
                                 struct err *err)
{
    struct fsession fs;
    int64_t cuts[N_SHARES];
    size_t n_cuts = 0;
    struct future f = {.fs = &fs, .views = json_arr(worker_arena(w))};
    struct json *out = json_obj(worker_arena(w));
    enum err_code code = fsession_open(w, args, NULL, 0, &fs, err);
    if (code == ERR_OK)
        code = cut_times(&f, cuts, &n_cuts, err);
    for (size_t i = 0; code == ERR_OK && i < json_len(fs.infos); i++) {
        worker_progress(w, (double)i / (double)json_len(fs.infos), "does view %.*s know the future",
                        STR_ARG(json_get_str(json_at(fs.infos, i), "name")));
        code = check_view(&f, json_at(fs.infos, i), cuts, n_cuts, err);
    }
    json_set(fs.a, out, "verdict", json_cstr(fs.a, f.is_failed ? "fail" : "pass"));
    json_set(fs.a, out, "views", f.views);
    fsession_close(&fs);
    if (code == ERR_OK)
        *ret = out;
    return code;
}
