#include "release/rollout.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "stats/sequential.h"

const char *const GUARD_METRIC_NAMES[GUARD_METRIC_N] = {
    "error_rate",          "latency", "score_mean", "decision_flips", "log_loss",
    "normalized_log_loss", "brier"};
const char *const GUARD_RULE_NAMES[GUARD_RULE_N] = {"no_worse_by", "times", "changes_at_most",
                                                    "at_most"};

#define SRM_LOG_E_MAX log(SEQ_SRM_E)

static enum ev_measure guard_measure(const struct guardrail *g, const struct rollout_plan *p)
{
    static const enum ev_measure MEASURES[GUARD_METRIC_N] = {
        EV_ERROR, EV_SLOW, EV_PAIR_SCORE, EV_PAIR_FLIP, EV_PAIR_LOSS, EV_PAIR_LOSS, EV_PAIR_BRIER};

    if (g->metric == GUARD_SCORE_MEAN && !(p->pair > 0))
        return EV_SCORE;
    return MEASURES[g->metric];
}

static double entropy(double p)
{
    return p > 0 && p < 1 ? -(p * log(p) + (1 - p) * log1p(-p)) : NAN;
}

/* The frozen rule in the terms of stats/guardrail.h. Normalised log loss scales its margin by the base rate's entropy. */
static void guard_spec(const struct guardrail *g, const struct rollout_plan *p, double base_rate,
                       struct guardrail_spec *ret)
{
    *ret = (struct guardrail_spec){.kind = GUARDRAIL_NO_WORSE,
                                   .metric = GUARD_METRIC_NAMES[g->metric],
                                   .is_paired = ev_is_paired(guard_measure(g, p)),
                                   .margin = g->value,
                                   .times = NAN,
                                   .limit = NAN,
                                   .alpha = p->alpha / (p->n_guards > 0 ? p->n_guards : 1),
                                   .n_min = (double)p->min_requests,
                                   .fuse = NAN};
    switch (g->metric) {
    case GUARD_ERROR_RATE:
        ret->kind = GUARDRAIL_EVENTS;
        ret->times = g->rule == GUARD_TIMES ? g->value : NAN;
        ret->margin = g->rule == GUARD_TIMES ? NAN : g->value;
        ret->fuse = p->fuse > 0 ? p->fuse : NAN;
        break;
    case GUARD_LATENCY:
        ret->kind = GUARDRAIL_EVENTS_MAX;
        ret->limit = 1 - g->quantile + g->margin;
        ret->margin = NAN;
        break;
    case GUARD_SCORE_MEAN:
        ret->kind = GUARDRAIL_CHANGES;
        break;
    case GUARD_NORMALIZED_LOG_LOSS:
        ret->margin = g->value * entropy(base_rate);
        break;
    case GUARD_DECISION_FLIPS:
    case GUARD_LOG_LOSS:
    case GUARD_BRIER:
        break;
    case GUARD_METRIC_N:
        UNREACHABLE();
    }
}

/* Shadow answers nobody, so only what is scored off the path counts there. */
static bool guard_applies(const struct guardrail *g, const struct rollout_plan *p,
                          const struct rollout *r, double base_rate)
{
    bool is_shadow = p->steps[r->step].share == 0;

    if (g->metric == GUARD_LATENCY)
        return !is_shadow && p->latency_limit_us > 0;
    if (g->metric == GUARD_NORMALIZED_LOG_LOSS)
        return isfinite(entropy(base_rate));
    return !is_shadow || g->metric == GUARD_ERROR_RATE || ev_is_paired(guard_measure(g, p));
}

enum err_code rollout_look(const struct rollout *r, const struct evidence *e, int64_t at_us,
                           struct arena *a, struct rollout_tick *ret, struct err *err)
{
    const struct rollout_plan *p = &r->plan;
    double share[EV_STEPS_MAX] = {0};

    *ret = (struct rollout_tick){
        .at_us = at_us, .state = r->state, .step = r->step, .base_rate = evidence_base_rate(e)};
    for (int s = 0; s < p->n_steps; s++)
        share[s] = p->steps[s].share / 10000.0;
    evidence_totals(e, r->step, &ret->totals);
    for (int i = 0; i < p->n_guards; i++) {
        struct guard_look *g = &ret->guards[i];
        guard_spec(&p->guards[i], p, ret->base_rate, &g->spec);
        g->is_judged = guard_applies(&p->guards[i], p, r, ret->base_rate);
        if (!g->is_judged)
            continue;
        if (evidence_strata(e, guard_measure(&p->guards[i], p), r->step, share, a, &g->strata,
                            &g->n_strata, err) != ERR_OK)
            return err->code;
        guardrail_decide(&g->spec, g->strata, g->n_strata, &g->result);
    }
    if (share[r->step] > 0 && share[r->step] < 1)
        ret->srm_log_e = seq_srm_log_e(
            (uint64_t)ret->totals.entities[ARM_CANDIDATE],
            (uint64_t)(ret->totals.entities[ARM_CANDIDATE] + ret->totals.entities[ARM_INCUMBENT]),
            share[r->step]);
    rollout_decide(r, ret);
    return ERR_OK;
}

