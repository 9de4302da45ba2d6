/* The report: per model its metrics on each split, calibration, slices, cases, latency, size. */
#include <math.h>
#include <string.h>

#include "evaluate/eval_int.h"
#include "stats/calibration.h"

#define CALIBRATION_BINS 10
#define SLICE_ROWS_MIN   200

static struct json *metric_json(const struct interval *i, bool has_interval, struct arena *a)
{
    struct json *o = has_interval ? interval_json(i, a) : json_obj(a);
    json_remove(o, "estimate");
    return json_set(a, o, "value", json_num(a, i->value_a));
}

/* Metrics of the spec of one model on some rows; with intervals where p->confidence is set. */
static enum err_code metrics_json(struct eval *e, const struct eval_pair *p, struct json **ret,
                                  struct err *err)
{
    struct json *o = json_obj(e->out);
    enum err_code rc = ERR_OK;
    struct arena_mark mark = arena_mark(&e->arena);
    struct metric_rows rows = eval_metric_rows(e, p->a, &p->rows, &e->arena);
    bool has_interval = p->confidence > 0;
    for (size_t k = 0; rc == ERR_OK && k < e->spec.n_metrics; k++) {
        struct interval i = {0};
        struct eval_pair one = *p;
        one.metric = e->spec.metrics[k];
        rc = has_interval ? eval_interval(e, &one, &i, err)
                          : metric_compute(one.metric, &rows, &e->arena, &i.value_a, err);
        if (rc == ERR_OK)
            json_set(e->out, o, METRIC_NAMES[one.metric], metric_json(&i, has_interval, e->out));
    }
    arena_release(&e->arena, mark);
    if (rc == ERR_OK)
        *ret = o;
    return rc;
}

static enum err_code split_json(struct eval *e, const struct eval_model *m, const char *split,
                                struct json *splits, struct err *err)
{
    struct arena *a = e->out;
    struct eval_pair p = {.a = m, .rows = eval_split_rows(e, split)};
    struct json *o = json_obj(a), *metrics = NULL;
    double positives = 0;
    if (p.rows.n == 0)
        return ERR_OK;
    if (m == &e->models[0] && (strcmp(split, e->benchmark) == 0 || strcmp(split, "test") == 0))
        p.confidence = e->spec.confidence;
    enum err_code rc = metrics_json(e, &p, &metrics, err);
    for (size_t i = 0; i < p.rows.n; i++)
        positives += e->rows.label[p.rows.row[i]];
    json_set(a, o, "rows", json_int(a, (int64_t)p.rows.n));
    json_set(a, o, "label_mean", json_num(a, positives / (double)p.rows.n));
    json_set(a, splits, split, json_set(a, o, "metrics", metrics));
    return rc;
}

static enum err_code one_slice_json(struct eval *e, const struct eval_model *m,
                                    const struct eval_slice *s, struct json *list, struct err *err)
{
    struct arena *a = e->out;
    enum err_code rc = ERR_OK;
    for (size_t v = 0; rc == ERR_OK && v < s->n_values; v++) {
        struct eval_pair p = {.a = m, .rows = eval_slice_rows(s, v)};
        struct json *o = json_obj(a), *metrics = NULL;
        if (p.rows.n == 0)
            continue;
        rc = metrics_json(e, &p, &metrics, err);
        json_set(a, o, "slice", json_str(a, s->name));
        json_set(a, o, "value", json_cstr(a, s->values[v]));
        json_set(a, o, "rows", json_int(a, (int64_t)p.rows.n));
        json_set(a, o, "is_small", json_bool(a, p.rows.n < SLICE_ROWS_MIN));
        json_add(a, list, json_set(a, o, "metrics", metrics));
    }
    return rc;
}

static enum err_code slices_json(struct eval *e, const struct eval_model *m, struct json **ret,
                                 struct err *err)
{
    struct json *list = json_arr(e->out);
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < e->spec.n_slices; i++) {
        const struct eval_slice *s = NULL;
        rc = eval_slice_get(e, e->spec.slices[i].text, &s, err);
        if (rc == ERR_OK)
            rc = one_slice_json(e, m, s, list, err);
    }
    if (rc == ERR_OK)
        *ret = list;
    return rc;
}

static struct json *calibration_of(struct eval *e, const struct eval_model *m)
{
    struct arena_mark mark = arena_mark(&e->arena);
    struct metric_rows r = eval_metric_rows(e, m, &e->benchmark_rows, &e->arena);
    struct json *bins = calibration_bins_json(r.score, r.label, r.n, CALIBRATION_BINS, e->out);
    arena_release(&e->arena, mark);
    return json_set(e->out, json_obj(e->out), "bins", bins);
}

static const char *const SPLITS[] = {"validation", "test", "benchmark"};

