/* Checks: every kind passes on good rows and fails on bad ones, naming the rows; leakage is found in a planted set.
 * The test is its own worker: `test_validate worker --fd N` serves the operations. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "test.h"

#include "base/check.h"
#include "base/file.h"
#include "data/data_worker.h"
#include "data/scan.h"
#include "validate/check.h"
#include "validate/leakage.h"
#include "validate/validate_worker.h"

struct fixture {
    char dir[64];
    struct worker_pool *pool;
    struct arena arena;
    struct data_env env;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct err err = ERR_INIT;
    (void)snprintf(f.dir, sizeof(f.dir), "/tmp/pawl-validate-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    arena_init(&f.arena, 64 << 20);
    ASSERT_OK(worker_pool_open(&(struct worker_pool_options){.n_max = 1, .idle_ms = 10000}, &f.pool,
                               &err),
              &err);
    f.env =
        (struct data_env){.pool = f.pool, .clock = CLOCK_SYSTEM, .project = "p", .tmp_dir = f.dir};
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    worker_pool_close(f->pool);
    arena_fini(&f->arena);
    (void)!dir_remove(f->dir, &err);
    return 0;
}

static const char ROWS[] = "id,at,age,city,ratio\n"
                           "1,2001-01-01 00:00:00,30,Oslo,0.5\n"
                           "2,2001-01-01 01:00:00,31,Rome,0.25\n"
                           "3,2001-01-01 02:00:00,,Rome,7\n"
                           "3,2001-01-01 03:00:00,190,lima,0.75\n"
                           "5,2001-01-01 04:00:00,33,Oslo,\n";

static struct json *binding(struct fixture *f, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    struct json *b = NULL;
    const char *path = str_printf(&f->arena, "%s/%s.csv", f->dir, name);
    ASSERT_OK(file_write(path, str_c(text), 0644, &err), &err);
    ASSERT_OK(data_binding_of_file(path, str_c(name), STR("at"), &f->arena, &b, &err), &err);
    return b;
}

/* The report of one entry of `checks` on ROWS. */
static struct json *report(struct fixture *f, const char *entry)
{
    struct err err = ERR_INIT;
    struct cfg_problems ps;
    struct cfg_node *root = NULL;
    struct checks_spec spec;
    struct json *ret = NULL;
    const char *yaml = str_printf(&f->arena, "people:\n  - %s\n", entry);
    cfg_problems_init(&ps, &f->arena);
    ASSERT_OK(cfg_read(str_c(yaml), "pawl.yaml", &f->arena, &root, &ps, &err), &err);
    checks_spec_decode(root, root, NULL, &f->arena, &spec, &ps);
    ASSERT_OK(cfg_problems_err(&ps, &err), &err);
    struct json *bindings = json_arr(&f->arena);
    json_add(&f->arena, bindings, binding(f, "people", ROWS));
    json_add(&f->arena, bindings,
             binding(f, "cities", "name,at\nOslo,2001-01-01 00:00:00\nRome,2001-01-01 00:00:00\n"));
    int64_t at_us;
    ASSERT_OK(parse_time_us(STR("2001-01-02T00:00:00Z"), &at_us, &err), &err);
    struct checks_order o = {.checks = &spec.p[0], .bindings = bindings, .at_us = at_us};
    ASSERT_OK(checks_run(&f->env, &o, &f->arena, &ret, &err), &err);
    return ret;
}

