/* Models that a run logged, before (or without) being registered: MLflow 3's logged models.
 *
 * Id "m-" + 32 hex digits; artifacts in home/artifacts/<experiment>/models/<id>/artifacts. A run
 * that made or read one has an edge to it. Threads: any. */
#ifndef PAWL_TRACK_LOGGED_MODEL_H
#define PAWL_TRACK_LOGGED_MODEL_H

#include "track/search.h"

#define LOGGED_MODEL_ID_BYTES 35 /* with NUL */

enum logged_model_status {
    LOGGED_MODEL_PENDING = 1,
    LOGGED_MODEL_READY = 2,
    LOGGED_MODEL_FAILED = 3
};

struct logged_model_metric {
    struct metric_point point;
    const char *run_id, *dataset_name, *dataset_digest; /* "": none */
};

struct logged_model {
    const char *id, *name, *model_type, *source_run_id; /* the last two may be NULL */
    int64_t experiment_id;
    enum logged_model_status status;
    bool is_deleted;
    int64_t created_us, updated_us;
    const char *artifact_uri;
    struct tag *tags, *params;
    size_t n_tags, n_params;
    struct logged_model_metric *metrics;
    size_t n_metrics;
};

/* Reads experiment_id, name (NULL: made up), model_type, source_run_id, tags, params. */
enum err_code logged_model_create(struct track *t, const struct logged_model *m,
                                  char ret_id[LOGGED_MODEL_ID_BYTES], struct err *err) MUST_CHECK;
enum err_code logged_model_get(struct track *t, const char *id, struct arena *a,
                               struct logged_model *ret, struct err *err) MUST_CHECK;
enum err_code logged_model_search(struct track *t, const struct search_query *q, struct arena *a,
                                  struct logged_model **ret, size_t *ret_n, char **ret_next_token,
                                  struct err *err) MUST_CHECK;

/* What one request adds: params (kept as first given), tags (last wins), metrics, a new status (0:
 * as it is). */
struct logged_model_batch {
    const struct tag *params, *tags;
    size_t n_params, n_tags;
    const struct logged_model_metric *metrics;
    size_t n_metrics;
    enum logged_model_status status;
};
enum err_code logged_model_log(struct track *t, const char *id, const struct logged_model_batch *b,
                               struct err *err) MUST_CHECK;
enum err_code logged_model_tag_delete(struct track *t, const char *id, const char *key,
                                      struct err *err) MUST_CHECK;
enum err_code logged_model_delete(struct track *t, const char *id, struct err *err) MUST_CHECK;

/* Edges between a run and models. */
enum run_model_side { RUN_MODEL_OUTPUT, RUN_MODEL_INPUT, RUN_MODEL_SIDE_N };
struct run_model {
    const char *model_id;
    int64_t step;
};
enum err_code run_models_put(struct track *t, const char *run_id, enum run_model_side side,
                             const struct run_model *models, size_t n, struct err *err) MUST_CHECK;
enum err_code run_models_get(struct track *t, const char *run_id, enum run_model_side side,
                             struct arena *a, struct run_model **ret, size_t *ret_n,
                             struct err *err) MUST_CHECK;

#endif
