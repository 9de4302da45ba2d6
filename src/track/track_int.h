/* Inside track/: rows to structs and back, shared by experiments, runs and search. */
#ifndef PAWL_TRACK_TRACK_INT_H
#define PAWL_TRACK_TRACK_INT_H

#include "track/track.h"

struct track {
    struct db *db;
    char *artifacts_dir;
    struct clock clock;
};

#define EXPERIMENT_DEFAULT 0
#define KEY_MAX            250
#define PARAM_VALUE_MAX    6000
#define TAG_VALUE_MAX      8000
#define TAG_RUN_NAME       "mlflow.runName"
#define TAG_PARENT         "mlflow.parentRunId"
#define TAG_CONTEXT        "mlflow.data.context"

/* How a double is kept: SQL would turn NaN into NULL and has no literal for the infinities. */
enum metric_kind { METRIC_FINITE, METRIC_NAN, METRIC_PLUS_INF, METRIC_MINUS_INF, METRIC_KIND_N };
void metric_pack(double v, double *ret_value, int64_t *ret_kind);
double metric_unpack(double value, int64_t kind);

/* ---- track_rows.c: loading what hangs on a run ---- */
#define EXPERIMENT_COLUMNS "id, name, artifact_location, is_deleted, created_us, updated_us"
enum err_code experiment_load(struct db_tx *tx, const struct db_rows *row, struct arena *a,
                              struct experiment *ret, struct err *err) MUST_CHECK;
enum err_code experiment_tags_load(struct db_tx *tx, struct arena *a, struct experiment *e,
                                   struct err *err) MUST_CHECK;
/* r.no must be the first column. */
#define RUN_COLUMNS                                                                                \
    "r.no, r.id, r.parent_id, r.experiment_id, r.name, r.user_id, r.status, r.is_deleted, "        \
    "r.start_us, r.end_us, e.artifact_location"
#define RUN_FROM "runs r JOIN experiments e ON e.id = r.experiment_id"
struct run_row {
    int64_t no;
    struct run run;
};
enum err_code run_info_load(const struct db_rows *row, struct arena *a, struct run_row *ret,
                            struct err *err) MUST_CHECK;
enum err_code run_parts_load(struct db_tx *tx, struct arena *a, struct run_row *r,
                             struct err *err) MUST_CHECK;

/* ---- track_log.c: inside a transaction ---- */
struct run_head {
    int64_t no, experiment_id;
    bool is_deleted;
};
enum err_code run_head_get(struct db_tx *tx, const char *id, struct run_head *ret,
                           struct err *err) MUST_CHECK;
/* As run_head_get, and the run must not be deleted. */
enum err_code run_head_active(struct db_tx *tx, const char *id, struct run_head *ret,
                              struct err *err) MUST_CHECK;
enum err_code run_tag_put(struct db_tx *tx, int64_t run_no, const struct tag *t,
                          struct err *err) MUST_CHECK;

/* ---- track_check.c: limits and forms ---- */
/* what: "metric", "param" … A key has 1..KEY_MAX characters of the allowed kind and is a clean
 * path. */
enum err_code key_check(const char *what, const char *key, struct err *err) MUST_CHECK;
enum err_code batch_check(const struct run_batch *b, struct err *err) MUST_CHECK;
enum err_code experiment_name_check(const char *name, struct err *err) MUST_CHECK;
bool run_id_is_valid(const char *id);

/* ---- track_name.c ---- */
/* "patient-heron-123" from random bytes. */
void run_name_make(char out[64]);

#endif
