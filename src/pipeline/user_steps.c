#include "pipeline/user_steps.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/vec.h"

static const char **strings(const struct cfg_node *n, const char *what, struct arena *a,
                            size_t *ret_n, struct cfg_problems *ps)
{
    struct str *list = NULL;
    size_t count = 0;
    *ret_n = 0;
    if (n == NULL || !cfg_str_list(n, what, a, &list, &count, ps))
        return NULL;
    const char **out = ARENA_NEW_N(a, const char *, count + 1);
    for (size_t i = 0; out != NULL && i < count; i++)
        out[i] = str_dup(a, list[i]);
    *ret_n = out != NULL ? count : 0;
    return out;
}

static bool is_safe_path(const char *p)
{
    struct str rest = str_c(p);
    if (p[0] == '\0' || p[0] == '/')
        return false;
    while (rest.p != NULL) {
        if (str_is(str_split(&rest, '/'), ".."))
            return false;
    }
    return true;
}

static void decode_command(const struct cfg_node *run, struct arena *a, struct user_step *s,
                           struct cfg_problems *ps)
{
    size_t n = 0;
    if (run == NULL)
        return;
    if (run->type == CFG_SCALAR) {
        s->shell = str_dup(a, run->text);
        n = str_trim(run->text).n;
    } else {
        s->argv = strings(run, "run", a, &n, ps);
    }
    if (n == 0)
        cfg_error(ps, run, "run is empty: name a command");
}

static void decode_step(const struct cfg_node *n, struct arena *a, struct user_step *s,
                        struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"run",     "reads",   "writes",     "env",
                                       "timeout", "retries", "params",     "always",
                                       "owner",   "runbook", "description"};
    int64_t timeout_us = 0;
    s->node = n;
    s->timeout_ms = USER_STEP_TIMEOUT_MS_DEFAULT;
    if (!cfg_is_map(n, "a step", ps))
        return;
    (void)cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps);
    decode_command(cfg_require(n, "run", ps), a, s, ps);
    s->reads = strings(cfg_get(n, "reads"), "reads", a, &s->n_reads, ps);
    s->writes = strings(cfg_get(n, "writes"), "writes", a, &s->n_writes, ps);
    s->env = strings(cfg_get(n, "env"), "env", a, &s->n_env, ps);
    for (size_t i = 0; i < s->n_writes; i++) {
        if (!is_safe_path(s->writes[i]))
            cfg_error(ps, cfg_get(n, "writes"),
                      "%s is not a path below the project's folder: a step may write only there",
                      s->writes[i]);
    }
    if (cfg_get(n, "params") != NULL && cfg_is_map(cfg_get(n, "params"), "params", ps))
        s->params = cfg_json(cfg_get(n, "params"), a);
    if (cfg_duration_us(cfg_get(n, "timeout"), "timeout", &timeout_us, ps))
        s->timeout_ms = timeout_us / US_PER_MS > 0 ? timeout_us / US_PER_MS : 1;
    (void)cfg_i64(cfg_get(n, "retries"), "retries", 0, 10, &s->retries, ps);
    (void)cfg_bool(cfg_get(n, "always"), "always", &s->is_always, ps);
}

static bool is_builtin(struct str name)
{
    static const char *const NAMES[] = {"ingest",  "validate", "view",    "views",    "features",
                                        "dataset", "train",    "profile", "evaluate", "register"};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (str_is(name, NAMES[i]))
            return true;
    }
    return false;
}

void user_steps_decode(const struct cfg_node *section, struct arena *a, struct user_steps *ret,
                       struct cfg_problems *ps)
{
    *ret = (struct user_steps){0};
    if (section == NULL || !cfg_is_map(section, "steps", ps))
        return;
    ret->p = ARENA_NEW_N(a, struct user_step, section->n + 1);
    for (size_t i = 0; ret->p != NULL && i < section->n; i++) {
        struct user_step *s = &ret->p[ret->n++];
        s->name = str_dup(a, section->keys[i]);
        if (is_builtin(section->keys[i]) || str_find(section->keys[i], STR(".")) >= 0)
            cfg_error(
                ps, section->key_nodes[i],
                "%.*s cannot be a step's name: built-in steps and names with a point are taken",
                STR_ARG(section->keys[i]));
        decode_step(section->items[i], a, s, ps);
    }
}

/* ---- dvc.yaml ---- */

/* An item of deps or outs is a path, or { path: { options } }. */
static void add_paths(const struct cfg_node *list, const char *dir, struct arena *a,
                      const char ***out, size_t *n)
{
    if (list == NULL)
        return;
    const char **all = ARENA_NEW_N(a, const char *, *n + list->n + 1);
    if (all == NULL)
        return;
    if (*n > 0)
        memcpy(all, *out, *n * sizeof *all);
    for (size_t i = 0; i < list->n; i++) {
        const struct cfg_node *it = list->items[i];
        struct str text = it->type == CFG_MAP && it->n > 0 ? it->keys[0] : it->text;
        const char *p = str_dup(a, text);
        if (p != NULL && dir != NULL)
            p = str_printf(a, "%s/%s", dir, p);
        if (p != NULL)
            all[(*n)++] = p;
    }
    *out = all;
}

