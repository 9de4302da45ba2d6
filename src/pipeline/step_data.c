/* ingest, validate, and the question whether a view knows the future. */
#include <stdio.h>

#include "base/check.h"
#include "pipeline/pipe.h"

/* ---- ingest: the source as a data version ---- */

/* Looking is the work here: the stat cache makes an unchanged source cost microseconds, so the key can hold the digest. */
static enum err_code ingest_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct pipe_source *src = &p->sources[(const struct pipe_source *)s->spec - p->sources];
    struct arena *a = &s->arena;
    struct str pin = STR_NONE;
    char name[256];
    (void)snprintf(name, sizeof name, "%.*s", STR_ARG(src->spec->name));
    if (p->pins != NULL)
        pin = json_get_str(p->pins, name);
    enum err_code code =
        pin.n > 0 ? data_version_load(&p->env, src->spec->name, pin, a, &src->version, err)
                  : data_snapshot(&p->env, src->spec, a, &src->version, NULL, err);
    if (code != ERR_OK)
        return code;
    src->is_ready = true;
    struct pipe_parts x = {
        .definition = source_spec_json(src->spec, a),
        .inputs = json_set(a, json_obj(a), "files", json_hex(a, &src->version.digest))};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

static enum err_code ingest_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    const struct pipe_source *src = &p->sources[(const struct pipe_source *)s->spec - p->sources];
    struct arena *a = &s->arena;
    struct json *out = json_obj(a);
    (void)json_set(a, out, "digest", json_hex(a, &src->version.digest));
    (void)json_set(a, out, "rows", json_int(a, src->version.n_rows));
    (void)json_set(a, out, "bytes", json_int(a, src->version.n_bytes));
    (void)json_set(a, out, "from", json_time(a, src->version.time_min_us));
    (void)json_set(a, out, "to", json_time(a, src->version.time_max_us));
    (void)json_set(a, out, "known_until", json_time(a, src->version.known_max_us));
    (void)json_set(a, out, "changes", json_copy(a, json_get(src->version.doc, "changes")));
    *ret = out;
    return ERR_OK;
}

const struct step_ops STEP_INGEST = {"ingest", ingest_parts, ingest_run, NULL};

/* ---- validate ---- */

/* Sources a set of checks looks at: its own, and those that `in: source.column` names. */
static struct json *check_inputs(struct pipe *p, const struct checks_of_source *c, struct arena *a)
{
    struct json *in = json_obj(a);
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        const struct pipe_source *src = &p->sources[i];
        const char *name = str_printf(a, "ingest.%.*s", STR_ARG(src->spec->name));
        bool is_needed = str_eq(src->spec->name, c->source);
        for (size_t k = 0; !is_needed && k < c->n; k++)
            is_needed = c->p[k].kind == CHECK_IN;
        if (name != NULL && is_needed && src->is_ready)
            (void)json_set(a, in, name, json_hex(a, &src->version.digest));
    }
    return in;
}

/* Freshness is a matter of the clock: its verdict, not the time, is what the key holds. */
static struct json *freshness(struct pipe *p, const struct checks_of_source *c, struct arena *a)
{
    const struct pipe_source *src = pipe_source(p, c->source);
    struct json *list = NULL;
    for (size_t k = 0; k < c->n; k++) {
        if (c->p[k].kind != CHECK_FRESHNESS)
            continue;
        int64_t limit = json_get_int(c->p[k].params, "limit_us", 0);
        bool is_stale =
            src->version.known_max_us == AT_US_NONE || p->at_us - src->version.known_max_us > limit;
        if (list == NULL)
            list = json_arr(a);
        (void)json_add(a, list, json_bool(a, is_stale));
    }
    return list;
}

static enum err_code validate_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    const struct checks_of_source *c = s->spec;
    const struct json *versions = NULL;
    struct arena *a = &s->arena;
    struct json *params = json_obj(a);
    enum err_code code = pipe_versions(p, false, &versions, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, params, "stale", freshness(p, c, a));
    if (pipe_as_of_matters(p, 0))
        (void)json_set(a, params, "as_of", json_time(a, p->as_of_us));
    struct pipe_parts x = {
        .definition = checks_json(c, a),
        .inputs = check_inputs(p, c, a),
        .parameters = params,
        .versions = json_set(a, json_obj(a), "duckdb", json_copy(a, json_get(versions, "duckdb")))};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

