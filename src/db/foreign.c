#include "db/foreign.h"

#include <libpq-fe.h>
#include <sqlite3.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"

#define FOREIGN_BUSY_MS 30000

/* Types of PostgreSQL that are not text (pg_type.dat). */
enum {
    PG_BOOL = 16,
    PG_INT8 = 20,
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_OID = 26,
    PG_FLOAT4 = 700,
    PG_FLOAT8 = 701,
    PG_NUMERIC = 1700
};

static bool is_cancelled(const struct foreign_query *q)
{
    return q->is_cancelled && atomic_load(q->is_cancelled);
}

/* ---- SQLite ---- */

static struct value sqlite_value(sqlite3_stmt *st, int i)
{
    struct value v = {.type = VAL_NULL};
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_INTEGER:
        v.type = VAL_INT;
        v.u.i = sqlite3_column_int64(st, i);
        break;
    case SQLITE_FLOAT:
        v.type = VAL_FLOAT;
        v.u.f = sqlite3_column_double(st, i);
        break;
    case SQLITE_NULL:
        break;
    default: /* text, blob */
        v.type = VAL_STR;
        v.u.s.p = sqlite3_column_blob(st, i);
        v.u.s.n = (size_t)sqlite3_column_bytes(st, i);
    }
    return v;
}

static enum err_code sqlite_rows(const struct foreign_query *q, sqlite3 *db, sqlite3_stmt *st,
                                 struct err *err)
{
    const char *names[FOREIGN_COLUMNS_MAX];
    struct value values[FOREIGN_COLUMNS_MAX];
    int n = sqlite3_column_count(st), step;
    if (n > FOREIGN_COLUMNS_MAX)
        return err_set(err, ERR_LIMIT, "%d columns; at most %d", n, FOREIGN_COLUMNS_MAX);
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        for (int i = 0; i < n; i++) {
            names[i] = sqlite3_column_name(st, i);
            values[i] = sqlite_value(st, i);
        }
        enum err_code code = is_cancelled(q) ? err_set(err, ERR_CANCELLED, "cancelled")
                                             : q->on_row(q->arg, names, values, (size_t)n, err);
        if (code != ERR_OK)
            return code;
    }
    return step == SQLITE_DONE ? ERR_OK : err_set(err, ERR_IO, "SQLite: %s", sqlite3_errmsg(db));
}

static enum err_code sqlite_read(const struct foreign_query *q, const char *path, struct err *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    const char *tail = NULL;
    enum err_code code = ERR_OK;
    if (!file_exists(path))
        return err_set(err, ERR_NOT_FOUND, "there is no SQLite database %s", path);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        code = err_set(err, ERR_UNAVAILABLE, "SQLite %s: %s", path,
                       db ? sqlite3_errmsg(db) : "out of memory");
    if (code == ERR_OK)
        (void)sqlite3_busy_timeout(db, FOREIGN_BUSY_MS);
    if (code == ERR_OK && sqlite3_prepare_v2(db, q->sql, -1, &st, &tail) != SQLITE_OK)
        code = err_set(err, ERR_INVALID, "SQLite: %s", sqlite3_errmsg(db));
    if (code == ERR_OK && (!st || !sqlite3_stmt_readonly(st) || str_trim(str_c(tail)).n > 0))
        code = err_set(err, ERR_INVALID, "a source is one statement that only reads");
    if (code == ERR_OK)
        code = sqlite_rows(q, db, st, err);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return code;
}

/* ---- PostgreSQL ---- */

static enum err_code pg_fail(enum err_code code, const char *text, struct err *err)
{
    struct str line = str_trim(str_c(text));
    ptrdiff_t end = str_find(line, STR("\n"));
    if (end >= 0)
        line.n = (size_t)end;
    return err_set(err, code, "PostgreSQL: %.*s", STR_ARG(line));
}

static struct value pg_value(const PGresult *res, int i)
{
    struct value v = {.type = VAL_NULL};
    struct err none = ERR_INIT;
    if (PQgetisnull(res, 0, i))
        return v;
    struct str s = str_n(PQgetvalue(res, 0, i), (size_t)PQgetlength(res, 0, i));
    switch (PQftype(res, i)) {
    case PG_BOOL:
        v.type = VAL_BOOL;
        v.u.b = s.n > 0 && s.p[0] == 't';
        return v;
    case PG_INT2:
    case PG_INT4:
    case PG_INT8:
    case PG_OID:
        v.type = VAL_INT;
        if (parse_i64(s, &v.u.i, &none) == ERR_OK)
            return v;
        break;
    case PG_FLOAT4:
    case PG_FLOAT8:
    case PG_NUMERIC:
        v.type = VAL_FLOAT;
        if (parse_f64(s, &v.u.f, &none) == ERR_OK)
            return v;
        break;
    default:
        break;
    }
    v.type = VAL_STR;
    v.u.s = s;
    return v;
}

static enum err_code pg_row(const struct foreign_query *q, const PGresult *res, struct err *err)
{
    const char *names[FOREIGN_COLUMNS_MAX];
    struct value values[FOREIGN_COLUMNS_MAX];
    int n = PQnfields(res);
    CHECK(n <= FOREIGN_COLUMNS_MAX);
    for (int i = 0; i < n; i++) {
        names[i] = PQfname(res, i);
        values[i] = pg_value(res, i);
    }
    if (is_cancelled(q))
        return err_set(err, ERR_CANCELLED, "cancelled");
    return q->on_row(q->arg, names, values, (size_t)n, err);
}

/* One row a result; after an error the rest is taken and dropped by closing the connection. */
static enum err_code pg_rows(const struct foreign_query *q, PGconn *pg, struct err *err)
{
    enum err_code code = ERR_OK;
    /* The extended protocol takes exactly one statement. */
    if (!PQsendQueryParams(pg, q->sql, 0, NULL, NULL, NULL, NULL, 0) || !PQsetSingleRowMode(pg))
        return pg_fail(ERR_UNAVAILABLE, PQerrorMessage(pg), err);
    for (PGresult *res = PQgetResult(pg); res && code == ERR_OK; res = PQgetResult(pg)) {
        ExecStatusType status = PQresultStatus(res);
        if (status == PGRES_SINGLE_TUPLE)
            code = pg_row(q, res, err);
        else if (status != PGRES_TUPLES_OK)
            code = pg_fail(ERR_INVALID, PQresultErrorMessage(res), err);
        PQclear(res);
    }
    return code;
}

static enum err_code pg_read(const struct foreign_query *q, struct err *err)
{
    PGconn *pg = PQconnectdb(q->url);
    enum err_code code = ERR_OK;
    if (PQstatus(pg) != CONNECTION_OK)
        code = pg_fail(ERR_UNAVAILABLE, PQerrorMessage(pg), err);
    if (code == ERR_OK) {
        PGresult *res = PQexec(pg, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY");
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            code = pg_fail(ERR_UNAVAILABLE, PQerrorMessage(pg), err);
        PQclear(res);
    }
    if (code == ERR_OK)
        code = pg_rows(q, pg, err);
    PQfinish(pg);
    return code;
}

enum err_code foreign_read(const struct foreign_query *q, struct err *err)
{
    static const char SQLITE[] = "sqlite:";
    if (strncmp(q->url, SQLITE, sizeof SQLITE - 1) == 0)
        return sqlite_read(q, q->url + sizeof SQLITE - 1, err);
    return pg_read(q, err);
}
