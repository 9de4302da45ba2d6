/* Reads plan.json: what it says is checked once, here, so that evaluation cannot fail on it. */
#include <string.h>

#include "base/check.h"
#include "base/vec.h"
#include "features/plan_int.h"

struct reader {
    struct plan *p;
    struct arena *a;
    const struct json *doc;
    struct err *err;
};

const char *plan_on_stale_name(enum plan_on_stale s)
{
    static const char *const NAMES[PLAN_ON_STALE_N] = {"default", "serve_last", "error"};
    CHECK(s < PLAN_ON_STALE_N);
    return NAMES[s];
}

bool plan_on_stale_from_name(struct str name, enum plan_on_stale *ret)
{
    for (enum plan_on_stale s = 0; s < PLAN_ON_STALE_N; s++) {
        if (str_is(name, plan_on_stale_name(s))) {
            *ret = s;
            return true;
        }
    }
    return false;
}

const char *plan_status_name(enum plan_status s)
{
    static const char *const NAMES[PLAN_STATUS_N] = {"PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE",
                                                     "GIVEN", "NO_STORE"};
    CHECK(s < PLAN_STATUS_N);
    return NAMES[s];
}

static const struct json *list_of(const struct reader *r, const char *key)
{
    return json_get(r->doc, key);
}

static enum err_code need_name(struct reader *r, const struct json *o, const char *key,
                               const char **ret)
{
    struct str s;
    enum err_code rc = json_need_str(o, key, &s, r->err);
    if (rc != ERR_OK)
        return rc;
    if (s.n == 0)
        return err_set(r->err, ERR_PARSE, "%s is empty", key);
    *ret = str_dup(r->a, s);
    return *ret ? ERR_OK : arena_err(r->a, r->err);
}

static enum err_code need_type(struct reader *r, const struct json *o, enum value_type *ret)
{
    struct str s;
    enum err_code rc = json_need_str(o, "type", &s, r->err);
    if (rc == ERR_OK && !value_type_from_name(s, ret))
        return err_set(r->err, ERR_PARSE,
                       "type '%.*s' is none of null, bool, int, float, timestamp, string",
                       STR_ARG(s));
    return rc;
}

/* Takes the next slot; a name may stand for one slot only. */
static enum err_code add_slot(struct reader *r, const struct plan_slot *slot, size_t *ret)
{
    struct plan *p = r->p;
    CHECK(p->n_slots < PLAN_SLOTS_MAX);
    if (map_get(p->names, slot->name, strlen(slot->name)))
        return err_set(r->err, ERR_PARSE, "the name '%s' stands for two fields", slot->name);
    p->slots[p->n_slots] = *slot;
    p->columns[p->n_slots] = (struct expr_column){slot->name, slot->type};
    if (!map_put(p->names, slot->name, strlen(slot->name), &p->slots[p->n_slots]))
        return arena_err(r->a, r->err);
    *ret = p->n_slots++;
    return ERR_OK;
}

static enum err_code read_request(struct reader *r, const struct json *o)
{
    struct plan_slot slot = {.kind = PLAN_SLOT_REQUEST,
                             .is_required = json_get_bool(o, "required", true)};
    size_t at;
    enum err_code rc = need_name(r, o, "name", &slot.name);
    if (rc == ERR_OK)
        rc = need_type(r, o, &slot.type);
    return rc == ERR_OK ? add_slot(r, &slot, &at) : rc;
}

/* ---- look-ups ---- */

static enum err_code read_key(struct reader *r, const struct json *o, struct plan_key *ret)
{
    const char *from;
    enum err_code rc = need_name(r, o, "entity", &ret->entity);
    if (rc == ERR_OK)
        rc = need_name(r, o, "from", &from);
    if (rc != ERR_OK)
        return rc;
    const struct plan_slot *slot = map_get(r->p->names, from, strlen(from));
    if (!slot || slot->kind != PLAN_SLOT_REQUEST)
        return err_set(r->err, ERR_PARSE, "key '%s': '%s' is no field of the request", ret->entity,
                       from);
    ret->slot = (size_t)(slot - r->p->slots);
    return ERR_OK;
}

