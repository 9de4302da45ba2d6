/* Runs a program for a row; a chunk is its rows one after the other through the same code. */
#include <string.h>

#include "base/check.h"
#include "expr/column_build.h"
#include "expr/expr_int.h"

enum value_type expr_type(const struct expr *e)
{
    return e->type;
}

size_t expr_n_reads(const struct expr *e)
{
    return e->n_reads;
}

size_t expr_read(const struct expr *e, size_t i)
{
    CHECK(i < e->n_reads);
    return e->reads[i];
}

const char *expr_text(const struct expr *e)
{
    return e->text;
}

enum err_code expr_state_init(struct expr_state *st, const struct expr *e, struct arena *a,
                              size_t text_bytes, struct err *err)
{
    *st = (struct expr_state){0};
    st->slots = ARENA_NEW_N(a, struct value, e->n_slots);
    st->text = arena_alloc(a, text_bytes);
    if (!st->slots || !st->text)
        return arena_err(a, err);
    st->text_cap = text_bytes;
    if (e->n_consts)
        memcpy(st->slots, e->consts, e->n_consts * sizeof *st->slots);
    return ERR_OK;
}

static const struct value *operand(const struct expr_state *st, const struct value *vals,
                                   uint32_t at)
{
    return at & OPERAND_COLUMN ? &vals[at & ~OPERAND_COLUMN] : &st->slots[at];
}

void expr_eval(const struct expr *e, struct expr_state *st, const struct value *vals,
               struct value *ret)
{
    const struct value *argv[EXPR_ARGS_MAX];
    st->text_used = 0;
    for (size_t i = 0; i < e->n_code; i++) {
        const struct instr *in = &e->code[i];
        bool has_null = false;
        for (uint32_t k = 0; k < in->n_args; k++) {
            argv[k] = operand(st, vals, e->operands[in->first_arg + k]);
            has_null |= argv[k]->type == VAL_NULL;
        }
        struct value *dst = &st->slots[in->dst];
        if (has_null && in->nulls == NULL_STRICT)
            dst->type = VAL_NULL;
        else
            in->fn(argv, in->n_args, st, dst);
    }
    *ret = *operand(st, vals, e->result);
}

enum err_code expr_eval_chunk(const struct expr *e, const struct column *const *cols, size_t n,
                              struct arena *a, struct column *ret, struct err *err)
{
    struct expr_state st;
    struct column out;
    struct value *vals = ARENA_NEW_N(a, struct value, e->n_columns);
    if (!vals)
        return arena_err(a, err);
    enum err_code rc = expr_state_init(&st, e, a, EXPR_TEXT_BYTES, err);
    if (rc == ERR_OK)
        rc = column_alloc(&out, NULL, e->type, n, a, err);
    for (size_t row = 0; rc == ERR_OK && row < n; row++) {
        struct value v;
        for (size_t i = 0; i < e->n_reads; i++)
            vals[e->reads[i]] = column_value(cols[e->reads[i]], row);
        expr_eval(e, &st, vals, &v);
        rc = column_put(&out, row, &v, a, err);
    }
    if (rc == ERR_OK)
        *ret = out;
    return rc;
}
