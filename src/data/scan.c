/* A source's files as views of a session. The as-of time is a session variable, so that it can move without
 * making the views again, and is folded into a constant before the files are read. */
#include "data/scan.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/vec.h"

#define SCAN_SQL_MAX (32 << 20)
#define SCAN_UNTIL   "CAST(getvariable('pawl_until') AS TIMESTAMP)"
#define SCAN_SINCE   "CAST(getvariable('pawl_since') AS TIMESTAMP)"

static void files_list(struct buf *out, const struct json *files)
{
    buf_ch(out, '[');
    for (size_t i = 0; i < json_len(files); i++) {
        if (i > 0)
            buf_c(out, ", ");
        table_sql_text(out, json_get_str(json_at(files, i), "path"));
    }
    buf_ch(out, ']');
}

/* {'name': 'TYPE', …}: as found when the version was made, so that another sample of a text file is not typed otherwise. */
static void text_types(struct buf *out, const char *option, const struct json *columns)
{
    if (json_len(columns) == 0)
        return;
    buf_printf(out, ", %s={", option);
    for (size_t i = 0; i < json_len(columns); i++) {
        if (i > 0)
            buf_c(out, ", ");
        table_sql_text(out, json_get_str(json_at(columns, i), "name"));
        buf_c(out, ": ");
        table_sql_text(out, json_get_str(json_at(columns, i), "sql_type"));
    }
    buf_ch(out, '}');
}

/* A dialect that is known is not sniffed again: 60 ms a file. */
static void csv_options(struct buf *out, const struct json *binding)
{
    static const char *const TEXTS[] = {"delim", "quote", "escape", "dateformat",
                                        "timestampformat"};
    const struct json *dialect = json_get(binding, "dialect"),
                      *columns = json_get(binding, "columns");
    if (!dialect || json_len(columns) == 0) {
        buf_c(out, ", union_by_name=true, sample_size=204800");
        text_types(out, "types", columns);
        return;
    }
    buf_printf(out, ", auto_detect=false, header=%s, skip=%lld",
               json_get_bool(dialect, "header", true) ? "true" : "false",
               (long long)json_get_int(dialect, "skip", 0));
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        if (json_get_str(dialect, TEXTS[i]).n > 0) {
            buf_printf(out, ", %s=", TEXTS[i]);
            table_sql_text(out, json_get_str(dialect, TEXTS[i]));
        }
    text_types(out, "columns", columns);
}

/* Parquet knows each row's place; of text files the order of reading is the order of the file. */
static void row_ordinal(struct buf *out, const struct json *binding, bool is_parquet)
{
    const struct json *files = json_get(binding, "files");
    int64_t offset = 0;
    if (!is_parquet) {
        buf_c(out, ", row_number() OVER () - 1 AS __row");
        return;
    }
    buf_c(out, ", CAST(file_row_number AS BIGINT)");
    if (json_len(files) > 1) {
        buf_c(out, " + ([");
        for (size_t i = 0; i < json_len(files); i++) {
            buf_printf(out, "%s%lld", i ? ", " : "", (long long)offset);
            offset += json_get_int(json_at(files, i), "rows", 0);
        }
        buf_c(out, "]::BIGINT[])[CAST(file_index AS BIGINT) + 1]");
    }
    buf_c(out, " AS __row");
}

enum err_code data_scan_sql(const struct json *binding, bool has_row, struct buf *out,
                            struct err *err)
{
    struct str kind = json_get_str(binding, "kind");
    const struct json *files = json_get(binding, "files");
    bool is_parquet = str_is(kind, "parquet");
    if (json_len(files) == 0)
        return err_set(err, ERR_EMPTY, "source %.*s has no files",
                       STR_ARG(json_get_str(binding, "name")));
    buf_c(out, "SELECT *");
    if (has_row)
        row_ordinal(out, binding, is_parquet);
    buf_c(out, " FROM ");
    if (is_parquet) {
        buf_c(out, "read_parquet(");
        files_list(out, files);
        /* Files known to have one schema: only the first need be opened to see it. */
        buf_c(out, json_get_bool(binding, "is_uniform", false)
                       ? ", hive_partitioning=false)"
                       : ", union_by_name=true, hive_partitioning=false)");
    } else if (str_is(kind, "csv") || str_is(kind, "csv.gz")) {
        buf_c(out, "read_csv(");
        files_list(out, files);
        buf_c(out, ", hive_partitioning=false");
        if (str_is(kind, "csv.gz"))
            buf_c(out, ", compression='gzip'");
        csv_options(out, binding);
        buf_ch(out, ')');
    } else {
        buf_c(out, "read_json(");
        files_list(out, files);
        buf_c(out, ", format='newline_delimited', union_by_name=true, hive_partitioning=false)");
    }
    return buf_ok(out, err);
}

