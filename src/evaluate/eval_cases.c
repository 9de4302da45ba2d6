/* Known-hard cases: what they expect of one model, row by row through plan and engine as in serving. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "evaluate/eval_int.h"
#include "expr/expr.h"

#define SCORE_SLACK 1e-7 /* float32 noise that is no change */

struct case_run {
    struct eval *e;
    const struct eval_model *m;
    const struct json *doc;
    struct eval_single single;
    struct arena *arena;
    int64_t n, n_good; /* rows looked at, rows that behave */
    char first[240];   /* first row that does not */
};

/* ---- setting fields ---- */

static struct value json_value(const struct json *v)
{
    switch (v->type) {
    case JSON_BOOL:
        return (struct value){.type = VAL_BOOL, .u.b = v->u.b};
    case JSON_INT:
        return (struct value){.type = VAL_INT, .u.i = v->u.i};
    case JSON_REAL:
        return (struct value){.type = VAL_FLOAT, .u.f = v->u.f};
    case JSON_STR:
        return (struct value){.type = VAL_STR, .u.s = v->u.s};
    case JSON_NULL:
    case JSON_ARR:
    case JSON_OBJ:
    case JSON_TYPE_N:
        break;
    }
    return (struct value){.type = VAL_NULL};
}

static enum err_code eval_change(struct case_run *r, struct str text, struct value *ret,
                                 struct err *err)
{
    const struct plan *p = r->m->plan;
    size_t n = plan_n_settable(p);
    struct expr_column *cols = ARENA_NEW_N(r->arena, struct expr_column, n);
    struct expr_state st;
    struct expr *x = NULL;
    if (!cols)
        return arena_err(r->arena, err);
    for (size_t i = 0; i < n; i++)
        cols[i] = (struct expr_column){plan_slot(p, i)->name, plan_slot(p, i)->type};
    enum err_code rc = expr_compile(text, cols, n, r->arena, &x, err);
    if (rc == ERR_OK)
        rc = expr_state_init(&st, x, r->arena, EXPR_TEXT_BYTES, err);
    if (rc == ERR_OK)
        expr_eval(x, &st, r->single.values, ret);
    return rc;
}

static enum err_code set_fields(struct case_run *r, const struct json *fields, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && fields && i < fields->u.obj.n; i++) {
        const struct json_member *f = &fields->u.obj.members[i];
        ptrdiff_t slot = plan_find(r->m->plan, f->key);
        struct str text = json_get_str(f->val, "expr");
        struct value v = json_value(f->val);
        if (slot < 0 || (size_t)slot >= plan_n_settable(r->m->plan))
            return err_set(err, ERR_INVALID, "\"%.*s\" is no field of this model's requests",
                           STR_ARG(f->key));
        if (f->val->type == JSON_OBJ)
            rc = eval_change(r, text, &v, err);
        if (rc == ERR_OK)
            r->single.values[slot] = v;
    }
    return rc;
}

/* The score that a case talks about: P(positive), the value, or the probability of the largest class. */
static double main_score(const struct case_run *r, const float *out)
{
    double best = (double)out[0];
    for (size_t k = 1; k < r->m->n_outputs; k++)
        best = fmax(best, (double)out[k]);
    return best;
}

static enum err_code score_now(struct case_run *r, int64_t at_us, double *ret, size_t *ret_class,
                               struct err *err)
{
    const float *out;
    enum err_code rc = eval_single_score(&r->single, at_us, &out, err);
    if (rc != ERR_OK)
        return rc;
    *ret = main_score(r, out);
    *ret_class = 0;
    for (size_t k = 1; k < r->m->n_outputs; k++)
        *ret_class = out[k] > out[*ret_class] ? k : *ret_class;
    return ERR_OK;
}

/* ---- the three kinds ---- */

static bool in_range(const struct json *range, double v)
{
    const struct json *between = json_get(range, "between");
    double lo = -INFINITY, hi = INFINITY;
    if (between &&
        (!json_as_f64(json_at(between, 0), &lo) || !json_as_f64(json_at(between, 1), &hi)))
        return false;
    return v < json_get_f64(range, "below", INFINITY) &&
           v > json_get_f64(range, "above", -INFINITY) && v >= lo && v <= hi;
}

static bool as_expected(const struct case_run *r, const struct json *expect, double score,
                        size_t class_)
{
    const struct json *range =
        json_get(expect, "score") ? json_get(expect, "score") : json_get(expect, "value");
    struct str decision = json_get_str(expect, "decision");
    bool is_fine = !range || in_range(range, score);
    if (decision.p)
        is_fine = is_fine && str_is(decision, "positive") == (score >= r->m->threshold);
    if (json_get(expect, "class"))
        is_fine = is_fine && json_get_int(expect, "class", -1) == (int64_t)class_;
    return is_fine;
}

static void note(struct case_run *r, bool is_good, double before, double after)
{
    r->n++;
    r->n_good += is_good;
    if (!is_good && !r->first[0])
        (void)snprintf(r->first, sizeof(r->first), "row %lld: score %.6g%s%.6g", (long long)r->n,
                       before, isnan(after) ? "" : " became ", isnan(after) ? before : after);
}

