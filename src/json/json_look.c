#include <math.h>

#include "base/check.h"
#include "base/clock.h"
#include "json/json.h"

static const struct json *member(const struct json *obj, struct str key)
{
    if (!obj || obj->type != JSON_OBJ)
        return NULL;
    for (size_t i = 0; i < obj->u.obj.n; i++)
        if (str_eq(obj->u.obj.members[i].key, key))
            return obj->u.obj.members[i].val;
    return NULL;
}

const struct json *json_get(const struct json *obj, const char *key)
{
    return member(obj, str_c(key));
}

const struct json *json_at(const struct json *arr, size_t i)
{
    return arr && arr->type == JSON_ARR && i < arr->u.arr.n ? arr->u.arr.items[i] : NULL;
}

size_t json_len(const struct json *v)
{
    if (!v)
        return 0;
    return v->type == JSON_ARR ? v->u.arr.n : v->type == JSON_OBJ ? v->u.obj.n : 0;
}

const struct json *json_path(const struct json *v, const char *path)
{
    struct str rest = str_c(path);
    while (v && rest.p) {
        struct str part = str_split(&rest, '.');
        uint64_t i = 0;
        if (v->type != JSON_ARR)
            v = member(v, part);
        else
            v = parse_u64(part, &i, NULL) == ERR_OK ? json_at(v, (size_t)i) : NULL;
    }
    return v;
}

struct str json_get_str(const struct json *obj, const char *key)
{
    const struct json *v = json_get(obj, key);
    return v && v->type == JSON_STR ? v->u.s : STR_NONE;
}

const char *json_get_c(const struct json *obj, const char *key)
{
    return json_get_str(obj, key).p;
}

static bool as_int(const struct json *v, int64_t *ret)
{
    if (v && v->type == JSON_INT) {
        *ret = v->u.i;
        return true;
    }
    if (!v || v->type != JSON_REAL || !(fabs(v->u.f) < 9007199254740992.0) ||
        trunc(v->u.f) < v->u.f || trunc(v->u.f) > v->u.f)
        return false;
    *ret = (int64_t)v->u.f;
    return true;
}

int64_t json_get_int(const struct json *obj, const char *key, int64_t or_)
{
    int64_t v = or_;
    return as_int(json_get(obj, key), &v) ? v : or_;
}

bool json_as_f64(const struct json *v, double *ret)
{
    if (!v)
        return false;
    switch (v->type) {
    case JSON_INT:
        *ret = (double)v->u.i;
        return true;
    case JSON_REAL:
        *ret = v->u.f;
        return true;
    case JSON_STR:
        if (!str_is(v->u.s, "NaN") && !str_is(v->u.s, "Infinity") && !str_is(v->u.s, "-Infinity"))
            return false;
        return parse_f64(v->u.s, ret, NULL) == ERR_OK;
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_ARR:
    case JSON_OBJ:
    case JSON_TYPE_N:
    default:
        return false;
    }
}

double json_get_f64(const struct json *obj, const char *key, double or_)
{
    double v = or_;
    return json_as_f64(json_get(obj, key), &v) ? v : or_;
}

bool json_get_bool(const struct json *obj, const char *key, bool or_)
{
    const struct json *v = json_get(obj, key);
    return v && v->type == JSON_BOOL ? v->u.b : or_;
}

int64_t json_get_time(const struct json *obj, const char *key)
{
    int64_t at_us = AT_US_NONE;
    struct str text = json_get_str(obj, key);
    if (!text.p || parse_time_us(text, &at_us, NULL) != ERR_OK)
        return AT_US_NONE;
    return at_us;
}

static bool array_eq(const struct json *a, const struct json *b)
{
    bool is_eq = a->u.arr.n == b->u.arr.n;
    for (size_t i = 0; is_eq && i < a->u.arr.n; i++)
        is_eq = json_eq(a->u.arr.items[i], b->u.arr.items[i]);
    return is_eq;
}

static bool object_eq(const struct json *a, const struct json *b)
{
    bool is_eq = a->u.obj.n == b->u.obj.n;
    for (size_t i = 0; is_eq && i < a->u.obj.n; i++) {
        const struct json_member *m = &a->u.obj.members[i];
        is_eq = json_eq(m->val, member(b, m->key)) && member(b, m->key);
    }
    return is_eq;
}

static bool number_eq(const struct json *a, const struct json *b)
{
    if (a->type == JSON_INT && b->type == JSON_INT)
        return a->u.i == b->u.i;
    double x = 0, y = 0;
    return json_as_f64(a, &x) && json_as_f64(b, &y) && x >= y && x <= y;
}

bool json_eq(const struct json *a, const struct json *b)
{
    if (!a || !b)
        return a == b;
    if ((a->type == JSON_INT || a->type == JSON_REAL) &&
        (b->type == JSON_INT || b->type == JSON_REAL))
        return number_eq(a, b);
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case JSON_BOOL:
        return a->u.b == b->u.b;
    case JSON_STR:
        return str_eq(a->u.s, b->u.s);
    case JSON_ARR:
        return array_eq(a, b);
    case JSON_OBJ:
        return object_eq(a, b);
    case JSON_NULL:
        return true;
    case JSON_INT:
    case JSON_REAL:
    case JSON_TYPE_N:
    default:
        UNREACHABLE();
    }
}

static enum err_code need(const struct json *obj, const char *key, const char *what,
                          struct err *err)
{
    const struct json *v = json_get(obj, key);
    if (!v || v->type == JSON_NULL)
        return err_set(err, ERR_INVALID, "/%s is missing: %s is needed", key, what);
    return err_set(err, ERR_INVALID, "/%s must be %s", key, what);
}

enum err_code json_need_str(const struct json *obj, const char *key, struct str *ret,
                            struct err *err)
{
    struct str s = json_get_str(obj, key);
    if (!s.p)
        return need(obj, key, "a string", err);
    *ret = s;
    return ERR_OK;
}

enum err_code json_need_int(const struct json *obj, const char *key, int64_t *ret, struct err *err)
{
    return as_int(json_get(obj, key), ret) ? ERR_OK : need(obj, key, "a whole number", err);
}

enum err_code json_need_f64(const struct json *obj, const char *key, double *ret, struct err *err)
{
    return json_as_f64(json_get(obj, key), ret) ? ERR_OK : need(obj, key, "a number", err);
}
