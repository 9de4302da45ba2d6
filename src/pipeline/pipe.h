/* One run while it runs: what its steps share. Private to pipeline/.
 *
 * Threads: the fields above `lock` are set before the graph runs and read-only then; those below are under it. A step
 * allocates in its own arena only. */
#ifndef PAWL_PIPELINE_PIPE_H
#define PAWL_PIPELINE_PIPE_H

#include "base/thread.h"
#include "blob/tree.h"
#include "data/version.h"
#include "job/worker.h"
#include "pipeline/fresh.h"
#include "pipeline/graph.h"
#include "pipeline/pipeline_spec.h"
#include "pipeline/run.h"
#include "registry/registry.h"
#include "track/track.h"

#define PIPE_STEP_TIMEOUT_MS (INT64_C(24) * 3600 * 1000)
#define PIPE_BLOB_MAX        ((size_t)256 << 20) /* documents read whole: reports, manifests */

/* A source in this run, filled by its ingest step. */
struct pipe_source {
    const struct source_spec *spec;
    struct data_version version; /* in the ingest step's arena */
    bool is_ready;
};

struct pipe {
    const struct pipeline_host *host;
    const struct pipeline_order *order;
    const struct pipeline_spec *spec;
    struct arena *a; /* of the run; the main thread's */
    struct graph graph;
    struct data_env env;
    const char *tmp;      /* directory of this run */
    const char *logs;     /* directory of step logs: home/jobs/<run> */
    int64_t as_of_us;     /* AT_US_NONE: everything there is */
    int64_t at_us;        /* freshness is judged at this time */
    const char *revision; /* hex */
    struct json *pins;    /* {source: digest} or NULL */
    struct step *views, *dataset, *train, *profile, *evaluate,
        *register_;     /* NULL where the graph has none */
    struct json *asked; /* the order as recorded */
    size_t n_asked;
    const char **revision_paths; /* files of the folder that the revision holds, relative */
    size_t n_revision_paths;
    int claim; /* of the project, so that it is run once at a time; -1: none */

    struct mutex lock;
    struct pipe_source
        *sources; /* as spec->sources; an entry belongs to its ingest step until that is done */
    struct json *versions; /* {duckdb, xgboost}: what computes; asked once */
    struct arena shared;   /* of what is under the lock */
    struct map *stamps;    /* path -> struct stamp (stamp.c) */
    bool are_stamps_loaded;
    char run_id[RUN_ID_BYTES]; /* of track/; "" until a step has to be computed */
    int64_t experiment;
    size_t n_finished;
    bool is_resumed;
};

/* ---- building the graph (compile.c) ---- */
enum err_code pipe_compile(struct pipe *p, struct err *err) MUST_CHECK;

/* ---- kinds of steps ---- */
extern const struct step_ops STEP_INGEST, STEP_VALIDATE, STEP_FUTURE; /* step_data.c */
extern const struct step_ops STEP_VIEWS, STEP_VIEW, STEP_DATASET,
    STEP_LEAKAGE;                                         /* step_features.c */
extern const struct step_ops STEP_TRAIN;                  /* step_train.c */
extern const struct step_ops STEP_PROFILE, STEP_EVALUATE; /* step_evaluate.c */
extern const struct step_ops STEP_REGISTER;               /* step_register.c */
extern const struct step_ops STEP_USER;                   /* step_user.c */

/* ---- what steps share (pipe.c) ---- */
struct pipe_source *pipe_source(struct pipe *p, struct str name); /* NULL when it is not declared */
/* Is this the rows' source, which does not say when its label is known? Then all of it is known at label_after. */
bool pipe_label_is_late(const struct pipe *p, const struct source_spec *s);
/* Bindings of all ready sources, `first` before the others (empty: none). */
enum err_code pipe_bindings(struct pipe *p, struct str first, struct arena *a, struct json **ret,
                            struct err *err) MUST_CHECK;
/* The same, limited to the rows known at the run's as-of time. */
enum err_code pipe_bindings_known(struct pipe *p, struct str first, struct arena *a,
                                  struct json **ret, struct err *err) MUST_CHECK;
/* Does the as-of time leave out anything of these sources? Then it belongs to the key. extra_us: how much later than its
 * row something is known (a label). */
bool pipe_as_of_matters(struct pipe *p, int64_t extra_us);
/* {duckdb: "v1.4.4", xgboost: "1.7.4"}: asked of a child once. */
enum err_code pipe_versions(struct pipe *p, bool with_xgboost, const struct json **ret,
                            struct err *err) MUST_CHECK;
/* Calls a worker, with the run's cancel flag and progress under the step's name. */
struct pipe_call {
    const char *op;
    const struct json *args;
    enum err_code (*on_record)(void *arg, const char *kind, const struct json *v,
                               struct err *err); /* may be NULL */
    void *arg;
};
enum err_code pipe_call(struct pipe *p, struct step *s, const struct pipe_call *c,
                        struct json **ret, struct err *err) MUST_CHECK;
/* A path of the run's folder for a step: "<tmp>/<step><suffix>"; NULL when the arena is full. */
const char *pipe_tmp(struct pipe *p, struct step *s, const char *suffix);
/* Puts a file into the store, removes it, and gives its name. */
enum err_code pipe_keep(struct pipe *p, struct step *s, const char *path, const char **ret_hex,
                        struct err *err) MUST_CHECK;
/* Where a blob lies. */
enum err_code pipe_blob_path(struct pipe *p, const char *hex, struct arena *a, const char **ret,
                             struct err *err) MUST_CHECK;
