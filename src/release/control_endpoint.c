/* Decisions about endpoints: deploy, rollback, hold, resume, and the tick of a rollout. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "release/control_int.h"

#define AUTOPILOT      "pawl:rollout"
#define TICK_BYTES_MAX ((size_t)16 << 20)

static enum err_code may_deploy(const struct release *r, const struct endpoint_state *s,
                                bool is_forced, struct err *err)
{
    bool is_hold_over =
        s->hold_until_us != AT_US_NONE && s->hold_until_us <= clock_now_us(&CLOCK_SYSTEM);

    if (s->live == r->number)
        return err_set(err, ERR_EXISTS, "r%lld is live on %s already", (long long)r->number,
                       s->name);
    if (s->has_rollout)
        return err_set(
            err, ERR_CONFLICT,
            "the rollout of r%lld is in progress on %s: wait for it, or roll it back first",
            (long long)s->rollout.candidate, s->name);
    if (s->is_held && !is_hold_over)
        return err_set(err, ERR_REFUSED, "%s is on hold (%s): `pawl resume %s` ends it", s->name,
                       s->hold_reason ? s->hold_reason : "no reason given", s->name);
    if (r->state == RELEASE_ROLLED_BACK && !is_forced)
        return err_set(err, ERR_REFUSED,
                       "r%lld was rolled back: it starts no rollout again without --force",
                       (long long)r->number);
    if (r->state == RELEASE_APPROVED || r->state == RELEASE_RETIRED ||
        r->state == RELEASE_ROLLED_BACK)
        return ERR_OK;
    return err_set(err, ERR_REFUSED,
                   "r%lld is %s: a release passes its gates and is approved before it gets traffic",
                   (long long)r->number, RELEASE_STATE_NAMES[r->state]);
}

/* The plan that is in force, frozen: the latency limit is the incumbent's own quantile at this moment. */
static void freeze_plan(struct release_host *h, const char *endpoint, int64_t incumbent,
                        struct rollout_plan *p)
{
    for (int i = 0; i < p->n_guards && h->opt.monitor; i++)
        if (p->guards[i].metric == GUARD_LATENCY)
            p->latency_limit_us = monitor_latency_quantile(h->opt.monitor, endpoint, incumbent,
                                                           p->guards[i].quantile) *
                                  (1 + p->guards[i].value);
}

static enum err_code start_rollout(struct release_host *h, const struct endpoint_state *s,
                                   const struct release *r, struct serve_decision *d,
                                   struct arena *a, struct serve_result *ret, struct err *err)
{
    struct policy policy;
    struct rollout_plan *p = &policy.release.endpoint.rollout;
    const char *live_revision = release_live_revision(h, s->name, a, NULL);

    if (release_policy(h, live_revision ? live_revision : r->revision, a, &policy, err) != ERR_OK)
        return err->code;
    freeze_plan(h, s->name, s->live, p);
    d->kind = SERVE_ROLLOUT_START;
    d->step = 0;
    d->share = p->steps[0].share;
    d->sticky_by = p->sticky_by;
    d->n_sticky = p->n_sticky;
    d->fuse = p->fuse;
    d->plan = rollout_plan_json(p, a);
    return host_decide(h, d, ret, err);
}

static void deploy_answer(const char *endpoint, int64_t number, const struct serve_result *res,
                          struct arena *a, struct json **ret)
{
    struct json *o = json_obj(a);

    json_set(a, o, "endpoint", json_cstr(a, endpoint));
    json_set(a, o, "release", json_fmt(a, "r%lld", (long long)number));
    json_set(a, o, "live", json_fmt(a, "r%lld", (long long)res->after));
    json_set(a, o, "state", json_cstr(a, res->rollout ? "rolling" : "live"));
    if (res->rollout)
        json_set(a, o, "rollout", json_int(a, (int64_t)res->rollout));
    *ret = json_set(a, o, "generation", json_int(a, (int64_t)res->generation));
}

