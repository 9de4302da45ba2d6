/* Deciding a guardrail from its strata. Means: one difference per stratum, combined with weights 1 / variance, read
 * against an always-valid interval. Events: products of e-values over strata, counts divided by the design effect. */
#include "stats/guardrail.h"

#include <math.h>
#include <stdio.h>

#include "stats/sequential.h"

const char *verdict_name(enum verdict v)
{
    static const char *const NAMES[VERDICT_N] = {"not_enough_evidence", "pass", "fail"};
    return v < VERDICT_N ? NAMES[v] : "?";
}

bool verdict_from_name(struct str s, enum verdict *ret)
{
    for (int v = 0; v < VERDICT_N; v++) {
        if (str_is(s, verdict_name((enum verdict)v))) {
            *ret = (enum verdict)v;
            return true;
        }
    }
    return false;
}

static void add_print(const struct stratum *s, struct guardrail_result *r)
{
    r->candidate += s->candidate.sum;
    r->incumbent += s->incumbent.sum;
    r->n_candidate += s->candidate.n;
    r->n_incumbent += s->incumbent.n;
    r->n_strata_used++;
}

static void end_print(struct guardrail_result *r)
{
    r->candidate = r->n_candidate > 0 ? r->candidate / r->n_candidate : 0;
    r->incumbent = r->n_incumbent > 0 ? r->incumbent / r->n_incumbent : 0;
}

/* ---- means ---- */

static bool is_arm_used(const struct guardrail_spec *spec, const struct arm_summary *a)
{
    return a->n >= spec->n_min && a->k >= GUARDRAIL_K_MIN;
}

/* Variance of an arm, at least what one bucket in k off by the margin would make: a constant so far is no proof. */
static double arm_variance(const struct guardrail_spec *spec, const struct arm_summary *a)
{
    double least = spec->margin / a->k;
    return fmax(a->variance, least * least);
}

/* Differences of the strata that may be used, weighted by 1 / variance: *ret_d and its standard error. */
static void combine_means(const struct guardrail_spec *spec, const struct stratum *strata, size_t n,
                          struct guardrail_result *r, double *ret_d)
{
    double weight = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        const struct stratum *s = &strata[i];
        if (!is_arm_used(spec, &s->candidate) ||
            (!spec->is_paired && !is_arm_used(spec, &s->incumbent)))
            continue;
        double v = arm_variance(spec, &s->candidate), d = s->candidate.mean;
        if (!spec->is_paired) {
            v += arm_variance(spec, &s->incumbent);
            d -= s->incumbent.mean;
        }
        weight += 1.0 / v;
        sum += d / v;
        add_print(s, r);
    }
    end_print(r);
    *ret_d = weight > 0 ? sum / weight : 0;
    r->se = weight > 0 ? sqrt(1.0 / weight) : 0;
}

static void decide_mean(const struct guardrail_spec *spec, const struct stratum *strata, size_t n,
                        struct guardrail_result *r)
{
    double d;
    combine_means(spec, strata, n, r, &d);
    if (r->n_strata_used == 0) {
        r->low = -INFINITY;
        r->high = INFINITY;
        (void)snprintf(r->why, sizeof(r->why), "no step has %.0f requests in %d buckets of %s yet",
                       spec->n_min, GUARDRAIL_K_MIN,
                       spec->is_paired ? "paired scores" : "both arms");
        return;
    }
    bool is_two_sided = spec->kind == GUARDRAIL_CHANGES;
    if (!is_two_sided && spec->is_higher_better)
        d = -d;
    double h =
        seq_mixture_half_width(r->se, fmax(spec->margin, spec->smallest_effect), spec->alpha);
    r->estimate = d;
    r->low = d - h;
    r->high = d + h;
    double harm = is_two_sided ? fabs(d) : d;
    if (harm - h > spec->margin)
        r->verdict = VERDICT_FAIL;
    else if (harm + h < spec->margin)
        r->verdict = VERDICT_PASS;
    (void)snprintf(r->why, sizeof(r->why),
                   "%s %.4g, between %.4g and %.4g, against a margin of %.4g (%s, %zu strata)",
                   is_two_sided ? "change" : "harm", d, r->low, r->high, spec->margin,
                   spec->is_paired ? "paired on the same requests" : "between arms",
                   r->n_strata_used);
}

/* ---- events ---- */

/* How much wider than binomial a rate's variance is: 1 when events fall on buckets as if thrown. */
static double design_effect(const struct arm_summary *a)
{
    double p = a->mean;
    if (a->k < 2 || a->sum < 2 || !(p > 0) || !(p < 1))
        return 1;
    return fmax(1.0, a->variance / (p * (1.0 - p) / a->n));
}

