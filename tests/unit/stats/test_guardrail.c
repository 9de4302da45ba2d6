/* Guardrails and sequential tests: formulas by hand, floors, fuse, replay from the document alone. */
#include "test.h"

#include <math.h>

#include "base/check.h"
#include "base/hash.h"
#include "stats/guardrail.h"
#include "stats/sequential.h"

static void close_to(double got, double want, double rel)
{
    if (!(fabs(got - want) <= rel * fabs(want)))
        fail_msg("%.17g is not %.17g within %g", got, want, rel);
}

static void mixture_interval(void **state)
{
    (void)state;
    /* V = 1e4, tau = 0.05: tau^2 V = 25; sqrt(26 / (25 * 1e4) * (ln 26 + 2 ln 100)) */
    close_to(seq_mixture_half_width(0.01, 0.05, 0.01), sqrt(26.0 / 25e4 * (log(26) + 2 * log(100))),
             1e-14);
    assert_true(isinf(seq_mixture_half_width(0, 0.05, 0.01)));
    assert_true(isinf(seq_mixture_half_width(NAN, 0.05, 0.01)));
}

/* E for 3 of 3 events in the candidate at q0 = 1/2: int_{1/2}^1 q^3 / (1/2) dq / (1/8) = (15/64) * 2 * 8. */
static void ratio_e_value(void **state)
{
    (void)state;
    close_to(exp(seq_ratio_log_e_over(3, 3, 0.5, 1.0)), 15.0 / 64 * 2 * 8, 1e-12);
    close_to(exp(seq_ratio_log_e_within(0, 3, 0.5, 1.0)), 15.0 / 64 * 2 * 8, 1e-12);
    assert_true(seq_ratio_log_e_over(0, 0, 0.5, 1.0) == 0);
    assert_true(seq_ratio_log_e_over(0, 50, 0.5, 1.2) < 0);
    assert_true(seq_ratio_log_e_over(500, 500, 0.01, 1.2) > 100);
}

/* An e-value's expectation under the null is at most 1: summed over all outcomes. */
static void expectation_at_most_one(void **state)
{
    double sum = 0, within = 0, choose = 1;
    (void)state;
    for (uint64_t k = 0; k <= 20; k++) {
        double q = 0.3 * 1.2 / (0.3 * 1.2 + 0.7),
               prob = choose * pow(q, (double)k) * pow(1 - q, 20.0 - (double)k);
        sum += prob * exp(seq_ratio_log_e_over(k, 20, 0.3, 1.2));
        within += prob * exp(seq_ratio_log_e_within(k, 20, 0.3, 1.2));
        choose *= (20.0 - (double)k) / ((double)k + 1);
    }
    close_to(sum, 1, 1e-9);
    close_to(within, 1, 1e-9);
    static const double P0[] = {0.02, 0.2, 0.5};
    for (size_t i = 0; i < ARRAY_LEN(P0); i++) {
        double total[2] = {0}, p1 = P0[i] + 0.1, c1 = 1;
        for (int k1 = 0; k1 <= 12; k1++) {
            double c0 = 1;
            for (int k0 = 0; k0 <= 25; k0++) {
                double pr = c1 * pow(p1, k1) * pow(1 - p1, 12 - k1) * c0 * pow(P0[i], k0) *
                            pow(1 - P0[i], 25 - k0);
                total[0] += pr * exp(seq_difference_log_e_over(k1, 12, k0, 25, 0.1));
                total[1] += pr * exp(seq_difference_log_e_within(k1, 12, k0, 25, 0.1));
                c0 *= (25.0 - k0) / (k0 + 1.0);
            }
            c1 *= (12.0 - k1) / (k1 + 1.0);
        }
        assert_true(total[0] <= 1 + 1e-9 && total[1] <= 1 + 1e-9);
    }
}

static void bounds_shrink_with_evidence(void **state)
{
    double last = 1;
    (void)state;
    for (double n = 100; n < 1e6; n *= 4) {
        struct seq_rates s = {0.01 * n, n, 0.01 * n, n};
        double hi = seq_difference_upper(&s, 1, 0.01), lo = seq_difference_lower(&s, 1, 0.01);
        assert_true(hi < last && lo < 0 && hi > 0);
        close_to(hi, -lo, 0.5);
        last = hi;
    }
    assert_true(last < 0.002);
    assert_true(seq_difference_upper(NULL, 0, 0.01) == 1);
}

