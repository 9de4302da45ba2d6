/* Intervals of metrics and paired differences: what gates read. */
#include <math.h>
#include <string.h>

#include "base/vec.h"
#include "evaluate/eval_int.h"
#include "evaluate/gate_int.h"

/* A partition of all rows, for some of them: block numbers made dense. */
static enum err_code dense_blocks(const struct interval_partition *all, const struct eval_subset *s,
                                  struct arena *a, struct interval_partition *ret, struct err *err)
{
    uint32_t *to = ARENA_NEW_N(a, uint32_t, all->n_blocks), *out = ARENA_NEW_N(a, uint32_t, s->n);
    uint32_t next = 0;
    if (!to || !out)
        return arena_err(a, err);
    for (size_t i = 0; i < s->n; i++) {
        uint32_t *id = &to[all->block[s->row[i]]]; /* 0: not seen */
        if (*id == 0)
            *id = ++next;
        out[i] = *id - 1;
    }
    *ret = (struct interval_partition){all->by, out, next};
    return ERR_OK;
}

static enum err_code set_blocks(struct eval *e, const struct eval_pair *p,
                                struct interval_input *in, struct err *err)
{
    const struct interval_partition all[] = {{"day", e->day, e->n_days},
                                             {"entity", e->entity, e->n_entities}};
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < 2; i++)
        if (all[i].block)
            rc = dense_blocks(&all[i], &p->rows, &e->arena, &in->by[in->n_by++], err);
    return rc;
}

enum err_code eval_interval(struct eval *e, const struct eval_pair *p, struct interval *ret,
                            struct err *err)
{
    struct arena *a = &e->arena;
    struct arena_mark mark = arena_mark(a);
    struct interval_input in = {.metric = p->metric,
                                .a = eval_metric_rows(e, p->a, &p->rows, a),
                                .n_resamples = e->n_resamples,
                                .seed = e->seed,
                                .confidence = p->confidence};
    enum err_code rc = in.a.n == p->rows.n ? ERR_OK : arena_err(a, err);
    if (rc == ERR_OK && p->b) {
        struct metric_rows other = eval_metric_rows(e, p->b, &p->rows, a);
        in.score_b = other.score;
        in.threshold_b = p->b->threshold;
        rc = other.n == p->rows.n ? ERR_OK : arena_err(a, err);
    }
    if (rc == ERR_OK)
        rc = set_blocks(e, p, &in, err);
    if (rc == ERR_OK)
        rc = interval_compute(&in, a, ret, err);
    arena_release(a, mark);
    return rc;
}

/* One thing to compare: each once, however many rules ask for it. */
struct wanted {
    enum metric_id metric;
    const char *against; /* NULL: the candidate alone */
    struct str slice;
    double confidence;
};

typedef VEC(struct wanted) wanted_vec;

static bool is_same(const struct wanted *x, const struct wanted *y)
{
    bool is_same_model =
        x->against && y->against ? strcmp(x->against, y->against) == 0 : x->against == y->against;
    return x->metric == y->metric && is_same_model && str_eq(x->slice, y->slice) &&
           x->confidence == y->confidence;
}

static enum err_code want(wanted_vec *v, const struct wanted *w, struct arena *a, struct err *err)
{
    for (size_t i = 0; i < v->n; i++)
        if (is_same(&v->p[i], w))
            return ERR_OK;
    struct wanted *to = VEC_ADD(a, v);
    if (!to)
        return arena_err(a, err);
    *to = *w;
    return ERR_OK;
}

static enum err_code want_rule(struct eval *e, wanted_vec *v, const struct gate_rule *r,
                               struct arena *a, struct err *err)
{
    struct wanted w = {r->metric, NULL, r->slice,
                       r->confidence > 0 ? r->confidence : GATE_CONFIDENCE};
    enum err_code rc = ERR_OK;
    if (r->kind == GATE_METRIC_BOUND || r->kind == GATE_METRIC_ACROSS)
        return r->confidence > 0 || r->slice.n ? want(v, &w, a, err) : ERR_OK;
    if (r->kind != GATE_METRIC_AGAINST)
        return ERR_OK;
    for (size_t i = 1; rc == ERR_OK && i < e->n_models; i++) {
        bool is_named = strcmp(e->models[i].name, "baseline") == 0;
        for (size_t k = 0; k < r->n_against; k++)
            is_named = is_named || strcmp(e->models[i].name, r->against[k]) == 0;
        w.against = e->models[i].name;
        if (is_named)
            rc = want(v, &w, a, err);
    }
    return rc;
}

