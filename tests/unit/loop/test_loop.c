/* The loop on a small home: rollouts taken back by evidence (also without a database), rollback and hold, what keeps a lap from
 * starting, and the status of each broken arrow. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alert/alert.h"
#include "base/file.h"
#include "base/hash.h"
#include "feedback/label.h"
#include "loop/loop_int.h"
#include "loop/status.h"
#include "release/control.h"
#include "serve_fix.h"

struct desk {
    struct home *home;
    struct db *db;
    struct label_log *labels;
    struct monitor *monitor;
    struct release_host *release;
    struct loop *loop;
    struct rng rng;
};

static struct db *db_at(struct home *h)
{
    struct err err = ERR_INIT;
    struct db *db;
    struct db_options opt = {.url = str_printf(&h->arena, "sqlite:%s/pawl.db", h->dir),
                             .n_readers = 2,
                             .busy_ms = 1000,
                             .may_migrate = true};

    ASSERT_OK(db_open(&opt, &db, &err), &err);
    return db;
}

/* release_db NULL: the desk decides while the database is away. */
static void desk_open(struct desk *d, struct home *h, bool has_release_db)
{
    struct err err = ERR_INIT;
    struct label_log_options lo = {.dir = path_join(&h->arena, h->dir, "labels"),
                                   .may_write = true};
    struct monitor_options mo = {
        .log = h->log, .serve = h->serve, .blobs = h->blobs, .clock = CLOCK_SYSTEM};
    struct release_host_options ro = {.home = h->dir,
                                      .journal = h->journal,
                                      .serve = h->serve,
                                      .blobs = h->blobs,
                                      .clock = CLOCK_SYSTEM};
    struct loop_options po = {.home = h->dir,
                              .root = h->dir,
                              .serve = h->serve,
                              .blobs = h->blobs,
                              .clock = CLOCK_SYSTEM};

    *d = (struct desk){.home = h, .db = db_at(h)};
    rng_init(&d->rng, 1);
    ASSERT_OK(dir_make(lo.dir, 0700, &err), &err);
    ASSERT_OK(label_log_open(&lo, &d->labels, &err), &err);
    mo.db = d->db;
    mo.labels = d->labels;
    ASSERT_OK(monitor_open(&mo, &d->monitor, &err), &err);
    ro.db = has_release_db ? d->db : NULL;
    ro.monitor = d->monitor;
    ASSERT_OK(release_host_open(&ro, &d->release, &err), &err);
    po.db = d->db;
    po.monitor = d->monitor;
    po.release = d->release;
    ASSERT_OK(loop_open(&po, &d->loop, &err), &err);
}

static void desk_close(struct desk *d)
{
    loop_close(d->loop);
    release_host_close(d->release);
    monitor_close(d->monitor);
    label_log_close(d->labels);
    db_close(d->db);
}

/* A release of a one-tree model, gated and approved. */
static int64_t release_of(struct desk *d, double leaf, double threshold)
{
    struct model_shape shape = {.leaf = leaf, .threshold = threshold};
    struct release_new n = {
        .doc = release_make(d->home, &shape), .author = "ann", .reason = "test", .at_us = 1};
    struct err err = ERR_INIT;
    int64_t number;

    ASSERT_OK(release_create(d->db, &n, &number, &err), &err);
    ASSERT_OK(release_move(d->db, number, RELEASE_GATED, "test", "", 1, &err), &err);
    ASSERT_OK(release_move(d->db, number, RELEASE_APPROVED, "test", "", 1, &err), &err);
    return number;
}

static enum err_code deploy(struct desk *d, int64_t number, bool is_forced, struct err *err)
{
    struct deploy_order o = {.endpoint = "e",
                             .number = number,
                             .actor = "ann",
                             .reason = "test",
                             .is_forced = is_forced};
    struct json *doc;

    return release_deploy(d->release, &o, &d->home->arena, &doc, err);
}

static enum release_state state_of(struct desk *d, int64_t number)
{
    struct release r;
    struct err err = ERR_INIT;

    ASSERT_OK(release_get(d->db, number, &d->home->arena, &r, &err), &err);
    return r.state;
}

static void ask(struct desk *d, int n)
{
    struct err err = ERR_INIT;
    struct arena a;

    arena_init(&a, 1 << 20);
    for (int i = 0; i < n; i++) {
        struct serve_answer ans;
        ASSERT_OK(predict_ab(d->home, NULL, 1 + rng_f64(&d->rng), 0, &a, &ans, &err), &err);
        arena_reset(&a);
    }
    arena_fini(&a);
    ASSERT_OK(monitor_drain(d->monitor, "e", clock_now_us(&CLOCK_SYSTEM), &err), &err);
}

