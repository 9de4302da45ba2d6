/* One row through the plan. Serving calls plan_run; plan_chunk.c fills the same slots from columns
 * and calls the same plan_finish_row: there is one way from values to the model's row. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "features/plan_int.h"

/* ---- scratch ---- */

static bool scratch_arrays(struct plan_scratch *s)
{
    const struct plan *p = s->plan;
    size_t widest = 0, n_rows = p->n_slots - p->n_settable;
    for (size_t i = 0; i < p->n_lookups; i++)
        widest = p->lookups[i].n_columns > widest ? p->lookups[i].n_columns : widest;
    s->values = ARENA_NEW_N(&s->arena, struct value, p->n_slots);
    s->is_given = ARENA_NEW_N(&s->arena, bool, p->n_settable);
    s->statuses = ARENA_NEW_N(&s->arena, enum plan_status, p->n_lookups);
    s->age_us = ARENA_NEW_N(&s->arena, int64_t, p->n_lookups);
    s->refs = ARENA_NEW_N(&s->arena, struct online_view_ref, p->n_lookups);
    s->looked_up = ARENA_NEW_N(&s->arena, struct value, widest);
    s->states = ARENA_NEW_N(&s->arena, struct expr_state, n_rows);
    s->text = arena_alloc(&s->arena, PLAN_LOOKUP_TEXT_BYTES);
    bool is_ok = s->values && s->is_given && s->statuses && s->age_us && s->refs && s->looked_up &&
                 s->states && s->text;
    for (size_t i = 0; is_ok && i < p->n_lookups; i++) {
        s->refs[i].view = p->lookups[i].view;
        s->refs[i].version = p->lookups[i].version;
        s->refs[i].columns = p->lookups[i].columns;
        s->refs[i].n_columns = p->lookups[i].n_columns;
    }
    for (size_t i = 0; is_ok && i < n_rows; i++)
        is_ok = expr_state_init(&s->states[i], p->exprs[i], &s->arena, PLAN_ROW_TEXT_BYTES, NULL) ==
                ERR_OK;
    return is_ok;
}

struct plan_scratch *plan_scratch_new(const struct plan *p)
{
    struct plan_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->plan = p;
    arena_init(&s->arena, (size_t)PLAN_STATE_BYTES_MAX);
    if (!scratch_arrays(s)) {
        plan_scratch_free(s);
        return NULL;
    }
    plan_begin(s);
    return s;
}

void plan_scratch_free(struct plan_scratch *s)
{
    if (!s)
        return;
    arena_fini(&s->arena);
    free(s);
}

void plan_begin(struct plan_scratch *s)
{
    for (size_t i = 0; i < s->plan->n_slots; i++)
        s->values[i].type = VAL_NULL;
    if (s->plan->n_settable)
        memset(s->is_given, 0, s->plan->n_settable * sizeof *s->is_given);
    s->text_used = 0;
}

/* ---- setting ---- */

static bool to_bool(const struct value *v, struct value *ret)
{
    bool is_ok = v->type == VAL_BOOL || (v->type == VAL_INT && (v->u.i == 0 || v->u.i == 1));
    *ret = (struct value){.type = VAL_BOOL, .u.b = v->type == VAL_BOOL ? v->u.b : v->u.i == 1};
    return is_ok;
}

static bool to_int(const struct value *v, struct value *ret)
{
    const double limit = 9223372036854775808.0;
    ret->type = VAL_INT;
    if (v->type == VAL_INT)
        ret->u.i = v->u.i;
    else if (v->type == VAL_BOOL)
        ret->u.i = v->u.b;
    else if (v->type == VAL_FLOAT && v->u.f == floor(v->u.f) && v->u.f >= -limit && v->u.f < limit)
        ret->u.i = (int64_t)v->u.f;
    else
        return false;
    return true;
}

static bool to_float(const struct value *v, struct value *ret)
{
    ret->type = VAL_FLOAT;
    if (v->type == VAL_FLOAT)
        ret->u.f = v->u.f;
    else if (v->type == VAL_INT)
        ret->u.f = (double)v->u.i;
    else if (v->type == VAL_BOOL)
        ret->u.f = v->u.b;
    else if (v->type == VAL_STR && str_is(v->u.s, "NaN"))
        ret->u.f = NAN;
    else if (v->type == VAL_STR && str_is(v->u.s, "Infinity"))
        ret->u.f = INFINITY;
    else if (v->type == VAL_STR && str_is(v->u.s, "-Infinity"))
        ret->u.f = -INFINITY;
    else
        return false;
    return true;
}

static bool to_time(const struct value *v, struct value *ret)
{
    ret->type = VAL_TIME;
    if (v->type == VAL_TIME)
        ret->u.i = v->u.i;
    else if (v->type == VAL_INT)
        return !__builtin_mul_overflow(v->u.i, US_PER_MS, &ret->u.i);
    else if (v->type == VAL_STR)
        return parse_time_us(v->u.s, &ret->u.i, NULL) == ERR_OK;
    else
        return false;
    return true;
}

