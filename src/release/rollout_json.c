#include "release/rollout.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "stats/sequential.h"

static struct json *guard_json(const struct guardrail *g, struct arena *a)
{
    struct json *o = json_obj(a);

    json_set(a, o, "metric", json_cstr(a, GUARD_METRIC_NAMES[g->metric]));
    json_set(a, o, "rule", json_cstr(a, GUARD_RULE_NAMES[g->rule]));
    json_set(a, o, "value", json_num(a, g->value));
    if (g->metric == GUARD_LATENCY) {
        json_set(a, o, "margin", json_num(a, g->margin));
        json_set(a, o, "quantile", json_num(a, g->quantile));
    }
    return json_set(a, o, "required", json_bool(a, g->is_required));
}

static struct json *step_json(const struct rollout_step *s, struct arena *a)
{
    struct json *o = json_obj(a);

    json_set(a, o, "kind", json_cstr(a, s->share == 0 ? "shadow" : "canary"));
    json_set(a, o, "share", json_int(a, s->share));
    json_set(a, o, "window_us", json_int(a, s->window_us));
    return json_set(a, o, "samples", json_int(a, s->samples));
}

struct json *rollout_plan_json(const struct rollout_plan *p, struct arena *a)
{
    struct json *o = json_obj(a), *steps = json_arr(a), *guards = json_arr(a),
                *sticky = json_arr(a);

    for (int i = 0; i < p->n_steps; i++)
        json_add(a, steps, step_json(&p->steps[i], a));
    for (int i = 0; i < p->n_guards; i++)
        json_add(a, guards, guard_json(&p->guards[i], a));
    for (size_t i = 0; i < p->n_sticky; i++)
        json_add(a, sticky, json_cstr(a, p->sticky_by[i]));
    json_set(a, o, "steps", steps);
    json_set(a, o, "guardrails", guards);
    json_set(a, o, "sticky_by", sticky);
    json_set(a, o, "alpha", json_num(a, p->alpha));
    json_set(a, o, "fuse", json_num(a, p->fuse));
    json_set(a, o, "min_buckets", json_int(a, p->min_buckets));
    json_set(a, o, "min_requests", json_int(a, p->min_requests));
    json_set(a, o, "expires_us", json_int(a, p->expires_us));
    json_set(a, o, "pair", json_num(a, p->pair));
    return json_set(a, o, "latency_limit_us", json_num(a, p->latency_limit_us));
}

static enum err_code name_index(const struct json *v, const char *key, const char *const *names,
                                int n, int *ret, struct err *err)
{
    struct str s = json_get_str(v, key);

    for (int i = 0; i < n; i++)
        if (str_is(s, names[i])) {
            *ret = i;
            return ERR_OK;
        }
    return err_set(err, ERR_CORRUPT, "a stored rollout has \"%s\": \"%.*s\", which is not known",
                   key, STR_ARG(s));
}

static enum err_code guard_read(const struct json *v, struct guardrail *ret, struct err *err)
{
    int metric, rule;

    if (name_index(v, "metric", GUARD_METRIC_NAMES, GUARD_METRIC_N, &metric, err) != ERR_OK ||
        name_index(v, "rule", GUARD_RULE_NAMES, GUARD_RULE_N, &rule, err) != ERR_OK)
        return err->code;
    *ret = (struct guardrail){.metric = (enum guard_metric)metric,
                              .rule = (enum guard_rule)rule,
                              .value = json_get_f64(v, "value", NAN),
                              .margin = json_get_f64(v, "margin", 0),
                              .quantile = json_get_f64(v, "quantile", 0),
                              .is_required = json_get_bool(v, "required", true)};
    return ERR_OK;
}

static enum err_code lists_read(const struct json *v, struct arena *a, struct rollout_plan *p,
                                struct err *err)
{
    const struct json *steps = json_get(v, "steps"), *guards = json_get(v, "guardrails"),
                      *sticky = json_get(v, "sticky_by");
    const char **keys = ARENA_NEW_N(a, const char *, json_len(sticky));

