/* table/: every type that is read, streaming, locking, cancel, Parquet, digests, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "table/table.h"

struct fixture {
    struct table *t;
    struct arena a;
    char dir[64];
    char path[128];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err err = ERR_INIT;
    arena_init(&f->a, 64 << 20);
    memcpy(f->dir, "/tmp/pawl-table-XXXXXX", sizeof "/tmp/pawl-table-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/out.parquet", f->dir);
    if (table_open(&(struct table_options){.n_threads = 2, .temp_dir = f->dir}, &f->t, &err) !=
        ERR_OK)
        fail_msg("%s", err.msg);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    table_close(f->t);
    assert_int_equal(dir_remove(f->dir, &err), ERR_OK);
    arena_fini(&f->a);
    free(f);
    return 0;
}

static struct value get(struct fixture *f, const char *sql)
{
    struct err err = ERR_INIT;
    struct value v = {0};
    if (table_get(f->t, TABLE_SQL(sql), &f->a, &v, &err) != ERR_OK)
        fail_msg("%s: %s", sql, err.msg);
    return v;
}

static enum err_code get_code(struct fixture *f, const char *sql, struct err *err)
{
    struct value v = {0};
    return table_get(f->t, TABLE_SQL(sql), &f->a, &v, err);
}

static void run(struct fixture *f, const char *sql)
{
    struct err err = ERR_INIT;
    if (table_exec(f->t, TABLE_SQL(sql), &err) != ERR_OK)
        fail_msg("%s: %s", sql, err.msg);
}

static void assert_text(struct value v, const char *text)
{
    assert_int_equal(v.type, VAL_STR);
    assert_true(str_is(v.u.s, text));
}

static void test_integers(void **state)
{
    static const char *const types[] = {"TINYINT",   "SMALLINT", "INTEGER", "BIGINT",  "UTINYINT",
                                        "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "UHUGEINT"};
    struct fixture *f = *state;
    char sql[64];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        (void)snprintf(sql, sizeof sql, "SELECT 117::%s", types[i]);
        struct value v = get(f, sql);
        assert_int_equal(v.type, VAL_INT);
        assert_int_equal(v.u.i, 117);
    }
    assert_true(get(f, "SELECT (-9223372036854775808)::HUGEINT").u.i == INT64_MIN);
    assert_true(get(f, "SELECT 9223372036854775807::UBIGINT").u.i == INT64_MAX);
    struct err err = ERR_INIT;
    assert_int_equal(get_code(f, "SELECT 9223372036854775808::UBIGINT AS big", &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "big"));
    assert_int_equal(get_code(f, "SELECT (-9223372036854775809)::HUGEINT", &err), ERR_RANGE);
}

static void test_other_types(void **state)
{
    struct fixture *f = *state;
    assert_true(get(f, "SELECT true").u.b);
    assert_true(get(f, "SELECT 1.25::FLOAT").u.f == 1.25);
    assert_true(get(f, "SELECT 12.34::DECIMAL(4,2)").u.f == 12.34);
    assert_true(get(f, "SELECT 12.34::DECIMAL(9,2)").u.f == 12.34);
    assert_true(get(f, "SELECT -12.34::DECIMAL(18,2)").u.f == -12.34);
    assert_true(get(f, "SELECT 12.5::DECIMAL(38,2)").u.f == 12.5);
    assert_true(get(f, "SELECT -12.5::DECIMAL(38,2)").u.f == -12.5);
    assert_int_equal(get(f, "SELECT DATE '1970-01-02'").u.i, US_PER_DAY);
    assert_int_equal(get(f, "SELECT TIMESTAMP '1970-01-01 00:00:01.5'").u.i, 1500000);
    assert_int_equal(get(f, "SELECT TIMESTAMP_S '1970-01-01 00:00:02'").u.i, 2000000);
    assert_int_equal(get(f, "SELECT TIMESTAMP_MS '1970-01-01 00:00:02.5'").u.i, 2500000);
    assert_int_equal(get(f, "SELECT TIMESTAMP_NS '1969-12-31 23:59:59.999999999'").u.i, -1);
    assert_int_equal(get(f, "SELECT TIMESTAMPTZ '1970-01-01 01:00:00+01'").u.i, 0);
    assert_int_equal(get(f, "SELECT TIMESTAMPTZ '1970-01-01 00:00:00'").u.i,
                     0); /* the session is in UTC */
    assert_text(get(f, "SELECT 'a text longer than twelve bytes'"),
                "a text longer than twelve bytes");
    assert_text(get(f, "SELECT 'short'"), "short");
    assert_text(get(f, "SELECT 'x'::ENUM('y', 'x')"), "x");
    assert_text(get(f, "SELECT '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::UUID"),
                "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    assert_text(get(f, "SELECT TIME '12:34:56.5'"), "12:34:56.500000");
    assert_int_equal(get(f, "SELECT '\\x00\\xff'::BLOB").u.s.n, 2);
    assert_int_equal(get(f, "SELECT NULL").type, VAL_NULL);
    assert_int_equal(get(f, "SELECT NULL::BIGINT").type, VAL_NULL);
    double nan = get(f, "SELECT 'NaN'::DOUBLE").u.f;
    assert_true(nan != nan);
}

