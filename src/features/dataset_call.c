/* The data set as JSON for children, the calls of children, and what can be said of leakage without data. */
#include "features/dataset.h"

#include "expr/expr.h"

static void set_text(struct arena *a, struct json *obj, const char *key, struct str s)
{
    if (s.n > 0)
        json_set(a, obj, key, json_str(a, s));
}

static struct json *names_json(const struct str *p, size_t n, struct arena *a)
{
    struct json *list = json_arr(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, list, json_str(a, p[i]));
    return list;
}

static struct json *feature_json(const struct dataset_feature *f, struct arena *a)
{
    static const char *const KINDS[DATASET_FEATURE_KIND_N] = {"view", "row_view", "column"};
    struct json *j = json_obj(a);
    json_set(a, j, "kind", json_cstr(a, KINDS[f->kind]));
    set_text(a, j, "view", f->view);
    set_text(a, j, "as", f->as);
    set_text(a, j, "column", f->column);
    if (f->n_keys > 0) {
        json_set(a, j, "entity", names_json(f->entity, f->n_keys, a));
        json_set(a, j, "from", names_json(f->from, f->n_keys, a));
    }
    if (f->n_columns > 0)
        json_set(a, j, "columns", names_json(f->columns, f->n_columns, a));
    return j;
}

static struct json *split_json(const struct dataset_spec *d, struct arena *a)
{
    static const char *const BY[SPLIT_BY_N] = {"time", "group", "none"};
    struct json *j = json_obj(a);
    json_set(a, j, "by", json_cstr(a, BY[d->split_by]));
    set_text(a, j, "group", d->group);
    if (d->split_by == SPLIT_GROUP) {
        json_set(a, j, "validation_share", json_num(a, d->validation_share));
        json_set(a, j, "test_share", json_num(a, d->test_share));
    } else if (d->split_by == SPLIT_TIME) {
        json_set(a, j, "train_us", json_int(a, d->train_us));
        json_set(a, j, "validation_us", json_int(a, d->validation_us));
        json_set(a, j, "test_us", json_int(a, d->test_us));
    }
    return j;
}

struct json *dataset_spec_json(const struct dataset_spec *d, struct arena *a)
{
    struct json *j = json_obj(a), *features = json_arr(a), *sample = json_obj(a),
                *bench = json_obj(a);
    set_text(a, j, "rows", d->rows);
    set_text(a, j, "rows_sql", d->rows_sql);
    set_text(a, j, "rows_time", d->rows_time);
    set_text(a, j, "label", d->label);
    if (d->label_source.n > 0) {
        set_text(a, j, "label_source", d->label_source);
        set_text(a, j, "label_key", d->label_key);
        json_set(a, j, "label_within_us", json_int(a, d->label_within_us));
    }
    json_set(a, j, "label_after_us", json_int(a, d->label_after_us));
    for (size_t i = 0; i < d->n_features; i++)
        json_add(a, features, feature_json(&d->features[i], a));
    json_set(a, j, "features", features);
    json_set(a, j, "split", split_json(d, a));
    if (d->hold_out > 0) {
        json_set(a, bench, "hold_out", json_num(a, d->hold_out));
        json_set(a, bench, "seed", json_int(a, d->benchmark_seed));
        json_set(a, bench, "refresh_us", json_int(a, d->refresh_us));
        json_set(a, j, "benchmark", bench);
    }
    for (int s = 0; s < DS_SPLIT_N; s++)
        json_set(a, sample, dataset_split_name((enum dataset_split)s), json_num(a, d->sample[s]));
    json_set(a, j, "sample", sample);
    json_set(a, j, "protected", d->protected_spec);
    return j;
}

enum err_code dataset_build(const struct data_env *env, const struct dataset_order *o,
                            struct arena *a, struct json **ret, struct err *err)
{
    struct json *args = json_obj(a);
    json_set(a, args, "dataset", dataset_spec_json(o->dataset, a));
    json_set(a, args, "views", features_views_json(o->views, a));
    json_set(a, args, "bindings", json_copy(a, o->bindings));
    if (o->view_files)
        json_set(a, args, "view_files", json_copy(a, o->view_files));
    json_set(a, args, "as_of", json_time(a, o->as_of_us));
    json_set(a, args, "benchmark_until", json_time(a, o->benchmark_until_us));
    json_set(a, args, "out", json_cstr(a, o->out_path));
    return data_env_call(env, "features.dataset", args, a, ret, err);
}

