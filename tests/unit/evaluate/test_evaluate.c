/* evaluate.run and evaluate.profile on a data set with known structure, with model directories written here: the report against
 * direct computation, peers that cannot be scored, cases, slices, gates on the report, files of a model version. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "engine/mlmodel.h"
#include "evaluate/eval_int.h"
#include "evaluate/gate.h"
#include "stats/baseline.h"
#include "stats/calibration.h"
#include "stats/drift.h"

/* x and b matter, the origin hardly; every 50th row has no b. Splits by day, as datasets have them. */
#define DATASET                                                                                    \
    "SELECT date, x, origin, b AS \"v.b\", (u < 1 / (1 + exp(1.5 - 1.5 * (x > 0)::INT - "          \
    "coalesce(b > 0.5, false)::INT)))"                                                             \
    "::INT::DOUBLE AS __label, date AS __time, date AS __known_at, i AS __row, CASE WHEN day < "   \
    "30 THEN 'train' "                                                                             \
    "WHEN day < 40 THEN 'validation' WHEN day < 50 THEN 'test' ELSE 'benchmark' END AS __split, "  \
    "date::DATE AS __day "                                                                         \
    "FROM (SELECT i, i // 120 AS day, TIMESTAMP '2001-01-01' + to_minutes(i * 12) AS date, "       \
    "hash(i * 3) % 1000003 / 500001.5 - 1 AS x, CASE WHEN i % 50 = 7 THEN NULL ELSE hash(i * 3 + " \
    "1) % 1000003 / 1000003.0 END AS b, "                                                          \
    "hash(i * 3 + 2) % 1000003 / 1000003.0 AS u, ['LAX', 'ORD', 'SEA'][1 + (hash(i * 5) % "        \
    "3)::INT] AS origin "                                                                          \
    "FROM range(9600) t(i)) ORDER BY i"

#define PLAN                                                                                       \
    "{\"format\":1,\"expr\":1,\"time\":\"date\",\"request\":[{\"name\":\"date\",\"type\":"         \
    "\"timestamp\",\"required\":true},"                                                            \
    "{\"name\":\"x\",\"type\":\"float\",\"required\":true},{\"name\":\"origin\",\"type\":"         \
    "\"string\",\"required\":false}],"                                                             \
    "\"lookups\":[{\"view\":\"v\",\"version\":\"1\",\"key\":[{\"entity\":\"k\",\"from\":"          \
    "\"origin\"}],"                                                                                \
    "\"columns\":[{\"name\":\"b\",\"type\":\"float\"}],\"ttl_us\":0,\"on_stale\":\"default\"}],"   \
    "\"row\":[{\"name\":\"hour\",\"view\":\"r\",\"expr\":\"hour(date)\",\"type\":\"int\"}],"       \
    "\"inputs\":[{\"name\":\"x\",\"from\":\"x\",\"kind\":\"number\"},{\"name\":\"v.b\",\"from\":"  \
    "\"v.b\",\"kind\":\"number\"},"                                                                \
    "{\"name\":\"origin\",\"from\":\"origin\",\"kind\":\"category\",\"categories\":[\"LAX\","      \
    "\"ORD\",\"SEA\"]}]}"

/* One stump: split on a feature at a value, leaves low and high. */
static void stump(struct buf *b, int feature, double at, double low, double high)
{
    buf_printf(
        b,
        "{\"left_children\":[1,-1,-1],\"right_children\":[2,-1,-1],\"split_indices\":[%d,0,0],"
        "\"split_conditions\":[%g,%g,%g],\"default_left\":[1,0,0]}",
        feature, at, low, high);
}

struct fix {
    char root[40], data[64], good[64], weak[64], broken[64];
    struct arena a;
    struct err err;
};

