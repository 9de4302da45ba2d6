/* Metrics against scikit-learn 1.x on small tables; performance windows and calibration by properties. */
#include "test.h"

#include <math.h>

#include "base/check.h"
#include "base/hash.h"
#include "stats/calibration.h"

static void close_to(double got, double want, double abs_)
{
    if (!(fabs(got - want) <= abs_))
        fail_msg("%.17g is not %.17g within %g", got, want, abs_);
}

static double value(enum metric_id m, const struct metric_rows *r)
{
    struct arena a;
    struct err err = ERR_INIT;
    double v = NAN;
    arena_init(&a, 1 << 24);
    ASSERT_OK(metric_compute(m, r, &a, &v, &err), &err);
    arena_fini(&a);
    return v;
}

static const double SCORE[] = {.1, .4, .35, .8, .4, .65, .9, .2, .55, .4, .05, .7};
static const double LABEL[] = {0, 0, 1, 1, 1, 0, 1, 0, 1, 0, 0, 1};
static const double WEIGHT[] = {1, 2, 1, 3, 1, 1, 2, 1, 1, 2, 1, 1};

static struct metric_rows rows12(void)
{
    return (struct metric_rows){.task = TASK_BINARY,
                                .n = 12,
                                .score = SCORE,
                                .label = LABEL,
                                .threshold = 0.5,
                                .cost_false_positive = 5,
                                .cost_false_negative = 1};
}

static void binary_matches_sklearn(void **state)
{
    struct metric_rows r = rows12();
    (void)state;
    close_to(value(METRIC_ROC_AUC, &r), 0.8333333333333333, 1e-14);
    close_to(value(METRIC_PR_AUC, &r), 0.848611111111111, 1e-14);
    close_to(value(METRIC_LOG_LOSS, &r), 0.47503330011912226, 1e-14);
    close_to(value(METRIC_BRIER, &r), 0.16, 1e-14);
    close_to(value(METRIC_ACCURACY, &r), 0.75, 1e-14);
    close_to(value(METRIC_PRECISION, &r), 0.8, 1e-14);
    close_to(value(METRIC_RECALL, &r), 2.0 / 3, 1e-14);
    close_to(value(METRIC_F1, &r), 0.7272727272727273, 1e-14);
    close_to(value(METRIC_CALIBRATION, &r), 5.5 / 12 - 0.5, 1e-14);
    close_to(value(METRIC_NORMALIZED_LOG_LOSS, &r), 0.47503330011912226 / log(2), 1e-14);
    close_to(value(METRIC_COST, &r), (5.0 * 1 + 1.0 * 2) / 12, 1e-14);
    r.weight = WEIGHT;
    close_to(value(METRIC_ROC_AUC, &r), 0.875, 1e-14);
    close_to(value(METRIC_PR_AUC, &r), 0.9036935286935287, 1e-14);
    close_to(value(METRIC_LOG_LOSS, &r), 0.42786461572045265, 1e-14);
}

static void multiclass_matches_sklearn(void **state)
{
    static const double P[] = {.7, .2, .1, .1, .6, .3, .2,  .2, .6,  .5, .3, .2,
                               .3, .4, .3, .1, .1, .8, .25, .5, .25, .6, .3, .1};
    static const double Y[] = {0, 1, 2, 1, 1, 2, 0, 0};
    struct metric_rows r = {
        .task = TASK_MULTICLASS, .n = 8, .n_classes = 3, .score = P, .label = Y};
    (void)state;
    close_to(value(METRIC_LOG_LOSS, &r), 0.702356657983862, 1e-14);
    close_to(value(METRIC_F1, &r), 0.7777777777777777, 1e-14);
    close_to(value(METRIC_PRECISION, &r), 0.7777777777777777, 1e-14);
    close_to(value(METRIC_ROC_AUC, &r), 0.9, 1e-14);
    close_to(value(METRIC_ACCURACY, &r), 0.75, 1e-14);
}

static void regression_matches_sklearn(void **state)
{
    static const double P[] = {2.5, 0, 2, 8, 4.4}, Y[] = {3, -.5, 2, 7, 5};
    struct metric_rows r = {.task = TASK_REGRESSION, .n = 5, .score = P, .label = Y};
    (void)state;
    close_to(value(METRIC_RMSE, &r), 0.6099180272790762, 1e-14);
    close_to(value(METRIC_MAE, &r), 0.52, 1e-14);
    close_to(value(METRIC_R2, &r), 0.9432926829268293, 1e-14);
    close_to(value(METRIC_MEAN_ERROR, &r), 0.08, 1e-14);
}