static void srm(void **state)
{
    (void)state;
    assert_true(seq_srm_log_e(170, 3400, 0.05) < 0);
    assert_true(seq_srm_log_e(272, 3400, 0.05) > log(SEQ_SRM_E));
    assert_true(seq_srm_log_e(0, 0, 0.05) == 0);
}

/* Cluster-robust variance by hand: buckets (n, s) = (2, 3), (1, 0), (3, 3). */
static void ratio_variance(void **state)
{
    struct bucket_sums *s = bucket_sums_new(), *back = NULL;
    struct arm_summary a, b;
    struct arena arena;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&arena, 1 << 20);
    assert_true(bucket_sums_add(s, 5, 1, 1) && bucket_sums_add(s, 5, 1, 2));
    assert_true(bucket_sums_add(s, 9999, 1, 0) && bucket_sums_add(s, 10000, 3, 3));
    bucket_sums_summary(s, &a);
    assert_int_equal(a.k, 3);
    close_to(a.mean, 1, 1e-15);
    close_to(a.variance, ((3 - 2.0) * (3 - 2.0) + 1 + 0) * 3 / 2 / 36, 1e-14);
    ASSERT_OK(bucket_sums_read(bucket_sums_json(s, &arena), &back, &err), &err);
    bucket_sums_summary(back, &b);
    assert_memory_equal(&a, &b, sizeof(a));
    bucket_sums_free(s);
    bucket_sums_free(back);
    bucket_sums_summary(NULL, &a);
    assert_true(a.n == 0 && a.k == 0);
    struct json *bad = json_obj(&arena);
    json_set(&arena, bad, "bucket", json_add(&arena, json_arr(&arena), json_int(&arena, 10001)));
    json_set(&arena, bad, "n", json_add(&arena, json_arr(&arena), json_int(&arena, 1)));
    json_set(&arena, bad, "sum", json_add(&arena, json_arr(&arena), json_int(&arena, 1)));
    assert_int_equal(bucket_sums_read(bad, &back, &err), ERR_CORRUPT);
    arena_fini(&arena);
}

static struct guardrail_spec mean_spec(enum guardrail_kind kind)
{
    return (struct guardrail_spec){.kind = kind,
                                   .metric = "score_mean",
                                   .margin = 0.05,
                                   .times = NAN,
                                   .limit = NAN,
                                   .alpha = 0.01,
                                   .n_min = 100,
                                   .fuse = NAN};
}

static struct stratum stratum_of(double candidate, double incumbent, double se)
{
    struct stratum s = {.share = 0.5};
    s.candidate = (struct arm_summary){
        .n = 1000, .sum = 1000 * candidate, .mean = candidate, .variance = se * se, .k = 500};
    s.incumbent = (struct arm_summary){
        .n = 1000, .sum = 1000 * incumbent, .mean = incumbent, .variance = se * se, .k = 500};
    return s;
}

static enum verdict decide(const struct guardrail_spec *spec, const struct stratum *s, size_t n)
{
    struct guardrail_result r;
    guardrail_decide(spec, s, n, &r);
    return r.verdict;
}

static void means(void **state)
{
    struct guardrail_spec spec = mean_spec(GUARDRAIL_NO_WORSE);
    struct stratum s = stratum_of(0.3, 0.3, 0.002);
    (void)state;
    assert_int_equal(decide(&spec, &s, 1), VERDICT_PASS);
    s = stratum_of(0.4, 0.3, 0.002);
    assert_int_equal(decide(&spec, &s, 1), VERDICT_FAIL);
    spec.is_higher_better = true; /* a higher KPI is no harm */
    assert_int_equal(decide(&spec, &s, 1), VERDICT_PASS);
    spec = mean_spec(GUARDRAIL_CHANGES);
    assert_int_equal(decide(&spec, &s, 1), VERDICT_FAIL);
    s = stratum_of(0.2, 0.3, 0.002);
    assert_int_equal(decide(&spec, &s, 1), VERDICT_FAIL);
    s = stratum_of(0.3, 0.3, 0.02);
    assert_int_equal(decide(&spec, &s, 1), VERDICT_OPEN);
    s = stratum_of(0.3, 0.3, 0.002);
    s.candidate.k = 29;
    assert_int_equal(decide(&spec, &s, 1), VERDICT_OPEN);
    s.candidate.k = 500;
    s.incumbent.n = 99;
    assert_int_equal(decide(&spec, &s, 1), VERDICT_OPEN);
    assert_int_equal(decide(&spec, NULL, 0), VERDICT_OPEN);
}

