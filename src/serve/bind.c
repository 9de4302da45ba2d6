/* The inputs of a request and the fields of the plan: by name, a column each; or one matrix over all request fields. */
#include "base/check.h"
#include "serve/predict_int.h"

#define NAMES_MAX 4096

static enum err_code unknown_input(const struct predict *p, const struct serve_tensor *t,
                                   struct err *err)
{
    const struct plan *plan = runtime_plan(p->base);
    size_t n = plan_n_settable(plan) < NAMES_MAX ? plan_n_settable(plan) : NAMES_MAX;
    const char **names = ARENA_NEW_N(p->a, const char *, n);
    for (size_t i = 0; names && i < n; i++)
        names[i] = plan_slot(plan, i)->name;
    const char *near = names ? str_nearest(t->name, names, n) : NULL;
    return err_set(err, ERR_INVALID, "input \"%.*s\" is not a field of %.*s%s%s%s",
                   STR_ARG(t->name), STR_ARG(p->q->endpoint), near ? ": did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
}

static enum err_code bind_add(struct predict *p, const struct serve_tensor *t, size_t column,
                              size_t slot, struct err *err)
{
    for (size_t i = 0; i < p->n_binds; i++)
        if (p->binds[i].slot == slot)
            return err_set(err, ERR_INVALID,
                           "input \"%.*s\" gives field \"%s\", which is given already",
                           STR_ARG(t->name), plan_slot(runtime_plan(p->base), slot)->name);
    p->binds[p->n_binds++] = (struct bind){t->values + column, t->n_cols, slot, t};
    return ERR_OK;
}

/* One tensor [n,k] over the k request fields, whatever it is called. */
static enum err_code bind_matrix(struct predict *p, const struct serve_tensor *t, struct err *err)
{
    const struct plan *plan = runtime_plan(p->base);
    size_t k = plan_n_request(plan);
    if (p->q->n_inputs != 1)
        return err_set(
            err, ERR_INVALID,
            "input \"%.*s\" has %zu columns: send one input per field, or one matrix alone",
            STR_ARG(t->name), t->n_cols);
    if (t->n_cols != k)
        return err_set(err, ERR_INVALID,
                       "input \"%.*s\" has %zu columns; the requests of %.*s have %zu fields",
                       STR_ARG(t->name), t->n_cols, STR_ARG(p->q->endpoint), k);
    for (size_t i = 0; i < k; i++) /* slots 0 .. k-1, each once: no need to look for doubles */
        p->binds[p->n_binds++] = (struct bind){t->values + i, t->n_cols, i, t};
    return ERR_OK;
}

static enum err_code bind_tensor(struct predict *p, const struct serve_tensor *t, struct err *err)
{
    const struct plan *plan = runtime_plan(p->base);
    if (t->n_rows != p->n_rows)
        return err_set(err, ERR_INVALID, "input \"%.*s\" has %zu rows, input \"%.*s\" has %zu",
                       STR_ARG(t->name), t->n_rows, STR_ARG(p->q->inputs[0].name), p->n_rows);
    if (t->n_cols > 1)
        return bind_matrix(p, t, err);
    ptrdiff_t slot = plan_find(plan, t->name);
    if (slot < 0 && p->q->n_inputs == 1 && plan_n_request(plan) == 1)
        return bind_matrix(p, t, err);
    if (slot < 0)
        return unknown_input(p, t, err);
    return bind_add(p, t, 0, (size_t)slot, err);
}

enum err_code bind_inputs(struct predict *p, struct err *err)
{
    const struct serve_request *q = p->q;
    size_t n = 0;
    if (q->n_inputs == 0)
        return err_set(err, ERR_INVALID, "the request has no inputs");
    p->n_rows = q->inputs[0].n_rows;
    if (p->n_rows == 0)
        return err_set(err, ERR_INVALID, "input \"%.*s\" has no rows", STR_ARG(q->inputs[0].name));
    if (p->n_rows > p->s->opt.rows_max)
        return err_set(err, ERR_TOO_LARGE,
                       "the request has %zu rows; at most %zu are taken at once", p->n_rows,
                       p->s->opt.rows_max);
    for (size_t i = 0; i < q->n_inputs; i++)
        n += q->inputs[i].n_cols;
    if (n > plan_n_settable(runtime_plan(p->base)))
        return err_set(err, ERR_INVALID, "the request has %zu columns; %.*s has %zu fields", n,
                       STR_ARG(q->endpoint), plan_n_settable(runtime_plan(p->base)));
    p->binds = ARENA_NEW_N(p->a, struct bind, n);
    if (!p->binds)
        return arena_err(p->a, err);
    for (size_t i = 0; i < q->n_inputs; i++)
        if (bind_tensor(p, &q->inputs[i], err) != ERR_OK)
            return err->code;
    return ERR_OK;
}
