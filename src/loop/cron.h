/* Cron rules of five fields (minute hour day month weekday; names, lists, ranges, steps), in a named time zone.
 * Day of month and weekday are joined by OR when both are restricted, as cron does. Zones are read from the system's
 * zone files (TZif); "UTC" needs none. In the hour that a clock skips, a rule fires at the first moment after it; in one
 * that repeats, once. Threads: a struct cron is plain data after parsing. */
#ifndef PAWL_LOOP_CRON_H
#define PAWL_LOOP_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct zone_change {
    int64_t at_us;     /* from here on */
    int64_t offset_us; /* local time = UTC + offset */
};

struct zone {
    const char *name;
    int64_t first_offset_us; /* before the first change */
    struct zone_change *changes;
    size_t n;
};

struct cron {
    uint64_t minutes, hours, days, months, weekdays; /* bit sets */
    bool any_day, any_weekday;
    struct zone zone;
    const char *text;
};

/* ERR_PARSE names the field. zone empty: UTC. */
enum err_code cron_parse(struct str text, struct str zone, struct arena *a, struct cron *ret,
                         struct err *err) MUST_CHECK;
/* The first moment after `after_us` that the rule names, or AT_US_NONE when there is none within five years. */
int64_t cron_next(const struct cron *c, int64_t after_us);
int64_t zone_offset_us(const struct zone *z, int64_t at_us);

#endif
