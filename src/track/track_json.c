/* Runs and experiments as documents, and what differs between two runs. */
#include <stdlib.h>

#include "base/vec.h"
#include "track/track_int.h"

static struct json *tags_json(const struct tag *tags, size_t n, struct arena *a)
{
    struct json *j = json_obj(a);
    for (size_t i = 0; i < n; i++)
        json_set(a, j, tags[i].key, json_cstr(a, tags[i].value));
    return j;
}

struct json *experiment_json(const struct experiment *e, struct arena *a)
{
    struct json *j = json_obj(a);
    json_set(a, j, "experiment_id", json_fmt(a, "%lld", (long long)e->id));
    json_set(a, j, "name", json_cstr(a, e->name));
    json_set(a, j, "artifact_location", json_cstr(a, e->artifact_location));
    json_set(a, j, "is_deleted", json_bool(a, e->is_deleted));
    json_set(a, j, "created", json_time(a, e->created_us));
    json_set(a, j, "updated", json_time(a, e->updated_us));
    return json_set(a, j, "tags", tags_json(e->tags, e->n_tags, a));
}

struct json *run_info_json(const struct run_info *r, struct arena *a)
{
    struct json *j = json_obj(a);
    json_set(a, j, "run_id", json_cstr(a, r->id));
    json_set(a, j, "name", json_cstr(a, r->name));
    json_set(a, j, "status", json_cstr(a, run_status_name(r->status)));
    json_set(a, j, "experiment_id", json_fmt(a, "%lld", (long long)r->experiment_id));
    json_set(a, j, "parent_id", *r->parent_id ? json_cstr(a, r->parent_id) : NULL);
    json_set(a, j, "user", *r->user ? json_cstr(a, r->user) : NULL);
    json_set(a, j, "is_deleted", r->is_deleted ? json_bool(a, true) : NULL);
    json_set(a, j, "start", json_time(a, r->start_us));
    json_set(a, j, "end", json_time(a, r->end_us));
    if (r->end_us != AT_US_NONE)
        json_set(a, j, "duration_s",
                 json_num(a, (double)(r->end_us - r->start_us) / (double)US_PER_S));
    return json_set(a, j, "artifact_uri", json_cstr(a, r->artifact_uri));
}

static struct json *input_json(const struct run_input *in, struct arena *a)
{
    struct json *j = json_obj(a);
    json_set(a, j, "name", json_cstr(a, in->name));
    json_set(a, j, "digest", json_cstr(a, in->digest));
    json_set(a, j, "context", json_cstr(a, in->context));
    json_set(a, j, "source_type", json_cstr(a, in->source_type));
    return json_set(a, j, "source", json_cstr(a, in->source));
}

struct json *run_json(const struct run *r, struct arena *a)
{
    struct json *j = run_info_json(&r->info, a);
    struct json *metrics = json_obj(a), *params = json_obj(a), *inputs = json_arr(a);
    for (size_t i = 0; i < r->n_metrics; i++)
        json_set(a, metrics, r->metrics[i].key, json_num(a, r->metrics[i].value));
    for (size_t i = 0; i < r->n_params; i++)
        json_set(a, params, r->params[i].key, json_cstr(a, r->params[i].value));
    for (size_t i = 0; i < r->n_inputs; i++)
        json_add(a, inputs, input_json(&r->inputs[i], a));
    json_set(a, j, "metrics", metrics);
    json_set(a, j, "params", params);
    json_set(a, j, "tags", tags_json(r->tags, r->n_tags, a));
    return json_set(a, j, "inputs", inputs);
}

/* One side of a comparison: sorted keys and their texts or numbers. */
struct side {
    const char *key;
    struct json *value;
};

