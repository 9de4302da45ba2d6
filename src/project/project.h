/* The project: pawl.yaml as a whole, its people, and its revisions.
 *
 * This module reads pawl.yaml (with what it includes), decodes the sections that belong to nobody
 * else (pawl, project, task, owners, code, environment, runbooks) and refuses unknown sections; the
 * others decode their own from the same tree. Owners and runbooks of boxes are looked up here, with
 * fallbacks, so that every alert can name both. Not for: running anything. Revisions are in
 * project/revision.h. */
#ifndef PAWL_PROJECT_PROJECT_H
#define PAWL_PROJECT_PROJECT_H

#include "config/config.h"

enum project_task {
    PROJECT_TASK_NONE,
    PROJECT_BINARY,
    PROJECT_MULTICLASS,
    PROJECT_REGRESSION,
    PROJECT_TASK_N
};
const char *project_task_name(enum project_task t); /* "binary" …; "none" */

/* A key of `owners:` and who it names. */
struct project_person {
    const char *role; /* "business", "ml", "data", "on_call.first", or a box: "serve" */
    const char *who;
};

struct project_spec {
    int format; /* pawl: 1 */
    const char *name;
    enum project_task task;
    struct project_person *people;
    size_t n_people;
    const char *code_url, *code_ref; /* NULL: none */
    const char **code_files;         /* globs of code to keep in a revision besides what is found */
    size_t n_code_files;
    const char *python, *lock, *container; /* environment; NULL: none */
    const char **includes;                 /* as written */
    size_t n_includes;
    const char *runbook; /* of the whole project; NULL: none */
    bool has_model;      /* it trains or serves: dataset, train or endpoint is there */
};

/* Decodes from the root of the file. Problems say what is wrong; *ret is usable as far as it goes.
 * */
void project_spec_decode(const struct cfg_node *root, struct arena *a, struct project_spec *ret,
                         struct cfg_problems *ps);

/* pawl.yaml of a folder, read and merged with its includes (sources, features, checks and owners of
 * the included files come first; a name that both declare is a problem). `files` lists what was
 * read, relative to dir, pawl.yaml first. */
struct project_file {
    const struct cfg_node *root; /* NULL after a syntax error */
    const char *dir;
    const char **files;
    size_t n_files;
};
#define PROJECT_FILE_NAME "pawl.yaml"
/* ERR_NOT_FOUND when the folder has no pawl.yaml. */
enum err_code project_read(const char *dir, struct arena *a, struct project_file *ret,
                           struct cfg_problems *ps, struct err *err) MUST_CHECK;
/* The nearest folder at or above `from` that holds pawl.yaml. ERR_NOT_FOUND. */
enum err_code project_find(const char *from, struct arena *a, char **ret_dir,
                           struct err *err) MUST_CHECK;

/* A box of the loop or a named thing in it: "ingest", "validate", "features", "train", "evaluate",
 * "registry", "deploy", "serve", "monitor", "feedback", "retrain"; "source:NAME", "view:NAME",
 * "model:NAME", "endpoint:NAME", "step:NAME". */
enum owner_side { OWNER_ML, OWNER_BUSINESS, OWNER_ON_CALL, OWNER_SIDE_N };
/* Its owner: its own `owner:` key, then owners.<box>, then owners.data for ingest, validate and
 * sources, then the side's general owner (ml -> owners.ml, owners.business; on-call ->
 * owners.on_call.first, owners.ml). NULL: unowned. */
const char *project_owner(const struct project_spec *p, const struct cfg_node *root,
                          const char *box, enum owner_side side);
/* Its runbook: its own `runbook:`, its box's, the project's; a path relative to the project or an
 * URL. NULL: none. */
const char *project_runbook(const struct project_spec *p, const struct cfg_node *root,
                            const char *box);
/* The boxes and named things of this project, for readiness and status; static and arena texts. */
enum err_code project_boxes(const struct cfg_node *root, struct arena *a, const char ***ret,
                            size_t *ret_n, struct err *err) MUST_CHECK;

struct json *project_json(const struct project_spec *p, struct arena *a);

#endif
