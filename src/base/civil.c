/* The proleptic Gregorian calendar. Days are counted in eras of 400 years that begin on 1 March, so that
 * the leap day is the last of its year and no month table is needed. */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"

int64_t floor_div_i64(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = floor_div_i64(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * from_march + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void civil_from_us(int64_t at_us, struct civil *ret)
{
    int64_t days = floor_div_i64(at_us, US_PER_DAY);
    /* Not at_us - days * US_PER_DAY: that product leaves the range for the first day there is. */
    int64_t us = at_us % US_PER_DAY;
    if (us < 0)
        us += US_PER_DAY;
    int64_t z = days + 719468;
    int64_t era = floor_div_i64(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    ret->day = (int)(doy - (153 * mp + 2) / 5 + 1);
    ret->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    ret->year = (int)(yoe + era * 400 + (ret->month <= 2));
    ret->hour = (int)(us / US_PER_HOUR);
    ret->minute = (int)(us / US_PER_MIN % 60);
    ret->second = (int)(us / US_PER_S % 60);
    ret->us = (int)(us % US_PER_S);
    ret->weekday = (int)(((days + 4) % 7 + 7) % 7);
    ret->yearday = (int)(days - days_of(ret->year, 1, 1) + 1);
}

int64_t civil_to_us(const struct civil *c)
{
    int64_t s = days_of(c->year, c->month, c->day) * 86400 + (int64_t)c->hour * 3600 +
                (int64_t)c->minute * 60 + c->second;
    return s * US_PER_S + c->us;
}

size_t time_text(char out[TIME_TEXT_BYTES], int64_t at_us)
{
    struct civil c;
    civil_from_us(at_us, &c);
    int n = snprintf(out, TIME_TEXT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", c.year, c.month,
                     c.day, c.hour, c.minute, c.second, c.us);
    CHECK(n > 0 && n < TIME_TEXT_BYTES);
    return (size_t)n;
}

/* A cursor over the text: each take_* moves it, or fails for good. */
struct reader {
    const char *p, *end;
    bool is_bad;
};

static int take_digits(struct reader *r, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++, r->p++) {
        if (r->p >= r->end || *r->p < '0' || *r->p > '9') {
            r->is_bad = true;
            return 0;
        }
        v = v * 10 + (*r->p - '0');
    }
    return v;
}

static bool take_if(struct reader *r, const char *set)
{
    if (r->p >= r->end || *r->p == '\0' || !strchr(set, *r->p))
        return false;
    r->p++;
    return true;
}

static void take(struct reader *r, const char *set)
{
    if (!take_if(r, set))
        r->is_bad = true;
}

/* One to nine digits; what is below a microsecond is cut off. */
static int take_fraction_us(struct reader *r)
{
    int us = 0, n = 0;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++, n++)
        if (n < 6)
            us = us * 10 + (*r->p - '0');
    if (n == 0 || n > 9)
        r->is_bad = true;
    for (; n < 6; n++)
        us *= 10;
    return us;
}

/* Minutes east of UTC. */
static int take_zone(struct reader *r)
{
    if (r->p == r->end || take_if(r, "Zz"))
        return 0;
    int sign = *r->p == '-' ? -1 : 1;
    take(r, "+-");
    int hours = take_digits(r, 2);
    take_if(r, ":");
    int minutes = r->p < r->end ? take_digits(r, 2) : 0;
    if (hours > 23 || minutes > 59)
        r->is_bad = true;
    return sign * (hours * 60 + minutes);
}

static void take_date(struct reader *r, struct civil *c)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    c->year = take_digits(r, 4);
    take(r, "-");
    c->month = take_digits(r, 2);
    take(r, "-");
    c->day = take_digits(r, 2);
    if (r->is_bad || c->month < 1 || c->month > 12 || c->day < 1) {
        r->is_bad = true;
        return;
    }
    bool is_leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;
    if (c->day > DAYS[c->month - 1] + (is_leap && c->month == 2))
        r->is_bad = true;
}

static void take_clock(struct reader *r, struct civil *c)
{
    c->hour = take_digits(r, 2);
    take(r, ":");
    c->minute = take_digits(r, 2);
    if (take_if(r, ":")) {
        c->second = take_digits(r, 2);
        if (take_if(r, "."))
            c->us = take_fraction_us(r);
    }
    if (c->hour > 23 || c->minute > 59 || c->second > 59)
        r->is_bad = true;
}

enum err_code parse_time_us(struct str s, int64_t *ret_us, struct err *err)
{
    struct reader r = {s.p, s.p + s.n, s.n == 0};
    struct civil c = {0};
    int east_min = 0;
    take_date(&r, &c);
    if (!r.is_bad && r.p < r.end) {
        take(&r, "Tt ");
        take_clock(&r, &c);
        east_min = take_zone(&r);
    }
    if (r.is_bad || r.p != r.end)
        return err_set(
            err, ERR_PARSE,
            "\"%.*s\" is not a time: write it like 2001-03-01T08:15:00Z, 2001-03-01 08:15 "
            "or 2001-03-01",
            (int)(s.n < 60 ? s.n : 60), s.n ? s.p : "");
    *ret_us = civil_to_us(&c) - east_min * US_PER_MIN;
    return ERR_OK;
}
