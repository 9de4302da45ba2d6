/* From the sections to the standard graph. Edges "for order" carry no content: what a check says does not change what the
 * next step computes, only whether it may. */
#include "base/check.h"
#include "base/vec.h"
#include "pipeline/pipe.h"

static enum err_code full(const struct pipe *p, struct err *err)
{
    return arena_err(p->a, err);
}

static struct step *add(struct pipe *p, const char *name, const struct step_ops *ops,
                        const void *spec)
{
    return name != NULL ? graph_add(&p->graph, name, ops, spec) : NULL;
}

/* Every step of one kind goes before s. */
static bool after_all(struct pipe *p, struct step *s, const struct step_ops *ops)
{
    for (size_t i = 0; i < p->graph.n; i++) {
        if (p->graph.steps[i]->ops == ops && p->graph.steps[i] != s &&
            !graph_after(&p->graph, s, p->graph.steps[i]))
            return false;
    }
    return true;
}

static enum err_code add_data(struct pipe *p, struct err *err)
{
    const struct pipeline_spec *sp = p->spec;
    p->sources = ARENA_NEW_N(p->a, struct pipe_source, sp->sources.n + 1);
    if (p->sources == NULL)
        return full(p, err);
    for (size_t i = 0; i < sp->sources.n; i++) {
        const struct source_spec *src = &sp->sources.p[i];
        p->sources[i].spec = src;
        if (add(p, str_printf(p->a, "ingest.%.*s", STR_ARG(src->name)), &STEP_INGEST,
                &p->sources[i]) == NULL)
            return full(p, err);
    }
    for (size_t i = 0; i < sp->checks.n; i++) {
        const struct checks_of_source *c = &sp->checks.p[i];
        struct step *s =
            add(p, str_printf(p->a, "validate.%.*s", STR_ARG(c->source)), &STEP_VALIDATE, c);
        if (s == NULL || !after_all(p, s, &STEP_INGEST))
            return full(p, err);
    }
    return ERR_OK;
}

static bool has_batch_views(const struct pipeline_spec *sp)
{
    for (size_t i = 0; i < sp->features.n; i++) {
        if (sp->features.p[i].kind == VIEW_BATCH)
            return true;
    }
    return false;
}

/* Is this view among the data set's features? */
static bool is_used(const struct pipeline_spec *sp, const struct view_spec *v)
{
    for (size_t i = 0; i < sp->dataset.n_features; i++) {
        const struct dataset_feature *f = &sp->dataset.features[i];
        if (f->kind == DATASET_VIEW && str_eq(f->view, v->name))
            return true;
    }
    return false;
}

static enum err_code add_views(struct pipe *p, struct err *err)
{
    const struct pipeline_spec *sp = p->spec;
    if (!has_batch_views(sp))
        return ERR_OK;
    p->views = add(p, "views", &STEP_VIEWS, NULL);
    if (p->views == NULL || !after_all(p, p->views, &STEP_INGEST))
        return full(p, err);
    struct step *future = add(p, "validate.views", &STEP_FUTURE, NULL);
    if (future == NULL || !graph_after(&p->graph, future, p->views))
        return full(p, err);
    for (size_t i = 0; i < sp->features.n; i++) {
        const struct view_spec *v = &sp->features.p[i];
        if (v->kind != VIEW_BATCH || !is_used(sp, v))
            continue;
        struct step *s = add(p, str_printf(p->a, "view.%.*s", STR_ARG(v->name)), &STEP_VIEW, v);
        if (s == NULL || !graph_after(&p->graph, s, p->views) || !after_all(p, s, &STEP_VALIDATE) ||
            !graph_after(&p->graph, s, future))
            return full(p, err);
    }
    return ERR_OK;
}

static enum err_code add_dataset(struct pipe *p, struct err *err)
{
    if (!p->spec->has_dataset)
        return ERR_OK;
    p->dataset = add(p, "dataset", &STEP_DATASET, NULL);
    if (p->dataset == NULL || !after_all(p, p->dataset, &STEP_INGEST) ||
        !after_all(p, p->dataset, &STEP_VALIDATE) || !after_all(p, p->dataset, &STEP_FUTURE))
        return full(p, err);
    for (size_t i = 0; i < p->graph.n; i++) {
        if (p->graph.steps[i]->ops == &STEP_VIEW &&
            !graph_need(&p->graph, p->dataset, p->graph.steps[i]))
            return full(p, err);
    }
    struct step *leak = add(p, "validate.dataset", &STEP_LEAKAGE, NULL);
    return leak != NULL && graph_need(&p->graph, leak, p->dataset) ? ERR_OK : full(p, err);
}

