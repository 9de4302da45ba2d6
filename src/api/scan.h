/* Pull scanner over JSON text: the fast way for bodies that are mostly numbers. Nothing is built that the caller does not
 * ask for; strings without escapes are borrowed from the text. Numbers of at most 15 to 19 digits and small exponents are
 * made exactly without a library call (deps: Clinger's fast path), all others by the one parser.
 * The first error is kept with its place; everything after it fails fast. Threads: one. */
#ifndef PAWL_API_SCAN_H
#define PAWL_API_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/value.h"

#define SCAN_DEPTH_MAX 64

struct scan {
    const char *p, *end, *start;
    struct arena *a; /* for texts with escapes */
    struct err *err;
    int depth;
};

void scan_init(struct scan *s, struct str text, struct arena *a, struct err *err);
void scan_blanks(struct scan *s);
/* The next byte that is not blank; 0 at the end. */
static inline char scan_peek(struct scan *s)
{
    if (s->p < s->end && (unsigned char)*s->p > ' ')
        return *s->p;
    scan_blanks(s);
    return s->p < s->end ? *s->p : 0;
}
/* Takes c, or fails with "expected …". */
bool scan_take(struct scan *s, char c);
/* Error at the present place: "…, at byte N"; returns false. */
bool scan_fail(struct scan *s, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool scan_string(struct scan *s, struct str *ret);
/* int64 where the text is a whole number that fits, else float; the tokens NaN, Infinity, -Infinity are floats. */
bool scan_number(struct scan *s, struct value *ret);
bool scan_bool(struct scan *s, bool *ret);
/* true when the literal null was taken. */
bool scan_null(struct scan *s);
/* Any value, checked for form only. */
bool scan_skip(struct scan *s);
/* Begin and walk an object: while (scan_member(s, &first, &key)) …value…;  then ask s->err. */
bool scan_object(struct scan *s);
bool scan_member(struct scan *s, bool *is_first, struct str *ret_key);
bool scan_array(struct scan *s);
bool scan_item(struct scan *s, bool *is_first);
/* Only blanks may follow. */
bool scan_end(struct scan *s);

#endif
