/* features/: the point-in-time join by hand and against a naive reference, data sets, views that know the future,
 * materialisation. */
#include "../data/data_fixture.h"

#include "base/clock.h"
#include "features/dataset.h"
#include "features/dataset_rows.h"
#include "features/features_worker.h"
#include "features/materialize.h"

static int64_t at(const char *text)
{
    struct err err = ERR_INIT;
    int64_t us = 0;
    ASSERT_OK(parse_time_us(str_c(text), &us, &err), &err);
    return us;
}

static struct features_spec views_of(struct fixture *f)
{
    struct features_spec v;
    features_spec_decode(cfg_get(f->root, "features"), f->root, &f->a, &v, &f->problems);
    fixture_no_problems(f);
    return v;
}

static struct table_values query(struct fixture *f, const char *sql)
{
    struct table *t = NULL;
    struct table_values v = {0};
    ASSERT_OK(table_open(&(struct table_options){.n_threads = 2}, &t, &f->err), &f->err);
    if (table_fetch(t, TABLE_SQL(sql), 100000, &f->a, &v, &f->err) != ERR_OK)
        fail_msg("%s: %s", sql, f->err.msg);
    table_close(t);
    return v;
}

/* ---- the join, by hand ---- */

static struct table_values join(struct fixture *f, const char *rows_csv, const char *wanted_column)
{
    struct features_spec views = views_of(f);
    struct json *wanted = json_arr(&f->a), *ret = NULL;
    const char *out = fixture_path(f, "out.parquet");
    fixture_write(f, "rows.csv", rows_csv);
    json_add(&f->a, wanted, json_cstr(&f->a, wanted_column));
    struct join_order o = {
        &views, fixture_bindings(f), fixture_path(f, "rows.csv"), STR("ts"), wanted, NULL, out};
    if (features_join(&f->env, &o, &f->a, &ret, &f->err) != ERR_OK)
        fail_msg("%s", f->err.msg);
    return query(f, str_printf(&f->a, "SELECT * FROM read_parquet('%s')", out));
}

/* The last column of row i: an integer or null. */
static void assert_got(const struct table_values *v, size_t i, int64_t want)
{
    const struct value *x = &v->p[i * v->n_cols + v->n_cols - 1];
    if (want == INT64_MIN)
        assert_int_equal(x->type, VAL_NULL);
    else
        assert_int_equal(x->u.i, want);
}

#define NONE INT64_MIN

static void test_newest_value_at_or_before_the_row(void **state)
{
    struct fixture *f = *state;
    fixture_write(
        f, "s.csv",
        "k,ts,v\na,2001-01-01 10:00:00,1\na,2001-01-01 12:00:00,2\nb,2001-01-01 11:00:00,3\n");
    fixture_yaml(f, "sources: { s: { path: s.csv, time: ts } }\n"
                    "features: { w: { entity: k, time: ts, sql: 'SELECT k, ts, v FROM s' } }\n");
    struct table_values v = join(f,
                                 "k,ts\n"
                                 "a,2001-01-01 09:59:59\n" /* before everything */
                                 "a,2001-01-01 10:00:00\n" /* exactly at it */
                                 "a,2001-01-01 11:59:59\n"
                                 "a,2001-01-01 12:00:00\n"
                                 "b,2001-01-02 00:00:00\n"
                                 "c,2001-01-02 00:00:00\n" /* unknown key */
                                 ",2001-01-02 00:00:00\n", /* null key */
                                 "w.v");
    const int64_t want[] = {NONE, 1, 1, 2, 3, NONE, NONE};
    assert_int_equal(v.n_rows, 7); /* no row is lost */
    for (size_t i = 0; i < 7; i++)
        assert_got(&v, i, want[i]);
}

static void test_ttl_is_inclusive_at_both_ends(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, "s.csv", "k,ts,v\na,2001-01-01 10:00:00,1\n");
    fixture_yaml(
        f, "sources: { s: { path: s.csv, time: ts } }\n"
           "features: { w: { entity: k, time: ts, ttl: 6h, sql: 'SELECT k, ts, v FROM s' } }\n");
    struct table_values v = join(
        f, "k,ts\na,2001-01-01 10:00:00\na,2001-01-01 16:00:00\na,2001-01-01 16:00:00.000001\n",
        "w.v");
    assert_got(&v, 0, 1);
    assert_got(&v, 1, 1);
    assert_got(&v, 2, NONE);
}

