/* Which paths an unchanged run depends on: configuration, code, data, what steps read and wrote, and the journal of decisions
 * (another live model is another incumbent). */
#include <math.h>

#include "base/check.h"
#include "base/file.h"
#include "pipeline/pipe_open.h"

/* Can stat alone tell that nothing changed? */
static bool can_tell(const struct pipe *p)
{
    const struct pipeline_order *o = p->order;
    if (o->revision != NULL || o->cache != PIPELINE_CACHE_USE || o->pins != NULL || o->is_seed)
        return false;
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        if (p->spec->sources.p[i].kind != SOURCE_PATH)
            return false;
    }
    for (size_t i = 0; i < p->spec->steps.n; i++) {
        if (p->spec->steps.p[i].is_always)
            return false;
    }
    return true;
}

static void add_path(struct pipe *p, struct fresh_record *r, const char *rel)
{
    const char *path = rel[0] == '/' ? rel : path_join(p->a, p->spec->dir, rel);
    if (path != NULL)
        fresh_record_path(r, path);
}

static void add_pattern(struct pipe *p, struct fresh_record *r, const char *rel)
{
    const char *path = rel[0] == '/' ? rel : path_join(p->a, p->spec->dir, rel);
    if (path != NULL && strpbrk(rel, "*?[") != NULL)
        fresh_record_glob(r, path);
    else if (path != NULL)
        fresh_record_path(r, path);
}

static void add_directory(struct pipe *p, struct fresh_record *r, const char *rel)
{
    const char *path = path_join(p->a, p->spec->dir, rel);
    const char *all = path != NULL && dir_exists(path) ? path_join(p->a, path, "**") : NULL;
    if (all != NULL)
        fresh_record_glob(r, all);
}

static void add_steps(struct pipe *p, struct fresh_record *r)
{
    for (size_t i = 0; i < p->graph.n; i++) {
        const struct step *s = p->graph.steps[i];
        const struct user_step *u = s->ops == &STEP_USER ? s->spec : NULL;
        const struct json *files = json_get(s->out, "files");
        if (u == NULL || s->state == STEP_UNASKED)
            continue;
        for (size_t k = 0; k < u->n_reads; k++) {
            add_pattern(p, r, u->reads[k]);
            add_directory(p, r, u->reads[k]);
        }
        for (size_t k = 0; k < json_len(files); k++) {
            const char *name = str_dup(p->a, files->u.obj.members[k].key);
            if (name != NULL)
                add_path(p, r, name);
        }
    }
}

static void add_sources(struct pipe *p, struct fresh_record *r)
{
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        const struct source_spec *s = &p->spec->sources.p[i];
        for (size_t k = 0; k < s->n_paths; k++) {
            const char *path = str_dup(p->a, s->paths[k]);
            if (path != NULL)
                add_pattern(p, r, path);
        }
    }
}

/* Until when does every freshness rule keep its verdict? */
static int64_t fresh_until(struct pipe *p)
{
    int64_t until = INT64_MAX;
    if (p->as_of_us != AT_US_NONE)
        return until;
    for (size_t i = 0; i < p->spec->checks.n; i++) {
        const struct checks_of_source *c = &p->spec->checks.p[i];
        const struct pipe_source *src = pipe_source(p, c->source);
        for (size_t k = 0; src != NULL && k < c->n; k++) {
            if (c->p[k].kind != CHECK_FRESHNESS || src->version.known_max_us == AT_US_NONE)
                continue;
            int64_t at = src->version.known_max_us + json_get_int(c->p[k].params, "limit_us", 0);
            if (at > p->at_us && at < until)
                until = at;
        }
    }
    return until;
}

/* Small: what a person or a script looks at when nothing happened. */
static struct json *short_answer(struct pipe *p, const struct pipeline_result *res)
{
    struct arena *a = p->a;
    struct json *v = json_obj(a), *counts = json_obj(a);
    (void)json_set(a, counts, "steps", json_int(a, (int64_t)res->n_steps));
    (void)json_set(a, counts, "ran", json_int(a, 0));
    (void)json_set(a, counts, "reused", json_int(a, (int64_t)res->n_steps));
    (void)json_set(a, v, "outcome", json_cstr(a, pipeline_outcome_name(PIPELINE_UNCHANGED)));
    (void)json_set(a, v, "run", json_cstr(a, res->run_id));
    (void)json_set(a, v, "project", json_cstr(a, res->project));
    (void)json_set(a, v, "revision", json_cstr(a, res->revision));
    (void)json_set(a, v, "counts", counts);
    (void)json_set(a, v, "model", json_copy(a, json_get(res->doc, "model")));
    (void)json_set(a, v, "data", json_copy(a, res->data));
    return v;
}

enum err_code fresh_write(struct pipe *p, const struct pipeline_result *res, struct err *err)
{
    struct fresh_order o = {.home = p->host->home,
                            .root = p->spec->dir,
                            .steps = p->order->steps,
                            .n_steps = p->order->n_steps,
                            .as_of_us = p->as_of_us,
                            .now_us = p->at_us};
    struct fresh_record *r = fresh_record_new(p->a);
    if (!can_tell(p))
        return ERR_OK;
    if (r == NULL)
        return arena_err(p->a, err);
    for (size_t i = 0; i < p->n_revision_paths; i++)
        add_path(p, r, p->revision_paths[i]);
    add_path(p, r, "pawl.yaml");
    add_path(p, r, "dvc.yaml");
    if (p->spec->evaluate.cases_path != NULL)
        add_path(p, r, p->spec->evaluate.cases_path);
    fresh_record_path(r, str_printf(p->a, "%s/decisions.log", p->host->home));
    add_sources(p, r);
    add_steps(p, r);
    enum err_code code = fresh_record_save(r, &o, fresh_until(p), short_answer(p, res), err);
    if (code == ERR_UNSUPPORTED) {
        err_reset(err);
        code = ERR_OK;
    }
    return code;
}
