/* A pipeline run: the sections of pawl.yaml as a graph of steps
 *
 *     ingest.SOURCE… -> validate -> view.NAME… -> dataset -> train -> evaluate -> register   + the
 * user's `steps:`
 *
 * of which only what changed is computed. A step's key is the digest of its definition, its inputs'
 * content, its parameters, environment and seed and the versions of what computes it; its outputs
 * live in the blob store and are found by the key, across runs and projects. An unchanged run
 * computes nothing and says so.
 *
 * A run is a run of track/ (experiment = project) with a child run per executed step; data versions
 * are its inputs. Nothing here decides what serves: the result names what release/ turns into a
 * release.
 *
 * Threads: pipeline_run from any; one run per project at a time (ERR_BUSY says which runs). Steps
 * run on up to `jobs` threads of the call. Cancel: within a second, finished steps stay in the
 * cache, so that the next run resumes. */
#ifndef PAWL_PIPELINE_RUN_H
#define PAWL_PIPELINE_RUN_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "json/json.h"

struct blob_store;
struct db;
struct registry;
struct source_spec;
struct track;
struct worker_pool;

/* What app/ wires, borrowed. */
struct pipeline_host {
    const char *home; /* path of the home */
    struct db *db;
    struct blob_store *blobs;
    struct worker_pool *pool;
    struct track *track;
    struct registry *registry;
    const struct clock *clock; /* wall time */
    const char *instance; /* id of this process's instance: marks what an interrupted run left */
    const char *tracking_uri;   /* MLflow address for `run:` commands; NULL: none is set */
    const char *tracking_token; /* its token; NULL: none needed */
    /* Rows of a `sql` source (data/version.h, struct data_env); NULL: such sources are refused. */
    enum err_code (*fetch_sql)(void *arg, const struct source_spec *s, const char *out_dir,
                               struct err *err);
    void *fetch_arg;
};

/* A model that the candidate is compared with on the same benchmark. The caller (release/) knows
 * them. */
struct pipeline_peer {
    const char *role; /* "incumbent" or "best" */
    const char *tree; /* hex digest of its model directory in the store */
    const char
        *revision; /* hex digest of the project revision it was built from; NULL: the candidate's */
    const char *label; /* for reports: "r12", "flights/3" */
    double threshold;  /* of its release; NaN: chosen by the spec */
};
#define PIPELINE_PEERS_MAX 4

enum pipeline_cache { PIPELINE_CACHE_USE, PIPELINE_CACHE_BYPASS, PIPELINE_CACHE_N };

/* What is asked. Zeroed fields mean: everything, now, two jobs, the cache is used. */
struct pipeline_order {
    const char *root;         /* project folder; NULL when `revision` is given */
    const char *revision;     /* hex digest of a stored revision: that is run, never the folder */
    const char *const *steps; /* these steps and what they need; n_steps == 0: all */
    size_t n_steps;
    int64_t as_of_us;          /* only what was known then; AT_US_NONE or 0: everything there is */
    int64_t event_now_us;      /* judges freshness when as_of_us is not set; 0: the wall clock */
    int jobs;                  /* 1..PIPELINE_JOBS_MAX; 0: PIPELINE_JOBS_DEFAULT */
    enum pipeline_cache cache; /* BYPASS: computes everything anew, and stores nothing for others */
    const char
        *pins; /* JSON text {source: data version digest}: those versions, not the files; or NULL */
    int64_t
        benchmark_until_us; /* the benchmark's anchor as of an earlier run; 0, AT_US_NONE: the project's */
    int64_t seed;           /* < 0 or absent is_seed: the spec's own */
    bool is_seed;
    const char *parent_run;     /* run that this one belongs to, as of a reproduction; or NULL */
    const char *actor, *reason; /* for the record: "local:alice", "trigger: drift of origin" */
    const struct pipeline_peer *peers;
    size_t n_peers;
    const atomic_bool *is_cancelled; /* may be NULL */
    void (*on_progress)(void *arg, double done,
                        const char *text); /* may be NULL; from any thread of the run */
    void *progress_arg;
};
#define PIPELINE_JOBS_MAX     64
#define PIPELINE_JOBS_DEFAULT 2

enum pipeline_outcome {
    PIPELINE_UNCHANGED, /* nothing had to be computed */
    PIPELINE_DONE,
    PIPELINE_BLOCKED, /* a blocking check failed: ERR_NO beside it */
    PIPELINE_FAILED,
    PIPELINE_OUTCOME_N
};
const char *
pipeline_outcome_name(enum pipeline_outcome o); /* "unchanged" "done" "blocked" "failed" */

/* Everything a release needs. Texts live in the arena; NULL where the graph has no such step. */
struct pipeline_result {
    enum pipeline_outcome outcome;
    const char *run_id; /* of this run; of the run that computed it when unchanged */
    const char *project, *revision;
    const char *model_name;
    int64_t model_version;         /* registry version; 0: none */
    const char *tree;              /* hex digest of the model directory */
    const char *model_digest;      /* decision 6 */
    const struct json *views;      /* {view name: version} that the plan looks up */
    const struct json *plan;       /* the feature plan */
    const struct json *signature;  /* {inputs, outputs} of a request (model/signature.h) */
    double threshold;              /* NaN: none */
    const char *report;            /* hex digest of the evaluation report */
    const struct json *evaluation; /* the report itself */
    const struct json *checks;     /* result of validate: {passed, rules: […]} */
    const struct json *data;       /* {source: data version digest} */
    const char *dataset;           /* hex digest of the training set's rows */
    size_t n_steps, n_ran, n_cached;
    const struct json *doc; /* the whole as answered by `pawl run --json` */
};

/* Runs. ERR_NO with *ret filled when a blocking check failed (sentence: rule, share, first rows);
 * ERR_CONFIG with every problem of pawl.yaml; ERR_BUSY, ERR_CANCELLED; else the failing step's
 * error, wrapped "step train: …". *ret is filled with what is known on ERR_NO and on a failed step,
 * so that the caller can show it. */
enum err_code pipeline_run(const struct pipeline_host *host, const struct pipeline_order *order,
                           struct arena *a, struct pipeline_result *ret,
                           struct err *err) MUST_CHECK;

/* The graph as {steps: [{name, kind, needs: […], state, last: {run, at, ms}}]} without running. */
enum err_code pipeline_steps(const struct pipeline_host *host, const char *root, struct arena *a,
                             struct json **ret, struct err *err) MUST_CHECK;

/* The result of an earlier run (or of the run that a step's run belongs to) from its record: what a release is made of later. ERR_NOT_FOUND, or
 * ERR_REFUSED when the run did not come to a model. */
enum err_code pipeline_result_load(const struct pipeline_host *host, const char *run_id,
                                   struct arena *a, struct pipeline_result *ret,
                                   struct err *err) MUST_CHECK;

/* For the owner of the home at its start: removes what dead runs left in tmp/; *ret_n: how many runs were
 * cut short (the next run of the same project resumes its own and ends the others). */
enum err_code pipeline_recover(const struct pipeline_host *host, int64_t *ret_n,
                               struct err *err) MUST_CHECK;

#endif