struct evidence {
    double ratio_over, ratio_within, diff_over, diff_within, max_over, max_within, same_over;
};

static void add_evidence(const struct guardrail_spec *spec, const struct stratum *s, double deff,
                         struct evidence *e)
{
    double k1 = s->candidate.sum / deff, n1 = s->candidate.n / deff, k0 = s->incumbent.sum / deff,
           n0 = s->incumbent.n / deff;
    if (n1 > 0 && n0 > 0) {
        double share = n1 / (n1 + n0);
        uint64_t k = (uint64_t)k1, m = k + (uint64_t)k0;
        if (!isnan(spec->times)) {
            e->ratio_over += seq_ratio_log_e_over(k, m, share, spec->times);
            e->ratio_within += seq_ratio_log_e_within(k, m, share, spec->times);
        }
        e->same_over += seq_ratio_log_e_over(k, m, share, 1.0);
        if (!isnan(spec->margin)) {
            e->diff_over += seq_difference_log_e_over(k1, n1, k0, n0, spec->margin);
            e->diff_within += seq_difference_log_e_within(k1, n1, k0, n0, spec->margin);
        }
    }
    if (spec->kind == GUARDRAIL_EVENTS_MAX) {
        e->max_over += seq_rate_log_e_over(k1, n1, spec->limit);
        e->max_within += seq_rate_log_e_within(k1, n1, spec->limit);
    }
}

static bool is_fuse_blown(const struct guardrail_spec *spec, const struct stratum *s)
{
    return !isnan(spec->fuse) && s->candidate.n >= GUARDRAIL_FUSE_N &&
           s->candidate.sum > spec->fuse * s->candidate.n;
}

static void read_evidence(const struct guardrail_spec *spec, const struct evidence *e,
                          struct guardrail_result *r)
{
    bool has_times = !isnan(spec->times), has_margin = !isnan(spec->margin);
    double need = -log(spec->alpha);
    if (spec->kind == GUARDRAIL_EVENTS_MAX) {
        r->log_e_fail = r->n_incumbent > 0 ? fmin(e->max_over, e->same_over) : e->max_over;
        r->log_e_pass = e->max_within;
    } else if (has_times && has_margin) { /* the average of two e-values is one */
        r->log_e_fail = fmax(e->ratio_over, e->diff_over) - M_LN2;
        r->log_e_pass = e->diff_within;
    } else {
        r->log_e_fail = has_times ? e->ratio_over : e->diff_over;
        r->log_e_pass = has_times ? e->ratio_within : e->diff_within;
    }
    if (r->log_e_fail >= need)
        r->verdict = VERDICT_FAIL;
    else if (r->log_e_pass >= need)
        r->verdict = VERDICT_PASS;
}

/* Always-valid interval of the difference of rates, for print. */
#define STRATA_SHOWN 64
static void event_interval(const struct guardrail_spec *spec, const struct stratum *strata,
                           size_t n, struct guardrail_result *r)
{
    struct seq_rates rates[STRATA_SHOWN] = {{0}};
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        const struct arm_summary *c = &strata[i].candidate, *b = &strata[i].incumbent;
        if (!(c->n > 0) || !(b->n > 0))
            continue;
        size_t at = m < STRATA_SHOWN ? m++ : STRATA_SHOWN - 1; /* further ones are joined */
        rates[at].k1 += c->sum / r->design_effect;
        rates[at].n1 += c->n / r->design_effect;
        rates[at].k0 += b->sum / r->design_effect;
        rates[at].n0 += b->n / r->design_effect;
    }
    r->estimate = spec->kind == GUARDRAIL_EVENTS_MAX ? r->candidate : r->candidate - r->incumbent;
    r->low = m ? seq_difference_lower(rates, m, spec->alpha) : -1;
    r->high = m ? seq_difference_upper(rates, m, spec->alpha) : 1;
}

