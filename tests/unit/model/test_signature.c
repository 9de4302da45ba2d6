#include <string.h>

#include "model/signature.h"
#include "test.h"

static const char MLFLOW[] =
    "{\"inputs\":[{\"type\":\"double\",\"name\":\"a\",\"required\":true},{\"type\":\"long\","
    "\"name\":\"b\","
    "\"optional\":true},{\"type\":\"string\",\"name\":\"c\",\"required\":false}],"
    "\"outputs\":[{\"type\":\"tensor\",\"tensor-spec\":{\"dtype\":\"float32\",\"shape\":[-1,3]}}]}";

static void read_text(const char *text, struct arena *a, struct signature *ret)
{
    struct err err = ERR_INIT;
    struct json *doc;
    ASSERT_OK(json_read(str_c(text), a, &doc, &err), &err);
    ASSERT_OK(signature_read(doc, a, ret, &err), &err);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct arena a;
    struct signature s, again;
    struct err err = ERR_INIT;
    struct buf text;
    arena_init(&a, 1 << 20);
    read_text(MLFLOW, &a, &s);
    assert_int_equal(s.n_inputs, 3);
    assert_true(s.inputs[0].is_required);
    assert_false(s.inputs[1].is_required);
    assert_int_equal(s.inputs[2].type, SIG_STRING);
    assert_int_equal(s.outputs[0].n_dims, 2);
    assert_int_equal(s.outputs[0].shape[0], -1);
    buf_init(&text, 1 << 16);
    ASSERT_OK(json_write(signature_json(&s, &a), JSON_COMPACT, &text, &err), &err);
    read_text(text.p, &a, &again);
    ASSERT_OK(signature_compatible(&s, &again, &err), &err);
    assert_string_equal(again.outputs[0].dtype, "float32");
    buf_fini(&text);
    arena_fini(&a);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const BAD[][2] = {
        {"{\"inputs\":{}}", "a signature is a list"},
        {"{\"inputs\":[{\"name\":\"a\"}]}", "inputs: signature field 0: type '' is not one"},
        {"{\"inputs\":[{\"type\":\"complex\"}]}", "type 'complex'"},
        {"{\"outputs\":[{\"type\":\"tensor\"}]}", "outputs: signature field 0: a tensor needs"},
        {"{\"outputs\":[{\"type\":\"tensor\",\"tensor-spec\":{\"dtype\":\"f\",\"shape\":[-2]}}]}",
         "shape[0]"},
        {"{\"outputs\":[{\"type\":\"tensor\",\"tensor-spec\":{\"dtype\":\"f\",\"shape\":[1,1,1,1,1,"
         "1,1,1,1]}}]}",
         "9 dimensions"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct arena a;
        struct err err = ERR_INIT;
        struct json *doc;
        struct signature s;
        arena_init(&a, 1 << 20);
        ASSERT_OK(json_read(str_c(BAD[i][0]), &a, &doc, &err), &err);
        assert_int_not_equal(signature_read(doc, &a, &s, &err), ERR_OK);
        if (!strstr(err.msg, BAD[i][1]))
            fail_msg("%s: said '%s'", BAD[i][0], err.msg);
        arena_fini(&a);
    }
}

static void test_compatible(void **state)
{
    (void)state;
    struct sig_field a[] = {{.name = "x", .type = SIG_INTEGER, .is_required = true},
                            {.name = "y", .type = SIG_STRING}};
    struct sig_field b[] = {{.name = "x", .type = SIG_DOUBLE, .is_required = true}};
    struct sig_field c[] = {{.name = "z", .type = SIG_STRING, .is_required = true}};
    struct sig_field d[] = {{.name = "y", .type = SIG_STRING, .is_required = true}};
    struct sig_field out[] = {{.type = SIG_DOUBLE}};
    struct signature old = {a, 2, out, 1}, wider = {b, 1, out, 1}, fresh = {c, 1, out, 1},
                     stricter = {d, 1, out, 1}, other_out = {a, 2, out, 0};
    struct err err = ERR_INIT;
    ASSERT_OK(signature_compatible(&old, &wider, &err), &err);
    assert_int_equal(signature_compatible(&wider, &old, &err), ERR_NO); /* double -> int */
    assert_non_null(strstr(err.msg, "input 'x' was double and is integer now"));
    assert_int_equal(signature_compatible(&old, &fresh, &err), ERR_NO);
    assert_non_null(strstr(err.msg, "input 'z' is new and required"));
    assert_int_equal(signature_compatible(&old, &stricter, &err), ERR_NO);
    assert_non_null(strstr(err.msg, "was optional"));
    assert_int_equal(signature_compatible(&old, &other_out, &err), ERR_NO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_compatible)};
    return RUN_TESTS(tests);
}
