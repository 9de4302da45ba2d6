/* Brings a store to this program's schema, one migration a transaction, after a copy was taken.
 *
 * Each applied migration has a row in pawl_schema with the oldest program that may still read or
 * write the store. A store without that table is new and is filled by whoever comes first; an older
 * one is changed only by those who may. */
#include "db/db_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"

#define MIGRATION_MS (INT64_C(30) * 60 * 1000)

static const char *const BOOKKEEPING[DB_MODE_N][3] = {
    {"CREATE TABLE IF NOT EXISTS pawl_schema (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
     " min_reader INTEGER NOT NULL, min_writer INTEGER NOT NULL, applied_us INTEGER NOT NULL) "
     "STRICT",
     "CREATE TABLE IF NOT EXISTS sequences (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
     NULL},
    {"CREATE TABLE IF NOT EXISTS pawl_schema (number BIGINT PRIMARY KEY, name TEXT NOT NULL,"
     " min_reader BIGINT NOT NULL, min_writer BIGINT NOT NULL, applied_us BIGINT NOT NULL)",
     "CREATE TABLE IF NOT EXISTS sequences (name TEXT COLLATE \"C\" PRIMARY KEY,"
     " value BIGINT NOT NULL)",
     "LOCK TABLE pawl_schema IN ACCESS EXCLUSIVE MODE"},
};

/* What the store says of itself. */
struct schema_state {
    bool is_empty;
    int version;                /* greatest number applied */
    int min_reader, min_writer; /* of the migrations this program does not know */
    bool has[10000];            /* by number */
};

static enum err_code state_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct schema_state *s = arg;
    struct db_rows *rows = NULL;
    int64_t n = 0;
    int known = 0;
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < tx->db->n_migrations; i++)
        known = tx->db->migrations[i].number;
    enum err_code code = db_get_i64(
        tx, &n, err,
        db_tx_is_postgres(tx)
            ? "SELECT count(*) FROM pg_class WHERE relname = 'pawl_schema' AND relkind = 'r' AND"
              " pg_table_is_visible(oid)"
            : "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'pawl_schema'",
        "");
    s->is_empty = n == 0;
    if (code != ERR_OK || s->is_empty)
        return code;
    code = db_query(tx, &rows, err,
                    "SELECT number, min_reader, min_writer FROM pawl_schema ORDER BY number", "");
    if (code != ERR_OK)
        return code;
    while (db_next(rows)) {
        int number = (int)db_i64(rows, 0);
        s->version = number;
        if (number >= 0 && number < (int)ARRAY_LEN(s->has))
            s->has[number] = true;
        if (number > known && (int)db_i64(rows, 1) > s->min_reader)
            s->min_reader = (int)db_i64(rows, 1);
        if (number > known && (int)db_i64(rows, 2) > s->min_writer)
            s->min_writer = (int)db_i64(rows, 2);
    }
    s->is_empty = s->version == 0;
    return db_done(rows, err);
}

/* One transaction on the migration's own connection. */
static enum err_code in_tx(struct db *db, struct db_conn *conn, db_fn fn, void *arg,
                           struct err *err)
{
    struct db_tx tx;
    enum db_fate fate;
    enum err_code code = db->drv->begin(conn, err);
    if (code != ERR_OK)
        return code;
    db_tx_init(&tx, db, db->drv, conn, DB_MODE_WRITE);
    code = db_tx_run(&tx, fn, arg, err);
    if (code == ERR_OK)
        return db->drv->commit(conn, &fate, err);
    db->drv->rollback(conn);
    return code;
}

static enum err_code bookkeeping_make(struct db_tx *tx, void *arg, struct err *err)
{
    const char *const *sql = BOOKKEEPING[db_tx_is_postgres(tx)];
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < 3 && sql[i] && code == ERR_OK; i++)
        code = tx->drv->run(tx->conn, sql[i], err);
    return code;
}

static enum err_code migration_apply(struct db_tx *tx, void *arg, struct err *err)
{
    const struct db_migration *m = arg;
    int64_t n = 0;
    enum err_code code = bookkeeping_make(tx, NULL, err);
    if (code == ERR_OK)
        code = db_get_i64(tx, &n, err, "SELECT count(*) FROM pawl_schema WHERE number = ?", "i",
                          (int64_t)m->number);
    if (code != ERR_OK || n > 0)
        return code;
    const char *const *sql = db_tx_is_postgres(tx) ? m->postgres : m->sqlite;
    for (size_t i = 0; sql[i] && code == ERR_OK; i++)
        if ((code = tx->drv->run(tx->conn, sql[i], err)) != ERR_OK)
            err_wrap(err, "migration %04d_%s, statement %zu", m->number, m->name, i + 1);
    if (code != ERR_OK)
        return code;
    return db_exec(tx, err,
                   "INSERT INTO pawl_schema(number, name, min_reader, min_writer, applied_us)"
                   " VALUES (?, ?, ?, ?, ?)",
                   "isiii", (int64_t)m->number, m->name, (int64_t)m->min_reader,
                   (int64_t)m->min_writer, clock_now_us(&CLOCK_SYSTEM));
}

static enum err_code file_sync(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum err_code code = ERR_OK;
    if (fd < 0 || fsync(fd) != 0)
        code = err_errno(err, errno, "sync %s", path);
    fd_close(&fd);
    return code;
}

