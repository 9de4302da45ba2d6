/* Slices: the values of a column, quartiles of a continuous one, or the rows where an expression holds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "evaluate/eval_int.h"
#include "expr/expr.h"

/* Columns an expression may name: those of the data set, then the candidate's row features. */
static enum err_code universe(struct eval *e, struct column **ret, size_t *ret_n, struct err *err)
{
    const struct eval_model *m = &e->models[0];
    size_t n = e->rows.n_cols + m->n_row_features;
    struct column *c = ARENA_NEW_N(&e->arena, struct column, n);
    if (!c)
        return arena_err(&e->arena, err);
    memcpy(c, e->rows.cols, e->rows.n_cols * sizeof(*c));
    if (m->n_row_features)
        memcpy(c + e->rows.n_cols, m->row_features, m->n_row_features * sizeof(*c));
    *ret = c;
    *ret_n = n;
    return ERR_OK;
}

static enum err_code run_expression(struct eval *e, struct str text, const struct column *cols,
                                    size_t n, struct column *ret, struct err *err)
{
    struct expr_column *names = ARENA_NEW_N(&e->arena, struct expr_column, n);
    const struct column **ptr = ARENA_NEW_N(&e->arena, const struct column *, n);
    struct expr *x = NULL;
    if (!names || !ptr)
        return arena_err(&e->arena, err);
    for (size_t i = 0; i < n; i++) {
        names[i] = (struct expr_column){cols[i].name, cols[i].type};
        ptr[i] = &cols[i];
    }
    enum err_code rc = expr_compile(text, names, n, &e->arena, &x, err);
    if (rc == ERR_OK)
        rc = expr_eval_chunk(x, ptr, e->rows.n, &e->arena, ret, err);
    return rc;
}

static int cmp_f64(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

/* A number with many values becomes its quartiles. */
static bool cut_quartiles(struct eval *e, const struct column *c, struct eval_slice *s)
{
    struct arena *a = &e->arena;
    double *x = eval_column_f64(c, a), *sorted = x ? ARENA_NEW_N(a, double, c->n) : NULL, cut[3];
    size_t m = 0;
    for (size_t i = 0; sorted && i < c->n; i++)
        if (!isnan(x[i]))
            sorted[m++] = x[i];
    s->values = ARENA_NEW_N(a, const char *, 4);
    if (m == 0 || !s->values)
        return false;
    qsort(sorted, m, sizeof(*sorted), cmp_f64);
    for (size_t k = 0; k < 3; k++)
        cut[k] = sorted[(k + 1) * m / 4];
    s->values[0] = str_printf(a, "<= %.6g", cut[0]);
    s->values[1] = str_printf(a, "(%.6g, %.6g]", cut[0], cut[1]);
    s->values[2] = str_printf(a, "(%.6g, %.6g]", cut[1], cut[2]);
    s->values[3] = str_printf(a, "> %.6g", cut[2]);
    s->n_values = 4;
    for (size_t i = 0; i < c->n; i++)
        s->value_of[i] = isnan(x[i])
                             ? EVAL_NONE
                             : (uint32_t)((x[i] > cut[0]) + (x[i] > cut[1]) + (x[i] > cut[2]));
    return true;
}

/* Distinct texts in order of appearance; false when there are more than `max`. */
static bool number_values(struct eval *e, const struct column *c, size_t max, bool only_true,
                          struct eval_slice *s)
{
    struct arena *a = &e->arena;
    struct map *seen = map_new(a);
    uint32_t *ids = ARENA_NEW_N(a, uint32_t, max);
    s->values = ARENA_NEW_N(a, const char *, max);
    s->n_values = 0;
    if (!seen || !ids || !s->values)
        return false;
    for (size_t i = 0; i < c->n; i++) {
        struct value v = column_value(c, i);
        const char *text = eval_value_text(&v, a);
        s->value_of[i] = EVAL_NONE;
        if (!text || (only_true && strcmp(text, "true") != 0))
            continue;
        uint32_t *id = map_get(seen, text, strlen(text));
        if (!id && s->n_values == max) {
            if (c->type != VAL_STR)
                return false;
            continue; /* rare texts beyond the limit belong to no slice */
        }
        if (!id) {
            id = &ids[s->n_values];
            *id = (uint32_t)s->n_values;
            s->values[s->n_values++] = text;
            if (!map_put(seen, text, strlen(text), id))
                return false;
        }
        s->value_of[i] = *id;
    }
    return true;
}

/* The column that a slice speaks of: by name, or computed. */
static enum err_code slice_column(struct eval *e, struct str name, struct column *ret,
                                  bool *ret_only_true, struct err *err)
{
    struct column *cols = NULL;
    size_t n = 0;
    enum err_code rc = universe(e, &cols, &n, err);
    *ret_only_true = false;
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        if (!str_is(name, cols[i].name))
            continue;
        *ret = cols[i];
        return ERR_OK;
    }
    if (rc == ERR_OK)
        rc = run_expression(e, name, cols, n, ret, err);
    *ret_only_true = rc == ERR_OK && ret->type == VAL_BOOL;
    return rc;
}

