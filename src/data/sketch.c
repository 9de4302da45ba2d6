#include "data/sketch.h"

#include <math.h>
#include <stdlib.h>

void sketch_set_quantiles(struct arena *a, struct json *profile, struct json *sketch,
                          struct json *list)
{
    struct json *some = json_arr(a);
    for (size_t i = 0; i < PROFILE_N_QUANTILES; i++)
        json_add(a, some,
                 json_copy(a, json_at(list, (size_t)lround(PROFILE_QUANTILES[i] * SKETCH_Q_MAX))));
    json_set(a, profile, "quantiles", some);
    json_set(a, sketch, "q", list);
}

void sketch_set_counts(struct arena *a, struct json *profile, struct json *sketch,
                       struct json *counts)
{
    struct json *top = json_arr(a);
    for (size_t i = 0; i < json_len(counts) && i < SKETCH_TOP_N; i++)
        json_add(a, top, json_copy(a, json_at(counts, i)));
    json_set(a, profile, "top", top);
    json_set(a, sketch, "counts", counts);
}

struct side {
    const struct json *column, *sketch;
    double n; /* values that are not null */
};

/* ---- quantiles ---- */

static bool read_quantiles(const struct json *sketch, double q[SKETCH_Q_MAX + 1])
{
    const struct json *list = json_get(sketch, "q");
    bool is_ok = json_len(list) == SKETCH_Q_MAX + 1;
    for (size_t i = 0; is_ok && i <= SKETCH_Q_MAX; i++)
        is_ok = json_as_f64(json_at(list, i), &q[i]);
    return is_ok;
}

