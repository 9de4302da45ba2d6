/* Seeded simulations of the drift monitor of a whole model: does it keep the declared alarm rate over years of windows, with independent
 * and with autocorrelated rows and day effects, and does it find real changes? A promise fails outside its 99.9 % binomial
 * bound. `sim_drift soak` runs the larger tier. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "stats/drift.h"
#include "stats/special.h"

static unsigned s_scale = 1;

#define N_FEATURES 6 /* the last is the score */

struct process {
    double phi;    /* autocorrelation of successive rows; 0: independent */
    double day_sd; /* spread of a window's own shift */
};

struct world {
    struct rng rng;
    struct process p;
    double ar, day;
    size_t rows_per_window, t;
};

static void world_init(struct world *w, const struct process *p, size_t rows_per_window,
                       uint64_t seed)
{
    *w = (struct world){.p = *p, .rows_per_window = rows_per_window};
    rng_init(&w->rng, seed);
    w->ar = rng_normal(&w->rng);
}

/* One row: normal, lognormal, a count, a category of 20, a number with missing values, and a score made of them. */
static void draw(struct world *w, double x[N_FEATURES])
{
    if (w->t++ % w->rows_per_window == 0)
        w->day = w->p.day_sd * rng_normal(&w->rng);
    w->ar = w->p.phi * w->ar + sqrt(1 - w->p.phi * w->p.phi) * rng_normal(&w->rng);
    x[0] = (w->p.phi > 0 ? w->ar : rng_normal(&w->rng)) + w->day;
    x[1] = exp(0.7 * rng_normal(&w->rng) + 0.5 * w->day);
    x[2] = floor(fabs(2 * rng_normal(&w->rng)));
    x[3] = floor(20 * rng_f64(&w->rng) * rng_f64(&w->rng));
    x[4] = rng_f64(&w->rng) < 0.02 ? NAN : rng_normal(&w->rng);
    x[5] = 1 / (1 + exp(2 - 0.6 * x[0] - 0.1 * x[2] - 0.5 * rng_normal(&w->rng)));
}

/* A step back is no part of the window grid: windows start on the reference's marks. */
struct model {
    struct arena arena;
    struct hist_reference ref[N_FEATURES];
    double alpha[N_FEATURES];
};

static void model_init(struct model *m, struct world *w, size_t n_windows, int64_t window_us,
                       double rate_per_us)
{
    static const double IMPORTANCE[] = {0.5, 0.2, 0.15, 0.15, 0};
    size_t n = n_windows * w->rows_per_window;
    double *x = malloc(n * N_FEATURES * sizeof(*x)), row[N_FEATURES];
    int64_t *t = malloc(n * sizeof(*t));
    assert_true(x && t);
    arena_init(&m->arena, (size_t)1 << 30);
    for (size_t i = 0; i < n; i++) {
        draw(w, row);
        for (size_t f = 0; f < N_FEATURES; f++)
            x[f * n + i] = row[f];
        t[i] = (int64_t)(i / w->rows_per_window) * window_us +
               (int64_t)(i % w->rows_per_window) * (window_us / (int64_t)w->rows_per_window);
    }
    for (size_t f = 0; f < N_FEATURES; f++) {
        struct err err = ERR_INIT;
        struct hist_input in = {
            .name = "f",
            .kind = f == 3 ? HIST_CATEGORY : HIST_NUMBER,
            .time_us = t,
            .values = {.name = "f", .type = VAL_FLOAT, .n = n, .u.f = &x[f * n]}};
        ASSERT_OK(hist_reference_build(&in, &m->arena, &m->ref[f], &err), &err);
    }
    drift_budget(rate_per_us * (double)window_us, IMPORTANCE, N_FEATURES - 1, true, m->alpha,
                 &m->alpha[N_FEATURES - 1]);
    free(x);
    free(t);
}

