/* The door to libmicrohttpd: sockets, options, and the callback that walks a request through its steps:
 *
 *     uri_seen -> begin (headers: route, guard, limits) -> body pieces -> complete -> inline answer, or suspended
 *     -> (resumed) answer -> completed
 *
 * A request that is refused early is answered at once when its body is large (the connection then closes), else
 * after its body was read, so that the connection lives on. */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "http/server_int.h"

#define ROUTES_ARENA_BYTES (16u << 20)
#define LISTEN_BACKLOG     1024
#define CONNECTION_BYTES   (16u << 10) /* libmicrohttpd clears all of it for every request */
#define STOP_POLL_MS       2
#define PORT_TEXT_BYTES    8

static void *uri_seen(void *cls, const char *uri, struct MHD_Connection *conn)
{
    struct exchange *x = exchange_take(cls);
    if (!x)
        return NULL;
    x->conn = conn;
    size_t n = strlen(uri);
    const char *copy = str_dup(&x->arena, str_n(uri, n));
    if (!copy) {
        exchange_unref(x);
        return NULL;
    }
    const char *q = memchr(copy, '?', n);
    x->pub.path = str_n(copy, q ? (size_t)(q - copy) : n);
    x->pub.query = q ? str_n(q + 1, n - (size_t)(q - copy) - 1) : STR("");
    return x;
}

static enum MHD_Result header_seen(void *cls, enum MHD_ValueKind kind, const char *key,
                                   size_t key_n, const char *value, size_t value_n)
{
    struct exchange *x = cls;
    (void)kind;
    if (x->n_headers == HEADERS_MAX)
        return MHD_NO;
    x->headers[x->n_headers++] =
        (struct http_pair){str_n(key, key_n), str_n(value ? value : "", value_n)};
    return MHD_YES;
}

static enum err_code params_decode(struct exchange *x, struct err *err)
{
    for (size_t i = 0; i < x->pub.n_params; i++)
        if (http_unescape(x->pub.params[i].value, false, &x->arena, &x->pub.params[i].value, err) !=
            ERR_OK)
            return err->code;
    return ERR_OK;
}

static enum err_code route_find(struct exchange *x, const char *method, struct err *err)
{
    const char *allowed;
    x->pub.route = route_tree_find(x->server->routes, method, x->pub.path, x->pub.params,
                                   &x->pub.n_params, &allowed);
    if (x->pub.route)
        return ERR_OK;
    if (!*allowed)
        return err_set(err, ERR_NOT_FOUND, "there is no %.*s here", STR_ARG(x->pub.path));
    http_answer_header(&x->pub, "Allow", allowed);
    return err_set(err, ERR_METHOD, "%.*s takes %s, not %s", STR_ARG(x->pub.path), allowed, method);
}

/* Bytes that the client says it sends; UINT64_MAX when it is chunked. */
static enum err_code body_announced(const struct exchange *x, uint64_t *ret, struct err *err)
{
    struct str n = http_header(&x->pub, "Content-Length");
    *ret = http_header(&x->pub, "Transfer-Encoding").p ? UINT64_MAX : 0;
    return n.p ? parse_u64(n, ret, err) : ERR_OK;
}

static enum err_code begin_check(struct exchange *x, const char *method, uint64_t *ret_bytes,
                                 struct err *err)
{
    const struct http_options *opt = &x->server->opt;
    if (body_announced(x, ret_bytes, err) != ERR_OK || route_find(x, method, err) != ERR_OK ||
        guard_check(x, err) != ERR_OK || params_decode(x, err) != ERR_OK)
        return err->code;
    x->body_max = x->pub.route->body_max_bytes ? x->pub.route->body_max_bytes : opt->body_max_bytes;
    if (*ret_bytes != UINT64_MAX && *ret_bytes > x->body_max)
        return err_set(err, ERR_TOO_LARGE, "the body has %llu bytes; %.*s takes at most %zu",
                       (unsigned long long)*ret_bytes, STR_ARG(x->pub.path), x->body_max);
    if (spool_wanted(x, *ret_bytes))
        return spool_open(x, err);
    return ERR_OK;
}

