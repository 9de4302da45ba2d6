#include "model/doc.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define NUMBER_TEXT_MAX 64
#define EXACT_DIGITS    15 /* digits of a mantissa that a double surely holds */

enum err_code doc_err(const struct doc *d, struct err *err, const char *what)
{
    return err_set(err, ERR_PARSE, "byte %td: %s", d->p - d->start, what);
}

enum err_code doc_push(struct doc *d, struct doc_frame f, struct err *err)
{
    if (d->n_frames == DOC_DEPTH_MAX)
        return doc_err(d, err, "nested deeper than any model file");
    d->frames[d->n_frames++] = f;
    return ERR_OK;
}

enum err_code doc_peek(struct doc *d, enum doc_kind *ret, struct err *err)
{
    return d->ops->peek(d, ret, err);
}

enum err_code doc_enter_object(struct doc *d, struct err *err)
{
    return d->ops->enter(d, true, err);
}

enum err_code doc_enter_array(struct doc *d, struct err *err)
{
    return d->ops->enter(d, false, err);
}

enum err_code doc_next(struct doc *d, struct str *ret_key, bool *ret_more, struct err *err)
{
    CHECK(d->n_frames > 0);
    return d->ops->next(d, ret_key, ret_more, err);
}

enum err_code doc_string(struct doc *d, struct str *ret, struct err *err)
{
    return d->ops->string(d, ret, err);
}

static enum err_code skip_scalar(struct doc *d, enum doc_kind kind, struct err *err)
{
    struct str s;
    struct doc_number number;
    bool b;
    switch (kind) {
    case DOC_STRING:
        return d->ops->string(d, &s, err);
    case DOC_NUMBER:
        return d->ops->number(d, &number, err);
    case DOC_BOOL:
        return d->ops->boolean(d, &b, err);
    case DOC_NULL:
        return d->ops->null(d, err);
    case DOC_OBJECT:
    case DOC_ARRAY:
    case DOC_KIND_N:
        break;
    }
    UNREACHABLE();
}

/* Without recursion: containers are counted by the frames. */
enum err_code doc_skip(struct doc *d, struct err *err)
{
    size_t base = d->n_frames;
    for (;;) {
        enum doc_kind kind;
        enum err_code rc = doc_peek(d, &kind, err);
        if (rc == ERR_OK && (kind == DOC_OBJECT || kind == DOC_ARRAY))
            rc = d->ops->enter(d, kind == DOC_OBJECT, err);
        else if (rc == ERR_OK)
            rc = skip_scalar(d, kind, err);
        bool has_more = false;
        while (rc == ERR_OK && d->n_frames > base && !has_more) {
            struct str key;
            rc = doc_next(d, &key, &has_more, err);
        }
        if (rc != ERR_OK || !has_more)
            return rc;
    }
}

enum err_code doc_int_text(struct doc *d, int64_t *ret, struct err *err)
{
    enum doc_kind kind;
    enum err_code rc = doc_peek(d, &kind, err);
    if (rc != ERR_OK)
        return rc;
    if (kind == DOC_STRING) {
        struct str s;
        rc = doc_string(d, &s, err);
        return rc == ERR_OK ? parse_i64(s, ret, err) : rc;
    }
    struct doc_number n;
    rc = d->ops->number(d, &n, err);
    if (rc == ERR_OK && !n.is_int)
        return doc_err(d, err, "a whole number is expected here");
    if (rc == ERR_OK)
        *ret = n.i;
    return rc;
}

/* A number or a bool as a number. */
static enum err_code number_like(struct doc *d, struct doc_number *ret, struct err *err)
{
    enum doc_kind kind;
    enum err_code rc = doc_peek(d, &kind, err);
    if (rc != ERR_OK)
        return rc;
    if (kind != DOC_BOOL)
        return d->ops->number(d, ret, err);
    bool b = false;
    rc = d->ops->boolean(d, &b, err);
    *ret = (struct doc_number){true, b, b ? 1.0f : 0.0f};
    return rc;
}

struct array {
    void *p;
    size_t n;
};

/* Reads an array element by element into a growing piece of the arena. */
static enum err_code read_array(struct doc *d, size_t max, size_t elem_bytes,
                                enum err_code (*read)(struct doc *d, void *to, struct err *err),
                                struct array *ret, struct err *err)
{
    enum err_code rc = doc_enter_array(d, err);
    char *p = NULL;
    size_t n = 0, cap = 0;
    while (rc == ERR_OK) {
        struct str key;
        bool has_more;
        rc = doc_next(d, &key, &has_more, err);
        if (rc != ERR_OK || !has_more)
            break;
        if (n == max)
            return err_set(err, ERR_LIMIT, "array of more than %zu elements", max);
        if (n == cap) {
            size_t new_cap = cap ? 2 * cap : 64;
            p = arena_grow(d->arena, p, cap * elem_bytes, new_cap * elem_bytes);
            if (!p)
                return arena_err(d->arena, err);
            cap = new_cap;
        }
        rc = read(d, p + n * elem_bytes, err);
        n++;
    }
    if (rc == ERR_OK)
        *ret = (struct array){p, n};
    return rc;
}

