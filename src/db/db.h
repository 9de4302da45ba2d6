/* The metadata store: one interface over SQLite (a laptop) and PostgreSQL (a company).
 *
 * One writer thread owns the write connection and commits groups of requests together (each in its
 * own savepoint, so that one caller's error undoes only its own part); readers have connections of
 * their own. SQL is the subset that both speak, `?` placeholders, BIGINT / DOUBLE PRECISION / TEXT
 * / BLOB columns (BLOB is written `BYTEA` for PostgreSQL by the migration runner). Values are
 * always bound, never spliced. Placeholder kinds: i int64_t · f double · s const char * (NULL = SQL
 * NULL) · t struct str text · b struct str bytes · n no argument, NULL.
 *
 *     static enum err_code put(struct db_tx *tx, void *arg, struct err *err) {
 *         return db_exec(tx, err, "INSERT INTO aliases(name, alias, version) VALUES (?,?,?)",
 *                        "ssi", n, a, v);
 *     }
 *     code = db_write(db, put, &arg, err);             // returns when it is durable
 *
 * A failed statement spoils its callback: every later one in it fails too and the part is undone
 * (PostgreSQL can do nothing else; SQLite is held to the same). Look before, use ON CONFLICT, or
 * wrap the attempt in db_try. LIKE is case-sensitive on both; text sorts by bytes on both; text
 * must be UTF-8 without NUL.
 *
 * A NaN in an `f` is refused (ERR_INVALID): store value and kind. Errors: ERR_EXISTS for a unique
 * violation, ERR_CONFLICT for a foreign key, ERR_UNAVAILABLE while the store cannot be reached or
 * is locked past its deadline, ERR_IO when it is broken. Threads: db_* from any; a db_tx only
 * inside its callback. */
#ifndef PAWL_DB_DB_H
#define PAWL_DB_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct db;
struct db_tx;
struct db_rows;

struct db_options {
    const char *url; /* "sqlite:PATH" or "postgresql://…" or "host=… dbname=…" */
    int n_readers;   /* 1..16 */
    int64_t busy_ms; /* how long a locked store is waited for */
    /* True: a store that cannot be reached now is no error of db_open; every call tries to reach
     * (and, when it may, migrate) it and gives ERR_UNAVAILABLE until it is there. For the server,
     * which serves without it. */
    bool may_be_down;
    bool may_migrate;       /* only the server and `pawl migrate` */
    const char *backup_dir; /* where SQLite is copied before a migration; NULL: none is taken */
    const struct db_migration *migrations; /* NULL: those of this program; tests bring their own */
    size_t n_migrations;
};

/* One step of the schema, from src/db/migrations/NNNN_name.sql. Statements end in a NULL. */
struct db_migration {
    int number;
    const char *name;
    int min_reader,
        min_writer; /* oldest schema version whose programs may read / write the store after it */
    const char *const *sqlite, *const *postgres;
};
extern const struct db_migration DB_MIGRATIONS[];
extern const size_t N_DB_MIGRATIONS;

/* Opens and, when it may, migrates; an empty store is filled by anybody. A store that is newer than
 * this program is refused (ERR_UNSUPPORTED) unless its min_reader and min_writer let this program
 * in; one that is older and may not be migrated here is ERR_REFUSED. */
enum err_code db_open(const struct db_options *opt, struct db **ret, struct err *err) MUST_CHECK;
void db_close(struct db *db); /* waits for queued writes */
bool db_is_postgres(const struct db *db);
int db_schema_version(const struct db *db);

typedef enum err_code (*db_fn)(struct db_tx *tx, void *arg, struct err *err);

/* Runs fn on the writer thread inside the current group and returns once the group is committed. fn
 * may run twice when a group is retried: it must not have effects outside the transaction. */
enum err_code db_write(struct db *db, db_fn fn, void *arg, struct err *err) MUST_CHECK;
/* Runs fn on a reader connection in one read transaction (a stable view). */
enum err_code db_read(struct db *db, db_fn fn, void *arg, struct err *err) MUST_CHECK;
/* Copies the whole store into a new file (SQLite, VACUUM INTO); ERR_UNSUPPORTED on PostgreSQL,
 * which has pg_dump. */
enum err_code db_backup(struct db *db, const char *path, struct err *err) MUST_CHECK;
/* For a file test or a probe: ERR_OK when a write could be committed now. */
enum err_code db_ping(struct db *db, struct err *err) MUST_CHECK;

/* One statement without rows; statements are prepared once per connection. */
enum err_code db_exec(struct db_tx *tx, struct err *err, const char *sql, const char *kinds,
                      ...) MUST_CHECK;
/* Rows changed by the last db_exec of this transaction. */
int64_t db_changes(const struct db_tx *tx);

/* As db_exec and db_query, with the values in an array: for statements that are put together at run
 * time. */
struct db_arg {
    char kind; /* as above; t for any text */
    union {
        int64_t i;
        double f;
        struct str t;
    } u;
};
enum err_code db_exec_args(struct db_tx *tx, struct err *err, const char *sql,
                           const struct db_arg *args, size_t n) MUST_CHECK;
enum err_code db_query_args(struct db_tx *tx, struct db_rows **ret, struct err *err,
                            const char *sql, const struct db_arg *args, size_t n) MUST_CHECK;

/* Runs fn in a savepoint of its own inside tx: when it fails, its part alone is undone and tx goes
 * on. */
enum err_code db_try(struct db_tx *tx, db_fn fn, void *arg, struct err *err) MUST_CHECK;
/* The next number of a named sequence, from 1, never given twice to committed work. The sequence
 * appears on first use. */
enum err_code db_next_number(struct db_tx *tx, const char *sequence, int64_t *ret,
                             struct err *err) MUST_CHECK;
bool db_tx_is_postgres(const struct db_tx *tx);

/* Rows: open, next until false, close (also after an error). Texts are borrowed until the next
 * db_next. */
enum err_code db_query(struct db_tx *tx, struct db_rows **ret, struct err *err, const char *sql,
                       const char *kinds, ...) MUST_CHECK;
bool db_next(struct db_rows *r); /* false at the end or on error: ask db_done */
enum err_code db_done(struct db_rows *r,
                      struct err *err) MUST_CHECK; /* closes; the error, if one ended it */
bool db_is_null(const struct db_rows *r, int col);
int64_t db_i64(const struct db_rows *r, int col);                /* NULL -> 0 */
double db_f64(const struct db_rows *r, int col);                 /* NULL -> 0 */
struct str db_str(const struct db_rows *r, int col);             /* NULL -> STR_NONE */
char *db_dup(const struct db_rows *r, int col, struct arena *a); /* NULL -> NULL */
struct str db_blob(const struct db_rows *r, int col);
/* One value: ERR_NOT_FOUND when there is no row. */
enum err_code db_get_i64(struct db_tx *tx, int64_t *ret, struct err *err, const char *sql,
                         const char *kinds, ...) MUST_CHECK;

/* The same for a text (NULL -> NULL), copied into the arena. */
enum err_code db_get_str(struct db_tx *tx, struct arena *a, char **ret, struct err *err,
                         const char *sql, const char *kinds, ...) MUST_CHECK;

#endif
