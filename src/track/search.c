/* Runs and experiments as things to search for. */
#include "base/check.h"
#include "base/vec.h"
#include "track/filter.h"
#include "track/track_int.h"

#define RUN_STATUS_SQL                                                                             \
    "CASE r.status WHEN 0 THEN 'RUNNING' WHEN 1 THEN 'SCHEDULED' WHEN 2 THEN 'FINISHED'"           \
    " WHEN 3 THEN 'FAILED' ELSE 'KILLED' END"
#define RUN_URI_SQL                                                                                \
    "COALESCE(e.artifact_location, 'mlflow-artifacts:/' || CAST(r.experiment_id AS TEXT)) || '/'"  \
    " || r.id || '/artifacts'"

/* Times are compared in milliseconds, as MLflow's clients write them. */
static const struct filter_attribute RUN_ATTRIBUTES[] = {
    {"run_id", "r.id", false},
    {"run_name", "r.name", false},
    {"run name", "r.name", false},
    {"user_id", "r.user_id", false},
    {"status", RUN_STATUS_SQL, false},
    {"start_time", "r.start_us / 1000", true},
    {"created", "r.start_us / 1000", true},
    {"end_time", "r.end_us / 1000", true},
    {"artifact_uri", RUN_URI_SQL, false},
    {"parent_id", "r.parent_id", false},
};

static const struct filter_attribute RUN_DATASET[] = {
    {"name", "d.name", false},
    {"digest", "d.digest", false},
    {"context",
     "(SELECT c.value FROM input_tags c WHERE c.run_no = i.run_no AND c.dataset_id = i.dataset_id"
     " AND c.key = '" TAG_CONTEXT "')",
     false},
};

static const struct filter_target RUNS = {
    .what = "run",
    .columns = RUN_COLUMNS,
    .from = RUN_FROM,
    .deleted = "r.is_deleted",
    .attributes = RUN_ATTRIBUTES,
    .n_attributes = ARRAY_LEN(RUN_ATTRIBUTES),
    .parts =
        {
            [FILTER_METRIC] = {"latest_metrics x WHERE x.run_no = r.no AND x.key = ?"
                               " AND x.kind <> 1",
                               "x.value",
                               "LEFT JOIN latest_metrics o# ON o#.run_no = r.no AND o#.key = ?",
                               "CASE WHEN o#.key IS NULL THEN 2 WHEN o#.kind = 1 THEN 1 ELSE 0 END,"
                               " o#.value",
                               true},
            [FILTER_PARAM] = {"params x WHERE x.run_no = r.no AND x.key = ?", "x.value",
                              "LEFT JOIN params o# ON o#.run_no = r.no AND o#.key = ?",
                              "CASE WHEN o#.key IS NULL THEN 1 ELSE 0 END, o#.value", false},
            [FILTER_TAG] = {"tags x WHERE x.run_no = r.no AND x.key = ?", "x.value",
                            "LEFT JOIN tags o# ON o#.run_no = r.no AND o#.key = ?",
                            "CASE WHEN o#.key IS NULL THEN 1 ELSE 0 END, o#.value", false},
            [FILTER_DATASET] = {"inputs i JOIN datasets d ON d.id = i.dataset_id"
                                " WHERE i.run_no = r.no",
                                NULL, NULL, NULL, false},
        },
    .dataset = RUN_DATASET,
    .n_dataset = ARRAY_LEN(RUN_DATASET),
    .default_order = "r.start_us DESC, r.id",
};

static const struct filter_attribute EXPERIMENT_ATTRIBUTES[] = {
    {"name", "e.name", false},
    {"experiment_id", "CAST(e.id AS TEXT)", false},
    {"creation_time", "e.created_us / 1000", true},
    {"last_update_time", "e.updated_us / 1000", true},
};

static const struct filter_target EXPERIMENTS = {
    .what = "experiment",
    .columns = EXPERIMENT_COLUMNS,
    .from = "experiments e",
    .deleted = "e.is_deleted",
    .attributes = EXPERIMENT_ATTRIBUTES,
    .n_attributes = ARRAY_LEN(EXPERIMENT_ATTRIBUTES),
    .parts = {[FILTER_TAG] = {"experiment_tags x WHERE x.experiment_id = e.id AND x.key = ?",
                              "x.value",
                              "LEFT JOIN experiment_tags o# ON o#.experiment_id = e.id"
                              " AND o#.key = ?",
                              "CASE WHEN o#.key IS NULL THEN 1 ELSE 0 END, o#.value", false}},
    .default_order = "e.created_us DESC, e.id",
};

