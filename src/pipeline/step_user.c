/* A user's step: a command between what it reads and what it writes. Outputs are kept in the store as a tree and put back when
 * the step is found by its key but the files are not as it left them. */
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "base/vec.h"
#include "pipeline/pipe.h"
#include "train/train_command.h"

/* Is this item of `reads` the name or the output of a step that the graph wired already? */
static bool is_wired(const struct step *s, const char *read)
{
    for (size_t i = 0; i < s->n_needs; i++) {
        const struct step *n = s->needs[i];
        const struct user_step *u = n->ops == &STEP_USER ? n->spec : NULL;
        size_t len = strlen(read);
        if (strncmp(n->name, read, len) == 0 && (n->name[len] == '\0' || n->name[len] == '.'))
            return true;
        for (size_t k = 0; u != NULL && k < u->n_writes; k++) {
            if (strcmp(u->writes[k], read) == 0)
                return true;
        }
    }
    return false;
}

struct found {
    const char *base; /* folder that the paths are below */
    char **paths;
    size_t n;
};

/* A revision holds configuration and code; data lie in the project's folder. */
static enum err_code find_read(struct pipe *p, const char *read, struct arena *a, struct found *ret,
                               struct err *err)
{
    const char *const places[] = {p->spec->dir, p->env.project_root};
    enum err_code code = ERR_OK;
    *ret = (struct found){0};
    for (size_t i = 0; code == ERR_OK && ret->n == 0 && i < ARRAY_LEN(places); i++) {
        const char *pattern = path_join(a, places[i], read);
        ret->base = places[i];
        code =
            pattern != NULL ? path_glob(pattern, a, &ret->paths, &ret->n, err) : arena_err(a, err);
    }
    return code;
}

/* Files of the project that it reads, with their digests. */
static enum err_code read_files(struct pipe *p, struct step *s, struct json *in, struct err *err)
{
    const struct user_step *u = s->spec;
    struct arena *a = &s->arena;
    for (size_t i = 0; i < u->n_reads; i++) {
        struct found found = {0};
        char hex[DIGEST_HEX_BYTES];
        if (is_wired(s, u->reads[i]))
            continue;
        enum err_code code = find_read(p, u->reads[i], a, &found, err);
        if (code == ERR_OK && found.n == 0)
            code = err_set(err, ERR_NOT_FOUND,
                           "it reads %s, which is neither a step, nor written by one, nor a file",
                           u->reads[i]);
        for (size_t k = 0; code == ERR_OK && k < found.n; k++) {
            code = stamp_digest(p, found.paths[k], hex, err);
            if (code == ERR_OK)
                (void)json_set(a, in, found.paths[k] + strlen(found.base) + 1, json_cstr(a, hex));
        }
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}

/* Without `reads` of files nothing names the program: then the revision's code stands for it. */
static enum err_code user_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    const struct user_step *u = s->spec;
    struct arena *a = &s->arena;
    struct json *in = pipe_inputs(s), *def = user_step_json(u, a);
    const char *code_hex = NULL;
    enum err_code code = read_files(p, s, in, err);
    if (code == ERR_OK && !p->spec->is_dvc) {
        code = pipe_code_digest(p, a, &code_hex, err);
        (void)json_set(a, def, "code", json_cstr(a, code_hex));
    }
    if (code != ERR_OK)
        return code;
    if (u->is_always)
        (void)json_set(a, in, "always", json_time(a, clock_now_us(p->host->clock)));
    struct pipe_parts x = {.definition = def,
                           .inputs = in,
                           .parameters = u->params != NULL ? json_copy(a, u->params) : NULL};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

/* ---- what the command sees of built-in steps ---- */

static bool put(struct arena *a, const char **env, size_t *n, const char *name, const char *value)
{
    if (value != NULL)
        env[(*n)++] = str_printf(a, "%s=%s", name, value);
    return value == NULL || env[*n - 1] != NULL;
}

/* PAWL_DATASET, PAWL_MODEL, PAWL_EVALUATE: the files of the steps it reads. */
static enum err_code builtin_env(struct pipe *p, struct step *s, const char **env, size_t *n,
                                 struct err *err)
{
    struct arena *a = &s->arena;
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < s->n_needs; i++) {
        const struct step *d = s->needs[i];
        const char *path = NULL;
        if (d == p->dataset || d == p->evaluate) {
            code =
                pipe_blob_path(p, step_out(d, d == p->dataset ? "blob" : "report"), a, &path, err);
            if (code == ERR_OK)
                (void)put(a, env, n, d == p->dataset ? "PAWL_DATASET" : "PAWL_EVALUATE", path);
        } else if (d == p->train || d == p->profile || d == p->register_) {
            path = pipe_tmp(p, s, ".model");
            code = path != NULL
                       ? pipe_checkout_tree(p, step_out(d == p->train ? d : p->profile, "tree"),
                                            path, err)
                       : arena_err(a, err);
            (void)put(a, env, n, "PAWL_MODEL", path);
        }
    }
    return code;
}

