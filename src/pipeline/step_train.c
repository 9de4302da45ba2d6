/* train: the built-in trainer in a worker, or the user's command between two worker calls (files out, model in). */
#include "base/check.h"
#include "base/file.h"
#include "base/vec.h"
#include "pipeline/pipe.h"
#include "train/train_command.h"

#define FLUSH_ROUNDS 25 /* rounds whose metrics are logged together */

static struct json *environment(struct pipe *p, struct arena *a)
{
    const struct project_spec *pr = &p->spec->project;
    struct json *e = json_obj(a);
    (void)json_set(a, e, "python", json_cstr(a, pr->python));
    (void)json_set(a, e, "container", json_cstr(a, pr->container));
    return e;
}

static enum err_code train_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    const struct train_spec *t = &p->spec->train;
    const struct json *versions = NULL;
    struct json *plan = NULL, *def = train_spec_json(t, a);
    const char *code_hex = NULL;
    enum err_code code = pipe_plan(p, a, &plan, err);
    if (code == ERR_OK)
        code = pipe_versions(p, t->engine == TRAIN_XGBOOST, &versions, err);
    if (code == ERR_OK && t->engine == TRAIN_RUN)
        code = pipe_code_digest(p, a, &code_hex, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, def, "plan", plan);
    (void)json_set(a, def, "code", json_cstr(a, code_hex));
    json_remove(def, "seed");
    struct pipe_parts x = {.definition = def,
                           .inputs = pipe_inputs(s),
                           .versions = json_copy(a, versions),
                           .environment = t->engine == TRAIN_RUN ? environment(p, a) : NULL,
                           .seed = p->order->is_seed ? p->order->seed : t->seed,
                           .has_seed = true};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

/* ---- metrics of rounds, on their way to the run ---- */

struct rounds {
    struct pipe *p;
    struct step *s;
    VEC(struct metric_point) metrics;
    struct arena a;
    int64_t n;
};

static enum err_code flush(struct rounds *r, struct err *err)
{
    struct run_batch b = {.metrics = r->metrics.p, .n_metrics = r->metrics.n};
    enum err_code code = ERR_OK;
    if (r->metrics.n > 0 && r->s->child_run[0] != '\0')
        code = run_log(r->p->host->track, r->s->child_run, &b, err);
    r->metrics.p = NULL;
    r->metrics.n = r->metrics.cap = 0;
    arena_reset(&r->a);
    return code;
}

static enum err_code on_round(void *arg, const char *kind, const struct json *v, struct err *err)
{
    struct rounds *r = arg;
    const struct json *values = json_get(v, "metrics");
    if (strcmp(kind, "metrics") != 0)
        return ERR_OK;
    for (size_t i = 0; i < json_len(values); i++) {
        struct metric_point *m = VEC_ADD(&r->a, &r->metrics);
        if (m == NULL)
            return arena_err(&r->a, err);
        m->key = str_dup(&r->a, values->u.obj.members[i].key);
        m->step = json_get_int(v, "step", 0);
        m->at_us = clock_now_us(r->p->host->clock);
        (void)json_as_f64(values->u.obj.members[i].val, &m->value);
    }
    return ++r->n % FLUSH_ROUNDS == 0 ? flush(r, err) : ERR_OK;
}

/* ---- the built-in trainer ---- */

static struct json *common_args(struct pipe *p, struct step *s, const char *dataset)
{
    struct arena *a = &s->arena;
    const struct train_spec *t = &p->spec->train;
    struct json *args = json_obj(a);
    const struct json *classes = json_path(p->dataset->out, "label.classes");
    (void)json_set(a, args, "dataset", json_cstr(a, dataset));
    (void)json_set(a, args, "plan", json_copy(a, json_path(s->parts, "definition.plan")));
    (void)json_set(a, args, "task", json_cstr(a, train_task_name(t->task)));
    (void)json_set(a, args, "params", json_copy(a, t->params));
    (void)json_set(a, args, "rounds", json_int(a, t->rounds));
    (void)json_set(a, args, "early_stopping", json_int(a, t->early_stopping));
    (void)json_set(a, args, "seed", json_copy(a, json_get(s->parts, "seed")));
    (void)json_set(a, args, "threads", json_int(a, t->threads));
    (void)json_set(a, args, "sample", json_num(a, t->sample));
    (void)json_set(a, args, "temp_dir", json_cstr(a, p->tmp));
    (void)json_set(a, args, "python", json_cstr(a, p->spec->project.python));
    if (t->task == TRAIN_MULTICLASS)
        (void)json_set(a, args, "classes", json_int(a, (int64_t)json_len(classes)));
    if (s->child_run[0] != '\0')
        (void)json_set(a, args, "run_id", json_cstr(a, s->child_run));
    return args;
}

static enum err_code train_builtin(struct pipe *p, struct step *s, struct json *args,
                                   struct json **ret, struct err *err)
{
    struct rounds r = {.p = p, .s = s};
    arena_init(&r.a, (size_t)64 << 20);
    struct pipe_call call = {.op = "train.xgboost", .args = args, .on_record = on_round, .arg = &r};
    enum err_code code = pipe_call(p, s, &call, ret, err);
    if (code == ERR_OK)
        code = flush(&r, err);
    arena_fini(&r.a);
    return code;
}

/* ---- the user's command ---- */

