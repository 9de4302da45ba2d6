/* Gate rules: what may be written, what a report makes of them, and that no data is never a pass. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "evaluate/gate.h"
#include "evaluate/spec.h"

struct fix {
    struct arena a;
    struct err err;
    struct cfg_problems ps;
};

static void fix_init(struct fix *f)
{
    memset(f, 0, sizeof(*f));
    arena_init(&f->a, 1 << 24);
    cfg_problems_init(&f->ps, &f->a);
}

static struct cfg_node *yaml(struct fix *f, const char *text)
{
    struct cfg_node *n = NULL;
    ASSERT_OK(cfg_read(str_c(text), "pawl.yaml", &f->a, &n, &f->ps, &f->err), &f->err);
    return n;
}

static struct gate_rules rules(struct fix *f, const char *text)
{
    struct gate_rules r;
    gate_rules_decode(yaml(f, text), NULL, &f->a, &r, &f->ps);
    if (f->ps.n_errors)
        fail_msg("%s", f->ps.p[0].text);
    return r;
}

static const struct json *doc(struct fix *f, const char *text)
{
    struct json *v = NULL;
    ASSERT_OK(json_read(str_c(text), &f->a, &v, &f->err), &f->err);
    return v;
}

/* First rule's verdict on this report. */
static enum verdict judge(struct fix *f, const char *rule, const char *report, bool has_incumbent)
{
    struct gate_rules r = rules(f, rule);
    struct gate_documents d = {.report = report ? doc(f, report) : NULL,
                               .has_incumbent = has_incumbent};
    struct gate_outcome o;
    ASSERT_OK(gate_judge(&r, &d, &f->a, &o, &f->err), &f->err);
    return o.results[0].verdict;
}

