#include "test.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/str.h"

static void errors_carry_code_sentence_and_context(void **state)
{
    struct err err = ERR_INIT;
    assert_int_equal(err_set(&err, ERR_PARSE, "split index %d of %d", 41, 20), ERR_PARSE);
    assert_int_equal(err_wrap(&err, "load model %s", "m1"), ERR_PARSE);
    assert_string_equal(err.msg, "load model m1: split index 41 of 20");
    assert_non_null(err.file);
    err_set(&err, ERR_IO, "again: %s", err.msg); /* arguments may be the old message */
    assert_string_equal(err.msg, "again: load model m1: split index 41 of 20");
    assert_int_equal(err_errno(&err, 2, "open x"), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "open x: No such file or directory");
    assert_int_equal(err_set(NULL, ERR_NO, "unheard"), ERR_NO);
    err_reset(&err);
    assert_int_equal(err.code, ERR_OK);
}

static void long_errors_are_cut_at_a_character(void **state)
{
    struct err err = ERR_INIT;
    char text[4000];
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = "\xc3\xa4"[i % 2];
    text[sizeof text - 1] = '\0';
    err_set(&err, ERR_IO, "x%s", text);
    assert_int_equal(strlen(err.msg), ERR_MSG_BYTES - 1 - (ERR_MSG_BYTES - 4 - 1) % 2);
    assert_true(str_ends(str_c(err.msg), STR("\xc3\xa4...")));
    assert_true(str_utf8_valid(str_c(err.msg)));
    err_wrap(&err, "%s", text);
    assert_true(str_utf8_valid(str_c(err.msg)));
}

static void error_table_is_complete(void **state)
{
    for (int i = 0; i < ERR_N; i++) {
        enum err_code code = (enum err_code)i;
        assert_int_equal(err_from_name(err_name(code)), code);
        assert_true(err_exit_status(code) >= 0 && err_exit_status(code) <= 5);
        assert_true(err_http_status(code) >= 200 && err_http_status(code) < 600);
        assert_true(strlen(err_text(code)) > 0);
    }
    assert_int_equal(err_http_status(ERR_NOT_FOUND), 404);
    assert_string_equal(err_mlflow_code(ERR_NOT_FOUND), "RESOURCE_DOES_NOT_EXIST");
    assert_int_equal(err_exit_status(ERR_NO), 1);
    assert_true(err_is_retryable(ERR_BUSY));
    assert_int_equal(err_from_name("no such name"), ERR_INTERNAL);
}

