/* The owner's side of materialisation: what was handed over before, one child per view, the store, the record. */
#include "features/materialize.h"

#include "base/clock.h"
#include "base/file.h"
#include "blob/blob.h"
#include "db/db.h"

struct record {
    const struct data_env *env;
    const struct materialize_order *o;
    const struct view_spec *view;
    struct arena *a;
    const struct json *done; /* the child's answer */
    char *snapshot;          /* hex digest of the rows handed over so far; NULL: none */
    const char *version;
    const char *definition;
    bool is_paused;
};

static const char *project_of(const struct record *r)
{
    return r->env->project ? r->env->project : "";
}

static enum err_code load_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct record *r = arg;
    struct db_rows *rows = NULL;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT snapshot, is_paused FROM materializations WHERE project = ? AND name = ? AND "
        "version = ?",
        "sts", project_of(r), r->view->name, r->version);
    if (code != ERR_OK)
        return code;
    if (db_next(rows)) {
        r->snapshot = db_dup(rows, 0, r->a);
        r->is_paused = db_i64(rows, 1) != 0;
    }
    return db_done(rows, err);
}

static enum err_code save_tx(struct db_tx *tx, void *arg, struct err *err)
{
    const struct record *r = arg;
    int64_t now = clock_now_us(&r->env->clock);
    enum err_code code =
        db_exec(tx, err,
                "INSERT INTO feature_views(project, name, version, first_us, definition) VALUES "
                "(?,?,?,?,?) ON CONFLICT "
                "(project, name, version) DO NOTHING",
                "stsis", project_of(r), r->view->name, r->version, now, r->definition);
    if (code != ERR_OK)
        return code;
    return db_exec(tx, err,
                   "INSERT INTO materializations(project, name, version, to_us, at_us, newest_us, "
                   "n_total, n_new, "
                   "duration_ms, snapshot, is_paused) VALUES (?,?,?,?,?,?,?,?,?,?,0) ON CONFLICT "
                   "(project, name, version) "
                   "DO UPDATE SET to_us = excluded.to_us, at_us = excluded.at_us, newest_us = "
                   "excluded.newest_us, n_total "
                   "= excluded.n_total, n_new = excluded.n_new, duration_ms = "
                   "excluded.duration_ms, snapshot = "
                   "excluded.snapshot",
                   "stsiiiiiis", project_of(r), r->view->name, r->version, r->o->to_us, now,
                   json_get_time(r->done, "newest"), json_get_int(r->done, "rows_total", 0),
                   json_get_int(r->done, "rows_new", 0), json_get_int(r->done, "duration_ms", 0),
                   r->snapshot);
}

/* Values older than the ttl are of no use unless they are served all the same; a day more, so that a replay may hand over a
 * day's values at its end. */
static int64_t keep_of(const struct materialize_order *o, const struct view_spec *v)
{
    if (o->keep_us > 0)
        return o->keep_us;
    return v->ttl_us >= 0 && v->on_stale != VIEW_STALE_SERVE_LAST ? v->ttl_us + US_PER_DAY : 0;
}

static enum err_code call_child(struct record *r, const char *out, const char *snapshot,
                                struct json **ret, struct err *err)
{
    struct arena *a = r->a;
    struct json *args = json_obj(a);
    struct digest d;
    enum err_code code = ERR_OK;
    json_set(a, args, "views", features_views_json(r->o->views, a));
    json_set(a, args, "view", json_str(a, r->view->name));
    json_set(a, args, "bindings", json_copy(a, r->o->bindings));
    json_set(a, args, "to", json_time(a, r->o->to_us));
    json_set(a, args, "keep_us", json_int(a, keep_of(r->o, r->view)));
    json_set(a, args, "out", json_cstr(a, out));
    json_set(a, args, "snapshot", json_cstr(a, snapshot));
    if (r->snapshot) {
        char *path = NULL;
        code = digest_parse(str_c(r->snapshot), &d, err);
        if (code == ERR_OK &&
            blob_has(r->env->blobs, &d)) /* collected: everything is handed over again */
            code = blob_path(r->env->blobs, &d, a, &path, err);
        if (path)
            json_set(a, args, "previous", json_cstr(a, path));
    }
    if (code == ERR_OK)
        code = data_env_call(r->env, "features.materialize", args, a, ret, err);
    return code;
}

