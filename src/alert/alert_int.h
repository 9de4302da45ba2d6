/* Private to alert/: states, rows and the outbox's writing side. */
#ifndef PAWL_ALERT_ALERT_INT_H
#define PAWL_ALERT_ALERT_INT_H

#include "alert/alert.h"

#define ALERT_COLUMNS                                                                              \
    "id, rule, object, project, endpoint, severity, state, summary, description, owner, runbook, " \
    "evidence, starts_us, fired_us, updated_us, acked_us, resolved_us, acked_by, note, "           \
    "resolution, n_reports"

enum outbox_state { OUTBOX_WAITING, OUTBOX_SENT, OUTBOX_GIVEN_UP, OUTBOX_OVERTAKEN };

bool alert_may_move(enum alert_state from, enum alert_state to);
/* The present row of a query for ALERT_COLUMNS. */
enum err_code alert_row(const struct db_rows *r, struct arena *a, struct alert *ret,
                        struct err *err) MUST_CHECK;
/* One message for each active receiver of the alert's project that wants its severity. */
enum err_code outbox_add(struct db_tx *tx, int64_t alert_id, bool is_resolved, int64_t at_us,
                         struct err *err) MUST_CHECK;

#endif
