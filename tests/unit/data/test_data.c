/* data/: sources, versions by their bytes, the stat cache, profiles, what changed, time zones and known_at. */
#include "data_fixture.h"

#include <math.h>
#include <sys/stat.h>

#include "data/scan.h"
#include "data/stat_cache.h"

static const char YAML[] = "sources:\n"
                           "  trips:\n"
                           "    path: trips/*.csv\n"
                           "    time: at\n"
                           "    available_after: 45m\n"
                           "    freshness: 36h\n"
                           "    owner: data@example.com\n";

static void two_files(struct fixture *f)
{
    ASSERT_OK(dir_make(fixture_path(f, "trips"), 0700, &f->err), &f->err);
    fixture_write(f, "trips/a.csv",
                  "at,who,km\n2001-01-01 10:00:00,ann,3\n2001-01-01 11:00:00,bob,\n");
    fixture_write(f, "trips/b.csv", "at,who,km\n2001-01-02 10:00:00,ann,5\n");
    fixture_yaml(f, YAML);
    fixture_no_problems(f);
}

static void test_a_version_says_what_it_holds(void **state)
{
    struct fixture *f = *state;
    two_files(f);
    struct data_version v = fixture_snapshot(f, "trips");
    assert_int_equal(v.n_rows, 3);
    assert_int_equal(v.time_max_us - v.time_min_us, US_PER_DAY);
    assert_int_equal(v.known_max_us - v.time_max_us, 45 * US_PER_MIN);
    const struct json *km = json_path(v.doc, "profile.km");
    assert_int_equal(json_get_int(km, "nulls", -1), 1);
    assert_true(json_get_f64(km, "mean", 0) == 4.0);
    assert_int_equal(json_get_int(km, "max", 0), 5);
    assert_int_equal(json_len(json_get(km, "quantiles")), 17);
    assert_int_equal(json_get_int(json_path(v.doc, "profile.who.top.0"), "n", 0), 2);
    assert_int_equal(json_get_int(json_path(v.doc, "files.1"), "rows", 0), 1);
    assert_string_equal(json_get_c(json_path(v.doc, "columns.2"), "sql_type"), "BIGINT");
}

static void test_same_bytes_same_version(void **state)
{
    struct fixture *f = *state;
    bool is_new = false;
    two_files(f);
    struct data_version v = fixture_snapshot(f, "trips"), w = {0};
    ASSERT_OK(data_snapshot(&f->env, &f->sources.p[0], &f->a, &w, &is_new, &f->err), &f->err);
    assert_false(is_new);
    assert_int_equal(digest_cmp(&v.digest, &w.digest), 0);
    assert_int_equal(w.created_us, v.created_us);
    fixture_write(f, "trips/c.csv", "at,who,km\n2001-01-03 10:00:00,cat,7\n");
    ASSERT_OK(data_snapshot(&f->env, &f->sources.p[0], &f->a, &w, &is_new, &f->err), &f->err);
    assert_true(is_new);
    assert_int_not_equal(digest_cmp(&v.digest, &w.digest), 0);
    assert_int_equal(w.n_rows, 4);
    assert_int_equal(json_len(json_path(w.doc, "changes.files.added")), 1);
    atomic_fetch_add(&f->now_us, US_PER_DAY);
    ASSERT_OK(file_remove(fixture_path(f, "trips/c.csv"), &f->err), &f->err);
    ASSERT_OK(data_snapshot(&f->env, &f->sources.p[0], &f->a, &w, &is_new, &f->err), &f->err);
    assert_false(is_new);
    assert_int_equal(digest_cmp(&v.digest, &w.digest), 0);
    ASSERT_OK(data_version_load(&f->env, STR("trips"), STR(""), &f->a, &w, &f->err), &f->err);
    assert_int_equal(digest_cmp(&v.digest, &w.digest),
                     0); /* the newest is what the source is now */
}

static void test_old_versions_stay_readable(void **state)
{
    struct fixture *f = *state;
    struct json *b = NULL;
    struct str text;
    two_files(f);
    struct data_version v = fixture_snapshot(f, "trips");
    fixture_write(f, "trips/a.csv", "at,who,km\n");
    ASSERT_OK(data_binding(&f->env, &f->sources.p[0], &v, &f->a, &b, &f->err), &f->err);
    ASSERT_OK(file_read(json_get_c(json_path(b, "files.0"), "path"), 1000, &f->a, &text, &f->err),
              &f->err);
    assert_true(str_find(text, STR("ann")) > 0);
}

