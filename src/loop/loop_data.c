/* Sources at the event clock: a new version is taken, checked, and only a good one reaches the online store. */
#include <stdio.h>

#include "base/check.h"
#include "features/materialize.h"
#include "loop/loop_int.h"

bool loop_is_blocked(const struct loop_endpoint *ep, const char **ret_source)
{
    for (size_t i = 0; i < ep->n_sources; i++)
        if (ep->sources[i].blocked_us != AT_US_NONE) {
            *ret_source = ep->sources[i].name;
            return true;
        }
    return false;
}

/* ---- checks ---- */
/* The version in use: the last that passed, or, before any was judged, the one that is there. */
static enum err_code good_version(struct turn *t, const struct data_env *env,
                                  const struct source_spec *spec, const struct loop_source *ls,
                                  struct data_version *ret)
{
    if (ls->good[0])
        return data_version_load(env, spec->name, str_c(ls->good), t->a, ret, t->err);
    return data_snapshot(env, spec, t->a, ret, NULL, t->err);
}

static enum err_code bindings_of(struct turn *t, const struct data_env *env, struct str first,
                                 const struct data_version *version, struct json **ret)
{
    const struct sources_spec *all = &t->ep->project->sources;
    struct json *list = json_arr(t->a);
    struct json *b;

    if (first.n > 0) {
        if (data_binding(env, sources_spec_find(all, first), version, t->a, &b, t->err) != ERR_OK)
            return t->err->code;
        json_add(t->a, list, b);
    }
    for (size_t i = 0; i < all->n; i++) {
        struct loop_source *ls = loop_source_get(t->ep, all->p[i].name);
        struct data_version v;
        if (str_eq(all->p[i].name, first) || !ls)
            continue;
        if (good_version(t, env, &all->p[i], ls, &v) != ERR_OK ||
            data_binding(env, &all->p[i], &v, t->a, &b, t->err) != ERR_OK)
            return t->err->code;
        json_add(t->a, list, b);
    }
    *ret = list;
    return ERR_OK;
}

static const struct json *references_of(struct turn *t, const struct data_env *env,
                                        const struct loop_source *ls)
{
    struct data_version good;
    struct err none = ERR_INIT;
    struct json *o;

    if (!ls->good[0] ||
        data_version_load(env, str_c(ls->name), str_c(ls->good), t->a, &good, &none) != ERR_OK)
        return NULL;
    o = json_obj(t->a);
    return json_set(t->a, o, "previous", json_copy(t->a, good.doc));
}

/* *ret_report NULL: nothing is declared about this source. */
static enum err_code check_version(struct turn *t, const struct data_env *env,
                                   const struct loop_source *ls, const struct data_version *v,
                                   struct json **ret_report)
{
    struct checks_order order = {
        .checks = checks_spec_find(&t->ep->project->checks, str_c(ls->name)), .at_us = t->now_us};
    struct json *bindings;

    *ret_report = NULL;
    if (!order.checks)
        return ERR_OK;
    if (bindings_of(t, env, str_c(ls->name), v, &bindings) != ERR_OK)
        return t->err->code;
    order.bindings = bindings;
    order.references = references_of(t, env, ls);
    return checks_run(env, &order, t->a, ret_report, t->err);
}

static enum err_code page_blocked(struct turn *t, struct loop_source *ls, const struct json *report)
{
    struct buf text;
    struct loop_alarm al = {.rule = "SourceBlocked",
                            .object = str_printf(t->a, "source:%s", ls->name),
                            .severity = ALERT_PAGE,
                            .box = str_printf(t->a, "source:%s", ls->name),
                            .runbook = "source-blocked",
                            .evidence = report};

    buf_init(&text, sizeof(ls->blocked_by) * 8);
    checks_report_text(report, &text);
    (void)snprintf(ls->blocked_by, sizeof(ls->blocked_by), "%.*s",
                   STR_ARG(str_trim(buf_view(&text))));
    buf_fini(&text);
    al.summary = str_printf(t->a,
                            "Ingest -> Validate is broken: %s is blocked by a check (%s). Its last "
                            "good version stays in use, "
                            "nothing trains, predictions go on.",
                            ls->name, ls->blocked_by);
    return loop_raise(t, &al);
}

