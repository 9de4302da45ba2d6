/* What a rollout's candidate reads. Its own revision may name sources and views that the live release does not; they are
 * kept as fresh as the live ones, or shadow and canary would judge a release that finds nothing. */
#include "loop/loop_int.h"

static const char *candidate_revision(struct turn *t)
{
    struct rollout r;
    const char *revision;

    if (!t->ep->project || !t->l->opt.db || !t->l->opt.pool ||
        !release_rollout(t->l->opt.release, t->ep->name, t->a, &r))
        return NULL;
    revision = release_revision(t->l->opt.release, t->ep->name, r.candidate, t->a);
    return revision && strcmp(revision, t->ep->project->revision) != 0 ? revision : NULL;
}

/* Sources that only the candidate has. New rows there start no lap: the live project does not read them. */
static enum err_code look(struct turn *t, const struct sources_spec *live)
{
    const struct data_env env = loop_data_env(t);
    const struct sources_spec *all = &t->ep->project->sources;
    const struct loop_pending before = t->ep->pending[TRIGGER_NEW_DATA];
    enum err_code code = ERR_OK;

    for (size_t i = 0; i < all->n && code == ERR_OK; i++)
        if (!sources_spec_find(live, all->p[i].name))
            code = loop_look_at_source(t, &env, &all->p[i]);
    t->ep->pending[TRIGGER_NEW_DATA] = before;
    return code;
}

enum err_code loop_candidate(struct turn *t)
{
    struct loop_project *live = t->ep->project;
    const bool was_needed = t->ep->needs_materialize;
    const char *revision = candidate_revision(t);
    enum err_code code;

    if (!revision || (t->ep->candidate && strcmp(t->ep->candidate->revision, revision) != 0)) {
        loop_project_free(t->ep->candidate);
        t->ep->candidate = NULL;
    }
    if (!revision)
        return ERR_OK;
    if (!t->ep->candidate) {
        if (loop_project_load(t, live->name, revision, &t->ep->candidate) != ERR_OK)
            return t->err->code;
        t->ep->needs_materialize = true;
    }
    t->ep->project = t->ep->candidate;
    code = look(t, &live->sources);
    if (code == ERR_OK)
        code = loop_materialize(t);
    t->ep->project = live;
    t->ep->needs_materialize = was_needed;
    return code == ERR_OK ? code : err_wrap(t->err, "the rollout's candidate");
}
