/* Private to table/: the library's functions and the state of a session. */
#ifndef PAWL_TABLE_TABLE_INT_H
#define PAWL_TABLE_TABLE_INT_H

#include <duckdb.h>

#include "table/table.h"

/* Every function of the library that is used: name without "duckdb_". */
#define TABLE_DUCKDB_FUNCTIONS(X)                                                                  \
    X(append_data_chunk)                                                                           \
    X(appender_close)                                                                              \
    X(appender_create)                                                                             \
    X(appender_destroy)                                                                            \
    X(appender_error)                                                                              \
    X(bind_boolean)                                                                                \
    X(bind_double)                                                                                 \
    X(bind_int64)                                                                                  \
    X(bind_null)                                                                                   \
    X(bind_timestamp)                                                                              \
    X(bind_varchar_length)                                                                         \
    X(close)                                                                                       \
    X(column_count)                                                                                \
    X(column_logical_type)                                                                         \
    X(column_name)                                                                                 \
    X(connect)                                                                                     \
    X(create_config)                                                                               \
    X(create_data_chunk)                                                                           \
    X(create_logical_type)                                                                         \
    X(data_chunk_get_size)                                                                         \
    X(data_chunk_get_vector)                                                                       \
    X(data_chunk_set_size)                                                                         \
    X(decimal_internal_type)                                                                       \
    X(decimal_scale)                                                                               \
    X(decimal_width)                                                                               \
    X(destroy_config)                                                                              \
    X(destroy_data_chunk)                                                                          \
    X(destroy_extracted)                                                                           \
    X(destroy_logical_type)                                                                        \
    X(destroy_pending)                                                                             \
    X(destroy_prepare)                                                                             \
    X(destroy_result)                                                                              \
    X(disconnect)                                                                                  \
    X(enum_dictionary_size)                                                                        \
    X(enum_dictionary_value)                                                                       \
    X(enum_internal_type)                                                                          \
    X(execute_pending)                                                                             \
    X(extract_statements)                                                                          \
    X(extract_statements_error)                                                                    \
    X(fetch_chunk)                                                                                 \
    X(free)                                                                                        \
    X(get_type_id)                                                                                 \
    X(interrupt)                                                                                   \
    X(library_version)                                                                             \
    X(nparams)                                                                                     \
    X(open_ext)                                                                                    \
    X(pending_error)                                                                               \
    X(pending_prepared_streaming)                                                                  \
    X(prepare)                                                                                     \
    X(prepare_error)                                                                               \
    X(prepared_statement_column_count)                                                             \
    X(prepared_statement_column_logical_type)                                                      \
    X(prepared_statement_column_name)                                                              \
    X(prepared_statement_type)                                                                     \
    X(query)                                                                                       \
    X(result_error)                                                                                \
    X(set_config)                                                                                  \
    X(validity_set_row_invalid)                                                                    \
    X(vector_assign_string_element_len)                                                            \
    X(vector_ensure_validity_writable)                                                             \
    X(vector_get_data)                                                                             \
    X(vector_get_validity)                                                                         \
    X(vector_size)

#define TABLE_DUCKDB_MEMBER(name) __typeof__(&duckdb_##name) name;
struct table_library {
    TABLE_DUCKDB_FUNCTIONS(TABLE_DUCKDB_MEMBER)
};

/* Loaded once for the process and kept. */
enum err_code table_library_get(const struct table_library **ret, struct err *err) MUST_CHECK;

struct table {
    const struct table_library *lib; /* borrowed: lives as long as the process */
    duckdb_database db;
    duckdb_connection con;
    int n_open_rows;
};

/* The library's sentence as an error of ours: its first word tells the kind. */
enum err_code table_err(struct err *err, const char *text) MUST_CHECK;
/* Prepares and binds; ret must be destroyed by the caller in any case. */
enum err_code table_prepare(struct table *t, const struct table_sql *q,
                            duckdb_prepared_statement *ret, struct err *err) MUST_CHECK;
/* Fills a description; name and type text are copied into `a`. */
enum err_code table_column_of(const struct table_library *lib, const char *name,
                              duckdb_logical_type lt, struct arena *a, struct table_column *ret,
                              struct err *err) MUST_CHECK;

#endif
