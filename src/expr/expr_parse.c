/* Syntax: recursive descent for the primaries, precedence climbing for the operators. Binding,
 * loosest first, as in DuckDB:
 *   or, and, not, comparisons and is null, between and in, ||, + -, * and /, powers, unary -, ::type
 * Everything becomes a literal, a column or a call, so that typing and evaluation know one shape. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "expr/expr_int.h"

struct parser {
    struct lexer lex;
    struct arena *arena;
    size_t n_nodes, depth;
    struct err *err;
};

struct binary_op {
    const char *op;
    int binds;        /* higher: tighter */
    const char *name; /* of the call; NULL: the operator */
};

enum {
    BIND_OR = 1,
    BIND_AND,
    BIND_NOT,
    BIND_COMPARE,
    BIND_RANGE,
    BIND_CONCAT,
    BIND_ADD,
    BIND_MUL,
    BIND_POW,
    BIND_UNARY
};

static const struct binary_op BINARY[] = {
    {"=", BIND_COMPARE, NULL},  {"==", BIND_COMPARE, "="},  {"<>", BIND_COMPARE, NULL},
    {"!=", BIND_COMPARE, "<>"}, {"<", BIND_COMPARE, NULL},  {"<=", BIND_COMPARE, NULL},
    {">", BIND_COMPARE, NULL},  {">=", BIND_COMPARE, NULL}, {"||", BIND_CONCAT, NULL},
    {"+", BIND_ADD, NULL},      {"-", BIND_ADD, NULL},      {"*", BIND_MUL, NULL},
    {"/", BIND_MUL, NULL},      {"//", BIND_MUL, NULL},     {"%", BIND_MUL, NULL},
    {"^", BIND_POW, "pow"},     {"**", BIND_POW, "pow"},
};

static enum err_code parse_binds(struct parser *p, int min, struct node **ret);

static enum err_code unexpected(struct parser *p, const char *want)
{
    const struct token *t = &p->lex.tok;
    return err_set(p->err, ERR_PARSE, "column %zu: expected %s, found '%.*s'", t->column, want,
                   STR_ARG(t->text));
}

static enum err_code advance(struct parser *p)
{
    return lex_next(&p->lex, p->err);
}

static enum err_code expect_op(struct parser *p, const char *op)
{
    char want[8];
    if (tok_is_op(&p->lex.tok, op))
        return advance(p);
    snprintf(want, sizeof want, "'%s'", op);
    return unexpected(p, want);
}

static enum err_code expect_word(struct parser *p, const char *word)
{
    return tok_is_word(&p->lex.tok, word) ? advance(p) : unexpected(p, word);
}

static enum err_code new_node(struct parser *p, enum node_kind kind, size_t column,
                              struct node **ret)
{
    if (++p->n_nodes > EXPR_NODES_MAX)
        return err_set(p->err, ERR_LIMIT, "the expression has more than %d parts", EXPR_NODES_MAX);
    struct node *n = ARENA_NEW(p->arena, struct node);
    if (!n)
        return arena_err(p->arena, p->err);
    n->kind = kind;
    n->column = column;
    *ret = n;
    return ERR_OK;
}

static enum err_code new_call(struct parser *p, const char *name, size_t column,
                              struct node *const *args, size_t n, struct node **ret)
{
    struct node *call;
    enum err_code rc = new_node(p, NODE_CALL, column, &call);
    if (rc != ERR_OK)
        return rc;
    call->name = str_c(name);
    call->args = ARENA_NEW_N(p->arena, struct node *, n);
    if (!call->args)
        return arena_err(p->arena, p->err);
    memcpy(call->args, args, n * sizeof *args);
    call->n_args = n;
    *ret = call;
    return ERR_OK;
}

static enum err_code literal(struct parser *p, struct value v, struct node **ret)
{
    enum err_code rc = new_node(p, NODE_LITERAL, p->lex.tok.column, ret);
    if (rc == ERR_OK)
        (*ret)->value = v;
    return rc == ERR_OK ? advance(p) : rc;
}

