/* gates, approvals, endpoint of pawl.yaml; and what a policy release changes. */
#include "test.h"

#include <string.h>

#include "base/clock.h"
#include "release/release_spec.h"

static const char YAML[] =
    "approvals: { release: [business] }\n"
    "endpoint:\n"
    "  name: delay\n"
    "  rollout:\n"
    "    shadow: { samples: 2000 }\n"
    "    canary: { steps: [5%, 25%, 50%, 100%], window: 10m, samples: 1000, sticky_by: [origin, "
    "destination] }\n"
    "    guardrails:\n"
    "      - { metric: error_rate, no_worse_by: 1% }\n"
    "      - { metric: latency_p99, no_worse_by: 20%, margin: 1% }\n"
    "      - { metric: score_mean, changes_at_most: 0.05 }\n"
    "      - { metric: normalized_log_loss, no_worse_by: 0.02, when: labels, required: false }\n"
    "  rollback: { keep: 3 }\n";

static void decode(const char *yaml, struct arena *a, struct release_spec *ret,
                   struct cfg_problems *ps)
{
    struct cfg_node *root;
    struct err err = ERR_INIT;

    cfg_problems_init(ps, a);
    ASSERT_OK(cfg_read(str_c(yaml), "pawl.yaml", a, &root, ps, &err), &err);
    release_spec_decode(root, a, ret, ps);
}

static void test_decode(void **state)
{
    struct arena a;
    struct release_spec s;
    struct cfg_problems ps;
    const struct rollout_plan *p = &s.endpoint.rollout;

    (void)state;
    arena_init(&a, 1 << 24);
    decode(YAML, &a, &s, &ps);
    assert_int_equal(ps.n, 0);
    assert_string_equal(s.endpoint.name, "delay");
    assert_true(s.needs[APPROVAL_BUSINESS]);
    assert_false(s.needs[APPROVAL_ML]);
    assert_int_equal(p->n_steps, 5);
    assert_int_equal(p->steps[0].share, 0);
    assert_int_equal(p->steps[0].samples, 2000);
    assert_int_equal(p->steps[1].share, 500);
    assert_int_equal(p->steps[4].share, 10000);
    assert_int_equal(p->steps[4].window_us, 10 * US_PER_MIN);
    assert_int_equal(p->n_guards, 4);
    assert_int_equal(p->guards[1].metric, GUARD_LATENCY);
    assert_true(p->guards[1].quantile > 0.98);
    assert_false(p->guards[3].is_required);
    assert_int_equal(p->n_sticky, 2);
    arena_fini(&a);
}

static void test_problems(void **state)
{
    static const struct {
        const char *yaml, *says;
    } CASES[] = {
        {"endpoint: { name: e, rollout: { canary: { steps: [25%, 5%, 100%] } } }", "rise"},
        {"endpoint: { name: e, rollout: { canary: { steps: [5%, 50%] } } }", "100"},
        {"endpoint: { name: e, rollout: { guardrails: [{ metric: error_rate, changes_at_most: 1% "
         "}] } }",
         "does not go with"},
        {"endpoint: { name: e, rollout: { guardrails: [{ metric: error_rate }] } }", "how much"},
        {"endpoint: { name: e, rolout: {} }", "rollout"},
        {"approvals: { release: [ceo] }", "ceo"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct arena a;
        struct release_spec s;
        struct cfg_problems ps;
        arena_init(&a, 1 << 24);
        decode(CASES[i].yaml, &a, &s, &ps);
        assert_true(ps.n_errors > 0);
        if (!strstr(ps.p[0].text, CASES[i].says))
            fail_msg("\"%s\" does not say \"%s\"", ps.p[0].text, CASES[i].says);
        assert_true(s.endpoint.rollout.n_steps >= 1);
        arena_fini(&a);
    }
}

static void test_policy_diff(void **state)
{
    struct arena a;
    struct release_spec live, same, looser;
    struct cfg_problems ps;
    struct json *d;

    (void)state;
    arena_init(&a, 1 << 24);
    decode(YAML, &a, &live, &ps);
    decode(YAML, &a, &same, &ps);
    decode("endpoint: { name: delay, rollout: { guardrails: [{ metric: error_rate, no_worse_by: 5% "
           "}] } }",
           &a, &looser, &ps);
    assert_int_equal(json_len(policy_diff(live.policy, same.policy, &a)), 0);
    d = policy_diff(live.policy, looser.policy, &a);
    assert_int_equal(json_len(d), 2); /* rollout and approvals */
    assert_true(str_is(json_get_str(json_at(d, 0), "path"), "rollout"));
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_decode),
                                       cmocka_unit_test(test_problems),
                                       cmocka_unit_test(test_policy_diff)};

    return RUN_TESTS(tests);
}
