/* The regression set of a model: requests with all that they look up, and the exact float32 answers. Serving refuses a release
 * whose own answers differ in one bit. */
#include <math.h>

#include "evaluate/eval_int.h"
#include "feedback/schema.h"

static struct json *request_json(const struct eval_single *s, struct arena *a)
{
    struct json *o = json_obj(a);
    for (size_t i = 0; i < plan_n_settable(s->model->plan); i++) {
        const char *name = plan_slot(s->model->plan, i)->name;
        if (s->values[i].type == VAL_NULL)
            json_set_null(a, o, name);
        else
            json_set(a, o, name, record_value_json(&s->values[i], a));
    }
    return o;
}

static bool has_null(const struct eval_single *s, bool only_required)
{
    for (size_t i = 0; i < plan_n_settable(s->model->plan); i++)
        if (s->values[i].type == VAL_NULL &&
            (!only_required || plan_slot(s->model->plan, i)->is_required))
            return true;
    return false;
}

static double decision_of(const struct eval_model *m, const float *out)
{
    size_t best = 0;
    if (m->n_outputs == 1)
        return (double)out[0] >= m->threshold ? 1 : 0;
    for (size_t k = 1; k < m->n_outputs; k++)
        best = out[k] > out[best] ? k : best;
    return (double)best;
}

static enum err_code add_row(struct eval *e, struct eval_single *s, size_t row, struct json *rows,
                             struct err *err)
{
    struct arena *a = e->out;
    const struct eval_model *m = s->model;
    const float *out;
    int64_t at_us = e->rows.time ? e->rows.time[row] : 0;
    struct json *o = json_obj(a), *scores = json_arr(a);
    enum err_code rc = eval_single_score(s, at_us, &out, err);
    if (rc != ERR_OK)
        return err_wrap(err, "regression row %zu", row);
    for (size_t k = 0; k < m->n_outputs; k++)
        json_add(a, scores, json_num(a, (double)out[k])); /* every float32 is a double */
    json_set(a, o, "request", request_json(s, a));
    if (e->rows.time)
        json_set(a, o, "at", json_time(a, at_us));
    json_set(a, o, "scores", scores);
    if (e->spec.task != TASK_REGRESSION)
        json_set(a, o, "decision", json_num(a, decision_of(m, out)));
    json_add(a, rows, o);
    return ERR_OK;
}

/* Four fifths spread evenly over the benchmark, the rest rows with nulls where there are any. */
enum err_code eval_regression(struct eval *e, const struct eval_model *m, int64_t n_rows,
                              struct json **ret, struct err *err)
{
    struct arena *a = e->out;
    const struct eval_subset *s = &e->benchmark_rows;
    struct json *o = json_obj(a), *rows = json_arr(a);
    struct eval_single one = {0};
    size_t want = (size_t)n_rows < s->n ? (size_t)n_rows : s->n, n_nulls = 0,
           n_even = want - want / 5;
    enum err_code rc = eval_single_open(&one, m, &e->rows, &e->arena, err);
    for (size_t i = 0; rc == ERR_OK && i < s->n && n_nulls < want / 5; i++) {
        eval_single_take(&one, s->row[i]);
        if (!has_null(&one, false) || has_null(&one, true))
            continue;
        rc = add_row(e, &one, s->row[i], rows, err);
        n_nulls++;
    }
    for (size_t i = 0; rc == ERR_OK && i < n_even; i++) {
        eval_single_take(&one, s->row[i * s->n / n_even]);
        if (!has_null(&one, true))
            rc = add_row(e, &one, s->row[i * s->n / n_even], rows, err);
    }
    eval_single_close(&one);
    json_set(a, o, "format", json_int(a, 1));
    if (!isnan(m->threshold))
        json_set(a, o, "threshold", json_num(a, m->threshold));
    if (rc == ERR_OK)
        *ret = json_set(a, o, "rows", rows);
    return rc;
}
