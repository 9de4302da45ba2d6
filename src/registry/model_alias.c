#include "registry/registry_int.h"

struct alias_args {
    const char *name, *alias;
    int64_t version, at_us;
};

static enum err_code alias_put(struct db_tx *tx, const char *name, const char *alias,
                               int64_t version, struct err *err)
{
    return db_exec(tx, err,
                   "INSERT INTO model_aliases(name, alias, version) VALUES (?, ?, ?)"
                   " ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version",
                   "ssi", name, alias, version);
}

static enum err_code set_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct alias_args *x = arg;
    enum err_code code = version_touch(tx, x->name, x->version, x->at_us, err);
    return code == ERR_OK ? alias_put(tx, x->name, x->alias, x->version, err) : code;
}

/* A name that people may give and take away. */
static enum err_code alias_is_free(const char *alias, struct err *err)
{
    enum err_code code = alias_check(alias, err);
    if (code == ERR_OK && strcmp(alias, ALIAS_PRODUCTION) == 0)
        code = err_set(err, ERR_REFUSED,
                       "the alias production is set by a rollout only: deploy the version to an "
                       "endpoint, then it follows what is live");
    return code;
}

enum err_code alias_set(struct registry *r, const char *name, const char *alias, int64_t version,
                        struct err *err)
{
    struct alias_args x = {name, alias, version, clock_now_us(&r->clock)};
    enum err_code code = alias_is_free(alias, err);
    return code == ERR_OK ? db_write(r->db, set_fn, &x, err) : code;
}

static enum err_code delete_fn(struct db_tx *tx, void *arg, struct err *err)
{
    const struct alias_args *x = arg;
    enum err_code code = model_touch(tx, x->name, x->at_us, err);
    if (code == ERR_OK)
        code = db_exec(tx, err, "DELETE FROM model_aliases WHERE name = ? AND alias = ?", "ss",
                       x->name, x->alias);
    return code;
}

enum err_code alias_delete(struct registry *r, const char *name, const char *alias, struct err *err)
{
    struct alias_args x = {name, alias, 0, clock_now_us(&r->clock)};
    enum err_code code = alias_is_free(alias, err);
    return code == ERR_OK ? db_write(r->db, delete_fn, &x, err) : code;
}

enum err_code registry_production_set(struct db_tx *tx, const char *name, int64_t version,
                                      int64_t at_us, struct err *err)
{
    enum err_code code = ERR_OK;
    if (version > 0)
        code = version_touch(tx, name, version, at_us, err);
    if (code == ERR_OK)
        code = db_exec(tx, err,
                       "UPDATE model_versions SET stage = ?, updated_us = ? WHERE name = ?"
                       " AND stage = ? AND version <> ? AND is_deleted = 0",
                       "iisii", (int64_t)STAGE_ARCHIVED, at_us, name, (int64_t)STAGE_PRODUCTION,
                       version);
    if (code != ERR_OK)
        return code;
    if (version == 0)
        return db_exec(tx, err, "DELETE FROM model_aliases WHERE name = ? AND alias = ?", "ss",
                       name, ALIAS_PRODUCTION);
    code = db_exec(tx, err, "UPDATE model_versions SET stage = ? WHERE name = ? AND version = ?",
                   "isi", (int64_t)STAGE_PRODUCTION, name, version);
    return code == ERR_OK ? alias_put(tx, name, ALIAS_PRODUCTION, version, err) : code;
}
