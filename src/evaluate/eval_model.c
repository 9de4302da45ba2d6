/* Models under evaluation: feature plan and engine of a directory, or a baseline that needs neither. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/thread.h"
#include "evaluate/eval_int.h"

#define PLAN_BYTES_MAX    ((size_t)64 << 20)
#define CHUNK_ROWS        8192
#define SCORE_THREADS_MAX 8

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

/* Rows [from, to) of a model, scored by one thread. */
struct score_part {
    const struct eval_model *m;
    size_t from, to;
    enum err_code rc;
    struct err err;
};

static void *score_part(void *arg)
{
    struct score_part *p = arg;
    const struct eval_model *m = p->m;
    size_t k = plan_n_inputs(m->plan);
    float *out = malloc((size_t)CHUNK_ROWS * m->n_outputs * sizeof(*out));
    float *scratch = malloc((engine_scratch_floats(m->engine) + 1) * sizeof(*scratch));
    p->rc = out && scratch ? ERR_OK : err_nomem(&p->err);
    for (size_t at = p->from; p->rc == ERR_OK && at < p->to; at += CHUNK_ROWS) {
        size_t n = p->to - at < CHUNK_ROWS ? p->to - at : CHUNK_ROWS;
        p->rc = engine_predict(m->engine, m->matrix + at * k, n, scratch, out, &p->err);
        for (size_t i = 0; p->rc == ERR_OK && i < n * m->n_outputs; i++)
            m->score[at * m->n_outputs + i] = (double)out[i];
    }
    free(out);
    free(scratch);
    return NULL;
}

/* An inline engine answers from several threads at once; others are asked by one. */
static enum err_code score_all(const struct eval_model *m, struct err *err)
{
    struct score_part part[SCORE_THREADS_MAX];
    pthread_t thread[SCORE_THREADS_MAX];
    long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = m->rows.n / CHUNK_ROWS + 1,
           n_parts = engine_is_inline(m->engine) && n_cpus > 1 ? (size_t)n_cpus : 1;
    n_parts = n_parts > SCORE_THREADS_MAX ? SCORE_THREADS_MAX : n_parts;
    n_parts = n_parts > n ? n : n_parts;
    size_t n_started = 1;
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < n_parts; i++)
        part[i] = (struct score_part){
            .m = m, .from = m->rows.n * i / n_parts, .to = m->rows.n * (i + 1) / n_parts};
    while (rc == ERR_OK && n_started < n_parts) {
        rc = thread_start(&thread[n_started], "score", score_part, &part[n_started], err);
        n_started += rc == ERR_OK;
    }
    (void)score_part(&part[0]);
    for (size_t i = 1; i < n_started; i++)
        (void)pthread_join(thread[i], NULL);
    for (size_t i = 0; rc == ERR_OK && i < n_parts; i++)
        rc = part[i].rc == ERR_OK ? ERR_OK : err_set(err, part[i].rc, "%s", part[i].err.msg);
    return rc;
}

enum err_code eval_model_score(struct eval *e, struct eval_model *m, struct err *err)
{
    struct arena *a = &e->arena;
    const struct eval_rows *r = &m->rows;
    m->score = ARENA_NEW_N(a, double, r->n * m->n_outputs);
    if (!m->score)
        return arena_err(a, err);
    enum err_code rc =
        plan_run_chunk(m->plan, r->cols, r->n_cols, r->n, a, &m->matrix, &m->row_features, err);
    m->n_row_features = plan_n_slots(m->plan) - plan_n_settable(m->plan);
    if (rc == ERR_OK)
        rc = score_all(m, err);
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
