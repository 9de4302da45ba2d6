#include "monitor/window.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

#define WINDOW_FORMAT           1
#define LATENCY_BINS_PER_OCTAVE 8.0

size_t window_first_cell(const struct baseline *b, size_t feature)
{
    size_t first = 0;

    for (size_t i = 0; i < feature; i++)
        first += b->features[i].edges.n_cells;
    return first;
}

static size_t count_cells(const struct baseline *b)
{
    return b ? window_first_cell(b, b->n_features) + (b->score.n > 0 ? b->score.edges.n_cells : 0)
             : 0;
}

struct window *window_new(const struct baseline *b, int64_t release, int64_t start_us,
                          int64_t end_us)
{
    struct window *w = calloc(1, sizeof(*w));

    CHECK(start_us < end_us);
    if (!w)
        return NULL;
    w->release = release;
    w->start_us = start_us;
    w->end_us = end_us;
    w->first_event_us = w->last_label_us = w->last_event_us = AT_US_NONE;
    w->n_cells = count_cells(b);
    w->cells = calloc(w->n_cells + 1, sizeof(*w->cells));
    if (!w->cells) {
        window_free(w);
        return NULL;
    }
    perf_init(&w->perf);
    return w;
}

void window_free(struct window *w)
{
    if (!w)
        return;
    free(w->cells);
    free(w);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* AT_US_NONE is smaller than any time: it must not win. */
static int64_t earlier(int64_t a, int64_t b)
{
    if (a == AT_US_NONE || b == AT_US_NONE)
        return a == AT_US_NONE ? b : a;
    return a < b ? a : b;
}

void window_add(struct window *dst, const struct window *src)
{
    CHECK(dst->n_cells == src->n_cells);
    dst->n += src->n;
    dst->n_errors += src->n_errors;
    dst->n_fallback += src->n_fallback;
    dst->n_rescued += src->n_rescued;
    dst->n_labelled += src->n_labelled;
    dst->compute_ns += src->compute_ns;
    dst->last_label_us = later(dst->last_label_us, src->last_label_us);
    dst->first_event_us = earlier(dst->first_event_us, src->first_event_us);
    dst->last_event_us = later(dst->last_event_us, src->last_event_us);
    hist_merge(dst->latency, src->latency, WINDOW_LATENCY_BINS);
    perf_merge(&dst->perf, &src->perf);
    hist_merge(dst->cells, src->cells, dst->n_cells);
}

/* Bin 0: up to 1 us; bin i: (2^((i-1)/8), 2^(i/8)] us. */
void window_latency_add(struct window *w, int64_t us)
{
    double b = us <= 1 ? 0 : ceil(log2((double)us) * LATENCY_BINS_PER_OCTAVE);

    w->latency[b >= WINDOW_LATENCY_BINS ? WINDOW_LATENCY_BINS - 1 : (size_t)b]++;
}

uint64_t window_latency_total(const struct window *w)
{
    return hist_total(w->latency, WINDOW_LATENCY_BINS);
}

double window_latency_quantile(const struct window *w, double q)
{
    uint64_t n = window_latency_total(w), seen = 0;

    for (int i = 0; n > 0 && i < WINDOW_LATENCY_BINS; i++) {
        seen += w->latency[i];
        if ((double)seen >= q * (double)n)
            return exp2(i / LATENCY_BINS_PER_OCTAVE);
    }
    return 0;
}

uint64_t window_latency_above(const struct window *w, double us)
{
    uint64_t above = 0;

    for (int i = 0; i < WINDOW_LATENCY_BINS; i++)
        above += exp2(i / LATENCY_BINS_PER_OCTAVE) > us ? w->latency[i] : 0;
    return above;
}

/* ---- the store: sparse counts as [index, count, index, count, …] ---- */
static struct json *counts_json(const uint64_t *v, size_t n, struct arena *a)
{
    struct json *arr = json_arr(a);

    for (size_t i = 0; i < n; i++)
        if (v[i] > 0) {
            json_add(a, arr, json_int(a, (int64_t)i));
            json_add(a, arr, json_int(a, (int64_t)v[i]));
        }
    return arr;
}

static enum err_code counts_read(const struct json *arr, uint64_t *v, size_t n, struct err *err)
{
    memset(v, 0, n * sizeof(*v));
    for (size_t i = 0; i + 1 < json_len(arr); i += 2) {
        const struct json *at = json_at(arr, i), *count = json_at(arr, i + 1);
        if (at->type != JSON_INT || count->type != JSON_INT || at->u.i < 0 ||
            (size_t)at->u.i >= n || count->u.i < 0)
            return err_set(err, ERR_CORRUPT, "a stored window has a count for cell %lld of %zu",
                           (long long)(at->type == JSON_INT ? at->u.i : -1), n);
        v[at->u.i] = (uint64_t)count->u.i;
    }
    return ERR_OK;
}

struct json *window_save(const struct window *w, struct arena *a)
{
    struct json *o = json_obj(a);

    json_set(a, o, "format", json_int(a, WINDOW_FORMAT));
    json_set(a, o, "n", json_int(a, (int64_t)w->n));
    json_set(a, o, "errors", json_int(a, (int64_t)w->n_errors));
    json_set(a, o, "fallback", json_int(a, (int64_t)w->n_fallback));
    json_set(a, o, "rescued", json_int(a, (int64_t)w->n_rescued));
    json_set(a, o, "labelled", json_int(a, (int64_t)w->n_labelled));
    json_set(a, o, "compute_ns", json_int(a, (int64_t)w->compute_ns));
    json_set(a, o, "first_event", json_int(a, w->first_event_us));
    json_set(a, o, "last_event", json_int(a, w->last_event_us));
    json_set(a, o, "last_label", json_int(a, w->last_label_us));
    json_set(a, o, "latency", counts_json(w->latency, WINDOW_LATENCY_BINS, a));
    json_set(a, o, "perf", perf_json(&w->perf, a));
    json_set(a, o, "n_cells", json_int(a, (int64_t)w->n_cells));
    return json_set(a, o, "cells", counts_json(w->cells, w->n_cells, a));
}

enum err_code window_load(struct window *w, const struct json *doc, struct err *err)
{
    /* A release that is no longer served has no baseline at hand: its cells are not needed then, its sums are. */
    if (json_get_int(doc, "format", 0) != WINDOW_FORMAT ||
        (w->n_cells > 0 && json_get_int(doc, "n_cells", -1) != (int64_t)w->n_cells))
        return err_set(err, ERR_CORRUPT,
                       "a stored window of r%lld has the edges of another baseline",
                       (long long)w->release);
    w->n = (uint64_t)json_get_int(doc, "n", 0);
    w->n_errors = (uint64_t)json_get_int(doc, "errors", 0);
    w->n_fallback = (uint64_t)json_get_int(doc, "fallback", 0);
    w->n_rescued = (uint64_t)json_get_int(doc, "rescued", 0);
    w->n_labelled = (uint64_t)json_get_int(doc, "labelled", 0);
    w->compute_ns = (uint64_t)json_get_int(doc, "compute_ns", 0);
    w->first_event_us = json_get_int(doc, "first_event", AT_US_NONE);
    w->last_event_us = json_get_int(doc, "last_event", AT_US_NONE);
    w->last_label_us = json_get_int(doc, "last_label", AT_US_NONE);
    if (counts_read(json_get(doc, "latency"), w->latency, WINDOW_LATENCY_BINS, err) != ERR_OK ||
        perf_read(json_get(doc, "perf"), &w->perf, err) != ERR_OK)
        return err->code;
    return w->n_cells > 0 ? counts_read(json_get(doc, "cells"), w->cells, w->n_cells, err) : ERR_OK;
}

struct json *window_json(const struct window *w, struct arena *a)
{
    struct json *o = json_obj(a);
    double n = (double)w->n;

    json_set(a, o, "release", json_fmt(a, "r%lld", (long long)w->release));
    json_set(a, o, "start", json_time(a, w->start_us));
    json_set(a, o, "end", json_time(a, w->end_us));
    json_set(a, o, "requests", json_int(a, (int64_t)w->n));
    json_set(a, o, "errors", json_int(a, (int64_t)w->n_errors));
    json_set(a, o, "fallbacks", json_int(a, (int64_t)w->n_fallback));
    json_set(a, o, "labelled", json_int(a, (int64_t)w->n_labelled));
    json_set(a, o, "label_coverage", json_num(a, w->n > 0 ? (double)w->n_labelled / n : 0));
    json_set(a, o, "latency_p50_ms", json_num(a, window_latency_quantile(w, 0.5) / 1e3));
    json_set(a, o, "latency_p99_ms", json_num(a, window_latency_quantile(w, 0.99) / 1e3));
    json_set(a, o, "compute_us_per_request",
             json_num(a, w->n > 0 ? (double)w->compute_ns / n / 1e3 : 0));
    json_set(a, o, "is_closed", json_bool(a, w->is_closed));
    return json_set(a, o, "is_final", json_bool(a, w->is_final));
}