/* Ties by known_at, then by the order of all columns; nulls are values; a null time matches nothing. */
static void test_ties_and_nulls(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, "s.csv",
                  "k,ts,kn,v\n"
                  "a,2001-01-01 10:00:00,2001-01-01 10:00:00,1\n"
                  "a,2001-01-01 10:00:00,2001-01-01 10:30:00,2\n" /* a correction */
                  "b,2001-01-01 10:00:00,2001-01-01 10:00:00,7\n"
                  "b,2001-01-01 10:00:00,2001-01-01 10:00:00,9\n" /* twice at once */
                  "c,2001-01-01 10:00:00,2001-01-01 10:00:00,5\n"
                  "c,2001-01-01 11:00:00,2001-01-01 11:00:00,\n"
                  "d,,2001-01-01 11:00:00,4\n");
    fixture_yaml(f, "sources: { s: { path: s.csv, time: ts, known_at: kn } }\n"
                    "features: { w: { entity: k, time: ts, known_at: kn, sql: 'SELECT k, ts, kn, v "
                    "FROM s' } }\n");
    struct table_values v = join(f,
                                 "k,ts\n"
                                 "a,2001-01-01 10:29:59\n"
                                 "a,2001-01-01 10:30:00\n"
                                 "b,2001-01-01 11:00:00\n"
                                 "c,2001-01-01 12:00:00\n"
                                 "d,2001-01-01 12:00:00\n",
                                 "w.v");
    const int64_t want[] = {1, 2, 9, NONE, NONE};
    for (size_t i = 0; i < 5; i++)
        assert_got(&v, i, want[i]);
}

/* A row that became known late is not there before; an older moment known later never hides a newer one. */
static void test_late_rows(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, "s.csv",
                  "k,ts,kn,v\n"
                  "a,2001-01-01 10:00:00,2001-01-01 15:00:00,1\n"
                  "a,2001-01-01 12:00:00,2001-01-01 13:00:00,2\n"
                  "a,2001-01-01 09:00:00,2001-01-01 09:00:00,3\n");
    fixture_yaml(f, "sources: { s: { path: s.csv, time: ts, known_at: kn } }\n"
                    "features: { w: { entity: k, time: ts, known_at: kn, ttl: 4h, sql: 'SELECT k, "
                    "ts, kn, v FROM s' } }\n");
    struct table_values v =
        join(f,
             "k,ts\n"
             "a,2001-01-01 11:00:00\n"
             "a,2001-01-01 12:30:00\n"
             "a,2001-01-01 13:00:00\n"
             "a,2001-01-01 15:30:00\n"
             "a,2001-01-01 16:30:00\n", /* 12:00 is out of its ttl, 10:00 all the more */
             "w.v");
    const int64_t want[] = {3, 3, 2, 2, NONE};
    for (size_t i = 0; i < 5; i++)
        assert_got(&v, i, want[i]);
}

static void test_naive_times_of_view_and_source(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, "s.csv", "k,ts,v\na,2001-01-01 06:00:00,1\n"); /* noon UTC */
    fixture_yaml(f, "sources: { s: { path: s.csv, time: ts, timezone: America/Chicago } }\n"
                    "features: { w: { entity: k, time: ts, sql: 'SELECT k, ts, v FROM s' } }\n");
    struct table_values v = join(f, "k,ts\na,2001-01-01 11:59:59\na,2001-01-01 12:00:00\n", "w.v");
    assert_got(&v, 0, NONE);
    assert_got(&v, 1, 1);
}

