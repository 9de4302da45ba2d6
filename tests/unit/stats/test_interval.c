/* Intervals for gates: against closed forms and brute force, coverage of paired differences, verdicts, speed of the large case. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "stats/interval.h"

static void close_to(double got, double want, double abs_)
{
    if (!(fabs(got - want) <= abs_))
        fail_msg("%.17g is not %.17g within %g", got, want, abs_);
}

struct data {
    size_t n;
    double *label, *a, *b;
    uint32_t *block;
    size_t n_blocks;
};

static struct data make(size_t n, size_t n_blocks, uint64_t seed, double edge, double block_sd)
{
    struct data d = {n, malloc(n * 8), malloc(n * 8), malloc(n * 8), malloc(n * 4), n_blocks};
    struct rng rng;
    rng_init(&rng, seed);
    double *effect = malloc(n_blocks * 8);
    assert_true(d.label && d.a && d.b && d.block && effect);
    for (size_t i = 0; i < n_blocks; i++)
        effect[i] = block_sd * rng_normal(&rng);
    for (size_t i = 0; i < n; i++) {
        d.block[i] = (uint32_t)(i * n_blocks / n);
        double z = rng_normal(&rng), e = effect[d.block[i]];
        d.label[i] = rng_f64(&rng) < 1 / (1 + exp(1 - z)) ? 1 : 0;
        d.b[i] = 1 / (1 + exp(1 - 0.8 * z - 0.5 * rng_normal(&rng)));
        /* the candidate adds information, more or less of it by block */
        d.a[i] = 1 / (1 + exp(1 - (0.8 + edge + e) * z - 0.5 * rng_normal(&rng)));
    }
    free(effect);
    return d;
}

static void drop(struct data *d)
{
    free(d->label);
    free(d->a);
    free(d->b);
    free(d->block);
}

static struct interval_input input_of(const struct data *d, enum metric_id m, bool is_paired)
{
    struct interval_input in = {.metric = m, .seed = 11, .confidence = 0.95};
    in.a = (struct metric_rows){
        .task = TASK_BINARY, .n = d->n, .score = d->a, .label = d->label, .threshold = 0.4};
    in.score_b = is_paired ? d->b : NULL;
    in.threshold_b = 0.4;
    in.by[0] = (struct interval_partition){"day", d->block, d->n_blocks};
    in.n_by = 1;
    return in;
}

/* One resample by hand: the same draws as rows repeated, through metric_compute. */
static void resample_is_what_it_says(void **state)
{
    static const enum metric_id METRICS[] = {METRIC_ROC_AUC, METRIC_PR_AUC, METRIC_LOG_LOSS,
                                             METRIC_F1, METRIC_NORMALIZED_LOG_LOSS};
    struct data d = make(600, 8, 3, 0.2, 0);
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 26);
    for (size_t i = 0; i < d.n; i += 3)
        d.a[i] = round(d.a[i] * 10) / 10; /* ties */
    for (size_t k = 0; k < ARRAY_LEN(METRICS); k++) {
        struct interval_input in = input_of(&d, METRICS[k], false);
        struct interval got;
        struct err err = ERR_INIT;
        double x[8], mean = 0, v = 0, w[600];
        ASSERT_OK(interval_compute(&in, &a, &got, &err), &err);
        assert_int_equal(got.method, INTERVAL_JACKKNIFE);
        for (uint32_t b = 0; b < 8; b++) {
            for (size_t i = 0; i < d.n; i++)
                w[i] = d.block[i] == b ? 0 : 1;
            in.a.weight = w;
            ASSERT_OK(metric_compute(METRICS[k], &in.a, &a, &x[b], &err), &err);
            mean += x[b] / 8;
        }
        for (size_t b = 0; b < 8; b++)
            v += (x[b] - mean) * (x[b] - mean) * 7 / 8;
        close_to(got.se, sqrt(v), 1e-9);
        close_to(got.high - got.estimate, 2.3646242510102993 * sqrt(v), 1e-8); /* t_7(0.975) */
    }
    arena_fini(&a);
    drop(&d);
}

