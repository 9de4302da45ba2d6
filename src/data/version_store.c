#include "data/version_int.h"
#include "db/db.h"

#define DIGEST_PREFIX_MIN 6

static const char *project_of(const struct data_env *env)
{
    return env->project ? env->project : "";
}

enum err_code data_version_of_doc(const struct json *doc, struct data_version *ret, struct err *err)
{
    struct data_version v = {.doc = doc, .source = json_get_str(doc, "source")};
    enum err_code code = digest_parse(json_get_str(doc, "digest"), &v.digest, err);
    if (code != ERR_OK)
        return err_wrap(err, "data version");
    v.n_rows = json_get_int(doc, "rows", 0);
    v.n_bytes = json_get_int(doc, "bytes", 0);
    v.time_min_us = json_get_time(json_get(doc, "time"), "min");
    v.time_max_us = json_get_time(json_get(doc, "time"), "max");
    v.known_max_us = json_get_time(json_get(doc, "known_at"), "max");
    v.created_us = json_get_time(doc, "created_at");
    *ret = v;
    return ERR_OK;
}

/* ---- reading ---- */

struct find {
    const struct data_env *env;
    struct str source, prefix;
    struct arena *a;
    struct json *doc;
    size_t n;
};

static enum err_code find_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct find *f = arg;
    struct db_rows *rows = NULL;
    char *text = NULL;
    enum err_code code;
    f->n = 0;
    code = db_query(tx, &rows, err,
                    "SELECT detail_json FROM data_versions WHERE project = ? AND source = ? AND "
                    "substr(digest, 1, ?) = ? ORDER BY created_us DESC, digest LIMIT 2",
                    "stit", project_of(f->env), f->source, (int64_t)f->prefix.n,
                    f->prefix.n ? f->prefix : STR(""));
    if (code != ERR_OK)
        return code;
    while (db_next(rows))
        if (f->n++ == 0)
            text = db_dup(rows, 0, f->a);
    code = db_done(rows, err);
    if (code == ERR_OK && text)
        code = json_read(str_c(text), f->a, &f->doc, err);
    return code;
}

enum err_code data_version_find(const struct data_env *env, struct str source,
                                struct str digest_prefix, struct arena *a, struct json **ret_doc,
                                struct err *err)
{
    struct find f = {.env = env, .source = source, .prefix = digest_prefix, .a = a};
    if (digest_prefix.n > 0 && digest_prefix.n < DIGEST_PREFIX_MIN)
        return err_set(err, ERR_INVALID, "'%.*s': at least %d digits of the version's digest",
                       STR_ARG(digest_prefix), DIGEST_PREFIX_MIN);
    enum err_code code = db_read(env->db, find_tx, &f, err);
    if (code != ERR_OK)
        return code;
    if (!f.doc && digest_prefix.n > 0)
        return err_set(err, ERR_NOT_FOUND, "source %.*s has no version %.*s", STR_ARG(source),
                       STR_ARG(digest_prefix));
    if (!f.doc)
        return err_set(err, ERR_NOT_FOUND, "source %.*s has no version yet: `pawl run` makes one",
                       STR_ARG(source));
    if (digest_prefix.n > 0 && digest_prefix.n < DIGEST_HEX_BYTES - 1 && f.n > 1)
        return err_set(err, ERR_CONFLICT,
                       "several versions of %.*s begin with %.*s: give more digits",
                       STR_ARG(source), STR_ARG(digest_prefix));
    *ret_doc = f.doc;
    return ERR_OK;
}

enum err_code data_version_load(const struct data_env *env, struct str source,
                                struct str digest_prefix, struct arena *a, struct data_version *ret,
                                struct err *err)
{
    struct json *doc = NULL;
    enum err_code code = data_version_find(env, source, digest_prefix, a, &doc, err);
    return code == ERR_OK ? data_version_of_doc(doc, ret, err) : code;
}

struct list {
    const struct data_env *env;
    struct str source;
    int64_t limit;
    struct arena *a;
    struct json *out;
};

