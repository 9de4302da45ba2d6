/* The reference cut into merged chunks of about the window's size, and what a score shows over them. */
#include <math.h>

#include "base/clock.h"
#include "stats/drift_int.h"

static int64_t season_of(enum drift_season s, int64_t at_us)
{
    struct civil c;
    switch (s) {
    case DRIFT_SEASON_HOUR:
        return floor_div_i64(at_us, US_PER_HOUR) % 24;
    case DRIFT_SEASON_HOUR_OF_WEEK:
        return floor_div_i64(at_us, US_PER_HOUR) % 168;
    case DRIFT_SEASON_MONTH:
        civil_from_us(at_us, &c);
        return c.month;
    case DRIFT_SEASON_NONE:
    case DRIFT_SEASON_N:
        break;
    }
    return 0;
}

static bool in_season(const struct hist_reference *ref, const struct drift_options *opt,
                      size_t chunk)
{
    return season_of(opt->season, ref->chunk_from_us[chunk]) ==
           season_of(opt->season, opt->window_from_us);
}

/* End of the merged chunk that starts at `from`; by_g 0: by clock marks of the window's length. */
static size_t group_end(const struct hist_reference *ref, const struct drift_options *opt,
                        size_t by_g, size_t from)
{
    if (by_g > 0)
        return from + by_g;
    size_t end = from + 1;
    int64_t mark = floor_div_i64(ref->chunk_from_us[from], opt->window_us);
    while (end < ref->n_chunks && floor_div_i64(ref->chunk_from_us[end], opt->window_us) == mark)
        end++;
    return end;
}

static uint64_t group_rows(const struct hist_reference *ref, size_t from, size_t end)
{
    uint64_t n = 0;
    for (size_t i = from * ref->edges.n_cells; i < end * ref->edges.n_cells; i++)
        n += ref->chunks[i];
    return n;
}

static void cut(const struct hist_reference *ref, const struct drift_options *opt, size_t by_g,
                struct drift_chunks *c)
{
    for (size_t from = 0, end; from < ref->n_chunks && c->n < HIST_CHUNKS_MAX; from = end) {
        end = group_end(ref, opt, by_g, from);
        if (end > ref->n_chunks)
            break; /* a short rest */
        c->group[c->n++] =
            (struct drift_group){(uint32_t)from, (uint32_t)end, group_rows(ref, from, end)};
    }
}

/* Pieces with less than half the usual rows (the first and last day, a gap) say little about a whole window. */
static void drop_short(struct drift_chunks *c)
{
    uint64_t sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        sum += c->group[i].rows;
    for (size_t i = 0; i < c->n; i++)
        if (2 * c->group[i].rows * c->n >= sum)
            c->group[n++] = c->group[i];
    c->n = n;
}

static void keep_season(const struct hist_reference *ref, const struct drift_options *opt,
                        struct drift_chunks *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += in_season(ref, opt, c->group[i].from);
    if (n < DRIFT_CHUNKS_MIN)
        return; /* too few of this season: all count */
    n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (in_season(ref, opt, c->group[i].from))
            c->group[n++] = c->group[i];
    c->n = n;
}

void drift_chunks_cut(const struct hist_reference *ref, const struct drift_options *opt, uint64_t n,
                      struct drift_chunks *ret)
{
    struct drift_chunks *c = ret;
    size_t by_g = 0;
    c->n = 0;
    c->rows = 0;
    c->scale = 1;
    if (ref->n_chunks == 0 || ref->n == 0)
        return;
    if (!(opt->window_us > 0) || !ref->chunk_from_us) {
        double g = round((double)n * (double)ref->n_chunks / (double)ref->n);
        by_g = g < 1.0 ? 1 : (g > (double)ref->n_chunks ? ref->n_chunks : (size_t)g);
    }
    cut(ref, opt, by_g, c);
    drop_short(c);
    if (opt->season != DRIFT_SEASON_NONE && ref->chunk_from_us)
        keep_season(ref, opt, c);
    for (size_t i = 0; i < c->n; i++)
        c->rows += c->group[i].rows;
    c->rows = c->n ? c->rows / c->n : 0;
    double m = (double)ref->n, rest = m - (double)c->rows,
           k_window = (double)n * m / ((double)n + m);
    if (rest > 0 && c->rows > 0)
        c->scale = k_window / ((double)c->rows * rest / m);
}

struct drift_moments drift_chunks_moments(const struct hist_reference *ref,
                                          const struct drift_chunks *c, drift_chunk_score score,
                                          const void *arg)
{
    uint64_t chunk[HIST_CELLS_MAX], rest[HIST_CELLS_MAX];
    struct drift_moments m = {0};
    double m2 = 0;
    for (size_t i = 0; i < c->n; i++) {
        hist_reference_merge(ref, c->group[i].from, c->group[i].end - c->group[i].from, chunk);
        for (size_t j = 0; j < ref->edges.n_cells; j++)
            rest[j] = ref->counts[j] - chunk[j];
        double x = score(arg, rest, chunk), d = x - m.mean;
        m.n++;
        m.mean += d / (double)m.n;
        m2 += d * (x - m.mean);
    }
    m.variance = m.n > 1 ? m2 / (double)(m.n - 1) : 0;
    return m;
}
