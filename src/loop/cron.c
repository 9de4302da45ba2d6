#include "loop/cron.h"

#include <stdlib.h>
#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"

#define ZONE_BYTES_MAX ((size_t)1 << 20)
#define ZONE_DIR       "/usr/share/zoneinfo"
#define YEARS_AHEAD    5

/* ---- fields ---- */
struct cron_field {
    const char *name;
    int min, max;
    const char *const *names; /* of values from `first_name` on; NULL: none */
    int n_names, first_name;
};

static const char *const MONTHS[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const WEEKDAYS[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
static const struct cron_field FIELDS[] = {{"minute", 0, 59, NULL, 0, 0},
                                           {"hour", 0, 23, NULL, 0, 0},
                                           {"day", 1, 31, NULL, 0, 0},
                                           {"month", 1, 12, MONTHS, 12, 1},
                                           {"weekday", 0, 7, WEEKDAYS, 7, 0}};

static bool value_of(const struct cron_field *f, struct str s, int *ret)
{
    int64_t v;

    for (int i = 0; i < f->n_names; i++)
        if (s.n == 3 && strncasecmp(s.p, f->names[i], 3) == 0) {
            *ret = f->first_name + i;
            return true;
        }
    if (parse_i64(s, &v, NULL) != ERR_OK || v < f->min || v > f->max)
        return false;
    *ret = (int)v;
    return true;
}

/* "*", "3", "1-5", each with "/n". */
static bool part_of(const struct cron_field *f, struct str part, uint64_t *set)
{
    struct str rest = part, range = str_split(&rest, '/'), high = range,
               low = str_split(&high, '-');
    int from, to;
    int64_t step = 1;

    if (rest.p && (parse_i64(rest, &step, NULL) != ERR_OK || step < 1))
        return false;
    if (str_is(range, "*")) {
        from = f->min;
        to = f->max;
    } else if (!value_of(f, low, &from)) {
        return false;
    } else if (high.p) {
        if (!value_of(f, high, &to) || to < from)
            return false;
    } else {
        to = rest.p ? f->max : from;
    }
    for (int v = from; v <= to; v += (int)step)
        *set |= UINT64_C(1) << v;
    return true;
}

static enum err_code field_parse(const struct cron_field *f, struct str text, uint64_t *ret,
                                 struct err *err)
{
    struct str rest = text;
    uint64_t set = 0;

    while (rest.p) {
        struct str part = str_split(&rest, ',');
        if (part.n == 0 || !part_of(f, part, &set))
            return err_set(
                err, ERR_PARSE,
                "%s of a schedule: \"%.*s\" is not a value, range, list or step in %d..%d", f->name,
                STR_ARG(text), f->min, f->max);
    }
    *ret = set;
    return ERR_OK;
}

/* ---- zones ---- */
static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

/* Header of one part of a TZif file. */
struct tzif {
    uint32_t n_utc, n_std, n_leap, n_time, n_type, n_char;
};

static bool tzif_head(const uint8_t *p, size_t n, struct tzif *ret)
{
    if (n < 44 || memcmp(p, "TZif", 4) != 0)
        return false;
    *ret = (struct tzif){be32(p + 20), be32(p + 24), be32(p + 28),
                         be32(p + 32), be32(p + 36), be32(p + 40)};
    return true;
}

static size_t tzif_body(const struct tzif *h, size_t time_bytes)
{
    return h->n_time * (time_bytes + 1) + h->n_type * 6 + h->n_char + h->n_leap * (time_bytes + 4) +
           h->n_std + h->n_utc;
}

/* The second part (64 bit times), which every zone file of today has. */
static enum err_code zone_decode(struct str bytes, struct arena *a, struct zone *z, struct err *err)
{
    const uint8_t *p = (const uint8_t *)bytes.p, *times, *types, *infos;
    struct tzif h;
    size_t skip;

    if (!tzif_head(p, bytes.n, &h) || p[4] < '2')
        return err_set(err, ERR_UNSUPPORTED, "the zone file of %s is not of version 2 or later",
                       z->name);
    skip = 44 + tzif_body(&h, 4);
    if (skip > bytes.n || !tzif_head(p + skip, bytes.n - skip, &h) ||
        skip + 44 + tzif_body(&h, 8) > bytes.n)
        return err_set(err, ERR_CORRUPT, "the zone file of %s is damaged", z->name);
    times = p + skip + 44;
    types = times + (size_t)h.n_time * 8;
    infos = types + h.n_time;
    z->changes = ARENA_NEW_N(a, struct zone_change, h.n_time + 1);
    if (!z->changes)
        return arena_err(a, err);
    if (h.n_type > 0)
        z->first_offset_us = (int32_t)be32(infos) * US_PER_S;
    for (uint32_t i = 0; i < h.n_time; i++) {
        if (types[i] >= h.n_type)
            return err_set(err, ERR_CORRUPT, "the zone file of %s is damaged", z->name);
        z->changes[i].at_us = be64(times + (size_t)i * 8) * US_PER_S;
        z->changes[i].offset_us = (int32_t)be32(infos + (size_t)types[i] * 6) * US_PER_S;
    }
    z->n = h.n_time;
    return ERR_OK;
}

static enum err_code zone_read(struct str name, struct arena *a, struct zone *ret, struct err *err)
{
    struct str bytes;
    char *path;

    *ret = (struct zone){.name = name.n ? str_dup(a, name) : "UTC"};
    if (name.n == 0 || str_is(name, "UTC"))
        return ERR_OK;
    for (size_t i = 0; i < name.n; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+/",
                    name.p[i]) ||
            name.p[0] == '/')
            return err_set(err, ERR_INVALID,
                           "\"%.*s\" is not a time zone: write it as Europe/Berlin", STR_ARG(name));
    path = str_printf(a, "%s/%.*s", ZONE_DIR, STR_ARG(name));
    if (!path)
        return arena_err(a, err);
    if (file_read(path, ZONE_BYTES_MAX, a, &bytes, err) != ERR_OK)
        return err_wrap(err, "time zone %.*s", STR_ARG(name));
    return zone_decode(bytes, a, ret, err);
}

int64_t zone_offset_us(const struct zone *z, int64_t at_us)
{
    int64_t offset = z->first_offset_us;

    for (size_t i = 0; i < z->n && z->changes[i].at_us <= at_us; i++)
        offset = z->changes[i].offset_us;
    return offset;
}

/* ---- the rule ---- */
enum err_code cron_parse(struct str text, struct str zone, struct arena *a, struct cron *ret,
                         struct err *err)
{
    struct cron c = {.text = str_dup(a, text)};
    uint64_t *sets[] = {&c.minutes, &c.hours, &c.days, &c.months, &c.weekdays};
    struct str rest = str_trim(text);

    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        struct str field = str_split(&rest, ' ');
        while (field.p && field.n == 0 && rest.p)
            field = str_split(&rest, ' ');
        if (!field.p || field.n == 0)
            return err_set(err, ERR_PARSE,
                           "a schedule has five fields (minute hour day month weekday): \"%.*s\"",
                           STR_ARG(text));
        if (field_parse(&FIELDS[i], field, sets[i], err) != ERR_OK)
            return err->code;
        if (i == 2)
            c.any_day = field.p[0] == '*';
        if (i == 4)
            c.any_weekday = field.p[0] == '*';
    }
    if (rest.p && str_trim(rest).n > 0)
        return err_set(err, ERR_PARSE, "a schedule has five fields, this has more: \"%.*s\"",
                       STR_ARG(text));
    if (c.weekdays & (UINT64_C(1) << 7)) /* 7 is Sunday too */
        c.weekdays |= 1;
    if (zone_read(zone, a, &c.zone, err) != ERR_OK)
        return err->code;
    *ret = c;
    return ERR_OK;
}