static enum err_code add_model(struct pipe *p, struct err *err)
{
    if (!p->spec->has_dataset || !p->spec->has_train)
        return ERR_OK;
    struct graph *g = &p->graph;
    p->train = add(p, "train", &STEP_TRAIN, NULL);
    p->profile = add(p, "profile", &STEP_PROFILE, NULL);
    p->evaluate = add(p, "evaluate", &STEP_EVALUATE, NULL);
    p->register_ = add(p, "register", &STEP_REGISTER, NULL);
    if (p->train == NULL || p->profile == NULL || p->evaluate == NULL || p->register_ == NULL)
        return full(p, err);
    bool is_ok = graph_need(g, p->train, p->dataset) && after_all(p, p->train, &STEP_LEAKAGE) &&
                 graph_need(g, p->profile, p->train) && graph_need(g, p->profile, p->dataset) &&
                 graph_need(g, p->evaluate, p->profile) && graph_need(g, p->evaluate, p->dataset) &&
                 graph_need(g, p->register_, p->profile) &&
                 graph_need(g, p->register_, p->evaluate);
    return is_ok ? ERR_OK : full(p, err);
}

static bool is_step_prefix(const char *step, const char *name)
{
    size_t n = strlen(name);
    return strncmp(step, name, n) == 0 && (step[n] == '\0' || step[n] == '.');
}

/* Output path -> step that writes it. */
static struct map *writers(struct pipe *p)
{
    struct map *m = map_new(p->a);
    for (size_t i = 0; m != NULL && i < p->graph.n; i++) {
        struct step *s = p->graph.steps[i];
        const struct user_step *u = s->ops == &STEP_USER ? s->spec : NULL;
        for (size_t k = 0; u != NULL && k < u->n_writes; k++) {
            if (!map_put(m, u->writes[k], strlen(u->writes[k]), s))
                return NULL;
        }
    }
    return m;
}

struct wiring {
    struct pipe *p;
    struct map *writers, *names;
    size_t n_builtin; /* steps before the user's */
};

static enum err_code wire_one(const struct wiring *w, struct step *s, const char *read,
                              struct err *err)
{
    struct graph *g = &w->p->graph;
    struct step *by_path = map_get(w->writers, read, strlen(read));
    struct step *by_name = map_get(w->names, read, strlen(read));
    bool is_ok = true;
    if (by_name == s)
        return err_set(err, ERR_CONFIG, "step %s reads itself", s->name);
    if (by_path != NULL && by_path != s)
        return graph_need(g, s, by_path) ? ERR_OK : full(w->p, err);
    if (by_name != NULL)
        return graph_need(g, s, by_name) ? ERR_OK : full(w->p, err);
    for (size_t i = 0; i < w->n_builtin && is_ok; i++) {
        if (is_step_prefix(g->steps[i]->name, read))
            is_ok = graph_need(g, s, g->steps[i]);
    }
    return is_ok ? ERR_OK : full(w->p, err);
}

static enum err_code add_user(struct pipe *p, struct err *err)
{
    const struct user_steps *us = &p->spec->steps;
    struct wiring w = {.p = p, .n_builtin = p->graph.n, .names = map_new(p->a)};
    for (size_t i = 0; i < us->n; i++) {
        if (add(p, us->p[i].name, &STEP_USER, &us->p[i]) == NULL)
            return full(p, err);
    }
    w.writers = writers(p);
    if (w.names == NULL || w.writers == NULL)
        return full(p, err);
    for (size_t i = 0; i < p->graph.n; i++) {
        struct step *s = p->graph.steps[i];
        if (!map_put(w.names, s->name, strlen(s->name), s))
            return full(p, err);
    }
    for (size_t i = w.n_builtin; i < p->graph.n; i++) {
        struct step *s = p->graph.steps[i];
        const struct user_step *u = s->spec;
        for (size_t k = 0; k < u->n_reads; k++) {
            enum err_code code = wire_one(&w, s, u->reads[k], err);
            if (code != ERR_OK)
                return code;
        }
    }
    return ERR_OK;
}

enum err_code pipe_compile(struct pipe *p, struct err *err)
{
    graph_init(&p->graph, p->a);
    enum err_code code = add_data(p, err);
    if (code == ERR_OK)
        code = add_views(p, err);
    if (code == ERR_OK)
        code = add_dataset(p, err);
    if (code == ERR_OK)
        code = add_model(p, err);
    if (code == ERR_OK)
        code = add_user(p, err);
    if (code == ERR_OK)
        code = graph_check(&p->graph, err);
    if (code == ERR_OK && p->graph.n == 0)
        code = err_set(err, ERR_CONFIG,
                       "there is nothing to run: pawl.yaml declares no sources and no steps");
    return code;
}
