/* Models and versions as things to search for (track/filter.h). */
#include "base/check.h"
#include "base/vec.h"
#include "registry/registry_int.h"
#include "track/filter.h"

static const struct filter_attribute MODEL_ATTRIBUTES[] = {
    {"name", "m.name", false},
    {"timestamp", "m.updated_us / 1000", true},
    {"last_updated_timestamp", "m.updated_us / 1000", true},
    {"creation_timestamp", "m.created_us / 1000", true},
};

static const struct filter_target MODELS = {
    .what = "model",
    .columns = MODEL_COLUMNS,
    .from = "models m",
    .attributes = MODEL_ATTRIBUTES,
    .n_attributes = ARRAY_LEN(MODEL_ATTRIBUTES),
    .parts = {[FILTER_TAG] = {"model_tags x WHERE x.name = m.name AND x.key = ?", "x.value",
                              "LEFT JOIN model_tags o# ON o#.name = m.name AND o#.key = ?",
                              "CASE WHEN o#.key IS NULL THEN 1 ELSE 0 END, o#.value", false}},
    .default_order = "m.name",
};

static const struct filter_attribute VERSION_ATTRIBUTES[] = {
    {"name", "v.name", false},
    {"version_number", "v.version", true},
    {"run_id", "v.run_id", false},
    {"source_path", "v.source", false},
    {"source", "v.source", false},
    {"digest", "v.digest", false},
    {"user_id", "v.user_id", false},
    {"creation_timestamp", "v.created_us / 1000", true},
    {"last_updated_timestamp", "v.updated_us / 1000", true},
};

static const struct filter_target VERSIONS = {
    .what = "model version",
    .columns = VERSION_COLUMNS,
    .from = "model_versions v",
    .where = "v.is_deleted = 0",
    .attributes = VERSION_ATTRIBUTES,
    .n_attributes = ARRAY_LEN(VERSION_ATTRIBUTES),
    .parts = {[FILTER_TAG] = {"model_version_tags x WHERE x.name = v.name AND x.version = v.version"
                              " AND x.key = ?",
                              "x.value",
                              "LEFT JOIN model_version_tags o# ON o#.name = v.name"
                              " AND o#.version = v.version AND o#.key = ?",
                              "CASE WHEN o#.key IS NULL THEN 1 ELSE 0 END, o#.value", false}},
    .default_order = "v.updated_us DESC, v.name, v.version DESC",
};

struct search_args {
    struct filter_sql *sql;
    struct arena *arena;
    struct model *models;
    struct model_version *versions;
    size_t n;
    char *token;
};

/* How many of the rows belong to this page; the token when there are more. */
static enum err_code page_end(struct search_args *s, size_t n_rows, struct err *err)
{
    s->n = n_rows > (size_t)s->sql->limit ? (size_t)s->sql->limit : n_rows;
    return filter_next_token(s->sql, n_rows, s->arena, &s->token, err);
}

static enum err_code models_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct search_args *s = arg;
    struct db_rows *rows = NULL;
    VEC(struct model) list = {0};
    enum err_code loaded = ERR_OK;
    enum err_code code = db_query_args(tx, &rows, err, s->sql->text, s->sql->args, s->sql->n_args);
    if (code != ERR_OK)
        return code;
    while (loaded == ERR_OK && db_next(rows)) {
        struct model *m = VEC_ADD(s->arena, &list);
        loaded = m ? model_load(rows, s->arena, m, err) : arena_err(s->arena, err);
    }
    code = db_done(rows, loaded == ERR_OK ? err : NULL);
    if (loaded != ERR_OK)
        return loaded;
    if (code == ERR_OK)
        code = page_end(s, list.n, err);
    for (size_t i = 0; i < s->n && code == ERR_OK; i++)
        code = model_parts_load(tx, s->arena, &list.p[i], err);
    s->models = list.p;
    return code;
}

static enum err_code versions_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct search_args *s = arg;
    struct db_rows *rows = NULL;
    size_t n = 0;
    enum err_code code = db_query_args(tx, &rows, err, s->sql->text, s->sql->args, s->sql->n_args);
    if (code == ERR_OK)
        code = versions_load(tx, rows, s->arena, &s->versions, &n, err);
    return code == ERR_OK ? page_end(s, n, err) : code;
}

static enum err_code search(struct registry *r, const struct filter_target *target,
                            const struct search_query *q, db_fn fn, struct search_args *s,
                            struct err *err)
{
    s->sql = ARENA_NEW(s->arena, struct filter_sql);
    if (!s->sql)
        return arena_err(s->arena, err);
    enum err_code code = filter_sql_make(target, q, s->arena, s->sql, err);
    return code == ERR_OK ? db_read(r->db, fn, s, err) : code;
}

enum err_code model_search(struct registry *r, const struct search_query *q, struct arena *a,
                           struct model **ret, size_t *ret_n, char **ret_next_token,
                           struct err *err)
{
    struct search_args s = {.arena = a};
    enum err_code code = search(r, &MODELS, q, models_fn, &s, err);
    if (code != ERR_OK)
        return code;
    *ret = s.models;
    *ret_n = s.n;
    *ret_next_token = s.token;
    return ERR_OK;
}

enum err_code version_search(struct registry *r, const struct search_query *q, struct arena *a,
                             struct model_version **ret, size_t *ret_n, char **ret_next_token,
                             struct err *err)
{
    struct search_args s = {.arena = a};
    enum err_code code = search(r, &VERSIONS, q, versions_fn, &s, err);
    if (code != ERR_OK)
        return code;
    *ret = s.versions;
    *ret_n = s.n;
    *ret_next_token = s.token;
    return ERR_OK;
}
