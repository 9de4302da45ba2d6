/* What the kinds of steps share: bindings, calls of workers, the store. */
#include "pipeline/pipe.h"

#include <stdio.h>

#include "base/check.h"
#include "base/file.h"
#include "base/vec.h"
#include "data/data_worker.h"

struct pipe_source *pipe_source(struct pipe *p, struct str name)
{
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        if (str_eq(p->sources[i].spec->name, name))
            return &p->sources[i];
    }
    return NULL;
}

bool pipe_label_is_late(const struct pipe *p, const struct source_spec *s)
{
    const struct dataset_spec *d = &p->spec->dataset;
    return p->spec->has_dataset && d->label_after_us > 0 && str_eq(d->rows, s->name) &&
           s->known_at.n == 0 && s->available_after_us < 0;
}

static enum err_code add_binding(struct pipe *p, const struct pipe_source *src, struct arena *a,
                                 struct json *list, struct err *err)
{
    struct json *b = NULL;
    enum err_code code = data_binding(&p->env, src->spec, &src->version, a, &b, err);
    if (code == ERR_OK && pipe_label_is_late(p, src->spec))
        (void)json_set(a, b, "available_after_us", json_int(a, p->spec->dataset.label_after_us));
    if (code == ERR_OK)
        (void)json_add(a, list, b);
    return code;
}

enum err_code pipe_bindings(struct pipe *p, struct str first, struct arena *a, struct json **ret,
                            struct err *err)
{
    struct json *list = json_arr(a);
    const struct pipe_source *head = first.n > 0 ? pipe_source(p, first) : NULL;
    enum err_code code = ERR_OK;
    if (head != NULL && head->is_ready)
        code = add_binding(p, head, a, list, err);
    for (size_t i = 0; code == ERR_OK && i < p->spec->sources.n; i++) {
        if (&p->sources[i] != head && p->sources[i].is_ready)
            code = add_binding(p, &p->sources[i], a, list, err);
    }
    if (code == ERR_OK)
        *ret = list;
    return code;
}

enum err_code pipe_bindings_known(struct pipe *p, struct str first, struct arena *a,
                                  struct json **ret, struct err *err)
{
    enum err_code code = pipe_bindings(p, first, a, ret, err);
    for (size_t i = 0; code == ERR_OK && p->as_of_us != AT_US_NONE && i < json_len(*ret); i++)
        (void)json_set(a, (*ret)->u.arr.items[i], "as_of", json_time(a, p->as_of_us));
    return code;
}

bool pipe_as_of_matters(struct pipe *p, int64_t extra_us)
{
    if (p->as_of_us == AT_US_NONE)
        return false;
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        const struct data_version *v = &p->sources[i].version;
        if (!p->sources[i].is_ready)
            continue;
        int64_t known = v->known_max_us > v->time_max_us ? v->known_max_us : v->time_max_us;
        if (known != AT_US_NONE && known + extra_us > p->as_of_us)
            return true;
    }
    return false;
}

enum err_code pipe_versions(struct pipe *p, bool with_xgboost, const struct json **ret,
                            struct err *err)
{
    enum err_code code = ERR_OK;
    mutex_lock(&p->lock);
    const struct json *have = p->versions;
    bool is_enough = have != NULL && (!with_xgboost || json_get(have, "xgboost") != NULL);
    if (!is_enough) {
        struct json *args = json_obj(&p->shared), *got = NULL;
        (void)json_set(&p->shared, args, "xgboost", json_bool(&p->shared, with_xgboost));
        struct worker_call call = {.op = "train.versions", .args = args, .timeout_ms = 60 * 1000};
        code = worker_pool_call(p->host->pool, &call, &p->shared, &got, err);
        if (code == ERR_OK)
            p->versions = got;
        have = p->versions;
    }
    mutex_unlock(&p->lock);
    if (code == ERR_OK)
        *ret = have;
    return code;
}

struct progress {
    struct pipe *p;
    struct step *s;
    const struct pipe_call *call;
};

static void on_progress(void *arg, double done, const char *text)
{
    struct progress *g = arg;
    struct pipe *p = g->p;
    char line[256];
    if (p->order->on_progress == NULL)
        return;
    (void)snprintf(line, sizeof line, "%s: %s", g->s->name, text);
    double all = p->n_asked > 0 ? ((double)p->n_finished + done) / (double)p->n_asked : done;
    p->order->on_progress(p->order->progress_arg, all, line);
}

static enum err_code on_record(void *arg, const char *kind, const struct json *v, struct err *err)
{
    struct progress *g = arg;
    return g->call->on_record != NULL ? g->call->on_record(g->call->arg, kind, v, err) : ERR_OK;
}

enum err_code pipe_call(struct pipe *p, struct step *s, const struct pipe_call *c,
                        struct json **ret, struct err *err)
{
    struct progress g = {p, s, c};
    struct worker_call call = {.op = c->op,
                               .args = c->args,
                               .timeout_ms = PIPE_STEP_TIMEOUT_MS,
                               .is_cancelled = p->order->is_cancelled,
                               .on_progress = on_progress,
                               .on_record = on_record,
                               .arg = &g};
    return worker_pool_call(p->host->pool, &call, &s->arena, ret, err);
}

