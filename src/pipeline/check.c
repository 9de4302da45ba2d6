/* `pawl check`: the decoders' problems, then those that only the whole shows. The data part runs the first steps of the graph
 * through the same cache as a run, but leaves no run on record. */
#include "pipeline/check.h"

#include "base/check.h"
#include "base/vec.h"
#include "expr/expr.h"
#include "pipeline/pipe_open.h"
#include "project/revision.h"

static struct pipeline_section_check SECTIONS[PIPELINE_SECTION_CHECKS_MAX];
static size_t n_sections;

void pipeline_check_add(const struct pipeline_section_check *c)
{
    CHECK(n_sections < PIPELINE_SECTION_CHECKS_MAX);
    SECTIONS[n_sections++] = *c;
}

struct checker {
    struct pipe p;
    struct cfg_problems ps;
    struct pipeline_order order;
    struct arena *a;
    struct json *needs;
};

/* ---- the file ---- */

static enum err_code check_file(struct checker *c, const char *root, struct pipeline_spec *spec,
                                struct err *err)
{
    const char **paths = NULL;
    size_t n = 0;
    enum err_code code = pipeline_spec_read(root, c->a, spec, &c->ps, err);
    if (code != ERR_OK || spec->file.root == NULL || spec->is_dvc)
        return code;
    for (size_t i = 0; i < n_sections; i++)
        SECTIONS[i].run(spec->file.root, c->a, &c->ps, c->needs);
    return revision_files(&spec->file, &spec->project, c->a, &paths, &n, &c->ps, err);
}

/* ---- what the data say ---- */

static enum err_code quiet_begin(void *ctx, struct step *s, struct err *err)
{
    (void)ctx;
    (void)s;
    (void)err;
    return ERR_OK;
}

static enum err_code quiet_finish(void *ctx, struct step *s, struct err *err)
{
    const struct cache_row row = {s->key, s->ops->kind, s->name, s->out, s->parts};
    return s->state == STEP_DONE ? cache_put(ctx, &row, err) : ERR_OK;
}

static int64_t now_us(void *ctx)
{
    return clock_now_us(((struct pipe *)ctx)->host->clock);
}

/* Where in the file a step comes from. */
static const struct cfg_node *node_of(const struct checker *c, const struct step *s)
{
    if (s->ops == &STEP_INGEST)
        return ((const struct pipe_source *)s->spec)->spec->node;
    return cfg_key_node(c->p.spec->file.root, "features");
}

static enum err_code run_steps(struct checker *c, enum check_depth depth, bool *ret_ok,
                               struct err *err)
{
    const struct graph_host host = {.ctx = &c->p,
                                    .find = record_find,
                                    .begin = quiet_begin,
                                    .finish = quiet_finish,
                                    .now_us = now_us};
    const char *names[3] = {"ingest", "views", "validate.views"};
    size_t n = c->p.views == NULL ? 1 : depth == CHECK_DEPTH_LEAK ? 3 : 2;
    struct err why = ERR_INIT;
    if (c->p.spec->sources.n == 0)
        return ERR_OK;
    enum err_code code = graph_ask(&c->p.graph, names, n, err);
    if (code != ERR_OK)
        return code;
    code = graph_run(&c->p.graph, &host, PIPELINE_JOBS_DEFAULT, &why);
    *ret_ok = code == ERR_OK;
    for (size_t i = 0; i < c->p.graph.n; i++) {
        const struct step *s = c->p.graph.steps[i];
        if (s->state != STEP_FAILED && s->state != STEP_BLOCKED)
            continue;
        /* Data that are not here are no fault of the file: elsewhere they may be. */
        if (s->ops == &STEP_INGEST && s->err.code == ERR_NOT_FOUND)
            cfg_warn(&c->ps, node_of(c, s), "%s; what depends on it was not checked", s->err.msg);
        else
            cfg_error(&c->ps, node_of(c, s), "%s", s->err.msg);
    }
    return stamps_save(&c->p, err);
}

/* ---- columns of the data set to be ---- */

