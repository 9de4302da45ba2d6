/* Comparison, three-valued logic and choice. */
#include "base/check.h"
#include "base/hash.h"
#include "expr/expr_int.h"

#define FN(name)                                                                                   \
    void name(const struct value *const *a, size_t n, struct expr_state *st, struct value *ret)

static int compare_f64(double a, double b)
{
    bool a_nan = a != a, b_nan = b != b;
    if (a_nan || b_nan)
        return (int)a_nan - (int)b_nan;
    return (a > b) - (a < b);
}

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int expr_compare(const struct value *a, const struct value *b)
{
    CHECK(a->type == b->type);
    switch (a->type) {
    case VAL_BOOL:
        return (int)a->u.b - (int)b->u.b;
    case VAL_INT:
    case VAL_TIME:
        return compare_i64(a->u.i, b->u.i);
    case VAL_FLOAT:
        return compare_f64(a->u.f, b->u.f);
    case VAL_STR:
        return str_cmp(a->u.s, b->u.s);
    case VAL_NULL:
    case VAL_TYPE_N:
        break;
    }
    UNREACHABLE();
}

static void set_bool(struct value *ret, bool v)
{
    ret->type = VAL_BOOL;
    ret->u.b = v;
}

#define FN_COMPARE(name, op)                                                                       \
    FN(name)                                                                                       \
    {                                                                                              \
        set_bool(ret, expr_compare(a[0], a[1]) op 0);                                              \
    }
FN_COMPARE(fn_eq, ==)
FN_COMPARE(fn_ne, !=)
FN_COMPARE(fn_lt, <)
FN_COMPARE(fn_le, <=)
FN_COMPARE(fn_gt, >)
FN_COMPARE(fn_ge, >=)

static bool is_true(const struct value *v)
{
    return v->type == VAL_BOOL && v->u.b;
}

static bool is_false(const struct value *v)
{
    return v->type == VAL_BOOL && !v->u.b;
}

FN(fn_and)
{
    if (is_false(a[0]) || is_false(a[1]))
        set_bool(ret, false);
    else if (is_true(a[0]) && is_true(a[1]))
        set_bool(ret, true);
    else
        ret->type = VAL_NULL;
}

FN(fn_or)
{
    if (is_true(a[0]) || is_true(a[1]))
        set_bool(ret, true);
    else if (is_false(a[0]) && is_false(a[1]))
        set_bool(ret, false);
    else
        ret->type = VAL_NULL;
}

FN(fn_not)
{
    set_bool(ret, !a[0]->u.b);
}

FN(fn_is_null)
{
    set_bool(ret, a[0]->type == VAL_NULL);
}

FN(fn_is_not_null)
{
    set_bool(ret, a[0]->type != VAL_NULL);
}

FN(fn_in)
{
    bool has_null = a[0]->type == VAL_NULL;
    for (size_t i = 1; i < n && a[0]->type != VAL_NULL; i++) {
        if (a[i]->type == VAL_NULL) {
            has_null = true;
        } else if (expr_compare(a[0], a[i]) == 0) {
            set_bool(ret, true);
            return;
        }
    }
    set_bool(ret, false);
    if (has_null)
        ret->type = VAL_NULL;
}

/* c1, v1, c2, v2, ... [, else] */
FN(fn_case)
{
    size_t i = 0;
    for (; i + 1 < n; i += 2) {
        if (is_true(a[i])) {
            *ret = *a[i + 1];
            return;
        }
    }
    if (i < n)
        *ret = *a[i];
    else
        ret->type = VAL_NULL;
}

FN(fn_coalesce)
{
    ret->type = VAL_NULL;
    for (size_t i = 0; i < n && ret->type == VAL_NULL; i++)
        *ret = *a[i];
}

FN(fn_nullif)
{
    struct value v = *a[0];
    if (v.type != VAL_NULL && a[1]->type != VAL_NULL && expr_compare(a[0], a[1]) == 0)
        v.type = VAL_NULL;
    *ret = v;
}

/* The first of the extreme values; sign +1 greatest, -1 least. */
static void extreme(const struct value *const *a, size_t n, int sign, struct value *ret)
{
    const struct value *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (a[i]->type != VAL_NULL && (!best || expr_compare(a[i], best) * sign > 0))
            best = a[i];
    }
    if (best)
        *ret = *best;
    else
        ret->type = VAL_NULL;
}

FN(fn_greatest)
{
    extreme(a, n, 1, ret);
}

FN(fn_least)
{
    extreme(a, n, -1, ret);
}

/* The type seeds the hash, so that 1 and '1' are apart. */
FN(fn_hash_bucket)
{
    const struct value *v = a[0];
    int64_t n_buckets = a[1]->u.i;
    if (n_buckets <= 0) {
        ret->type = VAL_NULL;
        return;
    }
    uint64_t h;
    if (v->type == VAL_STR)
        h = hash64(v->u.s.p, v->u.s.n, (uint64_t)v->type);
    else if (v->type == VAL_BOOL)
        h = hash64(&v->u.b, sizeof v->u.b, (uint64_t)v->type);
    else
        h = hash64(&v->u.i, sizeof v->u.i, (uint64_t)v->type);
    ret->type = VAL_INT;
    ret->u.i = (int64_t)(h % (uint64_t)n_buckets);
}
