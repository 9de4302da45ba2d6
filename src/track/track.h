/* Tracking: experiments, runs and what a run recorded (params, metrics over steps, tags, inputs).
 *
 * Ids and meaning are MLflow's, so that its client fits on top: experiment ids are small numbers
 * ("0" is Default), run ids 32 hex digits, params never change once logged, tags do, a metric's
 * identity is (key, time, step, value), the latest value of a key is the greatest (step, time,
 * value). Deleted things are kept and marked. Times here are microseconds; milliseconds exist only
 * at MLflow's edge. NaN and the infinities are values. Artifacts lie in
 * home/artifacts/<experiment>/<run>/artifacts.
 *
 *     struct run_new n = {.experiment_id = e, .name = "train", .parent_id = pipeline_run};
 *     run_create(track, &n, id, err);
 *     struct run_batch b = {.metrics = m, .n_metrics = k};
 *     run_log(track, id, &b, err);                 // one durable transaction
 *     run_end(track, id, RUN_FINISHED, AT_US_NONE, err);
 *
 * Threads: any. Search is in track/search.h, the environment record in track/environment.h. */
#ifndef PAWL_TRACK_TRACK_H
#define PAWL_TRACK_TRACK_H

#include "base/clock.h"
#include "db/db.h"
#include "json/json.h"

struct track;

/* artifacts_dir: home/artifacts, made when absent. The experiment Default is made when absent (not
 * on a store that may only be read). clock: system time. */
enum err_code track_open(struct db *db, const char *artifacts_dir, const struct clock *clock,
                         struct track **ret, struct err *err) MUST_CHECK;
void track_close(struct track *t); /* accepts NULL */
struct db *track_db(struct track *t);

struct tag {
    const char *key, *value;
};

/* The key and value pairs of an open query with two columns; closes it. */
enum err_code tags_load(struct db_rows *rows, struct arena *a, struct tag **ret, size_t *ret_n,
                        struct err *err) MUST_CHECK;

enum life_view { LIFE_ACTIVE, LIFE_DELETED, LIFE_ALL, LIFE_VIEW_N };

/* ---- experiments ---- */
#define EXPERIMENT_NAME_MAX 500

struct experiment {
    int64_t id;
    const char *name;
    const char *artifact_location; /* as given at creation; NULL: the home's own layout */
    bool is_deleted;
    int64_t created_us, updated_us;
    struct tag *tags; /* by key */
    size_t n_tags;
};

/* ERR_EXISTS when the name is taken, by a deleted one too. artifact_location may be NULL. */
enum err_code experiment_create(struct track *t, const char *name, const char *artifact_location,
                                const struct tag *tags, size_t n_tags, int64_t *ret_id,
                                struct err *err) MUST_CHECK;
/* The id of the name, made when absent; a deleted one is ERR_REFUSED. */
enum err_code experiment_ensure(struct track *t, const char *name, int64_t *ret_id,
                                struct err *err) MUST_CHECK;
/* Deleted ones too. ERR_NOT_FOUND. */
enum err_code experiment_get(struct track *t, int64_t id, struct arena *a, struct experiment *ret,
                             struct err *err) MUST_CHECK;
enum err_code experiment_get_by_name(struct track *t, const char *name, struct arena *a,
                                     struct experiment *ret, struct err *err) MUST_CHECK;
enum err_code experiment_rename(struct track *t, int64_t id, const char *name,
                                struct err *err) MUST_CHECK;
