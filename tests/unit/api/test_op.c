#include "test.h"

#include "api/op.h"
#include "api/services.h"
#include "base/check.h"

static struct arena arena;
static const char *const NONE[] = {NULL};

static const struct op_param PARAMS[] = {
    {.name = "run",
     .type = OP_P_STR,
     .is_required = true,
     .is_positional = true,
     .is_in_path = true,
     .help = "which run"},
    {.name = "limit", .type = OP_P_INT, .def = "50", .help = "rows"},
    {.name = "share", .type = OP_P_NUM, .help = "a number"},
    {.name = "force", .type = OP_P_BOOL, .def = "false", .help = "force"},
    {.name = "to", .type = OP_P_TIME, .help = "time"},
    {.name = "keep", .type = OP_P_DURATION, .def = "1d12h", .help = "duration"},
    {.name = "views", .type = OP_P_LIST, .help = "views"},
    {.name = "file", .type = OP_P_FILE, .help = "file"},
    {.name = "doc", .type = OP_P_JSON, .def = "{\"a\":1}", .help = "document"},
};

static enum err_code echo(struct op_call *call, const struct json *in, struct json **ret,
                          struct err *err)
{
    *ret = json_copy(call->arena, in);
    if (json_get_bool(in, "force", false))
        return err_set(err, ERR_NO, "no");
    return ERR_OK;
}

static const struct op_route ROUTE = {.name = "runs.echo",
                                      .method = "POST",
                                      .path = "/runs/{run}",
                                      .command = "runs echo",
                                      .class_ = OP_QUEUED,
                                      .home = OP_HOME_OPTIONAL,
                                      .summary = "s",
                                      .examples = NONE,
                                      .columns = NONE,
                                      .params = PARAMS,
                                      .n_params = ARRAY_LEN(PARAMS),
                                      .fn = echo};

static enum err_code run(const char *in_text, bool is_trusted, const char **ret_text,
                         struct err *err)
{
    struct services sv = {0};
    struct op_call call = {
        .sv = &sv, .arena = &arena, .actor = "local:test", .is_trusted = is_trusted};
    struct json *in = NULL, *out = NULL;
    struct err failure = ERR_INIT;
    struct buf bytes;
    ASSERT_OK(json_read(str_c(in_text), &arena, &in, err), err);
    buf_init(&bytes, 1 << 16);
    enum err_code code = op_run(&ROUTE, &call, in, &out, &failure);
    ASSERT_OK(op_answer(code, out, &failure, &bytes, err), err);
    *ret_text = str_dup(&arena, buf_view(&bytes));
    buf_fini(&bytes);
    return code;
}

static void parameters_are_typed_and_completed(void **state)
{
    struct err err = ERR_INIT;
    const char *text = NULL;
    assert_int_equal(run("{\"run\":\"r\"}", true, &text, &err), ERR_OK);
    assert_string_equal(
        text,
        "{\"run\":\"r\",\"limit\":50,\"force\":false,\"keep\":129600000000,\"doc\":{\"a\":1}}\n");
    assert_int_equal(run("{\"run\":7,\"limit\":\"3\",\"share\":\"0.5\",\"to\":\"2001-03-01\","
                         "\"keep\":\"1h\",\"views\":\"a, b,\",\"doc\":[1]}",
                         true, &text, &err),
                     ERR_OK);
    assert_string_equal(
        text, "{\"run\":\"7\",\"limit\":3,\"share\":0.5,\"force\":false,\"to\":\"2001-03-01T00:00:"
              "00.000000Z\",\"keep\":3600000000,\"views\":[\"a\",\"b\"],\"doc\":[1]}\n");
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *in;
        enum err_code code;
        const char *sentence;
    } BAD[] = {
        {"{}", ERR_USAGE, "run is missing: which run"},
        {"{\"run\":\"r\",\"limt\":1}", ERR_USAGE, "did you mean \\\"limit\\\"?"},
        {"{\"run\":\"r\",\"limit\":\"x\"}", ERR_PARSE, "limit: \\\"x\\\" is not an integer"},
        {"{\"run\":\"r\",\"limit\":1.5}", ERR_INVALID, "limit: it must be a whole number"},
        {"{\"run\":\"r\",\"to\":\"soon\"}", ERR_PARSE, "to: "},
        {"{\"run\":\"r\",\"views\":[1]}", ERR_INVALID, "views: item 1 must be a text"},
        {"{\"run\":\"r\",\"force\":1}", ERR_INVALID, "force: it must be true or false"},
        {"[1]", ERR_INVALID, "must be a JSON object"},
    };
    struct err err = ERR_INIT;
    const char *text = NULL;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_int_equal(run(BAD[i].in, true, &text, &err), BAD[i].code);
        assert_true(str_starts(str_c(text), STR("{\"error\":{\"code\":\"")));
        if (!strstr(text, BAD[i].sentence))
            fail_msg("%s gave %s", BAD[i].in, text);
    }
}

