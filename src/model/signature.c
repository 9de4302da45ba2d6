#include "model/signature.h"

#include <string.h>

#include "base/check.h"

static const struct {
    const char *name;
    enum value_type value;
} SIG_TYPES[SIG_TYPE_N] = {
    [SIG_BOOLEAN] = {"boolean", VAL_BOOL}, [SIG_INTEGER] = {"integer", VAL_INT},
    [SIG_LONG] = {"long", VAL_INT},        [SIG_FLOAT] = {"float", VAL_FLOAT},
    [SIG_DOUBLE] = {"double", VAL_FLOAT},  [SIG_STRING] = {"string", VAL_STR},
    [SIG_BINARY] = {"binary", VAL_NULL},   [SIG_DATETIME] = {"datetime", VAL_TIME},
    [SIG_TENSOR] = {"tensor", VAL_NULL},
};

const char *sig_type_name(enum sig_type t)
{
    CHECK(t < SIG_TYPE_N);
    return SIG_TYPES[t].name;
}

enum sig_type sig_type_of_value(enum value_type t)
{
    switch (t) {
    case VAL_BOOL:
        return SIG_BOOLEAN;
    case VAL_INT:
        return SIG_LONG;
    case VAL_FLOAT:
        return SIG_DOUBLE;
    case VAL_TIME:
        return SIG_DATETIME;
    case VAL_NULL:
    case VAL_STR:
        return SIG_STRING;
    case VAL_TYPE_N:
        break;
    }
    UNREACHABLE();
}

enum value_type sig_type_value(enum sig_type t)
{
    CHECK(t < SIG_TYPE_N);
    return SIG_TYPES[t].value;
}

static bool sig_type_from_name(struct str name, enum sig_type *ret)
{
    for (enum sig_type t = 0; t < SIG_TYPE_N; t++) {
        if (str_is(name, SIG_TYPES[t].name)) {
            *ret = t;
            return true;
        }
    }
    return false;
}

static enum err_code read_tensor(const struct json *field, struct arena *a, struct sig_field *ret,
                                 struct err *err)
{
    const struct json *spec = json_get(field, "tensor-spec"), *shape = json_get(spec, "shape");
    struct str dtype = json_get_str(spec, "dtype");
    if (!dtype.p || !shape || shape->type != JSON_ARR)
        return err_set(err, ERR_PARSE, "a tensor needs tensor-spec with dtype and shape");
    if (json_len(shape) > SIGNATURE_DIMS_MAX)
        return err_set(err, ERR_LIMIT, "a tensor of %zu dimensions; %d are possible",
                       json_len(shape), SIGNATURE_DIMS_MAX);
    for (size_t i = 0; i < json_len(shape); i++) {
        const struct json *dim = json_at(shape, i);
        if (dim->type != JSON_INT || dim->u.i < -1)
            return err_set(err, ERR_PARSE, "tensor-spec.shape[%zu]: expected -1 or a size", i);
        ret->shape[i] = dim->u.i;
    }
    ret->n_dims = json_len(shape);
    ret->dtype = str_dup(a, dtype);
    return ret->dtype ? ERR_OK : arena_err(a, err);
}

static enum err_code read_field(const struct json *field, struct arena *a, struct sig_field *ret,
                                struct err *err)
{
    struct str type = json_get_str(field, "type"), name = json_get_str(field, "name");
    if (!type.p || !sig_type_from_name(type, &ret->type))
        return err_set(err, ERR_PARSE, "type '%.*s' is not one of a signature", STR_ARG(type));
    /* "optional" is how older versions wrote it. */
    ret->is_required = json_get_bool(field, "required", !json_get_bool(field, "optional", false));
    if (name.p) {
        ret->name = str_dup(a, name);
        if (!ret->name)
            return arena_err(a, err);
    }
    return ret->type == SIG_TENSOR ? read_tensor(field, a, ret, err) : ERR_OK;
}

enum err_code signature_fields_read(const struct json *fields, struct arena *a,
                                    struct sig_field **ret, size_t *ret_n, struct err *err)
{
    if (!fields || fields->type != JSON_ARR)
        return err_set(err, ERR_PARSE, "a signature is a list of fields");
    size_t n = json_len(fields);
    if (n > SIGNATURE_FIELDS_MAX)
        return err_set(err, ERR_LIMIT, "a signature of %zu fields; %d are possible", n,
                       SIGNATURE_FIELDS_MAX);
    struct sig_field *p = ARENA_NEW_N(a, struct sig_field, n);
    if (!p)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++) {
        enum err_code rc = read_field(json_at(fields, i), a, &p[i], err);
        if (rc != ERR_OK)
            return err_wrap(err, "signature field %zu", i);
    }
    *ret = p;
    *ret_n = n;
    return ERR_OK;
}

