/* `pawl reproduce RUN`: the run again from its record (revision, data versions, parameters, seed,
 * as-of time), past the cache, and compared bit for bit. What differed is named: data missing or
 * damaged, versions of what computes, machine, metrics, digests. */
#ifndef PAWL_PIPELINE_REPRODUCE_H
#define PAWL_PIPELINE_REPRODUCE_H

#include "pipeline/run.h"

#define REPRODUCE_TIMES_MAX 100

/* {run, verdict: "identical" | "within tolerance" | "different", times, runs: [ids], compared:
 * [{what, step, recorded, got, same}], differed: [sentence…], environment: […], spread: {metric:
 * {min,max}}}. ERR_NO with *ret when different. tolerance: largest absolute difference of a metric
 * that still counts as the same; 0: bit for bit. */
enum err_code pipeline_reproduce(const struct pipeline_host *host, const char *run_id, int times,
                                 double tolerance, const struct pipeline_order *order,
                                 struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

#endif
