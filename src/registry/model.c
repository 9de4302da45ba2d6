#include <stdlib.h>

#include "base/file.h"
#include "registry/registry_int.h"

enum err_code registry_open(struct db *db, struct blob_store *blob, const struct clock *clock,
                            struct registry **ret, struct err *err)
{
    struct registry *r = calloc(1, sizeof(*r));
    if (!r)
        return err_nomem(err);
    *r = (struct registry){.db = db, .blob = blob, .clock = *clock};
    *ret = r;
    return ERR_OK;
}

void registry_close(struct registry *r)
{
    free(r);
}

enum err_code model_touch(struct db_tx *tx, const char *name, int64_t at_us, struct err *err)
{
    enum err_code code =
        db_exec(tx, err, "UPDATE models SET updated_us = ? WHERE name = ?", "is", at_us, name);
    if (code == ERR_OK && db_changes(tx) == 0)
        code = err_set(err, ERR_NOT_FOUND, "Registered Model with name=%s not found", name);
    return code;
}

/* What the callbacks below take; each reads what it needs. */
struct model_args {
    const char *name, *new_name, *description, *key, *value;
    const struct tag *tags;
    size_t n_tags;
    int64_t at_us;
    struct arena *arena;
    struct model *ret;
};

static enum err_code tag_put(struct db_tx *tx, const char *name, const struct tag *t,
                             struct err *err)
{
    return db_exec(tx, err,
                   "INSERT INTO model_tags(name, key, value) VALUES (?, ?, ?)"
                   " ON CONFLICT (name, key) DO UPDATE SET value = excluded.value",
                   "sss", name, t->key, t->value ? t->value : "");
}

static enum err_code create_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct model_args *m = arg;
    enum err_code code =
        db_exec(tx, err,
                "INSERT INTO models(name, description, created_us, updated_us, last_version)"
                " VALUES (?, ?, ?, ?, 0) ON CONFLICT (name) DO NOTHING",
                "ssii", m->name, m->description, m->at_us, m->at_us);
    if (code == ERR_OK && db_changes(tx) == 0)
        return err_set(err, ERR_EXISTS, "Registered Model (name=%s) already exists.", m->name);
    for (size_t i = 0; i < m->n_tags && code == ERR_OK; i++)
        code = tag_put(tx, m->name, &m->tags[i], err);
    return code;
}

enum err_code model_create(struct registry *r, const char *name, const char *description,
                           const struct tag *tags, size_t n_tags, struct err *err)
{
    struct model_args m = {.name = name,
                           .description = description,
                           .tags = tags,
                           .n_tags = n_tags,
                           .at_us = clock_now_us(&r->clock)};
    enum err_code code = model_name_check(name, err);
    for (size_t i = 0; i < n_tags && code == ERR_OK; i++)
        code = registry_tag_check(tags[i].key, tags[i].value, err);
    return code == ERR_OK ? db_write(r->db, create_fn, &m, err) : code;
}

static enum err_code get_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct model_args *m = arg;
    struct db_rows *rows = NULL;
    bool is_found = false;
    enum err_code loaded = ERR_OK;
    enum err_code code = db_query(
        tx, &rows, err, "SELECT " MODEL_COLUMNS " FROM models m WHERE m.name = ?", "s", m->name);
    if (code != ERR_OK)
        return code;
    if (db_next(rows)) {
        is_found = true;
        loaded = model_load(rows, m->arena, m->ret, err);
    }
    code = db_done(rows, loaded == ERR_OK ? err : NULL);
    if (loaded != ERR_OK)
        code = loaded;
    if (code == ERR_OK && !is_found)
        code = err_set(err, ERR_NOT_FOUND, "Registered Model with name=%s not found", m->name);
    return code == ERR_OK ? model_parts_load(tx, m->arena, m->ret, err) : code;
}

enum err_code model_get(struct registry *r, const char *name, struct arena *a, struct model *ret,
                        struct err *err)
{
    struct model got;
    struct model_args m = {.name = name, .arena = a, .ret = &got};
    enum err_code code = db_read(r->db, get_fn, &m, err);
    if (code == ERR_OK)
        *ret = got;
    return code;
}

