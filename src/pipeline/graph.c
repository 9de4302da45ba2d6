/* The graph itself: steps, edges, circles, what is asked, keys. */
#include "pipeline/graph.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/vec.h"

#define STEP_ARENA_BYTES ((size_t)512 << 20)

static const char *const STATE_NAMES[] = {"unasked", "waiting", "running", "cached",
                                          "done",    "blocked", "failed",  "skipped"};

const char *step_state_name(enum step_state s)
{
    CHECK(s < STEP_STATE_N);
    return STATE_NAMES[s];
}

void graph_init(struct graph *g, struct arena *a)
{
    *g = (struct graph){.arena = a};
}

void graph_fini(struct graph *g)
{
    for (size_t i = 0; i < g->n; i++)
        arena_fini(&g->steps[i]->arena);
    g->n = 0;
}

struct step *graph_add(struct graph *g, const char *name, const struct step_ops *ops,
                       const void *spec)
{
    struct step *s = ARENA_NEW(g->arena, struct step);
    if (s == NULL ||
        (g->n == g->cap && !vec_grow(g->arena, (void **)&g->steps, &g->cap, sizeof(struct step *))))
        return NULL;
    s->name = str_dup(g->arena, str_c(name));
    s->ops = ops;
    s->spec = spec;
    arena_init(&s->arena, STEP_ARENA_BYTES);
    if (s->name == NULL)
        return NULL;
    g->steps[g->n++] = s;
    return s;
}

static bool add_edge(struct graph *g, struct step *s, struct step *need, bool is_order)
{
    for (size_t i = 0; i < s->n_needs; i++) {
        if (s->needs[i] == need) {
            s->is_order[i] = s->is_order[i] && is_order;
            return true;
        }
    }
    size_t n = s->n_needs;
    if ((n & (n - 1)) == 0) {
        size_t cap = n == 0 ? 1 : n * 2;
        struct step **needs = ARENA_NEW_N(g->arena, struct step *, cap);
        bool *order = ARENA_NEW_N(g->arena, bool, cap);
        if (needs == NULL || order == NULL)
            return false;
        if (n > 0) {
            memcpy(needs, s->needs, n * sizeof *needs);
            memcpy(order, s->is_order, n * sizeof *order);
        }
        s->needs = needs;
        s->is_order = order;
    }
    s->needs[n] = need;
    s->is_order[n] = is_order;
    s->n_needs++;
    return true;
}

bool graph_need(struct graph *g, struct step *s, struct step *need)
{
    return add_edge(g, s, need, false);
}

bool graph_after(struct graph *g, struct step *s, struct step *before)
{
    return add_edge(g, s, before, true);
}

struct step *graph_find(const struct graph *g, const char *name)
{
    for (size_t i = 0; i < g->n; i++) {
        if (strcmp(g->steps[i]->name, name) == 0)
            return g->steps[i];
    }
    return NULL;
}

/* Depth-first walk with a stack of its own: a chain of thousands of steps must not use up the thread's. */
struct walk {
    struct graph *g;
    struct map *index;   /* name -> mark */
    struct step **order; /* needs first */
    size_t n_order;
    struct frame {
        struct step *s;
        size_t next;
    } * stack;
    size_t depth;
};

/* Marks live in started_us while the graph is checked: 0 new, 1 on the stack, 2 finished. */
static enum err_code circle(const struct walk *w, const struct step *s, struct err *err)
{
    struct buf text;
    size_t from = w->depth;
    while (from > 0 && w->stack[from - 1].s != s)
        from--;
    buf_init(&text, 1024);
    for (size_t i = from > 0 ? from - 1 : 0; i < w->depth; i++)
        buf_printf(&text, "%s -> ", w->stack[i].s->name);
    buf_c(&text, s->name);
    enum err_code code = err_set(err, ERR_CONFIG, "steps need each other in a circle: %.*s",
                                 STR_ARG(buf_view(&text)));
    buf_fini(&text);
    return code;
}

static void push(struct walk *w, struct step *s)
{
    w->stack[w->depth++] = (struct frame){.s = s};
    s->started_us = 1;
}

