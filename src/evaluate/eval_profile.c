/* What a new model version carries: the distribution of its inputs and scores, how much each input matters, calibration and the
 * regression set.
 *
 * A number input's reference holds the float32 values that the model itself was given (so a served row falls into the same
 * cells), a category input's its categories. Request fields that are no inputs are watched too, with importance 0. Importance is the mean
 * change of the score when one input is permuted over held-out rows: it needs no labels and is what drift can do to answers. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "evaluate/eval_int.h"
#include "stats/baseline.h"
#include "stats/calibration.h"

#define IMPORTANCE_ROWS    2000
#define RAW_CATEGORIES_MAX 1000

struct profile {
    struct eval *e;
    struct eval_model *m; /* scored on held-out rows (e->rows) */
    struct eval_rows ref; /* reference rows, in time order */
    float *ref_matrix;
    const char *ref_name;
    double *importance; /* by input, sums to 1 */
    struct baseline baseline;
};

/* ---- importance ---- */

/* Rows in order and a second order of the same rows, from which the permuted input is taken. */
struct permutation {
    uint32_t *row, *from;
    size_t n;
};

/* Sum over rows and outputs of |score with this input permuted - score|. */
static enum err_code permuted_change(struct profile *p, size_t input, const struct permutation *by,
                                     double *ret, struct err *err)
{
    struct eval_model *m = p->m;
    struct arena *a = &p->e->arena;
    struct arena_mark mark = arena_mark(a);
    size_t k = plan_n_inputs(m->plan), n = by->n;
    float *x = ARENA_NEW_N(a, float, n *k), *out = ARENA_NEW_N(a, float, n * m->n_outputs);
    float *scratch = ARENA_NEW_N(a, float, engine_scratch_floats(m->engine) + 1);
    enum err_code rc = x && out && scratch ? ERR_OK : arena_err(a, err);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        memcpy(&x[i * k], &m->matrix[by->row[i] * k], k * sizeof(*x));
        x[i * k + input] = m->matrix[by->row[by->from[i]] * k + input];
    }
    if (rc == ERR_OK)
        rc = engine_predict(m->engine, x, n, scratch, out, err);
    double sum = 0;
    for (size_t i = 0; rc == ERR_OK && i < n * m->n_outputs; i++)
        sum += fabs((double)out[i] -
                    m->score[by->row[i / m->n_outputs] * m->n_outputs + i % m->n_outputs]);
    arena_release(a, mark);
    *ret = sum;
    return rc;
}

static enum err_code importance(struct profile *p, int64_t want, struct err *err)
{
    struct eval *e = p->e;
    size_t k = plan_n_inputs(p->m->plan), n = (size_t)want < e->rows.n ? (size_t)want : e->rows.n;
    struct permutation by = {ARENA_NEW_N(&e->arena, uint32_t, n),
                             ARENA_NEW_N(&e->arena, uint32_t, n), n};
    struct rng rng;
    double sum = 0;
    p->importance = ARENA_NEW_N(&e->arena, double, k);
    if (!by.row || !by.from || !p->importance)
        return arena_err(&e->arena, err);
    rng_init(&rng, e->seed);
    for (size_t i = 0; i < n; i++) {
        by.row[i] = (uint32_t)(i * e->rows.n / n);
        by.from[i] = (uint32_t)i;
    }
    for (size_t i = n; i > 1; i--) {
        size_t j = rng_below(&rng, i);
        uint32_t t = by.from[i - 1];
        by.from[i - 1] = by.from[j];
        by.from[j] = t;
    }
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < k; i++) {
        rc = permuted_change(p, i, &by, &p->importance[i], err);
        sum += p->importance[i];
    }
    for (size_t i = 0; rc == ERR_OK && sum > 0 && i < k; i++)
        p->importance[i] /= sum;
    return rc;
}

/* ---- references ---- */

