/* Private to features/: writing a file of feature rows (features/materialize.h says what is in it).
 *
 * "PAWLROWS", u32 format, u32 0x01020304 in the writer's order, u32 length of the JSON header, the header, its CRC32C; then rows:
 * u32 length, the row, its CRC32C. A row: i64 time, i64 known_at, then keys and values, each a type byte (enum value_type) and its
 * bytes (bool 1, int, float, time 8, text u32 length and bytes). */
#ifndef PAWL_FEATURES_ROWS_FILE_H
#define PAWL_FEATURES_ROWS_FILE_H

#include "features/materialize.h"

#define ROWS_FILE_MAGIC  "PAWLROWS"
#define ROWS_FILE_FORMAT 1
#define ROWS_FILE_ORDER  0x01020304u
#define ROWS_ROW_MAX     (16u << 20)

struct rows_writer;
enum err_code rows_writer_open(const char *path, const struct json *header,
                               struct rows_writer **ret, struct err *err) MUST_CHECK;
/* keys and values as the header's entity and columns. */
enum err_code rows_writer_add(struct rows_writer *w, int64_t time_us, int64_t known_us,
                              const struct value *values, size_t n, struct err *err) MUST_CHECK;
enum err_code rows_writer_close(struct rows_writer *w, bool is_good,
                                struct err *err) MUST_CHECK; /* synced; frees w */

#endif
