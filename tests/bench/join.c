/* The point-in-time join against the best hand-written plan of the same engine, in the same run, as ratios.
 *   join [ROWS VIEW_ROWS COLUMNS]      default 1000000 1000000 10
 *   join flights FILE                  the demo's features over January and February
 *   join days FILE                     a day's lap of a source of one file a day: snapshot, materialisation */
#include <unistd.h>

#include "../unit/data/data_fixture.h"

#include "base/clock.h"
#include "features/dataset.h"
#include "features/features_worker.h"
#include "features/materialize.h"

static double seconds(int64_t since_ns)
{
    return (double)(mono_ns() - since_ns) / 1e9;
}

static void run_sql(struct fixture *f, struct table *t, const char *sql)
{
    if (table_exec(t, TABLE_SQL(sql), &f->err) != ERR_OK)
        fail_msg("%s", f->err.msg);
}

/* Keys and times joined as of, columns fetched by row number, file to file: bench/features/pit_bench.py --narrow. */
static double by_hand(struct fixture *f)
{
    struct table *t = NULL;
    struct table_options opt = {.n_threads = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    ASSERT_OK(table_open(&opt, &t, &f->err), &f->err);
    int64_t start = mono_ns();
    run_sql(f, t,
            str_printf(&f->a,
                       "COPY (WITH n AS (SELECT k, ts, max(file_row_number) AS rn FROM "
                       "read_parquet('%s/s.parquet', "
                       "file_row_number=true) GROUP BY 1, 2), j AS (SELECT e.k, e.ts, n.rn FROM "
                       "read_parquet('%s/rows.parquet') e "
                       "ASOF LEFT JOIN n ON e.k = n.k AND e.ts >= n.ts) SELECT j.k, j.ts, f.* "
                       "EXCLUDE (k, ts, file_row_number) FROM "
                       "j LEFT JOIN read_parquet('%s/s.parquet', file_row_number=true) f ON j.rn = "
                       "f.file_row_number) TO "
                       "'%s/hand.parquet' (FORMAT parquet, COMPRESSION zstd)",
                       f->dir, f->dir, f->dir, f->dir));
    double s = seconds(start);
    table_close(t);
    return s;
}

static double by_pawl(struct fixture *f, struct features_spec *views, struct json *bindings)
{
    struct json *wanted = json_arr(&f->a), *ret = NULL;
    json_add(&f->a, wanted, json_cstr(&f->a, "w.*"));
    struct join_order o = {views,  bindings, fixture_path(f, "rows.parquet"), STR("ts"),
                           wanted, NULL,     fixture_path(f, "out.parquet")};
    int64_t start = mono_ns();
    if (features_join(&f->env, &o, &f->a, &ret, &f->err) != ERR_OK)
        fail_msg("%s", f->err.msg);
    return seconds(start);
}

static void bench_join(struct fixture *f, long rows, long view_rows, long columns)
{
    struct buf sql = {0};
    struct features_spec views;
    double hand = 0, pawl = 0;
    buf_init(&sql, 1 << 20);
    buf_printf(&sql, "SELECT CAST(hash(i, 1) %% 1000 AS BIGINT) AS k, TIMESTAMP '2001-01-01' + "
                     "to_seconds(CAST(hash(i, 2) %% 10000000 AS "
                     "BIGINT)) AS ts");
    for (long c = 0; c < columns; c++)
        buf_printf(&sql, ", CAST(hash(i, %ld) %% 1000003 AS DOUBLE) / 7 AS f%02ld", c + 3, c);
    buf_printf(&sql, " FROM range(%ld) t(i)", view_rows);
    fixture_parquet(f, "s.parquet", sql.p);
    fixture_parquet(
        f, "rows.parquet",
        str_printf(&f->a,
                   "SELECT CAST(hash(i, 91) %% 1000 AS BIGINT) AS k, TIMESTAMP '2001-01-01' + "
                   "to_seconds(CAST(hash(i, 92) %% 10000000 AS BIGINT)) AS ts FROM range(%ld) t(i)",
                   rows));
    buf_fini(&sql);
    fixture_yaml(f, "sources: { s: { path: s.parquet, time: ts } }\n"
                    "features: { w: { entity: k, time: ts, ttl: 30d, sql: 'SELECT * EXCLUDE "
                    "(known_at) FROM s' } }\n");
    features_spec_decode(cfg_get(f->root, "features"), f->root, &f->a, &views, &f->problems);
    struct json *bindings = fixture_bindings(f);
    for (int i = 0; i < 3; i++) { /* alternating; the best of each */
        double h = by_hand(f), p = by_pawl(f, &views, bindings);
        hand = i == 0 || h < hand ? h : hand;
        pawl = i == 0 || p < pawl ? p : pawl;
    }
    printf("join %ld x %ld x %ld: by hand %.2f s, pawl %.2f s, ratio %.2f\n", rows, view_rows,
           columns, hand, pawl, pawl / hand);
}

static const char FLIGHTS[] =
    "sources: { flights: { path: jan_feb.parquet, time: date, known_at: 'date + to_minutes(45 + "
    "distance // 7)' } }\n"
    "features:\n"
    "  airport_hour: { entity: airport, time: hour, ttl: 6h, sql: \"SELECT destination AS airport, "
    "date_trunc('hour', known_at) + INTERVAL "
    "1 HOUR AS hour, avg(delay) AS delay_1h, avg((delay > 15)::INT) AS late_share_1h, count(*) AS "
    "flights_1h FROM flights GROUP BY ALL\" }\n"
    "  origin_recent: { entity: origin, time: ts, ttl: 6h, sql: \"SELECT origin, known_at AS ts, "
    "avg(delay) OVER w AS delay_3h, count(*) "
    "OVER w AS flights_3h FROM flights WINDOW w AS (PARTITION BY origin ORDER BY known_at RANGE "
    "BETWEEN INTERVAL 3 HOUR PRECEDING AND "
    "CURRENT ROW)\" }\n"
    "  route_day: { entity: [origin, destination], time: day, sql: \"SELECT origin, destination, "
    "date_trunc('day', known_at) + INTERVAL 1 DAY AS "
    "day, avg(delay) AS delay_day, count(*) AS n FROM flights GROUP BY ALL\" }\n"
    "dataset:\n"
    "  rows: flights\n"
    "  label: delay > 15\n"
    "  label_after: 13h\n"
    "  features: [{ view: airport_hour, key: { airport: origin } }, origin_recent, route_day, "
    "distance, origin]\n"
    "  split: { by: time, validation: 7d, test: 7d }\n"
    "  benchmark: { hold_out: 10%, by: day, seed: 1 }\n";

static void bench_flights(struct fixture *f, const char *file)
{
    struct features_spec views;
    struct dataset_spec d;
    struct json *ret = NULL;
    fixture_parquet(
        f, "jan_feb.parquet",
        str_printf(&f->a, "SELECT * FROM read_parquet('%s') WHERE date < TIMESTAMP '2001-03-01'",
                   file));
    fixture_yaml(f, FLIGHTS);
    features_spec_decode(cfg_get(f->root, "features"), f->root, &f->a, &views, &f->problems);
    dataset_spec_decode(cfg_get(f->root, "dataset"), &f->sources, &views, &f->a, &d, &f->problems);
    fixture_no_problems(f);
    int64_t start = mono_ns();
    struct json *bindings = fixture_bindings(f);
    printf("snapshot and profile %.2f s\n", seconds(start));
    start = mono_ns();
    if (views_check_future(&f->env, &views, bindings, &f->a, &ret, &f->err) != ERR_OK)
        fail_msg("%s", f->err.msg);
    printf("future-knowledge check %.2f s: %s\n", seconds(start), json_get_c(ret, "verdict"));
    struct dataset_order o = {.dataset = &d,
                              .views = &views,
                              .bindings = bindings,
                              .as_of_us = AT_US_NONE,
                              .benchmark_until_us = AT_US_NONE,
                              .out_path = fixture_path(f, "out.parquet")};
    for (int i = 0; i < 2; i++) {
        start = mono_ns();
        if (dataset_build(&f->env, &o, &f->a, &ret, &f->err) != ERR_OK)
            fail_msg("%s", f->err.msg);
        printf("data set of %lld rows %.2f s\n", (long long)json_get_int(ret, "rows", 0),
               seconds(start));
    }
    struct buf b = {0};
    buf_init(&b, 1 << 20);
    json_remove(ret, "columns");
    ASSERT_OK(json_write(ret, JSON_PRETTY, &b, &f->err), &f->err);
    printf("%s", b.p);
    buf_fini(&b);
}

static const char DAYS[] = "sources: { flights: { path: 'days/*.parquet', time: date, known_at: "
                           "'date + to_minutes(45 + distance // 7)' } }\n"
                           "features:\n"
                           "  airport_hour: { entity: airport, time: hour, ttl: 6h, sql: \"SELECT "
                           "destination AS airport, date_trunc('hour', known_at) + INTERVAL "
                           "1 HOUR AS hour, avg(delay) AS delay_1h, avg((delay > 15)::INT) AS "
                           "late_share_1h, count(*) AS flights_1h FROM flights GROUP BY ALL\" }\n";

static void add_day(struct fixture *f, const char *file, int day)
{
    const char *select = str_printf(
        &f->a,
        "SELECT * FROM read_parquet('%s') WHERE date_trunc('day', date) = TIMESTAMP '2001-01-01' + "
        "to_days(%d)",
        file, day);
    fixture_parquet(f, str_printf(&f->a, "days/%03d.parquet", day), select);
}

static void bench_days(struct fixture *f, const char *file)
{
    struct features_spec views;
    struct json *ret = NULL;
    double snapshot = 0, materialize = 0;
    ASSERT_OK(dir_make(fixture_path(f, "days"), 0700, &f->err), &f->err);
    for (int day = 0; day < 60; day++)
        add_day(f, file, day);
    fixture_yaml(f, DAYS);
    features_spec_decode(cfg_get(f->root, "features"), f->root, &f->a, &views, &f->problems);
    int64_t start = mono_ns();
    struct json *bindings = fixture_bindings(f);
    printf("first snapshot of 60 days %.3f s\n", seconds(start));
    start = mono_ns();
    ASSERT_OK(views_check_future(&f->env, &views, bindings, &f->a, &ret, &f->err), &f->err);
    printf("future-knowledge check %.3f s\n", seconds(start));
    for (int day = 60; day < 70; day++) {
        atomic_fetch_add(&f->now_us, US_PER_S);
        struct materialize_order o = {.views = &views,
                                      .to_us = INT64_C(978307200000000) + (day + 1) * US_PER_DAY};
        add_day(f, file, day);
        start = mono_ns();
        o.bindings = fixture_bindings(f);
        snapshot += seconds(start) / 10;
        start = mono_ns();
        ASSERT_OK(features_materialize(&f->env, &o, &f->a, &ret, &f->err), &f->err);
        materialize += seconds(start) / 10;
    }
    printf("a day more: snapshot %.3f s, materialisation %.3f s\n", snapshot, materialize);
}

static long number(const char *s, long or_)
{
    int64_t v = 0;
    struct err err = ERR_INIT;
    return s && parse_i64(str_c(s), &v, &err) == ERR_OK ? (long)v : or_;
}

int main(int argc, char **argv)
{
    void *state = NULL;
    if (argc > 3 && strcmp(argv[1], "worker") == 0) {
        struct worker_op ops[32];
        size_t n = 0;
        for (size_t i = 0; i < N_DATA_WORKER_OPS; i++)
            ops[n++] = DATA_WORKER_OPS[i];
        for (size_t i = 0; i < N_FEATURES_WORKER_OPS; i++)
            ops[n++] = FEATURES_WORKER_OPS[i];
        return worker_main(3, ops, n);
    }
    (void)fixture_set_up(&state);
    if (argc > 2 && strcmp(argv[1], "flights") == 0)
        bench_flights(state, argv[2]);
    else if (argc > 2 && strcmp(argv[1], "days") == 0)
        bench_days(state, argv[2]);
    else
        bench_join(state, number(argc > 1 ? argv[1] : NULL, 1000000),
                   number(argc > 2 ? argv[2] : NULL, 1000000),
                   number(argc > 3 ? argv[3] : NULL, 10));
    return fixture_tear_down(&state);
}