/* Random rows with ties, corrections, nulls and ttl, against a join that looks at every pair. */
static void test_against_a_naive_reference(void **state)
{
    struct fixture *f = *state;
    static const char VIEW[] = "SELECT CASE WHEN hash(i, 1) % 20 > 0 THEN 'k' || (hash(i, 2) % 7) "
                               "END AS k, TIMESTAMP '2001-01-01' + "
                               "to_minutes(CAST(hash(i, 3) % 600 AS BIGINT)) AS ts, TIMESTAMP "
                               "'2001-01-01' + to_minutes(CAST(hash(i, 3) % 600 + CASE "
                               "WHEN hash(i, 4) % 3 = 0 THEN hash(i, 5) % 200 ELSE 0 END AS "
                               "BIGINT)) AS kn, i AS v FROM range(3000) t(i)";
    static const char ROWS[] = "SELECT 'k' || (hash(i, 9) % 8) AS k, TIMESTAMP '2001-01-01' + "
                               "to_seconds(CAST(hash(i, 8) % 45000 AS "
                               "BIGINT)) AS ts FROM range(2000) t(i)";
    for (int late = 0; late < 2; late++) {
        fixture_parquet(f, "s.parquet", VIEW);
        fixture_parquet(f, "rows.csv", ROWS); /* told by content, not by name */
        fixture_yaml(f, late ? "sources: { s: { path: s.parquet, time: ts, known_at: kn } }\n"
                               "features: { w: { entity: k, time: ts, known_at: kn, ttl: 90m, sql: "
                               "'SELECT * EXCLUDE (known_at) FROM s' } }\n"
                             : "sources: { s: { path: s.parquet, time: ts } }\n"
                               "features: { w: { entity: k, time: ts, ttl: 90m, sql: 'SELECT k, "
                               "ts, v FROM s' } }\n");
        struct features_spec views = views_of(f);
        struct json *wanted = json_arr(&f->a), *ret = NULL;
        json_add(&f->a, wanted, json_cstr(&f->a, "w.*"));
        struct join_order o = {
            &views, fixture_bindings(f),           fixture_path(f, "rows.csv"), STR("ts"), wanted,
            NULL,   fixture_path(f, "out.parquet")};
        ASSERT_OK(features_join(&f->env, &o, &f->a, &ret, &f->err), &f->err);
        const char *known = late ? "kn" : "ts";
        struct table_values v = query(
            f, str_printf(&f->a,
                          "WITH r AS (SELECT *, file_row_number AS n FROM "
                          "read_parquet('%s/rows.csv', file_row_number=true)), "
                          "s AS (SELECT * FROM read_parquet('%s/s.parquet')), "
                          "c AS (SELECT r.n, s.v, row_number() OVER (PARTITION BY r.n ORDER BY "
                          "s.ts DESC, s.%s DESC, s.v DESC) AS i "
                          "FROM r JOIN s ON r.k = s.k AND s.ts <= r.ts AND s.%s <= r.ts AND s.ts "
                          ">= r.ts - INTERVAL 90 MINUTE), "
                          "w AS (SELECT r.n, c.v FROM r LEFT JOIN c ON c.n = r.n AND c.i = 1), "
                          "g AS (SELECT file_row_number AS n, \"w.v\" AS v FROM "
                          "read_parquet('%s/out.parquet', "
                          "file_row_number=true)) "
                          "SELECT count(*), count(*) FILTER (WHERE w.v IS DISTINCT FROM g.v), "
                          "count(w.v) FROM w JOIN g USING (n)",
                          f->dir, f->dir, known, known, f->dir));
        assert_int_equal(v.p[0].u.i, 2000);
        assert_int_equal(v.p[1].u.i, 0);
        assert_true(v.p[2].u.i > 500); /* and it found something */
    }
}

/* ---- data sets ---- */

static const char FLIGHTS[] = "SELECT TIMESTAMP '2001-01-01' + to_minutes(i * 7) AS date, "
                              "CAST(hash(i, 1) % 60 AS BIGINT) - 20 AS delay, CAST(100 + "
                              "hash(i, 2) % 900 AS BIGINT) AS distance, 'A' || (hash(i, 3) % 5) AS "
                              "origin, 'A' || (hash(i, 4) % 5) AS destination FROM "
                              "range(18000) t(i)"; /* 87 days */

#define FLIGHTS_HEAD                                                                               \
    "sources:\n"                                                                                   \
    "  flights:\n"                                                                                 \
    "    path: flights.parquet\n"                                                                  \
    "    time: date\n"                                                                             \
    "    known_at: \"date + to_minutes(45 + distance // 7)\"\n"
#define FLIGHTS_VIEW                                                                               \
    "features:\n"                                                                                  \
    "  airport_hour:\n"                                                                            \
    "    entity: [airport]\n"                                                                      \
    "    time: hour\n"                                                                             \
    "    ttl: 6h\n"                                                                                \
    "    sql: |\n"                                                                                 \
    "      SELECT destination AS airport, date_trunc('hour', known_at) + INTERVAL 1 HOUR AS "      \
    "hour,\n"                                                                                      \
    "             avg(delay) AS delay_1h, count(*) AS flights_1h FROM flights GROUP BY ALL\n"
#define FLIGHTS_DATASET                                                                            \
    "dataset:\n"                                                                                   \
    "  rows: flights\n"                                                                            \
    "  label: delay > 15\n"                                                                        \
    "  label_after: 13h\n"                                                                         \
    "  features: [{ view: airport_hour, key: { airport: origin } }, distance, origin,\n"           \
    "             { view: airport_hour, key: { airport: destination }, as: there }]\n"             \
    "  split: { by: time, train: 50d, validation: 7d, test: 7d }\n"                                \
    "  benchmark: { hold_out: 10%, by: day, seed: 1 }\n"

static enum err_code build(struct fixture *f, const char *yaml, int64_t as_of, struct json **ret)
{
    fixture_yaml(f, yaml);
    struct features_spec views = views_of(f);
    struct dataset_spec d;
    dataset_spec_decode(cfg_get(f->root, "dataset"), &f->sources, &views, &f->a, &d, &f->problems);
    fixture_no_problems(f);
    struct dataset_order o = {.dataset = &d,
                              .views = &views,
                              .bindings = fixture_bindings(f),
                              .as_of_us = as_of,
                              .benchmark_until_us = AT_US_NONE,
                              .out_path = fixture_path(f, "out.parquet")};
    return dataset_build(&f->env, &o, &f->a, ret, &f->err);
}