/* The bootstrap's standard error of a mean is s / sqrt(n). */
static void bootstrap_of_a_mean(void **state)
{
    struct data d = make(4000, 4000, 5, 0, 0);
    struct arena a;
    struct interval i, again;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&a, 1 << 27);
    struct interval_input in = input_of(&d, METRIC_ACCURACY, false);
    in.n_by = 0; /* rows are blocks */
    ASSERT_OK(interval_compute(&in, &a, &i, &err), &err);
    assert_int_equal(i.method, INTERVAL_BOOTSTRAP);
    double se = sqrt(i.value_a * (1 - i.value_a) / 4000);
    close_to(i.se / se, 1, 0.08);
    close_to((i.high - i.low) / (2 * 1.96 * se), 1, 0.08);
    ASSERT_OK(interval_compute(&in, &a, &again, &err), &err);
    assert_memory_equal(&i, &again, sizeof(i)); /* same seed, same bits */
    arena_fini(&a);
    drop(&d);
}

/* ROC AUC of rows: DeLong's standard error, from its definition. */
static void bootstrap_matches_delong(void **state)
{
    struct data d = make(1200, 1200, 6, 0, 0);
    struct arena a;
    struct interval i;
    struct err err = ERR_INIT;
    double v10 = 0, v01 = 0, n1 = 0, n0 = 0;
    (void)state;
    arena_init(&a, 1 << 27);
    struct interval_input in = input_of(&d, METRIC_ROC_AUC, false);
    ASSERT_OK(interval_compute(&in, &a, &i, &err), &err);
    for (size_t r = 0; r < d.n; r++)
        *(d.label[r] > 0.5 ? &n1 : &n0) += 1;
    for (size_t r = 0; r < d.n; r++) {
        double c = 0;
        for (size_t q = 0; q < d.n; q++)
            if (d.label[q] != d.label[r])
                c += d.a[q] == d.a[r] ? 0.5 : ((d.a[r] > d.a[q]) == (d.label[r] > 0.5) ? 1 : 0);
        c = c / (d.label[r] > 0.5 ? n0 : n1) - i.value_a;
        *(d.label[r] > 0.5 ? &v10 : &v01) += c * c;
    }
    double se = sqrt(v10 / (n1 - 1) / n1 + v01 / (n0 - 1) / n0);
    close_to(i.se / se, 1, 0.08);
    arena_fini(&a);
    drop(&d);
}

/* Paired difference with effects by day: does the 95 % interval hold the truth, with few and with more days? */
static void coverage_of_paired_differences(void **state)
{
    (void)state;
    struct data large = make(400000, 40000, 99, 0.1, 0.3);
    struct arena a;
    struct err err = ERR_INIT;
    double va, vb;
    arena_init(&a, 1 << 28);
    struct metric_rows r = input_of(&large, METRIC_ROC_AUC, false).a;
    ASSERT_OK(metric_compute(METRIC_ROC_AUC, &r, &a, &va, &err), &err);
    r.score = large.b;
    ASSERT_OK(metric_compute(METRIC_ROC_AUC, &r, &a, &vb, &err), &err);
    drop(&large);
    static const size_t DAYS[] = {12, 60};
    for (size_t k = 0; k < 2; k++) {
        unsigned inside = 0, n = 150;
        for (unsigned t = 0; t < n; t++) {
            struct data d = make(1500, DAYS[k], 1000 + t, 0.1, 0.3);
            struct interval_input in = input_of(&d, METRIC_ROC_AUC, true);
            struct interval i;
            in.n_resamples = 400;
            ASSERT_OK(interval_compute(&in, &a, &i, &err), &err);
            inside += i.low <= va - vb && va - vb <= i.high;
            drop(&d);
        }
        print_message("%zu days: truth inside the 95 %% interval in %u of %u\n", DAYS[k], inside,
                      n);
        assert_true(inside >= 130 && inside <= 150); /* 99.9 % bounds of 150 at 95 %: 132 */
    }
    arena_fini(&a);
}

