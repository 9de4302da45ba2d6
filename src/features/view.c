#include "features/view.h"

#include "base/check.h"
#include "expr/expr.h"

static const char *const STALE_NAMES[VIEW_ON_STALE_N] = {"default", "serve_last", "error"};
static const char *const BATCH_KEYS[] = {
    "sql",      "entity",  "time",  "known_at",    "available_after", "ttl",
    "on_stale", "default", "owner", "description", "runbook",
};
static const char *const ROW_KEYS[] = {"row", "owner", "description", "runbook"};

const char *view_on_stale_name(enum view_on_stale s)
{
    CHECK((unsigned)s < VIEW_ON_STALE_N);
    return STALE_NAMES[s];
}

static void text(const struct cfg_node *map, const char *key, struct str *ret,
                 struct cfg_problems *ps)
{
    const struct cfg_node *n = cfg_get(map, key);
    if (n)
        (void)cfg_str(n, key, ret, ps);
}

static void decode_batch(const struct cfg_node *n, struct arena *a, struct view_spec *v,
                         struct cfg_problems *ps)
{
    const struct cfg_node *x;
    int stale = VIEW_STALE_DEFAULT;
    (void)cfg_known_keys(n, BATCH_KEYS, ARRAY_LEN(BATCH_KEYS), ps);
    if (cfg_require(n, "sql", ps))
        text(n, "sql", &v->sql, ps);
    if (cfg_require(n, "time", ps))
        text(n, "time", &v->time, ps);
    if ((x = cfg_require(n, "entity", ps)) &&
        cfg_str_list(x, "entity", a, &v->entity, &v->n_entity, ps) && v->n_entity == 0)
        cfg_error(ps, x, "view %.*s needs at least one entity column to be looked up by",
                  STR_ARG(v->name));
    text(n, "known_at", &v->known_at, ps);
    if ((x = cfg_get(n, "available_after")))
        (void)cfg_duration_us(x, "available_after", &v->available_after_us, ps);
    if (v->known_at.n > 0 && v->available_after_us >= 0)
        cfg_error(ps, x, "view %.*s declares known_at and available_after: keep one",
                  STR_ARG(v->name));
    if ((x = cfg_get(n, "ttl")))
        (void)cfg_duration_us(x, "ttl", &v->ttl_us, ps);
    if ((x = cfg_get(n, "on_stale")) &&
        cfg_enum(x, "on_stale", STALE_NAMES, VIEW_ON_STALE_N, &stale, ps))
        v->on_stale = (enum view_on_stale)stale;
    if ((x = cfg_get(n, "default")))
        v->defaults = cfg_json(x, a);
    if (cfg_get(n, "on_stale") && v->on_stale == VIEW_STALE_DEFAULT && v->ttl_us < 0)
        cfg_warn(ps, cfg_get(n, "on_stale"), "view %.*s has no ttl, so it is never stale",
                 STR_ARG(v->name));
}

static void decode_row(const struct cfg_node *n, struct arena *a, struct view_spec *v,
                       struct cfg_problems *ps)
{
    const struct cfg_node *row = cfg_get(n, "row");
    v->kind = VIEW_ROW;
    (void)cfg_known_keys(n, ROW_KEYS, ARRAY_LEN(ROW_KEYS), ps);
    if (!cfg_is_map(row, "row", ps))
        return;
    v->exprs = ARENA_NEW_N(a, struct view_expr, row->n);
    for (size_t i = 0; v->exprs && i < row->n; i++) {
        struct view_expr *e = &v->exprs[v->n_exprs];
        e->name = row->keys[i];
        e->node = row->items[i];
        if (cfg_str(row->items[i], "an expression", &e->text, ps))
            v->n_exprs++;
    }
    if (row->n == 0)
        cfg_error(ps, row, "view %.*s has no expressions", STR_ARG(v->name));
}

static void decode_view(const struct cfg_node *n, struct arena *a, struct view_spec *v,
                        struct cfg_problems *ps)
{
    v->node = n;
    v->ttl_us = -1;
    v->available_after_us = -1;
    if (!cfg_is_map(n, "a view", ps))
        return;
    text(n, "owner", &v->owner, ps);
    text(n, "description", &v->description, ps);
    if (cfg_get(n, "row") && cfg_get(n, "sql"))
        cfg_error(
            ps, n,
            "view %.*s is SQL over sources (sql:) or expressions over a request (row:), not both",
            STR_ARG(v->name));
    else if (cfg_get(n, "row"))
        decode_row(n, a, v, ps);
    else
        decode_batch(n, a, v, ps);
}

