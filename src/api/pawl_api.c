/* What the program says about itself: its OpenAPI document, and files that clients elsewhere upload. */
#include <stdlib.h>

#include "api/op_handlers.h"
#include "api/op_http.h"
#include "api/services.h"
#include "base/file.h"

static const char *schema_type(enum op_param_type t)
{
    switch (t) {
    case OP_P_INT:
        return "integer";
    case OP_P_NUM:
        return "number";
    case OP_P_BOOL:
        return "boolean";
    case OP_P_LIST:
        return "array";
    case OP_P_STR:
    case OP_P_TIME:
    case OP_P_DURATION:
    case OP_P_FILE:
        return "string";
    case OP_P_JSON:
    case OP_PARAM_TYPE_N:
    default:
        return NULL;
    }
}

static struct json *schema_of(struct arena *a, const struct op_param *p)
{
    struct json *s = json_obj(a);
    json_set(a, s, "type", json_cstr(a, schema_type(p->type)));
    if (p->type == OP_P_TIME)
        json_set(a, s, "format", json_cstr(a, "date-time"));
    if (p->type == OP_P_LIST)
        json_set(a, s, "items", json_set(a, json_obj(a), "type", json_cstr(a, "string")));
    json_set(a, s, "description", json_cstr(a, p->help));
    if (p->def)
        json_set(a, s, "default", json_cstr(a, p->def));
    return s;
}

static struct json *parameter_of(struct arena *a, const struct op_param *p)
{
    struct json *o = json_obj(a);
    json_set(a, o, "name", json_cstr(a, p->name));
    json_set(a, o, "in", json_cstr(a, p->is_in_path ? "path" : "query"));
    json_set(a, o, "required", json_bool(a, p->is_required));
    json_set(a, o, "schema", schema_of(a, p));
    return o;
}

static struct json *body_of(struct arena *a, const struct op_route *r)
{
    struct json *schema = json_obj(a), *properties = json_obj(a), *required = json_arr(a);
    const char *type = r->is_raw_body ? "application/octet-stream" : "application/json";
    json_set(a, schema, "type", json_cstr(a, r->is_raw_body ? "string" : "object"));
    for (size_t i = 0; i < r->n_params && !r->is_raw_body; i++) {
        const struct op_param *p = &r->params[i];
        if (p->is_in_path)
            continue;
        json_set(a, properties, p->name, schema_of(a, p));
        if (p->is_required)
            json_add(a, required, json_cstr(a, p->name));
    }
    if (json_len(properties) > 0)
        json_set(a, schema, "properties", properties);
    if (json_len(required) > 0)
        json_set(a, schema, "required", required);
    struct json *media = json_set(a, json_obj(a), "schema", schema);
    return json_set(a, json_obj(a), "content", json_set(a, json_obj(a), type, media));
}

static struct json *responses_of(struct arena *a)
{
    struct json *ok = json_set(a, json_obj(a), "description", json_cstr(a, "the answer"));
    struct json *failed = json_set(a, json_obj(a), "description",
                                   json_cstr(a, "{\"error\": {\"code\", \"message\"}}"));
    struct json *all = json_set(a, json_obj(a), "200", ok);
    return json_set(a, all, "default", failed);
}

static struct json *operation_of(struct arena *a, const struct op_route *r)
{
    struct json *o = json_obj(a), *parameters = json_arr(a);
    bool has_body = strcmp(r->method, "GET") != 0 && strcmp(r->method, "DELETE") != 0;
    json_set(a, o, "operationId", json_cstr(a, r->name));
    json_set(a, o, "summary", json_cstr(a, r->summary));
    for (size_t i = 0; i < r->n_params; i++)
        if (r->params[i].is_in_path || !has_body || r->is_raw_body)
            json_add(a, parameters, parameter_of(a, &r->params[i]));
    json_set(a, o, "parameters", parameters);
    if (r->command)
        json_set(a, o, "x-command", json_fmt(a, "pawl %s", r->command));
    if (has_body)
        json_set(a, o, "requestBody", body_of(a, r));
    if (r->permission == OP_DECIDE)
        json_set(a, o, "security",
                 json_add(a, json_arr(a), json_set(a, json_obj(a), "token", json_arr(a))));
    return json_set(a, o, "responses", responses_of(a));
}

