#include <stdio.h>

#include "base/check.h"
#include "registry/registry_int.h"

static enum err_code not_found(const char *name, int64_t version, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "Model Version (name=%s, version=%lld) not found", name,
                   (long long)version);
}

enum err_code version_touch(struct db_tx *tx, const char *name, int64_t version, int64_t at_us,
                            struct err *err)
{
    enum err_code code = db_exec(tx, err,
                                 "UPDATE model_versions SET updated_us = ? WHERE name = ?"
                                 " AND version = ? AND is_deleted = 0",
                                 "isi", at_us, name, version);
    if (code == ERR_OK && db_changes(tx) == 0)
        return not_found(name, version, err);
    return code == ERR_OK ? model_touch(tx, name, at_us, err) : code;
}

/* ---- create ---- */

struct create_args {
    const struct model_version *v;
    int64_t at_us;
    struct version_made made;
};

static enum err_code same_find(struct db_tx *tx, const struct model_version *v, int64_t *ret,
                               struct err *err)
{
    *ret = 0;
    /* A source that a client named is a version each time, as MLflow has it. */
    if (!v->tree || v->source)
        return ERR_OK;
    enum err_code code = db_get_i64(tx, ret, err,
                                    "SELECT version FROM model_versions WHERE name = ? AND tree = ?"
                                    " AND is_deleted = 0 ORDER BY version DESC LIMIT 1",
                                    "ss", v->name, v->tree);
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

static enum err_code tag_put(struct db_tx *tx, const char *name, int64_t version,
                             const struct tag *t, struct err *err)
{
    return db_exec(tx, err,
                   "INSERT INTO model_version_tags(name, version, key, value) VALUES (?, ?, ?, ?)"
                   " ON CONFLICT (name, version, key) DO UPDATE SET value = excluded.value",
                   "siss", name, version, t->key, t->value ? t->value : "");
}

static enum err_code edges_put(struct db_tx *tx, const struct model_version *v, int64_t version,
                               struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < v->n_tags && code == ERR_OK; i++)
        code = tag_put(tx, v->name, version, &v->tags[i], err);
    for (size_t i = 0; i < v->n_lineage && code == ERR_OK; i++)
        code = db_exec(tx, err,
                       "INSERT INTO model_lineage(name, version, kind, of_name, digest)"
                       " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                       "sisss", v->name, version, lineage_kind_name(v->lineage[i].kind),
                       v->lineage[i].name, v->lineage[i].digest);
    return code;
}

static enum err_code create_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct create_args *c = arg;
    const struct model_version *v = c->v;
    int64_t version = 0;
    enum err_code code = same_find(tx, v, &version, err);
    c->made = (struct version_made){version, version == 0};
    if (code != ERR_OK || version > 0)
        return code;
    code = db_exec(tx, err,
                   "INSERT INTO models(name, created_us, updated_us, last_version)"
                   " VALUES (?, ?, ?, 0) ON CONFLICT (name) DO NOTHING",
                   "sii", v->name, c->at_us, c->at_us);
    if (code == ERR_OK)
        code = db_get_i64(tx, &version, err,
                          "UPDATE models SET last_version = last_version + 1, updated_us = ?"
                          " WHERE name = ? RETURNING last_version",
                          "is", c->at_us, v->name);
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "INSERT INTO model_versions(name, version, digest, tree, source, run_id, run_link,"
            " description, user_id, status, stage, is_deleted, created_us, updated_us, bytes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'READY', 0, 0, ?, ?, ?)",
            "sisssssssiii", v->name, version, v->digest, v->tree, v->source, v->run_id, v->run_link,
            v->description, v->user ? v->user : "", c->at_us, c->at_us, v->bytes);
    c->made.version = version;
    return code == ERR_OK ? edges_put(tx, v, version, err) : code;
}

