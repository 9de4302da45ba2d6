/* The loop: watches sources, windows and rollouts at the event clock, raises alerts, and starts laps.
 *
 * A lap is trigger -> pipeline run -> release -> gates -> rollout; every lap is recorded with its evidence and what came of
 * it. One thread drives every endpoint by the system clock; on a replay home loop_advance does, as a barrier:
 *
 *     drain the fold -> sources: new version? checks -> materialise views -> judge windows -> objectives -> tick the rollout
 *     -> fire triggers (the lap runs here) -> move the clock
 *
 * Predictions never wait for any of this. A source whose blocking check fails is blocked: its last good version stays in use,
 * nothing trains until it is good again, a page names arrow, owner and runbook.
 * Threads: loop_advance and loop_poll from any (one at a time inside). */
#ifndef PAWL_LOOP_LOOP_H
#define PAWL_LOOP_LOOP_H

#include "features/online.h"
#include "loop/trigger_spec.h"
#include "release/control.h"

struct alert_sender;
struct worker_pool;
struct loop;

struct loop_options {
    const char *home, *root; /* the home and the project's folder */
    struct db *db;           /* NULL: away */
    struct serve *serve;
    struct monitor *monitor;
    struct release_host *release;
    const struct pipeline_host *pipeline; /* NULL: laps cannot run */
    struct online *online;                /* NULL: nothing is materialised */
    struct blob_store *blobs;
    struct worker_pool *pool;
    struct alert_sender *sender; /* woken after an alert; NULL is fine */
    struct clock clock;          /* wall */
    bool is_replay;
    int64_t tick_ms; /* between looks at an endpoint; 0: 10,000 */
};

enum err_code loop_open(const struct loop_options *opt, struct loop **ret,
                        struct err *err) MUST_CHECK;
/* The scheduler's thread: projects decisions, and (not on a replay home) looks at every endpoint. */
enum err_code loop_start(struct loop *l, struct err *err) MUST_CHECK;
void loop_close(struct loop *l); /* NULL is fine */
void loop_attach(struct loop *l, struct db *db, const struct pipeline_host *pipeline,
                 struct alert_sender *sender);
/* A decision was made: look soon. Any thread, never waits. */
void loop_wake(struct loop *l);

/* The barrier. *ret {endpoint, from, to, sources, materialized, verdicts, rollout, lap, ms}. ERR_REFUSED on a home that is not a
 * replay home, or for a time before the clock's. */
enum err_code loop_advance(struct loop *l, const char *endpoint, int64_t to_us, struct arena *a,
                           struct json **ret, struct err *err) MUST_CHECK;
/* One look at every endpoint at the present clock, as the thread does it. */
enum err_code loop_poll(struct loop *l, struct err *err) MUST_CHECK;

/* Why the last look of the thread failed; NULL when it did not. */
char *loop_trouble(struct loop *l, struct arena *a);
/* What is known of sources: [{source, state, owner, newest, age_s, blocked_by, …}] at the endpoint's clock. From memory. */
struct json *loop_sources(struct loop *l, const char *endpoint, struct arena *a);
/* Laps, newest first. */
enum err_code loop_laps(struct loop *l, const char *endpoint, int64_t limit, struct arena *a,
                        struct json **ret, struct err *err) MUST_CHECK;

#endif
