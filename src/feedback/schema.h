/* Names and types behind the records of a release: predictions/schemas.log, one JSON document per release, written and
 * synced before the release's first record, so that the log can be read without database or store.
 * Threads: any. */
#ifndef PAWL_FEEDBACK_SCHEMA_H
#define PAWL_FEEDBACK_SCHEMA_H

#include "base/arena.h"
#include "base/value.h"
#include "feedback/record.h"
#include "json/json.h"

struct record_field {
    const char *name;
    enum value_type type;
};

/* A view that was looked up; its columns stand among the fields. */
struct record_view {
    const char *name, *version;
    uint32_t first, n; /* columns: fields[first .. first + n - 1] */
};

struct record_schema {
    int64_t release;
    const char *endpoint;
    const char *release_digest; /* hex; may be NULL */
    const struct record_field
        *fields; /* n_request request fields, then looked-up columns, "view.column" */
    size_t n_fields, n_request;
    const struct record_view *views; /* one per look-up, in the order of a record's lookups */
    size_t n_views;
    const char *const *inputs; /* of the model's row */
    size_t n_inputs;
    const char *const *outputs; /* names of the scores: classes, or one */
    size_t n_outputs;
};

struct schema_store;
enum err_code schema_store_open(const char *path, bool may_write, struct schema_store **ret,
                                struct err *err) MUST_CHECK;
void schema_store_close(struct schema_store *s);
/* The same schema again does nothing; another one for the same release is refused (ERR_CONFLICT). */
enum err_code schema_store_put(struct schema_store *s, const struct record_schema *schema,
                               struct err *err) MUST_CHECK;
/* NULL when unknown; lives as long as the store. */
const struct record_schema *schema_store_get(struct schema_store *s, int64_t release);
/* A value as JSON: times as RFC 3339, not-finite numbers as strings. */
struct json *record_value_json(const struct value *v, struct arena *a);
/* A record as people and programs read it: ids, times, request by name, scores. */
struct json *record_json(const struct prediction_record *r, const struct record_schema *schema,
                         struct arena *a);

#endif
