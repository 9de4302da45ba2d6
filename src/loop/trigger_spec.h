/* The `triggers` section of pawl.yaml: when the next lap starts. */
#ifndef PAWL_LOOP_TRIGGER_SPEC_H
#define PAWL_LOOP_TRIGGER_SPEC_H

#include "config/config.h"
#include "loop/cron.h"

enum trigger_kind {
    TRIGGER_SCHEDULE,
    TRIGGER_NEW_DATA,
    TRIGGER_NEW_CODE,
    TRIGGER_DRIFT,
    TRIGGER_DECAY,
    TRIGGER_MANUAL,
    TRIGGER_KIND_N
};
extern const char *const TRIGGER_KIND_NAMES[TRIGGER_KIND_N];

struct trigger {
    bool when[TRIGGER_KIND_N]; /* SCHEDULE alone, or any of the `when` list */
    struct cron cron;          /* SCHEDULE */
    int64_t cooldown_us;       /* after any lap of this endpoint; 0: none */
};

struct trigger_spec {
    struct trigger *triggers;
    size_t n;
};

void trigger_spec_decode(const struct cfg_node *node, const struct cfg_node *root, struct arena *a,
                         struct trigger_spec *ret, struct cfg_problems *ps);

#endif
