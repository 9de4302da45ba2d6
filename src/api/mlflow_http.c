/* Routes, requests and errors of the MLflow protocol. What decides compatibility: unknown paths
 * answer 404 with ENDPOINT_NOT_FOUND (clients fall back on it), a user's mistake is never a 5xx
 * (clients retry those for minutes), and numbers, lists and field names are read as protobuf's JSON
 * does. */
#include "api/mlflow_http.h"

#include <ctype.h>
#include <stdio.h>

#include "api/mlflow_int.h"
#include "base/check.h"

#define ANSWER_BYTES_MAX ((size_t)1 << 30)
#define SEE_DOCS         " See the API docs for more information about request parameters."
/* Below 3.4 a client that traces keeps its spans in an artifact instead of OTLP. */
#define MLFLOW_VERSION STR("3.3.2")

struct mlflow_binding {
    struct services *sv;
    const struct mlflow_route *route;
};

/* ---- errors ---- */

/* MLflow's statuses where they differ from ours: whatever the user can mend is a 400. */
static int status_of(enum err_code code)
{
    int status = err_http_status(code);
    if (code == ERR_LIMIT || code == ERR_NO)
        return 400;
    return status == 409 || status == 413 || status == 422 ? 400 : status;
}

static const char *code_of(enum err_code code)
{
    return code == ERR_REFUSED || code == ERR_CONFLICT || code == ERR_NO || code == ERR_LIMIT
               ? "INVALID_PARAMETER_VALUE"
               : err_mlflow_code(code);
}

static void answer_error(struct http_request *r, int status, const char *code, const char *message)
{
    struct buf text;
    struct json *j = json_obj(r->arena);
    json_set(r->arena, j, "error_code", json_cstr(r->arena, code));
    json_set(r->arena, j, "message", json_cstr(r->arena, message));
    buf_init(&text, 1 << 16);
    char *copy = json_write(j, JSON_COMPACT, &text, NULL) == ERR_OK
                     ? str_dup(r->arena, buf_view(&text))
                     : NULL;
    http_answer_json(r, status,
                     copy ? str_n(copy, text.n) : STR("{\"error_code\":\"INTERNAL_ERROR\"}"));
    buf_fini(&text);
}

void mlflow_answer_err(struct http_request *r, const struct err *err)
{
    answer_error(r, status_of(err->code), code_of(err->code), err->msg);
}

static void endpoint_not_found(struct http_request *r, void *arg)
{
    answer_error(r, 404, "ENDPOINT_NOT_FOUND", "this server has no such MLflow endpoint");
}

/* ---- reading ---- */

/* "max_results" as "maxResults". */
static void camel(const char *snake, char out[64])
{
    size_t n = 0;
    for (; *snake && n < 63; snake++) {
        if (*snake == '_' && snake[1])
            out[n++] = (char)toupper((unsigned char)*++snake);
        else
            out[n++] = *snake;
    }
    out[n] = '\0';
}

const struct json *mlf_get(const struct json *obj, const char *key)
{
    char other[64];
    const struct json *v = json_get(obj, key);
    if (!v) {
        camel(key, other);
        v = json_get(obj, other);
    }
    return v && v->type != JSON_NULL ? v : NULL;
}

enum err_code mlf_invalid(const struct json *v, const char *at, struct err *err)
{
    static const char *const TYPES[JSON_TYPE_N] = {"NoneType", "bool", "int", "float",
                                                   "str",      "list", "dict"};
    struct buf text;
    buf_init(&text, 600);
    enum err_code written = json_write(v, JSON_COMPACT, &text, NULL);
    err_set(err, ERR_INVALID,
            "Invalid value %.*s for parameter '%s' supplied: Hint: Value was of type '%s'.%s",
            STR_ARG(written == ERR_OK ? buf_view(&text) : STR("(long)")), at, TYPES[v->type],
            SEE_DOCS);
    buf_fini(&text);
    return ERR_INVALID;
}

const char *mlf_str(struct mlflow_call *c, const struct json *obj, const char *key)
{
    const struct json *v = mlf_get(obj, key);
    if (!v)
        return NULL;
    if (v->type == JSON_ARR)
        v = json_at(v, 0);
    if (v && v->type == JSON_STR)
        return str_dup(c->a, v->u.s);
    if (v && v->type == JSON_INT)
        return str_printf(c->a, "%lld", (long long)v->u.i);
    return NULL;
}

enum err_code mlf_need(struct mlflow_call *c, const char *key, const char **ret, struct err *err)
{
    const struct json *v = mlf_get(c->in, key);
    const char *text = mlf_str(c, c->in, key);
    if (v && !text)
        return mlf_invalid(v, key, err);
    if (!text || !*text)
        return err_set(err, ERR_INVALID, "Missing value for required parameter '%s'.%s", key,
                       SEE_DOCS);
    *ret = text;
    return ERR_OK;
}

