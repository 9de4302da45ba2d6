/* Columns made row by row in an arena: what expressions and plans give for a chunk. */
#ifndef PAWL_EXPR_COLUMN_BUILD_H
#define PAWL_EXPR_COLUMN_BUILD_H

#include "base/arena.h"
#include "base/value.h"

/* A column of n rows, all null. */
enum err_code column_alloc(struct column *ret, const char *name, enum value_type type, size_t n,
                           struct arena *a, struct err *err) MUST_CHECK;
/* v has the column's type or is null; a string is copied into the arena. */
enum err_code column_put(struct column *c, size_t row, const struct value *v, struct arena *a,
                         struct err *err) MUST_CHECK;

#endif