/* Two partitions: the wider interval counts. */
static void wider_partition_counts(void **state)
{
    struct data d = make(3000, 40, 8, 0, 1.5);
    struct arena a;
    struct interval by_row, by_day, both;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&a, 1 << 27);
    struct interval_input in = input_of(&d, METRIC_ROC_AUC, true);
    ASSERT_OK(interval_compute(&in, &a, &by_day, &err), &err);
    in.n_by = 0;
    ASSERT_OK(interval_compute(&in, &a, &by_row, &err), &err);
    in = input_of(&d, METRIC_ROC_AUC, true);
    uint32_t *row = malloc(d.n * sizeof(*row));
    for (size_t i = 0; i < d.n; i++)
        row[i] = (uint32_t)i;
    in.by[1] = (struct interval_partition){"row", row, d.n};
    in.n_by = 2;
    ASSERT_OK(interval_compute(&in, &a, &both, &err), &err);
    close_to(both.high - both.low, fmax(by_day.high - by_day.low, by_row.high - by_row.low), 1e-12);
    free(row);
    arena_fini(&a);
    drop(&d);
}

static void verdicts_and_rows_needed(void **state)
{
    struct interval i = {.estimate = 0.001,
                         .low = -0.004,
                         .high = 0.006,
                         .se = 0.0025,
                         .method = INTERVAL_BOOTSTRAP,
                         .n_rows = 1000};
    struct margin_verdict v;
    (void)state;
    margin_judge(&i, -0.005, &v);
    assert_int_equal(v.verdict, VERDICT_PASS);
    margin_judge(&i, 0.007, &v);
    assert_int_equal(v.verdict, VERDICT_FAIL);
    assert_true(v.p_worse < 0.01);
    margin_judge(&i, -0.0015, &v);
    assert_int_equal(v.verdict, VERDICT_OPEN);
    close_to(v.rows_needed, 4000, 1); /* half width 0.005 must become 0.0025 */
    i.estimate = NAN;
    margin_judge(&i, 0, &v);
    assert_int_equal(v.verdict, VERDICT_OPEN);
    struct interval same = {.method = INTERVAL_BOOTSTRAP, .n_rows = 10}; /* identical models */
    margin_judge(&same, 0, &v);
    assert_int_equal(v.verdict, VERDICT_PASS);
    close_to(margin_smallest(&same), 0, 0);
}

static void too_few_blocks_decide_nothing(void **state)
{
    struct data d = make(300, 2, 9, 0, 0);
    struct arena a;
    struct interval i;
    struct margin_verdict v;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&a, 1 << 24);
    struct interval_input in = input_of(&d, METRIC_ROC_AUC, true);
    ASSERT_OK(interval_compute(&in, &a, &i, &err), &err);
    margin_judge(&i, -1, &v);
    assert_int_equal(v.verdict, VERDICT_OPEN);
    arena_fini(&a);
    drop(&d);
}

static void holm(void **state)
{
    const double p[] = {0.01, 0.04, 0.03, 0.005};
    bool r[4];
    (void)state;
    holm_reject(p, 4, 0.05, r); /* 0.005 <= .0125, 0.01 <= .0167, 0.03 > .025 */
    assert_true(r[0] && r[3] && !r[1] && !r[2]);
    holm_reject(p, 0, 0.05, r);
}

/* 100,000 rows x 1,000 resamples of an AUC difference: printed, not asserted. */
static void large_case(void **state)
{
    struct data d = make(100000, 60, 10, 0.05, 0.1);
    struct arena a;
    struct interval i;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&a, 1 << 28);
    struct interval_input in = input_of(&d, METRIC_ROC_AUC, true);
    int64_t from = mono_ns();
    ASSERT_OK(interval_compute(&in, &a, &i, &err), &err);
    print_message(
        "100,000 rows, 1,000 resamples, two models: %.0f ms; difference %.4f (%.4f to %.4f)\n",
        (double)(mono_ns() - from) / 1e6, i.estimate, i.low, i.high);
    assert_true(i.low < i.estimate && i.estimate < i.high);
    arena_fini(&a);
    drop(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resample_is_what_it_says),
        cmocka_unit_test(bootstrap_of_a_mean),
        cmocka_unit_test(bootstrap_matches_delong),
        cmocka_unit_test(coverage_of_paired_differences),
        cmocka_unit_test(wider_partition_counts),
        cmocka_unit_test(verdicts_and_rows_needed),
        cmocka_unit_test(too_few_blocks_decide_nothing),
        cmocka_unit_test(holm),
        cmocka_unit_test(large_case),
    };
    return RUN_TESTS(tests);
}