/* Level shifts between steps cancel inside each; pooling would see harm where the candidate's weight came late. */
static void strata_are_not_pooled(void **state)
{
    struct guardrail_spec spec = mean_spec(GUARDRAIL_NO_WORSE);
    struct stratum s[2] = {stratum_of(0.1, 0.1, 0.004), stratum_of(0.5, 0.5, 0.004)};
    struct guardrail_result r;
    (void)state;
    s[0].candidate.n = 150;
    guardrail_decide(&spec, s, 2, &r);
    assert_int_equal(r.verdict, VERDICT_PASS);
    assert_int_equal(r.n_strata_used, 2);
    assert_true(fabs(r.estimate) < 1e-12 && r.candidate - r.incumbent > 0.1);
}

/* Identical scores on the same requests pass; a constant so far in few buckets does not prove much but decides no harm. */
static void paired(void **state)
{
    struct guardrail_spec spec = mean_spec(GUARDRAIL_CHANGES);
    struct stratum s = {.candidate = {.n = 400, .k = 200}};
    struct guardrail_result r;
    (void)state;
    spec.is_paired = true;
    guardrail_decide(&spec, &s, 1, &r);
    assert_int_equal(r.verdict, VERDICT_PASS);
    assert_true(r.se > 0);
    s.candidate.mean = 0.2;
    assert_int_equal(decide(&spec, &s, 1), VERDICT_FAIL);
}

static struct guardrail_spec event_spec(void)
{
    return (struct guardrail_spec){.kind = GUARDRAIL_EVENTS,
                                   .metric = "error_rate",
                                   .margin = 0.01,
                                   .times = NAN,
                                   .limit = NAN,
                                   .alpha = 0.01,
                                   .fuse = NAN};
}

static struct arm_summary events(double n, double k)
{
    return (struct arm_summary){.n = n,
                                .sum = k,
                                .mean = n > 0 ? k / n : 0,
                                .k = 300,
                                .variance = n > 0 ? k / n * (1 - k / n) / n : 0};
}

static void event_verdicts(void **state)
{
    struct guardrail_spec spec = event_spec();
    struct stratum s = {.candidate = events(2000, 4), .incumbent = events(20000, 40)};
    (void)state;
    assert_int_equal(decide(&spec, &s, 1), VERDICT_PASS);
    s.candidate = events(2000, 100);
    assert_int_equal(decide(&spec, &s, 1), VERDICT_FAIL);
    s.candidate = events(100, 0);
    assert_int_equal(decide(&spec, &s, 1), VERDICT_OPEN);
    assert_int_equal(decide(&spec, NULL, 0), VERDICT_OPEN);
    spec.fuse = 0.5;
    s.candidate = events(19, 19);
    s.incumbent = events(0, 0);
    assert_int_equal(decide(&spec, &s, 1), VERDICT_OPEN);
    s.candidate = events(20, 11);
    struct guardrail_result r;
    guardrail_decide(&spec, &s, 1, &r);
    assert_true(r.verdict == VERDICT_FAIL && r.is_fuse);
}

/* A slow machine slows both arms: that is not the candidate's fault. */
static void limit_on_the_candidate(void **state)
{
    struct guardrail_spec spec = {.kind = GUARDRAIL_EVENTS_MAX,
                                  .metric = "latency_p99",
                                  .margin = NAN,
                                  .times = NAN,
                                  .limit = 0.02,
                                  .alpha = 0.01,
                                  .fuse = NAN};
    struct stratum s = {.candidate = events(5000, 40), .incumbent = events(5000, 45)};
    (void)state;
    assert_int_equal(decide(&spec, &s, 1), VERDICT_PASS);
    s.candidate = events(5000, 300);
    assert_int_equal(decide(&spec, &s, 1), VERDICT_FAIL);
    s.incumbent = events(5000, 310);
    assert_int_equal(decide(&spec, &s, 1), VERDICT_OPEN);
}

