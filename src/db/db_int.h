/* Inside db/: the table of functions that SQLite and PostgreSQL fill, and what writer, readers and
 * migrations share. */
#ifndef PAWL_DB_DB_INT_H
#define PAWL_DB_DB_INT_H

#include <stdarg.h>

#include "base/hash.h"
#include "base/thread.h"
#include "db/db.h"

#define DB_ARGS_MAX      1000 /* bound values of one statement */
#define DB_KINDS_MAX     64   /* of them, given one by one */
#define DB_GROUP_MAX     256  /* requests of one commit: bounds how long the first of them waits */
#define DB_READERS_MAX   16
#define DB_QUEUE_WAIT_MS 5000 /* beyond the busy deadline, for a request that nobody has begun */
#define DB_RANK_READERS  500
#define DB_RANK_WRITER   510
#define DB_RANK_READY    520

struct db_conn; /* the driver's own */

enum db_mode { DB_MODE_READ, DB_MODE_WRITE, DB_MODE_N };

/* What a failed commit or begin means for the work in it. */
enum db_fate {
    DB_FATE_UNDONE,  /* nothing of it is in the store */
    DB_FATE_UNKNOWN, /* the connection broke after COMMIT was sent, and the store cannot be asked */
    DB_FATE_N
};

/* A result set; the driver puts its own fields behind it. */
struct db_rows {
    const struct db_driver *drv;
    struct db_tx *tx;
};

struct db_driver {
    const char *name;
    /* Connects lazily: an error here is only for memory and a bad url. */
    enum err_code (*conn_new)(const struct db *db, enum db_mode mode, struct db_conn **ret,
                              struct err *err);
    void (*conn_free)(struct db_conn *c);
    /* (Re)connects when needed and starts a transaction. Nothing is open after an error. */
    enum err_code (*begin)(struct db_conn *c, struct err *err);
    enum err_code (*commit)(struct db_conn *c, enum db_fate *ret_fate, struct err *err);
    void (*rollback)(struct db_conn *c); /* never fails: a connection that cannot is dropped */
    /* False once the whole transaction is gone (connection lost, or undone by the store itself). */
    bool (*is_in_tx)(const struct db_conn *c);
    /* A statement without values or rows: savepoints, DDL. */
    enum err_code (*run)(struct db_conn *c, const char *sql, struct err *err);
    enum err_code (*exec)(struct db_conn *c, const char *sql, const struct db_arg *args, size_t n,
                          int64_t *ret_changes, struct err *err);
    enum err_code (*query)(struct db_conn *c, const char *sql, const struct db_arg *args, size_t n,
                           struct db_rows **ret, struct err *err);
    bool (*next)(struct db_rows *r);
    enum err_code (*done)(struct db_rows *r, struct err *err); /* frees r */
    bool (*is_null)(const struct db_rows *r, int col);
    int64_t (*get_i64)(const struct db_rows *r, int col);
    double (*get_f64)(const struct db_rows *r, int col);
    struct str (*get_str)(const struct db_rows *r, int col);
    struct str (*get_blob)(const struct db_rows *r, int col);
    /* Statements may take this long from now on. */
    void (*set_deadline)(struct db_conn *c, int64_t timeout_ms);
};

extern const struct db_driver DB_SQLITE, DB_POSTGRES;

struct db_tx {
    struct db *db;
    const struct db_driver *drv;
    struct db_conn *conn;
    enum db_mode mode;
    int depth;         /* of savepoints */
    int n_open_rows;   /* result sets not yet closed */
    int64_t n_changes; /* by the last db_exec */
    struct err failed; /* code != ERR_OK: a statement failed; sticky until its savepoint ends */
};

