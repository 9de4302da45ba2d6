/* Each rule's statistic and its law when nothing drifted and rows are independent. To first order all divergences are
 * multiples of the chi-square of the two samples: PSI k, 2 KL k, 8 JS^2 k, 8 H^2 k ~ chi2(bins - 1), k = nm / (n + m). */
#include <math.h>

#include "stats/drift_int.h"
#include "stats/special.h"

static double harmonic(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    double n = (double)hist_total(ref, n_bins), m = (double)hist_total(cur, n_bins);
    return n > 0 && m > 0 ? n * m / (n + m) : 0;
}

static double filled_df(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    double n = 0;
    for (size_t b = 0; b < n_bins; b++)
        n += ref[b] + cur[b] > 0;
    return fmax(1.0, n - 1.0);
}

static struct drift_scores scores(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    struct drift_scores s = {0};
    if (drift_scores_of(ref, cur, n_bins, &s, NULL) != ERR_OK)
        s = (struct drift_scores){0};
    return s;
}

double drift_effect(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    double k = harmonic(ref, cur, n_bins);
    return k > 0 ? scores(ref, cur, n_bins).psi - filled_df(ref, cur, n_bins) / k : 0;
}

/* ---- Anderson-Darling ---- */
static double ad_mean(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    double total = (double)(hist_total(ref, n_bins) + hist_total(cur, n_bins)), last = 0;
    for (size_t b = 0; b < n_bins; b++)
        if (ref[b] + cur[b] > 0)
            last = (double)(ref[b] + cur[b]) / total;
    return 1.0 - last; /* sum of the weights of the inner edges */
}

/* ---- chi-square of the 2 x k table; cells with fewer than 5 expected in the smaller sample are pooled ---- */
#define EXPECTED_MIN 5.0

struct table {
    double chi2, df;
};

static void add_cell(struct table *t, double r, double c, double n, double m)
{
    double w = (r + c) / (n + m);
    if (w > 0) {
        t->chi2 += (r - w * n) * (r - w * n) / (w * n) + (c - w * m) * (c - w * m) / (w * m);
        t->df += 1;
    }
}

static struct table pooled_table(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    double n = (double)hist_total(ref, n_bins), m = (double)hist_total(cur, n_bins);
    struct table t = {0, -1};
    double rest_r = 0, rest_c = 0, least_r = 0, least_c = 0;
    if (n == 0 || m == 0)
        return (struct table){0, 1};
    for (size_t b = 0; b < n_bins; b++) {
        double r = (double)ref[b], c = (double)cur[b];
        if ((r + c) * fmin(n, m) / (n + m) < EXPECTED_MIN) {
            rest_r += r;
            rest_c += c;
        } else if (least_r + least_c == 0 || r + c < least_r + least_c) {
            add_cell(&t, least_r, least_c, n,
                     m); /* the smallest full cell waits: it may take up the rest */
            least_r = r;
            least_c = c;
        } else {
            add_cell(&t, r, c, n, m);
        }
    }
    if ((rest_r + rest_c) * fmin(n, m) / (n + m) < EXPECTED_MIN) {
        least_r += rest_r;
        least_c += rest_c;
        rest_r = rest_c = 0;
    }
    add_cell(&t, least_r, least_c, n, m);
    add_cell(&t, rest_r, rest_c, n, m);
    t.df = fmax(1.0, t.df);
    return t;
}

static double chi2_score(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    return pooled_table(ref, cur, n_bins).chi2;
}

static double chi2_quantile(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double q)
{
    return stats_chi2_sf_inv(q, pooled_table(ref, cur, n_bins).df);
}

static double chi2_mean(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    return pooled_table(ref, cur, n_bins).df;
}

static double chi2_sf(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double x)
{
    return stats_chi2_sf(x, pooled_table(ref, cur, n_bins).df);
}

/* ---- divergences: a multiple of chi-square, or its root ---- */
#define DIVERGENCE(rule, field, factor)                                                            \
    static double rule##_score(const uint64_t *ref, const uint64_t *cur, size_t n_bins)            \
    {                                                                                              \
        return scores(ref, cur, n_bins).field;                                                     \
    }                                                                                              \
    static double rule##_quantile(const uint64_t *ref, const uint64_t *cur, size_t n_bins,         \
                                  double q)                                                        \
    {                                                                                              \
        return stats_chi2_sf_inv(q, filled_df(ref, cur, n_bins)) /                                 \
               ((factor)*harmonic(ref, cur, n_bins));                                              \
    }                                                                                              \
    static double rule##_mean(const uint64_t *ref, const uint64_t *cur, size_t n_bins)             \
    {                                                                                              \
        return filled_df(ref, cur, n_bins) / ((factor)*harmonic(ref, cur, n_bins));                \
    }                                                                                              \
    static double rule##_sf(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double x)     \
    {                                                                                              \
        return stats_chi2_sf(x * (factor)*harmonic(ref, cur, n_bins),                              \
                             filled_df(ref, cur, n_bins));                                         \
    }
