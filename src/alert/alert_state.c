#include "alert/alert_int.h"

#include "base/check.h"

static const char *const SEVERITIES[ALERT_SEVERITY_N] = {"page", "ticket", "report"};
static const char *const STATES[ALERT_STATE_N] = {"firing", "acknowledged", "resolved"};

static const bool MOVES[ALERT_STATE_N][ALERT_STATE_N] = {
    [ALERT_FIRING] = {[ALERT_ACKNOWLEDGED] = true, [ALERT_RESOLVED] = true},
    [ALERT_ACKNOWLEDGED] = {[ALERT_RESOLVED] = true},
};

const char *alert_severity_name(enum alert_severity s)
{
    CHECK(s < ALERT_SEVERITY_N);
    return SEVERITIES[s];
}

const char *alert_state_name(enum alert_state s)
{
    CHECK(s < ALERT_STATE_N);
    return STATES[s];
}

bool alert_may_move(enum alert_state from, enum alert_state to)
{
    CHECK(from < ALERT_STATE_N && to < ALERT_STATE_N);
    return MOVES[from][to];
}