static enum err_code keep_snapshot(struct record *r, const char *path, struct err *err)
{
    struct digest d;
    char hex[DIGEST_HEX_BYTES];
    if (!file_exists(path))
        return ERR_OK;
    enum err_code code = blob_put_file(r->env->blobs, path, &d, NULL, err);
    if (code != ERR_OK)
        return code;
    digest_hex(&d, hex);
    r->snapshot = str_dup(r->a, str_c(hex));
    return r->snapshot ? ERR_OK : arena_err(r->a, err);
}

static enum err_code definition_text(struct record *r, struct err *err)
{
    struct buf b = {0};
    buf_init(&b, 1 << 20);
    enum err_code code = json_write(view_spec_json(r->view, r->a), JSON_COMPACT, &b, err);
    r->definition = code == ERR_OK ? str_dup(r->a, buf_view(&b)) : NULL;
    buf_fini(&b);
    if (code == ERR_OK && !r->definition)
        code = arena_err(r->a, err);
    return code;
}

/* Hand over, then record: a crash between the two hands the same rows over again, which changes nothing. */
static enum err_code one_view(struct record *r, struct json *list, struct err *err)
{
    struct arena *a = r->a;
    struct json *done = NULL;
    struct err ignored = ERR_INIT;
    char *out = str_printf(a, "%s/rows-%.*s-%llx", r->env->tmp_dir, STR_ARG(r->view->name),
                           (unsigned long long)mono_ns());
    char *snapshot = out ? str_printf(a, "%s.parquet", out) : NULL;
    if (!snapshot)
        return arena_err(a, err);
    enum err_code code = db_read(r->env->db, load_tx, r, err);
    if (code == ERR_OK && r->is_paused) {
        struct json *j = json_obj(a);
        json_set(a, j, "view", json_str(a, r->view->name));
        json_set(a, j, "version", json_cstr(a, r->version));
        json_set(a, j, "is_paused", json_bool(a, true));
        json_add(a, list, j);
        return ERR_OK;
    }
    if (code == ERR_OK)
        code = definition_text(r, err);
    if (code == ERR_OK)
        code = call_child(r, out, snapshot, &done, err);
    if (code == ERR_OK && r->o->sink)
        code = r->o->sink(r->o->sink_arg, out, err);
    if (code == ERR_OK)
        code = keep_snapshot(r, snapshot, err);
    r->done = done;
    if (code == ERR_OK)
        code = db_write(r->env->db, save_tx, r, err);
    (void)!file_remove(out, &ignored);
    (void)!file_remove(snapshot, &ignored);
    if (code == ERR_OK) {
        json_set(a, done, "to", json_time(a, r->o->to_us));
        json_add(a, list, done);
    }
    return code;
}

static bool is_wanted(const struct materialize_order *o, struct str name)
{
    for (size_t i = 0; i < o->n_names; i++)
        if (str_eq(o->names[i], name))
            return true;
    return o->n_names == 0;
}

static enum err_code check_names(const struct materialize_order *o, struct err *err)
{
    for (size_t i = 0; i < o->n_names; i++) {
        const struct view_spec *v = features_spec_find(o->views, o->names[i]);
        if (!v || v->kind != VIEW_BATCH)
            return err_set(err, ERR_NOT_FOUND, "there is no batch view '%.*s'",
                           STR_ARG(o->names[i]));
    }
    return ERR_OK;
}

enum err_code features_materialize(const struct data_env *env, const struct materialize_order *o,
                                   struct arena *a, struct json **ret, struct err *err)
{
    struct json *out = json_obj(a), *list = json_arr(a), *infos = NULL;
    enum err_code code = check_names(o, err);
    if (code == ERR_OK)
        code = views_describe(env, o->views, o->bindings, a, &infos, err);
    for (size_t i = 0; code == ERR_OK && i < json_len(infos); i++) {
        const struct json *info = json_at(infos, i);
        struct record r = {.env = env, .o = o, .a = a, .version = json_get_c(info, "version")};
        r.view = features_spec_find(o->views, json_get_str(info, "name"));
        if (!r.view || !is_wanted(o, r.view->name))
            continue;
        code = one_view(&r, list, err);
        if (code != ERR_OK)
            code = err_wrap(err, "materialise %.*s", STR_ARG(r.view->name));
    }
    json_set(a, out, "views", list);
    if (code == ERR_OK)
        *ret = out;
    return code;
}

struct pause {
    const struct data_env *env;
    struct str view;
    bool is_paused;
    int64_t n;
};

static enum err_code pause_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct pause *p = arg;
    enum err_code code =
        db_exec(tx, err, "UPDATE materializations SET is_paused = ? WHERE project = ? AND name = ?",
                "ist", (int64_t)p->is_paused, p->env->project ? p->env->project : "", p->view);
    p->n = db_changes(tx);
    return code;
}