static void write_model(struct fix *f, const char *dir, bool has_b, const char *plan)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_printf(&b,
               "{\"learner\":{\"feature_names\":[\"x\",\"v.b\",\"origin\"],\"feature_types\":["
               "\"float\",\"float\",\"float\"],"
               "\"gradient_booster\":{\"model\":{\"gbtree_model_param\":{\"num_trees\":\"%d\"},"
               "\"tree_info\":[0%s],\"trees\":[",
               has_b ? 3 : 1, has_b ? ",0,0" : "");
    stump(&b, 0, 0.0, -1.2, 0.3);
    if (has_b) {
        buf_ch(&b, ',');
        stump(&b, 1, 0.5, -0.25, 0.75);
        buf_ch(&b, ',');
        stump(&b, 2, 0.5, 0.01, -0.01);
    }
    buf_c(&b, "]},\"name\":\"gbtree\"},\"learner_model_param\":{\"base_score\":\"5E-1\",\"num_"
              "class\":\"0\",\"num_feature\":\"3\"},"
              "\"objective\":{\"name\":\"binary:logistic\"}},\"version\":[1,7,4]}");
    struct model_file file = {"pawl/plan.json", str_c(plan)};
    struct model_write w = {.booster_json = buf_view(&b),
                            .xgboost_version = "1.7.4",
                            .at_us = 1,
                            .files = &file,
                            .n_files = 1};
    ASSERT_OK(model_dir_write(dir, &w, &f->a, &f->err), &f->err);
    buf_fini(&b);
}

static int set_up(void **state)
{
    struct fix *f = calloc(1, sizeof(*f));
    struct table *t = NULL;
    int64_t rows;
    assert_non_null(f);
    arena_init(&f->a, (size_t)1 << 30);
    memcpy(f->root, "/tmp/pawl-evaluate-XXXXXX", 26);
    assert_non_null(mkdtemp(f->root));
    (void)snprintf(f->data, sizeof(f->data), "%s/data.parquet", f->root);
    (void)snprintf(f->good, sizeof(f->good), "%s/good", f->root);
    (void)snprintf(f->weak, sizeof(f->weak), "%s/weak", f->root);
    (void)snprintf(f->broken, sizeof(f->broken), "%s/broken", f->root);
    ASSERT_OK(table_open(&(struct table_options){.n_threads = 2}, &t, &f->err), &f->err);
    ASSERT_OK(table_write_parquet(t, STR(DATASET), f->data, &rows, &f->err), &f->err);
    assert_int_equal(rows, 9600);
    table_close(t);
    write_model(f, f->good, true, PLAN);
    write_model(f, f->weak, false, PLAN);
    char *other = str_dup(&f->a, STR(PLAN));
    memcpy(strstr(other, "{\"name\":\"x\",\"type\""), "{\"name\":\"y\"",
           11); /* reads a column that is not there */
    char *input = strstr(other, "\"from\":\"x\"");
    memcpy(input, "\"from\":\"y\"", 10);
    write_model(f, f->broken, true, other);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fix *f = *state;
    ASSERT_OK(dir_remove(f->root, &f->err), &f->err);
    arena_fini(&f->a);
    free(f);
    return 0;
}

#define SPEC                                                                                       \
    "\"spec\":{\"task\":\"binary\",\"metrics\":[\"roc_auc\",\"log_loss\",\"calibration_in_the_"    \
    "large\"],"                                                                                    \
    "\"threshold\":{\"kind\":\"best\",\"metric\":\"f1\",\"split\":\"validation\"},"                \
    "\"slices\":[\"origin\",\"hour < 6 or hour >= "                                                \
    "22\",\"x\"],\"entity\":[\"origin\"],\"confidence\":0.95}"

