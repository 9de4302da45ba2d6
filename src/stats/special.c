/* Incomplete gamma and beta functions by series and continued fraction, and the laws that follow from them. */
#include "stats/special.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "stats/solve_int.h"

#define TINY     1e-300
#define ITER_MAX 20000

static double ln_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* ---- incomplete gamma: DLMF 8.11.4 (series) and 8.9.2 (continued fraction) ---- */

static double gamma_series(double a, double x)
{
    double term = 1.0 / a, sum = term;
    for (int i = 1; i < ITER_MAX && fabs(term) > fabs(sum) * 1e-17; i++) {
        term *= x / (a + i);
        sum += term;
    }
    return sum * exp(a * log(x) - x - ln_gamma(a));
}

static double gamma_fraction(double a, double x)
{
    double b = x + 1.0 - a, c = 1.0 / TINY, d = 1.0 / b, h = d;
    for (int i = 1; i < ITER_MAX; i++) {
        double an = -i * (i - a);
        b += 2.0;
        d = an * d + b;
        d = fabs(d) < TINY ? TINY : d;
        c = b + an / c;
        c = fabs(c) < TINY ? TINY : c;
        d = 1.0 / d;
        double step = d * c;
        h *= step;
        if (fabs(step - 1.0) < 1e-16)
            break;
    }
    return h * exp(a * log(x) - x - ln_gamma(a));
}

double stats_gamma_p(double a, double x)
{
    if (!(a > 0) || !(x >= 0))
        return NAN;
    if (x == 0)
        return 0;
    return x < a + 1.0 ? gamma_series(a, x) : 1.0 - gamma_fraction(a, x);
}

double stats_gamma_q(double a, double x)
{
    if (!(a > 0) || !(x >= 0))
        return NAN;
    if (x == 0)
        return 1;
    if (isinf(x))
        return 0;
    return x < a + 1.0 ? 1.0 - gamma_series(a, x) : gamma_fraction(a, x);
}

struct gamma_arg {
    double a;
};

static double gamma_log_sf(double x, const void *arg)
{
    return log(stats_gamma_q(((const struct gamma_arg *)arg)->a, x));
}

double stats_gamma_q_inv(double a, double q)
{
    if (!(a > 0) || !(q > 0) || !(q < 1))
        return NAN;
    struct gamma_arg arg = {a};
    return solve_log_sf(gamma_log_sf, &arg, log(q), a + 1.0);
}

/* ---- incomplete beta: DLMF 8.17.22 ---- */

double stats_log_beta(double a, double b)
{
    return ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
}

static double beta_fraction(double a, double b, double x)
{
    double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < TINY ? TINY : d);
    double h = d;
    for (int m = 1; m < ITER_MAX; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1.0 + even * d;
        c = 1.0 + even / c;
        d = 1.0 / (fabs(d) < TINY ? TINY : d);
        c = fabs(c) < TINY ? TINY : c;
        h *= d * c;
        d = 1.0 + odd * d;
        c = 1.0 + odd / c;
        d = 1.0 / (fabs(d) < TINY ? TINY : d);
        c = fabs(c) < TINY ? TINY : c;
        double step = d * c;
        h *= step;
        if (fabs(step - 1.0) < 1e-16)
            break;
    }
    return h;
}

/* ln of x^a (1-x)^b / (a B(a, b)) * fraction; right where x < (a + 1) / (a + b + 2). */
static double log_beta_direct(double a, double b, double x)
{
    return a * log(x) + b * log1p(-x) - stats_log_beta(a, b) - log(a) + log(beta_fraction(a, b, x));
}

double stats_log_beta_i_lower(double a, double b, double x)
{
    if (!(a > 0) || !(b > 0) || !(x >= 0) || !(x <= 1))
        return NAN;
    if (x <= 0)
        return -INFINITY;
    if (x >= 1)
        return 0;
    if (x < (a + 1.0) / (a + b + 2.0))
        return fmin(0, log_beta_direct(a, b, x));
    return log1p(-fmin(1, exp(log_beta_direct(b, a, 1.0 - x))));
}

double stats_log_beta_i_upper(double a, double b, double x)
{
    return stats_log_beta_i_lower(b, a, 1.0 - x);
}

double stats_beta_i(double a, double b, double x)
{
    return exp(stats_log_beta_i_lower(a, b, x));
}

double stats_beta_i_upper(double a, double b, double x)
{
    return exp(stats_log_beta_i_upper(a, b, x));
}

double stats_beta_i_inv(double a, double b, double p)
{
    if (!(a > 0) || !(b > 0) || !(p >= 0) || !(p <= 1))
        return NAN;
    double lo = 0, hi = 1;
    for (int i = 0; i < 200 && hi - lo > DBL_EPSILON * hi; i++) {
        double mid = 0.5 * (lo + hi);
        if (stats_beta_i(a, b, mid) < p)
            lo = mid;
        else
            hi = mid;
    }
    return 0.5 * (lo + hi);
}

/* ---- normal, chi-square, t, binomial ---- */

