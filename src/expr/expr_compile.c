/* Typing and code: each call finds its overload, ints meeting floats are converted, constants are
 * folded; every value has one slot. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "expr/expr_int.h"

/* A typed operand. */
struct operand {
    uint32_t at;          /* OPERAND_COLUMN | column, or slot (see is_const) */
    enum value_type type; /* VAL_NULL: a bare null, fits anywhere */
    bool is_const;        /* at indexes consts */
    const struct node *node;
};

struct compiler {
    struct arena *arena;
    const struct expr_column *cols;
    size_t n_cols;
    VEC(struct value) consts;
    VEC(struct instr) code;
    VEC(uint32_t) operands;
    uint32_t *column_slot; /* float columns: temporary that holds the column as a float, + 1 */
    bool *is_read;
    uint32_t n_temps;
    struct err *err;
};

/* Temporaries are numbered from here until the number of constants is known. */
#define TEMP UINT32_C(0x40000000)

static enum err_code compile_node(struct compiler *c, const struct node *n, struct operand *ret);

static enum err_code add_const(struct compiler *c, const struct value *v, const struct node *node,
                               struct operand *ret)
{
    struct value *slot = VEC_ADD(c->arena, &c->consts);
    if (!slot)
        return arena_err(c->arena, c->err);
    *slot = *v;
    *ret = (struct operand){(uint32_t)(c->consts.n - 1), v->type, true, node};
    return ERR_OK;
}

/* An operation and the type it gives. */
struct op {
    expr_fn *fn;
    enum null_rule nulls;
    enum value_type type;
};
static const struct op TO_FLOAT = {expr_fn_to_float, NULL_STRICT, VAL_FLOAT};

/* All operands constant and the result no new text: evaluated now. */
static bool fold(struct compiler *c, const struct op *op, const struct operand *args, size_t n,
                 struct value *ret)
{
    const struct value *argv[EXPR_ARGS_MAX];
    struct expr_state none = {0};
    bool has_null = false;
    for (size_t i = 0; i < n; i++) {
        if (!args[i].is_const)
            return false;
        argv[i] = &c->consts.p[args[i].at];
        has_null |= argv[i]->type == VAL_NULL;
    }
    struct value v = {.type = VAL_NULL};
    if (!has_null || op->nulls == NULL_SEEN)
        op->fn(argv, n, &none, &v);
    *ret = v;
    return !none.is_text_full;
}

static enum err_code emit(struct compiler *c, const struct op *op, const struct operand *args,
                          size_t n, const struct node *node, struct operand *ret)
{
    struct value folded;
    if (fold(c, op, args, n, &folded)) {
        enum err_code rc = add_const(c, &folded, node, ret);
        if (rc == ERR_OK)
            ret->type = op->type;
        return rc;
    }
    struct instr *code = VEC_ADD(c->arena, &c->code);
    if (!code)
        return arena_err(c->arena, c->err);
    *code =
        (struct instr){op->fn, TEMP + c->n_temps, (uint32_t)c->operands.n, (uint32_t)n, op->nulls};
    for (size_t i = 0; i < n; i++) {
        uint32_t *at = VEC_ADD(c->arena, &c->operands);
        if (!at)
            return arena_err(c->arena, c->err);
        *at = args[i].at;
    }
    *ret = (struct operand){TEMP + c->n_temps++, op->type, false, node};
    return ERR_OK;
}