static struct json *must_build(struct fixture *f, const char *yaml, int64_t as_of)
{
    struct json *ret = NULL;
    if (build(f, yaml, as_of, &ret) != ERR_OK)
        fail_msg("%s", f->err.msg);
    return ret;
}

static struct table_values out(struct fixture *f, const char *select)
{
    return query(
        f, str_printf(
               &f->a,
               "WITH d AS (SELECT * FROM read_parquet('%s/out.parquet')), f AS (SELECT *, date + "
               "to_minutes(45 + distance // 7) AS known_at FROM "
               "read_parquet('%s/flights.parquet')) %s",
               f->dir, f->dir, select));
}

static void test_a_data_set(void **state)
{
    struct fixture *f = *state;
    fixture_parquet(f, "flights.parquet", FLIGHTS);
    struct json *r = must_build(f, FLIGHTS_HEAD FLIGHTS_VIEW FLIGHTS_DATASET, AT_US_NONE);
    int64_t n = 0;
    const struct json *splits = json_get(r, "splits"), *dropped = json_get(r, "dropped");
    for (int s = 0; s < DS_SPLIT_N; s++)
        n += json_get_int(json_get(splits, dataset_split_name((enum dataset_split)s)), "rows", 0);
    assert_int_equal(n, json_get_int(r, "rows", 0));
    for (size_t i = 0; i < dropped->u.obj.n; i++)
        n += dropped->u.obj.members[i].val->u.i;
    assert_int_equal(n, 18000); /* every row is accounted for */
    assert_true(json_len(json_get(r, "benchmark_days")) > 0);
    /* every joined value is what the definition says, computed another way */
    struct table_values v =
        out(f, "SELECT count(*), count(*) FILTER (WHERE \"airport_hour.flights_1h\" IS DISTINCT "
               "FROM (SELECT count(*) FROM f WHERE "
               "f.destination = d.origin AND date_trunc('hour', f.known_at) = date_trunc('hour', "
               "d.date) - INTERVAL 1 HOUR)) FROM d "
               "WHERE EXISTS (SELECT 1 FROM f WHERE f.destination = d.origin AND "
               "date_trunc('hour', f.known_at) = "
               "date_trunc('hour', d.date) - INTERVAL 1 HOUR)");
    assert_true(v.p[0].u.i > 1000);
    assert_int_equal(v.p[1].u.i, 0);
    v = out(f, "SELECT count(*) FILTER (WHERE (f.delay > 15)::DOUBLE <> __label), count(*) FROM d "
               "JOIN f USING (date)");
    assert_int_equal(v.p[0].u.i, 0);
    assert_int_equal(v.p[1].u.i, json_get_int(r, "rows", 0));
    v = out(f, "SELECT count(*) FILTER (WHERE \"there.flights_1h\" IS NOT NULL) FROM d");
    assert_true(v.p[0].u.i > 1000);
    for (size_t i = 0; i < json_len(json_get(r, "columns")); i++)
        assert_false(str_is(json_get_str(json_at(json_get(r, "columns"), i), "name"), "delay"));
}

static void test_splits_keep_their_gaps(void **state)
{
    struct fixture *f = *state;
    fixture_parquet(f, "flights.parquet", FLIGHTS);
    (void)must_build(f, FLIGHTS_HEAD FLIGHTS_VIEW FLIGHTS_DATASET, AT_US_NONE);
    struct table_values v =
        out(f, "SELECT (SELECT min(date) FROM d WHERE __split = 'validation') - (SELECT max(date) "
               "FROM d WHERE __split = 'train') >= "
               "INTERVAL 13 HOUR, (SELECT min(date) FROM d WHERE __split = 'test') - (SELECT "
               "max(date) FROM d WHERE __split = "
               "'validation') >= INTERVAL 13 HOUR, (SELECT count(*) FROM d b JOIN d x ON b.__split "
               "= 'benchmark' AND x.__split IN "
               "('train', 'validation') AND x.date >= b.__day - INTERVAL 13 HOUR AND x.date < "
               "b.__day + INTERVAL 37 HOUR), (SELECT "
               "max(date) - min(date) FROM d WHERE __split = 'train') <= INTERVAL 50 DAY");
    assert_true(v.p[0].u.b);
    assert_true(v.p[1].u.b);
    assert_int_equal(v.p[2].u.i, 0);
    assert_true(v.p[3].u.b);
}