#define CASES                                                                                      \
    "\"cases\":[{\"name\":\"low x is rarely "                                                      \
    "late\",\"given\":{\"date\":\"2001-01-01T00:00:00Z\",\"x\":-1,\"v.b\":0},"                     \
    "\"expect\":{\"score\":{\"below\":0.3},\"decision\":\"negative\"}},"                           \
    "{\"name\":\"more b is never "                                                                 \
    "better\",\"sample\":50,\"change\":{\"v.b\":{\"expr\":\"\\\"v.b\\\" + "                        \
    "0.5\"}},\"direction\":{\"score\":\"up\"}},"                                                   \
    "{\"name\":\"origin does not "                                                                 \
    "matter\",\"sample\":50,\"change\":{\"origin\":\"ORD\"},\"invariant\":{\"tolerance\":0.02}},"  \
    "{\"name\":\"x does not "                                                                      \
    "matter\",\"sample\":50,\"change\":{\"x\":0.5},\"invariant\":{\"tolerance\":0.02}},"           \
    "{\"name\":\"asks for what is not "                                                            \
    "there\",\"given\":{\"z\":1},\"expect\":{\"score\":{\"below\":1}},\"on_fail\":\"warn\"}]"

#define GATES                                                                                      \
    "\"gates\":[{\"metric\":\"roc_auc\",\"at_least\":0.65},{\"metric\":\"roc_auc\",\"against\":["  \
    "\"incumbent\",\"other\"],"                                                                    \
    "\"no_worse_by\":0.01,\"confidence\":0.9},{\"metric\":\"roc_auc\",\"slice\":\"origin\",\"min_" \
    "rows\":500,\"at_least\":0.55}]"

static struct json *args(struct fix *f, const char *fmt_models, const char *rest)
{
    struct json *v = NULL;
    char *text = str_printf(&f->a, "{\"dataset\":\"%s\",%s,%s}", f->data, fmt_models, rest);
    ASSERT_OK(json_read(str_c(text), &f->a, &v, &f->err), &f->err);
    return v;
}

static const char *three_models(struct fix *f)
{
    return str_printf(
        &f->a,
        "\"models\":[{\"name\":\"candidate\",\"dir\":\"%s\",\"id\":\"c\"},{\"name\":\"incumbent\","
        "\"dir\":\"%s\",\"threshold\":0.4},"
        "{\"name\":\"other\",\"dir\":\"%s\"},{\"name\":\"baseline\",\"predict\":\"majority\"}]",
        f->good, f->weak, f->broken);
}

static struct json *run(struct fix *f, const char *rest)
{
    struct json *report = NULL;
    ASSERT_OK(eval_run(NULL, args(f, three_models(f), rest), &f->a, &report, &f->err), &f->err);
    return report;
}

static double number(const struct json *v, const char *path)
{
    double d = NAN;
    if (!json_as_f64(json_path(v, path), &d))
        fail_msg("%s is no number", path);
    return d;
}

static void report_is_right(void **state)
{
    struct fix *f = *state;
    const struct json *r = run(f, SPEC "," CASES "," GATES ",\"latency_calls\":500,\"seed\":3");
    assert_string_equal(json_get_c(json_get(r, "benchmark"), "split"), "benchmark");
    assert_int_equal(json_get_int(json_get(r, "benchmark"), "rows", 0), 3600);
    assert_int_equal(number(r, "benchmark.blocks.day"), 30);
    assert_int_equal(number(r, "benchmark.blocks.entity"), 3);
    double good = number(r, "models.candidate.splits.benchmark.metrics.roc_auc.value");
    double weak = number(r, "models.incumbent.splits.benchmark.metrics.roc_auc.value");
    assert_true(good > weak + 0.01 && weak > 0.6 && good < 0.85);
    assert_true(number(r, "models.baseline.splits.benchmark.metrics.roc_auc.value") == 0.5);
    assert_true(
        fabs(number(
            r, "models.candidate.splits.benchmark.metrics.calibration_in_the_large.value")) < 0.05);
    assert_true(number(r, "models.candidate.splits.test.metrics.roc_auc.low") <
                number(r, "models.candidate.splits.test.metrics.roc_auc.high"));
    assert_null(json_path(r, "models.candidate.splits.train"));
    assert_true(number(r, "models.incumbent.threshold.value") == 0.4);
    assert_non_null(strstr(json_get_c(json_path(r, "models.candidate.threshold"), "how"), "f1"));
    assert_true(number(r, "models.candidate.latency.p99_us") > 0 &&
                number(r, "models.candidate.latency.calls") == 500);
    assert_true(number(r, "models.candidate.size_bytes") > 500);
    assert_int_equal(json_len(json_path(r, "models.candidate.calibration.bins")) > 2, 1);
    assert_non_null(strstr(json_get_c(json_path(r, "models.other"), "error"),
                           "y")); /* names the missing column */
    /* origin 3, hours 1, x in quartiles 4 */
    assert_int_equal(json_len(json_path(r, "models.candidate.slices")), 8);
}

