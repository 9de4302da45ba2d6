/* Drift scores against the golden vectors that this project fixed its conventions with (scipy as oracle), histograms, verdicts. */
#include "test.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "stats/drift.h"

static void close_to(double got, double want, double abs_)
{
    if (!(fabs(got - want) <= abs_))
        fail_msg("%.17g is not %.17g within %g", got, want, abs_);
}

static void golden_vectors(void **state)
{
    const uint64_t ref[] = {100, 200, 300, 400}, cur[] = {150, 150, 300, 400};
    struct drift_scores s;
    struct err err = ERR_INIT;
    (void)state;
    ASSERT_OK(drift_scores_of(ref, cur, 4, &s, &err), &err);
    close_to(s.psi, 0.0346573590, 1e-10);
    close_to(s.kl, 0.0169899037, 1e-10);
    close_to(s.js, 0.0656412787, 1e-10);
    close_to(s.js / sqrt(log(2)), 0.0788432108, 1e-10);
    close_to(s.hellinger, 0.0657299939, 1e-10);
    close_to(s.l_inf, 0.05, 1e-15);
    close_to(s.tvd, 0.05, 1e-15);
    close_to(s.chi2, 17.142857142857142, 1e-10);
    close_to(s.chi2_df, 3, 0);
    ASSERT_OK(drift_scores_of(cur, ref, 4, &s, &err), &err);
    close_to(s.kl, 0.0176674553, 1e-10);
    close_to(drift_proportion_z(300, 1000, 350, 1000), -2.3870495801, 1e-9);
}

/* a = 1..8 against b = 4.5..11.5: D = 0.5 (all values as bins). */
static void ks_of_two_samples(void **state)
{
    uint64_t a[16] = {0}, b[16] = {0};
    struct drift_scores s;
    struct err err = ERR_INIT;
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        static const size_t PLACE_A[] = {0, 1, 2, 3, 5, 7, 9, 11},
                            PLACE_B[] = {4, 6, 8, 10, 12, 13, 14, 15};
        a[PLACE_A[i]] = 1;
        b[PLACE_B[i]] = 1;
    }
    ASSERT_OK(drift_scores_of(a, b, 16, &s, &err), &err);
    close_to(s.ks, 0.5, 1e-15);
}

static void empty_side_is_an_error(void **state)
{
    const uint64_t ref[] = {1, 2}, none[] = {0, 0};
    struct drift_scores s = {.psi = 7};
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(drift_scores_of(ref, none, 2, &s, &err), ERR_EMPTY);
    assert_true(s.psi == 7);
}

/* scipy.stats.fisher_exact gives 0.01363 for the upper side; doubled here. Without marked rows nothing can be said. */
static void exact_proportions(void **state)
{
    (void)state;
    close_to(drift_proportion_exact_p(3, 5000, 2, 200), 2 * 0.013631780339421416, 1e-12);
    close_to(drift_proportion_exact_p(0, 5000, 0, 200), 1, 0);
    close_to(drift_proportion_exact_p(10, 10, 3, 3), 1, 0);
    assert_true(drift_proportion_exact_p(0, 5000, 200, 200) < 1e-100);
}

/* Symmetry and merge: scores do not depend on which side is the reference where they are symmetric, sums of windows are windows. */
static void properties(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 1);
    for (int trial = 0; trial < 50; trial++) {
        uint64_t a[10], b[10], c[10];
        struct drift_scores x, y;
        for (size_t i = 0; i < 10; i++) {
            a[i] = rng_below(&rng, 40);
            b[i] = rng_below(&rng, 40);
            c[i] = 3 * a[i];
        }
        struct err err = ERR_INIT;
        ASSERT_OK(drift_scores_of(a, b, 10, &x, &err), &err);
        ASSERT_OK(drift_scores_of(b, a, 10, &y, &err), &err);
        close_to(x.psi, y.psi, 1e-12);
        close_to(x.ad, y.ad, 1e-9);
        close_to(x.chi2, y.chi2, 1e-9);
        close_to(x.ks, y.ks, 1e-15);
        assert_true(x.psi >= 0 && x.js <= 0.8326 && x.hellinger <= 1);
        ASSERT_OK(drift_scores_of(a, c, 10, &x, &err), &err);
        close_to(x.ks, 0, 1e-15);
        close_to(x.ad, 0, 1e-12);
    }
}

