/* Building a reference: quantile edges or top categories, then one pass that counts whole and chunks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"
#include "stats/histogram.h"

static int cmp_f64(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

/* ---- numbers ---- */

static double number_of(const struct column *c, size_t i)
{
    if (c->valid && !c->valid[i])
        return NAN;
    switch (c->type) {
    case VAL_BOOL:
        return c->u.b[i] ? 1.0 : 0.0;
    case VAL_INT:
    case VAL_TIME:
        return (double)c->u.i[i];
    case VAL_FLOAT:
        return c->u.f[i];
    case VAL_STR:
    case VAL_NULL:
    case VAL_TYPE_N:
        break;
    }
    return NAN;
}

/* Is there a value strictly between lo and v among the sorted ones that end at index i (x[i] == v)? */
static bool has_between(const double *x, size_t i, bool has_lo, double lo)
{
    double v = x[i];
    while (i > 0 && x[i - 1] == v)
        i--;
    return i > 0 && (!has_lo || x[i - 1] > lo);
}

/* Edges at the quantiles i/64. A value that two quantiles share gets its own bin: an edge just below it (unless the
 * last edge is already its lower neighbour) and one at it. */
static size_t quantile_edges(const double *x, size_t m, double *edges)
{
    size_t n = 0;
    for (size_t i = 1; i < HIST_BINS_MAX; i++) {
        size_t at = (i * m + HIST_BINS_MAX - 1) / HIST_BINS_MAX;
        at = at > 0 ? at - 1 : 0;
        size_t next = ((i + 1) * m + HIST_BINS_MAX - 1) / HIST_BINS_MAX;
        double v = x[at];
        if (n > 0 && edges[n - 1] == v)
            continue;
        bool is_atom = next > at + 1 && x[next - 1] == v;
        bool is_first = n == 0 && x[0] == v;
        if (is_atom && (is_first || has_between(x, at, n > 0, n > 0 ? edges[n - 1] : 0)))
            edges[n++] = nextafter(v, -INFINITY);
        edges[n++] = v;
    }
    return n;
}

static enum err_code number_edges(const struct column *c, struct arena *a, struct hist_edges *e,
                                  struct err *err)
{
    double *x = malloc(c->n * sizeof(*x));
    if (!x)
        return err_nomem(err);
    size_t m = 0;
    for (size_t i = 0; i < c->n; i++) {
        double v = number_of(c, i);
        if (isfinite(v))
            x[m++] = v == 0 ? 0.0 : v; /* -0.0 and 0.0 are one value */
    }
    qsort(x, m, sizeof(*x), cmp_f64);
    double edges[2 * HIST_BINS_MAX];
    e->n_edges = m ? quantile_edges(x, m, edges) : 0;
    free(x);
    e->edges = ARENA_NEW_N(a, double, e->n_edges);
    if (!e->edges)
        return arena_err(a, err);
    memcpy(e->edges, edges, e->n_edges * sizeof(*edges));
    e->n_bins = e->n_edges + 1;
    return ERR_OK;
}

/* ---- categories ---- */

struct category {
    struct str text;
    uint64_t n;
};

static int cmp_count(const void *pa, const void *pb)
{
    const struct category *a = *(struct category *const *)pa, *b = *(struct category *const *)pb;
    if (a->n != b->n)
        return a->n < b->n ? 1 : -1;
    return str_cmp(a->text, b->text);
}

static int cmp_text(const void *pa, const void *pb)
{
    return str_cmp(*(const struct str *)pa, *(const struct str *)pb);
}

static int cmp_u64(const void *pa, const void *pb)
{
    uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;
    return (a > b) - (a < b);
}

