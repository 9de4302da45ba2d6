/* All rules of a list against the documents; the outcome as one document. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "evaluate/gate_int.h"

void gate_say(struct gate_case *c, enum verdict v, const char *fmt, ...)
{
    char why[GATE_WHY_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    c->verdict = v;
    json_set(c->arena, c->doc, "why", json_cstr(c->arena, why));
}

static void judge_measure(struct gate_case *c)
{
    const struct json *m = json_get(json_get(c->docs->report, "models"), "candidate");
    bool is_size = c->rule->kind == GATE_SIZE;
    const char *key = c->rule->latency_quantile < 0.9 ? "p50_us" : "p99_us";
    double v = is_size ? json_get_f64(m, "size_bytes", NAN)
                       : json_get_f64(json_get(m, "latency"), key, NAN);
    if (isnan(v)) {
        gate_say(c, VERDICT_OPEN, "it was not measured");
        return;
    }
    json_set(c->arena, c->doc, "candidate", json_num(c->arena, v));
    gate_say(c, v <= c->rule->bound ? VERDICT_PASS : VERDICT_FAIL,
             is_size ? "%.0f bytes, at most %.0f are allowed"
                     : "%.1f us, at most %.0f us are allowed",
             v, c->rule->bound);
}

static void judge_cases(struct gate_case *c)
{
    const struct json *cases =
        json_get(json_get(json_get(c->docs->report, "models"), "candidate"), "cases");
    int64_t failed = json_get_int(cases, "failed", -1), passed = json_get_int(cases, "passed", 0),
            warned = json_get_int(cases, "warned", 0);
    const struct json *items = json_get(cases, "items");
    if (failed < 0 || json_len(items) == 0) {
        gate_say(c, VERDICT_OPEN,
                 "no cases were run: evaluate.cases names no file, or it is empty");
        return;
    }
    const char *first = NULL;
    for (size_t i = 0; i < json_len(items) && !first; i++)
        if (str_is(json_get_str(json_at(items, i), "verdict"), "fail"))
            first = json_get_c(json_at(items, i), "name");
    gate_say(c, failed ? VERDICT_FAIL : VERDICT_PASS,
             "%lld cases pass, %lld fail%s%s, %lld only warn", (long long)passed, (long long)failed,
             first ? ", first: " : "", first ? first : "", (long long)warned);
}

/* A document {ok, why} or {verdict, why} made by somebody else. */
static void judge_document(struct gate_case *c, const struct json *doc, const char *what)
{
    struct str verdict = json_get_str(doc, "verdict");
    const char *why = json_get_c(doc, "why");
    const struct json *ok = json_get(doc, "ok");
    bool is_yes = ok ? json_get_bool(doc, "ok", false) : str_is(verdict, "pass");
    bool is_open = !doc || (!ok && !is_yes && !str_is(verdict, "fail"));
    if (is_open) {
        gate_say(c, VERDICT_OPEN, "%s: %s", what, why ? why : "not looked at yet");
        return;
    }
    json_set(c->arena, c->doc, "evidence", json_copy(c->arena, doc));
    gate_say(c, is_yes ? VERDICT_PASS : VERDICT_FAIL, "%s: %s", what,
             why ? why : (is_yes ? "yes" : "no"));
}

static void judge_rule(struct gate_case *c)
{
    switch (c->rule->kind) {
    case GATE_METRIC_BOUND:
    case GATE_METRIC_AGAINST:
    case GATE_METRIC_ACROSS:
        if (c->docs->report)
            gate_judge_metric(c);
        else
            gate_say(c, VERDICT_OPEN, "there is no evaluation report yet");
        break;
    case GATE_LATENCY:
    case GATE_SIZE:
        judge_measure(c);
        break;
    case GATE_CASES:
        judge_cases(c);
        break;
    case GATE_CHECKS:
        judge_document(c, c->docs->checks, "data checks");
        break;
    case GATE_LOADS:
        judge_document(c, c->docs->loads, "loading");
        break;
    case GATE_INTERFACE:
        judge_document(c, c->docs->interface, "interface");
        break;
    case GATE_REGRESSION:
        judge_document(c, c->docs->regression, "regression set");
        break;
    case GATE_KIND_N:
        break;
    }
}

enum err_code gate_judge(const struct gate_rules *rules, const struct gate_documents *docs,
                         struct arena *a, struct gate_outcome *ret, struct err *err)
{
    static const char *const UNDECIDED[GATE_UNDECIDED_N] = {"wait", "ask", "longer_shadow"};
    struct gate_outcome o = {.verdict = VERDICT_PASS,
                             .n = rules->n,
                             .results = ARENA_NEW_N(a, struct gate_result, rules->n)};
    if (!o.results)
        return arena_err(a, err);
    for (size_t i = 0; i < rules->n; i++) {
        const struct gate_rule *r = &rules->p[i];
        struct gate_case c = {r, docs, a, json_obj(a), VERDICT_OPEN};
        json_set(a, c.doc, "text", gate_rule_text(r, a));
        json_set(a, c.doc, "rule", r->declared);
        judge_rule(&c);
        json_set(a, c.doc, "verdict", json_cstr(a, verdict_name(c.verdict)));
        if (c.verdict == VERDICT_OPEN)
            json_set(a, c.doc, "undecided", json_cstr(a, UNDECIDED[r->undecided]));
        json_set(a, c.doc, "is_warning", json_bool(a, r->is_warning));
        o.results[i] = (struct gate_result){r, c.verdict, c.doc};
        if (r->is_warning || c.verdict == VERDICT_PASS || o.verdict == VERDICT_FAIL)
            continue;
        o.verdict = c.verdict;
    }
    if (a->is_over_limit || a->is_out_of_memory)
        return arena_err(a, err);
    *ret = o;
    return ERR_OK;
}

struct json *gate_outcome_json(const struct gate_outcome *o, struct arena *a)
{
    struct json *doc = json_obj(a), *rules = json_arr(a);
    int64_t n[VERDICT_N] = {0};
    for (size_t i = 0; i < o->n; i++) {
        json_add(a, rules, o->results[i].doc);
        n[o->results[i].verdict]++;
    }
    json_set(a, doc, "verdict", json_cstr(a, verdict_name(o->verdict)));
    json_set(a, doc, "passed", json_int(a, n[VERDICT_PASS]));
    json_set(a, doc, "failed", json_int(a, n[VERDICT_FAIL]));
    json_set(a, doc, "undecided", json_int(a, n[VERDICT_OPEN]));
    return json_set(a, doc, "rules", rules);
}
