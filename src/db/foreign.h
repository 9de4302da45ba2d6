/* Rows of somebody else's database, read only: SQL sources (data/). Not for our own store: that is db.h.
 *
 * The database is opened for one query and closed; it is never written to (SQLite: opened read-only, the statement must be one
 * that only reads; PostgreSQL: a read-only transaction). Rows stream: memory does not grow with them.
 * Threads: any. */
#ifndef PAWL_DB_FOREIGN_H
#define PAWL_DB_FOREIGN_H

#include <stdatomic.h>

#include "base/value.h"

#define FOREIGN_COLUMNS_MAX 1600 /* what PostgreSQL itself allows */

/* One row; values and names are borrowed for the call. Numbers come as numbers, booleans as booleans, all else (times too) as
 * text as the database writes it. */
typedef enum err_code (*foreign_row_fn)(void *arg, const char *const *names,
                                        const struct value *values, size_t n, struct err *err);

struct foreign_query {
    const char *url; /* "sqlite:/absolute/path", "postgresql://…", "host=… dbname=…" */
    const char *sql; /* one SELECT */
    foreign_row_fn on_row;
    void *arg;
    const atomic_bool *is_cancelled; /* may be NULL */
};

/* ERR_NOT_FOUND no such file; ERR_UNAVAILABLE no connection; ERR_INVALID the SQL, with the database's own sentence; what on_row
 * returns ends it. */
enum err_code foreign_read(const struct foreign_query *q, struct err *err) MUST_CHECK;

#endif
