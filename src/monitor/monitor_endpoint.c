/* Endpoints, their releases with baselines, and the places of sums. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "blob/tree.h"
#include "monitor/monitor_int.h"

#define BASELINE_BYTES_MAX   ((size_t)64 << 20)
#define RELEASE_ARENA_BYTES  ((size_t)256 << 20)
#define ENDPOINT_ARENA_BYTES ((size_t)4 << 20)

struct mon_endpoint *mon_endpoint_find(struct monitor *m, const char *name)
{
    struct mon_endpoint *ep = m->endpoints;

    while (ep && strcmp(ep->name, name) != 0)
        ep = ep->next;
    return ep;
}

struct mon_endpoint *mon_endpoint_get(struct monitor *m, struct str name)
{
    char text[ENDPOINT_NAME_MAX + 1];
    struct mon_endpoint *ep;

    if (name.n >= sizeof(text))
        name.n = sizeof(text) - 1;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    ep = mon_endpoint_find(m, text);
    if (ep)
        return ep;
    ep = calloc(1, sizeof(*ep));
    if (!ep)
        return NULL;
    memcpy(ep->name, text, sizeof(text));
    arena_init(&ep->arena, ENDPOINT_ARENA_BYTES);
    ep->spec = MONITOR_DEFAULTS;
    ep->next = m->endpoints;
    m->endpoints = ep;
    return ep;
}

static void release_free(struct mon_release *r)
{
    arena_fini(&r->arena);
    free(r);
}

void mon_endpoint_free(struct mon_endpoint *ep)
{
    mon_rollout_release(&ep->rollout);
    for (size_t i = 0; i < ep->n_windows; i++)
        window_free(ep->windows[i]);
    free(ep->windows);
    free(ep->slo);
    while (ep->releases) {
        struct mon_release *next = ep->releases->next;
        release_free(ep->releases);
        ep->releases = next;
    }
    arena_fini(&ep->arena);
    free(ep);
}

/* ---- the baseline of a release ---- */
static const struct json *release_doc_of(const struct endpoint_state *s, int64_t release)
{
    const struct endpoint_term *t;

    if (s->live == release)
        return s->live_doc;
    if (s->has_rollout && s->rollout.candidate == release)
        return s->rollout.doc;
    t = endpoint_find_term(s, release);
    return t ? t->doc : NULL;
}

/* ERR_NOT_FOUND: the release has no baseline, which is no error of the fold. */
static enum err_code baseline_load(struct monitor *m, const char *endpoint, struct mon_release *r,
                                   struct err *err)
{
    struct endpoint_state state;
    const struct json *doc;
    struct digest tree;
    struct str text;
    struct json *v;
    struct baseline *b = ARENA_NEW(&r->arena, struct baseline);

    if (!b)
        return arena_err(&r->arena, err);
    if (serve_endpoint(m->opt.serve, endpoint, &r->arena, &state, err) != ERR_OK)
        return err->code;
    doc = release_doc_of(&state, r->number);
    if (!doc)
        return err_set(err, ERR_NOT_FOUND, "r%lld is not among the releases of %s",
                       (long long)r->number, endpoint);
    if (digest_parse(json_get_str(doc, "tree"), &tree, err) != ERR_OK ||
        tree_read_file(m->opt.blobs, &tree, "pawl/baseline.json", BASELINE_BYTES_MAX, &r->arena,
                       &text, err) != ERR_OK ||
        json_read(text, &r->arena, &v, err) != ERR_OK ||
        baseline_read(v, &r->arena, b, err) != ERR_OK)
        return err->code;
    r->baseline = b;
    r->task = b->task;
    return ERR_OK;
}

static ptrdiff_t field_index(const struct record_schema *s, const char *name)
{
    for (size_t i = 0; s && i < s->n_fields; i++)
        if (strcmp(s->fields[i].name, name) == 0)
            return (ptrdiff_t)i;
    return -1;
}

static ptrdiff_t input_index(const struct record_schema *s, const char *name)
{
    for (size_t i = 0; s && i < s->n_inputs; i++)
        if (strcmp(s->inputs[i], name) == 0)
            return (ptrdiff_t)i;
    return -1;
}

static bool copy_categories(const struct plan_input *in, struct mon_release *r,
                            struct feature_source *f)
{
    struct str *c = ARENA_NEW_N(&r->arena, struct str, in->n_categories + 1);

    for (size_t i = 0; c && i < in->n_categories; i++)
        c[i] = str_n(str_dup(&r->arena, in->categories[i]), in->categories[i].n);
    f->categories = c;
    f->n_categories = in->n_categories;
    return c != NULL;
}

/* A request field by its typed value (so that unseen categories are told apart), else the model's row. */
static void source_find(const struct record_schema *s, const struct plan *plan,
                        const struct hist_reference *ref, struct mon_release *r,
                        struct feature_source *f)
{
    ptrdiff_t value = field_index(s, ref->name), row = input_index(s, ref->name);

