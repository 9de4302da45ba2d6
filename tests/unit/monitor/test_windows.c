/* Windows, verdicts over them, evidence, objectives, sources: counts that add, verdicts that follow from counts. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "monitor/evidence.h"
#include "monitor/slo.h"
#include "monitor/source_state.h"
#include "monitor/verdict.h"
#include "monitor/window.h"

#define ARENA ((size_t)256 << 20)
#define N_REF 20000

/* A baseline of two features and the score, from 20 days of 1,000 rows. */
static void baseline_make(struct arena *a, struct baseline *b, struct rng *rng)
{
    double *x = ARENA_NEW_N(a, double, N_REF), *y = ARENA_NEW_N(a, double, N_REF),
           *s = ARENA_NEW_N(a, double, N_REF);
    int64_t *t = ARENA_NEW_N(a, int64_t, N_REF);
    struct err err = ERR_INIT;
    struct hist_input in = {
        .kind = HIST_NUMBER, .values = {.type = VAL_FLOAT, .n = N_REF}, .time_us = t};
    struct json *metrics = json_obj(a), *auc = json_obj(a);

    for (int i = 0; i < N_REF; i++) {
        x[i] = rng_normal(rng);
        y[i] = rng_f64(rng);
        s[i] = rng_f64(rng);
        t[i] = i * US_PER_DAY / 1000;
    }
    *b = (struct baseline){.task = TASK_BINARY,
                           .n_rows = N_REF,
                           .n_features = 2,
                           .threshold = 0.5,
                           .reference = "train"};
    b->features = ARENA_NEW_N(a, struct hist_reference, 2);
    in.name = "important";
    in.importance = 0.9;
    in.values.u.f = x;
    ASSERT_OK(hist_reference_build(&in, a, &b->features[0], &err), &err);
    in.name = "minor";
    in.importance = 0.1;
    in.values.u.f = y;
    ASSERT_OK(hist_reference_build(&in, a, &b->features[1], &err), &err);
    in.name = "score";
    in.importance = 1;
    in.values.u.f = s;
    ASSERT_OK(hist_reference_build(&in, a, &b->score, &err), &err);
    json_set(a, auc, "value", json_num(a, 0.75));
    b->metrics = json_set(a, metrics, "roc_auc", auc);
}

static void fill(struct window *w, const struct baseline *b, struct rng *rng, int n, double shift)
{
    size_t second = window_first_cell(b, 1), score = window_first_cell(b, 2);

    for (int i = 0; i < n; i++) {
        double s = rng_f64(rng);
        w->n++;
        w->cells[hist_cell_f64(&b->features[0].edges, rng_normal(rng) + shift)]++;
        w->cells[second + hist_cell_f64(&b->features[1].edges, rng_f64(rng))]++;
        w->cells[score + hist_cell_f64(&b->score.edges, s)]++;
        window_latency_add(w, 100 + (int64_t)rng_below(rng, 900));
        perf_add_score(&w->perf, s);
    }
}

static void test_save_load_add(void **state)
{
    struct arena a;
    struct baseline b;
    struct rng rng;
    struct err err = ERR_INIT;
    struct window *whole, *one, *two, *back;
    struct json *x, *y;

    (void)state;
    arena_init(&a, ARENA);
    rng_init(&rng, 1);
    baseline_make(&a, &b, &rng);
    whole = window_new(&b, 3, 0, US_PER_DAY);
    one = window_new(&b, 3, 0, US_PER_DAY);
    two = window_new(&b, 3, 0, US_PER_DAY);
    back = window_new(&b, 3, 0, US_PER_DAY);
    rng_init(&rng, 2);
    fill(whole, &b, &rng, 700, 0);
    rng_init(&rng, 2);
    fill(one, &b, &rng, 300, 0);
    fill(two, &b, &rng, 400, 0);
    window_add(one, two);
    assert_memory_equal(one->cells, whole->cells, whole->n_cells * sizeof(*whole->cells));
    assert_memory_equal(one->latency, whole->latency, sizeof(whole->latency));
    x = window_save(whole, &a);
    ASSERT_OK(window_load(back, x, &err), &err);
    y = window_save(back, &a);
    assert_true(json_eq(x, y));
    window_free(back);
    back = window_new(NULL, 3, 0, US_PER_DAY);
    ASSERT_OK(window_load(back, x, &err), &err); /* without a baseline at hand: the sums alone */
    assert_true(back->n == whole->n && back->n_labelled == whole->n_labelled);
    assert_true(window_latency_quantile(whole, 0.99) >= 980 &&
                window_latency_quantile(whole, 0.99) <= 1100);
    assert_int_equal(window_latency_above(whole, 2000), 0);
    window_free(whole);
    window_free(one);
    window_free(two);
    window_free(back);
    arena_fini(&a);
}