static bool convert(const struct value *v, enum value_type type, struct value *ret)
{
    switch (type) {
    case VAL_NULL:
        *ret = (struct value){.type = VAL_NULL};
        return true;
    case VAL_BOOL:
        return to_bool(v, ret);
    case VAL_INT:
        return to_int(v, ret);
    case VAL_FLOAT:
        return to_float(v, ret);
    case VAL_TIME:
        return to_time(v, ret);
    case VAL_STR:
        *ret = *v;
        return v->type == VAL_STR;
    case VAL_TYPE_N:
        break;
    }
    UNREACHABLE();
}

enum err_code plan_set(struct plan_scratch *s, size_t slot, const struct value *v, struct err *err)
{
    CHECK(slot < s->plan->n_settable);
    struct value converted = {.type = VAL_NULL};
    const struct plan_slot *to = &s->plan->slots[slot];
    if (v->type != VAL_NULL && !convert(v, to->type, &converted))
        return err_set(err, ERR_INVALID, "field '%s' is %s; this %s value is none", to->name,
                       value_type_name(to->type), value_type_name(v->type));
    s->values[slot] = converted;
    s->is_given[slot] = true;
    return ERR_OK;
}

/* ---- looking up ---- */

/* Looked-up strings live in the store's snapshot: copied, because the answer outlives it. */
static enum err_code keep_string(struct plan_scratch *s, struct value *v, struct err *err)
{
    if (v->type != VAL_STR)
        return ERR_OK;
    if (PLAN_LOOKUP_TEXT_BYTES - s->text_used < v->u.s.n)
        return err_set(err, ERR_LIMIT, "looked-up strings of more than %d bytes in one request",
                       PLAN_LOOKUP_TEXT_BYTES);
    char *to = s->text + s->text_used;
    if (v->u.s.n)
        memcpy(to, v->u.s.p, v->u.s.n);
    s->text_used += v->u.s.n;
    v->u.s.p = to;
    return ERR_OK;
}

static bool is_given_whole(const struct plan_scratch *s, const struct plan_lookup *l)
{
    for (size_t i = 0; i < l->n_columns; i++) {
        if (!s->is_given[l->first_slot + i])
            return false;
    }
    return true;
}

static enum err_code take_columns(struct plan_scratch *s, const struct plan_lookup *l,
                                  struct err *err)
{
    for (size_t i = 0; i < l->n_columns; i++) {
        size_t slot = l->first_slot + i;
        if (s->is_given[slot])
            continue;
        struct value v = s->looked_up[i];
        enum err_code rc = keep_string(s, &v, err);
        if (rc != ERR_OK)
            return rc;
        /* Columns are stored with the view's types, which the plan was built from; a changed one is
         * null. */
        s->values[slot].type = VAL_NULL;
        if (v.type != VAL_NULL && convert(&v, s->plan->slots[slot].type, &v))
            s->values[slot] = v;
    }
    return ERR_OK;
}

static enum err_code look_up(struct plan_scratch *s, size_t index, struct online_reader *store,
                             int64_t at_us, struct err *err)
{
    const struct plan_lookup *l = &s->plan->lookups[index];
    struct value keys[PLAN_KEYS_MAX];
    struct online_hit hit = {ONLINE_NOT_FOUND, AT_US_NONE, AT_US_NONE};
    for (size_t i = 0; i < l->n_keys; i++)
        keys[i] = s->values[l->keys[i].slot];
    struct online_query q = {keys, l->n_keys, at_us, l->ttl_us};
    if (online_get(store, &s->refs[index], &q, s->looked_up, &hit, NULL) != ERR_OK) {
        s->statuses[index] = PLAN_NO_STORE;
        return ERR_OK;
    }
    static const enum plan_status STATUSES[ONLINE_STATUS_N] = {
        [ONLINE_PRESENT] = PLAN_PRESENT,
        [ONLINE_NOT_FOUND] = PLAN_NOT_FOUND,
        [ONLINE_OUTSIDE_MAX_AGE] = PLAN_OUTSIDE_MAX_AGE,
    };
    s->statuses[index] = STATUSES[hit.status];
    if (hit.status == ONLINE_NOT_FOUND)
        return ERR_OK;
    s->age_us[index] = at_us - hit.time_us;
    if (hit.status == ONLINE_OUTSIDE_MAX_AGE && l->on_stale == PLAN_STALE_ERROR)
        return err_set(err, ERR_UNAVAILABLE,
                       "the newest value of view '%s' is older than its ttl (on_stale: error)",
                       l->view);
    if (hit.status == ONLINE_OUTSIDE_MAX_AGE && l->on_stale == PLAN_STALE_DEFAULT)
        return ERR_OK;
    return take_columns(s, l, err);
}