static void test_lists_are_refused_with_a_sentence(void **state)
{
    struct err err = ERR_INIT;
    assert_int_equal(get_code(*state, "SELECT [1, 2] AS tags", &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "\"tags\""));
    assert_int_equal(get_code(*state, "SELECT {'a': 1} AS s", &err), ERR_UNSUPPORTED);
    assert_int_equal(get_code(*state, "SELECT 1", &err), ERR_OK);
}

static void test_streaming_and_parameters(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct table_rows *rows = NULL;
    struct table_chunk c;
    struct value args[] = {{.type = VAL_INT, .u.i = 100000}, {.type = VAL_STR, .u.s = STR("it's")}};
    struct table_sql q = {"SELECT i, nullif(i % 3, 0) AS m, $2 AS s FROM range($1) t(i)", args, 2};
    int64_t sum = 0, nulls = 0, n = 0;
    assert_int_equal(table_query(f->t, &q, &rows, &err), ERR_OK);
    assert_int_equal(table_rows_n_cols(rows), 3);
    assert_string_equal(table_rows_cols(rows)[1].name, "m");
    while (table_rows_next(rows, &c, &err) == ERR_OK && c.n_rows > 0)
        for (size_t i = 0; i < c.n_rows; i++, n++) {
            sum += c.cols[0].u.i[i];
            nulls += column_value(&c.cols[1], i).type == VAL_NULL;
            assert_true(str_is(c.cols[2].u.s[i], "it's"));
        }
    table_rows_close(rows);
    assert_int_equal(n, 100000);
    assert_int_equal(sum, INT64_C(99999) * 50000);
    assert_int_equal(nulls, 33334);
    q.n_params = 1;
    assert_int_equal(table_query(f->t, &q, &rows, &err), ERR_INVALID);
}

static void test_errors_have_codes(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    assert_int_equal(get_code(f, "SELEKT 1", &err), ERR_INVALID);
    assert_int_equal(get_code(f, "SELECT nope FROM range(3)", &err), ERR_INVALID);
    assert_int_equal(get_code(f, "SELECT * FROM read_parquet('/nowhere/x.parquet')", &err),
                     ERR_NOT_FOUND);
    assert_int_equal(get_code(f, "SELECT 'x'::INT", &err), ERR_INVALID);
    assert_null(strchr(err.msg, '\n'));
    assert_int_equal(get_code(f, "SELECT * FROM read_csv('https://localhost:1/x.csv')", &err),
                     ERR_UNSUPPORTED);
}