static void test_drift_verdicts(void **state)
{
    struct arena a;
    struct baseline b;
    struct rng rng;
    struct err err = ERR_INIT;
    struct monitor_spec spec = MONITOR_DEFAULTS;
    struct drift_outcome o;
    struct window *w;
    int n_alarms = 0;

    (void)state;
    arena_init(&a, ARENA);
    rng_init(&rng, 5);
    baseline_make(&a, &b, &rng);
    for (int day = 0; day < 30;
         day++) { /* a month without drift: one alarm is promised, five would be a bug */
        w = window_new(&b, 1, day * US_PER_DAY, (day + 1) * US_PER_DAY);
        fill(w, &b, &rng, 1000, 0);
        ASSERT_OK(window_drift(w, &b, &spec, &a, &o, &err), &err);
        n_alarms += o.verdict == DRIFT_YES ? 1 : 0;
        window_free(w);
    }
    assert_true(n_alarms <= 5);
    w = window_new(&b, 1, 0, US_PER_DAY);
    fill(w, &b, &rng, 1000, 0.8);
    ASSERT_OK(window_drift(w, &b, &spec, &a, &o, &err), &err);
    assert_int_equal(o.verdict, DRIFT_YES);
    assert_string_equal(o.worst, "important");
    assert_false(o.is_score);
    assert_true(str_is(json_get_str(json_at(json_get(o.doc, "features"), 0), "name"), "important"));
    window_free(w);
    w = window_new(&b, 1, 0, US_PER_DAY);
    fill(w, &b, &rng, 10, 3);
    ASSERT_OK(window_drift(w, &b, &spec, &a, &o, &err), &err);
    assert_int_equal(o.verdict,
                     DRIFT_OPEN); /* ten rows: no data is never a pass and never a failure */
    window_free(w);
    arena_fini(&a);
}

static void label(struct window *w, struct rng *rng, int n, double informed, double bias)
{
    for (int i = 0; i < n; i++) {
        double p = rng_f64(rng), y = rng_f64(rng) < informed * p + (1 - informed) * 0.5 ? 1 : 0;
        double s = p + bias > 1 ? 1 : p + bias;
        w->n++;
        w->n_labelled++;
        perf_add_score(&w->perf, s);
        perf_add_label(&w->perf, TASK_BINARY, s, s >= 0.5, y);
    }
}

static void test_performance_verdicts(void **state)
{
    struct arena a;
    struct rng rng;
    struct perf_rule drop = {
        .metric = METRIC_ROC_AUC, .kind = PERF_RULE_DROP, .value = 0.05, .k = 1, .r = 1};
    struct perf_rule calibration = {
        .metric = METRIC_CALIBRATION, .kind = PERF_RULE_AT_MOST, .value = 0.05, .k = 1, .r = 1};
    struct perf_outcome o;
    struct window *w = window_new(NULL, 1, 0, US_PER_DAY);

    (void)state;
    arena_init(&a, ARENA);
    rng_init(&rng, 7);
    label(w, &rng, 4000, 1, 0);
    window_perf(w, &drop, TASK_BINARY, 0.83, NAN, &a, &o);
    assert_int_equal(o.verdict, VERDICT_PASS);
    window_perf(w, &calibration, TASK_BINARY, NAN, NAN, &a, &o);
    assert_int_equal(o.verdict, VERDICT_PASS);
    window_free(w);
    w = window_new(NULL, 1, 0, US_PER_DAY);
    label(w, &rng, 4000, 0.3, 0);
    window_perf(w, &drop, TASK_BINARY, 0.83, NAN, &a, &o);
    assert_int_equal(o.verdict, VERDICT_FAIL);
    window_free(w);
    w = window_new(NULL, 1, 0, US_PER_DAY);
    label(w, &rng, 4000, 1, 0.15);
    window_perf(w, &calibration, TASK_BINARY, NAN, NAN, &a, &o);
    assert_int_equal(o.verdict, VERDICT_FAIL);
    window_free(w);
    w = window_new(NULL, 1, 0, US_PER_DAY);
    window_perf(w, &drop, TASK_BINARY, 0.83, NAN, &a, &o);
    assert_int_equal(o.verdict, VERDICT_OPEN);
    window_free(w);
    arena_fini(&a);
}

static void test_persistence(void **state)
{
    const enum verdict v[] = {VERDICT_FAIL, VERDICT_PASS, VERDICT_OPEN, VERDICT_FAIL};

    (void)state;
    assert_true(perf_persists(v, 4, 1, 1));
    assert_false(perf_persists(v, 4, 2, 2));
    assert_true(perf_persists(v, 4, 2, 3)); /* open windows do not count */
    assert_false(perf_persists(v, 0, 1, 1));
}

/* ---- evidence ---- */
static enum err_code keep(void *arg, int step, int slot, const struct json *doc, struct err *err)
{
    struct evidence *to = arg;

    (void)step;
    (void)slot;
    return evidence_load(to, doc, err);
}

