/* Snapshots: built from the entries, published by one store, written to serving/snapshot.json. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "serve/serve_int.h"

#define SNAPSHOT_BYTES (256u << 20)
#define FILE_FORMAT    1

void snapshot_free(struct snapshot *snap)
{
    if (!snap)
        return;
    for (size_t i = 0; i < snap->n; i++)
        runtimes_unref(snap->endpoints[i].loaded, snap->endpoints[i].n_loaded);
    arena_fini(&snap->arena);
    free(snap);
}

/* Where each field of live's requests goes in the candidate's. */
static bool fields_map(struct snap_endpoint *p, struct arena *a)
{
    const struct plan *live = runtime_plan(p->live), *cand = runtime_plan(p->candidate);
    p->to_candidate = ARENA_NEW_N(a, ptrdiff_t, plan_n_settable(live));
    for (size_t i = 0; p->to_candidate && i < plan_n_settable(live); i++)
        p->to_candidate[i] = plan_find(cand, str_c(plan_slot(live, i)->name));
    return p->to_candidate != NULL;
}

static bool rollout_fill(struct snap_endpoint *p, const struct serve_entry *e, struct arena *a)
{
    const struct endpoint_rollout *r = &e->state.rollout;
    char *salt = str_dup(a, str_c(r->salt));
    p->sticky = ARENA_NEW_N(a, size_t, r->n_sticky);
    if (!salt || !p->sticky)
        return false;
    p->rollout = r->id;
    p->share = r->is_paused ? 0 : r->share;
    p->salt = str_c(salt);
    p->fuse = r->fuse;
    p->fuse_min = r->fuse_min;
    if (!p->live)
        return true;
    for (size_t i = 0; i < r->n_sticky; i++) {
        ptrdiff_t slot = plan_find(runtime_plan(p->live), str_c(r->sticky_by[i]));
        if (slot >= 0)
            p->sticky[p->n_sticky++] = (size_t)slot;
    }
    p->candidate = r->is_paused ? NULL : runtime_of(p->loaded, p->n_loaded, r->candidate);
    return !p->candidate || fields_map(p, a);
}

static bool endpoint_fill(struct snap_endpoint *p, struct serve_entry *e, struct arena *a)
{
    char *name = str_dup(a, str_c(e->name));
    if (!name)
        return false;
    p->name = str_c(name);
    p->generation = e->state.generation;
    for (size_t i = 0; i < e->n_loaded; i++)
        p->loaded[p->n_loaded++] = runtime_ref(e->loaded[i]);
    p->live = e->state.live ? runtime_of(p->loaded, p->n_loaded, e->state.live) : NULL;
    p->has_fallback = e->state.has_fallback;
    p->fallback = (float)e->state.fallback;
    p->counters = &e->counters;
    return !e->state.has_rollout || rollout_fill(p, e, a);
}

static int by_name(const void *a, const void *b)
{
    const struct snap_endpoint *x = a, *y = b;
    return str_cmp(x->name, y->name);
}

static struct snapshot *snapshot_build(struct serve *s)
{
    size_t n = 0;
    struct snapshot *snap = calloc(1, sizeof *snap);
    if (!snap)
        return NULL;
    arena_init(&snap->arena, SNAPSHOT_BYTES);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        n += e->is_there;
    snap->endpoints = ARENA_NEW_N(&snap->arena, struct snap_endpoint, n);
    for (struct serve_entry *e = s->entries; e && snap->endpoints; e = e->next)
        if (e->is_there && !endpoint_fill(&snap->endpoints[snap->n++], e, &snap->arena)) {
            snapshot_free(snap);
            return NULL;
        }
    if (!snap->endpoints) {
        snapshot_free(snap);
        return NULL;
    }
    if (n > 1)
        qsort(snap->endpoints, n, sizeof *snap->endpoints, by_name);
    return snap;
}

enum err_code snapshot_publish(struct serve *s, struct err *err)
{
    mutex_lock(&s->state_mutex);
    struct snapshot *snap = snapshot_build(s);
    mutex_unlock(&s->state_mutex);
    if (!snap)
        return err_nomem(err);
    mutex_lock(&s->reaper_mutex);
    struct snapshot *old = atomic_exchange_explicit(&s->snapshot, snap, memory_order_seq_cst);
    if (old) {
        old->retired = epoch_advance(&s->epochs);
        old->next = s->retired;
        s->retired = old;
    }
    cond_signal(&s->reaper_wake);
    mutex_unlock(&s->reaper_mutex);
    atomic_fetch_add(&s->n_snapshots, 1);
    return ERR_OK;
}

const struct snap_endpoint *snapshot_find(const struct snapshot *snap, struct str name)
{
    size_t lo = 0, hi = snap->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(name, snap->endpoints[mid].name);
        if (c == 0)
            return &snap->endpoints[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

struct snapshot *snapshot_ref(struct serve *s)
{
    mutex_lock(&s->reaper_mutex);
    struct snapshot *snap = atomic_load(&s->snapshot);
    atomic_fetch_add(&snap->n_refs, 1);
    mutex_unlock(&s->reaper_mutex);
    return snap;
}

void snapshot_unref(struct snapshot *snap)
{
    atomic_fetch_sub(&snap->n_refs, 1);
}

/* ---- the file ---- */

static void file_path(const struct serve *s, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/snapshot.json", s->dir);
}

enum err_code snapshot_file_write(struct serve *s, struct err *err)
{
    char path[PATH_BYTES];
    struct arena a;
    struct buf b;
    arena_init(&a, SNAPSHOT_BYTES);
    buf_init(&b, SNAPSHOT_BYTES);
    struct json *doc = json_obj(&a), *list = json_arr(&a);
    for (struct serve_entry *e = s->entries; e; e = e->next)
        if (e->is_there)
            json_add(&a, list, endpoint_state_json(&e->state, &a));
    json_set(&a, doc, "format", json_int(&a, FILE_FORMAT));
    json_set(&a, doc, "generation", json_int(&a, (int64_t)s->generation));
    json_set(&a, doc, "endpoints", list);
    file_path(s, path);
    enum err_code code = json_write(doc, JSON_PRETTY, &b, err);
    if (code == ERR_OK)
        code = file_write(path, buf_view(&b), 0600, err);
    buf_fini(&b);
    arena_fini(&a);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "write the serving snapshot");
}

enum err_code snapshot_file_read(struct serve *s, struct arena *a, struct err *err)
{
    char path[PATH_BYTES];
    struct str text;
    struct json *doc;
    file_path(s, path);
    if (!file_exists(path))
        return ERR_OK;
    if (file_read(path, SNAPSHOT_BYTES, a, &text, err) != ERR_OK ||
        json_read(text, a, &doc, err) != ERR_OK)
        return err_wrap(err, "%s", path);
    if (json_get_int(doc, "format", 0) != FILE_FORMAT)
        return err_set(err, ERR_UNSUPPORTED, "%s has a format that this program does not read",
                       path);
    const struct json *list = json_get(doc, "endpoints");
    for (size_t i = 0; i < json_len(list); i++) {
        struct endpoint_state st;
        if (endpoint_state_read(json_at(list, i), a, &st, err) != ERR_OK)
            return err_wrap(err, "%s", path);
        struct serve_entry *e = entry_get(s, st.name);
        if (!e || endpoint_state_copy(&st, &e->arena, &e->state, err) != ERR_OK)
            return err_nomem(err);
        e->is_there = true;
    }
    s->generation = (uint64_t)json_get_int(doc, "generation", 0);
    return ERR_OK;
}