static void cases_say_what_they_found(void **state)
{
    struct fix *f = *state;
    const struct json *c =
        json_path(run(f, SPEC "," CASES ",\"latency_calls\":0"), "models.candidate.cases");
    static const char *const WANT[] = {"pass", "pass", "pass", "fail", "warn"};
    for (size_t i = 0; i < ARRAY_LEN(WANT); i++)
        assert_string_equal(json_get_c(json_at(json_get(c, "items"), i), "verdict"), WANT[i]);
    assert_int_equal(json_get_int(c, "failed", 0), 1);
    assert_non_null(strstr(json_get_c(json_at(json_get(c, "items"), 3), "why"), "became"));
    assert_non_null(strstr(json_get_c(json_at(json_get(c, "items"), 4), "why"), "z"));
}

static void same_inputs_same_report(void **state)
{
    struct fix *f = *state;
    struct json *a = run(f, SPEC "," GATES ",\"latency_calls\":0,\"seed\":9"),
                *b = run(f, SPEC "," GATES ",\"latency_calls\":0,\"seed\":9");
    assert_true(json_eq(a, b));
}

static void gates_read_the_report(void **state)
{
    struct fix *f = *state;
    struct json *a = args(f, three_models(f), SPEC "," GATES ",\"latency_calls\":0"),
                *report = NULL;
    struct gate_rules rules;
    struct gate_outcome o;
    ASSERT_OK(eval_run(NULL, a, &f->a, &report, &f->err), &f->err);
    ASSERT_OK(gate_rules_read(json_get(a, "gates"), &f->a, &rules, &f->err), &f->err);
    struct gate_documents d = {.report = report, .has_incumbent = true};
    ASSERT_OK(gate_judge(&rules, &d, &f->a, &o, &f->err), &f->err);
    assert_int_equal(o.results[0].verdict, VERDICT_PASS);
    assert_int_equal(o.results[1].verdict,
                     VERDICT_OPEN); /* better than the incumbent, but `other` could not be scored */
    assert_non_null(strstr(json_get_c(o.results[1].doc, "why"), "other"));
    assert_int_equal(o.results[2].verdict, VERDICT_PASS);
    const struct json *parts = json_get(o.results[1].doc, "parts");
    assert_string_equal(json_get_c(json_at(parts, 0), "verdict"), "pass");
}

