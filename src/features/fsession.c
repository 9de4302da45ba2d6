#include "features/fsession.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/vec.h"
#include "data/data_worker.h"
#include "data/scan.h"

void fsession_close(struct fsession *fs)
{
    buf_fini(&fs->sql);
    table_close(fs->t);
    fs->t = NULL;
}

enum err_code fs_exec(struct fsession *fs, struct err *err)
{
    enum err_code code = buf_ok(&fs->sql, err);
    if (code == ERR_OK)
        code = table_exec(fs->t, TABLE_SQL(fs->sql.p), err);
    buf_reset(&fs->sql);
    return code;
}

enum err_code fs_fetch(struct fsession *fs, size_t max_rows, struct table_values *ret,
                       struct err *err)
{
    enum err_code code = buf_ok(&fs->sql, err);
    if (code == ERR_OK)
        code = table_fetch(fs->t, TABLE_SQL(fs->sql.p), max_rows, fs->a, ret, err);
    buf_reset(&fs->sql);
    return code;
}

struct str fs_name(const struct json *item)
{
    if (item && item->type == JSON_STR)
        return item->u.s;
    return json_get_str(item, "name");
}

void fs_names(struct buf *out, const char *prefix, const struct json *list)
{
    for (size_t i = 0; i < json_len(list); i++) {
        buf_c(out, i ? ", " : "");
        buf_c(out, prefix);
        table_sql_ident(out, fs_name(json_at(list, i)));
    }
}

static const struct json *named(const struct json *list, struct str name)
{
    for (size_t i = 0; i < json_len(list); i++)
        if (str_eq(json_get_str(json_at(list, i), "name"), name))
            return json_at(list, i);
    return NULL;
}

const struct json *fs_definition(const struct fsession *fs, struct str view)
{
    return named(json_get(fs->args, "views"), view);
}

