#include "track/track_int.h"

struct experiment_args {
    int64_t id, at_us;
    const char *name, *location, *key, *value;
    const struct tag *tags;
    size_t n_tags;
    bool is_ensure;
    struct arena *arena;
    struct experiment *ret;
};

static enum err_code tag_put(struct db_tx *tx, int64_t id, const struct tag *t, struct err *err)
{
    return db_exec(tx, err,
                   "INSERT INTO experiment_tags(experiment_id, key, value) VALUES (?, ?, ?)"
                   " ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value",
                   "iss", id, t->key, t->value);
}

/* The one that has the name already, for create and ensure. */
static enum err_code taken_judge(struct db_tx *tx, struct experiment_args *x, bool *ret_is_taken,
                                 struct err *err)
{
    int64_t is_deleted = 0;
    *ret_is_taken = false;
    enum err_code code =
        db_get_i64(tx, &x->id, err, "SELECT id FROM experiments WHERE name = ?", "s", x->name);
    if (code != ERR_OK)
        return code == ERR_NOT_FOUND ? ERR_OK : code;
    *ret_is_taken = true;
    if (!x->is_ensure)
        return err_set(err, ERR_EXISTS, "Experiment(name=%s) already exists.", x->name);
    code = db_get_i64(tx, &is_deleted, err, "SELECT is_deleted FROM experiments WHERE id = ?", "i",
                      x->id);
    if (code == ERR_OK && is_deleted)
        code = err_set(err, ERR_REFUSED,
                       "experiment \"%s\" is deleted: restore it, or use another name", x->name);
    return code;
}

static enum err_code create_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct experiment_args *x = arg;
    bool is_taken = false;
    enum err_code code = taken_judge(tx, x, &is_taken, err);
    if (code != ERR_OK || is_taken)
        return code;
    code = db_next_number(tx, "experiment", &x->id, err);
    if (code == ERR_OK)
        code = db_exec(tx, err,
                       "INSERT INTO experiments(id, name, artifact_location, is_deleted,"
                       " created_us, updated_us) VALUES (?, ?, ?, 0, ?, ?)",
                       "issii", x->id, x->name, x->location, x->at_us, x->at_us);
    for (size_t i = 0; i < x->n_tags && code == ERR_OK; i++)
        code = tag_put(tx, x->id, &x->tags[i], err);
    return code;
}

static enum err_code create(struct track *t, struct experiment_args *x, int64_t *ret_id,
                            struct err *err)
{
    enum err_code code = experiment_name_check(x->name, err);
    for (size_t i = 0; i < x->n_tags && code == ERR_OK; i++)
        code = key_check("tag", x->tags[i].key, err);
    x->at_us = clock_now_us(&t->clock);
    if (code == ERR_OK)
        code = db_write(t->db, create_fn, x, err);
    if (code == ERR_OK)
        *ret_id = x->id;
    return code;
}

enum err_code experiment_create(struct track *t, const char *name, const char *artifact_location,
                                const struct tag *tags, size_t n_tags, int64_t *ret_id,
                                struct err *err)
{
    struct experiment_args x = {
        .name = name, .location = artifact_location, .tags = tags, .n_tags = n_tags};
    return create(t, &x, ret_id, err);
}

enum err_code experiment_ensure(struct track *t, const char *name, int64_t *ret_id, struct err *err)
{
    struct experiment_args x = {.name = name, .is_ensure = true};
    return create(t, &x, ret_id, err);
}

static enum err_code get_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct experiment_args *x = arg;
    struct db_rows *rows = NULL;
    bool is_found = false;
    enum err_code code =
        x->name
            ? db_query(tx, &rows, err,
                       "SELECT " EXPERIMENT_COLUMNS " FROM experiments WHERE name = ?", "s",
                       x->name)
            : db_query(tx, &rows, err,
                       "SELECT " EXPERIMENT_COLUMNS " FROM experiments WHERE id = ?", "i", x->id);
    if (code != ERR_OK)
        return code;
    enum err_code loaded = ERR_OK;
    if (db_next(rows)) {
        is_found = true;
        loaded = experiment_load(tx, rows, x->arena, x->ret, err);
    }
    code = db_done(rows, err);
    if (code == ERR_OK)
        code = loaded;
    if (code == ERR_OK && !is_found && x->name)
        return err_set(err, ERR_NOT_FOUND, "Could not find experiment with name '%s'", x->name);
    if (code == ERR_OK && !is_found)
        return err_set(err, ERR_NOT_FOUND, "No Experiment with id=%lld exists", (long long)x->id);
    return code == ERR_OK ? experiment_tags_load(tx, x->arena, x->ret, err) : code;
}

enum err_code experiment_get(struct track *t, int64_t id, struct arena *a, struct experiment *ret,
                             struct err *err)
{
    struct experiment got;
    struct experiment_args x = {.id = id, .arena = a, .ret = &got};
    enum err_code code = db_read(t->db, get_fn, &x, err);
    if (code == ERR_OK)
        *ret = got;
    return code;
}

enum err_code experiment_get_by_name(struct track *t, const char *name, struct arena *a,
                                     struct experiment *ret, struct err *err)
{
    struct experiment got;
    struct experiment_args x = {.name = name, .arena = a, .ret = &got};
    enum err_code code = db_read(t->db, get_fn, &x, err);
    if (code == ERR_OK)
        *ret = got;
    return code;
}

