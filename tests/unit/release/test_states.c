/* The tables of moves: every pair of states, legal and illegal. */
#include "test.h"

#include <string.h>

#include "base/clock.h"
#include "release/release.h"
#include "release/rollout.h"

static const struct {
    enum release_state from, to;
} LEGAL[] = {{RELEASE_DRAFT, RELEASE_GATED},         {RELEASE_DRAFT, RELEASE_REJECTED},
             {RELEASE_GATED, RELEASE_APPROVED},      {RELEASE_GATED, RELEASE_REJECTED},
             {RELEASE_APPROVED, RELEASE_ROLLING},    {RELEASE_APPROVED, RELEASE_LIVE},
             {RELEASE_APPROVED, RELEASE_REJECTED},   {RELEASE_ROLLING, RELEASE_LIVE},
             {RELEASE_ROLLING, RELEASE_ROLLED_BACK}, {RELEASE_ROLLING, RELEASE_APPROVED},
             {RELEASE_LIVE, RELEASE_RETIRED},        {RELEASE_LIVE, RELEASE_ROLLED_BACK},
             {RELEASE_RETIRED, RELEASE_LIVE},        {RELEASE_RETIRED, RELEASE_ROLLING},
             {RELEASE_ROLLED_BACK, RELEASE_GATED},   {RELEASE_ROLLED_BACK, RELEASE_LIVE}};

static bool is_legal(enum release_state from, enum release_state to)
{
    for (size_t i = 0; i < sizeof(LEGAL) / sizeof(LEGAL[0]); i++)
        if (LEGAL[i].from == from && LEGAL[i].to == to)
            return true;
    return false;
}

static void test_release_moves(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    for (int from = 0; from < RELEASE_STATE_N; from++)
        for (int to = 0; to < RELEASE_STATE_N; to++) {
            bool legal = is_legal((enum release_state)from, (enum release_state)to);
            assert_int_equal(release_may_move((enum release_state)from, (enum release_state)to),
                             legal);
            assert_int_equal(
                release_check_move(7, (enum release_state)from, (enum release_state)to, &err),
                legal ? ERR_OK : ERR_REFUSED);
            if (!legal) {
                assert_non_null(strstr(err.msg, "r7"));
                assert_non_null(strstr(err.msg, RELEASE_STATE_NAMES[from]));
                assert_non_null(strstr(err.msg, RELEASE_STATE_NAMES[to]));
            }
        }
}

static struct rollout at_state(enum rollout_state s)
{
    struct rollout r = {
        .candidate = 2, .incumbent = 1, .state = s, .before_pause = ROLLOUT_CANARY, .step = 1};

    r.plan.n_steps = 2;
    r.plan.steps[1].share = s == ROLLOUT_SHADOW ? 0 : 500;
    return r;
}

static void test_rollout_moves(void **state)
{
    (void)state;
    for (int from = 0; from < ROLLOUT_STATE_N; from++)
        for (int to = 0; to < ROLLOUT_STATE_N; to++) {
            struct rollout r = at_state((enum rollout_state)from);
            struct err err = ERR_INIT;
            bool legal = rollout_may_move((enum rollout_state)from, (enum rollout_state)to);
            if (rollout_is_over((enum rollout_state)from))
                assert_false(legal);
            if (legal && to == ROLLOUT_SHADOW)
                r.plan.steps[1].share = 0;
            if (legal && to == ROLLOUT_CANARY)
                r.plan.steps[1].share = 500;
            assert_int_equal(rollout_move(&r, (enum rollout_state)to, &err),
                             legal ? ERR_OK : ERR_REFUSED);
            assert_int_equal(r.state, legal ? to : from);
        }
}

static void test_pause_remembers(void **state)
{
    struct rollout r = at_state(ROLLOUT_CANARY);

    (void)state;
    rollout_apply(&r, ROLLOUT_PAUSE, 5);
    assert_int_equal(r.state, ROLLOUT_PAUSED);
    assert_int_equal(r.before_pause, ROLLOUT_CANARY);
}

static void test_names(void **state)
{
    int64_t n = 0;
    struct err err = ERR_INIT;

    (void)state;
    ASSERT_OK(release_parse(STR("r12"), &n, &err), &err);
    assert_int_equal(n, 12);
    ASSERT_OK(release_parse(STR("3"), &n, &err), &err);
    assert_int_equal(n, 3);
    assert_int_equal(release_parse(STR("r0"), &n, &err), ERR_INVALID);
    assert_int_equal(release_parse(STR("live"), &n, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_release_moves), cmocka_unit_test(test_rollout_moves),
        cmocka_unit_test(test_pause_remembers), cmocka_unit_test(test_names)};

    return RUN_TESTS(tests);
}