struct db {
    const struct db_driver *drv;
    char *url;  /* as given, for messages and PostgreSQL */
    char *path; /* SQLite's file; NULL for PostgreSQL */
    int n_readers;
    int64_t busy_ms;
    bool may_migrate;
    char *backup_dir; /* NULL: none */
    const struct db_migration *migrations;
    size_t n_migrations;
    struct mutex ready_lock; /* of the five below */
    bool is_ready;           /* the schema was looked at and fits */
    bool is_read_only;       /* a newer store that this program may only read */
    int schema_version;
    int64_t tried_ns; /* when reaching the store was last tried, and what came of it */
    struct err tried_err;
    struct db_writer *writer;
    struct db_readers *readers;
};

/* ---- db_args.c: values ---- */
/* Reads the variadic values by `kinds` into args[DB_KINDS_MAX]; ERR_INVALID for NaN, NUL bytes and
 * bad UTF-8. */
enum err_code db_args_read(struct db_arg *args, size_t *ret_n, const char *kinds, va_list ap,
                           struct err *err) MUST_CHECK;
enum err_code db_args_check(const struct db_arg *args, size_t n, struct err *err) MUST_CHECK;
/* Key of a prepared statement: the text and the kinds of its values. */
uint64_t db_stmt_key(const char *sql, const struct db_arg *args, size_t n);

/* ---- db_tx.c ---- */
void db_tx_init(struct db_tx *tx, struct db *db, const struct db_driver *drv, struct db_conn *conn,
                enum db_mode mode);
/* Runs fn in tx; ERR_OK only when neither fn nor a statement of it failed. */
enum err_code db_tx_run(struct db_tx *tx, db_fn fn, void *arg, struct err *err) MUST_CHECK;

/* ---- db_stmt.c: prepared statements of one connection ---- */
#define DB_STMT_WAYS 8
#define DB_STMT_SETS 32
struct db_stmt {
    uint64_t key; /* 0: empty */
    char *sql;    /* compared too: a hash is no proof */
    void *handle; /* the driver's */
    bool is_busy; /* in use by an open result set */
    uint64_t tick;
};
struct db_stmts {
    struct db_stmt slot[DB_STMT_SETS * DB_STMT_WAYS];
    uint64_t tick;
    void (*drop)(void *owner, void *handle);
    void *owner;
};
void db_stmts_init(struct db_stmts *s, void (*drop)(void *owner, void *handle), void *owner);
void db_stmts_clear(struct db_stmts *s);
/* The statement's slot; NULL when it is not there or busy. */
struct db_stmt *db_stmts_find(struct db_stmts *s, uint64_t key, const char *sql);
/* Takes the handle in, dropping the one not used for longest; NULL when all of its set are busy
 * (handle stays the caller's). */
struct db_stmt *db_stmts_put(struct db_stmts *s, uint64_t key, const char *sql, void *handle);

/* ---- db_pg_sql.c ---- */
/* SQL with $1, $2 … for each ? outside quotes. Heap; NULL without memory. */
char *db_pg_sql(const char *sql);
/* The error code of an SQLSTATE. */
enum err_code db_pg_code(const char *sqlstate);

/* ---- db_writer.c, db_readers.c ---- */
enum err_code db_writer_start(struct db *db, struct db_writer **ret, struct err *err) MUST_CHECK;
void db_writer_stop(struct db_writer *w); /* after what is queued; accepts NULL */
enum err_code db_writer_call(struct db_writer *w, db_fn fn, void *arg, struct err *err) MUST_CHECK;
enum err_code db_readers_open(struct db *db, struct db_readers **ret, struct err *err) MUST_CHECK;
void db_readers_close(struct db_readers *r); /* accepts NULL */
enum err_code db_readers_call(struct db_readers *r, db_fn fn, void *arg,
                              struct err *err) MUST_CHECK;

/* ---- db_migrate.c ---- */
/* Looks at the schema once, with a connection of its own; migrates when that is due and allowed. */
enum err_code db_ensure_ready(struct db *db, struct err *err) MUST_CHECK;
/* Copies the store into a new, synced file. SQLite only. */
enum err_code db_copy_into(struct db *db, const char *path, struct err *err) MUST_CHECK;

#endif
