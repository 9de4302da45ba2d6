#include <stdio.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/vec.h"
#include "track/track_int.h"

static const char *const STATUS_NAMES[RUN_STATUS_N] = {
    [RUN_RUNNING] = "RUNNING", [RUN_SCHEDULED] = "SCHEDULED", [RUN_FINISHED] = "FINISHED",
    [RUN_FAILED] = "FAILED",   [RUN_KILLED] = "KILLED",
};

const char *run_status_name(enum run_status s)
{
    return (unsigned)s < RUN_STATUS_N ? STATUS_NAMES[s] : "RUNNING";
}

bool run_status_from_name(struct str name, enum run_status *ret)
{
    for (int i = 0; i < RUN_STATUS_N; i++)
        if (str_is(name, STATUS_NAMES[i])) {
            *ret = (enum run_status)i;
            return true;
        }
    return false;
}

/* ---- create ---- */

struct create_args {
    const struct run_new *n;
    int64_t start_us;
    char id[RUN_ID_BYTES], made_name[64];
    const char *name, *parent;
};

static const char *tag_value(const struct tag *tags, size_t n, const char *key)
{
    for (size_t i = n; i-- > 0;)
        if (strcmp(tags[i].key, key) == 0)
            return tags[i].value;
    return NULL;
}

static enum err_code experiment_is_active(struct db_tx *tx, int64_t id, struct err *err)
{
    int64_t is_deleted = 0;
    enum err_code code = db_get_i64(tx, &is_deleted, err,
                                    "SELECT is_deleted FROM experiments WHERE id = ?", "i", id);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "No Experiment with id=%lld exists", (long long)id);
    if (code == ERR_OK && is_deleted)
        code = err_set(err, ERR_REFUSED,
                       "The experiment %lld must be in the 'active' state. Current state is "
                       "deleted.",
                       (long long)id);
    return code;
}

static enum err_code create_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct create_args *c = arg;
    int64_t no = 0;
    enum err_code code = experiment_is_active(tx, c->n->experiment_id, err);
    if (code == ERR_OK)
        code = db_next_number(tx, "run", &no, err);
    if (code == ERR_OK)
        code = db_exec(tx, err,
                       "INSERT INTO runs(no, id, experiment_id, parent_id, name, user_id, status,"
                       " is_deleted, start_us) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)",
                       "isisssii", no, c->id, c->n->experiment_id, c->parent, c->name,
                       c->n->user ? c->n->user : "", (int64_t)RUN_RUNNING, c->start_us);
    for (size_t i = 0; i < c->n->n_tags && code == ERR_OK; i++)
        code = run_tag_put(tx, no, &c->n->tags[i], err);
    struct tag name = {TAG_RUN_NAME, c->name}, parent = {TAG_PARENT, c->parent};
    if (code == ERR_OK)
        code = run_tag_put(tx, no, &name, err);
    if (code == ERR_OK && c->parent)
        code = run_tag_put(tx, no, &parent, err);
    return code;
}

enum err_code run_create(struct track *t, const struct run_new *n, char ret_id[RUN_ID_BYTES],
                         struct err *err)
{
    struct create_args c = {.n = n};
    uint8_t bytes[16];
    struct run_batch tags = {.tags = n->tags, .n_tags = n->n_tags};
    enum err_code code = batch_check(&tags, err);
    if (code != ERR_OK)
        return code;
    if (n->id && !run_id_is_valid(n->id))
        return err_set(err, ERR_INVALID, "\"%s\" is no run id: up to 32 letters and digits", n->id);
    random_bytes(bytes, sizeof(bytes));
    if (n->id)
        snprintf(c.id, sizeof(c.id), "%s", n->id);
    else
        hex_encode(bytes, sizeof(bytes), c.id);
    const char *tag_name = tag_value(n->tags, n->n_tags, TAG_RUN_NAME);
    if (n->name && *n->name && tag_name && strcmp(n->name, tag_name) != 0)
        return err_set(err, ERR_INVALID,
                       "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with "
                       "different values (run_name='%s', mlflow.runName='%s').",
                       n->name, tag_name);
    run_name_make(c.made_name);
    c.name = n->name && *n->name ? n->name : tag_name && *tag_name ? tag_name : c.made_name;
    c.parent = n->parent_id ? n->parent_id : tag_value(n->tags, n->n_tags, TAG_PARENT);
    c.start_us =
        n->start_us == 0 || n->start_us == AT_US_NONE ? clock_now_us(&t->clock) : n->start_us;
    code = db_write(t->db, create_fn, &c, err);
    if (code == ERR_EXISTS)
        err_set(err, code, "Run with id=%s already exists", c.id);
    if (code == ERR_OK && ret_id)
        memcpy(ret_id, c.id, RUN_ID_BYTES);
    return code;
}

/* ---- get, find ---- */

struct get_args {
    const char *id;
    struct arena *arena;
    struct run_row row;
};

