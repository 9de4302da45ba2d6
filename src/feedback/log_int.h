/* Inside of feedback/log: lanes, the writer thread, who waits. */
#ifndef PAWL_FEEDBACK_LOG_INT_H
#define PAWL_FEEDBACK_LOG_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/file.h"
#include "base/thread.h"
#include "feedback/dedup.h"
#include "feedback/log.h"
#include "feedback/log_index.h"
#include "feedback/ring.h"

#define RANK_LOG       5000
#define RANK_PINS      5010
#define FRAME_RECORD   1
#define PINS_MAX       16
#define PIN_NAME_BYTES 32

struct lane {
    struct ring ring;
    pthread_spinlock_t lock; /* the last lane only: threads beyond n_lanes share it */
    _Alignas(64) _Atomic uint64_t n_dropped, n_records;
    _Atomic uint64_t written_seq, synced_seq;
};

struct log_pin {
    char name[PIN_NAME_BYTES];
    struct log_pos pos;
};

struct feedback_log {
    struct feedback_log_options opt;
    char dir[PATH_BYTES - 64];
    uint64_t serial; /* of this open, so that a thread's remembered lane is never another log's */
    struct series *series, *shadow;
    struct schema_store *schemas;
    struct log_index *index;
    struct dedup *dedup;
    int n_lanes;
    struct lane *lanes;
    atomic_int lanes_taken;
    pthread_t writer;
    bool has_writer;
    struct mutex mutex; /* wake-ups only */
    struct cond wake, done;
    atomic_bool is_stopping, is_failing, is_idle;
    atomic_int n_waiting, n_wants_sync;
    _Atomic uint64_t n_bytes, n_recovered, n_torn, n_duplicates;
    struct mutex pins_mutex;
    struct log_pin pins[PINS_MAX];
    size_t n_pins;
};

/* log_writer.c */
/* Moves what the rings hold into the series. *ret_n: records. */
enum err_code log_drain(struct feedback_log *l, uint64_t *ret_n, struct err *err) MUST_CHECK;
/* Takes over what a dead process left in a ring: frames with a seq that no segment has. */
enum err_code log_ring_recover(struct feedback_log *l, int lane, uint64_t last_seq,
                               struct err *err) MUST_CHECK;
enum err_code log_writer_start(struct feedback_log *l, struct err *err) MUST_CHECK;
void log_writer_stop(struct feedback_log *l);

#endif
