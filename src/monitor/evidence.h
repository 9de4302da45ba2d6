/* Evidence of one rollout: sums per (stratum, arm, assignment bucket), from which every guardrail's numbers come.
 *
 * The unit is the entity (its bucket), the stratum is the step (and the hour in steps longer than a day): requests of one
 * entity are alike and times differ, so sums are never pooled over arms, buckets or strata (stats/guardrail.h). Paired
 * measures keep sums over requests that both releases scored, as differences candidate - incumbent; the others one sum
 * per arm, from the answering call only. A pure accumulator: the same records in the same order give the same bits.
 * Threads: one at a time. Memory: 16 bytes for each (measure, arm, bucket) seen. */
#ifndef PAWL_MONITOR_EVIDENCE_H
#define PAWL_MONITOR_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "stats/guardrail.h"
#include "json/json.h"

#define EV_STEPS_MAX  16
#define EV_STRATA_MAX 2048 /* 12 weeks of hours */

enum ev_arm { ARM_INCUMBENT, ARM_CANDIDATE, ARM_N };

enum ev_measure {
    EV_ERROR,      /* 1 when the release could not answer */
    EV_SLOW,       /* 1 above the latency limit frozen at the start */
    EV_SCORE,      /* the score, per arm */
    EV_PAIR_SCORE, /* score difference */
    EV_PAIR_FLIP,  /* 1 when the decision differs */
    EV_PAIR_LOSS,  /* log loss difference (regression: absolute error) */
    EV_PAIR_BRIER, /* squared error difference */
    EV_MEASURE_N
};
extern const char *const EV_MEASURE_NAMES[EV_MEASURE_N];
bool ev_is_paired(enum ev_measure m);

struct evidence;

struct evidence *evidence_new(void); /* NULL without memory */
void evidence_free(struct evidence *e);

/* Where a request falls: step of the rollout, and slot inside it. */
struct ev_place {
    int step;
    int slot;        /* hours since the step began, in steps longer than a day; else 0 */
    int64_t from_us; /* event time at which the stratum begins */
    uint32_t bucket;
};
/* One request that was answered (or failed); score NaN: none. */
struct ev_request {
    struct ev_place at;
    enum ev_arm arm;
    bool is_error, is_slow;
    bool has_latency; /* false in shadow: the candidate's own latency is not a client's */
    double score;
};
enum err_code evidence_add(struct evidence *e, const struct ev_request *r,
                           struct err *err) MUST_CHECK;
/* One request that both scored. */
struct ev_scored {
    struct ev_place at;
    double incumbent, candidate; /* scores */
    bool is_flip;                /* the decision differs */
};
enum err_code evidence_add_pair(struct evidence *e, const struct ev_scored *p,
                                struct err *err) MUST_CHECK;
/* Its label came. */
enum err_code evidence_add_label(struct evidence *e, const struct ev_scored *p, double label,
                                 bool is_binary, struct err *err) MUST_CHECK;

/* The strata of a measure up to `step`, in time order, with each step's declared share of the candidate. Strata without
 * anything are left out. ERR_NOMEM. */
enum err_code evidence_strata(const struct evidence *e, enum ev_measure m, int step,
                              const double *share, struct arena *a, struct stratum **ret,
                              size_t *ret_n, struct err *err) MUST_CHECK;

struct ev_totals {
    double n[ARM_N]; /* requests of the step */
    double
        entities[ARM_N]; /* buckets with traffic, each counted once (without the fallback bucket) */
    double pairs, labelled;
};
void evidence_totals(const struct evidence *e, int step, struct ev_totals *ret);
double evidence_base_rate(const struct evidence *e); /* mean label over all; NaN without labels */

/* For the store: strata as JSON, one document each, and back. The callback gets those changed since the last call. */
typedef enum err_code (*evidence_save_fn)(void *arg, int step, int slot, const struct json *doc,
                                          struct err *err);
enum err_code evidence_save(struct evidence *e, struct arena *a, evidence_save_fn fn, void *arg,
                            struct err *err) MUST_CHECK;
void evidence_saved(struct evidence *e); /* what evidence_save gave is in the store now */
enum err_code evidence_load(struct evidence *e, const struct json *doc, struct err *err) MUST_CHECK;

#endif
