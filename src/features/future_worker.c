/* features.future: does a view know the future?
 *
 * What a view says of a moment <= T, and claims to know by T, must not depend on source rows that became known after T. That
 * holds for any set of source rows or it does not hold, so it is tried on stretches of the data: the view over the rows known
 * in (T - before, T + after], and over those known in (T - before, T]; both must say the same up to T. T are known_at times of
 * real rows: round hours would hide a view that is wrong only inside the hour.
 *
 * First the two are compared by count and sum of row hashes, without keeping a row. Only when these differ are both kept and
 * compared row by row: floats that were added in another order may differ in the last digits, so numbers are compared with a
 * relative tolerance. */
#include "base/clock.h"
#include "data/scan.h"
#include "features/features_ops.h"
#include "features/features_worker.h"
#include "features/fsession.h"

#define FUTURE_TOLERANCE "1e-9"

#define FUTURE_SAMPLE_PERCENT 2      /* of the rows: their known_at tell where to cut */
#define FUTURE_WHOLE          200000 /* sources of fewer rows are used whole */
#define FUTURE_BEFORE         45000  /* rows of a stretch before T, and after it */
#define FUTURE_AFTER          15000

/* Shares of the rows that are known at T. */
static const double CUTS[] = {0.17, 0.53, 0.87};
#define N_STRETCHES (sizeof CUTS / sizeof *CUTS)

struct stretch {
    int64_t since_us, cut_us, until_us; /* AT_US_NONE: no bound */
};

struct future {
    struct fsession *fs;
    struct json *views;
    int64_t n_rows; /* of all sources that have a time */
    bool is_failed;
};

static bool has_time(const struct json *binding)
{
    return json_get_str(binding, "time").n > 0 || json_get_str(binding, "known_at").n > 0;
}

static int64_t rows_of(const struct json *binding)
{
    const struct json *files = json_get(binding, "files");
    int64_t n = 0;
    for (size_t i = 0; i < json_len(files); i++)
        n += json_get_int(json_at(files, i), "rows", 0);
    return n;
}

/* A sample of the known_at of all sources that have a time. */
static bool known_sample(struct future *f)
{
    struct buf *sql = &f->fs->sql;
    const struct json *bindings = json_get(f->fs->args, "bindings");
    size_t n = 0;
    buf_c(sql, "WITH s AS (");
    for (size_t i = 0; i < json_len(bindings); i++) {
        if (!has_time(json_at(bindings, i)))
            continue;
        f->n_rows += rows_of(json_at(bindings, i));
        buf_c(sql, n++ ? " UNION ALL " : "");
        buf_c(sql, "(SELECT known_at AS k FROM ");
        table_sql_ident(sql, json_get_str(json_at(bindings, i), "name"));
        if (rows_of(json_at(bindings, i)) >= FUTURE_WHOLE)
            buf_printf(sql, " USING SAMPLE %d%% (system, 7)", FUTURE_SAMPLE_PERCENT);
        buf_ch(sql, ')');
    }
    buf_c(sql, ") SELECT 0");
    return n > 0;
}

