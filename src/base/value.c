#include "base/value.h"

#include "base/check.h"

static const char *const TYPE_NAMES[VAL_TYPE_N] = {"null",  "bool",      "int",
                                                   "float", "timestamp", "string"};

const char *value_type_name(enum value_type t)
{
    CHECK((unsigned)t < VAL_TYPE_N);
    return TYPE_NAMES[t];
}

bool value_type_from_name(struct str name, enum value_type *ret)
{
    for (unsigned i = 0; i < VAL_TYPE_N; i++)
        if (str_is(name, TYPE_NAMES[i])) {
            *ret = (enum value_type)i;
            return true;
        }
    return false;
}

struct value column_value(const struct column *c, size_t row)
{
    struct value v = {.type = VAL_NULL};
    CHECK(row < c->n);
    if (c->type == VAL_NULL || (c->valid && !c->valid[row]))
        return v;
    v.type = c->type;
    switch (c->type) {
    case VAL_BOOL:
        v.u.b = c->u.b[row] != 0;
        break;
    case VAL_INT:
    case VAL_TIME:
        v.u.i = c->u.i[row];
        break;
    case VAL_FLOAT:
        v.u.f = c->u.f[row];
        break;
    case VAL_STR:
        v.u.s = c->u.s[row];
        break;
    case VAL_NULL:
    case VAL_TYPE_N:
    default:
        UNREACHABLE();
    }
    return v;
}

static uint64_t f64_bits(double f)
{
    uint64_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static bool is_nan_bits(uint64_t bits)
{
    return (bits & ~(UINT64_C(1) << 63)) > UINT64_C(0x7ff0000000000000);
}

/* Every NaN is one value. */
static uint64_t f64_key(double f)
{
    uint64_t bits = f64_bits(f);
    return is_nan_bits(bits) ? UINT64_C(0x7ff8000000000000) : bits;
}

bool value_same(const struct value *a, const struct value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case VAL_NULL:
        return true;
    case VAL_BOOL:
        return a->u.b == b->u.b;
    case VAL_INT:
    case VAL_TIME:
        return a->u.i == b->u.i;
    case VAL_FLOAT:
        return f64_key(a->u.f) == f64_key(b->u.f);
    case VAL_STR:
        return str_eq(a->u.s, b->u.s);
    case VAL_TYPE_N:
    default:
        UNREACHABLE();
    }
}

static void put_le(struct buf *out, uint64_t v, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        buf_ch(out, (char)(unsigned char)(v >> (8 * i)));
}

/* One byte of type, four of length (little-endian), then the bytes: integers, times and floats as eight
 * little-endian bytes. */
void value_key_bytes(const struct value *v, struct buf *out)
{
    CHECK((unsigned)v->type < VAL_TYPE_N);
    buf_ch(out, (char)v->type);
    switch (v->type) {
    case VAL_BOOL:
        put_le(out, 1, 4);
        put_le(out, v->u.b, 1);
        break;
    case VAL_INT:
    case VAL_TIME:
        put_le(out, 8, 4);
        put_le(out, (uint64_t)v->u.i, 8);
        break;
    case VAL_FLOAT:
        put_le(out, 8, 4);
        put_le(out, f64_key(v->u.f), 8);
        break;
    case VAL_STR:
        put_le(out, v->u.s.n, 4);
        buf_str(out, v->u.s);
        break;
    case VAL_NULL:
    case VAL_TYPE_N:
    default:
        put_le(out, 0, 4);
        break;
    }
}
