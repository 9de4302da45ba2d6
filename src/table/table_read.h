/* Private to table/: reading one column of chunks. */
#ifndef PAWL_TABLE_TABLE_READ_H
#define PAWL_TABLE_TABLE_READ_H

#include "table/table_int.h"

#define READER_TEXT_BYTES 40

struct column_reader {
    duckdb_type id, physical; /* physical: of decimals and enums */
    double scale;             /* DECIMAL: divisor */
    char **names;             /* ENUM: dictionary; owner: the library */
    size_t n_names;
    uint8_t *valid; /* one chunk's room, as all below */
    void *data;
    char *text; /* UUID, TIME */
    struct column column;
};

/* *r is zeroed; reader_fini in any case. */
enum err_code reader_init(struct column_reader *r, const struct table_library *lib,
                          duckdb_logical_type lt, const struct table_column *info,
                          struct err *err) MUST_CHECK;
void reader_fini(struct column_reader *r, const struct table_library *lib);
/* r->column becomes the n rows of the vector; strings point into it. */
enum err_code reader_chunk(struct column_reader *r, const struct table_library *lib,
                           duckdb_vector vector, size_t n, struct err *err) MUST_CHECK;

#endif