static void each_kind_passes_and_fails(void **state)
{
    static const struct {
        const char *entry, *verdict;
        int64_t failing, first_row;
    } CASES[] = {
        {"{ columns: [id, city], nulls: 0 }", "pass", 0, -1},
        {"{ column: age, nulls: 0 }", "fail", 1, 2},
        {"{ column: age, nulls: 1 }", "pass", 1, -1},
        {"{ column: age, nulls: \"<= 20%\" }", "pass", 1, -1},
        {"{ column: age, nulls: \"<= 19%\" }", "fail", 1, 2},
        {"{ column: age, type: integer }", "pass", 0, -1},
        {"{ column: ratio, type: integer }", "fail", 3, 0},
        {"{ column: ratio, type: number }", "pass", 0, -1},
        {"{ column: city, type: integer }", "fail", 5, 0},
        {"{ column: at, type: timestamp }", "pass", 0, -1},
        {"{ column: age, range: [0, 120] }", "fail", 1, 3},
        {"{ column: age, range: [0, null] }", "pass", 0, -1},
        {"{ column: at, range: [2001-01-01, 2001-01-01T03:00:00Z] }", "fail", 1, 4},
        {"{ column: city, in: [Oslo, Rome] }", "fail", 1, 3},
        {"{ column: city, in: [Oslo, Rome, lima] }", "pass", 0, -1},
        {"{ column: city, in: cities.name }", "fail", 1, 3},
        {"{ column: city, in: cities.name, on_fail: warn }", "warn", 1, 3},
        {"{ column: city, pattern: \"[A-Z][a-z]+\" }", "fail", 1, 3},
        {"{ column: city, pattern: \"[A-Za-z]+\" }", "pass", 0, -1},
        {"{ column: id, unique: true }", "fail", 1, 2},
        {"{ columns: [id, at], unique: true }", "pass", 0, -1},
        {"{ expression: \"age < 100\" }", "fail", 1, 3}, /* a null age passes */
        {"{ expression: \"age < 100\", share: \">= 80%\" }", "pass", 1, -1},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const struct json *r = report(f, CASES[i].entry);
        const struct json *rules = json_get(r, "rules"),
                          *rule = json_at(rules, json_len(rules) - 1);
        if (!str_is(json_get_str(r, "verdict"), CASES[i].verdict) ||
            json_get_int(rule, "failing", -1) != CASES[i].failing ||
            json_get_int(json_at(json_get(rule, "rows"), 0), "row", -1) != CASES[i].first_row)
            fail_msg("%s: %.*s, %lld failing: %s", CASES[i].entry,
                     STR_ARG(json_get_str(r, "verdict")),
                     (long long)json_get_int(rule, "failing", -1), json_get_c(rule, "message"));
    }
}

static void rows_freshness_and_schema(void **state)
{
    static const struct {
        const char *entry, *verdict;
    } CASES[] = {
        {"{ rows: \">= 5\" }", "pass"},
        {"{ rows: \">= 6\" }", "fail"},
        {"{ rows: \"<= 4\" }", "fail"},
        {"{ rows: [1, 10] }", "pass"},
        {"{ freshness: 20h }", "pass"},
        {"{ freshness: 19h }", "fail"},
        {"{ schema: [id, at, age] }", "pass"},
        {"{ schema: [id, height] }", "fail"},
        {"{ schema: [id, at, age], extra: false }", "fail"},
        {"{ schema: [id, at, age, city, ratio], extra: false }", "pass"},
        {"{ column: age, distribution: { against: previous } }",
         "pass"}, /* nothing to compare with: no evidence */
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const struct json *r = report(f, CASES[i].entry);
        if (!str_is(json_get_str(r, "verdict"), CASES[i].verdict))
            fail_msg("%s: %.*s", CASES[i].entry, STR_ARG(json_get_str(r, "verdict")));
    }
}

static void the_text_names_rows_and_values(void **state)
{
    struct fixture *f = *state;
    struct buf out;
    buf_init(&out, 4096);
    checks_report_text(report(f, "{ column: age, range: [0, 120] }"), &out);
    assert_string_equal(
        out.p,
        "people: age range [0, 120]: 1 of 5 rows (20 %) fail, 0 % accepted; first rows: 3 (190)\n");
    buf_fini(&out);
}

static void what_is_wrong_in_the_section_is_said(void **state)
{
    static const char *const BAD[] = {
        "{ column: a }",
        "{ column: a, columns: [b], nulls: 0 }",
        "{ nulls: 0 }",
        "{ column: a, nulls: many }",
        "{ column: a, nulls: \">= 3\" }",
        "{ column: a, type: decimal }",
        "{ column: a, range: [1] }",
        "{ column: a, range: [5, 1] }",
        "{ column: a, in: city }",
        "{ column: a, in: nowhere.name }",
        "{ rows: 10 }",
        "{ rows: \">= x\" }",
        "{ freshness: 10 }",
        "{ column: a, pattern: [x] }",
        "{ column: a, nulls: 0, on_fail: stop }",
        "{ column: a, nulls: 0, share: \"<= 5%\" }",
        "{ column: a, unique: false }",
        "{ colum: a, nulls: 0 }",
    };
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct source_spec people = {.name = STR("people")};
    struct sources_spec sources = {&people, 1};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct cfg_problems ps;
        struct cfg_node *root = NULL;
        struct checks_spec spec;
        const char *yaml = str_printf(&f->arena, "people:\n  - %s\n", BAD[i]);
        cfg_problems_init(&ps, &f->arena);
        ASSERT_OK(cfg_read(str_c(yaml), "pawl.yaml", &f->arena, &root, &ps, &err), &err);
        checks_spec_decode(root, root, &sources, &f->arena, &spec, &ps);
        if (ps.n_errors == 0)
            fail_msg("%s: accepted", BAD[i]);
        assert_int_equal(ps.p[0].line, 2);
    }
}