static void decide_events(const struct guardrail_spec *spec, const struct stratum *strata, size_t n,
                          struct guardrail_result *r)
{
    struct evidence e = {0};
    r->design_effect = 1;
    for (size_t i = 0; i < n; i++) {
        const struct stratum *s = &strata[i];
        if (!(s->candidate.n > 0))
            continue;
        double deff = fmax(design_effect(&s->candidate), design_effect(&s->incumbent));
        r->design_effect = fmax(r->design_effect, deff);
        r->is_fuse = r->is_fuse || is_fuse_blown(spec, s);
        add_evidence(spec, s, deff, &e);
        add_print(s, r);
    }
    end_print(r);
    read_evidence(spec, &e, r);
    event_interval(spec, strata, n, r);
    double need = -log(spec->alpha);
    if (r->is_fuse) {
        r->verdict = VERDICT_FAIL;
        (void)snprintf(r->why, sizeof(r->why),
                       "fuse: the candidate's share is over %.3g in %d requests or more",
                       spec->fuse, GUARDRAIL_FUSE_N);
        return;
    }
    (void)snprintf(r->why, sizeof(r->why),
                   "candidate %.4g (%.0f requests), incumbent %.4g (%.0f): ln e against %.3g, for "
                   "%.3g, needs %.3g",
                   r->candidate, r->n_candidate, r->incumbent, r->n_incumbent, r->log_e_fail,
                   r->log_e_pass, need);
}

/* Evidence of calm steps must not drown a harm that begins late: the newest step is looked at alone too. Half of alpha is for
 * all steps together, half for the steps alone, shared over them as 6 / (pi (s + 1))^2, which sums to one: the rate of
 * false failures over a whole rollout stays below alpha however many steps there are. */
static void decide_means(const struct guardrail_spec *spec, const struct stratum *strata, size_t n,
                         struct guardrail_result *ret)
{
    struct guardrail_spec half = *spec;
    struct guardrail_result newest = *ret;
    char why[sizeof(ret->why)];
    half.alpha = spec->alpha / 2;
    decide_mean(&half, strata, n, ret);
    if (n < 2 || ret->verdict == VERDICT_FAIL)
        return;
    half.alpha *= 6 / (M_PI * M_PI * (double)n * (double)n);
    decide_mean(&half, &strata[n - 1], 1, &newest);
    if (newest.verdict != VERDICT_FAIL)
        return;
    (void)snprintf(why, sizeof(why), "newest step alone: %.200s", newest.why);
    memcpy(newest.why, why, sizeof(why));
    *ret = newest;
}

void guardrail_decide(const struct guardrail_spec *spec, const struct stratum *strata, size_t n,
                      struct guardrail_result *ret)
{
    struct guardrail_result r = {.verdict = VERDICT_OPEN, .design_effect = 1};
    if (spec->kind == GUARDRAIL_NO_WORSE || spec->kind == GUARDRAIL_CHANGES)
        decide_means(spec, strata, n, &r);
    else
        decide_events(spec, strata, n, &r);
    *ret = r;
}

/* ---- planning ---- */

static double mean_rows_needed(const struct guardrail_spec *spec, double sd, double share)
{
    double tau = fmax(spec->margin, spec->smallest_effect), lo = 0, hi = spec->margin;
    for (int i = 0; i < 80; i++) {
        double mid = 0.5 * (lo + hi);
        if (seq_mixture_half_width(mid, tau, spec->alpha / 2) < spec->margin)
            lo = mid;
        else
            hi = mid;
    }
    double v = sd * sd / (lo * lo);
    return fmax(spec->n_min, ceil(spec->is_paired ? v : v / (1.0 - share)));
}

static double event_log_e(const struct guardrail_spec *spec, double n1, double base, double share)
{
    double n0 = n1 * (1.0 - share) / share;
    if (spec->kind == GUARDRAIL_EVENTS_MAX)
        return seq_rate_log_e_within(base * n1, n1, spec->limit);
    if (!isnan(spec->margin))
        return seq_difference_log_e_within(base * n1, n1, base * n0, n0, spec->margin);
    return seq_ratio_log_e_within((uint64_t)(base * n1), (uint64_t)(base * (n1 + n0)), share,
                                  spec->times);
}

double guardrail_rows_needed(const struct guardrail_spec *spec, double sd, double base,
                             double share)
{
    if (spec->kind == GUARDRAIL_NO_WORSE || spec->kind == GUARDRAIL_CHANGES)
        return mean_rows_needed(spec, sd, share);
    double hi = 16, need = -log(spec->alpha);
    while (hi < 1e9 && event_log_e(spec, hi, base, share) < need)
        hi *= 2;
    double lo = hi / 2;
    for (int i = 0; i < 30 && hi < 1e9; i++) {
        double mid = 0.5 * (lo + hi);
        if (event_log_e(spec, mid, base, share) < need)
            lo = mid;
        else
            hi = mid;
    }
    return hi < 1e9 ? fmax(spec->n_min, ceil(hi)) : INFINITY;
}
