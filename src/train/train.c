/* Decodes `train:`. Parameters that are ours (rounds, early_stopping, seed, sample, threads) are taken out of `params`, the
 * rest is the engine's and checked against the list of what XGBoost knows, so that `max_dept: 6` is found here and not
 * silently ignored by the library. */
#include "train/train.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/vec.h"

static const char *const TASK_NAMES[] = {"binary", "multiclass", "regression"};

/* What the library takes in 1.6 to 3.x for the boosters "gbtree" and "dart", and between which bounds. */
enum param_kind { PARAM_TEXT, PARAM_INT, PARAM_NUMBER, PARAM_ANY, PARAM_KIND_N };

static const struct xgb_param {
    const char *name;
    enum param_kind kind;
    double min, max;
} XGB_PARAMS[] = {
    {"alpha", PARAM_NUMBER, 0, 1e300},
    {"base_score", PARAM_NUMBER, -1e300, 1e300},
    {"booster", PARAM_TEXT, 0, 0},
    {"colsample_bylevel", PARAM_NUMBER, 0, 1},
    {"colsample_bynode", PARAM_NUMBER, 0, 1},
    {"colsample_bytree", PARAM_NUMBER, 0, 1},
    {"disable_default_eval_metric", PARAM_ANY, 0, 0},
    {"early_stopping", PARAM_ANY, 0, 0}, /* ours: checked where it is taken */
    {"eta", PARAM_NUMBER, 0, 1},
    {"eval_metric", PARAM_ANY, 0, 0},
    {"gamma", PARAM_NUMBER, 0, 1e300},
    {"grow_policy", PARAM_TEXT, 0, 0},
    {"huber_slope", PARAM_NUMBER, 0, 1e300},
    {"interaction_constraints", PARAM_ANY, 0, 0},
    {"lambda", PARAM_NUMBER, 0, 1e300},
    {"learning_rate", PARAM_NUMBER, 0, 1},
    {"max_bin", PARAM_INT, 2, 65536},
    {"max_cat_threshold", PARAM_INT, 1, 1e9},
    {"max_cat_to_onehot", PARAM_INT, 1, 1e9},
    {"max_delta_step", PARAM_NUMBER, 0, 1e300},
    {"max_depth", PARAM_INT, 0, 64},
    {"max_leaves", PARAM_INT, 0, 1e9},
    {"min_child_weight", PARAM_NUMBER, 0, 1e300},
    {"min_split_loss", PARAM_NUMBER, 0, 1e300},
    {"monotone_constraints", PARAM_ANY, 0, 0},
    {"normalize_type", PARAM_TEXT, 0, 0},
    {"num_parallel_tree", PARAM_INT, 1, 10000},
    {"objective", PARAM_TEXT, 0, 0},
    {"one_drop", PARAM_ANY, 0, 0},
    {"quantile_alpha", PARAM_ANY, 0, 0},
    {"rate_drop", PARAM_NUMBER, 0, 1},
    {"reg_alpha", PARAM_NUMBER, 0, 1e300},
    {"reg_lambda", PARAM_NUMBER, 0, 1e300},
    {"rounds", PARAM_ANY, 0, 0},
    {"sample", PARAM_ANY, 0, 0},
    {"sample_type", PARAM_TEXT, 0, 0},
    {"sampling_method", PARAM_TEXT, 0, 0},
    {"scale_pos_weight", PARAM_NUMBER, 0, 1e300},
    {"seed", PARAM_ANY, 0, 0},
    {"skip_drop", PARAM_NUMBER, 0, 1},
    {"subsample", PARAM_NUMBER, 0, 1},
    {"threads", PARAM_ANY, 0, 0},
    {"tree_method", PARAM_TEXT, 0, 0},
    {"tweedie_variance_power", PARAM_NUMBER, 1, 2},
};

const char *train_task_name(enum train_task t)
{
    CHECK(t < TRAIN_TASK_N);
    return TASK_NAMES[t];
}

/* `seed`, `sample` and the like may stand beside `params` or in it. */
static const struct cfg_node *own_param(const struct cfg_node *section, const char *name,
                                        struct cfg_problems *ps)
{
    const struct cfg_node *beside = cfg_get(section, name);
    const struct cfg_node *inside = cfg_get(cfg_get(section, "params"), name);
    if (beside != NULL && inside != NULL)
        cfg_error(ps, inside, "%s stands both in train and in train.params: keep one", name);
    return beside != NULL ? beside : inside;
}

