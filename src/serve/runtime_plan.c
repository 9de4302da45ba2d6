/* The plan of a model: its own (pawl/plan.json), or for a model that came without one the plain plan, one field per input. */
#include <stdio.h>

#include "base/check.h"
#include "base/file.h"
#include "serve/runtime_int.h"

#define PLAN_BYTES_MAX (64u << 20)

static const char *input_name(const struct runtime *r, size_t i)
{
    const struct signature *s = engine_signature(r->engine);
    bool has_columns = s && s->n_inputs == engine_n_inputs(r->engine) && s->n_inputs > 0 &&
                       s->inputs[0].type != SIG_TENSOR;
    const char *name =
        has_columns && s->inputs[i].name ? s->inputs[i].name : engine_input_name(r->engine, i);
    return name;
}

static struct json *plain_plan(struct runtime *r)
{
    struct arena *a = &r->arena;
    struct json *doc = json_obj(a), *request = json_arr(a), *inputs = json_arr(a);
    for (size_t i = 0; i < engine_n_inputs(r->engine); i++) {
        const char *name = input_name(r, i);
        struct json *field = json_obj(a), *input = json_obj(a);
        char numbered[32];
        snprintf(numbered, sizeof numbered, "f%zu", i);
        name = name && *name ? name : numbered;
        json_set(a, field, "name", json_cstr(a, name));
        json_set(a, field, "type", json_cstr(a, "float"));
        json_add(a, request, json_set(a, field, "required", json_bool(a, true)));
        json_set(a, input, "name", json_cstr(a, name));
        json_set(a, input, "from", json_cstr(a, name));
        json_add(a, inputs, json_set(a, input, "kind", json_cstr(a, "number")));
    }
    json_set(a, doc, "format", json_int(a, PLAN_FORMAT));
    json_set(a, doc, "expr", json_int(a, 1));
    json_set(a, doc, "request", request);
    json_set(a, doc, "lookups", json_arr(a));
    json_set(a, doc, "row", json_arr(a));
    return json_set(a, doc, "inputs", inputs);
}

static enum err_code plan_check(const struct runtime *r, struct err *err)
{
    size_t n = plan_n_inputs(r->plan), m = engine_n_inputs(r->engine);
    if (n != m)
        return err_set(err, ERR_CORRUPT, "the plan makes rows of %zu values, the model takes %zu",
                       n, m);
    return ERR_OK;
}

enum err_code runtime_plan_open(struct runtime *r, struct err *err)
{
    char path[PATH_BYTES];
    struct str text;
    struct json *doc;
    snprintf(path, sizeof path, "%s/pawl/plan.json", r->dir);
    r->is_plain_plan = !file_exists(path);
    if (r->is_plain_plan) {
        doc = plain_plan(r);
    } else if (file_read(path, PLAN_BYTES_MAX, &r->arena, &text, err) != ERR_OK ||
               json_read(text, &r->arena, &doc, err) != ERR_OK) {
        return err_wrap(err, "pawl/plan.json");
    }
    if (plan_read(doc, &r->arena, &r->plan, err) != ERR_OK)
        return err_wrap(err, "pawl/plan.json");
    return plan_check(r, err);
}

/* ---- what a record of this release holds, by name ---- */

static const char **outputs_make(struct runtime *r)
{
    struct arena *a = &r->arena;
    const char **names = ARENA_NEW_N(a, const char *, r->n_outputs);
    const struct json *classes = json_path(r->doc, "serving.classes");
    for (size_t i = 0; names && i < r->n_outputs; i++) {
        const struct json *class_ = json_at(classes, i);
        names[i] = r->n_outputs == 1                    ? "predict"
                   : class_ && class_->type == JSON_STR ? class_->u.s.p
                                                        : str_printf(a, "class_%zu", i);
        if (!names[i])
            return NULL;
    }
    return names;
}

static struct record_field *fields_make(struct runtime *r, size_t n)
{
    struct record_field *f = ARENA_NEW_N(&r->arena, struct record_field, n);
    for (size_t i = 0; f && i < n; i++)
        f[i] = (struct record_field){plan_slot(r->plan, i)->name, plan_slot(r->plan, i)->type};
    return f;
}

static struct record_view *views_make(struct runtime *r, size_t n)
{
    struct record_view *v = ARENA_NEW_N(&r->arena, struct record_view, n);
    for (size_t i = 0; v && i < n; i++) {
        const struct plan_lookup *l = plan_lookup(r->plan, i);
        v[i] = (struct record_view){l->view, l->version, (uint32_t)l->first_slot,
                                    (uint32_t)l->n_columns};
    }
    return v;
}

static const char **inputs_make(struct runtime *r, size_t n)
{
    const char **names = ARENA_NEW_N(&r->arena, const char *, n);
    for (size_t i = 0; names && i < n; i++)
        names[i] = plan_input(r->plan, i)->name;
    return names;
}

enum err_code runtime_schema_make(struct runtime *r, struct err *err)
{
    struct record_schema s = {
        .release = r->release,
        .endpoint = json_get_c(r->doc, "endpoint") ? json_get_c(r->doc, "endpoint") : "",
        .n_fields = plan_n_settable(r->plan),
        .n_request = plan_n_request(r->plan),
        .n_views = plan_n_lookups(r->plan),
        .n_inputs = plan_n_inputs(r->plan),
        .n_outputs = r->n_outputs,
    };
    s.fields = fields_make(r, s.n_fields);
    s.views = views_make(r, s.n_views);
    s.inputs = inputs_make(r, s.n_inputs);
    s.outputs = outputs_make(r);
    if (!s.fields || !s.views || !s.inputs || !s.outputs)
        return arena_err(&r->arena, err);
    r->schema = s;
    return ERR_OK;
}