/* An edit that keeps size and modification time must be seen (ctime tells), and one within the clock's tick too. */
static void test_the_stat_cache_sees_every_edit(void **state)
{
    struct fixture *f = *state;
    struct digest before, now;
    int64_t n = 0;
    two_files(f);
    for (int i = 0; i < 20; i++) {
        char text[100];
        (void)snprintf(text, sizeof text, "at,who,km\n2001-01-02 10:00:00,ann,%d\n", i + 10);
        fixture_write(f, "trips/b.csv", text);
        ASSERT_OK(data_peek(&f->env, &f->sources.p[0], &f->a, &now, &n, &f->err), &f->err);
        if (i > 0)
            assert_int_not_equal(digest_cmp(&before, &now), 0);
        before = now;
        struct timespec same[2] = {{1, 0}, {1, 0}};
        assert_int_equal(utimensat(0, fixture_path(f, "trips/b.csv"), same, 0), 0);
    }
    assert_int_equal(n, 2);
}

static void test_what_changed_is_told_without_a_change_in_code(void **state)
{
    struct fixture *f = *state;
    fixture_parquet(
        f, "x.parquet",
        "SELECT TIMESTAMP '2001-01-01' + to_minutes(i) AS at, i % 100 AS v, 'k' || (i % 3) AS k "
        "FROM range(10000) t(i)");
    fixture_yaml(f, "sources: { x: { path: x.parquet, time: at } }\n");
    (void)fixture_snapshot(f, "x");
    fixture_parquet(
        f, "x.parquet",
        "SELECT TIMESTAMP '2001-01-01' + to_minutes(i) AS at, (i % 100) * 1.6 AS v, 'k' || (i % 3) "
        "AS k, 1 AS extra FROM range(10000) t(i)");
    struct data_version v = fixture_snapshot(f, "x");
    const struct json *changes = json_get(v.doc, "changes");
    assert_int_equal(json_len(json_get(changes, "schema")),
                     2); /* v has another type, extra is new */
    bool is_v_notable = false, is_k_notable = false;
    for (size_t i = 0; i < json_len(json_get(changes, "distribution")); i++) {
        const struct json *c = json_at(json_get(changes, "distribution"), i);
        if (str_is(json_get_str(c, "column"), "v"))
            is_v_notable = json_get_bool(c, "is_notable", false);
        if (str_is(json_get_str(c, "column"), "k"))
            is_k_notable = json_get_bool(c, "is_notable", false);
    }
    assert_true(is_v_notable);
    assert_false(is_k_notable);
    assert_true(json_len(json_get(changes, "notable")) >= 3);
}

static const struct json *profiled(const struct data_version *v, const char *column)
{
    return json_get(json_get(v->doc, "profile"), column);
}