static char *lower(struct arena *a, const char *method)
{
    char *s = str_dup(a, str_c(method));
    for (char *p = s; p && *p; p++)
        *p = (char)(*p | 0x20);
    return s;
}

enum err_code op_api_openapi(struct op_call *call, const struct json *in, struct json **ret,
                             struct err *err)
{
    struct arena *a = call->arena;
    struct json *doc = json_obj(a), *info = json_obj(a), *paths = json_obj(a);
    json_set(a, doc, "openapi", json_cstr(a, "3.1.0"));
    json_set(a, info, "title", json_cstr(a, "Pawl"));
    json_set(a, info, "version", json_cstr(a, PAWL_VERSION));
    json_set(a, doc, "info", info);
    for (size_t i = 0; i < N_OP_ROUTES; i++) {
        const struct op_route *r = &OP_ROUTES[i];
        char *path = str_printf(a, "%s%s", OP_HTTP_PREFIX, r->path), *method = lower(a, r->method);
        if (!path || !method)
            return arena_err(a, err);
        struct json *item = (struct json *)json_get(paths, path);
        if (!item) {
            item = json_obj(a);
            json_set(a, paths, path, item);
        }
        json_set(a, item, method, operation_of(a, r));
    }
    struct json *scheme = json_set(a, json_obj(a), "type", json_cstr(a, "http"));
    json_set(a, scheme, "scheme", json_cstr(a, "bearer"));
    json_set(a, doc, "paths", paths);
    json_set(
        a, doc, "components",
        json_set(a, json_obj(a), "securitySchemes", json_set(a, json_obj(a), "token", scheme)));
    *ret = doc;
    return ERR_OK;
}

/* Takes the bytes, checks that they are what their name says, and keeps them until the next cleaning of tmp/. */
static enum err_code keep_upload(struct op_call *call, const struct digest *want, const char *path,
                                 int64_t *ret_bytes, struct err *err)
{
    struct digest got;
    enum err_code code = ERR_OK;
    if (call->body_path) {
        code = digest_of_file(call->body_path, &got, ret_bytes, err);
    } else {
        digest_of(call->body.p, call->body.n, &got);
        *ret_bytes = (int64_t)call->body.n;
    }
    if (code != ERR_OK)
        return code;
    if (digest_cmp(&got, want) != 0)
        return err_set(err, ERR_INVALID, "the bytes are not those of the digest in the path");
    if (file_exists(path))
        return ERR_OK;
    return call->body_path ? file_clone(call->body_path, path, 0600, err)
                           : file_write(path, call->body, 0600, err);
}

enum err_code op_api_upload(struct op_call *call, const struct json *in, struct json **ret,
                            struct err *err)
{
    struct arena *a = call->arena;
    struct digest want;
    int64_t n_bytes = 0;
    struct str hex = json_get_str(in, "sha256");
    enum err_code code = digest_parse(hex, &want, err);
    if (code != ERR_OK)
        return code;
    char *dir = path_join(a, call->sv->home, "tmp");
    char *path = dir ? str_printf(a, "%s/upload-%.*s", dir, STR_ARG(hex)) : NULL;
    if (!path)
        return arena_err(a, err);
    code = dir_make(dir, 0700, err);
    if (code == ERR_OK)
        code = keep_upload(call, &want, path, &n_bytes, err);
    if (code != ERR_OK)
        return code;
    struct json *doc = json_obj(a);
    json_set(a, doc, "file", json_fmt(a, "upload:%.*s", STR_ARG(hex)));
    json_set(a, doc, "bytes", json_int(a, n_bytes));
    *ret = doc;
    return ERR_OK;
}
