#include "data/source_files.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/vec.h"
#include "blob/blob.h"
#include "data/sql_fetch.h"
#include "job/worker.h"

#define SOURCE_FILES_MAX 1000000

typedef VEC(char *) path_vec;

static enum err_code add_paths(const char *pattern, struct arena *a, path_vec *out, struct err *err)
{
    char **found = NULL;
    size_t n = 0;
    enum err_code code = path_glob(pattern, a, &found, &n, err);
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        char **slot = dir_exists(found[i]) ? &found[i] : VEC_ADD(a, out);
        if (!slot)
            return arena_err(a, err);
        *slot = found[i];
    }
    return code;
}

static int by_bytes(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

/* Sorted, each once, with the name that the version shows. */
static enum err_code take_paths(path_vec *paths, const char *base, struct arena *a,
                                struct source_files *f, struct err *err)
{
    size_t n_base = strlen(base);
    if (paths->n > SOURCE_FILES_MAX)
        return err_set(err, ERR_LIMIT, "%zu files; at most %d", paths->n, SOURCE_FILES_MAX);
    if (paths->n > 0)
        qsort(paths->p, paths->n, sizeof *paths->p, by_bytes);
    f->e = ARENA_NEW_N(a, struct stat_entry, paths->n);
    f->names = ARENA_NEW_N(a, char *, paths->n);
    if (!f->e || !f->names)
        return arena_err(a, err);
    for (size_t i = 0; i < paths->n; i++) {
        char *p = paths->p[i];
        if (i > 0 && strcmp(p, paths->p[i - 1]) == 0)
            continue;
        bool is_below = strncmp(p, base, n_base) == 0 && p[n_base] == '/';
        f->e[f->n].path = p;
        f->names[f->n++] = is_below ? p + n_base + 1 : p;
    }
    return ERR_OK;
}

static enum err_code find_globs(const struct data_env *env, const struct source_spec *s,
                                struct arena *a, struct source_files *f, struct err *err)
{
    path_vec paths = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < s->n_paths; i++) {
        const char *pattern = str_dup(a, s->paths[i]);
        if (pattern && pattern[0] != '/')
            pattern = path_join(a, env->project_root, pattern);
        if (!pattern)
            return arena_err(a, err);
        size_t before = paths.n;
        code = add_paths(pattern, a, &paths, err);
        if (code == ERR_OK && paths.n == before)
            code = err_set(err, ERR_NOT_FOUND, "no file matches '%.*s' (looked in %s)",
                           STR_ARG(s->paths[i]), env->project_root);
    }
    return code == ERR_OK ? take_paths(&paths, env->project_root, a, f, err) : code;
}

static const char *env_pair(struct arena *a, const char *name)
{
    const char *v = getenv(name);
    return v ? str_printf(a, "%s=%s", name, v) : NULL;
}

/* Runs the command with an empty folder in $PAWL_OUT. */
static enum err_code run_extract(const struct data_env *env, const struct source_spec *s,
                                 struct arena *a, const char *out_dir, struct err *err)
{
    static const char *const PASSED[] = {"PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV"};
    const char *vars[ARRAY_LEN(PASSED) + 2] = {0};
    char *log_path = str_printf(a, "%s.log", out_dir);
    struct command_result result = {0};
    struct str log = {0};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(PASSED); i++)
        if ((vars[n] = env_pair(a, PASSED[i])))
            n++;
    vars[n] = str_printf(a, "PAWL_OUT=%s", out_dir);
    struct command c = {.shell = str_dup(a, s->run),
                        .cwd = env->project_root,
                        .env = vars,
                        .log_path = log_path,
                        .timeout_ms = DATA_CALL_TIMEOUT_MS,
                        .is_cancelled = env->is_cancelled};
    if (!vars[n] || !c.shell || !log_path)
        return arena_err(a, err);
    enum err_code code = command_run(&c, &result, err);
    if (code == ERR_OK && result.exit_status != 0) {
        struct err ignored = ERR_INIT;
        if (file_read(log_path, 1 << 20, a, &log, &ignored) == ERR_OK && log.n > 400)
            log = str_n(log.p + log.n - 400, 400);
        log = str_trim(log);
        code = err_set(err, ERR_CHILD,
                       "the extract command ended with status %d; its last output: %.*s",
                       result.exit_status, STR_ARG(log));
    }
    return code;
}

