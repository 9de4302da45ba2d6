/* Windows, objectives and the rollout at the event clock; what they say becomes alerts and reasons for a lap. */
#include <stdio.h>

#include "base/check.h"
#include "loop/loop_int.h"

/* Told under the monitor's lock: copied, worked on afterwards. */
struct told {
    struct turn *t;
    VEC(struct monitor_event) events;
    bool is_full;
};

static void take(void *arg, const struct monitor_event *ev)
{
    struct told *told = arg;
    struct monitor_event *e = VEC_ADD(told->t->a, &told->events);

    if (!e) {
        told->is_full = true;
        return;
    }
    *e = *ev;
    e->endpoint = told->t->ep->name;
    e->name = ev->name ? str_dup(told->t->a, str_c(ev->name)) : NULL;
    e->doc = json_copy(told->t->a, ev->doc);
}

static void remember(struct turn *t, enum trigger_kind kind, const char *text)
{
    struct loop_pending *p = &t->ep->pending[kind];

    p->is_set = true;
    p->at_us = t->now_us;
    (void)snprintf(p->text, sizeof(p->text), "%s", text);
}

static enum err_code on_drift(struct turn *t, const struct monitor_event *e)
{
    char at[TIME_TEXT_BYTES];
    struct loop_alarm al = {.rule = "DataDrift",
                            .object = str_printf(t->a, "endpoint:%s", e->endpoint),
                            .severity = ALERT_PAGE,
                            .box = "monitor",
                            .runbook = "data-drift",
                            .evidence = e->doc};

    if (!e->is_live)
        return ERR_OK;
    if (!e->is_persistent)
        return e->is_open ? ERR_OK : loop_settle(t, al.rule, al.object, "a window without drift");
    (void)time_text(at, e->start_us);
    al.summary = str_printf(t->a, "Drift of %s in the window of r%lld that starts %s%s.",
                            e->name ? e->name : "the score", (long long)e->release, at,
                            e->is_score ? "; the scores moved too" : "");
    remember(t, TRIGGER_DRIFT, al.summary);
    return loop_raise(t, &al);
}

static enum err_code on_performance(struct turn *t, const struct monitor_event *e)
{
    struct loop_alarm al = {.rule = "PerformanceDecay",
                            .object =
                                str_printf(t->a, "endpoint:%s/metric:%s", e->endpoint, e->name),
                            .severity = ALERT_PAGE,
                            .box = "monitor",
                            .runbook = "performance-decay",
                            .evidence = e->doc};

    if (!e->is_live || e->is_open)
        return ERR_OK;
    if (!e->is_persistent)
        return e->is_alarm ? ERR_OK
                           : loop_settle(t, al.rule, al.object, "a window within its limit");
    al.summary = str_printf(t->a, "r%lld has decayed: %s.", (long long)e->release,
                            json_get_c(e->doc, "why") ? json_get_c(e->doc, "why") : e->name);
    remember(t, TRIGGER_DECAY, al.summary);
    return loop_raise(t, &al);
}

static enum err_code on_starved(struct turn *t, const struct monitor_event *e)
{
    struct loop_alarm al = {.rule = "LabelsMissing",
                            .object = str_printf(t->a, "endpoint:%s", e->endpoint),
                            .severity = ALERT_TICKET,
                            .box = "feedback",
                            .runbook = "labels-missing",
                            .evidence = e->doc};

    if (!e->is_live)
        return ERR_OK;
    al.summary = str_printf(t->a,
                            "Feedback is starved: labels of %.0f%% of the predictions of r%lld "
                            "came in time, declared are %.0f%%: "
                            "performance cannot be judged.",
                            100 * json_get_f64(e->doc, "coverage", 0), (long long)e->release,
                            100 * json_get_f64(e->doc, "declared_coverage", 0));
    return loop_raise(t, &al);
}

static enum err_code on_event(struct turn *t, const struct monitor_event *e)
{
    switch (e->kind) {
    case MONITOR_DRIFT:
        return on_drift(t, e);
    case MONITOR_PERFORMANCE:
        if (e->is_live &&
            !e->is_open) { /* labels are there: the ticket about their absence is over */
            enum err_code code = loop_settle(
                t, "LabelsMissing", str_printf(t->a, "endpoint:%s", e->endpoint), "labels came");
            if (code != ERR_OK)
                return code;
        }
        return on_performance(t, e);
    case MONITOR_STARVED:
        return on_starved(t, e);
    case MONITOR_EVENT_N:
        break;
    }
    UNREACHABLE();
}