static enum err_code get_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct get_args *g = arg;
    struct db_rows *rows = NULL;
    bool is_found = false;
    enum err_code code = db_query(
        tx, &rows, err, "SELECT " RUN_COLUMNS " FROM " RUN_FROM " WHERE r.id = ?", "s", g->id);
    if (code != ERR_OK)
        return code;
    enum err_code loaded = ERR_OK;
    if (db_next(rows)) {
        is_found = true;
        loaded = run_info_load(rows, g->arena, &g->row, err);
    }
    code = db_done(rows, err);
    if (code == ERR_OK)
        code = loaded;
    if (code == ERR_OK && !is_found)
        code = err_set(err, ERR_NOT_FOUND, "Run with id=%s not found", g->id);
    return code == ERR_OK ? run_parts_load(tx, g->arena, &g->row, err) : code;
}

enum err_code run_get(struct track *t, const char *id, struct arena *a, struct run *ret,
                      struct err *err)
{
    struct get_args g = {.id = id, .arena = a};
    enum err_code code = db_read(t->db, get_fn, &g, err);
    if (code == ERR_OK)
        *ret = g.row.run;
    return code;
}

#define FIND_SHOWN_MAX  5
#define FIND_PREFIX_MIN 6

struct find_args {
    const char *ref;
    char ids[FIND_SHOWN_MAX][RUN_ID_BYTES];
    size_t n;
};

static enum err_code find_by(struct db_tx *tx, struct find_args *f, const char *sql,
                             const char *value, struct err *err)
{
    struct db_rows *rows = NULL;
    enum err_code code = db_query(tx, &rows, err, sql, "si", value, (int64_t)FIND_SHOWN_MAX);
    if (code != ERR_OK)
        return code;
    while (db_next(rows))
        snprintf(f->ids[f->n++], RUN_ID_BYTES, "%.*s", STR_ARG(db_str(rows, 0)));
    return db_done(rows, err);
}

static enum err_code find_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct find_args *f = arg;
    char prefix[RUN_ID_BYTES + 1];
    f->n = 0;
    enum err_code code = find_by(tx, f, "SELECT id FROM runs WHERE id = ? LIMIT ?", f->ref, err);
    if (code == ERR_OK && f->n == 0 && strlen(f->ref) >= FIND_PREFIX_MIN &&
        run_id_is_valid(f->ref)) {
        snprintf(prefix, sizeof(prefix), "%s%%", f->ref);
        code = find_by(tx, f, "SELECT id FROM runs WHERE id LIKE ? LIMIT ?", prefix, err);
    }
    if (code == ERR_OK && f->n == 0)
        code = find_by(tx, f,
                       "SELECT id FROM runs WHERE name = ? AND is_deleted = 0"
                       " ORDER BY start_us DESC LIMIT ?",
                       f->ref, err);
    return code;
}

enum err_code run_find(struct track *t, const char *ref, char ret_id[RUN_ID_BYTES], struct err *err)
{
    struct find_args f = {.ref = ref};
    enum err_code code = db_read(t->db, find_fn, &f, err);
    if (code != ERR_OK)
        return code;
    if (f.n == 0)
        return err_set(err, ERR_NOT_FOUND, "no run has the id or name \"%s\"", ref);
    if (f.n > 1) {
        char list[FIND_SHOWN_MAX * (RUN_ID_BYTES + 2)] = "";
        for (size_t i = 0; i < f.n; i++)
            snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
                     f.ids[i]);
        return err_set(err, ERR_CONFLICT, "\"%s\" names several runs: %s", ref, list);
    }
    memcpy(ret_id, f.ids[0], RUN_ID_BYTES);
    return ERR_OK;
}

/* ---- update ---- */

struct update_args {
    const char *id;
    const struct run_update *u;
};

static enum err_code update_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct update_args *x = arg;
    const struct run_update *u = x->u;
    struct run_head run;
    enum err_code code = run_head_active(tx, x->id, &run, err);
    if (code == ERR_OK && u->has_status)
        code = db_exec(tx, err, "UPDATE runs SET status = ? WHERE no = ?", "ii", (int64_t)u->status,
                       run.no);
    if (code == ERR_OK && u->has_end)
        code = u->end_us == AT_US_NONE
                   ? db_exec(tx, err, "UPDATE runs SET end_us = NULL WHERE no = ?", "i", run.no)
                   : db_exec(tx, err, "UPDATE runs SET end_us = ? WHERE no = ?", "ii", u->end_us,
                             run.no);
    struct tag name = {TAG_RUN_NAME, u->name};
    if (code == ERR_OK && u->has_name)
        code = run_tag_put(tx, run.no, &name, err);
    return code;
}

enum err_code run_update(struct track *t, const char *id, const struct run_update *u,
                         struct err *err)
{
    struct update_args x = {id, u};
    if (u->has_name && (!u->name || !*u->name))
        return err_set(err, ERR_INVALID, "a run's name may not be empty");
    return db_write(t->db, update_fn, &x, err);
}

