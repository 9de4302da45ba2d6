/* What an endpoint serves, as decisions made it: the state that the journal carries whole with every decision, so that the
 * newest record of an endpoint is its state and a start needs no database.
 * Threads: plain data in an arena. */
#ifndef PAWL_SERVE_ENDPOINT_H
#define PAWL_SERVE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "json/json.h"

#define ENDPOINT_NAME_MAX    64
#define ENDPOINT_HISTORY_MAX 50 /* served releases kept with their documents */
#define ENDPOINT_KEEP        3  /* of them, the newest stay loaded: a rollback target is warm */
#define SALT_BYTES           33

/* One stretch of time in which a release was live. */
struct endpoint_term {
    int64_t release;
    const struct json *doc;
    int64_t from_us, to_us; /* wall time; to AT_US_NONE: still live */
    bool was_rolled_back;   /* it was left by a rollback */
};

struct endpoint_rollout {
    uint64_t id; /* generation of its start */
    int64_t candidate;
    const struct json *doc;
    int step;
    int share; /* of 10,000; 0: shadow */
    bool is_paused;
    char salt[SALT_BYTES];
    const char **sticky_by; /* request fields */
    size_t n_sticky;
    double fuse;             /* error share of the candidate that ends it at once; 0: none */
    int64_t fuse_min;        /* with at least so many requests */
    int64_t started_us;      /* wall */
    const struct json *plan; /* the rollout's frozen criteria, opaque here */
};

struct endpoint_state {
    const char *name;
    uint64_t generation; /* of the decision that made this state */
    int64_t live;        /* 0: none */
    const struct json *live_doc;
    struct endpoint_term *history; /* oldest first; the last one is live's */
    size_t n_history;
    bool has_rollout;
    struct endpoint_rollout rollout;
    bool is_held;
    const char *hold_reason;
    int64_t hold_until_us; /* AT_US_NONE: until a person ends it */
    bool has_fallback;
    double fallback; /* score answered when the live release cannot */
};

struct json *endpoint_state_json(const struct endpoint_state *s, struct arena *a);
/* Borrows texts and documents from v. */
enum err_code endpoint_state_read(const struct json *v, struct arena *a, struct endpoint_state *ret,
                                  struct err *err) MUST_CHECK;
/* Deep copy. ERR_NOMEM / ERR_LIMIT. */
enum err_code endpoint_state_copy(const struct endpoint_state *s, struct arena *a,
                                  struct endpoint_state *ret, struct err *err) MUST_CHECK;
/* Where a rollback without a target goes: the release before live in history that was never rolled back, other than
 * live itself; NULL when there is none. */
const struct endpoint_term *endpoint_rollback_target(const struct endpoint_state *s);
const struct endpoint_term *endpoint_find_term(const struct endpoint_state *s,
                                               int64_t release); /* newest; NULL */
bool endpoint_name_ok(const char *name); /* [A-Za-z0-9][A-Za-z0-9._-]{0,63} */

#endif