    if (!keys)
        return arena_err(a, err);
    if (json_len(steps) < 1 || json_len(steps) > EV_STEPS_MAX ||
        json_len(guards) > ROLLOUT_GUARDS_MAX)
        return err_set(err, ERR_CORRUPT, "a stored rollout plan has %zu steps and %zu guardrails",
                       json_len(steps), json_len(guards));
    for (size_t i = 0; i < json_len(steps); i++) {
        const struct json *s = json_at(steps, i);
        p->steps[i] = (struct rollout_step){.share = (int)json_get_int(s, "share", 0),
                                            .window_us = json_get_int(s, "window_us", 0),
                                            .samples = json_get_int(s, "samples", 0)};
    }
    for (size_t i = 0; i < json_len(guards); i++)
        if (guard_read(json_at(guards, i), &p->guards[i], err) != ERR_OK)
            return err->code;
    for (size_t i = 0; i < json_len(sticky); i++)
        keys[i] = str_dup(a, json_at(sticky, i)->u.s);
    p->n_steps = (int)json_len(steps);
    p->n_guards = (int)json_len(guards);
    p->sticky_by = keys;
    p->n_sticky = json_len(sticky);
    return ERR_OK;
}

enum err_code rollout_plan_from_json(const struct json *v, struct arena *a,
                                     struct rollout_plan *ret, struct err *err)
{
    struct rollout_plan p = {.alpha = json_get_f64(v, "alpha", GUARDRAIL_ALPHA),
                             .fuse = json_get_f64(v, "fuse", 0),
                             .min_buckets = json_get_int(v, "min_buckets", GUARDRAIL_K_MIN),
                             .min_requests = json_get_int(v, "min_requests", 0),
                             .expires_us = json_get_int(v, "expires_us", 0),
                             .pair = json_get_f64(v, "pair", 1),
                             .latency_limit_us = json_get_f64(v, "latency_limit_us", 0)};

    if (lists_read(v, a, &p, err) != ERR_OK)
        return err->code;
    *ret = p;
    return ERR_OK;
}

struct json *rollout_json(const struct rollout *r, struct arena *a)
{
    struct json *o = json_obj(a), *started = json_arr(a);

    for (int i = 0; i < r->plan.n_steps && r->step_started_us[i] != AT_US_NONE && i <= r->step; i++)
        json_add(a, started, json_time(a, r->step_started_us[i]));
    json_set(a, o, "id", json_int(a, r->id));
    json_set(a, o, "endpoint", json_cstr(a, r->endpoint));
    json_set(a, o, "candidate", json_fmt(a, "r%lld", (long long)r->candidate));
    json_set(a, o, "incumbent", json_fmt(a, "r%lld", (long long)r->incumbent));
    json_set(a, o, "salt", json_cstr(a, r->salt));
    json_set(a, o, "state", json_cstr(a, ROLLOUT_STATE_NAMES[r->state]));
    json_set(a, o, "before_pause", json_cstr(a, ROLLOUT_STATE_NAMES[r->before_pause]));
    json_set(a, o, "step", json_int(a, r->step));
    json_set(a, o, "steps", json_int(a, r->plan.n_steps));
    json_set(a, o, "share", json_num(a, r->plan.steps[r->step].share / 10000.0));
    json_set(a, o, "started", json_time(a, r->started_us));
    json_set(a, o, "step_started", started);
    json_set(a, o, "plan", rollout_plan_json(&r->plan, a));
    return json_set(a, o, "reason", json_cstr(a, r->reason));
}

static int64_t release_number(const struct json *v, const char *key)
{
    struct str s = json_get_str(v, key);
    int64_t n = 0;

    return s.n > 1 && s.p[0] == 'r' && parse_i64(str_n(s.p + 1, s.n - 1), &n, NULL) == ERR_OK ? n
                                                                                              : 0;
}

enum err_code rollout_from_json(const struct json *v, struct arena *a, struct rollout *ret,
                                struct err *err)
{
    struct rollout r = {.id = json_get_int(v, "id", 0),
                        .endpoint = str_dup(a, json_get_str(v, "endpoint")),
                        .candidate = release_number(v, "candidate"),
                        .incumbent = release_number(v, "incumbent"),
                        .step = (int)json_get_int(v, "step", 0),
                        .started_us = json_get_time(v, "started"),
                        .reason = str_dup(a, json_get_str(v, "reason"))};
    const struct json *started = json_get(v, "step_started");
    int state, before;

