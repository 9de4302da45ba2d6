/* What drift monitoring costs: one value into its cell, one verdict with 512 reference chunks, and the alarms and detections of
 * fixed limits against ours on windows without and with drift (the setting of the measured peers: reference of 5,000 normal
 * rows; shift of a quarter standard deviation); and the interval of an AUC difference. One JSON object a line. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "stats/drift.h"
#include "stats/interval.h"

#define N_VALUES 2000000
#define N_TRIALS 1000

static struct err err;

/* CPU time: steady on a machine that does other things too. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void must(enum err_code rc)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

static struct hist_reference reference(size_t n, uint64_t seed, struct arena *a)
{
    struct hist_reference r;
    struct rng rng;
    double *x = ARENA_NEW_N(a, double, n);
    rng_init(&rng, seed);
    for (size_t i = 0; x && i < n; i++)
        x[i] = rng_normal(&rng);
    struct hist_input in = {.name = "x",
                            .kind = HIST_NUMBER,
                            .values = {.name = "x", .type = VAL_FLOAT, .n = n, .u.f = x}};
    must(hist_reference_build(&in, a, &r, &err));
    return r;
}

static void cells(struct arena *a)
{
    struct hist_reference r = reference(50000, 1, a);
    struct rng rng;
    uint64_t cur[HIST_CELLS_MAX] = {0};
    double *x = ARENA_NEW_N(a, double, N_VALUES);
    rng_init(&rng, 2);
    for (size_t i = 0; x && i < N_VALUES; i++)
        x[i] = rng_normal(&rng);
    int64_t from = cpu_ns();
    for (size_t i = 0; i < N_VALUES; i++)
        cur[hist_cell_f64(&r.edges, x[i])]++;
    double ns = (double)(cpu_ns() - from) / N_VALUES;
    struct drift_options opt = {.alpha = 1e-4, .effect_floor = 0.1, .n_min = 50};
    struct drift_result d;
    for (size_t i = 0; i < HIST_CELLS_MAX; i++)
        cur[i] /= N_VALUES / 2000; /* a window of 2,000 */
    from = cpu_ns();
    for (int i = 0; i < 100; i++)
        drift_judge(&r, cur, &opt, &d);
    printf("{\"bench\":\"drift_cost\",\"ns_per_value\":%.1f,\"us_per_verdict\":%.0f,\"cells\":%zu,"
           "\"chunks\":%zu}\n",
           ns, (double)(cpu_ns() - from) / 1e5, r.edges.n_cells, r.n_chunks);
}

/* Shares of windows of n rows that a fixed PSI limit of 0.1 and our verdict at 1 % flag. */
static void alarms(size_t n, double shift)
{
    unsigned fixed = 0, ours = 0;
    for (unsigned t = 0; t < N_TRIALS; t++) {
        struct arena a;
        struct rng rng;
        uint64_t cur[HIST_CELLS_MAX] = {0};
        struct drift_options opt = {.alpha = 0.01, .effect_floor = -1, .n_min = 50};
        struct drift_result d;
        arena_init(&a, 1 << 24);
        struct hist_reference r = reference(5000, 100 + t % 20, &a);
        rng_init(&rng, 10000 + t);
        for (size_t i = 0; i < n; i++)
            cur[hist_cell_f64(&r.edges, rng_normal(&rng) + shift)]++;
        drift_judge(&r, cur, &opt, &d);
        fixed += d.shown.psi >= 0.1;
        ours += d.verdict == DRIFT_YES;
        arena_fini(&a);
    }
    printf("{\"bench\":\"drift_alarms\",\"rows\":%zu,\"shift\":%.2f,\"psi_0_1\":%.3f,\"pawl_1_"
           "percent\":%.3f}\n",
           n, shift, (double)fixed / N_TRIALS, (double)ours / N_TRIALS);
}

static void interval_cost(struct arena *a)
{
    size_t n = 100000;
    struct rng rng;
    double *label = ARENA_NEW_N(a, double, n), *x = ARENA_NEW_N(a, double, n),
           *y = ARENA_NEW_N(a, double, n);
    uint32_t *day = ARENA_NEW_N(a, uint32_t, n);
    rng_init(&rng, 3);
    for (size_t i = 0; day && i < n; i++) {
        double z = rng_normal(&rng);
        label[i] = rng_f64(&rng) < 1 / (1 + exp(1 - z));
        x[i] = 1 / (1 + exp(-z - 0.5 * rng_normal(&rng)));
        y[i] = 1 / (1 + exp(-z - 0.6 * rng_normal(&rng)));
        day[i] = (uint32_t)(i / 1667);
    }
    struct interval_input in = {
        .metric = METRIC_ROC_AUC, .score_b = y, .seed = 1, .confidence = 0.95, .n_by = 1};
    in.a = (struct metric_rows){.task = TASK_BINARY, .n = n, .score = x, .label = label};
    in.by[0] = (struct interval_partition){"day", day, 60};
    struct interval i;
    int64_t from = cpu_ns();
    must(interval_compute(&in, a, &i, &err));
    printf("{\"bench\":\"auc_interval\",\"rows\":%zu,\"resamples\":1000,\"ms\":%.0f,\"difference\":"
           "%.4f,\"low\":%.4f,\"high\":%.4f}\n",
           n, (double)(cpu_ns() - from) / 1e6, i.estimate, i.low, i.high);
}

int main(void)
{
    struct arena a;
    arena_init(&a, (size_t)1 << 30);
    cells(&a);
    static const size_t ROWS[] = {50, 200, 500};
    for (size_t i = 0; i < 3; i++) {
        alarms(ROWS[i], 0);
        alarms(ROWS[i], 0.25);
    }
    interval_cost(&a);
    arena_fini(&a);
    return 0;
}
