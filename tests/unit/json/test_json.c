#include "test.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "json/json.h"

static struct arena arena;

static int set_up(void **state)
{
    arena_init(&arena, 8 << 20);
    return 0;
}

static int tear_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

static struct json *read_ok(const char *text)
{
    struct err err = ERR_INIT;
    struct json *v = NULL;
    ASSERT_OK(json_read(str_c(text), &arena, &v, &err), &err);
    return v;
}

static char *write_as(const struct json *v, enum json_style style)
{
    struct err err = ERR_INIT;
    struct buf b;
    buf_init(&b, 1 << 20);
    ASSERT_OK(json_write(v, style, &b, &err), &err);
    char *text = str_dup(&arena, buf_view(&b));
    buf_fini(&b);
    return text;
}

static void canonical_texts(void **state)
{
    static const struct {
        const char *in, *out;
    } GOLDEN[] = {
        {" { \"b\" : 1 , \"a\" : [ 1.50, 2e0, -0.0 ] } ", "{\"a\":[1.5,2,-0.0],\"b\":1}"},
        {"{\"\\u00e4\":1,\"z\":2,\"Z\":3,\"\":4}", "{\"\":4,\"Z\":3,\"z\":2,\"\xc3\xa4\":1}"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"[0.1,1e-7,1E+22,123456789.123]", "[0.1,1e-07,1e+22,123456789.123]"},
        {"\"\\u0041\\n\\u001f\\/\\\"\"", "\"A\\n\\u001f/\\\"\""},
        {"[null,true,false,[],{}]", "[null,true,false,[],{}]"}};
    for (size_t i = 0; i < ARRAY_LEN(GOLDEN); i++) {
        char *once = write_as(read_ok(GOLDEN[i].in), JSON_CANONICAL);
        assert_string_equal(once, GOLDEN[i].out);
        assert_string_equal(write_as(read_ok(once), JSON_CANONICAL), once);
    }
}

static void digests_are_golden(void **state)
{
    char hex[DIGEST_HEX_BYTES];
    struct digest d;
    struct err err = ERR_INIT;
    struct json *v = read_ok("{\"threshold\":0.5,\"model\":\"ab\",\"n\":[3.0,3]}");
    ASSERT_OK(json_digest(v, "release", &d, &err), &err);
    digest_hex(&d, hex);
    assert_string_equal(hex, "4abf01b742f322868dbcb38878e75d838426f24326946f6d4c40e74a79038823");
    ASSERT_OK(json_digest(read_ok("{\"n\":[3,3],\"model\":\"ab\",\"threshold\":5e-1}"), "release",
                          &d, &err),
              &err);
    char again[DIGEST_HEX_BYTES];
    digest_hex(&d, again);
    assert_string_equal(hex, again);
}

static void refused_texts(void **state)
{
    static const char *const BAD[] = {
        "",           "  ",          "{",       "[1,]", "{\"a\":1,\"a\":2}", "NaN",
        "[Infinity]", "1 2",         "{'a':1}", "01",   "\"\xff\"",          "9223372036854775808",
        "1e999",      "\"\\ud800\"", "tru",     "[1}"};
    struct err err = ERR_INIT;
    struct json *v = &JSON_NOMEM;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_int_equal(json_read(str_c(BAD[i]), &arena, &v, &err), ERR_PARSE);
    assert_ptr_equal(v, &JSON_NOMEM);
    assert_int_equal(json_read(STR("{\n  \"a\": x}"), &arena, &v, &err), ERR_PARSE);
    assert_non_null(strstr(err.msg, "line 2, column 8"));
    char deep[2 * 65 + 1];
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    assert_int_equal(json_read(str_n(deep, 130), &arena, &v, &err), ERR_PARSE);
    assert_int_equal(json_read(str_n(deep + 1, 128), &arena, &v, &err), ERR_OK);
}

