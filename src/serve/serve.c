/* Opening, looking, closing. */
#include "serve/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "serve/serve_int.h"

#define START_BYTES (512u << 20)

/* ---- the journal behind the snapshot file ---- */

struct fold {
    struct serve *s;
    struct arena *arena;
    struct err err;
};

static enum err_code record_fold(struct serve *s, uint64_t gen, const struct json *record,
                                 struct arena *a, struct err *err)
{
    const struct json *state = json_get(record, "state");
    const char *kind = json_get_c(record, "kind");
    struct endpoint_state st;
    if (!state || !kind)
        return ERR_OK; /* a decision of another module */
    if (endpoint_state_read(state, a, &st, err) != ERR_OK)
        return err->code;
    st.generation = gen;
    if (strcmp(kind, SERVE_DECISION_NAMES[SERVE_ROLLOUT_START]) == 0)
        st.rollout.id = gen;
    struct serve_entry *e = entry_get(s, st.name);
    if (!e)
        return err_nomem(err);
    arena_reset(&e->arena);
    e->is_there = strcmp(kind, SERVE_DECISION_NAMES[SERVE_DROP]) != 0;
    return endpoint_state_copy(&st, &e->arena, &e->state, err);
}

static bool on_record(void *arg, uint64_t gen, int64_t at_us, const struct json *record)
{
    struct fold *f = arg;
    (void)at_us;
    if (record_fold(f->s, gen, record, f->arena, &f->err) != ERR_OK) {
        err_wrap(&f->err, "decision %llu", (unsigned long long)gen);
        return false;
    }
    f->s->generation = gen;
    return true;
}

static enum err_code states_read(struct serve *s, struct err *err)
{
    struct arena a;
    arena_init(&a, START_BYTES);
    struct fold f = {.s = s, .arena = &a};
    enum err_code code = snapshot_file_read(s, &a, err);
    if (code != ERR_OK) { /* the journal alone is enough */
        for (struct serve_entry *e = s->entries; e; e = e->next)
            e->is_there = false;
        s->generation = 0;
        err_reset(err);
    }
    code = journal_read(s->opt.journal, s->generation, &a, on_record, &f, err);
    if (code == ERR_OK && f.err.code != ERR_OK) {
        *err = f.err;
        code = err->code;
    }
    arena_fini(&a);
    return code;
}

/* What cannot be loaded any more is said, and does not keep the others from serving. */
static void runtimes_load(struct serve *s)
{
    for (struct serve_entry *e = s->entries; e; e = e->next) {
        struct err err = ERR_INIT;
        if (!e->is_there)
            continue;
        if (entry_load(s, e, &e->state, e->loaded, &e->n_loaded, &err) == ERR_OK)
            continue;
        snprintf(e->problem, sizeof e->problem, "%s", err.msg);
        struct endpoint_state alone = e->state;
        alone.has_rollout = false;
        e->n_loaded = 0;
        err_reset(&err);
        if (entry_load(s, e, &alone, e->loaded, &e->n_loaded, &err) != ERR_OK)
            e->n_loaded = 0;
    }
}

/* A rollout in progress goes on counting for its fuse. */
static void fuses_restore(struct serve *s)
{
    for (struct serve_entry *e = s->entries; e; e = e->next)
        if (e->state.has_rollout)
            atomic_store(&e->counters.fuse_rollout, e->state.rollout.id);
}

enum err_code serve_open(const struct serve_options *opt, struct serve **ret, struct err *err)
{
    struct serve *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    if (!s)
        return err_nomem(err);
    memset(s, 0, sizeof *s);
    s->opt = *opt;
    s->opt.rows_max = opt->rows_max ? opt->rows_max : ROWS_MAX;
    snprintf(s->dir, sizeof s->dir, "%s", opt->dir);
    snprintf(s->models_dir, sizeof s->models_dir, "%s/models", s->dir);
    mutex_init(&s->apply_mutex, "serve.apply", RANK_APPLY);
    mutex_init(&s->state_mutex, "serve.state", RANK_STATE);
    mutex_init(&s->reaper_mutex, "serve.reaper", RANK_REAPER);
    mutex_init(&s->spare_mutex, "serve.spare", RANK_SPARE);
    cond_init(&s->reaper_wake);
    epochs_init(&s->epochs);
    enum err_code code = dir_make(s->models_dir, 0700, err);
    if (code == ERR_OK)
        code = states_read(s, err);
    if (code == ERR_OK)
        code = clocks_read(s, err);
    if (code == ERR_OK) {
        runtimes_load(s);
        fuses_restore(s);
        code = snapshot_publish(s, err);
    }
    if (code == ERR_OK)
        code = reaper_start(s, err);
    if (code != ERR_OK) {
        serve_close(s);
        return err_wrap(err, "start serving");
    }
    *ret = s;
    return ERR_OK;
}