    f->from = FROM_NOWHERE;
    if (value >= 0) {
        f->from = FROM_VALUE;
        f->index = (uint32_t)value;
    } else if (row >= 0 && ref->edges.kind == HIST_NUMBER) {
        f->from = FROM_ROW;
        f->index = (uint32_t)row;
    } else if (row >= 0 && plan && (size_t)row < plan_n_inputs(plan) &&
               copy_categories(plan_input(plan, (size_t)row), r, f)) {
        f->from = FROM_ROW_CATEGORY;
        f->index = (uint32_t)row;
    }
}

static enum err_code sources_find(struct monitor *m, const char *endpoint, struct mon_release *r,
                                  struct err *err)
{
    const struct record_schema *schema =
        schema_store_get(feedback_log_schemas(m->opt.log), r->number);
    struct runtime *rt = NULL;
    struct err ignored = ERR_INIT;
    size_t cell = 0;

    r->features = ARENA_NEW_N(&r->arena, struct feature_source, r->baseline->n_features + 1);
    if (!r->features)
        return arena_err(&r->arena, err);
    if (serve_runtime(m->opt.serve, endpoint, r->number, &rt, &ignored) != ERR_OK)
        rt = NULL;
    for (size_t i = 0; i < r->baseline->n_features; i++) {
        source_find(schema, rt ? runtime_plan(rt) : NULL, &r->baseline->features[i], r,
                    &r->features[i]);
        r->features[i].first_cell = cell;
        cell += r->baseline->features[i].edges.n_cells;
    }
    r->score_cell = cell;
    runtime_unref(rt);
    return ERR_OK;
}

struct mon_release *mon_release_get(struct monitor *m, struct mon_endpoint *ep, int64_t release,
                                    struct err *err)
{
    struct mon_release *r = ep->releases;
    enum err_code code;

    while (r && r->number != release)
        r = r->next;
    if (r)
        return r;
    r = calloc(1, sizeof(*r));
    if (!r) {
        (void)err_nomem(err);
        return NULL;
    }
    r->number = release;
    r->task = TASK_BINARY;
    arena_init(&r->arena, RELEASE_ARENA_BYTES);
    code = baseline_load(m, ep->name, r, err);
    if (code == ERR_OK)
        code = sources_find(m, ep->name, r, err);
    if (code == ERR_NOMEM || code == ERR_LIMIT) {
        release_free(r);
        return NULL;
    }
    if (code != ERR_OK) /* no baseline, or one that cannot be read: counts only */
        r->baseline = NULL;
    r->next = ep->releases;
    ep->releases = r;
    return r;
}

/* ---- windows and buckets ---- */
static size_t window_lower(const struct mon_endpoint *ep, int64_t start_us, int64_t release)
{
    size_t i = ep->n_windows;

    while (i > 0 &&
           (ep->windows[i - 1]->start_us > start_us ||
            (ep->windows[i - 1]->start_us == start_us && ep->windows[i - 1]->release >= release)))
        i--;
    return i;
}

struct window *mon_window_get(struct mon_endpoint *ep, struct mon_release *rel, int64_t at_us)
{
    int64_t start = floor_div_i64(at_us, ep->spec.window_us) * ep->spec.window_us;
    size_t i = window_lower(ep, start, rel->number);
    struct window *w;

    if (i < ep->n_windows && ep->windows[i]->start_us == start &&
        ep->windows[i]->release == rel->number)
        return ep->windows[i];
    if (ep->n_windows == ep->cap_windows) {
        size_t cap = ep->cap_windows ? ep->cap_windows * 2 : 32;
        struct window **p = realloc(ep->windows, cap * sizeof(struct window *));
        if (!p)
            return NULL;
        ep->windows = p;
        ep->cap_windows = cap;
    }
    w = window_new(rel->baseline, rel->number, start, start + ep->spec.window_us);
    if (!w)
        return NULL;
    memmove(&ep->windows[i + 1], &ep->windows[i], (ep->n_windows - i) * sizeof(struct window *));
    ep->windows[i] = w;
    ep->n_windows++;
    return w;
}

struct slo_bucket *mon_slo_get(struct mon_endpoint *ep, int64_t at_us)
{
    int64_t start = floor_div_i64(at_us, SLO_BUCKET_US) * SLO_BUCKET_US;
    size_t i = ep->n_slo;

    while (i > 0 && ep->slo[i - 1].start_us >= start)
        i--;
    if (i < ep->n_slo && ep->slo[i].start_us == start)
        return &ep->slo[i];
    if (ep->n_slo == ep->cap_slo) {
        size_t cap = ep->cap_slo ? ep->cap_slo * 2 : 256;
        struct slo_bucket *p = realloc(ep->slo, cap * sizeof(*p));
        if (!p)
            return NULL;
        ep->slo = p;
        ep->cap_slo = cap;
    }
    memmove(&ep->slo[i + 1], &ep->slo[i], (ep->n_slo - i) * sizeof(*ep->slo));
    ep->slo[i] = (struct slo_bucket){.start_us = start};
    ep->n_slo++;
    return &ep->slo[i];
}
