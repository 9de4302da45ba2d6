/* Private to the online store: records in LMDB and how they are coded.
 *
 * Database "meta": "format" -> magic, version, byte order; "next" -> the next id;
 *   'v' view NUL version -> view record: view_head, then type, length and name of each column
 * Database "data": id (4 bytes, big-endian, so that a view's keys lie together) and the 128-bit
 *   hash of the key -> list record: u32 key bytes, u32 n, key, n x entry_head, rows
 * Entries are ordered by (event time, known at), at most `history` of them. A row is a bitmap of
 * its nulls and the other columns in order: bool 1 byte, int, float and time 8, string u32 length
 * and bytes. Numbers are in the machine's own order (LMDB files are too). LMDB aligns values to 2
 * bytes: all access is by memcpy. */
#ifndef PAWL_FEATURES_ONLINE_INT_H
#define PAWL_FEATURES_ONLINE_INT_H

#include <lmdb.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/thread.h"
#include "features/online.h"

#define ONLINE_FORMAT         1
#define ONLINE_DATA_KEY       20
#define ONLINE_META_KEY_MAX   500 /* LMDB's limit is 511 */
#define ONLINE_MUTEX_RANK     800 /* a leaf: nothing else is locked while it is held */
#define ONLINE_LIST_BYTES_MAX (INT64_C(1) << 30)

struct online {
    MDB_env *env;
    MDB_dbi meta, data;
    struct mutex writer;
    _Atomic uint64_t generation; /* of the set of views; starts at 1 */
    _Atomic uint64_t n_commits;  /* commits begun: see online_begin */
};

/* Fixed part of a view record; names of the columns follow. */
struct view_head {
    uint32_t id, history, n_entity_keys, n_columns, is_dropped, unused;
    int64_t n_keys, n_puts, newest_us, newest_known_us;
};

struct view_record {
    struct view_head head;
    struct online_column columns[ONLINE_COLUMNS_MAX]; /* names in the record's own memory */
    char *names;                                      /* heap */
};

struct entry_head {
    int64_t time_us, known_us;
    uint32_t offset, bytes; /* of the row, from the start of the rows */
};

/* A list record taken apart; pointers into it. */
struct list_view {
    struct str key;
    size_t n;
    const char *heads; /* n entry_head */
    struct str rows;
};

static inline MDB_val online_val(const void *p, size_t n)
{
    return (MDB_val){.mv_size = n, .mv_data = (void *)(uintptr_t)p};
}
enum err_code online_lmdb_err(int rc, struct err *err, const char *what) MUST_CHECK;

/* Every commit of a write goes through here. Ends txn in any case. */
enum err_code online_commit(struct online *o, MDB_txn *txn, struct err *err) MUST_CHECK;

/* Meta key of a view version; false when the names are too long or empty. */
bool online_meta_key(const char *view, const char *version, char out[ONLINE_META_KEY_MAX],
                     size_t *ret_n);
/* ERR_NOT_FOUND without a message when it is not there (or dropped). */
enum err_code online_view_load(struct online *o, MDB_txn *txn, const char *view,
                               const char *version, struct view_record *ret,
                               struct err *err) MUST_CHECK;
enum err_code online_view_store(struct online *o, MDB_txn *txn, const char *view,
                                const char *version, const struct view_record *r,
                                struct err *err) MUST_CHECK;
enum err_code online_view_parse(MDB_val v, const char *view, struct view_record *ret,
                                struct err *err) MUST_CHECK;
void online_view_fini(struct view_record *r);
/* Finishes what a crash left of drops. */
enum err_code online_finish_drops(struct online *o, struct err *err) MUST_CHECK;

void online_data_key(uint32_t id, struct str key, uint8_t out[ONLINE_DATA_KEY]);
bool online_list_parse(struct str record, struct list_view *ret); /* false: damaged */
struct entry_head online_list_head(const struct list_view *l, size_t i);
/* (time, known at) order. */
int online_entry_cmp(const struct entry_head *a, const struct entry_head *b);

/* Appends a row. vals have the columns' types or are null; an int is taken for a float. */
void online_row_put(struct buf *out, const struct online_column *cols, const struct value *vals,
                    size_t n);
/* Fills ref->n_columns values; false: damaged. */
bool online_row_get(struct str row, const struct online_view_ref *ref, struct value *vals);

/* ---- writing: one transaction after the other on one view version, under the writer's mutex ----
 */
struct online_write {
    struct online *o;
    const char *view, *version;
    MDB_txn *txn;
    struct view_record *r;
    /* a list in the making: entries, their rows, which of them are new */
    struct entry_head *heads;
    const char **rows;
    bool *is_new;
    struct buf list;
};
#define ONLINE_WRITE_CAP (ONLINE_HISTORY_MAX + ONLINE_BATCH_ROWS)

enum err_code online_write_init(struct online_write *w, struct online *o, const char *view,
                                const char *version, struct err *err) MUST_CHECK;
void online_write_fini(struct online_write *w);
/* Starts a transaction and loads the view's record. */
enum err_code online_write_begin(struct online_write *w, struct err *err) MUST_CHECK;
/* Ends it: rc ERR_OK stores the record and commits (synced), anything else aborts. Returns rc or
 * what failed. */
enum err_code online_write_end(struct online_write *w, enum err_code rc,
                               struct err *err) MUST_CHECK;
/* Writes entries first .. n-1 as the list of a key. */
enum err_code online_write_list(struct online_write *w, const uint8_t data_key[ONLINE_DATA_KEY],
                                struct str key, size_t first, size_t n, struct err *err) MUST_CHECK;
/* Parsed, and every entry inside the record. */
bool online_list_is_sound(const struct list_view *l);

#endif
