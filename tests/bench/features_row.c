/* What one request costs before the model: the online look-up alone, and the whole plan (look-up, row features, the model's
 * row); then rows a second of a chunk, as training does it. The store is filled in a fresh folder. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "features/plan_build.h"

#define N_KEYS    5000
#define N_HOURS   48
#define N_COLUMNS 10
#define N_CALLS   200000
#define N_CHUNK   200000

static char dir[] = "/tmp/pawl-bench-XXXXXX";
static struct err err;

static void must(enum err_code rc)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

static const char *const COLUMN_NAMES[N_COLUMNS] = {"c0", "c1", "c2", "c3", "c4",
                                                    "c5", "c6", "c7", "c8", "c9"};

static struct online *fill_store(void)
{
    struct online *o;
    struct online_column columns[N_COLUMNS];
    if (!mkdtemp(dir))
        exit(1);
    must(online_open(&(struct online_options){.dir = dir}, &o, &err));
    for (size_t i = 0; i < N_COLUMNS; i++)
        columns[i] = (struct online_column){COLUMN_NAMES[i], VAL_FLOAT};
    must(online_declare(o, &(struct online_schema){"v", "1", columns, N_COLUMNS, 1, 0}, &err));
    size_t n = N_KEYS * N_HOURS;
    int64_t *keys = malloc(n * sizeof *keys), *times = malloc(n * sizeof *times);
    double *xs = malloc(n * sizeof *xs);
    for (size_t i = 0; i < n; i++) {
        keys[i] = (int64_t)(i % N_KEYS);
        times[i] = (int64_t)(i / N_KEYS) * US_PER_HOUR;
        xs[i] = (double)i;
    }
    struct column key = {"id", VAL_INT, n, NULL, {.i = keys}},
                  time = {"t", VAL_TIME, n, NULL, {.i = times}};
    struct column values[N_COLUMNS];
    for (size_t i = 0; i < N_COLUMNS; i++)
        values[i] = (struct column){COLUMN_NAMES[i], VAL_FLOAT, n, NULL, {.f = xs}};
    int64_t start = mono_ns();
    must(online_put(o, &(struct online_batch){"v", "1", n, &key, values, &time, NULL}, NULL, &err));
    double s = (double)(mono_ns() - start) / 1e9;
    printf("put: %zu rows of %d columns in %.2f s, %.0f rows/s, synced\n", n, N_COLUMNS, s,
           (double)n / s);
    free(keys);
    free(times);
    free(xs);
    return o;
}

static struct plan *make_plan(struct arena *a)
{
    static const struct expr_column ROWS[] = {
        {"date", VAL_TIME}, {"id", VAL_INT}, {"distance", VAL_INT}, {"price", VAL_FLOAT}};
    static const struct expr_column ENTITY[] = {{"id", VAL_INT}};
    static const char *const NAMES[] = {"hour",  "weekday", "log_distance",
                                        "ratio", "night",   "trend"};
    static const char *const EXPRS[] = {
        "hour(date)",       "dayofweek(date)",        "ln(distance + 1)",
        "price / (c0 + 1)", "hour < 6 or hour >= 22", "case when c1 > c2 then c1 - c2 else 0 end"};
    static const struct plan_ref REFS[] = {{.text = "v", .keys = {{"id", "id"}}, .n_keys = 1},
                                           {.text = "request.*"},
                                           {.text = "distance"},
                                           {.text = "price"}};
    struct expr_column columns[N_COLUMNS];
    for (size_t i = 0; i < N_COLUMNS; i++)
        columns[i] = (struct expr_column){COLUMN_NAMES[i], VAL_FLOAT};
    struct plan_view view = {"v", "1", ENTITY, 1, columns, N_COLUMNS, 0, PLAN_STALE_DEFAULT, NULL};
    struct plan_row_view row_view = {"request", NAMES, EXPRS, 6};
    struct plan_spec spec = {"date", ROWS, 4, &view, 1, &row_view, 1, REFS, 4};
    struct json *doc;
    struct plan *p;
    must(plan_build(&spec, a, &doc, &err));
    must(plan_read(doc, a, &p, &err));
    return p;
}

static void bench_get(struct online *o)
{
    struct online_reader *r;
    struct online_view_ref ref = {.view = "v", .version = "1", .n_columns = N_COLUMNS};
    struct value vals[N_COLUMNS];
    struct rng rng;
    double sink = 0;
    rng_init(&rng, 1);
    must(online_reader_new(o, &r, &err));
    int64_t start = mono_ns();
    for (size_t i = 0; i < N_CALLS; i++) {
        struct value key = {.type = VAL_INT, .u.i = (int64_t)rng_below(&rng, N_KEYS)};
        struct online_hit hit;
        must(online_begin(r, &err));
        must(online_get(
            r, &ref,
            &(struct online_query){&key, 1, (int64_t)rng_below(&rng, N_HOURS * US_PER_HOUR), 0},
            vals, &hit, &err));
        online_end(r);
        sink += vals[0].u.f;
    }
    printf("look-up of %d columns, as of a time in a history of %d: %.2f us (%.0f)\n", N_COLUMNS,
           N_HOURS, (double)(mono_ns() - start) / 1e3 / N_CALLS, sink);
    online_reader_free(r);
}

static void bench_plan(struct online *o, const struct plan *p)
{
    struct online_reader *r;
    struct plan_scratch *s = plan_scratch_new(p);
    struct rng rng;
    float row[64];
    double sink = 0;
    rng_init(&rng, 1);
    must(online_reader_new(o, &r, &err));
    int64_t start = mono_ns();
    for (size_t i = 0; i < N_CALLS; i++) {
        struct value v[] = {
            {.type = VAL_TIME, .u.i = (int64_t)rng_below(&rng, N_HOURS * US_PER_HOUR)},
            {.type = VAL_INT, .u.i = (int64_t)rng_below(&rng, N_KEYS)},
            {.type = VAL_INT, .u.i = (int64_t)rng_below(&rng, 3000)},
            {.type = VAL_FLOAT, .u.f = rng_f64(&rng)}};
        struct plan_result res;
        plan_begin(s);
        for (size_t k = 0; k < 4; k++)
            must(plan_set(s, k, &v[k], &err));
        must(plan_run(s, r, 0, row, &res, &err));
        sink += (double)row[0];
    }
    printf("whole plan, one look-up and 6 row features, %zu inputs: %.2f us (%.0f)\n",
           plan_n_inputs(p), (double)(mono_ns() - start) / 1e3 / N_CALLS, sink);
    plan_scratch_free(s);
    online_reader_free(r);
}

static void bench_chunk(const struct plan *p)
{
    struct arena a;
    arena_init(&a, INT64_C(1) << 32);
    int64_t *ints = calloc(N_CHUNK, sizeof *ints);
    double *floats = calloc(N_CHUNK, sizeof *floats);
    struct column cols[4 + N_COLUMNS] = {{"date", VAL_TIME, N_CHUNK, NULL, {.i = ints}},
                                         {"id", VAL_INT, N_CHUNK, NULL, {.i = ints}},
                                         {"distance", VAL_INT, N_CHUNK, NULL, {.i = ints}},
                                         {"price", VAL_FLOAT, N_CHUNK, NULL, {.f = floats}}};
    for (size_t i = 0; i < N_COLUMNS; i++)
        cols[4 + i] =
            (struct column){str_printf(&a, "v.c%zu", i), VAL_FLOAT, N_CHUNK, NULL, {.f = floats}};
    float *matrix;
    int64_t start = mono_ns();
    must(plan_run_chunk(p, cols, 4 + N_COLUMNS, N_CHUNK, &a, &matrix, NULL, &err));
    double s = (double)(mono_ns() - start) / 1e9;
    printf("chunk: %d rows in %.3f s, %.0f rows/s\n", N_CHUNK, s, N_CHUNK / s);
    free(ints);
    free(floats);
    arena_fini(&a);
}

int main(void)
{
    struct arena a;
    arena_init(&a, 1 << 26);
    struct online *o = fill_store();
    struct plan *p = make_plan(&a);
    bench_get(o);
    bench_plan(o, p);
    bench_chunk(p);
    online_close(o);
    arena_fini(&a);
    must(dir_remove(dir, &err));
    return 0;
}
