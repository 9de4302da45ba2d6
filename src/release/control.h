/* Decisions about endpoints: gates, approvals, rollouts, rollback, hold; and their projection into the database.
 *
 * Order of every decision: journal, pointer, snapshot (all in serve_apply), then tables and audit chain (release_project),
 * which catch up by generation after the database was away. What a decision needs at night is in memory: the book of
 * rollouts is rebuilt from the journal at start, evidence is the monitor's. So rollback, automatic or by hand, and the fuse
 * need no database. Gates, approvals and new releases do.
 * Threads: any; one decision per endpoint at a time (serve_apply's generation check refuses the second). */
#ifndef PAWL_RELEASE_CONTROL_H
#define PAWL_RELEASE_CONTROL_H

#include "audit/chain.h"
#include "audit/journal.h"
#include "blob/blob.h"
#include "monitor/monitor.h"
#include "pipeline/run.h"
#include "project/project.h"
#include "release/release.h"
#include "release/release_spec.h"
#include "release/rollout.h"
#include "serve/serve.h"

struct release_host;

struct release_host_options {
    const char *home;
    struct db *db;             /* NULL: away */
    struct audit_chain *audit; /* NULL while db is */
    struct journal *journal;
    struct serve *serve;
    struct monitor *monitor; /* NULL: commands that only decide */
    struct blob_store *blobs;
    const struct pipeline_host *pipeline; /* for gates; NULL: no evaluation can be made */
    struct clock clock;
};

/* Reads the whole journal into the book. */
enum err_code release_host_open(const struct release_host_options *opt, struct release_host **ret,
                                struct err *err) MUST_CHECK;
void release_host_close(struct release_host *h); /* NULL is fine */
/* The database has come (or is here again): projects what it missed. */
enum err_code release_host_attach(struct release_host *h, struct db *db, struct audit_chain *audit,
                                  struct err *err) MUST_CHECK;
/* Takes new journal records (also the fuse's) into the book and the monitor's watch. Quick; no database. */
enum err_code release_sync(struct release_host *h, struct err *err) MUST_CHECK;
/* Tables and audit chain up to the journal's end; ERR_UNAVAILABLE while the database is away. Idempotent. */
enum err_code release_project(struct release_host *h, struct err *err) MUST_CHECK;

/* Waits until somebody has projected everything that is journaled now; false when it took longer. */
bool release_project_wait(struct release_host *h, int64_t timeout_ms);

/* ---- policy ---- */
/* pawl.yaml of a revision, decoded: needs the store, not the database. revision NULL: the defaults. */
struct policy {
    const struct cfg_node *root; /* NULL for the defaults */
    struct project_spec project;
    struct release_spec release;
    struct monitor_spec monitor;
};
enum err_code release_policy(struct release_host *h, const char *revision, struct arena *a,
                             struct policy *ret, struct err *err) MUST_CHECK;
/* Revision that the endpoint's live release came from (its policy is in force); NULL: none. */
const char *release_live_revision(struct release_host *h, const char *endpoint, struct arena *a,
                                  const char **ret_project);

/* Revision that a release of the endpoint came from; NULL: none is known. */
const char *release_revision(struct release_host *h, const char *endpoint, int64_t number,
                             struct arena *a);

/* ---- releases ---- */
struct release_order {
    const char *endpoint;
    const char *actor, *reason;
};
/* From a pipeline run's result. Kind: policy when the declared rules changed, else features when views changed, else retrain. */
enum err_code release_from_run(struct release_host *h, const struct pipeline_result *run,
                               const struct release_order *o, struct arena *a, int64_t *ret_number,
                               struct err *err) MUST_CHECK;
/* From a registered version: "NAME", "NAME/3", "NAME@alias". */
enum err_code release_from_model(struct release_host *h, const char *ref,
                                 const struct release_order *o, struct arena *a,
                                 int64_t *ret_number, struct err *err) MUST_CHECK;
/* From another one (0: live) with a new threshold (NaN: as it is) and serving settings {key: value} or NULL. */
enum err_code release_derive(struct release_host *h, int64_t from, double threshold,
                             const struct json *set, const struct release_order *o, struct arena *a,
                             int64_t *ret_number, struct err *err) MUST_CHECK;