/* A default as a value of the column's type. */
static enum err_code read_default(struct reader *r, const struct json *v, enum value_type type,
                                  struct value *ret)
{
    double f;
    *ret = (struct value){.type = VAL_NULL};
    if (!v || v->type == JSON_NULL)
        return ERR_OK;
    ret->type = type;
    if (type == VAL_BOOL && v->type == JSON_BOOL)
        ret->u.b = v->u.b;
    else if (type == VAL_INT && v->type == JSON_INT)
        ret->u.i = v->u.i;
    else if (type == VAL_FLOAT && json_as_f64(v, &f))
        ret->u.f = f;
    else if (type == VAL_STR && v->type == JSON_STR)
        ret->u.s = str_n(str_dup(r->a, v->u.s), v->u.s.n);
    else if (type == VAL_TIME && v->type == JSON_STR)
        return parse_time_us(v->u.s, &ret->u.i, r->err);
    else
        return err_set(r->err, ERR_PARSE, "the default is no %s", value_type_name(type));
    return type != VAL_STR || ret->u.s.p ? ERR_OK : arena_err(r->a, r->err);
}

static enum err_code read_lookup_column(struct reader *r, const struct json *o, const char *prefix,
                                        size_t lookup)
{
    struct plan_slot slot = {.kind = PLAN_SLOT_LOOKUP, .lookup = lookup};
    const char *name;
    size_t at = 0;
    enum err_code rc = need_name(r, o, "name", &name);
    if (rc == ERR_OK)
        rc = need_type(r, o, &slot.type);
    if (rc != ERR_OK)
        return rc;
    slot.name = str_printf(r->a, "%s.%s", prefix, name);
    if (!slot.name)
        return arena_err(r->a, r->err);
    rc = add_slot(r, &slot, &at);
    if (rc != ERR_OK)
        return rc;
    ((const char **)(uintptr_t)r->p->lookups[lookup]
         .columns)[at - r->p->lookups[lookup].first_slot] = name;
    return read_default(r, json_get(o, "default"), slot.type, &r->p->defaults[at]);
}

static enum err_code read_lookup_keys(struct reader *r, const struct json *o, struct plan_lookup *l)
{
    const struct json *keys = json_get(o, "key");
    l->n_keys = json_len(keys);
    l->keys = ARENA_NEW_N(r->a, struct plan_key, l->n_keys);
    if (!l->keys)
        return arena_err(r->a, r->err);
    if (l->n_keys == 0 || l->n_keys > PLAN_KEYS_MAX)
        return err_set(r->err, ERR_PARSE, "key: %zu parts; 1 to %d are possible", l->n_keys,
                       PLAN_KEYS_MAX);
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < l->n_keys; i++)
        rc = read_key(r, json_at(keys, i), &l->keys[i]);
    return rc;
}

static enum err_code read_lookup(struct reader *r, const struct json *o)
{
    size_t index = r->p->n_lookups;
    struct plan_lookup *l = &r->p->lookups[index];
    const struct json *columns = json_get(o, "columns");
    struct str on_stale = json_get_str(o, "on_stale"), as = json_get_str(o, "as");
    enum err_code rc = need_name(r, o, "view", &l->view);
    if (rc == ERR_OK)
        rc = need_name(r, o, "version", &l->version);
    if (rc == ERR_OK)
        rc = read_lookup_keys(r, o, l);
    if (rc != ERR_OK)
        return rc;
    l->ttl_us = json_get_int(o, "ttl_us", 0);
    if (on_stale.p && !plan_on_stale_from_name(on_stale, &l->on_stale))
        return err_set(r->err, ERR_PARSE, "on_stale '%.*s' is none of default, serve_last, error",
                       STR_ARG(on_stale));
    const char *prefix = as.n ? str_dup(r->a, as) : l->view;
    l->first_slot = r->p->n_slots;
    l->n_columns = json_len(columns);
    l->columns = ARENA_NEW_N(r->a, const char *, l->n_columns);
    if (!prefix || !l->columns)
        return arena_err(r->a, r->err);
    if (l->n_columns == 0 || l->n_columns > ONLINE_COLUMNS_MAX)
        return err_set(r->err, ERR_PARSE, "columns: %zu; 1 to %d are possible", l->n_columns,
                       ONLINE_COLUMNS_MAX);
    for (size_t i = 0; rc == ERR_OK && i < l->n_columns; i++)
        rc = read_lookup_column(r, json_at(columns, i), prefix, index);
    r->p->n_lookups++;
    return rc;
}