DIVERGENCE(psi, psi, 1.0)
DIVERGENCE(kl, kl, 2.0)

#define DISTANCE(rule, field)                                                                      \
    static double rule##_score(const uint64_t *ref, const uint64_t *cur, size_t n_bins)            \
    {                                                                                              \
        return scores(ref, cur, n_bins).field;                                                     \
    }
DISTANCE(js, js)
DISTANCE(hellinger, hellinger)
DISTANCE(ks, ks)
DISTANCE(linf, l_inf)

static double root_quantile(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double q)
{
    return sqrt(stats_chi2_sf_inv(q, filled_df(ref, cur, n_bins)) /
                (8.0 * harmonic(ref, cur, n_bins)));
}

static double root_mean(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    return sqrt(filled_df(ref, cur, n_bins) / (8.0 * harmonic(ref, cur, n_bins)));
}

static double root_sf(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double x)
{
    return stats_chi2_sf(8.0 * x * x * harmonic(ref, cur, n_bins), filled_df(ref, cur, n_bins));
}

static double ks_quantile(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double q)
{
    return stats_kolmogorov_sf_inv(q) / sqrt(harmonic(ref, cur, n_bins));
}

static double ks_mean(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    return sqrt(M_PI * M_PI / 12.0 / harmonic(ref, cur, n_bins)); /* root of the mean square */
}

static double ks_sf(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double x)
{
    return stats_kolmogorov_sf(x * sqrt(harmonic(ref, cur, n_bins)));
}

/* Largest standard deviation of a share's difference: Bonferroni over the bins with it is a bound. */
static double linf_sd(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    double total = (double)(hist_total(ref, n_bins) + hist_total(cur, n_bins)), v = 0;
    for (size_t b = 0; b < n_bins; b++) {
        double p = (double)(ref[b] + cur[b]) / total;
        v = fmax(v, p * (1.0 - p));
    }
    return sqrt(v / harmonic(ref, cur, n_bins));
}

static double linf_quantile(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double q)
{
    double bins = filled_df(ref, cur, n_bins) + 1.0;
    return stats_normal_sf_inv(fmin(0.49, 0.5 * q / bins)) * linf_sd(ref, cur, n_bins);
}

static double linf_sf(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double x)
{
    double sd = linf_sd(ref, cur, n_bins);
    return sd > 0 ? fmin(1.0, 2.0 * (filled_df(ref, cur, n_bins) + 1.0) * stats_normal_sf(x / sd))
                  : 1.0;
}

static const struct drift_law AD = {
    "anderson_darling", drift_ad_score, drift_ad_sf_inv, ad_mean, drift_ad_sf, true, false};
static const struct drift_law LAWS[DRIFT_RULE_N] = {
    [DRIFT_RULE_DEFAULT] = {"chi_square", chi2_score, chi2_quantile, chi2_mean, chi2_sf, true,
                            false},
    [DRIFT_RULE_PSI] = {"psi", psi_score, psi_quantile, psi_mean, psi_sf, false, false},
    [DRIFT_RULE_KS] = {"ks", ks_score, ks_quantile, ks_mean, ks_sf, false, true},
    [DRIFT_RULE_KL] = {"kl", kl_score, kl_quantile, kl_mean, kl_sf, false, false},
    [DRIFT_RULE_JS] = {"js", js_score, root_quantile, root_mean, root_sf, false, true},
    [DRIFT_RULE_HELLINGER] = {"hellinger", hellinger_score, root_quantile, root_mean, root_sf,
                              false, true},
    [DRIFT_RULE_LINF] = {"l_inf", linf_score, linf_quantile, linf_sd, linf_sf, false, true},
};

const struct drift_law *drift_law_of(enum drift_rule rule, enum hist_kind kind)
{
    if (rule == DRIFT_RULE_DEFAULT && kind == HIST_NUMBER)
        return &AD;
    return &LAWS[rule < DRIFT_RULE_N ? rule : DRIFT_RULE_DEFAULT];
}

const char *drift_rule_name(enum drift_rule r)
{
    return r == DRIFT_RULE_DEFAULT || r >= DRIFT_RULE_N ? "default" : LAWS[r].name;
}
