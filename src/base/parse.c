/* The one family of checked parsers: the whole of the text must be the thing. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/str.h"

int num_text_read(const char *p, size_t n, double *ret); /* num_text.cc */

#define QUOTE_MAX 80 /* of the input, in a sentence */

static int quote_len(struct str s)
{
    return (int)(s.n < QUOTE_MAX ? s.n : QUOTE_MAX);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits only; 0 read, 1 not digits, 2 too large. */
static int read_digits(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0)
        return 1;
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]))
            return 1;
    for (size_t i = 0; i < s.n; i++)
        if (__builtin_mul_overflow(v, 10U, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return 2;
    *ret = v;
    return 0;
}

static enum err_code integer_problem(struct str s, bool is_range, struct err *err)
{
    if (is_range)
        return err_set(err, ERR_RANGE, "\"%.*s\" is too large for an integer", quote_len(s), s.p);
    return err_set(err, ERR_PARSE, "\"%.*s\" is not an integer", quote_len(s), s.n ? s.p : "");
}

enum err_code parse_u64(struct str s, uint64_t *ret, struct err *err)
{
    uint64_t v = 0;
    int r = read_digits(s, &v);
    if (r)
        return integer_problem(s, r == 2, err);
    *ret = v;
    return ERR_OK;
}

enum err_code parse_i64(struct str s, int64_t *ret, struct err *err)
{
    bool is_negative = s.n > 0 && s.p[0] == '-';
    bool is_signed = is_negative || (s.n > 0 && s.p[0] == '+');
    uint64_t v = 0;
    int r = read_digits(is_signed ? str_n(s.p + 1, s.n - 1) : s, &v);
    if (r == 0 && v > (uint64_t)INT64_MAX + (is_negative ? 1U : 0U))
        r = 2;
    if (r)
        return integer_problem(s, r == 2, err);
    *ret = is_negative ? (int64_t)(0 - v) : (int64_t)v;
    return ERR_OK;
}

static bool parse_special_f64(struct str s, double *ret)
{
    if (str_is(s, "NaN"))
        *ret = (double)NAN;
    else if (str_is(s, "Infinity"))
        *ret = (double)INFINITY;
    else if (str_is(s, "-Infinity"))
        *ret = -(double)INFINITY;
    else
        return false;
    return true;
}

/* The library reports underflow as out of range too; a number that is too small to hold is zero here. */
static bool is_underflow(struct str s)
{
    char text[QUOTE_MAX + 1];
    if (s.n > QUOTE_MAX)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return fabs(strtod(text, NULL)) < 1;
}

enum err_code parse_f64(struct str s, double *ret, struct err *err)
{
    struct str body = s.n > 1 && s.p[0] == '+' && s.p[1] != '-' ? str_n(s.p + 1, s.n - 1) : s;
    double v = 0;
    if (parse_special_f64(s, ret))
        return ERR_OK;
    bool is_plain = body.n > 0;
    for (size_t i = 0; i < body.n && is_plain; i++)
        is_plain = is_digit(body.p[i]) || strchr("+-.eE", body.p[i]) != NULL;
    int r = is_plain ? num_text_read(body.p, body.n, &v) : 1;
    if (r == 1)
        return err_set(err, ERR_PARSE, "\"%.*s\" is not a number", quote_len(s), s.n ? s.p : "");
    if (r == 2 && !is_underflow(body))
        return err_set(err, ERR_RANGE, "\"%.*s\" is too large for a number", quote_len(s), s.p);
    *ret = r == 2 ? 0 : v;
    return ERR_OK;
}

enum err_code parse_bool(struct str s, bool *ret, struct err *err)
{
    if (!str_is(s, "true") && !str_is(s, "false"))
        return err_set(err, ERR_PARSE, "\"%.*s\" is neither true nor false", quote_len(s),
                       s.n ? s.p : "");
    *ret = str_is(s, "true");
    return ERR_OK;
}

struct unit {
    const char *name;
    int64_t factor;
};

/* Cuts a number off the front of *s: digits with at most one point. Empty when there is none. */
static struct str cut_number(struct str *s)
{
    size_t n = 0;
    bool has_point = false;
    while (n < s->n && (is_digit(s->p[n]) || (s->p[n] == '.' && !has_point))) {
        has_point = has_point || s->p[n] == '.';
        n++;
    }
    struct str number = str_n(s->p, n);
    s->p += n;
    s->n -= n;
    return number;
}

static struct str cut_letters(struct str *s)
{
    size_t n = 0;
    while (n < s->n && ((s->p[n] | 0x20) >= 'a' && (s->p[n] | 0x20) <= 'z'))
        n++;
    struct str letters = str_n(s->p, n);
    s->p += n;
    s->n -= n;
    return letters;
}

/* number * factor, exact for whole numbers; false when it does not fit. */
static bool scale(struct str number, int64_t factor, int64_t *ret)
{
    uint64_t whole = 0;
    double v = 0;
    if (read_digits(number, &whole) == 0)
        return whole <= INT64_MAX && !__builtin_mul_overflow((int64_t)whole, factor, ret);
    if (parse_f64(number, &v, NULL) != ERR_OK || v * (double)factor >= 9.2e18)
        return false;
    *ret = (int64_t)llround(v * (double)factor);
    return true;
}

static const struct unit *unit_find(const struct unit *units, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(name, units[i].name))
            return &units[i];
    return NULL;
}

