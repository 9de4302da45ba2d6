/* A user's training command: environment, attempts, log. What it left is looked at by "train.package". */
#include "train/train_command.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/vec.h"

/* Of this process's environment only these pass to a command, beside what the project names. */
static const char *const PASSED[] = {"PATH", "HOME", "LANG",        "LC_ALL",         "TMPDIR",
                                     "TZ",   "USER", "VIRTUAL_ENV", "LD_LIBRARY_PATH"};

static bool env_put(struct arena *a, const char **env, size_t *n, const char *name)
{
    const char *v = getenv(name);
    if (v == NULL)
        return true;
    env[*n] = str_printf(a, "%s=%s", name, v);
    return env[(*n)++] != NULL;
}

const char **command_environment(struct arena *a, const char *const *pass, size_t n_pass,
                                 const char *const *extra, size_t n_extra)
{
    const char **env = ARENA_NEW_N(a, const char *, ARRAY_LEN(PASSED) + n_pass + n_extra + 1);
    size_t n = 0;
    bool is_ok = env != NULL;
    for (size_t i = 0; is_ok && i < ARRAY_LEN(PASSED); i++)
        is_ok = env_put(a, env, &n, PASSED[i]);
    for (size_t i = 0; is_ok && i < n_pass; i++)
        is_ok = env_put(a, env, &n, pass[i]);
    for (size_t i = 0; is_ok && i < n_extra; i++)
        env[n++] = extra[i];
    return is_ok ? env : NULL;
}

const char *command_log_tail(const char *log_path, size_t bytes, struct arena *a)
{
    char *text = arena_alloc(a, bytes + 1);
    int fd = open(log_path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    if (text != NULL && fd >= 0) {
        off_t size = lseek(fd, 0, SEEK_END);
        off_t from = size > (off_t)bytes ? size - (off_t)bytes : 0;
        n = pread(fd, text, bytes, from);
    }
    fd_close(&fd);
    if (text == NULL || n <= 0)
        return "";
    struct str s = str_trim(str_n(text, (size_t)n));
    /* A cut may have hit the middle of a character. */
    while (s.n > 0 && ((unsigned char)s.p[0] & 0xC0) == 0x80)
        s = str_n(s.p + 1, s.n - 1);
    if (!str_utf8_valid(s))
        return "(the log is not UTF-8 text)";
    char *copy = str_dup(a, s);
    return copy != NULL ? copy : "";
}

static enum err_code contract(const struct train_command *c, struct arena *a, const char ***ret,
                              struct err *err)
{
    struct buf params;
    buf_init(&params, 1 << 20);
    VEC(const char *) env = {0};
    const char **all = NULL;
    enum err_code code = json_write(c->spec->params, JSON_CANONICAL, &params, err);
    if (code != ERR_OK)
        goto done;
    const struct {
        const char *name, *value;
    } vars[] = {
        {"PAWL_TRAIN", c->train_path},
        {"PAWL_VALIDATION", c->validation_path},
        {"PAWL_PARAMS", str_printf(a, "%.*s", STR_ARG(buf_view(&params)))},
        {"PAWL_SEED", str_printf(a, "%lld", (long long)c->spec->seed)},
        {"PYTHONHASHSEED", str_printf(a, "%lld", (long long)c->spec->seed)},
        {"PAWL_OUT", c->out_dir},
        {"MLFLOW_TRACKING_URI", c->tracking_uri},
        {"MLFLOW_TRACKING_TOKEN", c->tracking_token},
        {"MLFLOW_RUN_ID", c->run_id},
    };
    for (size_t i = 0; i < ARRAY_LEN(vars); i++) {
        if (vars[i].value == NULL)
            continue;
        const char **slot = VEC_ADD(a, &env);
        if (slot != NULL)
            *slot = str_printf(a, "%s=%s", vars[i].name, vars[i].value);
    }
    all = command_environment(a, c->spec->env, c->spec->n_env, env.p, env.n);
    if (all == NULL)
        code = arena_err(a, err);
    else
        *ret = all;
done:
    buf_fini(&params);
    return code;
}

/* The rule for what a command may leave: at least one file, for otherwise the model must be in the run. */
static enum err_code attempt(const struct train_command *c, const char *const *env, struct arena *a,
                             struct command_result *ret, struct err *err)
{
    struct command cmd = {.shell = c->spec->shell,
                          .argv = c->spec->argv,
                          .cwd = c->cwd,
                          .env = env,
                          .log_path = c->log_path,
                          .timeout_ms = c->spec->timeout_ms,
                          .is_cancelled = c->is_cancelled};
    enum err_code code = dir_remove(c->out_dir, err);
    if (code == ERR_OK)
        code = dir_make(c->out_dir, 0700, err);
    if (code == ERR_OK)
        code = command_run(&cmd, ret, err);
    if (code == ERR_OK && ret->exit_status != 0)
        code = err_set(err, ERR_CHILD, "the command ended with status %d; its log ends: %s",
                       ret->exit_status, command_log_tail(c->log_path, 600, a));
    return code;
}

enum err_code train_command_run(const struct train_command *c, struct arena *a,
                                struct command_result *ret, struct err *err)
{
    const char **env = NULL;
    CHECK(c->spec->engine == TRAIN_RUN);
    enum err_code code = contract(c, a, &env, err);
    if (code != ERR_OK)
        return code;
    for (int64_t i = 0; i <= c->spec->retries; i++) {
        code = attempt(c, env, a, ret, err);
        if (code != ERR_CHILD && code != ERR_TIMEOUT)
            break;
    }
    return code;
}
