/* The model registry: names, their versions, stages and aliases, and where each version came from.
 *
 * A version is an MLflow model directory kept as a tree in the blob store (or, for versions that an
 * MLflow client registered, a source elsewhere) and a model digest. Numbers count up per name and
 * are never given twice. The stage is none, staging, production or archived; the alias `production`
 * is set only by a rollout (registry_production_set). Threads: any. Search uses track/search.h's
 * language. */
#ifndef PAWL_REGISTRY_REGISTRY_H
#define PAWL_REGISTRY_REGISTRY_H

#include "blob/blob.h"
#include "track/search.h"
#include "track/track.h"

struct registry;

enum err_code registry_open(struct db *db, struct blob_store *blob, const struct clock *clock,
                            struct registry **ret, struct err *err) MUST_CHECK;
void registry_close(struct registry *r); /* accepts NULL */

struct model_alias {
    const char *alias;
    int64_t version;
};

struct model {
    const char *name;
    const char *description; /* NULL: none */
    int64_t created_us, updated_us;
    struct tag *tags;
    struct model_alias *aliases;
    size_t n_tags, n_aliases;
    int64_t last_version; /* 0: none */
};

enum model_stage { STAGE_NONE, STAGE_STAGING, STAGE_PRODUCTION, STAGE_ARCHIVED, STAGE_N };
const char *model_stage_name(enum model_stage s); /* "None", "Staging", "Production", "Archived" */
bool model_stage_from_name(struct str name, enum model_stage *ret); /* any case */

/* What a version was made from: rows {kind, name, digest}. */
enum lineage_kind { LINEAGE_DATA, LINEAGE_VIEW, LINEAGE_CODE, LINEAGE_PARENT, LINEAGE_KIND_N };
const char *lineage_kind_name(enum lineage_kind k); /* "data", "view", "code", "parent" */
struct lineage {
    enum lineage_kind kind;
    const char *name;   /* source, view, project, model */
    const char *digest; /* data version, view version, revision, model digest */
};

struct model_version {
    const char *name;
    int64_t version;
    const char *digest; /* of the model, hex; NULL for one that lies elsewhere */
    const char *tree;   /* of its directory in the store, hex; NULL likewise */
    const char *source; /* where an MLflow client said it lies; NULL: in the store */
    const char *run_id, *run_link, *description; /* NULL: none */
    const char *user;
    const char *status;         /* "READY" */
    const char *status_message; /* NULL: none */
    enum model_stage stage;
    int64_t created_us, updated_us, bytes;
    struct tag *tags;
    const char **aliases;
    struct lineage *lineage;
    size_t n_tags, n_aliases, n_lineage;
};

/* ---- models ---- */
/* ERR_EXISTS; a name may not hold '/' or ':'. */
enum err_code model_create(struct registry *r, const char *name, const char *description,
                           const struct tag *tags, size_t n_tags, struct err *err) MUST_CHECK;
enum err_code model_get(struct registry *r, const char *name, struct arena *a, struct model *ret,
                        struct err *err) MUST_CHECK;
enum err_code model_describe(struct registry *r, const char *name, const char *description,
                             struct err *err) MUST_CHECK;
enum err_code model_rename(struct registry *r, const char *name, const char *new_name,
                           struct err *err) MUST_CHECK;
/* With its versions, for good. ERR_REFUSED while it has the alias `production`. */
enum err_code model_delete(struct registry *r, const char *name, struct err *err) MUST_CHECK;
enum err_code model_search(struct registry *r, const struct search_query *q, struct arena *a,
                           struct model **ret, size_t *ret_n, char **ret_next_token,
                           struct err *err) MUST_CHECK;
enum err_code model_tag_set(struct registry *r, const char *name, const char *key,
                            const char *value, struct err *err) MUST_CHECK;
enum err_code model_tag_delete(struct registry *r, const char *name, const char *key,
                               struct err *err) MUST_CHECK;

/* ---- versions ---- */
/* Reads name, digest, tree, source, run_id, run_link, description, user, bytes, tags, lineage of
 * `v`; makes the model when it is not there. The same tree registered again under the same name
 * gives the version it has (is_new false). */
struct version_made {
    int64_t version;
    bool is_new;
};
enum err_code version_create(struct registry *r, const struct model_version *v,
                             struct version_made *ret, struct err *err) MUST_CHECK;
enum err_code version_get(struct registry *r, const char *name, int64_t version, struct arena *a,
                          struct model_version *ret, struct err *err) MUST_CHECK;
/* "NAME", "NAME/3", "NAME@alias", with or without "models:/"; a bare name is its newest version. */
enum err_code version_find(struct registry *r, const char *ref, struct arena *a,
                           struct model_version *ret, struct err *err) MUST_CHECK;
/* The newest version with this model digest, under any name. ERR_NOT_FOUND. */
enum err_code version_by_digest(struct registry *r, const char *digest, struct arena *a,
                                struct model_version *ret, struct err *err) MUST_CHECK;
enum err_code version_search(struct registry *r, const struct search_query *q, struct arena *a,
                             struct model_version **ret, size_t *ret_n, char **ret_next_token,
                             struct err *err) MUST_CHECK;
enum err_code version_describe(struct registry *r, const char *name, int64_t version,
                               const char *description, struct err *err) MUST_CHECK;
/* archive_existing: others in that stage become archived; only with staging and production. */
enum stage_move { STAGE_MOVE_ONE, STAGE_MOVE_ARCHIVE_OTHERS, STAGE_MOVE_N };
enum err_code version_stage_set(struct registry *r, const char *name, int64_t version,
                                enum model_stage stage, enum stage_move how,
                                struct err *err) MUST_CHECK;
enum err_code version_tag_set(struct registry *r, const char *name, int64_t version,
                              const char *key, const char *value, struct err *err) MUST_CHECK;
enum err_code version_tag_delete(struct registry *r, const char *name, int64_t version,
                                 const char *key, struct err *err) MUST_CHECK;
/* Hidden for good, its number is not given again. ERR_REFUSED while it has the alias `production`.
 * */
enum err_code version_delete(struct registry *r, const char *name, int64_t version,
                             struct err *err) MUST_CHECK;

/* ---- aliases ---- */
/* ERR_REFUSED for `production` (a rollout's), ERR_INVALID for `latest` and v<digits>. */
enum err_code alias_set(struct registry *r, const char *name, const char *alias, int64_t version,
                        struct err *err) MUST_CHECK;
enum err_code alias_delete(struct registry *r, const char *name, const char *alias,
                           struct err *err) MUST_CHECK;
/* For rollouts only, inside the transaction that records the decision: alias and stage `production`
 * to this version; version 0 takes them away. */
enum err_code registry_production_set(struct db_tx *tx, const char *name, int64_t version,
                                      int64_t at_us, struct err *err) MUST_CHECK;

/* ---- lineage ---- */
/* Versions that were made from this: by kind and digest. */
enum err_code lineage_users(struct registry *r, enum lineage_kind kind, const char *digest,
                            struct arena *a, struct model_version **ret, size_t *ret_n,
                            struct err *err) MUST_CHECK;

struct json *model_json(const struct model *m, struct arena *a);
struct json *model_version_json(const struct model_version *v, struct arena *a);

#endif