/* A training set in which `leak` holds the label, and half of the test rows stand in training too. */
static const char *planted_set(struct fixture *f)
{
    struct err err = ERR_INIT;
    struct table *t = NULL;
    int64_t n;
    const char *path = str_printf(&f->arena, "%s/set.parquet", f->dir);
    ASSERT_OK(table_open(&(struct table_options){.n_threads = 1}, &t, &err), &err);
    ASSERT_OK(table_write_parquet(t,
                                  STR("SELECT i AS __row, (hash(i) % 2)::DOUBLE AS __label, "
                                      "TIMESTAMP '2001-01-01' + to_hours(i) AS __time, TIMESTAMP "
                                      "'2001-01-01' + to_hours(i + 1) AS __known_at, CASE WHEN i < "
                                      "800 THEN 'train' WHEN i < 900 THEN 'validation' "
                                      "ELSE 'test' END AS __split, (hash(i) % 2)::INT * 10 + i % 3 "
                                      "AS leak, hash(i + 7) % 100 AS noise, 'c' || "
                                      "(i % 50) AS word FROM range(1000) r(i)"),
                                  path, &n, &err),
              &err);
    table_close(t);
    return path;
}

static const struct json *finding(const struct json *r, const char *name, const char *column)
{
    const struct json *checks = json_get(r, "checks");
    for (size_t i = 0; i < json_len(checks); i++) {
        const struct json *c = json_at(checks, i);
        if (str_is(json_get_str(c, "name"), name) &&
            (column == NULL || str_is(json_at(json_get(c, "columns"), 0)->u.s, column)))
            return c;
    }
    return NULL;
}

static void a_feature_that_holds_the_label_is_named(void **state)
{
    static const char *const FEATURES[] = {"noise", "leak", "word"};
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct json *r = NULL;
    struct leakage_order o = {.dataset_path = planted_set(f),
                              .features = FEATURES,
                              .n_features = 3,
                              .gap_us = US_PER_HOUR,
                              .limits = LEAKAGE_LIMITS_DEFAULT};
    ASSERT_OK(leakage_check_dataset(&f->env, &o, &f->arena, &r, &err), &err);
    assert_string_equal(json_get_c(r, "verdict"), "fail");
    const struct json *leak = finding(r, "feature_predicts_label", "leak");
    assert_non_null(leak);
    assert_true(json_get_f64(leak, "observed", 0) > 0.999);
    assert_null(finding(r, "feature_predicts_label", "noise"));
    assert_string_equal(json_get_c(finding(r, "split_gap", NULL), "verdict"), "pass");
    assert_string_equal(json_get_c(finding(r, "shared_rows", NULL), "verdict"), "pass");
    /* Without the leaking column the set is clean: noise and a vocabulary of 50 words are not flattered. */
    static const char *const CLEAN[] = {"noise", "word"};
    o.features = CLEAN;
    o.n_features = 2;
    ASSERT_OK(leakage_check_dataset(&f->env, &o, &f->arena, &r, &err), &err);
    assert_string_not_equal(json_get_c(r, "verdict"), "fail");
    assert_true(json_get_f64(finding(r, "feature_predicts_label", NULL), "observed", 1) < 0.62);
    o.gap_us = 2 * US_PER_HOUR;
    ASSERT_OK(leakage_check_dataset(&f->env, &o, &f->arena, &r, &err), &err);
    assert_string_equal(json_get_c(finding(r, "split_gap", NULL), "verdict"), "fail");
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "worker") == 0)
        return worker_main(atoi(argv[3]), VALIDATE_WORKER_OPS, N_VALIDATE_WORKER_OPS);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_kind_passes_and_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_freshness_and_schema, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_text_names_rows_and_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_in_the_section_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_feature_that_holds_the_label_is_named, set_up, tear_down),
    };
    return RUN_TESTS(tests);
}