/* Does any feature or the score raise an alarm in the next window? */
static bool window_alarms(struct model *m, struct world *w, int64_t window_us, double shift,
                          double floor)
{
    static uint64_t cur[N_FEATURES][HIST_CELLS_MAX];
    double row[N_FEATURES];
    bool is_alarm = false;
    memset(cur, 0, sizeof(cur));
    for (size_t i = 0; i < w->rows_per_window; i++) {
        draw(w, row);
        row[0] += shift;
        for (size_t f = 0; f < N_FEATURES; f++)
            cur[f][hist_cell_f64(&m->ref[f].edges, row[f])]++;
    }
    for (size_t f = 0; f < N_FEATURES; f++) {
        struct drift_options opt = {.alpha = m->alpha[f],
                                    .effect_floor = floor,
                                    .n_min = DRIFT_N_MIN_DEFAULT,
                                    .window_us = window_us};
        struct drift_result r;
        drift_judge(&m->ref[f], cur[f], &opt, &r);
        assert_int_not_equal(r.verdict, DRIFT_OPEN);
        is_alarm = is_alarm || r.verdict == DRIFT_YES;
    }
    return is_alarm;
}

struct plan {
    const char *name;
    struct process process;
    size_t rows;        /* of a window */
    size_t ref_windows; /* of the reference */
    int64_t window_us;
    const char *rate;
    unsigned models, windows;
    double shift; /* sd of feature 0 */
};

static unsigned run_plan(const struct plan *p, double floor)
{
    unsigned alarms = 0;
    struct err err = ERR_INIT;
    double rate;
    ASSERT_OK(drift_alarm_rate_parse(str_c(p->rate), &rate, &err), &err);
    for (unsigned k = 0; k < p->models; k++) {
        struct world w;
        struct model m;
        world_init(&w, &p->process, p->rows, 900 + k);
        model_init(&m, &w, p->ref_windows, p->window_us, rate);
        for (unsigned i = 0; i < p->windows; i++)
            alarms += window_alarms(&m, &w, p->window_us, p->shift, floor);
        arena_fini(&m.arena);
    }
    return alarms;
}

/* Without any effect floor: the rate must hold by the null alone. */
static void assert_rate(const struct plan *p)
{
    struct err err = ERR_INIT;
    double rate;
    ASSERT_OK(drift_alarm_rate_parse(str_c(p->rate), &rate, &err), &err);
    unsigned n = p->models * p->windows, k = run_plan(p, -1e9);
    double promised = rate * (double)p->window_us;
    print_message("%s: %u alarms in %u windows, promised at most %.4g a window\n", p->name, k, n,
                  promised);
    if (stats_binomial_sf(k, n, promised) < 0.001)
        fail_msg("%s: %u alarms in %u windows break the promise of %g", p->name, k, n, promised);
}