static void building_and_looking(void **state)
{
    struct json *o = json_obj(&arena);
    json_set(&arena, o, "i", json_int(&arena, 7));
    json_set(&arena, o, "f", json_num(&arena, 2.5));
    json_set(&arena, o, "nan", json_num(&arena, (double)NAN));
    json_set(&arena, o, "none", json_null(&arena));
    json_set_null(&arena, o, "null");
    json_set(&arena, o, "t", json_time(&arena, 0));
    json_set(&arena, o, "list", json_add(&arena, json_arr(&arena), json_fmt(&arena, "x%d", 1)));
    json_set(&arena, o, "i", json_int(&arena, 8));
    assert_int_equal(json_get_int(o, "i", 0), 8);
    assert_int_equal(json_get_int(o, "f", -1), -1);
    assert_true(isnan(json_get_f64(o, "nan", 0)));
    assert_null(json_get(o, "none"));
    assert_int_equal(json_get(o, "null")->type, JSON_NULL);
    assert_int_equal(json_get_time(o, "t"), 0);
    assert_true(json_get_time(o, "f") == INT64_MIN);
    assert_true(str_is(json_path(o, "list.0")->u.s, "x1"));
    assert_null(json_path(o, "list.1"));
    assert_null(json_path(o, "list.x.y"));
    assert_string_equal(write_as(o, JSON_COMPACT),
                        "{\"i\":8,\"f\":2.5,\"nan\":\"NaN\",\"null\":null,\"t\":\"1970-01-01T00:00:"
                        "00.000000Z\",\"list\":[\"x1\"]}");
    json_remove(o, "nan");
    json_remove(o, "null");
    json_remove(o, "t");
    assert_string_equal(write_as(o, JSON_PRETTY),
                        "{\n  \"i\": 8,\n  \"f\": 2.5,\n  \"list\": [\n    \"x1\"\n  ]\n}\n");
    assert_true(json_eq(o, json_copy(&arena, o)));
    assert_true(json_eq(read_ok("[1,{\"a\":2,\"b\":3.0}]"), read_ok("[1.0,{\"b\":3,\"a\":2}]")));
    assert_false(json_eq(read_ok("{\"a\":1}"), read_ok("{\"b\":1}")));
    assert_int_equal(json_len(o), 3);
}

static void invalid_utf8_is_replaced(void **state)
{
    struct json *v = json_str(&arena, STR("a\xff\xc3z"));
    assert_string_equal(v->u.s.p, "a\xef\xbf\xbd\xef\xbf\xbdz");
}

static void canonical_refuses_what_has_no_one_form(void **state)
{
    struct err err = ERR_INIT;
    struct buf b;
    struct json nan = {.type = JSON_REAL, .u.f = (double)NAN};
    buf_init(&b, 1000);
    assert_int_equal(json_write(&nan, JSON_CANONICAL, &b, &err), ERR_INVALID);
    assert_int_equal(json_write(read_ok("{\"a\":null}"), JSON_CANONICAL, &b, &err), ERR_INVALID);
    buf_fini(&b);
    buf_init(&b, 3);
    assert_int_equal(json_write(read_ok("[1,2]"), JSON_COMPACT, &b, &err), ERR_TOO_LARGE);
    buf_fini(&b);
}

static void a_full_arena_is_found_when_writing(void **state)
{
    struct err err = ERR_INIT;
    for (size_t limit = 0; limit < 4000; limit += 40) {
        struct arena small;
        struct buf b;
        struct json *parsed = NULL;
        arena_init(&small, limit);
        buf_init(&b, 1 << 16);
        struct json *o = json_obj(&small);
        for (int i = 0; i < 10; i++)
            json_set(&small, o, i % 2 ? "list" : "other",
                     json_add(&small, json_arr(&small), json_int(&small, i)));
        enum err_code code = json_write(o, JSON_CANONICAL, &b, &err);
        assert_int_equal(code, small.is_over_limit ? ERR_NOMEM : ERR_OK);
        if (code == ERR_OK)
            assert_string_equal(b.p, "{\"list\":[9],\"other\":[8]}");
        arena_reset(&small);
        code = json_read(STR("{\"a\":[1,2,3,\"text\",{\"b\":null}]}"), &small, &parsed, &err);
        assert_int_equal(code, small.is_over_limit ? ERR_LIMIT : ERR_OK);
        buf_fini(&b);
        arena_fini(&small);
    }
}

static void needed_fields_are_named(void **state)
{
    struct err err = ERR_INIT;
    struct json *o = read_ok("{\"s\":\"x\",\"n\":1.5}");
    struct str s;
    int64_t i = 0;
    double f = 0;
    ASSERT_OK(json_need_str(o, "s", &s, &err), &err);
    ASSERT_OK(json_need_f64(o, "n", &f, &err), &err);
    assert_int_equal(json_need_int(o, "n", &i, &err), ERR_INVALID);
    assert_string_equal(err.msg, "/n must be a whole number");
    assert_int_equal(json_need_str(o, "z", &s, &err), ERR_INVALID);
    assert_string_equal(err.msg, "/z is missing: a string is needed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_texts),
        cmocka_unit_test(digests_are_golden),
        cmocka_unit_test(refused_texts),
        cmocka_unit_test(building_and_looking),
        cmocka_unit_test(invalid_utf8_is_replaced),
        cmocka_unit_test(canonical_refuses_what_has_no_one_form),
        cmocka_unit_test(a_full_arena_is_found_when_writing),
        cmocka_unit_test(needed_fields_are_named),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