static void slices(void **state)
{
    struct str rest = STR("a,,b");
    assert_true(str_is(str_split(&rest, ','), "a"));
    assert_true(str_is(str_split(&rest, ','), ""));
    assert_true(str_is(str_split(&rest, ','), "b"));
    assert_null(rest.p);
    assert_true(str_is(str_trim(STR(" \t x y \n")), "x y"));
    assert_int_equal(str_find(STR("abcabd"), STR("abd")), 3);
    assert_int_equal(str_find(STR("abc"), STR("x")), -1);
    assert_true(str_cmp(STR("ab"), STR("abc")) < 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_true(str_starts(STR("abc"), STR("ab")) && !str_starts(STR("a"), STR("ab")));
}

static void utf8(void **state)
{
    assert_true(str_utf8_valid(STR("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xbe")));
    assert_false(str_utf8_valid(STR("\xc0\x80")));         /* overlong */
    assert_false(str_utf8_valid(STR("\xed\xa0\x80")));     /* surrogate */
    assert_false(str_utf8_valid(STR("\xf4\x90\x80\x80"))); /* beyond U+10FFFF */
    assert_false(str_utf8_valid(STR("\xe2\x82")));         /* cut */
}

static void suggestions(void **state)
{
    static const char *const NAMES[] = {"features", "evaluate", "monitor", "rows"};
    assert_int_equal(str_distance(STR("kitten"), STR("sitting")), 3);
    assert_string_equal(str_nearest(STR("feature"), NAMES, 4), "features");
    assert_string_equal(str_nearest(STR("evalaute"), NAMES, 4), "evaluate");
    assert_null(str_nearest(STR("zzzzzz"), NAMES, 4));
}

static void buffers_have_a_limit(void **state)
{
    struct buf b;
    struct err err = ERR_INIT;
    buf_init(&b, 10);
    buf_printf(&b, "%d-%s", 12, "abc");
    assert_true(str_is(buf_view(&b), "12-abc"));
    buf_c(&b, "12345");
    assert_int_equal(buf_ok(&b, &err), ERR_TOO_LARGE);
    buf_ch(&b, 'x'); /* sticky */
    assert_true(str_is(buf_view(&b), "12-abc"));
    buf_reset(&b);
    buf_c(&b, "1234567890");
    ASSERT_OK(buf_ok(&b, &err), &err);
    buf_fini(&b);
    buf_init(&b, 100);
    buf_quote(&b, STR("a\"b\\\n\t\x01\xc3\xa4"));
    assert_true(str_is(buf_view(&b), "\"a\\\"b\\\\\\n\\t\\u0001\xc3\xa4\""));
    buf_fini(&b);
}

static void numbers_have_the_shortest_text(void **state)
{
    static const struct {
        double v;
        const char *text;
    } GOLDEN[] = {{0, "0"},
                  {-0.0, "-0.0"},
                  {3, "3"},
                  {-17, "-17"},
                  {100000, "100000"},
                  {0.1, "0.1"},
                  {1e21, "1e+21"},
                  {1.0 / 3, "0.3333333333333333"},
                  {5e-324, "5e-324"},
                  {DBL_MAX, "1.7976931348623157e+308"},
                  {2.2250738585072014e-308, "2.2250738585072014e-308"},
                  {9007199254740991, "9007199254740991"},
                  {9007199254740992, "9007199254740992"},
                  {123456.789, "123456.789"},
                  {1e-4, "1e-04"},
                  {0.001, "0.001"},
                  {(double)NAN, "NaN"},
                  {(double)INFINITY, "Infinity"},
                  {-(double)INFINITY, "-Infinity"},
                  {0.1 + 0.2, "0.30000000000000004"}};
    char text[NUM_TEXT_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(GOLDEN); i++) {
        assert_int_equal(num_f64(text, GOLDEN[i].v), strlen(GOLDEN[i].text));
        assert_string_equal(text, GOLDEN[i].text);
    }
    num_f32(text, 0.1F);
    assert_string_equal(text, "0.1");
    num_f32(text, FLT_MAX);
    assert_string_equal(text, "3.4028235e+38");
    num_f32(text, FLT_TRUE_MIN);
    assert_string_equal(text, "1e-45");
    num_f32(text, 16777216.0F);
    assert_string_equal(text, "16777216");
    num_i64(text, INT64_MIN);
    assert_string_equal(text, "-9223372036854775808");
}

static void any_number_reads_back_the_same(void **state)
{
    struct rng rng;
    char text[NUM_TEXT_BYTES];
    rng_init(&rng, 1);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = rng_u64(&rng);
        double v, back = 0;
        float f;
        memcpy(&v, &bits, sizeof v);
        size_t n = num_f64(text, v);
        assert_int_equal(parse_f64(str_n(text, n), &back, NULL), ERR_OK);
        assert_true(memcmp(&v, &back, sizeof v) == 0 || (isnan(v) && isnan(back)));
        uint32_t bits32 = (uint32_t)bits;
        memcpy(&f, &bits32, sizeof f);
        n = num_f32(text, f);
        assert_int_equal(parse_f64(str_n(text, n), &back, NULL), ERR_OK);
        float narrow = (float)back;
        assert_true(memcmp(&f, &narrow, sizeof f) == 0 || (isnan(f) && isnan(narrow)));
    }
}

