/* Models side by side on the fixed benchmark of a run: what gates judge when no run made the candidate (a moved
 * threshold, other serving, an earlier model), and what the evaluate step does for a candidate and its peers.
 *
 * Models that read other views than the run's data set gets theirs joined from their own revision's views, through
 * the same cache, so that every model sees the rows it would see in life. Threads: any. */
#ifndef PAWL_PIPELINE_EVALUATE_H
#define PAWL_PIPELINE_EVALUATE_H

#include "pipeline/run.h"

struct pipeline_model {
    const char *role;            /* "candidate", "incumbent", "best", …: names in the report */
    const char *tree;            /* hex digest of the model directory; NULL with baseline */
    const char *revision;        /* hex digest of its own project revision; NULL: the run's */
    const char *label;           /* shown as its id: "r12"; NULL: the tree */
    double threshold;            /* NaN: chosen by the spec on the validation split */
    const struct json *baseline; /* {predict: "majority"} or {column: NAME} instead of a tree */
};
#define PIPELINE_MODELS_MAX 8

struct pipeline_models {
    const struct pipeline_model *p; /* first = candidate */
    size_t n;
    const struct json
        *gates; /* gate_rules_json: which slices and comparisons; NULL: the run's own */
    const atomic_bool *is_cancelled; /* may be NULL */
};

/* ret   the report of evaluate.run (evaluate/worker.h)
 * Errors  ERR_NOT_FOUND for the run, ERR_REFUSED when it has no data set */
enum err_code pipeline_evaluate(const struct pipeline_host *host, const char *run_id,
                                const struct pipeline_models *models, struct arena *a,
                                struct json **ret, struct err *err) MUST_CHECK;

#endif
