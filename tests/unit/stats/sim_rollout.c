/* Seeded simulations of rollouts: do the verdicts keep the error rate that they promise, looked at continuously, and do they still
 * find harm? Each promise fails outside the 99.9 % binomial bound of its rate. `sim_rollout soak` runs the larger tier. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "stats/guardrail.h"
#include "stats/sequential.h"
#include "stats/special.h"

static unsigned s_scale = 1; /* soak: more trials */

/* More successes than chance allows (99.9 %) at rate p? */
static void assert_at_most(const char *what, unsigned k, unsigned n, double p)
{
    print_message("%s: %u of %u, promised at most %.3g\n", what, k, n, p);
    if (stats_binomial_sf(k, n, p) < 0.001)
        fail_msg("%s: %u of %u breaks the promise of %g", what, k, n, p);
}

static void assert_at_least(const char *what, unsigned k, unsigned n, double p)
{
    print_message("%s: %u of %u, wanted at least %.3g\n", what, k, n, p);
    if ((double)k < p * n)
        fail_msg("%s: %u of %u is less than %g", what, k, n, p);
}

/* ---- means: sticky entities, a base that drifts while the ramp goes up ---- */

#define ENTITIES  2500
#define LOOKS     6
#define LOOK_ROWS 2000
#define N_STEPS   3
static const double SHARES[N_STEPS] = {0.05, 0.25, 0.5};

struct world {
    struct rng rng;
    double effect[ENTITIES]; /* of the entity on y */
    uint32_t bucket[ENTITIES];
};

static void world_init(struct world *w, uint64_t seed)
{
    rng_init(&w->rng, seed);
    for (size_t e = 0; e < ENTITIES; e++) {
        w->effect[e] = 0.2 * rng_normal(&w->rng);
        w->bucket[e] = (uint32_t)rng_below(&w->rng, 10000);
    }
}

/* Few entities make most requests. */
static size_t some_entity(struct world *w)
{
    double u = rng_f64(&w->rng);
    return (size_t)(u * u * ENTITIES);
}

struct canary {
    double harm;
    bool
        is_naive; /* variance of independent requests and arms pooled over the ramp: what must NOT be done */
};

struct pooled {
    double n[2], s[2], s2[2];
};

static bool naive_fails(const struct pooled *p, const struct guardrail_spec *spec)
{
    double mean[2], v = 0;
    for (int a = 0; a < 2; a++) {
        mean[a] = p->s[a] / p->n[a];
        v += (p->s2[a] / p->n[a] - mean[a] * mean[a]) / p->n[a];
    }
    return mean[1] - mean[0] - seq_mixture_half_width(sqrt(v), spec->margin, spec->alpha) >
           spec->margin;
}

static enum verdict one_canary(struct world *w, const struct guardrail_spec *spec,
                               const struct canary *c)
{
    struct stratum strata[N_STEPS] = {{0}};
    struct pooled pool = {0};
    struct guardrail_result r = {0};
    for (int step = 0; step < N_STEPS; step++) {
        struct bucket_sums *arm[2] = {bucket_sums_new(), bucket_sums_new()};
        for (int look = 0; look < LOOKS && r.verdict != VERDICT_FAIL; look++) {
            for (int i = 0; i < LOOK_ROWS; i++) {
                size_t e = some_entity(w);
                int is_candidate = w->bucket[e] < SHARES[step] * 10000;
                double base =
                    0.25 * (step + (double)look / LOOKS) / N_STEPS; /* rises as the ramp goes up */
                double y =
                    base + w->effect[e] + 0.4 * rng_normal(&w->rng) + (is_candidate ? c->harm : 0);
                assert_true(bucket_sums_add(arm[is_candidate], w->bucket[e], 1, y));
                pool.n[is_candidate] += 1;
                pool.s[is_candidate] += y;
                pool.s2[is_candidate] += y * y;
            }
            bucket_sums_summary(arm[1], &strata[step].candidate);
            bucket_sums_summary(arm[0], &strata[step].incumbent);
            guardrail_decide(spec, strata, (size_t)step + 1, &r);
            if (c->is_naive)
                r.verdict = naive_fails(&pool, spec) ? VERDICT_FAIL : VERDICT_OPEN;
        }
        bucket_sums_free(arm[0]);
        bucket_sums_free(arm[1]);
    }
    return r.verdict;
}