/* Events that pile up on few buckets count for less. */
static void clustered_events(void **state)
{
    struct guardrail_spec spec = event_spec();
    struct stratum s = {.candidate = events(2000, 60), .incumbent = events(2000, 0)};
    struct guardrail_result r;
    (void)state;
    guardrail_decide(&spec, &s, 1, &r);
    assert_int_equal(r.verdict, VERDICT_FAIL);
    s.candidate.variance *= 20; /* all sixty from three entities */
    guardrail_decide(&spec, &s, 1, &r);
    assert_int_equal(r.verdict, VERDICT_OPEN);
    close_to(r.design_effect, 20, 1e-9);
}

static void replay(void **state)
{
    struct arena a;
    struct rng rng;
    (void)state;
    arena_init(&a, 1 << 24);
    rng_init(&rng, 3);
    for (int t = 0; t < 40; t++) {
        struct guardrail_spec spec =
            t % 2 ? event_spec() : mean_spec(t % 4 ? GUARDRAIL_CHANGES : GUARDRAIL_NO_WORSE);
        struct stratum s[3];
        struct guardrail_result r, again;
        struct buf text;
        struct json *doc;
        struct err err = ERR_INIT;
        bool is_same = false;
        for (size_t i = 0; i < 3; i++) {
            s[i] = stratum_of(rng_f64(&rng), rng_f64(&rng), 0.001 + 0.05 * rng_f64(&rng));
            if (t % 2) {
                s[i].candidate = events(1000, (double)rng_below(&rng, 30));
                s[i].incumbent = events(9000, (double)rng_below(&rng, 90));
            }
        }
        guardrail_decide(&spec, s, (size_t)(t % 3) + (t > 2), &r);
        buf_init(&text, 1 << 20);
        ASSERT_OK(json_write(guardrail_json(&spec, s, (size_t)(t % 3) + (t > 2), &r, &a),
                             JSON_CANONICAL, &text, &err),
                  &err);
        ASSERT_OK(json_read(buf_view(&text), &a, &doc, &err), &err);
        ASSERT_OK(guardrail_replay(doc, &a, &again, &is_same, &err), &err);
        assert_true(is_same);
        buf_fini(&text);
    }
    arena_fini(&a);
}

static void planning(void **state)
{
    struct guardrail_spec spec = mean_spec(GUARDRAIL_NO_WORSE);
    (void)state;
    double n = guardrail_rows_needed(&spec, 0.5, 0, 0.25),
           more = guardrail_rows_needed(&spec, 1.0, 0, 0.25);
    close_to(more / n, 4, 0.01);
    spec.is_paired = true;
    assert_true(guardrail_rows_needed(&spec, 0.5, 0, 0.25) < n);
    spec = event_spec();
    double rare = guardrail_rows_needed(&spec, 0, 0.001, 0.25),
           common = guardrail_rows_needed(&spec, 0, 0.05, 0.25);
    assert_true(rare > 460 && common > 5 * rare);
    /* of the order of 20 p / margin^2 */
    assert_true(common < 40 * 0.05 / 1e-4 && common > 8 * 0.05 / 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixture_interval),
        cmocka_unit_test(ratio_e_value),
        cmocka_unit_test(expectation_at_most_one),
        cmocka_unit_test(bounds_shrink_with_evidence),
        cmocka_unit_test(srm),
        cmocka_unit_test(ratio_variance),
        cmocka_unit_test(means),
        cmocka_unit_test(strata_are_not_pooled),
        cmocka_unit_test(paired),
        cmocka_unit_test(event_verdicts),
        cmocka_unit_test(limit_on_the_candidate),
        cmocka_unit_test(clustered_events),
        cmocka_unit_test(replay),
        cmocka_unit_test(planning),
    };
    return RUN_TESTS(tests);
}