static bool is_listed(const struct json *names, const char *name)
{
    for (size_t i = 0; i < json_len(names); i++) {
        if (json_at(names, i)->type == JSON_STR && str_is(json_at(names, i)->u.s, name))
            return true;
    }
    return false;
}

/* As dataset_build will report them: the rows' columns without the label's, then "view.column". */
static struct json *future_columns(struct checker *c, const struct json *label)
{
    struct arena *a = c->a;
    const struct dataset_spec *d = &c->p.spec->dataset;
    const struct pipe_source *rows = pipe_source(&c->p, d->rows);
    const struct json *columns = json_get(rows->version.doc, "columns");
    const struct json *views = c->p.views != NULL ? json_get(c->p.views->out, "views") : NULL;
    struct json *list = json_arr(a);
    for (size_t i = 0; i < json_len(columns); i++) {
        const char *name = json_get_c(json_at(columns, i), "name");
        if (name != NULL && !is_listed(label, name))
            (void)json_add(a, list, json_copy(a, json_at(columns, i)));
    }
    for (size_t i = 0; i < d->n_features; i++) {
        const struct dataset_feature *f = &d->features[i];
        const char *view = str_dup(a, f->view);
        const char *prefix = f->as.n > 0 ? str_dup(a, f->as) : view;
        const struct json *cols = json_get(pipe_view(views, view), "columns");
        for (size_t k = 0; f->kind == DATASET_VIEW && k < json_len(cols); k++) {
            struct json *col = json_copy(a, json_at(cols, k));
            (void)json_set(a, col, "name", json_fmt(a, "%s.%s", prefix, json_get_c(col, "name")));
            (void)json_add(a, list, col);
        }
    }
    return list;
}

/* Every name that slices and expressions may use. */
static const char **known_names(struct checker *c, const struct json *columns, size_t *ret_n)
{
    const struct features_spec *f = &c->p.spec->features;
    size_t n = json_len(columns), k = 0;
    for (size_t i = 0; i < f->n; i++)
        n += f->p[i].n_exprs;
    const char **names = ARENA_NEW_N(c->a, const char *, n + 1);
    for (size_t i = 0; names != NULL && i < json_len(columns); i++)
        names[k++] = json_get_c(json_at(columns, i), "name");
    for (size_t i = 0; names != NULL && i < f->n; i++) {
        for (size_t e = 0; e < f->p[i].n_exprs; e++)
            names[k++] = str_dup(c->a, f->p[i].exprs[e].name);
    }
    *ret_n = k;
    return names;
}

/* The whole name, or its last part. */
static bool is_known(const char *const *names, size_t n, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < n; i++) {
        size_t have = names[i] != NULL ? strlen(names[i]) : 0;
        if (have >= len && strcmp(names[i] + have - len, name) == 0 &&
            (have == len || names[i][have - len - 1] == '.'))
            return true;
    }
    return false;
}

static void check_slice(struct checker *c, const struct cfg_node *node, const char *const *names,
                        size_t n_names)
{
    const char **used = NULL;
    size_t n = 0;
    struct err why = ERR_INIT;
    if (expr_names(node->text, c->a, &used, &n, &why) != ERR_OK) {
        cfg_error(&c->ps, node, "slice %.*s: %s", STR_ARG(node->text), why.msg);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (is_known(names, n_names, used[i]))
            continue;
        const char *near = str_nearest(str_c(used[i]), names, n_names);
        cfg_error(&c->ps, node, "slice %.*s: no column or feature is called %s%s%s",
                  STR_ARG(node->text), used[i], near != NULL ? "; did you mean " : "",
                  near != NULL ? near : "");
    }
}

static void check_slices(struct checker *c, const struct json *columns)
{
    size_t n = 0;
    const char **names = known_names(c, columns, &n);
    const struct cfg_node *slices = cfg_get(cfg_get(c->p.spec->file.root, "evaluate"), "slices");
    for (size_t i = 0; names != NULL && slices != NULL && i < slices->n; i++) {
        if (slices->items[i]->type == CFG_SCALAR)
            check_slice(c, slices->items[i], names, n);
    }
}

