/* Verdicts that stay valid however often one looks: always-valid intervals and e-values.
 *
 * An e-value is a wager against the null hypothesis with expectation at most 1: at any time of one's choosing the
 * chance that it ever reaches 1/alpha is at most alpha (Ville). Logarithms throughout. Pure.
 * Sources: Robbins 1970 (normal mixture); Waudby-Smith et al. 2021 (time-uniform central limit theorem); Lindon et al.
 * 2022 (binomial and multinomial tests); Wasserman, Ramdas, Balakrishnan 2020 (universal inference). */
#ifndef PAWL_STATS_SEQUENTIAL_H
#define PAWL_STATS_SEQUENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Half width of the normal-mixture interval around an estimate with standard error se: with V = 1/se^2
 * h = sqrt((1 + tau^2 V) / (tau^2 V^2) * (ln(1 + tau^2 V) + 2 ln(1/alpha))). Infinity for se that is not > 0. */
double seq_mixture_half_width(double se, double tau, double alpha);

/* Events m in both arms, k of them in the candidate's, which had share s of the requests. Null: at most `times` as
 * often as the incumbent, q <= q0 = s r / (s r + 1 - s). ln of the uniform mixture over (q0, 1). */
double seq_ratio_log_e_over(uint64_t k, uint64_t m, double share, double times);
/* The wager the other way, null q >= q0, mixture over (0, q0): evidence that the candidate is within the ratio. */
double seq_ratio_log_e_within(uint64_t k, uint64_t m, double share, double times);

/* Difference of Bernoulli rates p1 - p0, from k1 of n1 and k0 of n0 (real numbers, so that counts may be divided by
 * a design effect). ln of (mixture likelihood / largest likelihood under the null). */
double seq_difference_log_e_over(double k1, double n1, double k0, double n0,
                                 double margin); /* null: p1 - p0 <= margin */
double seq_difference_log_e_within(double k1, double n1, double k0, double n0,
                                   double margin); /* null: p1 - p0 >= margin */
/* One rate against a fixed limit. */
double seq_rate_log_e_over(double k, double n, double limit);   /* null: p <= limit */
double seq_rate_log_e_within(double k, double n, double limit); /* null: p >= limit */

/* One stratum of a difference of rates. */
struct seq_rates {
    double k1, n1, k0, n0;
};
/* Always-valid bounds of a difference that is the same in all strata: the margins at which the product of the
 * strata's e-values reaches 1/alpha. -1 / 1 when there is no evidence. */
double seq_difference_upper(const struct seq_rates *s, size_t n, double alpha);
double seq_difference_lower(const struct seq_rates *s, size_t n, double alpha);

/* Sample-ratio mismatch: k of n entities fell into an arm of declared share; Beta-binomial mixture centred on it
 * (weight 50). ln e; multiply (add) over steps. The rollout is void at e >= SEQ_SRM_E. */
double seq_srm_log_e(uint64_t k, uint64_t n, double share);
#define SEQ_SRM_E 1000.0

#endif
