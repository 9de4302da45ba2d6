/* Laws of weighted sums of squared normals, and the bracketed solver that all quantiles use. */
#include <float.h>
#include <math.h>

#include "stats/solve_int.h"
#include "stats/special.h"

/* Bracketing by doubling, then the Illinois variant of the secant rule: the tail is nearly linear on this scale,
 * so a dozen evaluations give full precision; bisection guards it. */
double solve_log_sf(double (*log_sf)(double x, const void *arg), const void *arg, double log_q,
                    double guess)
{
    double lo = 0, hi = guess, f_lo = log_sf(lo, arg) - log_q, f_hi = log_sf(hi, arg) - log_q;
    for (int i = 0; i < 1000 && f_hi > 0; i++) {
        lo = hi;
        f_lo = f_hi;
        hi *= 2;
        f_hi = log_sf(hi, arg) - log_q;
    }
    if (f_lo <= 0)
        return lo;
    int side = 0;
    for (int i = 0; i < 200 && hi - lo > 4 * DBL_EPSILON * hi; i++) {
        double x = isfinite(f_hi) ? (f_lo * hi - f_hi * lo) / (f_lo - f_hi) : 0.5 * (lo + hi);
        if (!(x > lo) || !(x < hi) || i % 8 == 7)
            x = 0.5 * (lo + hi);
        double f = log_sf(x, arg) - log_q;
        if (f == 0)
            return x;
        if (f > 0) {
            lo = x;
            f_lo = f;
            f_hi *= side == 1 ? 0.5 : 1.0;
            side = 1;
        } else {
            hi = x;
            f_hi = f;
            f_lo *= side == -1 ? 0.5 : 1.0;
            side = -1;
        }
        if (fabs(f) < 1e-13)
            return x;
    }
    return 0.5 * (lo + hi);
}

struct quadratic {
    const double *lambda;
    size_t n;
    double max;
};

/* Cumulant generating function K(t) = -1/2 sum ln(1 - 2 t lambda). */
static double cumulant(const struct quadratic *q, double t)
{
    double sum = 0;
    for (size_t i = 0; i < q->n; i++)
        sum -= 0.5 * log1p(-2.0 * t * q->lambda[i]);
    return sum;
}

/* Its first two derivatives. */
static void slopes(const struct quadratic *q, double t, double *k1, double *k2)
{
    double s1 = 0, s2 = 0;
    for (size_t i = 0; i < q->n; i++) {
        double r = q->lambda[i] / (1.0 - 2.0 * t * q->lambda[i]);
        s1 += r;
        s2 += 2.0 * r * r;
    }
    *k1 = s1;
    *k2 = s2;
}

/* t with K'(t) = x: Newton inside a bracket that holds by K' <= n/(-2t) and K' >= max/(1 - 2 t max). */
static double saddle_point(const struct quadratic *q, double mean, double x)
{
    double lo = x < mean ? -0.5 * (double)q->n / x : 0;
    double hi = x < mean ? 0 : fmax(0, (1.0 - q->max / x) / (2.0 * q->max));
    double t = 0.5 * (lo + hi);
    for (int i = 0; i < 100; i++) {
        double k1, k2;
        slopes(q, t, &k1, &k2);
        if (fabs(k1 - x) <= 1e-12 * x)
            return t;
        if (k1 < x)
            lo = t;
        else
            hi = t;
        double next = t - (k1 - x) / k2;
        t = next > lo && next < hi ? next : 0.5 * (lo + hi);
    }
    return t;
}

static double quadratic_sf(const struct quadratic *q, double x)
{
    double mean, k2, k3 = 0;
    slopes(q, 0, &mean, &k2);
    if (!(x > 0))
        return 1;
    for (size_t i = 0; i < q->n; i++)
        k3 += 8.0 * q->lambda[i] * q->lambda[i] * q->lambda[i];
    if (fabs(x - mean) < 1e-4 * sqrt(k2))
        return 0.5 - k3 / (6.0 * sqrt(2.0 * M_PI) * k2 * sqrt(k2)) -
               (x - mean) / sqrt(2.0 * M_PI * k2);
    double t = saddle_point(q, mean, x), k1;
    slopes(q, t, &k1, &k2);
    double w = copysign(sqrt(fmax(0, 2.0 * (t * x - cumulant(q, t)))), t), v = t * sqrt(k2);
    return stats_normal_sf(w + log(v / w) / w);
}

static struct quadratic quadratic_of(const double *lambda, size_t n)
{
    struct quadratic q = {lambda, n, 0};
    for (size_t i = 0; i < n; i++)
        q.max = fmax(q.max, lambda[i]);
    return q;
}

double stats_quadratic_sf(const double *lambda, size_t n, double x)
{
    struct quadratic q = quadratic_of(lambda, n);
    return n == 0 || !(q.max > 0) ? (x > 0 ? 0 : 1) : quadratic_sf(&q, x);
}

static double quadratic_log_sf(double x, const void *arg)
{
    return log(quadratic_sf(arg, x));
}

double stats_quadratic_sf_inv(const double *lambda, size_t n, double q)
{
    struct quadratic law = quadratic_of(lambda, n);
    if (n == 0 || !(law.max > 0) || !(q > 0) || !(q < 1))
        return 0;
    double mean = 0;
    for (size_t i = 0; i < n; i++)
        mean += lambda[i];
    return solve_log_sf(quadratic_log_sf, &law, log(q), 2.0 * mean);
}

/* One QL sweep with Wilkinson's shift on rows l..m; returns after the bulge has left. */
static void ql_sweep(double *d, double *e, size_t l, size_t m)
{
    double g = (d[l + 1] - d[l]) / (2.0 * e[l]), r = hypot(g, 1.0);
    g = d[m] - d[l] + e[l] / (g + copysign(r, g));
    double s = 1, c = 1, p = 0;
    for (size_t i = m; i-- > l;) {
        double f = s * e[i], b = c * e[i];
        r = sqrt(f * f + g * g); /* entries are far from overflow */
        e[i + 1] = r;
        if (r == 0) {
            d[i + 1] -= p;
            e[m] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2.0 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
}

static size_t ql_split(const double *d, const double *e, size_t l, size_t n)
{
    size_t m = l;
    while (m + 1 < n && fabs(e[m]) > DBL_EPSILON * (fabs(d[m]) + fabs(d[m + 1])))
        m++;
    return m;
}

int stats_tridiagonal_eigenvalues(double *d, double *e, size_t n)
{
    if (n == 0)
        return 0;
    e[n - 1] = 0;
    for (size_t l = 0; l < n; l++) {
        int iter = 0;
        for (size_t m = ql_split(d, e, l, n); m != l; m = ql_split(d, e, l, n)) {
            if (iter++ == 60)
                return -1;
            ql_sweep(d, e, l, m);
        }
    }
    for (size_t i = 1; i < n; i++) {
        double v = d[i];
        size_t j = i;
        for (; j > 0 && d[j - 1] > v; j--)
            d[j] = d[j - 1];
        d[j] = v;
    }
    return 0;
}