static struct json *tick(struct desk *d)
{
    struct json *doc;
    struct err err = ERR_INIT;

    ASSERT_OK(release_tick(d->release, "e", clock_now_us(&CLOCK_SYSTEM) + US_PER_HOUR,
                           &d->home->arena, &doc, &err),
              &err);
    return doc;
}

static int64_t live_of(struct desk *d, bool *ret_has_rollout, bool *ret_is_held)
{
    struct endpoint_state s;
    struct err err = ERR_INIT;

    ASSERT_OK(serve_endpoint(d->home->serve, "e", &d->home->arena, &s, &err), &err);
    *ret_has_rollout = s.has_rollout;
    *ret_is_held = s.is_held;
    return s.live;
}

/* The candidate's scores are elsewhere: it is taken back in shadow, before it answers anybody, and says why. */
static void test_harmful_is_taken_back(void **state)
{
    struct desk d;
    struct err err = ERR_INIT;
    struct json *doc, *list;
    int64_t r1, r2;
    bool has_rollout, is_held;

    desk_open(&d, *state, true);
    r1 = release_of(&d, 1, 0.5);
    r2 = release_of(&d, 3, 0.5);
    ASSERT_OK(deploy(&d, r1, false, &err), &err);
    ASSERT_OK(deploy(&d, r2, false, &err), &err);
    assert_int_equal(state_of(&d, r2), RELEASE_ROLLING);
    ask(&d, 50);
    doc = tick(&d);
    assert_true(str_is(json_get_str(doc, "action"), "wait"));
    ask(&d, 400);
    doc = tick(&d);
    assert_true(str_is(json_get_str(doc, "action"), "roll_back"));
    assert_non_null(strstr(json_get_c(doc, "text"), "score_mean"));
    assert_int_equal(live_of(&d, &has_rollout, &is_held), r1);
    assert_false(has_rollout);
    assert_false(is_held);
    assert_int_equal(state_of(&d, r2), RELEASE_ROLLED_BACK);
    assert_int_equal(deploy(&d, r2, false, &err), ERR_REFUSED); /* only by force */
    err_reset(&err);
    ASSERT_OK(deploy(&d, r2, true, &err), &err);
    ASSERT_OK(release_rollout_list(d.release, "e", 10, &d.home->arena, &list, &err), &err);
    assert_int_equal(json_len(list), 2); /* and the first decides the same again from its record */
    ASSERT_OK(release_rollout_replay(d.release, json_get_int(json_at(list, 1), "id", 0),
                                     &d.home->arena, &doc, &err),
              &err);
    assert_true(json_get_bool(doc, "is_same", false));
    assert_int_equal(json_len(json_get(doc, "ticks")), 2);
    desk_close(&d);
}

/* The same while the desk has no database: journal and memory suffice, the tables follow later. */
static void test_taken_back_without_database(void **state)
{
    struct desk d;
    struct err err = ERR_INIT;
    struct model_shape shape = {.leaf = 3, .threshold = 0.5};
    struct rollout_plan p = {
        .n_steps = 2, .n_guards = 1, .alpha = 0.01, .pair = 1, .min_requests = 100};
    struct serve_decision start = {.kind = SERVE_ROLLOUT_START,
                                   .endpoint = "e",
                                   .actor = "ann",
                                   .reason = "test",
                                   .release = 2};
    struct serve_result res;
    bool has_rollout, is_held;
    int64_t r1, r2;

    desk_open(&d, *state, false);
    r1 = release_of(&d, 1, 0.5);
    r2 = release_of(&d, 3, 0.5);
    go_live(d.home, r1, 1);
    p.steps[0] = (struct rollout_step){0, 0, 100};
    p.steps[1] = (struct rollout_step){10000, 0, 100};
    p.guards[0] = (struct guardrail){.metric = GUARD_SCORE_MEAN,
                                     .rule = GUARD_CHANGES_AT_MOST,
                                     .value = 0.05,
                                     .is_required = true};
    start.release = r2;
    start.doc = release_make(d.home, &shape);
    start.plan = rollout_plan_json(&p, &d.home->arena);
    decide_ok(d.home, &start, &res);
    ASSERT_OK(release_sync(d.release, &err), &err);
    ask(&d, 400);
    assert_true(str_is(json_get_str(tick(&d), "action"), "roll_back"));
    assert_int_equal(live_of(&d, &has_rollout, &is_held), r1);
    assert_false(has_rollout);
    assert_int_equal(state_of(&d, r2), RELEASE_APPROVED); /* the tables know nothing yet */
    ASSERT_OK(release_host_attach(d.release, d.db, NULL, &err), &err);
    assert_int_equal(state_of(&d, r1), RELEASE_LIVE);
    assert_int_equal(state_of(&d, r2), RELEASE_ROLLED_BACK);
    desk_close(&d);
}