/* ---- histograms ---- */

static struct hist_reference build(const double *x, size_t n, struct arena *a)
{
    struct column c = {.name = "x", .type = VAL_FLOAT, .n = n, .u.f = (double *)(uintptr_t)x};
    struct hist_input in = {.name = "x", .kind = HIST_NUMBER, .values = c, .importance = 1};
    struct hist_reference r;
    struct err err = ERR_INIT;
    ASSERT_OK(hist_reference_build(&in, a, &r, &err), &err);
    return r;
}

static void quantile_bins(void **state)
{
    static double x[6400];
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 26);
    for (size_t i = 0; i < 6400; i++)
        x[(i * 2657) % 6400] = (double)i;
    struct hist_reference r = build(x, 6400, &a);
    assert_int_equal(r.edges.n_bins, 64);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(r.counts[i], 100);
    assert_int_equal(hist_cell_f64(&r.edges, -1e300), 0);
    assert_int_equal(hist_cell_f64(&r.edges, 1e300), 63);
    assert_int_equal(hist_cell_f64(&r.edges, 99), 0);
    assert_int_equal(hist_cell_f64(&r.edges, 99.5), 1);
    assert_int_equal(hist_cell_f64(&r.edges, NAN), hist_cell_missing(&r.edges));
    assert_int_equal(hist_cell_f64(&r.edges, -INFINITY), hist_cell_nonfinite(&r.edges));
    assert_int_equal(r.n_chunks, 128);
    uint64_t sum[HIST_CELLS_MAX] = {0};
    hist_reference_merge(&r, 0, r.n_chunks, sum);
    assert_memory_equal(sum, r.counts, r.edges.n_cells * sizeof(*sum));
    arena_fini(&a);
}

/* A constant reference becomes below / equal / above; a value that fills bins gets its own; small integers stay apart. */
static void ties(void **state)
{
    static double x[1000];
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 26);
    for (size_t i = 0; i < 1000; i++)
        x[i] = 3;
    struct hist_reference r = build(x, 1000, &a);
    assert_int_equal(r.edges.n_bins, 3);
    assert_int_equal(r.counts[1], 1000);
    assert_int_equal(hist_cell_f64(&r.edges, 2.999), 0);
    assert_int_equal(hist_cell_f64(&r.edges, 3), 1);
    assert_int_equal(hist_cell_f64(&r.edges, 3.001), 2);
    for (size_t i = 0; i < 1000; i++)
        x[i] = (double)(i % 5); /* 0..4, 200 each */
    r = build(x, 1000, &a);
    for (double v = 0; v < 5; v++)
        assert_int_equal(r.counts[hist_cell_f64(&r.edges, v)], 200);
    assert_int_equal(r.counts[hist_cell_f64(&r.edges, -1)], 0);
    assert_int_equal(r.counts[hist_cell_f64(&r.edges, 5)], 0);
    for (size_t i = 0; i < 1000; i++)
        x[i] = i < 700 ? 0 : (double)i; /* seven tenths zero */
    r = build(x, 1000, &a);
    assert_int_equal(r.counts[hist_cell_f64(&r.edges, 0)], 700);
    assert_int_not_equal(hist_cell_f64(&r.edges, 0), hist_cell_f64(&r.edges, -0.5));
    arena_fini(&a);
}

static void all_missing_reference(void **state)
{
    static double x[100];
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 24);
    for (size_t i = 0; i < 100; i++)
        x[i] = NAN;
    struct hist_reference r = build(x, 100, &a);
    assert_int_equal(r.edges.n_bins, 1);
    assert_int_equal(r.counts[hist_cell_missing(&r.edges)], 100);
    arena_fini(&a);
}

