/* Laps: a due trigger runs the pipeline, makes a release, has it gated and rolled out; every lap leaves a row. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "loop/loop_int.h"
#include "project/revision.h"

#define ACTOR "pawl:loop"

enum lap_state {
    LAP_RUNNING,
    LAP_UNCHANGED,
    LAP_BLOCKED,
    LAP_FAILED,
    LAP_REFUSED,
    LAP_UNDECIDED,
    LAP_WAITING,
    LAP_ROLLING,
    LAP_LIVE,
    LAP_STATE_N
};
static const char *const LAP_STATE_NAMES[LAP_STATE_N] = {
    "running",   "unchanged",          "blocked", "failed", "gates_refused",
    "undecided", "waits_for_approval", "rolling", "live"};

struct lap {
    int64_t id;
    enum trigger_kind kind;
    const char *text; /* why it started */
    enum lap_state state;
    const char *run_id;
    int64_t release, rollout;
    const char *note;
    struct turn *t;
};

/* ---- what is due ---- */
static bool is_scheduled(const struct turn *t, const struct trigger *tr)
{
    int64_t next;

    if (!tr->when[TRIGGER_SCHEDULE] || t->ep->schedule_from_us == AT_US_NONE)
        return false;
    next = cron_next(&tr->cron, t->ep->schedule_from_us);
    return next != AT_US_NONE && next <= t->now_us;
}

static bool is_cooling(const struct turn *t, const struct trigger *tr)
{
    return t->ep->last_lap_us != AT_US_NONE && t->now_us - t->ep->last_lap_us < tr->cooldown_us;
}

static bool find_due(const struct turn *t, struct lap *lap)
{
    const struct trigger_spec *s = &t->ep->project->triggers;

    for (size_t i = 0; i < s->n; i++) {
        const struct trigger *tr = &s->triggers[i];
        if (is_cooling(t, tr))
            continue;
        if (is_scheduled(t, tr)) {
            lap->kind = TRIGGER_SCHEDULE;
            lap->text = tr->cron.text;
            return true;
        }
        for (int k = TRIGGER_NEW_DATA; k < TRIGGER_MANUAL; k++)
            if (tr->when[k] && t->ep->pending[k].is_set) {
                lap->kind = (enum trigger_kind)k;
                lap->text = str_dup(t->a, str_c(t->ep->pending[k].text));
                return true;
            }
    }
    return false;
}

/* A hold that was given an end is ended when that has passed. */
static bool is_held_now(struct turn *t, const struct endpoint_state *s)
{
    struct err err = ERR_INIT;

    if (!s->is_held || s->hold_until_us == AT_US_NONE ||
        clock_now_us(&t->l->opt.clock) < s->hold_until_us)
        return s->is_held;
    return release_resume(t->l->opt.release, t->ep->name, ACTOR, "the hold's time is over", &err) !=
           ERR_OK;
}

/* Why nothing may start now, or NULL. */
static const char *obstacle(struct turn *t)
{
    struct endpoint_state s;
    struct err none = ERR_INIT;
    const char *source;

    if (serve_endpoint(t->l->opt.serve, t->ep->name, t->a, &s, &none) != ERR_OK)
        return "the endpoint is not there";
    if (is_held_now(t, &s))
        return "the endpoint is on hold";
    if (s.has_rollout)
        return "a rollout is in progress";
    if (loop_is_blocked(t->ep, &source))
        return str_printf(t->a, "source %s is blocked by a check", source);
    return NULL;
}

/* ---- the record ---- */
static enum err_code lap_insert(struct db_tx *tx, void *arg, struct err *err)
{
    struct lap *lap = arg;
    enum err_code code =
        db_get_i64(tx, &lap->id, err, "SELECT COALESCE(MAX(id), 0) + 1 FROM laps", "");

    if (code != ERR_OK)
        return code;
    return db_exec(tx, err,
                   "INSERT INTO laps (id, endpoint, project, trigger_kind, evidence, state, "
                   "started_us, started_wall_us) "
                   "VALUES (?,?,?,?,?,?,?,?)",
                   "isssssii", lap->id, lap->t->ep->name, lap->t->ep->project->name,
                   TRIGGER_KIND_NAMES[lap->kind], lap->text, LAP_STATE_NAMES[lap->state],
                   lap->t->now_us, clock_now_us(&lap->t->l->opt.clock));
}

static enum err_code lap_update(struct db_tx *tx, void *arg, struct err *err)
{
    const struct lap *lap = arg;

