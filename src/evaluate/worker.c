/* The worker's operations: arguments in, rows and models loaded, report or files out. */
#include "evaluate/worker.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "evaluate/eval_int.h"

#define RESAMPLES_MAX 100000
#define CALLS_MAX     1000000

static enum err_code eval_open(struct eval *e, const struct json *args, struct err *err)
{
    arena_init(&e->arena, EVAL_BYTES_MAX);
    e->seed = (uint64_t)json_get_int(args, "seed", 0);
    int64_t resamples = json_get_int(args, "resamples", INTERVAL_RESAMPLES);
    if (resamples < 1 || resamples > RESAMPLES_MAX ||
        json_get_int(args, "latency_calls", 0) > CALLS_MAX)
        return err_set(err, ERR_INVALID, "resamples must lie in 1..%d, latency_calls below %d",
                       RESAMPLES_MAX, CALLS_MAX);
    e->n_resamples = (size_t)resamples;
    enum err_code rc = evaluate_spec_read(json_get(args, "spec"), &e->arena, &e->spec, err);
    if (rc == ERR_OK)
        rc = table_open(&(struct table_options){0}, &e->table, err);
    return rc;
}

static void eval_close(struct eval *e)
{
    for (size_t i = 0; i < e->n_models; i++)
        eval_model_close(&e->models[i]);
    table_close(e->table);
    arena_fini(&e->arena);
}

/* Held-out rows with a label, in time order; a file without __split is taken whole. */
static enum err_code load_rows(struct eval *e, const char *path, struct eval_rows *ret,
                               struct err *err)
{
    struct table_column *cols = NULL;
    struct buf sql;
    size_t n = 0;
    bool is_dataset = false;
    buf_init(&sql, 1 << 20);
    buf_c(&sql, "SELECT * FROM ");
    buf_c(&sql, str_ends(str_c(path), STR(".csv")) ? "read_csv_auto(" : "read_parquet(");
    table_sql_text(&sql, str_c(path));
    buf_c(&sql, ")");
    enum err_code rc = buf_ok(&sql, err);
    if (rc == ERR_OK)
        rc = table_describe(e->table, buf_view(&sql), &e->arena, &cols, &n, err);
    buf_fini(&sql);
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        is_dataset = is_dataset || strcmp(cols[i].name, "__split") == 0;
    if (rc == ERR_OK)
        rc = eval_rows_load(
            e, path,
            is_dataset ? "WHERE __split <> 'train' AND __label IS NOT NULL ORDER BY __time, __row"
                       : "",
            ret, err);
    return rc == ERR_OK ? ERR_OK : err_wrap(err, "read %s", path);
}

static enum err_code choose_benchmark(struct eval *e, const char *wanted, struct err *err)
{
    static const char *const FALLBACK[] = {"benchmark", "test", "validation"};
    e->benchmark = wanted ? wanted : "benchmark";
    e->benchmark_rows = eval_split_rows(e, e->benchmark);
    for (size_t i = 0; i < 3 && e->benchmark_rows.n == 0; i++) {
        e->benchmark = FALLBACK[i];
        e->benchmark_rows = eval_split_rows(e, FALLBACK[i]);
    }
    if (e->benchmark_rows.n == 0)
        return err_set(
            err, ERR_EMPTY,
            "the data set has no labelled rows in validation, test or benchmark to evaluate on");
    return ERR_OK;
}

static size_t count_classes(const struct eval *e)
{
    double top = 1;
    for (size_t i = 0; e->rows.label && i < e->rows.n; i++)
        top = fmax(top, e->rows.label[i]);
    return (size_t)top + 1;
}

/* ---- baselines ---- */

/* The majority's answer: the mean label (shares of the classes) of rows outside the benchmark, everywhere. */
static void score_majority(const struct eval *e, struct eval_model *m)
{
    double sum[64] = {0}, n = 0;
    size_t k = m->n_outputs < 64 ? m->n_outputs : 64;
    for (int pass = 0; pass < 2 && n == 0; pass++) {
        for (size_t i = 0; i < e->rows.n; i++) {
            struct value split = e->rows.split ? column_value(e->rows.split, i) : (struct value){0};
            if (pass == 0 && split.type == VAL_STR && str_is(split.u.s, e->benchmark))
                continue;
            size_t c = k > 1 ? (size_t)e->rows.label[i] % k : 0;
            sum[c] += k > 1 ? 1.0 : e->rows.label[i];
            n += 1;
        }
    }
    for (size_t i = 0; i < e->rows.n; i++)
        for (size_t c = 0; c < k; c++)
            m->score[i * m->n_outputs + c] = sum[c] / n;
}

