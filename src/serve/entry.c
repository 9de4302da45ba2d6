/* Entries: the decided state of each endpoint with the runtimes that it needs. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "serve/serve_int.h"

#define STATE_BYTES (64u << 20)

struct serve_entry *entry_find(const struct serve *s, const char *name)
{
    for (struct serve_entry *e = s->entries; e; e = e->next)
        if (strcmp(e->name, name) == 0)
            return e;
    return NULL;
}

struct serve_entry *entry_get(struct serve *s, const char *name)
{
    struct serve_entry *e = entry_find(s, name);
    if (e)
        return e;
    e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    arena_init(&e->arena, STATE_BYTES);
    memcpy(e->name, name, strlen(name) + 1);
    atomic_store(&e->counters.clock_us, AT_US_NONE);
    e->next = s->entries;
    s->entries = e;
    return e;
}

void runtimes_unref(struct runtime **r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        runtime_unref(r[i]);
}

void entry_free(struct serve_entry *e)
{
    runtimes_unref(e->loaded, e->n_loaded);
    arena_fini(&e->arena);
    free(e);
}

struct runtime *runtime_of(struct runtime *const *r, size_t n, int64_t release)
{
    for (size_t i = 0; i < n; i++)
        if (runtime_release(r[i]) == release)
            return r[i];
    return NULL;
}

struct wanted {
    struct runtime **r;
    size_t n;
};

/* Adds the release, from what is loaded or from the store, and the names of its fields to the log. */
static enum err_code want(struct serve *s, const struct serve_entry *e, struct wanted *w,
                          int64_t release, const struct json *doc, struct err *err)
{
    if (runtime_of(w->r, w->n, release))
        return ERR_OK;
    struct runtime *r = runtime_of(e->loaded, e->n_loaded, release);
    struct runtime_source src = {s->opt.blobs, s->models_dir, s->opt.online};
    if (r) {
        r = runtime_ref(r);
    } else if (!doc) {
        return err_set(err, ERR_NOT_FOUND, "the document of release r%lld is not known",
                       (long long)release);
    } else if (runtime_load(&src, release, doc, &r, err) != ERR_OK) {
        return err->code;
    } else if (s->opt.log && schema_store_put(feedback_log_schemas(s->opt.log), runtime_schema(r),
                                              err) != ERR_OK) {
        runtime_unref(r);
        return err->code;
    }
    CHECK(w->n < LOADED_MAX);
    w->r[w->n++] = r;
    return ERR_OK;
}

/* Requests must mean the same to both: a candidate that gives another number of scores cannot stand in for the other. */
static enum err_code candidate_check(const struct endpoint_state *state, const struct wanted *w,
                                     struct err *err)
{
    const struct runtime *live = runtime_of(w->r, w->n, state->live);
    const struct runtime *cand = runtime_of(w->r, w->n, state->rollout.candidate);
    if (runtime_n_outputs(live) != runtime_n_outputs(cand))
        return err_set(err, ERR_REFUSED,
                       "r%lld answers %zu scores, r%lld answers %zu: not the same interface",
                       (long long)state->live, runtime_n_outputs(live),
                       (long long)state->rollout.candidate, runtime_n_outputs(cand));
    for (size_t i = 0; i < state->rollout.n_sticky; i++)
        if (plan_find(runtime_plan(live), str_c(state->rollout.sticky_by[i])) < 0)
            return err_set(err, ERR_INVALID,
                           "sticky_by: \"%s\" is not a field of the requests of r%lld",
                           state->rollout.sticky_by[i], (long long)state->live);
    return ERR_OK;
}

enum err_code entry_load(struct serve *s, const struct serve_entry *e,
                         const struct endpoint_state *state, struct runtime **ret, size_t *ret_n,
                         struct err *err)
{
    struct wanted w = {ret, 0};
    enum err_code code = ERR_OK;
    if (state->live)
        code = want(s, e, &w, state->live, state->live_doc, err);
    if (code == ERR_OK && state->has_rollout) {
        code = want(s, e, &w, state->rollout.candidate, state->rollout.doc, err);
        if (code == ERR_OK)
            code = candidate_check(state, &w, err);
    }
    if (code != ERR_OK) {
        runtimes_unref(w.r, w.n);
        return code;
    }
    int n_kept = 0;
    for (size_t i = state->n_history; i-- > 0 && n_kept < ENDPOINT_KEEP && w.n < LOADED_MAX;) {
        struct err ignored = ERR_INIT;
        size_t before = w.n;
        if (want(s, e, &w, state->history[i].release, state->history[i].doc, &ignored) == ERR_OK &&
            w.n > before)
            n_kept++;
    }
    *ret_n = w.n;
    return ERR_OK;
}
