#include "http/client.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "http/client_int.h"

#define CALL_DEADLINE_MS   30000
#define CONNECT_MS         10000
#define STALL_S            60
#define REPLY_MAX_BYTES    (64u << 20)
#define HEADERS_MAX_BYTES  (256u << 10)
#define REDIRECTS_MAX      5
#define AUTH_MAX_BYTES     8192
#define STATUS_OK_FIRST    200
#define STATUS_OK_END      300
#define STATUS_ERROR_FIRST 400

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum err_code http_client_open(struct http_client **ret, struct err *err)
{
    CHECK(pthread_once(&curl_once, curl_start) == 0);
    struct http_client *c = calloc(1, sizeof *c);
    if (c)
        c->curl = curl_easy_init();
    if (!c || !c->curl) {
        free(c);
        return err_nomem(err);
    }
    *ret = c;
    return ERR_OK;
}

void http_client_close(struct http_client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    free(c);
}

void client_reset(struct http_client *c, char error_text[CURL_ERROR_SIZE])
{
    error_text[0] = 0;
    curl_easy_reset(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, error_text);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c->curl, CURLOPT_TCP_NODELAY, 1L);
}

enum err_code client_error(CURLcode code, const char *error_text, const char *url, struct err *err)
{
    const char *text = *error_text ? error_text : curl_easy_strerror(code);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, ERR_TIMEOUT, "%s: %s", url, text);
    if (code == CURLE_OUT_OF_MEMORY)
        return err_nomem(err);
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return err_set(err, ERR_INVALID, "%s: %s", url, text);
    return err_set(err, ERR_UNAVAILABLE, "%s: %s", url, text);
}

/* One transfer: where its bytes come from and go to. */
struct transfer {
    struct http_client *c;
    const struct http_call *call;
    struct buf body, headers;
    int save_fd;
    int64_t save_bytes;
    FILE *upload;
    struct curl_slist *list;
    struct err err; /* of our callbacks */
    char auth[AUTH_MAX_BYTES];
    char error_text[CURL_ERROR_SIZE];
};

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long status = 0;
    curl_easy_getinfo(t->c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->save_fd >= 0 && status >= STATUS_OK_FIRST && status < STATUS_OK_END) {
        t->save_bytes += (int64_t)(size * n);
        return fd_write_all(t->save_fd, p, size * n, &t->err) == ERR_OK ? size * n : 0;
    }
    buf_put(&t->body, p, size * n);
    return buf_ok(&t->body, &t->err) == ERR_OK ? size * n : 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    if (size * n > 5 && memcmp(p, "HTTP/", 5) == 0)
        buf_reset(&t->headers); /* of the last answer of a chain of redirects */
    else
        buf_put(&t->headers, p, size * n);
    return buf_ok(&t->headers, &t->err) == ERR_OK ? size * n : 0;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct transfer *t = arg;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return t->call->is_cancelled && atomic_load(t->call->is_cancelled);
}

static void header_add(struct transfer *t, const char *text)
{
    struct curl_slist *l = curl_slist_append(t->list, text);
    if (l)
        t->list = l;
    else
        err_nomem(&t->err);
}

static void headers_set(struct transfer *t, bool has_body)
{
    const struct http_call *call = t->call;
    char line[AUTH_MAX_BYTES];
    header_add(t, "Expect:");
    if (has_body) {
        snprintf(line, sizeof line, "Content-Type: %s",
                 call->content_type ? call->content_type : "application/json");
        header_add(t, line);
    }
    if (call->bearer) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", call->bearer);
        header_add(t, line);
    }
    for (const char *const *h = call->headers; h && *h; h++)
        header_add(t, *h);
    if (call->sigv4 && call->sigv4->session_token) {
        snprintf(line, sizeof line, "x-amz-security-token: %s", call->sigv4->session_token);
        header_add(t, line);
    }
    curl_easy_setopt(t->c->curl, CURLOPT_HTTPHEADER, t->list);
}

