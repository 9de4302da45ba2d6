/* Inside registry/: rows to structs, checks. */
#ifndef PAWL_REGISTRY_REGISTRY_INT_H
#define PAWL_REGISTRY_REGISTRY_INT_H

#include "registry/registry.h"

#define ALIAS_PRODUCTION       "production"
#define MODEL_NAME_MAX         256
#define ALIAS_MAX              255
#define REGISTRY_TAG_KEY_MAX   250
#define REGISTRY_TAG_VALUE_MAX 100000

struct registry {
    struct db *db;
    struct blob_store *blob;
    struct clock clock;
};

/* ---- registry_rows.c ---- */
#define MODEL_COLUMNS "m.name, m.description, m.created_us, m.updated_us, m.last_version"
enum err_code model_load(const struct db_rows *rows, struct arena *a, struct model *ret,
                         struct err *err) MUST_CHECK;
enum err_code model_parts_load(struct db_tx *tx, struct arena *a, struct model *m,
                               struct err *err) MUST_CHECK;
#define VERSION_COLUMNS                                                                            \
    "v.name, v.version, v.digest, v.tree, v.source, v.run_id, v.run_link, v.description, "         \
    "v.user_id, v.status, v.status_message, v.stage, v.created_us, v.updated_us, v.bytes"
enum err_code version_load(const struct db_rows *rows, struct arena *a, struct model_version *ret,
                           struct err *err) MUST_CHECK;
enum err_code version_parts_load(struct db_tx *tx, struct arena *a, struct model_version *v,
                                 struct err *err) MUST_CHECK;
/* Every version of an open query (VERSION_COLUMNS), with its parts; closes it. */
enum err_code versions_load(struct db_tx *tx, struct db_rows *rows, struct arena *a,
                            struct model_version **ret, size_t *ret_n, struct err *err) MUST_CHECK;

/* ---- registry_check.c ---- */
enum err_code model_name_check(const char *name, struct err *err) MUST_CHECK;
enum err_code alias_check(const char *alias, struct err *err) MUST_CHECK;
enum err_code registry_tag_check(const char *key, const char *value, struct err *err) MUST_CHECK;

/* ---- inside a transaction ---- */
enum err_code model_touch(struct db_tx *tx, const char *name, int64_t at_us,
                          struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND in the registry's words when the version is not there; renews updated_us of both.
 * */
enum err_code version_touch(struct db_tx *tx, const char *name, int64_t version, int64_t at_us,
                            struct err *err) MUST_CHECK;

#endif