const char *pipe_tmp(struct pipe *p, struct step *s, const char *suffix)
{
    return str_printf(&s->arena, "%s/%s%s", p->tmp, s->name, suffix);
}

static const char *hex_in(struct arena *a, const struct digest *d)
{
    char *hex = arena_alloc(a, DIGEST_HEX_BYTES);
    if (hex != NULL)
        digest_hex(d, hex);
    return hex;
}

enum err_code pipe_keep(struct pipe *p, struct step *s, const char *path, const char **ret_hex,
                        struct err *err)
{
    struct digest d;
    enum err_code code = blob_put_file(p->host->blobs, path, &d, NULL, err);
    if (code == ERR_OK)
        code = file_remove(path, err);
    if (code == ERR_OK && (*ret_hex = hex_in(&s->arena, &d)) == NULL)
        code = arena_err(&s->arena, err);
    return code;
}

enum err_code pipe_blob_path(struct pipe *p, const char *hex, struct arena *a, const char **ret,
                             struct err *err)
{
    struct digest d;
    char *path = NULL;
    enum err_code code = digest_parse(str_c(hex), &d, err);
    if (code == ERR_OK)
        code = blob_path(p->host->blobs, &d, a, &path, err);
    if (code == ERR_OK)
        *ret = path;
    return code;
}

enum err_code pipe_blob_json(struct pipe *p, const char *hex, struct arena *a, struct json **ret,
                             struct err *err)
{
    struct digest d;
    struct str text = STR_NONE;
    enum err_code code = digest_parse(str_c(hex), &d, err);
    if (code == ERR_OK)
        code = blob_read(p->host->blobs, &d, PIPE_BLOB_MAX, a, &text, err);
    if (code == ERR_OK)
        code = json_read(text, a, ret, err);
    return code;
}

bool pipe_has_blobs(void *ctx, struct step *s, const struct json *out)
{
    static const char *const KEYS[] = {"blob", "tree", "report"};
    struct pipe *p = ctx;
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++) {
        struct digest d;
        struct str hex = json_get_str(out, KEYS[i]);
        if (hex.n == 0)
            continue;
        if (digest_parse(hex, &d, NULL) != ERR_OK || !blob_has(p->host->blobs, &d))
            return false;
    }
    return true;
}

struct json *pipe_inputs(struct step *s)
{
    struct json *in = json_obj(&s->arena);
    for (size_t i = 0; i < s->n_needs; i++) {
        const struct step *n = s->needs[i];
        if (!s->is_order[i])
            (void)json_set(&s->arena, in, n->name,
                           json_str(&s->arena, json_get_str(n->out, "digest")));
    }
    return in;
}

const char *step_out(const struct step *s, const char *key)
{
    return s != NULL ? json_get_c(s->out, key) : NULL;
}

struct json *pipe_parts_json(const struct pipe_parts *x, struct arena *a)
{
    struct json *d = json_obj(a);
    (void)json_set(a, d, "definition", x->definition);
    (void)json_set(a, d, "inputs", x->inputs);
    (void)json_set(a, d, "parameters", x->parameters);
    (void)json_set(a, d, "environment", x->environment);
    (void)json_set(a, d, "versions", x->versions);
    if (x->has_seed)
        (void)json_set(a, d, "seed", json_int(a, x->seed));
    return d;
}

bool pipe_is_output(const struct pipeline_spec *spec, const char *path)
{
    for (size_t i = 0; i < spec->steps.n; i++) {
        const struct user_step *u = &spec->steps.p[i];
        for (size_t k = 0; k < u->n_writes; k++) {
            size_t n = strlen(u->writes[k]);
            if (strncmp(path, u->writes[k], n) == 0 && (path[n] == '\0' || path[n] == '/'))
                return true;
        }
    }
    return false;
}

/* Configuration is in the definitions already; what is left are programs and what they read. */
static bool is_config(const char *path)
{
    struct str s = str_c(path);
    return str_ends(s, STR(".yaml")) || str_ends(s, STR(".yml")) || str_ends(s, STR(".md"));
}

enum err_code pipe_code_digest(struct pipe *p, struct arena *a, const char **ret_hex,
                               struct err *err)
{
    struct digest d;
    struct tree t = {0};
    struct json *files = json_obj(a);
    enum err_code code = digest_parse(str_c(p->revision), &d, err);
    if (code == ERR_OK)
        code = tree_read(p->host->blobs, &d, a, &t, err);
    for (size_t i = 0; code == ERR_OK && i < t.n; i++) {
        if (!is_config(t.files[i].path))
            (void)json_set(a, files, t.files[i].path, json_hex(a, &t.files[i].digest));
    }
    if (code == ERR_OK)
        code = json_digest(files, "code", &d, err);
    if (code == ERR_OK && (*ret_hex = hex_in(a, &d)) == NULL)
        code = arena_err(a, err);
    return code;
}