static void test_lock(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    char other[160], sql[400], temp[160];
    int64_t n = 0;
    table_close(f->t);
    f->t = NULL;
    (void)snprintf(temp, sizeof temp, "%s/temp", f->dir);
    assert_int_equal(
        table_open(&(struct table_options){.n_threads = 2, .temp_dir = temp}, &f->t, &err), ERR_OK);
    assert_int_equal(table_write_parquet(f->t, STR("SELECT 1 AS x"), f->path, &n, &err), ERR_OK);
    (void)snprintf(other, sizeof other, "%s/secret.csv", f->dir);
    assert_int_equal(file_write(other, STR("a\n1\n"), 0600, &err), ERR_OK);
    (void)snprintf(sql, sizeof sql, "CREATE VIEW v AS SELECT * FROM read_parquet('%s')", f->path);
    run(f, sql);
    const char *paths[] = {f->path};
    assert_int_equal(table_lock(f->t, paths, 1, &err), ERR_OK);
    assert_int_equal(get(f, "SELECT x FROM v").u.i, 1);
    (void)snprintf(sql, sizeof sql, "SELECT * FROM read_csv('%s')", other);
    assert_int_equal(get_code(f, sql, &err), ERR_FORBIDDEN);
    (void)snprintf(sql, sizeof sql, "COPY (SELECT 1) TO '%s/new.csv'", f->dir);
    assert_int_equal(get_code(f, sql, &err), ERR_FORBIDDEN);
    assert_int_not_equal(get_code(f, "SET enable_external_access=true", &err), ERR_OK);
    assert_int_not_equal(get_code(f, "SET threads=1", &err), ERR_OK);
    assert_int_not_equal(get_code(f, "INSTALL httpfs", &err), ERR_OK);
    assert_int_not_equal(get_code(f, "ATTACH '/tmp/x.db'", &err), ERR_OK);
    /* work that spills or writes the named file still runs */
    assert_int_equal(table_write_parquet(f->t, STR("SELECT 2 AS x"), f->path, &n, &err), ERR_OK);
}

static void *interrupter(void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 50; i++) {
        table_interrupt(f->t);
        (void)usleep(2000);
    }
    return NULL;
}

static void test_interrupt(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    pthread_t th;
    assert_int_equal(thread_start(&th, "interrupt", interrupter, f, &err), ERR_OK);
    enum err_code code = get_code(
        f, "SELECT sum(a.range * b.range % 7) FROM range(10000000) a, range(100000) b", &err);
    (void)pthread_join(th, NULL);
    assert_int_equal(code, ERR_CANCELLED);
    assert_int_equal(get(f, "SELECT 42").u.i, 42);
}

static void test_parquet_is_ordered_and_digest_tells_rows_apart(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct digest a, b;
    int64_t n = 0;
    char sql[400];
    run(f, "CREATE TABLE x AS SELECT i, i / 7.0 AS f, 'r' || i AS s FROM range(300000) t(i)");
    assert_int_equal(
        table_write_parquet(f->t, STR("SELECT * FROM x ORDER BY i"), f->path, &n, &err), ERR_OK);
    assert_int_equal(n, 300000);
    (void)snprintf(sql, sizeof sql, "SELECT * FROM read_parquet('%s')", f->path);
    assert_int_equal(table_digest(f->t, STR("SELECT * FROM x ORDER BY i"), &a, &n, &err), ERR_OK);
    assert_int_equal(table_digest(f->t, str_c(sql), &b, &n, &err), ERR_OK);
    assert_int_equal(n, 300000);
    assert_int_equal(digest_cmp(&a, &b), 0);
    run(f, "UPDATE x SET f = NULL WHERE i = 150000");
    assert_int_equal(table_digest(f->t, STR("SELECT * FROM x ORDER BY i"), &b, &n, &err), ERR_OK);
    assert_int_not_equal(digest_cmp(&a, &b), 0);
    assert_int_equal(table_digest(f->t, STR("SELECT i AS j, f, s FROM x ORDER BY i"), &a, &n, &err),
                     ERR_OK);
    assert_int_not_equal(digest_cmp(&a, &b), 0);
}

static void test_put_and_load(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    int64_t is[] = {1, 2, 3}, ts[] = {0, US_PER_S, -1};
    double fs[] = {0.5, 1.5, -0.0};
    uint8_t valid[] = {1, 0, 1}, bs[] = {1, 0, 1};
    struct str ss[] = {STR("a"), STR("a longer text than twelve"), STR("")};
    struct column cols[] = {{"i", VAL_INT, 3, valid, {.i = is}},
                            {"t", VAL_TIME, 3, NULL, {.i = ts}},
                            {"f", VAL_FLOAT, 3, NULL, {.f = fs}},
                            {"b", VAL_BOOL, 3, NULL, {.b = bs}},
                            {"s", VAL_STR, 3, NULL, {.s = ss}}};
    struct table_columns got = {0};
    assert_int_equal(table_put(f->t, "p", cols, 5, &err), ERR_OK);
    assert_int_equal(table_load(f->t, TABLE_SQL("SELECT * FROM p"), &f->a, &got, &err), ERR_OK);
    assert_int_equal(got.n_rows, 3);
    assert_int_equal(got.n_cols, 5);
    for (size_t j = 0; j < 5; j++)
        for (size_t i = 0; i < 3; i++) {
            struct value x = column_value(&cols[j], i), y = column_value(&got.p[j], i);
            assert_true(value_same(&x, &y));
        }
}

