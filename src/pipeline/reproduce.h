/* `pawl reproduce RUN`: the run again from its record (revision, data versions, parameters, seed,
 * as-of time), past the cache, and compared bit for bit. What differed is named: steps whose content
 * is another, metrics, versions and machine from the environment records of both runs. */
#ifndef PAWL_PIPELINE_REPRODUCE_H
#define PAWL_PIPELINE_REPRODUCE_H

#include "pipeline/run.h"

#define REPRODUCE_TIMES_MAX 100

struct reproduce_order {
    const char *run_id;
    int times;        /* 1..REPRODUCE_TIMES_MAX */
    double tolerance; /* largest difference of a metric that is still the same; 0: bit for bit */
    const char *actor;
    const atomic_bool *is_cancelled;                               /* may be NULL */
    void (*on_progress)(void *arg, double done, const char *text); /* may be NULL */
    void *progress_arg;
};

/* {run, verdict: "identical" | "within_tolerance" | "different", times, runs: [ids],
 *  compared: [{what, recorded, got, is_same}], differed: [sentence…], environment: [{what, from, to}],
 *  spread: {metric: {min, max}}}
 * ERR_NO with *ret when different. */
enum err_code pipeline_reproduce(const struct pipeline_host *host, const struct reproduce_order *o,
                                 struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

#endif
