/* Always-valid intervals and e-values; all in logarithms, so that a product over steps is a sum. */
#include "stats/sequential.h"

#include <math.h>

#include "stats/special.h"

double seq_mixture_half_width(double se, double tau, double alpha)
{
    if (!(se > 0) || !(tau > 0) || !(alpha > 0) || !(alpha < 1))
        return INFINITY;
    double v = 1.0 / (se * se), r = tau * tau * v;
    return sqrt((1.0 + r) / (r * v) * (log1p(r) - 2.0 * log(alpha)));
}

/* ---- ratio: events given their total ---- */

static double xlogy(double x, double y)
{
    return x == 0 ? 0 : x * log(y);
}

static double null_share(double share, double times)
{
    return share * times / (share * times + 1.0 - share);
}

double seq_ratio_log_e_over(uint64_t k, uint64_t m, double share, double times)
{
    if (m == 0 || !(share > 0) || !(share < 1) || k > m)
        return 0;
    double q0 = null_share(share, times), a = (double)k + 1.0, b = (double)(m - k) + 1.0;
    return stats_log_beta(a, b) + stats_log_beta_i_upper(a, b, q0) - xlogy((double)k, q0) -
           xlogy((double)(m - k), 1.0 - q0) - log1p(-q0);
}

double seq_ratio_log_e_within(uint64_t k, uint64_t m, double share, double times)
{
    if (m == 0 || !(share > 0) || !(share < 1) || k > m)
        return 0;
    double q0 = null_share(share, times), a = (double)k + 1.0, b = (double)(m - k) + 1.0;
    return stats_log_beta(a, b) + stats_log_beta_i_lower(a, b, q0) - xlogy((double)k, q0) -
           xlogy((double)(m - k), 1.0 - q0) - log(q0);
}

/* ---- differences of rates: mixture over the largest likelihood under the null ---- */

static double log_likelihood(double k, double n, double p)
{
    return xlogy(k, p) + xlogy(n - k, 1.0 - p);
}

/* ln of the likelihood averaged over Jeffreys' prior. */
static double log_mixture(double k, double n)
{
    return stats_log_beta(k + 0.5, n - k + 0.5) - stats_log_beta(0.5, 0.5);
}

static double log_sum(double a, double b)
{
    double hi = fmax(a, b), lo = fmin(a, b);
    return isinf(hi) ? hi : hi + log1p(exp(lo - hi));
}

struct rates {
    double k1, n1, k0, n0;
};

static double joint(const struct rates *r, double p0, double d)
{
    return log_likelihood(r->k1, r->n1, p0 + d) + log_likelihood(r->k0, r->n0, p0);
}

/* Largest log likelihood with p1 - p0 == d: concave in p0, so golden section finds it; the ends count too. */
static double sup_on_line(const struct rates *r, double d)
{
    double lo = fmax(0, -d), hi = fmin(1, 1 - d), best = fmax(joint(r, lo, d), joint(r, hi, d));
    const double g = 0.6180339887498949;
    double a = lo, b = hi, x = b - g * (b - a), y = a + g * (b - a), fx = joint(r, x, d),
           fy = joint(r, y, d);
    for (int i = 0; i < 90 && b - a > 1e-15; i++) {
        if (fx > fy) {
            b = y;
            y = x;
            fy = fx;
            x = b - g * (b - a);
            fx = joint(r, x, d);
        } else {
            a = x;
            x = y;
            fx = fy;
            y = a + g * (b - a);
            fy = joint(r, y, d);
        }
    }
    return fmax(best, fmax(fx, fy));
}

/* Largest log likelihood under p1 - p0 <= d (side -1) or >= d (side +1). */
static double sup_under(const struct rates *r, double d, int side)
{
    double p1 = r->n1 > 0 ? r->k1 / r->n1 : 0, p0 = r->n0 > 0 ? r->k0 / r->n0 : 0;
    bool is_inside = side > 0 ? p1 - p0 >= d : p1 - p0 <= d;
    if (is_inside)
        return log_likelihood(r->k1, r->n1, p1) + log_likelihood(r->k0, r->n0, p0);
    return sup_on_line(r, d);
}

double seq_difference_log_e_over(double k1, double n1, double k0, double n0, double margin)
{
    if (!(n1 > 0) || !(n0 > 0))
        return 0;
    struct rates r = {k1, n1, k0, n0};
    return log_mixture(k1, n1) + log_mixture(k0, n0) - sup_under(&r, margin, -1);
}

/* The wager's alternatives: nothing ever fails (weight 0.6), both arms fail alike (0.3), each as it likes (0.1). */
static double log_within_mixture(const struct rates *r)
{
    double sum = log(0.3) + log_mixture(r->k1 + r->k0, r->n1 + r->n0);
    sum = log_sum(sum, log(0.1) + log_mixture(r->k1, r->n1) + log_mixture(r->k0, r->n0));
    return r->k1 + r->k0 > 0 ? sum : log_sum(sum, log(0.6));
}

double seq_difference_log_e_within(double k1, double n1, double k0, double n0, double margin)
{
    if (!(n1 > 0) || !(n0 > 0))
        return 0;
    struct rates r = {k1, n1, k0, n0};
    return log_within_mixture(&r) - sup_under(&r, margin, 1);
}

double seq_rate_log_e_over(double k, double n, double limit)
{
    if (!(n > 0))
        return 0;
    return log_mixture(k, n) - log_likelihood(k, n, fmin(limit, k / n));
}

double seq_rate_log_e_within(double k, double n, double limit)
{
    if (!(n > 0))
        return 0;
    double mix = log(0.4) + log_mixture(k, n);
    mix = k > 0 ? mix : log_sum(mix, log(0.6));
    return mix - log_likelihood(k, n, fmax(limit, k / n));
}

static double sum_log_e(const struct seq_rates *s, size_t n, double margin, int side)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += side > 0 ? seq_difference_log_e_within(s[i].k1, s[i].n1, s[i].k0, s[i].n0, margin)
                        : seq_difference_log_e_over(s[i].k1, s[i].n1, s[i].k0, s[i].n0, margin);
    return sum;
}

/* Margins at which the evidence crosses ln(1/alpha): monotone in the margin, so bisection. */
static double bound(const struct seq_rates *s, size_t n, double alpha, int side)
{
    double need = -log(alpha), lo = -1, hi = 1; /* evidence is smallest at `lo` for side > 0 */
    for (int i = 0; i < 60; i++) {
        double mid = 0.5 * (lo + hi);
        bool is_shown = sum_log_e(s, n, mid, side) >= need;
        if (is_shown == (side > 0))
            hi = mid;
        else
            lo = mid;
    }
    return side > 0 ? hi : lo;
}

double seq_difference_upper(const struct seq_rates *s, size_t n, double alpha)
{
    return n == 0 ? 1 : bound(s, n, alpha, 1);
}

double seq_difference_lower(const struct seq_rates *s, size_t n, double alpha)
{
    return n == 0 ? -1 : bound(s, n, alpha, -1);
}

double seq_srm_log_e(uint64_t k, uint64_t n, double share)
{
    if (n == 0 || k > n || !(share > 0) || !(share < 1))
        return 0;
    const double weight = 50;
    double a = weight * share, b = weight * (1.0 - share), hits = (double)k, rest = (double)(n - k);
    return stats_log_beta(a + hits, b + rest) - stats_log_beta(a, b) - xlogy(hits, share) -
           xlogy(rest, 1.0 - share);
}