/* Input i of the reference rows as a column: floats, or texts of categories. */
static enum err_code input_column(struct profile *p, size_t i, struct column *c, struct err *err)
{
    const struct plan_input *in = plan_input(p->m->plan, i);
    struct arena *a = &p->e->arena;
    size_t n = p->ref.n, k = plan_n_inputs(p->m->plan);
    *c = (struct column){.name = in->name, .type = in->is_category ? VAL_STR : VAL_FLOAT, .n = n};
    c->valid = ARENA_NEW_N(a, uint8_t, n);
    if (in->is_category)
        c->u.s = ARENA_NEW_N(a, struct str, n);
    else
        c->u.f = ARENA_NEW_N(a, double, n);
    if (!c->valid || !(in->is_category ? (void *)c->u.s : (void *)c->u.f))
        return arena_err(a, err);
    for (size_t r = 0; r < n; r++) {
        float v = p->ref_matrix[r * k + i];
        c->valid[r] = (uint8_t)(isnan(v) ? 0 : 1);
        if (!in->is_category)
            c->u.f[r] = (double)v;
        else if (c->valid[r] && (size_t)v < in->n_categories)
            c->u.s[r] = in->categories[(size_t)v];
    }
    return ERR_OK;
}

static enum err_code add_reference(struct profile *p, const struct hist_input *in, struct arena *a,
                                   struct err *err)
{
    struct hist_reference *r = &p->baseline.features[p->baseline.n_features];
    enum err_code rc = hist_reference_build(in, a, r, err);
    if (rc == ERR_OK)
        p->baseline.n_features++;
    return rc;
}

static bool is_input_name(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan_n_inputs(plan); i++)
        if (strcmp(plan_input(plan, i)->name, name) == 0)
            return true;
    return false;
}

/* Request fields that are no inputs: numbers, flags, and texts with few values. Times, free texts and identifiers are not. */
static enum err_code add_raw_fields(struct profile *p, struct arena *a, struct err *err)
{
    const struct plan *plan = p->m->plan;
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < plan_n_settable(plan); i++) {
        const struct plan_slot *slot = plan_slot(plan, i);
        const struct column *c = eval_column(&p->ref, str_c(slot->name));
        if (!c || c->type == VAL_TIME || c->type == VAL_NULL || is_input_name(plan, slot->name))
            continue;
        bool is_text = c->type == VAL_STR;
        struct hist_input in = {.name = slot->name,
                                .kind = is_text ? HIST_CATEGORY : HIST_NUMBER,
                                .values = *c,
                                .time_us = p->ref.time};
        rc = add_reference(p, &in, a, err);
        struct hist_reference *r = &p->baseline.features[p->baseline.n_features - 1];
        size_t n_values = r->edges.n_categories + r->edges.n_other;
        if (rc == ERR_OK && is_text && (n_values > RAW_CATEGORIES_MAX || n_values * 10 > p->ref.n))
            p->baseline.n_features--;
    }
    return rc;
}

static enum err_code features(struct profile *p, struct arena *a, struct err *err)
{
    const struct plan *plan = p->m->plan;
    size_t n_inputs = plan_n_inputs(plan);
    p->baseline.features = ARENA_NEW_N(a, struct hist_reference, n_inputs + plan_n_settable(plan));
    if (!p->baseline.features)
        return arena_err(a, err);
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < n_inputs; i++) {
        struct arena_mark mark = arena_mark(&p->e->arena);
        struct hist_input in = {.name = plan_input(plan, i)->name,
                                .time_us = p->ref.time,
                                .importance = p->importance[i]};
        in.kind = plan_input(plan, i)->is_category ? HIST_CATEGORY : HIST_NUMBER;
        rc = input_column(p, i, &in.values, err);
        if (rc == ERR_OK)
            rc = add_reference(p, &in, a, err);
        arena_release(&p->e->arena, mark);
    }
    return rc == ERR_OK ? add_raw_fields(p, a, err) : rc;
}

