/* Rollouts decided on synthetic evidence: a harmless candidate passes every step, a harmful one is taken back at the first
 * look that can tell, and every look decides the same again from what was stored. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "release/rollout.h"

#define ARENA ((size_t)256 << 20)

static void plan_init(struct rollout_plan *p)
{
    *p = (struct rollout_plan){.n_steps = 4,
                               .n_guards = 3,
                               .alpha = 0.01,
                               .fuse = 0.5,
                               .min_requests = 100,
                               .min_buckets = 30,
                               .expires_us = 7 * US_PER_DAY,
                               .pair = 1,
                               .latency_limit_us = 1000};
    p->steps[0] = (struct rollout_step){0, 0, 500};
    p->steps[1] = (struct rollout_step){2500, 10 * US_PER_MIN, 500};
    p->steps[2] = (struct rollout_step){5000, 10 * US_PER_MIN, 500};
    p->steps[3] = (struct rollout_step){10000, 10 * US_PER_MIN, 500};
    p->guards[0] = (struct guardrail){
        .metric = GUARD_ERROR_RATE, .rule = GUARD_NO_WORSE_BY, .value = 0.02, .is_required = true};
    p->guards[1] = (struct guardrail){.metric = GUARD_SCORE_MEAN,
                                      .rule = GUARD_CHANGES_AT_MOST,
                                      .value = 0.05,
                                      .is_required = true};
    p->guards[2] = (struct guardrail){
        .metric = GUARD_NORMALIZED_LOG_LOSS, .rule = GUARD_NO_WORSE_BY, .value = 0.02};
}

static void rollout_init(struct rollout *r)
{
    *r = (struct rollout){.id = 9,
                          .endpoint = "delay",
                          .candidate = 2,
                          .incumbent = 1,
                          .state = ROLLOUT_SHADOW,
                          .before_pause = ROLLOUT_SHADOW,
                          .started_us = 0,
                          .reason = "test"};
    plan_init(&r->plan);
    for (int i = 0; i < EV_STEPS_MAX; i++)
        r->step_started_us[i] = AT_US_NONE;
    r->step_started_us[0] = 0;
}

struct world {
    double error_rate[ARM_N];
    double shift; /* of the candidate's score */
    struct rng rng;
};

/* n requests in the present step. */
static void traffic(struct evidence *e, const struct rollout *r, struct world *w, int n)
{
    struct err err = ERR_INIT;
    int share = r->plan.steps[r->step].share;

    for (int i = 0; i < n; i++) {
        uint32_t bucket = (uint32_t)rng_below(&w->rng, 10000);
        struct ev_request q = {.at = {.step = r->step, .bucket = bucket},
                               .arm = (int)bucket < share ? ARM_CANDIDATE : ARM_INCUMBENT,
                               .has_latency = true};
        double base = 0.2 + 0.1 * rng_normal(&w->rng);
        struct ev_scored p = {.at = q.at,
                              .incumbent = base,
                              .candidate = base + w->shift + 0.01 * rng_normal(&w->rng)};
        q.is_error = rng_f64(&w->rng) < w->error_rate[q.arm];
        q.score = q.is_error ? NAN : (q.arm == ARM_CANDIDATE ? p.candidate : p.incumbent);
        ASSERT_OK(evidence_add(e, &q, &err), &err);
        if (share == 0) {
            struct ev_request s = {.at = q.at,
                                   .arm = ARM_CANDIDATE,
                                   .is_error = rng_f64(&w->rng) < w->error_rate[ARM_CANDIDATE],
                                   .score = p.candidate};
            ASSERT_OK(evidence_add(e, &s, &err), &err);
        }
        if (!q.is_error)
            ASSERT_OK(evidence_add_pair(e, &p, &err), &err);
    }
}

/* Looks each 10 minutes until the rollout is over; the number of looks. Each look is replayed. */
static int run(struct rollout *r, struct world *w, int per_look, int looks_max)
{
    struct evidence *e = evidence_new();
    struct arena a;
    struct err err = ERR_INIT;
    int looks = 0;

    arena_init(&a, ARENA);
    while (!rollout_is_over(r->state) && looks < looks_max) {
        struct rollout_tick t;
        struct json *doc, *again, *read_back;
        struct buf text;
        bool is_same = false;
        traffic(e, r, w, per_look);
        looks++;
        ASSERT_OK(rollout_look(r, e, looks * 10 * US_PER_MIN, &a, &t, &err), &err);
        doc = rollout_tick_json(r, &t, &a);
        buf_init(&text, (size_t)16 << 20);
        ASSERT_OK(json_write(doc, JSON_COMPACT, &text, &err), &err);
        ASSERT_OK(json_read(buf_view(&text), &a, &read_back, &err), &err);
        ASSERT_OK(rollout_replay(r, read_back, &a, &again, &is_same, &err), &err);
        assert_true(is_same);
        buf_fini(&text);
        rollout_apply(r, t.action, t.at_us);
        if (r->state == ROLLOUT_PAUSED)
            break;
        arena_reset(&a);
    }
    arena_fini(&a);
    evidence_free(e);
    return looks;
}

static void test_harmless_passes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct rollout r;
        struct world w = {.error_rate = {0.002, 0.002}};
        rng_init(&w.rng, seed);
        rollout_init(&r);
        (void)run(&r, &w, 4000, 60);
        assert_int_equal(r.state, ROLLOUT_DONE);
        assert_int_equal(r.step, 3);
    }
}