static enum err_code find_fetched(const struct data_env *env, const struct source_spec *s,
                                  struct arena *a, struct source_files *f, struct err *err)
{
    path_vec paths = {0};
    char *dir = str_printf(a, "%s/extract-XXXXXX", env->tmp_dir);
    enum err_code code;
    if (!dir)
        return arena_err(a, err);
    if (!mkdtemp(dir))
        return err_set(err, ERR_IO, "cannot make a folder in %s", env->tmp_dir);
    f->out_dir = dir;
    if (s->kind == SOURCE_EXTRACT)
        code = run_extract(env, s, a, dir, err);
    else if (env->fetch_sql)
        code = env->fetch_sql(env->fetch_arg, s, dir, err);
    else
        code = sql_fetch(env, s, dir, a, err);
    if (code != ERR_OK)
        return code;
    char *pattern = path_join(a, dir, "**");
    if (!pattern)
        return arena_err(a, err);
    code = add_paths(pattern, a, &paths, err);
    if (code == ERR_OK && paths.n == 0)
        code = err_set(err, ERR_NOT_FOUND, "the extract wrote no file into $PAWL_OUT");
    return code == ERR_OK ? take_paths(&paths, dir, a, f, err) : code;
}

static int64_t wall_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static enum err_code hash_one(const struct data_env *env, struct stat_entry *e, bool is_store,
                              struct err *err)
{
    int64_t started = wall_ns(), bytes = 0;
    enum err_code code;
    if (e->hashed_ns != 0 && (!is_store || blob_has(env->blobs, &e->digest)))
        return ERR_OK;
    code = is_store ? blob_put_file(env->blobs, e->path, &e->digest, &bytes, err)
                    : digest_of_file(e->path, &e->digest, &bytes, err);
    if (code != ERR_OK)
        return code;
    if (!is_store && !stat_entry_is_same(e))
        return err_set(err, ERR_CONFLICT,
                       "%s changed while it was read: run again when it is written", e->path);
    /* The store hashed what it copied: the digest is right for that content, even when the file moves on. */
    e->is_new = stat_entry_is_same(e);
    e->hashed_ns = started;
    e->st.st_size = (off_t)bytes;
    return ERR_OK;
}

/* SHA-256 over the sorted lines "sha256  path\n". */
static enum err_code files_digest(struct source_files *f, struct err *err)
{
    struct sha256 *h = sha256_new();
    if (!h)
        return err_nomem(err);
    for (size_t i = 0; i < f->n; i++) {
        char hex[DIGEST_HEX_BYTES];
        digest_hex(&f->e[i].digest, hex);
        sha256_add(h, hex, DIGEST_HEX_BYTES - 1);
        sha256_add(h, "  ", 2);
        sha256_add(h, f->names[i], strlen(f->names[i]));
        sha256_add(h, "\n", 1);
    }
    sha256_end(h, &f->digest);
    sha256_free(h);
    return ERR_OK;
}

enum err_code source_files_find(const struct data_env *env, const struct source_spec *s,
                                enum files_mode mode, struct arena *a, struct source_files *ret,
                                struct err *err)
{
    /* What a command wrote lives in a folder that is removed: it has to be kept. */
    bool is_store = s->kind != SOURCE_PATH || (mode == FILES_STORE && !s->is_reference);
    enum err_code code = s->kind == SOURCE_PATH ? find_globs(env, s, a, ret, err)
                                                : find_fetched(env, s, a, ret, err);
    if (code == ERR_OK)
        code = stat_cache_load(env->db, ret->e, ret->n, err);
    for (size_t i = 0; code == ERR_OK && i < ret->n; i++) {
        if (env->is_cancelled && atomic_load(env->is_cancelled))
            code = err_set(err, ERR_CANCELLED, "cancelled");
        else
            code = hash_one(env, &ret->e[i], is_store, err);
    }
    if (code == ERR_OK && s->kind == SOURCE_PATH)
        code = stat_cache_save(env->db, ret->e, ret->n, err);
    if (code == ERR_OK)
        code = files_digest(ret, err);
    ret->is_stored = is_store;
    return code == ERR_OK ? ERR_OK : err_wrap(err, "source %.*s", STR_ARG(s->name));
}

void source_files_fini(struct source_files *f)
{
    struct err ignored = ERR_INIT;
    if (f->out_dir)
        (void)!dir_remove(f->out_dir, &ignored);
    f->out_dir = NULL;
}