static void undefined_and_unsupported(void **state)
{
    static const double ONES[] = {1, 1, 1};
    struct metric_rows r = {
        .task = TASK_BINARY, .n = 3, .score = SCORE, .label = ONES, .threshold = 0.99};
    struct arena a;
    struct err err = ERR_INIT;
    double v = 5;
    (void)state;
    arena_init(&a, 1 << 20);
    assert_true(isnan(value(METRIC_ROC_AUC, &r)));
    assert_true(isnan(value(METRIC_PRECISION, &r)));
    assert_true(isnan(value(METRIC_NORMALIZED_LOG_LOSS, &r)));
    assert_int_equal(metric_compute(METRIC_RMSE, &r, &a, &v, &err), ERR_UNSUPPORTED);
    r.n = 0;
    assert_int_equal(metric_compute(METRIC_ROC_AUC, &r, &a, &v, &err), ERR_EMPTY);
    assert_true(v == 5);
    arena_fini(&a);
}

static void table_is_whole(void **state)
{
    (void)state;
    for (int m = 0; m < METRIC_N; m++) {
        enum metric_id back;
        assert_string_equal(metric_info((enum metric_id)m)->name, METRIC_NAMES[m]);
        assert_true(metric_from_name(str_c(METRIC_NAMES[m]), &back));
        assert_int_equal(back, m);
    }
    close_to(metric_goodness(METRIC_CALIBRATION, -0.3), -0.3, 0);
    close_to(metric_goodness(METRIC_BRIER, 0.3), -0.3, 0);
}

/* The chosen threshold is at least as good as every score. */
static void best_threshold(void **state)
{
    static const enum metric_id BY[] = {METRIC_F1, METRIC_ACCURACY, METRIC_COST, METRIC_RECALL};
    struct arena a;
    (void)state;
    arena_init(&a, 1 << 20);
    for (size_t k = 0; k < ARRAY_LEN(BY); k++) {
        struct metric_rows r = rows12();
        struct err err = ERR_INIT;
        double t, best;
        ASSERT_OK(metric_best_threshold(BY[k], &r, &a, &t, &best, &err), &err);
        r.threshold = t;
        close_to(value(BY[k], &r), best, 1e-14);
        for (size_t i = 0; i < 12; i++) {
            r.threshold = SCORE[i];
            assert_true(metric_goodness(BY[k], value(BY[k], &r)) <=
                        metric_goodness(BY[k], best) + 1e-12);
        }
    }
    arena_fini(&a);
}

/* ---- windows ---- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

#define N_ROWS 20000
static double s_score[N_ROWS], s_label[N_ROWS];

static void make_rows(uint64_t seed, double shift)
{
    struct rng rng;
    rng_init(&rng, seed);
    for (size_t i = 0; i < N_ROWS; i++) {
        double z = 1.2 * rng_normal(&rng) - 2;
        s_score[i] = sigmoid(z);
        s_label[i] = rng_f64(&rng) < sigmoid(z + shift) ? 1 : 0;
    }
}

static void window_matches_rows(void **state)
{
    static struct perf_window w, half, back;
    struct arena a;
    struct err err = ERR_INIT;
    (void)state;
    make_rows(3, 0);
    perf_init(&w);
    perf_init(&half);
    for (size_t i = 0; i < N_ROWS; i++) {
        struct perf_window *to = i % 3 ? &w : &half;
        perf_add_score(to, s_score[i]);
        perf_add_label(to, TASK_BINARY, s_score[i], s_score[i] >= 0.3, s_label[i]);
    }
    perf_merge(&w, &half);
    struct metric_rows r = {
        .task = TASK_BINARY, .n = N_ROWS, .score = s_score, .label = s_label, .threshold = 0.3};
    close_to(perf_metric(&w, TASK_BINARY, METRIC_ROC_AUC), value(METRIC_ROC_AUC, &r), 1e-4);
    close_to(perf_metric(&w, TASK_BINARY, METRIC_PR_AUC), value(METRIC_PR_AUC, &r), 5e-3);
    close_to(perf_metric(&w, TASK_BINARY, METRIC_ECE), value(METRIC_ECE, &r), 2e-3);
    static const enum metric_id EXACT[] = {METRIC_LOG_LOSS, METRIC_NORMALIZED_LOG_LOSS,
                                           METRIC_BRIER,    METRIC_CALIBRATION,
                                           METRIC_F1,       METRIC_PRECISION};
    for (size_t i = 0; i < ARRAY_LEN(EXACT); i++)
        close_to(perf_metric(&w, TASK_BINARY, EXACT[i]), value(EXACT[i], &r), 1e-10);
    arena_init(&a, 1 << 24);
    ASSERT_OK(perf_read(perf_json(&w, &a), &back, &err), &err);
    close_to(perf_metric(&back, TASK_BINARY, METRIC_ROC_AUC),
             perf_metric(&w, TASK_BINARY, METRIC_ROC_AUC), 0);
    close_to(perf_metric(&back, TASK_BINARY, METRIC_LOG_LOSS),
             perf_metric(&w, TASK_BINARY, METRIC_LOG_LOSS), 0);
    double se = perf_metric_se(&w, TASK_BINARY, METRIC_ROC_AUC);
    assert_true(se > 0.003 && se < 0.012);
    arena_fini(&a);
}

static void bins_cover_all_scores(void **state)
{
    size_t last = 0;
    (void)state;
    assert_int_equal(perf_bin(0), 0);
    assert_int_equal(perf_bin(1), PERF_BINS - 1);
    assert_int_equal(perf_bin(-3), 0);
    for (double z = -15; z < 15; z += 0.001) {
        size_t b = perf_bin(sigmoid(z));
        assert_true(b >= last && b < PERF_BINS);
        last = b;
    }
    for (size_t b = 1; b < PERF_BINS - 1; b++)
        assert_int_equal(perf_bin(perf_bin_score(b)), b);
}

/* ---- calibration ---- */

