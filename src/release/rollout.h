/* Rollout: shadow -> canary steps -> live, decided by evidence alone, with criteria frozen at the start.
 *
 *     shadow --pass--> canary(step 0) --pass--> ... canary(last) --pass--> done
 *        |                 |    ^                                   
 *        +----fail---------+    +--resume-- paused (sample ratio, expiry, a person)
 *                 v
 *            rolled_back        aborted (a person, or a newer rollout by force)
 *
 * Two pure stages: evidence is summed per step (monitor/evidence.h), then rollout_judge turns the frozen plan and those
 * sums into verdicts, so that a stored tick (plan, sums, time) always gives the same answer again. Three verdicts: pass,
 * fail, open (not enough evidence yet). Threads: plain data. */
#ifndef PAWL_RELEASE_ROLLOUT_H
#define PAWL_RELEASE_ROLLOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "monitor/evidence.h"
#include "json/json.h"

#define ROLLOUT_SALT_BYTES 33

enum guard_metric {
    GUARD_ERROR_RATE,
    GUARD_LATENCY, /* share of requests slower than the frozen limit */
    GUARD_SCORE_MEAN,
    GUARD_DECISION_FLIPS,
    GUARD_LOG_LOSS,
    GUARD_NORMALIZED_LOG_LOSS,
    GUARD_BRIER,
    GUARD_METRIC_N
};
extern const char *const GUARD_METRIC_NAMES[GUARD_METRIC_N];

enum guard_rule {
    GUARD_NO_WORSE_BY,
    GUARD_TIMES,
    GUARD_CHANGES_AT_MOST,
    GUARD_AT_MOST,
    GUARD_RULE_N
};
extern const char *const GUARD_RULE_NAMES[GUARD_RULE_N];

struct guardrail {
    enum guard_metric metric;
    enum guard_rule rule;
    double
        value; /* margin (absolute), or the ratio for TIMES, or relative slack of the latency limit */
    double margin;   /* LATENCY: share above the limit allowed beyond 1 - quantile */
    double quantile; /* LATENCY: 0.99 for latency_p99 */
    bool is_required;
};

struct rollout_step {
    int share;         /* of 10,000; 0: shadow */
    int64_t window_us; /* event time at least */
    int64_t samples;   /* requests of the candidate at least (shadow: pairs) */
};

#define ROLLOUT_GUARDS_MAX 16

/* Frozen in the record when the rollout starts. */
struct rollout_plan {
    struct rollout_step steps[EV_STEPS_MAX];
    int n_steps;
    struct guardrail guards[ROLLOUT_GUARDS_MAX];
    int n_guards;
    const char *const *sticky_by; /* request fields; none: the prediction id */
    size_t n_sticky;
    double alpha; /* of the whole rollout, divided by its guardrails */
    double
        fuse; /* error share of the candidate that acts at once, with at least 20 requests; 0: none */
    int64_t min_buckets;     /* K floor in both arms */
    int64_t min_requests;    /* N floor in both arms */
    int64_t expires_us;      /* a step that waits longer asks a person; 0: never */
    double pair;             /* share of requests that both score: 1, 0.1, 0 */
    double latency_limit_us; /* frozen at the start; 0: unknown */
};

enum rollout_state {
    ROLLOUT_SHADOW,
    ROLLOUT_CANARY,
    ROLLOUT_PAUSED,
    ROLLOUT_DONE,
    ROLLOUT_ROLLED_BACK,
    ROLLOUT_ABORTED,
    ROLLOUT_STATE_N
};
extern const char *const ROLLOUT_STATE_NAMES[ROLLOUT_STATE_N];
bool rollout_may_move(enum rollout_state from, enum rollout_state to);
bool rollout_is_over(enum rollout_state s);

struct rollout {
    int64_t id; /* journal generation of its start */
    const char *endpoint;
    int64_t candidate, incumbent; /* release numbers */
    char salt[ROLLOUT_SALT_BYTES];
    struct rollout_plan plan;
    enum rollout_state state;
    enum rollout_state before_pause; /* where resume goes back to */
    int step;
    int64_t started_us;                    /* event time */
    int64_t step_started_us[EV_STEPS_MAX]; /* event time; AT_US_NONE: not reached */
    const char *reason;                    /* of the last move */
};

enum rollout_action {
    ROLLOUT_WAIT,
    ROLLOUT_NEXT,
    ROLLOUT_FINISH,
    ROLLOUT_ROLL_BACK,
    ROLLOUT_PAUSE,
    ROLLOUT_ACTION_N
};
extern const char *const ROLLOUT_ACTION_NAMES[ROLLOUT_ACTION_N];

/* One look at a rollout: what went in and what came out. Arrays lie in the arena given to rollout_look. */
struct guard_look {
    bool is_judged;             /* false: does not apply in this step (latency in shadow) */
    struct guardrail_spec spec; /* as given to stats */
    struct stratum *strata;
    size_t n_strata;
    struct guardrail_result result;
};
struct rollout_tick {
    int64_t at_us; /* event clock */
    enum rollout_state state;
    int step;
    struct ev_totals totals; /* of the step */
    double base_rate;
    struct guard_look guards[ROLLOUT_GUARDS_MAX];
    double srm_log_e; /* sample ratio, over the steps so far */
    enum verdict verdict;
    enum rollout_action action;
    char text[400]; /* one sentence: why, or what it waits for */
};

/* Sums of steps 0..r->step from the evidence, then every guardrail, then the step. Pure but for the arena. */
enum err_code rollout_look(const struct rollout *r, const struct evidence *e, int64_t at_us,
                           struct arena *a, struct rollout_tick *ret, struct err *err) MUST_CHECK;
/* The step's verdict and action from what is already in *t (guards judged, totals, sample ratio). */
void rollout_decide(const struct rollout *r, struct rollout_tick *t);
/* Moves the state machine; CHECKs that the move is legal. */
void rollout_apply(struct rollout *r, enum rollout_action action, int64_t at_us);
enum err_code rollout_move(struct rollout *r, enum rollout_state to, struct err *err) MUST_CHECK;

struct json *rollout_plan_json(const struct rollout_plan *p, struct arena *a);
enum err_code rollout_plan_from_json(const struct json *v, struct arena *a,
                                     struct rollout_plan *ret, struct err *err) MUST_CHECK;
struct json *rollout_json(const struct rollout *r, struct arena *a);
enum err_code rollout_from_json(const struct json *v, struct arena *a, struct rollout *ret,
                                struct err *err) MUST_CHECK;
struct json *rollout_tick_json(const struct rollout *r, const struct rollout_tick *t,
                               struct arena *a);
/* Decides a stored tick again from its inputs: *ret {tick, verdict, action, guards:[{metric, verdict, is_same}], is_same}. */
enum err_code rollout_replay(const struct rollout *r, const struct json *tick, struct arena *a,
                             struct json **ret, bool *ret_is_same, struct err *err) MUST_CHECK;

/* Requests of the candidate that each guardrail needs at the least in a step with this share. */
double guard_requests_needed(const struct guardrail *g, const struct rollout_plan *p, int share);

#endif