/* On a replay home the clock of a new endpoint starts where its first model's knowledge ends. */
static enum err_code clock_begin(struct release_host *h, const struct release *r, struct arena *a,
                                 struct err *err)
{
    struct pipeline_result run;
    struct err none = ERR_INIT;
    int64_t as_of;
    enum err_code code;

    if (!r->run_id || !h->opt.pipeline || release_run_load(h, r->run_id, a, &run, &none) != ERR_OK)
        return ERR_OK;
    as_of = json_get_time(run.doc, "as_of");
    if (as_of == AT_US_NONE)
        return ERR_OK;
    code = serve_clock_set(h->opt.serve, r->endpoint, as_of, err);
    if (code == ERR_REFUSED) { /* the system's clock, or one that somebody moved further */
        err_reset(err);
        code = ERR_OK;
    }
    return code;
}

/* Force takes a release that was rolled back through its gates' state again: what it proved then is kept in its moves. */
static enum err_code forgive(struct release_host *h, const struct release *r, const char *actor,
                             struct err *err)
{
    int64_t now = clock_now_us(&h->opt.clock);

    if (r->state != RELEASE_ROLLED_BACK)
        return ERR_OK;
    if (release_move(h->opt.db, r->number, RELEASE_GATED, actor, "by force", now, err) != ERR_OK)
        return err->code;
    return release_move(h->opt.db, r->number, RELEASE_APPROVED, actor, "by force", now, err);
}

static enum err_code deploy_checked(struct release_host *h, const struct deploy_order *o,
                                    struct arena *a, struct release *r, struct endpoint_state *s,
                                    struct err *err)
{
    struct err none = ERR_INIT;

    if (!endpoint_name_ok(o->endpoint))
        return err_set(
            err, ERR_INVALID,
            "\"%s\" cannot name an endpoint: letters, digits, . _ - and at most %d of them",
            o->endpoint, ENDPOINT_NAME_MAX);
    if (host_need_db(h, err) != ERR_OK || release_get(h->opt.db, o->number, a, r, err) != ERR_OK)
        return err->code;
    if (serve_endpoint(h->opt.serve, o->endpoint, a, s, &none) != ERR_OK &&
        none.code != ERR_NOT_FOUND)
        return err_set(err, none.code, "%s", none.msg);
    if (strcmp(r->endpoint, o->endpoint) != 0)
        return err_set(err, ERR_REFUSED, "r%lld is a release of endpoint %s", (long long)o->number,
                       r->endpoint);
    return may_deploy(r, s, o->is_forced, err);
}

enum err_code release_deploy(struct release_host *h, const struct deploy_order *o, struct arena *a,
                             struct json **ret, struct err *err)
{
    struct release r;
    struct endpoint_state s = {.name = o->endpoint};
    struct serve_decision d = {.kind = SERVE_LIVE,
                               .endpoint = o->endpoint,
                               .actor = o->actor,
                               .reason = o->reason ? o->reason : "",
                               .release = o->number};
    struct serve_result res;

    if (deploy_checked(h, o, a, &r, &s, err) != ERR_OK || forgive(h, &r, o->actor, err) != ERR_OK)
        return err->code;
    d.doc = r.doc;
    d.extra = host_extra(h, o->endpoint, r.project, r.revision, a);
    if ((s.live == 0 ? host_decide(h, &d, &res, err)
                     : start_rollout(h, &s, &r, &d, a, &res, err)) != ERR_OK)
        return err->code;
    deploy_answer(o->endpoint, o->number, &res, a, ret);
    return s.live == 0 ? clock_begin(h, &r, a, err) : ERR_OK;
}

/* ---- rollback ---- */
/* How old what the views of the release hold is: a rollback target may look up values of some hours ago. */
static struct json *views_json(const struct json *doc, struct arena *a)
{
    const struct json *views = json_get(doc, "views");

    return views ? json_copy(a, views) : NULL;
}

