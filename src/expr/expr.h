/* The row-expression language: what pawl.yaml writes for row features and slices, e.g.
 * `ln(distance + 1)`, `case when hour(date) < 6 then 'night' else 'day' end`.
 *
 * An expression is parsed, typed against named columns, compiled to a flat program and evaluated
 * for a row or for a chunk of rows by the same operations, so that training and serving agree bit
 * for bit. Meaning and names follow DuckDB SQL (docs/reference/expressions.md lists every function
 * and the few differences). Evaluation is total: where SQL would fail on a row (integer overflow,
 * ln of a negative number), the result is null. Null, NaN and the infinities are distinct; NaN
 * equals NaN and is greater than every number, as in DuckDB.
 *
 * Threads: a compiled expression is immutable; each thread evaluates with a struct expr_state of
 * its own.
 *
 *     struct expr *e;
 *     const struct expr_column cols[] = {{"distance", VAL_INT}};
 *     if (expr_compile(STR("ln(distance + 1)"), cols, 1, arena, &e, err) != ERR_OK) ...
 *     struct expr_state st;
 *     if (expr_state_init(&st, e, arena, EXPR_TEXT_BYTES) ...
 *     expr_eval(e, &st, values, &result);
 */
#ifndef PAWL_EXPR_EXPR_H
#define PAWL_EXPR_EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/value.h"

/* Raised when any operation changes its result; enters the version hash of every view and plan. */
#define EXPR_VERSION 1

#define EXPR_TEXT_MAX    8192 /* bytes of source */
#define EXPR_DEPTH_MAX   64   /* nesting */
#define EXPR_NODES_MAX   2048
#define EXPR_COLUMNS_MAX 4096
#define EXPR_ARGS_MAX    256   /* arguments of one call, items of an `in` list */
#define EXPR_TEXT_BYTES  65536 /* default room for strings made while one row is evaluated */

struct expr;

struct expr_column {
    const char *name;     /* "distance", "airport_hour.delay_1h" */
    enum value_type type; /* VAL_NULL: always null */
};

/* The columns an expression names, in order of first appearance, without typing it (a slice or a
 * transform is looked at before the types are known). "f(x" -> ERR_PARSE "column 4: ...". */
enum err_code expr_names(struct str text, struct arena *a, const char ***ret, size_t *ret_n,
                         struct err *err) MUST_CHECK;

/* Parses, types and compiles. A name is a column's whole name ("airport_hour.delay_1h") or its last
 * part where only one column ends so; names with other characters are written in double quotes.
 * cols    kept by position: expr_eval takes values in this order
 * Errors  ERR_PARSE, ERR_INVALID: "column 12: unknown column 'distnace'; did you mean 'distance'?"
 * Owner   the arena */
enum err_code expr_compile(struct str text, const struct expr_column *cols, size_t n_cols,
                           struct arena *a, struct expr **ret, struct err *err) MUST_CHECK;

enum value_type expr_type(const struct expr *e);  /* of the result; VAL_NULL for a bare `null` */
size_t expr_n_reads(const struct expr *e);        /* columns that it reads */
size_t expr_read(const struct expr *e, size_t i); /* index in cols, ascending */
/* Canonical text: same program, same text, whatever the spacing. */
const char *expr_text(const struct expr *e);

/* Room to evaluate one expression on one thread. */
struct expr_state {
    struct value *slots; /* constants and intermediate values */
    char *text;          /* strings made by the row in hand */
    size_t text_used, text_cap;
    bool is_text_full; /* a string did not fit and became null; sticky until expr_state_reset */
};
/* Memory comes from the arena; ERR_NOMEM / ERR_LIMIT. */
enum err_code expr_state_init(struct expr_state *st, const struct expr *e, struct arena *a,
                              size_t text_bytes, struct err *err) MUST_CHECK;

/* vals  one value per column of cols; only those it reads are looked at. Each has its column's type
 *       or is VAL_NULL; an int is taken where the column is a float.
 * ret   strings point into vals, the expression or st: valid until the next expr_eval with st
 * Cost  some 3 ns an operation; no allocation. */
void expr_eval(const struct expr *e, struct expr_state *st, const struct value *vals,
               struct value *ret);

/* The same over n rows of columns (cols in the order of expr_compile; columns not read may be
 * NULL). ret is allocated in the arena with its strings. ERR_LIMIT / ERR_NOMEM only. */
enum err_code expr_eval_chunk(const struct expr *e, const struct column *const *cols, size_t n,
                              struct arena *a, struct column *ret, struct err *err) MUST_CHECK;

/* ---- the function table, for docs and completion ---- */
struct expr_function_doc {
    const char *name, *form, *text,
        *group; /* "substr", "substr(s, start[, length])", one sentence, "text" */
};
size_t expr_n_functions(void);
struct expr_function_doc expr_function_doc(size_t i); /* i < expr_n_functions() */
/* docs/reference/expressions.md */
enum err_code expr_reference_write(struct buf *out, struct err *err) MUST_CHECK;

#endif
