/* The prediction log of a home: home/predictions/.
 *
 * A thread that predicts writes its record into its own lane: a ring in a shared-memory file, so that a record is safe
 * from the death of the process the moment the call returns, without a system call and without a lock. One
 * writer thread moves lanes into the segments of the series. At open, records that were still in rings are appended once:
 * each has (lane, seq), and the segments tell the last seq of each lane they hold.
 * A full ring never blocks: the record is dropped, counted, and the caller says `logged: false`.
 *
 *     predictions/ring-00 …       lanes      predictions/log/     the series "predictions"
 *     predictions/schemas.log     names      predictions/shadow/  answers of a candidate beside the live ones
 *                                            predictions/labels/  labels (feedback/label.h)
 * Acks: RING (default) is that moment; WRITTEN waits until the record is in a segment; SYNCED until it is on the disk
 * (group commit). Waiting is for queued routes only.
 * Reading: log_reader over the series, by position; several at once. Threads: any. */
#ifndef PAWL_FEEDBACK_LOG_H
#define PAWL_FEEDBACK_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "feedback/record.h"
#include "feedback/schema.h"
#include "feedback/series.h"

struct feedback_log;

enum log_ack { LOG_ACK_RING, LOG_ACK_WRITTEN, LOG_ACK_SYNCED, LOG_ACK_N };

struct feedback_log_options {
    const char *dir; /* home/predictions */
    bool may_write;  /* false: read only, no rings, no writer thread (a command beside a server) */
    int n_lanes; /* 1..SERIES_LANES_MAX; 0: 4. Threads beyond share the last, under a short lock */
    size_t ring_bytes;               /* of a lane, power of two; 0: 4 MiB */
    int64_t segment_bytes;           /* 0: 64 MiB */
    int64_t sync_ms;                 /* the writer syncs at least so often; 0: 1000 */
    int64_t dedup_window_us;         /* client ids are one record within it; 0: 10 min */
    size_t dedup_ids;                /* and among the last so many; 0: 262,144 */
    int64_t retain_us, retain_bytes; /* 0: for ever, any size */
};

struct feedback_log_stats {
    uint64_t n_records, n_dropped, n_bytes, n_segments, n_recovered, n_torn_bytes, n_duplicates;
    double ring_full_ratio; /* of the fullest lane */
    int64_t log_bytes;      /* on disk */
    bool is_failing;        /* the disk refuses: records stay in the rings as long as they fit */
};

enum err_code feedback_log_open(const struct feedback_log_options *opt, struct feedback_log **ret,
                                struct err *err) MUST_CHECK;
void feedback_log_close(
    struct feedback_log *l); /* moves what is in the rings, syncs; NULL is fine */

/* What a thread got for a record. */
struct log_ticket {
    uint16_t lane;
    uint64_t seq;
};
/* Encodes into the calling thread's lane. False: the ring is full (counted). Inline: no lock, no allocation, no I/O. */
bool feedback_log_put(struct feedback_log *l, const struct prediction_record *r,
                      struct log_ticket *ret_ticket);
/* All rows of one request or none of them. */
bool feedback_log_put_rows(struct feedback_log *l, const struct prediction_record *rows, size_t n,
                           struct log_ticket *ret_last);
/* The same for payloads that record_encode made before (a request of many rows). */
bool feedback_log_put_encoded(struct feedback_log *l, const struct str *payloads, size_t n,
                              struct log_ticket *ret_last);
/* Waits for an ack beyond RING; ERR_TIMEOUT. Not on an HTTP thread. */
enum err_code feedback_log_wait(struct feedback_log *l, const struct log_ticket *t,
                                enum log_ack ack, int64_t timeout_ms, struct err *err) MUST_CHECK;
/* Everything put before this call is in segments when it returns. */
enum err_code feedback_log_flush(struct feedback_log *l, enum log_ack ack, int64_t timeout_ms,
                                 struct err *err) MUST_CHECK;

/* ---- one record per client id ---- */
enum dedup_result { DEDUP_NEW, DEDUP_KNOWN, DEDUP_N };
/* Within the window the same (endpoint, client id) gives the id of the first request (in *id) and KNOWN: answer, do
 * not log. NEW remembers *id; when the record could not be logged, forget it again. Inline: a spin lock of one shard for some ns. */
enum dedup_result feedback_log_dedup(struct feedback_log *l, struct str endpoint,
                                     struct str client_id, int64_t now_us, uint8_t id[16]);
void feedback_log_forget(struct feedback_log *l, struct str endpoint, struct str client_id);

/* ---- reading ---- */
struct series *feedback_log_series(struct feedback_log *l);
struct series *
feedback_log_shadow(struct feedback_log *l); /* appended and truncated by the fold only */
struct schema_store *feedback_log_schemas(struct feedback_log *l);

/* A reader of decoded records (series_reader + record_decode). */
struct log_reader;
enum err_code log_reader_open(struct series *s, const struct log_pos *from, struct log_reader **ret,
                              struct err *err) MUST_CHECK;
void log_reader_close(struct log_reader *r);
/* *ret lives until the next call. */
enum err_code log_reader_next(struct log_reader *r, int64_t timeout_ms, bool *ret_is_there,
                              struct prediction_record *ret, struct log_pos *ret_next,
                              struct err *err) MUST_CHECK;
/* Appends a shadow answer (fold thread only). */
enum err_code shadow_append(struct series *shadow, uint64_t seq, const struct prediction_record *r,
                            struct log_pos *ret_pos, struct err *err) MUST_CHECK;

/* By prediction id and row, or by client id, through the index; ERR_NOT_FOUND. Not inline (it reads files). */
enum err_code feedback_log_find(struct feedback_log *l, const uint8_t id[16], uint32_t row,
                                struct arena *a, struct prediction_record *ret,
                                struct log_pos *ret_pos, struct err *err) MUST_CHECK;
enum err_code feedback_log_find_client(struct feedback_log *l, struct str endpoint,
                                       struct str client_id, uint32_t row, struct arena *a,
                                       struct prediction_record *ret, struct log_pos *ret_pos,
                                       struct err *err) MUST_CHECK;

struct record_filter {
    struct str endpoint; /* empty: all */
    int64_t from_us,
        to_us; /* event time (wall time where a record has none), [from, to); AT_US_NONE: open */
    int64_t release; /* 0: all */
    int role;        /* -1: all */
    int status;      /* -1: all */
};
bool record_matches(const struct prediction_record *r, const struct record_filter *f);
/* Records that match; a scan of the log. by_release: {"r1": n, …}. */
enum err_code feedback_log_count(struct feedback_log *l, const struct record_filter *f,
                                 struct arena *a, uint64_t *ret_n, struct json **ret_by_release,
                                 struct err *err) MUST_CHECK;
/* The last `limit` (<= 10,000) that match, oldest first, as JSON. */
enum err_code feedback_log_query(struct feedback_log *l, const struct record_filter *f,
                                 size_t limit, struct arena *a, struct json **ret,
                                 struct err *err) MUST_CHECK;

/* Retention keeps everything at or behind the pin of this name (a fold's position). */
void feedback_log_pin(struct feedback_log *l, const char *name, const struct log_pos *pos);
size_t feedback_log_retain(struct feedback_log *l, int64_t now_us);
void feedback_log_stats(struct feedback_log *l, struct feedback_log_stats *ret);

#endif
