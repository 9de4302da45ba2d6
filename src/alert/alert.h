/* Alerts: something that a person must see, until it is over.
 *
 * An alert is open while it fires; there is at most one open alert for a (rule, object), however
 * often it is reported. States move only as the table in alert_state.c allows:
 *
 *        fire            ack                  resolve
 *   (none) ──► FIRING ─────────► ACKNOWLEDGED ─────────► RESOLVED
 *                └──────────────── resolve ─────────────────┘
 *
 * Firing and resolving put one row for each receiver that wants the severity into a durable outbox,
 * in the same transaction; a sender (alert/sender.h) delivers. Every alert names an owner and a
 * runbook. Labels (rule, object, severity, project, endpoint) are identity; numbers belong into
 * evidence. Threads: any. */
#ifndef PAWL_ALERT_ALERT_H
#define PAWL_ALERT_ALERT_H

#include "base/clock.h"
#include "db/db.h"
#include "json/json.h"

enum alert_severity { ALERT_PAGE, ALERT_TICKET, ALERT_REPORT, ALERT_SEVERITY_N };
const char *alert_severity_name(enum alert_severity s); /* "page" "ticket" "report" */
enum alert_state { ALERT_FIRING, ALERT_ACKNOWLEDGED, ALERT_RESOLVED, ALERT_STATE_N };
const char *alert_state_name(enum alert_state s); /* "firing" … */

struct alert {
    int64_t id;
    const char *rule;    /* CamelCase: "DataDrift", "SourceStale", "ErrorBudgetBurn" */
    const char *object;  /* "endpoint:delay", "source:flights", "endpoint:delay/feature:distance" */
    const char *project; /* NULL: of the home */
    const char *endpoint; /* NULL: none */
    enum alert_severity severity;
    enum alert_state state;
    const char *summary;                       /* one sentence with the numbers */
    const char *description;                   /* more, with what to do; NULL */
    const char *owner, *runbook;               /* NULL: unowned, which readiness reports */
    const struct json *evidence;               /* NULL: none */
    int64_t starts_us;                         /* event or wall time at which it began, as given */
    int64_t fired_us;                          /* system time */
    int64_t updated_us, acked_us, resolved_us; /* AT_US_NONE: not (yet) */
    const char *acked_by, *note;               /* of the person */
    const char *resolution;                    /* why it is over */
    int64_t n_reports;                         /* how often it was reported while open */
};

enum alert_change { ALERT_OPENED, ALERT_UPDATED, ALERT_CHANGE_N };
/* Reads rule, object, project, endpoint, severity, summary, description, owner, runbook, evidence,
 * starts_us. A second report of an open alert updates summary and evidence, and tells receivers
 * again only when its severity rose. ret_id, ret_change may be NULL. at_us: system time. */
enum err_code alert_fire(struct db_tx *tx, const struct alert *al, int64_t at_us, int64_t *ret_id,
                         enum alert_change *ret_change, struct err *err) MUST_CHECK;
/* Closes the open alert of (rule, object), if there is one: *ret_was_open (may be NULL). */
enum err_code alert_resolve(struct db_tx *tx, const char *rule, const char *object, const char *why,
                            int64_t at_us, bool *ret_was_open, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND; ERR_CONFLICT when the table of moves does not allow it. note may be NULL. */
enum err_code alert_ack(struct db_tx *tx, int64_t id, const char *actor, const char *note,
                        int64_t at_us, struct err *err) MUST_CHECK;

struct alert_query {
    const char *project, *endpoint, *object, *rule; /* NULL: any */
    bool is_open_only;
    int64_t limit; /* > 0 */
};
/* Newest first. */
enum err_code alert_list(struct db_tx *tx, const struct alert_query *q, struct arena *a,
                         struct alert **ret, size_t *ret_n, struct err *err) MUST_CHECK;
enum err_code alert_get(struct db_tx *tx, int64_t id, struct arena *a, struct alert *ret,
                        struct err *err) MUST_CHECK;
struct json *alert_json(const struct alert *al, struct arena *a);

#endif