/* The SQL of a time column as naive UTC TIMESTAMP; false: the type is no time. */
static bool time_sql(struct buf *out, const struct table_column *c, struct str zone)
{
    struct str type = str_c(c->sql_type);
    bool is_utc = zone.n == 0 || str_is(zone, "UTC");
    struct str name = str_c(c->name);
    if (str_is(type, "TIMESTAMP WITH TIME ZONE")) {
        table_sql_ident(out, name);
        buf_c(out, " AT TIME ZONE 'UTC'");
        return true;
    }
    if (c->type != VAL_TIME && c->type != VAL_STR)
        return false;
    buf_c(out, is_utc ? "CAST(" : "(CAST(");
    table_sql_ident(out, name);
    buf_c(out, " AS TIMESTAMP)");
    if (!is_utc) {
        buf_c(out, " AT TIME ZONE ");
        table_sql_text(out, zone);
        buf_c(out, ") AT TIME ZONE 'UTC'");
    }
    return true;
}

struct scan {
    struct table *t;
    const struct json *binding;
    struct str name, time, zone;
    struct table_column *cols;
    size_t n_cols;
    struct arena a;
    struct buf raw, sql;
};

static const struct table_column *scan_column(const struct scan *s, struct str name)
{
    for (size_t i = 0; i < s->n_cols; i++)
        if (str_eq(str_c(s->cols[i].name), name))
            return &s->cols[i];
    return NULL;
}