static enum err_code look_up_all(struct plan_scratch *s, struct online_reader *store, int64_t at_us,
                                 struct err *err)
{
    const struct plan *p = s->plan;
    bool is_open = false;
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < p->n_lookups; i++) {
        s->age_us[i] = -1;
        s->statuses[i] = PLAN_NO_STORE;
        if (is_given_whole(s, &p->lookups[i])) {
            s->statuses[i] = PLAN_GIVEN;
            continue;
        }
        if (store && !is_open)
            is_open = online_begin(store, NULL) == ERR_OK;
        if (is_open)
            rc = look_up(s, i, store, at_us, err);
    }
    if (is_open)
        online_end(store);
    return rc;
}

/* ---- to the model's row ---- */

struct str plan_category_text(const struct value *v, char buf[NUM_TEXT_BYTES])
{
    if (v->type == VAL_STR)
        return v->u.s;
    if (v->type == VAL_BOOL)
        return v->u.b ? STR("true") : STR("false");
    return str_n(buf, num_i64(buf, v->u.i));
}

int64_t plan_category_index(const struct plan *p, size_t input, const struct value *v)
{
    char buf[NUM_TEXT_BYTES];
    const struct plan_input *in = &p->inputs[input];
    const struct plan_categories *c = &p->categories[input];
    if (v->type == VAL_NULL)
        return -1;
    struct str text = plan_category_text(v, buf);
    for (size_t at = hash64(text.p, text.n, 0) & c->mask; c->table[at]; at = (at + 1) & c->mask) {
        uint32_t i = c->table[at] - 1;
        if (str_eq(in->categories[i], text))
            return i;
    }
    return -1;
}

static float number_of(const struct value *v)
{
    switch (v->type) {
    case VAL_BOOL:
        return v->u.b ? 1.0f : 0.0f;
    case VAL_INT:
        return (float)v->u.i;
    case VAL_FLOAT:
        return (float)v->u.f;
    case VAL_NULL:
        return NAN;
    case VAL_TIME:
    case VAL_STR:
    case VAL_TYPE_N:
        break;
    }
    UNREACHABLE();
}

enum err_code plan_finish_row(struct plan_scratch *s, float *row, struct err *err)
{
    const struct plan *p = s->plan;
    for (size_t i = p->n_request; i < p->n_settable; i++) {
        if (s->values[i].type == VAL_NULL)
            s->values[i] = p->defaults[i];
    }
    for (size_t i = p->n_settable; i < p->n_slots; i++) {
        struct expr_state *st = &s->states[i - p->n_settable];
        expr_eval(p->exprs[i - p->n_settable], st, s->values, &s->values[i]);
        if (st->is_text_full) {
            st->is_text_full = false;
            return err_set(err, ERR_LIMIT, "row feature '%s' makes a string of more than %d bytes",
                           p->slots[i].name, PLAN_ROW_TEXT_BYTES);
        }
    }
    for (size_t i = 0; i < p->n_inputs; i++) {
        const struct value *v = &s->values[p->inputs[i].slot];
        if (p->inputs[i].is_category) {
            int64_t index = plan_category_index(p, i, v);
            row[i] = index < 0 ? NAN : (float)index;
        } else {
            row[i] = number_of(v);
        }
    }
    return ERR_OK;
}

static enum err_code check_required(const struct plan_scratch *s, struct err *err)
{
    const struct plan *p = s->plan;
    for (size_t i = 0; i < p->n_request; i++) {
        if (p->slots[i].is_required && !s->is_given[i])
            return err_set(err, ERR_INVALID, "field '%s' (%s) is required and missing",
                           p->slots[i].name, value_type_name(p->slots[i].type));
    }
    return ERR_OK;
}

enum err_code plan_run(struct plan_scratch *s, struct online_reader *store, int64_t now_us,
                       float *row, struct plan_result *ret, struct err *err)
{
    const struct plan *p = s->plan;
    int64_t at_us = now_us;
    enum err_code rc = check_required(s, err);
    if (rc != ERR_OK)
        return rc;
    if (p->time_slot >= 0 && s->values[p->time_slot].type == VAL_TIME)
        at_us = s->values[p->time_slot].u.i;
    else if (p->time_slot >= 0)
        s->values[p->time_slot] = (struct value){.type = VAL_TIME, .u.i = now_us};
    rc = look_up_all(s, store, at_us, err);
    if (rc == ERR_OK)
        rc = plan_finish_row(s, row, err);
    if (rc != ERR_OK)
        return rc;
    bool is_default = false;
    for (size_t i = 0; i < p->n_lookups; i++) {
        bool is_stale = s->statuses[i] == PLAN_OUTSIDE_MAX_AGE &&
                        p->lookups[i].on_stale != PLAN_STALE_SERVE_LAST;
        is_default |=
            s->statuses[i] == PLAN_NOT_FOUND || s->statuses[i] == PLAN_NO_STORE || is_stale;
    }
    *ret = (struct plan_result){at_us, s->statuses, s->age_us, s->values, is_default};
    return ERR_OK;
}