static enum err_code run_row(struct case_run *r, int64_t at_us, struct err *err)
{
    const struct json *expect = json_get(r->doc, "expect"),
                      *invariant = json_get(r->doc, "invariant"),
                      *direction = json_get(r->doc, "direction");
    double before, after;
    size_t class_before, class_after;
    enum err_code rc = ERR_OK;
    if (expect) {
        rc = set_fields(r, json_get(r->doc, "change"), err);
        if (rc == ERR_OK)
            rc = score_now(r, at_us, &before, &class_before, err);
        if (rc == ERR_OK)
            note(r, as_expected(r, expect, before, class_before), before, NAN);
        return rc;
    }
    rc = score_now(r, at_us, &before, &class_before, err);
    if (rc == ERR_OK)
        rc = set_fields(r, json_get(r->doc, "change"), err);
    if (rc == ERR_OK)
        rc = score_now(r, at_us, &after, &class_after, err);
    if (rc != ERR_OK)
        return rc;
    if (invariant) {
        note(r, fabs(after - before) <= json_get_f64(invariant, "tolerance", 0) + SCORE_SLACK,
             before, after);
    } else {
        double up =
            str_is(json_get_str(direction, "score"), "up") ? after - before : before - after;
        note(r, up >= -json_get_f64(direction, "tolerance", 0) - SCORE_SLACK, before, after);
    }
    return ERR_OK;
}

static enum err_code run_rows(struct case_run *r, struct err *err)
{
    const struct json *given = json_get(r->doc, "given");
    const struct eval_subset *s = &r->e->benchmark_rows;
    enum err_code rc = ERR_OK;
    if (given) {
        for (size_t i = 0; i < plan_n_settable(r->m->plan); i++)
            r->single.values[i] = (struct value){.type = VAL_NULL};
        rc = set_fields(r, given, err);
        return rc == ERR_OK ? run_row(r, 0, err) : rc;
    }
    size_t n = (size_t)json_get_int(r->doc, "sample", 100);
    n = n < s->n ? n : s->n;
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        size_t row = s->row[i * s->n / n]; /* evenly over the benchmark */
        struct arena_mark mark = arena_mark(r->arena);
        eval_single_take(&r->single, row);
        rc = run_row(r, r->e->rows.time ? r->e->rows.time[row] : 0, err);
        arena_release(r->arena, mark);
    }
    return rc;
}

static double share_wanted(const struct json *doc)
{
    const struct json *kind =
        json_get(doc, "invariant") ? json_get(doc, "invariant") : json_get(doc, "direction");
    return json_get_f64(kind, "share", 1.0);
}

static struct json *case_json(struct case_run *r, enum err_code rc, const struct err *err,
                              struct arena *a)
{
    struct json *o = json_obj(a);
    bool is_warning = str_is(json_get_str(r->doc, "on_fail"), "warn");
    bool is_pass =
        rc == ERR_OK && r->n > 0 && (double)r->n_good >= share_wanted(r->doc) * (double)r->n;
    const char *kind = json_get(r->doc, "expect")
                           ? "expect"
                           : (json_get(r->doc, "invariant") ? "invariant" : "direction");
    json_set(a, o, "name", json_str(a, json_get_str(r->doc, "name")));
    json_set(a, o, "kind", json_cstr(a, kind));
    json_set(a, o, "verdict", json_cstr(a, is_pass ? "pass" : (is_warning ? "warn" : "fail")));
    json_set(a, o, "rows", json_int(a, r->n));
    json_set(a, o, "good", json_int(a, r->n_good));
    if (rc != ERR_OK)
        json_set(a, o, "why", json_cstr(a, err->msg));
    else if (r->first[0])
        json_set(a, o, "why", json_cstr(a, r->first));
    return o;
}

struct json *eval_cases(struct eval *e, const struct eval_model *m, const struct json *cases)
{
    struct arena *a = e->out;
    struct json *o = json_obj(a), *items = json_arr(a);
    int64_t passed = 0, failed = 0, warned = 0;
    for (size_t i = 0; i < json_len(cases); i++) {
        struct case_run r = {.e = e, .m = m, .doc = json_at(cases, i), .arena = &e->arena};
        struct err err = ERR_INIT;
        struct arena_mark mark = arena_mark(&e->arena);
        enum err_code rc = eval_single_open(&r.single, m, &m->rows, &e->arena, &err);
        if (rc == ERR_OK)
            rc = run_rows(&r, &err);
        eval_single_close(&r.single);
        struct json *item = case_json(&r, rc, &err, a);
        arena_release(&e->arena, mark);
        struct str verdict = json_get_str(item, "verdict");
        passed += str_is(verdict, "pass");
        failed += str_is(verdict, "fail");
        warned += str_is(verdict, "warn");
        json_add(a, items, item);
    }
    json_set(a, o, "passed", json_int(a, passed));
    json_set(a, o, "failed", json_int(a, failed));
    json_set(a, o, "warned", json_int(a, warned));
    return json_set(a, o, "items", items);
}