static void run_canaries(const struct canary *c, unsigned n, unsigned count[VERDICT_N])
{
    static struct world w;
    struct guardrail_spec spec = {.kind = GUARDRAIL_NO_WORSE,
                                  .metric = "score",
                                  .margin = 0.05,
                                  .times = NAN,
                                  .limit = NAN,
                                  .alpha = 0.01,
                                  .n_min = 200,
                                  .fuse = NAN};
    memset(count, 0, VERDICT_N * sizeof(*count));
    for (unsigned t = 0; t < n; t++) {
        world_init(&w, 7000 + t);
        count[one_canary(&w, &spec, c)]++;
    }
}

static void canaries_with_sticky_entities(void **state)
{
    unsigned n = 200 * s_scale, v[VERDICT_N];
    (void)state;
    run_canaries(&(struct canary){.harm = 0}, n, v);
    assert_at_most("harmless canary rolled back", v[VERDICT_FAIL], n, 0.01);
    assert_at_least("harmless canary passed", v[VERDICT_PASS], n, 0.5);
    run_canaries(&(struct canary){.harm = 0.05}, n, v);
    assert_at_most("harm at the margin rolled back", v[VERDICT_FAIL], n, 0.01);
    assert_at_most("harm at the margin passed", v[VERDICT_PASS], n, 0.01);
    run_canaries(&(struct canary){.harm = 0.10}, n, v);
    assert_at_least("harm of twice the margin rolled back", v[VERDICT_FAIL], n, 0.72);
    run_canaries(&(struct canary){.harm = 0.15}, n, v);
    assert_at_least("harm of three times the margin rolled back", v[VERDICT_FAIL], n, 0.96);
    /* The simulation has teeth: the usual way to compute it does break the promise here. */
    run_canaries(&(struct canary){.harm = 0, .is_naive = true}, n, v);
    assert_at_least("pooled arms with independent requests roll back harmless canaries",
                    v[VERDICT_FAIL], n, 0.2);
}

/* ---- rare events ---- */

struct errors {
    double base, times, share;
    double sticky; /* share of entities that make all the errors; 0: any */
    int n_requests;
};

static enum verdict one_error_canary(const struct errors *c, const struct guardrail_spec *spec,
                                     uint64_t seed)
{
    static struct world w;
    struct stratum s = {0};
    struct guardrail_result r = {0};
    struct bucket_sums *arm[2] = {bucket_sums_new(), bucket_sums_new()};
    world_init(&w, seed);
    for (int i = 1; i <= c->n_requests && r.verdict == VERDICT_OPEN; i++) {
        size_t e = some_entity(&w);
        int is_candidate = w.bucket[e] < c->share * 10000;
        double p = c->base * (is_candidate ? c->times : 1);
        if (c->sticky > 0)
            p = (double)(e * 2654435761u % 1000) < 1000 * c->sticky ? p / c->sticky : 0;
        assert_true(
            bucket_sums_add(arm[is_candidate], w.bucket[e], 1, rng_f64(&w.rng) < p ? 1 : 0));
        if (i % 400 != 0)
            continue;
        bucket_sums_summary(arm[1], &s.candidate);
        bucket_sums_summary(arm[0], &s.incumbent);
        guardrail_decide(spec, &s, 1, &r);
    }
    bucket_sums_free(arm[0]);
    bucket_sums_free(arm[1]);
    return r.verdict;
}

static void run_errors(const struct errors *c, const struct guardrail_spec *spec, unsigned n,
                       unsigned count[VERDICT_N])
{
    memset(count, 0, VERDICT_N * sizeof(*count));
    for (unsigned t = 0; t < n; t++)
        count[one_error_canary(c, spec, 100 + t)]++;
}

static void rare_errors_as_a_ratio(void **state)
{
    const struct guardrail_spec spec = {.kind = GUARDRAIL_EVENTS,
                                        .metric = "error_rate",
                                        .margin = NAN,
                                        .times = 1.2,
                                        .limit = NAN,
                                        .alpha = 0.01,
                                        .fuse = NAN};
    unsigned n = 60 * s_scale, v[VERDICT_N];
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct errors c = {
            .base = 0.005, .times = 1, .share = i ? 0.25 : 0.05, .n_requests = 20000};
        run_errors(&c, &spec, n, v);
        assert_at_most("harmless errors rolled back", v[VERDICT_FAIL], n, 0.01);
        c.times = 1.2;
        run_errors(&c, &spec, n, v);
        assert_at_most("errors at the allowed ratio rolled back", v[VERDICT_FAIL], n, 0.01);
        c.times = 10;
        run_errors(&c, &spec, n, v);
        assert_at_least("ten times the errors rolled back", v[VERDICT_FAIL], n, 0.97);
    }
    /* One entity in fifty makes all errors: without the design effect this would roll back often. */
    struct errors sticky = {
        .base = 0.005, .times = 1, .share = 0.25, .sticky = 0.02, .n_requests = 20000};
    run_errors(&sticky, &spec, n, v);
    assert_at_most("harmless sticky errors rolled back", v[VERDICT_FAIL], n, 0.01);
}