enum err_code features_join(const struct data_env *env, const struct join_order *o, struct arena *a,
                            struct json **ret, struct err *err)
{
    struct json *args = json_obj(a);
    json_set(a, args, "views", features_views_json(o->views, a));
    json_set(a, args, "bindings", json_copy(a, o->bindings));
    json_set(a, args, "rows", json_cstr(a, o->rows_path));
    json_set(a, args, "time", json_str(a, o->time_column));
    json_set(a, args, "wanted", json_copy(a, o->wanted));
    if (o->keys)
        json_set(a, args, "keys", json_copy(a, o->keys));
    json_set(a, args, "out", json_cstr(a, o->out_path));
    return data_env_call(env, "features.join", args, a, ret, err);
}

enum err_code dataset_label_columns(const struct data_env *env, const struct dataset_spec *d,
                                    struct arena *a, struct json **ret, struct err *err)
{
    struct json *args = json_obj(a), *texts = json_arr(a), *one = json_obj(a), *lists = NULL;
    if (d->label.n == 0) {
        *ret = json_arr(a);
        return ERR_OK;
    }
    json_set(a, one, "text", json_str(a, d->label));
    json_set(a, one, "is_expression", json_bool(a, true));
    json_add(a, texts, one);
    json_set(a, args, "texts", texts);
    enum err_code code = data_env_call(env, "features.names", args, a, &lists, err);
    if (code != ERR_OK)
        return err_wrap(err, "dataset.label");
    *ret = json_len(lists) > 0 ? (struct json *)(uintptr_t)json_at(lists, 0) : json_arr(a);
    return ERR_OK;
}

/* ---- leakage that needs no data ---- */

static bool is_in(const struct json *names, struct str name)
{
    for (size_t i = 0; i < json_len(names); i++)
        if (json_at(names, i)->type == JSON_STR && str_eq(json_at(names, i)->u.s, name))
            return true;
    return false;
}

static void check_row_view(const struct view_spec *v, struct str only,
                           const struct json *label_columns, struct arena *a,
                           struct cfg_problems *ps)
{
    for (size_t i = 0; i < v->n_exprs; i++) {
        const char **names = NULL;
        size_t n = 0;
        struct err ignored =
            ERR_INIT; /* an expression that does not parse is reported by the plan */
        if (only.n > 0 && !str_eq(only, v->exprs[i].name))
            continue;
        if (expr_names(v->exprs[i].text, a, &names, &n, &ignored) != ERR_OK)
            continue;
        for (size_t k = 0; k < n; k++)
            if (is_in(label_columns, str_c(names[k])))
                cfg_error(ps, v->exprs[i].node,
                          "feature %.*s.%.*s reads '%s', which the label is made of: it is not "
                          "known when a "
                          "prediction is asked for",
                          STR_ARG(v->name), STR_ARG(v->exprs[i].name), names[k]);
    }
}

enum err_code dataset_check_static(const struct dataset_spec *d, const struct features_spec *views,
                                   const struct json *label_columns, struct arena *a,
                                   struct cfg_problems *ps, struct err *err)
{
    for (size_t i = 0; i < d->n_features; i++) {
        const struct dataset_feature *f = &d->features[i];
        if (f->kind == DATASET_COLUMN && is_in(label_columns, f->column))
            cfg_error(ps, f->node,
                      "feature '%.*s' is a column that the label is made of: it is not known when "
                      "a prediction "
                      "is asked for",
                      STR_ARG(f->column));
        for (size_t k = 0; f->kind == DATASET_VIEW && k < f->n_keys; k++)
            if (is_in(label_columns, f->from[k]))
                cfg_error(ps, f->node,
                          "view %.*s is looked up by '%.*s', which the label is made of",
                          STR_ARG(f->view), STR_ARG(f->from[k]));
        const struct view_spec *v =
            f->kind == DATASET_ROW_VIEW ? features_spec_find(views, f->view) : NULL;
        if (v)
            check_row_view(v, f->column, label_columns, a, ps);
    }
    return ERR_OK;
}