void features_spec_decode(const struct cfg_node *section, const struct cfg_node *root,
                          struct arena *a, struct features_spec *ret, struct cfg_problems *ps)
{
    const struct cfg_node *sources = cfg_get(root, "sources");
    *ret = (struct features_spec){0};
    if (!section || !cfg_is_map(section, "features", ps))
        return;
    ret->p = ARENA_NEW_N(a, struct view_spec, section->n);
    if (!ret->p) {
        cfg_error(ps, section, "out of memory");
        return;
    }
    for (size_t i = 0; i < section->n; i++) {
        struct view_spec *v = &ret->p[ret->n++];
        v->name = section->keys[i];
        decode_view(section->items[i], a, v, ps);
        for (size_t k = 0; sources && k < sources->n; k++)
            if (str_eq(sources->keys[k], v->name))
                cfg_error(ps, section->key_nodes[i],
                          "'%.*s' is a source already: name the view otherwise", STR_ARG(v->name));
    }
}

const struct view_spec *features_spec_find(const struct features_spec *s, struct str name)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (str_eq(s->p[i].name, name))
            return &s->p[i];
    return NULL;
}

static void set_text(struct arena *a, struct json *obj, const char *key, struct str s)
{
    if (s.n > 0)
        json_set(a, obj, key, json_str(a, s));
}

static struct json *row_json(const struct view_spec *v, struct arena *a)
{
    struct json *row = json_arr(a);
    for (size_t i = 0; i < v->n_exprs; i++) {
        struct json *e = json_obj(a);
        set_text(a, e, "name", v->exprs[i].name);
        set_text(a, e, "expr", v->exprs[i].text);
        json_add(a, row, e);
    }
    return row;
}

struct json *view_spec_json(const struct view_spec *v, struct arena *a)
{
    struct json *j = json_obj(a), *entity = json_arr(a);
    set_text(a, j, "name", v->name);
    json_set(a, j, "kind", json_cstr(a, v->kind == VIEW_ROW ? "row" : "batch"));
    if (v->kind == VIEW_ROW) {
        json_set(a, j, "row", row_json(v, a));
    } else {
        for (size_t i = 0; i < v->n_entity; i++)
            json_add(a, entity, json_str(a, v->entity[i]));
        json_set(a, j, "entity", entity);
        set_text(a, j, "time", v->time);
        set_text(a, j, "known_at", v->known_at);
        if (v->available_after_us >= 0)
            json_set(a, j, "available_after_us", json_int(a, v->available_after_us));
        if (v->ttl_us >= 0)
            json_set(a, j, "ttl_us", json_int(a, v->ttl_us));
        json_set(a, j, "on_stale", json_cstr(a, view_on_stale_name(v->on_stale)));
        json_set(a, j, "default", v->defaults);
        set_text(a, j, "sql", v->sql);
    }
    set_text(a, j, "owner", v->owner);
    set_text(a, j, "description", v->description);
    return j;
}

enum err_code view_row_version(const struct view_spec *v, struct arena *a, struct digest *ret,
                               struct err *err)
{
    struct json *j = json_obj(a);
    json_set(a, j, "format", json_int(a, 1));
    json_set(a, j, "row", row_json(v, a));
    json_set(a, j, "expr", json_int(a, EXPR_VERSION));
    return json_digest(j, "view", ret, err);
}

/* ---- calls of children ---- */

struct json *features_views_json(const struct features_spec *views, struct arena *a)
{
    struct json *list = json_arr(a);
    for (size_t i = 0; i < views->n; i++)
        json_add(a, list, view_spec_json(&views->p[i], a));
    return list;
}

static struct json *args_of(const struct features_spec *views, const struct json *bindings,
                            struct arena *a)
{
    struct json *args = json_obj(a);
    json_set(a, args, "views", features_views_json(views, a));
    json_set(a, args, "bindings", json_copy(a, bindings));
    return args;
}

enum err_code views_describe(const struct data_env *env, const struct features_spec *views,
                             const struct json *bindings, struct arena *a, struct json **ret,
                             struct err *err)
{
    return data_env_call(env, "features.describe", args_of(views, bindings, a), a, ret, err);
}

enum err_code views_check_future(const struct data_env *env, const struct features_spec *views,
                                 const struct json *bindings, struct arena *a, struct json **ret,
                                 struct err *err)
{
    return data_env_call(env, "features.future", args_of(views, bindings, a), a, ret, err);
}

enum err_code view_build(const struct data_env *env, const struct view_order *o, struct arena *a,
                         struct json **ret, struct err *err)
{
    struct json *args = args_of(o->views, o->bindings, a);
    json_set(a, args, "view", json_str(a, o->name));
    json_set(a, args, "as_of", json_time(a, o->as_of_us));
    json_set(a, args, "out", json_cstr(a, o->out_path));
    return data_env_call(env, "features.view", args, a, ret, err);
}