/* A value planted in the future, seen by no row before it is known. */
static void test_a_planted_future_never_reaches_a_row(void **state)
{
    struct fixture *f = *state;
    fixture_parquet(f, "flights.parquet",
                    str_printf(&f->a,
                               "SELECT date, CASE WHEN i = 9000 THEN 1000000 ELSE delay END AS "
                               "delay, distance, origin, destination "
                               "FROM (SELECT *, row_number() OVER (ORDER BY date) AS i FROM (%s))",
                               FLIGHTS));
    (void)must_build(f, FLIGHTS_HEAD FLIGHTS_VIEW FLIGHTS_DATASET, AT_US_NONE);
    struct table_values v = out(f, "SELECT count(*) FILTER (WHERE d.date < (SELECT known_at FROM f "
                                   "WHERE delay = 1000000)), count(*) "
                                   "FROM d WHERE \"airport_hour.delay_1h\" > 1000");
    assert_int_equal(v.p[0].u.i, 0);
    assert_true(v.p[1].u.i > 0);
}

/* When a row is known decides what the features see: later knowledge, older features. */
static void test_known_at_changes_the_set(void **state)
{
    struct fixture *f = *state;
    fixture_parquet(f, "flights.parquet", FLIGHTS);
    struct json *r = must_build(f, FLIGHTS_HEAD FLIGHTS_VIEW FLIGHTS_DATASET, AT_US_NONE);
    const char *first = json_get_c(r, "digest");
    r = must_build(f, FLIGHTS_HEAD FLIGHTS_VIEW FLIGHTS_DATASET, AT_US_NONE);
    assert_string_equal(json_get_c(r, "digest"), first); /* the same again, to the bit */
    r = must_build(f,
                   "sources: { flights: { path: flights.parquet, time: date, known_at: 'date + "
                   "INTERVAL 12 HOUR' } }\n" FLIGHTS_VIEW FLIGHTS_DATASET,
                   AT_US_NONE);
    assert_string_not_equal(json_get_c(r, "digest"), first);
}

static void test_as_of_leaves_out_what_was_not_known(void **state)
{
    struct fixture *f = *state;
    fixture_parquet(f, "flights.parquet", FLIGHTS);
    int64_t t = at("2001-03-20 10:30:00");
    struct json *r = must_build(f, FLIGHTS_HEAD FLIGHTS_VIEW FLIGHTS_DATASET, t);
    struct table_values v = out(
        f, "SELECT max(__known_at), max(date), min(date) FILTER (WHERE __split = 'test') FROM d");
    assert_true(v.p[0].u.i <= t);
    assert_true(v.p[1].u.i < t - 13 * US_PER_HOUR);
    assert_true(json_get_int(json_get(r, "dropped"), "label_unknown", 0) > 0);
    const char *digest = json_get_c(r, "digest");
    /* the same from data that end there */
    fixture_parquet(f, "flights.parquet",
                    str_printf(&f->a,
                               "SELECT * FROM (%s) WHERE date < TIMESTAMP '2001-03-20 10:30:00'",
                               FLIGHTS));
    r = must_build(f, FLIGHTS_HEAD FLIGHTS_VIEW FLIGHTS_DATASET, t);
    assert_string_equal(json_get_c(r, "digest"), digest);
}

static void test_samples_are_stable_and_told(void **state)
{
    struct fixture *f = *state;
    fixture_parquet(f, "flights.parquet", FLIGHTS);
    struct json *all = must_build(f, FLIGHTS_HEAD FLIGHTS_VIEW FLIGHTS_DATASET, AT_US_NONE);
    struct json *some = must_build(
        f, FLIGHTS_HEAD FLIGHTS_VIEW FLIGHTS_DATASET "  sample: { train: 20% }\n", AT_US_NONE);
    double n_all = json_get_f64(json_path(all, "splits.train"), "rows", 0);
    double n_some = json_get_f64(json_path(some, "splits.train"), "rows", 0);
    assert_true(n_some > 0.17 * n_all && n_some < 0.23 * n_all);
    assert_int_equal(json_get_int(json_path(all, "splits.test"), "rows", 0),
                     json_get_int(json_path(some, "splits.test"), "rows", -1));
    assert_true(json_get_int(json_get(some, "dropped"), "sampled_out", 0) ==
                (int64_t)(n_all - n_some));
}