    return db_exec(tx, err,
                   "UPDATE laps SET state = ?, run_id = ?, release = ?, rollout = ?, note = ?, "
                   "ended_wall_us = ? WHERE id = ?",
                   "ssiisii", LAP_STATE_NAMES[lap->state], lap->run_id, lap->release, lap->rollout,
                   lap->note, clock_now_us(&lap->t->l->opt.clock), lap->id);
}

static struct json *lap_json(const struct lap *lap, struct arena *a)
{
    struct json *o = json_obj(a);

    json_set(a, o, "lap", json_int(a, lap->id));
    json_set(a, o, "trigger", json_cstr(a, TRIGGER_KIND_NAMES[lap->kind]));
    json_set(a, o, "why", json_cstr(a, lap->text));
    json_set(a, o, "state", json_cstr(a, LAP_STATE_NAMES[lap->state]));
    json_set(a, o, "run", json_cstr(a, lap->run_id));
    json_set(a, o, "release", lap->release ? json_fmt(a, "r%lld", (long long)lap->release) : NULL);
    json_set(a, o, "rollout", lap->rollout ? json_int(a, lap->rollout) : NULL);
    return json_set(a, o, "note", json_cstr(a, lap->note));
}

/* What may not be deployed now (a hold that came while the lap ran) ends the lap, not the barrier. */
static enum err_code lap_refused(struct lap *lap)
{
    struct turn *t = lap->t;

    if (t->err->code != ERR_REFUSED)
        return t->err->code;
    lap->state = LAP_BLOCKED;
    lap->note = str_dup(t->a, str_c(t->err->msg));
    err_reset(t->err);
    return ERR_OK;
}

/* ---- the lap ---- */
static enum err_code lap_release(struct lap *lap, const struct pipeline_result *run)
{
    struct turn *t = lap->t;
    struct release_host *h = t->l->opt.release;
    struct release_order order = {.endpoint = t->ep->name, .actor = ACTOR, .reason = lap->text};
    struct deploy_order deploy = {.endpoint = t->ep->name, .actor = ACTOR, .reason = lap->text};
    struct json *report, *deployed;
    struct release r;

    if (release_from_run(h, run, &order, t->a, &lap->release, t->err) != ERR_OK ||
        release_gate(h, lap->release, t->a, &report, t->err) != ERR_OK ||
        release_get(t->l->opt.db, lap->release, t->a, &r, t->err) != ERR_OK)
        return t->err->code;
    lap->note = json_get_c(report, "verdict");
    if (r.state == RELEASE_REJECTED || r.state == RELEASE_DRAFT) {
        lap->state = r.state == RELEASE_REJECTED ? LAP_REFUSED : LAP_UNDECIDED;
        return ERR_OK;
    }
    if (r.state == RELEASE_GATED) {
        lap->state = LAP_WAITING;
        return ERR_OK;
    }
    deploy.number = lap->release;
    if (release_deploy(h, &deploy, t->a, &deployed, t->err) != ERR_OK)
        return lap_refused(lap);
    lap->rollout = json_get_int(deployed, "rollout", 0);
    lap->state = lap->rollout ? LAP_ROLLING : LAP_LIVE;
    return ERR_OK;
}

/* What was pushed last; where nothing was, what is live. */
static enum err_code scheduled_revision(struct turn *t, const char **ret)
{
    char *digest = NULL;
    const enum err_code code =
        revision_pushed(t->l->opt.db, t->ep->project->name, t->a, &digest, t->err);

    if (code == ERR_OK)
        *ret = digest;
    if (code != ERR_NOT_FOUND)
        return code;
    err_reset(t->err);
    *ret = str_dup(t->a, str_c(t->ep->project->revision));
    return *ret ? ERR_OK : arena_err(t->a, t->err);
}

static enum err_code lap_run(struct lap *lap)
{
    struct turn *t = lap->t;
    struct pipeline_peer peers[2];
    struct pipeline_result run = {0};
    struct pipeline_order order = {
        .as_of_us = t->l->opt.is_replay ? t->now_us : AT_US_NONE,
        .event_now_us = t->now_us,
        .peers = peers,
        .actor = ACTOR,
        .reason = str_printf(t->a, "trigger: %s: %s", TRIGGER_KIND_NAMES[lap->kind], lap->text)};
    enum err_code code;