/* Judges all gates in force, stores the report, moves draft -> gated (-> approved when nobody must agree) | rejected; undecided
 * stays draft. *ret the report {release, digest, verdict, policy_of, rules: [...], benchmark, needs_approval: [...]}. */
enum err_code release_gate(struct release_host *h, int64_t number, struct arena *a,
                           struct json **ret, struct err *err) MUST_CHECK;
/* What a candidate for this endpoint is compared with: its live release, and the best that was ever live (by the reports kept;
 * the live one when it is). 0 without a live release. Texts in the arena. */
enum err_code release_peers(struct release_host *h, const char *endpoint, struct arena *a,
                            struct pipeline_peer ret[2], size_t *ret_n, struct err *err) MUST_CHECK;
/* role: "ml" | "business". Refused for the release's author, for a release without a report, twice for one role. */
enum err_code release_approve(struct release_host *h, int64_t number, const char *role,
                              const char *actor, const char *reason, struct arena *a,
                              struct json **ret, struct err *err) MUST_CHECK;
enum err_code release_reject(struct release_host *h, int64_t number, const char *actor,
                             const char *reason, struct err *err) MUST_CHECK;

/* ---- endpoints ---- */
struct deploy_order {
    const char *endpoint;
    int64_t number;
    const char *actor, *reason;
    bool is_forced; /* also when it was rolled back before */
};
/* The first release goes live, a later one starts its rollout. Refused: not approved, on hold, a rollout in progress, rolled back
 * before (is_forced lifts that). *ret {endpoint, release, live, rollout, generation}. */
enum err_code release_deploy(struct release_host *h, const struct deploy_order *o, struct arena *a,
                             struct json **ret, struct err *err) MUST_CHECK;
/* to 0: choose. Flips first, tells the database afterwards. *ret {endpoint, from, to, took_ms, is_journaled, views: [ages]}. */
enum err_code release_rollback(struct release_host *h, const char *endpoint, int64_t to,
                               const char *actor, const char *reason, struct arena *a,
                               struct json **ret, struct err *err) MUST_CHECK;
enum err_code release_hold(struct release_host *h, const char *endpoint, int64_t until_us,
                           const char *actor, const char *reason, struct err *err) MUST_CHECK;
/* Ends a hold; with a paused rollout, lets it go on. */
enum err_code release_resume(struct release_host *h, const char *endpoint, const char *actor,
                             const char *reason, struct err *err) MUST_CHECK;

/* While a barrier of the endpoint runs, decisions carry its event time instead of the clock's, which is moved last.
 * at_us AT_US_NONE ends it. */
void release_barrier(struct release_host *h, const char *endpoint, int64_t at_us);
/* One look at the endpoint's rollout at its event clock, and what follows from it. *ret the tick, or NULL without a rollout. */
enum err_code release_tick(struct release_host *h, const char *endpoint, int64_t now_us,
                           struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

/* ---- looking; without the database ---- */
bool release_rollout(struct release_host *h, const char *endpoint, struct arena *a,
                     struct rollout *ret); /* in progress */
/* {name, live, history, rollout, hold, problem, clock} from memory. */
enum err_code release_endpoint_json(struct release_host *h, const char *endpoint, struct arena *a,
                                    struct json **ret, struct err *err) MUST_CHECK;
/* Rollouts and their ticks from the tables. id 0: the endpoint's newest. */
enum err_code release_rollout_show(struct release_host *h, int64_t id, const char *endpoint,
                                   struct arena *a, struct json **ret, struct err *err) MUST_CHECK;
enum err_code release_rollout_list(struct release_host *h, const char *endpoint, int64_t limit,
                                   struct arena *a, struct json **ret, struct err *err) MUST_CHECK;
/* Decides every stored tick again. *ret {rollout, ticks: [...], is_same}; ERR_NO with *ret when any differs. */
enum err_code release_rollout_replay(struct release_host *h, int64_t id, struct arena *a,
                                     struct json **ret, struct err *err) MUST_CHECK;

#endif
