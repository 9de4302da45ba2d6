#include "cli/cli_int.h"

#include <stdlib.h>

#include "api/op_http.h"
#include "base/check.h"
#include "base/hash.h"
#include "http/client.h"

/* "/runs/{run}" with the parameters put in; those are taken out of *rest. */
static enum err_code fill_path(struct cli_request *q, struct json *rest, struct buf *url,
                               struct err *err)
{
    struct str path = str_c(q->route->path);
    while (path.n > 0) {
        ptrdiff_t open = str_find(path, STR("{")), close = str_find(path, STR("}"));
        if (open < 0 || close < open) {
            buf_str(url, path);
            return ERR_OK;
        }
        buf_put(url, path.p, (size_t)open);
        struct str name = str_n(path.p + open + 1, (size_t)(close - open) - 1);
        bool is_rest = str_ends(name, STR("*"));
        char *key = str_dup(q->arena, is_rest ? str_n(name.p, name.n - 1) : name);
        if (!key)
            return arena_err(q->arena, err);
        const char *value = json_get_c(q->in, key);
        if (!value)
            return err_set(err, ERR_USAGE, "%s is missing", key);
        http_escape(str_c(value), is_rest, url);
        json_remove(rest, key);
        path = str_n(path.p + close + 1, path.n - (size_t)close - 1);
    }
    return ERR_OK;
}

static void add_query(const struct json *rest, struct buf *url, struct arena *a)
{
    for (size_t i = 0; i < json_len(rest); i++) {
        const struct json_member *m = &rest->u.obj.members[i];
        buf_ch(url, i == 0 ? '?' : '&');
        http_escape(m->key, false, url);
        buf_ch(url, '=');
        if (m->val->type == JSON_STR) {
            http_escape(m->val->u.s, false, url);
            continue;
        }
        for (size_t k = 0; m->val->type == JSON_ARR && k < m->val->u.arr.n; k++) {
            if (k)
                buf_c(url, "%2C");
            http_escape(m->val->u.arr.items[k]->u.s, false, url);
        }
    }
}

static const char *token_of(const struct cli_request *q)
{
    const char *token = getenv("PAWL_TOKEN");
    return q->target.token ? q->target.token : token;
}

static void close_client(void *client)
{
    http_client_close(client);
}

static enum err_code client_of(struct cli_request *q, struct http_client **ret, struct err *err)
{
    struct http_client *c = NULL;
    enum err_code code = http_client_open(&c, err);
    if (code != ERR_OK)
        return code;
    if (!arena_on_release(q->arena, close_client, c)) {
        http_client_close(c);
        return arena_err(q->arena, err);
    }
    *ret = c;
    return ERR_OK;
}

/* What the answer's bytes mean. A server that is not ours, or a proxy, may answer anything. */
static void read_reply(struct cli_request *q, const struct http_reply *from, struct cli_reply *ret)
{
    struct err err = ERR_INIT;
    struct json *doc = NULL;
    ret->bytes = from->body;
    if (json_read(from->body, q->arena, &doc, &err) != ERR_OK) {
        ret->code = ERR_UNAVAILABLE;
        ret->sentence = str_printf(q->arena, "%s answered %d with something that is not JSON",
                                   q->target.url, from->status);
        return;
    }
    const struct json *error = json_get(doc, "error");
    if (from->status >= 400 && error && error->type == JSON_OBJ) {
        const char *name = json_get_c(error, "code"), *text = json_get_c(error, "message");
        ret->code = err_from_name(name ? name : "");
        ret->sentence = text ? text : "it failed and does not say why";
        return;
    }
    ret->code = from->status < 400 ? ERR_OK : from->status == 422 ? ERR_NO : ERR_INTERNAL;
    ret->doc = doc;
    if (ret->code == ERR_INTERNAL)
        ret->sentence = str_printf(q->arena, "%s answered %d", q->target.url, from->status);
}

static enum err_code call_url(struct cli_request *q, const struct http_call *call,
                              struct cli_reply *ret, struct err *err)
{
    struct http_client *client = NULL;
    struct http_reply reply = {0};
    enum err_code code = client_of(q, &client, err);
    if (code == ERR_OK)
        code = http_call(client, call, q->arena, &reply, err);
    if (code == ERR_OK)
        read_reply(q, &reply, ret);
    return code;
}

enum err_code cli_call_remote(struct cli_request *q, struct cli_reply *ret, struct err *err)
{
    struct buf url, body;
    struct json *rest = json_copy(q->arena, q->in);
    bool has_body = strcmp(q->route->method, "GET") != 0 && strcmp(q->route->method, "DELETE") != 0;
    buf_init(&url, 1 << 16);
    buf_init(&body, CLI_ANSWER_BYTES);
    buf_c(&url, q->target.url);
    buf_c(&url, OP_HTTP_PREFIX);
    enum err_code code = fill_path(q, rest, &url, err);
    if (code == ERR_OK && has_body)
        code = json_write(rest, JSON_COMPACT, &body, err);
    else if (code == ERR_OK)
        add_query(rest, &url, q->arena);
    if (code == ERR_OK)
        code = buf_ok(&url, err);
    if (code == ERR_OK) {
        struct http_call call = {.method = q->route->method,
                                 .url = url.p,
                                 .bearer = token_of(q),
                                 .body = has_body ? buf_view(&body) : STR_NONE,
                                 .content_type = has_body ? "application/json" : NULL,
                                 .deadline_ms = INT64_C(24) * 3600 * 1000,
                                 .reply_max_bytes = CLI_ANSWER_BYTES / 2};
        code = call_url(q, &call, ret, err);
    }
    buf_fini(&url);
    buf_fini(&body);
    return code;
}

enum err_code cli_upload(struct cli_request *q, const char *path, char **ret, struct err *err)
{
    struct digest d;
    char hex[DIGEST_HEX_BYTES];
    int64_t n_bytes = 0;
    struct cli_reply reply = {0};
    enum err_code code = digest_of_file(path, &d, &n_bytes, err);
    if (code != ERR_OK)
        return code;
    digest_hex(&d, hex);
    char *url = str_printf(q->arena, "%s%s/uploads/%s", q->target.url, OP_HTTP_PREFIX, hex);
    if (!url)
        return arena_err(q->arena, err);
    struct http_call call = {.method = "PUT",
                             .url = url,
                             .bearer = token_of(q),
                             .content_type = "application/octet-stream",
                             .body_path = path,
                             .deadline_ms = -1};
    code = call_url(q, &call, &reply, err);
    if (code == ERR_OK && reply.code != ERR_OK)
        code = err_set(err, reply.code, "upload %s: %s", path,
                       reply.sentence ? reply.sentence : "refused");
    if (code != ERR_OK)
        return code;
    *ret = str_printf(q->arena, "upload:%s", hex);
    return *ret ? ERR_OK : arena_err(q->arena, err);
}
