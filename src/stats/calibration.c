/* Isotonic calibration and what is expected from it. */
#include "stats/calibration.h"

#include <math.h>

#include "stats/metric_int.h"

/* Equal-count groups of the sorted scores, ties together. Returns how many. */
static size_t group_points(const double *score, const double *label, const uint32_t *order,
                           size_t n, struct calibration_point *p)
{
    size_t m = 0, group = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_tied = i > 0 && score[order[i]] == score[order[i - 1]];
        size_t at = i * CALIBRATION_POINTS_MAX / n;
        if (i == 0 || (!is_tied && at > group)) {
            p[m++] = (struct calibration_point){0};
            group = at;
        }
        p[m - 1].score += score[order[i]];
        p[m - 1].positives += label[order[i]];
        p[m - 1].n += 1;
    }
    return m;
}

static double share_of(const struct calibration_point *p)
{
    return p->positives / p->n;
}

/* Pool adjacent violators, in place; then means. */
static size_t pool(struct calibration_point *p, size_t m)
{
    size_t top = 0;
    for (size_t i = 0; i < m; i++) {
        p[top++] = p[i];
        while (top > 1 && share_of(&p[top - 2]) >= share_of(&p[top - 1])) {
            p[top - 2].score += p[top - 1].score;
            p[top - 2].positives += p[top - 1].positives;
            p[top - 2].n += p[top - 1].n;
            top--;
        }
    }
    for (size_t i = 0; i < top; i++) {
        p[i].score /= p[i].n;
        p[i].share = share_of(&p[i]);
    }
    return top;
}

enum err_code calibration_fit(const double *score, const double *label, size_t n, struct arena *a,
                              struct calibration *ret, struct err *err)
{
    if (n == 0)
        return err_set(err, ERR_EMPTY, "there are no labelled rows to calibrate on");
    struct calibration c = {
        .n = n, .points = ARENA_NEW_N(a, struct calibration_point, CALIBRATION_POINTS_MAX + 1)};
    struct arena_mark mark = arena_mark(a);
    uint32_t *order = metric_order(score, n, a);
    if (!c.points || !order)
        return arena_err(a, err);
    struct metric_rows r = {.task = TASK_BINARY, .n = n, .score = score, .label = label};
    enum err_code rc = metric_compute(METRIC_ECE, &r, a, &c.ece, err);
    if (rc == ERR_OK)
        rc = metric_compute(METRIC_BRIER, &r, a, &c.brier, err);
    if (rc == ERR_OK)
        rc = metric_compute(METRIC_LOG_LOSS, &r, a, &c.log_loss, err);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        c.prevalence += label[i] / (double)n;
        c.mean_score += score[i] / (double)n;
    }
    c.n_points = pool(c.points, group_points(score, label, order, n, c.points));
    arena_release(a, mark);
    *ret = c;
    return ERR_OK;
}

double calibration_apply(const struct calibration *c, double score)
{
    const struct calibration_point *p = c->points;
    if (c->n_points == 0)
        return score;
    if (!(score > p[0].score))
        return p[0].share;
    size_t lo = 0, hi = c->n_points - 1;
    if (score >= p[hi].score)
        return p[hi].share;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (p[mid].score <= score)
            lo = mid;
        else
            hi = mid;
    }
    double t = (score - p[lo].score) / (p[hi].score - p[lo].score);
    return p[lo].share + t * (p[hi].share - p[lo].share);
}

struct json *calibration_json(const struct calibration *c, struct arena *a)
{
    struct json *o = json_obj(a), *points = json_arr(a);
    for (size_t i = 0; i < c->n_points; i++) {
        struct json *p = json_arr(a);
        json_add(a, p, json_num(a, c->points[i].score));
        json_add(a, p, json_num(a, c->points[i].share));
        json_add(a, p, json_num(a, c->points[i].n));
        json_add(a, p, json_num(a, c->points[i].positives));
        json_add(a, points, p);
    }
    json_set(a, o, "format", json_int(a, 1));
    json_set(a, o, "n", json_int(a, (int64_t)c->n));
    json_set(a, o, "ece", json_num(a, c->ece));
    json_set(a, o, "brier", json_num(a, c->brier));
    json_set(a, o, "log_loss", json_num(a, c->log_loss));
    json_set(a, o, "prevalence", json_num(a, c->prevalence));
    json_set(a, o, "mean_score", json_num(a, c->mean_score));
    return json_set(a, o, "points", points);
}