/* ---- row features ---- */

static enum err_code read_row(struct reader *r, const struct json *o)
{
    struct plan *p = r->p;
    struct plan_slot slot = {.kind = PLAN_SLOT_ROW};
    struct str text;
    size_t at = 0;
    struct expr *e = NULL;
    enum err_code rc = need_name(r, o, "name", &slot.name);
    if (rc == ERR_OK)
        rc = need_type(r, o, &slot.type);
    if (rc == ERR_OK)
        rc = json_need_str(o, "expr", &text, r->err);
    if (rc == ERR_OK) /* sees the slots before it only: no cycle is possible */
        rc = expr_compile(text, p->columns, p->n_slots, r->a, &e, r->err);
    if (rc == ERR_OK && expr_type(e) != slot.type)
        rc = err_set(r->err, ERR_PARSE, "its expression gives %s, the plan says %s",
                     value_type_name(expr_type(e)), value_type_name(slot.type));
    if (rc == ERR_OK)
        rc = add_slot(r, &slot, &at);
    if (rc == ERR_OK)
        p->exprs[at - p->n_settable] = e;
    return rc == ERR_OK || !slot.name ? rc : err_wrap(r->err, "%s", slot.name);
}

/* ---- inputs ---- */

static enum err_code build_table(struct reader *r, const struct plan_input *in,
                                 struct plan_categories *c)
{
    size_t size = 16;
    while (size < 2 * in->n_categories)
        size *= 2;
    c->table = ARENA_NEW_N(r->a, uint32_t, size);
    if (!c->table)
        return arena_err(r->a, r->err);
    c->mask = size - 1;
    for (size_t i = 0; i < in->n_categories; i++) {
        size_t at = hash64(in->categories[i].p, in->categories[i].n, 0) & c->mask;
        while (c->table[at])
            at = (at + 1) & c->mask;
        c->table[at] = (uint32_t)i + 1;
    }
    return ERR_OK;
}

static enum err_code read_categories(struct reader *r, const struct json *o, struct plan_input *in)
{
    const struct json *list = json_get(o, "categories");
    size_t n = json_len(list);
    if (n > PLAN_CATEGORIES_MAX)
        return err_set(r->err, ERR_LIMIT, "%zu categories; %d are possible", n,
                       PLAN_CATEGORIES_MAX);
    struct str *out = ARENA_NEW_N(r->a, struct str, n);
    if (!out)
        return arena_err(r->a, r->err);
    for (size_t i = 0; i < n; i++) {
        const struct json *v = json_at(list, i);
        if (v->type != JSON_STR)
            return err_set(r->err, ERR_PARSE, "categories[%zu] is no string", i);
        const char *copy = str_dup(r->a, v->u.s);
        if (!copy)
            return arena_err(r->a, r->err);
        out[i] = str_n(copy, v->u.s.n);
        if (i > 0 && str_cmp(out[i - 1], out[i]) >= 0)
            return err_set(r->err, ERR_PARSE,
                           "categories[%zu]: the list is not sorted, or has one twice", i);
    }
    in->categories = out;
    in->n_categories = n;
    return ERR_OK;
}

static enum err_code read_input(struct reader *r, const struct json *o)
{
    struct plan *p = r->p;
    struct plan_input *in = &p->inputs[p->n_inputs];
    struct str from = json_get_str(o, "from"), kind = json_get_str(o, "kind");
    enum err_code rc = need_name(r, o, "name", &in->name);
    if (rc != ERR_OK)
        return rc;
    from = from.p ? from : str_c(in->name);
    const struct plan_slot *slot = map_get(p->names, from.p, from.n);
    if (!slot)
        return err_set(r->err, ERR_PARSE, "%s: '%.*s' is no field, looked-up column or row feature",
                       in->name, STR_ARG(from));
    in->slot = (size_t)(slot - p->slots);
    in->is_category = str_is(kind, "category");
    if (!in->is_category && !str_is(kind, "number"))
        return err_set(r->err, ERR_PARSE, "%s: kind is neither number nor category", in->name);
    if (slot->type == VAL_TIME || (in->is_category && slot->type == VAL_FLOAT) ||
        (!in->is_category && slot->type == VAL_STR))
        return err_set(r->err, ERR_PARSE, "%s: a %s cannot be a %.*s input", in->name,
                       value_type_name(slot->type), STR_ARG(kind));
    if (in->is_category)
        rc = read_categories(r, o, in);
    if (rc == ERR_OK)
        rc = build_table(r, in, &p->categories[p->n_inputs]);
    p->n_inputs++;
    return rc == ERR_OK ? rc : err_wrap(r->err, "%s", in->name);
}

