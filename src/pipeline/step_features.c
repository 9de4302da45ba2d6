/* views (what they are), view.X (their rows), dataset, and what the data set may leak. */
#include "base/check.h"
#include "base/file.h"
#include "expr/expr.h"
#include "pipeline/pipe.h"
#include "validate/leakage.h"

/* ---- views: names, columns and versions; depends on schemas only ---- */

static struct json *schemas(struct pipe *p, struct arena *a)
{
    struct json *all = json_obj(a);
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        const char *name = str_dup(a, p->sources[i].spec->name);
        if (name != NULL && p->sources[i].is_ready)
            (void)json_set(a, all, name,
                           json_copy(a, json_get(p->sources[i].version.doc, "columns")));
    }
    return all;
}

static struct json *duckdb_version(const struct json *versions, struct arena *a)
{
    struct json *v = json_obj(a);
    (void)json_set(a, v, "duckdb", json_copy(a, json_get(versions, "duckdb")));
    return json_set(a, v, "expr", json_int(a, EXPR_VERSION));
}

static enum err_code views_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    const struct json *versions = NULL;
    struct json *def = json_arr(a);
    enum err_code code = pipe_versions(p, false, &versions, err);
    if (code != ERR_OK)
        return code;
    for (size_t i = 0; i < p->spec->features.n; i++)
        (void)json_add(a, def, view_spec_json(&p->spec->features.p[i], a));
    struct pipe_parts x = {
        .definition = def, .inputs = schemas(p, a), .versions = duckdb_version(versions, a)};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

static enum err_code views_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    struct json *bindings = NULL, *views = NULL, *out = json_obj(a);
    struct digest d;
    enum err_code code = pipe_bindings(p, STR_NONE, a, &bindings, err);
    if (code == ERR_OK)
        code = views_describe(&p->env, &p->spec->features, bindings, a, &views, err);
    if (code == ERR_OK)
        code = json_digest(views, "views", &d, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, out, "digest", json_hex(a, &d));
    *ret = json_set(a, out, "views", views);
    return ERR_OK;
}

const struct step_ops STEP_VIEWS = {"views", views_parts, views_run, NULL};

/* ---- view.X: its rows as a file ---- */

const struct json *pipe_view(const struct json *list, const char *name)
{
    for (size_t i = 0; i < json_len(list); i++) {
        const char *have = json_get_c(json_at(list, i), "name");
        if (have != NULL && name != NULL && strcmp(have, name) == 0)
            return json_at(list, i);
    }
    return NULL;
}

/* Digests of the sources that a view reads, through other views too. */
static void add_reads(struct pipe *p, const struct json *list, const char *view, int depth,
                      struct json *in, struct arena *a)
{
    const struct json *reads = json_get(pipe_view(list, view), "reads");
    for (size_t i = 0; i < json_len(reads) && depth < 32; i++) {
        const char *name =
            json_at(reads, i)->type == JSON_STR ? str_dup(a, json_at(reads, i)->u.s) : NULL;
        const struct pipe_source *src = name != NULL ? pipe_source(p, str_c(name)) : NULL;
        if (src != NULL && src->is_ready)
            (void)json_set(a, in, str_printf(a, "ingest.%s", name),
                           json_hex(a, &src->version.digest));
        else if (name != NULL)
            add_reads(p, list, name, depth + 1, in, a);
    }
}

/* What decides which rows of the sources are known: the as-of time, and when the label's source is. */
struct json *pipe_known_json(struct pipe *p, struct arena *a)
{
    struct json *v = json_obj(a);
    if (pipe_as_of_matters(p, p->spec->has_dataset ? p->spec->dataset.label_after_us : 0))
        (void)json_set(a, v, "as_of", json_time(a, p->as_of_us));
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        if (pipe_label_is_late(p, &p->spec->sources.p[i]))
            (void)json_set(a, v, "known_after_us", json_int(a, p->spec->dataset.label_after_us));
    }
    return v;
}

