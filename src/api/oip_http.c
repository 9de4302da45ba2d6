#include "api/oip_http.h"

#include <string.h>

#include "access/access.h"
#include "api/oip_int.h"
#include "base/check.h"
#include "json/json.h"

#define JSON_BYTES_MAX (1u << 20)

#ifndef PAWL_VERSION
#define PAWL_VERSION "0"
#endif

static void answer_doc(struct http_request *r, const struct json *doc)
{
    struct err err = ERR_INIT;
    struct buf b;
    buf_init(&b, JSON_BYTES_MAX);
    char *copy =
        json_write(doc, JSON_COMPACT, &b, &err) == ERR_OK ? str_dup(r->arena, buf_view(&b)) : NULL;
    if (copy)
        http_answer_json(r, 200, str_n(copy, b.n));
    else
        http_answer_err(r,
                        err.code ? &err : &(struct err){.code = ERR_NOMEM, .msg = "out of memory"});
    buf_fini(&b);
}

/* The serving part, or an answer that says it is not there. */
static struct serve *serve_of(struct http_request *r, struct services *sv)
{
    struct err err = ERR_INIT;
    if (services_need(sv->serve, "serving", &err) == ERR_OK)
        return sv->serve;
    http_answer_err(r, &err);
    return NULL;
}

static void on_server(struct http_request *r, void *arg)
{
    struct arena *a = r->arena;
    struct json *doc = json_obj(a), *ext = json_arr(a);
    (void)arg;
    json_set(a, doc, "name", json_cstr(a, "pawl"));
    json_set(a, doc, "version", json_cstr(a, PAWL_VERSION));
    answer_doc(
        r, json_set(a, doc, "extensions", json_add(a, ext, json_cstr(a, "binary_tensor_data"))));
}

static void on_live(struct http_request *r, void *arg)
{
    (void)arg;
    http_answer_json(r, 200, STR("{\"live\":true}"));
}

static void on_ready(struct http_request *r, void *arg)
{
    const struct services *sv = arg;
    bool is_ready = sv->serve && serve_is_ready(sv->serve) &&
                    !(sv->server && http_server_is_draining(sv->server));
    http_answer_json(r, is_ready ? 200 : 503,
                     is_ready ? STR("{\"ready\":true}") : STR("{\"ready\":false}"));
}

static void on_models(struct http_request *r, void *arg)
{
    struct serve *s = serve_of(r, arg);
    struct err err = ERR_INIT;
    const char **names;
    size_t n;
    if (!s)
        return;
    if (serve_endpoints(s, r->arena, &names, &n, &err) != ERR_OK) {
        http_answer_err(r, &err);
        return;
    }
    struct json *list = json_arr(r->arena);
    for (size_t i = 0; i < n; i++)
        json_add(r->arena, list, json_cstr(r->arena, names[i]));
    answer_doc(r, json_set(r->arena, json_obj(r->arena), "models", list));
}

/* {model} and {version}; release 0 without a version. */
static enum err_code model_param(struct http_request *r, const char **ret_name,
                                 int64_t *ret_release, struct err *err)
{
    struct str version = http_param(r, "version");
    *ret_name = str_dup(r->arena, http_param(r, "model"));
    *ret_release = 0;
    if (!*ret_name)
        return arena_err(r->arena, err);
    if (!version.p)
        return ERR_OK;
    struct str number =
        version.n > 1 && version.p[0] == 'r' ? str_n(version.p + 1, version.n - 1) : version;
    struct err ignored = ERR_INIT;
    if (parse_i64(number, ret_release, &ignored) != ERR_OK || *ret_release <= 0)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no release %.*s: versions are releases, such as r12",
                       STR_ARG(version));
    return ERR_OK;
}

static enum err_code model_runtime(struct http_request *r, struct serve *s, const char **ret_name,
                                   struct runtime **ret, struct err *err)
{
    int64_t release;
    if (model_param(r, ret_name, &release, err) != ERR_OK)
        return err->code;
    return serve_runtime(s, *ret_name, release, ret, err);
}