static void daily_windows_keep_the_rate(void **state)
{
    static const struct plan PLANS[] = {
        {"independent days", {0, 0}, 400, 60, US_PER_DAY, "1 per 30d", 10, 73, 0},
        {"days with their own shift", {0, 0.3}, 400, 60, US_PER_DAY, "1 per 30d", 10, 73, 0},
        {"autocorrelated days", {0.98, 0}, 400, 60, US_PER_DAY, "1 per 30d", 10, 73, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(PLANS); i++) {
        struct plan p = PLANS[i];
        p.windows *= s_scale;
        assert_rate(&p);
    }
}

static void hourly_windows_keep_the_rate(void **state)
{
    static const struct plan PLANS[] = {
        {"independent hours", {0, 0}, 120, 400, US_PER_HOUR, "1 per 30d", 10, 220, 0},
        {"autocorrelated hours", {0.95, 0.1}, 120, 400, US_PER_HOUR, "1 per 30d", 10, 220, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(PLANS); i++) {
        struct plan p = PLANS[i];
        p.windows *= s_scale;
        assert_rate(&p);
    }
}

static void real_changes_are_found(void **state)
{
    static const struct plan PLANS[] = {
        {"half a standard deviation, 400 rows a day",
         {0, 0},
         400,
         60,
         US_PER_DAY,
         "1 per 30d",
         5,
         20,
         0.5},
        {"two standard deviations among day effects",
         {0, 0.3},
         400,
         60,
         US_PER_DAY,
         "1 per 30d",
         5,
         20,
         2},
        {"a changed unit in autocorrelated hours",
         {0.95, 0.1},
         120,
         400,
         US_PER_HOUR,
         "1 per 30d",
         5,
         20,
         6},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(PLANS); i++) {
        unsigned n = PLANS[i].models * PLANS[i].windows,
                 k = run_plan(&PLANS[i], DRIFT_EFFECT_FLOOR_DEFAULT);
        print_message("%s: %u of %u windows\n", PLANS[i].name, k, n);
        assert_true(k >= 0.9 * n);
    }
}

/* One feature at 1 % false alarms, reference of 5,000 rows: power of the statistic that decides, floor off. */
static void power_of_one_test(void **state)
{
    static const struct {
        size_t rows;
        double shift, scale, at_least;
    } CASES[] = {
        {200, 0.25, 1, 0.65}, {500, 0.25, 1, 0.96}, {200, 0, 1.25, 0.33}, {500, 0, 1.25, 0.82}};
    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(CASES); c++) {
        unsigned found = 0, n = 0;
        for (uint64_t k = 0; k < 10; k++) {
            static double x[5000];
            struct arena a;
            struct rng rng;
            struct hist_reference ref;
            struct err err = ERR_INIT;
            arena_init(&a, 1 << 26);
            rng_init(&rng, 40 + k);
            for (size_t i = 0; i < 5000; i++)
                x[i] = rng_normal(&rng);
            struct hist_input in = {
                .name = "x",
                .kind = HIST_NUMBER,
                .values = {.name = "x", .type = VAL_FLOAT, .n = 5000, .u.f = x}};
            ASSERT_OK(hist_reference_build(&in, &a, &ref, &err), &err);
            for (unsigned w = 0; w < 60; w++, n++) {
                uint64_t cur[HIST_CELLS_MAX] = {0};
                struct drift_options opt = {
                    .alpha = 0.01 / 0.75, .effect_floor = -1e9, .n_min = 50};
                struct drift_result r;
                for (size_t i = 0; i < CASES[c].rows; i++)
                    cur[hist_cell_f64(&ref.edges,
                                      CASES[c].scale * rng_normal(&rng) + CASES[c].shift)]++;
                drift_judge(&ref, cur, &opt, &r);
                found += r.verdict == DRIFT_YES;
            }
            arena_fini(&a);
        }
        print_message("shift %.2f, scale %.2f, %zu rows: %.3f found\n", CASES[c].shift,
                      CASES[c].scale, CASES[c].rows, (double)found / n);
        assert_true(found >= CASES[c].at_least * n);
    }
}

/* A category that goes from 5 to 10 % is found in nine of ten windows of 1,000 rows. */
static void doubled_category(void **state)
{
    unsigned found = 0;
    (void)state;
    for (uint64_t k = 0; k < 5; k++) {
        static double x[20000];
        struct arena a;
        struct rng rng;
        struct hist_reference ref;
        struct err err = ERR_INIT;
        arena_init(&a, 1 << 26);
        rng_init(&rng, 60 + k);
        for (size_t i = 0; i < ARRAY_LEN(x); i++)
            x[i] = (double)rng_below(&rng, 20);
        struct hist_input in = {
            .name = "c",
            .kind = HIST_CATEGORY,
            .values = {.name = "c", .type = VAL_FLOAT, .n = ARRAY_LEN(x), .u.f = x}};
        ASSERT_OK(hist_reference_build(&in, &a, &ref, &err), &err);
        for (unsigned w = 0; w < 40; w++) {
            uint64_t cur[HIST_CELLS_MAX] = {0};
            struct drift_options opt = {.alpha = 0.01 / 0.75, .effect_floor = -1e9, .n_min = 50};
            struct drift_result r;
            for (size_t i = 0; i < 1000; i++)
                cur[hist_cell_f64(&ref.edges,
                                  rng_f64(&rng) < 1.0 / 19 ? 0 : (double)rng_below(&rng, 20))]++;
            drift_judge(&ref, cur, &opt, &r);
            found += r.verdict == DRIFT_YES;
        }
        arena_fini(&a);
    }
    print_message("category doubled: %u of 200\n", found);
    assert_true(found >= 160);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(daily_windows_keep_the_rate),
        cmocka_unit_test(hourly_windows_keep_the_rate),
        cmocka_unit_test(real_changes_are_found),
        cmocka_unit_test(power_of_one_test),
        cmocka_unit_test(doubled_category),
    };
    if (argc > 1 && strcmp(argv[1], "soak") == 0)
        s_scale = 20;
    return RUN_TESTS(tests);
}
