/* The verdict on one feature in one window: two-part null, effect floor, three outcomes. */
#include <math.h>
#include <stdio.h>

#include "stats/drift_int.h"
#include "stats/special.h"

#define SHARE_DISTRIBUTION                                                                         \
    0.75 /* of the feature's alpha; the tests of single cells share the rest */

struct law_arg {
    const struct drift_law *law;
    size_t n_bins;
};

static double law_chunk_score(const void *arg, const uint64_t *rest, const uint64_t *chunk)
{
    const struct law_arg *a = arg;
    double x = a->law->score(rest, chunk, a->n_bins);
    return a->law->is_squared ? x * x : x;
}

/* Moments at the window's size instead of the chunks': what they show beyond chance grows with nm/(n+m), chance itself
 * does not (or, for a score that is not scaled by it, falls with it). closed: the window's mean by chance. */
static void rescale(struct drift_moments *m, double closed, bool is_scaled, double scale)
{
    double closed_chunk = is_scaled ? closed : closed * scale, u = m->mean / closed_chunk;
    if (!(closed > 0) || !(u > 0))
        return;
    double f = closed / closed_chunk;
    if (u > 1.0)
        f *= (1.0 + (u - 1.0) * scale) / u;
    m->mean *= f;
    m->variance *= f * f;
}

/* Quantile of what the chunks show: a gamma with their mean and variance, widened as a prediction from m.n values must
 * be; and the closed-form law plus what the chunks show beyond chance, taken as one dominating direction whose scale was
 * estimated from m.n values (an F law with 1 and n - 1 degrees of freedom). The larger counts: simulated with windows of
 * a few correlation lengths, the gamma alone raised three to four times the promised alarms at 1e-3. */
static double chunk_quantile(const struct drift_moments *m, double closed, double closed_mean,
                             double q)
{
    if (!(m->mean > 0) || !(m->variance > 0) || m->n < 3)
        return 0;
    double gamma = stats_gamma_fit_sf_inv(m->mean, m->variance, m->n, q);
    double beyond = m->mean - closed_mean, t = stats_t_sf_inv(0.5 * q, (double)m->n - 1.0);
    if (beyond < sqrt(m->variance / (double)m->n)) /* within one standard error: chance */
        beyond = 0;
    return fmax(gamma, closed + beyond * t * t);
}

static void finish(struct drift_test *t, double floor)
{
    t->null = fmax(t->null_rows, t->null_chunks);
    t->ratio = t->null > 0 ? t->score / t->null : 0;
    t->is_over = t->ratio > 1.0 && t->effect >= floor;
}

/* What all tests of one verdict look at. */
struct look {
    const struct hist_reference *ref;
    const uint64_t *cur;
    const struct drift_options *opt;
    struct drift_chunks chunks;
};

static void test_distribution(const struct look *k, struct drift_test *t)
{
    const struct hist_reference *ref = k->ref;
    const struct drift_options *opt = k->opt;
    const uint64_t *cur = k->cur;
    size_t n_bins = ref->edges.n_bins;
    const struct drift_law *law = drift_law_of(opt->rule, ref->edges.kind);
    *t = (struct drift_test){
        .name = law->name, .alpha = opt->alpha * SHARE_DISTRIBUTION, .p_rows = 1};
    if (hist_total(cur, n_bins) == 0 || hist_total(ref->counts, n_bins) == 0)
        return;
    t->score = law->score(ref->counts, cur, n_bins);
    t->null_rows = law->quantile(ref->counts, cur, n_bins, t->alpha);
    t->p_rows = law->sf(ref->counts, cur, n_bins, t->score);
    t->effect = drift_effect(ref->counts, cur, n_bins);
    struct law_arg arg = {law, n_bins};
    struct drift_moments m = drift_chunks_moments(ref, &k->chunks, law_chunk_score, &arg);
    double mean = law->mean(ref->counts, cur, n_bins), closed = t->null_rows;
    if (law->is_squared) {
        mean *= mean;
        closed *= closed;
    }
    rescale(&m, mean, law->is_scaled, k->chunks.scale);
    t->null_chunks = chunk_quantile(&m, closed, mean, t->alpha);
    t->null_chunks = law->is_squared ? sqrt(t->null_chunks) : t->null_chunks;
    finish(t, opt->effect_floor);
}

struct cell_arg {
    size_t cell, n_cells;
};

static double cell_chunk_score(const void *arg, const uint64_t *rest, const uint64_t *chunk)
{
    const struct cell_arg *a = arg;
    double z = drift_proportion_z(rest[a->cell], hist_total(rest, a->n_cells), chunk[a->cell],
                                  hist_total(chunk, a->n_cells));
    return z * z;
}