static void test_errors_roll_back(void **state)
{
    struct rollout r;
    struct world w = {.error_rate = {0.002, 0.15}};
    int looks;

    (void)state;
    rng_init(&w.rng, 11);
    rollout_init(&r);
    looks = run(&r, &w, 2000, 60);
    assert_int_equal(r.state, ROLLOUT_ROLLED_BACK);
    assert_true(looks <= 2);
}

static void test_shifted_scores_roll_back(void **state)
{
    struct rollout r;
    struct world w = {.shift = 0.12};

    (void)state;
    rng_init(&w.rng, 12);
    rollout_init(&r);
    (void)run(&r, &w, 2000, 60);
    assert_int_equal(r.state, ROLLOUT_ROLLED_BACK);
    assert_int_equal(r.step, 0); /* seen in shadow: nobody was answered by it */
}

/* Without traffic nothing passes and nothing fails, and in the end a person is asked. */
static void test_silence_waits_then_asks(void **state)
{
    struct rollout r;
    struct rollout_tick t;
    struct evidence *e = evidence_new();
    struct arena a;
    struct err err = ERR_INIT;

    (void)state;
    arena_init(&a, ARENA);
    rollout_init(&r);
    ASSERT_OK(rollout_look(&r, e, US_PER_DAY, &a, &t, &err), &err);
    assert_int_equal(t.action, ROLLOUT_WAIT);
    assert_int_equal(t.verdict, VERDICT_OPEN);
    assert_non_null(strstr(t.text, "waits for"));
    ASSERT_OK(rollout_look(&r, e, 8 * US_PER_DAY, &a, &t, &err), &err);
    assert_int_equal(t.action, ROLLOUT_PAUSE);
    arena_fini(&a);
    evidence_free(e);
}

/* Arms that do not have their declared shares void the comparison. */
static void test_sample_ratio_pauses(void **state)
{
    struct rollout r;
    struct rollout_tick t;
    struct evidence *e = evidence_new();
    struct arena a;
    struct err err = ERR_INIT;
    struct rng rng;

    (void)state;
    arena_init(&a, ARENA);
    rng_init(&rng, 3);
    rollout_init(&r);
    r.step = 1;
    r.state = ROLLOUT_CANARY;
    r.step_started_us[1] = 0;
    for (int i = 0; i < 3000; i++) { /* 40 % instead of 25 % */
        struct ev_request q = {.at = {.step = 1, .bucket = (uint32_t)i},
                               .arm = rng_f64(&rng) < 0.4 ? ARM_CANDIDATE : ARM_INCUMBENT,
                               .score = 0.2};
        ASSERT_OK(evidence_add(e, &q, &err), &err);
    }
    ASSERT_OK(rollout_look(&r, e, US_PER_HOUR, &a, &t, &err), &err);
    assert_int_equal(t.action, ROLLOUT_PAUSE);
    assert_non_null(strstr(t.text, "shares"));
    arena_fini(&a);
    evidence_free(e);
}

/* Harmless candidates are not taken back: far below the promised 1 %. */
static void test_false_rollbacks(void **state)
{
    int n_back = 0;

    (void)state;
    for (uint64_t seed = 100; seed < 160; seed++) {
        struct rollout r;
        struct world w = {.error_rate = {0.005, 0.005}};
        rng_init(&w.rng, seed);
        rollout_init(&r);
        (void)run(&r, &w, 600, 25);
        n_back += r.state == ROLLOUT_ROLLED_BACK ? 1 : 0;
    }
    assert_true(n_back <= 3); /* beyond the 99.9 % bound of 60 trials at 1 % */
}

static void test_round_trip(void **state)
{
    static const char *const STICKY[] = {"origin", "destination"};
    struct rollout r, back;
    struct arena a;
    struct err err = ERR_INIT;

    (void)state;
    arena_init(&a, ARENA);
    rollout_init(&r);
    r.plan.sticky_by = STICKY;
    r.plan.n_sticky = 2;
    memcpy(r.salt, "abcdef", 7);
    ASSERT_OK(rollout_from_json(rollout_json(&r, &a), &a, &back, &err), &err);
    assert_int_equal(back.id, 9);
    assert_int_equal(back.candidate, 2);
    assert_int_equal(back.plan.n_steps, 4);
    assert_int_equal(back.plan.steps[1].share, 2500);
    assert_int_equal(back.plan.n_guards, 3);
    assert_int_equal(back.plan.guards[2].metric, GUARD_NORMALIZED_LOG_LOSS);
    assert_false(back.plan.guards[2].is_required);
    assert_string_equal(back.plan.sticky_by[1], "destination");
    assert_string_equal(back.salt, "abcdef");
    assert_int_equal(back.step_started_us[0], 0);
    assert_int_equal(back.step_started_us[1], AT_US_NONE);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_harmless_passes),
                                       cmocka_unit_test(test_errors_roll_back),
                                       cmocka_unit_test(test_shifted_scores_roll_back),
                                       cmocka_unit_test(test_silence_waits_then_asks),
                                       cmocka_unit_test(test_sample_ratio_pauses),
                                       cmocka_unit_test(test_false_rollbacks),
                                       cmocka_unit_test(test_round_trip)};

    return RUN_TESTS(tests);
}