/* Documents that distribution checks compare with: the version before, and those named by digest. */
static enum err_code references(struct pipe *p, const struct checks_of_source *c, struct arena *a,
                                struct json **ret, struct err *err)
{
    const struct pipe_source *src = pipe_source(p, c->source);
    struct json *refs = json_obj(a);
    struct data_version v;
    struct str previous = json_get_str(src->version.doc, "previous");
    enum err_code code = ERR_OK;
    for (size_t k = 0; code == ERR_OK && k < c->n; k++) {
        struct str against = json_get_str(c->p[k].params, "against");
        bool is_previous = str_is(against, "previous");
        if (c->p[k].kind != CHECK_DISTRIBUTION || (is_previous && previous.n == 0))
            continue;
        code = data_version_load(&p->env, c->source, is_previous ? previous : against, a, &v, err);
        const char *key = is_previous ? "previous" : str_dup(a, against);
        if (code == ERR_OK && key != NULL)
            (void)json_set(a, refs, key, json_copy(a, v.doc));
    }
    *ret = refs;
    return code;
}

enum err_code pipe_verdict_digest(const struct json *report, const char *list, struct digest *ret,
                                  struct err *err)
{
    static const char *const KEYS[] = {"name", "view", "verdict", "failing"};
    struct arena a;
    arena_init(&a, (size_t)64 << 20);
    struct json *all = json_arr(&a);
    const struct json *rules = json_get(report, list);
    for (size_t i = 0; i < json_len(rules); i++) {
        struct json *r = json_obj(&a);
        for (size_t k = 0; k < ARRAY_LEN(KEYS); k++) {
            const struct json *v = json_get(json_at(rules, i), KEYS[k]);
            (void)json_set(&a, r, KEYS[k], v != NULL ? json_copy(&a, v) : NULL);
        }
        (void)json_add(&a, all, r);
    }
    enum err_code code = json_digest(all, "verdicts", ret, err);
    arena_fini(&a);
    return code;
}

static enum err_code blocked(const struct json *report, struct err *err)
{
    struct buf text;
    buf_init(&text, 64 << 10);
    checks_report_text(report, &text);
    struct str s = str_trim(buf_view(&text));
    size_t n = s.n < 1200 ? s.n : 1200;
    enum err_code code = err_set(err, ERR_NO, "%.*s", (int)n, s.p);
    buf_fini(&text);
    return code;
}

static enum err_code validate_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    const struct checks_of_source *c = s->spec;
    struct arena *a = &s->arena;
    struct json *bindings = NULL, *refs = NULL, *report = NULL;
    enum err_code code = pipe_bindings_known(p, c->source, a, &bindings, err);
    if (code == ERR_OK)
        code = references(p, c, a, &refs, err);
    struct checks_order o = {
        .checks = c, .bindings = bindings, .references = refs, .at_us = p->at_us};
    if (code == ERR_OK)
        code = checks_run(&p->env, &o, a, &report, err);
    if (code != ERR_OK)
        return code;
    struct digest d;
    code = pipe_verdict_digest(report, "rules", &d, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, report, "digest", json_hex(a, &d));
    *ret = report;
    return str_is(json_get_str(report, "verdict"), "fail") ? blocked(report, err) : ERR_OK;
}

const struct step_ops STEP_VALIDATE = {"validate", validate_parts, validate_run, NULL};

/* ---- validate.views: does a view know the future? ---- */

static enum err_code future_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    struct json *in = json_obj(a), *views = json_arr(a);
    const struct json *list = json_get(p->views->out, "views");
    (void)err;
    for (size_t i = 0; i < json_len(list); i++)
        (void)json_add(a, views, json_copy(a, json_get(json_at(list, i), "version")));
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        const char *name = str_printf(a, "ingest.%.*s", STR_ARG(p->sources[i].spec->name));
        if (name != NULL && p->sources[i].is_ready)
            (void)json_set(a, in, name, json_hex(a, &p->sources[i].version.digest));
    }
    struct pipe_parts x = {.definition = views, .inputs = in, .parameters = pipe_known_json(p, a)};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

static enum err_code future_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    struct json *bindings = NULL, *report = NULL;
    struct digest d;
    enum err_code code = pipe_bindings_known(p, STR_NONE, a, &bindings, err);
    if (code == ERR_OK)
        code = views_check_future(&p->env, &p->spec->features, bindings, a, &report, err);
    if (code == ERR_OK)
        code = pipe_verdict_digest(report, "views", &d, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, report, "digest", json_hex(a, &d));
    *ret = report;
    if (!str_is(json_get_str(report, "verdict"), "fail"))
        return ERR_OK;
    const struct json *views = json_get(report, "views");
    for (size_t i = 0; i < json_len(views); i++) {
        const struct json *v = json_at(views, i);
        struct str message = json_get_str(v, "message");
        if (str_is(json_get_str(v, "verdict"), "fail"))
            return err_set(err, ERR_NO, "%.*s", STR_ARG(message));
    }
    return err_set(err, ERR_NO, "a view knows the future");
}

const struct step_ops STEP_FUTURE = {"future", future_parts, future_run, NULL};