/* Scores of held-out rows: those of rows it was trained on would look too sure. */
static enum err_code score_reference(struct profile *p, struct arena *a, struct err *err)
{
    struct eval_model *m = p->m;
    double *main_score = m->score;
    if (m->n_outputs > 1) { /* the class that was chosen */
        main_score = ARENA_NEW_N(&p->e->arena, double, p->e->rows.n);
        if (!main_score)
            return arena_err(&p->e->arena, err);
        for (size_t i = 0; i < p->e->rows.n; i++)
            for (size_t k = 1; k < m->n_outputs; k++)
                if (m->score[i * m->n_outputs + k] >
                    m->score[i * m->n_outputs + (size_t)main_score[i]])
                    main_score[i] = (double)k;
    }
    struct column c = {.name = "score", .type = VAL_FLOAT, .n = p->e->rows.n, .u.f = main_score};
    struct hist_input in = {
        .name = "score", .kind = HIST_NUMBER, .values = c, .time_us = p->e->rows.time};
    return hist_reference_build(&in, a, &p->baseline.score, err);
}

static void decisions(struct profile *p)
{
    double n = 0;
    p->baseline.threshold = p->m->threshold;
    p->baseline.positive_rate = NAN;
    if (p->e->spec.task != TASK_BINARY)
        return;
    for (size_t i = 0; i < p->e->rows.n; i++)
        n += p->m->score[i] >= p->m->threshold ? 1 : 0;
    p->baseline.positive_rate = n / (double)p->e->rows.n;
}

static enum err_code metrics(struct profile *p, struct arena *a, struct err *err)
{
    struct eval *e = p->e;
    struct json *o = json_obj(a);
    enum err_code rc = ERR_OK;
    if (!e->rows.label)
        return ERR_OK;
    for (size_t k = 0; rc == ERR_OK && k < e->spec.n_metrics; k++) {
        struct eval_pair pair = {e->spec.metrics[k], p->m, NULL, e->benchmark_rows,
                                 e->spec.confidence};
        struct interval i;
        rc = eval_interval(e, &pair, &i, err);
        struct json *m = json_obj(a);
        json_set(a, m, "value", json_num(a, i.value_a));
        json_set(a, m, "low", json_num(a, i.low));
        json_set(a, m, "high", json_num(a, i.high));
        json_set(a, m, "n", json_int(a, (int64_t)e->benchmark_rows.n));
        json_set(a, o, METRIC_NAMES[e->spec.metrics[k]], m);
    }
    p->baseline.metrics = o;
    return rc;
}

/* ---- files ---- */

static enum err_code write_json(const char *dir, const char *name, const struct json *v,
                                struct arena *a, struct err *err)
{
    struct buf text;
    char *path = path_join(a, dir, name);
    if (!path)
        return arena_err(a, err);
    buf_init(&text, (size_t)1 << 30);
    enum err_code rc = json_write(v, JSON_COMPACT, &text, err);
    if (rc == ERR_OK)
        rc = file_write(path, buf_view(&text), 0644, err);
    buf_fini(&text);
    return rc == ERR_OK ? ERR_OK : err_wrap(err, "%s", name);
}

static enum err_code write_all(struct profile *p, int64_t regression_rows, struct arena *a,
                               struct json *files, struct err *err)
{
    struct eval *e = p->e;
    struct json *regression = NULL;
    char *dir = path_join(a, p->m->dir, "pawl");
    enum err_code rc = dir ? dir_make(dir, 0755, err) : arena_err(a, err);
    if (rc == ERR_OK)
        rc = write_json(dir, "baseline.json", baseline_json(&p->baseline, a), a, err);
    json_add(a, files, json_cstr(a, "pawl/baseline.json"));
    if (rc == ERR_OK && e->rows.label && e->spec.task == TASK_BINARY) {
        struct calibration c;
        rc = calibration_fit(p->m->score, e->rows.label, e->rows.n, a, &c, err);
        if (rc == ERR_OK)
            rc = write_json(dir, "calibration.json", calibration_json(&c, a), a, err);
        json_add(a, files, json_cstr(a, "pawl/calibration.json"));
    }
    if (rc == ERR_OK)
        rc = eval_regression(e, p->m, regression_rows, &regression, err);
    if (rc == ERR_OK)
        rc = write_json(dir, "regression.json", regression, a, err);
    json_add(a, files, json_cstr(a, "pawl/regression.json"));
    return rc;
}