enum err_code version_create(struct registry *r, const struct model_version *v,
                             struct version_made *ret, struct err *err)
{
    struct create_args c = {.v = v, .at_us = clock_now_us(&r->clock)};
    enum err_code code = model_name_check(v->name, err);
    for (size_t i = 0; i < v->n_tags && code == ERR_OK; i++)
        code = registry_tag_check(v->tags[i].key, v->tags[i].value, err);
    if (code == ERR_OK && !v->tree && !v->source)
        code = err_set(err, ERR_INVALID, "a model version needs a tree in the store or a source");
    if (code == ERR_OK)
        code = db_write(r->db, create_fn, &c, err);
    if (code == ERR_OK)
        *ret = c.made;
    return code;
}

/* ---- get, find ---- */

enum find_by { FIND_VERSION, FIND_ALIAS, FIND_STAGE, FIND_LATEST, FIND_DIGEST };

struct find_args {
    enum find_by by;
    const char *name, *text;
    int64_t version;
    enum model_stage stage;
    struct arena *arena;
    struct model_version *found;
    size_t n;
};

static enum err_code find_query(struct db_tx *tx, const struct find_args *f, struct db_rows **ret,
                                struct err *err)
{
#define FIND_SELECT "SELECT " VERSION_COLUMNS " FROM model_versions v WHERE v.is_deleted = 0 AND "
    switch (f->by) {
    case FIND_VERSION:
        return db_query(tx, ret, err, FIND_SELECT "v.name = ? AND v.version = ?", "si", f->name,
                        f->version);
    case FIND_ALIAS:
        return db_query(tx, ret, err,
                        FIND_SELECT "v.name = ? AND v.version = (SELECT version FROM model_aliases"
                                    " WHERE name = ? AND alias = ?)",
                        "sss", f->name, f->name, f->text);
    case FIND_STAGE:
        return db_query(tx, ret, err,
                        FIND_SELECT "v.name = ? AND v.stage = ? ORDER BY v.version DESC LIMIT 1",
                        "si", f->name, (int64_t)f->stage);
    case FIND_LATEST:
        return db_query(tx, ret, err, FIND_SELECT "v.name = ? ORDER BY v.version DESC LIMIT 1", "s",
                        f->name);
    case FIND_DIGEST:
        return db_query(tx, ret, err,
                        FIND_SELECT
                        "v.digest = ? ORDER BY v.created_us DESC, v.name, v.version DESC"
                        " LIMIT 1",
                        "s", f->text);
    }
    UNREACHABLE();
}

static enum err_code find_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct find_args *f = arg;
    struct db_rows *rows = NULL;
    enum err_code code = find_query(tx, f, &rows, err);
    return code == ERR_OK ? versions_load(tx, rows, f->arena, &f->found, &f->n, err) : code;
}

static enum err_code find(struct registry *r, struct find_args *f, struct model_version *ret,
                          struct err *err)
{
    enum err_code code = db_read(r->db, find_fn, f, err);
    if (code != ERR_OK)
        return code;
    if (f->n > 0) {
        *ret = f->found[0];
        return ERR_OK;
    }
    switch (f->by) {
    case FIND_VERSION:
        return not_found(f->name, f->version, err);
    case FIND_ALIAS:
        return err_set(err, ERR_NOT_FOUND, "model %s has no version with the alias %s", f->name,
                       f->text);
    case FIND_STAGE:
        return err_set(err, ERR_NOT_FOUND, "model %s has no version in the stage %s", f->name,
                       model_stage_name(f->stage));
    case FIND_LATEST:
        return err_set(err, ERR_NOT_FOUND, "there is no model %s with a version", f->name);
    case FIND_DIGEST:
        return err_set(err, ERR_NOT_FOUND, "no model version has the digest %s", f->text);
    }
    UNREACHABLE();
}

enum err_code version_get(struct registry *r, const char *name, int64_t version, struct arena *a,
                          struct model_version *ret, struct err *err)
{
    struct find_args f = {.by = FIND_VERSION, .name = name, .version = version, .arena = a};
    return find(r, &f, ret, err);
}