/* Label columns as features; features that nothing has; slices. */
static enum err_code check_columns(struct checker *c, struct err *err)
{
    struct pipe *p = &c->p;
    struct json *label = NULL, *plan = NULL;
    struct err why = ERR_INIT;
    const struct pipe_source *rows =
        p->spec->has_dataset ? pipe_source(p, p->spec->dataset.rows) : NULL;
    if (rows == NULL || !rows->is_ready || p->dataset == NULL)
        return ERR_OK;
    enum err_code code = dataset_label_columns(&p->env, &p->spec->dataset, c->a, &label, &why);
    if (code != ERR_OK) {
        cfg_error(&c->ps, cfg_get(cfg_get(p->spec->file.root, "dataset"), "label"), "%s", why.msg);
        return ERR_OK;
    }
    code = dataset_check_static(&p->spec->dataset, &p->spec->features, label, c->a, &c->ps, err);
    if (code != ERR_OK)
        return code;
    struct json *columns = future_columns(c, label);
    p->dataset->out = json_set(c->a, json_obj(c->a), "columns", columns);
    if (c->ps.n_errors == 0 && p->spec->has_train && pipe_plan(p, c->a, &plan, &why) != ERR_OK)
        cfg_error(&c->ps, cfg_get(cfg_get(p->spec->file.root, "dataset"), "features"), "%s",
                  why.msg);
    p->dataset->out = NULL;
    check_slices(c, columns);
    return ERR_OK;
}

/* ---- the whole ---- */

static struct json *steps_json(const struct graph *g, struct arena *a)
{
    struct json *list = json_arr(a);
    for (size_t i = 0; i < g->n; i++)
        (void)json_add(a, list, json_cstr(a, g->steps[i]->name));
    return list;
}

static enum err_code check_data(struct checker *c, enum check_depth depth, struct err *err)
{
    bool is_ok = false;
    enum err_code code = run_steps(c, depth, &is_ok, err);
    if (code != ERR_OK)
        return code;
    bool has_views = c->p.views == NULL || c->p.views->out != NULL;
    return has_views ? check_columns(c, err) : ERR_OK;
}

static enum err_code check_whole(struct checker *c, const struct pipeline_host *host,
                                 enum check_depth depth, struct json *doc, struct err *err)
{
    struct err why = ERR_INIT;
    enum err_code code = pipe_open(host, &c->order, c->a, &c->p, &why);
    if (code == ERR_CONFIG)
        cfg_error(&c->ps, c->p.spec != NULL ? c->p.spec->file.root : NULL, "%s", why.msg);
    else if (code != ERR_OK && err != NULL)
        *err = why;
    if (code == ERR_OK) {
        (void)json_set(c->a, doc, "steps", steps_json(&c->p.graph, c->a));
        if (depth > CHECK_DEPTH_FILE)
            code = check_data(c, depth, err);
    }
    pipe_close(&c->p);
    return code == ERR_CONFIG ? ERR_OK : code;
}

enum err_code pipeline_check(const struct pipeline_host *host, const char *root,
                             enum check_depth depth, struct arena *a, struct json **ret,
                             struct err *err)
{
    struct checker *c = ARENA_NEW(a, struct checker);
    struct pipeline_spec *spec = ARENA_NEW(a, struct pipeline_spec);
    struct json *doc = json_obj(a);
    if (c == NULL || spec == NULL)
        return arena_err(a, err);
    c->a = a;
    c->needs = json_obj(a);
    c->order = (struct pipeline_order){.root = root};
    cfg_problems_init(&c->ps, a);
    enum err_code code = check_file(c, root, spec, err);
    if (code == ERR_OK && c->ps.n_errors == 0)
        code = check_whole(c, host, depth, doc, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, doc, "ok", json_bool(a, c->ps.n_errors == 0));
    (void)json_set(a, doc, "problems", cfg_problems_json(&c->ps, a));
    *ret = json_set(a, doc, "needs", c->needs);
    if (c->ps.n_errors == 0)
        return ERR_OK;
    return err_set(err, ERR_NO, "pawl.yaml has %zu problem%s", c->ps.n_errors,
                   c->ps.n_errors == 1 ? "" : "s");
}
