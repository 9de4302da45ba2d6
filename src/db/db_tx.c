/* What callers do inside a transaction: statements, rows, savepoints. The rule that a failed
 * statement spoils its callback is kept here, so that SQLite (which could go on) and PostgreSQL
 * (which cannot) behave alike. */
#include "db/db_int.h"

#include <stdio.h>

#include "base/check.h"

void db_tx_init(struct db_tx *tx, struct db *db, const struct db_driver *drv, struct db_conn *conn,
                enum db_mode mode)
{
    *tx = (struct db_tx){.db = db, .drv = drv, .conn = conn, .mode = mode, .failed = ERR_INIT};
}

/* Keeps the first failure of the callback. */
static enum err_code spoil(struct db_tx *tx, struct err *local, struct err *err)
{
    if (tx->failed.code == ERR_OK)
        tx->failed = *local;
    if (err)
        *err = *local;
    return local->code;
}

static enum err_code refuse_spoiled(const struct db_tx *tx, struct err *err)
{
    return err_set(err, tx->failed.code, "an earlier statement of this transaction failed: %s",
                   tx->failed.msg);
}

enum err_code db_tx_run(struct db_tx *tx, db_fn fn, void *arg, struct err *err)
{
    struct err local = ERR_INIT;
    enum err_code code = fn(tx, arg, &local);
    CHECK(tx->n_open_rows == 0);
    if (code == ERR_OK && tx->failed.code != ERR_OK) {
        local = tx->failed;
        code = tx->failed.code;
    }
    if (code != ERR_OK && err)
        *err = local;
    return code;
}

enum err_code db_exec_args(struct db_tx *tx, struct err *err, const char *sql,
                           const struct db_arg *args, size_t n)
{
    struct err local = ERR_INIT;
    if (tx->failed.code != ERR_OK)
        return refuse_spoiled(tx, err);
    if (tx->mode == DB_MODE_READ)
        err_set(&local, ERR_INTERNAL, "a statement that writes was run in a read transaction");
    else if (db_args_check(args, n, &local) == ERR_OK &&
             tx->drv->exec(tx->conn, sql, args, n, &tx->n_changes, &local) == ERR_OK)
        return ERR_OK;
    return spoil(tx, &local, err);
}

enum err_code db_query_args(struct db_tx *tx, struct db_rows **ret, struct err *err,
                            const char *sql, const struct db_arg *args, size_t n)
{
    struct err local = ERR_INIT;
    struct db_rows *rows = NULL;
    if (tx->failed.code != ERR_OK)
        return refuse_spoiled(tx, err);
    if (db_args_check(args, n, &local) != ERR_OK ||
        tx->drv->query(tx->conn, sql, args, n, &rows, &local) != ERR_OK)
        return spoil(tx, &local, err);
    rows->drv = tx->drv;
    rows->tx = tx;
    tx->n_open_rows++;
    *ret = rows;
    return ERR_OK;
}

enum err_code db_exec(struct db_tx *tx, struct err *err, const char *sql, const char *kinds, ...)
{
    struct db_arg args[DB_KINDS_MAX];
    size_t n = 0;
    struct err local = ERR_INIT;
    va_list ap;
    va_start(ap, kinds);
    enum err_code code = db_args_read(args, &n, kinds, ap, &local);
    va_end(ap);
    return code == ERR_OK ? db_exec_args(tx, err, sql, args, n) : spoil(tx, &local, err);
}

static enum err_code query_va(struct db_tx *tx, struct db_rows **ret, struct err *err,
                              const char *sql, const char *kinds, va_list ap)
{
    struct db_arg args[DB_KINDS_MAX];
    size_t n = 0;
    struct err local = ERR_INIT;
    if (db_args_read(args, &n, kinds, ap, &local) != ERR_OK)
        return spoil(tx, &local, err);
    return db_query_args(tx, ret, err, sql, args, n);
}

enum err_code db_query(struct db_tx *tx, struct db_rows **ret, struct err *err, const char *sql,
                       const char *kinds, ...)
{
    va_list ap;
    va_start(ap, kinds);
    enum err_code code = query_va(tx, ret, err, sql, kinds, ap);
    va_end(ap);
    return code;
}

bool db_next(struct db_rows *r)
{
    return r->drv->next(r);
}

enum err_code db_done(struct db_rows *r, struct err *err)
{
    struct err local = ERR_INIT;
    struct db_tx *tx = r->tx;
    CHECK(tx->n_open_rows > 0);
    tx->n_open_rows--;
    if (r->drv->done(r, &local) == ERR_OK)
        return ERR_OK;
    return spoil(tx, &local, err);
}