static void paths_are_for_those_who_hold_the_token(void **state)
{
    struct err err = ERR_INIT;
    const char *text = NULL;
    assert_int_equal(run("{\"run\":\"r\",\"file\":\"/etc/passwd\"}", true, &text, &err), ERR_OK);
    assert_int_equal(run("{\"run\":\"r\",\"file\":\"/etc/passwd\"}", false, &text, &err),
                     ERR_FORBIDDEN);
    assert_int_equal(run("{\"run\":\"r\",\"file\":\"../x.csv\"}", false, &text, &err),
                     ERR_FORBIDDEN);
    assert_int_equal(run("{\"run\":\"r\",\"file\":\"first:5000\"}", false, &text, &err), ERR_OK);
    assert_int_equal(run("{\"run\":\"r\",\"file\":\"upload:../../x\"}", false, &text, &err),
                     ERR_PARSE);
}

static void a_no_keeps_its_document(void **state)
{
    struct err err = ERR_INIT;
    const char *text = NULL;
    assert_int_equal(run("{\"run\":\"r\",\"force\":true}", true, &text, &err), ERR_NO);
    assert_true(str_starts(str_c(text), STR("{\"run\":\"r\"")));
}

static void the_table_is_sound(void **state)
{
    for (size_t i = 0; i < N_OP_ROUTES; i++) {
        const struct op_route *r = &OP_ROUTES[i];
        bool is_after_list = false;
        assert_ptr_equal(op_find(r->name), r);
        assert_non_null(r->fn);
        for (size_t k = 0; k < r->n_params; k++) {
            const struct op_param *p = &r->params[k];
            if (p->is_positional && is_after_list)
                fail_msg("%s: a positional follows a list", r->name);
            is_after_list = is_after_list || (p->is_positional && p->type == OP_P_LIST);
        }
        /* Defaults are values of their types: a call with only required parameters must get as far as its handler. */
        struct services sv = {0};
        struct op_route shell = *r;
        struct op_call call = {.sv = &sv, .arena = &arena, .is_trusted = true};
        struct json *in = json_obj(&arena), *out = NULL;
        struct err err = ERR_INIT;
        shell.fn = echo;
        shell.home = OP_HOME_OPTIONAL;
        for (size_t k = 0; k < r->n_params; k++) {
            static const char *const SAMPLES[OP_PARAM_TYPE_N] = {
                "x", "1", "1", "false", "2001-01-01", "1h", "1", "x", "/x"};
            if (r->params[k].is_required)
                json_set(&arena, in, r->params[k].name,
                         json_cstr(&arena, SAMPLES[r->params[k].type]));
        }
        enum err_code code = op_run(&shell, &call, in, &out, &err);
        if (code != ERR_OK && code != ERR_NO)
            fail_msg("%s: %s", r->name, err.msg);
    }
}

static int set_up(void **state)
{
    arena_init(&arena, 64 << 20);
    return 0;
}

static int tear_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_typed_and_completed),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(paths_are_for_those_who_hold_the_token),
        cmocka_unit_test(a_no_keeps_its_document),
        cmocka_unit_test(the_table_is_sound),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