static void decode_own(const struct cfg_node *section, struct train_spec *s,
                       struct cfg_problems *ps)
{
    int64_t threads = s->threads;
    (void)cfg_i64(own_param(section, "rounds", ps), "rounds", 1, TRAIN_ROUNDS_MAX, &s->rounds, ps);
    (void)cfg_i64(own_param(section, "early_stopping", ps), "early_stopping", 0, TRAIN_ROUNDS_MAX,
                  &s->early_stopping, ps);
    (void)cfg_i64(own_param(section, "seed", ps), "seed", 0, INT32_MAX, &s->seed, ps);
    (void)cfg_i64(own_param(section, "threads", ps), "threads", 1, TRAIN_THREADS_MAX, &threads, ps);
    s->threads = (int)threads;
    const struct cfg_node *sample = own_param(section, "sample", ps);
    if (cfg_ratio(sample, "sample", &s->sample, ps) && !(s->sample > 0 && s->sample <= 1)) {
        cfg_error(ps, sample, "sample is a share of the training rows: above 0, at most 100%%");
        s->sample = 1;
    }
}

static bool is_own(struct str key)
{
    static const char *const OWN[] = {"rounds", "early_stopping", "seed", "sample", "threads"};
    for (size_t i = 0; i < ARRAY_LEN(OWN); i++) {
        if (str_is(key, OWN[i]))
            return true;
    }
    return false;
}

/* Names and values of the library's parameters: it would ignore the one and stop at the other only in training. */
static void check_params(const struct cfg_node *params, struct cfg_problems *ps)
{
    const char *names[ARRAY_LEN(XGB_PARAMS)];
    for (size_t i = 0; i < ARRAY_LEN(XGB_PARAMS); i++)
        names[i] = XGB_PARAMS[i].name;
    (void)cfg_known_keys(params, names, ARRAY_LEN(names), ps);
    for (size_t i = 0; i < ARRAY_LEN(XGB_PARAMS); i++) {
        const struct xgb_param *p = &XGB_PARAMS[i];
        const struct cfg_node *n = cfg_get(params, p->name);
        struct str text;
        int64_t whole = 0;
        double number = 0;
        if (n == NULL)
            continue;
        if (p->kind == PARAM_INT)
            (void)cfg_i64(n, p->name, (int64_t)p->min, (int64_t)p->max, &whole, ps);
        else if (p->kind == PARAM_NUMBER)
            (void)cfg_f64(n, p->name, p->min, p->max, &number, ps);
        else if (p->kind == PARAM_TEXT)
            (void)cfg_str(n, p->name, &text, ps);
    }
}

static void decode_params(const struct cfg_node *params, struct arena *a, struct train_spec *s,
                          struct cfg_problems *ps)
{
    s->params = json_obj(a);
    if (params == NULL || !cfg_is_map(params, "params", ps))
        return;
    if (s->engine == TRAIN_XGBOOST)
        check_params(params, ps);
    for (size_t i = 0; i < params->n; i++) {
        if (s->engine == TRAIN_XGBOOST && is_own(params->keys[i]))
            continue;
        const char *key = str_dup(a, params->keys[i]);
        struct json *v = cfg_json(params->items[i], a);
        if (key != NULL)
            (void)json_set(a, s->params, key, v);
    }
}

static void decode_command(const struct cfg_node *section, struct arena *a, struct train_spec *s,
                           struct cfg_problems *ps)
{
    const struct cfg_node *run = cfg_get(section, "run");
    struct str *words = NULL;
    size_t n = 0;
    if (run->type == CFG_SCALAR) {
        s->shell = str_dup(a, run->text);
        if (str_trim(run->text).n == 0)
            cfg_error(ps, run, "run is empty: name the command that trains");
    } else if (cfg_str_list(run, "run", a, &words, &n, ps)) {
        const char **argv = ARENA_NEW_N(a, const char *, n + 1);
        for (size_t i = 0; argv != NULL && i < n; i++)
            argv[i] = str_dup(a, words[i]);
        s->argv = argv;
        if (n == 0)
            cfg_error(ps, run, "run is empty: name the command that trains");
    }
    if (cfg_str_list(cfg_get(section, "env"), "env", a, &words, &n, ps)) {
        const char **env = ARENA_NEW_N(a, const char *, n + 1);
        for (size_t i = 0; env != NULL && i < n; i++)
            env[i] = str_dup(a, words[i]);
        s->env = env;
        s->n_env = env != NULL ? n : 0;
    }
    int64_t timeout_us = 0;
    if (cfg_duration_us(cfg_get(section, "timeout"), "timeout", &timeout_us, ps))
        s->timeout_ms = timeout_us / US_PER_MS > 0 ? timeout_us / US_PER_MS : 1;
    (void)cfg_i64(cfg_get(section, "retries"), "retries", 0, 10, &s->retries, ps);
}