static enum err_code no_such_time(struct scan *s, struct err *err)
{
    const char **names = ARENA_NEW_N(&s->a, const char *, s->n_cols);
    const char *near = NULL;
    for (size_t i = 0; names && i < s->n_cols; i++)
        names[i] = s->cols[i].name;
    if (names)
        near = str_nearest(s->time, names, s->n_cols);
    return err_set(err, ERR_INVALID, "source %.*s has no column '%.*s' for `time:`%s%s%s",
                   STR_ARG(s->name), STR_ARG(s->time), near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

/* " REPLACE (… AS a, …)": the time column, and other naive times where the source has a zone. */
static enum err_code replace_times(struct scan *s, struct err *err)
{
    bool is_utc = s->zone.n == 0 || str_is(s->zone, "UTC");
    size_t n = 0;
    if (s->time.n > 0 && !scan_column(s, s->time))
        return no_such_time(s, err);
    for (size_t i = 0; i < s->n_cols; i++) {
        const struct table_column *c = &s->cols[i];
        bool is_time = str_eq(str_c(c->name), s->time);
        bool is_naive = str_starts(str_c(c->sql_type), STR("TIMESTAMP")) &&
                        !str_is(str_c(c->sql_type), "TIMESTAMP WITH TIME ZONE");
        if (!is_time && (is_utc || !is_naive))
            continue;
        if (is_time && is_naive && is_utc && str_is(str_c(c->sql_type), "TIMESTAMP"))
            continue;
        buf_c(&s->sql, n++ ? ", " : " REPLACE (");
        if (!time_sql(&s->sql, c, s->zone))
            return err_set(
                err, ERR_INVALID,
                "source %.*s: column '%s' (%s) is no time; name a timestamp or date column in "
                "`time:`",
                STR_ARG(s->name), c->name, c->sql_type);
        buf_c(&s->sql, " AS ");
        table_sql_ident(&s->sql, str_c(c->name));
    }
    if (n > 0)
        buf_ch(&s->sql, ')');
    return ERR_OK;
}

static void known_at_sql(struct scan *s)
{
    struct str expr = json_get_str(s->binding, "known_at");
    int64_t after_us = json_get_int(s->binding, "available_after_us", -1);
    buf_c(&s->sql, "CAST((");
    if (expr.n > 0) {
        buf_str(&s->sql, expr);
    } else if (scan_column(s, STR("known_at"))) {
        buf_c(&s->sql, "known_at");
    } else if (s->time.n == 0) {
        buf_c(&s->sql, SCAN_ALWAYS);
    } else {
        table_sql_ident(&s->sql, s->time);
        if (after_us > 0)
            buf_printf(&s->sql, " + to_microseconds(%lld)", (long long)after_us);
    }
    buf_c(&s->sql, "\n) AS TIMESTAMP) AS known_at");
}

void data_scan_window_sql(struct buf *out)
{
    buf_c(out, "(" SCAN_UNTIL " IS NULL OR known_at <= " SCAN_UNTIL ") AND (" SCAN_SINCE
               " IS NULL OR known_at > " SCAN_SINCE " OR known_at = " SCAN_ALWAYS ")");
}

/* CREATE VIEW "name" or "name__rows". */
static enum err_code create_view(struct scan *s, bool has_row, struct err *err)
{
    int64_t as_of = json_get_time(s->binding, "as_of");
    bool has_known = scan_column(s, STR("known_at")) != NULL;
    enum err_code code;
    buf_reset(&s->raw);
    buf_reset(&s->sql);
    code = data_scan_sql(s->binding, has_row, &s->raw, err);
    if (code != ERR_OK)
        return code;
    buf_c(&s->sql, "CREATE VIEW ");
    table_sql_ident(&s->sql,
                    str_c(str_printf(&s->a, "%.*s%s", STR_ARG(s->name), has_row ? "__rows" : "")));
    buf_c(&s->sql, " AS SELECT * FROM (SELECT *");
    buf_c(&s->sql, has_known ? " REPLACE (" : ", ");
    known_at_sql(s);
    buf_c(&s->sql, has_known ? ") FROM (SELECT *" : " FROM (SELECT *");
    code = replace_times(s, err);
    if (code != ERR_OK)
        return code;
    buf_c(&s->sql, " FROM (");
    buf_str(&s->sql, buf_view(&s->raw));
    buf_c(&s->sql, "))) WHERE ");
    data_scan_window_sql(&s->sql);
    if (as_of != AT_US_NONE) {
        buf_c(&s->sql, " AND known_at <= ");
        table_sql_time(&s->sql, as_of);
    }
    code = buf_ok(&s->sql, err);
    if (code == ERR_OK)
        code = table_exec(s->t, TABLE_SQL(s->sql.p), err);
    return code;
}

/* Its columns: as the version says, else as the files do. */
static enum err_code scan_columns(struct scan *s, struct err *err)
{
    const struct json *columns = json_get(s->binding, "columns");
    s->n_cols = json_len(columns);
    s->cols = ARENA_NEW_N(&s->a, struct table_column, s->n_cols);
    if (!s->cols)
        return arena_err(&s->a, err);
    for (size_t i = 0; i < s->n_cols; i++) {
        struct table_column *c = &s->cols[i];
        c->name = json_get_c(json_at(columns, i), "name");
        c->sql_type = json_get_c(json_at(columns, i), "sql_type");
        c->is_supported = value_type_from_name(json_get_str(json_at(columns, i), "type"), &c->type);
        if (!c->name || !c->sql_type)
            return err_set(err, ERR_INVALID, "column %zu has no name or type", i);
    }
    if (s->n_cols > 0)
        return ERR_OK;
    enum err_code code = data_scan_sql(s->binding, false, &s->raw, err);
    if (code == ERR_OK)
        code = table_describe(s->t, buf_view(&s->raw), &s->a, &s->cols, &s->n_cols, err);
    return code;
}

enum err_code data_scan_bind(struct table *t, const struct json *binding, struct err *err)
{
    struct scan s = {.t = t, .binding = binding};
    enum err_code code;
    s.name = json_get_str(binding, "name");
    s.time = json_get_str(binding, "time");
    s.zone = json_get_str(binding, "timezone");
    arena_init(&s.a, 64 << 20);
    buf_init(&s.raw, SCAN_SQL_MAX);
    buf_init(&s.sql, SCAN_SQL_MAX);
    code = scan_columns(&s, err);
    if (code == ERR_OK)
        code = create_view(&s, false, err);
    if (code == ERR_OK)
        code = create_view(&s, true, err);
    if (code != ERR_OK)
        code = err_wrap(err, "source %.*s", STR_ARG(s.name));
    buf_fini(&s.raw);
    buf_fini(&s.sql);
    arena_fini(&s.a);
    return code;
}

enum err_code data_scan_bind_all(struct table *t, const struct json *bindings,
                                 const char *const *more, size_t n_more, struct err *err)
{
    struct arena a = {0};
    VEC(const char *) paths = {0};
    enum err_code code = ERR_OK;
    arena_init(&a, 256 << 20);
    for (size_t i = 0; code == ERR_OK && i < json_len(bindings); i++) {
        const struct json *files = json_get(json_at(bindings, i), "files");
        code = data_scan_bind(t, json_at(bindings, i), err);
        for (size_t k = 0; code == ERR_OK && k < json_len(files); k++) {
            const char **slot = VEC_ADD(&a, &paths);
            if (slot)
                *slot = json_get_c(json_at(files, k), "path");
            else
                code = arena_err(&a, err);
        }
    }
    for (size_t i = 0; code == ERR_OK && i < n_more; i++) {
        const char **slot = VEC_ADD(&a, &paths);
        if (slot)
            *slot = more[i];
        else
            code = arena_err(&a, err);
    }
    if (code == ERR_OK)
        code = table_lock(t, paths.p, paths.n, err);
    arena_fini(&a);
    return code;
}

static void set_variable(struct buf *sql, const char *name, int64_t at_us)
{
    buf_printf(sql, "SET VARIABLE %s = ", name);
    if (at_us == AT_US_NONE)
        buf_c(sql, "NULL");
    else
        table_sql_time(sql, at_us);
    buf_c(sql, "; ");
}

enum err_code data_scan_set_window(struct table *t, int64_t since_us, int64_t until_us,
                                   struct err *err)
{
    struct buf sql = {0};
    buf_init(&sql, 1024);
    set_variable(&sql, "pawl_since", since_us);
    set_variable(&sql, "pawl_until", until_us);
    enum err_code code = buf_ok(&sql, err);
    if (code == ERR_OK)
        code = table_exec(t, TABLE_SQL(sql.p), err);
    buf_fini(&sql);
    return code;
}

enum err_code data_scan_set_as_of(struct table *t, int64_t at_us, struct err *err)
{
    return data_scan_set_window(t, AT_US_NONE, at_us, err);
}

enum err_code data_kind_of_file(const char *path, const char **ret, struct err *err)
{
    unsigned char head[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_NOT_FOUND, "cannot open %s", path);
    ssize_t n = read(fd, head, sizeof head);
    fd_close(&fd);
    if (n < 0)
        return err_set(err, ERR_IO, "cannot read %s", path);
    if (n >= 4 && memcmp(head, "PAR1", 4) == 0) {
        *ret = "parquet";
        return ERR_OK;
    }
    if (n >= 2 && head[0] == 0x1f && head[1] == 0x8b) {
        *ret = "csv.gz";
        return ERR_OK;
    }
    ssize_t i = n >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (i < n && (head[i] == ' ' || head[i] == '\n' || head[i] == '\r' || head[i] == '\t'))
        i++;
    *ret = i < n && head[i] == '{' ? "jsonl" : "csv";
    return ERR_OK;
}

enum err_code data_binding_of_file(const char *path, struct str name, struct str time,
                                   struct arena *a, struct json **ret, struct err *err)
{
    const char *kind = NULL;
    enum err_code code = data_kind_of_file(path, &kind, err);
    if (code != ERR_OK)
        return code;
    struct json *b = json_obj(a), *files = json_arr(a), *file = json_obj(a);
    json_set(a, file, "path", json_cstr(a, path));
    json_add(a, files, file);
    json_set(a, b, "name", json_str(a, name));
    json_set(a, b, "kind", json_cstr(a, kind));
    json_set(a, b, "files", files);
    if (time.n > 0)
        json_set(a, b, "time", json_str(a, time));
    *ret = b;
    return ERR_OK;
}
