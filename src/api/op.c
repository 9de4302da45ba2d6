#include "api/op.h"

#include <stdio.h>

#include "api/services.h"
#include "base/check.h"
#include "base/file.h"

static const char *const TYPE_NAMES[OP_PARAM_TYPE_N] = {
    [OP_P_STR] = "text",           [OP_P_INT] = "whole number", [OP_P_NUM] = "number",
    [OP_P_BOOL] = "true or false", [OP_P_TIME] = "time",        [OP_P_DURATION] = "duration",
    [OP_P_JSON] = "JSON",          [OP_P_LIST] = "list",        [OP_P_FILE] = "file"};

const char *op_param_type_name(enum op_param_type t)
{
    CHECK((unsigned)t < OP_PARAM_TYPE_N);
    return TYPE_NAMES[t];
}

const struct op_route *op_find(const char *name)
{
    for (size_t i = 0; i < N_OP_ROUTES; i++)
        if (strcmp(OP_ROUTES[i].name, name) == 0)
            return &OP_ROUTES[i];
    return NULL;
}

const struct op_param *op_param_find(const struct op_route *r, struct str name)
{
    for (size_t i = 0; i < r->n_params; i++)
        if (str_is(name, r->params[i].name))
            return &r->params[i];
    return NULL;
}

/* One value on its way from the request to the handler. */
struct coercion {
    const struct op_call *call;
    const struct op_param *param;
    const struct json *given;
    struct str text; /* of a string; else STR_NONE */
    struct json *ret;
};

static enum err_code coerce_str(struct coercion *c, struct err *err)
{
    char digits[NUM_TEXT_BYTES];
    if (c->given->type == JSON_STR)
        c->ret = json_str(c->call->arena, c->text);
    else if (c->given->type == JSON_INT && num_i64(digits, c->given->u.i) > 0)
        c->ret = json_cstr(c->call->arena, digits);
    else
        return err_set(err, ERR_INVALID, "it must be a text");
    return ERR_OK;
}

static enum err_code coerce_int(struct coercion *c, struct err *err)
{
    int64_t v = 0;
    if (c->text.p) {
        enum err_code code = parse_i64(c->text, &v, err);
        if (code != ERR_OK)
            return code;
    } else if (c->given->type == JSON_INT) {
        v = c->given->u.i;
    } else {
        return err_set(err, ERR_INVALID, "it must be a whole number");
    }
    c->ret = json_int(c->call->arena, v);
    return ERR_OK;
}

static enum err_code coerce_num(struct coercion *c, struct err *err)
{
    double v = 0;
    if (c->text.p) {
        enum err_code code = parse_f64(c->text, &v, err);
        if (code != ERR_OK)
            return code;
    } else if (!json_as_f64(c->given, &v)) {
        return err_set(err, ERR_INVALID, "it must be a number");
    }
    c->ret = json_num(c->call->arena, v);
    return ERR_OK;
}

static enum err_code coerce_bool(struct coercion *c, struct err *err)
{
    bool v = c->given->type == JSON_BOOL && c->given->u.b;
    if (c->text.p) {
        enum err_code code = parse_bool(c->text, &v, err);
        if (code != ERR_OK)
            return code;
    } else if (c->given->type != JSON_BOOL) {
        return err_set(err, ERR_INVALID, "it must be true or false");
    }
    c->ret = json_bool(c->call->arena, v);
    return ERR_OK;
}

static enum err_code coerce_time(struct coercion *c, struct err *err)
{
    int64_t at_us = 0;
    enum err_code code =
        c->text.p ? parse_time_us(c->text, &at_us, err)
                  : err_set(err, ERR_INVALID, "it must be a time such as 2001-03-01T08:15:00Z");
    if (code == ERR_OK)
        c->ret = json_time(c->call->arena, at_us);
    return code;
}