static void test_evidence_survives(void **state)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct evidence *e = evidence_new(), *back = evidence_new();
    const double share[EV_STEPS_MAX] = {0, 0.25};
    struct rng rng;

    (void)state;
    arena_init(&a, ARENA);
    rng_init(&rng, 4);
    for (int i = 0; i < 5000; i++) {
        struct ev_place at = {.step = i % 2, .bucket = (uint32_t)rng_below(&rng, 10001)};
        struct ev_request q = {.at = at,
                               .arm = i % 3 ? ARM_INCUMBENT : ARM_CANDIDATE,
                               .is_error = i % 50 == 0,
                               .has_latency = true,
                               .is_slow = i % 40 == 0,
                               .score = rng_f64(&rng)};
        struct ev_scored p = {.at = at,
                              .incumbent = rng_f64(&rng),
                              .candidate = rng_f64(&rng),
                              .is_flip = i % 7 == 0};
        ASSERT_OK(evidence_add(e, &q, &err), &err);
        ASSERT_OK(evidence_add_pair(e, &p, &err), &err);
        if (i % 2)
            ASSERT_OK(evidence_add_label(e, &p, i % 3 == 0, true, &err), &err);
    }
    ASSERT_OK(evidence_save(e, &a, keep, back, &err), &err);
    evidence_saved(e);
    for (int m = 0; m < EV_MEASURE_N; m++) {
        struct stratum *x, *y;
        size_t nx, ny;
        ASSERT_OK(evidence_strata(e, (enum ev_measure)m, 1, share, &a, &x, &nx, &err), &err);
        ASSERT_OK(evidence_strata(back, (enum ev_measure)m, 1, share, &a, &y, &ny, &err), &err);
        assert_int_equal(nx, ny);
        assert_memory_equal(x, y, nx * sizeof(*x));
    }
    assert_true(evidence_base_rate(e) == evidence_base_rate(back));
    evidence_free(e);
    evidence_free(back);
    arena_fini(&a);
}

static void test_bad_bucket(void **state)
{
    struct evidence *e = evidence_new();
    struct err err = ERR_INIT;
    struct ev_request q = {.at = {.bucket = 10001}};

    (void)state;
    assert_int_equal(evidence_add(e, &q, &err), ERR_CORRUPT);
    evidence_free(e);
}

/* ---- objectives and sources ---- */
struct burn {
    uint64_t good, bad;
};

static struct slo_count count_burn(void *arg, int64_t from, int64_t to)
{
    const struct burn *b = arg;
    uint64_t hours = (uint64_t)((to - from) / US_PER_MIN);

    return (struct slo_count){b->good * hours / 60, b->bad * hours / 60};
}

static void test_slo(void **state)
{
    struct arena a;
    struct slo_spec s = {.name = "availability", .target = 0.999, .window_us = 30 * US_PER_DAY};
    struct json *doc;
    struct burn calm = {100000, 50}, fast = {100000, 2000}, rare = {5, 5};

    (void)state;
    arena_init(&a, ARENA);
    assert_int_equal(slo_judge(&s, count_burn, &calm, US_PER_DAY * 40, &a, &doc), SLO_QUIET);
    assert_int_equal(slo_judge(&s, count_burn, &fast, US_PER_DAY * 40, &a, &doc), SLO_PAGE);
    assert_true(json_get_f64(doc, "budget_left", 1) < 0);
    rare.bad = 0; /* no events at all */
    rare.good = 0;
    assert_int_equal(slo_judge(&s, count_burn, &rare, US_PER_DAY * 40, &a, &doc), SLO_QUIET);
    arena_fini(&a);
}

static void test_sources(void **state)
{
    struct source_facts f = {.name = "flights",
                             .newest_us = 10 * US_PER_HOUR,
                             .freshness_us = 36 * US_PER_HOUR,
                             .blocked_us = AT_US_NONE};
    int64_t age;

    (void)state;
    assert_int_equal(source_judge(&f, 40 * US_PER_HOUR, &age), SOURCE_FRESH);
    assert_int_equal(age, 30 * US_PER_HOUR);
    assert_int_equal(source_judge(&f, 46 * US_PER_HOUR, &age),
                     SOURCE_FRESH); /* exactly the limit */
    assert_int_equal(source_judge(&f, 46 * US_PER_HOUR + 1, &age), SOURCE_STALE);
    f.blocked_us = 5;
    assert_int_equal(source_judge(&f, 40 * US_PER_HOUR, &age), SOURCE_BLOCKED);
    f = (struct source_facts){.name = "x", .newest_us = AT_US_NONE, .blocked_us = AT_US_NONE};
    assert_int_equal(source_judge(&f, 1, &age), SOURCE_UNKNOWN);
    assert_int_equal(age, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_save_load_add),
                                       cmocka_unit_test(test_drift_verdicts),
                                       cmocka_unit_test(test_performance_verdicts),
                                       cmocka_unit_test(test_persistence),
                                       cmocka_unit_test(test_evidence_survives),
                                       cmocka_unit_test(test_bad_bucket),
                                       cmocka_unit_test(test_slo),
                                       cmocka_unit_test(test_sources)};

    return RUN_TESTS(tests);
}