static enum err_code model_json(struct eval *e, const struct eval_model *m, const struct json *args,
                                struct json **ret, struct err *err)
{
    struct arena *a = e->out;
    struct json *o = json_obj(a), *splits = json_obj(a), *slices = NULL;
    json_set(a, o, "id", json_cstr(a, m->id));
    *ret = o;
    if (m->error) {
        json_set(a, o, "error", json_cstr(a, m->error));
        return ERR_OK;
    }
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < 3; i++)
        rc = split_json(e, m, SPLITS[i], splits, err);
    if (rc == ERR_OK && !e->rows.split)
        rc = split_json(e, m, e->benchmark, splits, err);
    if (rc == ERR_OK)
        rc = slices_json(e, m, &slices, err);
    if (rc != ERR_OK)
        return err_wrap(err, "metrics of %s", m->name);
    if (!isnan(m->threshold)) {
        struct json *t = json_set(a, json_obj(a), "value", json_num(a, m->threshold));
        json_set(a, o, "threshold", json_set(a, t, "how", json_cstr(a, m->threshold_how)));
    }
    json_set(a, o, "splits", splits);
    json_set(a, o, "slices", slices);
    if (e->spec.task == TASK_BINARY)
        json_set(a, o, "calibration", calibration_of(e, m));
    if (m->plan) {
        const struct json *cases = json_get(args, "cases");
        int64_t calls = m == &e->models[0] ? json_get_int(args, "latency_calls", 2000) : 0;
        if (json_len(cases) > 0)
            json_set(a, o, "cases", eval_cases(e, m, cases));
        json_set(a, o, "size_bytes", json_int(a, m->size_bytes));
        json_set(a, o, "latency", eval_latency_json(e, m, calls));
    }
    return ERR_OK;
}

/* Blocks that occur on the benchmark. */
static int64_t count_blocks(struct eval *e, const uint32_t *block, size_t n_blocks)
{
    struct arena_mark mark = arena_mark(&e->arena);
    bool *is_seen = ARENA_NEW_N(&e->arena, bool, n_blocks);
    int64_t n = 0;
    for (size_t i = 0; is_seen && i < e->benchmark_rows.n; i++) {
        bool *seen = &is_seen[block[e->benchmark_rows.row[i]]];
        n += !*seen;
        *seen = true;
    }
    arena_release(&e->arena, mark);
    return n;
}

static struct json *benchmark_json(struct eval *e, const struct json *args)
{
    struct arena *a = e->out;
    struct json *o = json_obj(a), *blocks = json_obj(a);
    const struct eval_subset *s = &e->benchmark_rows;
    json_set(a, o, "split", json_cstr(a, e->benchmark));
    json_set(a, o, "version", json_cstr(a, json_get_c(args, "benchmark_version")));
    json_set(a, o, "rows", json_int(a, (int64_t)s->n));
    if (e->day)
        json_set(a, blocks, "day", json_int(a, count_blocks(e, e->day, e->n_days)));
    if (e->entity)
        json_set(a, blocks, "entity", json_int(a, count_blocks(e, e->entity, e->n_entities)));
    json_set(a, o, "blocks", blocks);
    if (e->rows.time && s->n > 0) {
        int64_t from = e->rows.time[s->row[0]], to = from;
        for (size_t i = 1; i < s->n; i++) {
            from = e->rows.time[s->row[i]] < from ? e->rows.time[s->row[i]] : from;
            to = e->rows.time[s->row[i]] > to ? e->rows.time[s->row[i]] : to;
        }
        json_set(a, o, "from", json_time(a, from));
        json_set(a, o, "to", json_time(a, to));
    }
    return o;
}

enum err_code eval_report(struct eval *e, const struct json *args, struct json **ret,
                          struct err *err)
{
    struct arena *a = e->out;
    struct json *o = json_obj(a), *models = json_obj(a), *comparisons = NULL;
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < e->n_models; i++) {
        struct json *m = NULL;
        if (e->worker)
            worker_progress(e->worker, 0.2 + 0.3 * (double)i / (double)e->n_models, "evaluating %s",
                            e->models[i].name);
        rc = model_json(e, &e->models[i], args, &m, err);
        json_set(a, models, e->models[i].name, m);
    }
    if (rc == ERR_OK)
        rc = eval_comparisons(e, json_get(args, "gates"), &comparisons, err);
    if (rc != ERR_OK)
        return rc;
    json_set(a, o, "format", json_int(a, 1));
    json_set(a, o, "task", json_cstr(a, metric_task_name(e->spec.task)));
    json_set(a, o, "seed", json_int(a, (int64_t)e->seed));
    json_set(a, o, "confidence", json_num(a, e->spec.confidence));
    json_set(a, o, "benchmark", benchmark_json(e, args));
    json_set(a, o, "models", models);
    *ret = json_set(a, o, "comparisons", comparisons);
    return ERR_OK;
}