    if (rollout_plan_from_json(json_get(v, "plan"), a, &r.plan, err) != ERR_OK ||
        name_index(v, "state", ROLLOUT_STATE_NAMES, ROLLOUT_STATE_N, &state, err) != ERR_OK ||
        name_index(v, "before_pause", ROLLOUT_STATE_NAMES, ROLLOUT_STATE_N, &before, err) != ERR_OK)
        return err->code;
    if (r.step < 0 || r.step >= r.plan.n_steps)
        return err_set(err, ERR_CORRUPT, "a stored rollout stands in step %d of %d", r.step,
                       r.plan.n_steps);
    r.state = (enum rollout_state)state;
    r.before_pause = (enum rollout_state)before;
    (void)snprintf(r.salt, sizeof(r.salt), "%s",
                   json_get_c(v, "salt") ? json_get_c(v, "salt") : "");
    for (int i = 0; i < EV_STEPS_MAX; i++) {
        const struct json *t = json_at(started, (size_t)i);
        if (!t || t->type != JSON_STR ||
            parse_time_us(t->u.s, &r.step_started_us[i], err) != ERR_OK)
            r.step_started_us[i] = AT_US_NONE;
    }
    *ret = r;
    return ERR_OK;
}

/* ---- ticks ---- */
struct json *rollout_tick_json(const struct rollout *r, const struct rollout_tick *t,
                               struct arena *a)
{
    struct json *o = json_obj(a), *guards = json_arr(a), *n = json_obj(a);

    for (int i = 0; i < r->plan.n_guards; i++) {
        const struct guard_look *g = &t->guards[i];
        struct json *v = g->is_judged
                             ? guardrail_json(&g->spec, g->strata, g->n_strata, &g->result, a)
                             : json_obj(a);
        json_set(a, v, "metric", json_cstr(a, GUARD_METRIC_NAMES[r->plan.guards[i].metric]));
        json_set(a, v, "judged", json_bool(a, g->is_judged));
        json_set(a, v, "required", json_bool(a, r->plan.guards[i].is_required));
        json_set(a, v, "verdict",
                 json_cstr(a, verdict_name(g->is_judged ? g->result.verdict : VERDICT_OPEN)));
        json_add(a, guards, v);
    }
    json_set(a, n, "candidate", json_num(a, t->totals.n[ARM_CANDIDATE]));
    json_set(a, n, "incumbent", json_num(a, t->totals.n[ARM_INCUMBENT]));
    json_set(a, n, "pairs", json_num(a, t->totals.pairs));
    json_set(a, n, "labelled", json_num(a, t->totals.labelled));
    json_set(a, n, "candidate_buckets", json_num(a, t->totals.entities[ARM_CANDIDATE]));
    json_set(a, n, "incumbent_buckets", json_num(a, t->totals.entities[ARM_INCUMBENT]));
    json_set(a, o, "at", json_time(a, t->at_us));
    json_set(a, o, "state", json_cstr(a, ROLLOUT_STATE_NAMES[t->state]));
    json_set(a, o, "step", json_int(a, t->step));
    json_set(a, o, "share", json_num(a, r->plan.steps[t->step].share / 10000.0));
    json_set(a, o, "step_started", json_time(a, r->step_started_us[t->step]));
    json_set(a, o, "requests", n);
    json_set(a, o, "base_rate", json_num(a, t->base_rate));
    json_set(a, o, "sample_ratio_log_e", json_num(a, t->srm_log_e));
    json_set(a, o, "guardrails", guards);
    json_set(a, o, "verdict", json_cstr(a, verdict_name(t->verdict)));
    json_set(a, o, "action", json_cstr(a, ROLLOUT_ACTION_NAMES[t->action]));
    return json_set(a, o, "text", json_cstr(a, t->text));
}