static void test_labels_of_other_kinds(void **state)
{
    struct fixture *f = *state;
    fixture_write(
        f, "rows.csv",
        "id,ts,what\n1,2001-01-01 00:00:00,b\n2,2001-01-02 00:00:00,a\n3,2001-01-03 00:00:00,\n");
    fixture_write(f, "ev.csv",
                  "id,ts\n1,2001-01-01 00:00:00\n1,2001-01-31 00:00:00\n2,2001-02-01 00:00:01\n");
    struct json *r = must_build(f,
                                "sources: { r: { path: rows.csv, time: ts } }\n"
                                "dataset: { rows: r, label: what, features: [id] }\n",
                                AT_US_NONE);
    assert_int_equal(json_len(json_path(r, "label.classes")), 2);
    assert_int_equal(json_get_int(json_get(r, "dropped"), "label_null", 0), 1);
    struct table_values v = query(
        f, str_printf(&f->a, "SELECT id, __label FROM read_parquet('%s/out.parquet') ORDER BY id",
                      f->dir));
    assert_true(v.p[1].u.f == 1.0 && v.p[3].u.f == 0.0); /* classes in byte order */
    /* an event of the key within 30 days, the row's own moment not counted */
    (void)must_build(
        f,
        "sources: { r: { path: rows.csv, time: ts }, ev: { path: ev.csv, time: ts } }\n"
        "dataset: { rows: r, label: { source: ev, key: id, within: 30d }, features: [what] }\n",
        AT_US_NONE);
    v = query(f, str_printf(&f->a,
                            "SELECT id, __label FROM read_parquet('%s/out.parquet') ORDER BY id",
                            f->dir));
    assert_int_equal(v.n_rows, 3);
    assert_true(v.p[1].u.f == 1.0 && v.p[3].u.f == 0.0 && v.p[5].u.f == 0.0);
}

static void test_benchmark_days_never_move(void **state)
{
    int64_t n = 0;
    for (int64_t day = 0; day < 20000; day++)
        n += dataset_is_benchmark_day(day, 0.1, 1);
    assert_true(n > 1850 && n < 2150);
    for (int64_t day = 0; day < 1000; day++) /* a larger share keeps the days of a smaller one */
        assert_true(!dataset_is_benchmark_day(day, 0.1, 1) ||
                    dataset_is_benchmark_day(day, 0.2, 1));
    /* golden: what was held out once is held out by every later build */
    static const int GOLDEN[] = {11324, 11341, 11355, 11370};
    size_t k = 0;
    for (int64_t day = 11323; day < 11383; day++)
        if (dataset_is_benchmark_day(day, 0.1, 1))
            assert_int_equal(day, GOLDEN[k++]);
    assert_int_equal(k, sizeof GOLDEN / sizeof *GOLDEN);
}

/* ---- views ---- */

static struct json *future(struct fixture *f, const char *yaml)
{
    struct json *r = NULL;
    fixture_yaml(f, yaml);
    struct features_spec views = views_of(f);
    if (views_check_future(&f->env, &views, fixture_bindings(f), &f->a, &r, &f->err) != ERR_OK)
        fail_msg("%s", f->err.msg);
    return r;
}

static void test_a_view_that_knows_the_future_is_named(void **state)
{
    struct fixture *f = *state;
    fixture_parquet(f, "flights.parquet", FLIGHTS);
    struct json *r = future(f, FLIGHTS_HEAD FLIGHTS_VIEW);
    assert_string_equal(json_get_c(r, "verdict"), "pass");
    /* by the hour of departure: those delays are not known in that hour */
    r = future(
        f, FLIGHTS_HEAD
        "features:\n  peek: { entity: origin, time: hour, sql: \"SELECT origin, date_trunc('hour', "
        "date) AS "
        "hour, avg(delay) AS delay_now, any_value(origin) AS name FROM flights GROUP BY ALL\" }\n");
    assert_string_equal(json_get_c(r, "verdict"), "fail");
    assert_string_equal(json_get_c(json_path(r, "views.0"), "view"), "peek");
    assert_non_null(strstr(json_get_c(json_path(r, "views.0"), "message"), "delay_now"));
    /* a window over rows that come later */
    r = future(
        f, FLIGHTS_HEAD
        "features:\n  lead: { entity: origin, time: ts, sql: \"SELECT origin, known_at AS ts, "
        "lead(delay) OVER "
        "(PARTITION BY origin ORDER BY known_at, distance, delay) AS next FROM flights\" }\n");
    assert_string_equal(json_get_c(r, "verdict"), "fail");
    /* a view of a view inherits it; one over a table without time cannot */
    r = future(f, FLIGHTS_HEAD "features:\n  a: { entity: origin, time: hour, sql: \"SELECT "
                               "origin, date_trunc('hour', date) AS hour, "
                               "avg(delay) AS d FROM flights GROUP BY ALL\" }\n  b: { entity: "
                               "origin, time: hour, sql: \"SELECT origin, "
                               "hour, d + 1 AS e FROM a\" }\n");
    assert_string_equal(json_get_c(json_path(r, "views.1"), "verdict"), "fail");
}