enum err_code version_by_digest(struct registry *r, const char *digest, struct arena *a,
                                struct model_version *ret, struct err *err)
{
    struct find_args f = {.by = FIND_DIGEST, .text = digest, .arena = a};
    return find(r, &f, ret, err);
}

enum err_code version_find(struct registry *r, const char *ref, struct arena *a,
                           struct model_version *ret, struct err *err)
{
    struct find_args f = {.by = FIND_LATEST, .arena = a};
    struct str text = str_c(ref);
    if (str_starts(text, STR("models:/")))
        text = str_n(text.p + 8, text.n - 8);
    char *name = str_dup(a, text);
    if (!name)
        return arena_err(a, err);
    f.name = name;
    char *slash = strchr(name, '/'), *at = strchr(name, '@');
    if (at) {
        *at = '\0';
        f.by = strcasecmp(at + 1, "latest") == 0 ? FIND_LATEST : FIND_ALIAS;
        f.text = at + 1;
    } else if (slash) {
        *slash = '\0';
        if (model_stage_from_name(str_c(slash + 1), &f.stage))
            f.by = FIND_STAGE;
        else if (strcasecmp(slash + 1, "latest") != 0)
            f.by = FIND_VERSION;
        if (f.by == FIND_VERSION && parse_i64(str_c(slash + 1), &f.version, NULL) != ERR_OK)
            return err_set(err, ERR_INVALID,
                           "\"%s\" names no model version: NAME, NAME/3 or NAME@alias", ref);
    }
    return find(r, &f, ret, err);
}

/* ---- change ---- */

struct change_args {
    const char *name, *key, *value;
    int64_t version, at_us;
    enum model_stage stage;
    enum stage_move how;
};

static enum err_code describe_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct change_args *c = arg;
    enum err_code code = version_touch(tx, c->name, c->version, c->at_us, err);
    if (code == ERR_OK)
        code = db_exec(tx, err,
                       "UPDATE model_versions SET description = ? WHERE name = ? AND version = ?",
                       "ssi", c->value, c->name, c->version);
    return code;
}

enum err_code version_describe(struct registry *r, const char *name, int64_t version,
                               const char *description, struct err *err)
{
    struct change_args c = {
        .name = name, .version = version, .value = description, .at_us = clock_now_us(&r->clock)};
    return db_write(r->db, describe_fn, &c, err);
}

static enum err_code stage_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct change_args *c = arg;
    enum err_code code = version_touch(tx, c->name, c->version, c->at_us, err);
    if (code == ERR_OK && c->how == STAGE_MOVE_ARCHIVE_OTHERS)
        code = db_exec(tx, err,
                       "UPDATE model_versions SET stage = ?, updated_us = ? WHERE name = ?"
                       " AND stage = ? AND version <> ? AND is_deleted = 0",
                       "iisii", (int64_t)STAGE_ARCHIVED, c->at_us, c->name, (int64_t)c->stage,
                       c->version);
    if (code == ERR_OK)
        code =
            db_exec(tx, err, "UPDATE model_versions SET stage = ? WHERE name = ? AND version = ?",
                    "isi", (int64_t)c->stage, c->name, c->version);
    return code;
}

enum err_code version_stage_set(struct registry *r, const char *name, int64_t version,
                                enum model_stage stage, enum stage_move how, struct err *err)
{
    struct change_args c = {.name = name,
                            .version = version,
                            .stage = stage,
                            .how = how,
                            .at_us = clock_now_us(&r->clock)};
    if (how == STAGE_MOVE_ARCHIVE_OTHERS && stage != STAGE_STAGING && stage != STAGE_PRODUCTION)
        return err_set(err, ERR_INVALID,
                       "others can be archived only when a version moves to Staging or Production, "
                       "not to %s",
                       model_stage_name(stage));
    return db_write(r->db, stage_fn, &c, err);
}

