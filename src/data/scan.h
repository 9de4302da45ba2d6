/* In the child: a source's files as a table that SQL can name.
 *
 * data_scan_bind makes, in a session, a view named as the source with the source's columns, its
 * time column as naive UTC TIMESTAMP, and the added column `known_at` (the declared expression, or
 * time + available_after, or time). Rows not known by the binding's as_of are not there.
 * `<name>__rows` is the same with the added column `__row`, the ordinal of the row in the version
 * (files in path order). */
#ifndef PAWL_DATA_SCAN_H
#define PAWL_DATA_SCAN_H

#include "table/table.h"
#include "json/json.h"

/* known_at of a row whose source says nothing of it: known from the start. */
#define SCAN_ALWAYS "TIMESTAMP '0001-01-01'"

enum err_code data_scan_bind(struct table *t, const struct json *binding,
                             struct err *err) MUST_CHECK;
/* As data_scan_bind for each of a list, then table_lock on exactly their files and the `more` paths
 * (outputs). */
enum err_code data_scan_bind_all(struct table *t, const struct json *bindings,
                                 const char *const *more, size_t n_more,
                                 struct err *err) MUST_CHECK;
/* Moves the as-of of a bound source (future-knowledge check): rows with known_at <= at_us;
 * AT_US_NONE: the binding's own. */
enum err_code data_scan_set_as_of(struct table *t, int64_t at_us, struct err *err) MUST_CHECK;
/* Only rows known in (since, until]; AT_US_NONE: no bound. Sources without time stay whole. */
enum err_code data_scan_set_window(struct table *t, int64_t since_us, int64_t until_us,
                                   struct err *err) MUST_CHECK;
/* The condition by which a bound source follows data_scan_set_window. */
void data_scan_window_sql(struct buf *out);
/* "read_parquet([...])" and the like, for files of one kind; columns may be NULL. */
enum err_code data_scan_sql(const struct json *binding, bool has_row, struct buf *out,
                            struct err *err) MUST_CHECK;
/* "parquet", "csv", "jsonl" by the file's first bytes. */
enum err_code data_kind_of_file(const char *path, const char **ret, struct err *err) MUST_CHECK;
/* A binding for a file outside any source (`pawl validate FILE`); name: how SQL names it. */
enum err_code data_binding_of_file(const char *path, struct str name, struct str time,
                                   struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

#endif