static enum err_code read_float(struct doc *d, void *to, struct err *err)
{
    struct doc_number n;
    enum err_code rc = number_like(d, &n, err);
    if (rc == ERR_OK)
        *(float *)to = n.f;
    return rc;
}

static enum err_code read_int(struct doc *d, void *to, struct err *err)
{
    struct doc_number n;
    enum err_code rc = number_like(d, &n, err);
    if (rc == ERR_OK && !n.is_int)
        return doc_err(d, err, "a whole number is expected here");
    if (rc == ERR_OK)
        *(int64_t *)to = n.i;
    return rc;
}

static enum err_code read_string(struct doc *d, void *to, struct err *err)
{
    return doc_string(d, (struct str *)to, err);
}

/* read_array through void *, written once per type. */
#define DOC_READ_ARRAY(name, type, read)                                                           \
    enum err_code name(struct doc *d, size_t max, type **ret, size_t *ret_n, struct err *err)      \
    {                                                                                              \
        struct array out = {NULL, 0};                                                              \
        enum err_code rc = read_array(d, max, sizeof(type), (read), &out, err);                    \
        if (rc != ERR_OK)                                                                          \
            return rc;                                                                             \
        *ret = out.p;                                                                              \
        *ret_n = out.n;                                                                            \
        return ERR_OK;                                                                             \
    }
DOC_READ_ARRAY(doc_floats, float, read_float)
DOC_READ_ARRAY(doc_ints, int64_t, read_int)
DOC_READ_ARRAY(doc_strings, struct str, read_string)

static bool is_decimal_char(char c)
{
    return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == 'e' || c == 'E';
}

/* A decimal number taken apart: mantissa x 10^exponent. */
struct decimal {
    uint64_t mantissa;
    int n_digits, exponent;
    bool is_negative;
};

/* Digits with at most one point; false: something else stands there. *p moves behind them. */
static bool take_digits(const char **p, const char *end, struct decimal *d)
{
    const char *start = *p, *point = NULL;
    for (; *p < end && ((**p >= '0' && **p <= '9') || (**p == '.' && !point)); (*p)++) {
        if (**p == '.') {
            point = *p;
            continue;
        }
        d->mantissa = d->mantissa * 10 + (uint64_t)(**p - '0');
        d->n_digits++;
    }
    d->exponent = point ? (int)(point + 1 - *p) : 0;
    return d->n_digits > 0 && d->n_digits <= EXACT_DIGITS &&
           *p - start == d->n_digits + (point != NULL);
}

static bool take_exponent(const char **p, const char *end, struct decimal *d)
{
    int v = 0, n = 0;
    if (*p == end || (**p | 0x20) != 'e')
        return true;
    (*p)++;
    bool is_negative = *p < end && **p == '-';
    *p += *p < end && (**p == '-' || **p == '+');
    for (; *p < end && **p >= '0' && **p <= '9' && n < 4; (*p)++, n++)
        v = v * 10 + (**p - '0');
    d->exponent += is_negative ? -v : v;
    return n > 0;
}

/* The usual case without strtof: a mantissa and a power of ten that doubles hold exactly give a double rounded once. It
 * rounds to the right float unless it stands exactly between two; then, and for denormal floats: false. */
static bool parse_exact(struct str s, float *ret)
{
    static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const int highest = (int)(sizeof POWERS / sizeof POWERS[0]) - 1;
    const char *p = s.p, *end = s.p + s.n;
    struct decimal d = {.is_negative = s.n > 0 && *p == '-'};
    p += d.is_negative;
    if (!take_digits(&p, end, &d) || !take_exponent(&p, end, &d) || p != end)
        return false;
    if (d.exponent < -highest || d.exponent > highest)
        return false;
    double v = (double)d.mantissa;
    v = d.exponent < 0 ? v / POWERS[-d.exponent] : v * POWERS[d.exponent];
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    bool is_between = (bits & UINT64_C(0x1fffffff)) == UINT64_C(0x10000000);
    if (is_between || (v != 0.0 && v < (double)FLT_MIN) || v > (double)FLT_MAX)
        return false;
    *ret = d.is_negative ? -(float)v : (float)v;
    return true;
}

bool doc_parse_f32(struct str s, float *ret)
{
    char text[NUMBER_TEXT_MAX];
    if (parse_exact(s, ret))
        return true;
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_decimal_char(s.p[i]))
            return false;
        text[i] = s.p[i];
    }
    text[s.n] = '\0';
    char *end;
    *ret = strtof(text, &end);
    return end == text + s.n;
}
