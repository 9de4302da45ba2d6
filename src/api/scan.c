#include "api/scan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define EXACT_INT_MAX   (UINT64_C(1) << 53)
#define EXACT_POW10_MAX 22
#define FAIL_TEXT_BYTES 512

static const double POW10[EXACT_POW10_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

void scan_init(struct scan *s, struct str text, struct arena *a, struct err *err)
{
    const char *p = text.p ? text.p : "";
    *s = (struct scan){p, p + text.n, p, a, err, 0};
}

bool scan_fail(struct scan *s, enum err_code code, const char *fmt, ...)
{
    char text[FAIL_TEXT_BYTES];
    va_list ap;
    if (s->err->code != ERR_OK)
        return false;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(s->err, code, "%s, at byte %zu of the body", text, (size_t)(s->p - s->start));
    return false;
}

void scan_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static const char *printable(char c, char out[16])
{
    if (c == 0)
        return "the end";
    if (c < ' ' || c > '~')
        snprintf(out, 16, "byte %d", (unsigned char)c);
    else
        snprintf(out, 16, "'%c'", c);
    return out;
}

bool scan_take(struct scan *s, char c)
{
    char text[16];
    char next = scan_peek(s);
    if (s->err->code != ERR_OK)
        return false;
    if (next != c || s->p == s->end)
        return scan_fail(s, ERR_PARSE, "the body is not JSON: expected '%c', found %s", c,
                         printable(next, text));
    s->p++;
    return true;
}

/* ---- strings ---- */

static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'                 ? c - '0'
                : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                     : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static size_t utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* \uXXXX with its pair when it has one; p stands on the 'u'. 0: malformed. */
static size_t unicode_escape(const char *p, const char *end, char *out, size_t *ret_n)
{
    int hi = end - p >= 5 ? hex4(p + 1) : -1;
    if (hi < 0 || (hi >= 0xdc00 && hi < 0xe000))
        return 0;
    if (hi < 0xd800 || hi >= 0xe000) {
        *ret_n = utf8_put(out, (uint32_t)hi);
        return 5;
    }
    int lo = end - p >= 11 && p[5] == '\\' && p[6] == 'u' ? hex4(p + 7) : -1;
    if (lo < 0xdc00 || lo >= 0xe000)
        return 0;
    *ret_n = utf8_put(out, 0x10000 + ((uint32_t)(hi - 0xd800) << 10) + (uint32_t)(lo - 0xdc00));
    return 11;
}

static const char *simple_escape(char c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? to + (at - from) : NULL;
}

static bool string_unescape(struct scan *s, const char *from, const char *to, struct str *ret)
{
    char *out = arena_alloc(s->a, (size_t)(to - from) + 1);
    size_t n = 0;
    if (!out) {
        arena_err(s->a, s->err);
        return false;
    }
    for (const char *p = from; p < to; p++) {
        if (*p != '\\') {
            out[n++] = *p;
            continue;
        }
        p++;
        const char *plain = simple_escape(*p);
        size_t written = 0, used = *p == 'u' ? unicode_escape(p, to, out + n, &written) : 0;
        if (plain)
            out[n++] = *plain;
        else if (used == 0)
            return scan_fail(s, ERR_PARSE, "a text has a broken escape");
        n += written;
        p += used ? used - 1 : 0;
    }
    *ret = str_n(out, n);
    return true;
}

bool scan_string(struct scan *s, struct str *ret)
{
    if (!scan_take(s, '"'))
        return false;
    const char *from = s->p;
    bool has_escape = false;
    while (s->p < s->end && *s->p != '"') {
        if ((unsigned char)*s->p < 0x20)
            return scan_fail(s, ERR_PARSE, "a text holds a control character");
        if (*s->p == '\\') {
            has_escape = true;
            s->p++;
        }
        s->p++;
    }
    if (s->p >= s->end)
        return scan_fail(s, ERR_PARSE, "a text has no end");
    *ret = str_n(from, (size_t)(s->p - from));
    if (has_escape && !string_unescape(s, from, s->p, ret))
        return false;
    if (!str_utf8_valid(*ret))
        return scan_fail(s, ERR_PARSE, "a text is not UTF-8");
    s->p++;
    return true;
}

/* ---- numbers ---- */

static bool literal(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

/* What was read of a number. */
struct digits {
    uint64_t m;       /* all digits, when they are at most 19 */
    size_t n;         /* digits taken, leading zeros too */
    int64_t exponent; /* power of ten */
    bool is_whole, is_negative;
};

#define DIGITS_MAX 19 /* as many always fit 64 bits */

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* Eight digits at once, little-endian: the usual multiplications by 10, 100 and 10,000 in one word. */
static inline bool eight_digits(const char *p, uint64_t *ret)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    uint64_t is_other = ((w + UINT64_C(0x4646464646464646)) | (w - UINT64_C(0x3030303030303030))) &
                        UINT64_C(0x8080808080808080);
    if (is_other)
        return false;
    w -= UINT64_C(0x3030303030303030);
    w = w * 10 + (w >> 8);
    *ret = (((w & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064)) +
            (((w >> 16) & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001))) >>
           32;
    return true;
}

static inline const char *digits_run(const char *p, const char *end, struct digits *d)
{
    const char *from = p;
    uint64_t eight;
    while (end - p >= 8 && eight_digits(p, &eight)) {
        d->m = d->m * 100000000 + eight;
        p += 8;
    }
    for (; p < end && is_digit(*p); p++)
        d->m = d->m * 10 + (uint64_t)(*p - '0');
    d->n += (size_t)(p - from);
    return p;
}

static const char *exponent_run(const char *p, const char *end, struct digits *d)
{
    struct digits e = {0};
    bool is_negative = false;
    if (p < end && (*p == '+' || *p == '-'))
        is_negative = *p++ == '-';
    const char *from = p;
    p = digits_run(p, end, &e);
    int64_t v = e.n > 6 ? 1000000 : (int64_t)e.m;
    d->exponent += is_negative ? -v : v;
    return p > from ? p : NULL;
}

/* The grammar of JSON; fills d and gives the place behind, or NULL. */
static const char *number_scan(const char *p, const char *end, struct digits *d)
{
    *d = (struct digits){.is_whole = true};
    if (p < end && *p == '-') {
        d->is_negative = true;
        p++;
    }
    const char *from = p;
    p = digits_run(p, end, d);
    if (p == from || (*from == '0' && p - from > 1))
        return NULL;
    if (p < end && *p == '.') {
        size_t before = d->n;
        p = digits_run(p + 1, end, d);
        d->is_whole = false;
        d->exponent = -(int64_t)(d->n - before);
        if (d->n == before)
            return NULL;
    }
    if (p < end && (*p | 32) == 'e') {
        d->is_whole = false;
        return exponent_run(p + 1, end, d);
    }
    return p;
}

static bool not_finite(struct scan *s, struct value *ret)
{
    double v = literal(s, "NaN")         ? (double)NAN
               : literal(s, "Infinity")  ? (double)INFINITY
               : literal(s, "-Infinity") ? -(double)INFINITY
                                         : 0;
    if (isfinite(v))
        return scan_fail(s, ERR_INVALID, "expected a number");
    *ret = (struct value){VAL_FLOAT, {.f = v}};
    return true;
}

/* Too long for the fast ways: the one parser reads the text. */
static bool number_slow(struct scan *s, const char *from, struct value *ret)
{
    double v;
    if (parse_f64(str_n(from, (size_t)(s->p - from)), &v, s->err) != ERR_OK)
        return false;
    if (!isfinite(v))
        return scan_fail(s, ERR_RANGE, "the number %.*s is too large", (int)(s->p - from), from);
    *ret = (struct value){VAL_FLOAT, {.f = v}};
    return true;
}

bool scan_number(struct scan *s, struct value *ret)
{
    struct digits d;
    scan_peek(s);
    const char *from = s->p, *behind = number_scan(from, s->end, &d);
    if (!behind)
        return not_finite(s, ret);
    s->p = behind;
    if (d.n > DIGITS_MAX)
        return number_slow(s, from, ret);
    if (d.is_whole && d.m <= (uint64_t)INT64_MAX && (d.m > 0 || !d.is_negative)) {
        *ret = (struct value){VAL_INT, {.i = d.is_negative ? -(int64_t)d.m : (int64_t)d.m}};
        return true;
    }
    if (d.m > EXACT_INT_MAX || d.exponent < -EXACT_POW10_MAX || d.exponent > EXACT_POW10_MAX)
        return number_slow(s, from, ret);
    double v = d.exponent < 0 ? (double)d.m / POW10[-d.exponent] : (double)d.m * POW10[d.exponent];
    *ret = (struct value){VAL_FLOAT, {.f = d.is_negative ? -v : v}};
    return true;
}

bool scan_bool(struct scan *s, bool *ret)
{
    scan_peek(s);
    if (literal(s, "true")) {
        *ret = true;
        return true;
    }
    if (literal(s, "false")) {
        *ret = false;
        return true;
    }
    return scan_fail(s, ERR_INVALID, "expected true or false");
}

bool scan_null(struct scan *s)
{
    scan_peek(s);
    return literal(s, "null");
}

/* ---- structure ---- */

static bool enter(struct scan *s, char open)
{
    if (!scan_take(s, open))
        return false;
    if (++s->depth > SCAN_DEPTH_MAX)
        return scan_fail(s, ERR_LIMIT, "the body is nested more than %d deep", SCAN_DEPTH_MAX);
    return true;
}

/* Takes the comma between, or the closing bracket (then false). */
static bool more(struct scan *s, bool *is_first, char close)
{
    char text[16];
    char c = scan_peek(s);
    if (s->err->code != ERR_OK)
        return false;
    if (c == close && s->p < s->end) {
        s->p++;
        s->depth--;
        return false;
    }
    if (!*is_first && c != ',')
        return scan_fail(s, ERR_PARSE, "the body is not JSON: expected ',' or '%c', found %s",
                         close, printable(c, text));
    if (!*is_first)
        s->p++;
    *is_first = false;
    return true;
}

bool scan_object(struct scan *s)
{
    return enter(s, '{');
}

bool scan_member(struct scan *s, bool *is_first, struct str *ret_key)
{
    return more(s, is_first, '}') && scan_string(s, ret_key) && scan_take(s, ':');
}

bool scan_array(struct scan *s)
{
    return enter(s, '[');
}

bool scan_item(struct scan *s, bool *is_first)
{
    return more(s, is_first, ']');
}

static bool skip_container(struct scan *s, bool is_object)
{
    bool is_first = true;
    struct str key;
    if (is_object) {
        if (!scan_object(s))
            return false;
        while (scan_member(s, &is_first, &key))
            if (!scan_skip(s))
                return false;
    } else {
        if (!scan_array(s))
            return false;
        while (scan_item(s, &is_first))
            if (!scan_skip(s))
                return false;
    }
    return s->err->code == ERR_OK;
}

bool scan_skip(struct scan *s)
{
    struct str text;
    struct value number;
    bool truth;
    switch (scan_peek(s)) {
    case '{':
        return skip_container(s, true);
    case '[':
        return skip_container(s, false);
    case '"':
        return scan_string(s, &text);
    case 't':
    case 'f':
        return scan_bool(s, &truth);
    case 'n':
        return scan_null(s) || scan_fail(s, ERR_PARSE, "the body is not JSON: expected a value");
    default:
        return scan_number(s, &number);
    }
}

bool scan_end(struct scan *s)
{
    if (s->err->code != ERR_OK)
        return false;
    if (scan_peek(s) != 0 || s->p != s->end)
        return scan_fail(s, ERR_PARSE, "something follows the JSON document");
    return true;
}