static enum err_code environment(struct pipe *p, struct step *s, const char ***ret, struct err *err)
{
    const struct user_step *u = s->spec;
    struct arena *a = &s->arena;
    const char **extra = ARENA_NEW_N(a, const char *, s->n_needs + 8);
    struct buf params;
    size_t n = 0;
    enum err_code code = ERR_OK;
    if (extra == NULL)
        return arena_err(a, err);
    buf_init(&params, 1 << 20);
    if (u->params != NULL)
        code = json_write(u->params, JSON_CANONICAL, &params, err);
    const char *text = u->params != NULL ? str_dup(a, buf_view(&params)) : "{}";
    buf_fini(&params);
    if (code == ERR_OK)
        code = builtin_env(p, s, extra, &n, err);
    bool is_ok = put(a, extra, &n, "PAWL_STEP", s->name) &&
                 put(a, extra, &n, "PAWL_PARAMS", text) &&
                 put(a, extra, &n, "PAWL_PROJECT", p->env.project_root) &&
                 put(a, extra, &n, "MLFLOW_TRACKING_URI", p->host->tracking_uri) &&
                 put(a, extra, &n, "MLFLOW_TRACKING_TOKEN", p->host->tracking_token) &&
                 put(a, extra, &n, "MLFLOW_RUN_ID", s->child_run[0] != '\0' ? s->child_run : NULL);
    if (code == ERR_OK) {
        *ret = is_ok ? command_environment(a, u->env, u->n_env, extra, n) : NULL;
        code = *ret != NULL ? ERR_OK : arena_err(a, err);
    }
    return code;
}

/* ---- running and keeping ---- */

typedef VEC(const char *) path_list;

/* Files of an output that is a directory, relative to the project. */
static enum err_code list_files(const char *root, const char *rel, int depth, struct arena *a,
                                path_list *files, struct err *err)
{
    struct stat st;
    char **names = NULL;
    size_t n = 0;
    const char *path = path_join(a, root, rel);
    if (path == NULL || depth > 32)
        return err_set(err, ERR_LIMIT, "%s: directories deeper than 32", rel);
    if (stat(path, &st) != 0)
        return err_set(err, ERR_CHILD, "the command did not write %s", rel);
    if (!S_ISDIR(st.st_mode)) {
        const char **slot = VEC_ADD(a, files);
        if (slot == NULL)
            return arena_err(a, err);
        *slot = rel;
        return ERR_OK;
    }
    enum err_code code = dir_list(path, a, &names, &n, err);
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        const char *sub = path_join(a, rel, names[i]);
        code = sub != NULL ? list_files(root, sub, depth + 1, a, files, err) : arena_err(a, err);
    }
    return code;
}