/* A document from the store. */
enum err_code pipe_blob_json(struct pipe *p, const char *hex, struct arena *a, struct json **ret,
                             struct err *err) MUST_CHECK;
/* restore() of steps whose outputs are blobs: is each member "blob", "tree" and "report" of the output still there? */
bool pipe_has_blobs(void *ctx, struct step *s, const struct json *out);
/* {"need name": digest} of the needs that are not for order only. */
struct json *pipe_inputs(struct step *s);
/* Text of a hex digest member of an earlier step's output; NULL when it has none. */
const char *step_out(const struct step *s, const char *key);
/* Parts with the members every kind has; NULL members are left out. */
struct pipe_parts {
    struct json *definition, *inputs, *parameters, *environment, *versions;
    int64_t seed;
    bool has_seed;
};
struct json *pipe_parts_json(const struct pipe_parts *parts, struct arena *a);

/* Builders that the evaluate step needs for models of other revisions too (step_features.c). */
struct dataset_order;
struct json *pipe_known_json(struct pipe *p, struct arena *a);
const struct json *pipe_view(const struct json *described, const char *name);
enum err_code pipe_view_parts(struct pipe *p, const struct json *described, struct str name,
                              struct arena *a, struct json **ret, struct err *err) MUST_CHECK;
enum err_code pipe_view_build(struct pipe *p, struct step *s, const struct features_spec *views,
                              struct str name, struct json **ret, struct err *err) MUST_CHECK;
/* Fills bindings, as-of time and path of *o. */
enum err_code pipe_dataset_build(struct pipe *p, struct step *s, struct dataset_order *o,
                                 struct json **ret, struct err *err) MUST_CHECK;

/* The dataset's plan without categories (plan_of_spec.c), from the columns the dataset step reports. */
enum err_code pipe_plan(struct pipe *p, struct arena *a, struct json **ret,
                        struct err *err) MUST_CHECK;
/* Does a step write this path (relative to the project)? Then it is no part of the revision. */
bool pipe_is_output(const struct pipeline_spec *spec, const char *path);
/* Digest over what a check said, without when it was asked and how old things were then. */
enum err_code pipe_verdict_digest(const struct json *report, const char *list, struct digest *ret,
                                  struct err *err) MUST_CHECK;
/* Digest of the files that commands run: everything of the revision but YAML; with the lock file. */
enum err_code pipe_code_digest(struct pipe *p, struct arena *a, const char **ret_hex,
                               struct err *err) MUST_CHECK;

/* Stores a directory and sets `tree` of the output (step_train.c). */
enum err_code pipe_keep_tree(struct pipe *p, struct step *s, const char *dir, struct json *out,
                             struct err *err) MUST_CHECK;
/* A model directory of the store at `dir`, anew. */
enum err_code pipe_checkout_tree(struct pipe *p, const char *hex, const char *dir,
                                 struct err *err) MUST_CHECK;
/* Models on the run's data set (step_evaluate.c): the report. */
struct pipeline_models;
enum err_code pipe_evaluate_models(struct pipe *p, struct step *s,
                                   const struct pipeline_models *models, struct json **ret,
                                   struct err *err) MUST_CHECK;

/* ---- the step cache (record.c) ---- */
struct cache_row {
    const char *key, *kind, *step;
    const struct json *out, *parts;
};
/* *ret NULL when there is none, or when the run goes past the cache. */
enum err_code cache_get(struct pipe *p, const char *key, struct arena *a, struct json **ret,
                        struct err *err) MUST_CHECK;
enum err_code cache_put(struct pipe *p, const struct cache_row *row, struct err *err) MUST_CHECK;

/* ---- records (record.c) ---- */
enum err_code record_find(void *ctx, struct step *s, struct err *err) MUST_CHECK;
enum err_code record_begin(void *ctx, struct step *s, struct err *err) MUST_CHECK;
enum err_code record_finish(void *ctx, struct step *s, struct err *err) MUST_CHECK;
/* Opens the run's record when it is not yet: resumes what a dead instance left. */
enum err_code record_open(struct pipe *p, struct err *err) MUST_CHECK;
enum err_code record_close(struct pipe *p, const struct pipeline_result *res, const struct err *why,
                           struct err *err) MUST_CHECK;
/* Is there a run of this project that a dead process left? */
enum err_code record_leftover(struct pipe *p, bool *ret, struct err *err) MUST_CHECK;
/* The newest finished run whose every step has these keys: its id, or NULL. */
enum err_code record_same_run(struct pipe *p, const char *keys, struct arena *a, const char **ret,
                              struct err *err) MUST_CHECK;
/* Digest over the keys of all asked steps. */
enum err_code record_keys(const struct pipe *p, char ret[DIGEST_HEX_BYTES],
                          struct err *err) MUST_CHECK;

/* ---- files by stat (stamp.c) ---- */
/* SHA-256 of a file, or of a directory's files with their names; by the stat cache when nothing moved. absent: "". */
enum err_code stamp_digest(struct pipe *p, const char *path, char ret[DIGEST_HEX_BYTES],
                           struct err *err) MUST_CHECK;
enum err_code stamps_save(struct pipe *p, struct err *err) MUST_CHECK;

/* ---- results (result.c) ---- */
enum err_code result_fill(struct pipe *p, enum err_code code, struct pipeline_result *ret,
                          struct err *err) MUST_CHECK;
/* The result from its stored document. */
enum err_code result_read(const struct pipeline_host *host, const struct json *doc, struct arena *a,
                          struct pipeline_result *ret, struct err *err) MUST_CHECK;

#endif