/* Files that are added are merged into the profile; it says what a profile of everything says. */
static void test_a_grown_source_is_profiled_by_its_new_files(void **state)
{
    struct fixture *f = *state;
    struct data_version grown = {0}, whole;
    static const char *const NUMBERS[] = {"v", "w"};
    fixture_yaml(f, "sources: { g: { path: 'g*.parquet', time: ts } }\n");
    for (int i = 0; i < 5; i++) {
        fixture_parquet(
            f, str_printf(&f->a, "g%d.parquet", i),
            str_printf(&f->a,
                       "SELECT TIMESTAMP '2001-01-01' + to_minutes(%d + i) AS ts, CASE WHEN i %% "
                       "17 > 0 THEN CAST(hash(i, %d) "
                       "%% 1000 AS BIGINT) + %d END AS v, ln(1 + hash(i, %d) %% 99991) AS w, 'k' "
                       "|| (hash(i, %d) %% 7 + %d) AS k, "
                       "'id' || hash(i, %d) AS id, i %% 3 = 0 AS b FROM range(4000) t(i)",
                       i * 4000, i, i * 50, i + 9, i, i, i));
        atomic_fetch_add(&f->now_us, US_PER_S);
        grown = fixture_snapshot(f, "g");
    }
    f->env.project = "another"; /* where nothing is known yet */
    whole = fixture_snapshot(f, "g");
    assert_int_equal(digest_cmp(&grown.digest, &whole.digest), 0);
    assert_int_equal(grown.n_rows, 20000);
    assert_int_equal(grown.time_max_us, whole.time_max_us);
    assert_int_equal(grown.known_max_us, whole.known_max_us);
    assert_true(json_eq(json_get(grown.doc, "files"), json_get(whole.doc, "files")));
    assert_true(
        json_eq(json_get(profiled(&grown, "k"), "top"), json_get(profiled(&whole, "k"), "top")));
    assert_true(
        json_eq(json_get(profiled(&grown, "b"), "top"), json_get(profiled(&whole, "b"), "top")));
    for (size_t c = 0; c < 2; c++) {
        const struct json *x = profiled(&grown, NUMBERS[c]), *y = profiled(&whole, NUMBERS[c]);
        double range = json_get_f64(y, "max", 0) - json_get_f64(y, "min", 0);
        assert_int_equal(json_get_int(x, "nulls", -1), json_get_int(y, "nulls", -2));
        assert_true(json_eq(json_get(x, "min"), json_get(y, "min")) &&
                    json_eq(json_get(x, "max"), json_get(y, "max")));
        assert_true(fabs(json_get_f64(x, "mean", 0) - json_get_f64(y, "mean", 1)) < 1e-9 * range);
        assert_true(fabs(json_get_f64(x, "std", 0) - json_get_f64(y, "std", 1)) < 1e-9 * range);
        for (size_t q = 1; q < 16; q++) {
            double a = 0, b = 0;
            assert_true(json_as_f64(json_at(json_get(x, "quantiles"), q), &a) &&
                        json_as_f64(json_at(json_get(y, "quantiles"), q), &b));
            assert_true(fabs(a - b) < 0.03 * range);
        }
    }
    double distinct = json_get_f64(profiled(&grown, "id"), "distinct", 0);
    assert_true(distinct > 16000 && distinct < 24000); /* five times 1/16 */
}

static void test_freshness(void **state)
{
    struct fixture *f = *state;
    two_files(f);
    struct data_version v = fixture_snapshot(f, "trips");
    struct json *j = data_freshness(&f->sources.p[0], &v, v.time_max_us + 36 * US_PER_HOUR, &f->a);
    assert_false(json_get_bool(j, "is_stale", true));
    j = data_freshness(&f->sources.p[0], &v, v.time_max_us + 36 * US_PER_HOUR + 1, &f->a);
    assert_true(json_get_bool(j, "is_stale", false));
}

static struct table_values scan(struct fixture *f, const char *sql, int64_t as_of_us)
{
    struct table *t = NULL;
    struct table_values v = {0};
    struct json *bindings = fixture_bindings(f);
    ASSERT_OK(table_open(&(struct table_options){.n_threads = 2}, &t, &f->err), &f->err);
    ASSERT_OK(data_scan_bind_all(t, bindings, NULL, 0, &f->err), &f->err);
    ASSERT_OK(data_scan_set_as_of(t, as_of_us, &f->err), &f->err);
    if (table_fetch(t, TABLE_SQL(sql), 1000, &f->a, &v, &f->err) != ERR_OK)
        fail_msg("%s", f->err.msg);
    table_close(t);
    return v;
}

static int64_t at(const char *text)
{
    struct err err = ERR_INIT;
    int64_t us = 0;
    ASSERT_OK(parse_time_us(str_c(text), &us, &err), &err);
    return us;
}

static void test_naive_times_take_the_sources_zone(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, "z.csv", "ts,x\n2001-01-15 12:00:00,1\n2001-07-15 12:00:00,2\n");
    fixture_yaml(f, "sources: { z: { path: z.csv, time: ts, timezone: America/Chicago } }\n");
    struct table_values v = scan(f, "SELECT ts, known_at FROM z ORDER BY x", AT_US_NONE);
    assert_int_equal(v.p[0].u.i, at("2001-01-15 18:00:00")); /* winter: UTC-6 */
    assert_int_equal(v.p[2].u.i, at("2001-07-15 17:00:00")); /* summer: UTC-5 */
    assert_int_equal(v.p[1].u.i, v.p[0].u.i);
}

