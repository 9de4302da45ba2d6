/* Chunks through the plan: slots are filled from columns, then the row goes the one way
 * (plan_finish_row). */
#include <string.h>

#include "base/check.h"
#include "expr/column_build.h"
#include "features/plan_int.h"

/* Columns bound to the settable slots. */
static enum err_code bind(const struct plan *p, const struct column *cols, size_t n_cols, size_t n,
                          const struct column **ret, struct err *err)
{
    for (size_t i = 0; i < p->n_settable; i++) {
        const struct plan_slot *slot = &p->slots[i];
        for (size_t k = 0; k < n_cols && !ret[i]; k++)
            ret[i] = strcmp(cols[k].name, slot->name) == 0 ? &cols[k] : NULL;
        if (!ret[i])
            return err_set(err, ERR_NOT_FOUND, "the table has no column '%s' that the plan needs",
                           slot->name);
        enum value_type have = ret[i]->type;
        bool is_ok = have == slot->type || have == VAL_NULL || slot->type == VAL_NULL ||
                     (have == VAL_INT && slot->type == VAL_FLOAT) ||
                     (have == VAL_BOOL && slot->type == VAL_INT);
        if (!is_ok)
            return err_set(err, ERR_INVALID, "column '%s' is %s in the table and %s in the plan",
                           slot->name, value_type_name(have), value_type_name(slot->type));
        if (ret[i]->n < n)
            return err_set(err, ERR_INVALID, "column '%s' has %zu rows of %zu", slot->name,
                           ret[i]->n, n);
    }
    return ERR_OK;
}

/* Where a chunk goes. */
struct chunk {
    const struct plan *p;
    struct plan_scratch *s;
    const struct column **from; /* per settable slot */
    struct column *rows;        /* NULL: not wanted */
    float *matrix;
    struct arena *a;
};

static enum err_code run_row(struct chunk *c, size_t row, struct err *err)
{
    const struct plan *p = c->p;
    plan_begin(c->s);
    for (size_t i = 0; i < p->n_settable; i++) {
        struct value v = column_value(c->from[i], row);
        enum err_code rc = plan_set(c->s, i, &v, err);
        if (rc != ERR_OK)
            return rc;
    }
    enum err_code rc = plan_finish_row(c->s, c->matrix + row * p->n_inputs, err);
    for (size_t i = p->n_settable; rc == ERR_OK && c->rows && i < p->n_slots; i++)
        rc = column_put(&c->rows[i - p->n_settable], row, &c->s->values[i], c->a, err);
    return rc;
}

static enum err_code chunk_init(struct chunk *c, size_t n, bool has_rows, struct err *err)
{
    const struct plan *p = c->p;
    size_t n_rows = p->n_slots - p->n_settable;
    c->from = ARENA_NEW_N(c->a, const struct column *, p->n_settable);
    c->matrix = arena_array(c->a, n, p->n_inputs * sizeof *c->matrix);
    c->rows = has_rows ? ARENA_NEW_N(c->a, struct column, n_rows) : NULL;
    if (!c->from || !c->matrix || (has_rows && !c->rows))
        return arena_err(c->a, err);
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && has_rows && i < n_rows; i++) {
        const struct plan_slot *slot = &p->slots[p->n_settable + i];
        rc = column_alloc(&c->rows[i], slot->name, slot->type, n, c->a, err);
    }
    c->s = rc == ERR_OK ? plan_scratch_new(p) : NULL;
    return rc == ERR_OK && !c->s ? err_nomem(err) : rc;
}

enum err_code plan_run_chunk(const struct plan *p, const struct column *cols, size_t n_cols,
                             size_t n, struct arena *a, float **ret_matrix,
                             struct column **ret_rows, struct err *err)
{
    struct chunk c = {.p = p, .a = a};
    enum err_code rc = chunk_init(&c, n, ret_rows != NULL, err);
    if (rc == ERR_OK)
        rc = bind(p, cols, n_cols, n, c.from, err);
    for (size_t row = 0; rc == ERR_OK && row < n; row++)
        rc = run_row(&c, row, err);
    plan_scratch_free(c.s);
    if (rc != ERR_OK)
        return rc;
    *ret_matrix = c.matrix;
    if (ret_rows)
        *ret_rows = c.rows;
    return ERR_OK;
}
