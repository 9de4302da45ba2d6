#include "monitor/source_state.h"

#include "base/clock.h"

const char *const SOURCE_CONDITION_NAMES[SOURCE_CONDITION_N] = {"unknown", "fresh", "stale",
                                                                "blocked"};

enum source_condition source_judge(const struct source_facts *f, int64_t now_us,
                                   int64_t *ret_age_us)
{
    int64_t age =
        f->newest_us == AT_US_NONE ? -1 : (now_us > f->newest_us ? now_us - f->newest_us : 0);

    *ret_age_us = age;
    if (f->blocked_us != AT_US_NONE)
        return SOURCE_BLOCKED;
    if (age < 0)
        return SOURCE_UNKNOWN;
    return f->freshness_us > 0 && age > f->freshness_us ? SOURCE_STALE : SOURCE_FRESH;
}

struct json *source_state_json(const struct source_facts *f, int64_t now_us, struct arena *a)
{
    int64_t age;
    enum source_condition c = source_judge(f, now_us, &age);
    struct json *o = json_obj(a);

    json_set(a, o, "source", json_cstr(a, f->name));
    json_set(a, o, "state", json_cstr(a, SOURCE_CONDITION_NAMES[c]));
    json_set(a, o, "owner", json_cstr(a, f->owner));
    json_set(a, o, "newest", json_time(a, f->newest_us));
    if (age >= 0)
        json_set(a, o, "age_s", json_num(a, (double)age / (double)US_PER_S));
    if (f->freshness_us > 0)
        json_set(a, o, "freshness_s", json_num(a, (double)f->freshness_us / (double)US_PER_S));
    if (f->blocked_us != AT_US_NONE) {
        json_set(a, o, "blocked_since", json_time(a, f->blocked_us));
        json_set(a, o, "blocked_by", json_cstr(a, f->blocked_by));
    }
    return o;
}
