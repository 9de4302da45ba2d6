/* Canonical text of expressions, and the reference page made from the function table. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "expr/expr_int.h"

static void put_quoted(struct buf *out, char quote, struct str s)
{
    buf_ch(out, quote);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == quote)
            buf_ch(out, quote);
        buf_ch(out, s.p[i]);
    }
    buf_ch(out, quote);
}

static void put_literal(struct buf *out, const struct value *v)
{
    char text[TIME_TEXT_BYTES];
    char number[NUM_TEXT_BYTES];
    switch (v->type) {
    case VAL_NULL:
        buf_c(out, "null");
        break;
    case VAL_BOOL:
        buf_c(out, v->u.b ? "true" : "false");
        break;
    case VAL_INT:
        num_i64(number, v->u.i);
        buf_c(out, number);
        break;
    case VAL_FLOAT:
        num_f64(number, v->u.f);
        buf_c(out, number);
        if (!strpbrk(number, ".eIN")) /* a whole number would be read as an int */
            buf_c(out, ".0");
        break;
    case VAL_TIME:
        time_text(text, v->u.i);
        buf_printf(out, "timestamp '%s'", text);
        break;
    case VAL_STR:
        put_quoted(out, '\'', v->u.s);
        break;
    case VAL_TYPE_N:
        UNREACHABLE();
    }
}

static void put_infix(const struct node *n, struct buf *out)
{
    buf_ch(out, '(');
    expr_node_text(n->args[0], out);
    buf_printf(out, " %.*s ", STR_ARG(n->name));
    expr_node_text(n->args[1], out);
    buf_ch(out, ')');
}

static void put_call(const struct node *n, struct buf *out)
{
    bool is_word =
        n->name.n && ((n->name.p[0] >= 'a' && n->name.p[0] <= 'z') || n->name.p[0] == '_');
    bool is_logic = str_is(n->name, "and") || str_is(n->name, "or");
    if (n->n_args == 2 && (!is_word || is_logic)) {
        put_infix(n, out);
        return;
    }
    buf_printf(out, "%.*s(", STR_ARG(n->name));
    for (size_t i = 0; i < n->n_args; i++) {
        if (i)
            buf_c(out, ", ");
        expr_node_text(n->args[i], out);
    }
    buf_ch(out, ')');
}

void expr_node_text(const struct node *n, struct buf *out)
{
    if (n->kind == NODE_LITERAL)
        put_literal(out, &n->value);
    else if (n->kind == NODE_COLUMN)
        put_quoted(out, '"', n->name);
    else
        put_call(n, out);
}

/* Rows of the table that carry documentation. */
static const struct expr_function *documented(size_t i)
{
    for (size_t k = 0; k < expr_function_count(); k++) {
        if (expr_function_at(k)->form && i-- == 0)
            return expr_function_at(k);
    }
    return NULL;
}

size_t expr_n_functions(void)
{
    size_t n = 0;
    while (documented(n))
        n++;
    return n;
}

struct expr_function_doc expr_function_doc(size_t i)
{
    const struct expr_function *f = documented(i);
    CHECK(f != NULL);
    return (struct expr_function_doc){f->name, f->form, f->text, f->group};
}

static const char HEAD[] =
    "# Row expressions\n\n"
    "What `row:` features, slices and other places of `pawl.yaml` may say about one row. The same "
    "code evaluates them in\n"
    "training and in serving. Names and meaning follow DuckDB SQL; where SQL would fail on a row "
    "(integer overflow,\n"
    "`ln(0)`), the result is null, and decimals such as `1.5` are floats.\n\n"
    "Types: bool, int (64 bit), float (64 bit), timestamp (microseconds, UTC), string. An int "
    "becomes a float where one is\n"
    "wanted; a literal string becomes a timestamp beside a timestamp. Columns are written by name "
    "(`distance`), by view\n"
    "and name (`airport_hour.delay_1h`), or in double quotes. Any operation on null gives null "
    "unless it says otherwise.\n\n"
    "Binding, loosest first: `or`; `and`; `not`; comparisons and `is null`; `between`, `in`; `||`; "
    "`+ -`; `*`, `/`, integer division, `%`;\n"
    "`^ **`; unary `-`; `::`.\n";

enum err_code expr_reference_write(struct buf *out, struct err *err)
{
    const char *group = "";
    buf_printf(out,
               "<!-- Made from the function table in src/expr/expr_functions.c by tests; do not "
               "edit. -->\n%s",
               HEAD);
    for (size_t i = 0; documented(i); i++) {
        const struct expr_function *f = documented(i);
        if (strcmp(group, f->group) != 0)
            buf_printf(out, "\n## %c%s\n\n| form | meaning |\n|---|---|\n", f->group[0] - 'a' + 'A',
                       f->group + 1);
        group = f->group;
        buf_c(out, "| `");
        for (const char *p = f->form; *p; p++) {
            if (*p == '|') /* would end the cell */
                buf_ch(out, '\\');
            buf_ch(out, *p);
        }
        buf_printf(out, "` | %s |\n", f->text);
    }
    return buf_ok(out, err);
}