static enum err_code upload_open(struct transfer *t, struct err *err)
{
    struct stat st;
    t->upload = fopen(t->call->body_path, "rbe");
    if (!t->upload || fstat(fileno(t->upload), &st) != 0)
        return err_errno(err, errno, "send %s", t->call->body_path);
    curl_easy_setopt(t->c->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(t->c->curl, CURLOPT_READDATA, t->upload);
    curl_easy_setopt(t->c->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)st.st_size);
    return ERR_OK;
}

static enum err_code body_set(struct transfer *t, struct err *err)
{
    const struct http_call *call = t->call;
    CURL *h = t->c->curl;
    bool has_body = call->body.p || call->body_path;
    if (call->body_path && upload_open(t, err) != ERR_OK)
        return err->code;
    if (call->body.p) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, call->body.p);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
    }
    if (call->method && strcmp(call->method, "HEAD") == 0)
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
    else if (call->method && (has_body || strcmp(call->method, "GET") != 0))
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call->method);
    else if (call->body_path)
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, "POST");
    headers_set(t, has_body);
    return t->err.code == ERR_OK ? ERR_OK : err_nomem(err);
}

static enum err_code target_set(struct transfer *t, struct err *err)
{
    const struct http_call *call = t->call;
    CURL *h = t->c->curl;
    curl_easy_setopt(h, CURLOPT_URL, call->url);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, call->follow ? 1L : 0L);
    curl_easy_setopt(h, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    if (call->unix_socket)
        curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
    if (call->deadline_ms >= 0) {
        curl_easy_setopt(h, CURLOPT_TIMEOUT_MS,
                         (long)(call->deadline_ms ? call->deadline_ms : CALL_DEADLINE_MS));
    } else {
        curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    }
    if (call->sigv4) {
        snprintf(t->auth, sizeof t->auth, "aws:amz:%s:%s", call->sigv4->region,
                 call->sigv4->service);
        curl_easy_setopt(h, CURLOPT_AWS_SIGV4, t->auth);
        curl_easy_setopt(h, CURLOPT_USERNAME, call->sigv4->key);
        curl_easy_setopt(h, CURLOPT_PASSWORD, call->sigv4->secret);
    }
    if (call->save_path) {
        t->save_fd = open(call->save_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (t->save_fd < 0)
            return err_errno(err, errno, "save %s", call->save_path);
    }
    return ERR_OK;
}

static void callbacks_set(struct transfer *t)
{
    CURL *h = t->c->curl;
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, t->call->is_cancelled ? 0L : 1L);
}

static const char *header_text(struct arena *a, const struct http_reply *r, const char *name)
{
    struct str v = http_reply_header(r, name);
    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
        v = str_n(v.p + 1, v.n - 2);
    return v.p ? str_dup(a, v) : NULL;
}

static enum err_code reply_take(struct transfer *t, struct arena *a, struct http_reply *ret,
                                struct err *err)
{
    struct http_reply r = {.save_bytes = t->save_bytes};
    long status = 0;
    curl_easy_getinfo(t->c->curl, CURLINFO_RESPONSE_CODE, &status);
    r.status = (int)status;
    char *body = str_dup(a, buf_view(&t->body)), *headers = str_dup(a, buf_view(&t->headers));
    if (!body || !headers)
        return arena_err(a, err);
    r.body = str_n(body, t->body.n);
    r.headers = str_n(headers, t->headers.n);
    r.content_type = header_text(a, &r, "Content-Type");
    r.etag = header_text(a, &r, "ETag");
    *ret = r;
    return ERR_OK;
}

static enum err_code transfer_run(struct transfer *t, struct arena *a, struct http_reply *ret,
                                  struct err *err)
{
    CURLcode code = curl_easy_perform(t->c->curl);
    if (t->err.code != ERR_OK) {
        *err = t->err;
        return err_wrap(err, "%s", t->call->url);
    }
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(err, ERR_CANCELLED, "%s: cancelled", t->call->url);
    if (code != CURLE_OK)
        return client_error(code, t->error_text, t->call->url, err);
    return reply_take(t, a, ret, err);
}

