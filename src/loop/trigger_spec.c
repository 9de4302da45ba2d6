#include "loop/trigger_spec.h"

#include "base/check.h"

const char *const TRIGGER_KIND_NAMES[TRIGGER_KIND_N] = {"schedule", "new_data", "new_code",
                                                        "drift",    "decay",    "manual"};

static void when_decode(const struct cfg_node *n, struct arena *a, struct trigger *t,
                        struct cfg_problems *ps)
{
    struct str *names;
    size_t count;

    if (!cfg_str_list(n, "when", a, &names, &count, ps))
        return;
    for (size_t i = 0; i < count; i++) {
        int k = TRIGGER_NEW_DATA;
        while (k < TRIGGER_MANUAL && !str_is(names[i], TRIGGER_KIND_NAMES[k]))
            k++;
        if (k == TRIGGER_MANUAL || k == TRIGGER_NEW_CODE)
            cfg_error(ps, n, "\"%.*s\" does not start a lap: new_data, drift or decay",
                      STR_ARG(names[i]));
        else
            t->when[k] = true;
    }
}

static void schedule_decode(const struct cfg_node *n, const struct cfg_node *schedule,
                            struct arena *a, struct trigger *t, struct cfg_problems *ps)
{
    struct str rule, zone = STR("UTC");
    struct err err = ERR_INIT;

    if (!cfg_str(schedule, "schedule", &rule, ps) ||
        (cfg_get(n, "timezone") && !cfg_str(cfg_get(n, "timezone"), "timezone", &zone, ps)))
        return;
    if (cron_parse(rule, zone, a, &t->cron, &err) != ERR_OK)
        cfg_error(ps, schedule, "%s", err.msg);
    else
        t->when[TRIGGER_SCHEDULE] = true;
}

static void trigger_decode(const struct cfg_node *n, struct arena *a, struct trigger *t,
                           struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"schedule", "timezone", "when", "cooldown"};
    const struct cfg_node *schedule = cfg_get(n, "schedule"), *when = cfg_get(n, "when");

    *t = (struct trigger){0};
    if (!cfg_is_map(n, "a trigger", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return;
    if ((schedule != NULL) == (when != NULL)) {
        cfg_error(ps, n, "a trigger has either a schedule or a list `when`");
        return;
    }
    if (schedule)
        schedule_decode(n, schedule, a, t, ps);
    else
        when_decode(when, a, t, ps);
    if (cfg_get(n, "cooldown"))
        (void)cfg_duration_us(cfg_get(n, "cooldown"), "cooldown", &t->cooldown_us, ps);
}

void trigger_spec_decode(const struct cfg_node *node, const struct cfg_node *root, struct arena *a,
                         struct trigger_spec *ret, struct cfg_problems *ps)
{
    *ret = (struct trigger_spec){0};
    if (!node || !cfg_is_list(node, "triggers", ps))
        return;
    ret->triggers = ARENA_NEW_N(a, struct trigger, node->n);
    for (size_t i = 0; ret->triggers && i < node->n; i++)
        trigger_decode(node->items[i], a, &ret->triggers[ret->n++], ps);
}