/* Marks it and its runs (restore: un-marks). ERR_NOT_FOUND when it is not in the other state. */
enum err_code experiment_delete(struct track *t, int64_t id, struct err *err) MUST_CHECK;
enum err_code experiment_restore(struct track *t, int64_t id, struct err *err) MUST_CHECK;
enum err_code experiment_tag_set(struct track *t, int64_t id, const char *key, const char *value,
                                 struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND when it has no such tag. */
enum err_code experiment_tag_delete(struct track *t, int64_t id, const char *key,
                                    struct err *err) MUST_CHECK;

/* ---- runs ---- */
#define RUN_ID_BYTES 33 /* 32 hex digits and NUL */

enum run_status { RUN_RUNNING, RUN_SCHEDULED, RUN_FINISHED, RUN_FAILED, RUN_KILLED, RUN_STATUS_N };
const char *run_status_name(enum run_status s); /* "RUNNING" … */
bool run_status_from_name(struct str name, enum run_status *ret);

struct run_new {
    int64_t experiment_id;
    const char *id;        /* NULL: a random one */
    const char *name;      /* NULL: tag mlflow.runName, else "adjective-noun-number" */
    const char *parent_id; /* NULL: none; kept as the tag mlflow.parentRunId too */
    const char *user;      /* NULL: "" */
    int64_t start_us;      /* 0 or AT_US_NONE: now */
    const struct tag *tags;
    size_t n_tags;
};

struct run_info {
    char id[RUN_ID_BYTES];
    char parent_id[RUN_ID_BYTES]; /* "": none */
    int64_t experiment_id;
    const char *name, *user;
    enum run_status status;
    bool is_deleted;
    int64_t start_us, end_us; /* end: AT_US_NONE while it runs */
    /* As MLflow's clients see it: "mlflow-artifacts:/<experiment>/<run>/artifacts", or below the
     * experiment's own location. */
    const char *artifact_uri;
};

struct param {
    const char *key, *value;
};

struct metric_point {
    const char *key;
    double value; /* any, NaN and infinities too */
    int64_t step;
    int64_t at_us; /* >= 0 */
};

/* A data set that a run read or wrote. Pawl's own: name = source, digest = data version,
 * source_type "pawl". */
struct run_input {
    const char *name, *digest, *source_type, *source;
    const char *schema, *profile; /* JSON text or NULL */
    const char
        *context; /* "training", "benchmark"; NULL: none. Kept as the tag mlflow.data.context */
    const struct tag *tags; /* further tags of the edge */
    size_t n_tags;
};

struct run {
    struct run_info info;
    struct metric_point *metrics; /* latest of each key, by key */
    struct param *params;         /* by key */
    struct tag *tags;             /* by key */
    struct run_input *inputs;
    size_t n_metrics, n_params, n_tags, n_inputs;
};

/* ret_id may be NULL. ERR_NOT_FOUND / ERR_REFUSED for an experiment that is unknown / deleted,
 * ERR_EXISTS for the id. */
enum err_code run_create(struct track *t, const struct run_new *n, char ret_id[RUN_ID_BYTES],
                         struct err *err) MUST_CHECK;
/* Everything but the metrics' history; deleted runs too. ERR_NOT_FOUND "Run with id=… not found".
 * */
enum err_code run_get(struct track *t, const char *id, struct arena *a, struct run *ret,
                      struct err *err) MUST_CHECK;
/* A run by id, by a unique prefix of at least 6 digits, or by a name that is unique: for people.
 * ERR_CONFLICT lists the candidates. */
enum err_code run_find(struct track *t, const char *ref, char ret_id[RUN_ID_BYTES],
                       struct err *err) MUST_CHECK;

/* What one request logs, applied whole or not at all: params, metrics, tags, inputs in this order.
 * */
struct run_batch {
    const struct param *params;
    const struct metric_point *metrics;
    const struct tag *tags;
    const struct run_input *inputs;
    size_t n_params, n_metrics, n_tags, n_inputs;
};
/* Repeating it changes nothing. ERR_INVALID for a param with another value than before (key, old,
 * new are named), a bad key or a negative time; ERR_REFUSED for a deleted run. Cost: ~3 µs a metric
 * plus one commit, shared with others. */
enum err_code run_log(struct track *t, const char *id, const struct run_batch *b,
                      struct err *err) MUST_CHECK;
enum err_code run_tag_delete(struct track *t, const char *id, const char *key,
                             struct err *err) MUST_CHECK;

struct run_update {
    bool has_status, has_end, has_name;
    enum run_status status;
    int64_t end_us;
    const char *name;
};
enum err_code run_update(struct track *t, const char *id, const struct run_update *u,
                         struct err *err) MUST_CHECK;
/* Sets status and end (AT_US_NONE: now). */
enum err_code run_end(struct track *t, const char *id, enum run_status status, int64_t end_us,
                      struct err *err) MUST_CHECK;
enum err_code run_delete(struct track *t, const char *id,
                         struct err *err) MUST_CHECK; /* repeating is fine */
enum err_code run_restore(struct track *t, const char *id,
                          struct err *err) MUST_CHECK; /* repeating is fine */

/* One key's points ordered by (time, step, value), from the offset-th on, at most limit (0: all).
 * */
struct history_query {
    const char *run_id, *key;
    int64_t offset, limit;
};
enum err_code metric_history(struct track *t, const struct history_query *q, struct arena *a,
                             struct metric_point **ret, size_t *ret_n, struct err *err) MUST_CHECK;

/* The directory of a run's artifacts below the home, made when make is true. ERR_UNSUPPORTED for an
 * experiment whose artifacts lie elsewhere. */
enum run_dir_mode { RUN_DIR_MAY_BE_ABSENT, RUN_DIR_MAKE, RUN_DIR_MODE_N };
enum err_code run_artifact_dir(struct track *t, const char *id, enum run_dir_mode mode,
                               struct arena *a, char **ret, struct err *err) MUST_CHECK;
/* True for a relative path without "..", ".", empty parts, backslash, '#' and control characters.
 * */
bool artifact_path_is_safe(struct str path);

/* ---- for people and the API ---- */
struct json *experiment_json(const struct experiment *e, struct arena *a);
struct json *run_info_json(const struct run_info *r, struct arena *a);
struct json *run_json(const struct run *r, struct arena *a); /* times as RFC 3339 */
/* What differs: {"a","b": the runs, "params", "metrics", "tags", "inputs": [{key, a?, b?,
 * change?}]}; the environment is among the tags. */
struct json *run_diff_json(const struct run *a_run, const struct run *b_run, struct arena *a);

#endif
