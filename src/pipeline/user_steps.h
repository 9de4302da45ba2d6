/* The `steps:` section: further steps of any command, wired by what they read and write.
 *
 *     steps:
 *       report: { run: python report.py, reads: [evaluate, style.css], writes: report.html }
 *       card:   { run: [make, card], reads: [report], env: [LC_TIME], timeout: 10m, retries: 2, params: { size: a4 } }
 *
 * reads: names of steps (built-in ones too), paths that another step writes, or files and globs of the project.
 * writes: files or directories of the project's folder; they are kept in the store and put back when the step is unchanged.
 * A command sees PAWL_PARAMS, PAWL_STEP, and of built-in steps it reads PAWL_<STEP> (docs/guide/steps.md).
 * A folder without pawl.yaml but with dvc.yaml is read as well: its stages become such steps. Threads: read-only data. */
#ifndef PAWL_PIPELINE_USER_STEPS_H
#define PAWL_PIPELINE_USER_STEPS_H

#include "base/arena.h"
#include "config/config.h"
#include "json/json.h"

struct user_step {
    const char *name;
    const char *shell;       /* `sh -c` text, or NULL when argv is given */
    const char *const *argv; /* NULL-terminated */
    const char *dir;         /* below the project's folder; NULL: the folder itself */
    const char **reads, **writes, **env;
    size_t n_reads, n_writes, n_env;
    struct json *params; /* object or NULL */
    int64_t timeout_ms, retries;
    bool is_always; /* never taken from the cache */
    const struct cfg_node *node;
};

struct user_steps {
    struct user_step *p;
    size_t n;
};

#define USER_STEP_TIMEOUT_MS_DEFAULT (INT64_C(24) * 3600 * 1000)

void user_steps_decode(const struct cfg_node *section, struct arena *a, struct user_steps *ret,
                       struct cfg_problems *ps);
/* The stages of a dvc.yaml: cmd, deps, outs, metrics, plots, params, wdir, always_changed, desc. What is not
 * understood (foreach, matrix, vars) is a problem, never ignored. */
void dvc_stages_decode(const struct cfg_node *root, struct arena *a, struct user_steps *ret,
                       struct cfg_problems *ps);
/* What the step key is made of, beside what it reads. */
struct json *user_step_json(const struct user_step *s, struct arena *a);

#endif