/* By hand: the rollout first, then the release before; hold stops the next deploy; nothing is left to go back to. */
static void test_rollback_by_hand(void **state)
{
    struct desk d;
    struct err err = ERR_INIT;
    struct json *doc;
    struct arena *a = &((struct home *)*state)->arena;
    int64_t r1, r2, r3;
    bool has_rollout, is_held;

    desk_open(&d, *state, true);
    r1 = release_of(&d, 1, 0.5);
    r2 = release_of(&d, 1, 0.6);
    r3 = release_of(&d, 1, 0.7);
    ASSERT_OK(deploy(&d, r1, false, &err), &err);
    ASSERT_OK(deploy(&d, r2, false, &err), &err);
    assert_int_equal(deploy(&d, r3, false, &err), ERR_CONFLICT); /* one rollout at a time */
    err_reset(&err);
    ASSERT_OK(release_rollback(d.release, "e", 0, "bob", "complaints", a, &doc, &err), &err);
    assert_int_equal(live_of(&d, &has_rollout, &is_held), r1);
    assert_false(has_rollout);
    assert_true(is_held);
    ASSERT_OK(release_project(d.release, &err), &err);
    assert_int_equal(state_of(&d, r2), RELEASE_ROLLED_BACK);
    assert_int_equal(deploy(&d, r3, false, &err), ERR_REFUSED);
    assert_non_null(strstr(err.msg, "hold"));
    err_reset(&err);
    ASSERT_OK(release_resume(d.release, "e", "bob", "fine now", &err), &err);
    assert_int_equal(release_resume(d.release, "e", "bob", "again", &err), ERR_REFUSED);
    err_reset(&err);
    assert_int_not_equal(release_rollback(d.release, "e", 0, "bob", "", a, &doc, &err),
                         ERR_OK); /* nothing before r1 */
    desk_close(&d);
}

/* ---- what keeps a lap from starting ---- */
static void turn_begin(struct desk *d, struct turn *t, struct loop_endpoint *ep,
                       struct loop_project *p, struct err *err)
{
    static struct trigger trigger = {.cooldown_us = US_PER_DAY};
    static struct pipeline_host host;

    trigger.when[TRIGGER_DRIFT] = true;
    *p = (struct loop_project){.name = "p", .revision = "cafe", .triggers = {&trigger, 1}};
    *ep = (struct loop_endpoint){
        .name = "e", .project = p, .last_lap_us = AT_US_NONE, .schedule_from_us = AT_US_NONE};
    d->loop->opt.pipeline = &host; /* never called: an obstacle comes first */
    *t = (struct turn){.l = d->loop,
                       .ep = ep,
                       .now_us = 100 * US_PER_DAY,
                       .a = &d->home->arena,
                       .answer = json_obj(&d->home->arena),
                       .err = err};
}

static void test_lap_obstacles(void **state)
{
    struct desk d;
    struct err err = ERR_INIT;
    struct turn t;
    struct loop_endpoint *ep = calloc(1, sizeof(*ep));
    struct loop_project p;

    desk_open(&d, *state, true);
    go_live(d.home, 1, 1);
    turn_begin(&d, &t, ep, &p, &err);
    ASSERT_OK(loop_triggers(&t), &err); /* nothing is due */
    assert_null(json_get(t.answer, "lap_waits"));
    ep->pending[TRIGGER_DRIFT].is_set = true;
    ep->last_lap_us = t.now_us - US_PER_HOUR; /* cooling down: not even considered */
    ASSERT_OK(loop_triggers(&t), &err);
    assert_null(json_get(t.answer, "lap_waits"));
    ep->last_lap_us = t.now_us - 2 * US_PER_DAY;
    ASSERT_OK(release_hold(d.release, "e", AT_US_NONE, "bob", "holiday", &err), &err);
    ASSERT_OK(loop_triggers(&t), &err);
    assert_non_null(strstr(json_get_c(t.answer, "lap_waits"), "hold"));
    ASSERT_OK(release_resume(d.release, "e", "bob", "", &err), &err);
    ep->n_sources = 1;
    ep->sources[0] = (struct loop_source){.name = "flights", .blocked_us = 5};
    ASSERT_OK(loop_triggers(&t), &err);
    assert_non_null(strstr(json_get_c(t.answer, "lap_waits"), "flights"));
    assert_true(ep->pending[TRIGGER_DRIFT].is_set); /* the reason is kept until a lap uses it */
    free(ep);
    desk_close(&d);
}