static void what_may_be_written(void **state)
{
    static const struct {
        const char *text, *says;
    } BAD[] = {
        {"[{ metric: roc_auk, at_least: 0.7 }]", "did you mean roc_auc"},
        {"[{ metric: roc_auc }]", "needs at_least"},
        {"[{ metric: roc_auc, at_leest: 0.7 }]", "at_least"},
        {"[{ metric: roc_auc, against: incumbent }]", "no_worse_by or better_by"},
        {"[{ metric: roc_auc, at_least: 0.7, confidence: 120% }]", "confidence"},
        {"[{ metric: roc_auc, at_least: much }]", "at_least must be a number"},
        {"[{ metric: roc_auc, no_worse_by: -1 }]", "must not be negative"},
        {"[{ latency_p99: fast }]", "5ms"},
        {"[{ size: 5 }]", "50MB"},
        {"[{ cases: maybe }]", "cases takes one value: pass"},
        {"[{ undecided: wait }]", "a gate needs one of"},
        {"[{ metric: recall, across: age }]", "difference_at_most"},
        {"[{ metric: roc_auc, at_least: 0.7, undecided: never }]", "undecided must be"},
        {"[pass]", "a gate is a map"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct fix f;
        struct gate_rules r;
        fix_init(&f);
        gate_rules_decode(yaml(&f, BAD[i].text), NULL, &f.a, &r, &f.ps);
        if (f.ps.n_errors != 1 || !strstr(f.ps.p[0].text, BAD[i].says))
            fail_msg("%s: %s", BAD[i].text, f.ps.n_errors ? f.ps.p[0].text : "was taken");
        assert_int_equal(f.ps.p[0].line, 1);
        arena_fini(&f.a);
    }
}

static void rules_survive_their_record(void **state)
{
    struct fix f;
    struct gate_rules r, back;
    (void)state;
    fix_init(&f);
    r = rules(
        &f, "- { metric: roc_auc, against: [incumbent, best], no_worse_by: 0.2%, confidence: 95%, "
            "baseline: { predict: majority }, undecided: ask }\n"
            "- { metric: roc_auc, slice: origin, min_rows: 500, at_least: 0.58 }\n"
            "- { latency_p99: 5ms }\n- { size: 50MB, on_fail: warn }\n- { cases: pass }\n");
    assert_int_equal(r.n, 8); /* loads, interface, regression stand in every list */
    assert_true(r.p[0].margin == 0.002 && r.p[0].confidence == 0.95 && r.p[0].n_against == 2 &&
                r.p[0].undecided == GATE_ASK);
    assert_true(r.p[1].min_rows == 500 && r.p[2].bound == 5000 && r.p[3].bound == 50e6 &&
                r.p[3].is_warning);
    ASSERT_OK(gate_rules_read(gate_rules_json(&r, &f.a), &f.a, &back, &f.err), &f.err);
    assert_int_equal(back.n, r.n);
    assert_true(json_eq(gate_rules_json(&r, &f.a), gate_rules_json(&back, &f.a)));
    assert_int_equal(json_len(gate_rules_diff(&r, &back, &f.a)), 0);
    const struct json *m = gate_rules_models(&r, true, &f.a);
    assert_true(json_get(m, "incumbent") && json_get(m, "best") && !json_get(m, "baseline"));
    m = gate_rules_models(&r, false, &f.a);
    assert_true(!json_get(m, "incumbent") && json_get(m, "baseline"));
    arena_fini(&f.a);
}

static const char REPORT[] = "{\"benchmark\":{\"split\":\"benchmark\",\"rows\":5000},\"models\":{"
                             "\"candidate\":{\"size_bytes\":1000,"
                             "\"latency\":{\"p50_us\":3,\"p99_us\":80},\"cases\":{\"passed\":2,"
                             "\"failed\":0,\"warned\":0,\"items\":[{\"name\":\"a\","
                             "\"verdict\":\"pass\"}]},\"splits\":{\"benchmark\":{\"metrics\":{"
                             "\"roc_auc\":{\"value\":0.7},\"calibration_in_the_large\":"
                             "{\"value\":-0.03}}}}}},\"comparisons\":["
                             "{\"metric\":\"roc_auc\",\"estimate\":0.7,\"candidate\":0.7,\"low\":0."
                             "66,\"high\":0.74,\"se\":0.02,\"confidence\":0.95,"
                             "\"method\":\"block_bootstrap\",\"rows\":5000,\"blocks\":90},"
                             "{\"metric\":\"roc_auc\",\"against\":\"incumbent\",\"estimate\":0.001,"
                             "\"candidate\":0.7,\"incumbent\":0.699,\"low\":-0.004,"
                             "\"high\":0.006,\"se\":0.0025,\"confidence\":0.95,\"method\":\"block_"
                             "bootstrap\",\"rows\":5000,\"blocks\":90},"
                             "{\"metric\":\"roc_auc\",\"against\":\"best\",\"estimate\":-0.006,"
                             "\"candidate\":0.7,\"incumbent\":0.706,\"low\":-0.011,"
                             "\"high\":-0.001,\"se\":0.0025,\"confidence\":0.95,\"method\":\"block_"
                             "bootstrap\",\"rows\":5000,\"blocks\":90}]}";

static void bounds(void **state)
{
    struct fix f;
    (void)state;
    fix_init(&f);
    assert_int_equal(judge(&f, "[{ metric: roc_auc, at_least: 0.69 }]", REPORT, true),
                     VERDICT_PASS);
    assert_int_equal(judge(&f, "[{ metric: roc_auc, at_least: 0.71 }]", REPORT, true),
                     VERDICT_FAIL);
    assert_int_equal(
        judge(&f, "[{ metric: roc_auc, at_least: 0.69, confidence: 95% }]", REPORT, true),
        VERDICT_OPEN);
    assert_int_equal(
        judge(&f, "[{ metric: roc_auc, at_least: 0.65, confidence: 95% }]", REPORT, true),
        VERDICT_PASS);
    assert_int_equal(
        judge(&f, "[{ metric: roc_auc, at_least: 0.75, confidence: 95% }]", REPORT, true),
        VERDICT_FAIL);
    assert_int_equal(
        judge(&f, "[{ metric: roc_auc, at_least: 0.65, confidence: 99% }]", REPORT, true),
        VERDICT_OPEN);
    assert_int_equal(
        judge(&f, "[{ metric: calibration_in_the_large, at_most: 0.02 }]", REPORT, true),
        VERDICT_FAIL);
    assert_int_equal(
        judge(&f, "[{ metric: calibration_in_the_large, at_most: 0.04 }]", REPORT, true),
        VERDICT_PASS);
    assert_int_equal(judge(&f, "[{ metric: brier, at_most: 0.2 }]", REPORT, true), VERDICT_OPEN);
    assert_int_equal(judge(&f, "[{ latency_p99: 100us }]", REPORT, true), VERDICT_PASS);
    assert_int_equal(judge(&f, "[{ latency_p99: 79us }]", REPORT, true), VERDICT_FAIL);
    assert_int_equal(judge(&f, "[{ size: 1KB }]", REPORT, true), VERDICT_PASS);
    assert_int_equal(judge(&f, "[{ cases: pass }]", REPORT, true), VERDICT_PASS);
    arena_fini(&f.a);
}

static void comparisons(void **state)
{
    struct fix f;
    (void)state;
    fix_init(&f);
    assert_int_equal(
        judge(&f, "[{ metric: roc_auc, against: incumbent, no_worse_by: 0.005 }]", REPORT, true),
        VERDICT_PASS);
    assert_int_equal(
        judge(&f, "[{ metric: roc_auc, against: incumbent, no_worse_by: 0.002 }]", REPORT, true),
        VERDICT_OPEN);
    assert_int_equal(
        judge(&f, "[{ metric: roc_auc, against: incumbent, better_by: 0.007 }]", REPORT, true),
        VERDICT_FAIL);
    assert_int_equal(judge(&f,
                           "[{ metric: roc_auc, against: [incumbent, best], no_worse_by: 0.005 }]",
                           REPORT, true),
                     VERDICT_OPEN);
    assert_int_equal(judge(&f, "[{ metric: roc_auc, against: [incumbent, best], no_worse_by: 0 }]",
                           REPORT, true),
                     VERDICT_FAIL);
    assert_int_equal(judge(&f,
                           "[{ metric: roc_auc, against: [incumbent, best], no_worse_by: 0.02 }]",
                           REPORT, true),
                     VERDICT_PASS);
    assert_int_equal(
        judge(&f, "[{ metric: roc_auc, against: someone, no_worse_by: 0.02 }]", REPORT, true),
        VERDICT_OPEN);
    /* the first release */
    assert_int_equal(judge(&f, "[{ metric: roc_auc, no_worse_by: 0.02 }]", REPORT, false),
                     VERDICT_PASS);
    assert_int_equal(
        judge(&f, "[{ metric: roc_auc, no_worse_by: 0.02, baseline: { predict: majority } }]",
              REPORT, false),
        VERDICT_OPEN);
    arena_fini(&f.a);
}

static void nothing_there_is_no_pass(void **state)
{
    static const char *const RULES[] = {
        "[{ metric: roc_auc, at_least: 0 }]",
        "[{ metric: roc_auc, no_worse_by: 1 }]",
        "[{ metric: roc_auc, slice: x, at_least: 0 }]",
        "[{ metric: recall, across: x, difference_at_most: 1 }]",
        "[{ latency_p99: 1h }]",
        "[{ size: 1GB }]",
        "[{ cases: pass }]",
        "[{ checks: pass }]",
        "[{ loads: pass }]",
        "[{ interface: compatible }]",
        "[{ regression: pass }]",
    };
    struct fix f;
    (void)state;
    fix_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(RULES); i++) {
        assert_int_equal(judge(&f, RULES[i], NULL, true), VERDICT_OPEN);
        assert_int_equal(judge(&f, RULES[i], "{\"models\":{}}", true), VERDICT_OPEN);
    }
    arena_fini(&f.a);
}

