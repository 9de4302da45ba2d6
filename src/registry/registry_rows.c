#include "base/vec.h"
#include "registry/registry_int.h"

enum err_code model_load(const struct db_rows *rows, struct arena *a, struct model *ret,
                         struct err *err)
{
    *ret = (struct model){.name = db_dup(rows, 0, a),
                          .description = db_dup(rows, 1, a),
                          .created_us = db_i64(rows, 2),
                          .updated_us = db_i64(rows, 3),
                          .last_version = db_i64(rows, 4)};
    return ret->name ? ERR_OK : arena_err(a, err);
}

enum err_code model_parts_load(struct db_tx *tx, struct arena *a, struct model *m, struct err *err)
{
    struct db_rows *rows = NULL;
    VEC(struct model_alias) aliases = {0};
    bool is_full = false;
    enum err_code code =
        db_query(tx, &rows, err, "SELECT key, value FROM model_tags WHERE name = ? ORDER BY key",
                 "s", m->name);
    if (code == ERR_OK)
        code = tags_load(rows, a, &m->tags, &m->n_tags, err);
    if (code == ERR_OK)
        code = db_query(tx, &rows, err,
                        "SELECT alias, version FROM model_aliases WHERE name = ? ORDER BY alias",
                        "s", m->name);
    if (code != ERR_OK)
        return code;
    while (!is_full && db_next(rows)) {
        struct model_alias *x = VEC_ADD(a, &aliases);
        is_full = !x || !(x->alias = db_dup(rows, 0, a));
        if (!is_full)
            x->version = db_i64(rows, 1);
    }
    code = db_done(rows, err);
    m->aliases = aliases.p;
    m->n_aliases = aliases.n;
    return code == ERR_OK && is_full ? arena_err(a, err) : code;
}

enum err_code version_load(const struct db_rows *rows, struct arena *a, struct model_version *ret,
                           struct err *err)
{
    *ret = (struct model_version){.name = db_dup(rows, 0, a),
                                  .version = db_i64(rows, 1),
                                  .digest = db_dup(rows, 2, a),
                                  .tree = db_dup(rows, 3, a),
                                  .source = db_dup(rows, 4, a),
                                  .run_id = db_dup(rows, 5, a),
                                  .run_link = db_dup(rows, 6, a),
                                  .description = db_dup(rows, 7, a),
                                  .user = db_dup(rows, 8, a),
                                  .status = db_dup(rows, 9, a),
                                  .status_message = db_dup(rows, 10, a),
                                  .stage = (enum model_stage)db_i64(rows, 11),
                                  .created_us = db_i64(rows, 12),
                                  .updated_us = db_i64(rows, 13),
                                  .bytes = db_i64(rows, 14)};
    return ret->name && ret->user && ret->status ? ERR_OK : arena_err(a, err);
}

static enum err_code aliases_load(struct db_tx *tx, struct arena *a, struct model_version *v,
                                  struct err *err)
{
    struct db_rows *rows = NULL;
    VEC(const char *) list = {0};
    bool is_full = false;
    enum err_code code =
        db_query(tx, &rows, err,
                 "SELECT alias FROM model_aliases WHERE name = ? AND version = ? ORDER BY alias",
                 "si", v->name, v->version);
    if (code != ERR_OK)
        return code;
    while (!is_full && db_next(rows)) {
        const char **x = VEC_ADD(a, &list);
        is_full = !x || !(*x = db_dup(rows, 0, a));
    }
    code = db_done(rows, err);
    v->aliases = list.p;
    v->n_aliases = list.n;
    return code == ERR_OK && is_full ? arena_err(a, err) : code;
}

static enum err_code lineage_load(struct db_tx *tx, struct arena *a, struct model_version *v,
                                  struct err *err)
{
    struct db_rows *rows = NULL;
    VEC(struct lineage) list = {0};
    bool is_full = false;
    enum err_code code = db_query(tx, &rows, err,
                                  "SELECT kind, of_name, digest FROM model_lineage WHERE name = ?"
                                  " AND version = ? ORDER BY kind, of_name, digest",
                                  "si", v->name, v->version);
    if (code != ERR_OK)
        return code;
    while (!is_full && db_next(rows)) {
        struct lineage *x = VEC_ADD(a, &list);
        is_full = !x || !(x->name = db_dup(rows, 1, a)) || !(x->digest = db_dup(rows, 2, a));
        for (int k = 0; !is_full && k < LINEAGE_KIND_N; k++)
            if (str_is(db_str(rows, 0), lineage_kind_name((enum lineage_kind)k)))
                x->kind = (enum lineage_kind)k;
    }
    code = db_done(rows, err);
    v->lineage = list.p;
    v->n_lineage = list.n;
    return code == ERR_OK && is_full ? arena_err(a, err) : code;
}

enum err_code version_parts_load(struct db_tx *tx, struct arena *a, struct model_version *v,
                                 struct err *err)
{
    struct db_rows *rows = NULL;
    enum err_code code = db_query(tx, &rows, err,
                                  "SELECT key, value FROM model_version_tags WHERE name = ?"
                                  " AND version = ? ORDER BY key",
                                  "si", v->name, v->version);
    if (code == ERR_OK)
        code = tags_load(rows, a, &v->tags, &v->n_tags, err);
    if (code == ERR_OK)
        code = aliases_load(tx, a, v, err);
    return code == ERR_OK ? lineage_load(tx, a, v, err) : code;
}

enum err_code versions_load(struct db_tx *tx, struct db_rows *rows, struct arena *a,
                            struct model_version **ret, size_t *ret_n, struct err *err)
{
    VEC(struct model_version) list = {0};
    enum err_code loaded = ERR_OK;
    while (loaded == ERR_OK && db_next(rows)) {
        struct model_version *v = VEC_ADD(a, &list);
        loaded = v ? version_load(rows, a, v, err) : arena_err(a, err);
    }
    enum err_code code = db_done(rows, loaded == ERR_OK ? err : NULL);
    if (loaded != ERR_OK)
        code = loaded;
    for (size_t i = 0; i < list.n && code == ERR_OK; i++)
        code = version_parts_load(tx, a, &list.p[i], err);
    if (code == ERR_OK) {
        *ret = list.p;
        *ret_n = list.n;
    }
    return code;
}
