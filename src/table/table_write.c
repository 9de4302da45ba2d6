/* Writing: Parquet files, and tables from columns. */
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "table/table_int.h"

static const char *const FORMATS[TABLE_FORMAT_N] = {
    [TABLE_PARQUET] = "FORMAT parquet, COMPRESSION zstd",
    [TABLE_CSV] = "FORMAT csv, HEADER true",
    [TABLE_JSONL] = "FORMAT json, ARRAY false",
};

enum table_format table_format_of(const char *path)
{
    struct str s = str_c(path);
    if (str_ends(s, STR(".csv")))
        return TABLE_CSV;
    return str_ends(s, STR(".jsonl")) || str_ends(s, STR(".json")) ? TABLE_JSONL : TABLE_PARQUET;
}

enum err_code table_write_parquet(struct table *t, struct str select, const char *path,
                                  int64_t *ret_rows, struct err *err)
{
    return table_write(t, select, path, TABLE_PARQUET, ret_rows, err);
}

enum err_code table_write(struct table *t, struct str select, const char *path,
                          enum table_format format, int64_t *ret_rows, struct err *err)
{
    struct buf sql = {0};
    struct arena a = {0};
    struct value n = {0};
    enum err_code code;
    arena_init(&a, 1 << 20);
    buf_init(&sql, 4 << 20);
    buf_c(&sql, "COPY (");
    buf_str(&sql, select);
    buf_c(&sql, "\n) TO ");
    table_sql_text(&sql, str_c(path));
    buf_printf(&sql, " (%s, USE_TMP_FILE false)", FORMATS[format]);
    code = buf_ok(&sql, err);
    if (code == ERR_OK)
        code = table_get(t, TABLE_SQL(sql.p), &a, &n, err);
    if (code == ERR_OK)
        *ret_rows = n.u.i;
    buf_fini(&sql);
    arena_fini(&a);
    return code;
}

static const struct {
    const char *sql;
    duckdb_type id;
} PUT_TYPES[VAL_TYPE_N] = {
    [VAL_NULL] = {"VARCHAR", DUCKDB_TYPE_VARCHAR},
    [VAL_BOOL] = {"BOOLEAN", DUCKDB_TYPE_BOOLEAN},
    [VAL_INT] = {"BIGINT", DUCKDB_TYPE_BIGINT},
    [VAL_FLOAT] = {"DOUBLE", DUCKDB_TYPE_DOUBLE},
    [VAL_TIME] = {"TIMESTAMP", DUCKDB_TYPE_TIMESTAMP},
    [VAL_STR] = {"VARCHAR", DUCKDB_TYPE_VARCHAR},
};

static void put_vector(const struct table_library *lib, duckdb_vector v, const struct column *c,
                       size_t from, size_t n)
{
    void *data = lib->vector_get_data(v);
    lib->vector_ensure_validity_writable(v);
    uint64_t *mask = lib->vector_get_validity(v);
    for (size_t i = 0; i < n; i++) {
        struct value x = column_value(c, from + i);
        if (x.type == VAL_NULL)
            lib->validity_set_row_invalid(mask, i);
        else if (x.type == VAL_STR)
            lib->vector_assign_string_element_len(v, i, x.u.s.n ? x.u.s.p : "", x.u.s.n);
        else if (x.type == VAL_BOOL)
            ((bool *)data)[i] = x.u.b;
        else
            memcpy((char *)data + i * 8, &x.u.i, 8);
    }
}

static enum err_code put_rows(struct table *t, duckdb_appender app, const struct column *cols,
                              size_t n_cols, struct err *err)
{
    const struct table_library *lib = t->lib;
    size_t n_rows = n_cols ? cols[0].n : 0, step = lib->vector_size();
    duckdb_logical_type *types = calloc(n_cols + 1, sizeof *types);
    enum err_code code = types ? ERR_OK : err_nomem(err);
    for (size_t j = 0; code == ERR_OK && j < n_cols; j++)
        types[j] = lib->create_logical_type(PUT_TYPES[cols[j].type].id);
    for (size_t from = 0; code == ERR_OK && from < n_rows; from += step) {
        size_t n = n_rows - from < step ? n_rows - from : step;
        duckdb_data_chunk chunk = lib->create_data_chunk(types, n_cols);
        for (size_t j = 0; j < n_cols; j++)
            put_vector(lib, lib->data_chunk_get_vector(chunk, j), &cols[j], from, n);
        lib->data_chunk_set_size(chunk, n);
        if (lib->append_data_chunk(app, chunk) != DuckDBSuccess)
            code = table_err(err, lib->appender_error(app));
        lib->destroy_data_chunk(&chunk);
    }
    for (size_t j = 0; types && j < n_cols; j++)
        lib->destroy_logical_type(&types[j]);
    free(types);
    return code;
}

enum err_code table_put(struct table *t, const char *name, const struct column *cols, size_t n_cols,
                        struct err *err)
{
    struct buf sql = {0};
    duckdb_appender app = NULL;
    enum err_code code;
    buf_init(&sql, 1 << 20);
    buf_c(&sql, "CREATE TABLE ");
    table_sql_ident(&sql, str_c(name));
    for (size_t j = 0; j < n_cols; j++) {
        CHECK(cols[j].n == cols[0].n);
        buf_c(&sql, j ? ", " : " (");
        table_sql_ident(&sql, str_c(cols[j].name));
        buf_printf(&sql, " %s", PUT_TYPES[cols[j].type].sql);
    }
    buf_ch(&sql, ')');
    code = buf_ok(&sql, err);
    if (code == ERR_OK)
        code = table_exec(t, TABLE_SQL(sql.p), err);
    buf_fini(&sql);
    if (code != ERR_OK)
        return code;
    if (t->lib->appender_create(t->con, NULL, name, &app) != DuckDBSuccess)
        code = table_err(err, t->lib->appender_error(app));
    if (code == ERR_OK)
        code = put_rows(t, app, cols, n_cols, err);
    if (code == ERR_OK && t->lib->appender_close(app) != DuckDBSuccess)
        code = table_err(err, t->lib->appender_error(app));
    t->lib->appender_destroy(&app);
    return code;
}