/* Share of the values below x, linear between the hundredths; a value that stands at several of them counts up to its last. */
static double share_at(const double q[SKETCH_Q_MAX + 1], double x)
{
    int low = 0, high = SKETCH_Q_MAX;
    if (x < q[0])
        return 0;
    if (x >= q[SKETCH_Q_MAX])
        return 1;
    while (high - low > 1) { /* q[low] <= x < q[high] */
        int middle = (low + high) / 2;
        if (q[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return ((double)low + (x - q[low]) / (q[high] - q[low])) / SKETCH_Q_MAX;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The mixture's distribution is linear between the points of both; its inverse at every hundredth. */
static struct json *merge_quantiles(const struct side *x, const struct side *y, struct arena *a)
{
    double p[SKETCH_Q_MAX + 1], q[SKETCH_Q_MAX + 1], at[2 * (SKETCH_Q_MAX + 1)];
    struct json *out = json_arr(a);
    size_t n = 2 * (SKETCH_Q_MAX + 1), i = 0;
    double before = 0, before_share = 0;
    if (!read_quantiles(x->sketch, p) || !read_quantiles(y->sketch, q))
        return NULL;
    for (size_t k = 0; k <= SKETCH_Q_MAX; k++) {
        at[2 * k] = p[k];
        at[2 * k + 1] = q[k];
    }
    qsort(at, n, sizeof *at, by_value);
    before = at[0];
    for (int k = 0; k <= SKETCH_Q_MAX; k++) {
        double want = (double)k / SKETCH_Q_MAX, share = 0;
        for (; i < n; i++) {
            share = (x->n * share_at(p, at[i]) + y->n * share_at(q, at[i])) / (x->n + y->n);
            if (share >= want)
                break;
            before = at[i];
            before_share = share;
        }
        double v = i >= n ? at[n - 1]
                   : share > before_share && k > 0
                       ? before + (at[i] - before) * (want - before_share) / (share - before_share)
                       : at[i];
        json_add(a, out, json_num(a, k == SKETCH_Q_MAX ? at[n - 1] : v));
    }
    return out;
}

/* ---- distinct values ---- */

static int64_t hash_at(const struct json *list, size_t i)
{
    const struct json *v = json_at(list, i);
    return v && v->type == JSON_INT ? v->u.i : INT64_MAX;
}

/* Both lists ascend; so does their union. */
static void merge_hashes(const struct side *x, const struct side *y, struct json *profile,
                         struct json *sketch, struct arena *a)
{
    const struct json *p = json_get(x->sketch, "hashes"), *q = json_get(y->sketch, "hashes");
    double theta = fmin(json_get_f64(x->sketch, "theta", 1), json_get_f64(y->sketch, "theta", 1));
    struct json *out = json_arr(a);
    for (size_t i = 0, k = 0; i < json_len(p) || k < json_len(q);) {
        int64_t u = hash_at(p, i), v = hash_at(q, k), low = u < v ? u : v;
        if ((double)low >= theta * SKETCH_HASH_END)
            break;
        json_add(a, out, json_int(a, low));
        i += u == low;
        k += v == low;
    }
    while (json_len(out) >
           2 * SKETCH_HASHES) { /* keep it small: half of the range, about half of the hashes */
        theta /= 2;
        while (json_len(out) > 0 &&
               (double)hash_at(out, json_len(out) - 1) >= theta * SKETCH_HASH_END)
            out->u.arr.n--;
    }
    json_set(a, sketch, "hashes", out);
    json_set(a, sketch, "theta", json_num(a, theta));
    json_set(a, profile, "distinct", json_int(a, (int64_t)llround((double)json_len(out) / theta)));
}

/* ---- counts ---- */

static int by_count(const void *a, const void *b)
{
    const struct json *x = *(struct json *const *)a, *y = *(struct json *const *)b;
    int64_t n = json_get_int(x, "n", 0), m = json_get_int(y, "n", 0);
    if (n != m)
        return n < m ? 1 : -1;
    const struct json *v = json_get(x, "value"), *w = json_get(y, "value");
    if (v && w && v->type == JSON_STR && w->type == JSON_STR)
        return -str_cmp(v->u.s, w->u.s);
    double f = 0, g = 0;
    (void)json_as_f64(v, &f);
    (void)json_as_f64(w, &g);
    return f < g ? 1 : f > g ? -1 : 0;
}

/* Values that both have side by side in one order, then one pass. */
static int by_value_json(const void *a, const void *b)
{
    const struct json *v = json_get(*(struct json *const *)a, "value"),
                      *w = json_get(*(struct json *const *)b, "value");
    double f = 0, g = 0;
    if (v && w && v->type == JSON_STR && w->type == JSON_STR)
        return str_cmp(v->u.s, w->u.s);
    if (v && w && v->type == JSON_BOOL && w->type == JSON_BOOL)
        return (int)v->u.b - (int)w->u.b;
    (void)json_as_f64(v, &f);
    (void)json_as_f64(w, &g);
    return (f > g) - (f < g);
}

/* False without memory. Values that have become many keep no counts. */
static bool merge_counts(const struct side *x, const struct side *y, struct json *profile,
                         struct json *sketch, struct arena *a)
{
    const struct json *p = json_get(x->sketch, "counts"), *q = json_get(y->sketch, "counts");
    size_t n = json_len(p) + json_len(q), kept = 0;
    struct json **all = ARENA_NEW_N(a, struct json *, n + 1), *out = json_arr(a);
    if (!p || !q)
        return true; /* one side has many values: the hashes alone count them */
    if (!all)
        return false;
    for (size_t i = 0; i < json_len(p); i++)
        all[i] = json_copy(a, json_at(p, i));
    for (size_t i = 0; i < json_len(q); i++)
        all[json_len(p) + i] = json_copy(a, json_at(q, i));
    qsort(all, n, sizeof *all, by_value_json);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && by_value_json(&all[kept - 1], &all[i]) == 0)
            json_set(
                a, all[kept - 1], "n",
                json_int(a, json_get_int(all[kept - 1], "n", 0) + json_get_int(all[i], "n", 0)));
        else
            all[kept++] = all[i];
    }
    if (kept > SKETCH_FEW)
        return true;
    qsort(all, kept, sizeof *all, by_count);
    for (size_t i = 0; i < kept; i++)
        json_add(a, out, all[i]);
    sketch_set_counts(a, profile, sketch, out);
    json_set(a, profile, "distinct", json_int(a, (int64_t)kept));
    return true;
}

/* ---- one column ---- */

/* The lower (sign -1) or higher (1) of two: numbers by value, texts (times too) by bytes. */
static struct json *extreme(const struct json *v, const struct json *w, int sign, struct arena *a)
{
    double f = 0, g = 0;
    if (!v || !w)
        return v || w ? json_copy(a, v ? v : w) : NULL;
    if (v->type == JSON_BOOL && w->type == JSON_BOOL)
        return json_bool(a, sign > 0 ? v->u.b || w->u.b : v->u.b && w->u.b);
    if (json_as_f64(v, &f) && json_as_f64(w, &g))
        return json_copy(a, (f < g) == (sign < 0) ? v : w);
    return json_copy(a, (str_cmp(v->u.s, w->u.s) < 0) == (sign < 0) ? v : w);
}

/* Chan, Golub, LeVeque (1979): mean and spread of two sets together. */
static void merge_moments(const struct side *x, const struct side *y, struct json *profile,
                          struct arena *a)
{
    double m = 0, s = 0, mx, my, sx = json_get_f64(x->column, "std", 0),
           sy = json_get_f64(y->column, "std", 0);
    if (!json_get(x->column, "mean") || !json_get(y->column, "mean"))
        return;
    mx = json_get_f64(x->column, "mean", 0);
    my = json_get_f64(y->column, "mean", 0);
    m = mx + (my - mx) * y->n / (x->n + y->n);
    s = sx * sx * fmax(x->n - 1, 0) + sy * sy * fmax(y->n - 1, 0) +
        (my - mx) * (my - mx) * x->n * y->n / (x->n + y->n);
    json_set(a, profile, "mean", json_num(a, m));
    json_set(a, profile, "std", json_num(a, sqrt(s / fmax(x->n + y->n - 1, 1))));
}

static bool merge_column(const struct side *x, const struct side *y, struct json *profile,
                         struct json *sketch, struct arena *a)
{
    int64_t nulls = json_get_int(x->column, "nulls", 0) + json_get_int(y->column, "nulls", 0);
    json_set(a, profile, "nulls", json_int(a, nulls));
    if (x->n <= 0 || y->n <= 0) /* a side of nulls alone: too rare to be worth a way of its own */
        return false;
    merge_hashes(x, y, profile, sketch, a);
    json_set(a, profile, "min",
             extreme(json_get(x->column, "min"), json_get(y->column, "min"), -1, a));
    json_set(a, profile, "max",
             extreme(json_get(x->column, "max"), json_get(y->column, "max"), 1, a));
    merge_moments(x, y, profile, a);
    if (json_get(x->sketch, "q")) {
        struct json *q = merge_quantiles(x, y, a);
        if (!q)
            return false;
        sketch_set_quantiles(a, profile, sketch, q);
    }
    return merge_counts(x, y, profile, sketch, a);
}

static struct json *merge_range(const struct json *x, const struct json *y, struct arena *a)
{
    struct json *out = json_obj(a);
    if (json_get(x, "column"))
        json_set(a, out, "column", json_copy(a, json_get(x, "column")));
    json_set(a, out, "min", extreme(json_get(x, "min"), json_get(y, "min"), -1, a));
    json_set(a, out, "max", extreme(json_get(x, "max"), json_get(y, "max"), 1, a));
    return out;
}

struct json *profile_merge(const struct profiled *old, const struct profiled *added,
                           struct arena *a)
{
    struct json *out = json_obj(a), *profile = json_obj(a), *sketches = json_obj(a);
    const struct json *columns = json_get(old->doc, "columns");
    int64_t old_rows = json_get_int(old->doc, "rows", 0),
            new_rows = json_get_int(added->doc, "rows", 0);
    for (size_t i = 0; i < json_len(columns); i++) {
        const char *name = json_get_c(json_at(columns, i), "name");
        struct side x = {json_get(json_get(old->doc, "profile"), name),
                         json_get(old->sketches, name), 0};
        struct side y = {json_get(json_get(added->doc, "profile"), name),
                         json_get(added->sketches, name), 0};
        struct json *column = json_obj(a), *sketch = json_obj(a);
        if (!x.column || !y.column || !x.sketch || !y.sketch)
            return NULL;
        x.n = (double)(old_rows - json_get_int(x.column, "nulls", 0));
        y.n = (double)(new_rows - json_get_int(y.column, "nulls", 0));
        if (!merge_column(&x, &y, column, sketch, a))
            return NULL;
        json_set(a, profile, name, column);
        json_set(a, sketches, name, sketch);
    }
    json_set(a, out, "rows", json_int(a, old_rows + new_rows));
    json_set(a, out, "columns", json_copy(a, columns));
    if (json_get(old->doc, "time"))
        json_set(a, out, "time",
                 merge_range(json_get(old->doc, "time"), json_get(added->doc, "time"), a));
    if (json_get(old->doc, "known_at"))
        json_set(a, out, "known_at",
                 merge_range(json_get(old->doc, "known_at"), json_get(added->doc, "known_at"), a));
    json_set(a, out, "profile", profile);
    json_set(a, out, "sketches", sketches);
    return out;
}
