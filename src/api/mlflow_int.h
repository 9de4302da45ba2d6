/* Inside the MLflow protocol: what its handlers share. Each handler is a row in one of the tables
 * below; mlflow_http.c reads the request in protobuf's lenient JSON, and answers errors in MLflow's
 * words. */
#ifndef PAWL_API_MLFLOW_INT_H
#define PAWL_API_MLFLOW_INT_H

#include "api/services.h"
#include "http/server.h"
#include "registry/registry.h"
#include "track/logged_model.h"
#include "track/search.h"
#include "track/track.h"
#include "json/json.h"

struct mlflow_call {
    struct services *sv;
    struct http_request *req;
    struct arena *a;
    const struct json *in; /* body, or the query's pairs; repeated keys are lists */
    struct track *track;
    struct registry *registry;
};

/* Fills *ret with the answer's object; left alone it is {}. */
typedef enum err_code (*mlflow_fn)(struct mlflow_call *c, struct json **ret, struct err *err);

struct mlflow_route {
    const char *method, *path; /* below /api/2.0/mlflow: "/runs/create" */
    mlflow_fn fn;
};

extern const struct mlflow_route MLFLOW_EXPERIMENTS[], MLFLOW_RUNS[], MLFLOW_MODELS[],
    MLFLOW_VERSIONS[], MLFLOW_LOGGED_MODELS[];
extern const size_t N_MLFLOW_EXPERIMENTS, N_MLFLOW_RUNS, N_MLFLOW_MODELS, N_MLFLOW_VERSIONS,
    N_MLFLOW_LOGGED_MODELS;

/* ---- fields of a request: snake_case or lowerCamelCase ---- */
const struct json *mlf_get(const struct json *obj, const char *key); /* NULL when absent or null */
const char *mlf_str(struct mlflow_call *c, const struct json *obj, const char *key); /* or NULL */
/* Present and not empty, else MLflow's "Missing value for required parameter". */
enum err_code mlf_need(struct mlflow_call *c, const char *key, const char **ret,
                       struct err *err) MUST_CHECK;
/* Numbers and numeric strings; absent: *ret stays. at: the parameter's name in the message. */
enum err_code mlf_int(const struct json *obj, const char *key, const char *at, int64_t *ret,
                      struct err *err) MUST_CHECK;
enum err_code mlf_invalid(const struct json *v, const char *at, struct err *err);
/* The list behind a key: a lone value is a list of one; absent: empty. */
const struct json *mlf_list(struct mlflow_call *c, const char *key);
enum err_code mlf_tags(struct mlflow_call *c, const struct json *list, struct tag **ret,
                       size_t *ret_n, struct err *err) MUST_CHECK;
/* max_results, page_token, filter, order_by, view type. */
enum err_code mlf_query(struct mlflow_call *c, int64_t default_limit, int64_t limit_max,
                        struct search_query *ret, struct err *err) MUST_CHECK;
/* An experiment's id from text. */
enum err_code mlf_experiment_id(const char *text, int64_t *ret, struct err *err) MUST_CHECK;
/* At most n characters of a text, in the arena. */
const char *mlf_truncate(struct arena *a, const char *text, size_t n);

/* ---- pieces of answers ---- */
struct json *mlf_ms(struct arena *a, int64_t at_us); /* NULL for AT_US_NONE */
struct json *mlf_tags_json(struct arena *a, const struct tag *tags, size_t n); /* NULL when empty */
struct json *mlf_metric_json(struct arena *a, const struct metric_point *m);
struct json *mlf_run_json(struct mlflow_call *c, const struct run *r);
struct json *mlf_run_info_json(struct arena *a, const struct run_info *r);
struct json *mlf_version_json(struct arena *a, const struct model_version *v);
/* Sets "next_page_token" when there is one. */
struct json *mlf_page(struct arena *a, struct json *obj, const char *token);

/* ---- mlflow_artifacts.c ---- */
void mlflow_artifact_list(struct http_request *r, void *arg);
void mlflow_artifact_get(struct http_request *r, void *arg);
void mlflow_artifact_put(struct http_request *r, void *arg);
void mlflow_artifact_delete(struct http_request *r, void *arg);
void mlflow_artifact_multipart(struct http_request *r, void *arg);
void mlflow_run_artifact_get(struct http_request *r, void *arg);
enum err_code mlflow_run_artifacts(struct mlflow_call *c, struct json **ret, struct err *err);
/* The folder below home/artifacts that an "mlflow-artifacts:/…" address means; NULL: none of ours.
 * */
char *mlflow_local_path(struct services *sv, struct arena *a, const char *uri);

/* Answers an error in MLflow's form and status. */
void mlflow_answer_err(struct http_request *r, const struct err *err);

#endif