static void list_row(struct list *l, const struct db_rows *rows)
{
    struct arena *a = l->a;
    struct json *v = json_obj(a), *time = json_obj(a);
    json_set(a, v, "source", json_str(a, db_str(rows, 0)));
    json_set(a, v, "digest", json_str(a, db_str(rows, 1)));
    json_set(a, v, "rows", json_int(a, db_i64(rows, 2)));
    json_set(a, v, "bytes", json_int(a, db_i64(rows, 3)));
    if (!db_is_null(rows, 4)) {
        json_set(a, time, "min", json_time(a, db_i64(rows, 4)));
        json_set(a, time, "max", json_time(a, db_i64(rows, 5)));
        json_set(a, v, "time", time);
    }
    json_set(a, v, "created_at", json_time(a, db_i64(rows, 6)));
    json_add(a, l->out, v);
}

static enum err_code list_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct list *l = arg;
    struct db_rows *rows = NULL;
    enum err_code code;
    l->out = json_arr(l->a);
    code = db_query(
        tx, &rows, err,
        "SELECT source, digest, n_rows, n_bytes, min_time_us, max_time_us, created_us FROM "
        "data_versions WHERE project = ? AND (? = '' OR source = ?) ORDER BY created_us DESC, "
        "source, digest LIMIT ?",
        "stti", project_of(l->env), l->source.n ? l->source : STR(""),
        l->source.n ? l->source : STR(""), l->limit);
    if (code != ERR_OK)
        return code;
    while (db_next(rows))
        list_row(l, rows);
    return db_done(rows, err);
}

enum err_code data_version_list(const struct data_env *env, struct str source, int64_t limit,
                                struct arena *a, struct json **ret, struct err *err)
{
    struct list l = {env, source, limit, a, NULL};
    enum err_code code = db_read(env->db, list_tx, &l, err);
    if (code == ERR_OK)
        *ret = l.out;
    return code;
}

/* ---- writing ---- */

struct put {
    const struct data_env *env;
    struct data_version v;
    char digest[DIGEST_HEX_BYTES];
    struct buf schema, profile, detail;
};

static enum err_code put_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct put *p = arg;
    const struct data_version *v = &p->v;
    enum err_code code = db_exec(
        tx, err,
        "INSERT INTO data_versions(project, source, digest, created_us, n_rows, n_bytes, "
        "schema_json, "
        "profile_json, detail_json) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (project, source, "
        "digest) "
        "DO UPDATE SET created_us = excluded.created_us, detail_json = excluded.detail_json",
        "stsiiittt", project_of(p->env), v->source, p->digest, v->created_us, v->n_rows, v->n_bytes,
        buf_view(&p->schema), buf_view(&p->profile), buf_view(&p->detail));
    if (code == ERR_OK && v->time_min_us != AT_US_NONE)
        code = db_exec(tx, err,
                       "UPDATE data_versions SET min_time_us = ?, max_time_us = ? WHERE project = "
                       "? AND source "
                       "= ? AND digest = ?",
                       "iists", v->time_min_us, v->time_max_us, project_of(p->env), v->source,
                       p->digest);
    return code;
}

static enum err_code part_text(const struct json *v, struct buf *out, struct err *err)
{
    if (!v)
        return ERR_OK;
    return json_write(v, JSON_COMPACT, out, err);
}

enum err_code data_version_put(const struct data_env *env, const struct json *doc, struct err *err)
{
    struct put p = {.env = env};
    enum err_code code = data_version_of_doc(doc, &p.v, err);
    if (code != ERR_OK)
        return code;
    digest_hex(&p.v.digest, p.digest);
    buf_init(&p.schema, 16 << 20);
    buf_init(&p.profile, 64 << 20);
    buf_init(&p.detail, 128 << 20);
    code = part_text(json_get(doc, "columns"), &p.schema, err);
    if (code == ERR_OK)
        code = part_text(json_get(doc, "profile"), &p.profile, err);
    if (code == ERR_OK)
        code = part_text(doc, &p.detail, err);
    if (code == ERR_OK)
        code = db_write(env->db, put_tx, &p, err);
    buf_fini(&p.schema);
    buf_fini(&p.profile);
    buf_fini(&p.detail);
    return code;
}