static enum MHD_Result begin(struct exchange *x, const char *method)
{
    uint64_t n_bytes = 0;
    x->is_begun = true;
    x->pub.method = method;
    err_reset(&x->refusal);
    atomic_fetch_add_explicit(&x->server->n_requests, 1, memory_order_relaxed);
    MHD_get_connection_values_n(x->conn, MHD_HEADER_KIND, header_seen, x);
    if (begin_check(x, method, &n_bytes, &x->refusal) == ERR_OK)
        return MHD_YES;
    x->is_refused = true;
    atomic_fetch_add_explicit(&x->server->n_refused, 1, memory_order_relaxed);
    if (n_bytes <= DRAIN_BODY_BYTES)
        return MHD_YES;
    x->is_dispatched = true;
    answer_refusal(x);
    return answer_send(x);
}

static void body_piece(struct exchange *x, const char *p, size_t *n)
{
    if (!x->is_refused && x->spool) {
        if ((uint64_t)x->pub.body_bytes + *n > x->body_max) {
            x->is_refused = true;
            err_set(&x->refusal, ERR_TOO_LARGE, "the body is larger than %zu bytes", x->body_max);
        } else if (!spool_add(x, p, *n)) {
            return; /* suspended; the same bytes come again */
        }
    } else if (!x->is_refused && exchange_body_add(x, p, *n, &x->refusal) != ERR_OK) {
        x->is_refused = true;
    }
    *n = 0;
}

static enum MHD_Result complete(struct exchange *x)
{
    x->is_dispatched = true;
    if (x->is_refused) {
        answer_refusal(x);
        return answer_send(x);
    }
    if (strcmp(x->pub.method, "OPTIONS") == 0) {
        http_answer(&x->pub, 204, NULL, STR(""));
        return answer_send(x);
    }
    if (x->pub.route->class_ == HTTP_QUEUED)
        return pending_dispatch(x);
    x->pub.route->fn(&x->pub, x->pub.route->arg);
    return answer_send(x);
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *conn, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *n, void **con_cls)
{
    struct exchange *x = *con_cls;
    (void)cls;
    (void)conn;
    (void)url;
    (void)version;
    if (!x)
        return MHD_NO;
    if (!x->is_begun)
        return begin(x, method);
    if (*n > 0) {
        body_piece(x, upload, n);
        return MHD_YES;
    }
    return x->is_dispatched ? answer_send(x) : complete(x);
}

static void completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                      enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)conn;
    (void)why;
    if (*con_cls)
        exchange_unref(*con_cls);
    *con_cls = NULL;
}

/* Paths are decoded segment by segment, by us. */
static size_t unescape_nothing(void *cls, struct MHD_Connection *conn, char *s)
{
    (void)cls;
    (void)conn;
    return strlen(s);
}

static enum err_code socket_listen(const char *host, int port, int *ret, struct err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV},
                    *ai = NULL;
    char service[PORT_TEXT_BYTES];
    snprintf(service, sizeof service, "%d", port);
    int r = getaddrinfo(host, service, &hints, &ai);
    if (r != 0)
        return err_set(err, ERR_INVALID, "listen on %s: %s (give an address)", host,
                       gai_strerror(r));
    int one = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        err_errno(err, errno, "listen on %s port %d", host, port);
        fd_close(&fd);
    } else {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        *ret = fd;
    }
    freeaddrinfo(ai);
    return fd < 0 ? err->code : ERR_OK;
}

static int socket_port(int fd)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0)
        return 0;
    if (sa.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)(void *)&sa)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&sa)->sin_port);
}

static void options_complete(struct http_options *o)
{
    o->host = o->host ? o->host : "127.0.0.1";
    o->n_threads = o->n_threads > 0 ? o->n_threads : 2;
    o->n_workers = o->n_workers > 0 ? o->n_workers : 8;
    o->queue_max = o->queue_max ? o->queue_max : 256;
    o->connections_max = o->connections_max ? o->connections_max : 4096;
    o->connection_bytes = o->connection_bytes ? o->connection_bytes : CONNECTION_BYTES;
    o->body_max_bytes = o->body_max_bytes ? o->body_max_bytes : 64u << 20;
    o->body_memory_bytes = o->body_memory_bytes ? o->body_memory_bytes : 1u << 20;
    o->arena_bytes = o->arena_bytes ? o->arena_bytes : 256u << 20;
    o->idle_s = o->idle_s ? o->idle_s : 75;
    o->deadline_ms = o->deadline_ms ? o->deadline_ms : 60000;
}