/* sklearn.isotonic.IsotonicRegression gives 0 0 1/3 1/3 1/3 .5 .5 1 1 1; here neighbours of equal share are one block. */
static void isotonic_blocks(void **state)
{
    static const double X[] = {.05, .1, .15, .2, .25, .3, .35, .4, .45, .5},
                        Y[] = {0, 0, 1, 0, 0, 1, 0, 1, 1, 1};
    static const double WANT[] = {0, 1.0 / 3, 0.5, 1};
    struct arena a;
    struct calibration c, back;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&a, 1 << 22);
    ASSERT_OK(calibration_fit(X, Y, 10, &a, &c, &err), &err);
    assert_int_equal(c.n_points, 4);
    for (size_t i = 0; i < 4; i++)
        close_to(c.points[i].share, WANT[i], 1e-15);
    ASSERT_OK(calibration_read(calibration_json(&c, &a), &a, &back, &err), &err);
    close_to(calibration_apply(&back, 0.2), 1.0 / 3, 1e-12);
    close_to(calibration_apply(&back, 0.9), 1, 0);
    close_to(calibration_apply(&back, 0), 0, 0);
    arena_fini(&a);
}

/* Without drift the estimate matches what labels say; when the concept moves it does not, and that is the signal. */
static void cbpe(void **state)
{
    static struct perf_window w;
    static const enum metric_id BY[] = {METRIC_ROC_AUC, METRIC_ACCURACY, METRIC_F1, METRIC_BRIER,
                                        METRIC_LOG_LOSS};
    struct arena a;
    struct calibration c;
    struct err err = ERR_INIT;
    (void)state;
    arena_init(&a, 1 << 24);
    make_rows(4, 0);
    ASSERT_OK(calibration_fit(s_score, s_label, N_ROWS, &a, &c, &err), &err);
    assert_true(c.ece < 0.01);
    for (int drift = 0; drift < 2; drift++) {
        make_rows(5, drift ? 1.0 : 0);
        perf_init(&w);
        for (size_t i = 0; i < N_ROWS; i++) {
            perf_add_score(&w, s_score[i]);
            perf_add_label(&w, TASK_BINARY, s_score[i], s_score[i] >= 0.3, s_label[i]);
        }
        for (size_t i = 0; i < ARRAY_LEN(BY); i++) {
            double gap =
                fabs(calibration_cbpe(&c, &w, BY[i], 0.3) - perf_metric(&w, TASK_BINARY, BY[i]));
            if (!drift)
                assert_true(gap < 0.015);
        }
        if (drift)
            assert_true(fabs(calibration_cbpe(&c, &w, METRIC_LOG_LOSS, 0.3) -
                             perf_metric(&w, TASK_BINARY, METRIC_LOG_LOSS)) > 0.05);
    }
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_matches_sklearn),
        cmocka_unit_test(multiclass_matches_sklearn),
        cmocka_unit_test(regression_matches_sklearn),
        cmocka_unit_test(undefined_and_unsupported),
        cmocka_unit_test(table_is_whole),
        cmocka_unit_test(best_threshold),
        cmocka_unit_test(window_matches_rows),
        cmocka_unit_test(bins_cover_all_scores),
        cmocka_unit_test(isotonic_blocks),
        cmocka_unit_test(cbpe),
    };
    return RUN_TESTS(tests);
}
