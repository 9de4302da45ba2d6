/* Gate rules: read from pawl.yaml or from a record, and written back as declared. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/vec.h"
#include "evaluate/gate_int.h"

static const char *const RULE_KEYS[] = {
    "metric",    "at_least",   "at_most",     "against",     "no_worse_by",
    "better_by", "confidence", "slice",       "across",      "difference_at_most",
    "min_rows",  "baseline",   "latency_p50", "latency_p99", "size",
    "cases",     "checks",     "loads",       "interface",   "regression",
    "undecided", "on_fail",
};
#define N_RULE_KEYS (sizeof(RULE_KEYS) / sizeof(RULE_KEYS[0]))

static const struct plain_rule {
    const char *key, *value; /* the one value it takes */
    enum gate_kind kind;
} PLAIN[] = {
    {"cases", "pass", GATE_CASES},           {"checks", "pass", GATE_CHECKS},
    {"loads", "pass", GATE_LOADS},           {"interface", "compatible", GATE_INTERFACE},
    {"regression", "pass", GATE_REGRESSION},
};
#define N_PLAIN (sizeof(PLAIN) / sizeof(PLAIN[0]))

static bool no(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool no(char *why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why, GATE_WHY_BYTES, fmt, ap);
    va_end(ap);
    return false;
}

/* A number, "1%" or "0.01". NaN when absent. */
static bool read_number(const struct json *o, const char *key, double *ret, char *why)
{
    const struct json *v = json_get(o, key);
    *ret = NAN;
    if (!v || json_as_f64(v, ret))
        return true;
    if (v->type == JSON_STR && parse_ratio(v->u.s, ret, NULL) == ERR_OK)
        return true;
    return no(why, "%s must be a number or a share such as 1%%", key);
}

static bool read_common(const struct json *o, struct gate_rule *r, char *why)
{
    static const char *const UNDECIDED[GATE_UNDECIDED_N] = {"wait", "ask", "longer_shadow"};
    struct str undecided = json_get_str(o, "undecided"), on_fail = json_get_str(o, "on_fail");
    double confidence;
    if (!read_number(o, "confidence", &confidence, why))
        return false;
    if (!isnan(confidence) && !(confidence >= 0.5 && confidence < 1))
        return no(why, "confidence must lie between 50%% and 100%%");
    r->confidence = isnan(confidence) ? 0 : confidence;
    r->min_rows = json_get_int(o, "min_rows", GATE_MIN_ROWS);
    if (r->min_rows < 1)
        return no(why, "min_rows must be a whole number of rows, at least 1");
    if (on_fail.p && !str_is(on_fail, "block") && !str_is(on_fail, "warn"))
        return no(why, "on_fail must be block or warn");
    r->is_warning = str_is(on_fail, "warn");
    r->undecided = undecided.p ? GATE_UNDECIDED_N : GATE_WAIT;
    for (int i = 0; i < GATE_UNDECIDED_N; i++)
        if (undecided.p && str_is(undecided, UNDECIDED[i]))
            r->undecided = (enum gate_undecided)i;
    return r->undecided != GATE_UNDECIDED_N ||
           no(why, "undecided must be wait, ask or longer_shadow");
}

static bool read_against(const struct json *o, struct gate_rule *r, char *why)
{
    const struct json *v = json_get(o, "against");
    double no_worse, better;
    if (!read_number(o, "no_worse_by", &no_worse, why) ||
        !read_number(o, "better_by", &better, why))
        return false;
    if (isnan(no_worse) == isnan(better))
        return no(why, "a comparison needs either no_worse_by or better_by");
    r->kind = GATE_METRIC_AGAINST;
    r->margin = isnan(better) ? no_worse : -better;
    if ((isnan(better) ? no_worse : better) < 0)
        return no(why, "%s must not be negative", isnan(better) ? "no_worse_by" : "better_by");
    if (!v) {
        r->against[r->n_against++] = "incumbent";
    } else if (v->type == JSON_STR) {
        r->against[r->n_against++] = v->u.s.p;
    } else {
        for (size_t i = 0; i < json_len(v); i++) {
            const struct json *one = json_at(v, i);
            if (one->type != JSON_STR || r->n_against == GATE_AGAINST_MAX)
                return no(why, "against must be incumbent, best or a list of at most %d names",
                          GATE_AGAINST_MAX);
            r->against[r->n_against++] = one->u.s.p;
        }
    }
    r->baseline = (struct json *)(uintptr_t)json_get(o, "baseline");
    if (r->baseline && r->baseline->type != JSON_OBJ)
        return no(why, "baseline must be {predict: majority} or {column: NAME}");
    return true;
}

