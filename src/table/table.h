/* Columnar data: DuckDB behind a header of our own. Nobody else includes duckdb.h.
 *
 * The library is found at PAWL_DUCKDB, else as libduckdb.so beside the executable, and loaded on
 * first use; it lives in children (job/worker.h) and tests, never in the server. A session is an
 * in-memory instance of its own in UTC, with limits on threads and memory, spilling to a directory,
 * and with no extension loading. SQL that a user wrote runs after table_lock(): from then on only
 * the named files can be opened and no setting changes.
 *
 *     struct table *t = NULL;
 *     code = table_open(&(struct table_options){.n_threads = 2, .temp_dir = dir}, &t, err);
 *     code = table_query(t, &(struct table_sql){"SELECT a FROM x WHERE c > ?", &v, 1}, &rows, err);
 *     while ((code = table_rows_next(rows, &chunk, err)) == ERR_OK && chunk.n_rows > 0) ...
 *     table_rows_close(rows);
 *
 * Errors carry DuckDB's sentence on one line: ERR_INVALID for SQL that does not parse, bind or
 * convert, ERR_NOT_FOUND for a missing file, ERR_FORBIDDEN for what a locked session refuses,
 * ERR_LIMIT for memory, ERR_CANCELLED after table_interrupt. Threads: a session on one thread at a
 * time; table_interrupt from any. */
#ifndef PAWL_TABLE_TABLE_H
#define PAWL_TABLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/value.h"

struct table;
struct table_rows;

struct table_options {
    int n_threads;        /* 1..64; 0: as many as there are processors */
    int64_t memory_bytes; /* soft limit; 0: a quarter of the machine's memory */
    const char *temp_dir; /* where large work spills; NULL: it cannot */
};

/* ERR_UNAVAILABLE with what to do when the library cannot be loaded. Cost: 16 ms, 30 MB. */
enum err_code table_open(const struct table_options *opt, struct table **ret,
                         struct err *err) MUST_CHECK;
void table_close(struct table *t); /* NULL = nothing; rows must be closed before */
/* "v1.4.4": part of the version of every view. The library must be loadable. */
enum err_code table_library_version(struct str *ret, struct err *err) MUST_CHECK;

/* Only these files (absolute paths) can be opened or written from now on; no setting can change,
 * nothing can be installed or attached. Irreversible. */
enum err_code table_lock(struct table *t, const char *const *paths, size_t n,
                         struct err *err) MUST_CHECK;

/* SQL text with its bound parameters ($1, ? in order). */
struct table_sql {
    const char *text;
    const struct value *params;
    size_t n_params;
};
#define TABLE_SQL(sql_text) (&(const struct table_sql){.text = (sql_text)})

/* One or more statements without rows (parameters: one statement only). */
enum err_code table_exec(struct table *t, const struct table_sql *q, struct err *err) MUST_CHECK;
/* One statement, streamed. */
enum err_code table_query(struct table *t, const struct table_sql *q, struct table_rows **ret,
                          struct err *err) MUST_CHECK;
/* The first row's first column; ERR_NOT_FOUND without a row. A string lives in `a`. */
enum err_code table_get(struct table *t, const struct table_sql *q, struct arena *a,
                        struct value *ret, struct err *err) MUST_CHECK;
/* ERR_INVALID unless `sql` is exactly one SELECT (WITH, FROM, VALUES too): what users may write. */
enum err_code table_check_select(struct table *t, struct str sql, struct err *err) MUST_CHECK;
/* The columns and tables that an expression (`delay > 15`) or a SELECT names, each once, in order of
 * appearance. */
struct table_names {
    struct str *columns, *tables;
    size_t n_columns, n_tables;
};
enum err_code table_names_used(struct table *t, struct str sql, bool is_expression, struct arena *a,
                               struct table_names *ret, struct err *err) MUST_CHECK;

/* Stops what the session runs (ERR_CANCELLED there); it stays usable. Any thread. */
void table_interrupt(struct table *t);

