/* The environment record of a run: what a second person needs to run it again, or to see why it
 * differs.
 *
 *   {"code":{"commit","branch","is_dirty","diff_sha256","n_changed_files","changed":[…]},
 * "programs":[{"name","version"}],
 *    "host":{"cpu","cpu_flags_sha256","cpu_features":[…],"cores","ram_bytes","os","kernel","libc"},
 *    "pawl":{"version"}, "command":[…], "seed", "libraries":{…}}
 *
 * git is run by argv, never through a shell, with a deadline; a folder that is no git tree has no
 * "code". The diff of the working tree (untracked text files included) is given apart, with what
 * looks like a secret blanked out. Threads: any. Cost: a few milliseconds and the time of git. */
#ifndef PAWL_TRACK_ENVIRONMENT_H
#define PAWL_TRACK_ENVIRONMENT_H

#include "json/json.h"

#define ENVIRONMENT_DIFF_MAX (4 << 20) /* a larger diff is cut, and says so */

struct environment_program {
    const char *name; /* "python" */
    const char *const
        *argv; /* prints its version on stdout or stderr: {"python3", "--version", NULL} */
};

struct environment_ask {
    const char *project_dir;
    const char *const *command; /* argv of this run; NULL-terminated; may be NULL */
    const struct environment_program *programs;
    size_t n_programs;
    const struct json
        *libraries; /* name -> version, of what was loaded ("xgboost": "1.7.4"); may be NULL */
    bool has_seed;
    int64_t seed;
};

/* ret_diff: text in the arena, empty when clean. Things that cannot be found out are left out,
 * never guessed. */
enum err_code environment_record(const struct environment_ask *ask, struct arena *a,
                                 struct json **ret, struct str *ret_diff,
                                 struct err *err) MUST_CHECK;

/* Logs record and diff to a run: artifacts pawl/environment.json and pawl/diff.patch, tags
 * mlflow.source.git.commit, pawl.git.dirty, and the rest searchable as pawl.env.* tags. */
struct track;
enum err_code environment_log(struct track *t, const char *run_id, const struct json *record,
                              struct str diff, struct err *err) MUST_CHECK;

#endif