static enum err_code settle_version(struct turn *t, struct loop_source *ls,
                                    const struct data_version *v, const struct json *report,
                                    bool is_first)
{
    char hex[DIGEST_HEX_BYTES];
    bool is_bad = report && str_is(json_get_str(report, "verdict"), "fail");

    digest_hex(&v->digest, hex);
    memcpy(ls->seen, hex, sizeof(hex));
    ls->newest_us = v->known_max_us != AT_US_NONE ? v->known_max_us : v->time_max_us;
    if (is_bad) {
        if (ls->blocked_us == AT_US_NONE)
            ls->blocked_us = t->now_us;
        return page_blocked(t, ls, report);
    }
    memcpy(ls->good, hex, sizeof(hex));
    ls->good_newest_us = ls->newest_us;
    t->ep->needs_materialize = true;
    if (!is_first) {
        struct loop_pending *p = &t->ep->pending[TRIGGER_NEW_DATA];
        p->is_set = true;
        p->at_us = t->now_us;
        (void)snprintf(p->text, sizeof(p->text), "source %s has a new version %.12s", ls->name,
                       hex);
    }
    if (ls->blocked_us == AT_US_NONE)
        return ERR_OK;
    ls->blocked_us = AT_US_NONE;
    ls->blocked_by[0] = '\0';
    return loop_settle(t, "SourceBlocked", str_printf(t->a, "source:%s", ls->name),
                       "its checks pass again");
}

enum err_code loop_look_at_source(struct turn *t, const struct data_env *env,
                                  const struct source_spec *spec)
{
    struct loop_source *ls = loop_source_get(t->ep, spec->name);
    struct data_version v;
    struct digest digest;
    struct json *report, *o;
    char hex[DIGEST_HEX_BYTES];
    bool is_first;

    if (!ls)
        return ERR_OK;
    if (data_peek(env, spec, t->a, &digest, NULL, t->err) != ERR_OK) {
        if (t->err->code != ERR_NOT_FOUND && t->err->code != ERR_EMPTY)
            return t->err->code;
        err_reset(t->err); /* no file yet: staleness says so */
        return ERR_OK;
    }
    digest_hex(&digest, hex);
    if (strcmp(hex, ls->seen) == 0)
        return ERR_OK;
    is_first = ls->seen[0] == '\0';
    if (data_snapshot(env, spec, t->a, &v, NULL, t->err) != ERR_OK ||
        check_version(t, env, ls, &v, &report) != ERR_OK ||
        settle_version(t, ls, &v, report, is_first) != ERR_OK)
        return err_wrap(t->err, "source %.*s", STR_ARG(spec->name));
    o = json_obj(t->a);
    json_set(t->a, o, "source", json_cstr(t->a, ls->name));
    json_set(t->a, o, "version", json_cstr(t->a, ls->seen));
    json_set(t->a, o, "verdict",
             report ? json_str(t->a, json_get_str(report, "verdict"))
                    : json_cstr(t->a, "unchecked"));
    json_add(t->a, (struct json *)(uintptr_t)json_get(t->answer, "sources"), o);
    return ERR_OK;
}

/* ---- freshness ---- */
static struct source_facts facts_of(const struct loop_source *ls)
{
    return (struct source_facts){.name = ls->name,
                                 .owner = ls->owner,
                                 .newest_us = ls->newest_us,
                                 .freshness_us = ls->freshness_us,
                                 .blocked_us = ls->blocked_us,
                                 .blocked_by = ls->blocked_by};
}

static void sample_objectives(struct turn *t, const struct loop_source *ls, int64_t age_us)
{
    const struct monitor_spec *m = &t->ep->project->policy.monitor;

    for (size_t i = 0; i < m->n_slos; i++)
        if (m->slos[i].kind == SLO_FRESHNESS && m->slos[i].source &&
            strcmp(m->slos[i].source, ls->name) == 0)
            monitor_slo_sample(t->l->opt.monitor, t->ep->name, m->slos[i].name, t->now_us,
                               age_us >= 0 && age_us <= m->slos[i].limit_us);
}