static void on_model_ready(struct http_request *r, void *arg)
{
    struct serve *s = serve_of(r, arg);
    struct err err = ERR_INIT;
    struct runtime *rt;
    const char *name;
    if (!s)
        return;
    if (model_runtime(r, s, &name, &rt, &err) != ERR_OK) {
        http_answer_err(r, &err);
        return;
    }
    runtime_unref(rt);
    struct json *doc = json_set(r->arena, json_obj(r->arena), "name", json_cstr(r->arena, name));
    answer_doc(r, json_set(r->arena, doc, "ready", json_bool(r->arena, true)));
}

static struct json *tensor_json(const char *name, const char *type, int64_t n_cols, struct arena *a)
{
    struct json *t = json_obj(a), *shape = json_add(a, json_arr(a), json_int(a, -1));
    json_set(a, t, "name", json_cstr(a, name));
    json_set(a, t, "datatype", json_cstr(a, type));
    return json_set(a, t, "shape", n_cols ? json_add(a, shape, json_int(a, n_cols)) : shape);
}

static struct json *inputs_json(const struct plan *p, struct arena *a)
{
    static const char *const types[VAL_TYPE_N] = {"BYTES", "BOOL",  "INT64",
                                                  "FP64",  "BYTES", "BYTES"};
    struct json *list = json_arr(a);
    for (size_t i = 0; i < plan_n_request(p); i++)
        json_add(a, list, tensor_json(plan_slot(p, i)->name, types[plan_slot(p, i)->type], 0, a));
    return list;
}

static struct json *outputs_json(const struct runtime *rt, struct arena *a)
{
    struct json *list = json_arr(a);
    double threshold = runtime_threshold(rt);
    bool is_multi = engine_task(runtime_engine(rt)) == ENGINE_MULTICLASS;
    json_add(a, list, tensor_json("predict", "FP32", (int64_t)runtime_n_outputs(rt), a));
    if (is_multi || threshold == threshold)
        json_add(a, list, tensor_json("decision", is_multi ? "INT64" : "BOOL", 0, a));
    return list;
}

static struct json *versions_json(struct serve *s, const char *name, struct arena *a)
{
    struct endpoint_state st;
    struct err ignored = ERR_INIT;
    struct json *list = json_arr(a);
    if (serve_endpoint(s, name, a, &st, &ignored) != ERR_OK)
        return list;
    json_add(a, list, json_fmt(a, "r%lld", (long long)st.live));
    if (st.has_rollout)
        json_add(a, list, json_fmt(a, "r%lld", (long long)st.rollout.candidate));
    return list;
}

static void on_model(struct http_request *r, void *arg)
{
    struct serve *s = serve_of(r, arg);
    struct err err = ERR_INIT;
    struct arena *a = r->arena;
    struct runtime *rt;
    const char *name;
    if (!s)
        return;
    if (model_runtime(r, s, &name, &rt, &err) != ERR_OK) {
        http_answer_err(r, &err);
        return;
    }
    struct json *doc = json_obj(a), *props = json_obj(a);
    json_set(a, doc, "name", json_cstr(a, name));
    json_set(a, doc, "versions", versions_json(s, name, a));
    json_set(a, doc, "platform", json_fmt(a, "pawl_%s", engine_kind(runtime_engine(rt))));
    json_set(a, doc, "inputs", inputs_json(runtime_plan(rt), a));
    json_set(a, doc, "outputs", outputs_json(rt, a));
    json_set(a, props, "release", json_fmt(a, "r%lld", (long long)runtime_release(rt)));
    json_set(a, props, "objective", json_cstr(a, engine_objective(runtime_engine(rt))));
    answer_doc(r, json_set(a, doc, "properties", props));
    runtime_unref(rt);
}

/* ---- infer ---- */

/* A release that does not serve answers only to who holds the home's token. */
static enum err_code tester_check(struct http_request *r, const struct services *sv,
                                  const char *name, int64_t release, struct err *err)
{
    struct endpoint_state st;
    struct access_identity who = {.may_decide = true};
    if (release == 0 || !sv->access ||
        serve_endpoint(sv->serve, name, r->arena, &st, err) != ERR_OK)
        return err->code;
    if (st.live == release)
        return ERR_OK;
    if (access_check(sv->access, http_header(r, "Authorization"), &who, err) != ERR_OK)
        return err->code;
    if (!who.may_decide)
        return err_set(err, ERR_FORBIDDEN,
                       "r%lld is not live on %s: asking it needs the home's token",
                       (long long)release, name);
    return ERR_OK;
}