enum err_code pipe_view_parts(struct pipe *p, const struct json *list, struct str name,
                              struct arena *a, struct json **ret, struct err *err)
{
    struct json *in = json_obj(a);
    const char *text = str_dup(a, name);
    const struct json *view = pipe_view(list, text);
    if (view == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no view %.*s", STR_ARG(name));
    add_reads(p, list, text, 0, in, a);
    struct pipe_parts x = {.definition = json_copy(a, json_get(view, "version")),
                           .inputs = in,
                           .parameters = pipe_known_json(p, a)};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

static enum err_code view_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    const struct view_spec *v = s->spec;
    return pipe_view_parts(p, json_get(p->views->out, "views"), v->name, &s->arena, ret, err);
}

enum err_code pipe_view_build(struct pipe *p, struct step *s, const struct features_spec *views,
                              struct str name, struct json **ret, struct err *err)
{
    struct arena *a = &s->arena;
    struct json *bindings = NULL, *out = NULL;
    const char *blob = NULL;
    const char *path = str_printf(a, "%s/%s.%.*s.parquet", p->tmp, s->name, STR_ARG(name));
    if (path == NULL)
        return arena_err(a, err);
    enum err_code code = pipe_bindings(p, STR_NONE, a, &bindings, err);
    struct view_order o = {.views = views,
                           .bindings = bindings,
                           .name = name,
                           .as_of_us = p->as_of_us,
                           .out_path = path};
    if (code == ERR_OK)
        code = view_build(&p->env, &o, a, &out, err);
    if (code == ERR_OK)
        code = pipe_keep(p, s, path, &blob, err);
    if (code != ERR_OK)
        return code;
    json_remove(out, "path");
    json_remove(out, "duration_ms");
    *ret = json_set(a, out, "blob", json_cstr(a, blob));
    return ERR_OK;
}

static enum err_code view_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    const struct view_spec *v = s->spec;
    return pipe_view_build(p, s, &p->spec->features, v->name, ret, err);
}

const struct step_ops STEP_VIEW = {"view", view_parts, view_run, pipe_has_blobs};

/* ---- dataset ---- */

static void add_source(struct pipe *p, struct str name, struct json *in, struct arena *a)
{
    const struct pipe_source *src = name.n > 0 ? pipe_source(p, name) : NULL;
    if (src != NULL && src->is_ready)
        (void)json_set(a, in, str_printf(a, "ingest.%.*s", STR_ARG(name)),
                       json_hex(a, &src->version.digest));
}

/* Sources that the data set itself reads; SQL may read any. */
static void dataset_sources(struct pipe *p, const struct dataset_spec *d, struct json *in,
                            struct arena *a)
{
    add_source(p, d->rows, in, a);
    add_source(p, d->label_source, in, a);
    for (size_t i = 0; i < json_len(d->protected_spec); i++)
        add_source(p, json_get_str(d->protected_spec->u.obj.members[i].val, "source"), in, a);
    for (size_t i = 0; d->rows_sql.n > 0 && i < p->spec->sources.n; i++)
        add_source(p, p->spec->sources.p[i].name, in, a);
}

struct anchor {
    const char *project, *definition;
    int64_t now_us, refresh_us, until_us;
};

static enum err_code move_anchor(struct db_tx *tx, void *arg, struct err *err)
{
    struct anchor *x = arg;
    int64_t have = AT_US_NONE;
    enum err_code code =
        db_get_i64(tx, &have, err,
                   "SELECT until_us FROM benchmark_anchors WHERE project = ? AND definition = ?",
                   "ss", x->project, x->definition);
    if (code == ERR_NOT_FOUND) {
        err_reset(err);
        x->until_us = x->now_us;
        return db_exec(
            tx, err, "INSERT INTO benchmark_anchors (project, definition, until_us) VALUES (?,?,?)",
            "ssi", x->project, x->definition, x->now_us);
    }
    if (code != ERR_OK)
        return code;
    x->until_us = have;
    if (x->now_us < have + x->refresh_us)
        return ERR_OK;
    x->until_us = x->now_us;
    return db_exec(tx, err,
                   "UPDATE benchmark_anchors SET until_us = ? WHERE project = ? AND definition = ?",
                   "iss", x->now_us, x->project, x->definition);
}

/* The benchmark stays as it is until `refresh` has passed since it was set: gates compare on the same rows. The time is that
 * of the data (the as-of time, else the newest row), so that a rehearsal on old data sees what life saw. */
