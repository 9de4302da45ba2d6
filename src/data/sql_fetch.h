/* Private to data/: a SQL source's rows as a file of JSON Lines. */
#ifndef PAWL_DATA_SQL_FETCH_H
#define PAWL_DATA_SQL_FETCH_H

#include "data/version.h"

/* Writes out_dir/rows.jsonl. The same rows in the same order are the same version: the SQL should say ORDER BY. `connection` may
 * name variables of the environment (${PG_URL}); "sqlite:PATH" is relative to the project. */
enum err_code sql_fetch(const struct data_env *env, const struct source_spec *s,
                        const char *out_dir, struct arena *a, struct err *err) MUST_CHECK;

#endif
