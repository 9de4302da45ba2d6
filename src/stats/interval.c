/* Block bootstrap and jackknife of a metric or a paired difference. */
#include "stats/interval.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "stats/interval_lanes.h"
#include "stats/special.h"

#define PLAIN_RESAMPLES     200 /* where every resample is a full recomputation (multiclass ranks) */
#define UNDEFINED_SHARE_MAX 0.05

struct resampler {
    const struct interval_input *in;
    struct lanes_side a, b; /* b.rows.n == 0: one model */
    struct arena *arena;
    double *count; /* n_blocks x LANES */
};

static double combine(const struct resampler *r, double va, double vb)
{
    return r->b.rows.n == 0
               ? va
               : metric_goodness(r->in->metric, va) - metric_goodness(r->in->metric, vb);
}

static enum err_code lane_values(const struct resampler *r, double ret[LANES], struct err *err)
{
    double va[LANES], vb[LANES] = {0};
    enum err_code rc = lanes_side_values(&r->a, r->count, r->arena, va, err);
    if (rc == ERR_OK && r->b.rows.n > 0)
        rc = lanes_side_values(&r->b, r->count, r->arena, vb, err);
    for (size_t l = 0; rc == ERR_OK && l < LANES; l++)
        ret[l] = combine(r, va[l], vb[l]);
    return rc;
}

static int cmp_f64(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

/* Quantile of sorted x by linear interpolation (type 7 of Hyndman and Fan 1996). */
static double quantile(const double *x, size_t n, double p)
{
    double at = p * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

static size_t drop_undefined(double *x, size_t n)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            x[m++] = x[i];
    return m;
}

static double sd_of(const double *x, size_t n)
{
    double mean = 0, m2 = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        m2 += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sqrt(m2 / (double)(n - 1)) : NAN;
}

static void set_undecided(struct interval *i)
{
    i->low = -INFINITY;
    i->high = INFINITY;
    i->se = INFINITY;
    i->method = INTERVAL_NONE;
}

static void draw(struct resampler *r, size_t n_blocks, struct rng *rng)
{
    memset(r->count, 0, n_blocks * LANES * sizeof(*r->count));
    for (size_t l = 0; l < LANES; l++)
        for (size_t i = 0; i < n_blocks; i++)
            r->count[rng_below(rng, n_blocks) * LANES + l] += 1.0;
}

static enum err_code bootstrap(struct resampler *r, size_t n_blocks, struct interval *out,
                               struct err *err)
{
    bool is_plain =
        r->in->a.task == TASK_MULTICLASS && !metric_is_of_sums(r->in->metric, TASK_MULTICLASS);
    size_t n =
        r->in->n_resamples ? r->in->n_resamples : (is_plain ? PLAIN_RESAMPLES : INTERVAL_RESAMPLES);
    n = (n + LANES - 1) / LANES * LANES;
    double *x = ARENA_NEW_N(r->arena, double, n);
    if (!x)
        return arena_err(r->arena, err);
    struct rng rng;
    rng_init(&rng, r->in->seed);
    for (size_t i = 0; i < n; i += LANES) {
        draw(r, n_blocks, &rng);
        enum err_code rc = lane_values(r, &x[i], err);
        if (rc != ERR_OK)
            return rc;
    }
    size_t m = drop_undefined(x, n);
    if ((double)(n - m) > UNDEFINED_SHARE_MAX * (double)n) {
        set_undecided(out);
        return ERR_OK;
    }
    qsort(x, m, sizeof(*x), cmp_f64);
    double tail = 0.5 * (1.0 - out->confidence);
    out->low = quantile(x, m, tail);
    out->high = quantile(x, m, 1.0 - tail);
    out->se = sd_of(x, m);
    out->method = INTERVAL_BOOTSTRAP;
    return ERR_OK;
}

/* Leave one block out; t quantiles with one degree of freedom less than blocks. */
static enum err_code jackknife(struct resampler *r, size_t n_blocks, struct interval *out,
                               struct err *err)
{
    double x[INTERVAL_BLOCKS_FEW + LANES];
    for (size_t from = 0; from < n_blocks; from += LANES) {
        for (size_t i = 0; i < n_blocks * LANES; i++)
            r->count[i] = 1.0;
        for (size_t l = 0; l < LANES && from + l < n_blocks; l++)
            r->count[(from + l) * LANES + l] = 0;
        enum err_code rc = lane_values(r, &x[from], err);
        if (rc != ERR_OK)
            return rc;
    }
    double b = (double)n_blocks, sd = sd_of(x, n_blocks);
    if (n_blocks < 3 || isnan(sd)) {
        set_undecided(out);
        return ERR_OK;
    }
    out->se = sd * (b - 1.0) / sqrt(b);
    double h = stats_t_sf_inv(0.5 * (1.0 - out->confidence), b - 1.0) * out->se;
    out->low = out->estimate - h;
    out->high = out->estimate + h;
    out->method = INTERVAL_JACKKNIFE;
    return ERR_OK;
}

static enum err_code one_partition(struct resampler *r, const struct interval_partition *p,
                                   struct interval *out, struct err *err)
{
    struct arena_mark mark = arena_mark(r->arena);
    out->by = p->by;
    out->n_blocks = p->n_blocks;
    enum err_code rc = lanes_side_set_blocks(&r->a, p->block, p->n_blocks, r->arena, err);
    if (rc == ERR_OK && r->b.rows.n > 0)
        rc = lanes_side_set_blocks(&r->b, p->block, p->n_blocks, r->arena, err);
    r->count = ARENA_NEW_N(r->arena, double, p->n_blocks *LANES);
    if (rc == ERR_OK && !r->count)
        rc = arena_err(r->arena, err);
    if (rc == ERR_OK)
        rc = p->n_blocks < INTERVAL_BLOCKS_FEW ? jackknife(r, p->n_blocks, out, err)
                                               : bootstrap(r, p->n_blocks, out, err);
    arena_release(r->arena, mark);
    return rc;
}

static enum err_code prepare(struct resampler *r, struct interval *base, struct err *err)
{
    const struct interval_input *in = r->in;
    struct metric_rows b = in->a;
    enum err_code rc = metric_compute(in->metric, &in->a, r->arena, &base->value_a, err);
    if (rc == ERR_OK)
        rc = lanes_side_init(&r->a, in->metric, &in->a, r->arena, err);
    base->value_b = NAN;
    if (rc == ERR_OK && in->score_b) {
        b.score = in->score_b;
        b.threshold = in->threshold_b;
        rc = metric_compute(in->metric, &b, r->arena, &base->value_b, err);
        if (rc == ERR_OK)
            rc = lanes_side_init(&r->b, in->metric, &b, r->arena, err);
    }
    base->estimate = combine(r, base->value_a, base->value_b);
    base->confidence = in->confidence > 0 ? in->confidence : 0.95;
    base->n_rows = in->a.n;
    return rc;
}

/* Without a partition every row is a block. */
static enum err_code own_blocks(size_t n, struct arena *a, struct interval_partition *ret,
                                struct err *err)
{
    uint32_t *block = ARENA_NEW_N(a, uint32_t, n);
    if (!block)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++)
        block[i] = (uint32_t)i;
    *ret = (struct interval_partition){"row", block, n};
    return ERR_OK;
}

