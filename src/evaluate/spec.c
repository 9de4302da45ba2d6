/* Decoding the `evaluate` section; to JSON and back for the worker. */
#include "evaluate/spec.h"

#include <math.h>

static const char *const KEYS[] = {"metrics", "threshold",  "slices",
                                   "entity",  "confidence", "cases"};
static const char *const THRESHOLD_KEYS[] = {"maximize", "minimize", "false_positive",
                                             "false_negative", "split"};
static const char *const SPLITS[] = {"train", "validation", "test", "benchmark"};

static void default_metrics(struct evaluate_spec *s)
{
    static const enum metric_id BINARY[] = {METRIC_ROC_AUC, METRIC_NORMALIZED_LOG_LOSS,
                                            METRIC_CALIBRATION, METRIC_ECE};
    static const enum metric_id CLASSES[] = {METRIC_ACCURACY, METRIC_LOG_LOSS, METRIC_F1};
    static const enum metric_id REGRESSION[] = {METRIC_RMSE, METRIC_MAE, METRIC_R2,
                                                METRIC_MEAN_ERROR};
    const enum metric_id *from =
        s->task == TASK_BINARY ? BINARY : (s->task == TASK_MULTICLASS ? CLASSES : REGRESSION);
    s->n_metrics = s->task == TASK_MULTICLASS ? 3 : 4;
    for (size_t i = 0; i < s->n_metrics; i++)
        s->metrics[i] = from[i];
}

static bool decode_metric(const struct cfg_node *n, const char *what, enum metric_task task,
                          enum metric_id *ret, struct cfg_problems *ps)
{
    int i;
    if (!cfg_enum(n, what, METRIC_NAMES, METRIC_N, &i, ps))
        return false;
    if (!(metric_info((enum metric_id)i)->tasks & (1u << task))) {
        cfg_error(ps, n, "%s is not defined for the task %s", METRIC_NAMES[i],
                  metric_task_name(task));
        return false;
    }
    *ret = (enum metric_id)i;
    return true;
}

static void decode_metrics(const struct cfg_node *list, struct evaluate_spec *s,
                           struct cfg_problems *ps)
{
    s->n_metrics = 0;
    if (!list || !cfg_is_list(list, "metrics", ps))
        return;
    for (size_t i = 0; i < list->n && s->n_metrics < METRIC_N; i++)
        if (decode_metric(list->items[i], "a metric", s->task, &s->metrics[s->n_metrics], ps))
            s->n_metrics++;
}

static const char *decode_split(const struct cfg_node *n, const char *or_, struct cfg_problems *ps)
{
    int i;
    return n && cfg_enum(n, "split", SPLITS, 4, &i, ps) ? SPLITS[i] : or_;
}

/* { maximize: f1, split: validation } or { minimize: cost, false_positive: 5, false_negative: 1 } */
static void decode_best(const struct cfg_node *n, struct evaluate_spec *s, struct cfg_problems *ps)
{
    struct evaluate_threshold *t = &s->threshold;
    const struct cfg_node *max = cfg_get(n, "maximize"), *min = cfg_get(n, "minimize"),
                          *fp = cfg_get(n, "false_positive"), *fn = cfg_get(n, "false_negative");
    if ((max != NULL) == (min != NULL)) {
        cfg_error(ps, n,
                  "a threshold needs either maximize: f1 (or another metric of decisions) or "
                  "minimize: cost");
        return;
    }
    t->split = decode_split(cfg_get(n, "split"), "validation", ps);
    if (!decode_metric(max ? max : min, max ? "maximize" : "minimize", s->task, &t->metric, ps))
        return;
    bool is_cost = t->metric == METRIC_COST;
    if (!metric_info(t->metric)->needs_threshold || is_cost != (min != NULL))
        cfg_error(ps, max ? max : min,
                  "%s cannot be %s by a threshold: use maximize: f1, precision, recall or "
                  "accuracy, or minimize: cost",
                  METRIC_NAMES[t->metric], max ? "maximized" : "minimized");
    t->kind = is_cost ? THRESHOLD_COST : THRESHOLD_BEST;
    t->false_positive = t->false_negative = 1;
    if (fp)
        (void)cfg_f64(fp, "false_positive", 0, 1e12, &t->false_positive, ps);
    if (fn)
        (void)cfg_f64(fn, "false_negative", 0, 1e12, &t->false_negative, ps);
}

