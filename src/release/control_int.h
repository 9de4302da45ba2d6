/* Inside of release/: the host's state. Private to the folder. */
#ifndef PAWL_RELEASE_CONTROL_INT_H
#define PAWL_RELEASE_CONTROL_INT_H

#include "base/thread.h"
#include "release/book.h"
#include "release/control.h"

#define RELEASE_RANK       3 /* before the monitor's; the projection's is one less */
#define PENDING_TICKS_MAX  256
#define HOST_SCRATCH_BYTES ((size_t)128 << 20)

struct pending_tick {
    int64_t rollout, at_us;
    int step;
    const char *verdict, *action; /* static */
    char *doc;                    /* heap */
};

struct release_host {
    struct release_host_options opt;
    struct mutex mutex; /* guards the book, ticks and barrier; never held over a decision */
    struct book book;
    struct pending_tick
        ticks[PENDING_TICKS_MAX]; /* not yet in the table; the oldest is dropped when full */
    size_t n_ticks;
    char barrier_endpoint[ENDPOINT_NAME_MAX + 1];
    int64_t barrier_us;
    uint64_t projected; /* generation that the tables are known to have */
    struct cond projected_cond;
    struct mutex project_mutex; /* one projection at a time */
};

int64_t host_event_now(struct release_host *h, const char *endpoint);
/* {event_at, project?, revision?}: what a decision tells the journal besides. */
struct json *host_extra(struct release_host *h, const char *endpoint, const char *project,
                        const char *revision, struct arena *a);
/* serve_apply, then the book; the tables when they are there. *ret may be NULL. */
enum err_code host_decide(struct release_host *h, const struct serve_decision *d,
                          struct serve_result *ret, struct err *err) MUST_CHECK;
/* A pipeline run's result, also by the id of one of its steps' runs (what a registered version may name). */
enum err_code release_run_load(struct release_host *h, const char *run_id, struct arena *a,
                               struct pipeline_result *ret, struct err *err) MUST_CHECK;
enum err_code host_need_db(const struct release_host *h, struct err *err) MUST_CHECK;
/* Audit entry in a transaction of its own. */
enum err_code host_audit(struct release_host *h, const char *actor, const char *action,
                         const char *object, const char *reason, const struct json *detail,
                         struct err *err) MUST_CHECK;

#endif
