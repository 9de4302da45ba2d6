#include <jansson.h>

#include "base/check.h"
#include "json/json_int.h"

#define READ_DEPTH_MAX 64 /* JSON_DEPTH_MAX of json/json.h */

struct reading {
    struct arena *arena;
    struct err *err;
};

static enum err_code convert(struct reading *r, json_t *from, int depth, struct json **ret);

static enum err_code full(struct reading *r)
{
    return arena_err(r->arena, r->err);
}

static enum err_code convert_array(struct reading *r, json_t *from, int depth, struct json **ret)
{
    size_t n = json_array_size(from);
    struct json *arr = json_make_arr(r->arena, n);
    if (!arr)
        return full(r);
    for (size_t i = 0; i < n; i++) {
        struct json *item = NULL;
        enum err_code code = convert(r, json_array_get(from, i), depth + 1, &item);
        if (code != ERR_OK)
            return code;
        json_put_item(arr, item);
    }
    *ret = arr;
    return ERR_OK;
}

static enum err_code convert_object(struct reading *r, json_t *from, int depth, struct json **ret)
{
    struct json *obj = json_make_obj(r->arena, json_object_size(from));
    if (!obj)
        return full(r);
    for (void *it = json_object_iter(from); it; it = json_object_iter_next(from, it)) {
        struct str key = str_n(json_object_iter_key(it), json_object_iter_key_len(it));
        struct json *val = NULL;
        enum err_code code = convert(r, json_object_iter_value(it), depth + 1, &val);
        if (code != ERR_OK)
            return code;
        if (!json_put_member(r->arena, obj, key, val))
            return full(r);
    }
    *ret = obj;
    return ERR_OK;
}

static enum err_code convert_scalar(struct reading *r, json_t *from, struct json **ret)
{
    struct json *v = NULL;
    switch (json_typeof(from)) {
    case JSON_STRING:
        v = json_make_str(r->arena, str_n(json_string_value(from), json_string_length(from)));
        break;
    case JSON_INTEGER:
        v = json_make_int(r->arena, json_integer_value(from));
        break;
    case JSON_REAL:
        v = json_make_real(r->arena, json_real_value(from));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        v = json_make_bool(r->arena, json_is_true(from));
        break;
    case JSON_NULL:
        v = json_make_null(r->arena);
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
    default:
        UNREACHABLE();
    }
    if (!v)
        return full(r);
    *ret = v;
    return ERR_OK;
}

static enum err_code convert(struct reading *r, json_t *from, int depth, struct json **ret)
{
    if (depth > READ_DEPTH_MAX)
        return err_set(r->err, ERR_PARSE, "the JSON is nested more than %d deep", READ_DEPTH_MAX);
    if (json_is_array(from))
        return convert_array(r, from, depth, ret);
    if (json_is_object(from))
        return convert_object(r, from, depth, ret);
    return convert_scalar(r, from, ret);
}

enum err_code json_read(struct str text, struct arena *a, struct json **ret,
                        struct err *err) MUST_CHECK;

enum err_code json_read(struct str text, struct arena *a, struct json **ret, struct err *err)
{
    json_error_t problem;
    struct reading r = {a, err};
    if (str_trim(text).n == 0)
        return err_set(err, ERR_PARSE, "the JSON document is empty");
    json_t *tree = json_loadb(text.p, text.n,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);
    if (!tree && json_error_code(&problem) == json_error_out_of_memory)
        return err_nomem(err);
    if (!tree)
        return err_set(err, ERR_PARSE, "line %d, column %d: %s", problem.line, problem.column,
                       problem.text);
    enum err_code code = convert(&r, tree, 1, ret);
    json_decref(tree);
    return code;
}
