/* JSON text behind the pull interface. Accepts NaN, Infinity and -Infinity, which XGBoost writes as
 * bare words. */
#include <math.h>
#include <string.h>

#include "model/doc.h"

static void skip_blanks(struct doc *d)
{
    while (d->p < d->end && (*d->p == ' ' || *d->p == '\n' || *d->p == '\r' || *d->p == '\t'))
        d->p++;
}

/* Takes the word when it stands here. */
static bool take_word(struct doc *d, struct str word)
{
    if ((size_t)(d->end - d->p) < word.n || memcmp(d->p, word.p, word.n) != 0)
        return false;
    d->p += word.n;
    return true;
}

static enum err_code json_peek(struct doc *d, enum doc_kind *ret, struct err *err)
{
    skip_blanks(d);
    char c = *d->p; /* the text ends in NUL */
    if (c == '{')
        *ret = DOC_OBJECT;
    else if (c == '[')
        *ret = DOC_ARRAY;
    else if (c == '"')
        *ret = DOC_STRING;
    else if (c == 't' || c == 'f')
        *ret = DOC_BOOL;
    else if (c == 'n')
        *ret = DOC_NULL;
    else if (c == '-' || c == 'N' || c == 'I' || (c >= '0' && c <= '9'))
        *ret = DOC_NUMBER;
    else
        return doc_err(d, err, d->p == d->end ? "the text ends here" : "not a JSON value");
    return ERR_OK;
}

static enum err_code json_enter(struct doc *d, bool is_object, struct err *err)
{
    skip_blanks(d);
    if (*d->p != (is_object ? '{' : '['))
        return doc_err(d, err,
                       is_object ? "an object is expected here" : "an array is expected here");
    d->p++;
    return doc_push(d, (struct doc_frame){.is_object = is_object, .is_first = true}, err);
}

static enum err_code json_string(struct doc *d, struct str *ret, struct err *err);