static void decode_threshold(const struct cfg_node *n, struct evaluate_spec *s,
                             struct cfg_problems *ps)
{
    s->threshold =
        (struct evaluate_threshold){.kind = THRESHOLD_FIXED, .value = 0.5, .split = "validation"};
    if (!n)
        return;
    if (s->task != TASK_BINARY)
        cfg_error(ps, n, "a threshold only makes sense for the task binary, not for %s",
                  metric_task_name(s->task));
    else if (n->type == CFG_SCALAR)
        (void)cfg_f64(n, "threshold", 0, 1, &s->threshold.value, ps);
    else if (cfg_is_map(n, "threshold", ps) &&
             cfg_known_keys(n, THRESHOLD_KEYS, sizeof(THRESHOLD_KEYS) / sizeof(THRESHOLD_KEYS[0]),
                            ps))
        decode_best(n, s, ps);
}

static void decode_slices(const struct cfg_node *n, struct arena *a, struct evaluate_spec *s,
                          struct cfg_problems *ps)
{
    struct str *texts = NULL;
    size_t n_texts = 0;
    if (!n || !cfg_str_list(n, "slices", a, &texts, &n_texts, ps))
        return;
    s->slices = ARENA_NEW_N(a, struct evaluate_slice, n_texts);
    for (size_t i = 0; s->slices && i < n_texts; i++)
        s->slices[s->n_slices++].text = texts[i];
}

void evaluate_spec_decode(const struct cfg_node *section, const struct cfg_node *root,
                          struct arena *a, struct evaluate_spec *ret, struct cfg_problems *ps)
{
    struct evaluate_spec s = {.task = TASK_BINARY, .confidence = 0.95};
    const struct cfg_node *task = cfg_get(root, "task");
    struct str text;
    if (task && cfg_str(task, "task", &text, ps) && !metric_task_from_name(text, &s.task))
        cfg_error(ps, task, "task must be binary, multiclass or regression, not \"%.*s\"",
                  STR_ARG(text));
    if (section && cfg_is_map(section, "evaluate", ps)) {
        (void)cfg_known_keys(section, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), ps);
        decode_metrics(cfg_get(section, "metrics"), &s, ps);
        decode_slices(cfg_get(section, "slices"), a, &s, ps);
        if (cfg_get(section, "entity"))
            (void)cfg_str_list(cfg_get(section, "entity"), "entity", a, &s.entity, &s.n_entity, ps);
        if (cfg_get(section, "confidence") &&
            cfg_ratio(cfg_get(section, "confidence"), "confidence", &s.confidence, ps) &&
            !(s.confidence >= 0.5 && s.confidence < 1))
            cfg_error(ps, cfg_get(section, "confidence"),
                      "confidence must lie between 50%% and 100%%");
        if (cfg_get(section, "cases") && cfg_str(cfg_get(section, "cases"), "cases", &text, ps))
            s.cases = str_dup(a, text);
    }
    decode_threshold(cfg_get(section, "threshold"), &s, ps);
    if (s.n_metrics == 0)
        default_metrics(&s);
    *ret = s;
}

/* ---- JSON ---- */

static struct json *threshold_json(const struct evaluate_threshold *t, struct arena *a)
{
    static const char *const KINDS[] = {"fixed", "best", "cost"};
    struct json *o = json_obj(a);
    json_set(a, o, "kind", json_cstr(a, KINDS[t->kind]));
    json_set(a, o, "value", json_num(a, t->value));
    json_set(a, o, "metric", json_cstr(a, METRIC_NAMES[t->metric]));
    json_set(a, o, "false_positive", json_num(a, t->false_positive));
    json_set(a, o, "false_negative", json_num(a, t->false_negative));
    return json_set(a, o, "split", json_cstr(a, t->split));
}