/* Rows of the benchmark in the order of their values: counting sort. */
static enum err_code sort_rows(struct eval *e, struct eval_slice *s, struct err *err)
{
    const struct eval_subset *b = &e->benchmark_rows;
    s->from = ARENA_NEW_N(&e->arena, size_t, s->n_values + 2);
    s->rows = ARENA_NEW_N(&e->arena, uint32_t, b->n);
    if (!s->from || !s->rows)
        return arena_err(&e->arena, err);
    for (size_t i = 0; i < b->n; i++)
        if (s->value_of[b->row[i]] != EVAL_NONE)
            s->from[s->value_of[b->row[i]] + 2]++;
    for (size_t v = 2; v < s->n_values + 2; v++)
        s->from[v] += s->from[v - 1];
    for (size_t i = 0; i < b->n; i++) /* from[v + 1] runs from the start of v to its end */
        if (s->value_of[b->row[i]] != EVAL_NONE)
            s->rows[s->from[s->value_of[b->row[i]] + 1]++] = b->row[i];
    return ERR_OK;
}

static enum err_code slice_build(struct eval *e, struct eval_slice *s, struct err *err)
{
    struct column c;
    bool only_true;
    enum err_code rc = slice_column(e, s->name, &c, &only_true, err);
    s->value_of = ARENA_NEW_N(&e->arena, uint32_t, e->rows.n);
    if (rc == ERR_OK && !s->value_of)
        rc = arena_err(&e->arena, err);
    if (rc != ERR_OK)
        return err_wrap(err, "slice \"%.*s\"", STR_ARG(s->name));
    bool is_number = c.type == VAL_INT || c.type == VAL_FLOAT || c.type == VAL_TIME;
    if (!number_values(e, &c, is_number ? EVAL_NUMERIC_MAX : EVAL_VALUES_MAX, only_true, s) &&
        !(is_number && cut_quartiles(e, &c, s)))
        return arena_err(&e->arena, err);
    return sort_rows(e, s, err);
}

enum err_code eval_slice_get(struct eval *e, struct str name, const struct eval_slice **ret,
                             struct err *err)
{
    for (size_t i = 0; i < e->n_slices; i++) {
        if (str_eq(e->slices[i].name, name)) {
            *ret = &e->slices[i];
            return ERR_OK;
        }
    }
    if (e->n_slices == EVAL_SLICES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d slices", EVAL_SLICES_MAX);
    struct eval_slice *s = &e->slices[e->n_slices];
    *s = (struct eval_slice){.name = name};
    enum err_code rc = slice_build(e, s, err);
    if (rc != ERR_OK)
        return rc;
    e->n_slices++;
    *ret = s;
    return ERR_OK;
}

struct eval_subset eval_slice_rows(const struct eval_slice *s, size_t value)
{
    return (struct eval_subset){s->rows + s->from[value], s->from[value + 1] - s->from[value]};
}
