/* Building trees. A container whose growth failed is poisoned (cap == SIZE_MAX): the writer finds it, so that a
 * builder's caller checks once, at the end. */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/vec.h"
#include "json/json.h"
#include "json/json_int.h"

struct json JSON_NOMEM = {.type = JSON_NULL};

#define POISON SIZE_MAX

static struct json *make(struct arena *a, enum json_type type)
{
    struct json *v = ARENA_NEW(a, struct json);
    if (v)
        v->type = type;
    return v;
}

static struct json *or_nomem(struct json *v)
{
    return v ? v : &JSON_NOMEM;
}

struct json *json_make_null(struct arena *a)
{
    return make(a, JSON_NULL);
}

struct json *json_make_bool(struct arena *a, bool v)
{
    struct json *j = make(a, JSON_BOOL);
    if (j)
        j->u.b = v;
    return j;
}

struct json *json_make_int(struct arena *a, int64_t v)
{
    struct json *j = make(a, JSON_INT);
    if (j)
        j->u.i = v;
    return j;
}

struct json *json_make_real(struct arena *a, double v)
{
    struct json *j = make(a, JSON_REAL);
    if (j)
        j->u.f = v;
    return j;
}

/* Data may hold anything; a document holds UTF-8. Each byte that is none becomes U+FFFD. */
static char *dup_as_utf8(struct arena *a, struct str s, size_t *ret_n)
{
    char *out = s.n <= SIZE_MAX / 3 - 1 ? arena_alloc(a, s.n * 3 + 1) : NULL;
    size_t n = 0;
    if (!out)
        return NULL;
    while (s.n > 0) {
        size_t len = str_utf8_first(s);
        memcpy(out + n, len ? s.p : "\xef\xbf\xbd", len ? len : 3);
        n += len ? len : 3;
        len = len ? len : 1;
        s = str_n(s.p + len, s.n - len);
    }
    *ret_n = n;
    return out;
}

struct json *json_make_str(struct arena *a, struct str s)
{
    struct json *j = make(a, JSON_STR);
    if (!j)
        return NULL;
    size_t n = s.n;
    char *copy = str_utf8_valid(s) ? str_dup(a, s) : dup_as_utf8(a, s, &n);
    if (!copy)
        return NULL;
    j->u.s = str_n(copy, n);
    return j;
}

struct json *json_make_arr(struct arena *a, size_t n)
{
    struct json *j = make(a, JSON_ARR);
    if (!j || n == 0)
        return j;
    j->u.arr.items = ARENA_NEW_N(a, struct json *, n);
    j->u.arr.cap = n;
    return j->u.arr.items ? j : NULL;
}

struct json *json_make_obj(struct arena *a, size_t n)
{
    struct json *j = make(a, JSON_OBJ);
    if (!j || n == 0)
        return j;
    j->u.obj.members = ARENA_NEW_N(a, struct json_member, n);
    j->u.obj.cap = n;
    return j->u.obj.members ? j : NULL;
}

void json_put_item(struct json *arr, struct json *v)
{
    CHECK(arr->u.arr.n < arr->u.arr.cap);
    arr->u.arr.items[arr->u.arr.n++] = v;
}

bool json_put_member(struct arena *a, struct json *obj, struct str key, struct json *v)
{
    CHECK(obj->u.obj.n < obj->u.obj.cap);
    char *copy = str_dup(a, key);
    if (copy)
        obj->u.obj.members[obj->u.obj.n++] = (struct json_member){str_n(copy, key.n), v};
    return copy != NULL;
}

struct json *json_null(struct arena *a)
{
    return or_nomem(json_make_null(a));
}

struct json *json_bool(struct arena *a, bool v)
{
    return or_nomem(json_make_bool(a, v));
}

struct json *json_int(struct arena *a, int64_t v)
{
    return or_nomem(json_make_int(a, v));
}

struct json *json_num(struct arena *a, double v)
{
    char text[NUM_TEXT_BYTES];
    if (isfinite(v))
        return or_nomem(json_make_real(a, v));
    num_f64(text, v);
    return json_cstr(a, text);
}

struct json *json_str(struct arena *a, struct str s)
{
    return or_nomem(json_make_str(a, s));
}

struct json *json_cstr(struct arena *a, const char *s)
{
    return s ? json_str(a, str_c(s)) : json_null(a);
}

struct json *json_fmt(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    struct buf text;
    buf_init(&text, a->limit_bytes);
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    struct json *v = buf_ok(&text, NULL) == ERR_OK ? json_str(a, buf_view(&text)) : &JSON_NOMEM;
    buf_fini(&text);
    return v;
}

