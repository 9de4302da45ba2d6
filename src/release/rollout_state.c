#include "release/rollout.h"

#include "base/check.h"
#include "base/clock.h"

const char *const ROLLOUT_STATE_NAMES[ROLLOUT_STATE_N] = {"shadow", "canary",      "paused",
                                                          "done",   "rolled_back", "aborted"};
const char *const ROLLOUT_ACTION_NAMES[ROLLOUT_ACTION_N] = {"wait", "next", "finish", "roll_back",
                                                            "pause"};

#define TO(s) (1U << ROLLOUT_##s)

static const unsigned MAY[ROLLOUT_STATE_N] = {
    [ROLLOUT_SHADOW] = TO(CANARY) | TO(DONE) | TO(PAUSED) | TO(ROLLED_BACK) | TO(ABORTED),
    [ROLLOUT_CANARY] = TO(CANARY) | TO(DONE) | TO(PAUSED) | TO(ROLLED_BACK) | TO(ABORTED),
    [ROLLOUT_PAUSED] = TO(SHADOW) | TO(CANARY) | TO(ROLLED_BACK) | TO(ABORTED),
    [ROLLOUT_DONE] = 0,
    [ROLLOUT_ROLLED_BACK] = 0,
    [ROLLOUT_ABORTED] = 0,
};

bool rollout_may_move(enum rollout_state from, enum rollout_state to)
{
    CHECK(from < ROLLOUT_STATE_N && to < ROLLOUT_STATE_N);
    return (MAY[from] & (1U << to)) != 0;
}

bool rollout_is_over(enum rollout_state s)
{
    return s == ROLLOUT_DONE || s == ROLLOUT_ROLLED_BACK || s == ROLLOUT_ABORTED;
}

static void rollout_invariant(const struct rollout *r)
{
    CHECK(r->step >= 0 && r->step < r->plan.n_steps);
    CHECK(r->candidate != r->incumbent);
    CHECK(r->step_started_us[r->step] != AT_US_NONE);
    CHECK(r->state != ROLLOUT_SHADOW || r->plan.steps[r->step].share == 0);
    CHECK(r->state != ROLLOUT_CANARY || r->plan.steps[r->step].share > 0);
}

enum err_code rollout_move(struct rollout *r, enum rollout_state to, struct err *err)
{
    if (!rollout_may_move(r->state, to))
        return err_set(err, ERR_REFUSED, "the rollout of r%lld is %s and cannot become %s",
                       (long long)r->candidate, ROLLOUT_STATE_NAMES[r->state],
                       ROLLOUT_STATE_NAMES[to]);
    if (to == ROLLOUT_PAUSED)
        r->before_pause = r->state;
    r->state = to;
    rollout_invariant(r);
    return ERR_OK;
}

static void rollout_must_move(struct rollout *r, enum rollout_state to)
{
    struct err err = ERR_INIT;

    CHECK(rollout_move(r, to, &err) == ERR_OK);
}

void rollout_apply(struct rollout *r, enum rollout_action action, int64_t at_us)
{
    switch (action) {
    case ROLLOUT_WAIT:
        break;
    case ROLLOUT_NEXT:
        CHECK(r->step + 1 < r->plan.n_steps);
        r->step++;
        r->step_started_us[r->step] = at_us;
        rollout_must_move(r, ROLLOUT_CANARY);
        break;
    case ROLLOUT_FINISH:
        rollout_must_move(r, ROLLOUT_DONE);
        break;
    case ROLLOUT_ROLL_BACK:
        rollout_must_move(r, ROLLOUT_ROLLED_BACK);
        break;
    case ROLLOUT_PAUSE:
        rollout_must_move(r, ROLLOUT_PAUSED);
        break;
    case ROLLOUT_ACTION_N:
        UNREACHABLE();
    }
}