static void errors_are_sentences(void **state)
{
    struct fix *f = *state;
    struct json *r = NULL;
    char *models =
        str_printf(&f->a, "\"models\":[{\"name\":\"candidate\",\"dir\":\"%s\"}]", f->broken);
    assert_int_not_equal(eval_run(NULL, args(f, models, SPEC), &f->a, &r, &f->err), ERR_OK);
    assert_non_null(strstr(f->err.msg, "evaluate"));
    assert_int_equal(eval_run(NULL, args(f, "\"models\":[]", SPEC), &f->a, &r, &f->err),
                     ERR_INVALID);
    struct json *no_data = NULL;
    ASSERT_OK(json_read(STR("{\"dataset\":\"/nowhere/x.parquet\",\"models\":[]," SPEC "}"), &f->a,
                        &no_data, &f->err),
              &f->err);
    assert_int_equal(eval_run(NULL, no_data, &f->a, &r, &f->err), ERR_NOT_FOUND);
    err_reset(&f->err);
    const char *slice = "\"spec\":{\"task\":\"binary\",\"metrics\":[\"roc_auc\"],\"slices\":["
                        "\"nosuch + 1\"]},\"latency_calls\":0";
    models = str_printf(&f->a, "\"models\":[{\"name\":\"candidate\",\"dir\":\"%s\"}]", f->good);
    assert_int_not_equal(eval_run(NULL, args(f, models, slice), &f->a, &r, &f->err), ERR_OK);
    assert_non_null(strstr(f->err.msg, "nosuch"));
    err_reset(&f->err);
}

/* ---- profile ---- */

static struct json *read_doc(struct fix *f, const char *name)
{
    struct str text;
    struct json *v = NULL;
    ASSERT_OK(
        file_read(str_printf(&f->a, "%s/pawl/%s", f->good, name), 1 << 26, &f->a, &text, &f->err),
        &f->err);
    ASSERT_OK(json_read(text, &f->a, &v, &f->err), &f->err);
    return v;
}

static void check_baseline(struct fix *f)
{
    struct baseline b;
    ASSERT_OK(baseline_read(read_doc(f, "baseline.json"), &f->a, &b, &f->err), &f->err);
    assert_string_equal(b.reference, "train");
    assert_int_equal(b.n_rows, 3600);
    assert_int_equal(b.n_features, 3);
    assert_int_equal(b.score.n, 6000);
    ptrdiff_t x = baseline_find(&b, STR("x")), v = baseline_find(&b, STR("v.b")),
              o = baseline_find(&b, STR("origin"));
    assert_true(x >= 0 && v >= 0 && o >= 0);
    double sum = b.features[x].importance + b.features[v].importance + b.features[o].importance;
    assert_true(fabs(sum - 1) < 1e-9 && b.features[x].importance > b.features[v].importance);
    assert_true(b.features[o].importance < 0.05);
    assert_int_equal(b.features[v].counts[hist_cell_missing(&b.features[v].edges)],
                     72); /* one in fifty */
    assert_int_equal(b.features[o].edges.n_categories, 3);
    assert_true(b.features[x].n_chunks >= 30 && b.features[x].chunk_from_us);
    /* the reference itself has not drifted */
    struct drift_options opt = {
        .alpha = 1e-3, .effect_floor = 0.1, .n_min = 50, .window_us = US_PER_DAY};
    struct drift_result r;
    uint64_t cur[HIST_CELLS_MAX];
    hist_reference_merge(&b.features[x], 3, 1, cur);
    drift_judge(&b.features[x], cur, &opt, &r);
    assert_int_equal(r.verdict, DRIFT_NONE);
}