enum err_code features_pause(const struct data_env *env, struct str view, bool is_paused,
                             struct err *err)
{
    struct pause p = {env, view, is_paused, 0};
    enum err_code code = db_write(env->db, pause_tx, &p, err);
    if (code == ERR_OK && p.n == 0)
        code = err_set(err, ERR_NOT_FOUND, "view %.*s was never materialised", STR_ARG(view));
    return code;
}

static enum err_code forget_tx(struct db_tx *tx, void *arg, struct err *err)
{
    const struct pause *p = arg;
    return db_exec(tx, err,
                   "UPDATE materializations SET snapshot = NULL WHERE project = ? AND name = ?",
                   "st", p->env->project ? p->env->project : "", p->view);
}

enum err_code features_forget(const struct data_env *env, struct str view, struct err *err)
{
    struct pause p = {env, view, false, 0};
    return db_write(env->db, forget_tx, &p, err);
}

struct definition {
    const struct data_env *env;
    struct str view, version;
    struct arena *a;
    struct json *doc;
};

static enum err_code definition_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct definition *d = arg;
    struct db_rows *rows = NULL;
    char *text = NULL, *version = NULL;
    struct str any = d->version.n ? d->version : STR("");
    enum err_code code =
        db_query(tx, &rows, err,
                 "SELECT v.definition, v.version FROM feature_views v JOIN materializations m ON "
                 "m.project = "
                 "v.project AND m.name = v.name AND m.version = v.version WHERE v.project = ? AND "
                 "v.name = ? "
                 "AND (? = '' OR v.version = ?) ORDER BY m.at_us DESC LIMIT 1",
                 "sttt", d->env->project ? d->env->project : "", d->view, any, any);
    if (code != ERR_OK)
        return code;
    if (db_next(rows)) {
        text = db_dup(rows, 0, d->a);
        version = db_dup(rows, 1, d->a);
    }
    code = db_done(rows, err);
    if (code == ERR_OK && text)
        code = json_read(str_c(text), d->a, &d->doc, err);
    d->version = str_c(version);
    return code;
}

enum err_code features_definition(const struct data_env *env, struct str view, struct str version,
                                  struct arena *a, struct json **ret, struct str *ret_version,
                                  struct err *err)
{
    struct definition d = {env, view, version, a, NULL};
    enum err_code code = db_read(env->db, definition_tx, &d, err);
    if (code == ERR_OK && !d.doc)
        code = err_set(err, ERR_NOT_FOUND,
                       "view %.*s is not materialised: pawl features materialize %.*s",
                       STR_ARG(view), STR_ARG(view));
    if (code != ERR_OK)
        return code;
    *ret = d.doc;
    if (ret_version)
        *ret_version = d.version;
    return ERR_OK;
}

struct list {
    const struct data_env *env;
    struct arena *a;
    struct json *out;
};

static enum err_code list_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct list *l = arg;
    struct arena *a = l->a;
    struct db_rows *rows = NULL;
    l->out = json_arr(a);
    enum err_code code =
        db_query(tx, &rows, err,
                 "SELECT name, version, to_us, at_us, newest_us, n_total, n_new, is_paused FROM "
                 "materializations WHERE project = ? ORDER BY name, at_us DESC",
                 "s", l->env->project ? l->env->project : "");
    if (code != ERR_OK)
        return code;
    while (db_next(rows)) {
        struct json *j = json_obj(a);
        json_set(a, j, "view", json_str(a, db_str(rows, 0)));
        json_set(a, j, "version", json_str(a, db_str(rows, 1)));
        json_set(a, j, "to", json_time(a, db_i64(rows, 2)));
        json_set(a, j, "at", json_time(a, db_i64(rows, 3)));
        json_set(a, j, "newest", json_time(a, db_i64(rows, 4)));
        json_set(a, j, "rows_total", json_int(a, db_i64(rows, 5)));
        json_set(a, j, "rows_new", json_int(a, db_i64(rows, 6)));
        json_set(a, j, "is_paused", json_bool(a, db_i64(rows, 7) != 0));
        json_add(a, l->out, j);
    }
    return db_done(rows, err);
}

enum err_code features_materializations(const struct data_env *env, struct arena *a,
                                        struct json **ret, struct err *err)
{
    struct list l = {env, a, NULL};
    enum err_code code = db_read(env->db, list_tx, &l, err);
    if (code == ERR_OK)
        *ret = l.out;
    return code;
}