enum err_code http_call(struct http_client *c, const struct http_call *call, struct arena *a,
                        struct http_reply *ret, struct err *err)
{
    struct transfer *t = calloc(1, sizeof *t);
    if (!t)
        return err_nomem(err);
    t->c = c;
    t->call = call;
    t->save_fd = -1;
    buf_init(&t->body, call->reply_max_bytes ? call->reply_max_bytes : REPLY_MAX_BYTES);
    buf_init(&t->headers, HEADERS_MAX_BYTES);
    client_reset(c, t->error_text);
    enum err_code code = target_set(t, err);
    if (code == ERR_OK)
        code = body_set(t, err);
    if (code == ERR_OK) {
        callbacks_set(t);
        code = transfer_run(t, a, ret, err);
    }
    bool is_saved = code == ERR_OK && ret->status >= STATUS_OK_FIRST && ret->status < STATUS_OK_END;
    if (t->save_fd >= 0 && !is_saved)
        unlink(call->save_path);
    fd_close(&t->save_fd);
    if (t->upload)
        fclose(t->upload);
    curl_slist_free_all(t->list);
    buf_fini(&t->body);
    buf_fini(&t->headers);
    free(t);
    return code;
}

struct str http_reply_header(const struct http_reply *r, const char *name)
{
    struct str rest = r->headers;
    size_t n = strlen(name);
    while (rest.p && rest.n) {
        struct str line = str_trim(str_split(&rest, '\n'));
        if (line.n > n && line.p[n] == ':' && strncasecmp(line.p, name, n) == 0)
            return str_trim(str_n(line.p + n + 1, line.n - n - 1));
    }
    return STR_NONE;
}

/* The error that a peer's answer tells: ours, MLflow's or anybody's {"error": …}. */
static enum err_code reply_error(const struct http_reply *r, const struct json *doc,
                                 const char *url, struct err *err)
{
    enum err_code code = ERR_N;
    const char *name = json_get_c(doc, "error_code");
    const char *text =
        json_get_c(doc, "message") ? json_get_c(doc, "message") : json_get_c(doc, "error");
    for (int i = 1; i < ERR_N && code == ERR_N; i++)
        if (err_http_status((enum err_code)i) == r->status &&
            (!name || strcmp(err_mlflow_code((enum err_code)i), name) == 0))
            code = (enum err_code)i;
    for (int i = 1; i < ERR_N && code == ERR_N; i++)
        if (err_http_status((enum err_code)i) == r->status)
            code = (enum err_code)i;
    if (code == ERR_N)
        code = r->status >= 500 ? ERR_UNAVAILABLE : ERR_REFUSED;
    if (text)
        return err_set(err, code, "%s", text);
    return err_set(err, code, "%s answered %d", url, r->status);
}

enum err_code http_json(struct http_client *c, const struct http_call *call,
                        const struct json *body, struct arena *a, struct json **ret,
                        struct err *err)
{
    struct http_call full = *call;
    struct http_reply re;
    struct json *doc = NULL;
    struct buf b;
    buf_init(&b, REPLY_MAX_BYTES);
    enum err_code code = body ? json_write(body, JSON_COMPACT, &b, err) : ERR_OK;
    if (code == ERR_OK) {
        full.body = body ? buf_view(&b) : full.body;
        code = http_call(c, &full, a, &re, err);
    }
    buf_fini(&b);
    if (code != ERR_OK)
        return code;
    if (re.body.n > 0 && json_read(re.body, a, &doc, err) != ERR_OK &&
        re.status < STATUS_ERROR_FIRST)
        return err_wrap(err, "answer of %s", call->url);
    if (re.status >= STATUS_ERROR_FIRST)
        return reply_error(&re, doc, call->url, err);
    *ret = doc;
    return ERR_OK;
}
