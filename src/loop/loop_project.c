/* The project behind an endpoint: the revision of its live release, decoded once. */
#include <stdio.h>
#include <stdlib.h>

#include "loop/loop_int.h"

void loop_project_free(struct loop_project *p)
{
    if (!p)
        return;
    arena_fini(&p->arena);
    free(p);
}

enum err_code loop_project_load(struct turn *t, const char *name, const char *revision,
                                struct loop_project **ret)
{
    struct loop_project *p = calloc(1, sizeof(*p));
    struct cfg_problems ps;

    if (!p)
        return err_nomem(t->err);
    arena_init(&p->arena, PROJECT_BYTES);
    cfg_problems_init(&ps, &p->arena);
    p->name = str_dup(&p->arena, str_c(name ? name : ""));
    p->revision = str_dup(&p->arena, str_c(revision));
    if (release_policy(t->l->opt.release, revision, &p->arena, &p->policy, t->err) != ERR_OK) {
        loop_project_free(p);
        return t->err->code;
    }
    sources_spec_decode(cfg_get(p->policy.root, "sources"), p->policy.root, &p->arena, &p->sources,
                        &ps);
    checks_spec_decode(cfg_get(p->policy.root, "checks"), p->policy.root, &p->sources, &p->arena,
                       &p->checks, &ps);
    features_spec_decode(cfg_get(p->policy.root, "features"), p->policy.root, &p->arena,
                         &p->features, &ps);
    trigger_spec_decode(cfg_get(p->policy.root, "triggers"), p->policy.root, &p->arena,
                        &p->triggers, &ps);
    if (cfg_problems_err(&ps, t->err) != ERR_OK) {
        loop_project_free(p);
        return err_wrap(t->err, "revision %.12s", revision);
    }
    *ret = p;
    return ERR_OK;
}

enum err_code loop_project_refresh(struct turn *t)
{
    const char *name = NULL;
    const char *revision = release_live_revision(t->l->opt.release, t->ep->name, t->a, &name);
    struct loop_project *fresh = NULL;

    if (t->ep->job) /* a lap reads the project that is there */
        return ERR_OK;
    if (!revision || (t->ep->project && strcmp(t->ep->project->revision, revision) == 0))
        return ERR_OK;
    if (loop_project_load(t, name, revision, &fresh) != ERR_OK)
        return t->err->code;
    if (monitor_configure(t->l->opt.monitor, t->ep->name, &fresh->policy.monitor, t->err) !=
        ERR_OK) {
        loop_project_free(fresh);
        return t->err->code;
    }
    loop_project_free(t->ep->project);
    t->ep->project = fresh;
    t->ep->needs_materialize = true;
    for (size_t i = 0; i < fresh->sources.n; i++) {
        const struct source_spec *s = &fresh->sources.p[i];
        struct loop_source *ls = loop_source_get(t->ep, s->name);
        if (!ls)
            return err_set(t->err, ERR_LIMIT, "a project has at most %d sources", LOOP_SOURCES_MAX);
        ls->freshness_us = s->freshness_us > 0 ? s->freshness_us : 0;
        (void)snprintf(ls->owner, sizeof(ls->owner), "%.*s", STR_ARG(s->owner));
    }
    return ERR_OK;
}

struct data_env loop_data_env(const struct turn *t)
{
    return (struct data_env){.db = t->l->opt.db,
                             .blobs = t->l->opt.blobs,
                             .pool = t->l->opt.pool,
                             .clock = t->l->opt.clock,
                             .project = t->ep->project->name,
                             .project_root = t->l->opt.root,
                             .tmp_dir = str_printf(t->a, "%s/tmp", t->l->opt.home)};
}