/* n slices at 0.7 and one at `odd`, all with this standard error. */
static const char *slices(struct fix *f, int n, double odd, double se, int rows)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_c(&b, "{\"benchmark\":{\"split\":\"benchmark\"},\"models\":{},\"comparisons\":[");
    for (int i = 0; i <= n; i++) {
        double v = i == n ? odd : 0.7;
        buf_printf(&b,
                   "%s{\"metric\":\"roc_auc\",\"slice\":\"origin\",\"value\":\"S%d\",\"estimate\":%"
                   ".6f,\"candidate\":%.6f,\"low\":%.6f,"
                   "\"high\":%.6f,\"se\":%.6f,\"confidence\":0.95,\"method\":\"block_bootstrap\","
                   "\"rows\":%d,\"blocks\":60}",
                   i ? "," : "", i, v, v, v - 2 * se, v + 2 * se, se, rows);
    }
    buf_c(&b, "]}");
    char *text = str_dup(&f->a, buf_view(&b));
    buf_fini(&b);
    return text;
}

/* 2.5 standard errors below would fail alone (p 0.6 %), but not as the worst of forty. */
static void slices_share_the_error_rate(void **state)
{
    const char *rule = "[{ metric: roc_auc, slice: origin, min_rows: 500, at_least: 0.6 }]";
    struct fix f;
    (void)state;
    fix_init(&f);
    assert_int_equal(judge(&f, rule, slices(&f, 3, 0.7, 0.02, 600), true), VERDICT_PASS);
    assert_int_equal(judge(&f, rule, slices(&f, 0, 0.55, 0.02, 600), true), VERDICT_FAIL);
    assert_int_equal(judge(&f, rule, slices(&f, 40, 0.55, 0.02, 600), true), VERDICT_OPEN);
    assert_int_equal(judge(&f, rule, slices(&f, 40, 0.5, 0.02, 600), true), VERDICT_FAIL);
    assert_int_equal(judge(&f, rule, slices(&f, 3, 0.3, 0.02, 499), true),
                     VERDICT_OPEN); /* all too small */
    assert_int_equal(judge(&f, "[{ metric: roc_auc, across: origin, difference_at_most: 0.05 }]",
                           slices(&f, 3, 0.5, 0.02, 600), true),
                     VERDICT_FAIL);
    assert_int_equal(judge(&f, "[{ metric: roc_auc, across: origin, difference_at_most: 0.05 }]",
                           slices(&f, 3, 0.63, 0.02, 600), true),
                     VERDICT_OPEN);
    assert_int_equal(judge(&f, "[{ metric: roc_auc, across: origin, difference_at_most: 0.05 }]",
                           slices(&f, 3, 0.68, 0.02, 600), true),
                     VERDICT_PASS);
    arena_fini(&f.a);
}

