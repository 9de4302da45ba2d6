/* Operations on timestamps: microseconds UTC, proleptic Gregorian calendar. The two ends of int64,
 * which stand for minus and plus infinity in DuckDB, have no parts: null. */
#include "base/check.h"
#include "base/clock.h"
#include "expr/expr_int.h"

#define FN(name)                                                                                   \
    void name(const struct value *const *a, size_t n, struct expr_state *st, struct value *ret)

enum unit_kind { UNIT_FIXED, UNIT_WEEK, UNIT_MONTHS, UNIT_KIND_N };

struct unit {
    const char *name;
    enum unit_kind kind;
    int64_t size; /* FIXED: microseconds; MONTHS: months */
};

static const struct unit UNITS[] = {
    {"microsecond", UNIT_FIXED, 1},      {"millisecond", UNIT_FIXED, US_PER_MS},
    {"second", UNIT_FIXED, US_PER_S},    {"minute", UNIT_FIXED, US_PER_MIN},
    {"hour", UNIT_FIXED, US_PER_HOUR},   {"day", UNIT_FIXED, US_PER_DAY},
    {"week", UNIT_WEEK, 7 * US_PER_DAY}, {"month", UNIT_MONTHS, 1},
    {"quarter", UNIT_MONTHS, 3},         {"year", UNIT_MONTHS, 12},
};
const char EXPR_UNITS[] =
    "'microsecond', 'millisecond', 'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', "
    "'year'";

static const struct unit *find_unit(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
        if (str_is(name, UNITS[i].name))
            return &UNITS[i];
    }
    return NULL;
}

bool expr_is_unit(struct str name)
{
    return find_unit(name) != NULL;
}

static void set_int(struct value *ret, int64_t v)
{
    ret->type = VAL_INT;
    ret->u.i = v;
}

static bool is_infinite(int64_t at_us)
{
    return at_us == INT64_MAX || at_us <= -INT64_MAX;
}

#define FN_PART(name, expression)                                                                  \
    FN(name)                                                                                       \
    {                                                                                              \
        struct civil c;                                                                            \
        if (is_infinite(a[0]->u.i)) {                                                              \
            ret->type = VAL_NULL;                                                                  \
            return;                                                                                \
        }                                                                                          \
        civil_from_us(a[0]->u.i, &c);                                                              \
        set_int(ret, (expression));                                                                \
    }
FN_PART(fn_year, c.year)
FN_PART(fn_quarter, (c.month - 1) / 3 + 1)
FN_PART(fn_month, c.month)
FN_PART(fn_day, c.day)
FN_PART(fn_hour, c.hour)
FN_PART(fn_minute, c.minute)
FN_PART(fn_second, c.second)
FN_PART(fn_dayofweek, c.weekday)
FN_PART(fn_isodow, c.weekday == 0 ? 7 : c.weekday)
FN_PART(fn_dayofyear, c.yearday)

FN(fn_epoch)
{
    if (is_infinite(a[0]->u.i)) {
        ret->type = VAL_NULL;
        return;
    }
    ret->type = VAL_FLOAT;
    ret->u.f = (double)a[0]->u.i / 1e6;
}

FN(fn_epoch_ms)
{
    set_int(ret, a[0]->u.i / 1000);
    if (is_infinite(a[0]->u.i))
        ret->type = VAL_NULL;
}

FN(fn_epoch_us)
{
    set_int(ret, a[0]->u.i);
    if (is_infinite(a[0]->u.i))
        ret->type = VAL_NULL;
}

/* Months since year 0. */
static int64_t months_of(int64_t at_us)
{
    struct civil c;
    civil_from_us(at_us, &c);
    return (int64_t)c.year * 12 + c.month - 1;
}

/* Number of the unit that a time lies in; weeks begin on Monday. */
static int64_t unit_index(const struct unit *u, int64_t at_us)
{
    if (u->kind == UNIT_MONTHS)
        return floor_div_i64(months_of(at_us), u->size);
    if (u->kind == UNIT_WEEK) /* 1970-01-01 was a Thursday */
        return floor_div_i64(floor_div_i64(at_us, US_PER_DAY) + 3, 7);
    return floor_div_i64(at_us, u->size);
}

FN(fn_date_diff)
{
    const struct unit *u = find_unit(a[0]->u.s);
    int64_t from = a[1]->u.i, to = a[2]->u.i, v;
    if (!u || is_infinite(from) || is_infinite(to) ||
        __builtin_sub_overflow(unit_index(u, to), unit_index(u, from), &v))
        ret->type = VAL_NULL;
    else
        set_int(ret, v);
}

FN(fn_date_sub)
{
    const struct unit *u = find_unit(a[0]->u.s);
    int64_t from = a[1]->u.i, to = a[2]->u.i, v;
    if (!u || u->kind == UNIT_MONTHS || is_infinite(from) || is_infinite(to) ||
        __builtin_sub_overflow(to, from, &v))
        ret->type = VAL_NULL;
    else
        set_int(ret, v / u->size);
}

/* Start of month number m. */
static int64_t month_start_us(int64_t m)
{
    struct civil c = {.year = (int)floor_div_i64(m, 12), .day = 1};
    c.month = (int)(m - (int64_t)c.year * 12) + 1;
    return civil_to_us(&c);
}

FN(fn_date_trunc)
{
    const struct unit *u = find_unit(a[0]->u.s);
    int64_t at_us = a[1]->u.i, v = 0;
    bool is_bad = !u || is_infinite(at_us);
    if (!is_bad && u->kind == UNIT_MONTHS)
        v = month_start_us(unit_index(u, at_us) * u->size);
    else if (!is_bad && u->kind == UNIT_WEEK)
        is_bad = __builtin_mul_overflow(unit_index(u, at_us) * 7 - 3, US_PER_DAY, &v);
    else if (!is_bad)
        is_bad = __builtin_mul_overflow(unit_index(u, at_us), u->size, &v);
    ret->type = is_bad ? VAL_NULL : VAL_TIME;
    ret->u.i = v;
}
