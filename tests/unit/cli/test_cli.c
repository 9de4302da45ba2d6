#include "test.h"

#include "base/check.h"
#include "cli/cli_int.h"
#include "cli/view.h"

static struct arena arena;
static const char *const NONE[] = {NULL};

static const struct op_param PARAMS[] = {
    {.name = "endpoint",
     .type = OP_P_STR,
     .is_required = true,
     .is_positional = true,
     .help = "endpoint"},
    {.name = "steps", .type = OP_P_LIST, .is_positional = true, .help = "steps"},
    {.name = "json", .type = OP_P_JSON, .help = "request"},
    {.name = "label_after", .type = OP_P_DURATION, .help = "when labels come"},
    {.name = "force", .type = OP_P_BOOL, .help = "force"},
    {.name = "key", .type = OP_P_LIST, .help = "keys"},
};
static const struct op_route ROUTE = {.name = "t.t",
                                      .command = "predict",
                                      .examples = NONE,
                                      .columns = NONE,
                                      .params = PARAMS,
                                      .n_params = ARRAY_LEN(PARAMS)};

static const char *text_of(const struct json *v)
{
    struct err err = ERR_INIT;
    struct buf b;
    buf_init(&b, 1 << 16);
    ASSERT_OK(json_write(v, JSON_COMPACT, &b, &err), &err);
    const char *text = str_dup(&arena, buf_view(&b));
    buf_fini(&b);
    return text;
}

static enum err_code parse(const char *line, struct cli_request *q, struct err *err)
{
    char *args[32];
    int n = 0;
    for (struct str rest = str_c(line); rest.n > 0;)
        args[n++] = str_dup(&arena, str_split(&rest, ' '));
    *q = (struct cli_request){.arena = &arena, .route = &ROUTE, .in = json_obj(&arena)};
    return cli_parse(q, n, args, err);
}

static void words_and_flags_become_parameters(void **state)
{
    static const struct {
        const char *line, *in;
    } GOOD[] = {
        {"delay", "{\"endpoint\":\"delay\"}"},
        {"delay --json x.json --force",
         "{\"endpoint\":\"delay\",\"json\":\"x.json\",\"force\":\"true\"}"},
        {"--label-after=1d delay a b --no-force", "{\"label_after\":\"1d\",\"endpoint\":\"delay\","
                                                  "\"steps\":[\"a\",\"b\"],\"force\":\"false\"}"},
        {"delay --key a=1,b=2 --key c=3",
         "{\"endpoint\":\"delay\",\"key\":[\"a=1\",\"b=2\",\"c=3\"]}"},
        {"delay --json - -- --odd",
         "{\"endpoint\":\"delay\",\"json\":\"-\",\"steps\":[\"--odd\"]}"},
        {"delay --json=-5", "{\"endpoint\":\"delay\",\"json\":\"-5\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        struct err err = ERR_INIT;
        struct cli_request q;
        ASSERT_OK(parse(GOOD[i].line, &q, &err), &err);
        assert_string_equal(text_of(q.in), GOOD[i].in);
    }
}

static void globals_stand_anywhere(void **state)
{
    struct err err = ERR_INIT;
    struct cli_request q;
    ASSERT_OK(parse("delay --home /h -q --server=http://x:1 --help", &q, &err), &err);
    assert_string_equal(q.globals.home, "/h");
    assert_string_equal(q.globals.server, "http://x:1");
    assert_true(q.globals.is_quiet && q.globals.is_help && !q.globals.is_json);
}

static void bad_flags_are_refused_with_a_hint(void **state)
{
    struct err err = ERR_INIT;
    struct cli_request q;
    assert_int_equal(parse("delay --label-afte 1d", &q, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "did you mean --label_after?"));
    assert_int_equal(parse("delay --zzz", &q, &err), ERR_USAGE);
    assert_int_equal(parse("delay --key", &q, &err), ERR_USAGE);
    assert_int_equal(parse("delay --home", &q, &err), ERR_USAGE);
}

static const char *shown(const char *doc_text, const char *const *columns)
{
    struct err err = ERR_INIT;
    struct json *doc = NULL;
    struct buf b;
    struct cli_page page = {&b, 100};
    buf_init(&b, 1 << 20);
    ASSERT_OK(json_read(str_c(doc_text), &arena, &doc, &err), &err);
    cli_view_generic(&page, doc, columns);
    const char *text = str_dup(&arena, buf_view(&b));
    buf_fini(&b);
    return text;
}

static void lists_become_tables(void **state)
{
    static const char *const COLUMNS[] = {"name", "n_rows", "absent", NULL};
    assert_string_equal(
        shown("{\"runs\":[{\"name\":\"a\",\"n_rows\":5,\"x\":{}},{\"name\":\"b\xc3\xa4"
              "c\",\"n_rows\":1234}],\"next\":\"p2\"}",
              COLUMNS),
        "name  n rows\n"
        "a          5\n"
        "b\xc3\xa4"
        "c     1234\n"
        "next  p2\n");
    assert_string_equal(shown("{\"runs\":[]}", NULL), "no runs\n");
    assert_string_equal(shown("[{\"a\":1,\"at\":\"2001-03-01T08:15:00.250000Z\"}]", NULL),
                        "a  at\n1  2001-03-01 08:15:00.25\n");
}

static void objects_become_names_and_values(void **state)
{
    assert_string_equal(
        shown("{\"name\":\"delay\",\"live\":true,\"size_bytes\":2048,\"share\":0.125,\"took_us\":"
              "90000000,\"auc\":0.70123456789,"
              "\"digest\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\","
              "\"tags\":[\"x\",\"y\"],\"none\":[],\"text\":\"one\\ntwo\","
              "\"at\":{\"since\":\"2001-03-01T00:00:00.000000Z\"},\"views\":[{\"v\":1}],\"empty\":"
              "null}",
              NULL),
        "name        delay\n"
        "live        yes\n"
        "size bytes  2.0 KiB\n"
        "share       12.5 %\n"
        "took us     1m30s\n"
        "auc         0.701235\n"
        "digest      ba7816bf8f01\n"
        "tags        x, y\n"
        "none        none\n"
        "text        one\n"
        "            two\n"
        "at\n"
        "  since  2001-03-01 00:00:00\n"
        "views\n"
        "  v\n"
        "  1\n"
        "empty       -\n");
    assert_string_equal(shown("{}", NULL), "done\n");
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
        cmocka_unit_test(words_and_flags_become_parameters),
        cmocka_unit_test(globals_stand_anywhere),
        cmocka_unit_test(bad_flags_are_refused_with_a_hint),
        cmocka_unit_test(lists_become_tables),
        cmocka_unit_test(objects_become_names_and_values),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
