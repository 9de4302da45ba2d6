#include "api/op_http.h"

#include "access/access.h"
#include "api/services.h"

#define ANSWER_BYTES_MAX (256U << 20)

struct binding {
    const struct op_route *route;
    struct services *sv;
};

static void answer(struct http_request *r, enum err_code code, const struct json *doc,
                   const struct err *failure)
{
    struct buf text;
    struct err err = ERR_INIT;
    buf_init(&text, ANSWER_BYTES_MAX);
    enum err_code written = op_answer(code, doc, failure, &text, &err);
    char *copy = written == ERR_OK ? str_dup(r->arena, buf_view(&text)) : NULL;
    if (copy) {
        http_answer_json(r, err_http_status(code), str_n(copy, text.n));
    } else {
        http_answer_json(
            r, err_http_status(ERR_INTERNAL),
            STR("{\"error\":{\"code\":\"internal\",\"message\":\"the answer does not fit in "
                "memory\"}}\n"));
    }
    buf_fini(&text);
}

/* Members of the body first, then the query, then the path, which nothing may override. */
static enum err_code gather(struct http_request *r, const struct op_route *route, struct json **ret,
                            struct err *err)
{
    struct http_pair *query = NULL;
    size_t n_query = 0;
    struct json *in = json_obj(r->arena);
    enum err_code code = ERR_OK;
    if (!route->is_raw_body && str_trim(r->body).n > 0)
        code = json_read(r->body, r->arena, &in, err);
    if (code != ERR_OK)
        return err_wrap(err, "request body");
    if (in->type != JSON_OBJ)
        return err_set(err, ERR_INVALID, "the request body must be a JSON object");
    code = http_query_all(r, &query, &n_query, err);
    if (code != ERR_OK)
        return code;
    for (size_t i = 0; i < n_query; i++) {
        char *name = str_dup(r->arena, query[i].name);
        if (!name)
            return arena_err(r->arena, err);
        json_set(r->arena, in, name, json_str(r->arena, query[i].value));
    }
    for (size_t i = 0; i < route->n_params; i++)
        if (route->params[i].is_in_path)
            json_set(r->arena, in, route->params[i].name,
                     json_str(r->arena, http_param(r, route->params[i].name)));
    *ret = in;
    return ERR_OK;
}

static enum err_code identify(struct http_request *r, const struct binding *b,
                              struct access_identity *who, struct err *err)
{
    struct str authorization = http_header(r, "Authorization");
    enum err_code code = services_need(b->sv->access, "the home's token", err);
    if (code == ERR_OK)
        code = access_check(b->sv->access, authorization.p ? authorization : STR(""), who, err);
    if (code != ERR_OK)
        return code;
    if (b->route->permission == OP_DECIDE && !who->may_decide)
        return err_set(
            err, ERR_AUTH,
            "%s decides what production does: send the home's token (Authorization: Bearer …)",
            b->route->name);
    return ERR_OK;
}

static void run_operation(struct http_request *r, void *arg)
{
    const struct binding *b = arg;
    struct err err = ERR_INIT;
    struct access_identity who = {0};
    struct json *in = NULL, *doc = NULL;
    enum err_code code = identify(r, b, &who, &err);
    if (code == ERR_OK)
        code = gather(r, b->route, &in, &err);
    if (code == ERR_OK) {
        struct str type = http_header(r, "Content-Type");
        struct op_call call = {.sv = b->sv,
                               .arena = r->arena,
                               .actor = who.actor,
                               .is_trusted = who.may_decide,
                               .is_cancelled = &r->is_cancelled};
        if (b->route->is_raw_body) {
            call.body = r->body;
            call.body_path = r->body_path;
            call.content_type = type.p ? str_dup(r->arena, type) : NULL;
        }
        code = op_run(b->route, &call, in, &doc, &err);
    }
    if (code == ERR_AUTH)
        http_answer_header(r, "WWW-Authenticate", "Bearer");
    answer(r, code, doc, &err);
}

enum err_code op_http_routes(struct services *sv, struct arena *a, struct http_route **ret,
                             size_t *ret_n, struct err *err)
{
    struct http_route *routes = ARENA_NEW_N(a, struct http_route, N_OP_ROUTES);
    struct binding *bindings = ARENA_NEW_N(a, struct binding, N_OP_ROUTES);
    if (!routes || !bindings)
        return arena_err(a, err);
    for (size_t i = 0; i < N_OP_ROUTES; i++) {
        const struct op_route *r = &OP_ROUTES[i];
        bindings[i] = (struct binding){r, sv};
        char *path = str_printf(a, "%s%s", OP_HTTP_PREFIX, r->path);
        if (!path)
            return arena_err(a, err);
        routes[i] =
            (struct http_route){.method = r->method,
                                .path = path,
                                .class_ = r->class_ == OP_INLINE ? HTTP_INLINE : HTTP_QUEUED,
                                .flags = r->is_raw_body ? HTTP_ANY_TYPE | HTTP_SPOOL : 0,
                                .body_max_bytes = r->is_raw_body ? SIZE_MAX / 4 : 0,
                                .deadline_ms = -1,
                                .fn = run_operation,
                                .arg = &bindings[i]};
    }
    *ret = routes;
    *ret_n = N_OP_ROUTES;
    return ERR_OK;
}