static enum err_code copy_with(struct db *db, struct db_conn *conn, const char *path,
                               struct err *err)
{
    struct buf sql;
    buf_init(&sql, PATH_BYTES * 2 + 64);
    buf_c(&sql, "VACUUM INTO '");
    for (const char *p = path; *p; p++) {
        if (*p == '\'')
            buf_ch(&sql, '\'');
        buf_ch(&sql, *p);
    }
    buf_c(&sql, "'");
    enum err_code code = buf_ok(&sql, err);
    /* begin opens the connection; VACUUM wants no transaction. */
    if (code == ERR_OK)
        code = db->drv->begin(conn, err);
    if (code == ERR_OK) {
        db->drv->rollback(conn);
        code = db->drv->run(conn, sql.p, err);
    }
    if (code == ERR_OK)
        code = file_sync(path, err);
    buf_fini(&sql);
    return code;
}

enum err_code db_copy_into(struct db *db, const char *path, struct err *err)
{
    struct db_conn *conn = NULL;
    enum err_code code = db->drv->conn_new(db, DB_MODE_WRITE, &conn, err);
    if (code == ERR_OK)
        code = copy_with(db, conn, path, err);
    db->drv->conn_free(conn);
    return code;
}

static enum err_code backup_before(struct db *db, struct db_conn *conn, int version,
                                   struct err *err)
{
    char path[PATH_BYTES], time[TIME_TEXT_BYTES];
    if (!db->backup_dir || !db->path || version == 0)
        return ERR_OK;
    enum err_code code = dir_make(db->backup_dir, 0700, err);
    time_text(time, clock_now_us(&CLOCK_SYSTEM));
    snprintf(path, sizeof(path), "%s/pawl-schema%04d-%s.db", db->backup_dir, version, time);
    if (code == ERR_OK)
        code = copy_with(db, conn, path, err);
    if (code == ERR_OK)
        code = dir_sync(db->backup_dir, err);
    return code == ERR_OK ? code : err_wrap(err, "copy the store before migrating it");
}

/* Judges a store that knows migrations which this program does not. */
static enum err_code newer_judge(struct db *db, const struct schema_state *s, int known,
                                 struct err *err)
{
    if (s->version <= known || (s->min_reader <= known && s->min_writer <= known))
        return ERR_OK;
    if (s->min_reader <= known) {
        db->is_read_only = true;
        return ERR_OK;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "the metadata store has schema %d, made by a newer version of this program "
                   "(this one knows %d): use that version, or restore a backup",
                   s->version, known);
}

static enum err_code pending_apply(struct db *db, struct db_conn *conn,
                                   const struct schema_state *s, struct err *err)
{
    enum err_code code = ERR_OK;
    size_t n_pending = 0;
    for (size_t i = 0; i < db->n_migrations; i++)
        n_pending += !s->has[db->migrations[i].number];
    if (n_pending == 0)
        return ERR_OK;
    if (!s->is_empty && !db->may_migrate)
        return err_set(err, ERR_REFUSED,
                       "the metadata store has schema %d and this program needs %d: run `pawl "
                       "migrate` (it takes a backup first), or start `pawl server`",
                       s->version, db->migrations[db->n_migrations - 1].number);
    code = backup_before(db, conn, s->version, err);
    for (size_t i = 0; i < db->n_migrations && code == ERR_OK; i++)
        if (!s->has[db->migrations[i].number])
            code = in_tx(db, conn, migration_apply, (void *)(uintptr_t)&db->migrations[i], err);
    return code;
}

static enum err_code schema_fit_with(struct db *db, struct db_conn *conn, struct schema_state *s,
                                     struct err *err)
{
    int known = db->n_migrations ? db->migrations[db->n_migrations - 1].number : 0;
    enum err_code code = in_tx(db, conn, state_read, s, err);
    if (code == ERR_OK)
        code = newer_judge(db, s, known, err);
    if (code == ERR_OK && s->is_empty)
        code = in_tx(db, conn, bookkeeping_make, NULL, err);
    if (code == ERR_OK && !db->is_read_only)
        code = pending_apply(db, conn, s, err);
    if (code == ERR_OK)
        db->schema_version = s->version > known ? s->version : known;
    return code;
}

static enum err_code schema_fit(struct db *db, struct err *err)
{
    struct db_conn *conn = NULL;
    struct schema_state *s = calloc(1, sizeof(*s));
    enum err_code code = s ? db->drv->conn_new(db, DB_MODE_WRITE, &conn, err) : err_nomem(err);
    if (code == ERR_OK) {
        db->drv->set_deadline(conn, MIGRATION_MS);
        code = schema_fit_with(db, conn, s, err);
    }
    db->drv->conn_free(conn);
    free(s);
    return code;
}

enum err_code db_ensure_ready(struct db *db, struct err *err)
{
    struct err local = ERR_INIT;
    int64_t asked_ns = mono_ns();
    mutex_lock(&db->ready_lock);
    if (!db->is_ready && db->tried_ns > asked_ns) {
        local = db->tried_err; /* somebody else just waited for the same answer */
    } else if (!db->is_ready) {
        db->is_ready = schema_fit(db, &local) == ERR_OK;
        db->tried_err = local;
        db->tried_ns = mono_ns();
    }
    mutex_unlock(&db->ready_lock);
    if (local.code != ERR_OK && err)
        *err = local;
    return local.code;
}