/* ---- the document ---- */

typedef enum err_code item_reader(struct reader *r, const struct json *o);

static enum err_code read_items(struct reader *r, const char *key, item_reader *read)
{
    const struct json *list = list_of(r, key);
    for (size_t i = 0; i < json_len(list); i++) {
        const struct json *o = json_at(list, i);
        enum err_code rc =
            o->type == JSON_OBJ ? read(r, o) : err_set(r->err, ERR_PARSE, "expected an object");
        if (rc != ERR_OK)
            return err_wrap(r->err, "%s[%zu]", key, i);
    }
    return ERR_OK;
}

static enum err_code count(struct reader *r, size_t *ret_slots)
{
    const struct json *lookups = list_of(r, "lookups");
    size_t n = json_len(list_of(r, "request")) + json_len(list_of(r, "row"));
    for (size_t i = 0; i < json_len(lookups); i++)
        n += json_len(json_get(json_at(lookups, i), "columns"));
    if (n > PLAN_SLOTS_MAX || json_len(lookups) > PLAN_LOOKUPS_MAX ||
        json_len(list_of(r, "inputs")) > PLAN_SLOTS_MAX)
        return err_set(r->err, ERR_LIMIT, "%zu fields (limit %d), %zu look-ups (limit %d)", n,
                       PLAN_SLOTS_MAX, json_len(lookups), PLAN_LOOKUPS_MAX);
    *ret_slots = n;
    return ERR_OK;
}

static enum err_code allocate(struct reader *r)
{
    struct plan *p = r->p;
    size_t n_slots = 0, n_inputs = json_len(list_of(r, "inputs"));
    enum err_code rc = count(r, &n_slots);
    if (rc != ERR_OK)
        return rc;
    p->names = map_new(r->a);
    p->slots = ARENA_NEW_N(r->a, struct plan_slot, n_slots + 1);
    p->columns = ARENA_NEW_N(r->a, struct expr_column, n_slots + 1);
    p->defaults = ARENA_NEW_N(r->a, struct value, n_slots + 1);
    p->lookups = ARENA_NEW_N(r->a, struct plan_lookup, json_len(list_of(r, "lookups")));
    p->exprs = ARENA_NEW_N(r->a, struct expr *, json_len(list_of(r, "row")));
    p->inputs = ARENA_NEW_N(r->a, struct plan_input, n_inputs);
    p->categories = ARENA_NEW_N(r->a, struct plan_categories, n_inputs);
    bool is_ok = p->names && p->slots && p->columns && p->defaults && p->lookups && p->exprs &&
                 p->inputs && p->categories;
    return is_ok ? ERR_OK : arena_err(r->a, r->err);
}

static enum err_code read_time(struct reader *r)
{
    struct str time = json_get_str(r->doc, "time");
    r->p->time_slot = -1;
    if (!time.p)
        return ERR_OK;
    r->p->time_slot = plan_find(r->p, time);
    if (r->p->time_slot < 0 || (size_t)r->p->time_slot >= r->p->n_request ||
        r->p->slots[r->p->time_slot].type != VAL_TIME)
        return err_set(r->err, ERR_PARSE, "time: '%.*s' is no timestamp field of the request",
                       STR_ARG(time));
    return ERR_OK;
}