static enum err_code benchmark_until(struct pipe *p, struct step *s, int64_t *ret, struct err *err)
{
    const struct dataset_spec *d = &p->spec->dataset;
    const struct pipe_source *src = d->rows.n > 0 ? pipe_source(p, d->rows) : NULL;
    struct arena *a = &s->arena;
    struct digest digest;
    struct anchor x = {.project = p->spec->project.name, .refresh_us = d->refresh_us};
    int64_t newest = src != NULL && src->is_ready ? src->version.time_max_us : AT_US_NONE;
    *ret = AT_US_NONE;
    if (json_get(p->asked, "benchmark_until") != NULL) {
        *ret = json_get_time(p->asked, "benchmark_until");
        return ERR_OK;
    }
    if (d->hold_out <= 0 || d->refresh_us <= 0 || newest == AT_US_NONE)
        return ERR_OK;
    struct json *def = json_arr(a);
    (void)json_add(a, def, json_num(a, d->hold_out));
    (void)json_add(a, def, json_int(a, d->benchmark_seed));
    (void)json_add(a, def, json_str(a, d->rows));
    enum err_code code = json_digest(def, "benchmark", &digest, err);
    char hex[DIGEST_HEX_BYTES];
    digest_hex(&digest, hex);
    x.definition = hex;
    x.now_us = p->as_of_us != AT_US_NONE && p->as_of_us < newest ? p->as_of_us : newest;
    if (code == ERR_OK)
        code = db_write(p->host->db, move_anchor, &x, err);
    if (code == ERR_OK)
        *ret = x.until_us;
    return code;
}

static enum err_code dataset_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    const struct dataset_spec *d = &p->spec->dataset;
    const struct json *versions = NULL;
    struct json *in = pipe_inputs(s), *params = json_obj(a);
    int64_t until = AT_US_NONE;
    enum err_code code = pipe_versions(p, false, &versions, err);
    if (code == ERR_OK)
        code = benchmark_until(p, s, &until, err);
    if (code != ERR_OK)
        return code;
    dataset_sources(p, d, in, a);
    if (pipe_as_of_matters(p, d->label_after_us))
        (void)json_set(a, params, "as_of", json_time(a, p->as_of_us));
    (void)json_set(a, params, "benchmark_until", json_time(a, until));
    struct pipe_parts x = {.definition = dataset_spec_json(d, a),
                           .inputs = in,
                           .parameters = params,
                           .versions = duckdb_version(versions, a)};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

/* {"view": its output with the path of its file} of the views that were built as steps. */
static enum err_code view_files(struct pipe *p, struct step *s, struct json **ret, struct err *err)
{
    struct arena *a = &s->arena;
    struct json *files = json_obj(a);
    for (size_t i = 0; i < s->n_needs; i++) {
        const struct step *v = s->needs[i];
        const char *path = NULL;
        if (v->ops != &STEP_VIEW)
            continue;
        enum err_code code = pipe_blob_path(p, step_out(v, "blob"), a, &path, err);
        if (code != ERR_OK)
            return code;
        struct json *out = json_copy(a, v->out);
        (void)json_set(a, out, "path", json_cstr(a, path));
        (void)json_set(a, files, v->name + strlen("view."), out);
    }
    *ret = files;
    return ERR_OK;
}

enum err_code pipe_dataset_build(struct pipe *p, struct step *s, struct dataset_order *o,
                                 struct json **ret, struct err *err)
{
    struct arena *a = &s->arena;
    struct json *bindings = NULL, *out = NULL;
    const char *blob = NULL;
    o->out_path = pipe_tmp(p, s, ".dataset.parquet");
    if (o->out_path == NULL)
        return arena_err(a, err);
    enum err_code code = pipe_bindings(p, STR_NONE, a, &bindings, err);
    o->bindings = bindings;
    o->as_of_us = p->as_of_us;
    if (code == ERR_OK)
        code = dataset_build(&p->env, o, a, &out, err);
    if (code == ERR_OK)
        code = pipe_keep(p, s, o->out_path, &blob, err);
    if (code != ERR_OK)
        return code;
    json_remove(out, "path");
    json_remove(out, "duration_ms");
    *ret = json_set(a, out, "blob", json_cstr(a, blob));
    return ERR_OK;
}