enum err_code interval_compute(const struct interval_input *in, struct arena *a,
                               struct interval *ret, struct err *err)
{
    struct arena_mark mark = arena_mark(a);
    struct resampler r = {.in = in, .arena = a};
    struct interval base = {0}, best = {0};
    struct interval_partition rows;
    enum err_code rc = prepare(&r, &base, err);
    const struct interval_partition *by = in->by;
    size_t n_by = in->n_by;
    if (rc == ERR_OK && n_by == 0) {
        rc = own_blocks(in->a.n, a, &rows, err);
        by = &rows;
        n_by = 1;
    }
    for (size_t i = 0; rc == ERR_OK && i < n_by; i++) {
        struct interval one = base;
        rc = one_partition(&r, &by[i], &one, err);
        if (i == 0 || one.high - one.low > best.high - best.low)
            best = one;
    }
    if (rc == ERR_OK && isnan(base.estimate))
        set_undecided(&best);
    arena_release(a, mark);
    if (rc == ERR_OK)
        *ret = best;
    return rc;
}

struct json *interval_json(const struct interval *i, struct arena *a)
{
    static const char *const METHODS[INTERVAL_METHOD_N] = {"none", "block_bootstrap", "jackknife"};
    struct json *o = json_obj(a);
    json_set(a, o, "estimate", json_num(a, i->estimate));
    json_set(a, o, "low", json_num(a, i->low));
    json_set(a, o, "high", json_num(a, i->high));
    json_set(a, o, "se", json_num(a, i->se));
    json_set(a, o, "confidence", json_num(a, i->confidence));
    json_set(a, o, "method", json_cstr(a, METHODS[i->method]));
    json_set(a, o, "by", json_cstr(a, i->by));
    json_set(a, o, "blocks", json_int(a, (int64_t)i->n_blocks));
    return json_set(a, o, "rows", json_int(a, (int64_t)i->n_rows));
}

/* ---- reading ---- */

void margin_judge(const struct interval *i, double bound, struct margin_verdict *ret)
{
    double gap = i->estimate - bound, t = gap / i->se;
    *ret = (struct margin_verdict){.verdict = VERDICT_OPEN, .p_worse = 1};
    if (isnan(i->estimate) || isnan(i->low) || isnan(i->high) || i->method == INTERVAL_NONE) {
        ret->rows_needed = INFINITY;
        return;
    }
    if (i->se > 0)
        ret->p_worse = i->method == INTERVAL_JACKKNIFE
                           ? 1.0 - stats_t_sf(t, (double)i->n_blocks - 1.0)
                           : stats_normal_cdf(t);
    else
        ret->p_worse = gap < 0 ? 0 : 1;
    if (i->low > bound || (i->low == i->high && gap >= 0)) {
        ret->verdict = VERDICT_PASS;
    } else if (i->high < bound) {
        ret->verdict = VERDICT_FAIL;
    } else {
        double half = gap > 0 ? i->estimate - i->low : i->high - i->estimate;
        double ratio = gap != 0 ? half / fabs(gap) : INFINITY;
        ret->rows_needed = ceil((double)i->n_rows * fmax(1.0, ratio * ratio));
    }
}

double margin_smallest(const struct interval *i)
{
    return i->method == INTERVAL_NONE ? INFINITY : 0.5 * (i->high - i->low);
}

void holm_reject(const double *p, size_t n, double alpha, bool *is_rejected)
{
    for (size_t i = 0; i < n; i++)
        is_rejected[i] = false;
    for (size_t k = 0; k < n; k++) {
        size_t least = n;
        for (size_t i = 0; i < n; i++)
            if (!is_rejected[i] && (least == n || p[i] < p[least]))
                least = i;
        if (!(p[least] <= alpha / (double)(n - k)))
            return;
        is_rejected[least] = true;
    }
}