static double share(double at, double rows, double n)
{
    double v = n > 0 ? at + rows / n : at;
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

static enum err_code find_stretches(struct future *f, struct stretch *ret, size_t *ret_n,
                                    struct err *err)
{
    struct table_values v = {0};
    struct buf *sql = &f->fs->sql;
    *ret_n = 0;
    if (!known_sample(f)) {
        buf_reset(sql);
        return ERR_OK;
    }
    for (size_t i = 0; i < N_STRETCHES; i++)
        buf_printf(sql, ", quantile_disc(k, %.5f), quantile_disc(k, %.5f), quantile_disc(k, %.5f)",
                   share(CUTS[i], -FUTURE_BEFORE, (double)f->n_rows), CUTS[i],
                   share(CUTS[i], FUTURE_AFTER, (double)f->n_rows));
    buf_c(sql, " FROM s WHERE k IS NOT NULL");
    enum err_code code = fs_fetch(f->fs, 1, &v, err);
    for (size_t i = 0; code == ERR_OK && i < N_STRETCHES; i++) {
        const struct value *x = &v.p[1 + 3 * i];
        bool is_whole = f->n_rows < FUTURE_WHOLE;
        if (x[1].type != VAL_TIME)
            continue;
        ret[(*ret_n)++] = (struct stretch){is_whole ? AT_US_NONE : x[0].u.i, x[1].u.i,
                                           is_whole ? AT_US_NONE : x[2].u.i};
    }
    return code;
}

/* The rows of all stretches once, as tables that take the sources' place: files are read and known_at computed one time. */
static enum err_code keep_stretches(struct future *f, const struct stretch *s, size_t n,
                                    struct err *err)
{
    struct buf *sql = &f->fs->sql;
    const struct json *bindings = json_get(f->fs->args, "bindings");
    enum err_code code = ERR_OK;
    for (size_t i = 0;
         code == ERR_OK && n > 0 && s[0].since_us != AT_US_NONE && i < json_len(bindings); i++) {
        struct str name = json_get_str(json_at(bindings, i), "name");
        const char *kept = str_printf(f->fs->a, "__kept_%.*s", STR_ARG(name));
        if (!has_time(json_at(bindings, i)))
            continue;
        if (!kept)
            return arena_err(f->fs->a, err);
        buf_c(sql, "CREATE TABLE ");
        table_sql_ident(sql, str_c(kept));
        buf_c(sql, " AS SELECT * FROM ");
        table_sql_ident(sql, name);
        for (size_t k = 0; k < n; k++) {
            buf_c(sql, k ? " OR known_at > " : " WHERE known_at > ");
            table_sql_time(sql, s[k].since_us);
            buf_c(sql, " AND known_at <= ");
            table_sql_time(sql, s[k].until_us);
        }
        buf_c(sql, "; CREATE OR REPLACE VIEW ");
        table_sql_ident(sql, name);
        buf_c(sql, " AS SELECT * FROM ");
        table_sql_ident(sql, str_c(kept));
        buf_c(sql, " WHERE ");
        data_scan_window_sql(sql);
        code = fs_exec(f->fs, err);
    }
    return code;
}

/* Count and sum of hashes of what the view says up to the cut. */
static enum err_code fingerprint(struct future *f, const struct json *info, const struct stretch *s,
                                 int64_t until_us, struct value ret[2], struct err *err)
{
    struct fsession *fs = f->fs;
    struct table_values v = {0};
    enum err_code code = data_scan_set_window(fs->t, s->since_us, until_us, err);
    if (code != ERR_OK)
        return code;
    buf_c(&fs->sql, "SELECT count(*), CAST(sum(CAST(hash(");
    fs_names(&fs->sql, "", json_get(info, "entity"));
    buf_c(&fs->sql, ", ");
    table_sql_ident(&fs->sql, json_get_str(info, "time"));
    buf_c(&fs->sql, ", __known_at, ");
    fs_names(&fs->sql, "", json_get(info, "columns"));
    buf_c(&fs->sql, ") AS HUGEINT)) AS VARCHAR)");
    fs_from_view(fs, info);
    buf_c(&fs->sql, " AND __known_at <= ");
    table_sql_time(&fs->sql, s->cut_us);
    if (!json_get_bool(info, "is_known_after", false)) {
        buf_c(&fs->sql, " AND ");
        table_sql_ident(&fs->sql, json_get_str(info, "time"));
        buf_c(&fs->sql, " <= ");
        table_sql_time(&fs->sql, s->cut_us);
    }
    code = fs_fetch(fs, 1, &v, err);
    if (code == ERR_OK) {
        ret[0] = v.p[0];
        ret[1] = v.p[1];
    }
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

static enum err_code keep(struct future *f, const struct json *info, const struct stretch *s,
                          int64_t until_us, const char *table, struct err *err)
{
    enum err_code code = data_scan_set_window(f->fs->t, s->since_us, until_us, err);
    if (code != ERR_OK)
        return code;
    select_view(f, info, table);
    return fs_exec(f->fs, err);
}

static enum err_code check_stretch(struct future *f, const struct json *info,
                                   const struct stretch *s, struct json *report, bool *ret_found,
                                   struct err *err)
{
    struct table_values v = {0};
    struct value full[2], cut[2];
    enum err_code code = fingerprint(f, info, s, s->until_us, full, err);
    if (code == ERR_OK)
        code = fingerprint(f, info, s, s->cut_us, cut, err);
    if (code != ERR_OK || (value_same(&full[0], &cut[0]) && value_same(&full[1], &cut[1])))
        return code;
    code = keep(f, info, s, s->until_us, "__full", err);
    if (code == ERR_OK)
        code = keep(f, info, s, s->cut_us, "__cut", err);
    if (code != ERR_OK)
        return code;
    compare_sql(f, info, s->cut_us);
    code = fs_fetch(f->fs, 1, &v, err);
    if (code != ERR_OK)
        return code;
    *ret_found = v.p[2].type == VAL_TIME;
    if (*ret_found)
        finding(f, info, &v, s->cut_us, report);
    return ERR_OK;
}

static enum err_code check_view(struct future *f, const struct json *info, const struct stretch *s,
                                size_t n, struct err *err)
{
    struct arena *a = f->fs->a;
    struct json *report = json_obj(a);
    enum err_code code = ERR_OK;
    bool is_found = false;
    json_set(a, report, "view", json_str(a, json_get_str(info, "name")));
    json_set(a, report, "verdict", json_cstr(a, n > 0 ? "pass" : "no_evidence"));
    for (size_t i = 0; code == ERR_OK && !is_found && i < n; i++)
        code = check_stretch(f, info, &s[i], report, &is_found, err);
    json_add(a, f->views, report);
    return code == ERR_OK ? ERR_OK
                          : err_wrap(err, "view %.*s", STR_ARG(json_get_str(info, "name")));
}

enum err_code features_op_future(struct worker *w, const struct json *args, struct json **ret,
                                 struct err *err)
{
    struct fsession fs;
    struct stretch stretches[N_STRETCHES];
    size_t n = 0;
    struct future f = {.fs = &fs, .views = json_arr(worker_arena(w))};
    struct json *out = json_obj(worker_arena(w));
    enum err_code code = fsession_open(w, args, NULL, 0, &fs, err);
    if (code == ERR_OK)
        code = find_stretches(&f, stretches, &n, err);
    if (code == ERR_OK)
        code = keep_stretches(&f, stretches, n, err);
    for (size_t i = 0; code == ERR_OK && i < json_len(fs.infos); i++) {
        worker_progress(w, (double)i / (double)json_len(fs.infos), "does view %.*s know the future",
                        STR_ARG(json_get_str(json_at(fs.infos, i), "name")));
        code = check_view(&f, json_at(fs.infos, i), stretches, n, err);
    }
    json_set(fs.a, out, "verdict", json_cstr(fs.a, f.is_failed ? "fail" : "pass"));
    json_set(fs.a, out, "views", f.views);
    fsession_close(&fs);
    if (code == ERR_OK)
        *ret = out;
    return code;
}