static void test_describe_orders_and_names_versions(void **state)
{
    struct fixture *f = *state;
    struct json *r = NULL;
    fixture_parquet(f, "flights.parquet", FLIGHTS);
    fixture_yaml(
        f, FLIGHTS_HEAD
        "features:\n  b: { entity: origin, time: h, sql: 'SELECT origin, h, d + 1 AS e FROM a' }\n"
        "  a: { entity: origin, time: h, sql: \"SELECT origin, known_at AS h, delay AS d FROM "
        "flights\" }\n");
    struct features_spec views = views_of(f);
    struct json *bindings = fixture_bindings(f);
    ASSERT_OK(views_describe(&f->env, &views, bindings, &f->a, &r, &f->err), &f->err);
    assert_string_equal(json_get_c(json_path(r, "0"), "name"), "a");
    assert_string_equal(json_get_c(json_path(r, "1.entity.0"), "type"), "string");
    assert_int_equal(json_len(json_path(r, "1.reads")), 2); /* a, and flights through it */
    const char *b = json_get_c(json_path(r, "1"), "version");
    views.p[1].sql = STR("SELECT origin, known_at AS h, delay * 2 AS d FROM flights");
    struct json *again = NULL;
    ASSERT_OK(views_describe(&f->env, &views, bindings, &f->a, &again, &f->err), &f->err);
    assert_string_not_equal(json_get_c(json_path(again, "1"), "version"),
                            b); /* what it reads has changed */
    views.p[1].sql = STR("SELECT origin, h, e AS d FROM b");
    assert_int_equal(views_describe(&f->env, &views, bindings, &f->a, &again, &f->err),
                     ERR_INVALID);
    assert_non_null(strstr(f->err.msg, "reads itself"));
    views.p[1].sql = STR("SELECT origin, known_at AS hh, delay AS d FROM flights");
    assert_int_equal(views_describe(&f->env, &views, bindings, &f->a, &again, &f->err),
                     ERR_INVALID);
    assert_non_null(strstr(f->err.msg, "view a"));
    views.p[1].sql = STR("SELECT * FROM read_csv('/etc/passwd')");
    assert_int_equal(views_describe(&f->env, &views, bindings, &f->a, &again, &f->err),
                     ERR_FORBIDDEN);
    views.p[1].sql = STR("COPY flights TO '/tmp/x.csv'");
    assert_int_equal(views_describe(&f->env, &views, bindings, &f->a, &again, &f->err),
                     ERR_INVALID);
}

static void test_static_leakage(void **state)
{
    struct fixture *f = *state;
    struct json *columns = NULL;
    struct dataset_spec d;
    fixture_yaml(
        f, FLIGHTS_HEAD
        "features: { request: { row: { late: delay * 2, hour: hour(date) } } }\n"
        "dataset: { rows: flights, label: delay > 15, features: [request.*, delay, distance] }\n");
    struct features_spec views = views_of(f);
    dataset_spec_decode(cfg_get(f->root, "dataset"), &f->sources, &views, &f->a, &d, &f->problems);
    fixture_no_problems(f);
    ASSERT_OK(dataset_label_columns(&f->env, &d, &f->a, &columns, &f->err), &f->err);
    assert_int_equal(json_len(columns), 1);
    ASSERT_OK(dataset_check_static(&d, &views, columns, &f->a, &f->problems, &f->err), &f->err);
    assert_int_equal(f->problems.n_errors, 2);
}

/* ---- materialisation ---- */

struct taken {
    int64_t n_rows, n_calls;
    int64_t newest;
};

static enum err_code take(void *arg, const char *path, struct err *err)
{
    struct taken *t = arg;
    struct feature_rows *rows = NULL;
    struct feature_row row;
    enum err_code code = feature_rows_open(path, &rows, err);
    if (code != ERR_OK)
        return code;
    assert_int_equal(json_len(json_get(feature_rows_header(rows), "columns")), 2);
    t->n_calls++;
    while (feature_rows_next(rows, &row)) {
        assert_int_equal(row.keys[0].type, VAL_STR);
        assert_true(row.known_us == row.time_us);
        t->n_rows++;
        t->newest = row.time_us > t->newest ? row.time_us : t->newest;
    }
    return feature_rows_close(rows, err);
}

static int64_t materialize(struct fixture *f, struct features_spec *views, int64_t to,
                           struct taken *t)
{
    struct json *r = NULL;
    struct materialize_order o = {.views = views,
                                  .bindings = fixture_bindings(f),
                                  .to_us = to,
                                  .keep_us = 400 * US_PER_DAY,
                                  .sink = take,
                                  .sink_arg = t};
    *t = (struct taken){0};
    if (features_materialize(&f->env, &o, &f->a, &r, &f->err) != ERR_OK)
        fail_msg("%s", f->err.msg);
    assert_int_equal(json_get_int(json_path(r, "views.0"), "rows_new", -1), t->n_rows);
    return t->n_rows;
}