static enum err_code describe_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct model_args *m = arg;
    enum err_code code = model_touch(tx, m->name, m->at_us, err);
    if (code == ERR_OK)
        code = db_exec(tx, err, "UPDATE models SET description = ? WHERE name = ?", "ss",
                       m->description, m->name);
    return code;
}

enum err_code model_describe(struct registry *r, const char *name, const char *description,
                             struct err *err)
{
    struct model_args m = {
        .name = name, .description = description, .at_us = clock_now_us(&r->clock)};
    return db_write(r->db, describe_fn, &m, err);
}

static enum err_code is_in_production(struct db_tx *tx, const char *name, struct err *err)
{
    int64_t version = 0;
    enum err_code code = db_get_i64(
        tx, &version, err, "SELECT version FROM model_aliases WHERE name = ? AND alias = ?", "ss",
        name, ALIAS_PRODUCTION);
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code == ERR_OK)
        code =
            err_set(err, ERR_REFUSED,
                    "version %lld of model %s is in production: roll out or roll back to another "
                    "model first",
                    (long long)version, name);
    return code;
}

static enum err_code rename_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct model_args *m = arg;
    int64_t n = 0;
    enum err_code code = is_in_production(tx, m->name, err);
    if (code == ERR_OK)
        code = model_touch(tx, m->name, m->at_us, err);
    if (code == ERR_OK && strcmp(m->name, m->new_name) == 0)
        return ERR_OK;
    if (code == ERR_OK)
        code =
            db_get_i64(tx, &n, err, "SELECT count(*) FROM models WHERE name = ?", "s", m->new_name);
    if (code == ERR_OK && n > 0)
        code = err_set(err, ERR_EXISTS, "Registered Model (name=%s) already exists.", m->new_name);
    if (code == ERR_OK)
        code = db_exec(tx, err, "UPDATE models SET name = ? WHERE name = ?", "ss", m->new_name,
                       m->name);
    return code;
}

enum err_code model_rename(struct registry *r, const char *name, const char *new_name,
                           struct err *err)
{
    struct model_args m = {.name = name, .new_name = new_name, .at_us = clock_now_us(&r->clock)};
    enum err_code code = model_name_check(new_name, err);
    return code == ERR_OK ? db_write(r->db, rename_fn, &m, err) : code;
}

static enum err_code delete_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct model_args *m = arg;
    enum err_code code = is_in_production(tx, m->name, err);
    if (code == ERR_OK)
        code = model_touch(tx, m->name, m->at_us, err);
    if (code == ERR_OK)
        code = db_exec(tx, err, "DELETE FROM models WHERE name = ?", "s", m->name);
    return code;
}

enum err_code model_delete(struct registry *r, const char *name, struct err *err)
{
    struct model_args m = {.name = name, .at_us = clock_now_us(&r->clock)};
    return db_write(r->db, delete_fn, &m, err);
}

static enum err_code tag_set_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct model_args *m = arg;
    struct tag t = {m->key, m->value};
    enum err_code code = model_touch(tx, m->name, m->at_us, err);
    return code == ERR_OK ? tag_put(tx, m->name, &t, err) : code;
}

enum err_code model_tag_set(struct registry *r, const char *name, const char *key,
                            const char *value, struct err *err)
{
    struct model_args m = {
        .name = name, .key = key, .value = value, .at_us = clock_now_us(&r->clock)};
    enum err_code code = registry_tag_check(key, value, err);
    return code == ERR_OK ? db_write(r->db, tag_set_fn, &m, err) : code;
}

static enum err_code tag_delete_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct model_args *m = arg;
    enum err_code code = model_touch(tx, m->name, m->at_us, err);
    if (code == ERR_OK)
        code = db_exec(tx, err, "DELETE FROM model_tags WHERE name = ? AND key = ?", "ss", m->name,
                       m->key);
    return code;
}

enum err_code model_tag_delete(struct registry *r, const char *name, const char *key,
                               struct err *err)
{
    struct model_args m = {.name = name, .key = key, .at_us = clock_now_us(&r->clock)};
    return db_write(r->db, tag_delete_fn, &m, err);
}