static enum err_code dataset_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    struct json *files = NULL;
    const struct json *until = json_path(s->parts, "parameters.benchmark_until");
    enum err_code code = view_files(p, s, &files, err);
    if (code != ERR_OK)
        return code;
    struct dataset_order o = {.dataset = &p->spec->dataset,
                              .views = &p->spec->features,
                              .view_files = files,
                              .benchmark_until_us = AT_US_NONE};
    if (until != NULL)
        o.benchmark_until_us = json_get_time(json_get(s->parts, "parameters"), "benchmark_until");
    code = pipe_dataset_build(p, s, &o, ret, err);
    if (code == ERR_OK && until != NULL)
        (void)json_set(a, *ret, "benchmark_until", json_copy(a, until));
    return code;
}

const struct step_ops STEP_DATASET = {"dataset", dataset_parts, dataset_run, pipe_has_blobs};

/* ---- validate.dataset: leaks and splits ---- */

/* Columns that the model reads, by name, from the plan. */
static struct json *plan_columns(const struct json *plan, struct arena *a)
{
    struct json *names = json_arr(a);
    const struct json *request = json_get(plan, "request"), *lookups = json_get(plan, "lookups");
    for (size_t i = 0; i < json_len(request); i++)
        (void)json_add(a, names, json_copy(a, json_get(json_at(request, i), "name")));
    for (size_t i = 0; i < json_len(lookups); i++) {
        const char *view = json_get_c(json_at(lookups, i), "view");
        const struct json *columns = json_get(json_at(lookups, i), "columns");
        for (size_t k = 0; view != NULL && k < json_len(columns); k++)
            (void)json_add(a, names,
                           json_fmt(a, "%s.%s", view, json_get_c(json_at(columns, k), "name")));
    }
    return names;
}

static enum err_code leakage_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    struct json *plan = NULL, *def = json_obj(a);
    if (p->spec->has_train) {
        enum err_code code = pipe_plan(p, a, &plan, err);
        if (code != ERR_OK)
            return code;
    }
    (void)json_set(a, def, "features", plan_columns(plan, a));
    (void)json_set(a, def, "gap_us", json_int(a, p->spec->dataset.label_after_us));
    struct pipe_parts x = {.definition = def, .inputs = pipe_inputs(s)};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

static enum err_code leakage_verdict(const struct json *report, struct err *err)
{
    const struct json *checks = json_get(report, "checks");
    if (!str_is(json_get_str(report, "verdict"), "fail"))
        return ERR_OK;
    for (size_t i = 0; i < json_len(checks); i++) {
        const struct json *c = json_at(checks, i);
        struct str message = json_get_str(c, "message");
        if (str_is(json_get_str(c, "verdict"), "fail"))
            return err_set(err, ERR_NO, "%.*s", STR_ARG(message));
    }
    return err_set(err, ERR_NO, "the data set leaks");
}

static enum err_code leakage_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    struct json *report = NULL;
    const char *path = NULL;
    struct digest d;
    const struct json *names = json_path(s->parts, "definition.features");
    const char **features = ARENA_NEW_N(a, const char *, json_len(names) + 1);
    if (features == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < json_len(names); i++)
        features[i] = str_dup(a, json_at(names, i)->u.s);
    enum err_code code = pipe_blob_path(p, step_out(p->dataset, "blob"), a, &path, err);
    struct leakage_order o = {.dataset_path = path,
                              .features = features,
                              .n_features = json_len(names),
                              .gap_us = p->spec->dataset.label_after_us,
                              .limits = LEAKAGE_LIMITS_DEFAULT};
    if (code == ERR_OK)
        code = leakage_check_dataset(&p->env, &o, a, &report, err);
    if (code == ERR_OK)
        code = pipe_verdict_digest(report, "checks", &d, err);
    if (code != ERR_OK)
        return code;
    *ret = json_set(a, report, "digest", json_hex(a, &d));
    return leakage_verdict(report, err);
}

const struct step_ops STEP_LEAKAGE = {"leakage", leakage_parts, leakage_run, NULL};