struct search_args {
    struct filter_sql *sql;
    struct arena *arena;
    struct run *runs;
    struct experiment *experiments;
    size_t n;
    char *token;
};

static enum err_code runs_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct search_args *s = arg;
    struct db_rows *rows = NULL;
    VEC(struct run_row) list = {0};
    enum err_code loaded = ERR_OK;
    enum err_code code = db_query_args(tx, &rows, err, s->sql->text, s->sql->args, s->sql->n_args);
    if (code != ERR_OK)
        return code;
    while (loaded == ERR_OK && db_next(rows)) {
        struct run_row *r = VEC_ADD(s->arena, &list);
        loaded = r ? run_info_load(rows, s->arena, r, err) : arena_err(s->arena, err);
    }
    code = db_done(rows, loaded == ERR_OK ? err : NULL);
    if (loaded != ERR_OK)
        return loaded;
    if (code == ERR_OK)
        code = filter_next_token(s->sql, list.n, s->arena, &s->token, err);
    s->n = list.n > (size_t)s->sql->limit ? (size_t)s->sql->limit : list.n;
    s->runs = ARENA_NEW_N(s->arena, struct run, s->n);
    if (code == ERR_OK && !s->runs)
        code = arena_err(s->arena, err);
    for (size_t i = 0; i < s->n && code == ERR_OK; i++) {
        code = run_parts_load(tx, s->arena, &list.p[i], err);
        s->runs[i] = list.p[i].run;
    }
    return code;
}

static enum err_code experiments_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct search_args *s = arg;
    struct db_rows *rows = NULL;
    VEC(struct experiment) list = {0};
    enum err_code loaded = ERR_OK;
    enum err_code code = db_query_args(tx, &rows, err, s->sql->text, s->sql->args, s->sql->n_args);
    if (code != ERR_OK)
        return code;
    while (loaded == ERR_OK && db_next(rows)) {
        struct experiment *e = VEC_ADD(s->arena, &list);
        loaded = e ? experiment_load(tx, rows, s->arena, e, err) : arena_err(s->arena, err);
    }
    code = db_done(rows, loaded == ERR_OK ? err : NULL);
    if (loaded != ERR_OK)
        return loaded;
    if (code == ERR_OK)
        code = filter_next_token(s->sql, list.n, s->arena, &s->token, err);
    s->n = list.n > (size_t)s->sql->limit ? (size_t)s->sql->limit : list.n;
    s->experiments = list.p;
    for (size_t i = 0; i < s->n && code == ERR_OK; i++)
        code = experiment_tags_load(tx, s->arena, &list.p[i], err);
    return code;
}

/* Makes the statement, runs it, leaves the results in *s. */
static enum err_code search(struct track *t, const struct filter_target *target,
                            const struct search_query *q, db_fn fn, struct search_args *s,
                            struct err *err)
{
    s->sql = ARENA_NEW(s->arena, struct filter_sql);
    if (!s->sql)
        return arena_err(s->arena, err);
    enum err_code code = filter_sql_make(target, q, s->arena, s->sql, err);
    return code == ERR_OK ? db_read(t->db, fn, s, err) : code;
}

enum err_code run_search(struct track *t, const struct search_query *q, struct arena *a,
                         struct run **ret, size_t *ret_n, char **ret_next_token, struct err *err)
{
    struct search_args s = {.arena = a};
    enum err_code code = search(t, &RUNS, q, runs_fn, &s, err);
    if (code != ERR_OK)
        return code;
    *ret = s.runs;
    *ret_n = s.n;
    *ret_next_token = s.token;
    return ERR_OK;
}

enum err_code experiment_search(struct track *t, const struct search_query *q, struct arena *a,
                                struct experiment **ret, size_t *ret_n, char **ret_next_token,
                                struct err *err)
{
    struct search_args s = {.arena = a};
    enum err_code code = search(t, &EXPERIMENTS, q, experiments_fn, &s, err);
    if (code != ERR_OK)
        return code;
    *ret = s.experiments;
    *ret_n = s.n;
    *ret_next_token = s.token;
    return ERR_OK;
}