static void test_select_only(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    assert_int_equal(table_check_select(f->t, STR("SELECT 1"), &err), ERR_OK);
    assert_int_equal(table_check_select(f->t, STR("WITH a AS (SELECT 1) FROM a -- end"), &err),
                     ERR_OK);
    assert_int_equal(table_check_select(f->t, STR(""), &err), ERR_INVALID);
    assert_int_equal(table_check_select(f->t, STR("SELECT 1; SELECT 2"), &err), ERR_INVALID);
    assert_int_equal(table_check_select(f->t, STR("CREATE TABLE y(i INT)"), &err), ERR_INVALID);
    assert_int_equal(table_check_select(f->t, STR("SELECT 1) UNION (SELECT 2"), &err), ERR_INVALID);
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct table_names n = {0};
    if (table_names_used(f->t, STR("delay > 15 AND f.origin <> 'x'"), true, &f->a, &n, &err) !=
        ERR_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(n.n_columns, 2);
    assert_true(str_is(n.columns[0], "delay"));
    assert_true(str_is(n.columns[1], "origin"));
    assert_int_equal(
        table_names_used(f->t,
                         STR("WITH c AS (SELECT a FROM src) SELECT b FROM c JOIN other USING (a)"),
                         false, &f->a, &n, &err),
        ERR_OK);
    assert_int_equal(n.n_tables, 2);
    assert_true(str_is(n.tables[0], "src") || str_is(n.tables[1], "src"));
    assert_true(str_is(n.tables[0], "other") || str_is(n.tables[1], "other"));
    assert_int_equal(table_names_used(f->t, STR("delay >"), true, &f->a, &n, &err), ERR_INVALID);
}

static void test_describe(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct table_column *cols = NULL;
    size_t n = 0;
    assert_int_equal(
        table_describe(f->t, STR("SELECT 1::DECIMAL(9,2) AS d, [1] AS l, DATE '2001-01-01' AS day"),
                       &f->a, &cols, &n, &err),
        ERR_OK);
    assert_int_equal(n, 3);
    assert_string_equal(cols[0].sql_type, "DECIMAL(9,2)");
    assert_int_equal(cols[0].type, VAL_FLOAT);
    assert_false(cols[1].is_supported);
    assert_true(cols[2].is_date);
}

static void test_sql_text(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_init(&b, 1000);
    table_sql_ident(&b, STR("a\"b"));
    table_sql_text(&b, STR("it's"));
    assert_true(str_is(buf_view(&b), "\"a\"\"b\"'it''s'"));
    buf_fini(&b);
}

static void test_memory_limit_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct table *t = NULL;
    struct value v;
    assert_int_equal(
        table_open(&(struct table_options){.n_threads = 1, .memory_bytes = 64 << 20}, &t, &err),
        ERR_OK);
    enum err_code code = table_get(
        t,
        TABLE_SQL("SELECT count(*) FROM (SELECT i, i * 7 % 1000003 AS k FROM range(20000000) t(i)"
                  " ORDER BY k, i LIMIT 19999999)"),
        &f->a, &v, &err);
    table_close(t);
    assert_int_equal(code, ERR_LIMIT);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_integers),
        T(test_other_types),
        T(test_lists_are_refused_with_a_sentence),
        T(test_streaming_and_parameters),
        T(test_errors_have_codes),
        T(test_lock),
        T(test_interrupt),
        T(test_parquet_is_ordered_and_digest_tells_rows_apart),
        T(test_put_and_load),
        T(test_select_only),
        T(test_names),
        T(test_describe),
        T(test_sql_text),
        T(test_memory_limit_is_an_error),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