static void test_known_at_and_as_of(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, "k.csv",
                  "ts,km\n2001-01-01 10:00:00,7\n2001-01-01 10:00:00,70\n2001-01-01 10:00:00,\n");
    fixture_yaml(
        f, "sources: { k: { path: k.csv, time: ts, known_at: 'ts + to_minutes(km // 7)' } }\n");
    struct table_values v = scan(f, "SELECT km FROM k ORDER BY km", at("2001-01-01 10:05:00"));
    assert_int_equal(v.n_rows, 1); /* 70 is known at 10:10; nothing says when the third one is */
    v = scan(f, "SELECT km FROM k", AT_US_NONE);
    assert_int_equal(v.n_rows, 3);
}

static void test_ordinals_run_through_the_files(void **state)
{
    struct fixture *f = *state;
    fixture_parquet(f, "p1.parquet",
                    "SELECT i AS x, TIMESTAMP '2001-01-01' AS at FROM range(300000) t(i)");
    fixture_parquet(f, "p2.parquet",
                    "SELECT i + 300000 AS x, TIMESTAMP '2001-01-01' AS at FROM range(5) t(i)");
    two_files(f);
    fixture_yaml(
        f, "sources: { p: { path: 'p?.parquet', time: at }, trips: { path: 'trips/*.csv' } }\n");
    struct table_values v =
        scan(f, "SELECT count(*), count(*) FILTER (WHERE x = __row), max(__row) FROM p__rows",
             AT_US_NONE);
    assert_int_equal(v.p[0].u.i, 300005);
    assert_int_equal(v.p[1].u.i, 300005);
    assert_int_equal(v.p[2].u.i, 300004);
    v = scan(f, "SELECT __row, who FROM trips__rows ORDER BY __row", AT_US_NONE);
    assert_int_equal(v.n_rows, 3);
    assert_int_equal(v.p[4].u.i, 2);
}

static void test_kinds_by_content(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, "j.data",
                  "{\"a\": 1, \"at\": \"2001-01-01T00:00:00Z\"}\n{\"a\": null, \"at\": "
                  "\"2001-01-01T01:00:00Z\"}\n");
    fixture_yaml(f, "sources: { j: { path: j.data, time: at } }\n");
    struct data_version v = fixture_snapshot(f, "j");
    assert_string_equal(json_get_c(v.doc, "kind"), "jsonl");
    assert_int_equal(v.n_rows, 2);
    assert_int_equal(v.time_min_us, at("2001-01-01"));
}

static void test_extract(void **state)
{
    struct fixture *f = *state;
    struct data_version v = {0};
    fixture_yaml(f, "sources:\n"
                    "  pulled: { extract: { run: 'printf \"a,b\\n1,2\\n\" > $PAWL_OUT/x.csv' } }\n"
                    "  broken: { extract: { run: 'echo no such table >&2; exit 3' } }\n"
                    "  empty: { extract: { run: 'true' } }\n");
    fixture_no_problems(f);
    v = fixture_snapshot(f, "pulled");
    assert_int_equal(v.n_rows, 1);
    struct digest first = v.digest;
    v = fixture_snapshot(f, "pulled");
    assert_int_equal(digest_cmp(&first, &v.digest), 0);
    assert_int_equal(data_snapshot(&f->env, &f->sources.p[1], &f->a, &v, NULL, &f->err), ERR_CHILD);
    assert_non_null(strstr(f->err.msg, "no such table"));
    assert_int_equal(data_snapshot(&f->env, &f->sources.p[2], &f->a, &v, NULL, &f->err),
                     ERR_NOT_FOUND);
}

