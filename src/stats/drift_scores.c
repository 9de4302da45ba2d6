/* The scores of two histograms over the same bins, and the closed-form law of the binned Anderson-Darling statistic.
 *
 * That law: with pooled shares w_b and cumulative shares P_b, sqrt(k) (F - G) at the inner edges is a Brownian bridge at
 * the times P_b, so the statistic is sum lambda_j Z_j^2 with lambda the eigenvalues of D^1/2 S D^1/2, D = diag(w / (P (1-P))),
 * S the bridge's covariance. The bridge is a Markov process: its precision is tridiagonal, hence so is the inverse of
 * the matrix, and all eigenvalues cost O(bins^2). A gamma law with the same mean and variance was rejected: its tail at
 * 1e-4 is too light (the first eigenvalue dominates there), so it would raise about ten times the promised alarms. */
#include <math.h>

#include "stats/drift_int.h"
#include "stats/special.h"

struct pair {
    double n, m; /* sums of ref and cur */
};

static struct pair sums_of(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    return (struct pair){(double)hist_total(ref, n_bins), (double)hist_total(cur, n_bins)};
}

/* Count with half a count for a bin that is empty on one side only. */
static double smoothed(uint64_t mine, uint64_t theirs)
{
    return mine == 0 && theirs > 0 ? 0.5 : (double)mine;
}

/* PSI, KL, JS, Hellinger, L-infinity, TVD. */
static void divergences(const uint64_t *ref, const uint64_t *cur, size_t n_bins,
                        struct drift_scores *s)
{
    double n = 0, m = 0, bc = 0, js = 0;
    for (size_t b = 0; b < n_bins; b++) {
        n += smoothed(ref[b], cur[b]);
        m += smoothed(cur[b], ref[b]);
    }
    for (size_t b = 0; b < n_bins; b++) {
        if (ref[b] + cur[b] == 0)
            continue;
        double p = smoothed(ref[b], cur[b]) / n, q = smoothed(cur[b], ref[b]) / m,
               mid = 0.5 * (p + q);
        s->psi += (p - q) * log(p / q);
        s->kl += p * log(p / q);
        js += 0.5 * (p * log(p / mid) + q * log(q / mid));
        bc += sqrt(p * q);
        s->l_inf = fmax(s->l_inf, fabs(p - q));
        s->tvd += 0.5 * fabs(p - q);
    }
    s->js = sqrt(fmax(0, js));
    s->hellinger = sqrt(fmax(0, 1.0 - bc));
}

/* KS, Anderson-Darling, chi-square on the counts as they are. */
static void cumulative_scores(const uint64_t *ref, const uint64_t *cur, size_t n_bins,
                              struct pair t, struct drift_scores *s)
{
    double f = 0, g = 0, sum = 0, k = t.n * t.m / (t.n + t.m);
    size_t n_filled = 0;
    for (size_t b = 0; b < n_bins; b++) {
        double r = (double)ref[b], c = (double)cur[b];
        if (r + c == 0)
            continue;
        n_filled++;
        f += r;
        g += c;
        double w = (r + c) / (t.n + t.m), p = (f + g) / (t.n + t.m), d = f / t.n - g / t.m;
        s->ks = fmax(s->ks, fabs(d));
        if (f + g < t.n + t.m)
            sum += w * d * d / (p * (1.0 - p));
        double er = w * t.n, ec = w * t.m;
        s->chi2 += (r - er) * (r - er) / er + (c - ec) * (c - ec) / ec;
    }
    s->ad = k * sum;
    s->chi2_df = n_filled > 0 ? (double)(n_filled - 1) : 0;
}

double drift_ad_score(const uint64_t *ref, const uint64_t *cur, size_t n_bins)
{
    struct drift_scores s = {0};
    struct pair t = sums_of(ref, cur, n_bins);
    if (t.n > 0 && t.m > 0)
        cumulative_scores(ref, cur, n_bins, t, &s);
    return s.ad;
}

enum err_code drift_scores_of(const uint64_t *ref, const uint64_t *cur, size_t n_bins,
                              struct drift_scores *ret, struct err *err)
{
    struct pair t = sums_of(ref, cur, n_bins);
    if (t.n == 0 || t.m == 0)
        return err_set(err, ERR_EMPTY, "the %s histogram is empty",
                       t.n == 0 ? "reference" : "window");
    struct drift_scores s = {0};
    divergences(ref, cur, n_bins, &s);
    cumulative_scores(ref, cur, n_bins, t, &s);
    *ret = s;
    return ERR_OK;
}

