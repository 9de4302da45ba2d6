#include "test.h"

#include <stdlib.h>

#include "base/check.h"
#include "config/config.h"

static struct arena arena;

static int set_up(void **state)
{
    arena_init(&arena, 32 << 20);
    return 0;
}

static int tear_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

static struct cfg_node *read_text(const char *text, struct cfg_problems *ps)
{
    struct err err = ERR_INIT;
    struct cfg_node *root = NULL;
    cfg_problems_init(ps, &arena);
    ASSERT_OK(cfg_read(str_c(text), "pawl.yaml", &arena, &root, ps, &err), &err);
    return root;
}

static void trees_have_positions(void **state)
{
    struct cfg_problems ps;
    const struct cfg_node *root = read_text("pawl: 1\n"
                                            "sources:\n"
                                            "  flights:   # a comment\n"
                                            "    path: \"data/*.csv\"\n"
                                            "    sql: |\n"
                                            "      SELECT 1\n"
                                            "      FROM t\n"
                                            "gates:\n"
                                            "  - { metric: roc_auc, at_least: 0.68 }\n"
                                            "  - checks\n"
                                            "empty:\n"
                                            "on: yes\n",
                                            &ps);
    assert_int_equal(ps.n, 0);
    assert_int_equal(root->type, CFG_MAP);
    const struct cfg_node *flights = cfg_get(cfg_get(root, "sources"), "flights");
    assert_int_equal(flights->line, 4);
    assert_int_equal(flights->column, 5);
    const struct cfg_node *path = cfg_get(flights, "path");
    assert_true(str_is(path->text, "data/*.csv") && path->is_quoted);
    assert_int_equal(path->column, 11);
    assert_true(str_is(cfg_get(flights, "sql")->text, "SELECT 1\nFROM t\n"));
    const struct cfg_node *gate = cfg_get(root, "gates")->items[0];
    assert_int_equal(gate->line, 9);
    assert_int_equal(gate->column, 5);
    assert_int_equal(cfg_get(gate, "at_least")->line, 9);
    assert_int_equal(cfg_get(root, "empty")->type, CFG_NULL);
    assert_true(str_is(cfg_get(root, "on")->text, "yes"));
    assert_int_equal(cfg_key_node(root, "on")->line, 12);
    assert_null(cfg_get(NULL, "x"));
}

static void syntax_problems_have_a_place(void **state)
{
    static const struct {
        const char *text;
        int line;
    } BAD[] = {
        {"a: 1\na: 2\n", 2},      {"a: [1, 2\nb: 3\n", 0}, {"a: *nope\n", 1}, {"a: !!int 5\n", 1},
        {"a: 1\n---\nb: 2\n", 0}, {"\ta: 1\n", 0},         {"", 1},           {"a: 1\n b: 2\n", 0},
        {"? [x]\n: 1\n", 1},      {"a: \"open\n", 0},      {"a: \xff\n", 1}};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct cfg_problems ps;
        read_text(BAD[i].text, &ps);
        assert_true(ps.n_errors > 0);
        if (BAD[i].line)
            assert_int_equal(ps.p[0].line, BAD[i].line);
        assert_string_equal(ps.p[0].file, "pawl.yaml");
    }
}

