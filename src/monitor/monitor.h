/* The monitor: a fold over the prediction log and the labels log.
 *
 * One thread reads both logs in order and keeps, per endpoint: windows of event time per release (window.h), five-minute
 * counters for objectives, and the evidence of a rollout in progress (evidence.h), for which it scores the release that did
 * not answer, off the request path, and writes that answer to the shadow log. Sums and log positions are committed in one
 * transaction, at most once a second; while the database is away the sums in memory go on and are committed when
 * it is back. A fold of the same logs gives the same sums wherever it was interrupted.
 *
 * What a record's time is: its event time on a replay home, else its wall time. A label counts from its known time on.
 * Not for: deciding (release/), starting laps, raising alerts (loop/).
 * Threads: any; one mutex inside, never held by the predict path. */
#ifndef PAWL_MONITOR_MONITOR_H
#define PAWL_MONITOR_MONITOR_H

#include "blob/blob.h"
#include "db/db.h"
#include "feedback/label.h"
#include "feedback/log.h"
#include "monitor/evidence.h"
#include "monitor/monitor_spec.h"
#include "monitor/slo.h"
#include "monitor/verdict.h"
#include "serve/serve.h"

struct monitor;

struct monitor_options {
    struct db *db; /* NULL: away; monitor_attach comes later */
    struct feedback_log *log;
    struct label_log *labels;
    struct serve *serve;
    struct blob_store *blobs;
    struct clock clock; /* wall */
    bool is_replay;
    int64_t commit_ms; /* between commits; 0: 1000 */
};

/* Reads back sums and positions when the database is there. */
enum err_code monitor_open(const struct monitor_options *opt, struct monitor **ret,
                           struct err *err) MUST_CHECK;
/* The fold thread; without it monitor_drain does the work (tests, commands). */
enum err_code monitor_start(struct monitor *m, struct err *err) MUST_CHECK;
/* Stops, commits, frees; NULL is fine. */
void monitor_close(struct monitor *m);
/* The database has come; reads back what it holds, if that was not done before. */
enum err_code monitor_attach(struct monitor *m, struct db *db, struct err *err) MUST_CHECK;

/* What is declared for an endpoint; copied. Before the first record of it defaults hold. */
enum err_code monitor_configure(struct monitor *m, const char *endpoint,
                                const struct monitor_spec *spec, struct err *err) MUST_CHECK;

/* ---- rollouts ---- */
#define WATCH_STRETCHES_MAX 128
struct watch_stretch {
    int step;        /* -1: paused */
    int64_t from_us; /* event time */
    uint64_t
        generation; /* of the decision that began it: a record made under it, or a later one, belongs here */
};
struct rollout_watch {
    int64_t rollout; /* id */
    const char *endpoint;
    int64_t candidate, incumbent;
    int64_t step_window_us[EV_STEPS_MAX];
    bool is_shadow[EV_STEPS_MAX]; /* steps in which the candidate answers nobody */
    struct watch_stretch stretches[WATCH_STRETCHES_MAX];
    size_t n_stretches;
    double latency_limit_us; /* 0: none */
    double pair;             /* share of requests that both score */
    char salt[SALT_BYTES];
};
/* Starts, or changes, the watch of the endpoint's rollout. Changes only add stretches. */
enum err_code monitor_watch(struct monitor *m, const struct rollout_watch *w,
                            struct err *err) MUST_CHECK;
void monitor_unwatch(struct monitor *m, const char *endpoint);
/* Calls fn with the evidence of the endpoint's rollout, under the monitor's lock: be quick. ERR_NOT_FOUND: none is watched. */
typedef enum err_code (*evidence_fn)(void *arg, const struct evidence *e, struct err *err);
enum err_code monitor_evidence(struct monitor *m, const char *endpoint, int64_t rollout,
                               evidence_fn fn, void *arg, struct err *err) MUST_CHECK;
/* Quantile of a release's latency over its last windows, in us; 0 without requests. */
double monitor_latency_quantile(struct monitor *m, const char *endpoint, int64_t release, double q);

/* ---- folding ---- */
/* The barrier: everything acknowledged before the call, and every label of the endpoint known by now_us, is in the sums when it
 * returns. Labels of other endpoints follow their own clocks. */
enum err_code monitor_drain(struct monitor *m, const char *endpoint, int64_t now_us,
                            struct err *err) MUST_CHECK;
enum err_code monitor_commit(struct monitor *m, struct err *err) MUST_CHECK;

/* ---- verdicts ---- */
enum monitor_event_kind { MONITOR_DRIFT, MONITOR_PERFORMANCE, MONITOR_STARVED, MONITOR_EVENT_N };
struct monitor_event {
    enum monitor_event_kind kind;
    const char *endpoint;
    int64_t release, start_us, end_us;
    const char *name;   /* DRIFT: worst feature, or NULL; PERFORMANCE: the metric */
    bool is_alarm;      /* this window */
    bool is_persistent; /* k of the last r: what fires */
    bool is_open;       /* not enough evidence */
    bool is_score;      /* DRIFT: the score drifts too */
    bool is_live;       /* of the release that is live now */
    const struct json *doc;
};
typedef void (*monitor_event_fn)(void *arg, const struct monitor_event *ev);
/* Judges what closed or became final by now_us; each verdict is stored once and told once. */
enum err_code monitor_evaluate(struct monitor *m, const char *endpoint, int64_t now_us,
                               monitor_event_fn fn, void *arg, struct err *err) MUST_CHECK;

/* Objectives at now_us: [slo_judge documents]; *ret_worst the highest severity. */
enum slo_severity monitor_slos(struct monitor *m, const char *endpoint, int64_t now_us,
                               struct arena *a, struct json **ret);
/* One look at a freshness objective. */
void monitor_slo_sample(struct monitor *m, const char *endpoint, const char *slo, int64_t at_us,
                        bool is_good);

/* ---- looking ---- */
/* {endpoint, windows: [...], position, lag: {...}, orphans, …} from memory: works without the database. */
enum err_code monitor_json(struct monitor *m, const char *endpoint, size_t n_windows,
                           struct arena *a, struct json **ret, struct err *err) MUST_CHECK;
/* Stored verdicts, newest first; kind NULL: all. */
enum err_code monitor_verdicts(struct db *db, const char *endpoint, const char *kind, int64_t limit,
                               struct arena *a, struct json **ret, struct err *err) MUST_CHECK;
struct monitor_telemetry {
    uint64_t n_records, n_labels, n_orphans, n_pending_labels, n_pairs, n_uncommitted;
    int64_t last_record_us, last_label_us; /* event time, AT_US_NONE: none yet */
    int64_t committed_us;                  /* wall */
    bool is_failing;                       /* the last commit failed */
    char problem[256];
};
void monitor_telemetry(struct monitor *m, struct monitor_telemetry *ret);

#endif