/* JSON and raw tensors of the body, by the extension's header. */
static enum err_code body_split(struct http_request *r, struct str *ret_json, struct str *ret_raw,
                                struct err *err)
{
    struct str n = http_header(r, "Inference-Header-Content-Length");
    uint64_t json_bytes = r->body.n;
    if (n.p && parse_u64(n, &json_bytes, err) != ERR_OK)
        return err_wrap(err, "Inference-Header-Content-Length");
    if (n.p && json_bytes == 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "a body that is one raw tensor is not understood: describe it in JSON");
    if (json_bytes > r->body.n)
        return err_set(err, ERR_INVALID,
                       "Inference-Header-Content-Length is %llu, the body has %zu bytes",
                       (unsigned long long)json_bytes, r->body.n);
    *ret_json = str_n(r->body.p, (size_t)json_bytes);
    *ret_raw = str_n(r->body.p + json_bytes, r->body.n - (size_t)json_bytes);
    return ERR_OK;
}

static enum err_code infer(struct http_request *r, struct services *sv, struct str *ret,
                           struct err *err)
{
    struct oip_request q;
    struct serve_answer ans;
    struct str json, raw, version = http_param(r, "version");
    struct serve_request sq = {.endpoint = http_param(r, "model"), .mono_ns = r->mono_ns};
    const char *name;
    if (version.p && (model_param(r, &name, &sq.release, err) != ERR_OK ||
                      tester_check(r, sv, name, sq.release, err) != ERR_OK))
        return err->code;
    if (body_split(r, &json, &raw, err) != ERR_OK ||
        oip_read(json, raw, r->arena, &q, err) != ERR_OK ||
        oip_outputs_check(&q, &sq.wants_decision, err) != ERR_OK)
        return err->code;
    sq.id = q.id;
    sq.inputs = q.inputs;
    sq.n_inputs = q.n_inputs;
    if (serve_predict(sv->serve, &sq, r->arena, &ans, err) != ERR_OK)
        return err->code;
    return oip_write(&q, &ans, r->arena, ret, err);
}

static void on_infer(struct http_request *r, void *arg)
{
    struct services *sv = arg;
    struct str body;
    struct err err;
    err.code = ERR_OK; /* the message is written with the code */
    err.msg[0] = 0;
    if (!serve_of(r, sv))
        return;
    if (infer(r, sv, &body, &err) == ERR_OK)
        http_answer_json(r, 200, body);
    else
        http_answer_err(r, &err);
}

enum err_code oip_http_routes(struct services *sv, struct arena *a, struct http_route **ret,
                              size_t *ret_n, struct err *err)
{
    static const struct http_route rows[] = {
        {.method = "GET", .path = "/v2", .fn = on_server},
        {.method = "GET", .path = "/v2/", .fn = on_server},
        {.method = "GET", .path = "/v2/health/live", .flags = HTTP_ANY_HOST, .fn = on_live},
        {.method = "GET", .path = "/v2/health/ready", .flags = HTTP_ANY_HOST, .fn = on_ready},
        {.method = "GET", .path = "/v2/models", .fn = on_models},
        {.method = "GET", .path = "/v2/models/{model}", .fn = on_model},
        {.method = "GET", .path = "/v2/models/{model}/ready", .fn = on_model_ready},
        {.method = "GET", .path = "/v2/models/{model}/versions/{version}", .fn = on_model},
        {.method = "GET",
         .path = "/v2/models/{model}/versions/{version}/ready",
         .fn = on_model_ready},
        {.method = "POST",
         .path = "/v2/models/{model}/infer",
         .flags = HTTP_ANY_TYPE,
         .fn = on_infer},
        {.method = "POST",
         .path = "/v2/models/{model}/versions/{version}/infer",
         .flags = HTTP_ANY_TYPE,
         .fn = on_infer},
    };
    struct http_route *routes = ARENA_NEW_N(a, struct http_route, ARRAY_LEN(rows));
    if (!routes)
        return arena_err(a, err);
    memcpy(routes, rows, sizeof rows);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        routes[i].arg = sv;
    *ret = routes;
    *ret_n = ARRAY_LEN(rows);
    return ERR_OK;
}
