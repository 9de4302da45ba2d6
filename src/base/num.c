/* Numbers as text. Rule: whole numbers below 2^53 are written as integers ("100000", never "1e+05"), so that
 * 3 and 3.0 are one text; the others as the shorter of fixed and scientific notation; -0.0 keeps its sign
 * and so its point ("-0.0"), because "-0" would read back as an integer. */
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/check.h"

/* num_text.cc */
size_t num_text_f64(char *out, size_t cap, double v);
size_t num_text_f32(char *out, size_t cap, float v);

#define WHOLE_MAX 9007199254740992.0 /* 2^53 */

/* Writes what needs no digits search; 0 when it does. */
static size_t num_special(char out[NUM_TEXT_BYTES], double v)
{
    if (isnan(v))
        return (size_t)snprintf(out, NUM_TEXT_BYTES, "NaN");
    if (isinf(v))
        return (size_t)snprintf(out, NUM_TEXT_BYTES, v < 0 ? "-Infinity" : "Infinity");
    if (fpclassify(v) == FP_ZERO)
        return (size_t)snprintf(out, NUM_TEXT_BYTES, signbit(v) ? "-0.0" : "0");
    if (fabs(v) < WHOLE_MAX && trunc(v) >= v && trunc(v) <= v)
        return num_i64(out, (int64_t)v);
    return 0;
}

size_t num_f64(char out[NUM_TEXT_BYTES], double v)
{
    size_t n = num_special(out, v);
    if (n)
        return n;
    n = num_text_f64(out, NUM_TEXT_BYTES - 1, v);
    CHECK(n > 0);
    out[n] = '\0';
    return n;
}

size_t num_f32(char out[NUM_TEXT_BYTES], float v)
{
    /* A whole float beyond 2^24 has a shorter text than all its digits: 16777216 stays, 1e+10 is not 10000000000. */
    size_t n = fabsf(v) < 16777216.0F || !isfinite(v) ? num_special(out, (double)v) : 0;
    if (n)
        return n;
    n = num_text_f32(out, NUM_TEXT_BYTES - 1, v);
    CHECK(n > 0);
    out[n] = '\0';
    return n;
}

size_t num_i64(char out[NUM_TEXT_BYTES], int64_t v)
{
    int n = snprintf(out, NUM_TEXT_BYTES, "%" PRId64, v);
    CHECK(n > 0 && n < NUM_TEXT_BYTES);
    return (size_t)n;
}

size_t duration_text(char out[NUM_TEXT_BYTES], int64_t us)
{
    static const struct {
        const char *unit;
        int64_t us;
    } UNITS[] = {{"d", INT64_C(86400000000)},
                 {"h", INT64_C(3600000000)},
                 {"m", INT64_C(60000000)},
                 {"s", INT64_C(1000000)},
                 {"ms", 1000},
                 {"us", 1}};
    size_t n = 0;
    if (us == 0)
        return (size_t)snprintf(out, NUM_TEXT_BYTES, "0s");
    if (us < 0)
        out[n++] = '-';
    uint64_t left = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    for (size_t i = 0; i < ARRAY_LEN(UNITS) && left > 0; i++) {
        uint64_t unit = (uint64_t)UNITS[i].us;
        if (left < unit)
            continue;
        int w = snprintf(out + n, NUM_TEXT_BYTES - n, "%" PRIu64 "%s", left / unit, UNITS[i].unit);
        CHECK(w > 0 && n + (size_t)w < NUM_TEXT_BYTES);
        n += (size_t)w;
        left %= unit;
    }
    return n;
}