static bool has(uint64_t set, int v)
{
    return (set >> v) & 1;
}

static bool day_matches(const struct cron *c, const struct civil *t)
{
    bool day = has(c->days, t->day), weekday = has(c->weekdays, t->weekday);

    if (!has(c->months, t->month))
        return false;
    if (c->any_day || c->any_weekday)
        return day && weekday;
    return day || weekday;
}

/* UTC of a local time; in a gap the first moment after it, in a repeated hour the first of the two. */
static int64_t utc_of(const struct zone *z, int64_t local_us)
{
    int64_t before = zone_offset_us(z, local_us - US_PER_DAY),
            after = zone_offset_us(z, local_us + US_PER_DAY);
    int64_t with_before = local_us - before, with_after = local_us - after;

    if (before == after)
        return with_before;
    if (zone_offset_us(z, with_before) == before)
        return with_before;
    if (zone_offset_us(z, with_after) == after)
        return with_after;
    for (size_t i = 0; i < z->n; i++) /* in the gap: the change itself */
        if (z->changes[i].at_us >= with_after && z->changes[i].at_us <= with_before)
            return z->changes[i].at_us;
    return with_before;
}

static int64_t first_in_day(const struct cron *c, int64_t day_local_us, int64_t after_us)
{
    for (int hour = 0; hour < 24; hour++) {
        if (!has(c->hours, hour))
            continue;
        for (int minute = 0; minute < 60; minute++) {
            int64_t at;
            if (!has(c->minutes, minute))
                continue;
            at = utc_of(&c->zone, day_local_us + hour * US_PER_HOUR + minute * US_PER_MIN);
            if (at > after_us)
                return at;
        }
    }
    return AT_US_NONE;
}

int64_t cron_next(const struct cron *c, int64_t after_us)
{
    int64_t local = after_us + zone_offset_us(&c->zone, after_us);
    int64_t day = floor_div_i64(local, US_PER_DAY) * US_PER_DAY;

    for (int i = 0; i < YEARS_AHEAD * 366; i++, day += US_PER_DAY) {
        struct civil t;
        int64_t at;
        civil_from_us(day, &t);
        if (!day_matches(c, &t))
            continue;
        at = first_in_day(c, day, after_us);
        if (at != AT_US_NONE)
            return at;
    }
    return AT_US_NONE;
}
