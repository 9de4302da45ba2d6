/* The owner's side of materialisation: what was handed over before, one child per view, the store, the record. */
#include "features/materialize.h"

#include "base/clock.h"
#include "base/file.h"
#include "blob/blob.h"
#include "db/db.h"

/* One order while it runs. */
struct order {
    const struct data_env *env;
    const struct materialize_order *o;
    struct arena *a;
    struct json *previous; /* {view: {version: hex digest of its snapshot}} */
    struct json *paused;   /* {view: true} */
    struct json *done;     /* the child's answer: one object a view */
    const char *prefix;    /* of the files that the child writes */
};

static const char *project_of(const struct data_env *env)
{
    return env->project ? env->project : "";
}

static enum err_code load_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct order *r = arg;
    struct db_rows *rows = NULL;
    r->previous = json_obj(r->a);
    r->paused = json_obj(r->a);
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT name, version, snapshot, is_paused FROM materializations WHERE project = ?", "s",
        project_of(r->env));
    if (code != ERR_OK)
        return code;
    while (db_next(rows)) {
        char *name = db_dup(rows, 0, r->a), *version = db_dup(rows, 1, r->a),
             *snapshot = db_dup(rows, 2, r->a);
        struct json *versions = (struct json *)(uintptr_t)json_get(r->previous, name);
        if (db_i64(rows, 3) != 0)
            json_set(r->a, r->paused, name, json_bool(r->a, true));
        if (!versions)
            json_set(r->a, r->previous, name, versions = json_obj(r->a));
        if (snapshot)
            json_set(r->a, versions, version, json_cstr(r->a, snapshot));
    }
    return db_done(rows, err);
}

static enum err_code save_one(struct db_tx *tx, const struct order *r, const struct json *done,
                              struct err *err)
{
    struct str view = json_get_str(done, "view"), version = json_get_str(done, "version");
    int64_t now = clock_now_us(&r->env->clock);
    enum err_code code =
        db_exec(tx, err,
                "INSERT INTO feature_views(project, name, version, first_us, definition) VALUES "
                "(?,?,?,?,?) ON "
                "CONFLICT (project, name, version) DO NOTHING",
                "sttit", project_of(r->env), view, version, now, json_get_str(done, "definition"));
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
                   "sttiiiiiit", project_of(r->env), view, version, r->o->to_us, now,
                   json_get_time(done, "newest"), json_get_int(done, "rows_total", 0),
                   json_get_int(done, "rows_new", 0), json_get_int(done, "duration_ms", 0),
                   json_get_str(done, "snapshot"));
}

static enum err_code save_tx(struct db_tx *tx, void *arg, struct err *err)
{
    const struct order *r = arg;
    const struct json *list = json_get(r->done, "views");
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < json_len(list); i++)
        code = save_one(tx, r, json_at(list, i), err);
    return code;
}

/* Values older than the ttl are of no use unless they are served all the same; a day more, so that a replay may hand over a
 * day's values at its end. */
static int64_t keep_of(const struct materialize_order *o, const struct view_spec *v)
{
    if (o->keep_us > 0)
        return o->keep_us;
    return v->ttl_us >= 0 && v->on_stale != VIEW_STALE_SERVE_LAST ? v->ttl_us + US_PER_DAY : 0;
}

static bool is_asked(const struct materialize_order *o, struct str name)
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

/* Snapshots by path; one that was collected is left out: then everything is handed over again. */
static enum err_code snapshot_paths(struct order *r, struct json *args, struct err *err)
{
    struct json *out = json_obj(r->a);
    for (size_t i = 0; i < json_len(r->previous); i++) {
        const struct json_member *view = &r->previous->u.obj.members[i];
        struct json *paths = json_obj(r->a);
        for (size_t v = 0; v < json_len(view->val); v++) {
            const struct json_member *version = &view->val->u.obj.members[v];
            struct digest d;
            char *path = NULL;
            enum err_code code = digest_parse(version->val->u.s, &d, err);
            if (code == ERR_OK && blob_has(r->env->blobs, &d))
                code = blob_path(r->env->blobs, &d, r->a, &path, err);
            if (code != ERR_OK)
                return code;
            if (path)
                json_set(r->a, paths, version->key.p, json_cstr(r->a, path));
        }
        json_set(r->a, out, view->key.p, paths);
    }
    json_set(r->a, args, "previous", out);
    return ERR_OK;
}