static enum err_code score_baseline(struct eval *e, struct eval_model *m, const struct json *doc,
                                    struct err *err)
{
    struct str predict = json_get_str(doc, "predict"), column = json_get_str(doc, "column");
    m->rows = e->rows;
    m->n_outputs = e->spec.task == TASK_MULTICLASS ? e->n_classes : 1;
    m->score = ARENA_NEW_N(&e->arena, double, e->rows.n * m->n_outputs);
    if (!m->score)
        return arena_err(&e->arena, err);
    if (column.n) {
        const struct column *c = eval_column(&e->rows, column);
        double *x = c && m->n_outputs == 1 ? eval_column_f64(c, &e->arena) : NULL;
        if (!x)
            return err_set(err, ERR_INVALID,
                           "baseline: \"%.*s\" is no column of numbers in the data set",
                           STR_ARG(column));
        for (size_t i = 0; i < e->rows.n; i++)
            m->score[i] = isnan(x[i]) ? 0 : x[i];
        return ERR_OK;
    }
    if (!str_is(predict, "majority"))
        return err_set(err, ERR_INVALID, "a baseline is {predict: majority} or {column: NAME}");
    score_majority(e, m);
    return ERR_OK;
}

/* ---- models ---- */

/* A model with a data set of its own must see the same rows. */
static enum err_code check_same_rows(const struct eval *e, const struct eval_rows *r,
                                     struct err *err)
{
    bool is_same = r->n == e->rows.n && r->ordinal && e->rows.ordinal;
    for (size_t i = 0; is_same && i < r->n; i++)
        is_same = r->ordinal[i] == e->rows.ordinal[i];
    return is_same ? ERR_OK
                   : err_set(err, ERR_INVALID,
                             "its data set holds other rows (%zu, the candidate's %zu)", r->n,
                             e->rows.n);
}

static enum err_code load_model(struct eval *e, struct eval_model *m, const struct json *doc,
                                struct err *err)
{
    const char *dataset = json_get_c(doc, "dataset");
    m->rows = e->rows;
    if (!m->dir)
        return score_baseline(e, m, doc, err);
    enum err_code rc = eval_model_open(e, m, err);
    if (rc == ERR_OK && dataset) {
        rc = load_rows(e, dataset, &m->rows, err);
        if (rc == ERR_OK)
            rc = check_same_rows(e, &m->rows, err);
    }
    if (rc == ERR_OK && e->spec.task == TASK_MULTICLASS && m->n_outputs != e->n_classes) {
        if (m != &e->models[0] || m->n_outputs < e->n_classes)
            rc = err_set(err, ERR_INVALID, "it has %zu classes, the labels %zu", m->n_outputs,
                         e->n_classes);
        else
            e->n_classes = m->n_outputs;
    }
    if (rc == ERR_OK && e->spec.task != TASK_MULTICLASS && m->n_outputs != 1)
        rc = err_set(err, ERR_INVALID, "it has %zu outputs, the task %s needs one", m->n_outputs,
                     metric_task_name(e->spec.task));
    return rc == ERR_OK ? eval_model_score(e, m, err) : rc;
}

/* The candidate must be there; another model that cannot be scored is reported, and what compares with it is undecided. */
static enum err_code load_models(struct eval *e, const struct json *list, struct err *err)
{
    if (json_len(list) == 0 || json_len(list) > EVAL_MODELS_MAX)
        return err_set(err, ERR_INVALID, "models: 1 to %d are evaluated together", EVAL_MODELS_MAX);
    for (size_t i = 0; i < json_len(list); i++) {
        const struct json *doc = json_at(list, i);
        struct eval_model *m = &e->models[e->n_models++];
        struct err why = ERR_INIT;
        m->name = i == 0 ? "candidate" : json_get_c(doc, "name");
        m->id = json_get_c(doc, "id");
        m->dir = json_get_c(doc, "dir");
        m->threshold = json_get_f64(doc, "threshold", NAN);
        m->threshold_how = "of the release";
        if (!m->name)
            return err_set(err, ERR_INVALID, "models/%zu: a name is missing", i);
        if (e->worker)
            worker_progress(e->worker, 0.2 * (double)i / (double)json_len(list), "scoring %s",
                            m->name);
        enum err_code rc = load_model(e, m, doc, &why);
        if (rc == ERR_OK)
            rc = eval_model_threshold(e, m, &why);
        if (rc != ERR_OK && i == 0)
            return err_set(err, rc, "%s", why.msg);
        if (rc != ERR_OK)
            m->error = str_dup(&e->arena, str_c(why.msg));
    }
    return ERR_OK;
}

