/* Cells of values and sums of windows; edges are built in hist_build.c. */
#include "stats/histogram.h"

#include <math.h>

#include "base/clock.h"
#include "base/hash.h"

/* First edge >= x: the loop has no data-dependent branch, so a random x costs no mispredictions. */
static size_t bin_of(const struct hist_edges *e, double x)
{
    const double *base = e->edges;
    size_t n = e->n_edges;
    if (n == 0)
        return 0;
    while (n > 1) {
        size_t half = n / 2;
        base += half * (size_t)(base[half - 1] < x);
        n -= half;
    }
    return (size_t)(base - e->edges) + (*base < x);
}

static size_t cell_of_text(const struct hist_edges *e, struct str s)
{
    size_t lo = 0, hi = e->n_categories;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(e->categories[mid], s);
        if (c == 0)
            return mid;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    uint64_t h = hash64(s.p, s.n, 0);
    lo = 0;
    hi = e->n_other;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (e->other[mid] == h)
            return hist_cell_other(e);
        if (e->other[mid] < h)
            lo = mid + 1;
        else
            hi = mid;
    }
    return hist_cell_unseen(e);
}

size_t hist_cell_f64(const struct hist_edges *e, double x)
{
    if (isnan(x))
        return hist_cell_missing(e);
    if (e->kind == HIST_CATEGORY) {
        char text[NUM_TEXT_BYTES];
        size_t n = num_f64(text, x);
        return cell_of_text(e, str_n(text, n));
    }
    return isinf(x) ? hist_cell_nonfinite(e) : bin_of(e, x);
}

size_t hist_cell_str(const struct hist_edges *e, struct str s)
{
    return e->kind == HIST_CATEGORY ? cell_of_text(e, s) : hist_cell_nonfinite(e);
}

static size_t category_cell_value(const struct hist_edges *e, const struct value *v)
{
    char text[TIME_TEXT_BYTES];
    size_t n = 0;
    switch (v->type) {
    case VAL_STR:
        return cell_of_text(e, v->u.s);
    case VAL_BOOL:
        return cell_of_text(e, v->u.b ? STR("true") : STR("false"));
    case VAL_INT:
        n = num_i64(text, v->u.i);
        break;
    case VAL_TIME:
        n = time_text(text, v->u.i);
        break;
    case VAL_FLOAT:
        return hist_cell_f64(e, v->u.f);
    case VAL_NULL:
    case VAL_TYPE_N:
        return hist_cell_missing(e);
    }
    return cell_of_text(e, str_n(text, n));
}

size_t hist_cell_value(const struct hist_edges *e, const struct value *v)
{
    if (v->type == VAL_NULL)
        return hist_cell_missing(e);
    if (e->kind == HIST_CATEGORY)
        return category_cell_value(e, v);
    switch (v->type) {
    case VAL_BOOL:
        return bin_of(e, v->u.b ? 1.0 : 0.0);
    case VAL_INT:
    case VAL_TIME:
        return bin_of(e, (double)v->u.i);
    case VAL_FLOAT:
        return hist_cell_f64(e, v->u.f);
    case VAL_STR:
    case VAL_NULL:
    case VAL_TYPE_N:
        break;
    }
    return hist_cell_nonfinite(e);
}

void hist_merge(uint64_t *dst, const uint64_t *src, size_t n_cells)
{
    for (size_t i = 0; i < n_cells; i++)
        dst[i] += src[i];
}

uint64_t hist_total(const uint64_t *counts, size_t n_cells)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n_cells; i++)
        sum += counts[i];
    return sum;
}

void hist_reference_merge(const struct hist_reference *r, size_t from, size_t g, uint64_t *out)
{
    size_t n_cells = r->edges.n_cells;
    for (size_t i = 0; i < n_cells; i++)
        out[i] = 0;
    for (size_t c = from; c < from + g && c < r->n_chunks; c++)
        for (size_t i = 0; i < n_cells; i++)
            out[i] += r->chunks[c * n_cells + i];
}

static struct json *number_label(const struct hist_edges *e, size_t i, struct arena *a)
{
    char lo[NUM_TEXT_BYTES] = "", hi[NUM_TEXT_BYTES] = "";
    if (i > 0)
        (void)num_f64(lo, e->edges[i - 1]);
    if (i < e->n_edges)
        (void)num_f64(hi, e->edges[i]);
    if (i == 0)
        return e->n_edges ? json_fmt(a, "<= %s", hi) : json_cstr(a, "all");
    return i < e->n_edges ? json_fmt(a, "(%s, %s]", lo, hi) : json_fmt(a, "> %s", lo);
}

struct json *hist_cells_json(const struct hist_edges *e, struct arena *a)
{
    struct json *arr = json_arr(a);
    for (size_t i = 0; i < e->n_bins; i++) {
        struct json *label = NULL;
        if (e->kind == HIST_NUMBER)
            label = number_label(e, i, a);
        else if (i < e->n_categories)
            label = json_str(a, e->categories[i]);
        else
            label = json_cstr(a, i == hist_cell_other(e) ? "other" : "unseen");
        json_add(a, arr, label);
    }
    json_add(a, arr, json_cstr(a, "missing"));
    return json_add(a, arr, json_cstr(a, "non-finite"));
}
