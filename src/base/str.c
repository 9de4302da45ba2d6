#include "base/str.h"

#include <stdio.h>

#include "base/arena.h"

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

ptrdiff_t str_find(struct str s, struct str what)
{
    if (what.n == 0)
        return 0;
    if (s.n < what.n)
        return -1;
    const char *hit = memmem(s.p, s.n, what.p, what.n);
    return hit ? hit - s.p : -1;
}

struct str str_split(struct str *rest, char sep)
{
    struct str part = *rest;
    const char *hit = part.n ? memchr(part.p, sep, part.n) : NULL;
    if (!hit) {
        *rest = STR_NONE;
        return part;
    }
    part.n = (size_t)(hit - part.p);
    rest->p = hit + 1;
    rest->n -= part.n + 1;
    return part;
}

/* Length of the character that starts at p, 0 when it is malformed. Table 3-7 of the Unicode standard. */
static size_t utf8_char(const unsigned char *p, size_t n)
{
    unsigned char lo = 0x80, hi = 0xbf;
    size_t len;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        len = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        len = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (n < len)
        return 0;
    lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : lo;
    hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : hi;
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

size_t str_utf8_first(struct str s)
{
    return utf8_char((const unsigned char *)s.p, s.n);
}

bool str_utf8_valid(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n;) {
        size_t len = utf8_char(p + i, s.n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

#define DISTANCE_MAX 64

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

unsigned str_distance(struct str a, struct str b)
{
    unsigned row[DISTANCE_MAX + 1];
    if (a.n > DISTANCE_MAX || b.n > DISTANCE_MAX)
        return DISTANCE_MAX;
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned above = row[j];
            unsigned change = diagonal + (a.p[i - 1] != b.p[j - 1]);
            row[j] = min3(above + 1, row[j - 1] + 1, change);
            diagonal = above;
        }
    }
    return row[b.n];
}

const char *str_nearest(struct str s, const char *const *names, size_t n)
{
    const char *best = NULL;
    unsigned best_distance = s.n <= 3 ? 2 : (unsigned)(s.n / 3) + 2; /* exclusive */
    for (size_t i = 0; i < n; i++) {
        unsigned d = str_distance(s, str_c(names[i]));
        if (d < best_distance && d < strlen(names[i])) {
            best_distance = d;
            best = names[i];
        }
    }
    return best;
}

char *str_dup(struct arena *a, struct str s)
{
    char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;
    if (p && s.n)
        memcpy(p, s.p, s.n);
    return p;
}

char *str_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n >= 0 ? arena_alloc(a, (size_t)n + 1) : NULL;
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p;
}
