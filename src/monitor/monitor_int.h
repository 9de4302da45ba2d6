/* Inside of monitor/: endpoints, releases and sums behind the fold's mutex. Private to the folder. */
#ifndef PAWL_MONITOR_MONITOR_INT_H
#define PAWL_MONITOR_MONITOR_INT_H

#include "base/thread.h"
#include "base/vec.h"
#include "monitor/monitor.h"

#define MONITOR_RANK    4
#define SLO_BUCKET_US   (5 * US_PER_MIN)
#define SLO_MAX         8
#define WINDOWS_KEPT    40
#define VERDICTS_KEPT   64
#define MON_ARENA_BYTES ((size_t)256 << 20)
#define PERF_RULES_MAX  16

/* Where a baseline's feature is found in a record. */
enum feature_from { FROM_NOWHERE, FROM_VALUE, FROM_ROW, FROM_ROW_CATEGORY };
struct feature_source {
    enum feature_from from;
    uint32_t index;
    size_t first_cell;
    const struct str *categories; /* FROM_ROW_CATEGORY */
    size_t n_categories;
};

struct mon_release {
    int64_t number;
    struct arena arena;
    struct baseline *baseline; /* NULL: none */
    struct feature_source *features;
    size_t score_cell;
    enum metric_task task;
    enum drift_verdict drift[VERDICTS_KEPT]; /* newest last */
    size_t n_drift;
    enum verdict perf[METRIC_N][VERDICTS_KEPT]; /* by metric; newest last, open ones left out */
    double perf_values[METRIC_N][VERDICTS_KEPT];
    size_t n_perf[METRIC_N];
    struct mon_release *next;
};

struct slo_bucket {
    int64_t start_us;
    uint64_t n, errors;
    uint64_t bad[SLO_MAX], seen[SLO_MAX]; /* per objective: LATENCY and FRESHNESS */
    bool is_dirty;
};

/* Scores of a request that both releases scored, kept until its label comes. */
struct pair_entry {
    uint8_t key[16];
    bool is_used;
    struct ev_scored scored;
};
struct pair_map {
    struct pair_entry *p;
    size_t n, cap; /* cap a power of two */
};
enum err_code pair_map_put(struct pair_map *m, const uint8_t key[16], const struct ev_scored *s,
                           struct err *err) MUST_CHECK;
const struct ev_scored *pair_map_get(const struct pair_map *m, const uint8_t key[16]);
void pair_map_fini(struct pair_map *m);

struct mon_rollout {
    bool is_watched;
    struct rollout_watch watch;
    struct evidence *evidence;
    struct pair_map pairs;
    struct runtime *runtime[ARM_N]; /* references; NULL: not loaded */
    struct runtime_scratch *scratch[ARM_N];
};

struct mon_endpoint {
    char name[ENDPOINT_NAME_MAX + 1];
    struct arena arena; /* of the spec */
    struct monitor_spec spec;
    struct mon_release *releases;
    struct window **windows; /* by (start, release) */
    size_t n_windows, cap_windows;
    struct slo_bucket *slo; /* by start */
    size_t n_slo, cap_slo;
    struct mon_rollout rollout;
    uint64_t n_orphans;
    struct mon_endpoint *next;
};

struct pending_label {
    struct label_record label; /* texts on the heap */
    char *texts;
    bool is_saved;
    uint64_t seq;
};

struct monitor {
    struct monitor_options opt;
    struct db *db;
    struct mutex mutex;
    struct cond cond;
    pthread_t thread;
    bool is_started, is_stopping, is_loaded;
    struct mon_endpoint *endpoints;
    struct log_reader *records;
    struct label_reader *labels;
    struct log_pos record_pos, label_pos, shadow_pos;
    uint64_t shadow_seq;
    struct pending_label **pending; /* any order; few */
    size_t n_pending, cap_pending;
    char **applied; /* keys of stored pending labels that have been applied */
    size_t n_applied, cap_applied;
    const char *
        drain_endpoint; /* while its barrier drains: its time is drain_us, the clock is moved afterwards */
    int64_t drain_us;
    struct arena scratch;
    struct monitor_telemetry telemetry;
    int64_t committed_mono_ns;
};

/* monitor_endpoint.c */
struct mon_endpoint *mon_endpoint_get(struct monitor *m,
                                      struct str name); /* makes it; NULL: no memory */
struct mon_endpoint *mon_endpoint_find(struct monitor *m, const char *name);
void mon_endpoint_free(struct mon_endpoint *ep);
struct mon_release *mon_release_get(struct monitor *m, struct mon_endpoint *ep, int64_t release,
                                    struct err *err);
/* The window of a release at a time; made when it is not there. NULL: no memory. */
struct window *mon_window_get(struct mon_endpoint *ep, struct mon_release *rel, int64_t at_us);
struct slo_bucket *mon_slo_get(struct mon_endpoint *ep, int64_t at_us);
/* fold.c */
enum err_code fold_record(struct monitor *m, const struct prediction_record *r,
                          struct err *err) MUST_CHECK;
enum err_code fold_label(struct monitor *m, const struct label_record *l,
                         struct err *err) MUST_CHECK;
double record_score(const struct prediction_record *r);
/* fold_rollout.c */
enum err_code fold_rollout_record(struct monitor *m, struct mon_endpoint *ep,
                                  const struct prediction_record *r, int64_t at_us,
                                  struct err *err) MUST_CHECK;
enum err_code fold_rollout_label(struct mon_endpoint *ep, const struct prediction_record *r,
                                 double label, enum metric_task task, struct err *err) MUST_CHECK;
void mon_rollout_release(struct mon_rollout *r);
enum err_code mon_rollout_load(struct monitor *m, struct mon_endpoint *ep,
                               struct err *err) MUST_CHECK;
/* fold_run.c: both logs to their ends; the caller holds the mutex. */
enum err_code fold_run(struct monitor *m, struct err *err) MUST_CHECK;
int64_t mon_record_time(const struct monitor *m, const struct prediction_record *r);
int64_t mon_now(struct monitor *m, const char *endpoint);
enum err_code pending_add(struct monitor *m, const struct label_record *l, bool is_saved,
                          struct err *err) MUST_CHECK;
enum err_code pending_apply(struct monitor *m, struct err *err) MUST_CHECK;
void pending_key(const struct label_record *l, char out[DIGEST_HEX_BYTES]);
/* monitor.c */
void mon_problem(struct monitor *m,
                 const struct err *err); /* into the telemetry; ERR_OK clears it */
/* monitor_evaluate.c: histories of verdicts, the oldest leaves */
void mon_drift_push(struct mon_release *r, enum drift_verdict v);
void mon_perf_push(struct mon_release *r, enum metric_id m, enum verdict v, double value);
/* monitor_store.c: the caller holds the mutex. */
enum err_code mon_store_load(struct monitor *m, struct err *err) MUST_CHECK;
enum err_code mon_store_commit(struct monitor *m, struct err *err) MUST_CHECK;
enum err_code mon_store_windows(struct monitor *m, struct mon_endpoint *ep,
                                struct err *err) MUST_CHECK;
enum err_code mon_store_verdict(struct monitor *m, const struct monitor_event *ev, const char *kind,
                                const char *verdict, struct err *err) MUST_CHECK;

#endif
