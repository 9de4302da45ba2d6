/* Private to expr/: tokens, syntax tree, function table, program. */
#ifndef PAWL_EXPR_EXPR_INT_H
#define PAWL_EXPR_EXPR_INT_H

#include "base/clock.h"
#include "base/vec.h"
#include "expr/expr.h"

/* ---- tokens ---- */
enum token_kind { TOK_END, TOK_NAME, TOK_QUOTED, TOK_INT, TOK_FLOAT, TOK_STR, TOK_OP, TOK_KIND_N };

struct token {
    enum token_kind kind;
    struct str text; /* as written; strings and quoted names without their quotes */
    int64_t i;
    double f;
    size_t column; /* 1-based byte */
};

struct lexer {
    struct str src;
    size_t at;
    struct arena *arena;
    struct token tok; /* in hand */
};
enum err_code lex_start(struct lexer *l, struct str src, struct arena *a,
                        struct err *err) MUST_CHECK;
enum err_code lex_next(struct lexer *l, struct err *err) MUST_CHECK;
bool tok_is_op(const struct token *t, const char *op);
bool tok_is_word(const struct token *t,
                 const char *word); /* keyword, any case; not a quoted name */

/* ---- syntax tree ---- */
enum node_kind { NODE_LITERAL, NODE_COLUMN, NODE_CALL, NODE_KIND_N };

struct node {
    enum node_kind kind;
    size_t column;      /* where it stands in the source */
    struct value value; /* NODE_LITERAL */
    struct str name;    /* NODE_COLUMN; NODE_CALL: function or operator, lower case */
    struct node **args;
    size_t n_args;
};
enum err_code expr_parse(struct str text, struct arena *a, struct node **ret,
                         struct err *err) MUST_CHECK;
/* Appends the canonical text. */
void expr_node_text(const struct node *n, struct buf *out);

/* ---- functions ---- */
typedef void expr_fn(const struct value *const *args, size_t n, struct expr_state *st,
                     struct value *ret);

enum null_rule {
    NULL_STRICT, /* null when any argument is; fn sees no null */
    NULL_SEEN,   /* fn is given nulls */
    NULL_RULE_N
};

/* Parameter types of an overload. ANY_* stand for one type that all such arguments share. */
enum param_type {
    P_NONE,
    P_BOOL,
    P_INT,
    P_FLOAT,
    P_TIME,
    P_STR,
    P_SAME, /* any type, all P_SAME of the call alike (int and float meet as float) */
    P_UNIT, /* a literal string that names a unit of time */
    P_TYPE_N
};

#define EXPR_PARAMS_MAX 4
#define EXPR_MORE       NULL, NULL, NULL /* a further overload of the row before */

struct expr_function {
    const char *name;
    enum param_type ret;
    enum param_type params[EXPR_PARAMS_MAX]; /* a variadic call repeats the last */
    unsigned n_min, n_max;
    enum null_rule nulls;
    expr_fn *fn;
    const char *form, *text, *group; /* docs; NULL: a further overload of the row before */
};
/* The table, in two files. */
extern const struct expr_function EXPR_NUMBER_FUNCTIONS[], EXPR_VALUE_FUNCTIONS[];
extern const size_t EXPR_NUMBER_FUNCTIONS_N, EXPR_VALUE_FUNCTIONS_N;
size_t expr_function_count(void);
const struct expr_function *expr_function_at(size_t i);

/* Numeric order with NaN greatest; bools, times and strings (by bytes) in their own. */
int expr_compare(const struct value *a, const struct value *b);
expr_fn expr_fn_to_float; /* int -> float, float as it is */

/* Operations, by file. */
expr_fn fn_add_i, fn_add_f, fn_sub_i, fn_sub_f, fn_mul_i, fn_mul_f, fn_div, fn_idiv, fn_mod_i,
    fn_mod_f, fn_neg_i, fn_neg_f, fn_abs_i, fn_abs_f, fn_sign, fn_floor, fn_ceil, fn_round_f,
    fn_round_i, fn_ln, fn_log10, fn_log2, fn_exp, fn_sqrt, fn_cbrt, fn_pow, fn_sin, fn_cos, fn_tan,
    fn_atan2, fn_pi, fn_radians, fn_isnan, fn_isinf, fn_isfinite, fn_to_int, fn_geo, fn_same;
expr_fn fn_eq, fn_ne, fn_lt, fn_le, fn_gt, fn_ge, fn_and, fn_or, fn_not, fn_is_null, fn_is_not_null,
    fn_in, fn_not_in, fn_case, fn_coalesce, fn_nullif, fn_greatest, fn_least, fn_hash_bucket;
expr_fn fn_lower, fn_upper, fn_length, fn_substr, fn_contains, fn_starts_with, fn_ends_with,
    fn_trim, fn_concat;
expr_fn fn_year, fn_month, fn_day, fn_hour, fn_minute, fn_second, fn_dayofweek, fn_isodow,
    fn_dayofyear, fn_quarter, fn_epoch, fn_epoch_ms, fn_epoch_us, fn_date_diff, fn_date_sub,
    fn_date_trunc;
/* Unit of time of date_diff and its kin; false when unknown. */
bool expr_is_unit(struct str name);
extern const char EXPR_UNITS[]; /* for a sentence */

/* ---- program ---- */
#define OPERAND_COLUMN UINT32_C(0x80000000) /* the rest: column index; without it: slot */

struct instr {
    expr_fn *fn;
    uint32_t dst; /* slot */
    uint32_t first_arg, n_args;
    enum null_rule nulls;
};

struct expr {
    enum value_type type;
    const char *text;
    uint32_t result; /* operand */
    struct instr *code;
    size_t n_code;
    uint32_t *operands;
    size_t n_operands;
    struct value *consts; /* slots 0 .. n_consts - 1 */
    size_t n_consts, n_slots;
    size_t *reads; /* columns, ascending */
    size_t n_reads;
    size_t n_columns;
};

#endif
