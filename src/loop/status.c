/* The loop box by box. Every box is one function that reads records; a table joins them in the loop's order. */
#include "loop/status.h"

#include <stdio.h>

#include "alert/alert.h"
#include "base/check.h"
#include "project/project.h"

const char *const BOX_STATE_NAMES[BOX_STATE_N] = {"ok",     "waiting", "warning",
                                                  "broken", "unknown", "idle"};

/* Order of badness, for the whole. */
static const int BADNESS[BOX_STATE_N] = {0, 1, 3, 4, 2, 0};

struct box {
    enum box_state state;
    const char *text, *next;
    int64_t since_us, last_us;   /* AT_US_NONE: unknown */
    const char *out;             /* what the arrow behind the box carries */
    const char *owner, *runbook; /* of what is broken; NULL: the box's */
};

struct status {
    const struct status_sources *s;
    struct arena *a;
    const char *endpoint; /* "" without any */
    bool has_state;
    struct endpoint_state state;
    struct json *sources;
    struct project_spec project;
    const struct cfg_node *root;
    bool has_db;
    const char *db_problem;
    struct json *alerts; /* open ones of this endpoint; NULL without the database */
};

/* ---- small queries ---- */
struct row_query {
    const char *sql, *key;
    struct arena *a;
    bool is_there;
    const char *text;
    int64_t at_us, number;
};

/* SELECT text, time, number … WHERE … = ?: the first row. */
static enum err_code row_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct row_query *q = arg;
    struct db_rows *rows;
    enum err_code code = db_query(tx, &rows, err, q->sql, "s", q->key);

    if (code != ERR_OK)
        return code;
    q->is_there = db_next(rows);
    if (q->is_there) {
        q->text = db_dup(rows, 0, q->a);
        q->at_us = db_i64(rows, 1);
        q->number = db_i64(rows, 2);
    }
    return db_done(rows, err);
}

/* False: no row, or no database. */
static bool row_get(const struct status *st, const char *sql, const char *key,
                    struct row_query *ret)
{
    struct err none = ERR_INIT;

    *ret = (struct row_query){.sql = sql, .key = key, .a = st->a};
    return st->has_db && db_read(st->s->db, row_read, ret, &none) == ERR_OK && ret->is_there;
}

static void unknown(const struct status *st, struct box *b)
{
    b->state = BOX_UNKNOWN;
    b->text = str_printf(st->a, "the database is away (%s)",
                         st->db_problem ? st->db_problem : "not opened");
    b->next = "pawl doctor";
}

static const struct json *alert_of(const struct status *st, const char *rule)
{
    for (size_t i = 0; i < json_len(st->alerts); i++)
        if (str_is(json_get_str(json_at(st->alerts, i), "rule"), rule))
            return json_at(st->alerts, i);
    return NULL;
}

/* An open alert of the rule makes the box this state. */
static bool take_alert(const struct status *st, const char *rule, enum box_state state,
                       const char *next, struct box *b)
{
    const struct json *al = alert_of(st, rule);

    if (!al || BADNESS[state] < BADNESS[b->state])
        return al != NULL;
    b->state = state;
    b->text = json_get_c(al, "summary");
    b->since_us = json_get_time(al, "starts");
    b->owner = json_get_c(al, "owner");
    b->runbook = json_get_c(al, "runbook");
    b->next = next;
    return true;
}

static const struct json *source_in(const struct status *st, const char *state)
{
    for (size_t i = 0; i < json_len(st->sources); i++)
        if (str_is(json_get_str(json_at(st->sources, i), "state"), state))
            return json_at(st->sources, i);
    return NULL;
}

/* ---- boxes ---- */
static void box_ingest(const struct status *st, struct box *b)
{
    const struct json *stale = source_in(st, "stale");

    b->out = "data versions";
    for (size_t i = 0; i < json_len(st->sources); i++) {
        int64_t newest = json_get_time(json_at(st->sources, i), "newest");
        b->last_us = newest > b->last_us ? newest : b->last_us;
    }
    if (stale) {
        b->state = BOX_BROKEN;
        b->text = str_printf(st->a, "source %s has stopped: its newest row is of %s",
                             json_get_c(stale, "source"),
                             json_get_c(stale, "newest") ? json_get_c(stale, "newest") : "never");
        b->next = str_printf(st->a, "pawl data ls %s", json_get_c(stale, "source"));
        b->owner = json_get_c(stale, "owner");
        b->runbook = "docs/runbooks/source-stale.md";
    } else if (json_len(st->sources) == 0) {
        b->state = BOX_IDLE;
        b->text = "no source is watched";
    } else {
        b->text = str_printf(st->a, "%zu sources are fresh", json_len(st->sources));
    }
}