static void decode_engine(const struct cfg_node *section, struct train_spec *s,
                          struct cfg_problems *ps)
{
    static const char *const ENGINES[] = {"xgboost"};
    const struct cfg_node *engine = cfg_get(section, "engine");
    const struct cfg_node *run = cfg_get(section, "run");
    int which = 0;
    if (engine != NULL && run != NULL)
        cfg_error(
            ps, run,
            "train has both engine and run: keep one (the built-in trainer, or your command)");
    if (run != NULL) {
        s->engine = TRAIN_RUN;
    } else if (engine == NULL) {
        cfg_error(ps, section, "train needs engine: xgboost, or run: COMMAND");
    } else if (cfg_enum(engine, "engine", ENGINES, ARRAY_LEN(ENGINES), &which, ps)) {
        s->engine = TRAIN_XGBOOST;
    }
}

bool train_spec_decode(const struct cfg_node *section, const struct cfg_node *root, struct arena *a,
                       struct train_spec *ret, struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"engine", "run",    "params",  "rounds", "early_stopping",
                                       "seed",   "sample", "threads", "env",    "timeout",
                                       "retries"};
    size_t errors = ps->n_errors;
    struct train_spec s = {.engine = TRAIN_NONE,
                           .task = TRAIN_BINARY,
                           .rounds = 100,
                           .threads = 2,
                           .sample = 1,
                           .timeout_ms = TRAIN_TIMEOUT_MS_DEFAULT,
                           .node = section};
    int task = 0;
    s.params = json_obj(a);
    if (section == NULL) {
        *ret = s;
        return true;
    }
    if (cfg_enum(cfg_get(root, "task"), "task", TASK_NAMES, ARRAY_LEN(TASK_NAMES), &task, ps))
        s.task = (enum train_task)task;
    if (cfg_is_map(section, "train", ps)) {
        (void)cfg_known_keys(section, KEYS, ARRAY_LEN(KEYS), ps);
        decode_engine(section, &s, ps);
        decode_own(section, &s, ps);
        decode_params(cfg_get(section, "params"), a, &s, ps);
        if (s.engine == TRAIN_RUN)
            decode_command(section, a, &s, ps);
    }
    *ret = s;
    return ps->n_errors == errors;
}

struct json *train_spec_json(const struct train_spec *s, struct arena *a)
{
    struct json *d = json_obj(a);
    (void)json_set(a, d, "task", json_cstr(a, train_task_name(s->task)));
    (void)json_set(a, d, "params", s->params);
    (void)json_set(a, d, "seed", json_int(a, s->seed));
    if (s->engine == TRAIN_XGBOOST) {
        (void)json_set(a, d, "engine", json_cstr(a, "xgboost"));
        (void)json_set(a, d, "rounds", json_int(a, s->rounds));
        (void)json_set(a, d, "early_stopping", json_int(a, s->early_stopping));
        (void)json_set(a, d, "threads", json_int(a, s->threads));
        (void)json_set(a, d, "sample", json_num(a, s->sample));
    } else if (s->shell != NULL) {
        (void)json_set(a, d, "run", json_cstr(a, s->shell));
    } else if (s->argv != NULL) {
        struct json *argv = json_arr(a);
        for (size_t i = 0; s->argv[i] != NULL; i++)
            (void)json_add(a, argv, json_cstr(a, s->argv[i]));
        (void)json_set(a, d, "run", argv);
    }
    return d;
}

static struct json *param_text(const struct json *v, struct arena *a)
{
    if (v->type == JSON_STR)
        return json_str(a, v->u.s);
    struct buf out;
    buf_init(&out, 1 << 20);
    struct json *text = json_cstr(a, "?");
    if (json_write(v, JSON_CANONICAL, &out, NULL) == ERR_OK)
        text = json_str(a, buf_view(&out));
    buf_fini(&out);
    return text;
}

struct json *train_spec_params(const struct train_spec *s, struct arena *a)
{
    struct json *def = train_spec_json(s, a);
    struct json *ret = json_obj(a);
    for (size_t i = 0; i < json_len(def); i++) {
        const struct json_member *m = &def->u.obj.members[i];
        const char *key = str_dup(a, m->key);
        if (key != NULL && m->val != s->params)
            (void)json_set(a, ret, key, param_text(m->val, a));
    }
    for (size_t i = 0; i < json_len(s->params); i++) {
        const struct json_member *m = &s->params->u.obj.members[i];
        const char *key = str_dup(a, m->key);
        if (key != NULL)
            (void)json_set(a, ret, key, param_text(m->val, a));
    }
    return ret;
}