static void categories(void **state)
{
    static struct str s[3000];
    static char text[3000][8];
    struct arena a;
    struct hist_reference r, back;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&a, 1 << 26);
    for (size_t i = 0; i < 3000; i++) {
        size_t v = i < 2700 ? i % 27 : 100 + i; /* 27 common values, 300 single ones */
        (void)snprintf(text[i], sizeof(text[i]), "v%zu", v);
        s[i] = str_c(text[i]);
    }
    struct hist_input in = {.name = "c",
                            .kind = HIST_CATEGORY,
                            .values = {.name = "c", .type = VAL_STR, .n = 3000, .u.s = s}};
    ASSERT_OK(hist_reference_build(&in, &a, &r, &err), &err);
    assert_int_equal(r.edges.n_categories, 254);
    assert_int_equal(r.counts[hist_cell_str(&r.edges, STR("v3"))], 100);
    assert_int_equal(r.counts[hist_cell_other(&r.edges)], 327 - 254);
    assert_int_equal(hist_cell_str(&r.edges, STR("never")), hist_cell_unseen(&r.edges));
    struct value null = {.type = VAL_NULL};
    assert_int_equal(hist_cell_value(&r.edges, &null), hist_cell_missing(&r.edges));
    struct json *doc = hist_reference_json(&r, &a);
    ASSERT_OK(hist_reference_read(doc, &a, &back, &err), &err);
    assert_int_equal(back.n, 3000);
    assert_memory_equal(back.counts, r.counts, r.edges.n_cells * sizeof(*r.counts));
    assert_memory_equal(back.chunks, r.chunks, r.n_chunks * r.edges.n_cells * sizeof(*r.chunks));
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(hist_cell_str(&back.edges, s[i]), hist_cell_str(&r.edges, s[i]));
    arena_fini(&a);
}

static void damaged_reference_is_refused(void **state)
{
    static double x[500];
    struct arena a;
    struct hist_reference r, back;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&a, 1 << 26);
    for (size_t i = 0; i < 500; i++)
        x[i] = (double)i;
    r = build(x, 500, &a);
    struct json *doc = hist_reference_json(&r, &a);
    json_set(&a, doc, "counts", json_arr(&a));
    assert_int_equal(hist_reference_read(doc, &a, &back, &err), ERR_CORRUPT);
    doc = hist_reference_json(&r, &a);
    json_set(&a, doc, "edges",
             json_add(&a, json_add(&a, json_arr(&a), json_num(&a, 2)), json_num(&a, 1)));
    assert_int_equal(hist_reference_read(doc, &a, &back, &err), ERR_CORRUPT);
    arena_fini(&a);
}

/* ---- verdicts ---- */

static struct drift_result judge(const struct hist_reference *r, const double *x, size_t n,
                                 struct drift_options opt)
{
    uint64_t cur[HIST_CELLS_MAX] = {0};
    struct drift_result res;
    for (size_t i = 0; i < n; i++)
        cur[hist_cell_f64(&r->edges, x[i])]++;
    drift_judge(r, cur, &opt, &res);
    return res;
}

static void verdicts(void **state)
{
    static double ref[5000], x[1000];
    struct arena a;
    struct rng rng;
    (void)state;
    arena_init(&a, 1 << 26);
    rng_init(&rng, 7);
    for (size_t i = 0; i < 5000; i++)
        ref[i] = rng_normal(&rng);
    struct hist_reference r = build(ref, 5000, &a);
    struct drift_options opt = {
        .alpha = 1e-4, .effect_floor = DRIFT_EFFECT_FLOOR_DEFAULT, .n_min = DRIFT_N_MIN_DEFAULT};
    for (size_t i = 0; i < 1000; i++)
        x[i] = rng_normal(&rng);
    assert_int_equal(judge(&r, x, 800, opt).verdict, DRIFT_NONE);
    assert_int_equal(judge(&r, x, 40, opt).verdict, DRIFT_OPEN);   /* too few rows */
    assert_int_equal(judge(&r, x, 1000, opt).verdict, DRIFT_OPEN); /* five chunks of 1,000 */
    for (size_t i = 0; i < 500; i++)
        x[i] = rng_normal(&rng) + 1;
    struct drift_result d = judge(&r, x, 500, opt);
    assert_int_equal(d.verdict, DRIFT_YES);
    assert_int_equal(d.worst, 0);
    assert_true(d.test[0].ratio > 2 && d.is_few_chunks);
    for (size_t i = 0; i < 500; i++)
        x[i] = rng_normal(&rng) + 0.2; /* significant in 500 rows at 1 %, but small */
    opt.alpha = 0.05;
    d = judge(&r, x, 500, opt);
    assert_int_equal(d.verdict, DRIFT_NONE);
    assert_true(d.test[0].ratio > 1 && d.test[0].effect < 0.1);
    for (size_t i = 0; i < 500; i++)
        x[i] = i % 4 == 0 ? NAN : rng_normal(&rng); /* a quarter went missing */
    opt.alpha = 1e-6;
    d = judge(&r, x, 500, opt);
    assert_int_equal(d.verdict, DRIFT_YES);
    assert_string_equal(d.test[d.worst].name, "missing");
    x[3] = x[9] = INFINITY;
    assert_true(judge(&r, x, 500, opt).test[2].score > 2);
    arena_fini(&a);
}

