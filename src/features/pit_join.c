#include "features/pit_join.h"

enum err_code pit_init(struct pit_join *p, struct fsession *fs, size_t n_max, struct err *err)
{
    *p = (struct pit_join){.fs = fs};
    p->views = ARENA_NEW_N(fs->a, struct pit_view, n_max);
    p->lookups = ARENA_NEW_N(fs->a, struct pit_lookup, n_max);
    return p->views && p->lookups ? ERR_OK : arena_err(fs->a, err);
}

static bool has_text(const struct json *list, struct str s)
{
    for (size_t i = 0; i < json_len(list); i++)
        if (str_eq(fs_name(json_at(list, i)), s))
            return true;
    return false;
}

static void add_texts(struct arena *a, struct json *to, const struct json *from)
{
    for (size_t i = 0; i < json_len(from); i++)
        if (!has_text(to, fs_name(json_at(from, i))))
            json_add(a, to, json_str(a, fs_name(json_at(from, i))));
}

static enum err_code view_of(struct pit_join *p, struct str name, struct pit_view **ret,
                             struct err *err)
{
    const struct json *info = NULL;
    for (size_t i = 0; i < p->n_views; i++)
        if (str_eq(json_get_str(p->views[i].info, "name"), name)) {
            *ret = &p->views[i];
            return ERR_OK;
        }
    enum err_code code = fs_info(p->fs, name, &info, err);
    if (code != ERR_OK)
        return code;
    struct pit_view *v = &p->views[p->n_views];
    *v = (struct pit_view){.info = info, .index = p->n_views++, .columns = json_arr(p->fs->a)};
    *ret = v;
    return ERR_OK;
}

/* The rows' columns in the order of the view's entities. */
static struct json *keys_in_order(struct pit_join *p, const struct pit_view *v,
                                  const struct pit_want *want)
{
    const struct json *entities = json_get(v->info, "entity");
    struct json *out = json_arr(p->fs->a);
    for (size_t i = 0; i < json_len(entities); i++) {
        struct str name = fs_name(json_at(entities, i));
        for (size_t k = 0; k < json_len(want->entity); k++)
            if (str_eq(json_at(want->entity, k)->u.s, fs_name(json_at(entities, i))))
                name = json_at(want->from, k)->u.s;
        json_add(p->fs->a, out, json_str(p->fs->a, name));
    }
    return out;
}

enum err_code pit_add(struct pit_join *p, const struct pit_want *want, struct err *err)
{
    struct pit_view *v = NULL;
    struct json *columns = json_arr(p->fs->a);
    enum err_code code = view_of(p, want->view, &v, err);
    if (code != ERR_OK)
        return code;
    const struct json *all = json_get(v->info, "columns");
    for (size_t i = 0; i < json_len(want->columns); i++)
        if (!has_text(all, fs_name(json_at(want->columns, i))))
            return err_set(err, ERR_INVALID, "view %.*s has no column '%.*s'", STR_ARG(want->view),
                           STR_ARG(fs_name(json_at(want->columns, i))));
    add_texts(p->fs->a, columns, json_len(want->columns) > 0 ? want->columns : all);
    add_texts(p->fs->a, v->columns, columns);
    struct json *from = keys_in_order(p, v, want);
    struct str as = want->as.n > 0 ? want->as : want->view;
    for (size_t i = 0; i < p->n_lookups; i++) {
        struct pit_lookup *l = &p->lookups[i];
        if (str_eq(l->as, as) && json_eq(l->from, from) && &p->views[l->view] == v) {
            add_texts(p->fs->a, (struct json *)(uintptr_t)l->columns,
                      columns); /* the same look-up again */
            return ERR_OK;
        }
    }
    p->lookups[p->n_lookups++] = (struct pit_lookup){.view = v->index,
                                                     .as = as,
                                                     .from = from,
                                                     .columns = columns,
                                                     .ttl_us = json_get_int(v->info, "ttl_us", -1)};
    return ERR_OK;
}

struct json *pit_key_columns(const struct pit_join *p)
{
    struct json *out = json_arr(p->fs->a);
    for (size_t i = 0; i < p->n_lookups; i++)
        add_texts(p->fs->a, out, p->lookups[i].from);
    return out;
}

/* ---- the view's rows ---- */

static enum err_code load_view(struct pit_join *p, struct pit_view *v, struct err *err)
{
    struct fsession *fs = p->fs;
    buf_printf(&fs->sql, "CREATE TEMP TABLE __v%zu AS SELECT ", v->index);
    fs_names(&fs->sql, "", json_get(v->info, "entity"));
    buf_c(&fs->sql, ", ");
    table_sql_ident(&fs->sql, json_get_str(v->info, "time"));
    buf_c(&fs->sql, " AS __time, __known_at, ");
    fs_names(&fs->sql, "", v->columns);
    fs_from_view(fs, v->info);
    return fs_exec(fs, err);
}