static enum err_code guards_replay(const struct rollout *r, const struct json *tick,
                                   struct rollout_tick *t, struct arena *a, struct json *ret,
                                   bool *is_same, struct err *err)
{
    const struct json *guards = json_get(tick, "guardrails");

    if (json_len(guards) != (size_t)r->plan.n_guards)
        return err_set(err, ERR_CORRUPT, "the tick has %zu guardrails, the plan %d",
                       json_len(guards), r->plan.n_guards);
    for (int i = 0; i < r->plan.n_guards; i++) {
        const struct json *g = json_at(guards, (size_t)i);
        struct json *o = json_obj(a);
        bool same = true;
        t->guards[i].is_judged = json_get_bool(g, "judged", false);
        if (t->guards[i].is_judged &&
            guardrail_replay(g, a, &t->guards[i].result, &same, err) != ERR_OK)
            return err_wrap(err, "guardrail %s", GUARD_METRIC_NAMES[r->plan.guards[i].metric]);
        json_set(a, o, "metric", json_cstr(a, GUARD_METRIC_NAMES[r->plan.guards[i].metric]));
        json_set(a, o, "verdict",
                 json_cstr(a, verdict_name(t->guards[i].is_judged ? t->guards[i].result.verdict
                                                                  : VERDICT_OPEN)));
        json_set(a, o, "is_same", json_bool(a, same));
        json_add(a, ret, o);
        *is_same = *is_same && same;
    }
    return ERR_OK;
}

static void totals_read(const struct json *n, struct ev_totals *ret)
{
    *ret =
        (struct ev_totals){.n = {json_get_f64(n, "incumbent", 0), json_get_f64(n, "candidate", 0)},
                           .entities = {json_get_f64(n, "incumbent_buckets", 0),
                                        json_get_f64(n, "candidate_buckets", 0)},
                           .pairs = json_get_f64(n, "pairs", 0),
                           .labelled = json_get_f64(n, "labelled", 0)};
}

enum err_code rollout_replay(const struct rollout *r, const struct json *tick, struct arena *a,
                             struct json **ret, bool *ret_is_same, struct err *err)
{
    struct rollout at = *r;
    struct rollout_tick t = {.at_us = json_get_time(tick, "at"),
                             .step = (int)json_get_int(tick, "step", 0)};
    struct json *o = json_obj(a), *guards = json_arr(a);
    int state;
    bool is_same = true;

    if (t.step < 0 || t.step >= r->plan.n_steps || t.at_us == AT_US_NONE)
        return err_set(err, ERR_CORRUPT, "a stored tick names step %d", t.step);
    if (name_index(tick, "state", ROLLOUT_STATE_NAMES, ROLLOUT_STATE_N, &state, err) != ERR_OK)
        return err->code;
    at.state = t.state = (enum rollout_state)state;
    at.step = t.step;
    at.step_started_us[t.step] = json_get_time(tick, "step_started");
    t.base_rate = json_get_f64(tick, "base_rate", NAN);
    totals_read(json_get(tick, "requests"), &t.totals);
    if (guards_replay(r, tick, &t, a, guards, &is_same, err) != ERR_OK)
        return err->code;
    if (r->plan.steps[t.step].share > 0 && r->plan.steps[t.step].share < 10000)
        t.srm_log_e = seq_srm_log_e(
            (uint64_t)t.totals.entities[ARM_CANDIDATE],
            (uint64_t)(t.totals.entities[ARM_CANDIDATE] + t.totals.entities[ARM_INCUMBENT]),
            r->plan.steps[t.step].share / 10000.0);
    rollout_decide(&at, &t);
    is_same = is_same && str_is(json_get_str(tick, "verdict"), verdict_name(t.verdict)) &&
              str_is(json_get_str(tick, "action"), ROLLOUT_ACTION_NAMES[t.action]);
    json_set(a, o, "at", json_time(a, t.at_us));
    json_set(a, o, "step", json_int(a, t.step));
    json_set(a, o, "verdict", json_cstr(a, verdict_name(t.verdict)));
    json_set(a, o, "action", json_cstr(a, ROLLOUT_ACTION_NAMES[t.action]));
    json_set(a, o, "guardrails", guards);
    *ret = json_set(a, o, "is_same", json_bool(a, is_same));
    *ret_is_same = is_same;
    return ERR_OK;
}