static void whole_outcome(void **state)
{
    struct fix f;
    struct gate_outcome o;
    (void)state;
    fix_init(&f);
    struct gate_rules r =
        rules(&f, "- { metric: roc_auc, at_least: 0.6 }\n- { latency_p99: 1us, on_fail: warn }\n");
    struct gate_documents d = {.report = doc(&f, REPORT), .has_incumbent = true};
    d.loads = d.interface = doc(&f, "{\"ok\":true}");
    ASSERT_OK(gate_judge(&r, &d, &f.a, &o, &f.err), &f.err);
    assert_int_equal(
        o.verdict,
        VERDICT_OPEN); /* the regression set was not looked at; the warning does not count */
    d.regression = doc(&f, "{\"ok\":true,\"rows\":100}");
    ASSERT_OK(gate_judge(&r, &d, &f.a, &o, &f.err), &f.err);
    assert_int_equal(o.verdict, VERDICT_PASS);
    const struct json *out = gate_outcome_json(&o, &f.a);
    assert_int_equal(json_get_int(out, "failed", 0), 1);
    assert_int_equal(json_len(json_get(out, "rules")), r.n);
    d.interface = doc(&f, "{\"ok\":false,\"why\":\"field b became a text\"}");
    ASSERT_OK(gate_judge(&r, &d, &f.a, &o, &f.err), &f.err);
    assert_int_equal(o.verdict, VERDICT_FAIL);
    struct buf text;
    buf_init(&text, 1 << 20);
    ASSERT_OK(json_write(gate_outcome_json(&o, &f.a), JSON_CANONICAL, &text, &f.err), &f.err);
    assert_non_null(strstr(text.p, "field b became a text"));
    buf_fini(&text);
    arena_fini(&f.a);
}

static void looser_rules_are_seen(void **state)
{
    struct fix f;
    (void)state;
    fix_init(&f);
    struct gate_rules was = rules(
        &f, "- { metric: roc_auc, at_least: 0.7 }\n- { latency_p99: 5ms }\n- { cases: pass }\n");
    struct gate_rules now = rules(
        &f, "- { metric: roc_auc, at_least: 0.65 }\n- { latency_p99: 4ms }\n- { size: 1MB }\n");
    const struct json *d = gate_rules_diff(&was, &now, &f.a);
    assert_int_equal(json_len(d), 4);
    assert_true(json_get_bool(json_at(d, 0), "is_looser", false)); /* lower bound */
    assert_false(json_get_bool(json_at(d, 1), "is_looser", true)); /* tighter latency */
    assert_true(json_get_bool(json_at(d, 2), "is_looser", false)); /* cases dropped */
    assert_false(json_get_bool(json_at(d, 3), "is_looser", true)); /* a new rule */
    arena_fini(&f.a);
}

