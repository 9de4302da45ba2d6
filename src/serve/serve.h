/* Serving: endpoints, the snapshot they are answered from, decisions that change it, and the predict path.
 *
 * The snapshot (endpoint -> loaded releases, share, salt, fuse) is immutable behind one atomic pointer. A predicting thread
 * enters an epoch, reads the pointer, leaves; a decision builds a new snapshot aside, and a reaper thread frees the old one
 * once every thread has left it. Nothing on the predict path locks, allocates from the heap, or does I/O; it never touches a
 * database, and this module never includes db/.
 *
 * A decision goes: new state -> load and check what it needs -> journal (synced) -> pointer -> snapshot file -> sink. When the
 * journal cannot be written, a rollback (and an abort, a hold) still flips the pointer: the answer says so, the sink is told, and
 * the record is appended as soon as the journal works again. Starting: snapshot file, then the journal behind it.
 * A candidate that cannot answer in a canary is answered for by the incumbent, and counted (record.h, RECORD_RESCUED); the fuse ends
 * its rollout at once when its error share is too high.
 * Threads: serve_apply and its like from any but HTTP threads; predict, look-ups and the clock from any. */
#ifndef PAWL_SERVE_SERVE_H
#define PAWL_SERVE_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/journal.h"
#include "base/arena.h"
#include "base/clock.h"
#include "blob/blob.h"
#include "features/online.h"
#include "feedback/log.h"
#include "http/prom.h"
#include "serve/endpoint.h"
#include "serve/runtime.h"
#include "json/json.h"

struct serve;

enum serve_event { SERVE_EV_DECIDED, SERVE_EV_JOURNAL_FAILED, SERVE_EV_FUSE, SERVE_EV_N };

/* Told after the fact, from the deciding thread or the reaper; must be quick (wake your own thread). */
struct serve_sink {
    void (*tell)(void *arg, enum serve_event ev, const char *endpoint, uint64_t generation,
                 const char *text);
    void *arg;
};

struct serve_options {
    const char *dir; /* home/serving: snapshot.json, models/, clocks.json */
    struct blob_store *blobs;
    struct online *online; /* may be NULL */
    struct journal *journal;
    struct feedback_log *log; /* may be NULL: nothing is logged (evaluation) */
    struct serve_sink sink;   /* tell may be NULL */
    bool is_replay;           /* event clocks stand until moved */
    size_t rows_max;          /* of one request; 0: 10,000 */
};

/* Loads what served before. A release that cannot be loaded any more leaves its endpoint without it (serve_problem says why)
 * and does not stop the others. */
enum err_code serve_open(const struct serve_options *opt, struct serve **ret,
                         struct err *err) MUST_CHECK;
void serve_close(struct serve *s); /* no thread may be predicting; NULL is fine */

/* ---- decisions ---- */
enum serve_decision_kind {
    SERVE_LIVE,           /* release becomes live at once (first release, or by force) */
    SERVE_ROLLOUT_START,  /* release becomes the candidate with share and salt */
    SERVE_ROLLOUT_STEP,   /* new step and share */
    SERVE_ROLLOUT_PAUSE,  /* candidate gets no traffic until the next STEP; share 0 */
    SERVE_ROLLOUT_FINISH, /* candidate becomes live */
    SERVE_ROLLOUT_ABORT,  /* back to the incumbent alone; the candidate was rolled back */
    SERVE_ROLLBACK, /* without target: abort a rollout, else the release before; puts on hold */
    SERVE_HOLD,
    SERVE_RESUME,
    SERVE_FALLBACK, /* set, or (NaN) clear */
    SERVE_DROP,     /* the endpoint goes */
    SERVE_DECISION_N
};
extern const char
    *const SERVE_DECISION_NAMES[SERVE_DECISION_N]; /* "live" "rollout_start" … as in the journal */

struct serve_decision {
    enum serve_decision_kind kind;
    const char *endpoint;
    const char *actor, *reason;
    int64_t release;        /* LIVE, ROLLOUT_START; ROLLBACK: the target, 0 = choose */
    const struct json *doc; /* release document; ROLLBACK: may be NULL when history has it */
    int step, share;        /* ROLLOUT_START, ROLLOUT_STEP */
    const char *salt;       /* ROLLOUT_START; NULL: made */
    const char *const *sticky_by;
    size_t n_sticky;
    double fuse;
    int64_t fuse_min;         /* 0: 20 */
    const struct json *plan;  /* frozen criteria, journaled as they are */
    int64_t until_us;         /* HOLD; AT_US_NONE: until resumed */
    double fallback;          /* FALLBACK */
    bool no_hold;             /* ROLLBACK without putting the endpoint on hold (automatic abort) */
    uint64_t if_generation;   /* not 0: only when the endpoint still stands there (ERR_CONFLICT) */
    const struct json *extra; /* journaled as "extra" (approvals, evidence) */
};

