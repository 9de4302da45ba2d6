/* Operations on text. New text goes into the state's room; when it is full, the result is null and
 * the state says so. Invalid UTF-8 is survived: a byte that continues nothing counts with the
 * character before. */
#include "expr/expr_int.h"

#include <string.h>

#define FN(name)                                                                                   \
    void name(const struct value *const *a, size_t n, struct expr_state *st, struct value *ret)

static void set_str(struct value *ret, const char *p, size_t n)
{
    ret->type = VAL_STR;
    ret->u.s = str_n(p, n);
}

static void set_bool(struct value *ret, bool v)
{
    ret->type = VAL_BOOL;
    ret->u.b = v;
}

/* NULL, and null in ret, when it does not fit. */
static char *room(struct expr_state *st, size_t n, struct value *ret)
{
    if (st->text_cap - st->text_used < n) {
        st->is_text_full = true;
        ret->type = VAL_NULL;
        return NULL;
    }
    char *p = st->text + st->text_used;
    st->text_used += n;
    return p;
}

static void change_case(struct str s, char first, char last, struct expr_state *st,
                        struct value *ret)
{
    char *p = room(st, s.n, ret);
    if (!p)
        return;
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] >= first && s.p[i] <= last ? (char)(s.p[i] ^ 0x20) : s.p[i];
    set_str(ret, p, s.n);
}

FN(fn_lower)
{
    change_case(a[0]->u.s, 'A', 'Z', st, ret);
}

FN(fn_upper)
{
    change_case(a[0]->u.s, 'a', 'z', st, ret);
}

FN(fn_concat)
{
    struct str x = a[0]->u.s, y = a[1]->u.s;
    char *p = room(st, x.n + y.n, ret);
    if (!p)
        return;
    if (x.n)
        memcpy(p, x.p, x.n);
    if (y.n)
        memcpy(p + x.n, y.p, y.n);
    set_str(ret, p, x.n + y.n);
}

/* DuckDB's trim takes off spaces only. */
FN(fn_trim)
{
    struct str s = a[0]->u.s;
    while (s.n && s.p[0] == ' ') {
        s.p++;
        s.n--;
    }
    while (s.n && s.p[s.n - 1] == ' ')
        s.n--;
    set_str(ret, s.p, s.n);
}

static bool is_char_start(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

static int64_t n_chars(struct str s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += is_char_start(s.p[i]);
    return n;
}

FN(fn_length)
{
    ret->type = VAL_INT;
    ret->u.i = n_chars(a[0]->u.s);
}

/* Byte offset of the i-th character. */
static size_t char_offset(struct str s, int64_t i)
{
    size_t at = 0;
    while (at < s.n && i > 0) {
        at++;
        while (at < s.n && !is_char_start(s.p[at]))
            at++;
        i--;
    }
    return at;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* Positions are clamped far outside of any text first, so that nothing overflows. A negative length
 * counts backwards from the start; position 0 is the one before the first character. */
FN(fn_substr)
{
    const int64_t far = INT64_C(1) << 40;
    struct str s = a[0]->u.s;
    int64_t size = n_chars(s), start = clamp(a[1]->u.i, -far, far);
    int64_t length = n > 2 ? clamp(a[2]->u.i, -far, far) : 2 * far;
    int64_t from = start > 0 ? start - 1 : start < 0 ? size + start : -1;
    if (n < 3 && from < 0)
        from = 0;
    int64_t to = from + length;
    int64_t lo = clamp(from < to ? from : to, 0, size), hi = clamp(from < to ? to : from, 0, size);
    size_t first = char_offset(s, lo);
    struct str rest = str_n(s.p + first, s.n - first);
    set_str(ret, rest.p, char_offset(rest, hi - lo));
}

FN(fn_contains)
{
    set_bool(ret, a[1]->u.s.n == 0 || str_find(a[0]->u.s, a[1]->u.s) >= 0);
}

FN(fn_starts_with)
{
    set_bool(ret, str_starts(a[0]->u.s, a[1]->u.s));
}

FN(fn_ends_with)
{
    set_bool(ret, str_ends(a[0]->u.s, a[1]->u.s));
}
