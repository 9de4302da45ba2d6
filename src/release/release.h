/* Releases: immutable bundles of model, views, threshold, serving and environment, named r<N> in a home.
 *
 * What a release is (its document) is in its digest; what happened to it (author, reason, state, gates, approvals) is
 * data about it. States and the moves between them are one table:
 *
 *     draft --gates pass--> gated --approved--> approved --rollout starts--> rolling --done--> live --next--> retired
 *       |                     |                    |                          |                 |               |
 *       +--gates fail--> rejected <--reject--------+                          +---fail---> rolled_back <--------+
 *                                                                                              retired -> live by rollback
 * A first release of an endpoint goes approved -> live. An illegal move is refused (ERR_REFUSED) by release_move and
 * an assert in release_move_checked. Threads: any; all state is in the database. */
#ifndef PAWL_RELEASE_RELEASE_H
#define PAWL_RELEASE_RELEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "db/db.h"
#include "json/json.h"

enum release_state {
    RELEASE_DRAFT,
    RELEASE_GATED,
    RELEASE_APPROVED,
    RELEASE_ROLLING,
    RELEASE_LIVE,
    RELEASE_RETIRED,
    RELEASE_REJECTED,
    RELEASE_ROLLED_BACK,
    RELEASE_STATE_N
};
enum release_kind {
    RELEASE_RETRAIN,
    RELEASE_FEATURES,
    RELEASE_THRESHOLD,
    RELEASE_SERVING,
    RELEASE_POLICY,
    RELEASE_KIND_N
};

extern const char *const RELEASE_STATE_NAMES[RELEASE_STATE_N];
extern const char *const RELEASE_KIND_NAMES[RELEASE_KIND_N];

/* May a release go from `from` to `to`? The one table. */
bool release_may_move(enum release_state from, enum release_state to);
/* ERR_REFUSED with a sentence that names both states and what would be allowed. */
enum err_code release_check_move(int64_t number, enum release_state from, enum release_state to,
                                 struct err *err) MUST_CHECK;

struct release {
    int64_t number; /* r<number> */
    const char *endpoint;
    enum release_kind kind;
    enum release_state state;
    const char *digest;     /* hex, of the document */
    const struct json *doc; /* canonical release document */
    int64_t parent;         /* release it was derived from; 0: none */
    const char *author, *reason;
    int64_t created_us;
    const char *project, *revision;    /* revision digest, or NULL */
    const char *model, *model_version; /* registry name and version, or NULL */
    const char *run_id;                /* training run, or NULL */
    const struct json *report;         /* gate report, or NULL */
    const struct json *approvals;      /* [{role, actor, at, reason}], or NULL */
    const struct json *policy_changes; /* what a policy release changes, or NULL */
};

/* What a release is made of. */
struct release_parts {
    const char *endpoint;
    enum release_kind kind;
    const char *model_digest, *tree_digest;               /* hex */
    const struct json *views;                             /* {name: version} or NULL */
    double threshold;                                     /* NaN: none */
    const struct json *serving, *environment, *signature; /* NULL: left out */
};
/* The document {format, kind, endpoint, model, tree, views, threshold, serving, environment, signature} and its digest. */
enum err_code release_doc(const struct release_parts *p, struct arena *a, struct json **ret,
                          struct digest *ret_digest, struct err *err) MUST_CHECK;

struct release_new {
    const struct json *doc;
    int64_t parent;
    const char *author, *reason, *project, *revision, *model, *model_version, *run_id;
    const struct json *policy_changes;
    int64_t at_us;
};
/* Stores a draft; the same document with the same parent on the same endpoint that is not yet decided is given back
 * instead of a second one. */
enum err_code release_create(struct db *db, const struct release_new *n, int64_t *ret_number,
                             struct err *err) MUST_CHECK;
enum err_code release_get(struct db *db, int64_t number, struct arena *a, struct release *ret,
                          struct err *err) MUST_CHECK;
/* endpoint NULL: all; newest first. */
enum err_code release_list(struct db *db, const char *endpoint, int64_t limit, struct arena *a,
                           struct release **ret, size_t *ret_n, struct err *err) MUST_CHECK;
enum err_code release_move(struct db *db, int64_t number, enum release_state to, const char *actor,
                           const char *reason, int64_t at_us, struct err *err) MUST_CHECK;
enum err_code release_move_tx(struct db_tx *tx, int64_t number, enum release_state to,
                              const char *actor, const char *reason, int64_t at_us,
                              struct err *err) MUST_CHECK;
enum err_code release_set_report(struct db *db, int64_t number, const struct json *report,
                                 struct err *err) MUST_CHECK;
enum err_code release_set_approvals(struct db *db, int64_t number, const struct json *approvals,
                                    struct err *err) MUST_CHECK;
struct json *release_json(const struct release *r, struct arena *a);
/* "r12" or "12" -> 12. */
enum err_code release_parse(struct str text, int64_t *ret, struct err *err) MUST_CHECK;

#endif