static enum err_code keep_outputs(struct pipe *p, struct step *s, struct json **ret,
                                  struct err *err)
{
    const struct user_step *u = s->spec;
    struct arena *a = &s->arena;
    struct json *out = json_obj(a), *files = json_obj(a);
    path_list list = {0};
    struct digest d;
    char hex[DIGEST_HEX_BYTES];
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < u->n_writes; i++)
        code = list_files(p->spec->dir, u->writes[i], 0, a, &list, err);
    if (code == ERR_OK)
        code = tree_put_files(p->host->blobs, p->spec->dir, list.p, list.n, &d, err);
    for (size_t i = 0; code == ERR_OK && i < list.n; i++) {
        const char *path = path_join(a, p->spec->dir, list.p[i]);
        code = path != NULL ? stamp_digest(p, path, hex, err) : arena_err(a, err);
        (void)json_set(a, files, list.p[i], json_cstr(a, hex));
    }
    if (code != ERR_OK)
        return code;
    (void)json_set(a, out, "digest", json_hex(a, &d));
    (void)json_set(a, out, "tree", json_hex(a, &d));
    *ret = json_set(a, out, "files", files);
    return ERR_OK;
}

static enum err_code attempt(struct pipe *p, struct step *s, const struct command *c,
                             struct err *err)
{
    struct command_result res;
    enum err_code code = command_run(c, &res, err);
    (void)p;
    if (code == ERR_OK && res.exit_status != 0)
        code = err_set(err, ERR_CHILD, "the command ended with status %d; its log ends: %s",
                       res.exit_status, command_log_tail(c->log_path, 600, &s->arena));
    return code;
}

static enum err_code user_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    const struct user_step *u = s->spec;
    struct arena *a = &s->arena;
    const char **env = NULL;
    enum err_code code = environment(p, s, &env, err);
    struct command c = {.shell = u->shell,
                        .argv = u->argv,
                        .cwd = u->dir != NULL ? path_join(a, p->spec->dir, u->dir) : p->spec->dir,
                        .env = env,
                        .log_path = str_printf(a, "%s/%s.log", p->logs, s->name),
                        .timeout_ms = u->timeout_ms,
                        .is_cancelled = p->order->is_cancelled};
    s->log = c.log_path != NULL ? c.log_path + strlen(p->host->home) + 1 : NULL;
    if (code == ERR_OK && (c.log_path == NULL || c.cwd == NULL))
        code = arena_err(a, err);
    if (code != ERR_OK)
        return code;
    for (int64_t i = 0; i <= u->retries; i++) {
        err_reset(err);
        code = attempt(p, s, &c, err);
        if (code != ERR_CHILD && code != ERR_TIMEOUT)
            break;
    }
    return code == ERR_OK ? keep_outputs(p, s, ret, err) : code;
}

/* One file as the step left it: there already, or put back from the store. */
static bool put_back(struct pipe *p, const struct json_member *f, struct arena *a)
{
    char hex[DIGEST_HEX_BYTES];
    struct digest d;
    const char *path = path_join(a, p->spec->dir, str_dup(a, f->key));
    if (path == NULL || stamp_digest(p, path, hex, NULL) != ERR_OK)
        return false;
    if (str_is(f->val->u.s, hex))
        return true;
    char *dir = str_dup(a, str_c(path));
    char *slash = dir != NULL ? strrchr(dir, '/') : NULL;
    if (slash == NULL || digest_parse(f->val->u.s, &d, NULL) != ERR_OK ||
        !blob_has(p->host->blobs, &d))
        return false;
    *slash = '\0';
    return dir_make(dir, 0755, NULL) == ERR_OK && file_remove(path, NULL) == ERR_OK &&
           blob_export(p->host->blobs, &d, path, 0644, NULL) == ERR_OK;
}

static bool user_restore(void *ctx, struct step *s, const struct json *out)
{
    struct pipe *p = ctx;
    const struct json *files = json_get(out, "files");
    for (size_t i = 0; i < json_len(files); i++) {
        if (!put_back(p, &files->u.obj.members[i], &s->arena))
            return false;
    }
    return true;
}

const struct step_ops STEP_USER = {"user", user_parts, user_run, user_restore};
