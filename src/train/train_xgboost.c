/* One booster, one thread count, one seed: the same inputs give the same bytes. Early stopping is ours (the C interface has
 * none), and the model is cut to its best round, so that no reader needs to know an attribute for it. */
#include "train/train_xgboost.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"

static const struct {
    const char *task, *objective, *metrics[2];
} DEFAULTS[] = {
    {"binary", "binary:logistic", {"auc", "logloss"}},
    {"multiclass", "multi:softprob", {"merror", "mlogloss"}},
    {"regression", "reg:squarederror", {"mae", "rmse"}},
};

static enum err_code set_i64(struct xgb_model *m, const char *name, int64_t v, struct err *err)
{
    char text[NUM_TEXT_BYTES];
    (void)num_i64(text, v);
    return xgb_set(m, name, text, err);
}

/* A parameter as the library reads it: scalars as text, lists (monotone_constraints) as JSON. */
static enum err_code set_param(struct xgb_model *m, const char *name, const struct json *v,
                               struct err *err)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    enum err_code code = ERR_OK;
    if (v->type == JSON_STR)
        buf_str(&out, v->u.s);
    else if (v->type == JSON_BOOL)
        buf_ch(&out, v->u.b ? '1' : '0');
    else
        code = json_write(v, JSON_CANONICAL, &out, err);
    if (code == ERR_OK)
        code = buf_ok(&out, err);
    if (code == ERR_OK)
        buf_ch(&out, '\0');
    if (code == ERR_OK)
        code = xgb_set(m, name, out.p, err);
    buf_fini(&out);
    return code;
}

static enum err_code set_params(struct xgb_model *m, const struct json *params, struct err *err)
{
    char name[128];
    for (size_t i = 0; i < json_len(params); i++) {
        const struct json_member *p = &params->u.obj.members[i];
        enum err_code code = ERR_OK;
        (void)snprintf(name, sizeof name, "%.*s", STR_ARG(p->key));
        bool is_list = p->val->type == JSON_ARR && strcmp(name, "eval_metric") == 0;
        for (size_t k = 0; is_list && code == ERR_OK && k < json_len(p->val); k++)
            code = set_param(m, name, json_at(p->val, k), err);
        if (!is_list)
            code = set_param(m, name, p->val, err);
        if (code != ERR_OK)
            return err_wrap(err, "train.params.%s", name);
    }
    return ERR_OK;
}

static enum err_code set_defaults(struct xgb_model *m, const struct boost_order *o, struct err *err)
{
    enum err_code code = ERR_OK;
    size_t k = 0;
    while (k < ARRAY_LEN(DEFAULTS) && strcmp(DEFAULTS[k].task, o->task) != 0)
        k++;
    if (k == ARRAY_LEN(DEFAULTS))
        return err_set(err, ERR_UNSUPPORTED, "the built-in trainer has no task %s", o->task);
    code = xgb_set(m, "objective", DEFAULTS[k].objective, err);
    if (code == ERR_OK)
        code = xgb_set(m, "tree_method", "hist", err);
    for (size_t i = 0; code == ERR_OK && i < 2 && json_get(o->params, "eval_metric") == NULL; i++)
        code = xgb_set(m, "eval_metric", DEFAULTS[k].metrics[i], err);
    if (code == ERR_OK)
        code = set_i64(m, "seed", o->seed, err);
    if (code == ERR_OK)
        code = set_i64(m, "nthread", o->threads, err);
    if (code == ERR_OK && o->n_classes > 0)
        code = set_i64(m, "num_class", (int64_t)o->n_classes, err);
    if (code == ERR_OK)
        code = xgb_set(m, "verbosity", "0", err);
    return code;
}

/* "validation-auc", "validation-ndcg@5": is more better? */
static bool is_more_better(const char *key)
{
    static const char *const MORE[] = {"auc", "aucpr", "pre", "ndcg", "map"};
    const char *name = strrchr(key, '-');
    if (name == NULL)
        return false;
    size_t n = strcspn(++name, "@");
    for (size_t i = 0; i < ARRAY_LEN(MORE); i++) {
        if (strlen(MORE[i]) == n && memcmp(MORE[i], name, n) == 0)
            return true;
    }
    return false;
}

/* What early stopping keeps between rounds. */
struct stopper {
    double best;
    int64_t best_round;
};

static bool is_better(struct stopper *s, const struct xgb_metric *m, int64_t round)
{
    bool more = is_more_better(m->key);
    bool is = s->best_round < 0 || (more ? m->value > s->best : m->value < s->best);
    if (is) {
        s->best = m->value;
        s->best_round = round;
    }
    return is;
}

static enum err_code rounds(struct xgb_model *m, const struct boost_order *o,
                            const struct xgb_watch *w, struct boost_result *ret, struct err *err)
{
    struct xgb_metrics now;
    struct stopper stop = {.best = NAN, .best_round = -1};
    bool has_stop = w->n > 1 && o->early_stopping > 0;
    int64_t round = 0;
    for (; round < o->rounds; round++) {
        enum err_code code = xgb_round(m, round, w->matrices[0], err);
        if (code == ERR_OK)
            code = xgb_eval(m, round, w, &now, err);
        if (code == ERR_OK && o->on_round != NULL)
            code = o->on_round(o->arg, round, &now, err);
        if (code != ERR_OK)
            return code;
        if (!has_stop || now.n == 0 || is_better(&stop, &now.p[now.n - 1], round)) {
            ret->metrics = now;
        } else if (round - stop.best_round >= o->early_stopping) {
            round++;
            break;
        }
    }
    ret->rounds = round;
    ret->kept = has_stop && stop.best_round >= 0 ? stop.best_round + 1 : round;
    return ERR_OK;
}

enum err_code boost(const struct xgb *x, const struct boost_order *o, struct xgb_matrix *train,
                    struct xgb_matrix *validation, struct boost_result *ret, struct err *err)
{
    struct xgb_watch w = {.matrices = {train, validation},
                          .names = {"train", "validation"},
                          .n = validation != NULL ? 2 : 1};
    struct xgb_model *m = NULL;
    struct boost_result r = {0};
    enum err_code code = xgb_model_new(x, w.matrices, w.n, &m, err);
    if (code == ERR_OK)
        code = set_defaults(m, o, err);
    if (code == ERR_OK)
        code = set_params(m, o->params, err);
    if (code == ERR_OK)
        code = rounds(m, o, &w, &r, err);
    if (code == ERR_OK && r.kept < r.rounds)
        code = xgb_cut(m, r.kept, err);
    if (code == ERR_OK)
        code = xgb_name(m, o->features, o->n_features, err);
    if (code != ERR_OK) {
        xgb_model_free(m);
        return code;
    }
    r.model = m;
    *ret = r;
    return ERR_OK;
}