/* Arguments up to the closing parenthesis, which is consumed. */
static enum err_code parse_args(struct parser *p, struct node **args, size_t *ret_n)
{
    size_t n = 0;
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && !tok_is_op(&p->lex.tok, ")")) {
        if (n == EXPR_ARGS_MAX)
            return err_set(p->err, ERR_LIMIT, "column %zu: more than %d arguments",
                           p->lex.tok.column, EXPR_ARGS_MAX);
        if (n)
            rc = expect_op(p, ",");
        if (rc == ERR_OK)
            rc = parse_binds(p, 0, &args[n]);
        n++;
    }
    *ret_n = n;
    return rc == ERR_OK ? expect_op(p, ")") : rc;
}

/* when c then v, into args[0] and args[1]; with a subject, c is compared with it. */
static enum err_code parse_when(struct parser *p, struct node *subject, struct node **args)
{
    enum err_code rc = advance(p);
    if (rc == ERR_OK)
        rc = parse_binds(p, 0, &args[0]);
    if (rc == ERR_OK && subject)
        rc = new_call(p, "=", args[0]->column, (struct node *[]){subject, args[0]}, 2, &args[0]);
    if (rc == ERR_OK)
        rc = expect_word(p, "then");
    return rc == ERR_OK ? parse_binds(p, 0, &args[1]) : rc;
}

/* case [x] when c then v ... [else e] end  ->  case(c, v, ..., e) */
static enum err_code parse_case(struct parser *p, struct node **ret)
{
    size_t column = p->lex.tok.column, n = 0;
    struct node *args[EXPR_ARGS_MAX], *subject = NULL;
    enum err_code rc = advance(p);
    if (rc == ERR_OK && !tok_is_word(&p->lex.tok, "when"))
        rc = parse_binds(p, 0, &subject);
    for (; rc == ERR_OK && tok_is_word(&p->lex.tok, "when"); n += 2) {
        if (n + 3 > EXPR_ARGS_MAX)
            return err_set(p->err, ERR_LIMIT, "column %zu: more than %d branches", column,
                           EXPR_ARGS_MAX / 2 - 1);
        rc = parse_when(p, subject, args + n);
    }
    if (rc == ERR_OK && n == 0)
        return unexpected(p, "when");
    if (rc == ERR_OK && tok_is_word(&p->lex.tok, "else")) {
        rc = advance(p);
        if (rc == ERR_OK)
            rc = parse_binds(p, 0, &args[n++]);
    }
    if (rc == ERR_OK)
        rc = expect_word(p, "end");
    return rc == ERR_OK ? new_call(p, "case", column, args, n, ret) : rc;
}

static const char *lower_name(struct parser *p, struct str name)
{
    char *s = str_dup(p->arena, name);
    for (size_t i = 0; s && i < name.n; i++) {
        if (s[i] >= 'A' && s[i] <= 'Z')
            s[i] = (char)(s[i] | 0x20);
    }
    return s;
}

/* name( is behind; the parenthesis is in hand. */
static enum err_code parse_call(struct parser *p, const struct token *name, struct node **ret)
{
    struct node *args[EXPR_ARGS_MAX];
    size_t n = 0;
    const char *lower = lower_name(p, name->text);
    enum err_code rc = lower ? advance(p) : arena_err(p->arena, p->err);
    if (rc == ERR_OK)
        rc = parse_args(p, args, &n);
    return rc == ERR_OK ? new_call(p, lower, name->column, args, n, ret) : rc;
}

/* timestamp '2001-01-01': the string is in hand. */
static enum err_code parse_timestamp(struct parser *p, size_t column, struct node **ret)
{
    struct value v = {.type = VAL_TIME};
    if (parse_time_us(p->lex.tok.text, &v.u.i, p->err) != ERR_OK)
        return err_wrap(p->err, "column %zu", column);
    return literal(p, v, ret);
}

