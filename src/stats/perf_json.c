/* Performance windows as JSON: sums by name, and the cells that are not empty, six numbers each. */
#include <stddef.h>

#include "stats/perf.h"

static const struct sum_field {
    const char *name;
    size_t at;
} FIELDS[] = {
    {"tp", offsetof(struct perf_window, confusion.tp)},
    {"fp", offsetof(struct perf_window, confusion.fp)},
    {"tn", offsetof(struct perf_window, confusion.tn)},
    {"fn", offsetof(struct perf_window, confusion.fn)},
    {"score", offsetof(struct perf_window, sum_score)},
    {"label", offsetof(struct perf_window, sum_label)},
    {"label2", offsetof(struct perf_window, sum_label2)},
    {"loss", offsetof(struct perf_window, sum_loss)},
    {"loss2", offsetof(struct perf_window, sum_loss2)},
    {"squared", offsetof(struct perf_window, sum_squared)},
    {"abs", offsetof(struct perf_window, sum_abs)},
    {"error", offsetof(struct perf_window, sum_error)},
    {"correct", offsetof(struct perf_window, n_correct)},
};
#define N_FIELDS (sizeof(FIELDS) / sizeof(FIELDS[0]))

static void *field_of(const struct perf_window *w, size_t i)
{
    return (char *)(uintptr_t)w + FIELDS[i].at;
}

struct json *perf_json(const struct perf_window *w, struct arena *a)
{
    struct json *o = json_obj(a), *cells = json_arr(a);
    json_set(a, o, "n", json_int(a, (int64_t)w->n));
    json_set(a, o, "scored", json_int(a, (int64_t)w->n_scored));
    for (size_t i = 0; i < N_FIELDS; i++)
        if (*(double *)field_of(w, i) != 0)
            json_set(a, o, FIELDS[i].name, json_num(a, *(double *)field_of(w, i)));
    for (size_t b = 0; b < PERF_BINS; b++) {
        if (w->scored[b] + w->neg[b] + w->pos[b] == 0)
            continue;
        struct json *cell = json_arr(a);
        json_add(a, cell, json_int(a, (int64_t)b));
        json_add(a, cell, json_int(a, w->scored[b]));
        json_add(a, cell, json_num(a, w->scored_sum[b]));
        json_add(a, cell, json_int(a, w->neg[b]));
        json_add(a, cell, json_int(a, w->pos[b]));
        json_add(a, cell, json_num(a, w->label_score_sum[b]));
        json_add(a, cells, cell);
    }
    return json_set(a, o, "cells", cells);
}

static bool read_cell(const struct json *cell, struct perf_window *w)
{
    double v[6];
    for (size_t i = 0; i < 6; i++)
        if (!json_as_f64(json_at(cell, i), &v[i]) ||
            (i != 2 && i != 5 && !(v[i] >= 0 && v[i] <= UINT32_MAX)))
            return false;
    if (v[0] >= PERF_BINS)
        return false;
    size_t b = (size_t)v[0];
    w->scored[b] = (uint32_t)v[1];
    w->scored_sum[b] = v[2];
    w->neg[b] = (uint32_t)v[3];
    w->pos[b] = (uint32_t)v[4];
    w->label_score_sum[b] = v[5];
    return true;
}

enum err_code perf_read(const struct json *v, struct perf_window *ret, struct err *err)
{
    const struct json *cells = json_get(v, "cells");
    int64_t n = json_get_int(v, "n", -1), n_scored = json_get_int(v, "scored", -1);
    if (n < 0 || n_scored < 0)
        return err_set(err, ERR_CORRUPT, "performance window: n and scored must be counts");
    perf_init(ret);
    ret->n = (uint64_t)n;
    ret->n_scored = (uint64_t)n_scored;
    for (size_t i = 0; i < N_FIELDS; i++)
        *(double *)field_of(ret, i) = json_get_f64(v, FIELDS[i].name, 0);
    for (size_t i = 0; i < json_len(cells); i++)
        if (!read_cell(json_at(cells, i), ret))
            return err_set(
                err, ERR_CORRUPT,
                "performance window: cells/%zu is not [cell, scored, sum, neg, pos, sum]", i);
    return ERR_OK;
}