static enum err_code visit(struct walk *w, struct step *root, struct err *err)
{
    if (root->started_us != 0)
        return ERR_OK;
    push(w, root);
    while (w->depth > 0) {
        struct frame *f = &w->stack[w->depth - 1];
        if (f->next == f->s->n_needs) {
            f->s->started_us = 2;
            w->order[w->n_order++] = f->s;
            w->depth--;
            continue;
        }
        struct step *need = f->s->needs[f->next++];
        if (need->started_us == 1)
            return circle(w, need, err);
        if (need->started_us == 0)
            push(w, need);
    }
    return ERR_OK;
}

enum err_code graph_check(struct graph *g, struct err *err)
{
    struct walk w = {.g = g, .index = map_new(g->arena)};
    w.order = ARENA_NEW_N(g->arena, struct step *, g->n + 1);
    w.stack = ARENA_NEW_N(g->arena, struct frame, g->n + 1);
    if (w.index == NULL || w.order == NULL || w.stack == NULL)
        return arena_err(g->arena, err);
    if (g->n > GRAPH_STEPS_MAX)
        return err_set(err, ERR_LIMIT, "%zu steps: %d at most", g->n, GRAPH_STEPS_MAX);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < g->n; i++) {
        const char *name = g->steps[i]->name;
        if (map_get(w.index, name, strlen(name)) != NULL)
            return err_set(err, ERR_CONFIG, "two steps are called %s", name);
        if (!map_put(w.index, name, strlen(name), g->steps[i]))
            return arena_err(g->arena, err);
    }
    for (size_t i = 0; code == ERR_OK && i < g->n; i++)
        code = visit(&w, g->steps[i], err);
    for (size_t i = 0; i < g->n; i++)
        g->steps[i]->started_us = 0;
    if (code == ERR_OK)
        memcpy(g->steps, w.order, g->n * sizeof *g->steps);
    return code;
}

static enum err_code unknown(const struct graph *g, const char *name, struct err *err)
{
    const char **names = ARENA_NEW_N(g->arena, const char *, g->n + 1);
    for (size_t i = 0; names != NULL && i < g->n; i++)
        names[i] = g->steps[i]->name;
    const char *near = names != NULL ? str_nearest(str_c(name), names, g->n) : NULL;
    if (near != NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no step %s: did you mean %s?", name, near);
    return err_set(err, ERR_NOT_FOUND, "there is no step %s: pawl steps ls shows them", name);
}

/* "validate" stands for "validate.flights", "validate.views", …. */
static bool is_named(const struct step *s, const char *name)
{
    size_t n = strlen(name);
    return strncmp(s->name, name, n) == 0 && (s->name[n] == '\0' || s->name[n] == '.');
}

enum err_code graph_ask(struct graph *g, const char *const *names, size_t n, struct err *err)
{
    for (size_t i = 0; i < g->n; i++)
        g->steps[i]->state = n == 0 ? STEP_WAITING : STEP_UNASKED;
    for (size_t k = 0; k < n; k++) {
        bool is_found = false;
        for (size_t i = 0; i < g->n; i++) {
            if (is_named(g->steps[i], names[k])) {
                g->steps[i]->state = STEP_WAITING;
                is_found = true;
            }
        }
        if (!is_found)
            return unknown(g, names[k], err);
    }
    /* Needs come first in the order, so one pass backwards reaches everything. */
    for (size_t i = g->n; i-- > 0;) {
        struct step *s = g->steps[i];
        for (size_t k = 0; s->state == STEP_WAITING && k < s->n_needs; k++)
            s->needs[k]->state = STEP_WAITING;
    }
    return ERR_OK;
}

enum err_code step_key(const char *kind, const struct json *parts, char ret[65], struct err *err)
{
    struct arena a;
    struct digest d;
    arena_init(&a, (size_t)64 << 20);
    struct json *doc = json_obj(&a);
    (void)json_set(&a, doc, "format", json_int(&a, STEP_FORMAT));
    (void)json_set(&a, doc, "kind", json_cstr(&a, kind));
    (void)json_set(&a, doc, "parts", json_copy(&a, parts));
    enum err_code code = json_digest(doc, "step", &d, err);
    if (code == ERR_OK)
        digest_hex(&d, ret);
    arena_fini(&a);
    return code;
}