static struct json *tensor_json(const struct sig_field *f, struct arena *a)
{
    struct json *shape = json_arr(a), *spec = json_obj(a);
    for (size_t i = 0; i < f->n_dims; i++)
        json_add(a, shape, json_int(a, f->shape[i]));
    json_set(a, spec, "dtype", json_cstr(a, f->dtype));
    return json_set(a, spec, "shape", shape);
}

struct json *signature_fields_json(const struct sig_field *fields, size_t n, struct arena *a)
{
    struct json *list = json_arr(a);
    for (size_t i = 0; i < n; i++) {
        const struct sig_field *f = &fields[i];
        struct json *o = json_obj(a);
        json_set(a, o, "type", json_cstr(a, sig_type_name(f->type)));
        if (f->name)
            json_set(a, o, "name", json_cstr(a, f->name));
        if (f->type == SIG_TENSOR)
            json_set(a, o, "tensor-spec", tensor_json(f, a));
        else
            json_set(a, o, "required", json_bool(a, f->is_required));
        json_add(a, list, o);
    }
    return list;
}

enum err_code signature_read(const struct json *doc, struct arena *a, struct signature *ret,
                             struct err *err)
{
    struct signature s = {0};
    const struct json *inputs = json_get(doc, "inputs"), *outputs = json_get(doc, "outputs");
    enum err_code rc = ERR_OK;
    if (inputs && inputs->type != JSON_NULL)
        rc = signature_fields_read(inputs, a, &s.inputs, &s.n_inputs, err);
    if (rc != ERR_OK)
        return err_wrap(err, "inputs");
    if (outputs && outputs->type != JSON_NULL)
        rc = signature_fields_read(outputs, a, &s.outputs, &s.n_outputs, err);
    if (rc != ERR_OK)
        return err_wrap(err, "outputs");
    *ret = s;
    return ERR_OK;
}

struct json *signature_json(const struct signature *s, struct arena *a)
{
    struct json *o = json_obj(a);
    json_set(a, o, "inputs", signature_fields_json(s->inputs, s->n_inputs, a));
    return json_set(a, o, "outputs", signature_fields_json(s->outputs, s->n_outputs, a));
}

static const struct sig_field *find(const struct signature *s, const char *name)
{
    for (size_t i = 0; name && i < s->n_inputs; i++) {
        if (s->inputs[i].name && strcmp(s->inputs[i].name, name) == 0)
            return &s->inputs[i];
    }
    return NULL;
}

/* Values of type `from` are accepted where `to` is wanted. */
static bool is_widening(enum sig_type from, enum sig_type to)
{
    if (from == to)
        return true;
    if (to == SIG_DOUBLE)
        return from == SIG_FLOAT || from == SIG_INTEGER || from == SIG_LONG;
    return (to == SIG_LONG || to == SIG_FLOAT) && from == SIG_INTEGER;
}

enum err_code signature_compatible(const struct signature *old, const struct signature *new_,
                                   struct err *err)
{
    for (size_t i = 0; i < new_->n_inputs; i++) {
        const struct sig_field *f = &new_->inputs[i];
        const struct sig_field *before = f->name             ? find(old, f->name)
                                         : i < old->n_inputs ? &old->inputs[i]
                                                             : NULL;
        const char *name = f->name ? f->name : "(unnamed)";
        if (!before && f->is_required)
            return err_set(err, ERR_NO,
                           "input '%s' is new and required: requests written so far lack it", name);
        if (before && f->is_required && !before->is_required)
            return err_set(err, ERR_NO, "input '%s' was optional and is required now", name);
        if (before && !is_widening(before->type, f->type))
            return err_set(err, ERR_NO, "input '%s' was %s and is %s now", name,
                           sig_type_name(before->type), sig_type_name(f->type));
    }
    if (old->n_outputs != new_->n_outputs)
        return err_set(err, ERR_NO, "the answer had %zu outputs and has %zu now", old->n_outputs,
                       new_->n_outputs);
    for (size_t i = 0; i < old->n_outputs; i++) {
        if (old->outputs[i].type != new_->outputs[i].type)
            return err_set(err, ERR_NO, "output %zu was %s and is %s now", i,
                           sig_type_name(old->outputs[i].type),
                           sig_type_name(new_->outputs[i].type));
    }
    return ERR_OK;
}
