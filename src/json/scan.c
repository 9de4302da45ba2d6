#include "json/scan.h"

#include <math.h>

#include "base/check.h"

#define EXACT_MANTISSA (UINT64_C(1) << 53)
#define EXACT_POWER    22

static const double POWER[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

void json_scan_init(struct json_scan *s, struct str text, struct arena *a, unsigned flags)
{
    *s = (struct json_scan){.start = text.n ? text.p : "", .arena = a, .flags = flags};
    s->p = s->start;
    s->end = s->start + text.n;
}

static enum err_code problem(const struct json_scan *s, const char *what, struct err *err)
{
    int line = 1, column = 1;
    for (const char *p = s->start; p < s->p; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    return err_set(err, ERR_PARSE, "line %d, column %d: %s", line, column, what);
}

static void skip_blanks(struct json_scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- numbers ---- */
struct number {
    uint64_t mantissa;
    int n_digits; /* significant ones read into the mantissa */
    int exponent; /* of ten */
    bool is_negative, is_whole, is_exact;
};

static void take_digit(struct number *n, char c, bool is_fraction)
{
    if (n->n_digits < 19) {
        n->mantissa = n->mantissa * 10 + (uint64_t)(c - '0');
        n->n_digits += n->mantissa > 0;
        n->exponent -= is_fraction;
    } else {
        n->is_exact = false;
    }
}

/* The grammar of RFC 8259, section 6; false when it is not met. */
static bool read_number(struct json_scan *s, struct number *n)
{
    const char *p = s->p, *end = s->end;
    *n = (struct number){.is_whole = true, .is_exact = true};
    n->is_negative = *p == '-';
    p += n->is_negative;
    if (p == end || !is_digit(*p))
        return false;
    if (*p == '0' && p + 1 < end && is_digit(p[1]))
        return false;
    for (; p < end && is_digit(*p); p++)
        take_digit(n, *p, false);
    if (p < end && *p == '.') {
        n->is_whole = false;
        if (++p == end || !is_digit(*p))
            return false;
        for (; p < end && is_digit(*p); p++)
            take_digit(n, *p, true);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        int exponent = 0;
        n->is_whole = false;
        bool is_down = ++p < end && *p == '-';
        p += p < end && (*p == '-' || *p == '+');
        if (p == end || !is_digit(*p))
            return false;
        for (; p < end && is_digit(*p); p++)
            exponent = exponent < 100000 ? exponent * 10 + (*p - '0') : exponent;
        n->exponent += is_down ? -exponent : exponent;
    }
    s->p = p;
    return true;
}

/* Clinger's fast path: both factors are exact doubles, so one operation rounds once. */
static enum err_code number_value(const struct number *n, struct str text, double *ret,
                                  struct err *err)
{
    bool is_fast = n->is_exact && n->mantissa <= EXACT_MANTISSA && n->exponent >= -EXACT_POWER &&
                   n->exponent <= EXACT_POWER;
    if (!is_fast)
        return parse_f64(text, ret, err);
    double v = (double)n->mantissa;
    v = n->exponent < 0 ? v / POWER[-n->exponent] : v * POWER[n->exponent];
    *ret = n->is_negative ? -v : v;
    return ERR_OK;
}

static enum err_code take_number(struct json_scan *s, struct json_token *t, struct err *err)
{
    struct number n;
    const char *from = s->p;
    if (!read_number(s, &n))
        return problem(s, "this is not a number", err);
    struct str text = str_n(from, (size_t)(s->p - from));
    t->kind = JSON_T_NUM;
    t->is_int = n.is_whole && parse_i64(text, &t->i, NULL) == ERR_OK;
    if (number_value(&n, text, &t->f, err) == ERR_OK)
        return ERR_OK;
    s->p = from;
    return problem(s, "this number is too large", err);
}

static bool take_word(struct json_scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

static enum err_code take_literal(struct json_scan *s, struct json_token *t, struct err *err)
{
    static const struct {
        const char *word;
        enum json_token_kind kind;
    } WORDS[] = {{"true", JSON_T_TRUE}, {"false", JSON_T_FALSE}, {"null", JSON_T_NULL}};
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (take_word(s, WORDS[i].word)) {
            t->kind = WORDS[i].kind;
            return ERR_OK;
        }
    t->kind = JSON_T_NUM;
    if (s->flags & JSON_SCAN_NAN) {
        t->f = take_word(s, "NaN")         ? (double)NAN
               : take_word(s, "Infinity")  ? (double)INFINITY
               : take_word(s, "-Infinity") ? -(double)INFINITY
                                           : 0;
        if (!isfinite(t->f))
            return ERR_OK;
    }
    return problem(s, "a value is expected here", err);
}

/* ---- strings ---- */
static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int d = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : hex_value(p[i]);
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | (c >> 6));
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | (c >> 12));
        out[1] = (char)(0x80 | ((c >> 6) & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (c >> 18));
    out[1] = (char)(0x80 | ((c >> 12) & 0x3f));
    out[2] = (char)(0x80 | ((c >> 6) & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* The character of "\uXXXX" (p behind the u), with its second half when it is a surrogate; bytes used or 0. */
static size_t read_unicode(const char *p, const char *end, uint32_t *ret)
{
    int high = end - p >= 4 ? hex4(p) : -1;
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    *ret = (uint32_t)high;
    if (high < 0xd800 || high > 0xdbff)
        return 4;
    int low = end - p >= 10 && p[4] == '\\' && p[5] == 'u' ? hex4(p + 6) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *ret = 0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    return 10;
}

/* Decodes what stands between the quotes; NULL for a wrong escape. */
static char *unescape(struct json_scan *s, struct str raw, size_t *ret_n)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    char *out = arena_alloc(s->arena, raw.n + 1);
    const char *p = raw.p, *end = raw.p + raw.n;
    size_t n = 0;
    while (out && p < end) {
        if (*p != '\\') {
            out[n++] = *p++;
            continue;
        }
        p++;
        if (*p == 'u') {
            uint32_t c = 0;
            size_t used = read_unicode(p + 1, end, &c);
            if (used == 0)
                return NULL;
            n += put_utf8(out + n, c);
            p += 1 + used;
            continue;
        }
        const char *at = *p ? strchr(FROM, *p) : NULL;
        if (!at)
            return NULL;
        out[n++] = TO[at - FROM];
        p++;
    }
    *ret_n = n;
    return out;
}

static enum err_code take_string(struct json_scan *s, struct str *ret, struct err *err)
{
    bool has_escapes = false;
    const char *from = s->p + 1, *p = from;
    unsigned char high = 0;
    for (; p < s->end && *p != '"'; p++) {
        if ((unsigned char)*p < 0x20)
            break;
        high |= (unsigned char)*p;
        if (*p == '\\') {
            has_escapes = true;
            p++;
        }
    }
    if (p >= s->end || *p != '"')
        return problem(s, "this text does not end", err);
    struct str raw = str_n(from, (size_t)(p - from));
    if ((high & 0x80) && !str_utf8_valid(raw))
        return problem(s, "this text is not UTF-8", err);
    if (has_escapes) {
        size_t n = 0;
        char *text = unescape(s, raw, &n);
        if (!text && (s->arena->is_over_limit || s->arena->is_out_of_memory))
            return arena_err(s->arena, err);
        if (!text)
            return problem(s, "this text has a wrong escape", err);
        raw = str_n(text, n);
    }
    s->p = p + 1;
    *ret = raw;
    return ERR_OK;
}

/* ---- structure ---- */
static enum err_code open_container(struct json_scan *s, struct json_token *t, struct err *err)
{
    bool is_object = *s->p == '{';
    if (s->depth >= JSON_DEPTH_MAX)
        return problem(s, "the JSON is nested too deep", err);
    s->stack[s->depth++] = *s->p++;
    s->state = is_object ? JSON_S_FIRST_KEY : JSON_S_FIRST_ITEM;
    t->kind = is_object ? JSON_T_OBJ : JSON_T_ARR;
    return ERR_OK;
}

static enum err_code close_container(struct json_scan *s, struct json_token *t)
{
    t->kind = s->stack[--s->depth] == '{' ? JSON_T_OBJ_END : JSON_T_ARR_END;
    s->p++;
    s->state = JSON_S_AFTER;
    return ERR_OK;
}

static enum err_code take_value(struct json_scan *s, struct json_token *t, struct err *err)
{
    enum err_code code;
    if (s->p == s->end)
        return problem(s, s->depth == 0 ? "the JSON document is empty" : "the JSON ends early",
                       err);
    if (*s->p == '{' || *s->p == '[')
        return open_container(s, t, err);
    if (*s->p == '"') {
        t->kind = JSON_T_STR;
        code = take_string(s, &t->text, err);
    } else if (is_digit(*s->p) || (*s->p == '-' && s->end - s->p > 1 && s->p[1] != 'I')) {
        code = take_number(s, t, err);
    } else {
        code = take_literal(s, t, err);
    }
    s->state = code == ERR_OK ? JSON_S_AFTER : s->state;
    return code;
}

static enum err_code take_key(struct json_scan *s, struct json_token *t, struct err *err)
{
    if (s->p == s->end || *s->p != '"')
        return problem(s, "a key is expected here", err);
    enum err_code code = take_string(s, &t->text, err);
    if (code != ERR_OK)
        return code;
    skip_blanks(s);
    if (s->p == s->end || *s->p != ':')
        return problem(s, "':' is expected here", err);
    s->p++;
    s->state = JSON_S_VALUE;
    t->kind = JSON_T_KEY;
    return ERR_OK;
}

/* Behind a value: the container's end, or a comma and what follows it. */
static enum err_code take_after(struct json_scan *s, struct json_token *t, struct err *err)
{
    if (s->depth == 0) {
        t->kind = JSON_T_END;
        return s->p == s->end ? ERR_OK
                              : problem(s, "the document ends here, and text follows", err);
    }
    bool is_object = s->stack[s->depth - 1] == '{';
    if (s->p < s->end && *s->p == (is_object ? '}' : ']'))
        return close_container(s, t);
    if (s->p == s->end || *s->p != ',')
        return problem(s, is_object ? "',' or '}' is expected here" : "',' or ']' is expected here",
                       err);
    s->p++;
    skip_blanks(s);
    s->state = is_object ? JSON_S_KEY : JSON_S_VALUE;
    return is_object ? take_key(s, t, err) : take_value(s, t, err);
}

enum err_code json_scan_next(struct json_scan *s, struct json_token *ret, struct err *err)
{
    skip_blanks(s);
    switch (s->state) {
    case JSON_S_FIRST_ITEM:
        if (s->p < s->end && *s->p == ']')
            return close_container(s, ret);
        return take_value(s, ret, err);
    case JSON_S_VALUE:
        return take_value(s, ret, err);
    case JSON_S_FIRST_KEY:
        if (s->p < s->end && *s->p == '}')
            return close_container(s, ret);
        return take_key(s, ret, err);
    case JSON_S_KEY:
        return take_key(s, ret, err);
    case JSON_S_AFTER:
    default:
        return take_after(s, ret, err);
    }
}

static int depth_change(enum json_token_kind kind)
{
    if (kind == JSON_T_OBJ || kind == JSON_T_ARR)
        return 1;
    return kind == JSON_T_OBJ_END || kind == JSON_T_ARR_END ? -1 : 0;
}

enum err_code json_scan_skip(struct json_scan *s, struct err *err)
{
    int depth = 0;
    do {
        struct json_token t;
        enum err_code code = json_scan_next(s, &t, err);
        if (code != ERR_OK)
            return code;
        depth += depth_change(t.kind);
        CHECK(depth >= 0);
    } while (depth > 0);
    return ERR_OK;
}

/* What a token is as a number; false when it is none. */
static bool number_of(const struct json_token *t, double *ret)
{
    if (t->kind != JSON_T_NUM && t->kind != JSON_T_TRUE && t->kind != JSON_T_FALSE &&
        t->kind != JSON_T_NULL)
        return false;
    *ret = t->kind == JSON_T_NUM    ? t->f
           : t->kind == JSON_T_NULL ? (double)NAN
                                    : t->kind == JSON_T_TRUE;
    return true;
}

enum err_code json_scan_numbers(struct json_scan *s, double *ret, size_t max, size_t *ret_n,
                                struct err *err)
{
    size_t n = 0;
    int depth = 0;
    do {
        struct json_token t;
        double v = 0;
        enum err_code code = json_scan_next(s, &t, err);
        if (code != ERR_OK)
            return code;
        depth += depth_change(t.kind);
        if (t.kind == JSON_T_ARR || t.kind == JSON_T_ARR_END)
            continue;
        if (!number_of(&t, &v) || depth == 0)
            return err_set(err, ERR_INVALID, "an array of numbers is expected");
        if (n == max)
            return err_set(err, ERR_TOO_LARGE, "more than %zu numbers", max);
        ret[n++] = v;
    } while (depth > 0);
    *ret_n = n;
    return ERR_OK;
}
