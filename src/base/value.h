/* One typed scalar, and a column of them: the currency between table/, expr/, features/, feedback/ and serve/.
 *
 * null, NaN and the infinities stay distinct. A VAL_TIME is microseconds UTC. Strings are borrowed UTF-8
 * (invalid UTF-8 may occur in data and must be survived). Threads: plain data. */
#ifndef PAWL_BASE_VALUE_H
#define PAWL_BASE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum value_type { VAL_NULL, VAL_BOOL, VAL_INT, VAL_FLOAT, VAL_TIME, VAL_STR, VAL_TYPE_N };

struct value {
    enum value_type type; /* VAL_NULL: no value */
    union {
        bool b;
        int64_t i; /* VAL_INT; VAL_TIME as at_us */
        double f;
        struct str s;
    } u;
};

/* A column of n values of one type. `valid` is one byte a row (0 = null); NULL = all valid. */
struct column {
    const char *name;
    enum value_type type; /* VAL_NULL: all null */
    size_t n;
    uint8_t *valid;
    union {
        uint8_t *b; /* 0 / 1 */
        int64_t *i; /* VAL_INT and VAL_TIME */
        double *f;
        struct str *s;
    } u;
};

const char *
value_type_name(enum value_type t); /* "null" "bool" "int" "float" "timestamp" "string" */
bool value_type_from_name(struct str name, enum value_type *ret);
struct value column_value(const struct column *c, size_t row);
/* Same type and same value; two NaN are the same here, 0.0 and -0.0 are not (bit parity). */
bool value_same(const struct value *a, const struct value *b);
/* Type-tagged, length-prefixed bytes of a value: what keys are hashed from (docs/internals/formats.md). */
void value_key_bytes(const struct value *v, struct buf *out);

#endif
