/* Models under evaluation: feature plan and engine of a directory, or a baseline that needs neither. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "evaluate/eval_int.h"

#define PLAN_BYTES_MAX ((size_t)64 << 20)
#define CHUNK_ROWS     65536

/* A directory logged from a notebook has no plan: one number field per input of the engine. */
static struct json *plain_plan(const struct engine *eng, struct arena *a)
{
    struct json *o = json_obj(a), *request = json_arr(a), *inputs = json_arr(a);
    for (size_t i = 0; i < engine_n_inputs(eng); i++) {
        struct json *field = json_obj(a), *input = json_obj(a);
        struct json *name = json_cstr(a, engine_input_name(eng, i));
        json_set(a, field, "name", name);
        json_set(a, field, "type", json_cstr(a, value_type_name(VAL_FLOAT)));
        json_set(a, field, "required", json_bool(a, false));
        json_add(a, request, field);
        json_set(a, input, "name", name);
        json_set(a, input, "from", name);
        json_set(a, input, "kind", json_cstr(a, "number"));
        json_add(a, inputs, input);
    }
    json_set(a, o, "format", json_int(a, PLAN_FORMAT));
    json_set(a, o, "expr", json_int(a, 1));
    json_set(a, o, "request", request);
    json_set(a, o, "lookups", json_arr(a));
    json_set(a, o, "row", json_arr(a));
    return json_set(a, o, "inputs", inputs);
}

enum err_code eval_model_open(struct eval *e, struct eval_model *m, struct err *err)
{
    struct arena *a = &e->arena;
    struct str text;
    struct json *doc = NULL;
    char *path = path_join(a, m->dir, "pawl/plan.json");
    if (!path)
        return arena_err(a, err);
    enum err_code rc = engine_open(m->dir, NULL, &m->engine, err);
    if (rc == ERR_OK && file_exists(path)) {
        rc = file_read(path, PLAN_BYTES_MAX, a, &text, err);
        if (rc == ERR_OK)
            rc = json_read(text, a, &doc, err);
    } else if (rc == ERR_OK) {
        doc = plain_plan(m->engine, a);
    }
    if (rc == ERR_OK)
        rc = plan_read(doc, a, &m->plan, err);
    if (rc == ERR_OK && plan_n_inputs(m->plan) != engine_n_inputs(m->engine))
        rc = err_set(err, ERR_CORRUPT, "the plan makes %zu inputs, the model reads %zu",
                     plan_n_inputs(m->plan), engine_n_inputs(m->engine));
    if (rc != ERR_OK)
        return err_wrap(err, "model %s", m->name);
    m->n_outputs = engine_n_outputs(m->engine);
    m->size_bytes = eval_dir_bytes(m->dir, a);
    return ERR_OK;
}

void eval_model_close(struct eval_model *m)
{
    engine_close(m->engine);
    m->engine = NULL;
}

int64_t eval_dir_bytes(const char *dir, struct arena *a)
{
    char **names;
    size_t n;
    int64_t sum = 0, bytes;
    if (dir_list(dir, a, &names, &n, NULL) != ERR_OK)
        return 0;
    for (size_t i = 0; i < n; i++) {
        char *path = path_join(a, dir, names[i]);
        if (path && dir_exists(path))
            sum += eval_dir_bytes(path, a);
        else if (path && file_size(path, &bytes, NULL) == ERR_OK)
            sum += bytes;
    }
    return sum;
}

static enum err_code score_chunk(struct eval_model *m, const float *rows, size_t n, struct arena *a,
                                 double *ret, struct err *err)
{
    struct arena_mark mark = arena_mark(a);
    float *out = ARENA_NEW_N(a, float, n * m->n_outputs);
    float *scratch = ARENA_NEW_N(a, float, engine_scratch_floats(m->engine) + 1);
    enum err_code rc =
        out && scratch ? engine_predict(m->engine, rows, n, scratch, out, err) : arena_err(a, err);
    for (size_t i = 0; rc == ERR_OK && i < n * m->n_outputs; i++)
        ret[i] = (double)out[i];
    arena_release(a, mark);
    return rc;
}

enum err_code eval_model_score(struct eval *e, struct eval_model *m, struct err *err)
{
    struct arena *a = &e->arena;
    const struct eval_rows *r = &m->rows;
    size_t n_inputs = plan_n_inputs(m->plan);
    struct column *part = ARENA_NEW_N(a, struct column, r->n_cols);
    float *matrix = NULL;
    m->score = ARENA_NEW_N(a, double, r->n * m->n_outputs);
    if (!part || !m->score)
        return arena_err(a, err);
    enum err_code rc =
        plan_run_chunk(m->plan, r->cols, r->n_cols, r->n, a, &matrix, &m->row_features, err);
    m->n_row_features = plan_n_slots(m->plan) - plan_n_settable(m->plan);
    m->matrix = matrix;
    for (size_t from = 0; rc == ERR_OK && from < r->n; from += CHUNK_ROWS) {
        size_t n = r->n - from < CHUNK_ROWS ? r->n - from : CHUNK_ROWS;
        rc = score_chunk(m, matrix + from * n_inputs, n, a, m->score + from * m->n_outputs, err);
    }
    return rc == ERR_OK ? ERR_OK : err_wrap(err, "model %s", m->name);
}

struct metric_rows eval_metric_rows(const struct eval *e, const struct eval_model *m,
                                    const struct eval_subset *s, struct arena *a)
{
    double *score = ARENA_NEW_N(a, double, s->n * m->n_outputs),
           *label = ARENA_NEW_N(a, double, s->n);
    struct metric_rows r = {
        .task = e->spec.task, .n_classes = e->n_classes, .threshold = m->threshold};
    r.cost_false_positive = e->spec.threshold.false_positive;
    r.cost_false_negative = e->spec.threshold.false_negative;
    if (!score || !label)
        return r; /* n 0: the caller's metric says that there are no rows; the arena remembers */
    for (size_t i = 0; i < s->n; i++) {
        label[i] = e->rows.label[s->row[i]];
        memcpy(&score[i * m->n_outputs], &m->score[s->row[i] * m->n_outputs],
               m->n_outputs * sizeof(*score));
    }
    r.n = s->n;
    r.score = score;
    r.label = label;
    return r;
}

enum err_code eval_model_threshold(struct eval *e, struct eval_model *m, struct err *err)
{
    const struct evaluate_threshold *t = &e->spec.threshold;
    double value;
    if (!isnan(m->threshold) || e->spec.task != TASK_BINARY)
        return ERR_OK;
    m->threshold = t->value;
    m->threshold_how = "declared";
    if (t->kind == THRESHOLD_FIXED)
        return ERR_OK;
    struct eval_subset s = eval_split_rows(e, t->split);
    if (s.n == 0)
        s = e->benchmark_rows;
    struct arena_mark mark = arena_mark(&e->arena);
    struct metric_rows r = eval_metric_rows(e, m, &s, &e->arena);
    enum err_code rc = metric_best_threshold(t->metric, &r, &e->arena, &m->threshold, &value, err);
    arena_release(&e->arena, mark);
    if (rc != ERR_OK)
        return err_wrap(err, "threshold of %s on %s", m->name, t->split);
    m->threshold_how =
        str_printf(&e->arena, "%s %s on %s", t->kind == THRESHOLD_COST ? "least" : "best",
                   METRIC_NAMES[t->metric], t->split);
    return ERR_OK;
}