static void box_validate(const struct status *st, struct box *b)
{
    const struct json *blocked = source_in(st, "blocked");

    b->out = "checked versions";
    if (blocked) {
        b->state = BOX_BROKEN;
        b->text = str_printf(st->a, "source %s is blocked: %s", json_get_c(blocked, "source"),
                             json_get_c(blocked, "blocked_by"));
        b->since_us = json_get_time(blocked, "blocked_since");
        b->next = str_printf(st->a, "pawl checks run %s", json_get_c(blocked, "source"));
        b->owner = json_get_c(blocked, "owner");
        b->runbook = "docs/runbooks/source-blocked.md";
    } else if (json_len(st->sources) == 0) {
        b->state = BOX_IDLE;
        b->text = "nothing to check";
    } else {
        b->text = "no blocking check fails";
    }
}

static void box_features(const struct status *st, struct box *b)
{
    const struct json *views = st->has_state ? json_get(st->state.live_doc, "views") : NULL;

    b->out = "feature values";
    if (json_len(views) == 0) {
        b->state = BOX_IDLE;
        b->text = "the live release looks nothing up";
        return;
    }
    b->text = str_printf(st->a, "%zu views are materialised", json_len(views));
    if (source_in(st, "blocked") || source_in(st, "stale")) {
        b->state = BOX_WARN;
        b->text = "views stand still: they wait for good rows of a source";
        b->next = "pawl features views";
    }
}

/* A lap that came to a rollout ends as that does. */
static const char LAST_LAP[] =
    "SELECT CASE WHEN l.state <> 'rolling' OR r.state IS NULL OR r.ended_us IS NULL THEN l.state "
    "WHEN r.state = 'done' THEN 'live' ELSE r.state END, l.started_us, l.id "
    "FROM laps l LEFT JOIN rollouts r ON r.id = l.rollout WHERE l.endpoint = ? ORDER BY l.id DESC "
    "LIMIT 1";

static void box_train(const struct status *st, struct box *b)
{
    struct row_query q;

    b->out = "model versions";
    if (!st->has_db) {
        unknown(st, b);
        return;
    }
    b->state = BOX_IDLE;
    b->text = "no lap yet";
    b->next = "pawl run";
    if (row_get(st, LAST_LAP, st->endpoint, &q)) {
        b->state = strcmp(q.text, "running") == 0 ? BOX_WAITING : BOX_OK;
        b->text = str_printf(st->a, "lap %lld: %s", (long long)q.number, q.text);
        b->last_us = q.at_us;
        b->next = NULL;
    }
    (void)take_alert(st, "LapFailed", BOX_WARN, "pawl runs ls", b);
}

static void box_evaluate(const struct status *st, struct box *b)
{
    struct row_query q;

    b->out = "gate reports";
    if (!st->has_db) {
        unknown(st, b);
        return;
    }
    b->state = BOX_IDLE;
    b->text = "no release yet";
    if (!row_get(st,
                 "SELECT state, updated_us, number FROM releases WHERE endpoint = ? ORDER BY "
                 "number DESC LIMIT 1",
                 st->endpoint, &q))
        return;
    b->last_us = q.at_us;
    b->state =
        strcmp(q.text, "rejected") == 0
            ? BOX_WARN
            : (strcmp(q.text, "draft") == 0 || strcmp(q.text, "gated") == 0 ? BOX_WAITING : BOX_OK);
    b->text = str_printf(st->a, "r%lld is %s", (long long)q.number, q.text);
    if (b->state != BOX_OK)
        b->next = str_printf(st->a, "pawl releases show r%lld", (long long)q.number);
}