static void aliases_share_and_are_bounded(void **state)
{
    struct cfg_problems ps;
    struct cfg_node *root = read_text("base: &b { x: 1 }\nuse: *b\n", &ps);
    assert_int_equal(ps.n, 0);
    assert_true(str_is(cfg_get(cfg_get(root, "use"), "x")->text, "1"));
    struct buf bomb;
    buf_init(&bomb, 1 << 16);
    buf_c(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++)
        buf_printf(&bomb, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i,
                   i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    assert_null(read_text(bomb.p, &ps));
    assert_int_equal(ps.n_errors, 1);
    buf_fini(&bomb);
}

static void typed_access_says_what_stands_there(void **state)
{
    static const char *const KEYS[] = {"eta", "rounds"};
    static const char *const KINDS[] = {"online", "batch"};
    struct cfg_problems ps;
    const struct cfg_node *root =
        read_text("eta: 0.1\nround: x\nlist: [a, b]\none: a\nshare: 1%\nwindow: 1d12h\nyes: "
                  "true\nquoted: \"5\"\nmode: onlin\nmap: {a: 1}\n",
                  &ps);
    int64_t i = 0;
    double f = 0;
    bool b = false;
    int e = -1;
    struct str s, *list;
    size_t n = 0;
    assert_true(cfg_f64(cfg_get(root, "eta"), "eta", 0, 1, &f, &ps) && f > 0.09 && f < 0.11);
    assert_true(cfg_ratio(cfg_get(root, "share"), "share", &f, &ps) && f > 0.009 && f < 0.011);
    assert_true(cfg_duration_us(cfg_get(root, "window"), "window", &i, &ps) &&
                i == INT64_C(129600000000));
    assert_true(cfg_bool(cfg_get(root, "yes"), "yes", &b, &ps) && b);
    assert_true(cfg_str_list(cfg_get(root, "list"), "list", &arena, &list, &n, &ps) && n == 2);
    assert_true(cfg_str_list(cfg_get(root, "one"), "one", &arena, &list, &n, &ps) && n == 1);
    assert_true(cfg_str(cfg_get(root, "quoted"), "quoted", &s, &ps) && str_is(s, "5"));
    assert_false(cfg_i64(cfg_get(root, "absent"), "absent", 0, 9, &i, &ps));
    assert_int_equal(ps.n, 0);
    assert_false(cfg_i64(cfg_get(root, "round"), "round", 0, 9, &i, &ps));
    assert_string_equal(ps.p[0].text, "round must be a whole number, and \"x\" stands here");
    assert_false(cfg_f64(cfg_get(root, "eta"), "eta", 1, 2, &f, &ps));
    assert_string_equal(ps.p[1].text, "eta must be between 1 and 2, and 0.1 stands here");
    assert_false(cfg_enum(cfg_get(root, "mode"), "mode", KINDS, 2, &e, &ps));
    assert_string_equal(
        ps.p[2].text,
        "mode must be online or batch, and \"onlin\" stands here, did you mean \"online\"?");
    assert_false(cfg_str(cfg_get(root, "map"), "map", &s, &ps));
    assert_string_equal(ps.p[3].text, "map must be a text, and a map stands here");
    assert_null(cfg_require(root, "target", &ps));
    cfg_problems_init(&ps, &arena);
    struct cfg_node *few = read_text("eta: 1\nround: 2\n", &ps);
    assert_false(cfg_known_keys(few, KEYS, 2, &ps));
    assert_string_equal(ps.p[0].text, "unknown key \"round\", did you mean \"rounds\"?");
    assert_int_equal(ps.p[0].line, 2);
}

static void all_problems_come_at_once_in_order(void **state)
{
    struct cfg_problems ps;
    struct err err = ERR_INIT;
    struct buf b;
    struct cfg_node *root = read_text("a: 1\nb: 2\nc: 3\n", &ps);
    assert_int_equal(cfg_problems_err(&ps, &err), ERR_OK);
    cfg_error(&ps, cfg_get(root, "c"), "third");
    cfg_warn(&ps, cfg_get(root, "b"), "second");
    cfg_error(&ps, cfg_get(root, "a"), "first");
    assert_int_equal(cfg_problems_err(&ps, &err), ERR_CONFIG);
    assert_string_equal(err.msg, "pawl.yaml:1:4: first\npawl.yaml:3:4: third");
    buf_init(&b, 10000);
    ASSERT_OK(json_write(cfg_problems_json(&ps, &arena), JSON_COMPACT, &b, &err), &err);
    assert_non_null(strstr(b.p, "{\"file\":\"pawl.yaml\",\"line\":2,\"column\":4,\"severity\":"
                                "\"warning\",\"message\":\"second\"}"));
    buf_fini(&b);
    for (int i = 0; i < 1000; i++)
        cfg_error(&ps, root, "more");
    assert_int_equal(ps.n, CFG_PROBLEMS_MAX);
    assert_int_equal(ps.n_errors, 1002);
}

static void definitions_become_json(void **state)
{
    struct cfg_problems ps;
    struct err err = ERR_INIT;
    struct buf b;
    struct cfg_node *root = read_text("b: [1, 1.5, true, null, text, \"5\"]\na: {x: }\n", &ps);
    buf_init(&b, 10000);
    ASSERT_OK(json_write(cfg_json(root, &arena), JSON_CANONICAL, &b, &err), &err);
    assert_string_equal(b.p, "{\"a\":{},\"b\":[1,1.5,true,null,\"text\",\"5\"]}");
    buf_fini(&b);
}

static void references_are_expanded_late(void **state)
{
    struct cfg_problems ps;
    struct str s;
    struct cfg_node *root = read_text(
        "url: \"http://${PAWL_TEST_HOST}:${PAWL_TEST_PORT}/$x${\"\nbad: ${PAWL_TEST_NONE}\n", &ps);
    assert_true(str_find(cfg_get(root, "url")->text, STR("${PAWL_TEST_HOST}")) >= 0);
    setenv("PAWL_TEST_HOST", "h", 1);
    setenv("PAWL_TEST_PORT", "80", 1);
    assert_true(cfg_expand(cfg_get(root, "url"), &arena, &s, &ps));
    assert_true(str_is(s, "http://h:80/$x${"));
    assert_false(cfg_expand(cfg_get(root, "bad"), &arena, &s, &ps));
    assert_string_equal(ps.p[0].text, "the environment variable PAWL_TEST_NONE is not set");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_have_positions),
        cmocka_unit_test(syntax_problems_have_a_place),
        cmocka_unit_test(aliases_share_and_are_bounded),
        cmocka_unit_test(typed_access_says_what_stands_there),
        cmocka_unit_test(all_problems_come_at_once_in_order),
        cmocka_unit_test(definitions_become_json),
        cmocka_unit_test(references_are_expanded_late),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