enum err_code fs_info(const struct fsession *fs, struct str view, const struct json **ret,
                      struct err *err)
{
    const struct json *info = named(fs->infos, view);
    const char **names = ARENA_NEW_N(fs->a, const char *, json_len(fs->infos));
    const char *near = NULL;
    if (info) {
        *ret = info;
        return ERR_OK;
    }
    for (size_t i = 0; names && i < json_len(fs->infos); i++)
        names[i] = json_get_c(json_at(fs->infos, i), "name");
    if (names)
        near = str_nearest(view, names, json_len(fs->infos));
    return err_set(err, ERR_NOT_FOUND, "there is no batch view '%.*s'%s%s%s", STR_ARG(view),
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* Each condition is computed from the view's expressions for every source row: none is asked for twice. A value known at its
 * time or later that is known by the as-of time is not after it. */
void fs_from_view(struct fsession *fs, const struct json *info)
{
    const struct json *entities = json_get(info, "entity");
    struct str time = json_get_str(info, "time");
    bool has_as_of = fs->as_of_us != AT_US_NONE,
         is_after = json_get_bool(info, "is_known_after", false);
    buf_c(&fs->sql, " FROM ");
    table_sql_ident(&fs->sql, json_get_str(info, "canonical"));
    buf_c(&fs->sql, " WHERE true");
    for (size_t i = 0; i < json_len(entities); i++) {
        buf_c(&fs->sql, " AND ");
        table_sql_ident(&fs->sql, fs_name(json_at(entities, i)));
        buf_c(&fs->sql, " IS NOT NULL");
    }
    buf_c(&fs->sql, " AND __known_at");
    if (has_as_of) {
        buf_c(&fs->sql, " <= ");
        table_sql_time(&fs->sql, fs->as_of_us);
    } else {
        buf_c(&fs->sql, " IS NOT NULL");
    }
    if (is_after)
        return;
    buf_c(&fs->sql, " AND ");
    table_sql_ident(&fs->sql, time);
    if (has_as_of) {
        buf_c(&fs->sql, " <= ");
        table_sql_time(&fs->sql, fs->as_of_us);
    } else {
        buf_c(&fs->sql, " IS NOT NULL");
    }
}

/* ---- which views, in which order ---- */

static bool is_batch(const struct json *def)
{
    return str_is(json_get_str(def, "kind"), "batch");
}

/* What a view that is read reads itself is read too. */
static void add_reads(struct fsession *fs, struct json *list, struct str name)
{
    const struct json *view = named(fs->infos, name);
    for (size_t i = 0; i < json_len(list); i++)
        if (str_eq(json_at(list, i)->u.s, name))
            return;
    json_add(fs->a, list, json_str(fs->a, name));
    for (size_t i = 0; view && i < json_len(json_get(view, "reads")); i++)
        add_reads(fs, list, json_at(json_get(view, "reads"), i)->u.s);
}

static enum err_code reads_of(struct fsession *fs, const struct json *def, struct json **ret,
                              struct err *err)
{
    struct table_names names = {0};
    struct json *list = json_arr(fs->a);
    struct str sql = json_get_str(def, "sql");
    enum err_code code = table_names_used(fs->t, sql, false, fs->a, &names, err);
    if (code != ERR_OK)
        return err_wrap(err, "view %.*s: sql", STR_ARG(json_get_str(def, "name")));
    for (size_t i = 0; i < names.n_tables; i++)
        add_reads(fs, list, names.tables[i]);
    *ret = list;
    return ERR_OK;
}

/* Are all views that this one reads there already? */
static bool is_ready(const struct fsession *fs, const struct json *reads, struct str self)
{
    for (size_t i = 0; i < json_len(reads); i++) {
        struct str name = json_at(reads, i)->u.s;
        const struct json *def = fs_definition(fs, name);
        if (def && is_batch(def) && !named(fs->infos, name) && !str_eq(name, self))
            return false;
        if (str_eq(name, self))
            return false;
    }
    return true;
}

/* ---- one view ---- */

static struct json *column_json(struct arena *a, const struct table_column *c)
{
    struct json *j = json_obj(a);
    json_set(a, j, "name", json_cstr(a, c->name));
    json_set(a, j, "type", json_cstr(a, value_type_name(c->type)));
    json_set(a, j, "sql_type", json_cstr(a, c->sql_type));
    return j;
}

struct view_cols {
    struct table_column *p;
    size_t n;
};

static const struct table_column *find_column(const struct view_cols *cols, struct str name)
{
    for (size_t i = 0; i < cols->n; i++)
        if (str_eq(str_c(cols->p[i].name), name))
            return &cols->p[i];
    return NULL;
}

static enum err_code need_column(struct fsession *fs, const struct view_cols *cols, struct str name,
                                 const char *what, const struct table_column **ret, struct err *err)
{
    const struct table_column *c = find_column(cols, name);
    const char **names = ARENA_NEW_N(fs->a, const char *, cols->n);
    const char *near = NULL;
    if (c) {
        *ret = c;
        return ERR_OK;
    }
    for (size_t i = 0; names && i < cols->n; i++)
        names[i] = cols->p[i].name;
    if (names)
        near = str_nearest(name, names, cols->n);
    return err_set(err, ERR_INVALID, "the SQL gives no column '%.*s' (%s)%s%s%s", STR_ARG(name),
                   what, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* entities and columns of the description. */
static enum err_code info_columns(struct fsession *fs, const struct json *def,
                                  const struct view_cols *cols, struct json *info, struct err *err)
{
    const struct json *entity = json_get(def, "entity");
    struct json *entities = json_arr(fs->a), *columns = json_arr(fs->a);
    struct str time = json_get_str(def, "time"), known = json_get_str(def, "known_at");
    const struct table_column *c = NULL;
    enum err_code code = need_column(fs, cols, time, "time", &c, err);
    if (code == ERR_OK && c->type != VAL_TIME)
        code = err_set(err, ERR_INVALID, "time column '%.*s' is %s; it has to be a timestamp",
                       STR_ARG(time), c->sql_type);
    if (code == ERR_OK && known.n > 0)
        code = need_column(fs, cols, known, "known_at", &c, err);
    for (size_t i = 0; code == ERR_OK && i < json_len(entity); i++) {
        code = need_column(fs, cols, json_at(entity, i)->u.s, "entity", &c, err);
        if (code == ERR_OK)
            json_add(fs->a, entities, column_json(fs->a, c));
    }
    for (size_t i = 0; code == ERR_OK && i < cols->n; i++) {
        struct str name = str_c(cols->p[i].name);
        if (str_eq(name, time) || str_eq(name, known) || named(entities, name))
            continue;
        if (!cols->p[i].is_supported)
            code =
                err_set(err, ERR_UNSUPPORTED, "column '%s' is of type %s: a feature is one value",
                        cols->p[i].name, cols->p[i].sql_type);
        else
            json_add(fs->a, columns, column_json(fs->a, &cols->p[i]));
    }
    if (code == ERR_OK && json_len(columns) == 0)
        code = err_set(err, ERR_INVALID, "the SQL gives no column besides entity and time");
    json_set(fs->a, info, "entity", entities);
    json_set(fs->a, info, "columns", columns);
    return code;
}

static void copy(struct arena *a, struct json *to, const struct json *from, const char *key)
{
    if (json_get(from, key))
        json_set(a, to, key, json_copy(a, json_get(from, key)));
}

/* What makes its values: SQL, keys, times, the views it reads, how its sources' rows become known, the engine. */
static enum err_code view_version(struct fsession *fs, const struct json *def,
                                  const struct json *reads, struct json *info, struct err *err)
{
    static const char *const KEYS[] = {"sql",   "entity", "time", "known_at", "available_after_us",
                                       "ttl_us"};
    static const char *const SOURCE_KEYS[] = {"time", "timezone", "known_at", "available_after_us"};
    struct arena *a = fs->a;
    struct json *j = json_obj(a), *of = json_obj(a);
    struct str library = {0};
    struct digest d;
    enum err_code code = table_library_version(&library, err);
    if (code != ERR_OK)
        return code;
    json_set(a, j, "format", json_int(a, 1));
    json_set(a, j, "duckdb", json_str(a, library));
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        copy(a, j, def, KEYS[i]);
    for (size_t i = 0; i < json_len(reads); i++) {
        struct str name = json_at(reads, i)->u.s;
        const struct json *view = named(fs->infos, name);
        const struct json *source = named(json_get(fs->args, "bindings"), name);
        struct json *s = json_obj(a);
        for (size_t k = 0; source && k < ARRAY_LEN(SOURCE_KEYS); k++)
            copy(a, s, source, SOURCE_KEYS[k]);
        const char *key = str_dup(a, name);
        if (key && (view || source))
            json_set(a, of, key, view ? json_str(a, json_get_str(view, "version")) : s);
    }
    json_set(a, j, "reads", of);
    code = json_digest(j, "view", &d, err);
    if (code == ERR_OK)
        json_set(a, info, "version", json_hex(a, &d));
    return code;
}

static void known_sql(struct buf *out, const struct json *def)
{
    struct str known = json_get_str(def, "known_at");
    int64_t after_us = json_get_int(def, "available_after_us", 0);
    buf_c(out, "CAST(");
    table_sql_ident(out, known.n > 0 ? known : json_get_str(def, "time"));
    buf_c(out, " AS TIMESTAMP)");
    if (known.n == 0 && after_us > 0)
        buf_printf(out, " + to_microseconds(%lld)", (long long)after_us);
}

static enum err_code create_canonical(struct fsession *fs, const struct json *def,
                                      const struct json *info, struct err *err)
{
    struct str time = json_get_str(def, "time");
    buf_c(&fs->sql, "CREATE VIEW ");
    table_sql_ident(&fs->sql, json_get_str(info, "canonical"));
    buf_c(&fs->sql, " AS SELECT ");
    fs_names(&fs->sql, "", json_get(info, "entity"));
    buf_c(&fs->sql, ", CAST(");
    table_sql_ident(&fs->sql, time);
    buf_c(&fs->sql, " AS TIMESTAMP) AS ");
    table_sql_ident(&fs->sql, time);
    buf_c(&fs->sql, ", ");
    known_sql(&fs->sql, def);
    buf_c(&fs->sql, " AS __known_at, ");
    fs_names(&fs->sql, "", json_get(info, "columns"));
    buf_c(&fs->sql, " FROM ");
    table_sql_ident(&fs->sql, json_get_str(def, "name"));
    return fs_exec(fs, err);
}

/* A view that was computed before is read from its file. */
static enum err_code create_from_file(struct fsession *fs, const struct json *info, struct str path,
                                      struct err *err)
{
    buf_c(&fs->sql, "CREATE VIEW ");
    table_sql_ident(&fs->sql, json_get_str(info, "canonical"));
    buf_c(&fs->sql, " AS SELECT * FROM read_parquet(");
    table_sql_text(&fs->sql, path);
    buf_c(&fs->sql, ")");
    return fs_exec(fs, err);
}

static enum err_code create_view(struct fsession *fs, const struct json *def,
                                 const struct json *reads, struct err *err)
{
    struct json *info = json_obj(fs->a);
    struct view_cols cols = {0};
    struct str name = json_get_str(def, "name"), sql = json_get_str(def, "sql");
    const struct json *file = json_get(json_get(fs->args, "view_files"), json_get_c(def, "name"));
    const char *select = str_printf(fs->a, "SELECT * FROM \"%.*s\"", STR_ARG(name));
    enum err_code code = table_check_select(fs->t, sql, err);
    if (code != ERR_OK)
        return code;
    while (sql.n > 0 &&
           (sql.p[sql.n - 1] == ';' || sql.p[sql.n - 1] == '\n' || sql.p[sql.n - 1] == ' '))
        sql.n--;
    buf_c(&fs->sql, "CREATE VIEW ");
    table_sql_ident(&fs->sql, name);
    buf_printf(&fs->sql, " AS SELECT * FROM (\n%.*s\n)", STR_ARG(sql));
    code = fs_exec(fs, err);
    if (code == ERR_OK)
        code = table_describe(fs->t, str_c(select), fs->a, &cols.p, &cols.n, err);
    json_set(fs->a, info, "name", json_str(fs->a, name));
    json_set(fs->a, info, "reads", json_copy(fs->a, reads));
    json_set(fs->a, info, "time", json_str(fs->a, json_get_str(def, "time")));
    json_set(fs->a, info, "canonical", json_fmt(fs->a, "%.*s__canonical", STR_ARG(name)));
    copy(fs->a, info, def, "ttl_us");
    json_set(fs->a, info, "is_known_after", json_bool(fs->a, json_get_str(def, "known_at").n == 0));
    if (code == ERR_OK)
        code = info_columns(fs, def, &cols, info, err);
    if (code == ERR_OK)
        code = view_version(fs, def, reads, info, err);
    if (code == ERR_OK && file)
        code = create_from_file(fs, info, json_get_str(file, "path"), err);
    else if (code == ERR_OK)
        code = create_canonical(fs, def, info, err);
    if (code == ERR_OK)
        json_add(fs->a, fs->infos, info);
    return code;
}

/* Passes over the views until all are made: a view comes after those it reads. */
static enum err_code create_views(struct fsession *fs, struct err *err)
{
    const struct json *views = json_get(fs->args, "views");
    size_t n_batch = 0, n_before = 0;
    for (size_t i = 0; i < json_len(views); i++)
        n_batch += is_batch(json_at(views, i));
    do {
        n_before = json_len(fs->infos);
        for (size_t i = 0; i < json_len(views); i++) {
            const struct json *def = json_at(views, i);
            struct str name = json_get_str(def, "name");
            struct json *reads = NULL;
            if (!is_batch(def) || named(fs->infos, name))
                continue;
            enum err_code code = reads_of(fs, def, &reads, err);
            if (code == ERR_OK && is_ready(fs, reads, name))
                code = create_view(fs, def, reads, err);
            if (code != ERR_OK)
                return err_wrap(err, "view %.*s", STR_ARG(name));
        }
    } while (json_len(fs->infos) > n_before && json_len(fs->infos) < n_batch);
    for (size_t i = 0; json_len(fs->infos) < n_batch && i < json_len(views); i++) {
        struct str name = json_get_str(json_at(views, i), "name");
        if (is_batch(json_at(views, i)) && !named(fs->infos, name))
            return err_set(err, ERR_INVALID,
                           "view %.*s reads itself, directly or through other views",
                           STR_ARG(name));
    }
    return ERR_OK;
}

static enum err_code bind_sources(struct fsession *fs, const char *const *outputs, size_t n_outputs,
                                  struct err *err)
{
    const struct json *views = json_get(fs->args, "views");
    VEC(const char *) paths = {0};
    for (size_t i = 0; i < json_len(views); i++) {
        const char *name = json_get_c(json_at(views, i), "name");
        const char *path = json_get_c(json_get(json_get(fs->args, "view_files"), name), "path");
        const char **slot = path ? VEC_ADD(fs->a, &paths) : NULL;
        if (path && !slot)
            return arena_err(fs->a, err);
        if (slot)
            *slot = path;
    }
    for (size_t i = 0; i < n_outputs; i++) {
        const char **slot = VEC_ADD(fs->a, &paths);
        if (!slot)
            return arena_err(fs->a, err);
        *slot = outputs[i];
    }
    return data_scan_bind_all(fs->t, json_get(fs->args, "bindings"), paths.p, paths.n, err);
}

enum err_code fsession_open(struct worker *w, const struct json *args, const char *const *outputs,
                            size_t n_outputs, struct fsession *ret, struct err *err)
{
    *ret = (struct fsession){.w = w, .a = worker_arena(w), .args = args};
    ret->as_of_us = json_get_time(args, "as_of");
    ret->infos = json_arr(ret->a);
    buf_init(&ret->sql, FS_SQL_MAX);
    enum err_code code = data_worker_session(args, &ret->t, err);
    if (code == ERR_OK)
        code = bind_sources(ret, outputs, n_outputs, err);
    if (code == ERR_OK)
        code = create_views(ret, err);
    return code;
}