static struct str text_of(const struct column *c, size_t i, char out[TIME_TEXT_BYTES])
{
    struct value v = column_value(c, i);
    switch (v.type) {
    case VAL_STR:
        return v.u.s;
    case VAL_BOOL:
        return v.u.b ? STR("true") : STR("false");
    case VAL_INT:
        return str_n(out, num_i64(out, v.u.i));
    case VAL_FLOAT:
        return isnan(v.u.f) ? STR_NONE : str_n(out, num_f64(out, v.u.f));
    case VAL_TIME:
        return str_n(out, time_text(out, v.u.i));
    case VAL_NULL:
    case VAL_TYPE_N:
        break;
    }
    return STR_NONE;
}

static enum err_code count_texts(const struct column *c, struct arena *a, struct map *seen,
                                 struct err *err)
{
    char text[TIME_TEXT_BYTES];
    for (size_t i = 0; i < c->n; i++) {
        struct str s = text_of(c, i, text);
        if (!s.p)
            continue;
        struct category *cat = map_get(seen, s.p, s.n);
        if (!cat) {
            cat = ARENA_NEW(a, struct category);
            char *copy = cat ? str_dup(a, s) : NULL;
            if (!copy)
                return arena_err(a, err);
            cat->text = str_n(copy, s.n);
            if (!map_put(seen, s.p, s.n, cat))
                return arena_err(a, err);
        }
        cat->n++;
    }
    return ERR_OK;
}

static enum err_code category_edges(const struct column *c, struct arena *a, struct hist_edges *e,
                                    struct err *err)
{
    struct map *seen = map_new(a);
    if (!seen)
        return arena_err(a, err);
    enum err_code rc = count_texts(c, a, seen, err);
    if (rc != ERR_OK)
        return rc;
    size_t n = map_count(seen);
    struct category **order = ARENA_NEW_N(a, struct category *, n);
    size_t n_top = n < HIST_TOP_MAX ? n : HIST_TOP_MAX;
    size_t n_other = n - n_top < HIST_OTHER_MAX ? n - n_top : HIST_OTHER_MAX;
    e->categories = ARENA_NEW_N(a, struct str, n_top);
    e->other = ARENA_NEW_N(a, uint64_t, n_other);
    if (!order || !e->categories || !e->other)
        return arena_err(a, err);
    const char *key;
    size_t key_bytes;
    for (size_t i = 0; i < n; i++)
        order[i] = map_at(seen, i, &key, &key_bytes);
    qsort(order, n, sizeof(struct category *), cmp_count);
    for (size_t i = 0; i < n_top; i++)
        e->categories[i] = order[i]->text;
    for (size_t i = 0; i < n_other; i++)
        e->other[i] = hash64(order[n_top + i]->text.p, order[n_top + i]->text.n, 0);
    qsort(e->categories, n_top, sizeof(*e->categories), cmp_text);
    qsort(e->other, n_other, sizeof(*e->other), cmp_u64);
    e->n_categories = n_top;
    e->n_other = n_other;
    e->n_bins = n_top + 2;
    return ERR_OK;
}

/* ---- counting ---- */

/* Clock marks that chunks may start on. */
static const int64_t DURATIONS[] = {
    US_PER_MIN,       5 * US_PER_MIN,  15 * US_PER_MIN, 30 * US_PER_MIN,
    US_PER_HOUR,      2 * US_PER_HOUR, 3 * US_PER_HOUR, 6 * US_PER_HOUR,
    12 * US_PER_HOUR, US_PER_DAY,      7 * US_PER_DAY,  28 * US_PER_DAY,
};
#define N_DURATIONS (sizeof(DURATIONS) / sizeof(DURATIONS[0]))

/* Chunk of each row. With times: pieces of the shortest duration that makes at most HIST_CHUNKS_MAX of them with
 * HIST_CHUNK_ROWS_MIN rows on average, starting on clock marks, as monitor windows do. Else equal numbers of rows, a short
 * rest belonging to the last. */
struct chunk_cut {
    int64_t duration_us; /* 0: by rows */
    size_t rows, n_chunks;
};

static bool is_sorted(const int64_t *t, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (t[i] < t[i - 1])
            return false;
    return true;
}