enum err_code eval_run(struct worker *w, const struct json *args, struct arena *a,
                       struct json **ret, struct err *err)
{
    struct eval e = {.worker = w, .out = a};
    struct str dataset;
    enum err_code rc = json_need_str(args, "dataset", &dataset, err);
    if (rc != ERR_OK)
        return rc;
    rc = eval_open(&e, args, err);
    if (rc == ERR_OK)
        rc = load_rows(&e, dataset.p, &e.rows, err);
    if (rc == ERR_OK && !e.rows.label)
        rc = err_set(err, ERR_INVALID,
                     "%s has no column __label: it is no data set made for training", dataset.p);
    if (rc == ERR_OK)
        rc = choose_benchmark(&e, json_get_c(args, "benchmark"), err);
    if (rc == ERR_OK) {
        e.n_classes = count_classes(&e);
        rc = load_models(&e, json_get(args, "models"), err);
    }
    if (rc == ERR_OK)
        rc = eval_blocks(&e, err);
    if (rc == ERR_OK)
        rc = eval_report(&e, args, ret, err);
    eval_close(&e);
    return rc == ERR_OK ? ERR_OK : err_wrap(err, "evaluate");
}

/* An uploaded reference names its label column; times come from the plan's time field. */
static enum err_code adopt_upload(struct eval *e, const struct json *args, struct err *err)
{
    struct str label = json_get_str(args, "label");
    const struct column *c = label.n ? eval_column(&e->rows, label) : NULL;
    if (label.n && !c)
        return err_set(err, ERR_NOT_FOUND, "label: the file has no column \"%.*s\"",
                       STR_ARG(label));
    if (c)
        e->rows.label = eval_column_f64(c, &e->arena);
    ptrdiff_t slot = plan_time_slot(e->models[0].plan);
    const struct column *time =
        slot >= 0 ? eval_column(&e->rows, str_c(plan_slot(e->models[0].plan, (size_t)slot)->name))
                  : NULL;
    if (time && time->type == VAL_TIME && !time->valid)
        e->rows.time = time->u.i;
    return ERR_OK;
}

static enum err_code profile_load(struct eval *e, const struct json *args, const char *dataset,
                                  struct err *err)
{
    struct eval_model *m = &e->models[0];
    enum err_code rc = load_rows(e, dataset, &e->rows, err);
    if (rc == ERR_OK)
        rc = eval_model_open(e, m, err);
    if (rc == ERR_OK && !e->rows.split)
        rc = adopt_upload(e, args, err);
    if (rc == ERR_OK)
        rc = choose_benchmark(e, NULL, err);
    m->rows = e->rows;
    e->n_classes = count_classes(e);
    if (rc == ERR_OK)
        rc = eval_model_score(e, m, err);
    if (rc == ERR_OK && e->rows.label)
        rc = eval_model_threshold(e, m, err);
    if (rc == ERR_OK && isnan(m->threshold) && e->spec.task == TASK_BINARY)
        m->threshold = e->spec.threshold.value;
    return rc == ERR_OK ? eval_blocks(e, err) : rc;
}

enum err_code eval_profile_model(struct worker *w, const struct json *args, struct arena *a,
                                 struct json **ret, struct err *err)
{
    struct eval e = {.worker = w, .out = a};
    struct str dataset, dir;
    enum err_code rc = json_need_str(args, "dataset", &dataset, err);
    if (rc == ERR_OK)
        rc = json_need_str(args, "model", &dir, err);
    if (rc != ERR_OK)
        return rc;
    rc = eval_open(&e, args, err);
    e.models[e.n_models++] = (struct eval_model){.name = "candidate",
                                                 .dir = dir.p,
                                                 .threshold = json_get_f64(args, "threshold", NAN),
                                                 .threshold_how = "given"};
    if (rc == ERR_OK)
        rc = profile_load(&e, args, dataset.p, err);
    if (rc == ERR_OK)
        rc = eval_profile(&e, args, ret, err);
    eval_close(&e);
    return rc == ERR_OK ? ERR_OK : err_wrap(err, "profile of the model");
}

static enum err_code run(struct worker *w, const struct json *args, struct json **ret,
                         struct err *err)
{
    return eval_run(w, args, worker_arena(w), ret, err);
}

static enum err_code profile(struct worker *w, const struct json *args, struct json **ret,
                             struct err *err)
{
    return eval_profile_model(w, args, worker_arena(w), ret, err);
}

const struct worker_op EVALUATE_WORKER_OPS[] = {
    {"evaluate.run", run},
    {"evaluate.profile", profile},
};
const size_t N_EVALUATE_WORKER_OPS = ARRAY_LEN(EVALUATE_WORKER_OPS);
