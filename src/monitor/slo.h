/* Service level objectives: error budgets and multi-window, multi-burn-rate alarms over minute counters.
 * burn = share of bad events / (1 - target); an alarm needs the long and the short window above its threshold and a
 * minimum of bad events, so that one error in ten requests does not page anybody. Pure. */
#ifndef PAWL_MONITOR_SLO_H
#define PAWL_MONITOR_SLO_H

#include "monitor/monitor_spec.h"
#include "json/json.h"

#define SLO_MIN_BAD 10

struct slo_count {
    uint64_t good, bad;
};
/* Events in [from, to) of the objective; supplied by the owner of the counters. */
typedef struct slo_count (*slo_count_fn)(void *arg, int64_t from_us, int64_t to_us);

enum slo_severity { SLO_QUIET, SLO_TICKET, SLO_PAGE, SLO_SEVERITY_N };
extern const char *const SLO_SEVERITY_NAMES[SLO_SEVERITY_N];

/* Four rules of the workbook scaled to the objective's window: 2 % in 1 h and 5 % in 6 h page, 10 % in 1 d and 3 d
 * are tickets. *ret {name, kind, target, window, good, bad, budget_left, severity, burns:[…]}. */
enum slo_severity slo_judge(const struct slo_spec *s, slo_count_fn count, void *arg, int64_t now_us,
                            struct arena *a, struct json **ret);

#endif