enum err_code calibration_read(const struct json *v, struct arena *a, struct calibration *ret,
                               struct err *err)
{
    const struct json *points = json_get(v, "points");
    struct calibration c = {.n_points = json_len(points), .n = (uint64_t)json_get_int(v, "n", 0)};
    c.ece = json_get_f64(v, "ece", NAN);
    c.brier = json_get_f64(v, "brier", NAN);
    c.log_loss = json_get_f64(v, "log_loss", NAN);
    c.prevalence = json_get_f64(v, "prevalence", NAN);
    c.mean_score = json_get_f64(v, "mean_score", NAN);
    c.points = ARENA_NEW_N(a, struct calibration_point, c.n_points);
    if (!c.points)
        return arena_err(a, err);
    for (size_t i = 0; i < c.n_points; i++) {
        const struct json *p = json_at(points, i);
        struct calibration_point *to = &c.points[i];
        if (!json_as_f64(json_at(p, 0), &to->score) || !json_as_f64(json_at(p, 1), &to->share) ||
            !json_as_f64(json_at(p, 2), &to->n) || !json_as_f64(json_at(p, 3), &to->positives) ||
            (i > 0 && !(to->score > to[-1].score)))
            return err_set(
                err, ERR_CORRUPT,
                "calibration: points/%zu is not [score, share, n, positives] in rising order", i);
    }
    *ret = c;
    return ERR_OK;
}

/* Wilson's interval of a share, 95 %. */
static void wilson(double k, double n, double *low, double *high)
{
    const double z = 1.959963984540054;
    double p = k / n, mid = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    *low = fmax(0, mid - half);
    *high = fmin(1, mid + half);
}

struct json *calibration_bins_json(const double *score, const double *label, size_t n,
                                   size_t n_bins, struct arena *a)
{
    struct json *arr = json_arr(a);
    uint32_t *order = metric_order(score, n, a);
    uint8_t *bin_of = ARENA_NEW_N(a, uint8_t, n);
    if (n == 0 || n_bins == 0 || n_bins > 255 || !order || !bin_of)
        return arr;
    (void)metric_equal_bins(score, order, n, n_bins, bin_of);
    for (size_t i = 0; i < n;) {
        double s = 0, k = 0, m = 0, low, high;
        uint8_t bin = bin_of[i];
        for (; i < n && bin_of[i] == bin; i++) {
            s += score[order[i]];
            k += label[order[i]];
            m += 1;
        }
        wilson(k, m, &low, &high);
        struct json *o = json_obj(a);
        json_set(a, o, "score", json_num(a, s / m));
        json_set(a, o, "share", json_num(a, k / m));
        json_set(a, o, "low", json_num(a, low));
        json_set(a, o, "high", json_num(a, high));
        json_add(a, arr, json_set(a, o, "n", json_int(a, (int64_t)m)));
    }
    return arr;
}

/* ---- performance without labels ---- */

struct expected {
    struct confusion confusion;
    double n, area, neg, pos, brier, log_loss;
};

static void expect_cell(struct expected *e, double n, double score, double p, double threshold)
{
    double pos = n * p, neg = n * (1.0 - p), s = metric_clip(score);
    bool said_pos = score >= threshold;
    *(said_pos ? &e->confusion.tp : &e->confusion.fn) += pos;
    *(said_pos ? &e->confusion.fp : &e->confusion.tn) += neg;
    e->area += pos * (e->neg + 0.5 * neg);
    e->neg += neg;
    e->pos += pos;
    e->brier += pos * (1.0 - score) * (1.0 - score) + neg * score * score;
    e->log_loss -= pos * log(s) + neg * log1p(-s);
    e->n += n;
}

double calibration_cbpe(const struct calibration *c, const struct perf_window *w, enum metric_id m,
                        double threshold)
{
    struct expected e = {0};
    for (size_t b = 0; b < PERF_BINS; b++) {
        if (w->scored[b] == 0)
            continue;
        double score = w->scored_sum[b] / w->scored[b];
        expect_cell(&e, w->scored[b], score, calibration_apply(c, score), threshold);
    }
    if (!(e.n > 0))
        return NAN;
    if (m == METRIC_ROC_AUC)
        return e.neg > 0 && e.pos > 0 ? e.area / (e.neg * e.pos) : NAN;
    if (m == METRIC_BRIER)
        return e.brier / e.n;
    if (m == METRIC_LOG_LOSS)
        return e.log_loss / e.n;
    return metric_from_confusion(m, &e.confusion);
}