enum err_code release_rollback(struct release_host *h, const char *endpoint, int64_t to,
                               const char *actor, const char *reason, struct arena *a,
                               struct json **ret, struct err *err)
{
    struct serve_decision d = {.kind = SERVE_ROLLBACK,
                               .endpoint = endpoint,
                               .actor = actor,
                               .reason = reason ? reason : "",
                               .release = to,
                               .until_us = AT_US_NONE,
                               .extra = host_extra(h, endpoint, NULL, NULL, a)};
    struct serve_result res = {0};
    struct endpoint_state s;
    struct release r;
    struct err none = ERR_INIT;
    struct json *o = json_obj(a);

    /* A target that the endpoint never served is read from the table, when the database is there. */
    if (to > 0 && serve_endpoint(h->opt.serve, endpoint, a, &s, &none) == ERR_OK &&
        !endpoint_find_term(&s, to)) {
        if (host_need_db(h, err) != ERR_OK || release_get(h->opt.db, to, a, &r, err) != ERR_OK)
            return err_wrap(err, "r%lld never served on %s", (long long)to, endpoint);
        if (r.state == RELEASE_DRAFT || r.state == RELEASE_REJECTED ||
            strcmp(r.endpoint, endpoint) != 0)
            return err_set(err, ERR_REFUSED, "r%lld is %s: only what passed its gates may serve",
                           (long long)to, RELEASE_STATE_NAMES[r.state]);
        d.doc = r.doc;
    }
    if (host_decide(h, &d, &res, err) != ERR_OK && res.after == 0)
        return err->code;
    json_set(a, o, "endpoint", json_cstr(a, endpoint));
    json_set(a, o, "from", json_fmt(a, "r%lld", (long long)res.before));
    json_set(a, o, "to", json_fmt(a, "r%lld", (long long)res.after));
    if (res.candidate > 0)
        json_set(a, o, "aborted", json_fmt(a, "r%lld", (long long)res.candidate));
    json_set(a, o, "is_held", json_bool(a, true));
    json_set(a, o, "is_journaled", json_bool(a, res.is_journaled));
    json_set(a, o, "took_ms", json_num(a, (double)res.took_us / 1e3));
    if (serve_endpoint(h->opt.serve, endpoint, a, &s, &none) == ERR_OK)
        json_set(a, o, "views", views_json(s.live_doc, a));
    *ret = o;
    return ERR_OK;
}

enum err_code release_hold(struct release_host *h, const char *endpoint, int64_t until_us,
                           const char *actor, const char *reason, struct err *err)
{
    struct serve_decision d = {.kind = SERVE_HOLD,
                               .endpoint = endpoint,
                               .actor = actor,
                               .reason = reason ? reason : "",
                               .until_us = until_us};

    return host_decide(h, &d, NULL, err);
}

static enum err_code resume_rollout(struct release_host *h, const struct rollout *r,
                                    const char *actor, const char *reason, struct arena *a,
                                    struct err *err)
{
    struct serve_decision d = {.kind = SERVE_ROLLOUT_STEP,
                               .endpoint = r->endpoint,
                               .actor = actor,
                               .reason = reason ? reason : "",
                               .step = r->step,
                               .share = r->plan.steps[r->step].share,
                               .extra = host_extra(h, r->endpoint, NULL, NULL, a)};

    return host_decide(h, &d, NULL, err);
}

enum err_code release_resume(struct release_host *h, const char *endpoint, const char *actor,
                             const char *reason, struct err *err)
{
    struct serve_decision d = {
        .kind = SERVE_RESUME, .endpoint = endpoint, .actor = actor, .reason = reason ? reason : ""};
    struct endpoint_state s;
    struct rollout r;
    struct arena a;
    enum err_code code;

    arena_init(&a, HOST_SCRATCH_BYTES);
    code = serve_endpoint(h->opt.serve, endpoint, &a, &s, err);
    if (code == ERR_OK && s.is_held)
        code = host_decide(h, &d, NULL, err);
    if (code == ERR_OK && release_rollout(h, endpoint, &a, &r) && r.state == ROLLOUT_PAUSED)
        code = resume_rollout(h, &r, actor, reason, &a, err);
    else if (code == ERR_OK && !s.is_held)
        code =
            err_set(err, ERR_REFUSED, "%s is neither on hold nor is its rollout paused", endpoint);
    arena_fini(&a);
    return code;
}