static bool read_across(const struct json *o, struct gate_rule *r, char *why)
{
    r->kind = GATE_METRIC_ACROSS;
    r->slice = json_get_str(o, "across");
    if (!read_number(o, "difference_at_most", &r->bound, why))
        return false;
    if (isnan(r->bound) || r->slice.n == 0)
        return no(why, "across: COLUMN needs difference_at_most: NUMBER");
    return true;
}

static bool read_bound(const struct json *o, struct gate_rule *r, char *why)
{
    double at_least, at_most;
    if (!read_number(o, "at_least", &at_least, why) || !read_number(o, "at_most", &at_most, why))
        return false;
    if (isnan(at_least) == isnan(at_most))
        return no(why, "a rule on %s needs at_least, at_most, or against with no_worse_by",
                  METRIC_NAMES[r->metric]);
    r->kind = GATE_METRIC_BOUND;
    r->is_at_most = isnan(at_least);
    r->bound = r->is_at_most ? at_most : at_least;
    return true;
}

static bool read_metric_rule(const struct json *o, struct gate_rule *r, char *why)
{
    struct str name = json_get_str(o, "metric");
    if (!metric_from_name(name, &r->metric)) {
        const char *near = name.p ? str_nearest(name, METRIC_NAMES, METRIC_N) : NULL;
        return no(why, "\"%.*s\" is no metric%s%s", STR_ARG(name), near ? "; did you mean " : "",
                  near ? near : "");
    }
    r->slice = json_get_str(o, "slice");
    if (json_get(o, "across"))
        return read_across(o, r, why);
    if (json_get(o, "against") || json_get(o, "no_worse_by") || json_get(o, "better_by"))
        return read_against(o, r, why);
    return read_bound(o, r, why);
}

static bool read_measure_rule(const struct json *o, struct gate_rule *r, char *why)
{
    const struct json *p50 = json_get(o, "latency_p50"), *p99 = json_get(o, "latency_p99"),
                      *size = json_get(o, "size");
    const struct json *v = p50 ? p50 : (p99 ? p99 : size);
    struct str text = v->type == JSON_STR ? v->u.s : STR_NONE;
    int64_t n = 0;
    r->kind = v == size ? GATE_SIZE : GATE_LATENCY;
    r->latency_quantile = p50 ? 0.5 : 0.99;
    r->is_at_most = true;
    enum err_code rc = ERR_PARSE;
    if (text.p)
        rc = r->kind == GATE_SIZE ? parse_size_bytes(text, &n, NULL)
                                  : parse_duration_us(text, &n, NULL);
    r->bound = (double)n;
    return rc == ERR_OK ? true
                        : no(why, r->kind == GATE_SIZE ? "size must be written as 50MB"
                                                       : "a latency must be written as 5ms");
}

bool gate_rule_read(const struct json *declared, struct gate_rule *ret, char *why)
{
    struct gate_rule r = {.declared = (struct json *)(uintptr_t)declared, .kind = GATE_KIND_N};
    if (!declared || declared->type != JSON_OBJ)
        return no(why, "a gate is a map such as {metric: roc_auc, at_least: 0.7}");
    if (!read_common(declared, &r, why))
        return false;
    for (size_t i = 0; i < N_PLAIN; i++) {
        const struct json *v = json_get(declared, PLAIN[i].key);
        if (!v)
            continue;
        if (v->type != JSON_STR || !str_is(v->u.s, PLAIN[i].value))
            return no(why, "%s takes one value: %s", PLAIN[i].key, PLAIN[i].value);
        r.kind = PLAIN[i].kind;
    }
    bool is_fine = r.kind != GATE_KIND_N;
    if (json_get(declared, "metric"))
        is_fine = read_metric_rule(declared, &r, why);
    else if (json_get(declared, "latency_p50") || json_get(declared, "latency_p99") ||
             json_get(declared, "size"))
        is_fine = read_measure_rule(declared, &r, why);
    else if (!is_fine)
        (void)no(why, "a gate needs one of metric, latency_p99, size, cases, checks, loads, "
                      "interface, regression");
    if (is_fine)
        *ret = r;
    return is_fine;
}

