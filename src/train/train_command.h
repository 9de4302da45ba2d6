/* The contract of `run:`: a user's training command in any language
 * (docs/guide/train-in-python.md).
 *
 * The command starts in the project's folder with exactly these variables, PATH, HOME, LANG, TMPDIR
 * and those named by `env:`; output is the step's log; exit status other than 0 fails the step:
 *   PAWL_TRAIN, PAWL_VALIDATION   Parquet files (label in __label, row time in __time); the test
 * split is never given PAWL_PARAMS                   JSON object: train.params PAWL_SEED train.seed
 *   PAWL_OUT                      an empty directory: leave a model file or an MLflow model
 * directory here, or log a model to the run MLFLOW_TRACKING_URI, MLFLOW_RUN_ID (and
 * MLFLOW_TRACKING_TOKEN)   when a tracking server is there */
#ifndef PAWL_TRAIN_TRAIN_COMMAND_H
#define PAWL_TRAIN_TRAIN_COMMAND_H

#include "job/worker.h"
#include "train/train.h"

struct train_command {
    const struct train_spec *spec;
    const char *cwd; /* project folder */
    const char *train_path, *validation_path, *out_dir, *log_path;
    const char *tracking_uri, *tracking_token, *run_id; /* may be NULL */
    const atomic_bool *is_cancelled;
};

/* Runs it, with retries into an emptied out_dir. ERR_CHILD with the log's last lines when it fails
 * or leaves nothing. */
enum err_code train_command_run(const struct train_command *c, struct arena *a,
                                struct command_result *ret, struct err *err) MUST_CHECK;

/* The environment of any user command: PATH, HOME, LANG, LC_ALL, TMPDIR, TZ of this process and the
 * variables named in pass[], then extra[] ("NAME=value"). NULL-terminated, in the arena; NULL when
 * the arena is full. */
const char **command_environment(struct arena *a, const char *const *pass, size_t n_pass,
                                 const char *const *extra, size_t n_extra);
/* The last lines of a log, at most `bytes` of them, valid UTF-8, for an error's sentence; "" when
 * there is none. */
const char *command_log_tail(const char *log_path, size_t bytes, struct arena *a);

#endif