/* The rest of "view"."column": the dot is in hand. */
static enum err_code parse_second_part(struct parser *p, struct node *column)
{
    enum err_code rc = advance(p);
    if (rc == ERR_OK && p->lex.tok.kind != TOK_NAME && p->lex.tok.kind != TOK_QUOTED)
        return unexpected(p, "a column's name");
    if (rc != ERR_OK)
        return rc;
    const char *full =
        str_printf(p->arena, "%.*s.%.*s", STR_ARG(column->name), STR_ARG(p->lex.tok.text));
    if (!full)
        return arena_err(p->arena, p->err);
    column->name = str_c(full);
    return advance(p);
}

/* name(args), or a column. The name is in hand. */
static enum err_code parse_name(struct parser *p, struct node **ret)
{
    struct token t = p->lex.tok;
    enum err_code rc = advance(p);
    if (rc != ERR_OK)
        return rc;
    if (t.kind == TOK_NAME && tok_is_op(&p->lex.tok, "("))
        return parse_call(p, &t, ret);
    if (tok_is_word(&t, "timestamp") && p->lex.tok.kind == TOK_STR)
        return parse_timestamp(p, t.column, ret);
    rc = new_node(p, NODE_COLUMN, t.column, ret);
    if (rc != ERR_OK)
        return rc;
    (*ret)->name = t.text;
    return t.kind == TOK_QUOTED && tok_is_op(&p->lex.tok, ".") ? parse_second_part(p, *ret)
                                                               : ERR_OK;
}

/* Words that end an expression or belong to its grammar are no columns. */
static bool is_reserved(const struct token *t)
{
    static const char *const WORDS[] = {"and",  "or",   "not",  "in",  "is",  "between",
                                        "when", "then", "else", "end", "case"};
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        if (tok_is_word(t, WORDS[i]))
            return true;
    }
    return false;
}

static enum err_code parse_group(struct parser *p, struct node **ret)
{
    enum err_code rc = advance(p);
    if (rc == ERR_OK)
        rc = parse_binds(p, 0, ret);
    return rc == ERR_OK ? expect_op(p, ")") : rc;
}

static enum err_code parse_primary(struct parser *p, struct node **ret)
{
    const struct token *t = &p->lex.tok;
    if (t->kind == TOK_INT)
        return literal(p, (struct value){.type = VAL_INT, .u.i = t->i}, ret);
    if (t->kind == TOK_FLOAT)
        return literal(p, (struct value){.type = VAL_FLOAT, .u.f = t->f}, ret);
    if (t->kind == TOK_STR)
        return literal(p, (struct value){.type = VAL_STR, .u.s = t->text}, ret);
    if (tok_is_word(t, "null"))
        return literal(p, (struct value){.type = VAL_NULL}, ret);
    if (tok_is_word(t, "true") || tok_is_word(t, "false"))
        return literal(p, (struct value){.type = VAL_BOOL, .u.b = tok_is_word(t, "true")}, ret);
    if (tok_is_word(t, "case"))
        return parse_case(p, ret);
    if (tok_is_op(t, "("))
        return parse_group(p, ret);
    if ((t->kind == TOK_NAME && !is_reserved(t)) || t->kind == TOK_QUOTED)
        return parse_name(p, ret);
    return unexpected(p, "a value");
}

/* primary [::type]... */
static enum err_code parse_postfix(struct parser *p, struct node **ret)
{
    enum err_code rc = parse_primary(p, ret);
    while (rc == ERR_OK && tok_is_op(&p->lex.tok, "::")) {
        static const struct {
            const char *type, *function;
        } CASTS[] = {{"int", "int"},
                     {"integer", "int"},
                     {"bigint", "int"},
                     {"double", "float"},
                     {"float", "float"}};
        size_t column = p->lex.tok.column;
        rc = advance(p);
        const char *function = NULL;
        for (size_t i = 0; i < ARRAY_LEN(CASTS); i++)
            function = tok_is_word(&p->lex.tok, CASTS[i].type) ? CASTS[i].function : function;
        if (rc == ERR_OK && !function)
            return unexpected(p, "int or double");
        if (rc == ERR_OK)
            rc = new_call(p, function, column, ret, 1, ret);
        if (rc == ERR_OK)
            rc = advance(p);
    }
    return rc;
}

