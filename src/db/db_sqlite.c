/* SQLite behind the driver table.
 *
 * One connection a thread's turn, opened when first used and again after anything that makes its
 * state doubtful: an I/O error, damage, or the file being another one than was opened (moved away,
 * restored from a copy). So a store that comes back is found without a restart. The first
 * connection of a home may make the file; a later one may not, or a lost store would silently
 * become an empty one. */
#include "db/db_int.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"

struct db_conn {
    const struct db *db;
    enum db_mode mode;
    sqlite3 *h; /* NULL: closed */
    dev_t dev;  /* of the file when it was opened */
    ino_t ino;
    bool is_doubtful; /* reopen before the next transaction */
    bool was_open;    /* the file has been there: do not make it again */
    struct db_stmts stmts;
};

struct lite_rows {
    struct db_rows base;
    struct db_conn *conn;
    struct db_stmt *slot; /* NULL: stmt is not cached and ours to finalize */
    sqlite3_stmt *stmt;
    int code;       /* of the last step */
    bool is_primed; /* the first step is taken, its row not yet given */
};

static void stmt_drop(void *owner, void *handle)
{
    sqlite3_finalize(handle);
}

static enum err_code code_of(int ext)
{
    switch (ext) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return ERR_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return ERR_CONFLICT;
    default:
        break;
    }
    switch (ext & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return ERR_INVALID;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return ERR_UNAVAILABLE;
    case SQLITE_FULL:
    case SQLITE_IOERR:
        return ERR_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_TOOBIG:
        return ERR_TOO_LARGE;
    default:
        return ERR_INTERNAL;
    }
}

/* What a person should do, for the failures that are not the program's. */
static const char *advice_of(int ext)
{
    switch (ext & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another process holds its lock; it is waited for and tried again";
    case SQLITE_FULL:
        return "its disk is full; free some space, nothing else is needed";
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return "it may not be written; check owner and mode of file and folder";
    case SQLITE_CANTOPEN:
        return "it cannot be opened; check that the file is there and may be read";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "the file is damaged; put back a copy from the home's backups";
    default:
        return NULL;
    }
}

static enum err_code lite_fail(struct db_conn *c, int ext, const char *what, struct err *err)
{
    enum err_code code = code_of(ext);
    const char *advice = advice_of(ext);
    const char *said = c->h ? sqlite3_errmsg(c->h) : sqlite3_errstr(ext);
    if (code == ERR_IO || code == ERR_CORRUPT || (ext & 0xff) == SQLITE_CANTOPEN ||
        (ext & 0xff) == SQLITE_READONLY)
        c->is_doubtful = true;
    if (advice)
        return err_set(err, code, "metadata store %s: %s (%s)", c->db->path, said, advice);
    if (code == ERR_INTERNAL)
        return err_set(err, code, "metadata store %s: %s, in \"%s\"", c->db->path, said, what);
    return err_set(err, code, "metadata store: %s", said);
}