/* ---- the evaluate section ---- */

static void evaluate_section(void **state)
{
    struct fix f;
    struct evaluate_spec s, back;
    (void)state;
    fix_init(&f);
    struct cfg_node *root = yaml(
        &f,
        "task: binary\nevaluate:\n  metrics: [roc_auc, ece]\n"
        "  threshold: { minimize: cost, false_positive: 5, false_negative: 1 }\n"
        "  slices: [origin, \"hour < 6 or hour >= 22\"]\n  entity: [origin]\n  confidence: 90%\n"
        "  cases: cases.yaml\n");
    evaluate_spec_decode(cfg_get(root, "evaluate"), root, &f.a, &s, &f.ps);
    assert_int_equal(f.ps.n_errors, 0);
    assert_int_equal(s.n_metrics, 2);
    assert_int_equal(s.threshold.kind, THRESHOLD_COST);
    assert_string_equal(s.threshold.split, "validation");
    assert_int_equal(s.n_slices, 2);
    ASSERT_OK(evaluate_spec_read(evaluate_spec_json(&s, &f.a), &f.a, &back, &f.err), &f.err);
    assert_true(json_eq(evaluate_spec_json(&s, &f.a), evaluate_spec_json(&back, &f.a)));
    evaluate_spec_decode(NULL, yaml(&f, "task: regression"), &f.a, &s, &f.ps);
    assert_int_equal(s.metrics[0], METRIC_RMSE);
    root =
        yaml(&f, "task: regression\nevaluate: { metrics: [roc_auc], threshold: 0.3, slics: [a] }");
    evaluate_spec_decode(cfg_get(root, "evaluate"), root, &f.a, &s, &f.ps);
    assert_int_equal(f.ps.n_errors, 3);
    arena_fini(&f.a);
}

static void cases_file(void **state)
{
    static const struct {
        const char *text;
        size_t n_errors;
    } CASES[] = {
        {"- { name: a, given: { x: 1 }, expect: { score: { below: 0.4 } } }", 0},
        {"cases: [{ name: a, sample: 10, change: { x: { expr: \"x + 1\" } }, direction: { score: "
         "up, share: 95% } }]",
         0},
        {"- { name: a, sample: 10, change: { x: 1 }, invariant: { tolerance: 0.1 }, on_fail: warn "
         "}",
         0},
        {"- { given: { x: 1 }, expect: { score: { below: 0.4 } } }", 1},
        {"- { name: a, expect: { score: { below: 0.4 } } }", 1},
        {"- { name: a, given: { x: 1 }, invariant: { tolerance: 0.1 } }", 1},
        {"- { name: a, given: { x: 1 } }", 2},
        {"- { name: a, given: { x: 1 }, expect: { decision: perhaps } }", 1},
        {"- { name: a, sample: 10, change: { x: 1 }, direction: { score: sideways } }", 1},
        {"- { name: a, given: { x: 1 }, expect: { scor: 1 } }", 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct fix f;
        fix_init(&f);
        struct json *v = evaluate_cases_decode(yaml(&f, CASES[i].text), &f.a, &f.ps);
        if (f.ps.n_errors != CASES[i].n_errors)
            fail_msg("%s: %zu problems, first: %s", CASES[i].text, f.ps.n_errors,
                     f.ps.n_errors ? f.ps.p[0].text : "");
        assert_int_equal(json_len(v), CASES[i].n_errors ? 0 : 1);
        arena_fini(&f.a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_written),
        cmocka_unit_test(rules_survive_their_record),
        cmocka_unit_test(bounds),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(nothing_there_is_no_pass),
        cmocka_unit_test(slices_share_the_error_rate),
        cmocka_unit_test(whole_outcome),
        cmocka_unit_test(looser_rules_are_seen),
        cmocka_unit_test(evaluate_section),
        cmocka_unit_test(cases_file),
    };
    return RUN_TESTS(tests);
}
