/* The `train:` section, and the two ways to make a model: the built-in trainer (XGBoost, in a
 * worker) and a user's own command (`run:`).
 *
 * Both leave a model directory: MLmodel and the model file, as MLflow's own library loads it, and
 * pawl/plan.json, the plan that turns a request into the model's row. What is here decides nothing
 * about caching, runs or the registry: pipeline/ does. Threads: a spec is read-only after decoding.
 *
 *     train:
 *       engine: xgboost                     # or  run: python train.py
 *       params: { max_depth: 6, eta: 0.1, rounds: 200, early_stopping: 20 }
 *       seed: 7
 *       sample: 50%                         # of the training split, by hash of row and seed */
#ifndef PAWL_TRAIN_TRAIN_H
#define PAWL_TRAIN_TRAIN_H

#include <stdint.h>

#include "base/arena.h"
#include "config/config.h"
#include "json/json.h"

enum train_engine { TRAIN_NONE, TRAIN_XGBOOST, TRAIN_RUN, TRAIN_ENGINE_N };
enum train_task { TRAIN_BINARY, TRAIN_MULTICLASS, TRAIN_REGRESSION, TRAIN_TASK_N };

#define TRAIN_ROUNDS_MAX         100000
#define TRAIN_THREADS_MAX        256
#define TRAIN_TIMEOUT_MS_DEFAULT (INT64_C(24) * 3600 * 1000)

struct train_spec {
    enum train_engine engine; /* TRAIN_NONE: no train section */
    enum train_task task;     /* from the root's `task:` */
    struct json
        *params;    /* object of the engine's own parameters, without those below; never NULL */
    int64_t rounds; /* boosting rounds at most; 1.. */
    int64_t early_stopping;  /* rounds without a better validation metric; 0: never */
    int64_t seed;            /* 0..2^31-1 */
    int threads;             /* fixed, so that a run is repeatable; recorded */
    double sample;           /* (0,1]: share of the training rows used */
    const char *shell;       /* run: as one text -> sh -c; else NULL */
    const char *const *argv; /* run: as a list; NULL-terminated, else NULL */
    const char *const
        *env; /* names of variables let through to the command, beside the standard ones */
    size_t n_env;
    int64_t timeout_ms;
    int64_t retries;             /* further attempts of a failed command; 0..10 */
    const struct cfg_node *node; /* position of the section, for later problems */
};

/* Decodes `section` (NULL: absent -> engine TRAIN_NONE). Problems go to ps; true when none was an
 * error. */
bool train_spec_decode(const struct cfg_node *section, const struct cfg_node *root, struct arena *a,
                       struct train_spec *ret, struct cfg_problems *ps);
/* What the step key of training is made of: engine, parameters, rounds, seed, sample, threads or
 * command. */
struct json *train_spec_json(const struct train_spec *spec, struct arena *a);
/* The parameters a run records: name -> text, params flattened with rounds, seed, sample, threads.
 */
struct json *train_spec_params(const struct train_spec *spec, struct arena *a);
const char *train_task_name(enum train_task t); /* "binary" "multiclass" "regression" */

#endif