static void lite_close(struct db_conn *c, bool is_moved)
{
    if (!c->h)
        return;
    db_stmts_clear(&c->stmts);
    /* The log beside the path now belongs to whatever file lies there. */
    if (is_moved)
        sqlite3_db_config(c->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(c->h);
    c->h = NULL;
}

static const char *const PRAGMAS[DB_MODE_N] = {
    [DB_MODE_READ] = "PRAGMA case_sensitive_like = ON; PRAGMA foreign_keys = ON;"
                     "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;",
    [DB_MODE_WRITE] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                      "PRAGMA foreign_keys = ON; PRAGMA case_sensitive_like = ON;"
                      "PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;",
};

static enum err_code lite_open(struct db_conn *c, struct err *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (c->mode == DB_MODE_READ || c->db->is_read_only)
        flags |= SQLITE_OPEN_READONLY;
    else
        flags |= SQLITE_OPEN_READWRITE | (c->was_open ? 0 : SQLITE_OPEN_CREATE);
    int rc = sqlite3_open_v2(c->db->path, &c->h, flags, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(c->h, (int)c->db->busy_ms);
        sqlite3_db_config(c->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(c->h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        enum db_mode as = (flags & SQLITE_OPEN_READONLY) ? DB_MODE_READ : DB_MODE_WRITE;
        rc = sqlite3_exec(c->h, PRAGMAS[as], NULL, NULL, NULL);
    }
    struct stat st;
    if (rc == SQLITE_OK && stat(c->db->path, &st) != 0)
        rc = SQLITE_CANTOPEN;
    if (rc != SQLITE_OK) {
        enum err_code code = lite_fail(c, rc, "open", err);
        lite_close(c, false);
        return code;
    }
    c->dev = st.st_dev;
    c->ino = st.st_ino;
    c->is_doubtful = false;
    c->was_open = true;
    return ERR_OK;
}

/* An open connection to the file that lies at the path now. */
static enum err_code lite_ensure(struct db_conn *c, struct err *err)
{
    if (c->h) {
        struct stat st;
        bool is_there = stat(c->db->path, &st) == 0;
        bool is_moved = !is_there || st.st_dev != c->dev || st.st_ino != c->ino;
        if (is_moved || c->is_doubtful)
            lite_close(c, is_moved);
    }
    return c->h ? ERR_OK : lite_open(c, err);
}

static enum err_code lite_conn_new(const struct db *db, enum db_mode mode, struct db_conn **ret,
                                   struct err *err)
{
    struct db_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return err_nomem(err);
    c->db = db;
    c->mode = mode;
    db_stmts_init(&c->stmts, stmt_drop, c);
    *ret = c;
    return ERR_OK;
}

static void lite_conn_free(struct db_conn *c)
{
    if (!c)
        return;
    lite_close(c, false);
    free(c);
}

static enum err_code lite_run(struct db_conn *c, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(c->h, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : lite_fail(c, rc, sql, err);
}

static bool lite_is_in_tx(const struct db_conn *c)
{
    return c->h && !sqlite3_get_autocommit(c->h);
}

static void lite_rollback(struct db_conn *c)
{
    if (lite_is_in_tx(c) && sqlite3_exec(c->h, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        c->is_doubtful = true;
}

static enum err_code lite_begin(struct db_conn *c, struct err *err)
{
    enum err_code code = lite_ensure(c, err);
    if (code == ERR_OK)
        code = lite_run(c, c->mode == DB_MODE_WRITE ? "BEGIN IMMEDIATE" : "BEGIN", err);
    return code;
}

static enum err_code lite_commit(struct db_conn *c, enum db_fate *ret_fate, struct err *err)
{
    *ret_fate = DB_FATE_UNDONE;
    enum err_code code = lite_run(c, "COMMIT", err);
    if (code != ERR_OK)
        lite_rollback(c);
    return code;
}

/* keep: SQLITE_STATIC when the caller's bytes outlive the statement's steps, else SQLITE_TRANSIENT.
 * */
static int bind_one(sqlite3_stmt *s, int at, const struct db_arg *arg, sqlite3_destructor_type keep)
{
    switch (arg->kind) {
    case 'i':
        return sqlite3_bind_int64(s, at, arg->u.i);
    case 'f':
        return sqlite3_bind_double(s, at, arg->u.f);
    case 't':
        return sqlite3_bind_text64(s, at, arg->u.t.p, arg->u.t.n, keep, SQLITE_UTF8);
    case 'b':
        return arg->u.t.n ? sqlite3_bind_blob64(s, at, arg->u.t.p, arg->u.t.n, keep)
                          : sqlite3_bind_zeroblob(s, at, 0);
    case 'n':
        return sqlite3_bind_null(s, at);
    default:
        UNREACHABLE();
    }
}

/* Prepares into *ret; its slot is NULL when the cache had no room. */
static enum err_code lite_prepare(struct db_conn *c, const char *sql, struct lite_rows *ret,
                                  struct err *err)
{
    uint64_t key = db_stmt_key(sql, NULL, 0);
    struct db_stmt *slot = db_stmts_find(&c->stmts, key, sql);
    sqlite3_stmt *stmt = slot ? slot->handle : NULL;
    if (!slot) {
        const char *tail = NULL;
        int rc = sqlite3_prepare_v3(c->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
        if (rc != SQLITE_OK || !stmt)
            return lite_fail(c, rc ? rc : SQLITE_MISUSE, sql, err);
        CHECK(tail && *tail == '\0');
        slot = db_stmts_put(&c->stmts, key, sql, stmt);
    }
    *ret = (struct lite_rows){.conn = c, .slot = slot, .stmt = stmt};
    if (slot)
        slot->is_busy = true;
    return ERR_OK;
}

static int bind_all(sqlite3_stmt *s, const struct db_arg *args, size_t n,
                    sqlite3_destructor_type keep)
{
    CHECK(sqlite3_bind_parameter_count(s) == (int)n);
    int rc = SQLITE_OK;
    for (size_t i = 0; i < n && rc == SQLITE_OK; i++)
        rc = bind_one(s, (int)i + 1, &args[i], keep);
    return rc;
}

static void lite_unprepare(struct lite_rows *r)
{
    if (!r->stmt)
        return;
    if (r->slot) {
        sqlite3_reset(r->stmt);
        sqlite3_clear_bindings(r->stmt);
        r->slot->is_busy = false;
    } else {
        sqlite3_finalize(r->stmt);
    }
    r->stmt = NULL;
}

static enum err_code lite_exec(struct db_conn *c, const char *sql, const struct db_arg *args,
                               size_t n, int64_t *ret_changes, struct err *err)
{
    struct lite_rows r = {0};
    enum err_code code = lite_prepare(c, sql, &r, err);
    if (code != ERR_OK)
        return code;
    int rc = bind_all(r.stmt, args, n, SQLITE_STATIC);
    if (rc == SQLITE_OK) {
        do
            rc = sqlite3_step(r.stmt);
        while (rc == SQLITE_ROW);
    }
    if (rc == SQLITE_DONE)
        *ret_changes = sqlite3_changes64(c->h);
    else
        code = lite_fail(c, rc, sql, err);
    lite_unprepare(&r);
    return code;
}

/* Takes the first step at once, so that errors and the changes of a RETURNING come when
 * PostgreSQL's would. */
static enum err_code lite_query(struct db_conn *c, const char *sql, const struct db_arg *args,
                                size_t n, struct db_rows **ret, struct err *err)
{
    struct lite_rows *r = calloc(1, sizeof(*r));
    if (!r)
        return err_nomem(err);
    enum err_code code = lite_prepare(c, sql, r, err);
    if (code == ERR_OK) {
        r->code = bind_all(r->stmt, args, n, SQLITE_TRANSIENT);
        if (r->code == SQLITE_OK)
            r->code = sqlite3_step(r->stmt);
        if (r->code != SQLITE_ROW && r->code != SQLITE_DONE)
            code = lite_fail(c, r->code, sql, err);
    }
    if (code != ERR_OK) {
        lite_unprepare(r);
        free(r);
        return code;
    }
    r->is_primed = true;
    *ret = &r->base;
    return ERR_OK;
}

static struct lite_rows *lite_of(const struct db_rows *r)
{
    return (struct lite_rows *)(uintptr_t)r;
}

static bool lite_next(struct db_rows *base)
{
    struct lite_rows *r = lite_of(base);
    if (!r->is_primed && r->code == SQLITE_ROW)
        r->code = sqlite3_step(r->stmt);
    r->is_primed = false;
    return r->code == SQLITE_ROW;
}

static enum err_code lite_done(struct db_rows *base, struct err *err)
{
    struct lite_rows *r = lite_of(base);
    enum err_code code = ERR_OK;
    if (r->code != SQLITE_ROW && r->code != SQLITE_DONE)
        code = lite_fail(r->conn, r->code, sqlite3_sql(r->stmt), err);
    lite_unprepare(r);
    free(r);
    return code;
}

static bool lite_is_null(const struct db_rows *r, int col)
{
    return sqlite3_column_type(lite_of(r)->stmt, col) == SQLITE_NULL;
}

static int64_t lite_i64(const struct db_rows *r, int col)
{
    return sqlite3_column_int64(lite_of(r)->stmt, col);
}

static double lite_f64(const struct db_rows *r, int col)
{
    return sqlite3_column_double(lite_of(r)->stmt, col);
}

static struct str lite_str(const struct db_rows *r, int col)
{
    sqlite3_stmt *s = lite_of(r)->stmt;
    const char *p = (const char *)sqlite3_column_text(s, col);
    return p ? str_n(p, (size_t)sqlite3_column_bytes(s, col)) : STR_NONE;
}

static struct str lite_blob(const struct db_rows *r, int col)
{
    sqlite3_stmt *s = lite_of(r)->stmt;
    if (lite_is_null(r, col))
        return STR_NONE;
    const char *p = sqlite3_column_blob(s, col);
    return str_n(p ? p : "", (size_t)sqlite3_column_bytes(s, col));
}

static void lite_set_deadline(struct db_conn *c, int64_t timeout_ms)
{
    /* SQLite's statements run on this machine; only its locks are waited for (busy_ms). */
}

const struct db_driver DB_SQLITE = {
    .name = "sqlite",
    .conn_new = lite_conn_new,
    .conn_free = lite_conn_free,
    .begin = lite_begin,
    .commit = lite_commit,
    .rollback = lite_rollback,
    .is_in_tx = lite_is_in_tx,
    .run = lite_run,
    .exec = lite_exec,
    .query = lite_query,
    .next = lite_next,
    .done = lite_done,
    .is_null = lite_is_null,
    .get_i64 = lite_i64,
    .get_f64 = lite_f64,
    .get_str = lite_str,
    .get_blob = lite_blob,
    .set_deadline = lite_set_deadline,
};