static void box_registry(const struct status *st, struct box *b)
{
    struct row_query q;

    b->out = "releases";
    if (!st->has_db) {
        unknown(st, b);
        return;
    }
    b->state = BOX_IDLE;
    b->text = "no registered model serves here";
    if (row_get(st,
                "SELECT model, updated_us, number FROM releases WHERE endpoint = ? AND state = "
                "'live' AND model IS NOT NULL "
                "ORDER BY number DESC LIMIT 1",
                st->endpoint, &q)) {
        b->state = BOX_OK;
        b->text = str_printf(st->a, "%s is in production as r%lld", q.text, (long long)q.number);
        b->last_us = q.at_us;
    }
}

static void box_deploy(const struct status *st, struct box *b)
{
    struct rollout r;

    b->out = "the live release";
    if (!st->has_state || st->state.live == 0) {
        b->state = BOX_IDLE;
        b->text = "nothing is deployed";
        b->next = "pawl deploy NAME --endpoint E";
        return;
    }
    b->text = str_printf(st->a, "r%lld is live", (long long)st->state.live);
    if (st->state.n_history > 0)
        b->since_us = st->state.history[st->state.n_history - 1].from_us;
    if (st->s->release && release_rollout(st->s->release, st->endpoint, st->a, &r)) {
        b->state = r.state == ROLLOUT_PAUSED ? BOX_WARN : BOX_WAITING;
        b->text = str_printf(st->a, "r%lld is live, r%lld rolls out: %s, step %d of %d (%.4g%%)",
                             (long long)st->state.live, (long long)r.candidate,
                             ROLLOUT_STATE_NAMES[r.state], r.step + 1, r.plan.n_steps,
                             r.plan.steps[r.step].share / 100.0);
        b->since_us = r.step_started_us[r.step];
        b->next = str_printf(st->a, "pawl rollouts show %lld", (long long)r.id);
    }
    if (st->state.is_held) {
        b->state = BOX_WARN;
        b->text = str_printf(st->a, "on hold: %s",
                             st->state.hold_reason ? st->state.hold_reason : "no reason given");
        b->next = str_printf(st->a, "pawl resume %s", st->endpoint);
    }
}

static void box_serve(const struct status *st, struct box *b)
{
    struct feedback_log_stats log = {0};
    char *problem = st->has_state ? serve_problem(st->s->serve, st->endpoint, st->a) : NULL;

    b->out = "predictions";
    if (!st->has_state || st->state.live == 0) {
        b->state = BOX_IDLE;
        b->text = "no endpoint answers";
        return;
    }
    if (st->s->log)
        feedback_log_stats(st->s->log, &log);
    b->text = str_printf(st->a, "r%lld answers; %llu predictions are logged",
                         (long long)st->state.live, (unsigned long long)log.n_records);
    (void)take_alert(st, "ErrorBudgetBurn", BOX_WARN,
                     str_printf(st->a, "pawl slo ls %s", st->endpoint), b);
    if (log.is_failing || log.n_dropped > 0) {
        b->state = BOX_WARN;
        b->text = str_printf(st->a, "the prediction log %s (%llu dropped)",
                             log.is_failing ? "cannot be written" : "was full",
                             (unsigned long long)log.n_dropped);
        b->next = "pawl doctor";
    }
    if (problem) {
        b->state = BOX_BROKEN;
        b->text = problem;
        b->next = str_printf(st->a, "pawl rollback %s", st->endpoint);
    }
}

static void box_monitor(const struct status *st, struct box *b)
{
    struct monitor_telemetry m;

    b->out = "reasons for a lap";
    if (!st->s->monitor) {
        b->state = BOX_UNKNOWN;
        b->text = "no monitor runs in this process";
        b->next = "pawl up";
        return;
    }
    monitor_telemetry(st->s->monitor, &m);
    b->last_us = m.last_record_us;
    b->text = str_printf(st->a, "%llu predictions folded, nothing fires",
                         (unsigned long long)m.n_records);
    if (m.n_records == 0) {
        b->state = BOX_IDLE;
        b->text = "no traffic yet";
    }
    if (m.is_failing) {
        b->state = BOX_WARN;
        b->text = str_printf(st->a, "sums wait in memory: %s", m.problem);
        b->next = "pawl doctor";
    }
    if (st->s->loop && loop_trouble(st->s->loop, st->a)) {
        b->state = BOX_WARN;
        b->text = str_printf(st->a, "the last look failed: %s", loop_trouble(st->s->loop, st->a));
    }
    (void)take_alert(st, "DataDrift", BOX_WARN, str_printf(st->a, "pawl drift ls %s", st->endpoint),
                     b);
    (void)take_alert(st, "PerformanceDecay", BOX_BROKEN,
                     str_printf(st->a, "pawl drift ls %s --kind performance", st->endpoint), b);
}