static enum err_code coerce_duration(struct coercion *c, struct err *err)
{
    int64_t us = 0;
    enum err_code code = c->text.p ? parse_duration_us(c->text, &us, err)
                                   : err_set(err, ERR_INVALID, "it must be a duration such as 36h");
    if (code == ERR_OK)
        c->ret = json_int(c->call->arena, us);
    return code;
}

static enum err_code coerce_json(struct coercion *c, struct err *err)
{
    c->ret = json_copy(c->call->arena, c->given);
    return ERR_OK;
}

static enum err_code coerce_list(struct coercion *c, struct err *err)
{
    c->ret = json_arr(c->call->arena);
    if (c->text.p) {
        for (struct str rest = c->text; rest.p;) {
            struct str part = str_trim(str_split(&rest, ','));
            if (part.n)
                json_add(c->call->arena, c->ret, json_str(c->call->arena, part));
        }
        return ERR_OK;
    }
    if (c->given->type != JSON_ARR)
        return err_set(err, ERR_INVALID, "it must be a list of texts");
    for (size_t i = 0; i < c->given->u.arr.n; i++) {
        const struct json *item = c->given->u.arr.items[i];
        if (item->type != JSON_STR)
            return err_set(err, ERR_INVALID, "item %zu must be a text", i + 1);
        json_add(c->call->arena, c->ret, json_str(c->call->arena, item->u.s));
    }
    return ERR_OK;
}

/* A name that cannot be a path of another folder: a source, "first:5000". */
static bool is_plain_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_word && c != '_' && c != '-' && c != ':' && c != '@')
            return false;
    }
    return s.n > 0;
}

static enum err_code uploaded_path(struct coercion *c, struct err *err)
{
    struct digest d;
    struct str hex = str_n(c->text.p + 7, c->text.n - 7);
    enum err_code code = digest_parse(hex, &d, err);
    if (code != ERR_OK)
        return code;
    code = services_need(c->call->sv->home, "the home", err);
    if (code != ERR_OK)
        return code;
    char *path = str_printf(c->call->arena, "%s/tmp/upload-%.*s", c->call->sv->home, STR_ARG(hex));
    if (path && !file_exists(path))
        return err_set(err, ERR_NOT_FOUND, "no upload %.*s: send it first", STR_ARG(hex));
    c->ret = json_cstr(c->call->arena, path);
    return ERR_OK;
}

/* Paths of this machine are for those who hold the home's token; everybody else uploads. */
static enum err_code coerce_file(struct coercion *c, struct err *err)
{
    if (!c->text.p || c->text.n == 0)
        return err_set(err, ERR_INVALID, "it must be a file");
    if (str_starts(c->text, STR("upload:")))
        return uploaded_path(c, err);
    if (!is_plain_name(c->text) && !c->call->is_trusted)
        return err_set(
            err, ERR_FORBIDDEN,
            "a path of the server's machine needs the home's token: upload the file instead");
    c->ret = json_str(c->call->arena, c->text);
    return ERR_OK;
}

static enum err_code (*const COERCE[OP_PARAM_TYPE_N])(struct coercion *, struct err *) = {
    [OP_P_STR] = coerce_str,   [OP_P_INT] = coerce_int,   [OP_P_NUM] = coerce_num,
    [OP_P_BOOL] = coerce_bool, [OP_P_TIME] = coerce_time, [OP_P_DURATION] = coerce_duration,
    [OP_P_JSON] = coerce_json, [OP_P_LIST] = coerce_list, [OP_P_FILE] = coerce_file};

static enum err_code coerce(const struct op_call *call, const struct op_param *p,
                            const struct json *given, struct json **ret, struct err *err)
{
    struct coercion c = {.call = call, .param = p, .given = given};
    if (given->type == JSON_STR)
        c.text = str_n(given->u.s.p ? given->u.s.p : "", given->u.s.n);
    enum err_code code = COERCE[p->type](&c, err);
    if (code != ERR_OK)
        return err_wrap(err, "%s", p->name);
    *ret = c.ret;
    return ERR_OK;
}