enum err_code mlf_int(const struct json *obj, const char *key, const char *at, int64_t *ret,
                      struct err *err)
{
    const struct json *v = mlf_get(obj, key);
    double f = 0;
    if (!v)
        return ERR_OK;
    if (v->type == JSON_STR && parse_i64(v->u.s, ret, NULL) == ERR_OK)
        return ERR_OK;
    if (v->type == JSON_INT) {
        *ret = v->u.i;
        return ERR_OK;
    }
    if (v->type == JSON_REAL && json_as_f64(v, &f) && f == (double)(int64_t)f) {
        *ret = (int64_t)f;
        return ERR_OK;
    }
    return mlf_invalid(v, at, err);
}

const struct json *mlf_list(struct mlflow_call *c, const char *key)
{
    const struct json *v = mlf_get(c->in, key);
    if (!v || v->type == JSON_ARR)
        return v;
    return json_add(c->a, json_arr(c->a), (struct json *)(uintptr_t)v);
}

const char *mlf_truncate(struct arena *a, const char *text, size_t n)
{
    size_t count = 0;
    if (!text || strlen(text) <= n)
        return text;
    for (size_t i = 0; text[i]; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80 && count++ == n)
            return str_dup(a, str_n(text, i));
    return text;
}

enum err_code mlf_tags(struct mlflow_call *c, const struct json *list, struct tag **ret,
                       size_t *ret_n, struct err *err)
{
    size_t n = json_len(list);
    struct tag *tags = ARENA_NEW_N(c->a, struct tag, n);
    if (!tags)
        return arena_err(c->a, err);
    for (size_t i = 0; i < n; i++) {
        const char *key = mlf_str(c, json_at(list, i), "key"),
                   *value = mlf_str(c, json_at(list, i), "value");
        if (!key || !*key)
            return err_set(err, ERR_INVALID,
                           "Missing value for required parameter 'tags[%zu].key'.%s", i, SEE_DOCS);
        tags[i] = (struct tag){key, mlf_truncate(c->a, value ? value : "", 8000)};
        if (!tags[i].value)
            return arena_err(c->a, err);
    }
    *ret = tags;
    *ret_n = n;
    return ERR_OK;
}

static enum err_code view_of(struct mlflow_call *c, const char *key, enum life_view *ret,
                             struct err *err)
{
    static const char *const NAMES[] = {"ACTIVE_ONLY", "DELETED_ONLY", "ALL"};
    const char *text = mlf_str(c, c->in, key);
    *ret = LIFE_ACTIVE;
    for (int i = 0; text && i < 3; i++)
        if (strcasecmp(text, NAMES[i]) == 0 || (text[0] == '1' + i && !text[1])) {
            *ret = (enum life_view)i;
            return ERR_OK;
        }
    return text ? mlf_invalid(mlf_get(c->in, key), key, err) : ERR_OK;
}

enum err_code mlf_query(struct mlflow_call *c, int64_t default_limit, int64_t limit_max,
                        struct search_query *ret, struct err *err)
{
    const struct json *order = mlf_list(c, "order_by");
    size_t n = json_len(order);
    const char **items = ARENA_NEW_N(c->a, const char *, n);
    *ret = (struct search_query){.limit = default_limit,
                                 .filter = mlf_str(c, c->in, "filter"),
                                 .page_token = mlf_str(c, c->in, "page_token"),
                                 .order_by = items,
                                 .n_order_by = n};
    if (!items)
        return arena_err(c->a, err);
    for (size_t i = 0; i < n; i++) {
        if (json_at(order, i)->type != JSON_STR)
            return mlf_invalid(json_at(order, i), "order_by", err);
        items[i] = str_dup(c->a, json_at(order, i)->u.s);
    }
    enum err_code code = mlf_int(c->in, "max_results", "max_results", &ret->limit, err);
    if (code == ERR_OK && (ret->limit < 1 || ret->limit > limit_max))
        code = err_set(err, ERR_INVALID,
                       "Invalid value %lld for parameter 'max_results' supplied: it must be 1 to "
                       "%lld.",
                       (long long)ret->limit, (long long)limit_max);
    if (code == ERR_OK)
        code = view_of(c, mlf_get(c->in, "run_view_type") ? "run_view_type" : "view_type",
                       &ret->view, err);
    return code;
}