/* ---- the law of the binned Anderson-Darling statistic ---- */

/* lambda[] of the filled bins; returns how many. */
static size_t ad_eigenvalues(const uint64_t *ref, const uint64_t *cur, size_t n_bins,
                             double *lambda)
{
    double w[HIST_CELLS_MAX], p[HIST_CELLS_MAX], e[HIST_CELLS_MAX];
    struct pair t = sums_of(ref, cur, n_bins);
    size_t n = 0;
    double sum = 0;
    for (size_t b = 0; b < n_bins && n < HIST_CELLS_MAX; b++) {
        double c = (double)(ref[b] + cur[b]);
        if (c == 0)
            continue;
        sum += c;
        w[n] = c / (t.n + t.m);
        p[n++] = sum / (t.n + t.m);
    }
    if (n < 2)
        return 0;
    size_t m = n - 1; /* inner edges */
    for (size_t i = 0; i < m; i++) {
        double v = p[i] * (1.0 - p[i]) / w[i];
        lambda[i] = (1.0 / w[i] + 1.0 / w[i + 1]) * v;
        if (i + 1 < m)
            e[i] = -sqrt(v * p[i + 1] * (1.0 - p[i + 1]) / w[i + 1]) / w[i + 1];
    }
    if (stats_tridiagonal_eigenvalues(lambda, e, m) != 0)
        return 0;
    for (size_t i = 0; i < m; i++)
        lambda[i] = lambda[i] > 0 ? 1.0 / lambda[i] : 0;
    return m;
}

double drift_ad_sf(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double x)
{
    double lambda[HIST_CELLS_MAX];
    size_t n = ad_eigenvalues(ref, cur, n_bins, lambda);
    return n == 1 ? stats_chi2_sf(x / lambda[0], 1.0) : stats_quadratic_sf(lambda, n, x);
}

double drift_ad_sf_inv(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double q)
{
    double lambda[HIST_CELLS_MAX];
    size_t n = ad_eigenvalues(ref, cur, n_bins, lambda);
    return n == 1 ? lambda[0] * stats_chi2_sf_inv(q, 1.0) : stats_quadratic_sf_inv(lambda, n, q);
}

/* ---- two proportions ---- */

double drift_proportion_z(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2)
{
    if (n1 == 0 || n2 == 0)
        return 0;
    double a = (double)n1, b = (double)n2, p = (double)(k1 + k2) / (a + b);
    double v = p * (1.0 - p) * (1.0 / a + 1.0 / b);
    return v > 0 ? ((double)k1 / a - (double)k2 / b) / sqrt(v) : 0;
}

static double ln_choose(double n, double k)
{
    int sign;
    return lgamma_r(n + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(n - k + 1, &sign);
}

/* Sum of the hypergeometric law from k in direction `step` (+1 or -1); x of K marked among the n2 of N drawn. */
static double hypergeometric_tail(double k, double total, double marked, double drawn, int step)
{
    double lo = fmax(0, drawn + marked - total), hi = fmin(drawn, marked);
    double term =
        exp(ln_choose(marked, k) + ln_choose(total - marked, drawn - k) - ln_choose(total, drawn));
    double sum = term;
    for (double x = k; term > sum * 1e-17;) {
        if (step > 0) {
            if (x >= hi)
                break;
            term *= (marked - x) * (drawn - x) / ((x + 1) * (total - marked - drawn + x + 1));
        } else {
            if (x <= lo)
                break;
            term *= x * (total - marked - drawn + x) / ((marked - x + 1) * (drawn - x + 1));
        }
        x += step;
        sum += term;
    }
    return sum;
}

double drift_proportion_exact_p(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2)
{
    double total = (double)(n1 + n2), marked = (double)(k1 + k2), drawn = (double)n2,
           k = (double)k2;
    if (n1 == 0 || n2 == 0 || marked == 0 || marked == total)
        return 1;
    int step = k * total >= marked * drawn ? 1 : -1;
    return fmin(1.0, 2.0 * hypergeometric_tail(k, total, marked, drawn, step));
}
