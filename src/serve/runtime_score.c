/* Scoring one row: request values -> plan -> engine -> decision. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "serve/runtime_int.h"

struct runtime_scratch *runtime_scratch_new(struct runtime *r)
{
    struct err ignored = ERR_INIT;
    struct runtime_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->r = r;
    s->plan = plan_scratch_new(r->plan);
    s->row = calloc(plan_n_inputs(r->plan) + 1, sizeof *s->row);
    s->scores = calloc(r->n_outputs + 1, sizeof *s->scores);
    s->engine = calloc(engine_scratch_floats(r->engine) + 1, sizeof *s->engine);
    bool has_store = r->online && plan_n_lookups(r->plan) > 0;
    if (!s->plan || !s->row || !s->scores || !s->engine ||
        (has_store && online_reader_new(r->online, &s->online, &ignored) != ERR_OK)) {
        runtime_scratch_free(s);
        return NULL;
    }
    return s;
}

void runtime_scratch_free(struct runtime_scratch *s)
{
    if (!s)
        return;
    online_reader_free(s->online);
    plan_scratch_free(s->plan);
    free(s->row);
    free(s->scores);
    free(s->engine);
    free(s);
}

struct runtime_scratch *runtime_slot_scratch(struct runtime *r, int slot)
{
    struct runtime_scratch *s = atomic_load_explicit(&r->scratches[slot], memory_order_relaxed);
    if (!s) {
        s = runtime_scratch_new(r);
        atomic_store_explicit(&r->scratches[slot], s, memory_order_release);
    }
    return s;
}

void runtime_begin(struct runtime_scratch *s)
{
    plan_begin(s->plan);
}

enum err_code runtime_set(struct runtime_scratch *s, size_t slot, const struct value *v,
                          struct err *err)
{
    static const struct value missing = {VAL_FLOAT, {.f = (double)NAN}};
    return plan_set(s->plan, slot, s->r->is_plain_plan && v->type == VAL_NULL ? &missing : v, err);
}

static double decide(const struct runtime *r, const float *scores)
{
    switch (engine_task(r->engine)) {
    case ENGINE_BINARY:
        return isnan(r->threshold) ? (double)NAN : (double)scores[0] >= r->threshold;
    case ENGINE_MULTICLASS: {
        size_t best = 0;
        for (size_t i = 1; i < r->n_outputs; i++)
            best = scores[i] > scores[best] ? i : best;
        return (double)best;
    }
    case ENGINE_REGRESSION:
    case ENGINE_RANKING:
    case ENGINE_TASK_N:
        break;
    }
    return (double)NAN;
}

enum err_code runtime_score(struct runtime_scratch *s, int64_t now_us, struct runtime_answer *ret,
                            struct err *err)
{
    const struct runtime *r = s->r;
    if (plan_run(s->plan, s->online, now_us, s->row, &ret->features, err) != ERR_OK ||
        engine_predict(r->engine, s->row, 1, s->engine, s->scores, err) != ERR_OK)
        return err->code;
    ret->scores = s->scores;
    ret->row = s->row;
    ret->n_row = plan_n_inputs(r->plan);
    ret->is_finite = true;
    for (size_t i = 0; i < r->n_outputs; i++)
        ret->is_finite = ret->is_finite && isfinite(s->scores[i]);
    ret->decision = ret->is_finite ? decide(r, s->scores) : (double)NAN;
    return ERR_OK;
}

/* Sets the fields that this plan knows too; what was looked up is taken over where the view's version is the same. */
static enum err_code record_set(struct runtime_scratch *s, const struct prediction_record *rec,
                                const struct record_schema *schema, size_t first, size_t n,
                                struct err *err)
{
    for (size_t i = first; i < first + n && i < rec->n_values; i++) {
        ptrdiff_t slot = plan_find(s->r->plan, str_c(schema->fields[i].name));
        if (slot >= 0 && runtime_set(s, (size_t)slot, &rec->values[i], err) != ERR_OK)
            return err->code;
    }
    return ERR_OK;
}

static bool has_view(const struct plan *p, const struct record_view *v)
{
    for (size_t i = 0; i < plan_n_lookups(p); i++) {
        const struct plan_lookup *l = plan_lookup(p, i);
        if (strcmp(l->view, v->name) == 0 && l->version && v->version &&
            strcmp(l->version, v->version) == 0)
            return true;
    }
    return false;
}

enum err_code runtime_score_record(struct runtime_scratch *s, const struct prediction_record *rec,
                                   const struct record_schema *schema, struct runtime_answer *ret,
                                   struct err *err)
{
    runtime_begin(s);
    if (record_set(s, rec, schema, 0, schema->n_request, err) != ERR_OK)
        return err->code;
    for (size_t i = 0; i < schema->n_views; i++)
        if (has_view(s->r->plan, &schema->views[i]) &&
            record_set(s, rec, schema, schema->views[i].first, schema->views[i].n, err) != ERR_OK)
            return err->code;
    return runtime_score(s, rec->event_us != AT_US_NONE ? rec->event_us : rec->wall_us, ret, err);
}

enum err_code runtime_value(const struct json *v, struct value *ret, struct err *err)
{
    switch (v ? v->type : JSON_NULL) {
    case JSON_NULL:
        ret->type = VAL_NULL;
        return ERR_OK;
    case JSON_BOOL:
        *ret = (struct value){VAL_BOOL, {.b = v->u.b}};
        return ERR_OK;
    case JSON_INT:
        *ret = (struct value){VAL_INT, {.i = v->u.i}};
        return ERR_OK;
    case JSON_REAL:
        *ret = (struct value){VAL_FLOAT, {.f = v->u.f}};
        return ERR_OK;
    case JSON_STR:
        *ret = (struct value){VAL_STR, {.s = v->u.s}};
        return ERR_OK;
    case JSON_ARR:
    case JSON_OBJ:
    case JSON_TYPE_N:
        break;
    }
    return err_set(err, ERR_INVALID, "a field's value is a text, a number, true, false or null");
}

enum err_code runtime_score_json(struct runtime_scratch *s, const struct json *request,
                                 int64_t now_us, struct runtime_answer *ret, struct err *err)
{
    runtime_begin(s);
    if (!request || request->type != JSON_OBJ)
        return err_set(err, ERR_INVALID, "a request is an object of fields");
    for (size_t i = 0; i < json_len(request); i++) {
        const struct json_member *m = &request->u.obj.members[i];
        struct value v;
        ptrdiff_t slot = plan_find(s->r->plan, m->key);
        if (slot < 0)
            return err_set(err, ERR_INVALID, "\"%.*s\" is not a field of this model's requests",
                           STR_ARG(m->key));
        if (runtime_value(m->val, &v, err) != ERR_OK ||
            runtime_set(s, (size_t)slot, &v, err) != ERR_OK)
            return err_wrap(err, "field %.*s", STR_ARG(m->key));
    }
    return runtime_score(s, now_us, ret, err);
}
