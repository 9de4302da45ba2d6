/* Histograms on frozen edges: what a monitored feature is reduced to.
 *
 * The edges belong to a model version and never move, so a window is an array of counters: windows add, any
 * window is a merge, and a window counted twice from the same log is bit-equal. Built once from a reference:
 *   number    up to 64 quantile bins of the finite reference values, ties merged. A value that fills a whole
 *             bin by itself (0 in a count, or the only value of a constant reference) gets a bin of its own, with
 *             its neighbours below and above beside it. Bin i holds edges[i-1] < x <= edges[i].
 *   category  the reference's top 254 values by count (then by bytes), `other`, `unseen`. A value that stood in
 *             the reference but not among the top counts as other, one that did not as unseen; the rare values are
 *             known by their 64-bit hashes (at most HIST_OTHER_MAX of them).
 * Both have a cell for missing (null, NaN), a number also one for non-finite (+-inf).
 * Free text and identifiers should not come here raw: derive a length or a class first.
 * Threads: edges and references are read-only after building; counts belong to their caller. */
#ifndef PAWL_STATS_HISTOGRAM_H
#define PAWL_STATS_HISTOGRAM_H

#include <stdint.h>

#include "base/arena.h"
#include "base/value.h"
#include "json/json.h"

#define HIST_BINS_MAX       64  /* quantile bins asked for; with bins for ties at most 2 * this */
#define HIST_TOP_MAX        254 /* categories with a cell of their own */
#define HIST_OTHER_MAX      65536
#define HIST_CHUNKS_MAX     512 /* consecutive pieces of a reference that are kept */
#define HIST_CHUNK_ROWS_MIN 50
#define HIST_CELLS_MAX      (HIST_TOP_MAX + 4)

enum hist_kind { HIST_NUMBER, HIST_CATEGORY, HIST_KIND_N };

struct hist_edges {
    enum hist_kind kind;
    size_t n_bins; /* number: n_edges + 1; category: n_categories + 2 (other, unseen) */
    /* number */
    double *edges; /* ascending */
    size_t n_edges;
    /* category */
    struct str *categories; /* sorted by bytes */
    size_t n_categories;
    uint64_t *other; /* hashes of the reference's further values, ascending */
    size_t n_other;
    /* cells: bins, then missing, then (number) non-finite / (category) always 0 */
    size_t n_cells; /* n_bins + 2 */
};

static inline size_t hist_cell_missing(const struct hist_edges *e)
{
    return e->n_bins;
}
static inline size_t hist_cell_nonfinite(const struct hist_edges *e)
{
    return e->n_bins + 1;
}
/* category only */
static inline size_t hist_cell_other(const struct hist_edges *e)
{
    return e->n_categories;
}
static inline size_t hist_cell_unseen(const struct hist_edges *e)
{
    return e->n_categories + 1;
}

/* Cell of one value: O(log n). Null and NaN are missing. A text where numbers were counts as non-finite (it is
 * not a usable number); in a category feature every value counts by its text. */
size_t hist_cell_f64(const struct hist_edges *e, double x);
size_t hist_cell_str(const struct hist_edges *e, struct str s);
size_t hist_cell_value(const struct hist_edges *e, const struct value *v);

/* dst += src, n_cells each. */
void hist_merge(uint64_t *dst, const uint64_t *src, size_t n_cells);
uint64_t hist_total(const uint64_t *counts, size_t n_cells);

/* A feature's reference: edges, its counts, and the counts of its consecutive chunks in time order, so that a
 * window of any size n can be held against merged chunks of about n rows. */
struct hist_reference {
    const char *name;
    struct hist_edges edges;
    uint64_t *counts; /* n_cells */
    uint64_t n;       /* sum of counts */
    size_t n_chunks;
    uint32_t *chunks; /* n_chunks x n_cells */
    int64_t
        *chunk_from_us; /* time of each chunk's first row; NULL when the reference has no time */
    double importance;  /* >= 0, share of the model's importance; 0: the model does not read it */
};

struct hist_input {
    const char *name;       /* copied */
    enum hist_kind kind;    /* number: `values` of bool, int, float, time; category: any */
    struct column values;   /* in time order */
    const int64_t *time_us; /* n values or NULL */
    double importance;
};
/* Builds edges, counts and chunks of at least HIST_CHUNK_ROWS_MIN rows (512 chunks at most).
 * Errors: ERR_EMPTY without rows; memory. Cost O(n log n) once. */
enum err_code hist_reference_build(const struct hist_input *in, struct arena *a,
                                   struct hist_reference *ret, struct err *err) MUST_CHECK;
/* Sum of chunks [from, from + g) into out[n_cells]. */
void hist_reference_merge(const struct hist_reference *r, size_t from, size_t g, uint64_t *out);

/* {name, kind, edges | categories + other, counts, chunks: [[...]], chunk_from, importance} */
struct json *hist_reference_json(const struct hist_reference *r, struct arena *a);
enum err_code hist_reference_read(const struct json *v, struct arena *a, struct hist_reference *ret,
                                  struct err *err) MUST_CHECK;
/* Labels of the cells for people: "<= 3.5", "(3.5, 7]", "JFK", "other", "missing". */
struct json *hist_cells_json(const struct hist_edges *e, struct arena *a);

#endif
