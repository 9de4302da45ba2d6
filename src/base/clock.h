/* Time: int64 microseconds since 1970-01-01 UTC (`at_us`) for wall and event time, nanoseconds of the
 * monotonic clock (`mono_ns`) for durations. Proleptic Gregorian calendar; no leap seconds.
 * A struct clock is injected wherever "now" matters, so that tests and replays own it. */
#ifndef PAWL_BASE_CLOCK_H
#define PAWL_BASE_CLOCK_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define US_PER_MS   INT64_C(1000)
#define US_PER_S    INT64_C(1000000)
#define US_PER_MIN  (60 * US_PER_S)
#define US_PER_HOUR (60 * US_PER_MIN)
#define US_PER_DAY  (24 * US_PER_HOUR)
#define AT_US_NONE  INT64_MIN /* "no time" */

struct clock {
    int64_t (*now_us)(void *arg); /* thread-safe */
    void *arg;
};

static inline int64_t clock_now_us(const struct clock *c)
{
    return c->now_us(c->arg);
}
extern const struct clock CLOCK_SYSTEM;
/* A clock that stands at *at_us (atomic read) until somebody moves it. */
struct clock clock_manual(_Atomic int64_t *at_us);
int64_t mono_ns(void);

struct civil {
    int year, month, day, hour, minute, second, us; /* month 1..12, day 1..31 */
    int weekday;                                    /* 0 Sunday .. 6 Saturday */
    int yearday;                                    /* 1..366 */
};
void civil_from_us(int64_t at_us, struct civil *ret);
int64_t civil_to_us(const struct civil *c); /* reads year .. us */
int64_t floor_div_i64(int64_t a, int64_t b);

#define TIME_TEXT_BYTES 40
/* RFC 3339, UTC, microseconds: "2001-03-01T08:15:00.000000Z". Returns the length. */
size_t time_text(char out[TIME_TEXT_BYTES], int64_t at_us);
/* RFC 3339 or "2001-03-01 08:15[:00[.ffffff]]" or "2001-03-01", with Z, +hh:mm or nothing (then UTC). */
enum err_code parse_time_us(struct str s, int64_t *ret_us, struct err *err) MUST_CHECK;

#endif
