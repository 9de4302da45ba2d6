#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "json/json.h"

struct writing {
    enum json_style style;
    struct buf *out;
    struct err *err;
};

void json_write_str(struct buf *out, struct str s)
{
    buf_quote(out, s);
}

static void new_line(const struct writing *w, int depth)
{
    if (w->style != JSON_PRETTY)
        return;
    buf_ch(w->out, '\n');
    for (int i = 0; i < depth; i++)
        buf_c(w->out, "  ");
}

static enum err_code write_value(struct writing *w, const struct json *v, int depth);

static enum err_code write_array(struct writing *w, const struct json *v, int depth)
{
    enum err_code code = ERR_OK;
    buf_ch(w->out, '[');
    for (size_t i = 0; i < v->u.arr.n && code == ERR_OK; i++) {
        if (i)
            buf_ch(w->out, ',');
        new_line(w, depth + 1);
        code = write_value(w, v->u.arr.items[i], depth + 1);
    }
    if (v->u.arr.n)
        new_line(w, depth);
    buf_ch(w->out, ']');
    return code;
}

static int by_key(const void *a, const void *b)
{
    return str_cmp((*(const struct json_member *const *)a)->key,
                   (*(const struct json_member *const *)b)->key);
}

static enum err_code write_members(struct writing *w, const struct json_member *const *members,
                                   size_t n, int depth)
{
    enum err_code code = ERR_OK;
    buf_ch(w->out, '{');
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        const struct json_member *m = members[i];
        if (w->style == JSON_CANONICAL && m->val->type == JSON_NULL && m->val != &JSON_NOMEM)
            return err_set(w->err, ERR_INVALID, "\"%.*s\" is null: leave it out", STR_ARG(m->key));
        if (i)
            buf_ch(w->out, ',');
        new_line(w, depth + 1);
        buf_quote(w->out, m->key);
        buf_c(w->out, w->style == JSON_PRETTY ? ": " : ":");
        code = write_value(w, m->val, depth + 1);
    }
    if (n)
        new_line(w, depth);
    buf_ch(w->out, '}');
    return code;
}

static enum err_code write_object(struct writing *w, const struct json *v, int depth)
{
    const struct json_member *few[32];
    size_t n = v->u.obj.n;
    const struct json_member **members =
        n <= ARRAY_LEN(few) ? few : malloc(n * sizeof(struct json_member *));
    if (!members)
        return err_nomem(w->err);
    for (size_t i = 0; i < n; i++)
        members[i] = &v->u.obj.members[i];
    if (w->style == JSON_CANONICAL && n > 1)
        qsort(members, n, sizeof *members, by_key);
    enum err_code code = write_members(w, members, n, depth);
    if (members != few)
        free(members);
    return code;
}

static enum err_code write_real(struct writing *w, double f)
{
    char text[NUM_TEXT_BYTES];
    if (!isfinite(f))
        return err_set(w->err, ERR_INVALID,
                       "a number that is not finite cannot be written as JSON");
    buf_put(w->out, text, num_f64(text, f));
    return ERR_OK;
}

static bool is_unfinished(const struct json *v)
{
    return !v || v == &JSON_NOMEM || (v->type == JSON_ARR && v->u.arr.cap == SIZE_MAX) ||
           (v->type == JSON_OBJ && v->u.obj.cap == SIZE_MAX);
}

static enum err_code write_value(struct writing *w, const struct json *v, int depth)
{
    char text[NUM_TEXT_BYTES];
    if (is_unfinished(v))
        return err_nomem(w->err);
    if (depth >= JSON_DEPTH_MAX)
        return err_set(w->err, ERR_INVALID, "the JSON is nested more than %d deep", JSON_DEPTH_MAX);
    switch (v->type) {
    case JSON_NULL:
        buf_c(w->out, "null");
        return ERR_OK;
    case JSON_BOOL:
        buf_c(w->out, v->u.b ? "true" : "false");
        return ERR_OK;
    case JSON_INT:
        buf_put(w->out, text, num_i64(text, v->u.i));
        return ERR_OK;
    case JSON_REAL:
        return write_real(w, v->u.f);
    case JSON_STR:
        buf_quote(w->out, v->u.s);
        return ERR_OK;
    case JSON_ARR:
        return write_array(w, v, depth);
    case JSON_OBJ:
        return write_object(w, v, depth);
    case JSON_TYPE_N:
    default:
        UNREACHABLE();
    }
}

enum err_code json_write(const struct json *v, enum json_style style, struct buf *out,
                         struct err *err)
{
    struct writing w = {style, out, err};
    enum err_code code = write_value(&w, v, 0);
    if (code != ERR_OK)
        return code;
    if (style == JSON_PRETTY)
        buf_ch(out, '\n');
    return buf_ok(out, err);
}

enum err_code json_digest(const struct json *v, const char *kind, struct digest *ret,
                          struct err *err)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    enum err_code code = json_write(v, JSON_CANONICAL, &text, err);
    if (code == ERR_OK)
        digest_of_kind(kind, buf_view(&text), ret);
    else
        err_wrap(err, "name a %s document", kind);
    buf_fini(&text);
    return code;
}
