/* State of a source as its consumers see it: how old its newest row is at an event clock, and whether a blocking check
 * failed on its newest version. Pure; the facts come from data/ and validate/. */
#ifndef PAWL_MONITOR_SOURCE_STATE_H
#define PAWL_MONITOR_SOURCE_STATE_H

#include <stdint.h>

#include "base/arena.h"
#include "json/json.h"

enum source_condition {
    SOURCE_UNKNOWN,
    SOURCE_FRESH,
    SOURCE_STALE,
    SOURCE_BLOCKED,
    SOURCE_CONDITION_N
};
extern const char *const SOURCE_CONDITION_NAMES[SOURCE_CONDITION_N];

struct source_facts {
    const char *name, *owner;
    int64_t newest_us;      /* newest row of the last version taken; AT_US_NONE: nothing yet */
    int64_t freshness_us;   /* declared; 0: none */
    int64_t blocked_us;     /* since when a blocking check holds it, AT_US_NONE: it does not */
    const char *blocked_by; /* the check's sentence */
};

/* Blocked wins over stale. *ret_age_us is -1 when unknown. */
enum source_condition source_judge(const struct source_facts *f, int64_t now_us,
                                   int64_t *ret_age_us);
struct json *source_state_json(const struct source_facts *f, int64_t now_us, struct arena *a);

#endif