/* Each stored row gives the stored bits again. */
static void check_regression(struct fix *f)
{
    const struct json *doc = read_doc(f, "regression.json"), *rows = json_get(doc, "rows");
    struct eval e = {0};
    struct eval_model m = {.name = "m", .dir = f->good};
    struct eval_single one;
    size_t n_nulls = 0;
    arena_init(&e.arena, 1 << 28);
    ASSERT_OK(eval_model_open(&e, &m, &f->err), &f->err);
    struct eval_rows none = {0};
    ASSERT_OK(eval_single_open(&one, &m, &none, &e.arena, &f->err), &f->err);
    assert_true(json_len(rows) >= 95 && json_len(rows) <= 100);
    for (size_t i = 0; i < json_len(rows); i++) {
        const struct json *row = json_at(rows, i), *request = json_get(row, "request");
        const float *out;
        double want = NAN;
        for (size_t s = 0; s < plan_n_settable(m.plan); s++) {
            const struct json *v = json_get(request, plan_slot(m.plan, s)->name);
            double x = 0;
            assert_non_null(v);
            one.values[s] = (struct value){.type = VAL_NULL};
            if (v->type == JSON_STR)
                one.values[s] = (struct value){.type = VAL_STR, .u.s = v->u.s};
            else if (json_as_f64(v, &x))
                one.values[s] = (struct value){.type = VAL_FLOAT, .u.f = x};
            n_nulls += v->type == JSON_NULL;
        }
        ASSERT_OK(eval_single_score(&one, 0, &out, &f->err), &f->err);
        assert_true(json_as_f64(json_at(json_get(row, "scores"), 0), &want));
        assert_true((double)out[0] == want);
        assert_true(json_get_f64(row, "decision", 7) ==
                    ((double)out[0] >= json_get_f64(doc, "threshold", NAN)));
    }
    assert_true(n_nulls >= 10);
    eval_single_close(&one);
    eval_model_close(&m);
    arena_fini(&e.arena);
}

static void profile_writes_what_a_version_carries(void **state)
{
    struct fix *f = *state;
    struct json *r = NULL;
    struct calibration c;
    char *model = str_printf(&f->a, "\"model\":\"%s\"", f->good);
    ASSERT_OK(eval_profile_model(NULL, args(f, model, SPEC ",\"seed\":1"), &f->a, &r, &f->err),
              &f->err);
    assert_int_equal(json_len(json_get(r, "files")), 3);
    assert_true(json_get_f64(r, "threshold", 0) > 0.2);
    check_baseline(f);
    check_regression(f);
    ASSERT_OK(calibration_read(read_doc(f, "calibration.json"), &f->a, &c, &f->err), &f->err);
    assert_true(c.n == 6000 && c.ece < 0.05 && c.n_points >= 3);
}

/* A CSV that somebody uploaded as the reference, without splits or label. */
static void uploaded_reference(void **state)
{
    struct fix *f = *state;
    struct json *r = NULL, *a = NULL;
    struct baseline b;
    char *path = str_printf(&f->a, "%s/ref.csv", f->root);
    struct buf csv;
    buf_init(&csv, 1 << 20);
    buf_c(&csv, "date,x,origin,v.b\n");
    for (int i = 0; i < 500; i++)
        buf_printf(&csv, "2001-01-01 00:%02d:00,%g,SEA,%g\n", i % 60, (i % 100) / 50.0 - 1,
                   i / 500.0);
    ASSERT_OK(file_write(path, buf_view(&csv), 0600, &f->err), &f->err);
    buf_fini(&csv);
    char *text = str_printf(
        &f->a, "{\"dataset\":\"%s\",\"model\":\"%s\",\"threshold\":0.5," SPEC "}", path, f->weak);
    ASSERT_OK(json_read(str_c(text), &f->a, &a, &f->err), &f->err);
    ASSERT_OK(eval_profile_model(NULL, a, &f->a, &r, &f->err), &f->err);
    assert_int_equal(json_len(json_get(r, "files")), 2); /* no label, no calibration */
    struct str doc;
    struct json *v = NULL;
    ASSERT_OK(file_read(str_printf(&f->a, "%s/pawl/baseline.json", f->weak), 1 << 26, &f->a, &doc,
                        &f->err),
              &f->err);
    ASSERT_OK(json_read(doc, &f->a, &v, &f->err), &f->err);
    ASSERT_OK(baseline_read(v, &f->a, &b, &f->err), &f->err);
    assert_string_equal(b.reference, "upload");
    assert_int_equal(b.score.n, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(report_is_right, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cases_say_what_they_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(same_inputs_same_report, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gates_read_the_report, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_are_sentences, set_up, tear_down),
        cmocka_unit_test_setup_teardown(profile_writes_what_a_version_carries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(uploaded_reference, set_up, tear_down),
    };
    return RUN_TESTS(tests);
}