/* params: names of params.yaml (then the file is read), or { file: [names] }. */
static void add_params(const struct cfg_node *list, struct arena *a, struct user_step *s)
{
    bool has_default = false;
    if (list == NULL)
        return;
    const char **all = ARENA_NEW_N(a, const char *, s->n_reads + list->n + 1);
    if (all == NULL)
        return;
    if (s->n_reads > 0)
        memcpy(all, s->reads, s->n_reads * sizeof *all);
    for (size_t i = 0; i < list->n; i++) {
        const struct cfg_node *it = list->items[i];
        if (it->type == CFG_MAP && it->n > 0) {
            all[s->n_reads++] = str_dup(a, it->keys[0]);
        } else if (!has_default) {
            all[s->n_reads++] = "params.yaml";
            has_default = true;
        }
    }
    s->reads = all;
}

static void decode_cmd(const struct cfg_node *cmd, struct arena *a, struct user_step *s)
{
    struct buf out;
    if (cmd == NULL)
        return;
    if (cmd->type == CFG_SCALAR) {
        s->shell = str_dup(a, cmd->text);
        return;
    }
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < cmd->n; i++)
        buf_printf(&out, "%s%.*s", i > 0 ? " && " : "", STR_ARG(cmd->items[i]->text));
    s->shell = str_dup(a, buf_view(&out));
    buf_fini(&out);
}

static void decode_stage(const struct cfg_node *n, struct arena *a, struct user_step *s,
                         struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"cmd",   "deps",   "outs", "metrics",
                                       "plots", "params", "wdir", "always_changed",
                                       "desc",  "frozen", "meta"};
    static const char *const OUTS[] = {"outs", "metrics", "plots"};
    s->node = n;
    s->timeout_ms = USER_STEP_TIMEOUT_MS_DEFAULT;
    if (!cfg_is_map(n, "a stage", ps))
        return;
    (void)cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps);
    const struct cfg_node *wdir = cfg_get(n, "wdir");
    s->dir = wdir != NULL ? str_dup(a, wdir->text) : NULL;
    decode_cmd(cfg_require(n, "cmd", ps), a, s);
    add_paths(cfg_get(n, "deps"), s->dir, a, &s->reads, &s->n_reads);
    add_params(cfg_get(n, "params"), a, s);
    for (size_t i = 0; i < ARRAY_LEN(OUTS); i++)
        add_paths(cfg_get(n, OUTS[i]), s->dir, a, &s->writes, &s->n_writes);
    (void)cfg_bool(cfg_get(n, "always_changed"), "always_changed", &s->is_always, ps);
    /* As dvc has it: nothing in, nothing out, so nothing tells whether it is up to date. */
    if (s->n_reads == 0 && s->n_writes == 0)
        s->is_always = true;
}

void dvc_stages_decode(const struct cfg_node *root, struct arena *a, struct user_steps *ret,
                       struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"stages", "metrics", "plots", "artifacts"};
    *ret = (struct user_steps){0};
    if (!cfg_is_map(root, "dvc.yaml", ps))
        return;
    (void)cfg_known_keys(root, KEYS, ARRAY_LEN(KEYS), ps);
    const struct cfg_node *stages = cfg_require(root, "stages", ps);
    if (stages == NULL || !cfg_is_map(stages, "stages", ps))
        return;
    ret->p = ARENA_NEW_N(a, struct user_step, stages->n + 1);
    for (size_t i = 0; ret->p != NULL && i < stages->n; i++) {
        struct user_step *s = &ret->p[ret->n++];
        s->name = str_dup(a, stages->keys[i]);
        decode_stage(stages->items[i], a, s, ps);
    }
}

struct json *user_step_json(const struct user_step *s, struct arena *a)
{
    struct json *d = json_obj(a), *writes = json_arr(a);
    if (s->shell != NULL) {
        (void)json_set(a, d, "run", json_cstr(a, s->shell));
    } else {
        struct json *argv = json_arr(a);
        for (size_t i = 0; s->argv != NULL && s->argv[i] != NULL; i++)
            (void)json_add(a, argv, json_cstr(a, s->argv[i]));
        (void)json_set(a, d, "run", argv);
    }
    for (size_t i = 0; i < s->n_writes; i++)
        (void)json_add(a, writes, json_cstr(a, s->writes[i]));
    (void)json_set(a, d, "writes", writes);
    if (s->dir != NULL)
        (void)json_set(a, d, "dir", json_cstr(a, s->dir));
    return d;
}
