/* Inside of serve: entries (what was decided), snapshots (what predicts), epochs (when a snapshot may go). */
#ifndef PAWL_SERVE_SERVE_INT_H
#define PAWL_SERVE_SERVE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/file.h"
#include "base/thread.h"
#include "serve/assign.h"
#include "serve/runtime_int.h"
#include "serve/serve.h"

enum { RANK_APPLY = 3000, RANK_STATE = 3010, RANK_REAPER = 3020, RANK_SPARE = 3030 };

#define EPOCH_SLOTS RUNTIME_SLOTS /* the last one is never a thread's own */
#define EPOCH_NONE  (-1)          /* the thread found no free slot */
#define ROWS_MAX    10000
#define LOADED_MAX  (ENDPOINT_KEEP + 2)
#define TEXT_BYTES  512
#define FUSE_MIN    20

/* ---- epochs: a reading thread shows in its slot that it reads, and since when ---- */
struct epoch_slot {
    _Alignas(64) _Atomic uint64_t since; /* 0: not reading */
    atomic_bool is_taken;
};

struct epochs {
    uint64_t serial; /* of this serve, so that a thread's slot is never another's */
    _Atomic uint64_t now;
    struct epoch_slot slots[EPOCH_SLOTS];
};
void epochs_init(struct epochs *e);
/* The calling thread's slot, taken at its first call; EPOCH_NONE when all are taken. */
int epoch_slot(struct epochs *e);
static inline void epoch_enter(struct epochs *e, int slot)
{
    atomic_store_explicit(&e->slots[slot].since,
                          atomic_load_explicit(&e->now, memory_order_relaxed),
                          memory_order_seq_cst);
}
static inline void epoch_leave(struct epochs *e, int slot)
{
    atomic_store_explicit(&e->slots[slot].since, 0, memory_order_release);
}
/* Begins a new epoch; returns the one that ended. */
uint64_t epoch_advance(struct epochs *e);
/* No thread reads since `epoch` or before. */
bool epoch_is_over(const struct epochs *e, uint64_t epoch);

/* ---- counters of an endpoint: live as long as the serve ---- */
struct endpoint_counters {
    _Atomic uint64_t rows[ROLE_N][RECORD_STATUS_N];
    _Atomic uint64_t n_no_key, n_fallback, n_rollbacks, n_unlogged;
    struct prom_histogram latency;
    _Atomic uint64_t fuse_rollout, fuse_requests,
        fuse_errors;             /* of the candidate of that rollout */
    _Atomic uint64_t fuse_blown; /* rollout id */
    _Atomic int64_t clock_us;    /* replay: event clock; AT_US_NONE: not put */
};

/* ---- what was decided ---- */
struct serve_entry {
    char name[ENDPOINT_NAME_MAX + 1];
    bool is_there; /* false: dropped; the entry stays for its counters */
    struct arena arena;
    struct endpoint_state state;
    struct runtime *loaded[LOADED_MAX]; /* live, candidate, kept */
    size_t n_loaded;
    char problem[ERR_MSG_BYTES];
    struct endpoint_counters counters;
    struct serve_entry *next;
};

/* ---- what predicts: immutable ---- */
struct snap_endpoint {
    struct str name;
    struct runtime *live, *candidate; /* candidate NULL: no rollout, or paused */
    struct runtime *loaded[LOADED_MAX];
    size_t n_loaded;
    uint64_t generation, rollout;
    int share;
    struct str salt;
    size_t *sticky; /* settable slots of live's plan */
    size_t n_sticky;
    ptrdiff_t
        *to_candidate; /* settable slot of live -> of the candidate; -1: it has no such field */
    double fuse;
    int64_t fuse_min;
    bool has_fallback;
    float fallback;
    struct endpoint_counters *counters;
};

struct snapshot {
    struct arena arena;
    struct snap_endpoint *endpoints; /* sorted by name */
    size_t n;
    atomic_int n_refs;     /* by threads without a slot */
    uint64_t retired;      /* epoch that ended when it was replaced */
    struct snapshot *next; /* retired ones */
};

/* A decision that serves already and whose record waits for the journal. */
struct owed_record {
    char *text; /* JSON, without gen */
    int64_t at_us;
    char endpoint[ENDPOINT_NAME_MAX + 1];
    struct owed_record *next;
};

struct serve {
    struct serve_options opt;
    char dir[PATH_BYTES - 64];
    char models_dir[PATH_BYTES - 32];
    struct mutex apply_mutex; /* one decision at a time */
    struct mutex state_mutex; /* entries, for readers */
    struct mutex reaper_mutex;
    struct cond reaper_wake;
    struct mutex spare_mutex; /* of the last slot's scratch, for threads that have no slot */
    struct serve_entry *entries;
    struct epochs epochs;
    struct snapshot *_Atomic snapshot;
    struct snapshot *retired; /* under reaper_mutex */
    struct owed_record *owed; /* under apply_mutex; oldest first */
    pthread_t reaper;
    bool has_reaper;
    atomic_bool is_stopping;
    uint64_t generation; /* of the snapshot file, under apply_mutex */
    _Atomic uint64_t n_snapshots, n_freed, n_predictions, n_errors;
};

/* decide.c: the state after a decision, or why it may not be. Pure. */
enum err_code decide(const struct endpoint_state *before, const struct serve_decision *d,
                     int64_t now_us, struct arena *a, struct endpoint_state *ret,
                     struct err *err) MUST_CHECK;
/* Kinds that take effect although the journal cannot be written. */
bool decision_is_urgent(enum serve_decision_kind kind);

/* entry.c */
struct serve_entry *entry_find(const struct serve *s, const char *name);
struct serve_entry *entry_get(struct serve *s,
                              const char *name); /* makes it; NULL without memory */
void entry_free(struct serve_entry *e);
/* Runtimes that `state` needs, from those that are there and from the store. Loading live or candidate must work; a kept one that
 * cannot be loaded is left out. */
enum err_code entry_load(struct serve *s, const struct serve_entry *e,
                         const struct endpoint_state *state, struct runtime **ret, size_t *ret_n,
                         struct err *err) MUST_CHECK;
void runtimes_unref(struct runtime **r, size_t n);
struct runtime *runtime_of(struct runtime *const *r, size_t n, int64_t release);

/* snapshot.c */
enum err_code snapshot_publish(struct serve *s, struct err *err) MUST_CHECK; /* from the entries */
void snapshot_free(struct snapshot *snap);
const struct snap_endpoint *snapshot_find(const struct snapshot *snap, struct str name);
enum err_code snapshot_file_write(struct serve *s, struct err *err) MUST_CHECK;
enum err_code snapshot_file_read(struct serve *s, struct arena *a, struct err *err) MUST_CHECK;
/* For a thread without a slot. */
struct snapshot *snapshot_ref(struct serve *s);
void snapshot_unref(struct snapshot *snap);

/* reaper.c */
enum err_code reaper_start(struct serve *s, struct err *err) MUST_CHECK;
void reaper_stop(struct serve *s);
void reaper_nudge(struct serve *s);

/* apply.c */
enum err_code owed_append(struct serve *s, struct err *err) MUST_CHECK; /* records that wait */
void serve_tell(const struct serve *s, enum serve_event ev, const char *endpoint, uint64_t gen,
                const char *text);

/* serve_clock.c */
enum err_code clocks_read(struct serve *s, struct err *err) MUST_CHECK;
int64_t clock_of(const struct serve *s, const struct endpoint_counters *c);

#endif
