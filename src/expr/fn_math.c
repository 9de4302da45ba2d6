/* Operations on numbers. Each is written once; row and chunk evaluation call the same code. */
#include <math.h>

#include "expr/expr_int.h"

#define EARTH_RADIUS_KM 6371.0088 /* mean radius, IUGG */

static void set_int(struct value *ret, int64_t v)
{
    ret->type = VAL_INT;
    ret->u.i = v;
}

static void set_float(struct value *ret, double v)
{
    ret->type = VAL_FLOAT;
    ret->u.f = v;
}

static void set_bool(struct value *ret, bool v)
{
    ret->type = VAL_BOOL;
    ret->u.b = v;
}

static void set_null(struct value *ret)
{
    ret->type = VAL_NULL;
}

#define FN(name)                                                                                   \
    void name(const struct value *const *a, size_t n, struct expr_state *st, struct value *ret)

#define FN_INT_CHECKED(name, builtin)                                                              \
    FN(name)                                                                                       \
    {                                                                                              \
        int64_t v;                                                                                 \
        if (builtin(a[0]->u.i, a[1]->u.i, &v))                                                     \
            set_null(ret);                                                                         \
        else                                                                                       \
            set_int(ret, v);                                                                       \
    }
FN_INT_CHECKED(fn_add_i, __builtin_add_overflow)
FN_INT_CHECKED(fn_sub_i, __builtin_sub_overflow)
FN_INT_CHECKED(fn_mul_i, __builtin_mul_overflow)

#define FN_FLOAT(name, expression)                                                                 \
    FN(name)                                                                                       \
    {                                                                                              \
        double x = a[0]->u.f;                                                                      \
        set_float(ret, (expression));                                                              \
    }
FN_FLOAT(fn_add_f, x + a[1]->u.f)
FN_FLOAT(fn_sub_f, x - a[1]->u.f)
FN_FLOAT(fn_mul_f, x *a[1]->u.f)
FN_FLOAT(fn_div, x / a[1]->u.f)
FN_FLOAT(fn_mod_f, fmod(x, a[1]->u.f))
FN_FLOAT(fn_neg_f, -x)
FN_FLOAT(fn_abs_f, fabs(x))
FN_FLOAT(fn_floor, floor(x))
FN_FLOAT(fn_ceil, ceil(x))
FN_FLOAT(fn_exp, exp(x))
FN_FLOAT(fn_cbrt, cbrt(x))
FN_FLOAT(fn_pow, pow(x, a[1]->u.f))
FN_FLOAT(fn_atan2, atan2(x, a[1]->u.f))
FN_FLOAT(fn_radians, x *(M_PI / 180.0))

/* Null where the condition on x does not hold. */
#define FN_FLOAT_IF(name, condition, expression)                                                   \
    FN(name)                                                                                       \
    {                                                                                              \
        double x = a[0]->u.f;                                                                      \
        if (condition)                                                                             \
            set_float(ret, (expression));                                                          \
        else                                                                                       \
            set_null(ret);                                                                         \
    }
FN_FLOAT_IF(fn_ln, !(x <= 0.0), log(x))
FN_FLOAT_IF(fn_log10, !(x <= 0.0), log10(x))
FN_FLOAT_IF(fn_log2, !(x <= 0.0), log2(x))
FN_FLOAT_IF(fn_sqrt, !(x < 0.0), sqrt(x))
FN_FLOAT_IF(fn_sin, !isinf(x), sin(x))
FN_FLOAT_IF(fn_cos, !isinf(x), cos(x))
FN_FLOAT_IF(fn_tan, !isinf(x), tan(x))

#define FN_TEST(name, expression)                                                                  \
    FN(name)                                                                                       \
    {                                                                                              \
        set_bool(ret, (expression));                                                               \
    }
FN_TEST(fn_isnan, isnan(a[0]->u.f))
FN_TEST(fn_isinf, isinf(a[0]->u.f))
FN_TEST(fn_isfinite, isfinite(a[0]->u.f))