struct json *evaluate_spec_json(const struct evaluate_spec *s, struct arena *a)
{
    struct json *o = json_obj(a), *metrics = json_arr(a), *slices = json_arr(a),
                *entity = json_arr(a);
    for (size_t i = 0; i < s->n_metrics; i++)
        json_add(a, metrics, json_cstr(a, METRIC_NAMES[s->metrics[i]]));
    for (size_t i = 0; i < s->n_slices; i++)
        json_add(a, slices, json_str(a, s->slices[i].text));
    for (size_t i = 0; i < s->n_entity; i++)
        json_add(a, entity, json_str(a, s->entity[i]));
    json_set(a, o, "task", json_cstr(a, metric_task_name(s->task)));
    json_set(a, o, "metrics", metrics);
    json_set(a, o, "threshold", threshold_json(&s->threshold, a));
    json_set(a, o, "slices", slices);
    json_set(a, o, "entity", entity);
    json_set(a, o, "confidence", json_num(a, s->confidence));
    return json_set(a, o, "cases", s->cases ? json_cstr(a, s->cases) : NULL);
}

static enum err_code read_strings(const struct json *list, struct arena *a, struct str **ret,
                                  size_t *ret_n, struct err *err)
{
    size_t n = json_len(list);
    struct str *p = ARENA_NEW_N(a, struct str, n);
    if (!p)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++) {
        const struct json *v = json_at(list, i);
        if (!v || v->type != JSON_STR)
            return err_set(err, ERR_INVALID, "spec: item %zu of a list of texts is none", i);
        p[i] = v->u.s;
    }
    *ret = p;
    *ret_n = n;
    return ERR_OK;
}

static enum err_code read_threshold(const struct json *v, struct evaluate_threshold *t,
                                    struct err *err)
{
    struct str kind = json_get_str(v, "kind"), metric = json_get_str(v, "metric"),
               split = json_get_str(v, "split");
    *t = (struct evaluate_threshold){.kind = THRESHOLD_FIXED, .split = "validation"};
    if (str_is(kind, "best"))
        t->kind = THRESHOLD_BEST;
    else if (str_is(kind, "cost"))
        t->kind = THRESHOLD_COST;
    t->value = json_get_f64(v, "value", 0.5);
    t->false_positive = json_get_f64(v, "false_positive", 0);
    t->false_negative = json_get_f64(v, "false_negative", 0);
    for (size_t i = 0; i < 4; i++)
        if (str_is(split, SPLITS[i]))
            t->split = SPLITS[i];
    if (metric.p && !metric_from_name(metric, &t->metric))
        return err_set(err, ERR_INVALID, "spec/threshold/metric: \"%.*s\" is no metric",
                       STR_ARG(metric));
    return ERR_OK;
}

enum err_code evaluate_spec_read(const struct json *v, struct arena *a, struct evaluate_spec *ret,
                                 struct err *err)
{
    struct evaluate_spec s = {.confidence = json_get_f64(v, "confidence", 0.95),
                              .cases = json_get_c(v, "cases")};
    struct str *slices = NULL, *metrics = NULL;
    size_t n_metrics = 0;
    if (!metric_task_from_name(json_get_str(v, "task"), &s.task))
        return err_set(err, ERR_INVALID, "spec/task must be binary, multiclass or regression");
    enum err_code rc = read_threshold(json_get(v, "threshold"), &s.threshold, err);
    if (rc == ERR_OK)
        rc = read_strings(json_get(v, "slices"), a, &slices, &s.n_slices, err);
    if (rc == ERR_OK)
        rc = read_strings(json_get(v, "entity"), a, &s.entity, &s.n_entity, err);
    if (rc == ERR_OK)
        rc = read_strings(json_get(v, "metrics"), a, &metrics, &n_metrics, err);
    if (rc != ERR_OK)
        return rc;
    s.slices = ARENA_NEW_N(a, struct evaluate_slice, s.n_slices);
    if (!s.slices)
        return arena_err(a, err);
    for (size_t i = 0; i < s.n_slices; i++)
        s.slices[i].text = slices[i];
    for (size_t i = 0; i < n_metrics && s.n_metrics < METRIC_N; i++)
        if (!metric_from_name(metrics[i], &s.metrics[s.n_metrics++]))
            return err_set(err, ERR_INVALID, "spec/metrics: \"%.*s\" is no metric",
                           STR_ARG(metrics[i]));
    if (s.n_metrics == 0)
        default_metrics(&s);
    *ret = s;
    return ERR_OK;
}