/* First moment after the piece that holds t. */
static int64_t piece_end(int64_t t, int64_t duration_us)
{
    return (floor_div_i64(t, duration_us) + 1) * duration_us;
}

static size_t count_pieces(const int64_t *t, size_t n, int64_t duration_us)
{
    size_t pieces = 0;
    int64_t end = INT64_MIN;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && t[i] < end)
            continue;
        pieces++;
        end = piece_end(t[i], duration_us);
    }
    return pieces;
}

static struct chunk_cut cut_of(const struct hist_input *in)
{
    size_t n = in->values.n, rows = (n + HIST_CHUNKS_MAX - 1) / HIST_CHUNKS_MAX;
    struct chunk_cut c = {.rows = rows < HIST_CHUNK_ROWS_MIN ? HIST_CHUNK_ROWS_MIN : rows};
    c.n_chunks = n / c.rows > 0 ? n / c.rows : 1;
    if (!in->time_us || !is_sorted(in->time_us, n))
        return c;
    for (size_t d = 0; d < N_DURATIONS; d++) {
        size_t pieces = count_pieces(in->time_us, n, DURATIONS[d]);
        if (pieces <= HIST_CHUNKS_MAX && pieces * HIST_CHUNK_ROWS_MIN <= n)
            return (struct chunk_cut){DURATIONS[d], 0, pieces};
    }
    return c;
}

/* Does row i start a chunk? *end: end of the piece in hand, kept by the caller from row to row. */
static bool starts_chunk(const struct hist_input *in, const struct chunk_cut *cut, size_t i,
                         int64_t *end)
{
    if (cut->duration_us == 0)
        return i == 0 || (i % cut->rows == 0 && i / cut->rows < cut->n_chunks);
    if (i > 0 && in->time_us[i] < *end)
        return false;
    *end = piece_end(in->time_us[i], cut->duration_us);
    return true;
}

static enum err_code count_chunks(const struct hist_input *in, struct arena *a,
                                  struct hist_reference *r, struct err *err)
{
    size_t n = in->values.n, n_cells = r->edges.n_cells, chunk = 0;
    struct chunk_cut cut = cut_of(in);
    r->n_chunks = cut.n_chunks;
    r->counts = ARENA_NEW_N(a, uint64_t, n_cells);
    r->chunks = ARENA_NEW_N(a, uint32_t, r->n_chunks * n_cells);
    r->chunk_from_us = in->time_us ? ARENA_NEW_N(a, int64_t, r->n_chunks) : NULL;
    if (!r->counts || !r->chunks || (in->time_us && !r->chunk_from_us))
        return arena_err(a, err);
    int64_t end = INT64_MIN;
    for (size_t i = 0; i < n; i++) {
        struct value v = column_value(&in->values, i);
        size_t cell = hist_cell_value(&r->edges, &v);
        if (starts_chunk(in, &cut, i, &end)) {
            chunk += i > 0;
            if (in->time_us)
                r->chunk_from_us[chunk] = in->time_us[i];
        }
        r->counts[cell]++;
        r->chunks[chunk * n_cells + cell]++;
    }
    r->n = n;
    return ERR_OK;
}

enum err_code hist_reference_build(const struct hist_input *in, struct arena *a,
                                   struct hist_reference *ret, struct err *err)
{
    if (in->values.n == 0)
        return err_set(err, ERR_EMPTY, "the reference of %s has no rows", in->name);
    struct hist_reference r = {.importance = in->importance};
    r.edges.kind = in->kind;
    r.name = str_dup(a, str_c(in->name));
    if (!r.name)
        return arena_err(a, err);
    enum err_code rc = in->kind == HIST_NUMBER ? number_edges(&in->values, a, &r.edges, err)
                                               : category_edges(&in->values, a, &r.edges, err);
    if (rc != ERR_OK)
        return rc;
    r.edges.n_cells = r.edges.n_bins + 2;
    rc = count_chunks(in, a, &r, err);
    if (rc == ERR_OK)
        *ret = r;
    return rc;
}
