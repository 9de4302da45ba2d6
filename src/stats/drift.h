/* Drift of one feature (or of the score) in one window against the model's reference.
 *
 * The verdict keeps a declared false-alarm rate: the statistic must exceed both the closed-form null for
 * independent rows at this n and what the reference's own consecutive chunks of the same size show, each read at
 * the quantile that the feature's share of the alarm budget buys; and the effect must exceed a floor.
 * What decides: numbers, binned Anderson-Darling; categories, chi-square of the 2 x k table; and for both the
 * exact two-proportion test of the missing share (and of unseen categories / non-finite values), which get a
 * quarter of the feature's budget together. PSI, KS, KL, JS, Hellinger, L-infinity are always reported and may be
 * chosen as the rule; they then pass through the same two-part null.
 *
 * Conventions of the shown scores (golden vectors in the unit tests): natural logarithm; an empty bin of one side
 * gets half a count, and both sides are then normalised; JS is a distance (square root, natural log, at most
 * 0.8326); KL is KL(reference || window). They run over the value bins only: missing, non-finite have their own test.
 * Pure; threads: any. Cost: O(cells * chunks) a call, about 0.1-0.5 ms. */
#ifndef PAWL_STATS_DRIFT_H
#define PAWL_STATS_DRIFT_H

#include "stats/histogram.h"

enum drift_rule {
    DRIFT_RULE_DEFAULT, /* Anderson-Darling for numbers, chi-square for categories */
    DRIFT_RULE_PSI,
    DRIFT_RULE_KS,
    DRIFT_RULE_KL,
    DRIFT_RULE_JS,
    DRIFT_RULE_HELLINGER,
    DRIFT_RULE_LINF,
    DRIFT_RULE_N
};
const char *
drift_rule_name(enum drift_rule r); /* "default" "psi" "ks" "kl" "js" "hellinger" "l_inf" */

enum drift_verdict { DRIFT_NONE, DRIFT_YES, DRIFT_OPEN, DRIFT_VERDICT_N };
const char *drift_verdict_name(enum drift_verdict v); /* "none" "drift" "not_enough_evidence" */

enum drift_season {
    DRIFT_SEASON_NONE,
    DRIFT_SEASON_HOUR,
    DRIFT_SEASON_HOUR_OF_WEEK,
    DRIFT_SEASON_MONTH,
    DRIFT_SEASON_N
};

/* Scores of two count vectors over the same n bins; untouched on error (ERR_EMPTY: a side sums to 0). */
struct drift_scores {
    double psi, kl, js, hellinger, l_inf, tvd, ks;
    double ad;   /* k * sum w (F-G)^2 / (P (1-P)) */
    double chi2; /* 2 x n contingency */
    double chi2_df;
};
enum err_code drift_scores_of(const uint64_t *ref, const uint64_t *cur, size_t n_bins,
                              struct drift_scores *ret, struct err *err) MUST_CHECK;
/* Two proportions k1/n1 against k2/n2: z (pooled), its two-sided p, and Fisher's exact two-sided p. */
double drift_proportion_z(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2);
double drift_proportion_exact_p(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2);
/* Closed-form null of the binned Anderson-Darling statistic for these counts: P(A >= x), and the upper quantile.
 * Its law is a weighted sum of chi-squares whose weights are the eigenvalues of a tridiagonal problem. */
double drift_ad_sf(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double x);
double drift_ad_sf_inv(const uint64_t *ref, const uint64_t *cur, size_t n_bins, double q);

struct drift_options {
    enum drift_rule rule;
    double alpha; /* of this feature in this window, from drift_budget */
    double
        effect_floor; /* bias-corrected PSI below which nothing is drift; default 0.1; 0 = none */
    uint64_t n_min;   /* rows below which the verdict is open; default 50 */
    enum drift_season season;
    int64_t window_from_us; /* for season */
    /* Length of the window; when > 0 and the reference has times, it is held against chunks of the same duration, and
     * what they show beyond chance is scaled to the window's rows (a reference may be a sample of life). 0: chunks of
     * the same number of rows. */
    int64_t window_us;
};
#define DRIFT_EFFECT_FLOOR_DEFAULT 0.1
#define DRIFT_N_MIN_DEFAULT        50
#define DRIFT_CHUNKS_MIN           6  /* below: not enough evidence */
#define DRIFT_CHUNKS_FEW           20 /* below: the result says that the fitted tail is a guess */

/* One test inside a verdict. */
struct drift_test {
    const char *
        name; /* "anderson_darling", "chi_square", "missing", "unseen", "non_finite", or the rule's */
    double score;       /* the statistic */
    double null_rows;   /* quantile of the closed form */
    double null_chunks; /* quantile of the reference's own chunks; 0 when they do not vary */
    double null;        /* the larger */
    double ratio;       /* score / null */
    double alpha;       /* the quantile used is 1 - alpha */
    double p_rows;      /* closed-form p-value */
    double effect;      /* bias-corrected PSI of the cells that it looks at */
    bool is_over;       /* ratio > 1 and effect over the floor */
};
#define DRIFT_TESTS_MAX 3

struct drift_result {
    enum drift_verdict verdict;
    struct drift_test test[DRIFT_TESTS_MAX]; /* [0] the distribution */
    size_t n_tests;
    size_t worst; /* index of the test with the largest ratio: what is reported first */
    struct drift_scores shown;
    uint64_t n, n_ref;
    size_t n_chunks;     /* merged chunks behind null_chunks */
    uint64_t chunk_rows; /* rows of a merged chunk, about n */
    bool is_few_chunks;  /* fewer than DRIFT_CHUNKS_FEW */
    double importance;
    char why[200]; /* one sentence */
};

/* cur: counts on ref->edges. Always fills *ret (a verdict is never an error). */
void drift_judge(const struct hist_reference *ref, const uint64_t *cur,
                 const struct drift_options *opt, struct drift_result *ret);
struct json *drift_result_json(const struct hist_reference *ref, const uint64_t *cur,
                               const struct drift_result *r, struct arena *a);

/* ---- the alarm budget of a model ---- */
/* "1 per 30d" -> alarms per microsecond; ERR_PARSE names the form. */
enum err_code drift_alarm_rate_parse(struct str s, double *ret_per_us, struct err *err) MUST_CHECK;
/* Splits the expected false alarms of one window (rate * window length, at most 0.5) over tests: half to the
 * score, half to the features by importance; features with importance 0 share 2 % of the features' half. When
 * there is no score reference the features get all. alphas[n] and *ret_score are written. */
void drift_budget(double alpha_window, const double *importance, size_t n, bool has_score,
                  double *alphas, double *ret_score);
/* k of the last r windows: verdicts newest last; open windows do not count. */
bool drift_persists(const enum drift_verdict *last, size_t n, size_t k, size_t r);

#endif