static void rare_errors_absolute(void **state)
{
    const struct guardrail_spec spec = {.kind = GUARDRAIL_EVENTS,
                                        .metric = "error_rate",
                                        .margin = 0.01,
                                        .times = NAN,
                                        .limit = NAN,
                                        .alpha = 0.01,
                                        .fuse = NAN};
    unsigned n = 60 * s_scale, v[VERDICT_N];
    (void)state;
    struct errors c = {.base = 0.005, .times = 1, .share = 0.25, .n_requests = 20000};
    run_errors(&c, &spec, n, v);
    assert_at_most("harmless errors rolled back", v[VERDICT_FAIL], n, 0.01);
    assert_at_least("harmless errors passed", v[VERDICT_PASS], n, 0.9);
    c.times = 3; /* exactly the margin worse */
    run_errors(&c, &spec, n, v);
    assert_at_most("errors at the margin passed", v[VERDICT_PASS], n, 0.01);
    assert_at_most("errors at the margin rolled back", v[VERDICT_FAIL], n, 0.01);
    c.times = 8;
    run_errors(&c, &spec, n, v);
    assert_at_least("errors far over the margin rolled back", v[VERDICT_FAIL], n, 0.97);
}

/* Nothing fails: the pass takes ln(1/alpha)/margin requests, and not much more. */
static void pass_without_failures(void **state)
{
    const double margins[] = {0.01, 0.001};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(margins); i++) {
        struct guardrail_spec spec = {.kind = GUARDRAIL_EVENTS,
                                      .margin = margins[i],
                                      .times = NAN,
                                      .limit = NAN,
                                      .alpha = 0.01,
                                      .fuse = NAN};
        double least = log(100) / margins[i], n = guardrail_rows_needed(&spec, 0, 0, 0.05);
        print_message("margin %g: %.0f requests (at least %.0f)\n", margins[i], n, least);
        assert_true(n >= least * 0.99 && n < 1.25 * least);
        struct stratum s = {.candidate = {.n = n, .k = 100}, .incumbent = {.n = 19 * n, .k = 1900}};
        struct guardrail_result r;
        guardrail_decide(&spec, &s, 1, &r);
        assert_int_equal(r.verdict, VERDICT_PASS);
        assert_true(r.high < margins[i] * 1.01);
        s.candidate.n = least * 0.9;
        guardrail_decide(&spec, &s, 1, &r);
        assert_int_equal(r.verdict, VERDICT_OPEN);
    }
}

/* ---- sample-ratio mismatch ---- */

static void sample_ratio_mismatch(void **state)
{
    unsigned n = 1000 * s_scale, wrong = 0, found = 0;
    struct rng rng;
    (void)state;
    rng_init(&rng, 5);
    for (unsigned t = 0; t < n; t++) {
        for (int is_off = 0; is_off < 2; is_off++) {
            uint64_t k = 0;
            bool is_void = false;
            for (uint64_t i = 1; i <= 3400 && !is_void; i++) {
                k += rng_f64(&rng) < (is_off ? 0.08 : 0.05);
                is_void = i % 20 == 0 && seq_srm_log_e(k, i, 0.05) >= log(SEQ_SRM_E);
            }
            *(is_off ? &found : &wrong) += is_void;
        }
    }
    assert_at_most("fair assignment voided", wrong, n, 0.001);
    assert_at_least("8 % instead of 5 % found", found, n, 0.99);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canaries_with_sticky_entities), cmocka_unit_test(rare_errors_as_a_ratio),
        cmocka_unit_test(rare_errors_absolute),          cmocka_unit_test(pass_without_failures),
        cmocka_unit_test(sample_ratio_mismatch),
    };
    if (argc > 1 && strcmp(argv[1], "soak") == 0)
        s_scale = 20;
    return RUN_TESTS(tests);
}
