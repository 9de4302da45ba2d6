/* Special functions against scipy 1.x (values printed by it with 16 digits), inverses against their functions. */
#include "test.h"

#include <math.h>

#include "base/check.h"
#include "stats/special.h"

static void close_to(double got, double want, double rel)
{
    if (!(fabs(got - want) <= rel * fabs(want)))
        fail_msg("%.17g is not %.17g within %g", got, want, rel);
}

static void gamma_matches_scipy(void **state)
{
    (void)state;
    close_to(stats_gamma_q(0.5, 0.3), 0.4385780260809997, 1e-12);
    close_to(stats_gamma_q(10, 3), 0.9988975118698845, 1e-12);
    close_to(stats_gamma_q(200, 260), 4.750012444300866e-05, 1e-11);
    close_to(stats_gamma_q(1e4, 1.05e4), 4.275872455059654e-07, 1e-9);
    close_to(stats_gamma_q(0.3, 40), 1.0556514939798352e-19, 1e-11);
    close_to(stats_gamma_p(2, 1e-5), 4.99996666679167e-11, 1e-10);
    assert_true(isnan(stats_gamma_q(-1, 2)) && isnan(stats_gamma_p(1, -1)));
}

static void beta_matches_scipy(void **state)
{
    (void)state;
    close_to(stats_beta_i(0.5, 0.5, 0.2), 0.2951672353008665, 1e-12);
    close_to(stats_beta_i(2, 3, 0.7), 0.9163, 1e-12);
    close_to(stats_beta_i(300, 400, 0.45), 0.8738250286734268, 1e-11);
    close_to(stats_beta_i(1e5, 1e6, 0.0905), 0.06764057588337627, 1e-8);
    close_to(stats_log_beta_i_upper(20, 300, 0.3), -60.06823608389992, 1e-11);
    close_to(stats_binomial_sf(10, 200, 0.02), 0.007479287865361496, 1e-11);
    assert_true(stats_beta_i(2, 3, 0) == 0 && stats_beta_i(2, 3, 1) == 1);
}

static void quantiles_match_scipy(void **state)
{
    (void)state;
    close_to(stats_chi2_sf_inv(1e-6, 1), 23.928126976934827, 1e-10);
    close_to(stats_chi2_sf_inv(0.05, 63), 82.52872654147181, 1e-11);
    close_to(stats_chi2_sf_inv(1e-10, 200), 354.6010094112641, 1e-10);
    close_to(stats_t_sf_inv(0.025, 9), 2.2621571627982053, 1e-11);
    close_to(stats_t_sf_inv(1e-6, 29), 5.917105540459563, 1e-10);
    close_to(stats_t_sf_inv(0.4, 2), 0.2886751345948128, 1e-11);
    close_to(stats_normal_sf_inv(0.025), 1.9599639845400545, 1e-13);
    close_to(stats_normal_sf_inv(1e-9), 5.9978070150076865, 1e-13);
    close_to(stats_normal_sf_inv(1e-100), 21.273453560965322, 1e-13);
    close_to(stats_normal_sf_inv(0.7), -0.5244005127080407, 1e-12);
    close_to(stats_normal_quantile(0.975), 1.9599639845400545, 1e-12);
    close_to(stats_kolmogorov_sf(1.0), 0.26999967167735456, 1e-12);
    close_to(stats_kolmogorov_sf_inv(1e-4), 2.2252513961950457, 1e-10);
}

static void inverses_invert(void **state)
{
    (void)state;
    for (double q = 1e-12; q < 1; q = q < 0.01 ? q * 100 : q + 0.13) {
        close_to(stats_gamma_q(3.7, stats_gamma_q_inv(3.7, q)), q, 1e-8);
        close_to(stats_t_sf(stats_t_sf_inv(q, 5), 5), q, 1e-8);
        close_to(stats_normal_sf(stats_normal_sf_inv(q)), q, 1e-10);
        close_to(stats_kolmogorov_sf(stats_kolmogorov_sf_inv(q)), q, 1e-8);
        close_to(stats_beta_i(3, 8, stats_beta_i_inv(3, 8, q)), q, 1e-7);
    }
}

/* One weight: chi-square with 1 degree of freedom; equal weights: with n. Saddle point, so a few per cent. */
static void quadratic_form_is_chi_square(void **state)
{
    double w[40];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(w); i++)
        w[i] = 0.5;
    for (double x = 4; x < 60; x *= 1.7) { /* the upper tail is what is read */
        close_to(stats_quadratic_sf(w, 10, 0.5 * x), stats_chi2_sf(x, 10), 0.02);
        close_to(stats_quadratic_sf(w, 1, 0.5 * x), stats_chi2_sf(x, 1), 0.15);
    }
    close_to(stats_quadratic_sf(w, 40, stats_quadratic_sf_inv(w, 40, 1e-5)), 1e-5, 1e-6);
}

/* Anderson and Darling 1954: the limit law's upper 5 % and 1 % points, 2.492 and 3.878; weights 1/(j(j+1)). */
static void anderson_darling_limit(void **state)
{
    static double w[2000];
    (void)state;
    for (size_t j = 0; j < ARRAY_LEN(w); j++)
        w[j] = 1.0 / ((double)(j + 1) * (double)(j + 2));
    close_to(stats_quadratic_sf(w, ARRAY_LEN(w), 2.492), 0.05, 0.05);
    double p = stats_quadratic_sf(w, ARRAY_LEN(w), 3.878);
    assert_true(p >= 0.0099 && p < 0.0125); /* errs on the safe side */
}

static void tridiagonal_eigenvalues(void **state)
{
    double d[50], e[50];
    (void)state;
    for (size_t i = 0; i < 50; i++) {
        d[i] = 2;
        e[i] = -1;
    }
    assert_int_equal(stats_tridiagonal_eigenvalues(d, e, 50), 0);
    for (size_t i = 0; i < 50; i++)
        close_to(d[i], 2 - 2 * cos(M_PI * (double)(i + 1) / 51), 1e-11);
}

static void prediction_interval_widens(void **state)
{
    (void)state;
    double many = stats_gamma_fit_sf_inv(2, 1.5, 100000, 1e-4),
           few = stats_gamma_fit_sf_inv(2, 1.5, 15, 1e-4);
    close_to(many, 2 * 1.0 + (many - 2), 1e-12);
    assert_true(few > 1.2 * many);
    close_to(stats_gamma_fit_sf(2, 1.5, 15, few), 1e-4, 1e-6);
    /* t_14(1e-4) sqrt(1 + 1/15) / z(1e-4) by scipy: 4.992158 * 1.0327956 / 3.719016 */
    close_to((few - 2) / (many - 2),
             stats_t_sf_inv(1e-4, 14) * sqrt(1 + 1.0 / 15) / stats_normal_sf_inv(1e-4), 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gamma_matches_scipy),
        cmocka_unit_test(beta_matches_scipy),
        cmocka_unit_test(quantiles_match_scipy),
        cmocka_unit_test(inverses_invert),
        cmocka_unit_test(quadratic_form_is_chi_square),
        cmocka_unit_test(anderson_darling_limit),
        cmocka_unit_test(tridiagonal_eigenvalues),
        cmocka_unit_test(prediction_interval_widens),
    };
    return RUN_TESTS(tests);
}