    if (scheduled_revision(t, &order.revision) != ERR_OK ||
        release_peers(t->l->opt.release, t->ep->name, t->a, peers, &order.n_peers, t->err) !=
            ERR_OK)
        return t->err->code;
    code = pipeline_run(t->l->opt.pipeline, &order, t->a, &run, t->err);
    lap->run_id = run.run_id;
    if (code == ERR_NO) {
        lap->state = LAP_BLOCKED;
        lap->note = str_dup(t->a, str_c(t->err->msg));
        err_reset(t->err);
        return ERR_OK;
    }
    if (code != ERR_OK)
        return code;
    if (run.outcome == PIPELINE_UNCHANGED) {
        lap->state = LAP_UNCHANGED;
        return ERR_OK;
    }
    return lap_release(lap, &run);
}

static void forget_reasons(struct turn *t)
{
    for (int k = 0; k < TRIGGER_KIND_N; k++)
        t->ep->pending[k].is_set = false;
    t->ep->last_lap_us = t->now_us;
    t->ep->schedule_from_us = t->now_us;
}

/* A lap that fails is a fact about the loop, not an error of the turn. */
static enum err_code lap_settle(struct lap *lap, enum err_code code)
{
    struct turn *t = lap->t;
    struct loop_alarm al = {.rule = "LapFailed",
                            .object = str_printf(t->a, "endpoint:%s", t->ep->name),
                            .severity = ALERT_TICKET,
                            .box = "train",
                            .runbook = "lap-failed"};

    if (code != ERR_OK) {
        lap->state = LAP_FAILED;
        lap->note = str_dup(t->a, str_c(t->err->msg));
        err_reset(t->err);
    }
    json_set(t->a, t->answer, "lap", lap_json(lap, t->a));
    if (db_write(t->l->opt.db, lap_update, lap, t->err) != ERR_OK)
        return t->err->code;
    if (lap->state != LAP_FAILED && lap->state != LAP_BLOCKED)
        return loop_settle(t, al.rule, al.object, "a later lap came through");
    al.evidence = lap_json(lap, t->a);
    al.summary =
        str_printf(t->a, "The lap that %s started did not come through: %s",
                   TRIGGER_KIND_NAMES[lap->kind], lap->note ? lap->note : "no reason given");
    return loop_raise(t, &al);
}

/* ---- beside the turns ---- */
/* On the system clock a lap may take hours: it runs on a thread of its own, so that rollouts are still looked at. */
struct lap_job {
    struct turn turn;
    struct lap lap;
    struct arena arena;
    struct err err;
    pthread_t thread;
    atomic_bool is_done;
};

static void *job_main(void *arg)
{
    struct lap_job *j = arg;
    enum err_code code = lap_run(&j->lap);

    mutex_lock(&j->turn.l->mutex);
    (void)lap_settle(
        &j->lap,
        code); /* a row that could not be written stays "running": the next start says so */
    mutex_unlock(&j->turn.l->mutex);
    atomic_store(&j->is_done, true);
    return NULL;
}

void loop_job_join(struct loop_endpoint *ep)
{
    struct lap_job *j = ep->job;

    if (!j)
        return;
    (void)pthread_join(j->thread, NULL);
    arena_fini(&j->arena);
    free(j);
    ep->job = NULL;
}

static enum err_code job_start(struct turn *t, const struct lap *lap)
{
    struct lap_job *j = calloc(1, sizeof(*j));

    if (!j)
        return err_nomem(t->err);
    arena_init(&j->arena, LOOP_SCRATCH_BYTES);
    j->turn = *t;
    j->turn.a = &j->arena;
    j->turn.err = &j->err;
    j->turn.answer = json_obj(&j->arena);
    j->lap = *lap;
    j->lap.t = &j->turn;
    j->lap.text = str_dup(&j->arena, str_c(lap->text));
    if (thread_start(&j->thread, "lap", job_main, j, t->err) != ERR_OK) {
        arena_fini(&j->arena);
        free(j);
        return t->err->code;
    }
    t->ep->job = j;
    return ERR_OK;
}

enum err_code loop_triggers(struct turn *t)
{
    struct lap lap = {.t = t, .state = LAP_RUNNING};
    const char *why;

    if (t->ep->job && atomic_load(&t->ep->job->is_done))
        loop_job_join(t->ep);
    if (t->ep->job)
        return ERR_OK;

