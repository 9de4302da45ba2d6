/* The plan document of this project: E's decoded sections and the data set's columns, in the words of
 * features/plan_build.h. */
#include "base/check.h"
#include "features/plan_build.h"
#include "pipeline/pipe.h"

struct maker {
    struct pipe *p;
    const struct pipeline_spec *sp;
    struct arena *a;
    const struct json *columns; /* of the data set */
    const struct json *views;   /* as described */
};

static enum value_type type_of(const struct json *col)
{
    enum value_type t = VAL_NULL;
    (void)value_type_from_name(json_get_str(col, "type"), &t);
    return t;
}

static enum value_type column_type(const struct maker *m, struct str name)
{
    for (size_t i = 0; i < json_len(m->columns); i++) {
        if (str_eq(json_get_str(json_at(m->columns, i), "name"), name))
            return type_of(json_at(m->columns, i));
    }
    return VAL_NULL;
}

static bool is_protected(const struct maker *m, const char *name)
{
    for (size_t i = 0; i < json_len(m->sp->dataset.protected_spec); i++) {
        if (str_is(m->sp->dataset.protected_spec->u.obj.members[i].key, name))
            return true;
    }
    return false;
}

/* Columns a request has: not Pawl's own, not looked up, not protected. */
static struct expr_column *row_columns(const struct maker *m, size_t *ret_n)
{
    struct expr_column *out = ARENA_NEW_N(m->a, struct expr_column, json_len(m->columns) + 1);
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < json_len(m->columns); i++) {
        const char *name = json_get_c(json_at(m->columns, i), "name");
        if (name == NULL || strncmp(name, "__", 2) == 0 || strchr(name, '.') != NULL ||
            is_protected(m, name))
            continue;
        out[n++] = (struct expr_column){name, type_of(json_at(m->columns, i))};
    }
    *ret_n = n;
    return out;
}

static struct expr_column *described(const struct maker *m, const struct json *list, size_t *ret_n)
{
    struct expr_column *out = ARENA_NEW_N(m->a, struct expr_column, json_len(list) + 1);
    for (size_t i = 0; out != NULL && i < json_len(list); i++)
        out[i] =
            (struct expr_column){json_get_c(json_at(list, i), "name"), type_of(json_at(list, i))};
    *ret_n = out != NULL ? json_len(list) : 0;
    return out;
}

/* Keys have the type of the column they come from. */
static struct expr_column *entities(const struct maker *m, const struct view_spec *v)
{
    const struct dataset_spec *d = &m->sp->dataset;
    struct expr_column *out = ARENA_NEW_N(m->a, struct expr_column, v->n_entity + 1);
    for (size_t i = 0; out != NULL && i < v->n_entity; i++) {
        out[i].name = str_dup(m->a, v->entity[i]);
        for (size_t f = 0; f < d->n_features; f++) {
            const struct dataset_feature *x = &d->features[f];
            for (size_t k = 0; str_eq(x->view, v->name) && k < x->n_keys; k++) {
                if (str_eq(x->entity[k], v->entity[i]))
                    out[i].type = column_type(m, x->from[k]);
            }
        }
        if (out[i].type == VAL_NULL)
            out[i].type = column_type(m, v->entity[i]);
    }
    return out;
}

static const struct json *find_view(const struct json *list, struct str name)
{
    for (size_t i = 0; i < json_len(list); i++) {
        if (str_eq(json_get_str(json_at(list, i), "name"), name))
            return json_at(list, i);
    }
    return NULL;
}

/* One scalar stands for every column of the view. */
static const struct json *defaults(const struct maker *m, const struct view_spec *v,
                                   const struct json *columns)
{
    if (v->defaults == NULL || v->defaults->type == JSON_OBJ)
        return v->defaults;
    struct json *all = json_obj(m->a);
    for (size_t i = 0; i < json_len(columns); i++) {
        const char *name = json_get_c(json_at(columns, i), "name");
        if (name != NULL)
            (void)json_set(m->a, all, name, json_copy(m->a, v->defaults));
    }
    return all;
}

static enum err_code batch_view(const struct maker *m, const struct view_spec *v,
                                struct plan_view *ret, struct err *err)
{
    static const enum plan_on_stale STALE[] = {
        [VIEW_STALE_ERROR] = PLAN_STALE_ERROR,
        [VIEW_STALE_DEFAULT] = PLAN_STALE_DEFAULT,
        [VIEW_STALE_SERVE_LAST] = PLAN_STALE_SERVE_LAST,
    };
    const struct json *d = find_view(m->views, v->name);
    if (d == NULL)
        return err_set(err, ERR_INTERNAL, "view %.*s was not described", STR_ARG(v->name));
    ret->name = str_dup(m->a, v->name);
    ret->version = json_get_c(d, "version");
    ret->entities = entities(m, v);
    ret->n_entities = v->n_entity;
    ret->columns = described(m, json_get(d, "columns"), &ret->n_columns);
    ret->ttl_us = v->ttl_us < 0 ? 0 : v->ttl_us;
    ret->on_stale = STALE[v->on_stale];
    ret->defaults = defaults(m, v, json_get(d, "columns"));
    return ret->name != NULL && ret->columns != NULL ? ERR_OK : arena_err(m->a, err);
}