static enum err_code collect(struct eval *e, const struct json *gates, wanted_vec *v,
                             struct arena *a, struct err *err)
{
    struct gate_rules rules = {0};
    enum err_code rc = gates ? gate_rules_read(gates, a, &rules, err) : ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < rules.n; i++)
        rc = want_rule(e, v, &rules.p[i], a, err);
    for (size_t i = 1; rc == ERR_OK && i < e->n_models; i++)
        for (size_t k = 0; rc == ERR_OK && k < e->spec.n_metrics; k++) {
            struct wanted w = {e->spec.metrics[k], e->models[i].name, STR_NONE, e->spec.confidence};
            rc = want(v, &w, a, err);
        }
    return rc;
}

static const struct eval_model *find_model(const struct eval *e, const char *name)
{
    for (size_t i = 0; i < e->n_models; i++)
        if (strcmp(e->models[i].name, name) == 0)
            return &e->models[i];
    return NULL;
}

static struct json *entry_json(const struct wanted *w, const char *value, const struct interval *i,
                               struct arena *a)
{
    struct json *o = interval_json(i, a);
    json_set(a, o, "metric", json_cstr(a, METRIC_NAMES[w->metric]));
    json_set(a, o, "candidate", json_num(a, i->value_a));
    if (w->against) {
        json_set(a, o, "against", json_cstr(a, w->against));
        json_set(a, o, "incumbent", json_num(a, i->value_b));
    }
    if (w->slice.n) {
        json_set(a, o, "slice", json_str(a, w->slice));
        json_set(a, o, "value", json_cstr(a, value));
    }
    return o;
}

static enum err_code compare_slices(struct eval *e, const struct wanted *w,
                                    const struct eval_model *b, struct json *list, struct err *err)
{
    const struct eval_slice *s = NULL;
    enum err_code rc = eval_slice_get(e, w->slice, &s, err);
    for (size_t v = 0; rc == ERR_OK && v < s->n_values; v++) {
        struct eval_pair p = {w->metric, &e->models[0], b, eval_slice_rows(s, v), w->confidence};
        struct interval i;
        if (p.rows.n == 0)
            continue;
        rc = eval_interval(e, &p, &i, err);
        if (rc == ERR_OK)
            json_add(e->out, list, entry_json(w, s->values[v], &i, e->out));
    }
    return rc;
}

static enum err_code compare(struct eval *e, const struct wanted *w, struct json *list,
                             struct err *err)
{
    const struct eval_model *b = w->against ? find_model(e, w->against) : NULL;
    struct eval_pair p = {w->metric, &e->models[0], b, e->benchmark_rows, w->confidence};
    struct interval i;
    if (w->against && (!b || b->error))
        return ERR_OK; /* the report says why; what compares with it is undecided */
    if (w->slice.n)
        return compare_slices(e, w, b, list, err);
    enum err_code rc = eval_interval(e, &p, &i, err);
    if (rc == ERR_OK)
        json_add(e->out, list, entry_json(w, NULL, &i, e->out));
    return rc;
}

enum err_code eval_comparisons(struct eval *e, const struct json *gates, struct json **ret,
                               struct err *err)
{
    wanted_vec v = {0};
    struct json *list = json_arr(e->out);
    enum err_code rc = collect(e, gates, &v, &e->arena, err);
    for (size_t i = 0; rc == ERR_OK && i < v.n; i++) {
        if (e->worker)
            worker_progress(e->worker, 0.5 + 0.5 * (double)i / (double)v.n, "comparing %s",
                            METRIC_NAMES[v.p[i].metric]);
        rc = compare(e, &v.p[i], list, err);
    }
    if (rc == ERR_OK)
        *ret = list;
    return rc;
}