/* Last parts of looked-up columns' names, where nothing else has that name. */
static enum err_code add_short_names(struct reader *r)
{
    struct plan *p = r->p;
    struct map *n_times = map_new(r->a);
    static char once, often; /* addresses only */
    if (!n_times)
        return arena_err(r->a, r->err);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = p->n_request; i < p->n_settable; i++) {
            const char *name = strrchr(p->slots[i].name, '.') + 1;
            size_t n = strlen(name);
            const void *seen = map_get(n_times, name, n);
            bool is_ok = true;
            if (pass == 0)
                is_ok = map_put(n_times, name, n, seen ? &often : &once);
            else if (seen == &once && !map_get(p->names, name, n))
                is_ok = map_put(p->names, name, n, &p->slots[i]);
            if (!is_ok)
                return arena_err(r->a, r->err);
        }
    }
    return ERR_OK;
}

static enum err_code check_head(struct reader *r)
{
    if (!r->doc || r->doc->type != JSON_OBJ)
        return err_set(r->err, ERR_PARSE, "expected an object");
    int64_t format = json_get_int(r->doc, "format", 0),
            version = json_get_int(r->doc, "expr", EXPR_VERSION);
    if (format != PLAN_FORMAT)
        return err_set(r->err, ERR_UNSUPPORTED, "format %lld; this program reads %d",
                       (long long)format, PLAN_FORMAT);
    if (version != EXPR_VERSION)
        return err_set(
            r->err, ERR_UNSUPPORTED,
            "made for expressions of version %lld, this program evaluates version %d: train again",
            (long long)version, EXPR_VERSION);
    return json_digest(r->doc, "plan", &r->p->digest, r->err);
}

static enum err_code read_all(struct reader *r)
{
    enum err_code rc = check_head(r);
    if (rc == ERR_OK)
        rc = allocate(r);
    if (rc == ERR_OK)
        rc = read_items(r, "request", read_request);
    r->p->n_request = r->p->n_slots;
    if (rc == ERR_OK)
        rc = read_time(r);
    if (rc == ERR_OK)
        rc = read_items(r, "lookups", read_lookup);
    r->p->n_settable = r->p->n_slots;
    if (rc == ERR_OK)
        rc = read_items(r, "row", read_row);
    if (rc == ERR_OK)
        rc = read_items(r, "inputs", read_input);
    return rc == ERR_OK ? add_short_names(r) : rc;
}

enum err_code plan_read(const struct json *doc, struct arena *a, struct plan **ret, struct err *err)
{
    struct plan *p = ARENA_NEW(a, struct plan);
    if (!p)
        return arena_err(a, err);
    struct reader r = {p, a, doc, err};
    enum err_code rc = read_all(&r);
    if (rc != ERR_OK)
        return err_wrap(err, "plan");
    *ret = p;
    return ERR_OK;
}

/* ---- looking ---- */

size_t plan_n_slots(const struct plan *p)
{
    return p->n_slots;
}

const struct plan_slot *plan_slot(const struct plan *p, size_t i)
{
    CHECK(i < p->n_slots);
    return &p->slots[i];
}

size_t plan_n_request(const struct plan *p)
{
    return p->n_request;
}

size_t plan_n_settable(const struct plan *p)
{
    return p->n_settable;
}

ptrdiff_t plan_find(const struct plan *p, struct str name)
{
    const struct plan_slot *slot = name.n ? map_get(p->names, name.p, name.n) : NULL;
    return slot ? slot - p->slots : -1;
}

ptrdiff_t plan_time_slot(const struct plan *p)
{
    return p->time_slot;
}

size_t plan_n_lookups(const struct plan *p)
{
    return p->n_lookups;
}

const struct plan_lookup *plan_lookup(const struct plan *p, size_t i)
{
    CHECK(i < p->n_lookups);
    return &p->lookups[i];
}

size_t plan_n_inputs(const struct plan *p)
{
    return p->n_inputs;
}

const struct plan_input *plan_input(const struct plan *p, size_t i)
{
    CHECK(i < p->n_inputs);
    return &p->inputs[i];
}

const struct digest *plan_digest(const struct plan *p)
{
    return &p->digest;
}

struct sig_field *plan_signature(const struct plan *p, struct arena *a, size_t *ret_n)
{
    struct sig_field *fields = ARENA_NEW_N(a, struct sig_field, p->n_settable);
    for (size_t i = 0; fields && i < p->n_settable; i++) {
        fields[i].name = p->slots[i].name;
        fields[i].type = sig_type_of_value(p->slots[i].type);
        fields[i].is_required = p->slots[i].is_required;
    }
    *ret_n = p->n_settable;
    return fields;
}