enum err_code mlf_experiment_id(const char *text, int64_t *ret, struct err *err)
{
    if (parse_i64(str_c(text), ret, NULL) == ERR_OK)
        return ERR_OK;
    return err_set(err, ERR_NOT_FOUND, "No Experiment with id=%s exists", text);
}

/* ---- pieces of answers ---- */

struct json *mlf_ms(struct arena *a, int64_t at_us)
{
    return at_us == AT_US_NONE ? NULL : json_int(a, floor_div_i64(at_us, US_PER_MS));
}

struct json *mlf_tags_json(struct arena *a, const struct tag *tags, size_t n)
{
    struct json *list = json_arr(a);
    for (size_t i = 0; i < n; i++) {
        struct json *t = json_obj(a);
        json_set(a, t, "key", json_cstr(a, tags[i].key));
        json_add(a, list, json_set(a, t, "value", json_cstr(a, tags[i].value)));
    }
    return n ? list : NULL;
}

struct json *mlf_page(struct arena *a, struct json *obj, const char *token)
{
    return token ? json_set(a, obj, "next_page_token", json_cstr(a, token)) : obj;
}

/* ---- dispatch ---- */

static struct json *query_object(struct http_request *r, struct err *err)
{
    struct http_pair *pairs = NULL;
    size_t n = 0;
    struct json *in = json_obj(r->arena);
    if (http_query_all(r, &pairs, &n, err) != ERR_OK)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        char *key = str_dup(r->arena, pairs[i].name);
        struct json *v = json_str(r->arena, pairs[i].value);
        struct json *old = key ? (struct json *)(uintptr_t)json_get(in, key) : NULL;
        if (!key)
            return arena_err(r->arena, err) == ERR_OK ? in : NULL;
        if (old && old->type == JSON_ARR)
            json_add(r->arena, old, v);
        else if (old)
            json_set(r->arena, in, key,
                     json_add(r->arena, json_add(r->arena, json_arr(r->arena), old), v));
        else
            json_set(r->arena, in, key, v);
    }
    return in;
}

static bool is_json_type(struct http_request *r)
{
    struct str type = http_header(r, "Content-Type");
    struct str main = type.p ? str_trim(str_split(&type, ';')) : STR_NONE;
    return main.p && main.n == 16 && strncasecmp(main.p, "application/json", 16) == 0;
}

static enum err_code request_read(struct http_request *r, const struct json **ret, struct err *err)
{
    struct json *in = NULL;
    bool is_get = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
    bool needs_type = strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0;
    if ((is_get && r->query.n > 0) || str_trim(r->body).n == 0) {
        *ret = query_object(r, err);
        return *ret ? ERR_OK : err->code;
    }
    if (needs_type && !is_json_type(r))
        return err_set(err, ERR_INVALID, "Bad Request. Content-Type must be application/json.");
    enum err_code code = json_read(r->body, r->arena, &in, err);
    /* Some clients encode twice. */
    if (code == ERR_OK && in->type == JSON_STR)
        code = json_read(in->u.s, r->arena, &in, err);
    if (code == ERR_OK && in->type != JSON_OBJ)
        code = err_set(err, ERR_INVALID, "the request body must be a JSON object");
    *ret = in;
    return code;
}

static void dispatch(struct http_request *r, void *arg)
{
    const struct mlflow_binding *b = arg;
    struct err err = ERR_INIT;
    struct json *out = json_obj(r->arena);
    struct buf text;
    struct mlflow_call c = {
        .sv = b->sv, .req = r, .a = r->arena, .track = b->sv->track, .registry = b->sv->registry};
    enum err_code code = services_need(c.track, "the tracking store", &err);
    if (code == ERR_OK)
        code = services_need(c.registry, "the model registry", &err);
    if (code == ERR_OK)
        code = request_read(r, &c.in, &err);
    if (code == ERR_OK)
        code = b->route->fn(&c, &out, &err);
    buf_init(&text, ANSWER_BYTES_MAX);
    if (code == ERR_OK)
        code = json_write(out, JSON_COMPACT, &text, &err);
    char *copy = code == ERR_OK ? str_dup(r->arena, buf_view(&text)) : NULL;
    if (code == ERR_OK && !copy)
        code = arena_err(r->arena, &err);
    if (code == ERR_OK)
        http_answer_json(r, 200, str_n(copy, text.n));
    else
        mlflow_answer_err(r, &err);
    buf_fini(&text);
}

static void version_answer(struct http_request *r, void *arg)
{
    http_answer_text(r, 200, MLFLOW_VERSION);
}

/* ---- routes ---- */

static const char *const PREFIXES[] = {"/api/2.0/mlflow", "/ajax-api/2.0/mlflow"};
static const char *const UNKNOWN[] = {"/api/2.0/{rest*}", "/ajax-api/2.0/{rest*}",
                                      "/api/3.0/{rest*}", "/ajax-api/3.0/{rest*}"};