static enum err_code daemon_start(struct http_server *s, struct err *err)
{
    const struct http_options *o = &s->opt;
    bool is_tls = o->tls_key_pem && o->tls_cert_pem;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME |
                     (is_tls ? MHD_USE_TLS : 0u);
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_LISTEN_SOCKET, s->listen_fd, NULL},
        {MHD_OPTION_THREAD_POOL_SIZE, o->n_threads > 1 ? o->n_threads : 0, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)o->connections_max, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)o->idle_s, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)o->connection_bytes, NULL},
        {is_tls ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, (void *)(uintptr_t)o->tls_key_pem},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert_pem},
        {MHD_OPTION_END, 0, NULL},
    };
    s->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, handle, s, MHD_OPTION_NOTIFY_COMPLETED, completed, s,
                         MHD_OPTION_URI_LOG_CALLBACK, uri_seen, s, MHD_OPTION_UNESCAPE_CALLBACK,
                         unescape_nothing, s, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (!s->daemon)
        return err_set(err, ERR_UNAVAILABLE, "start the HTTP server on %s port %d%s", o->host,
                       s->port,
                       is_tls ? " (are key and certificate PEM texts that belong together?)" : "");
    return ERR_OK;
}

static void server_free(struct http_server *s)
{
    fd_close(&s->listen_fd);
    exchange_pool_free(s);
    mutex_fini(&s->pending_mutex);
    mutex_fini(&s->pool_mutex);
    arena_fini(&s->arena);
    free(s);
}

enum err_code http_server_open(const struct http_options *opt, const struct http_route *routes,
                               size_t n_routes, struct http_server **ret, struct err *err)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(err);
    s->opt = *opt;
    options_complete(&s->opt);
    s->listen_fd = -1;
    arena_init(&s->arena, ROUTES_ARENA_BYTES);
    mutex_init(&s->pending_mutex, "http.pending", RANK_PENDING);
    mutex_init(&s->pool_mutex, "http.pool", RANK_POOL);
    enum err_code code = route_tree_build(routes, n_routes, &s->arena, &s->routes, err);
    if (code == ERR_OK && opt->listen_fd > 0)
        s->listen_fd = opt->listen_fd;
    else if (code == ERR_OK)
        code = socket_listen(s->opt.host, opt->port, &s->listen_fd, err);
    if (code == ERR_OK) {
        s->port = socket_port(s->listen_fd);
        code = pending_start(s, err);
    }
    if (code == ERR_OK)
        code = spool_start(s, err);
    if (code == ERR_OK)
        code = daemon_start(s, err);
    if (code != ERR_OK) {
        spool_stop(s);
        pending_stop(s);
        server_free(s);
        return code;
    }
    *ret = s;
    return ERR_OK;
}

int http_server_port(const struct http_server *s)
{
    return s->port;
}

bool http_server_is_draining(const struct http_server *s)
{
    return atomic_load(&s->is_draining);
}

void http_server_drain(struct http_server *s)
{
    atomic_store(&s->is_draining, true);
}

static void wait_inflight(struct http_server *s, int64_t ms)
{
    int64_t until_ns = mono_ns() + ms * 1000000;
    while (atomic_load(&s->n_inflight) > 0 && mono_ns() < until_ns) {
        struct timespec ts = {.tv_nsec = STOP_POLL_MS * 1000000L};
        nanosleep(&ts, NULL);
    }
}

void http_server_stop(struct http_server *s, int64_t drain_ms)
{
    if (!s)
        return;
    http_server_drain(s);
    MHD_quiesce_daemon(s->daemon);
    stream_end_all(s);
    wait_inflight(s, drain_ms);
    pending_expire_all(s);
    spool_stop(s); /* bodies under way are written or given up; nothing stays suspended for it */
    pending_expire_all(s);
    pending_stop(s);
    stream_end_all(s);
    wait_inflight(s, STOP_POLL_MS * 50);
    MHD_stop_daemon(s->daemon);
    server_free(s);
}

void http_server_stats(const struct http_server *s, struct http_stats *ret)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    *ret = (struct http_stats){
        .n_requests = atomic_load(&s->n_requests),
        .n_connections_open = info ? info->num_connections : 0,
        .n_queue_full = atomic_load(&s->n_queue_full),
        .n_expired = atomic_load(&s->n_expired),
        .n_refused = atomic_load(&s->n_refused),
        .n_queue_waiting = queue_count(s->queue),
        .n_workers_busy = (uint64_t)atomic_load(&s->n_busy),
    };
    for (size_t i = 0; i < sizeof ret->by_status / sizeof *ret->by_status; i++)
        ret->by_status[i] = atomic_load(&s->by_status[i]);
}