/* The value of a parameter that was not given: its default, or nothing. */
static enum err_code default_of(const struct op_route *r, const struct op_call *call,
                                const struct op_param *p, struct json **ret, struct err *err)
{
    struct json *text = NULL;
    *ret = NULL;
    if (p->is_required)
        return err_set(err, ERR_USAGE, "%s is missing: %s", p->name, p->help);
    if (!p->def)
        return ERR_OK;
    if (p->type == OP_P_JSON)
        return json_read(str_c(p->def), call->arena, ret, err);
    text = json_cstr(call->arena, p->def);
    return coerce(call, p, text, ret, err);
}

static enum err_code refuse_unknown(const struct op_route *r, const struct json *in,
                                    struct err *err)
{
    const char *names[64];
    size_t n = 0;
    for (; n < r->n_params && n < ARRAY_LEN(names); n++)
        names[n] = r->params[n].name;
    for (size_t i = 0; in && i < json_len(in); i++) {
        struct str key = in->u.obj.members[i].key;
        if (op_param_find(r, key))
            continue;
        const char *near = str_nearest(key, names, n);
        if (near)
            return err_set(err, ERR_USAGE, "%s has no parameter \"%.*s\": did you mean \"%s\"?",
                           r->name, (int)(key.n < 60 ? key.n : 60), key.p, near);
        return err_set(err, ERR_USAGE, "%s has no parameter \"%.*s\"", r->name,
                       (int)(key.n < 60 ? key.n : 60), key.p);
    }
    return ERR_OK;
}

static enum err_code complete(const struct op_route *r, const struct op_call *call,
                              const struct json *in, struct json *out, struct err *err)
{
    enum err_code code = refuse_unknown(r, in, err);
    for (size_t i = 0; i < r->n_params && code == ERR_OK; i++) {
        const struct op_param *p = &r->params[i];
        const struct json *given = json_get(in, p->name);
        struct json *v = NULL;
        if (given && given->type != JSON_NULL)
            code = coerce(call, p, given, &v, err);
        else
            code = default_of(r, call, p, &v, err);
        if (code == ERR_OK)
            json_set(call->arena, out, p->name, v);
    }
    return code;
}

enum err_code op_run(const struct op_route *r, struct op_call *call, const struct json *in,
                     struct json **ret, struct err *err)
{
    struct json *checked = json_obj(call->arena), *answer = NULL;
    if (in && in->type != JSON_OBJ)
        return err_set(err, ERR_INVALID, "the request must be a JSON object");
    if (checked == &JSON_NOMEM)
        return arena_err(call->arena, err);
    enum err_code code = complete(r, call, in, checked, err);
    if (code != ERR_OK)
        return code;
    if (r->home == OP_HOME_NEEDED && !call->sv->home)
        return err_set(
            err, ERR_NOT_FOUND,
            "there is no home here or above: make one with `pawl init`, or name one with --home");
    code = r->fn(call, checked, &answer, err);
    if (code == ERR_OK || (code == ERR_NO && answer))
        *ret = answer;
    return code;
}

enum err_code op_answer(enum err_code code, const struct json *doc, const struct err *failure,
                        struct buf *out, struct err *err)
{
    enum err_code written = ERR_OK;
    if (code == ERR_OK && !doc) {
        buf_c(out, "{}");
    } else if (doc && (code == ERR_OK || code == ERR_NO)) {
        written = json_write(doc, JSON_COMPACT, out, err);
    } else {
        buf_printf(out, "{\"error\":{\"code\":\"%s\",\"message\":", err_name(code));
        buf_quote(out, str_c(failure->msg[0] ? failure->msg : err_text(code)));
        buf_c(out, "}}");
    }
    if (written != ERR_OK)
        return written;
    buf_ch(out, '\n');
    return buf_ok(out, err);
}
