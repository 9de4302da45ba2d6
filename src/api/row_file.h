/* Rows of a file that a command names: JSON (a list), JSON Lines, or through a worker CSV and Parquet. */
#ifndef PAWL_API_ROW_FILE_H
#define PAWL_API_ROW_FILE_H

#include "api/op.h"

/* Takes a piece of at most some thousand objects; the list lives until it returns. */
typedef enum err_code (*row_file_fn)(void *arg, const struct json *rows, struct err *err);

/* Errors name file, line or row. */
enum err_code row_file_read(struct op_call *call, const char *path, row_file_fn fn, void *arg,
                            struct err *err) MUST_CHECK;
/* JSON Lines, or one JSON list, in memory. */
enum err_code row_text_read(struct str text, row_file_fn fn, void *arg, struct err *err) MUST_CHECK;

#endif