static void test_materialisation_hands_over_what_is_new(void **state)
{
    struct fixture *f = *state;
    struct taken t;
    fixture_parquet(f, "flights.parquet", FLIGHTS);
    fixture_yaml(f, FLIGHTS_HEAD FLIGHTS_VIEW);
    struct features_spec views = views_of(f);
    int64_t day = at("2001-01-05");
    int64_t first = materialize(f, &views, day, &t);
    assert_true(first > 300);
    assert_true(t.newest <= day);
    assert_int_equal(materialize(f, &views, day, &t), 0); /* the same again: nothing */
    int64_t second = materialize(f, &views, day + US_PER_DAY, &t);
    assert_true(second > 60 && second <= 5 * 24);
    /* a flight of yesterday arrives late: exactly the hour that it changes is handed over again */
    fixture_parquet(
        f, "flights.parquet",
        str_printf(&f->a,
                   "%s UNION ALL SELECT TIMESTAMP '2001-01-04 08:00:00', 99, 140, 'A1', 'A2'",
                   FLIGHTS));
    assert_int_equal(materialize(f, &views, day + US_PER_DAY, &t), 1);
    ASSERT_OK(features_pause(&f->env, STR("airport_hour"), true, &f->err), &f->err);
    struct json *r = NULL, *list = NULL;
    struct materialize_order o = {.views = &views,
                                  .bindings = fixture_bindings(f),
                                  .to_us = day + 2 * US_PER_DAY,
                                  .sink = take,
                                  .sink_arg = &t};
    ASSERT_OK(features_materialize(&f->env, &o, &f->a, &r, &f->err), &f->err);
    assert_true(json_get_bool(json_path(r, "views.0"), "is_paused", false));
    ASSERT_OK(features_materializations(&f->env, &f->a, &list, &f->err), &f->err);
    assert_int_equal(json_len(list), 1);
}

static void test_damaged_rows_are_found(void **state)
{
    struct fixture *f = *state;
    struct taken t;
    struct json *r = NULL;
    struct str bytes;
    fixture_parquet(f, "flights.parquet", FLIGHTS);
    fixture_yaml(f, FLIGHTS_HEAD FLIGHTS_VIEW);
    struct features_spec views = views_of(f);
    struct json *args = json_obj(&f->a), *names = json_arr(&f->a);
    const char *path = fixture_path(f, "out-airport_hour.rows");
    json_add(&f->a, names, json_cstr(&f->a, "airport_hour"));
    json_set(&f->a, args, "views", features_views_json(&views, &f->a));
    json_set(&f->a, args, "names", names);
    json_set(&f->a, args, "bindings", fixture_bindings(f));
    json_set(&f->a, args, "to", json_time(&f->a, at("2001-01-03")));
    json_set(&f->a, args, "out", json_cstr(&f->a, fixture_path(f, "out")));
    ASSERT_OK(data_env_call(&f->env, "features.materialize", args, &f->a, &r, &f->err), &f->err);
    ASSERT_OK(take(&t, path, &f->err), &f->err);
    ASSERT_OK(file_read(path, 1 << 24, &f->a, &bytes, &f->err), &f->err);
    for (size_t cut = 0; cut < bytes.n; cut += 97) { /* cut anywhere, or one bit turned */
        ASSERT_OK(file_write(path, str_n(bytes.p, cut), 0600, &f->err), &f->err);
        assert_int_not_equal(take(&t, path, &f->err), ERR_OK);
        ((char *)(uintptr_t)bytes.p)[cut] ^= 1;
        ASSERT_OK(file_write(path, bytes, 0600, &f->err), &f->err);
        assert_int_not_equal(take(&t, path, &f->err), ERR_OK);
        ((char *)(uintptr_t)bytes.p)[cut] ^= 1;
    }
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_set_up, fixture_tear_down)

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "worker") == 0) {
        struct worker_op ops[32];
        size_t n = 0;
        for (size_t i = 0; i < N_DATA_WORKER_OPS; i++)
            ops[n++] = DATA_WORKER_OPS[i];
        for (size_t i = 0; i < N_FEATURES_WORKER_OPS; i++)
            ops[n++] = FEATURES_WORKER_OPS[i];
        return worker_main(3, ops, n);
    }
    const struct CMUnitTest tests[] = {
        T(test_newest_value_at_or_before_the_row),
        T(test_ttl_is_inclusive_at_both_ends),
        T(test_ties_and_nulls),
        T(test_late_rows),
        T(test_naive_times_of_view_and_source),
        T(test_against_a_naive_reference),
        T(test_a_data_set),
        T(test_splits_keep_their_gaps),
        T(test_a_planted_future_never_reaches_a_row),
        T(test_known_at_changes_the_set),
        T(test_as_of_leaves_out_what_was_not_known),
        T(test_samples_are_stable_and_told),
        T(test_labels_of_other_kinds),
        T(test_benchmark_days_never_move),
        T(test_a_view_that_knows_the_future_is_named),
        T(test_describe_orders_and_names_versions),
        T(test_static_leakage),
        T(test_materialisation_hands_over_what_is_new),
        T(test_damaged_rows_are_found),
    };
    return RUN_TESTS(tests);
}
