/* The language by example: values, types, errors with their place, canonical text, names, limits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "expr_try.h"

static const struct expr_column COLS[] = {
    {"i", VAL_INT},        {"f", VAL_FLOAT},      {"b", VAL_BOOL},      {"s", VAL_STR},
    {"t", VAL_TIME},       {"view.x", VAL_FLOAT}, {"other.x", VAL_INT}, {"other.y", VAL_INT},
    {"odd name", VAL_INT}, {"nothing", VAL_NULL},
};
#define N_COLS (sizeof COLS / sizeof COLS[0])

static const int64_t T = INT64_C(983693700000000); /* 2001-03-04 08:15:00, a Sunday */

static void row(struct value *v)
{
    v[0] = V_INT(7);
    v[1] = V_F(2.5);
    v[2] = V_BOOL(true);
    v[3] = V_STR("h\xc3\xa9llo");
    v[4] = V_TIME(T);
    v[5] = V_INT(3); /* an int where the column is a float */
    v[6] = V_INT(5);
    v[7] = V_INT(6);
    v[8] = V_INT(9);
    v[9] = V_NULL;
}

static void check(const char *text, struct value want)
{
    struct arena a;
    arena_init(&a, 1 << 24);
    struct err err = ERR_INIT;
    struct expr *e;
    struct expr_state st;
    struct value vals[N_COLS], got;
    row(vals);
    if (expr_compile(str_c(text), COLS, N_COLS, &a, &e, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.msg);
    if (expr_state_init(&st, e, &a, EXPR_TEXT_BYTES, &err) != ERR_OK)
        fail_msg("%s", err.msg);
    expr_eval(e, &st, vals, &got);
    if (!value_same(&want, &got))
        fail_msg("%s gives type %s int %lld float %.17g", text, value_type_name(got.type),
                 (long long)got.u.i, got.u.f);
    if (got.type != VAL_NULL)
        assert_int_equal(got.type, expr_type(e));
    arena_fini(&a);
}

static void check_error(const char *text, const char *want)
{
    struct arena a;
    arena_init(&a, 1 << 24);
    struct err err = ERR_INIT;
    struct expr *e;
    assert_int_not_equal(expr_compile(str_c(text), COLS, N_COLS, &a, &e, &err), ERR_OK);
    if (!strstr(err.msg, want))
        fail_msg("%s: said '%s', not '%s'", text, err.msg, want);
    arena_fini(&a);
}

static void test_values(void **state)
{
    (void)state;
    check("i + 1", V_INT(8));
    check("i + 0.5", V_F(7.5));
    check("i / 2", V_F(3.5));
    check("-i // 2", V_INT(-3));
    check("-i % 4", V_INT(-3));
    check("i // 0", V_NULL);
    check("i % 0", V_NULL);
    check("i / 0", V_F(INFINITY));
    check("9223372036854775807 + i", V_NULL);
    check("-2 ^ 2", V_F(4));
    check("2 ** 3 ^ 2", V_F(64));
    check("1 + 2 * 3 - 4", V_INT(3));
    check("(1 + 2) * 3", V_INT(9));
    check("abs(-f)", V_F(2.5));
    check("round(f)", V_F(3));
    check("round(-f)", V_F(-3));
    check("round(2.345, 2)", V_F(2.35));
    check("round(15, -1)", V_INT(20));
    check("ln(0)", V_NULL);
    check("ln(f - f)", V_NULL);
    check("sqrt(-1)", V_NULL);
    check("f::int", V_INT(2));
    check("3.5::bigint", V_INT(4));
    check("int(b)", V_INT(1));
    check("(i > 6)::int + 1", V_INT(2));
    check("view.x + 1", V_F(4));
    check("y * 2", V_INT(12));
    check("\"odd name\" + 1", V_INT(10));
    check("\"other\".\"x\"", V_INT(5));
    check("nothing + 1", V_NULL);
    check("coalesce(nothing, null, i)", V_INT(7));
    check("greatest(1, null, f)", V_F(2.5));
    check("least(i, f)", V_F(2.5));
    check("nullif(i, 7)", V_NULL);
    check("geo_distance_km(0, 0, 0, 180)", V_F(3.14159265358979323846 * 6371.0088));
    check("geo_distance_km(91, 0, 0, 180)", V_NULL);
}

static void test_logic(void **state)
{
    (void)state;
    check("b and null", V_NULL);
    check("not b and null", V_BOOL(false));
    check("b or null", V_BOOL(true));
    check("not b or i > 6", V_BOOL(true));
    check("not i = 6", V_BOOL(true));
    check("i between 7 and 8 and b", V_BOOL(true));
    check("i not between 7 and 8", V_BOOL(false));
    check("i in (1, 7, null)", V_BOOL(true));
    check("i in (1, null)", V_NULL);
    check("i not in (1, 2.5)", V_BOOL(true));
    check("nothing is null", V_BOOL(true));
    check("i is not null = b", V_BOOL(true));
    check("case when i > 9 then 'a' when i > 6 then 'b' else 'c' end", V_STR("b"));
    check("case i when 6 then 1 when 7 then 2.5 end", V_F(2.5));
    check("case when null then 1 end", V_NULL);
    check("if(b, i, f)", V_F(7));
    check("if(null, 1, 2)", V_INT(2));
    check("t > '2001-01-01'", V_BOOL(true));
    check("t = timestamp '2001-03-04 08:15'", V_BOOL(true));
    check("t between '2001-03-04' and '2001-03-05'", V_BOOL(true));
    check("0.0 / 0 = 0.0 / 0", V_BOOL(true));
    check("0.0 / 0 > 1 / 0", V_BOOL(true));
}

static void test_text_and_time(void **state)
{
    (void)state;
    check("upper(s)", V_STR("H\xc3\xa9LLO"));
    check("length(s)", V_INT(5));
    check("substr(s, 2, 3)", V_STR("\xc3\xa9ll"));
    check("substr(s, -2)", V_STR("lo"));
    check("substr(s, 0, 2)", V_STR("h"));
    check("s || '-' || s", V_STR("h\xc3\xa9llo-h\xc3\xa9llo"));
    check("'it''s'", V_STR("it's"));
    check("contains(s, 'll') and starts_with(s, 'h') and ends_with(s, 'o')", V_BOOL(true));
    check("hour(t)", V_INT(8));
    check("dayofweek(t)", V_INT(0));
    check("isodow(t)", V_INT(7));
    check("dayofyear(t)", V_INT(63));
    check("quarter(t) * 100 + month(t)", V_INT(103));
    check("date_diff('day', '2001-03-03 23:59', t)", V_INT(1));
    check("date_sub('day', '2001-03-03 23:59', t)", V_INT(0));
    check("date_diff('month', '2000-12-31', t)", V_INT(3));
    check("date_trunc('week', t)", V_TIME(T - (8 * 60 + 15) * US_PER_MIN - 6 * US_PER_DAY));
    check("date_trunc('month', t)", V_TIME(T - (8 * 60 + 15) * US_PER_MIN - 3 * US_PER_DAY));
    check("epoch(t)", V_F(983693700.0));
}

/* Golden buckets: a change would move every feature made of them. */
static void test_buckets(void **state)
{
    (void)state;
    check("hash_bucket(s, 1)", V_INT(0));
    check("hash_bucket(s, 0)", V_NULL);
    check("hash_bucket('abc', 1000)", V_INT(235));
    check("hash_bucket(1, 1000)", V_INT(961));
    check("hash_bucket(1.0, 1000)", V_INT(411));
}

static void test_errors(void **state)
{
    (void)state;
    check_error("", "empty");
    check_error("1 +", "column 4: expected a value, found 'the end'");
    check_error("(1", "expected ')'");
    check_error("1 2", "column 3: expected an operator or the end");
    check_error("1 + othr.x", "column 5: unknown column 'othr.x'; did you mean 'other.x'?");
    check_error("x + 1", "is the name of several columns");
    check_error("lnn(i)", "unknown function 'lnn'; did you mean 'ln'?");
    check_error("ln(s)", "'ln' does not take (string); its form is ln(x)");
    check_error("ln(1, 2)", "does not take (int, int)");
    check_error("i and b", "does not take (int, bool)");
    check_error("i = s", "cannot combine int and string");
    check_error("s = t", "a string column cannot be compared with a timestamp");
    check_error("t > 'soon'", "soon");
    check_error("case when i then 1 end", "a condition must be bool, this is int");
    check_error("case when b then 1 else 'a' end", "cannot combine int and string");
    check_error("1 < 2 < 3", "comparisons do not chain");
    check_error("'open", "column 1: the quote is not closed");
    check_error("date_diff('fortnight', t, t)", "needs a unit of time");
    check_error("date_diff(s, t, t)", "needs a unit of time");
    check_error("date_sub('month', t, t)", "use date_diff");
    check_error("i in ()", "is empty");
    check_error("99999999999999999999", "column 1");
    check_error("1abc", "followed by a letter");
    check_error("i # 2", "column 3: '#' has no meaning here");
    check_error("\xff", "UTF-8");
    check_error("case i end", "expected when");
}

static void test_limits(void **state)
{
    (void)state;
    char deep[EXPR_TEXT_MAX + 16];
    memset(deep, '(', 200);
    deep[200] = '\0';
    check_error(deep, "nested deeper");
    memset(deep, '-', 200);
    check_error(deep, "nested deeper");
    size_t n = 0;
    for (int i = 0; i < 3000; i++)
        n += (size_t)snprintf(deep + n, sizeof deep - n, "i+");
    snprintf(deep + n, sizeof deep - n, "i");
    check_error(deep, "more than 2048 parts");
    memset(deep, ' ', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    check_error(deep, "bytes; 8192 are possible");
    n = (size_t)snprintf(deep, sizeof deep, "greatest(i");
    for (int i = 0; i < 256; i++)
        n += (size_t)snprintf(deep + n, sizeof deep - n, ",i");
    snprintf(deep + n, sizeof deep - n, ")");
    check_error(deep, "more than 256 arguments");
}

/* Same program, same text; the text compiles to itself. */
static void test_canonical_text(void **state)
{
    (void)state;
    static const char *const SAME[][2] = {
        {"i+1*2", " i + ( 1 * 2 )"},
        {"NOT b AND i>1", "(not b) and (i > 1)"},
        {"if(b, 1.0, f)", "IF( b , 1.0 , f )"},
        {"case when b then 'it''s' end", "CASE WHEN b THEN 'it''s' END"},
    };
    struct arena a;
    arena_init(&a, 1 << 24);
    for (size_t i = 0; i < sizeof SAME / sizeof SAME[0]; i++) {
        struct expr *x, *y;
        assert_int_equal(expr_compile(str_c(SAME[i][0]), COLS, N_COLS, &a, &x, NULL), ERR_OK);
        assert_int_equal(expr_compile(str_c(SAME[i][1]), COLS, N_COLS, &a, &y, NULL), ERR_OK);
        assert_string_equal(expr_text(x), expr_text(y));
    }
    arena_fini(&a);
}

static void test_names_and_reads(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 24);
    const char **names;
    size_t n;
    assert_int_equal(expr_names(STR("f + view.x * f > ln(i)"), &a, &names, &n, NULL), ERR_OK);
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "f");
    assert_string_equal(names[1], "view.x");
    assert_string_equal(names[2], "i");
    struct expr *e;
    assert_int_equal(expr_compile(STR("f + view.x * f > ln(i)"), COLS, N_COLS, &a, &e, NULL),
                     ERR_OK);
    assert_int_equal(expr_n_reads(e), 3);
    assert_int_equal(expr_read(e, 0), 0);
    assert_int_equal(expr_read(e, 1), 1);
    assert_int_equal(expr_read(e, 2), 5);
    arena_fini(&a);
}