#define ARTIFACTS      "/api/2.0/mlflow-artifacts/"
#define AJAX_ARTIFACTS "/ajax-api/2.0/mlflow-artifacts/"
#define UPLOAD         (HTTP_ANY_TYPE | HTTP_SPOOL)
static const struct {
    const char *method, *path;
    unsigned flags;
    http_fn fn;
} FILES[] = {
    {"GET", ARTIFACTS "artifacts", 0, mlflow_artifact_list},
    {"GET", ARTIFACTS "artifacts/{path*}", 0, mlflow_artifact_get},
    {"PUT", ARTIFACTS "artifacts/{path*}", UPLOAD, mlflow_artifact_put},
    {"DELETE", ARTIFACTS "artifacts/{path*}", HTTP_ANY_TYPE, mlflow_artifact_delete},
    {"*", ARTIFACTS "mpu/{rest*}", HTTP_ANY_TYPE, mlflow_artifact_multipart},
    {"*", ARTIFACTS "presigned/{rest*}", HTTP_ANY_TYPE, mlflow_artifact_multipart},
    {"GET", AJAX_ARTIFACTS "artifacts", 0, mlflow_artifact_list},
    {"GET", AJAX_ARTIFACTS "artifacts/{path*}", 0, mlflow_artifact_get},
    {"GET", "/get-artifact", 0, mlflow_run_artifact_get},
};

struct route_list {
    struct services *sv;
    struct arena *a;
    struct http_route *p;
    size_t n;
};

static enum err_code table_add(struct route_list *l, const struct mlflow_route *rows, size_t n,
                               struct err *err)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ARRAY_LEN(PREFIXES); k++) {
            struct mlflow_binding *b = ARENA_NEW(l->a, struct mlflow_binding);
            char *path = str_printf(l->a, "%s%s", PREFIXES[k], rows[i].path);
            if (!b || !path)
                return arena_err(l->a, err);
            *b = (struct mlflow_binding){l->sv, &rows[i]};
            l->p[l->n++] = (struct http_route){.method = rows[i].method,
                                               .path = path,
                                               .class_ = HTTP_QUEUED,
                                               .flags = HTTP_ANY_TYPE,
                                               .fn = dispatch,
                                               .arg = b};
        }
    return ERR_OK;
}

enum err_code mlflow_http_routes(struct services *sv, struct arena *a, struct http_route **ret,
                                 size_t *ret_n, struct err *err)
{
    const struct {
        const struct mlflow_route *rows;
        size_t n;
    } tables[] = {{MLFLOW_EXPERIMENTS, N_MLFLOW_EXPERIMENTS},
                  {MLFLOW_RUNS, N_MLFLOW_RUNS},
                  {MLFLOW_MODELS, N_MLFLOW_MODELS},
                  {MLFLOW_VERSIONS, N_MLFLOW_VERSIONS},
                  {MLFLOW_LOGGED_MODELS, N_MLFLOW_LOGGED_MODELS}};
    struct route_list l = {.sv = sv, .a = a};
    size_t n = ARRAY_LEN(FILES) + ARRAY_LEN(UNKNOWN) + 1;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        n += tables[i].n * ARRAY_LEN(PREFIXES);
    l.p = ARENA_NEW_N(a, struct http_route, n);
    enum err_code code = l.p ? ERR_OK : arena_err(a, err);
    for (size_t i = 0; i < ARRAY_LEN(tables) && code == ERR_OK; i++)
        code = table_add(&l, tables[i].rows, tables[i].n, err);
    if (code != ERR_OK)
        return code;
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
        l.p[l.n++] = (struct http_route){.method = FILES[i].method,
                                         .path = FILES[i].path,
                                         .class_ = HTTP_QUEUED,
                                         .flags = FILES[i].flags,
                                         .body_max_bytes = SIZE_MAX / 4,
                                         .deadline_ms = -1,
                                         .fn = FILES[i].fn,
                                         .arg = sv};
    for (size_t i = 0; i < ARRAY_LEN(UNKNOWN); i++)
        l.p[l.n++] = (struct http_route){.method = "*",
                                         .path = UNKNOWN[i],
                                         .class_ = HTTP_INLINE,
                                         .flags = HTTP_ANY_TYPE,
                                         .fn = endpoint_not_found};
    l.p[l.n++] = (struct http_route){
        .method = "GET", .path = "/version", .class_ = HTTP_INLINE, .fn = version_answer};
    *ret = l.p;
    *ret_n = l.n;
    return ERR_OK;
}