/* ---- reading ---- */

/* What a column is in DuckDB and what it becomes here. Integers up to 64 bits, UBIGINT and HUGEINT
 * within int64 -> INT; FLOAT, DOUBLE, DECIMAL -> FLOAT; DATE, TIMESTAMP* -> TIME; VARCHAR, ENUM,
 * UUID, BLOB, TIME, INTERVAL as text -> STR. */
struct table_column {
    const char *name;
    const char *sql_type; /* "DECIMAL(9,2)" */
    enum value_type type;
    bool is_supported; /* false: LIST, STRUCT, MAP, ARRAY, UNION, BIT ...: reading it is refused
                          with a sentence */
    bool is_date;      /* DATE: TIME at midnight UTC */
};

struct table_chunk {
    size_t n_rows; /* 0: the end */
    size_t n_cols;
    const struct column *cols; /* borrowed until the next table_rows_next or close */
};

size_t table_rows_n_cols(const struct table_rows *r);
const struct table_column *table_rows_cols(const struct table_rows *r); /* live as long as r */
enum err_code table_rows_next(struct table_rows *r, struct table_chunk *ret,
                              struct err *err) MUST_CHECK;
void table_rows_close(struct table_rows *r); /* NULL = nothing */
/* Rows of small results as values in an arena (strings copied): p[row * n_cols + col]. */
struct table_values {
    struct value *p;
    size_t n_rows, n_cols;
};
/* ERR_TOO_LARGE above max_rows. */
enum err_code table_fetch(struct table *t, const struct table_sql *q, size_t max_rows,
                          struct arena *a, struct table_values *ret, struct err *err) MUST_CHECK;
/* Columns of a SELECT without running it. */
enum err_code table_describe(struct table *t, struct str select, struct arena *a,
                             struct table_column **ret, size_t *ret_n, struct err *err) MUST_CHECK;
/* A whole result as columns in an arena, in row order: for numeric work in children on sets that
 * fit in memory. */
struct table_columns {
    struct column *p;
    size_t n_cols, n_rows;
};
enum err_code table_load(struct table *t, const struct table_sql *q, struct arena *a,
                         struct table_columns *ret, struct err *err) MUST_CHECK;

/* ---- writing ---- */

/* Files for people and other programs; a format by a path's ending (.csv, .jsonl, .json; else Parquet). */
enum table_format { TABLE_PARQUET, TABLE_CSV, TABLE_JSONL, TABLE_FORMAT_N };
enum table_format table_format_of(const char *path);
enum err_code table_write(struct table *t, struct str select, const char *path,
                          enum table_format format, int64_t *ret_rows, struct err *err) MUST_CHECK;
/* The result of `select` as a Parquet file (ZSTD), rows in the order of the select: same rows, same
 * library, same file. */
enum err_code table_write_parquet(struct table *t, struct str select, const char *path,
                                  int64_t *ret_rows, struct err *err) MUST_CHECK;
/* The name of typed rows: SHA-256 over column names, types and rows of `select` in its declared
 * total order. */
enum err_code table_digest(struct table *t, struct str select, struct digest *ret,
                           int64_t *ret_rows, struct err *err) MUST_CHECK;
/* A new table `name` from columns of equal length (all n rows); for parameters and tests. */
enum err_code table_put(struct table *t, const char *name, const struct column *cols, size_t n_cols,
                        struct err *err) MUST_CHECK;

/* ---- text of SQL ---- */
void table_sql_ident(struct buf *out, struct str name); /* "na""me" */
void table_sql_text(struct buf *out, struct str text);  /* 'it''s' */
void table_sql_time(struct buf *out, int64_t at_us);    /* make_timestamp(…) */
void table_sql_value(struct buf *out, const struct value *v);
/* ['a', 'b'] */
void table_sql_list(struct buf *out, const char *const *texts, size_t n);

#endif