static enum err_code call_child(struct order *r, size_t *ret_n, struct err *err)
{
    struct arena *a = r->a;
    struct json *args = json_obj(a), *names = json_arr(a), *keep = json_obj(a);
    for (size_t i = 0; i < r->o->views->n; i++) {
        const struct view_spec *v = &r->o->views->p[i];
        const char *name = str_dup(a, v->name);
        if (v->kind != VIEW_BATCH || !is_asked(r->o, v->name) || !name || json_get(r->paused, name))
            continue;
        json_add(a, names, json_str(a, v->name));
        json_set(a, keep, name, json_int(a, keep_of(r->o, v)));
    }
    *ret_n = json_len(names);
    if (*ret_n == 0)
        return ERR_OK;
    json_set(a, args, "views", features_views_json(r->o->views, a));
    json_set(a, args, "names", names);
    json_set(a, args, "keep", keep);
    json_set(a, args, "bindings", json_copy(a, r->o->bindings));
    json_set(a, args, "to", json_time(a, r->o->to_us));
    json_set(a, args, "out", json_cstr(a, r->prefix));
    enum err_code code = snapshot_paths(r, args, err);
    return code == ERR_OK ? data_env_call(r->env, "features.materialize", args, a, &r->done, err)
                          : code;
}

static enum err_code definition_text(struct order *r, struct json *done, struct err *err)
{
    struct buf b = {0};
    const struct view_spec *v = features_spec_find(r->o->views, json_get_str(done, "view"));
    buf_init(&b, 1 << 20);
    enum err_code code = v ? json_write(view_spec_json(v, r->a), JSON_COMPACT, &b, err) : ERR_OK;
    json_set(r->a, done, "definition", json_str(r->a, buf_view(&b)));
    buf_fini(&b);
    return code;
}

/* The rows into the store, the new snapshot into the blobs. */
static enum err_code hand_over(struct order *r, struct json *done, struct err *err)
{
    const char *path = json_get_c(done, "snapshot");
    const struct json *versions = json_get(r->previous, json_get_c(done, "view"));
    struct digest d;
    enum err_code code = ERR_OK;
    if (r->o->sink && json_get_int(done, "rows_new", 0) > 0)
        code = r->o->sink(r->o->sink_arg, json_get_c(done, "rows"), err);
    if (code == ERR_OK && path)
        code = blob_put_file(r->env->blobs, path, &d, NULL, err);
    if (code != ERR_OK)
        return err_wrap(err, "materialise %s", json_get_c(done, "view"));
    if (path)
        json_set(r->a, done, "snapshot", json_hex(r->a, &d));
    else
        json_set(r->a, done, "snapshot",
                 json_copy(r->a, json_get(versions, json_get_c(done, "version"))));
    return definition_text(r, done, err);
}

static void remove_files(const struct order *r)
{
    struct err ignored = ERR_INIT;
    for (size_t i = 0; r->prefix && i < r->o->views->n; i++) {
        const char *name = str_printf(r->a, "%s-%.*s", r->prefix, STR_ARG(r->o->views->p[i].name));
        const char *rows = str_printf(r->a, "%s.rows", name),
                   *snapshot = str_printf(r->a, "%s.parquet", name);
        if (rows)
            (void)!file_remove(rows, &ignored);
        if (snapshot)
            (void)!file_remove(snapshot, &ignored);
    }
}

/* What was done, and the paused views that were asked for. */
static struct json *answer(const struct order *r)
{
    static const char *const INTERNAL[] = {"rows", "snapshot", "definition"};
    struct arena *a = r->a;
    struct json *out = json_obj(a), *list = json_arr(a);
    const struct json *done = json_get(r->done, "views");
    for (size_t i = 0; i < json_len(done); i++) {
        struct json *j = json_copy(a, json_at(done, i));
        for (size_t k = 0; k < sizeof INTERNAL / sizeof *INTERNAL; k++)
            json_remove(j, INTERNAL[k]);
        json_set(a, j, "to", json_time(a, r->o->to_us));
        json_add(a, list, j);
    }
    for (size_t i = 0; i < json_len(r->paused); i++) {
        struct str name = r->paused->u.obj.members[i].key;
        struct json *j = json_obj(a);
        if (!is_asked(r->o, name) || !features_spec_find(r->o->views, name))
            continue;
        json_set(a, j, "view", json_str(a, name));
        json_set(a, j, "is_paused", json_bool(a, true));
        json_add(a, list, j);
    }
    return json_set(a, out, "views", list);
}

/* Hand over, then record: a crash between the two hands the same rows over again, which changes nothing. */
enum err_code features_materialize(const struct data_env *env, const struct materialize_order *o,
                                   struct arena *a, struct json **ret, struct err *err)
{
    struct order r = {.env = env, .o = o, .a = a};
    size_t n = 0;
    enum err_code code = check_names(o, err);
    r.prefix = str_printf(a, "%s/rows-%llx", env->tmp_dir, (unsigned long long)mono_ns());
    if (code == ERR_OK && !r.prefix)
        code = arena_err(a, err);
    if (code == ERR_OK)
        code = db_read(env->db, load_tx, &r, err);
    if (code == ERR_OK)
        code = call_child(&r, &n, err);
    for (size_t i = 0; code == ERR_OK && i < json_len(json_get(r.done, "views")); i++)
        code = hand_over(&r, (struct json *)(uintptr_t)json_at(json_get(r.done, "views"), i), err);
    if (code == ERR_OK && n > 0)
        code = db_write(env->db, save_tx, &r, err);
    remove_files(&r);
    if (code == ERR_OK)
        *ret = answer(&r);
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