static enum err_code watch_objectives(struct turn *t)
{
    struct json *slos;
    enum slo_severity worst = monitor_slos(t->l->opt.monitor, t->ep->name, t->now_us, t->a, &slos);
    const char *object = str_printf(t->a, "endpoint:%s", t->ep->name);
    struct loop_alarm al = {.rule = "ErrorBudgetBurn",
                            .object = object,
                            .severity = worst == SLO_PAGE ? ALERT_PAGE : ALERT_TICKET,
                            .box = "serve",
                            .runbook = "error-budget-burn",
                            .evidence = slos};

    if (worst == SLO_QUIET)
        return loop_settle(t, al.rule, object, "the burn is below its threshold");
    al.summary =
        str_printf(t->a, "An objective of %s burns its error budget too fast.", t->ep->name);
    return loop_raise(t, &al);
}

static struct json *verdicts_json(const struct told *told, struct arena *a)
{
    static const char *const KINDS[MONITOR_EVENT_N] = {"drift", "performance", "starvation"};
    struct json *list = json_arr(a);

    for (size_t i = 0; i < told->events.n; i++) {
        const struct monitor_event *e = &told->events.p[i];
        struct json *o = json_obj(a);
        json_set(a, o, "kind", json_cstr(a, KINDS[e->kind]));
        json_set(a, o, "release", json_fmt(a, "r%lld", (long long)e->release));
        json_set(a, o, "start", json_time(a, e->start_us));
        json_set(a, o, "name", json_cstr(a, e->name));
        json_set(a, o, "verdict",
                 json_cstr(a, e->is_open ? "not_enough_evidence" : (e->is_alarm ? "alarm" : "ok")));
        json_set(a, o, "is_persistent", json_bool(a, e->is_persistent));
        json_add(a, list, o);
    }
    return list;
}

enum err_code loop_watch(struct turn *t)
{
    struct told told = {.t = t};

    if (monitor_evaluate(t->l->opt.monitor, t->ep->name, t->now_us, take, &told, t->err) != ERR_OK)
        return t->err->code;
    if (told.is_full)
        return arena_err(t->a, t->err);
    for (size_t i = 0; i < told.events.n; i++)
        if (on_event(t, &told.events.p[i]) != ERR_OK)
            return t->err->code;
    json_set(t->a, t->answer, "verdicts", verdicts_json(&told, t->a));
    return watch_objectives(t);
}

/* ---- the rollout ---- */
enum err_code loop_rollout(struct turn *t)
{
    struct json *tick;
    const char *object = str_printf(t->a, "endpoint:%s", t->ep->name);
    struct loop_alarm al = {.object = object, .severity = ALERT_TICKET, .box = "deploy"};

    if (release_tick(t->l->opt.release, t->ep->name, t->now_us, t->a, &tick, t->err) != ERR_OK)
        return t->err->code;
    if (!tick)
        return ERR_OK;
    json_set(t->a, t->answer, "rollout", tick);
    al.evidence = tick;
    al.summary = json_get_c(tick, "text");
    if (str_is(json_get_str(tick, "action"), ROLLOUT_ACTION_NAMES[ROLLOUT_ROLL_BACK])) {
        al.rule = "RolloutRolledBack";
        al.runbook = "rollout-rolled-back";
        return loop_raise(t, &al);
    }
    if (str_is(json_get_str(tick, "action"), ROLLOUT_ACTION_NAMES[ROLLOUT_PAUSE])) {
        al.rule = "RolloutPaused";
        al.runbook = "rollout-paused";
        return loop_raise(t, &al);
    }
    if (str_is(json_get_str(tick, "action"), ROLLOUT_ACTION_NAMES[ROLLOUT_WAIT]))
        return ERR_OK;
    if (loop_settle(t, "RolloutPaused", object, "the rollout goes on") != ERR_OK)
        return t->err->code;
    return loop_settle(t, "RolloutRolledBack", object, "a later rollout passed a step");
}