static struct json *row_json(const struct side *x, const struct side *y, struct arena *a)
{
    struct json *row = json_obj(a);
    double p = 0, q = 0;
    json_set(a, row, "key", json_cstr(a, x ? x->key : y->key));
    json_set(a, row, "a", x ? x->value : NULL);
    json_set(a, row, "b", y ? y->value : NULL);
    bool are_numbers = x && y && x->value->type == JSON_REAL && y->value->type == JSON_REAL &&
                       json_as_f64(x->value, &p) && json_as_f64(y->value, &q);
    if (are_numbers)
        json_set(a, row, "change", json_num(a, q - p));
    return row;
}

/* Rows for keys that one side lacks or whose values differ; both sides are sorted by key. */
static struct json *sides_diff(const struct side *x, size_t nx, const struct side *y, size_t ny,
                               struct arena *a)
{
    struct json *rows = json_arr(a);
    size_t i = 0, k = 0;
    while (i < nx || k < ny) {
        int order = i >= nx ? 1 : k >= ny ? -1 : strcmp(x[i].key, y[k].key);
        if (order != 0 || !json_eq(x[i].value, y[k].value))
            json_add(a, rows, row_json(order <= 0 ? &x[i] : NULL, order >= 0 ? &y[k] : NULL, a));
        i += order <= 0;
        k += order >= 0;
    }
    return rows;
}

enum side_kind { SIDE_PARAMS, SIDE_METRICS, SIDE_TAGS, SIDE_INPUTS };

static size_t side_count(const struct run *r, enum side_kind kind)
{
    switch (kind) {
    case SIDE_PARAMS:
        return r->n_params;
    case SIDE_METRICS:
        return r->n_metrics;
    case SIDE_TAGS:
        return r->n_tags;
    case SIDE_INPUTS:
        return r->n_inputs;
    }
    return 0;
}

static int by_key(const void *x, const void *y)
{
    return strcmp(((const struct side *)x)->key, ((const struct side *)y)->key);
}

static struct side side_at(const struct run *r, enum side_kind kind, size_t i, struct arena *a)
{
    switch (kind) {
    case SIDE_PARAMS:
        return (struct side){r->params[i].key, json_cstr(a, r->params[i].value)};
    case SIDE_METRICS:
        return (struct side){r->metrics[i].key, json_num(a, r->metrics[i].value)};
    case SIDE_TAGS:
        return (struct side){r->tags[i].key, json_cstr(a, r->tags[i].value)};
    case SIDE_INPUTS:
        break;
    }
    const struct run_input *in = &r->inputs[i];
    char *key = in->context ? str_printf(a, "%s (%s)", in->name, in->context) : NULL;
    return (struct side){key ? key : in->name, json_cstr(a, in->digest)};
}

static struct json *kind_diff(const struct run *x, const struct run *y, enum side_kind kind,
                              struct arena *a)
{
    size_t nx = side_count(x, kind), ny = side_count(y, kind);
    struct side *sx = ARENA_NEW_N(a, struct side, nx), *sy = ARENA_NEW_N(a, struct side, ny);
    if (!sx || !sy)
        return &JSON_NOMEM;
    for (size_t i = 0; i < nx; i++)
        sx[i] = side_at(x, kind, i, a);
    for (size_t i = 0; i < ny; i++)
        sy[i] = side_at(y, kind, i, a);
    qsort(sx, nx, sizeof(*sx), by_key);
    qsort(sy, ny, sizeof(*sy), by_key);
    return sides_diff(sx, nx, sy, ny, a);
}

struct json *run_diff_json(const struct run *a_run, const struct run *b_run, struct arena *a)
{
    struct json *j = json_obj(a);
    json_set(a, j, "a", run_info_json(&a_run->info, a));
    json_set(a, j, "b", run_info_json(&b_run->info, a));
    json_set(a, j, "params", kind_diff(a_run, b_run, SIDE_PARAMS, a));
    json_set(a, j, "metrics", kind_diff(a_run, b_run, SIDE_METRICS, a));
    json_set(a, j, "tags", kind_diff(a_run, b_run, SIDE_TAGS, a));
    return json_set(a, j, "inputs", kind_diff(a_run, b_run, SIDE_INPUTS, a));
}