/* Every selectable rule: quiet without drift, loud with it. */
static void rules_of_choice(void **state)
{
    static double ref[20000], same[500], other[500];
    struct arena a;
    struct rng rng;
    (void)state;
    arena_init(&a, 1 << 26);
    rng_init(&rng, 8);
    for (size_t i = 0; i < 20000; i++)
        ref[i] = rng_normal(&rng);
    for (size_t i = 0; i < 500; i++) {
        same[i] = rng_normal(&rng);
        other[i] = 1.5 * rng_normal(&rng) + 0.5;
    }
    struct hist_reference r = build(ref, 20000, &a);
    for (int rule = 0; rule < DRIFT_RULE_N; rule++) {
        struct drift_options opt = {
            .rule = (enum drift_rule)rule, .alpha = 1e-3, .effect_floor = 0.1, .n_min = 50};
        assert_int_equal(judge(&r, same, 500, opt).verdict, DRIFT_NONE);
        if (rule != DRIFT_RULE_LINF) /* one bin of 64 says little about a shift */
            assert_int_equal(judge(&r, other, 500, opt).verdict, DRIFT_YES);
    }
    arena_fini(&a);
}

static void budget(void **state)
{
    const double importance[] = {0.6, 0.3, 0.1, 0};
    double alphas[4], score, rate, sum = 0;
    struct err err = ERR_INIT;
    (void)state;
    ASSERT_OK(drift_alarm_rate_parse(STR("1 per 30d"), &rate, &err), &err);
    close_to(rate * (double)US_PER_DAY, 1.0 / 30, 1e-15);
    assert_int_equal(drift_alarm_rate_parse(STR("often"), &rate, &err), ERR_PARSE);
    assert_int_equal(drift_alarm_rate_parse(STR("0 per 1d"), &rate, &err), ERR_PARSE);
    drift_budget(0.01, importance, 4, true, alphas, &score);
    for (size_t i = 0; i < 4; i++)
        sum += alphas[i];
    close_to(score, 0.005, 1e-15);
    close_to(sum, 0.005, 1e-15);
    close_to(alphas[0] / alphas[1], 2, 1e-12);
    close_to(alphas[3], 0.0001, 1e-15);
    drift_budget(0.01, importance, 4, false, alphas, &score);
    close_to(score, 0, 0);
    close_to(alphas[0] + alphas[1] + alphas[2] + alphas[3], 0.01, 1e-15);
}

static void persistence(void **state)
{
    const enum drift_verdict v[] = {DRIFT_YES, DRIFT_NONE, DRIFT_YES, DRIFT_OPEN, DRIFT_YES};
    (void)state;
    assert_true(drift_persists(v, 5, 2, 2));
    assert_true(drift_persists(v, 5, 1, 1));
    assert_false(drift_persists(v, 4, 2, 2));
    assert_true(drift_persists(v, 4, 1, 2));
    assert_false(drift_persists(v, 0, 1, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_vectors),
        cmocka_unit_test(ks_of_two_samples),
        cmocka_unit_test(empty_side_is_an_error),
        cmocka_unit_test(exact_proportions),
        cmocka_unit_test(properties),
        cmocka_unit_test(quantile_bins),
        cmocka_unit_test(ties),
        cmocka_unit_test(all_missing_reference),
        cmocka_unit_test(categories),
        cmocka_unit_test(damaged_reference_is_refused),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(rules_of_choice),
        cmocka_unit_test(budget),
        cmocka_unit_test(persistence),
    };
    return RUN_TESTS(tests);
}
