/* References as JSON. Chunks are written sparsely, [cell, count, cell, count…], because a small chunk leaves most
 * cells of a wide feature empty. */
#include <string.h>

#include "stats/histogram.h"

static struct json *u64_array(const uint64_t *v, size_t n, struct arena *a)
{
    struct json *arr = json_arr(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, arr, json_int(a, (int64_t)v[i]));
    return arr;
}

static struct json *chunks_json(const struct hist_reference *r, struct arena *a)
{
    struct json *arr = json_arr(a);
    for (size_t c = 0; c < r->n_chunks; c++) {
        struct json *one = json_arr(a);
        for (size_t i = 0; i < r->edges.n_cells; i++) {
            uint32_t n = r->chunks[c * r->edges.n_cells + i];
            if (n) {
                json_add(a, one, json_int(a, (int64_t)i));
                json_add(a, one, json_int(a, n));
            }
        }
        json_add(a, arr, one);
    }
    return arr;
}

static void edges_json(const struct hist_edges *e, struct json *o, struct arena *a)
{
    if (e->kind == HIST_NUMBER) {
        struct json *edges = json_arr(a);
        for (size_t i = 0; i < e->n_edges; i++)
            json_add(a, edges, json_num(a, e->edges[i]));
        json_set(a, o, "edges", edges);
        return;
    }
    struct json *cats = json_arr(a), *other = json_arr(a);
    for (size_t i = 0; i < e->n_categories; i++)
        json_add(a, cats, json_str(a, e->categories[i]));
    for (size_t i = 0; i < e->n_other; i++)
        json_add(a, other, json_int(a, (int64_t)e->other[i])); /* the bits of the hash */
    json_set(a, o, "categories", cats);
    json_set(a, o, "other", other);
}

struct json *hist_reference_json(const struct hist_reference *r, struct arena *a)
{
    struct json *o = json_obj(a);
    json_set(a, o, "name", json_cstr(a, r->name));
    json_set(a, o, "kind", json_cstr(a, r->edges.kind == HIST_NUMBER ? "number" : "category"));
    edges_json(&r->edges, o, a);
    json_set(a, o, "counts", u64_array(r->counts, r->edges.n_cells, a));
    json_set(a, o, "chunks", chunks_json(r, a));
    if (r->chunk_from_us) {
        struct json *t = json_arr(a);
        for (size_t c = 0; c < r->n_chunks; c++)
            json_add(a, t, json_int(a, r->chunk_from_us[c]));
        json_set(a, o, "chunk_from_us", t);
    }
    return json_set(a, o, "importance", json_num(a, r->importance));
}

static int64_t int_of(const struct json *v)
{
    return v && v->type == JSON_INT ? v->u.i : 0;
}

static enum err_code read_edge_values(const struct json *edges, const struct json *cats,
                                      struct hist_edges *e, struct err *err)
{
    for (size_t i = 0; i < e->n_edges; i++)
        if (!json_as_f64(json_at(edges, i), &e->edges[i]) ||
            (i > 0 && !(e->edges[i] > e->edges[i - 1])))
            return err_set(err, ERR_CORRUPT, "edges/%zu: edges must be ascending numbers", i);
    for (size_t i = 0; i < e->n_categories; i++) {
        const struct json *c = json_at(cats, i);
        if (!c || c->type != JSON_STR)
            return err_set(err, ERR_CORRUPT, "categories/%zu: expected a text", i);
        e->categories[i] = c->u.s;
    }
    return ERR_OK;
}

static enum err_code read_edges(const struct json *v, struct arena *a, struct hist_edges *e,
                                struct err *err)
{
    const struct json *edges = json_get(v, "edges"), *cats = json_get(v, "categories"),
                      *other = json_get(v, "other");
    e->kind = json_get_c(v, "kind") && strcmp(json_get_c(v, "kind"), "number") == 0 ? HIST_NUMBER
                                                                                    : HIST_CATEGORY;
    e->n_edges = json_len(edges);
    e->n_categories = json_len(cats);
    e->n_other = json_len(other);
    e->edges = ARENA_NEW_N(a, double, e->n_edges);
    e->categories = ARENA_NEW_N(a, struct str, e->n_categories);
    e->other = ARENA_NEW_N(a, uint64_t, e->n_other);
    if (!e->edges || !e->categories || !e->other)
        return arena_err(a, err);
    enum err_code rc = read_edge_values(edges, cats, e, err);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < e->n_other; i++)
        e->other[i] = (uint64_t)int_of(json_at(other, i));
    e->n_bins = e->kind == HIST_NUMBER ? e->n_edges + 1 : e->n_categories + 2;
    e->n_cells = e->n_bins + 2;
    return e->n_cells > HIST_CELLS_MAX
               ? err_set(err, ERR_CORRUPT, "%zu cells are too many", e->n_cells)
               : ERR_OK;
}

static enum err_code read_chunk(const struct json *one, const struct hist_edges *e, uint32_t *out,
                                struct err *err)
{
    for (size_t i = 0; i + 1 < json_len(one); i += 2) {
        int64_t cell = int_of(json_at(one, i)), n = int_of(json_at(one, i + 1));
        if (cell < 0 || (size_t)cell >= e->n_cells || n < 0 || n > UINT32_MAX)
            return err_set(err, ERR_CORRUPT, "chunks: cell %lld or count %lld is out of range",
                           (long long)cell, (long long)n);
        out[cell] = (uint32_t)n;
    }
    return ERR_OK;
}

static enum err_code read_counts(const struct json *v, struct arena *a, struct hist_reference *r,
                                 struct err *err)
{
    const struct json *counts = json_get(v, "counts"), *chunks = json_get(v, "chunks"),
                      *t = json_get(v, "chunk_from_us");
    if (json_len(counts) != r->edges.n_cells)
        return err_set(err, ERR_CORRUPT, "counts: %zu cells where the edges make %zu",
                       json_len(counts), r->edges.n_cells);
    r->n_chunks = json_len(chunks);
    r->counts = ARENA_NEW_N(a, uint64_t, r->edges.n_cells);
    r->chunks = ARENA_NEW_N(a, uint32_t, r->n_chunks * r->edges.n_cells);
    r->chunk_from_us = t ? ARENA_NEW_N(a, int64_t, r->n_chunks) : NULL;
    if (!r->counts || !r->chunks || (t && !r->chunk_from_us))
        return arena_err(a, err);
    for (size_t i = 0; i < r->edges.n_cells; i++)
        r->counts[i] = (uint64_t)int_of(json_at(counts, i));
    r->n = hist_total(r->counts, r->edges.n_cells);
    for (size_t c = 0; c < r->n_chunks; c++) {
        enum err_code rc =
            read_chunk(json_at(chunks, c), &r->edges, &r->chunks[c * r->edges.n_cells], err);
        if (rc != ERR_OK)
            return rc;
        if (t)
            r->chunk_from_us[c] = int_of(json_at(t, c));
    }
    return ERR_OK;
}

enum err_code hist_reference_read(const struct json *v, struct arena *a, struct hist_reference *ret,
                                  struct err *err)
{
    struct hist_reference r = {.importance = json_get_f64(v, "importance", 0)};
    r.name = json_get_c(v, "name");
    if (!r.name)
        return err_set(err, ERR_CORRUPT, "a feature of the baseline has no name");
    enum err_code rc = read_edges(v, a, &r.edges, err);
    if (rc == ERR_OK)
        rc = read_counts(v, a, &r, err);
    if (rc != ERR_OK)
        return err_wrap(err, "baseline of %s", r.name);
    *ret = r;
    return ERR_OK;
}