static void box_feedback(const struct status *st, struct box *b)
{
    struct monitor_telemetry m = {.last_label_us = AT_US_NONE};

    b->out = "labels";
    if (st->s->monitor)
        monitor_telemetry(st->s->monitor, &m);
    b->last_us = m.last_label_us;
    b->text = str_printf(st->a, "%llu labels joined, %llu wait for their time",
                         (unsigned long long)m.n_labels, (unsigned long long)m.n_pending_labels);
    if (m.n_labels == 0) {
        b->state = BOX_IDLE;
        b->text = "no label yet";
        b->next = "pawl labels push FILE";
    }
    (void)take_alert(st, "LabelsMissing", BOX_BROKEN, "pawl labels push FILE", b);
}

static const struct {
    const char *name, *owner_box;
    void (*look)(const struct status *st, struct box *b);
} BOXES[] = {{"Ingest", "ingest", box_ingest},       {"Validate", "validate", box_validate},
             {"Features", "features", box_features}, {"Train", "train", box_train},
             {"Evaluate", "evaluate", box_evaluate}, {"Registry", "registry", box_registry},
             {"Deploy", "deploy", box_deploy},       {"Serve", "serve", box_serve},
             {"Monitor", "monitor", box_monitor},    {"Feedback", "feedback", box_feedback}};

/* ---- the whole ---- */
static struct json *box_json(const struct status *st, size_t i, const struct box *b)
{
    struct arena *a = st->a;
    struct json *o = json_obj(a);
    const char *runbook = b->runbook, *owner = b->owner;

    json_set(a, o, "box", json_cstr(a, BOXES[i].name));
    json_set(a, o, "state", json_cstr(a, BOX_STATE_NAMES[b->state]));
    json_set(a, o, "text", json_cstr(a, b->text));
    json_set(a, o, "since", json_time(a, b->since_us));
    json_set(a, o, "last", json_time(a, b->last_us));
    if (!owner && st->root)
        owner = project_owner(&st->project, st->root, BOXES[i].owner_box, OWNER_ML);
    if (!runbook && st->root)
        runbook = project_runbook(&st->project, st->root, BOXES[i].owner_box);
    json_set(a, o, "owner", json_cstr(a, owner));
    json_set(a, o, "runbook",
             runbook ? json_cstr(a, runbook)
                     : json_fmt(a, "docs/runbooks/%s.md", BOXES[i].owner_box));
    return json_set(a, o, "next", json_cstr(a, b->next));
}

static struct json *arrow_json(const struct status *st, size_t i, const struct box *b)
{
    struct json *o = json_obj(st->a);
    bool is_broken = b->state == BOX_BROKEN;

    json_set(st->a, o, "from", json_cstr(st->a, BOXES[i].name));
    /* The last arrow closes the loop: what was learnt starts the next lap at the features. */
    json_set(st->a, o, "to",
             json_cstr(st->a, i + 1 < ARRAY_LEN(BOXES) ? BOXES[i + 1].name : "Features"));
    json_set(st->a, o, "state", json_cstr(st->a, is_broken ? "broken" : BOX_STATE_NAMES[b->state]));
    json_set(st->a, o, "carries", json_cstr(st->a, b->out));
    return json_set(st->a, o, "last", json_time(st->a, b->last_us));
}