FN(fn_pi)
{
    set_float(ret, M_PI);
}

FN(fn_same)
{
    *ret = *a[0];
}

/* INT64_MIN // -1 has no int64. */
FN(fn_idiv)
{
    int64_t x = a[0]->u.i, y = a[1]->u.i;
    if (y == 0 || (x == INT64_MIN && y == -1))
        set_null(ret);
    else
        set_int(ret, x / y);
}

FN(fn_mod_i)
{
    int64_t x = a[0]->u.i, y = a[1]->u.i;
    if (y == 0)
        set_null(ret);
    else
        set_int(ret, y == -1 ? 0 : x % y);
}

FN(fn_neg_i)
{
    if (a[0]->u.i == INT64_MIN)
        set_null(ret);
    else
        set_int(ret, -a[0]->u.i);
}

FN(fn_abs_i)
{
    if (a[0]->u.i == INT64_MIN)
        set_null(ret);
    else
        set_int(ret, a[0]->u.i < 0 ? -a[0]->u.i : a[0]->u.i);
}

FN(fn_sign)
{
    double x = a[0]->u.f;
    set_int(ret, (x > 0.0) - (x < 0.0));
}

/* Scaled by a power of ten and back; where that leaves the range of a double, x itself (or 0 for
 * digits before the point). */
FN(fn_round_f)
{
    double x = a[0]->u.f;
    int64_t digits = n > 1 ? a[1]->u.i : 0;
    if (digits == 0) {
        set_float(ret, round(x));
    } else if (digits > 0) {
        double scale = pow(10.0, (double)digits), v = round(x * scale) / scale;
        set_float(ret, isfinite(v) ? v : x);
    } else {
        double scale = pow(10.0, -(double)digits), v = round(x / scale) * scale;
        set_float(ret, isfinite(v) ? v : 0.0);
    }
}

FN(fn_round_i)
{
    int64_t x = a[0]->u.i, digits = n > 1 ? a[1]->u.i : 0, scale = 1, half;
    if (digits >= 0) {
        set_int(ret, x);
        return;
    }
    if (digits < -18) {
        set_int(ret, 0);
        return;
    }
    for (int64_t i = 0; i < -digits; i++)
        scale *= 10;
    half = x < 0 ? -(scale / 2) : scale / 2;
    if (__builtin_add_overflow(x, half, &x))
        set_null(ret);
    else
        set_int(ret, x / scale * scale);
}

/* From a bool, or a float: to the nearest, halves to even. */
FN(fn_to_int)
{
    if (a[0]->type == VAL_BOOL) {
        set_int(ret, a[0]->u.b);
        return;
    }
    double x = nearbyint(a[0]->u.f);
    if (x >= -9223372036854775808.0 && x < 9223372036854775808.0)
        set_int(ret, (int64_t)x);
    else
        set_null(ret);
}

FN(expr_fn_to_float)
{
    set_float(ret, a[0]->type == VAL_INT    ? (double)a[0]->u.i
                   : a[0]->type == VAL_BOOL ? (double)a[0]->u.b
                                            : a[0]->u.f);
}

FN(fn_geo)
{
    double lat1 = a[0]->u.f, lon1 = a[1]->u.f, lat2 = a[2]->u.f, lon2 = a[3]->u.f;
    bool is_ok =
        fabs(lat1) <= 90.0 && fabs(lat2) <= 90.0 && fabs(lon1) <= 360.0 && fabs(lon2) <= 360.0;
    if (!is_ok) {
        set_null(ret);
        return;
    }
    const double rad = M_PI / 180.0;
    double s = sin((lat2 - lat1) * rad / 2), t = sin((lon2 - lon1) * rad / 2);
    double h = s * s + cos(lat1 * rad) * cos(lat2 * rad) * t * t;
    set_float(ret, 2 * EARTH_RADIUS_KM * asin(sqrt(h < 1.0 ? h : 1.0)));
}