static enum err_code json_next(struct doc *d, struct str *ret_key, bool *ret_more, struct err *err)
{
    struct doc_frame *f = &d->frames[d->n_frames - 1];
    skip_blanks(d);
    if (*d->p == (f->is_object ? '}' : ']')) {
        d->p++;
        d->n_frames--;
        *ret_more = false;
        return ERR_OK;
    }
    if (!f->is_first) {
        if (*d->p != ',')
            return doc_err(d, err, "',' or the end of the list is expected here");
        d->p++;
        skip_blanks(d);
    }
    f->is_first = false;
    *ret_more = true;
    if (!f->is_object)
        return ERR_OK;
    enum err_code rc = json_string(d, ret_key, err);
    if (rc != ERR_OK)
        return rc;
    skip_blanks(d);
    if (*d->p != ':')
        return doc_err(d, err, "':' is expected here");
    d->p++;
    return ERR_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Four hex digits at p; -1 when they are not. The text ends in NUL, which is no digit. */
static int32_t hex4(const char *p)
{
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
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
        out[0] = (char)(0xC0 | (c >> 6));
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | (c >> 12));
        out[1] = (char)(0x80 | ((c >> 6) & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | (c >> 18));
    out[1] = (char)(0x80 | ((c >> 12) & 0x3F));
    out[2] = (char)(0x80 | ((c >> 6) & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* A \u escape, *p at the 'u'; a pair of surrogates is one character. False when damaged. */
static bool unescape_u(const char **p, uint32_t *ret)
{
    int32_t hi = hex4(*p + 1);
    if (hi < 0)
        return false;
    *p += 5;
    *ret = (uint32_t)hi;
    if (hi < 0xD800 || hi > 0xDFFF)
        return true;
    int32_t lo = (*p)[0] == '\\' && (*p)[1] == 'u' ? hex4(*p + 2) : -1;
    if (hi > 0xDBFF || lo < 0xDC00 || lo > 0xDFFF)
        return false;
    *p += 6;
    *ret = 0x10000 + (((uint32_t)hi - 0xD800) << 10) + ((uint32_t)lo - 0xDC00);
    return true;
}

/* Text with escapes between p and end (which points at the closing quote). */
static enum err_code unescape(struct doc *d, const char *p, const char *end, struct str *ret,
                              struct err *err)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    char *out = arena_alloc(d->arena, (size_t)(end - p));
    if (!out)
        return arena_err(d->arena, err);
    size_t n = 0;
    while (p < end) {
        if (*p != '\\') {
            out[n++] = *p++;
            continue;
        }
        p++;
        uint32_t c;
        const char *at = *p ? strchr(FROM, *p) : NULL;
        if (at) {
            out[n++] = TO[at - FROM];
            p++;
        } else if (*p == 'u' && unescape_u(&p, &c)) {
            n += utf8_put(out + n, c);
        } else {
            return doc_err(d, err, "unknown escape in a string");
        }
    }
    *ret = str_n(out, n);
    return ERR_OK;
}

static enum err_code json_string(struct doc *d, struct str *ret, struct err *err)
{
    skip_blanks(d);
    if (*d->p != '"')
        return doc_err(d, err, "a string is expected here");
    const char *start = d->p + 1, *p = start;
    bool has_escape = false;
    while (p < d->end && *p != '"') {
        if (*p == '\\') {
            has_escape = true;
            p++;
        }
        p++;
    }
    if (p >= d->end)
        return doc_err(d, err, "a string without an end begins here");
    if (has_escape) {
        enum err_code rc = unescape(d, start, p, ret, err);
        if (rc != ERR_OK)
            return rc;
    } else {
        *ret = str_n(start, (size_t)(p - start));
    }
    d->p = p + 1;
    return ERR_OK;
}

static bool take_special(struct doc *d, float *ret)
{
    if (take_word(d, STR("NaN")))
        *ret = NAN;
    else if (take_word(d, STR("Infinity")))
        *ret = INFINITY;
    else if (take_word(d, STR("-Infinity")))
        *ret = -INFINITY;
    else
        return false;
    return true;
}

static bool is_number_char(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
}

/* End of the characters that a number may have, from p on. */
static const char *number_end(const char *p)
{
    while (is_number_char(*p))
        p++;
    return p;
}

/* A whole number of at most 18 digits between p and end, "-0" excepted: that is a float. */
static bool parse_whole(const char *p, const char *end, int64_t *ret)
{
    bool is_negative = *p == '-';
    const char *digits = p + is_negative;
    int64_t v = 0;
    if (end == digits || end - digits > 18)
        return false;
    for (const char *q = digits; q < end; q++) {
        if (*q < '0' || *q > '9')
            return false;
        v = v * 10 + (*q - '0');
    }
    *ret = is_negative ? -v : v;
    return !is_negative || v != 0;
}

static enum err_code json_number(struct doc *d, struct doc_number *ret, struct err *err)
{
    skip_blanks(d);
    struct doc_number number = {0};
    if (!take_special(d, &number.f)) {
        const char *end = number_end(d->p);
        number.is_int = parse_whole(d->p, end, &number.i);
        number.f = (float)number.i;
        if (!number.is_int && !doc_parse_f32(str_n(d->p, (size_t)(end - d->p)), &number.f))
            return doc_err(d, err, "a number is expected here");
        d->p = end;
    }
    *ret = number;
    return ERR_OK;
}

static enum err_code json_boolean(struct doc *d, bool *ret, struct err *err)
{
    skip_blanks(d);
    if (take_word(d, STR("true")))
        *ret = true;
    else if (take_word(d, STR("false")))
        *ret = false;
    else
        return doc_err(d, err, "true or false is expected here");
    return ERR_OK;
}

static enum err_code json_null_word(struct doc *d, struct err *err)
{
    skip_blanks(d);
    return take_word(d, STR("null")) ? ERR_OK : doc_err(d, err, "null is expected here");
}

static const struct doc_ops JSON_OPS = {json_peek,   json_enter,   json_next,     json_string,
                                        json_number, json_boolean, json_null_word};

void doc_init_json(struct doc *d, struct str text, struct arena *a)
{
    memset(d, 0, sizeof *d);
    d->ops = &JSON_OPS;
    d->start = d->p = text.p;
    d->end = text.p + text.n;
    d->arena = a;
}