/* Its deleted flag: ERR_NOT_FOUND when there is no such experiment. */
static enum err_code life_get(struct db_tx *tx, int64_t id, bool *ret_is_deleted, struct err *err)
{
    int64_t v = 0;
    enum err_code code =
        db_get_i64(tx, &v, err, "SELECT is_deleted FROM experiments WHERE id = ?", "i", id);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "No Experiment with id=%lld exists", (long long)id);
    *ret_is_deleted = v != 0;
    return code;
}

static enum err_code need_active(struct db_tx *tx, int64_t id, struct err *err)
{
    bool is_deleted = false;
    enum err_code code = life_get(tx, id, &is_deleted, err);
    if (code == ERR_OK && is_deleted)
        code = err_set(err, ERR_REFUSED,
                       "The experiment %lld must be in the 'active' state. Current state is "
                       "deleted.",
                       (long long)id);
    return code;
}

static enum err_code rename_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct experiment_args *x = arg;
    int64_t other = x->id;
    enum err_code code = need_active(tx, x->id, err);
    if (code == ERR_OK)
        code =
            db_get_i64(tx, &other, err, "SELECT id FROM experiments WHERE name = ?", "s", x->name);
    if (code == ERR_OK && other != x->id)
        return err_set(err, ERR_EXISTS, "Experiment(name=%s) already exists.", x->name);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return code;
    if (code == ERR_NOT_FOUND && err)
        err_reset(err);
    return db_exec(tx, err, "UPDATE experiments SET name = ?, updated_us = ? WHERE id = ?", "sii",
                   x->name, x->at_us, x->id);
}

enum err_code experiment_rename(struct track *t, int64_t id, const char *name, struct err *err)
{
    struct experiment_args x = {.id = id, .name = name, .at_us = clock_now_us(&t->clock)};
    enum err_code code = experiment_name_check(name, err);
    return code == ERR_OK ? db_write(t->db, rename_fn, &x, err) : code;
}

struct life_args {
    int64_t id, at_us;
    bool to_deleted;
};

static enum err_code life_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct life_args *l = arg;
    bool is_deleted = false;
    enum err_code code = life_get(tx, l->id, &is_deleted, err);
    if (code == ERR_OK && is_deleted == l->to_deleted)
        code = err_set(err, ERR_NOT_FOUND, "No %s experiment with id=%lld exists",
                       l->to_deleted ? "active" : "deleted", (long long)l->id);
    if (code == ERR_OK)
        code =
            db_exec(tx, err, "UPDATE experiments SET is_deleted = ?, updated_us = ? WHERE id = ?",
                    "iii", (int64_t)l->to_deleted, l->at_us, l->id);
    if (code != ERR_OK)
        return code;
    return l->to_deleted
               ? db_exec(tx, err,
                         "UPDATE runs SET is_deleted = 1, deleted_us = ? WHERE experiment_id = ?"
                         " AND is_deleted = 0",
                         "ii", l->at_us, l->id)
               : db_exec(tx, err,
                         "UPDATE runs SET is_deleted = 0, deleted_us = NULL"
                         " WHERE experiment_id = ? AND is_deleted = 1",
                         "i", l->id);
}

enum err_code experiment_delete(struct track *t, int64_t id, struct err *err)
{
    struct life_args l = {id, clock_now_us(&t->clock), true};
    return db_write(t->db, life_fn, &l, err);
}

enum err_code experiment_restore(struct track *t, int64_t id, struct err *err)
{
    struct life_args l = {id, clock_now_us(&t->clock), false};
    return db_write(t->db, life_fn, &l, err);
}

static enum err_code touch(struct db_tx *tx, const struct experiment_args *x, struct err *err)
{
    return db_exec(tx, err, "UPDATE experiments SET updated_us = ? WHERE id = ?", "ii", x->at_us,
                   x->id);
}

static enum err_code tag_set_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct experiment_args *x = arg;
    struct tag t = {x->key, x->value};
    enum err_code code = need_active(tx, x->id, err);
    if (code == ERR_OK)
        code = tag_put(tx, x->id, &t, err);
    return code == ERR_OK ? touch(tx, x, err) : code;
}

enum err_code experiment_tag_set(struct track *t, int64_t id, const char *key, const char *value,
                                 struct err *err)
{
    struct experiment_args x = {
        .id = id, .key = key, .value = value ? value : "", .at_us = clock_now_us(&t->clock)};
    enum err_code code = key_check("tag", key, err);
    return code == ERR_OK ? db_write(t->db, tag_set_fn, &x, err) : code;
}

static enum err_code tag_delete_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct experiment_args *x = arg;
    enum err_code code = need_active(tx, x->id, err);
    if (code == ERR_OK)
        code = db_exec(tx, err, "DELETE FROM experiment_tags WHERE experiment_id = ? AND key = ?",
                       "is", x->id, x->key);
    if (code == ERR_OK && db_changes(tx) == 0)
        code = err_set(err, ERR_NOT_FOUND, "No tag with name: %s in experiment with id %lld",
                       x->key, (long long)x->id);
    return code == ERR_OK ? touch(tx, x, err) : code;
}

enum err_code experiment_tag_delete(struct track *t, int64_t id, const char *key, struct err *err)
{
    struct experiment_args x = {.id = id, .key = key, .at_us = clock_now_us(&t->clock)};
    return db_write(t->db, tag_delete_fn, &x, err);
}