/* Every row known at its time: the newest row is the nearest in time. */
static void index_by_time(struct pit_join *p, const struct pit_view *v)
{
    struct buf *sql = &p->fs->sql;
    buf_printf(sql, "CREATE TEMP TABLE __n%zu AS SELECT ", v->index);
    fs_names(sql, "", json_get(v->info, "entity"));
    buf_printf(sql,
               ", __time AS __at, __time AS __vt, max(rowid) AS __rn, count(*) AS __c FROM __v%zu "
               "GROUP BY ",
               v->index);
    fs_names(sql, "", json_get(v->info, "entity"));
    buf_c(sql, ", __time");
}

static void same_keys(struct buf *sql, const char *a, const char *b, const struct json *entities)
{
    for (size_t i = 0; i < json_len(entities); i++) {
        buf_printf(sql, " AND %s.", a);
        table_sql_ident(sql, fs_name(json_at(entities, i)));
        buf_printf(sql, " = %s.", b);
        table_sql_ident(sql, fs_name(json_at(entities, i)));
    }
}

/* Rows equal in key and time are told apart by all their columns, so that the same one wins each time. Only these are looked at
 * again. */
static enum err_code settle_ties(struct pit_join *p, const struct pit_view *v, struct err *err)
{
    struct buf *sql = &p->fs->sql;
    const struct json *entities = json_get(v->info, "entity");
    buf_printf(sql, "UPDATE __n%zu AS n SET __rn = x.__rn FROM (SELECT ", v->index);
    fs_names(sql, "v.", entities);
    buf_c(sql, ", v.__time, max_by(v.rowid, row(");
    fs_names(sql, "v.", v->columns);
    buf_printf(sql,
               ")) AS __rn FROM __v%zu v SEMI JOIN (SELECT * FROM __n%zu WHERE __c > 1) t ON "
               "v.__time = t.__at",
               v->index, v->index);
    same_keys(sql, "v", "t", entities);
    buf_c(sql, " GROUP BY ");
    fs_names(sql, "v.", entities);
    buf_c(sql, ", v.__time) x WHERE n.__at = x.__time");
    same_keys(sql, "n", "x", entities);
    return fs_exec(p->fs, err);
}

/* Some rows became known later: which row is the newest of those usable, at each moment that one became usable. Rows equal in key
 * and times are ordered by all their columns where there are any such. */
static void index_by_knowledge(struct pit_join *p, const struct pit_view *v, bool is_tied)
{
    struct buf *sql = &p->fs->sql;
    const struct json *entities = json_get(v->info, "entity");
    buf_c(sql, "CREATE TEMP TABLE __s AS SELECT ");
    fs_names(sql, "", entities);
    buf_printf(sql, ", __time, __known_at, rowid AS __id FROM __v%zu ORDER BY __time, __known_at, ",
               v->index);
    fs_names(sql, "", is_tied ? v->columns : NULL);
    buf_printf(sql, "%srowid; CREATE TEMP TABLE __n%zu AS WITH best AS (SELECT ",
               is_tied ? ", " : "", v->index);
    fs_names(sql, "", entities);
    buf_c(sql, ", greatest(__time, __known_at) AS __at, max(rowid) OVER (PARTITION BY ");
    fs_names(sql, "", entities);
    buf_c(sql, " ORDER BY greatest(__time, __known_at), rowid ROWS UNBOUNDED PRECEDING) AS __rank "
               "FROM __s), "
               "one AS (SELECT ");
    fs_names(sql, "", entities);
    buf_c(sql, ", __at, max(__rank) AS __rank FROM best GROUP BY ");
    fs_names(sql, "", entities);
    buf_c(sql, ", __at) SELECT ");
    fs_names(sql, "one.", entities);
    buf_c(sql, ", one.__at, __s.__time AS __vt, __s.__id AS __rn FROM one JOIN __s ON __s.rowid = "
               "one.__rank; DROP "
               "TABLE __s");
}

/* Are there rows equal in key, time and known_at? */
static enum err_code has_ties(struct pit_join *p, const struct pit_view *v, bool is_by_time,
                              bool *ret, struct err *err)
{
    struct fsession *fs = p->fs;
    struct table_values x = {0};
    if (is_by_time) {
        buf_printf(&fs->sql, "SELECT coalesce(max(__c), 0) > 1 FROM __n%zu", v->index);
    } else {
        buf_printf(&fs->sql, "SELECT EXISTS (SELECT 1 FROM __v%zu GROUP BY ", v->index);
        fs_names(&fs->sql, "", json_get(v->info, "entity"));
        buf_c(&fs->sql, ", __time, __known_at HAVING count(*) > 1)");
    }
    enum err_code code = fs_fetch(fs, 1, &x, err);
    if (code == ERR_OK)
        *ret = x.p[0].u.b;
    return code;
}

static enum err_code index_view(struct pit_join *p, struct pit_view *v, struct err *err)
{
    struct fsession *fs = p->fs;
    struct table_values x = {0};
    bool is_by_time, is_tied = false;
    buf_printf(&fs->sql,
               "SELECT count(*), coalesce(bool_and(__known_at = __time), true) FROM __v%zu",
               v->index);
    enum err_code code = fs_fetch(fs, 1, &x, err);
    if (code != ERR_OK)
        return code;
    v->n_rows = x.p[0].u.i;
    is_by_time = x.p[1].u.b;
    if (is_by_time) {
        index_by_time(p, v);
        code = fs_exec(fs, err);
    }
    if (code == ERR_OK)
        code = has_ties(p, v, is_by_time, &is_tied, err);
    if (code != ERR_OK)
        return code;
    if (is_by_time)
        return is_tied ? settle_ties(p, v, err) : ERR_OK;
    index_by_knowledge(p, v, is_tied);
    return fs_exec(fs, err);
}

