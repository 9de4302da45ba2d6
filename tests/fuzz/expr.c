/* Expressions over columns of every type; what compiles is evaluated over a chunk with nulls, NaN and odd texts. */
#include "fuzz.h"

#include <math.h>

#include "base/check.h"
#include "expr/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct expr_column COLS[] = {
        {"b", VAL_BOOL}, {"i", VAL_INT}, {"f", VAL_FLOAT}, {"t", VAL_TIME}, {"s", VAL_STR}};
    uint8_t valid[] = {1, 0, 1}, b[] = {1, 0, 0};
    int64_t i[] = {INT64_MIN, 0, INT64_MAX}, t[] = {0, 0, 980000000000000};
    double f[] = {-INFINITY, 0, NAN};
    struct str s[] = {STR("a\xff"), STR(""), STR("2001-03-01")};
    struct column columns[] = {{"b", VAL_BOOL, 3, valid, {.b = b}},
                               {"i", VAL_INT, 3, valid, {.i = i}},
                               {"f", VAL_FLOAT, 3, valid, {.f = f}},
                               {"t", VAL_TIME, 3, valid, {.i = t}},
                               {"s", VAL_STR, 3, valid, {.s = s}}};
    const struct column *refs[] = {&columns[0], &columns[1], &columns[2], &columns[3], &columns[4]};
    char *text = fuzz_copy(data, size);
    struct arena a;
    struct err err = ERR_INIT;
    struct expr *e = NULL;
    struct column out = {0};
    arena_init(&a, FUZZ_ARENA_BYTES);
    if (expr_compile(str_n(text, size), COLS, ARRAY_LEN(COLS), &a, &e, &err) == ERR_OK)
        (void)(expr_eval_chunk(e, refs, 3, &a, &out, &err) == ERR_OK);
    arena_fini(&a);
    free(text);
    return 0;
}