typedef VEC(struct gate_rule) rule_vec;

static bool has_kind(const rule_vec *v, enum gate_kind k)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->p[i].kind == k)
            return true;
    return false;
}

/* loads, interface, regression stand in every list. */
static enum err_code add_always(rule_vec *v, struct arena *a, struct err *err)
{
    char why[GATE_WHY_BYTES];
    for (size_t i = 2; i < N_PLAIN; i++) {
        if (has_kind(v, PLAIN[i].kind))
            continue;
        struct json *o = json_set(a, json_obj(a), PLAIN[i].key, json_cstr(a, PLAIN[i].value));
        struct gate_rule *r = VEC_ADD(a, v);
        if (!r || !gate_rule_read(o, r, why))
            return arena_err(a, err);
    }
    return ERR_OK;
}

static void check_task(const struct gate_rule *r, const struct cfg_node *at,
                       const struct cfg_node *root, struct cfg_problems *ps)
{
    enum metric_task task = TASK_BINARY;
    const struct cfg_node *n = cfg_get(root, "task");
    bool is_metric = r->kind == GATE_METRIC_BOUND || r->kind == GATE_METRIC_AGAINST ||
                     r->kind == GATE_METRIC_ACROSS;
    if (n && n->type == CFG_SCALAR && !metric_task_from_name(n->text, &task))
        return; /* said by evaluate_spec_decode */
    if (is_metric && !(metric_info(r->metric)->tasks & (1u << task)))
        cfg_error(ps, at, "%s is not defined for the task %s", METRIC_NAMES[r->metric],
                  metric_task_name(task));
}

void gate_rules_decode(const struct cfg_node *list, const struct cfg_node *root, struct arena *a,
                       struct gate_rules *ret, struct cfg_problems *ps)
{
    rule_vec v = {0};
    char why[GATE_WHY_BYTES];
    if (list && cfg_is_list(list, "gates", ps)) {
        for (size_t i = 0; i < list->n; i++) {
            struct gate_rule r;
            if (list->items[i]->type == CFG_MAP &&
                !cfg_known_keys(list->items[i], RULE_KEYS, N_RULE_KEYS, ps))
                continue;
            if (!gate_rule_read(cfg_json(list->items[i], a), &r, why)) {
                cfg_error(ps, list->items[i], "%s", why);
                continue;
            }
            check_task(&r, list->items[i], root, ps);
            struct gate_rule *to = VEC_ADD(a, &v);
            if (to)
                *to = r;
        }
    }
    if (add_always(&v, a, NULL) != ERR_OK)
        cfg_error(ps, list, "gates: out of memory");
    *ret = (struct gate_rules){v.p, v.n};
}

struct json *gate_rules_json(const struct gate_rules *r, struct arena *a)
{
    struct json *arr = json_arr(a);
    for (size_t i = 0; i < r->n; i++)
        json_add(a, arr, r->p[i].declared);
    return arr;
}

enum err_code gate_rules_read(const struct json *list, struct arena *a, struct gate_rules *ret,
                              struct err *err)
{
    rule_vec v = {0};
    char why[GATE_WHY_BYTES];
    for (size_t i = 0; i < json_len(list); i++) {
        struct gate_rule *r = VEC_ADD(a, &v);
        if (!r)
            return arena_err(a, err);
        if (!gate_rule_read(json_at(list, i), r, why))
            return err_set(err, ERR_INVALID, "gates/%zu: %s", i, why);
    }
    enum err_code rc = add_always(&v, a, err);
    if (rc == ERR_OK)
        *ret = (struct gate_rules){v.p, v.n};
    return rc;
}

struct json *gate_rules_models(const struct gate_rules *r, bool has_incumbent, struct arena *a)
{
    struct json *o = json_obj(a);
    for (size_t i = 0; i < r->n; i++) {
        if (r->p[i].kind != GATE_METRIC_AGAINST)
            continue;
        for (size_t k = 0; has_incumbent && k < r->p[i].n_against; k++)
            json_set(a, o, r->p[i].against[k], json_bool(a, true));
        if (!has_incumbent && r->p[i].baseline)
            json_set(a, o, "baseline", r->p[i].baseline);
    }
    return o;
}