static void one_lookup(struct pit_join *p, size_t i)
{
    struct buf *sql = &p->fs->sql;
    const struct pit_lookup *l = &p->lookups[i];
    const struct json *entities = json_get(p->views[l->view].info, "entity");
    buf_printf(sql, " ASOF LEFT JOIN __n%zu n%zu ON ", l->view, i);
    for (size_t k = 0; k < json_len(entities); k++) {
        buf_c(sql, "r.");
        table_sql_ident(sql, fs_name(json_at(l->from, k)));
        buf_printf(sql, " = n%zu.", i);
        table_sql_ident(sql, fs_name(json_at(entities, k)));
        buf_c(sql, " AND ");
    }
    buf_printf(sql, "r.__t >= n%zu.__at", i);
}

static enum err_code count_matched(struct pit_join *p, struct err *err)
{
    struct table_values x = {0};
    if (p->n_lookups == 0)
        return ERR_OK;
    buf_c(&p->fs->sql, "SELECT count(rn0)");
    for (size_t i = 1; i < p->n_lookups; i++)
        buf_printf(&p->fs->sql, ", count(rn%zu)", i);
    buf_c(&p->fs->sql, " FROM __j");
    enum err_code code = fs_fetch(p->fs, 1, &x, err);
    for (size_t i = 0; code == ERR_OK && i < p->n_lookups; i++)
        p->lookups[i].n_matched = x.p[i].u.i;
    return code;
}

enum err_code pit_run(struct pit_join *p, struct err *err)
{
    struct buf *sql = &p->fs->sql;
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < p->n_views; i++) {
        struct str name = json_get_str(p->views[i].info, "name");
        worker_progress(p->fs->w, 0.2 + 0.3 * (double)i / (double)p->n_views, "view %.*s",
                        STR_ARG(name));
        code = load_view(p, &p->views[i], err);
        if (code == ERR_OK)
            code = index_view(p, &p->views[i], err);
        if (code != ERR_OK)
            return err_wrap(err, "view %.*s", STR_ARG(name));
    }
    worker_progress(p->fs->w, 0.5, "joining as of each row's time");
    buf_c(sql, "CREATE TEMP TABLE __j AS SELECT r.*");
    for (size_t i = 0; i < p->n_lookups; i++) {
        if (p->lookups[i].ttl_us >= 0)
            buf_printf(sql,
                       ", CASE WHEN n%zu.__vt >= r.__t - to_microseconds(%lld) THEN n%zu.__rn END "
                       "AS rn%zu",
                       i, (long long)p->lookups[i].ttl_us, i, i);
        else
            buf_printf(sql, ", n%zu.__rn AS rn%zu", i, i);
    }
    buf_c(sql, " FROM __rows r");
    for (size_t i = 0; i < p->n_lookups; i++)
        one_lookup(p, i);
    buf_c(sql, "; DROP TABLE __rows");
    code = fs_exec(p->fs, err);
    if (code == ERR_OK)
        code = count_matched(p, err);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "point-in-time join");
}

void pit_select(struct pit_join *p)
{
    struct buf *sql = &p->fs->sql;
    for (size_t i = 0; i < p->n_lookups; i++)
        for (size_t k = 0; k < json_len(p->lookups[i].columns); k++) {
            struct str column = fs_name(json_at(p->lookups[i].columns, k));
            buf_printf(sql, ", v%zu.", i);
            table_sql_ident(sql, column);
            buf_c(sql, " AS ");
            table_sql_ident(sql, str_c(str_printf(p->fs->a, "%.*s.%.*s", STR_ARG(p->lookups[i].as),
                                                  STR_ARG(column))));
        }
}

void pit_from(struct pit_join *p)
{
    struct buf *sql = &p->fs->sql;
    for (size_t i = 0; i < p->n_lookups; i++)
        buf_printf(sql, " LEFT JOIN __v%zu v%zu ON v%zu.rowid = r.rn%zu", p->lookups[i].view, i, i,
                   i);
}

struct json *pit_report(const struct pit_join *p)
{
    struct arena *a = p->fs->a;
    struct json *list = json_arr(a);
    for (size_t i = 0; i < p->n_lookups; i++) {
        const struct pit_view *v = &p->views[p->lookups[i].view];
        struct json *j = json_obj(a);
        json_set(a, j, "name", json_str(a, json_get_str(v->info, "name")));
        json_set(a, j, "as", json_str(a, p->lookups[i].as));
        json_set(a, j, "version", json_str(a, json_get_str(v->info, "version")));
        json_set(a, j, "rows", json_int(a, v->n_rows));
        json_set(a, j, "matched", json_int(a, p->lookups[i].n_matched));
        json_add(a, list, j);
    }
    return list;
}