void serve_close(struct serve *s)
{
    if (!s)
        return;
    reaper_stop(s);
    struct snapshot *snap = atomic_load(&s->snapshot);
    snapshot_free(snap);
    while (s->retired) {
        snap = s->retired;
        s->retired = snap->next;
        snapshot_free(snap);
    }
    while (s->entries) {
        struct serve_entry *e = s->entries;
        s->entries = e->next;
        entry_free(e);
    }
    while (s->owed) {
        struct owed_record *o = s->owed;
        s->owed = o->next;
        free(o->text);
        free(o);
    }
    cond_fini(&s->reaper_wake);
    mutex_fini(&s->apply_mutex);
    mutex_fini(&s->state_mutex);
    mutex_fini(&s->reaper_mutex);
    mutex_fini(&s->spare_mutex);
    free(s);
}

/* ---- looking ---- */

static struct serve_entry *entry_there(struct serve *s, const char *name)
{
    struct serve_entry *e = entry_find(s, name);
    return e && e->is_there ? e : NULL;
}

static enum err_code no_endpoint(const char *name, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "there is no endpoint %s", name);
}

enum err_code serve_endpoint(struct serve *s, const char *name, struct arena *a,
                             struct endpoint_state *ret, struct err *err)
{
    mutex_lock(&s->state_mutex);
    const struct serve_entry *e = entry_there(s, name);
    enum err_code code = e ? endpoint_state_copy(&e->state, a, ret, err) : no_endpoint(name, err);
    mutex_unlock(&s->state_mutex);
    return code;
}

static int name_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum err_code serve_endpoints(struct serve *s, struct arena *a, const char ***ret, size_t *ret_n,
                              struct err *err)
{
    size_t n = 0, i = 0;
    mutex_lock(&s->state_mutex);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        n += e->is_there;
    const char **names = ARENA_NEW_N(a, const char *, n);
    for (struct serve_entry *e = s->entries; e && names; e = e->next)
        if (e->is_there && !(names[i++] = str_dup(a, str_c(e->name))))
            names = NULL;
    mutex_unlock(&s->state_mutex);
    if (!names)
        return arena_err(a, err);
    if (n > 1)
        qsort(names, n, sizeof *names, name_cmp);
    *ret = names;
    *ret_n = n;
    return ERR_OK;
}

char *serve_problem(struct serve *s, const char *name, struct arena *a)
{
    mutex_lock(&s->state_mutex);
    const struct serve_entry *e = entry_there(s, name);
    char *text = e && e->problem[0] ? str_dup(a, str_c(e->problem)) : NULL;
    mutex_unlock(&s->state_mutex);
    return text;
}

bool serve_is_ready(struct serve *s)
{
    bool is_ready = true;
    mutex_lock(&s->state_mutex);
    for (const struct serve_entry *e = s->entries; e; e = e->next)
        if (e->is_there && e->state.live && !runtime_of(e->loaded, e->n_loaded, e->state.live))
            is_ready = false;
    mutex_unlock(&s->state_mutex);
    return is_ready;
}

enum err_code serve_runtime(struct serve *s, const char *endpoint, int64_t release,
                            struct runtime **ret, struct err *err)
{
    enum err_code code = ERR_OK;
    mutex_lock(&s->state_mutex);
    const struct serve_entry *e = entry_there(s, endpoint);
    struct runtime *r =
        e ? runtime_of(e->loaded, e->n_loaded, release ? release : e->state.live) : NULL;
    if (r)
        *ret = runtime_ref(r);
    else if (!e)
        code = no_endpoint(endpoint, err);
    else
        code = err_set(err, ERR_NOT_FOUND, "endpoint %s has r%lld not loaded", endpoint,
                       (long long)(release ? release : e->state.live));
    mutex_unlock(&s->state_mutex);
    return code;
}

void serve_stats(struct serve *s, struct serve_stats *ret)
{
    *ret = (struct serve_stats){atomic_load(&s->n_snapshots), atomic_load(&s->n_freed),
                                atomic_load(&s->n_predictions), atomic_load(&s->n_errors)};
}
