/* From batch views to the online store: the rows of a view that are new or changed since last time.
 *
 * A child computes the view as of `to`, compares with the rows handed over before (a Parquet file
 * it left in the store), and writes what is new as typed rows into a file of our own format, which
 * the owner of the home reads without DuckDB and puts into features/online.h. The file: magic
 * "PAWLROWS", version, byte order, a JSON header {"view","version","entity":[{"name","type"}],
 * "columns":[{"name","type"}],"rows":N}, then rows in (key, time, known_at) order; each ends in a
 * CRC32C. */
#ifndef PAWL_FEATURES_MATERIALIZE_H
#define PAWL_FEATURES_MATERIALIZE_H

#include "base/value.h"
#include "features/view.h"

struct feature_row {
    int64_t time_us, known_us;
    const struct value *keys;   /* n_entity, in the view's entity order */
    const struct value *values; /* n_columns */
};

struct feature_rows; /* an open file of rows */

enum err_code feature_rows_open(const char *path, struct feature_rows **ret,
                                struct err *err) MUST_CHECK;
const struct json *feature_rows_header(const struct feature_rows *f);
/* Borrowed until the next call; false at the end or on damage: ask feature_rows_close. */
bool feature_rows_next(struct feature_rows *f, struct feature_row *ret);
enum err_code feature_rows_close(struct feature_rows *f, struct err *err)
    MUST_CHECK; /* ERR_CORRUPT with the row's number */

/* Called by the materialiser with each view's file of new rows; puts them into the online store. */
typedef enum err_code (*feature_rows_sink)(void *arg, const char *path, struct err *err);

struct materialize_order {
    const struct features_spec *views;
    const struct json *bindings;
    const struct str *names; /* which; n_names 0: all batch views */
    size_t n_names;
    int64_t to_us;   /* as of */
    int64_t keep_us; /* only rows with time in [to - keep, to]; 0: the view's ttl, or all */
    feature_rows_sink sink;
    void *sink_arg;
};

/* Computes views as of to_us and hands new rows to `sink`; then records position and snapshot (table
 * materializations). Idempotent: the same order again hands over nothing.
 * ret {"views":[{"view","version","rows_new","rows_total","to","newest","duration_ms"}]} */
enum err_code features_materialize(const struct data_env *env, const struct materialize_order *o,
                                   struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

/* The sink for the home's own online store: arg is its struct online (features/online.h). Declares the view's version. */
enum err_code feature_rows_put(void *online, const char *path, struct err *err) MUST_CHECK;

/* A paused view keeps what the store has: the next materialisations pass it by. ERR_NOT_FOUND: never materialised. */
enum err_code features_pause(const struct data_env *env, struct str view, bool is_paused,
                             struct err *err) MUST_CHECK;
/* Forgets what was handed over, so that the next materialisation hands over everything (after `features restore`). */
enum err_code features_forget(const struct data_env *env, struct str view,
                              struct err *err) MUST_CHECK;
/* The definition (view_spec_json) under which a version of a view was materialised; ERR_NOT_FOUND. version empty: the one
 * materialised last; *ret_version (may be NULL) says which. */
enum err_code features_definition(const struct data_env *env, struct str view, struct str version,
                                  struct arena *a, struct json **ret, struct str *ret_version,
                                  struct err *err) MUST_CHECK;
/* [{"view","version","to","at","newest","rows_total","rows_new","is_paused"}] */
enum err_code features_materializations(const struct data_env *env, struct arena *a,
                                        struct json **ret, struct err *err) MUST_CHECK;

#endif
