/* Raw tensors (binary tensor extension): little-endian values of native width, BOOL a byte, BYTES u32 length + bytes. */
#include <string.h>

#include "api/oip_int.h"
#include "base/check.h"

static size_t width_of(enum tensor_type type)
{
    static const size_t widths[TENSOR_TYPE_N] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8, 0};
    return widths[type];
}

static uint64_t le(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* IEEE 754 half precision. */
static double half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = (h >> 10) & 31u, m = h & 1023u, bits;
    float f;
    if (e == 0) {
        f = (float)m * 0x1p-24f;
        return sign ? -(double)f : (double)f;
    }
    bits = e == 31 ? sign | 0x7f800000u | m << 13 : sign | (e + 112) << 23 | m << 13;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static struct value number(const unsigned char *p, enum tensor_type type, size_t width)
{
    uint64_t bits = le(p, width);
    float f;
    double d;
    uint32_t bits32 = (uint32_t)bits;
    switch (type) {
    case TENSOR_BOOL:
        return (struct value){VAL_BOOL, {.b = bits != 0}};
    case TENSOR_FP16:
        return (struct value){VAL_FLOAT, {.f = half((uint16_t)bits)}};
    case TENSOR_FP32:
        memcpy(&f, &bits32, sizeof f);
        return (struct value){VAL_FLOAT, {.f = (double)f}};
    case TENSOR_FP64:
        memcpy(&d, &bits, sizeof d);
        return (struct value){VAL_FLOAT, {.f = d}};
    case TENSOR_INT8:
        return (struct value){VAL_INT, {.i = (int8_t)bits}};
    case TENSOR_INT16:
        return (struct value){VAL_INT, {.i = (int16_t)bits}};
    case TENSOR_INT32:
        return (struct value){VAL_INT, {.i = (int32_t)bits}};
    case TENSOR_UINT8:
    case TENSOR_UINT16:
    case TENSOR_UINT32:
    case TENSOR_UINT64:
    case TENSOR_INT64:
        return (struct value){VAL_INT, {.i = (int64_t)bits}};
    case TENSOR_BYTES:
    case TENSOR_TYPE_N:
        break;
    }
    UNREACHABLE();
}

static enum err_code texts(struct str bytes, size_t n, struct str name, struct value *out,
                           struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t size = bytes.n >= 4 ? le((const unsigned char *)bytes.p, 4) : UINT64_MAX;
        if (size == UINT64_MAX || size > bytes.n - 4)
            return err_set(err, ERR_INVALID, "input \"%.*s\": text %zu reaches behind its bytes",
                           STR_ARG(name), i);
        out[i] = (struct value){VAL_STR, {.s = {bytes.p + 4, (size_t)size}}};
        if (!str_utf8_valid(out[i].u.s))
            return err_set(err, ERR_INVALID, "input \"%.*s\": text %zu is not UTF-8", STR_ARG(name),
                           i);
        bytes.p += 4 + size;
        bytes.n -= 4 + (size_t)size;
    }
    if (bytes.n)
        return err_set(err, ERR_INVALID, "input \"%.*s\" has %zu bytes too many", STR_ARG(name),
                       bytes.n);
    return ERR_OK;
}

enum err_code oip_binary_values(struct str bytes, enum tensor_type type, size_t n, struct str name,
                                struct arena *a, struct value **ret, struct err *err)
{
    size_t width = width_of(type), least = width ? width : 4;
    if (n > bytes.n / least || (width && n * width != bytes.n))
        return err_set(err, ERR_INVALID, "input \"%.*s\": %zu bytes are not %zu values of %s",
                       STR_ARG(name), bytes.n, n, TENSOR_TYPE_NAMES[type]);
    struct value *v = ARENA_NEW_N(a, struct value, n);
    if (!v)
        return arena_err(a, err);
    *ret = v;
    if (!width)
        return texts(bytes, n, name, v, err);
    for (size_t i = 0; i < n; i++)
        v[i] = number((const unsigned char *)bytes.p + i * width, type, width);
    return ERR_OK;
}