static void test_text_room(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 24);
    struct expr *e;
    struct expr_state st;
    struct value vals[N_COLS], got;
    row(vals);
    assert_int_equal(expr_compile(STR("s || s"), COLS, N_COLS, &a, &e, NULL), ERR_OK);
    assert_int_equal(expr_state_init(&st, e, &a, 11, NULL), ERR_OK);
    expr_eval(e, &st, vals, &got);
    assert_int_equal(got.type, VAL_NULL);
    assert_true(st.is_text_full);
    arena_fini(&a);
}

/* The page in docs/ is what the table says. Written anew when PAWL_WRITE_DOCS is set. */
static void test_reference_page(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 22);
    struct buf page;
    buf_init(&page, 1 << 20);
    struct err err = ERR_INIT;
    assert_int_equal(expr_reference_write(&page, &err), ERR_OK);
    const char *root = getenv("PAWL_SOURCE_ROOT");
    char *path = root ? path_join(&a, root, "docs/reference/expressions.md") : NULL;
    if (path && getenv("PAWL_WRITE_DOCS"))
        assert_int_equal(file_write(path, buf_view(&page), 0644, &err), ERR_OK);
    struct str file = STR_NONE;
    if (path && file_read(path, 1 << 20, &a, &file, &err) != ERR_OK)
        fail_msg("%s", err.msg);
    if (path && !str_eq(file, buf_view(&page)))
        fail_msg("docs/reference/expressions.md is not what the table says: run this test with "
                 "PAWL_WRITE_DOCS=1");
    assert_true(expr_n_functions() > 60);
    buf_fini(&page);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),         cmocka_unit_test(test_logic),
        cmocka_unit_test(test_text_and_time),  cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_errors),         cmocka_unit_test(test_limits),
        cmocka_unit_test(test_canonical_text), cmocka_unit_test(test_names_and_reads),
        cmocka_unit_test(test_text_room),      cmocka_unit_test(test_reference_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