/* A command may log its model to the run instead of leaving it in $PAWL_OUT. */
static enum err_code find_left(struct pipe *p, struct step *s, const char *out, const char **ret,
                               struct err *err)
{
    struct arena *a = &s->arena;
    char **names = NULL, *artifacts = NULL;
    size_t n = 0;
    enum err_code code = dir_list(out, a, &names, &n, err);
    *ret = out;
    if (code != ERR_OK || n > 0 || s->child_run[0] == '\0')
        return code;
    code =
        run_artifact_dir(p->host->track, s->child_run, RUN_DIR_MAY_BE_ABSENT, a, &artifacts, err);
    if (code == ERR_OK && artifacts != NULL && dir_exists(artifacts))
        *ret = artifacts;
    return code;
}

static enum err_code run_command(struct pipe *p, struct step *s, const struct json *args,
                                 const char *out, struct err *err)
{
    struct arena *a = &s->arena;
    struct train_spec spec = p->spec->train;
    struct command_result res;
    spec.seed = json_get_int(s->parts, "seed", 0);
    struct train_command c = {.spec = &spec,
                              .cwd = p->spec->dir,
                              .train_path = json_get_c(args, "train"),
                              .validation_path = json_get_c(args, "validation"),
                              .out_dir = out,
                              .log_path = str_printf(a, "%s/train.log", p->logs),
                              .tracking_uri = p->host->tracking_uri,
                              .tracking_token = p->host->tracking_token,
                              .run_id = s->child_run[0] != '\0' ? s->child_run : NULL,
                              .is_cancelled = p->order->is_cancelled};
    if (c.log_path == NULL)
        return arena_err(a, err);
    s->log = c.log_path != NULL ? c.log_path + strlen(p->host->home) + 1 : NULL;
    return train_command_run(&c, a, &res, err);
}

static enum err_code train_user(struct pipe *p, struct step *s, struct json *args,
                                struct json **ret, struct err *err)
{
    struct arena *a = &s->arena;
    const char *out = pipe_tmp(p, s, ".out"), *left = NULL;
    struct json *exported = NULL, *packaged = NULL;
    (void)json_set(a, args, "train", json_cstr(a, pipe_tmp(p, s, ".train.parquet")));
    (void)json_set(a, args, "validation", json_cstr(a, pipe_tmp(p, s, ".validation.parquet")));
    struct pipe_call export = {.op = "train.export", .args = args};
    struct pipe_call package = {.op = "train.package", .args = args};
    if (out == NULL)
        return arena_err(a, err);
    enum err_code code = pipe_call(p, s, &export, &exported, err);
    if (code == ERR_OK)
        code = run_command(p, s, args, out, err);
    if (code == ERR_OK)
        code = find_left(p, s, out, &left, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, args, "left", json_cstr(a, left));
    (void)json_set(a, args, "plan", json_copy(a, json_get(exported, "plan")));
    code = pipe_call(p, s, &package, &packaged, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, packaged, "n_train", json_copy(a, json_get(exported, "n_train")));
    *ret = json_set(a, packaged, "n_validation", json_copy(a, json_get(exported, "n_validation")));
    return ERR_OK;
}

/* ---- both ---- */

enum err_code pipe_keep_tree(struct pipe *p, struct step *s, const char *dir, struct json *out,
                             struct err *err)
{
    struct digest tree;
    enum err_code code = tree_put_dir(p->host->blobs, dir, &tree, err);
    if (code == ERR_OK)
        (void)json_set(&s->arena, out, "tree", json_hex(&s->arena, &tree));
    return code;
}

static enum err_code log_params(struct pipe *p, struct step *s, struct err *err)
{
    struct arena *a = &s->arena;
    struct train_spec spec = p->spec->train;
    spec.seed = json_get_int(s->parts, "seed", 0);
    const struct json *params = train_spec_params(&spec, a);
    struct param *list = ARENA_NEW_N(a, struct param, json_len(params) + 1);
    if (list == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < json_len(params); i++) {
        list[i].key = str_dup(a, params->u.obj.members[i].key);
        list[i].value = str_dup(a, params->u.obj.members[i].val->u.s);
    }
    struct run_batch b = {.params = list, .n_params = json_len(params)};
    return s->child_run[0] != '\0' ? run_log(p->host->track, s->child_run, &b, err) : ERR_OK;
}

static enum err_code train_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    const char *dataset = NULL, *dir = pipe_tmp(p, s, ".model");
    struct json *out = NULL;
    if (dir == NULL)
        return arena_err(a, err);
    enum err_code code = pipe_blob_path(p, step_out(p->dataset, "blob"), a, &dataset, err);
    if (code == ERR_OK)
        code = log_params(p, s, err);
    if (code != ERR_OK)
        return code;
    struct json *args = common_args(p, s, dataset);
    (void)json_set(a, args, "out", json_cstr(a, dir));
    code = p->spec->train.engine == TRAIN_XGBOOST ? train_builtin(p, s, args, &out, err)
                                                  : train_user(p, s, args, &out, err);
    if (code == ERR_OK)
        code = pipe_keep_tree(p, s, dir, out, err);
    if (code == ERR_OK)
        code = dir_remove(dir, err);
    if (code != ERR_OK)
        return code;
    *ret = json_set(a, out, "digest", json_copy(a, json_get(out, "model_digest")));
    return ERR_OK;
}

const struct step_ops STEP_TRAIN = {"train", train_parts, train_run, pipe_has_blobs};