/* Last part of a dotted name. */
static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static enum err_code unknown_column(struct compiler *c, const struct node *n)
{
    const char **names = ARENA_NEW_N(c->arena, const char *, 2 * c->n_cols);
    if (!names)
        return arena_err(c->arena, c->err);
    for (size_t i = 0; i < c->n_cols; i++) {
        names[2 * i] = c->cols[i].name;
        names[2 * i + 1] = last_part(c->cols[i].name);
    }
    const char *near = str_nearest(n->name, names, 2 * c->n_cols);
    return err_set(c->err, ERR_INVALID, "column %zu: unknown column '%.*s'%s%s%s", n->column,
                   STR_ARG(n->name), near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

static enum err_code find_column(struct compiler *c, const struct node *n, size_t *ret)
{
    size_t n_found = 0, found = 0;
    for (size_t i = 0; i < c->n_cols; i++) {
        if (str_is(n->name, c->cols[i].name)) {
            *ret = i;
            return ERR_OK;
        }
        if (str_is(n->name, last_part(c->cols[i].name))) {
            n_found++;
            found = i;
        }
    }
    if (n_found == 0)
        return unknown_column(c, n);
    if (n_found > 1)
        return err_set(c->err, ERR_INVALID,
                       "column %zu: '%.*s' is the name of several columns; write it as '%s'",
                       n->column, STR_ARG(n->name), c->cols[found].name);
    *ret = found;
    return ERR_OK;
}

/* A float column is read through a conversion, because its values may be ints. */
static enum err_code compile_column(struct compiler *c, const struct node *n, struct operand *ret)
{
    size_t i = 0;
    enum err_code rc = find_column(c, n, &i);
    if (rc != ERR_OK)
        return rc;
    c->is_read[i] = true;
    *ret = (struct operand){OPERAND_COLUMN | (uint32_t)i, c->cols[i].type, false, n};
    if (c->cols[i].type != VAL_FLOAT)
        return ERR_OK;
    if (!c->column_slot[i]) {
        struct operand raw = *ret, cast;
        rc = emit(c, &TO_FLOAT, &raw, 1, n, &cast);
        if (rc != ERR_OK)
            return rc;
        c->column_slot[i] = cast.at;
    }
    ret->at = c->column_slot[i];
    return ERR_OK;
}

static enum err_code to_float(struct compiler *c, struct operand *o)
{
    if (o->type != VAL_INT)
        return ERR_OK;
    struct operand in = *o;
    return emit(c, &TO_FLOAT, &in, 1, in.node, o);
}

/* A literal string where a time is wanted is read as one. */
static enum err_code to_time(struct compiler *c, struct operand *o)
{
    if (o->type != VAL_STR || !o->is_const)
        return ERR_OK;
    struct value v = {.type = VAL_TIME};
    if (parse_time_us(c->consts.p[o->at].u.s, &v.u.i, c->err) != ERR_OK)
        return err_wrap(c->err, "column %zu", o->node->column);
    return add_const(c, &v, o->node, o);
}

/* The type that operands with one shared type meet in; VAL_TYPE_N: they do not. */
static enum value_type meet(enum value_type a, enum value_type b)
{
    if (a == VAL_NULL || a == b)
        return b;
    if (b == VAL_NULL)
        return a;
    if ((a == VAL_INT && b == VAL_FLOAT) || (a == VAL_FLOAT && b == VAL_INT))
        return VAL_FLOAT;
    if ((a == VAL_TIME && b == VAL_STR) || (a == VAL_STR && b == VAL_TIME))
        return VAL_TIME;
    return VAL_TYPE_N;
}

/* Brings every `stride`-th operand from `first` (and the last, when is_last) to one type. */
static enum err_code unify(struct compiler *c, const struct node *call, struct operand *args,
                           const size_t *which, size_t n, enum value_type *ret)
{
    enum value_type t = VAL_NULL;
    for (size_t i = 0; i < n; i++) {
        enum value_type with = args[which[i]].type, met = meet(t, with);
        if (met == VAL_TYPE_N)
            return err_set(c->err, ERR_INVALID, "column %zu: '%.*s' cannot combine %s and %s",
                           call->column, STR_ARG(call->name), value_type_name(t),
                           value_type_name(with));
        t = met;
    }
    for (size_t i = 0; i < n; i++) {
        struct operand *o = &args[which[i]];
        enum err_code rc = t == VAL_FLOAT ? to_float(c, o) : t == VAL_TIME ? to_time(c, o) : ERR_OK;
        if (rc != ERR_OK)
            return rc;
        if (o->type != VAL_NULL && o->type != t)
            return err_set(c->err, ERR_INVALID,
                           "column %zu: a string column cannot be compared with a timestamp",
                           call->column);
    }
    *ret = t;
    return ERR_OK;
}

/* case and if: conditions are bools, values (and else) share a type. */
static enum err_code compile_case(struct compiler *c, const struct node *n,
                                  const struct expr_function *f, struct operand *args,
                                  struct operand *ret)
{
    size_t values[EXPR_ARGS_MAX], n_values = 0;
    for (size_t i = 0; i < n->n_args; i++) {
        bool is_condition = i % 2 == 0 && i + 1 < n->n_args;
        if (!is_condition)
            values[n_values++] = i;
        else if (args[i].type != VAL_BOOL && args[i].type != VAL_NULL)
            return err_set(c->err, ERR_INVALID, "column %zu: a condition must be bool, this is %s",
                           n->args[i]->column, value_type_name(args[i].type));
    }
    enum value_type type = VAL_NULL;
    enum err_code rc = unify(c, n, args, values, n_values, &type);
    struct op op = {f->fn, f->nulls, type};
    return rc == ERR_OK ? emit(c, &op, args, n->n_args, n, ret) : rc;
}

static enum param_type param_of(const struct expr_function *f, size_t i)
{
    size_t last = 0;
    while (last + 1 < EXPR_PARAMS_MAX && f->params[last + 1] != P_NONE)
        last++;
    return f->params[i < last ? i : last];
}

static enum value_type value_of_param(enum param_type p)
{
    static const enum value_type TYPES[P_TYPE_N] = {
        [P_BOOL] = VAL_BOOL, [P_INT] = VAL_INT, [P_FLOAT] = VAL_FLOAT,
        [P_TIME] = VAL_TIME, [P_STR] = VAL_STR, [P_UNIT] = VAL_STR,
    };
    return TYPES[p];
}

/* 0: does not fit, 1: after a conversion, 2: as it is. */
static int fit(const struct expr_function *f, const struct operand *args, size_t n)
{
    int worst = 2;
    for (size_t i = 0; i < n; i++) {
        enum param_type p = param_of(f, i);
        enum value_type want = value_of_param(p), have = args[i].type;
        int this_fit = p == P_SAME || have == want || (have == VAL_NULL && p != P_UNIT) ? 2
                       : (want == VAL_FLOAT && have == VAL_INT) ||
                               (want == VAL_TIME && have == VAL_STR && args[i].is_const)
                           ? 1
                           : 0;
        worst = this_fit < worst ? this_fit : worst;
    }
    return worst;
}

static enum err_code no_such_function(struct compiler *c, const struct node *n)
{
    const char *names[128];
    size_t n_names = 0;
    for (size_t i = 0; i < expr_function_count() && n_names < ARRAY_LEN(names); i++)
        names[n_names++] = expr_function_at(i)->name;
    const char *near = str_nearest(n->name, names, n_names);
    return err_set(c->err, ERR_INVALID, "column %zu: unknown function '%.*s'%s%s%s", n->column,
                   STR_ARG(n->name), near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

static enum err_code no_such_overload(struct compiler *c, const struct node *n,
                                      const struct expr_function *f, const struct operand *args)
{
    struct buf types;
    buf_init(&types, ERR_MSG_BYTES / 2);
    for (size_t i = 0; i < n->n_args; i++)
        buf_printf(&types, "%s%s", i ? ", " : "", value_type_name(args[i].type));
    enum err_code rc = err_set(
        c->err, ERR_INVALID, "column %zu: '%.*s' does not take (%.*s); its form is %s", n->column,
        STR_ARG(n->name), STR_ARG(buf_view(&types)), f->form ? f->form : f->name);
    buf_fini(&types);
    return rc;
}

static enum err_code find_function(struct compiler *c, const struct node *n,
                                   const struct operand *args, const struct expr_function **ret)
{
    const struct expr_function *named = NULL, *best = NULL;
    int best_fit = 0;
    for (size_t i = 0; i < expr_function_count(); i++) {
        const struct expr_function *f = expr_function_at(i);
        if (!str_is(n->name, f->name))
            continue;
        named = named ? named : f;
        int this_fit = n->n_args < f->n_min || n->n_args > f->n_max ? 0
                       : f->params[0] == P_NONE                     ? 2
                                                                    : fit(f, args, n->n_args);
        if (this_fit > best_fit) {
            best = f;
            best_fit = this_fit;
        }
    }
    if (!named)
        return no_such_function(c, n);
    if (!best)
        return no_such_overload(c, n, named, args);
    *ret = best;
    return ERR_OK;
}

static enum err_code check_unit(struct compiler *c, const struct node *n, const struct operand *o)
{
    struct str unit = o->is_const ? c->consts.p[o->at].u.s : STR("");
    if (!expr_is_unit(unit))
        return err_set(c->err, ERR_INVALID,
                       "column %zu: '%.*s' needs a unit of time as a literal: one of %s",
                       o->node->column, STR_ARG(n->name), EXPR_UNITS);
    bool is_fixed_only = str_is(n->name, "date_sub");
    if (is_fixed_only && (str_is(unit, "month") || str_is(unit, "quarter") || str_is(unit, "year")))
        return err_set(c->err, ERR_INVALID,
                       "column %zu: date_sub does not count %.*ss; use date_diff", o->node->column,
                       STR_ARG(unit));
    return ERR_OK;
}

/* hash_bucket's first argument stands alone: a shared type of one. */
static enum err_code convert_args(struct compiler *c, const struct node *n,
                                  const struct expr_function *f, struct operand *args,
                                  enum value_type *ret_same)
{
    size_t same[EXPR_ARGS_MAX], n_same = 0;
    for (size_t i = 0; i < n->n_args; i++) {
        enum param_type p = param_of(f, i);
        enum err_code rc = ERR_OK;
        if (p == P_SAME)
            same[n_same++] = i;
        else if (p == P_FLOAT)
            rc = to_float(c, &args[i]);
        else if (p == P_TIME)
            rc = to_time(c, &args[i]);
        else if (p == P_UNIT)
            rc = check_unit(c, n, &args[i]);
        if (rc != ERR_OK)
            return rc;
    }
    *ret_same = VAL_NULL;
    return n_same ? unify(c, n, args, same, n_same, ret_same) : ERR_OK;
}

static enum err_code compile_call(struct compiler *c, const struct node *n, struct operand *ret)
{
    struct operand *args = ARENA_NEW_N(c->arena, struct operand, n->n_args);
    if (!args)
        return arena_err(c->arena, c->err);
    for (size_t i = 0; i < n->n_args; i++) {
        enum err_code rc = compile_node(c, n->args[i], &args[i]);
        if (rc != ERR_OK)
            return rc;
    }
    const struct expr_function *f = NULL;
    enum err_code rc = find_function(c, n, args, &f);
    if (rc != ERR_OK)
        return rc;
    if (f->fn == fn_case)
        return compile_case(c, n, f, args, ret);
    enum value_type same;
    rc = convert_args(c, n, f, args, &same);
    if (rc != ERR_OK)
        return rc;
    struct op op = {f->fn, f->nulls, f->ret == P_SAME ? same : value_of_param(f->ret)};
    return emit(c, &op, args, n->n_args, n, ret);
}

static enum err_code compile_node(struct compiler *c, const struct node *n, struct operand *ret)
{
    switch (n->kind) {
    case NODE_LITERAL:
        return add_const(c, &n->value, n, ret);
    case NODE_COLUMN:
        return compile_column(c, n, ret);
    case NODE_CALL:
        return compile_call(c, n, ret);
    case NODE_KIND_N:
        break;
    }
    UNREACHABLE();
}

static uint32_t final_slot(const struct compiler *c, uint32_t at)
{
    if (at & OPERAND_COLUMN)
        return at;
    return at & TEMP ? (uint32_t)c->consts.n + (at & ~TEMP) : at;
}

static enum err_code list_reads(const struct compiler *c, struct expr *e)
{
    e->reads = ARENA_NEW_N(c->arena, size_t, c->n_cols);
    if (!e->reads)
        return arena_err(c->arena, c->err);
    for (size_t i = 0; i < c->n_cols; i++) {
        if (c->is_read[i])
            e->reads[e->n_reads++] = i;
    }
    return ERR_OK;
}

static enum err_code canonical_text(struct compiler *c, const struct node *root, struct expr *e)
{
    struct buf text;
    buf_init(&text, 16 * EXPR_TEXT_MAX);
    expr_node_text(root, &text);
    enum err_code rc = buf_ok(&text, c->err);
    if (rc == ERR_OK) {
        e->text = str_dup(c->arena, buf_view(&text));
        rc = e->text ? ERR_OK : arena_err(c->arena, c->err);
    }
    buf_fini(&text);
    return rc;
}

static enum err_code finish(struct compiler *c, const struct node *root,
                            const struct operand *result, struct expr **ret)
{
    struct expr *e = ARENA_NEW(c->arena, struct expr);
    if (!e)
        return arena_err(c->arena, c->err);
    e->type = result->type;
    e->result = final_slot(c, result->at);
    for (size_t i = 0; i < c->code.n; i++)
        c->code.p[i].dst = final_slot(c, c->code.p[i].dst);
    for (size_t i = 0; i < c->operands.n; i++)
        c->operands.p[i] = final_slot(c, c->operands.p[i]);
    e->code = c->code.p;
    e->n_code = c->code.n;
    e->operands = c->operands.p;
    e->n_operands = c->operands.n;
    e->consts = c->consts.p;
    e->n_consts = c->consts.n;
    e->n_slots = c->consts.n + c->n_temps;
    e->n_columns = c->n_cols;
    enum err_code rc = list_reads(c, e);
    if (rc == ERR_OK)
        rc = canonical_text(c, root, e);
    if (rc == ERR_OK)
        *ret = e;
    return rc;
}

enum err_code expr_compile(struct str text, const struct expr_column *cols, size_t n_cols,
                           struct arena *a, struct expr **ret, struct err *err)
{
    struct node *root;
    struct operand result;
    if (n_cols > EXPR_COLUMNS_MAX)
        return err_set(err, ERR_LIMIT, "%zu columns; %d are possible", n_cols, EXPR_COLUMNS_MAX);
    enum err_code rc = expr_parse(text, a, &root, err);
    if (rc != ERR_OK)
        return rc;
    struct compiler c = {.arena = a, .cols = cols, .n_cols = n_cols, .err = err};
    c.column_slot = ARENA_NEW_N(a, uint32_t, n_cols);
    c.is_read = ARENA_NEW_N(a, bool, n_cols);
    if (!c.column_slot || !c.is_read)
        return arena_err(a, err);
    rc = compile_node(&c, root, &result);
    return rc == ERR_OK ? finish(&c, root, &result, ret) : rc;
}

/* ---- names without typing ---- */
static enum err_code collect_names(const struct node *n, struct arena *a, struct map *seen,
                                   struct err *err)
{
    if (n->kind == NODE_COLUMN && !map_get(seen, n->name.p, n->name.n)) {
        char *name = str_dup(a, n->name);
        if (!name || !map_put(seen, n->name.p, n->name.n, name))
            return arena_err(a, err);
    }
    for (size_t i = 0; i < n->n_args; i++) {
        enum err_code rc = collect_names(n->args[i], a, seen, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

enum err_code expr_names(struct str text, struct arena *a, const char ***ret, size_t *ret_n,
                         struct err *err)
{
    struct node *root;
    struct map *seen = map_new(a);
    if (!seen)
        return arena_err(a, err);
    enum err_code rc = expr_parse(text, a, &root, err);
    if (rc == ERR_OK)
        rc = collect_names(root, a, seen, err);
    if (rc != ERR_OK)
        return rc;
    const char **names = ARENA_NEW_N(a, const char *, map_count(seen));
    if (!names)
        return arena_err(a, err);
    for (size_t i = 0; i < map_count(seen); i++) {
        const char *key;
        size_t key_bytes;
        names[i] = map_at(seen, i, &key, &key_bytes);
    }
    *ret_n = map_count(seen);
    *ret = names;
    return ERR_OK;
}
