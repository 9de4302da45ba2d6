/* The `dataset` section: decoding, static checks. */
#include "features/dataset.h"

#include "base/check.h"
#include "base/clock.h"

static const char *const SPLIT_NAMES[DS_SPLIT_N] = {"train", "validation", "test", "benchmark"};
static const char *const BY_NAMES[SPLIT_BY_N] = {"time", "group", "none"};
static const char *const KEYS[] = {"rows",  "label",     "label_after", "features",
                                   "split", "benchmark", "sample",      "protected"};

#define LABEL_AFTER_MAX_US (INT64_C(3650) * US_PER_DAY)

const char *dataset_split_name(enum dataset_split s)
{
    CHECK((unsigned)s < DS_SPLIT_N);
    return SPLIT_NAMES[s];
}

static void text(const struct cfg_node *map, const char *key, struct str *ret,
                 struct cfg_problems *ps)
{
    const struct cfg_node *n = cfg_get(map, key);
    if (n)
        (void)cfg_str(n, key, ret, ps);
}

static void unknown_source(const struct cfg_node *at, struct str name,
                           const struct sources_spec *sources, struct arena *a,
                           struct cfg_problems *ps)
{
    const char **names = ARENA_NEW_N(a, const char *, sources->n);
    const char *near = NULL;
    for (size_t i = 0; names && i < sources->n; i++)
        names[i] = str_dup(a, sources->p[i].name);
    if (names)
        near = str_nearest(name, names, sources->n);
    cfg_error(ps, at, "there is no source '%.*s'%s%s%s", STR_ARG(name),
              near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void decode_rows(const struct cfg_node *n, const struct sources_spec *sources,
                        struct arena *a, struct dataset_spec *d, struct cfg_problems *ps)
{
    static const char *const ROWS_KEYS[] = {"sql", "time"};
    if (!n)
        return;
    if (n->type == CFG_MAP) {
        (void)cfg_known_keys(n, ROWS_KEYS, ARRAY_LEN(ROWS_KEYS), ps);
        if (cfg_require(n, "sql", ps))
            text(n, "sql", &d->rows_sql, ps);
        if (cfg_require(n, "time", ps))
            text(n, "time", &d->rows_time, ps);
        return;
    }
    if (!cfg_str(n, "rows", &d->rows, ps))
        return;
    const struct source_spec *s = sources_spec_find(sources, d->rows);
    if (!s)
        unknown_source(n, d->rows, sources, a, ps);
    else if (s->time.n == 0)
        cfg_error(ps, n,
                  "source %.*s has no `time:`; training rows need the time that they happened at",
                  STR_ARG(d->rows));
}

static void decode_label(const struct cfg_node *n, const struct sources_spec *sources,
                         struct arena *a, struct dataset_spec *d, struct cfg_problems *ps)
{
    static const char *const LABEL_KEYS[] = {"source", "key", "within"};
    const struct cfg_node *x;
    if (!n)
        return;
    if (n->type != CFG_MAP) {
        (void)cfg_str(n, "label", &d->label, ps);
        return;
    }
    (void)cfg_known_keys(n, LABEL_KEYS, ARRAY_LEN(LABEL_KEYS), ps);
    if ((x = cfg_require(n, "source", ps)) && cfg_str(x, "source", &d->label_source, ps)) {
        const struct source_spec *s = sources_spec_find(sources, d->label_source);
        if (!s)
            unknown_source(x, d->label_source, sources, a, ps);
        else if (s->time.n == 0)
            cfg_error(ps, x, "source %.*s needs `time:` to be a label", STR_ARG(d->label_source));
    }
    if ((x = cfg_require(n, "key", ps)))
        (void)cfg_str(x, "key", &d->label_key, ps);
    if ((x = cfg_require(n, "within", ps)) &&
        cfg_duration_us(x, "within", &d->label_within_us, ps) && d->label_within_us == 0)
        cfg_error(ps, x, "within: 0 leaves no time for the event");
}

static void unknown_view(const struct cfg_node *at, struct str name,
                         const struct features_spec *views, struct arena *a,
                         struct cfg_problems *ps)
{
    const char **names = ARENA_NEW_N(a, const char *, views->n);
    const char *near = NULL;
    for (size_t i = 0; names && i < views->n; i++)
        names[i] = str_dup(a, views->p[i].name);
    if (names)
        near = str_nearest(name, names, views->n);
    cfg_error(ps, at, "there is no view '%.*s'%s%s%s", STR_ARG(name),
              near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* Looked up by columns of the entities' own names unless `key:` says otherwise. */
static void keys_default(const struct view_spec *v, struct arena *a, struct dataset_feature *f)
{
    f->entity = ARENA_NEW_N(a, struct str, v->n_entity);
    f->from = ARENA_NEW_N(a, struct str, v->n_entity);
    if (!f->entity || !f->from)
        return;
    for (f->n_keys = 0; f->n_keys < v->n_entity; f->n_keys++)
        f->entity[f->n_keys] = f->from[f->n_keys] = v->entity[f->n_keys];
}

static void of_view(const struct view_spec *v, struct arena *a, struct dataset_feature *f)
{
    f->view = v->name;
    f->as = v->name;
    f->kind = v->kind == VIEW_ROW ? DATASET_ROW_VIEW : DATASET_VIEW;
    if (v->kind == VIEW_BATCH)
        keys_default(v, a, f);
}

static void decode_scalar(const struct cfg_node *n, const struct features_spec *views,
                          struct arena *a, struct dataset_feature *f, struct cfg_problems *ps)
{
    struct str s = {0};
    if (!cfg_str(n, "a feature", &s, ps))
        return;
    ptrdiff_t dot = str_find(s, STR("."));
    struct str head = dot >= 0 ? str_n(s.p, (size_t)dot) : s;
    const struct view_spec *v = features_spec_find(views, head);
    if (v) {
        of_view(v, a, f);
        f->column = dot >= 0 ? str_n(s.p + dot + 1, s.n - (size_t)dot - 1) : STR("");
        if (str_is(f->column, "*"))
            f->column = STR("");
        return;
    }
    if (dot >= 0)
        unknown_view(n, head, views, a, ps);
    f->kind = DATASET_COLUMN;
    f->column = s;
}

static void decode_keys(const struct cfg_node *key, const struct view_spec *v,
                        struct dataset_feature *f, struct cfg_problems *ps)
{
    if (!cfg_is_map(key, "key", ps))
        return;
    for (size_t i = 0; i < key->n; i++) {
        size_t e = 0;
        while (e < f->n_keys && !str_eq(f->entity[e], key->keys[i]))
            e++;
        if (e == f->n_keys)
            cfg_error(ps, key->key_nodes[i], "view %.*s has no entity '%.*s'", STR_ARG(v->name),
                      STR_ARG(key->keys[i]));
        else
            (void)cfg_str(key->items[i], "a column", &f->from[e], ps);
    }
}

static void decode_feature(const struct cfg_node *n, const struct features_spec *views,
                           struct arena *a, struct dataset_feature *f, struct cfg_problems *ps)
{
    static const char *const FEATURE_KEYS[] = {"view", "key", "columns", "as"};
    const struct cfg_node *x;
    struct str name = {0};
    f->node = n;
    if (n->type != CFG_MAP) {
        decode_scalar(n, views, a, f, ps);
        return;
    }
    (void)cfg_known_keys(n, FEATURE_KEYS, ARRAY_LEN(FEATURE_KEYS), ps);
    if (!(x = cfg_require(n, "view", ps)) || !cfg_str(x, "view", &name, ps))
        return;
    const struct view_spec *v = features_spec_find(views, name);
    if (!v) {
        unknown_view(x, name, views, a, ps);
        return;
    }
    of_view(v, a, f);
    text(n, "as", &f->as, ps);
    if ((x = cfg_get(n, "key")))
        decode_keys(x, v, f, ps);
    if ((x = cfg_get(n, "columns")))
        (void)cfg_str_list(x, "columns", a, &f->columns, &f->n_columns, ps);
}

static void decode_split(const struct cfg_node *n, struct dataset_spec *d, struct cfg_problems *ps)
{
    static const char *const TIME_KEYS[] = {"by", "train", "validation", "test"};
    static const char *const GROUP_KEYS[] = {"by", "group", "validation", "test"};
    const struct cfg_node *x;
    int by = SPLIT_TIME;
    d->train_us = -1;
    d->split_by = SPLIT_NONE;
    if (!n || !cfg_is_map(n, "split", ps))
        return;
    if ((x = cfg_get(n, "by")))
        (void)cfg_enum(x, "by", BY_NAMES, SPLIT_BY_N, &by, ps);
    d->split_by = (enum split_by)by;
    if (d->split_by == SPLIT_GROUP) {
        (void)cfg_known_keys(n, GROUP_KEYS, ARRAY_LEN(GROUP_KEYS), ps);
        if (cfg_require(n, "group", ps))
            text(n, "group", &d->group, ps);
        if ((x = cfg_get(n, "validation")))
            (void)cfg_ratio(x, "validation", &d->validation_share, ps);
        if ((x = cfg_get(n, "test")))
            (void)cfg_ratio(x, "test", &d->test_share, ps);
        if (d->validation_share + d->test_share >= 1)
            cfg_error(ps, n, "validation and test leave nothing to train on");
        return;
    }
    (void)cfg_known_keys(n, TIME_KEYS, ARRAY_LEN(TIME_KEYS), ps);
    if ((x = cfg_get(n, "train")))
        (void)cfg_duration_us(x, "train", &d->train_us, ps);
    if ((x = cfg_get(n, "validation")))
        (void)cfg_duration_us(x, "validation", &d->validation_us, ps);
    if ((x = cfg_get(n, "test")))
        (void)cfg_duration_us(x, "test", &d->test_us, ps);
}

static void decode_benchmark(const struct cfg_node *n, struct dataset_spec *d,
                             struct cfg_problems *ps)
{
    static const char *const BENCHMARK_KEYS[] = {"hold_out", "by", "seed", "refresh"};
    static const char *const BENCHMARK_BY[] = {"day"};
    const struct cfg_node *x;
    int by = 0;
    if (!n || !cfg_is_map(n, "benchmark", ps))
        return;
    (void)cfg_known_keys(n, BENCHMARK_KEYS, ARRAY_LEN(BENCHMARK_KEYS), ps);
    if ((x = cfg_require(n, "hold_out", ps)) && cfg_ratio(x, "hold_out", &d->hold_out, ps) &&
        (d->hold_out < 0 || d->hold_out > 0.5))
        cfg_error(ps, x, "hold_out is a share between 0 and 50 %%");
    if ((x = cfg_get(n, "by")))
        (void)cfg_enum(x, "by", BENCHMARK_BY, 1, &by, ps);
    if ((x = cfg_get(n, "seed")))
        (void)cfg_i64(x, "seed", INT64_MIN, INT64_MAX, &d->benchmark_seed, ps);
    if ((x = cfg_get(n, "refresh")))
        (void)cfg_duration_us(x, "refresh", &d->refresh_us, ps);
}

static void sample_share(const struct cfg_node *n, double *ret, struct cfg_problems *ps)
{
    double share = 1;
    if (!cfg_ratio(n, "sample", &share, ps))
        return;
    if (share <= 0 || share > 1)
        cfg_error(ps, n, "a sample is a share above 0 and at most 100 %%");
    else
        *ret = share;
}

static void decode_sample(const struct cfg_node *n, struct dataset_spec *d, struct cfg_problems *ps)
{
    for (int s = 0; s < DS_SPLIT_N; s++)
        d->sample[s] = 1;
    if (!n)
        return;
    if (n->type != CFG_MAP) {
        sample_share(n, &d->sample[0], ps);
        for (int s = 1; s < DS_SPLIT_N; s++)
            d->sample[s] = d->sample[0];
        return;
    }
    (void)cfg_known_keys(n, SPLIT_NAMES, DS_SPLIT_N, ps);
    for (int s = 0; s < DS_SPLIT_N; s++)
        if (cfg_get(n, SPLIT_NAMES[s]))
            sample_share(cfg_get(n, SPLIT_NAMES[s]), &d->sample[s], ps);
}

static void decode_protected(const struct cfg_node *n, const struct sources_spec *sources,
                             struct arena *a, struct dataset_spec *d, struct cfg_problems *ps)
{
    static const char *const PROTECTED_KEYS[] = {"source", "key"};
    if (!n || !cfg_is_map(n, "protected", ps))
        return;
    for (size_t i = 0; i < n->n; i++) {
        const struct cfg_node *x;
        struct str name = {0};
        if (!cfg_is_map(n->items[i], "a protected column", ps))
            continue;
        (void)cfg_known_keys(n->items[i], PROTECTED_KEYS, ARRAY_LEN(PROTECTED_KEYS), ps);
        (void)cfg_require(n->items[i], "key", ps);
        x = cfg_require(n->items[i], "source", ps);
        if (x && cfg_str(x, "source", &name, ps) && !sources_spec_find(sources, name))
            unknown_source(x, name, sources, a, ps);
    }
    d->protected_spec = cfg_json(n, a);
}

/* Two look-ups under one name would overwrite each other's columns. */
static void check_names(const struct dataset_spec *d, struct cfg_problems *ps)
{
    for (size_t i = 0; i < d->n_features; i++)
        for (size_t k = 0; k < i; k++) {
            const struct dataset_feature *x = &d->features[i], *y = &d->features[k];
            if (x->kind != DATASET_VIEW || y->kind != DATASET_VIEW || !str_eq(x->as, y->as))
                continue;
            bool is_same = x->n_keys == y->n_keys && str_eq(x->view, y->view);
            for (size_t e = 0; is_same && e < x->n_keys; e++)
                is_same = str_eq(x->from[e], y->from[e]);
            if (!is_same)
                cfg_error(ps, x->node,
                          "'%.*s' is looked up by other keys above: give one of them a name with "
                          "`as:`",
                          STR_ARG(x->as));
        }
}

void dataset_spec_decode(const struct cfg_node *section, const struct sources_spec *sources,
                         const struct features_spec *views, struct arena *a,
                         struct dataset_spec *ret, struct cfg_problems *ps)
{
    const struct cfg_node *x;
    *ret = (struct dataset_spec){.node = section, .train_us = -1};
    decode_sample(NULL, ret, ps);
    if (!section || !cfg_is_map(section, "dataset", ps))
        return;
    (void)cfg_known_keys(section, KEYS, ARRAY_LEN(KEYS), ps);
    decode_rows(cfg_require(section, "rows", ps), sources, a, ret, ps);
    decode_label(cfg_get(section, "label"), sources, a, ret, ps);
    if ((x = cfg_get(section, "label_after")) &&
        cfg_duration_us(x, "label_after", &ret->label_after_us, ps) &&
        ret->label_after_us > LABEL_AFTER_MAX_US)
        cfg_error(ps, x, "label_after of more than ten years");
    decode_split(cfg_get(section, "split"), ret, ps);
    decode_benchmark(cfg_get(section, "benchmark"), ret, ps);
    decode_sample(cfg_get(section, "sample"), ret, ps);
    decode_protected(cfg_get(section, "protected"), sources, a, ret, ps);
    x = cfg_require(section, "features", ps);
    if (!x || !cfg_is_list(x, "features", ps))
        return;
    ret->features = ARENA_NEW_N(a, struct dataset_feature, x->n);
    if (!ret->features) {
        cfg_error(ps, x, "out of memory");
        return;
    }
    for (; ret->n_features < x->n; ret->n_features++)
        decode_feature(x->items[ret->n_features], views, a, &ret->features[ret->n_features], ps);
    check_names(ret, ps);
}