bool db_is_null(const struct db_rows *r, int col)
{
    return r->drv->is_null(r, col);
}

int64_t db_i64(const struct db_rows *r, int col)
{
    return r->drv->get_i64(r, col);
}

double db_f64(const struct db_rows *r, int col)
{
    return r->drv->get_f64(r, col);
}

struct str db_str(const struct db_rows *r, int col)
{
    return r->drv->get_str(r, col);
}

struct str db_blob(const struct db_rows *r, int col)
{
    return r->drv->get_blob(r, col);
}

char *db_dup(const struct db_rows *r, int col, struct arena *a)
{
    return db_is_null(r, col) ? NULL : str_dup(a, db_str(r, col));
}

/* The first row of a one-row question stays open in *ret; without a row it is closed and
 * ERR_NOT_FOUND. */
static enum err_code first_row(struct db_rows *rows, struct err *err)
{
    if (db_next(rows))
        return ERR_OK;
    enum err_code code = db_done(rows, err);
    return code != ERR_OK ? code : err_set(err, ERR_NOT_FOUND, "the store has no such row");
}

enum err_code db_get_i64(struct db_tx *tx, int64_t *ret, struct err *err, const char *sql,
                         const char *kinds, ...)
{
    struct db_rows *rows = NULL;
    va_list ap;
    va_start(ap, kinds);
    enum err_code code = query_va(tx, &rows, err, sql, kinds, ap);
    va_end(ap);
    if (code == ERR_OK)
        code = first_row(rows, err);
    if (code != ERR_OK)
        return code;
    int64_t v = db_i64(rows, 0);
    code = db_done(rows, err);
    if (code == ERR_OK)
        *ret = v;
    return code;
}

enum err_code db_get_str(struct db_tx *tx, struct arena *a, char **ret, struct err *err,
                         const char *sql, const char *kinds, ...)
{
    struct db_rows *rows = NULL;
    va_list ap;
    va_start(ap, kinds);
    enum err_code code = query_va(tx, &rows, err, sql, kinds, ap);
    va_end(ap);
    if (code == ERR_OK)
        code = first_row(rows, err);
    if (code != ERR_OK)
        return code;
    bool is_null = db_is_null(rows, 0);
    char *v = db_dup(rows, 0, a);
    code = db_done(rows, err);
    if (code == ERR_OK && !is_null && !v)
        code = arena_err(a, err);
    if (code == ERR_OK)
        *ret = v;
    return code;
}

int64_t db_changes(const struct db_tx *tx)
{
    return tx->n_changes;
}

bool db_tx_is_postgres(const struct db_tx *tx)
{
    return tx->drv == &DB_POSTGRES;
}

enum err_code db_try(struct db_tx *tx, db_fn fn, void *arg, struct err *err)
{
    char sql[64];
    struct err local = ERR_INIT;
    if (tx->failed.code != ERR_OK)
        return refuse_spoiled(tx, err);
    snprintf(sql, sizeof(sql), "SAVEPOINT try_%d", tx->depth);
    if (tx->drv->run(tx->conn, sql, &local) != ERR_OK)
        return spoil(tx, &local, err);
    tx->depth++;
    enum err_code code = db_tx_run(tx, fn, arg, err);
    tx->depth--;
    if (code != ERR_OK && tx->drv->is_in_tx(tx->conn)) {
        snprintf(sql, sizeof(sql), "ROLLBACK TO SAVEPOINT try_%d", tx->depth);
        if (tx->drv->run(tx->conn, sql, &local) != ERR_OK)
            return spoil(tx, &local, err);
        err_reset(&tx->failed);
    }
    snprintf(sql, sizeof(sql), "RELEASE SAVEPOINT try_%d", tx->depth);
    if (tx->drv->is_in_tx(tx->conn) && tx->drv->run(tx->conn, sql, &local) != ERR_OK)
        return spoil(tx, &local, err);
    return code;
}

enum err_code db_next_number(struct db_tx *tx, const char *sequence, int64_t *ret, struct err *err)
{
    return db_get_i64(tx, ret, err,
                      "INSERT INTO sequences(name, value) VALUES (?, 1) "
                      "ON CONFLICT (name) DO UPDATE SET value = sequences.value + 1 "
                      "RETURNING value",
                      "s", sequence);
}
