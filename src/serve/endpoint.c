#include "serve/endpoint.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

bool endpoint_name_ok(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    if (n == 0 || n > ENDPOINT_NAME_MAX || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return false;
    return true;
}

static struct json *term_json(const struct endpoint_term *t, struct arena *a)
{
    struct json *v = json_obj(a);
    json_set(a, v, "release", json_int(a, t->release));
    json_set(a, v, "doc", json_copy(a, t->doc));
    json_set(a, v, "from", json_time(a, t->from_us));
    json_set(a, v, "to", json_time(a, t->to_us));
    return json_set(a, v, "rolled_back", json_bool(a, t->was_rolled_back));
}

static struct json *rollout_state_json(const struct endpoint_rollout *r, struct arena *a)
{
    struct json *v = json_obj(a), *sticky = json_arr(a);
    for (size_t i = 0; i < r->n_sticky; i++)
        json_add(a, sticky, json_cstr(a, r->sticky_by[i]));
    json_set(a, v, "id", json_int(a, (int64_t)r->id));
    json_set(a, v, "candidate", json_int(a, r->candidate));
    json_set(a, v, "doc", json_copy(a, r->doc));
    json_set(a, v, "step", json_int(a, r->step));
    json_set(a, v, "share", json_int(a, r->share));
    json_set(a, v, "paused", json_bool(a, r->is_paused));
    json_set(a, v, "salt", json_cstr(a, r->salt));
    json_set(a, v, "sticky_by", sticky);
    json_set(a, v, "fuse", json_num(a, r->fuse));
    json_set(a, v, "fuse_min", json_int(a, r->fuse_min));
    json_set(a, v, "started_at", json_time(a, r->started_us));
    return json_set(a, v, "plan", r->plan ? json_copy(a, r->plan) : NULL);
}

struct json *endpoint_state_json(const struct endpoint_state *s, struct arena *a)
{
    struct json *v = json_obj(a), *history = json_arr(a);
    for (size_t i = 0; i < s->n_history; i++)
        json_add(a, history, term_json(&s->history[i], a));
    json_set(a, v, "name", json_cstr(a, s->name));
    json_set(a, v, "generation", json_int(a, (int64_t)s->generation));
    json_set(a, v, "live", json_int(a, s->live));
    json_set(a, v, "live_doc", s->live_doc ? json_copy(a, s->live_doc) : NULL);
    json_set(a, v, "history", history);
    if (s->has_rollout)
        json_set(a, v, "rollout", rollout_state_json(&s->rollout, a));
    json_set(a, v, "held", json_bool(a, s->is_held));
    json_set(a, v, "hold_reason", json_cstr(a, s->hold_reason));
    json_set(a, v, "hold_until", json_time(a, s->hold_until_us));
    if (s->has_fallback)
        json_set(a, v, "fallback", json_num(a, s->fallback));
    return v;
}

static enum err_code term_read(const struct json *v, struct endpoint_term *t, struct err *err)
{
    t->release = json_get_int(v, "release", 0);
    t->doc = json_get(v, "doc");
    t->from_us = json_get_time(v, "from");
    t->to_us = json_get_time(v, "to");
    t->was_rolled_back = json_get_bool(v, "rolled_back", false);
    return t->release > 0
               ? ERR_OK
               : err_set(err, ERR_CORRUPT, "a term of the endpoint's history has no release");
}

static enum err_code rollout_read(const struct json *v, struct arena *a, struct endpoint_rollout *r,
                                  struct err *err)
{
    const struct json *sticky = json_get(v, "sticky_by");
    struct str salt = json_get_str(v, "salt");
    r->id = (uint64_t)json_get_int(v, "id", 0);
    r->candidate = json_get_int(v, "candidate", 0);
    r->doc = json_get(v, "doc");
    r->step = (int)json_get_int(v, "step", 0);
    r->share = (int)json_get_int(v, "share", 0);
    r->is_paused = json_get_bool(v, "paused", false);
    r->fuse = json_get_f64(v, "fuse", 0);
    r->fuse_min = json_get_int(v, "fuse_min", 0);
    r->started_us = json_get_time(v, "started_at");
    r->plan = json_get(v, "plan");
    r->n_sticky = json_len(sticky);
    r->sticky_by = ARENA_NEW_N(a, const char *, r->n_sticky);
    if (!r->sticky_by)
        return arena_err(a, err);
    for (size_t i = 0; i < r->n_sticky; i++) {
        const struct json *name = json_at(sticky, i);
        if (name->type != JSON_STR)
            return err_set(err, ERR_CORRUPT, "sticky_by[%zu] of the rollout is not a name", i);
        r->sticky_by[i] = name->u.s.p;
    }
    if (r->candidate <= 0 || !salt.n || salt.n >= sizeof r->salt || r->share < 0 ||
        r->share > 10000)
        return err_set(err, ERR_CORRUPT, "the rollout of the endpoint cannot be read");
    memcpy(r->salt, salt.p, salt.n);
    return ERR_OK;
}

enum err_code endpoint_state_read(const struct json *v, struct arena *a, struct endpoint_state *ret,
                                  struct err *err)
{
    const struct json *history = json_get(v, "history"), *rollout = json_get(v, "rollout");
    struct endpoint_state s = {
        .name = json_get_c(v, "name"),
        .generation = (uint64_t)json_get_int(v, "generation", 0),
        .live = json_get_int(v, "live", 0),
        .live_doc = json_get(v, "live_doc"),
        .n_history = json_len(history),
        .has_rollout = rollout != NULL,
        .is_held = json_get_bool(v, "held", false),
        .hold_reason = json_get_c(v, "hold_reason"),
        .hold_until_us = json_get_time(v, "hold_until"),
        .has_fallback = json_get(v, "fallback") != NULL,
        .fallback = json_get_f64(v, "fallback", (double)NAN),
    };
    if (!endpoint_name_ok(s.name))
        return err_set(err, ERR_CORRUPT, "the state of an endpoint has no name");
    s.history = ARENA_NEW_N(a, struct endpoint_term, s.n_history);
    if (!s.history)
        return arena_err(a, err);
    for (size_t i = 0; i < s.n_history; i++)
        if (term_read(json_at(history, i), &s.history[i], err) != ERR_OK)
            return err_wrap(err, "endpoint %s", s.name);
    if (rollout && rollout_read(rollout, a, &s.rollout, err) != ERR_OK)
        return err_wrap(err, "endpoint %s", s.name);
    *ret = s;
    return ERR_OK;
}

enum err_code endpoint_state_copy(const struct endpoint_state *s, struct arena *a,
                                  struct endpoint_state *ret, struct err *err)
{
    struct json *v = endpoint_state_json(s, a);
    if (a->is_out_of_memory || a->is_over_limit)
        return arena_err(a, err);
    return endpoint_state_read(v, a, ret, err);
}

const struct endpoint_term *endpoint_rollback_target(const struct endpoint_state *s)
{
    for (size_t i = s->n_history; i-- > 0;) {
        const struct endpoint_term *t = &s->history[i];
        bool was_bad = false;
        for (size_t k = 0; k < s->n_history; k++)
            was_bad =
                was_bad || (s->history[k].release == t->release && s->history[k].was_rolled_back);
        if (t->release != s->live && !was_bad)
            return t;
    }
    return NULL;
}

const struct endpoint_term *endpoint_find_term(const struct endpoint_state *s, int64_t release)
{
    for (size_t i = s->n_history; i-- > 0;)
        if (s->history[i].release == release)
            return &s->history[i];
    return NULL;
}