struct json *json_time(struct arena *a, int64_t at_us)
{
    char text[TIME_TEXT_BYTES];
    if (at_us == AT_US_NONE)
        return json_null(a);
    time_text(text, at_us);
    return json_cstr(a, text);
}

struct json *json_hex(struct arena *a, const struct digest *d)
{
    char hex[DIGEST_HEX_BYTES];
    digest_hex(d, hex);
    return json_cstr(a, hex);
}

struct json *json_arr(struct arena *a)
{
    return or_nomem(json_make_arr(a, 0));
}

struct json *json_obj(struct arena *a)
{
    return or_nomem(json_make_obj(a, 0));
}

struct json *json_add(struct arena *a, struct json *arr, struct json *v)
{
    if (arr == &JSON_NOMEM || arr->u.arr.cap == POISON)
        return arr;
    CHECK(arr->type == JSON_ARR);
    if (arr->u.arr.n == arr->u.arr.cap &&
        !vec_grow(a, (void **)&arr->u.arr.items, &arr->u.arr.cap, sizeof *arr->u.arr.items))
        arr->u.arr.cap = POISON;
    else
        arr->u.arr.items[arr->u.arr.n++] = v ? v : json_null(a);
    return arr;
}

static struct json_member *member_find(const struct json *obj, struct str key)
{
    for (size_t i = 0; i < obj->u.obj.n; i++)
        if (str_eq(obj->u.obj.members[i].key, key))
            return &obj->u.obj.members[i];
    return NULL;
}

static struct json *member_put(struct arena *a, struct json *obj, const char *key, struct json *v)
{
    if (obj == &JSON_NOMEM || obj->u.obj.cap == POISON)
        return obj;
    CHECK(obj->type == JSON_OBJ);
    struct json_member *m = member_find(obj, str_c(key));
    if (m) {
        m->val = v;
        return obj;
    }
    char *copy = str_dup(a, str_c(key));
    bool is_full =
        obj->u.obj.n == obj->u.obj.cap &&
        !vec_grow(a, (void **)&obj->u.obj.members, &obj->u.obj.cap, sizeof *obj->u.obj.members);
    if (is_full || !copy)
        obj->u.obj.cap = POISON;
    else
        obj->u.obj.members[obj->u.obj.n++] = (struct json_member){str_c(copy), v};
    return obj;
}

struct json *json_set(struct arena *a, struct json *obj, const char *key, struct json *v)
{
    if (!v || (v->type == JSON_NULL && v != &JSON_NOMEM))
        return obj;
    return member_put(a, obj, key, v);
}

struct json *json_set_null(struct arena *a, struct json *obj, const char *key)
{
    return member_put(a, obj, key, json_null(a));
}

void json_remove(struct json *obj, const char *key)
{
    struct json_member *m =
        obj->type == JSON_OBJ && obj->u.obj.n ? member_find(obj, str_c(key)) : NULL;
    if (!m)
        return;
    size_t behind = obj->u.obj.n - (size_t)(m - obj->u.obj.members) - 1;
    memmove(m, m + 1, behind * sizeof *m);
    obj->u.obj.n--;
}

static struct json *copy_array(struct arena *a, const struct json *v)
{
    struct json *to = json_make_arr(a, v->u.arr.n);
    for (size_t i = 0; to && i < v->u.arr.n; i++)
        json_put_item(to, json_copy(a, v->u.arr.items[i]));
    return or_nomem(to);
}

static struct json *copy_object(struct arena *a, const struct json *v)
{
    struct json *to = json_make_obj(a, v->u.obj.n);
    for (size_t i = 0; to && i < v->u.obj.n; i++) {
        const struct json_member *m = &v->u.obj.members[i];
        if (!json_put_member(a, to, m->key, json_copy(a, m->val)))
            return &JSON_NOMEM;
    }
    return or_nomem(to);
}

struct json *json_copy(struct arena *a, const struct json *v)
{
    if (!v)
        return json_null(a);
    if (v == &JSON_NOMEM || (v->type == JSON_ARR && v->u.arr.cap == POISON) ||
        (v->type == JSON_OBJ && v->u.obj.cap == POISON))
        return &JSON_NOMEM;
    switch (v->type) {
    case JSON_ARR:
        return copy_array(a, v);
    case JSON_OBJ:
        return copy_object(a, v);
    case JSON_STR:
        return json_str(a, v->u.s);
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_INT:
    case JSON_REAL:
    case JSON_TYPE_N:
    default:
        break;
    }
    struct json *to = make(a, v->type);
    if (to)
        *to = *v;
    return or_nomem(to);
}