static void test_sql_sources(void **state)
{
    struct fixture *f = *state;
    struct data_version v = {0};
    two_files(f);
    (void)fixture_snapshot(
        f, "trips"); /* leaves rows in our own store, which serves as the foreign one */
    fixture_yaml(
        f, "sources:\n"
           "  ours: { sql: 'SELECT digest, n_rows, n_rows / 7.0 AS share, NULL AS none FROM "
           "data_versions', "
           "connection: 'sqlite:.pawl/${PAWL_TEST_DB}' }\n"
           "  writes: { sql: 'DELETE FROM data_versions', connection: 'sqlite:.pawl/pawl.db' }\n"
           "  two: { sql: 'SELECT 1; SELECT 2', connection: 'sqlite:.pawl/pawl.db' }\n"
           "  absent: { sql: 'SELECT 1', connection: 'sqlite:nowhere.db' }\n"
           "  down: { sql: 'SELECT 1', connection: 'host=127.0.0.1 port=1 connect_timeout=2' }\n");
    fixture_no_problems(f);
    assert_int_equal(data_snapshot(&f->env, &f->sources.p[0], &f->a, &v, NULL, &f->err),
                     ERR_CONFIG);
    assert_non_null(strstr(f->err.msg, "PAWL_TEST_DB"));
    assert_int_equal(setenv("PAWL_TEST_DB", "pawl.db", 1), 0);
    v = fixture_snapshot(f, "ours");
    assert_int_equal(v.n_rows, 1);
    assert_string_equal(json_get_c(json_path(v.doc, "columns.1"), "type"), "int");
    assert_true(json_get_f64(json_path(v.doc, "profile.share"), "max", 0) == 3 / 7.0);
    assert_int_equal(data_snapshot(&f->env, &f->sources.p[1], &f->a, &v, NULL, &f->err),
                     ERR_INVALID);
    assert_int_equal(data_snapshot(&f->env, &f->sources.p[2], &f->a, &v, NULL, &f->err),
                     ERR_INVALID);
    assert_int_equal(data_snapshot(&f->env, &f->sources.p[3], &f->a, &v, NULL, &f->err),
                     ERR_NOT_FOUND);
    assert_int_equal(data_snapshot(&f->env, &f->sources.p[4], &f->a, &v, NULL, &f->err),
                     ERR_UNAVAILABLE);
}

static void test_errors_name_source_and_column(void **state)
{
    struct fixture *f = *state;
    struct data_version v = {0};
    two_files(f);
    fixture_yaml(
        f,
        "sources: { trips: { path: 'trips/*.csv', time: att }, none: { path: nothing/*.csv } }\n");
    assert_int_equal(data_snapshot(&f->env, &f->sources.p[0], &f->a, &v, NULL, &f->err),
                     ERR_INVALID);
    assert_non_null(strstr(f->err.msg, "did you mean 'at'"));
    assert_int_equal(data_snapshot(&f->env, &f->sources.p[1], &f->a, &v, NULL, &f->err),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(f->err.msg, "nothing/*.csv"));
    fixture_yaml(f, "sources: { a: { path: x, sql: y }, b-c: { path: x }, d: { path: x, freshness: "
                    "1h }, e: { pth: x } }\n");
    assert_true(f->problems.n_errors >= 5);
}

static void test_a_reference_keeps_only_the_hash(void **state)
{
    struct fixture *f = *state;
    struct json *b = NULL;
    two_files(f);
    fixture_yaml(f, "sources: { trips: { path: 'trips/*.csv', reference: true } }\n");
    struct data_version v = fixture_snapshot(f, "trips");
    struct digest d;
    ASSERT_OK(digest_parse(json_get_str(json_path(v.doc, "files.0"), "sha256"), &d, &f->err),
              &f->err);
    assert_false(blob_has(f->env.blobs, &d));
    assert_true(json_get_bool(v.doc, "reference", false));
    ASSERT_OK(file_remove(fixture_path(f, "trips/a.csv"), &f->err), &f->err);
    assert_int_equal(data_binding(&f->env, &f->sources.p[0], &v, &f->a, &b, &f->err),
                     ERR_NOT_FOUND);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_set_up, fixture_tear_down)

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "worker") == 0)
        return worker_main(3, DATA_WORKER_OPS, N_DATA_WORKER_OPS);
    const struct CMUnitTest tests[] = {
        T(test_a_version_says_what_it_holds),
        T(test_same_bytes_same_version),
        T(test_old_versions_stay_readable),
        T(test_the_stat_cache_sees_every_edit),
        T(test_what_changed_is_told_without_a_change_in_code),
        T(test_a_grown_source_is_profiled_by_its_new_files),
        T(test_freshness),
        T(test_naive_times_take_the_sources_zone),
        T(test_known_at_and_as_of),
        T(test_ordinals_run_through_the_files),
        T(test_kinds_by_content),
        T(test_extract),
        T(test_sql_sources),
        T(test_errors_name_source_and_column),
        T(test_a_reference_keeps_only_the_hash),
    };
    return RUN_TESTS(tests);
}