/* ---- status ---- */
static const struct json *box_of(const struct json *status, const char *name)
{
    const struct json *boxes = json_get(status, "boxes");

    for (size_t i = 0; i < json_len(boxes); i++)
        if (str_is(json_get_str(json_at(boxes, i), "box"), name))
            return json_at(boxes, i);
    fail_msg("no box %s", name);
    return NULL;
}

static void assert_box(const struct json *status, const char *name, const char *expect)
{
    const char *got = json_get_c(box_of(status, name), "state");

    if (strcmp(got, expect) != 0)
        fail_msg("%s is %s, not %s (%s)", name, got, expect,
                 json_get_c(box_of(status, name), "text"));
}

static struct json *status_of(struct desk *d, struct db *db)
{
    struct status_sources s = {.root = d->home->dir,
                               .db = db,
                               .serve = d->home->serve,
                               .monitor = d->monitor,
                               .release = d->release,
                               .loop = d->loop,
                               .log = d->home->log,
                               .clock = CLOCK_SYSTEM};
    struct json *doc;
    struct err err = ERR_INIT;

    ASSERT_OK(status_json(&s, NULL, &d->home->arena, &doc, &err), &err);
    return doc;
}

static void remember_source(struct desk *d, int64_t blocked_us, int64_t newest_us)
{
    struct err err = ERR_INIT;
    struct loop_endpoint *ep = calloc(1, sizeof(*ep));
    struct turn t = {.l = d->loop, .ep = ep, .a = &d->home->arena, .err = &err};

    (void)snprintf(ep->name, sizeof(ep->name), "e");
    ep->is_loaded = true;
    ep->last_lap_us = ep->schedule_from_us = AT_US_NONE;
    ep->n_sources = 1;
    ep->sources[0] = (struct loop_source){.name = "flights",
                                          .owner = "data@example.com",
                                          .blocked_us = blocked_us,
                                          .newest_us = newest_us,
                                          .good_newest_us = newest_us,
                                          .freshness_us = US_PER_DAY,
                                          .blocked_by = "distance range"};
    ASSERT_OK(loop_state_save(&t), &err);
    free(ep);
}

static void test_status_of_broken_arrows(void **state)
{
    struct desk d;
    struct json *s;
    int64_t now = clock_now_us(&CLOCK_SYSTEM);
    struct err err = ERR_INIT;
    struct str owner;

    desk_open(&d, *state, true);
    s = status_of(&d, d.db); /* nothing there yet: idle, not broken */
    assert_int_equal(json_len(json_get(s, "boxes")), 10);
    assert_box(s, "Deploy", "idle");
    go_live(d.home, 1, 1);
    ASSERT_OK(release_sync(d.release, &err), &err);
    s = status_of(&d, d.db);
    assert_box(s, "Deploy", "ok");
    assert_box(s, "Serve", "ok");
    remember_source(&d, now - US_PER_HOUR, now);
    s = status_of(&d, d.db);
    assert_box(s, "Validate", "broken");
    owner = json_get_str(box_of(s, "Validate"), "owner");
    assert_true(str_is(owner, "data@example.com"));
    assert_non_null(strstr(json_get_c(box_of(s, "Validate"), "runbook"), "source-blocked"));
    assert_non_null(strstr(json_get_c(box_of(s, "Validate"), "next"), "flights"));
    assert_non_null(json_get(box_of(s, "Validate"), "since"));
    assert_true(str_is(json_get_str(s, "state"), "broken"));
    remember_source(&d, AT_US_NONE, now - 2 * US_PER_DAY);
    s = status_of(&d, d.db);
    assert_box(s, "Ingest", "broken");
    assert_box(s, "Validate", "ok");
    s = status_of(&d, NULL); /* the database is away: said, and what memory knows is still there */
    assert_box(s, "Train", "unknown");
    assert_box(s, "Registry", "unknown");
    assert_box(s, "Serve", "ok");
    assert_non_null(strstr(json_get_c(s, "database"), "away"));
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_harmful_is_taken_back, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_taken_back_without_database, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_rollback_by_hand, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_lap_obstacles, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_status_of_broken_arrows, home_make, home_drop)};

    return RUN_TESTS(tests);
}