enum err_code run_end(struct track *t, const char *id, enum run_status status, int64_t end_us,
                      struct err *err)
{
    struct run_update u = {.has_status = true, .has_end = true, .status = status};
    u.end_us = end_us == AT_US_NONE ? clock_now_us(&t->clock) : end_us;
    return run_update(t, id, &u, err);
}

struct life_args {
    const char *id;
    int64_t at_us;
    bool to_deleted;
};

static enum err_code life_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct life_args *l = arg;
    struct run_head run;
    enum err_code code = run_head_get(tx, l->id, &run, err);
    if (code != ERR_OK || run.is_deleted == l->to_deleted)
        return code;
    return l->to_deleted
               ? db_exec(tx, err, "UPDATE runs SET is_deleted = 1, deleted_us = ? WHERE no = ?",
                         "ii", l->at_us, run.no)
               : db_exec(tx, err, "UPDATE runs SET is_deleted = 0, deleted_us = NULL WHERE no = ?",
                         "i", run.no);
}

enum err_code run_delete(struct track *t, const char *id, struct err *err)
{
    struct life_args l = {id, clock_now_us(&t->clock), true};
    return db_write(t->db, life_fn, &l, err);
}

enum err_code run_restore(struct track *t, const char *id, struct err *err)
{
    struct life_args l = {id, 0, false};
    return db_write(t->db, life_fn, &l, err);
}

/* ---- history ---- */

struct history_args {
    const struct history_query *q;
    const char *key; /* the query's, in the arena */
    struct arena *arena;
    struct metric_point *points;
    size_t n;
};

static enum err_code history_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct history_args *h = arg;
    struct run_head run;
    struct db_rows *rows = NULL;
    VEC(struct metric_point) v = {0};
    enum err_code code = run_head_get(tx, h->q->run_id, &run, err);
    if (code == ERR_OK)
        code = db_query(tx, &rows, err,
                        "SELECT value, kind, step, at_us FROM metrics WHERE run_no = ? AND key = ?"
                        " ORDER BY at_us, step, value LIMIT ? OFFSET ?",
                        "isii", run.no, h->key, h->q->limit > 0 ? h->q->limit : INT64_MAX,
                        h->q->offset);
    if (code != ERR_OK)
        return code;
    struct metric_point *m = NULL;
    bool is_full = false;
    while (!is_full && db_next(rows)) {
        m = VEC_ADD(h->arena, &v);
        is_full = !m;
        if (m)
            *m = (struct metric_point){.key = h->key,
                                       .value = metric_unpack(db_f64(rows, 0), db_i64(rows, 1)),
                                       .step = db_i64(rows, 2),
                                       .at_us = db_i64(rows, 3)};
    }
    code = db_done(rows, err);
    if (code == ERR_OK && is_full)
        code = arena_err(h->arena, err);
    h->points = v.p;
    h->n = v.n;
    return code;
}

enum err_code metric_history(struct track *t, const struct history_query *q, struct arena *a,
                             struct metric_point **ret, size_t *ret_n, struct err *err)
{
    struct history_args h = {.q = q, .key = str_dup(a, str_c(q->key)), .arena = a};
    if (!h.key)
        return arena_err(a, err);
    enum err_code code = db_read(t->db, history_fn, &h, err);
    if (code == ERR_OK) {
        *ret = h.points;
        *ret_n = h.n;
    }
    return code;
}

/* ---- artifacts ---- */

struct place_args {
    const char *id;
    int64_t experiment_id;
    bool is_elsewhere;
};

static enum err_code place_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct place_args *p = arg;
    struct run_head run;
    int64_t n = 0;
    enum err_code code = run_head_get(tx, p->id, &run, err);
    if (code == ERR_OK)
        code = db_get_i64(
            tx, &n, err,
            "SELECT count(*) FROM experiments WHERE id = ? AND artifact_location IS NOT NULL", "i",
            run.experiment_id);
    p->experiment_id = code == ERR_OK ? run.experiment_id : 0;
    p->is_elsewhere = n > 0;
    return code;
}

enum err_code run_artifact_dir(struct track *t, const char *id, enum run_dir_mode mode,
                               struct arena *a, char **ret, struct err *err)
{
    struct place_args p = {.id = id};
    enum err_code code = db_read(t->db, place_fn, &p, err);
    if (code == ERR_OK && p.is_elsewhere)
        code =
            err_set(err, ERR_UNSUPPORTED,
                    "the artifacts of run %s lie where its experiment says, not in the home", id);
    if (code != ERR_OK)
        return code;
    char *dir =
        str_printf(a, "%s/%lld/%s/artifacts", t->artifacts_dir, (long long)p.experiment_id, id);
    if (!dir)
        return arena_err(a, err);
    if (mode == RUN_DIR_MAKE)
        code = dir_make(dir, 0700, err);
    if (code == ERR_OK)
        *ret = dir;
    return code;
}
