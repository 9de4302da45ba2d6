/* Compile and evaluate in one call, for tests. */
#ifndef PAWL_TEST_EXPR_TRY_H
#define PAWL_TEST_EXPR_TRY_H

#include "base/clock.h"
#include "expr/expr.h"

#define V_NULL    ((struct value){.type = VAL_NULL})
#define V_INT(x)  ((struct value){.type = VAL_INT, .u.i = (x)})
#define V_F(x)    ((struct value){.type = VAL_FLOAT, .u.f = (x)})
#define V_BOOL(x) ((struct value){.type = VAL_BOOL, .u.b = (x)})
#define V_STR(x)  ((struct value){.type = VAL_STR, .u.s = STR(x)})
#define V_TIME(x) ((struct value){.type = VAL_TIME, .u.i = (x)})

#endif