enum err_code parse_duration_us(struct str s, int64_t *ret_us, struct err *err)
{
    static const struct unit UNITS[] = {{"us", 1},
                                        {"ms", 1000},
                                        {"s", 1000000},
                                        {"m", INT64_C(60000000)},
                                        {"min", INT64_C(60000000)},
                                        {"h", INT64_C(3600000000)},
                                        {"d", INT64_C(86400000000)},
                                        {"w", INT64_C(604800000000)}};
    struct str rest = str_trim(s);
    int64_t sum = 0, part = 0;
    bool is_good = rest.n > 0;
    while (is_good && rest.n > 0) {
        struct str number = cut_number(&rest);
        const struct unit *u = unit_find(UNITS, ARRAY_LEN(UNITS), cut_letters(&rest));
        is_good = number.n > 0 && u && scale(number, u->factor, &part) &&
                  !__builtin_add_overflow(sum, part, &sum);
    }
    if (!is_good)
        return err_set(err, ERR_PARSE,
                       "\"%.*s\" is not a duration: write a number and a unit (us, ms, s, m, h, d, "
                       "w), such as 36h or 1d12h",
                       quote_len(s), s.n ? s.p : "");
    *ret_us = sum;
    return ERR_OK;
}

enum err_code parse_size_bytes(struct str s, int64_t *ret, struct err *err)
{
    static const struct unit UNITS[] = {{"", 1},
                                        {"B", 1},
                                        {"KB", 1000},
                                        {"kB", 1000},
                                        {"MB", 1000000},
                                        {"KiB", 1024},
                                        {"MiB", 1024 * 1024},
                                        {"GB", INT64_C(1000000000)},
                                        {"K", 1024},
                                        {"M", 1 << 20},
                                        {"G", 1 << 30},
                                        {"TB", INT64_C(1000000000000)},
                                        {"T", INT64_C(1) << 40},
                                        {"GiB", 1 << 30},
                                        {"TiB", INT64_C(1) << 40}};
    struct str rest = str_trim(s);
    struct str number = cut_number(&rest);
    const struct unit *u = unit_find(UNITS, ARRAY_LEN(UNITS), str_trim(rest));
    int64_t v = 0;
    if (number.n == 0 || !u || !scale(number, u->factor, &v))
        return err_set(
            err, ERR_PARSE,
            "\"%.*s\" is not a size: write bytes, or a number and KB, MB, GB, KiB, MiB, GiB",
            quote_len(s), s.n ? s.p : "");
    *ret = v;
    return ERR_OK;
}

enum err_code parse_ratio(struct str s, double *ret, struct err *err)
{
    struct str t = str_trim(s);
    bool is_percent = str_ends(t, STR("%"));
    struct err inner = ERR_INIT;
    double v = 0;
    if (is_percent)
        t = str_trim(str_n(t.p, t.n - 1));
    if (parse_f64(t, &v, &inner) != ERR_OK || !isfinite(v))
        return err_set(
            err, ERR_PARSE,
            "\"%.*s\" is not a share: write a percentage such as 1%% or a ratio such as 0.01",
            quote_len(s), s.n ? s.p : "");
    *ret = is_percent ? v / 100 : v;
    return ERR_OK;
}
