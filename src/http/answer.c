/* Answering: handlers fill struct answer; the HTTP thread makes the response of it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "http/server_int.h"
#include "json/json.h"

#define ERROR_TEXT_MAX (ERR_MSG_BYTES * 14)

static struct answer *answer_begin(struct http_request *r, enum answer_kind kind, int status,
                                   const char *type)
{
    struct answer *a = &((struct exchange *)r)->answer;
    CHECK(a->kind == ANSWER_NONE);
    a->kind = kind;
    a->status = status;
    a->content_type = type;
    return a;
}

void http_answer(struct http_request *r, int status, const char *content_type, struct str body)
{
    answer_begin(r, ANSWER_BYTES, status, content_type)->body = body;
}

void http_answer_json(struct http_request *r, int status, struct str body)
{
    http_answer(r, status, "application/json", body);
}

void http_answer_text(struct http_request *r, int status, struct str body)
{
    http_answer(r, status, "text/plain; charset=utf-8", body);
}

void http_answer_header(struct http_request *r, const char *name, const char *value)
{
    struct answer *a = &((struct exchange *)r)->answer;
    const char *n = str_dup(r->arena, str_c(name)), *v = str_dup(r->arena, str_c(value));
    if (n && v && a->n_headers < ANSWER_HEADERS_MAX)
        a->headers[a->n_headers++] = (struct http_pair){str_c(n), str_c(v)};
}

static struct str error_body(const struct err *err, struct arena *a)
{
    struct buf b;
    buf_init(&b, ERROR_TEXT_MAX);
    buf_c(&b, "{\"error\":");
    json_write_str(&b, str_c(err->msg));
    buf_printf(&b, ",\"error_code\":\"%s\",\"message\":", err_mlflow_code(err->code));
    json_write_str(&b, str_c(err->msg));
    buf_ch(&b, '}');
    struct err ignored = ERR_INIT;
    char *copy = buf_ok(&b, &ignored) == ERR_OK ? str_dup(a, buf_view(&b)) : NULL;
    struct str ret = copy ? str_n(copy, b.n)
                          : STR("{\"error\":\"out of memory\",\"error_code\":\"INTERNAL_ERROR\"}");
    buf_fini(&b);
    return ret;
}

void http_answer_err(struct http_request *r, const struct err *err)
{
    enum err_code code = err->code == ERR_OK ? ERR_INTERNAL : err->code;
    if (err_http_status(code) == 503)
        http_answer_header(r, "Retry-After", "1");
    http_answer_json(r, err_http_status(code), error_body(err, r->arena));
}

void answer_refusal(struct exchange *x)
{
    http_answer_err(&x->pub, &x->refusal);
}

void http_answer_file(struct http_request *r, int status, const char *content_type,
                      const char *path, int64_t offset, int64_t n_bytes)
{
    struct err err = ERR_INIT;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_errno(&err, errno, "open file to send");
    } else if (!S_ISREG(st.st_mode) || offset < 0 || offset > st.st_size) {
        err_set(&err, ERR_RANGE, "the file has %lld bytes, asked for from %lld on",
                (long long)st.st_size, (long long)offset);
    } else {
        int64_t rest = st.st_size - offset;
        struct answer *a = answer_begin(r, ANSWER_FILE, status, content_type);
        a->fd = fd;
        a->fd_offset = (uint64_t)offset;
        a->fd_bytes = (uint64_t)(n_bytes < 0 || n_bytes > rest ? rest : n_bytes);
        return;
    }
    if (fd >= 0)
        close(fd);
    http_answer_err(r, &err);
}

void answer_discard(struct answer *a)
{
    if (a->fd >= 0)
        close(a->fd);
    if (a->stream)
        stream_discard(a->stream);
    a->fd = -1;
    a->stream = NULL;
    a->kind = ANSWER_NONE;
}

static struct MHD_Response *response_make(struct answer *a)
{
    struct MHD_Response *re = NULL;
    switch (a->kind) {
    case ANSWER_BYTES:
        /* The bytes belong to the exchange, which NOTIFY_COMPLETED lets go after they were sent. */
        re = MHD_create_response_from_buffer(a->body.n, (void *)(uintptr_t)a->body.p,
                                             MHD_RESPMEM_PERSISTENT);
        break;
    case ANSWER_FILE:
        re = MHD_create_response_from_fd_at_offset64(a->fd_bytes, a->fd, a->fd_offset);
        if (re)
            a->fd = -1; /* the response closes it */
        break;
    case ANSWER_STREAM:
        re = stream_response(a->stream);
        if (re)
            a->stream = NULL; /* the response owns it */
        break;
    case ANSWER_NONE:
        break;
    }
    return re;
}

static void count_status(struct http_server *s, int status)
{
    int class_ = status / 100;
    if (class_ >= 1 && class_ <= 5)
        atomic_fetch_add_explicit(&s->by_status[class_], 1, memory_order_relaxed);
}

/* For a request that was given up: its worker may still write into x->answer, so this one is made of constants. */
static struct answer expired_answer(int status)
{
    static const char late[] = "{\"error\":\"the request took longer than its deadline\","
                               "\"error_code\":\"TEMPORARILY_UNAVAILABLE\","
                               "\"message\":\"the request took longer than its deadline\"}";
    static const char stops[] =
        "{\"error\":\"the server stops\",\"error_code\":\"TEMPORARILY_UNAVAILABLE\","
        "\"message\":\"the server stops\"}";
    struct answer a = {
        .kind = ANSWER_BYTES, .status = status, .content_type = "application/json", .fd = -1};
    a.body = status == 504 ? str_n(late, sizeof late - 1) : str_n(stops, sizeof stops - 1);
    return a;
}

enum MHD_Result answer_send(struct exchange *x)
{
    struct answer expired, *a = &x->answer;
    if (atomic_load(&x->claim) == CLAIM_EXPIRED) {
        expired = expired_answer(x->expire_status);
        a = &expired;
    }
    if (a->kind == ANSWER_NONE) {
        err_set(&x->refusal, ERR_INTERNAL, "the route gave no answer");
        answer_refusal(x);
    }
    struct MHD_Response *re = response_make(a);
    if (!re)
        return MHD_NO;
    if (a->content_type)
        MHD_add_response_header(re, "Content-Type", a->content_type);
    for (size_t i = 0; i < a->n_headers; i++)
        MHD_add_response_header(re, a->headers[i].name.p, a->headers[i].value.p);
    if (atomic_load_explicit(&x->server->is_draining, memory_order_relaxed))
        MHD_add_response_header(re, "Connection", "close");
    count_status(x->server, a->status);
    enum MHD_Result ok = MHD_queue_response(x->conn, (unsigned)a->status, re);
    MHD_destroy_response(re);
    return ok;
}