/* Reference rows through the plan only: their scores are not needed. */
static enum err_code load_reference(struct profile *p, const struct json *args, struct err *err)
{
    struct eval *e = p->e;
    struct column *row_features = NULL;
    const char *split = json_get_c(args, "reference"), *path = json_get_c(args, "dataset");
    p->ref_name = split ? split : "train";
    p->ref = e->rows;
    p->ref_matrix = p->m->matrix;
    if (!e->rows.split) {
        p->ref_name = "upload";
        return ERR_OK;
    }
    struct buf tail;
    buf_init(&tail, 4096);
    buf_c(&tail, "WHERE __split = ");
    table_sql_text(&tail, str_c(p->ref_name));
    buf_c(&tail, " ORDER BY __time, __row");
    struct eval_rows ref;
    enum err_code rc = buf_ok(&tail, err);
    if (rc == ERR_OK)
        rc = eval_rows_load(e, path, tail.p, &ref, err);
    buf_fini(&tail);
    if (rc == ERR_OK && ref.n == 0)
        return ERR_OK; /* nothing was trained here: the held-out rows are the reference */
    if (rc == ERR_OK)
        rc = plan_run_chunk(p->m->plan, ref.cols, ref.n_cols, ref.n, &e->arena, &p->ref_matrix,
                            &row_features, err);
    if (rc == ERR_OK)
        p->ref = ref;
    return rc;
}

static struct json *importance_json(const struct profile *p, struct arena *a)
{
    struct json *o = json_obj(a);
    for (size_t i = 0; i < plan_n_inputs(p->m->plan); i++)
        json_set(a, o, plan_input(p->m->plan, i)->name, json_num(a, p->importance[i]));
    return o;
}

static void time_range(struct profile *p)
{
    p->baseline.from_us = p->baseline.to_us = AT_US_NONE;
    if (p->ref.time && p->ref.n > 0) {
        p->baseline.from_us = p->ref.time[0];
        p->baseline.to_us = p->ref.time[p->ref.n - 1];
    }
}

enum err_code eval_profile(struct eval *e, const struct json *args, struct json **ret,
                           struct err *err)
{
    struct arena *a = e->out;
    struct profile p = {.e = e, .m = &e->models[0]};
    struct json *files = json_arr(a), *o = json_obj(a);
    p.baseline.task = e->spec.task;
    enum err_code rc = importance(&p, json_get_int(args, "importance_rows", IMPORTANCE_ROWS), err);
    if (rc == ERR_OK)
        rc = load_reference(&p, args, err);
    if (rc == ERR_OK)
        rc = features(&p, a, err);
    if (rc == ERR_OK)
        rc = score_reference(&p, a, err);
    if (rc == ERR_OK)
        rc = metrics(&p, a, err);
    if (rc != ERR_OK)
        return rc;
    decisions(&p);
    time_range(&p);
    p.baseline.reference = p.ref_name;
    p.baseline.n_rows = p.ref.n;
    rc = write_all(&p, json_get_int(args, "regression_rows", 100), a, files, err);
    if (rc != ERR_OK)
        return rc;
    if (!isnan(p.m->threshold))
        json_set(a, o, "threshold", json_num(a, p.m->threshold));
    json_set(a, o, "importance", importance_json(&p, a));
    json_set(a, o, "rows", json_int(a, (int64_t)p.ref.n));
    json_set(a, o, "score_rows", json_int(a, (int64_t)e->rows.n));
    *ret = json_set(a, o, "files", files);
    return ERR_OK;
}