static enum err_code tag_set_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct change_args *c = arg;
    struct tag t = {c->key, c->value};
    enum err_code code = version_touch(tx, c->name, c->version, c->at_us, err);
    return code == ERR_OK ? tag_put(tx, c->name, c->version, &t, err) : code;
}

enum err_code version_tag_set(struct registry *r, const char *name, int64_t version,
                              const char *key, const char *value, struct err *err)
{
    struct change_args c = {.name = name,
                            .version = version,
                            .key = key,
                            .value = value,
                            .at_us = clock_now_us(&r->clock)};
    enum err_code code = registry_tag_check(key, value, err);
    return code == ERR_OK ? db_write(r->db, tag_set_fn, &c, err) : code;
}

static enum err_code tag_delete_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct change_args *c = arg;
    enum err_code code = version_touch(tx, c->name, c->version, c->at_us, err);
    if (code == ERR_OK)
        code = db_exec(tx, err,
                       "DELETE FROM model_version_tags WHERE name = ? AND version = ? AND key = ?",
                       "sis", c->name, c->version, c->key);
    return code;
}

enum err_code version_tag_delete(struct registry *r, const char *name, int64_t version,
                                 const char *key, struct err *err)
{
    struct change_args c = {
        .name = name, .version = version, .key = key, .at_us = clock_now_us(&r->clock)};
    return db_write(r->db, tag_delete_fn, &c, err);
}

static enum err_code delete_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct change_args *c = arg;
    int64_t n = 0;
    enum err_code code = db_get_i64(
        tx, &n, err,
        "SELECT count(*) FROM model_aliases WHERE name = ? AND version = ? AND alias = ?", "sis",
        c->name, c->version, ALIAS_PRODUCTION);
    if (code == ERR_OK && n > 0)
        return err_set(err, ERR_REFUSED,
                       "version %lld of model %s is in production and cannot be deleted",
                       (long long)c->version, c->name);
    if (code == ERR_OK)
        code = version_touch(tx, c->name, c->version, c->at_us, err);
    if (code == ERR_OK)
        code = db_exec(tx, err,
                       "UPDATE model_versions SET is_deleted = 1, source = NULL, run_id = NULL,"
                       " run_link = NULL WHERE name = ? AND version = ?",
                       "si", c->name, c->version);
    if (code == ERR_OK)
        code = db_exec(tx, err, "DELETE FROM model_aliases WHERE name = ? AND version = ?", "si",
                       c->name, c->version);
    return code;
}

enum err_code version_delete(struct registry *r, const char *name, int64_t version, struct err *err)
{
    struct change_args c = {.name = name, .version = version, .at_us = clock_now_us(&r->clock)};
    return db_write(r->db, delete_fn, &c, err);
}

/* ---- lineage ---- */

struct users_args {
    enum lineage_kind kind;
    const char *digest;
    struct arena *arena;
    struct model_version *list;
    size_t n;
};

static enum err_code users_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct users_args *u = arg;
    struct db_rows *rows = NULL;
    enum err_code code =
        db_query(tx, &rows, err,
                 "SELECT DISTINCT " VERSION_COLUMNS " FROM model_lineage l JOIN model_versions v"
                 " ON v.name = l.name AND v.version = l.version WHERE l.kind = ? AND l.digest = ?"
                 " AND v.is_deleted = 0 ORDER BY v.name, v.version",
                 "ss", lineage_kind_name(u->kind), u->digest);
    return code == ERR_OK ? versions_load(tx, rows, u->arena, &u->list, &u->n, err) : code;
}

enum err_code lineage_users(struct registry *r, enum lineage_kind kind, const char *digest,
                            struct arena *a, struct model_version **ret, size_t *ret_n,
                            struct err *err)
{
    struct users_args u = {.kind = kind, .digest = digest, .arena = a};
    enum err_code code = db_read(r->db, users_fn, &u, err);
    if (code == ERR_OK) {
        *ret = u.list;
        *ret_n = u.n;
    }
    return code;
}