    if (!t->ep->project || !t->l->opt.pipeline || !t->l->opt.db)
        return ERR_OK;
    if (t->ep->schedule_from_us == AT_US_NONE)
        t->ep->schedule_from_us = t->now_us;
    if (!find_due(t, &lap))
        return ERR_OK;
    why = obstacle(t);
    if (why) {
        json_set(t->a, t->answer, "lap_waits", json_cstr(t->a, why));
        return ERR_OK;
    }
    if (db_write(t->l->opt.db, lap_insert, &lap, t->err) != ERR_OK)
        return err_wrap(t->err, "record a lap");
    forget_reasons(t);
    if (!t->l->opt.is_replay)
        return job_start(t, &lap);
    return lap_settle(&lap, lap_run(&lap));
}

/* ---- looking ---- */
struct laps_query {
    const char *endpoint;
    int64_t limit;
    struct arena *a;
    struct json *list;
};

/* A lap that came to a rollout ends as that does. */
static const char *lap_shown_state(const struct db_rows *rows)
{
    struct str lap = db_str(rows, 4), rollout = db_str(rows, 12);

    if (!str_is(lap, LAP_STATE_NAMES[LAP_ROLLING])) {
        for (int s = 0; s < LAP_STATE_N; s++)
            if (str_is(lap, LAP_STATE_NAMES[s]))
                return LAP_STATE_NAMES[s];
        return "unknown";
    }
    if (str_is(rollout, ROLLOUT_STATE_NAMES[ROLLOUT_DONE]))
        return LAP_STATE_NAMES[LAP_LIVE];
    for (int s = ROLLOUT_ROLLED_BACK; s < ROLLOUT_STATE_N; s++)
        if (str_is(rollout, ROLLOUT_STATE_NAMES[s]))
            return ROLLOUT_STATE_NAMES[s];
    return LAP_STATE_NAMES[LAP_ROLLING];
}

static struct json *lap_row_json(const struct db_rows *rows, struct arena *a)
{
    struct json *o = json_obj(a);

    json_set(a, o, "lap", json_int(a, db_i64(rows, 0)));
    json_set(a, o, "endpoint", json_str(a, db_str(rows, 1)));
    json_set(a, o, "trigger", json_str(a, db_str(rows, 2)));
    json_set(a, o, "why", db_is_null(rows, 3) ? NULL : json_str(a, db_str(rows, 3)));
    json_set(a, o, "state", json_cstr(a, lap_shown_state(rows)));
    json_set(a, o, "run", db_is_null(rows, 5) ? NULL : json_str(a, db_str(rows, 5)));
    json_set(a, o, "release",
             db_i64(rows, 6) ? json_fmt(a, "r%lld", (long long)db_i64(rows, 6)) : NULL);
    json_set(a, o, "rollout", db_i64(rows, 7) ? json_int(a, db_i64(rows, 7)) : NULL);
    json_set(a, o, "at", json_time(a, db_i64(rows, 8)));
    json_set(a, o, "took_s",
             db_is_null(rows, 10)
                 ? NULL
                 : json_num(a, (double)(db_i64(rows, 10) - db_i64(rows, 9)) / (double)US_PER_S));
    return json_set(a, o, "note", db_is_null(rows, 11) ? NULL : json_str(a, db_str(rows, 11)));
}

static enum err_code laps_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct laps_query *q = arg;
    struct db_rows *rows;
    enum err_code code =
        db_query(tx, &rows, err,
                 "SELECT l.id, l.endpoint, l.trigger_kind, l.evidence, l.state, l.run_id, "
                 "l.release, l.rollout, "
                 "l.started_us, l.started_wall_us, l.ended_wall_us, l.note, r.state FROM laps l "
                 "LEFT JOIN rollouts r ON r.id = l.rollout WHERE (? = '' OR l.endpoint = ?) "
                 "ORDER BY l.id DESC LIMIT ?",
                 "ssi", q->endpoint, q->endpoint, q->limit);

    if (code != ERR_OK)
        return code;
    q->list = json_arr(q->a);
    while (db_next(rows))
        json_add(q->a, q->list, lap_row_json(rows, q->a));
    return db_done(rows, err);
}

enum err_code loop_laps(struct loop *l, const char *endpoint, int64_t limit, struct arena *a,
                        struct json **ret, struct err *err)
{
    struct laps_query q = {endpoint ? endpoint : "", limit, a, NULL};

    if (!l->opt.db)
        return err_set(err, ERR_UNAVAILABLE, "the database is away");
    if (db_read(l->opt.db, laps_read, &q, err) != ERR_OK)
        return err->code;
    *ret = q.list;
    return ERR_OK;
}