/* A minus before a number is part of it, so that the text of a program is canonical. */
static bool negate_literal(struct node *n)
{
    if (n->kind != NODE_LITERAL || (n->value.type != VAL_INT && n->value.type != VAL_FLOAT))
        return false;
    if (n->value.type == VAL_INT)
        n->value.u.i = -n->value.u.i;
    else
        n->value.u.f = -n->value.u.f;
    return true;
}

static enum err_code parse_unary(struct parser *p, struct node **ret)
{
    const struct token *t = &p->lex.tok;
    size_t column = t->column;
    bool is_minus = tok_is_op(t, "-"), is_not = tok_is_word(t, "not");
    if (!is_minus && !is_not && !tok_is_op(t, "+"))
        return parse_postfix(p, ret);
    enum err_code rc = advance(p);
    if (rc == ERR_OK)
        rc = parse_binds(p, is_not ? BIND_NOT : BIND_UNARY, ret);
    if (rc != ERR_OK || (!is_minus && !is_not) || (is_minus && negate_literal(*ret)))
        return rc;
    return new_call(p, is_minus ? "-" : "not", column, ret, 1, ret);
}

/* x is [not] null */
static enum err_code parse_is(struct parser *p, struct node **left)
{
    size_t column = p->lex.tok.column;
    enum err_code rc = advance(p);
    bool is_not = rc == ERR_OK && tok_is_word(&p->lex.tok, "not");
    if (is_not)
        rc = advance(p);
    if (rc == ERR_OK)
        rc = expect_word(p, "null");
    return rc == ERR_OK ? new_call(p, is_not ? "is not null" : "is null", column, left, 1, left)
                        : rc;
}

/* x [not] between a and b  ->  x >= a and x <= b */
static enum err_code parse_between(struct parser *p, struct node **left)
{
    size_t column = p->lex.tok.column;
    struct node *lo, *hi, *x = *left;
    enum err_code rc = advance(p);
    if (rc == ERR_OK)
        rc = parse_binds(p, BIND_RANGE + 1, &lo);
    if (rc == ERR_OK)
        rc = expect_word(p, "and");
    if (rc == ERR_OK)
        rc = parse_binds(p, BIND_RANGE + 1, &hi);
    if (rc == ERR_OK)
        rc = new_call(p, ">=", column, (struct node *[]){x, lo}, 2, &lo);
    if (rc == ERR_OK)
        rc = new_call(p, "<=", column, (struct node *[]){x, hi}, 2, &hi);
    return rc == ERR_OK ? new_call(p, "and", column, (struct node *[]){lo, hi}, 2, left) : rc;
}

static enum err_code parse_in(struct parser *p, struct node **left)
{
    size_t column = p->lex.tok.column, n = 0;
    struct node *args[EXPR_ARGS_MAX + 1] = {*left};
    enum err_code rc = advance(p);
    if (rc == ERR_OK)
        rc = expect_op(p, "(");
    if (rc == ERR_OK)
        rc = parse_args(p, args + 1, &n);
    if (rc == ERR_OK && n == 0)
        return err_set(p->err, ERR_PARSE, "column %zu: the list after 'in' is empty", column);
    if (rc == ERR_OK && n == EXPR_ARGS_MAX)
        return err_set(p->err, ERR_LIMIT, "column %zu: a list of more than %d", column,
                       EXPR_ARGS_MAX - 1);
    return rc == ERR_OK ? new_call(p, "in", column, args, n + 1, left) : rc;
}

