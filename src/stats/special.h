/* Special functions and quantiles that the verdicts stand on. Pure, thread-safe, no allocation.
 *
 * Accuracy: relative error below 1e-10 in the central range and below 1e-8 in tails down to 1e-300 where a
 * tail function (…_sf, …_q, log_…) is used; never compute 1 - cdf for a small tail. Arguments outside the
 * domain give NaN. Sources: DLMF 8.2, 8.9, 8.17, 8.17.22 (continued fractions), 7.17 (inverse erfc). */
#ifndef PAWL_STATS_SPECIAL_H
#define PAWL_STATS_SPECIAL_H

#include <stddef.h>

/* Regularised incomplete gamma P(a, x) and Q = 1 - P; a > 0, x >= 0. */
double stats_gamma_p(double a, double x);
double stats_gamma_q(double a, double x);
/* x with Q(a, x) = q, 0 < q < 1. */
double stats_gamma_q_inv(double a, double q);

/* Regularised incomplete beta I_x(a, b), its complement, and ln of the complement; a, b > 0, 0 <= x <= 1. */
double stats_beta_i(double a, double b, double x);
double stats_beta_i_upper(double a, double b, double x);
double stats_log_beta_i_lower(double a, double b, double x);
double stats_log_beta_i_upper(double a, double b, double x);
double stats_beta_i_inv(double a, double b, double p);
double stats_log_beta(double a, double b); /* ln B(a, b) */

double stats_normal_cdf(double z);
double stats_normal_sf(double z);
double stats_normal_quantile(double p); /* 0 < p < 1 */
double stats_normal_sf_inv(double q);   /* z with P(Z > z) = q, exact in the tail */

double stats_chi2_sf(double x, double df);
double stats_chi2_sf_inv(double q, double df);
double stats_t_sf(double t, double df);
double stats_t_sf_inv(double q, double df);
double stats_binomial_sf(unsigned long k, unsigned long n, double p); /* P(X >= k) */

/* Kolmogorov's limit law: P(sqrt(n) D > x), without Stephens' small-n term. */
double stats_kolmogorov_sf(double x);
double stats_kolmogorov_sf_inv(double q);

/* P(sum_j lambda[j] Z_j^2 > x), Z_j independent standard normal, lambda > 0: Lugannani-Rice saddle point
 * (Kuonen 1999, Biometrika 86). For upper tails: relative error below 15 % above the mean, mostly below 2 %,
 * and then too large rather than too small. O(n) a step. */
double stats_quadratic_sf(const double *lambda, size_t n, double x);
double stats_quadratic_sf_inv(const double *lambda, size_t n, double q);

/* Eigenvalues of a symmetric tridiagonal matrix, ascending, in place: d[n] diagonal, e[n] sub-diagonal in
 * e[0..n-2] (destroyed). Implicit QL; returns 0, or -1 when it does not converge. O(n^2). */
int stats_tridiagonal_eigenvalues(double *d, double *e, size_t n);

/* A gamma law fitted to a mean and a variance (> 0), read at an upper quantile; when the fit came from only
 * n_samples values the distance to the mean is widened as a normal prediction interval would be:
 * by t_{n-1}(q) sqrt(1 + 1/n) / z(q). */
double stats_gamma_fit_sf_inv(double mean, double variance, size_t n_samples, double q);
double stats_gamma_fit_sf(double mean, double variance, size_t n_samples, double x);

#endif
