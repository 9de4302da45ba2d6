/* One row at a time through plan and engine, as a request goes: latency, cases, regression rows. */
#include <math.h>
#include <stdlib.h>

#include "evaluate/eval_int.h"

enum err_code eval_single_open(struct eval_single *s, const struct eval_model *m,
                               const struct eval_rows *rows, struct arena *a, struct err *err)
{
    size_t n = plan_n_settable(m->plan);
    *s = (struct eval_single){.model = m, .scratch = plan_scratch_new(m->plan)};
    s->row = ARENA_NEW_N(a, float, plan_n_inputs(m->plan) + 1);
    s->engine_scratch = ARENA_NEW_N(a, float, engine_scratch_floats(m->engine) + 1);
    s->out = ARENA_NEW_N(a, float, m->n_outputs);
    s->values = ARENA_NEW_N(a, struct value, n);
    s->columns = ARENA_NEW_N(a, const struct column *, n);
    if (!s->scratch || !s->row || !s->engine_scratch || !s->out || !s->values || !s->columns) {
        eval_single_close(s);
        return err_nomem(err);
    }
    for (size_t i = 0; i < n; i++)
        s->columns[i] = eval_column(rows, str_c(plan_slot(m->plan, i)->name));
    return ERR_OK;
}

void eval_single_close(struct eval_single *s)
{
    plan_scratch_free(s->scratch);
    s->scratch = NULL;
}

void eval_single_take(struct eval_single *s, size_t row)
{
    for (size_t i = 0; i < plan_n_settable(s->model->plan); i++)
        s->values[i] =
            s->columns[i] ? column_value(s->columns[i], row) : (struct value){.type = VAL_NULL};
}

enum err_code eval_single_score(struct eval_single *s, int64_t at_us, const float **ret,
                                struct err *err)
{
    struct plan_result result;
    enum err_code rc = ERR_OK;
    plan_begin(s->scratch);
    for (size_t i = 0; rc == ERR_OK && i < plan_n_settable(s->model->plan); i++)
        rc = plan_set(s->scratch, i, &s->values[i], err);
    if (rc == ERR_OK)
        rc = plan_run(s->scratch, NULL, at_us, s->row, &result, err);
    if (rc == ERR_OK)
        rc = engine_predict(s->model->engine, s->row, 1, s->engine_scratch, s->out, err);
    if (rc == ERR_OK)
        *ret = s->out;
    return rc;
}

static int cmp_i64(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a > b) - (a < b);
}

#define WARM_UP 200

static enum err_code time_calls(struct eval *e, struct eval_single *s, int64_t *ns, int64_t n_calls,
                                struct err *err)
{
    const struct eval_subset *rows = &e->benchmark_rows;
    for (int64_t i = -WARM_UP; i < n_calls; i++) {
        size_t row = rows->row[(size_t)(i + WARM_UP) * 7919 % rows->n];
        const float *out;
        eval_single_take(s, row);
        int64_t from = mono_ns();
        enum err_code rc = eval_single_score(s, e->rows.time ? e->rows.time[row] : 0, &out, err);
        if (rc != ERR_OK)
            return rc;
        if (i >= 0)
            ns[i] = mono_ns() - from;
    }
    return ERR_OK;
}

/* Features and score of one row, on the engine that serves, without HTTP; look-ups are given. */
struct json *eval_latency_json(struct eval *e, const struct eval_model *m, int64_t n_calls)
{
    struct arena *a = e->out;
    struct json *o = json_obj(a);
    struct eval_single s = {0};
    struct err err = ERR_INIT;
    int64_t *ns = n_calls > 0 ? ARENA_NEW_N(&e->arena, int64_t, (size_t)n_calls) : NULL;
    if (!ns || e->benchmark_rows.n == 0)
        return NULL;
    enum err_code rc = eval_single_open(&s, m, &m->rows, &e->arena, &err);
    if (rc == ERR_OK)
        rc = time_calls(e, &s, ns, n_calls, &err);
    eval_single_close(&s);
    if (rc != ERR_OK)
        return json_set(a, o, "error", json_cstr(a, err.msg));
    qsort(ns, (size_t)n_calls, sizeof(*ns), cmp_i64);
    double sum = 0;
    for (int64_t i = 0; i < n_calls; i++)
        sum += (double)ns[i];
    json_set(a, o, "calls", json_int(a, n_calls));
    json_set(a, o, "mean_us", json_num(a, round(sum / (double)n_calls) / 1000.0));
    json_set(a, o, "p50_us", json_num(a, (double)ns[n_calls / 2] / 1000.0));
    return json_set(a, o, "p99_us", json_num(a, (double)ns[n_calls * 99 / 100] / 1000.0));
}