static void say(struct rollout_tick *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds a part to the sentence, cut when it is full. */
static void say(struct rollout_tick *t, const char *fmt, ...)
{
    size_t n = strlen(t->text);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(t->text + n, sizeof(t->text) - n, fmt, ap);
    va_end(ap);
}

static bool find_failure(const struct rollout *r, struct rollout_tick *t)
{
    for (int i = 0; i < r->plan.n_guards; i++)
        if (t->guards[i].is_judged && t->guards[i].result.verdict == VERDICT_FAIL) {
            t->verdict = VERDICT_FAIL;
            t->action = ROLLOUT_ROLL_BACK;
            say(t, "%s failed: %s", GUARD_METRIC_NAMES[r->plan.guards[i].metric],
                t->guards[i].result.why);
            return true;
        }
    return false;
}

/* Says what is missing; true when nothing is. */
static bool is_step_done(const struct rollout *r, struct rollout_tick *t)
{
    const struct rollout_step *s = &r->plan.steps[r->step];
    double have = s->share == 0 ? t->totals.pairs : t->totals.n[ARM_CANDIDATE];
    int64_t age = t->at_us - r->step_started_us[r->step];
    char left[NUM_TEXT_BYTES];
    size_t before;

    say(t, "step %d waits for", r->step);
    before = strlen(t->text);
    if (age < s->window_us) {
        (void)duration_text(left, s->window_us - age);
        say(t, " %s more of its window;", left);
    }
    if (have < (double)s->samples)
        say(t, " %.0f more requests of the candidate (%.0f of %lld);", (double)s->samples - have,
            have, (long long)s->samples);
    for (int i = 0; i < r->plan.n_guards; i++)
        if (t->guards[i].is_judged && r->plan.guards[i].is_required &&
            t->guards[i].result.verdict == VERDICT_OPEN)
            say(t, " %s (%s);", GUARD_METRIC_NAMES[r->plan.guards[i].metric],
                t->guards[i].result.why);
    return strlen(t->text) == before;
}

void rollout_decide(const struct rollout *r, struct rollout_tick *t)
{
    const struct rollout_plan *p = &r->plan;

    t->verdict = VERDICT_OPEN;
    t->action = ROLLOUT_WAIT;
    t->text[0] = '\0';
    if (rollout_is_over(r->state) || find_failure(r, t))
        return;
    if (r->state == ROLLOUT_PAUSED) {
        say(t, "paused: a person decides");
        return;
    }
    if (t->srm_log_e >= SRM_LOG_E_MAX) {
        t->action = ROLLOUT_PAUSE;
        say(t,
            "the arms do not have the shares that were declared (%.0f of %.0f buckets in the "
            "candidate's, e = exp(%.1f)): the "
            "comparison cannot be trusted",
            t->totals.entities[ARM_CANDIDATE],
            t->totals.entities[ARM_CANDIDATE] + t->totals.entities[ARM_INCUMBENT], t->srm_log_e);
        return;
    }
    if (is_step_done(r, t)) {
        t->verdict = VERDICT_PASS;
        t->action = r->step + 1 < p->n_steps ? ROLLOUT_NEXT : ROLLOUT_FINISH;
        t->text[0] = '\0';
        say(t, "step %d passed with %.0f requests of the candidate and %.0f pairs", r->step,
            t->totals.n[ARM_CANDIDATE], t->totals.pairs);
        return;
    }
    if (p->expires_us > 0 && t->at_us - r->step_started_us[r->step] > p->expires_us) {
        t->action = ROLLOUT_PAUSE;
        say(t, " and its time is over: a person decides");
    }
}

double guard_requests_needed(const struct guardrail *g, const struct rollout_plan *p, int share)
{
    struct guardrail_spec s;

    guard_spec(g, p, 0.2, &s);
    return guardrail_rows_needed(&s, 0.2, g->metric == GUARD_LATENCY ? 1 - g->quantile : 0.001,
                                 share / 10000.0);
}