struct serve_result {
    uint64_t generation;   /* 0: the journal could not be written (rollback kinds only) */
    int64_t before, after; /* live releases */
    int64_t candidate;     /* that left or came; 0: none */
    uint64_t rollout;      /* id; 0: none */
    bool is_journaled;
    int64_t took_us; /* from the call until the pointer was flipped */
};

/* Checks the decision against the endpoint's state (ERR_REFUSED with a sentence), loads, journals, flips. The journal record is
 * {gen, at, kind, endpoint, actor, reason, event_at?, release?, before, after, extra?, state: endpoint_state}. */
enum err_code serve_apply(struct serve *s, const struct serve_decision *d, struct serve_result *ret,
                          struct err *err) MUST_CHECK;
/* Loads and checks a release without any effect: before gates, before a rollout starts. */
enum err_code serve_check(struct serve *s, int64_t release, const struct json *doc,
                          struct err *err) MUST_CHECK;

/* ---- looking ---- */
/* Copies into the arena; ERR_NOT_FOUND. */
enum err_code serve_endpoint(struct serve *s, const char *name, struct arena *a,
                             struct endpoint_state *ret, struct err *err) MUST_CHECK;
/* Names in byte order. */
enum err_code serve_endpoints(struct serve *s, struct arena *a, const char ***ret, size_t *ret_n,
                              struct err *err) MUST_CHECK;
/* Why a release of the endpoint could not be loaded at start; NULL when nothing is wrong. */
char *serve_problem(struct serve *s, const char *name, struct arena *a);
bool serve_is_ready(struct serve *s); /* every endpoint has its live release loaded */
/* A loaded release of an endpoint (live, candidate, kept), with a reference for the caller: for scoring off the request path.
 * release 0: live. Not on an HTTP thread. */
enum err_code serve_runtime(struct serve *s, const char *endpoint, int64_t release,
                            struct runtime **ret, struct err *err) MUST_CHECK;

/* ---- event clock ---- */
/* Now, for this endpoint: system time, or on a replay home where the clock was last put (the newest, persisted). */
int64_t serve_clock(struct serve *s, const char *endpoint);
/* Replay homes only; never backwards (ERR_REFUSED). */
enum err_code serve_clock_set(struct serve *s, const char *endpoint, int64_t at_us,
                              struct err *err) MUST_CHECK;

/* ---- predicting ---- */
enum tensor_type {
    TENSOR_BOOL,
    TENSOR_UINT8,
    TENSOR_UINT16,
    TENSOR_UINT32,
    TENSOR_UINT64,
    TENSOR_INT8,
    TENSOR_INT16,
    TENSOR_INT32,
    TENSOR_INT64,
    TENSOR_FP16,
    TENSOR_FP32,
    TENSOR_FP64,
    TENSOR_BYTES,
    TENSOR_TYPE_N
};
extern const char *const TENSOR_TYPE_NAMES[TENSOR_TYPE_N];

/* One input: a column [n] or [n,1], or a matrix [n,k] over the request fields in order. */
struct serve_tensor {
    struct str name;
    enum tensor_type type;
    size_t n_rows, n_cols;
    const struct value *values; /* n_rows * n_cols, row-major */
};

struct serve_request {
    struct str endpoint;
    int64_t
        release; /* 0: as the endpoint decides; else this one, if loaded (role test unless live) */
    struct str id; /* client's; empty: none */
    const struct serve_tensor *inputs;
    size_t n_inputs;
    bool wants_decision; /* refused where there is neither threshold nor classes */
    int64_t mono_ns;     /* when the request came */
};

#define SERVE_OUTPUTS_MAX 1024

struct serve_answer {
    struct str endpoint; /* as in the request */
    int64_t release;     /* that answered */
    uint8_t id[16];      /* prediction id */
    size_t n_rows, n_outputs;
    const float *scores;     /* n_rows x n_outputs */
    const double *decisions; /* n_rows, or NULL when there is no threshold and no classes */
    bool is_multiclass;
    uint16_t bucket; /* of row 0 */
    enum record_role role;
    bool is_logged, is_fallback, is_rescued, is_known_id;
    struct log_ticket ticket; /* of the last row's record */
};

/* Errors: ERR_NOT_FOUND endpoint or release; ERR_INVALID input, naming input and row; ERR_TOO_LARGE rows; ERR_UNAVAILABLE the release
 * could not answer and there is no fallback. Everything is in `a`. Inline. */
enum err_code serve_predict(struct serve *s, const struct serve_request *q, struct arena *a,
                            struct serve_answer *ret, struct err *err) MUST_CHECK;

void serve_metrics(struct serve *s, struct prom *p);

/* Longest time in us from a rollback's call to its flip, snapshots freed and waiting: for tests and doctors. */
struct serve_stats {
    uint64_t n_snapshots, n_freed, n_predictions, n_errors;
};
void serve_stats(struct serve *s, struct serve_stats *ret);

#endif