static enum err_code alerts_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct status *st = arg;
    struct alert *list;
    size_t n;
    struct alert_query q = {
        .endpoint = st->endpoint[0] ? st->endpoint : NULL, .is_open_only = true, .limit = 50};

    if (alert_list(tx, &q, st->a, &list, &n, err) != ERR_OK)
        return err->code;
    st->alerts = json_arr(st->a);
    for (size_t i = 0; i < n; i++) {
        struct json *o = json_obj(st->a);
        json_set(st->a, o, "id", json_int(st->a, list[i].id));
        json_set(st->a, o, "rule", json_cstr(st->a, list[i].rule));
        json_set(st->a, o, "object", json_cstr(st->a, list[i].object));
        json_set(st->a, o, "severity", json_cstr(st->a, alert_severity_name(list[i].severity)));
        json_set(st->a, o, "state", json_cstr(st->a, alert_state_name(list[i].state)));
        json_set(st->a, o, "summary", json_cstr(st->a, list[i].summary));
        json_set(st->a, o, "owner", json_cstr(st->a, list[i].owner));
        json_set(st->a, o, "runbook", json_cstr(st->a, list[i].runbook));
        json_set(st->a, o, "starts", json_time(st->a, list[i].starts_us));
        json_add(st->a, st->alerts, o);
    }
    return ERR_OK;
}

static enum err_code status_begin(struct status *st, const char *endpoint, struct err *err)
{
    const char **names;
    size_t n = 0;
    struct err none = ERR_INIT;
    struct cfg_problems ps;
    struct project_file file = {0};

    st->endpoint = endpoint ? endpoint : "";
    if (st->s->serve && !endpoint &&
        serve_endpoints(st->s->serve, st->a, &names, &n, &none) == ERR_OK && n > 0)
        st->endpoint = names[0];
    if (st->s->serve && st->endpoint[0])
        st->has_state =
            serve_endpoint(st->s->serve, st->endpoint, st->a, &st->state, &none) == ERR_OK;
    if (endpoint && st->s->serve && !st->has_state)
        return err_set(err, none.code, "%s", none.msg);
    st->sources = st->s->loop && st->endpoint[0] ? loop_sources(st->s->loop, st->endpoint, st->a)
                                                 : json_arr(st->a);
    cfg_problems_init(&ps, st->a);
    if (st->s->root && project_read(st->s->root, st->a, &file, &ps, &none) == ERR_OK && file.root) {
        st->root = file.root;
        project_spec_decode(file.root, st->a, &st->project, &ps);
    }
    err_reset(&none);
    st->has_db = st->s->db && db_read(st->s->db, alerts_read, st, &none) == ERR_OK;
    if (!st->has_db)
        st->db_problem =
            st->s->db ? str_dup(st->a, str_c(none.msg)) : "it was not there at the start";
    return ERR_OK;
}

enum err_code status_json(const struct status_sources *s, const char *endpoint, struct arena *a,
                          struct json **ret, struct err *err)
{
    struct status st = {.s = s, .a = a};
    struct json *o = json_obj(a), *boxes = json_arr(a), *arrows = json_arr(a);
    enum box_state worst = BOX_OK;

    if (status_begin(&st, endpoint, err) != ERR_OK)
        return err->code;
    for (size_t i = 0; i < ARRAY_LEN(BOXES); i++) {
        struct box b = {.state = BOX_OK, .since_us = AT_US_NONE, .last_us = AT_US_NONE};
        BOXES[i].look(&st, &b);
        worst = BADNESS[b.state] > BADNESS[worst] ? b.state : worst;
        json_add(a, boxes, box_json(&st, i, &b));
        json_add(a, arrows, arrow_json(&st, i, &b));
    }
    json_set(a, o, "project", json_cstr(a, st.project.name));
    json_set(a, o, "endpoint", st.endpoint[0] ? json_cstr(a, st.endpoint) : NULL);
    json_set(a, o, "at", json_time(a, clock_now_us(&s->clock)));
    if (s->serve && st.endpoint[0])
        json_set(a, o, "clock", json_time(a, serve_clock(s->serve, st.endpoint)));
    json_set(a, o, "database",
             st.has_db ? json_cstr(a, "ok") : json_fmt(a, "away: %s", st.db_problem));
    json_set(a, o, "state", json_cstr(a, BOX_STATE_NAMES[worst]));
    json_set(a, o, "boxes", boxes);
    json_set(a, o, "arrows", arrows);
    *ret = json_set(a, o, "alerts", st.alerts);
    return ERR_OK;
}