static void parsers_take_the_whole_text_or_nothing(void **state)
{
    static const char *const NOT_INTS[] = {"", "-", "+", "1.0", " 1", "1 ", "0x1", "1e3", "--1"};
    static const char *const NOT_NUMS[] = {"",    "-",   ".",     "1.2.3", "1e", "0x10",
                                           "inf", "nan", "1_000", "+-1",   " 1"};
    struct err err = ERR_INIT;
    int64_t i = 7;
    uint64_t u = 7;
    double f = 7;
    bool b = false;
    for (size_t k = 0; k < ARRAY_LEN(NOT_INTS); k++)
        assert_int_equal(parse_i64(str_c(NOT_INTS[k]), &i, &err), ERR_PARSE);
    for (size_t k = 0; k < ARRAY_LEN(NOT_NUMS); k++)
        assert_int_equal(parse_f64(str_c(NOT_NUMS[k]), &f, &err), ERR_PARSE);
    assert_int_equal(i, 7);
    assert_true(f >= 7 && f <= 7);
    assert_int_equal(parse_i64(STR("9223372036854775808"), &i, &err), ERR_RANGE);
    ASSERT_OK(parse_i64(STR("-9223372036854775808"), &i, &err), &err);
    assert_true(i == INT64_MIN);
    assert_int_equal(parse_u64(STR("18446744073709551616"), &u, &err), ERR_RANGE);
    ASSERT_OK(parse_u64(STR("18446744073709551615"), &u, &err), &err);
    assert_int_equal(parse_u64(STR("-1"), &u, &err), ERR_PARSE);
    assert_int_equal(parse_f64(STR("1e400"), &f, &err), ERR_RANGE);
    ASSERT_OK(parse_f64(STR("1e-400"), &f, &err), &err);
    assert_true(fpclassify(f) == FP_ZERO);
    ASSERT_OK(parse_f64(STR("+2.5"), &f, &err), &err);
    assert_true(f > 2.4 && f < 2.6);
    ASSERT_OK(parse_bool(STR("true"), &b, &err), &err);
    assert_true(b);
    assert_int_equal(parse_bool(STR("yes"), &b, &err), ERR_PARSE);
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
        const char *canonical;
    } GOOD[] = {{"36h", INT64_C(129600000000), "1d12h"},
                {"250ms", 250000, "250ms"},
                {"1d12h", INT64_C(129600000000), "1d12h"},
                {"2w", INT64_C(1209600000000), "14d"},
                {"90s", 90000000, "1m30s"},
                {"0.5s", 500000, "500ms"},
                {"0s", 0, "0s"},
                {" 7d ", INT64_C(604800000000), "7d"},
                {"15us", 15, "15us"}};
    static const char *const BAD[] = {"", "36", "h", "-1h", "1x", "1h 2", "1.2.3s", "99999999999w"};
    struct err err = ERR_INIT;
    char text[NUM_TEXT_BYTES];
    int64_t us = 0;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        ASSERT_OK(parse_duration_us(str_c(GOOD[i].text), &us, &err), &err);
        assert_int_equal(us, GOOD[i].us);
        duration_text(text, us);
        assert_string_equal(text, GOOD[i].canonical);
    }
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_int_equal(parse_duration_us(str_c(BAD[i]), &us, &err), ERR_PARSE);
    duration_text(text, INT64_MIN);
    assert_true(strlen(text) > 0);
}

static void sizes_and_shares(void **state)
{
    struct err err = ERR_INIT;
    int64_t n = 0;
    double r = 0;
    ASSERT_OK(parse_size_bytes(STR("64MiB"), &n, &err), &err);
    assert_int_equal(n, 67108864);
    ASSERT_OK(parse_size_bytes(STR("10 KB"), &n, &err), &err);
    assert_int_equal(n, 10000);
    ASSERT_OK(parse_size_bytes(STR("512"), &n, &err), &err);
    assert_int_equal(n, 512);
    assert_int_equal(parse_size_bytes(STR("1 parsec"), &n, &err), ERR_PARSE);
    assert_int_equal(parse_size_bytes(STR("9999999999TB"), &n, &err), ERR_PARSE);
    ASSERT_OK(parse_ratio(STR("0.2 %"), &r, &err), &err);
    assert_true(fabs(r - 0.002) < 1e-15);
    ASSERT_OK(parse_ratio(STR("0.01"), &r, &err), &err);
    assert_true(fabs(r - 0.01) < 1e-15);
    assert_int_equal(parse_ratio(STR("NaN"), &r, &err), ERR_PARSE);
    assert_int_equal(parse_ratio(STR("%"), &r, &err), ERR_PARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_carry_code_sentence_and_context),
        cmocka_unit_test(long_errors_are_cut_at_a_character),
        cmocka_unit_test(error_table_is_complete),
        cmocka_unit_test(slices),
        cmocka_unit_test(utf8),
        cmocka_unit_test(suggestions),
        cmocka_unit_test(buffers_have_a_limit),
        cmocka_unit_test(numbers_have_the_shortest_text),
        cmocka_unit_test(any_number_reads_back_the_same),
        cmocka_unit_test(parsers_take_the_whole_text_or_nothing),
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes_and_shares),
    };
    return RUN_TESTS(tests);
}