/* ---- the tick ---- */
struct look {
    const struct rollout *r;
    int64_t now_us;
    struct arena *a;
    struct rollout_tick *tick;
};

static enum err_code look_at(void *arg, const struct evidence *e, struct err *err)
{
    struct look *l = arg;

    return rollout_look(l->r, e, l->now_us, l->a, l->tick, err);
}

static void tick_keep(struct release_host *h, const struct rollout *r, const struct rollout_tick *t,
                      const struct json *doc)
{
    struct buf b;
    struct err err = ERR_INIT;

    buf_init(&b, TICK_BYTES_MAX);
    if (json_write(doc, JSON_COMPACT, &b, &err) != ERR_OK) {
        buf_fini(&b);
        return;
    }
    mutex_lock(&h->mutex);
    if (h->n_ticks == PENDING_TICKS_MAX) {
        free(h->ticks[0].doc);
        memmove(h->ticks, h->ticks + 1, --h->n_ticks * sizeof(h->ticks[0]));
    }
    h->ticks[h->n_ticks++] = (struct pending_tick){.rollout = r->id,
                                                   .at_us = t->at_us,
                                                   .step = t->step,
                                                   .verdict = verdict_name(t->verdict),
                                                   .action = ROLLOUT_ACTION_NAMES[t->action],
                                                   .doc = b.p}; /* taken from the buffer */
    mutex_unlock(&h->mutex);
}

static enum err_code act(struct release_host *h, const struct rollout *r,
                         const struct rollout_tick *t, const struct json *doc, struct arena *a,
                         struct err *err)
{
    struct serve_decision d = {.endpoint = r->endpoint, .actor = AUTOPILOT, .reason = t->text};
    struct json *extra = host_extra(h, r->endpoint, NULL, NULL, a);

    switch (t->action) {
    case ROLLOUT_WAIT:
        return ERR_OK;
    case ROLLOUT_NEXT:
        d.kind = SERVE_ROLLOUT_STEP;
        d.step = r->step + 1;
        d.share = r->plan.steps[d.step].share;
        break;
    case ROLLOUT_FINISH:
        d.kind = SERVE_ROLLOUT_FINISH;
        break;
    case ROLLOUT_ROLL_BACK:
        d.kind = SERVE_ROLLOUT_ABORT;
        break;
    case ROLLOUT_PAUSE:
        d.kind = SERVE_ROLLOUT_PAUSE;
        break;
    case ROLLOUT_ACTION_N:
        UNREACHABLE();
    }
    json_set(a, extra, "tick", json_copy(a, doc));
    d.extra = extra;
    const enum err_code code = host_decide(h, &d, NULL, err);
    if (code != ERR_REFUSED || (t->action != ROLLOUT_NEXT && t->action != ROLLOUT_FINISH))
        return code;
    err_reset(err); /* on hold a rollout stays where it is, and is looked at again */
    return ERR_OK;
}

enum err_code release_tick(struct release_host *h, const char *endpoint, int64_t now_us,
                           struct arena *a, struct json **ret, struct err *err)
{
    struct rollout r;
    struct rollout_tick *t = ARENA_NEW(a, struct rollout_tick);
    struct look l = {.r = &r, .now_us = now_us, .a = a, .tick = t};
    struct json *doc;

    *ret = NULL;
    if (!t)
        return arena_err(a, err);
    if (release_sync(h, err) != ERR_OK)
        return err->code;
    if (!h->opt.monitor || !release_rollout(h, endpoint, a, &r) || r.state == ROLLOUT_PAUSED)
        return ERR_OK;
    if (now_us <= r.step_started_us[r.step]) /* nothing of this step can have happened yet */
        return ERR_OK;
    if (monitor_evidence(h->opt.monitor, endpoint, r.id, look_at, &l, err) != ERR_OK)
        return err_wrap(err, "look at the rollout of r%lld", (long long)r.candidate);
    doc = rollout_tick_json(&r, t, a);
    tick_keep(h, &r, t, doc);
    *ret = doc;
    return act(h, &r, t, doc, a, err);
}