static enum err_code row_view(const struct maker *m, const struct view_spec *v,
                              struct plan_row_view *ret, struct err *err)
{
    const char **names = ARENA_NEW_N(m->a, const char *, v->n_exprs + 1);
    const char **exprs = ARENA_NEW_N(m->a, const char *, v->n_exprs + 1);
    if (names == NULL || exprs == NULL)
        return arena_err(m->a, err);
    for (size_t i = 0; i < v->n_exprs; i++) {
        names[i] = str_dup(m->a, v->exprs[i].name);
        exprs[i] = str_dup(m->a, v->exprs[i].text);
    }
    *ret = (struct plan_row_view){
        .name = str_dup(m->a, v->name), .names = names, .exprs = exprs, .n = v->n_exprs};
    return ERR_OK;
}

static enum err_code views(const struct maker *m, struct plan_spec *ret, struct err *err)
{
    const struct features_spec *f = &m->sp->features;
    struct plan_view *batch = ARENA_NEW_N(m->a, struct plan_view, f->n + 1);
    struct plan_row_view *row = ARENA_NEW_N(m->a, struct plan_row_view, f->n + 1);
    if (batch == NULL || row == NULL)
        return arena_err(m->a, err);
    for (size_t i = 0; i < f->n; i++) {
        bool is_batch = f->p[i].kind == VIEW_BATCH;
        enum err_code code = is_batch ? batch_view(m, &f->p[i], &batch[ret->n_views], err)
                                      : row_view(m, &f->p[i], &row[ret->n_row_views], err);
        if (code != ERR_OK)
            return code;
        ret->n_views += is_batch;
        ret->n_row_views += !is_batch;
    }
    ret->views = batch;
    ret->row_views = row;
    return ERR_OK;
}

static enum err_code ref(const struct maker *m, const struct dataset_feature *f,
                         struct plan_ref *ret, struct err *err)
{
    const char *view = str_dup(m->a, f->view), *column = str_dup(m->a, f->column);
    if (f->kind == DATASET_COLUMN)
        ret->text = column;
    else if (f->column.n > 0)
        ret->text = str_printf(m->a, "%s.%s", view, column);
    else
        ret->text = f->kind == DATASET_VIEW ? view : str_printf(m->a, "%s.*", view);
    if (f->n_keys > PLAN_KEYS_MAX)
        return err_set(err, ERR_LIMIT, "view %s is looked up by %zu keys: %d at most", view,
                       f->n_keys, PLAN_KEYS_MAX);
    for (size_t i = 0; i < f->n_keys; i++) {
        ret->keys[i].entity = str_dup(m->a, f->entity[i]);
        ret->keys[i].from = str_dup(m->a, f->from[i]);
    }
    ret->n_keys = f->n_keys;
    ret->prefix = f->as.n > 0 ? str_dup(m->a, f->as) : NULL;
    const char **columns = ARENA_NEW_N(m->a, const char *, f->n_columns + 1);
    for (size_t i = 0; columns != NULL && i < f->n_columns; i++)
        columns[i] = str_dup(m->a, f->columns[i]);
    if (f->n_columns > 0) {
        ret->columns = columns;
        ret->n_columns = f->n_columns;
    }
    return ret->text != NULL && columns != NULL ? ERR_OK : arena_err(m->a, err);
}

/* The column that carries a row's time. */
static const char *time_column(const struct maker *m)
{
    const struct dataset_spec *d = &m->sp->dataset;
    struct str name = d->rows_time;
    if (name.n == 0 && d->rows.n > 0) {
        const struct source_spec *s = sources_spec_find(&m->sp->sources, d->rows);
        name = s != NULL ? s->time : STR_NONE;
    }
    return name.n > 0 && column_type(m, name) != VAL_NULL ? str_dup(m->a, name) : NULL;
}

enum err_code pipe_plan(struct pipe *p, struct arena *a, struct json **ret, struct err *err)
{
    struct maker m = {.p = p, .sp = p->spec, .a = a};
    const struct dataset_spec *d = &p->spec->dataset;
    struct plan_spec spec = {0};
    m.columns = json_get(p->dataset->out, "columns");
    m.views = p->views != NULL ? json_get(p->views->out, "views") : NULL;
    spec.time = time_column(&m);
    spec.columns = row_columns(&m, &spec.n_columns);
    struct plan_ref *refs = ARENA_NEW_N(a, struct plan_ref, d->n_features + 1);
    if (refs == NULL || spec.columns == NULL)
        return arena_err(a, err);
    enum err_code code = views(&m, &spec, err);
    for (size_t i = 0; code == ERR_OK && i < d->n_features; i++)
        code = ref(&m, &d->features[i], &refs[i], err);
    spec.refs = refs;
    spec.n_refs = d->n_features;
    if (code == ERR_OK)
        code = plan_build(&spec, a, ret, err);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "the model's features");
}
