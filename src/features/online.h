/* The online store: for each (view version, entity key) the last few values, ordered by (event
 * time, known at).
 *
 * A read at time t returns the newest value with event time <= t and known at <= t: what the
 * point-in-time join returns offline. So late requests, replays and parity checks see the same
 * value. On LMDB: readers never wait, there is one writer with short transactions, each synced
 * (what was acknowledged survives kill -9 and a crash). One struct online per home and process; a
 * directory on a network file system is refused by LMDB itself.
 *
 * Threads: put, drop and restore from any thread (one at a time inside); each reading thread has
 * its own online_reader. Values read are valid until online_end. */
#ifndef PAWL_FEATURES_ONLINE_H
#define PAWL_FEATURES_ONLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/value.h"

#define ONLINE_HISTORY_DEFAULT 48
#define ONLINE_HISTORY_MAX     4096
#define ONLINE_COLUMNS_MAX     1024
#define ONLINE_KEYS_MAX        8
#define ONLINE_KEY_BYTES_MAX   4096      /* encoded key */
#define ONLINE_ROW_BYTES_MAX   (1 << 20) /* one value with its columns */
#define ONLINE_VIEWS_MAX       65535
#define ONLINE_MAP_BYTES       (INT64_C(1) << 38) /* address space, not memory */

struct online;

struct online_options {
    const char *dir;   /* created when absent */
    int64_t map_bytes; /* 0: ONLINE_MAP_BYTES; fixed at open; a full map is ERR_LIMIT */
    int n_readers_max; /* 0: 512 */
};
enum err_code online_open(const struct online_options *opt, struct online **ret,
                          struct err *err) MUST_CHECK;
void online_close(struct online *o); /* all readers must be closed; accepts NULL */

/* ---- views ---- */
struct online_column {
    const char *name;
    enum value_type type;
};

struct online_schema {
    const char *view, *version; /* the version names it: same version, same columns */
    const struct online_column *columns;
    size_t n_columns;
    size_t n_keys;
    int history; /* values kept for a key; 0: ONLINE_HISTORY_DEFAULT */
};

/* Makes the view version known. Known already with the same columns: ok (a new history count is
 * taken over); with other columns: ERR_CONFLICT. */
enum err_code online_declare(struct online *o, const struct online_schema *s,
                             struct err *err) MUST_CHECK;

/* A batch of rows of one view version, as columns of n rows; nulls in values are kept as nulls, a
 * null in keys, time or known_at skips the row and counts it. */
struct online_batch {
    const char *view, *version;
    size_t n;
    const struct column *keys; /* n_keys, in the view's entity order */
    const struct column
        *values; /* n_columns, in the schema's order and types (int is taken for float) */
    const struct column *time;     /* VAL_TIME: event time */
    const struct column *known_at; /* VAL_TIME; NULL: the event time */
};

struct online_put_stats {
    int64_t n_stored;   /* new values */
    int64_t n_replaced; /* same key, event time and known at as one that was there */
    int64_t n_too_old;  /* older than everything kept for its key, which was full */
    int64_t n_skipped;  /* null key or time */
    int64_t n_late;     /* stored before a newer one */
};

/* Stores the rows in any order. Committed and synced in pieces of at most ONLINE_BATCH_ROWS; after
 * an error the pieces before it stay (putting the same rows again changes nothing). Errors
 * ERR_NOT_FOUND view version not declared; ERR_INVALID types; ERR_LIMIT map full; ERR_IO */
#define ONLINE_BATCH_ROWS 20000
enum err_code online_put(struct online *o, const struct online_batch *b,
                         struct online_put_stats *ret, struct err *err) MUST_CHECK;

/* Forgets a view version with its values, in short transactions; not there: ok. */
enum err_code online_drop(struct online *o, const char *view, const char *version,
                          struct err *err) MUST_CHECK;

/* Takes out the values known after to_us: what `features restore VIEW --to TIME` does. */
enum err_code online_restore(struct online *o, const char *view, const char *version, int64_t to_us,
                             int64_t *ret_n_removed, struct err *err) MUST_CHECK;

struct online_view_info {
    const char *view, *version;
    int64_t n_keys;    /* entities */
    int64_t n_puts;    /* values stored since declared */
    int64_t newest_us; /* newest event time; AT_US_NONE: empty */
    int64_t newest_known_us;
    int history;
    size_t n_columns, n_entity_keys;
    struct online_column *columns;
};
/* Every view version, by view and version. */
enum err_code online_views(struct online *o, struct arena *a, struct online_view_info **ret,
                           size_t *ret_n, struct err *err) MUST_CHECK;

/* ---- reading ---- */
enum online_status { ONLINE_PRESENT, ONLINE_NOT_FOUND, ONLINE_OUTSIDE_MAX_AGE, ONLINE_STATUS_N };
const char *online_status_name(enum online_status s); /* "PRESENT" "NOT_FOUND" "OUTSIDE_MAX_AGE" */

struct online_reader;
enum err_code online_reader_new(struct online *o, struct online_reader **ret,
                                struct err *err) MUST_CHECK;
void online_reader_free(struct online_reader *r); /* accepts NULL */

/* One view version as a reader wants it; resolves again by itself when the version is declared or
 * dropped. Set the first four members, the rest to zero. */
struct online_view_ref {
    const char *view, *version; /* owner: the caller, as long as the ref is used */
    const char *const *columns; /* wanted, by name; NULL: the first n_columns as they are stored */
    size_t n_columns;
    uint64_t generation; /* of the store when it was resolved; 0: never */
    uint32_t id;         /* 0: not there */
    uint32_t n_stored;
    uint8_t types[ONLINE_COLUMNS_MAX]; /* enum value_type of the stored columns */
    int16_t to[ONLINE_COLUMNS_MAX];    /* stored column -> wanted one, -1: not wanted */
};

/* A consistent view of the store until online_end; cheap (0.1 us). Must not nest, must be ended
 * soon. */
enum err_code online_begin(struct online_reader *r, struct err *err) MUST_CHECK;
void online_end(struct online_reader *r);

struct online_query {
    const struct value *keys; /* of the view's entity keys, in their order */
    size_t n_keys;
    int64_t t_us;   /* as of */
    int64_t ttl_us; /* 0 or less: unlimited; a value at t - ttl exactly is PRESENT */
};

struct online_hit {
    enum online_status status;
    int64_t time_us, known_us; /* AT_US_NONE when NOT_FOUND */
};

/* vals    room for view->n_columns, filled in the order wanted when PRESENT or OUTSIDE_MAX_AGE; a
 *         column that is not stored is null; strings are valid until online_end
 * Errors  ERR_CORRUPT, ERR_IO
 * Cost    1-3 us; no allocation. */
enum err_code online_get(struct online_reader *r, struct online_view_ref *view,
                         const struct online_query *q, struct value *vals, struct online_hit *ret,
                         struct err *err) MUST_CHECK;

#endif