double stats_normal_cdf(double z)
{
    return 0.5 * erfc(-z * M_SQRT1_2);
}

double stats_normal_sf(double z)
{
    return 0.5 * erfc(z * M_SQRT1_2);
}

/* Newton on ln(sf), which is concave and nearly quadratic: converges from everywhere in the upper half. */
double stats_normal_sf_inv(double q)
{
    if (!(q > 0) || !(q < 1))
        return NAN;
    if (q > 0.5)
        return -stats_normal_sf_inv(1.0 - q);
    double z = sqrt(fmax(0, -2.0 * log(2.0 * q)));
    for (int i = 0; i < 50; i++) {
        double sf = stats_normal_sf(z);
        double pdf = exp(-0.5 * z * z) / sqrt(2.0 * M_PI);
        double step = (log(sf) - log(q)) * sf / pdf;
        z += step;
        if (fabs(step) < 1e-14 * fmax(1.0, fabs(z)))
            break;
    }
    return z;
}

double stats_normal_quantile(double p)
{
    return p < 0.5 ? -stats_normal_sf_inv(p) : stats_normal_sf_inv(1.0 - p);
}

double stats_chi2_sf(double x, double df)
{
    return stats_gamma_q(0.5 * df, 0.5 * fmax(0, x));
}

double stats_chi2_sf_inv(double q, double df)
{
    return 2.0 * stats_gamma_q_inv(0.5 * df, q);
}

double stats_t_sf(double t, double df)
{
    double tail = 0.5 * stats_beta_i(0.5 * df, 0.5, df / (df + t * t));
    return t > 0 ? tail : 1.0 - tail;
}

struct t_arg {
    double df;
};

static double t_log_sf(double t, const void *arg)
{
    return log(stats_t_sf(t, ((const struct t_arg *)arg)->df));
}

double stats_t_sf_inv(double q, double df)
{
    if (!(q > 0) || !(q < 1) || !(df > 0))
        return NAN;
    if (q > 0.5)
        return -stats_t_sf_inv(1.0 - q, df);
    if (q == 0.5)
        return 0;
    struct t_arg arg = {df};
    return solve_log_sf(t_log_sf, &arg, log(q), 2.0);
}

double stats_binomial_sf(unsigned long k, unsigned long n, double p)
{
    if (k == 0)
        return 1;
    if (k > n)
        return 0;
    return stats_beta_i((double)k, (double)(n - k) + 1.0, p);
}

/* ---- Kolmogorov: two series, each where it converges at once ---- */

double stats_kolmogorov_sf(double x)
{
    if (!(x > 0))
        return 1;
    if (x < 1.0) {
        double sum = 0;
        for (int i = 1; i < 60; i += 2)
            sum += exp(-i * i * M_PI * M_PI / (8.0 * x * x));
        return 1.0 - sqrt(2.0 * M_PI) / x * sum;
    }
    double sum = 0, sign = 1;
    for (int i = 1; i < 60; i++, sign = -sign)
        sum += sign * exp(-2.0 * i * i * x * x);
    return 2.0 * sum;
}

static double kolmogorov_log_sf(double x, const void *arg)
{
    (void)arg;
    return log(stats_kolmogorov_sf(x));
}

double stats_kolmogorov_sf_inv(double q)
{
    if (!(q > 0) || !(q < 1))
        return NAN;
    return solve_log_sf(kolmogorov_log_sf, NULL, log(q), 1.0);
}

/* ---- a fitted gamma ---- */

/* How much wider the distance to the mean is when the law was estimated from n values. */
static double prediction_inflation(size_t n_samples, double q)
{
    if (n_samples < 2 || !(q < 0.5))
        return n_samples < 2 ? INFINITY : 1.0;
    double n = (double)n_samples;
    return stats_t_sf_inv(q, n - 1.0) * sqrt(1.0 + 1.0 / n) / stats_normal_sf_inv(q);
}

double stats_gamma_fit_sf_inv(double mean, double variance, size_t n_samples, double q)
{
    if (!(mean > 0) || !(variance > 0))
        return NAN;
    double shape = mean * mean / variance;
    double x = stats_gamma_q_inv(shape, q) * variance / mean;
    return mean + fmax(0, x - mean) * prediction_inflation(n_samples, q);
}

double stats_gamma_fit_sf(double mean, double variance, size_t n_samples, double x)
{
    if (!(mean > 0) || !(variance > 0))
        return NAN;
    double shape = mean * mean / variance;
    if (x <= mean)
        return stats_gamma_q(shape, fmax(0, x) * mean / variance);
    /* The quantile is widened by a factor that depends on q: find the q whose widened quantile is x. */
    double lo = -700, hi = log(0.5);
    for (int i = 0; i < 60; i++) {
        double mid = 0.5 * (lo + hi);
        if (stats_gamma_fit_sf_inv(mean, variance, n_samples, exp(mid)) > x)
            lo = mid;
        else
            hi = mid;
    }
    return exp(0.5 * (lo + hi));
}