static enum err_code judge_freshness(struct turn *t, struct loop_source *ls)
{
    struct source_facts f = facts_of(ls);
    int64_t age;
    enum source_condition c = source_judge(&f, t->now_us, &age);
    const char *object = str_printf(t->a, "source:%s", ls->name);
    char old[NUM_TEXT_BYTES], limit[NUM_TEXT_BYTES];
    struct loop_alarm al = {.rule = "SourceStale",
                            .object = object,
                            .severity = ALERT_PAGE,
                            .box = object,
                            .runbook = "source-stale",
                            .evidence = source_state_json(&f, t->now_us, t->a)};

    sample_objectives(t, ls, age);
    if (c == SOURCE_BLOCKED || c == SOURCE_UNKNOWN)
        return ERR_OK;
    if (c == SOURCE_FRESH)
        return loop_settle(t, "SourceStale", object, "new rows came");
    (void)duration_text(old, age);
    (void)duration_text(limit, ls->freshness_us);
    al.summary = str_printf(t->a,
                            "Ingest has stopped: the newest row of %s is %s old, declared is %s. "
                            "Predictions go on with older features.",
                            ls->name, old, limit);
    return loop_raise(t, &al);
}

static void show_sources(struct turn *t)
{
    mutex_lock(&t->l->state_mutex);
    memcpy(t->ep->shown, t->ep->sources, t->ep->n_sources * sizeof(t->ep->sources[0]));
    t->ep->n_shown = t->ep->n_sources;
    mutex_unlock(&t->l->state_mutex);
}

enum err_code loop_data_look(struct turn *t)
{
    struct data_env env;
    const struct sources_spec *all;

    json_set(t->a, t->answer, "sources", json_arr(t->a));
    if (!t->ep->project || !t->l->opt.db || !t->l->opt.pool)
        return ERR_OK;
    env = loop_data_env(t);
    all = &t->ep->project->sources;
    for (size_t i = 0; i < all->n; i++) {
        struct loop_source *ls;
        if (loop_look_at_source(t, &env, &all->p[i]) != ERR_OK)
            return t->err->code;
        ls = loop_source_get(t->ep, all->p[i].name);
        if (ls && judge_freshness(t, ls) != ERR_OK)
            return t->err->code;
    }
    show_sources(t);
    return ERR_OK;
}

/* ---- the online store ---- */
/* Up to the newest row that is good, even when that is ahead of the event clock: a read takes only what was known at the
 * request's time, so values of the rest of a day's file can wait in the store. */
enum err_code loop_materialize(struct turn *t)
{
    struct materialize_order order = {.to_us = t->now_us};
    struct data_env env;
    struct json *bindings, *done;

    if (!t->ep->project || !t->ep->needs_materialize || !t->l->opt.online || !t->l->opt.db ||
        !t->l->opt.pool)
        return ERR_OK;
    t->ep->needs_materialize = false;
    env = loop_data_env(t);
    if (bindings_of(t, &env, STR_NONE, NULL, &bindings) != ERR_OK)
        return t->err->code;
    for (size_t i = 0; i < t->ep->n_sources; i++)
        if (t->ep->sources[i].good_newest_us > order.to_us)
            order.to_us = t->ep->sources[i].good_newest_us;
    order.views = &t->ep->project->features;
    order.bindings = bindings;
    order.keep_us = order.to_us > t->now_us ? order.to_us - t->now_us + 2 * US_PER_DAY : 0;
    order.sink = feature_rows_put;
    order.sink_arg = t->l->opt.online;
    if (order.views->n == 0)
        return ERR_OK;
    if (features_materialize(&env, &order, t->a, &done, t->err) != ERR_OK)
        return err_wrap(t->err, "materialise the views of %s", t->ep->name);
    json_set(t->a, t->answer, "materialized", done);
    return ERR_OK;
}