/* Share of one cell against all others: Fisher's exact test, its p-value shown as the |z| it corresponds to. */
static void test_cell(const struct look *look, size_t cell, double alpha, struct drift_test *t)
{
    const struct hist_reference *ref = look->ref;
    const struct drift_options *opt = look->opt;
    const uint64_t *cur = look->cur;
    size_t n_cells = ref->edges.n_cells;
    uint64_t n = hist_total(cur, n_cells), k = cur[cell], k_ref = ref->counts[cell];
    uint64_t two_ref[2] = {k_ref, ref->n - k_ref}, two_cur[2] = {k, n - k};
    t->alpha = alpha;
    t->p_rows = drift_proportion_exact_p(k_ref, ref->n, k, n);
    t->score = t->p_rows >= 1.0 ? 0 : stats_normal_sf_inv(fmax(1e-300, 0.5 * t->p_rows));
    t->null_rows = stats_normal_sf_inv(0.5 * alpha);
    t->effect = drift_effect(two_ref, two_cur, 2);
    struct cell_arg arg = {cell, n_cells};
    if (k_ref == 0) { /* no chunk has any: they show nothing beyond chance */
        finish(t, opt->effect_floor);
        return;
    }
    struct drift_moments m = drift_chunks_moments(ref, &look->chunks, cell_chunk_score, &arg);
    rescale(&m, 1.0, true, look->chunks.scale);
    t->null_chunks = sqrt(chunk_quantile(&m, t->null_rows * t->null_rows, 1.0, alpha));
    finish(t, opt->effect_floor);
}

static void set_verdict(const struct drift_options *opt, struct drift_result *r)
{
    size_t worst = 0;
    bool is_over = false;
    for (size_t i = 0; i < r->n_tests; i++) {
        bool better = r->test[i].is_over != r->test[worst].is_over
                          ? r->test[i].is_over
                          : r->test[i].ratio > r->test[worst].ratio;
        worst = better ? i : worst;
        is_over = is_over || r->test[i].is_over;
    }
    r->worst = worst;
    const struct drift_test *t = &r->test[worst];
    const char *few = r->is_few_chunks ? "; few reference chunks: the quantile is a guess" : "";
    if (r->n < opt->n_min) {
        r->verdict = DRIFT_OPEN;
        (void)snprintf(r->why, sizeof(r->why), "%llu rows, %llu are needed",
                       (unsigned long long)r->n, (unsigned long long)opt->n_min);
    } else if (r->n_chunks < DRIFT_CHUNKS_MIN) {
        r->verdict = DRIFT_OPEN;
        (void)snprintf(r->why, sizeof(r->why),
                       "the reference has %zu chunks of this window's size, %d are needed",
                       r->n_chunks, DRIFT_CHUNKS_MIN);
    } else {
        r->verdict = is_over ? DRIFT_YES : DRIFT_NONE;
        (void)snprintf(r->why, sizeof(r->why),
                       "%s %.4g is %.3g times its null %.4g at 1 - %.2g, effect %.3g%s%s", t->name,
                       t->score, t->ratio, t->null, t->alpha, t->effect,
                       !is_over && t->ratio > 1.0 ? " (below the floor)" : "", few);
    }
}

void drift_judge(const struct hist_reference *ref, const uint64_t *cur,
                 const struct drift_options *opt, struct drift_result *ret)
{
    struct drift_result r = {
        .n = hist_total(cur, ref->edges.n_cells), .n_ref = ref->n, .importance = ref->importance};
    if (drift_scores_of(ref->counts, cur, ref->edges.n_bins, &r.shown, NULL) != ERR_OK)
        r.shown = (struct drift_scores){0};
    struct look k = {.ref = ref, .cur = cur, .opt = opt};
    drift_chunks_cut(ref, opt, r.n, &k.chunks);
    r.n_chunks = k.chunks.n;
    r.chunk_rows = k.chunks.rows;
    r.is_few_chunks = r.n_chunks < DRIFT_CHUNKS_FEW;
    bool is_number = ref->edges.kind == HIST_NUMBER;
    double rest = 0.5 * (1.0 - SHARE_DISTRIBUTION) * opt->alpha;
    if (r.n > 0 && ref->n > 0) {
        test_distribution(&k, &r.test[0]);
        r.test[1].name = "missing";
        test_cell(&k, hist_cell_missing(&ref->edges), rest, &r.test[1]);
        r.test[2].name = is_number ? "non_finite" : "unseen";
        test_cell(&k, is_number ? hist_cell_nonfinite(&ref->edges) : hist_cell_unseen(&ref->edges),
                  rest, &r.test[2]);
        r.n_tests = DRIFT_TESTS_MAX;
    }
    set_verdict(opt, &r);
    *ret = r;
}