/* [not] between / in, behind *left. */
static enum err_code parse_range(struct parser *p, struct node **left)
{
    size_t column = p->lex.tok.column;
    bool is_not = tok_is_word(&p->lex.tok, "not");
    enum err_code rc = is_not ? advance(p) : ERR_OK;
    if (rc != ERR_OK)
        return rc;
    if (tok_is_word(&p->lex.tok, "between"))
        rc = parse_between(p, left);
    else if (tok_is_word(&p->lex.tok, "in"))
        rc = parse_in(p, left);
    else
        return unexpected(p, "'between' or 'in'");
    return rc == ERR_OK && is_not ? new_call(p, "not", column, left, 1, left) : rc;
}

static const struct binary_op *binary_in_hand(const struct token *t)
{
    static const struct binary_op AND = {"and", BIND_AND, "and"}, OR = {"or", BIND_OR, "or"};
    if (tok_is_word(t, "and"))
        return &AND;
    if (tok_is_word(t, "or"))
        return &OR;
    for (size_t i = 0; i < ARRAY_LEN(BINARY); i++) {
        if (tok_is_op(t, BINARY[i].op))
            return &BINARY[i];
    }
    return NULL;
}

static enum err_code parse_binary(struct parser *p, const struct binary_op *op, struct node **left)
{
    size_t column = p->lex.tok.column;
    struct node *right;
    enum err_code rc = advance(p);
    if (rc == ERR_OK)
        rc = parse_binds(p, op->binds + 1, &right);
    if (rc == ERR_OK)
        rc = new_call(p, op->name ? op->name : op->op, column, (struct node *[]){*left, right}, 2,
                      left);
    if (rc != ERR_OK || op->binds != BIND_COMPARE)
        return rc;
    const struct binary_op *next = binary_in_hand(&p->lex.tok);
    if (next && next->binds == BIND_COMPARE)
        return err_set(p->err, ERR_PARSE,
                       "column %zu: comparisons do not chain; write 'a < b and b < c'",
                       p->lex.tok.column);
    return ERR_OK;
}

static bool is_range_word(const struct token *t)
{
    return tok_is_word(t, "between") || tok_is_word(t, "in") || tok_is_word(t, "not");
}

/* An expression whose operators bind at least as tight as `min`. */
static enum err_code parse_binds(struct parser *p, int min, struct node **ret)
{
    if (++p->depth > EXPR_DEPTH_MAX)
        return err_set(p->err, ERR_LIMIT, "column %zu: nested deeper than %d", p->lex.tok.column,
                       EXPR_DEPTH_MAX);
    struct node *left = NULL;
    enum err_code rc = parse_unary(p, &left);
    while (rc == ERR_OK) {
        const struct binary_op *op = binary_in_hand(&p->lex.tok);
        if (op && op->binds >= min)
            rc = parse_binary(p, op, &left);
        else if (!op && min <= BIND_COMPARE && tok_is_word(&p->lex.tok, "is"))
            rc = parse_is(p, &left);
        else if (!op && min <= BIND_RANGE && is_range_word(&p->lex.tok))
            rc = parse_range(p, &left);
        else
            break;
    }
    p->depth--;
    if (rc == ERR_OK)
        *ret = left;
    return rc;
}

enum err_code expr_parse(struct str text, struct arena *a, struct node **ret, struct err *err)
{
    struct parser p = {.arena = a, .err = err};
    enum err_code rc = lex_start(&p.lex, text, a, err);
    if (rc != ERR_OK)
        return rc;
    if (p.lex.tok.kind == TOK_END)
        return err_set(err, ERR_PARSE, "the expression is empty");
    rc = parse_binds(&p, 0, ret);
    if (rc == ERR_OK && p.lex.tok.kind != TOK_END)
        return unexpected(&p, "an operator or the end");
    return rc;
}
