/* HTTP/1.1 server: libmicrohttpd's epoll pool behind routes, limits, a bounded worker pool and a graceful stop.
 *
 * A route is inline or queued. An inline handler runs on the HTTP thread and must answer from memory: no I/O, no
 * lock that a slow route can hold. A queued one runs on a worker while its connection is suspended; it sees
 * only this struct, never the connection. Each queued request is one completion: an atomic
 * PENDING -> DONE | EXPIRED claim decides who resumes it, once; the request's memory is counted and lives until both
 * the connection and the worker let go. A full queue answers 503 with Retry-After.
 *
 *     static void hello(struct http_request *r, void *arg) { http_answer_text(r, 200, STR("hello\n")); }
 *     const struct http_route ROUTES[] = {{.method = "GET", .path = "/hello/{who}", .fn = hello}};
 *     http_server_open(&opt, ROUTES, 1, &server, err);   // listens
 *     http_server_stop(server, 5000);                    // quiesce, expire, drain, stop
 *
 * Paths: static segments, {name} for one segment, {name*} last for the rest. A static segment is preferred to a
 * parameter. HEAD is answered by a GET route; OPTIONS by the server.
 * All requests: Host must be known (http_options.hosts), Origin, when sent, must be this server; a mutation
 * needs Content-Type application/json unless its route says HTTP_ANY_TYPE. No page of another site gets through. */
#ifndef PAWL_HTTP_SERVER_H
#define PAWL_HTTP_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct http_server;
struct MHD_Connection;

enum http_class { HTTP_INLINE, HTTP_QUEUED, HTTP_CLASS_N };

enum http_flag {
    HTTP_ANY_TYPE = 1, /* a mutation may come with any Content-Type, or none: a protocol's own */
    HTTP_SPOOL = 2,    /* a body above http_options.body_memory_bytes goes to a file: body_path */
    HTTP_ANY_HOST = 4, /* probes: the Host header is not checked */
};

struct http_request;
typedef void (*http_fn)(struct http_request *r, void *arg);

struct http_route {
    const char *method; /* "GET", "POST", ... ; "*" any */
    const char *path;   /* "/v2/models/{model}/infer" */
    enum http_class class_;
    unsigned flags;        /* HTTP_* */
    size_t body_max_bytes; /* 0: http_options.body_max_bytes */
    int64_t deadline_ms;   /* queued: then 504; 0: http_options.deadline_ms; < 0: none */
    http_fn fn;
    void *arg;
};

#define HTTP_PARAMS_MAX 8

struct http_pair {
    struct str name, value;
};

/* What a handler sees. Slices live as long as the request. */
struct http_request {
    const char *method;
    struct str path;       /* raw, as sent, still percent-encoded */
    struct str query;      /* raw, behind '?', may be empty */
    struct str body;       /* whole body; empty when it was spooled */
    const char *body_path; /* spooled body's file, removed when the request ends; NULL otherwise */
    int64_t body_bytes;
    struct arena *arena; /* of this request; limit http_options.arena_bytes */
    const struct http_route *route;
    size_t n_params;
    struct http_pair params[HTTP_PARAMS_MAX]; /* path parameters, decoded */
    int64_t mono_ns;                          /* when its first line had been read */
    atomic_bool
        is_cancelled; /* queued: deadline passed or the server stops; long work should look */
};

/* ---- looking ---- */
struct str http_param(const struct http_request *r, const char *name); /* STR_NONE when absent */
struct str http_header(const struct http_request *r,
                       const char *name); /* STR_NONE when absent; case-insensitive */
/* Decoded value of the first query parameter of that name; STR_NONE when absent. */
struct str http_query(struct http_request *r, const char *name);
/* All query parameters, decoded, in order. */
enum err_code http_query_all(struct http_request *r, struct http_pair **ret, size_t *ret_n,
                             struct err *err) MUST_CHECK;
struct str
http_peer(struct http_request *r); /* address of the other side, text; empty when unknown */
/* The token of "Authorization: Bearer …"; STR_NONE when there is none. */
struct str http_bearer(const struct http_request *r);
/* Same bytes, in time independent of where they differ. */
bool http_secret_eq(struct str a, struct str b);
/* Percent-decoding into an arena; '+' is a blank when is_query. ERR_PARSE for a broken escape. */
enum err_code http_unescape(struct str s, bool is_query, struct arena *a, struct str *ret,
                            struct err *err) MUST_CHECK;
/* Percent-encodes all but unreserved characters (and '/' when keep_slash). */
void http_escape(struct str s, bool keep_slash, struct buf *out);

/* ---- answering: exactly one of these, once; `body` must live as long as the request (its arena, static) ---- */
void http_answer(struct http_request *r, int status, const char *content_type, struct str body);
void http_answer_json(struct http_request *r, int status, struct str body);
void http_answer_text(struct http_request *r, int status, struct str body);
/* {"error": sentence, "error_code": MLflow's code, "message": sentence} with the status of the code. */
void http_answer_err(struct http_request *r, const struct err *err);
/* A file by sendfile; from offset, n bytes (-1: to its end). Its opening error is answered as such. */
void http_answer_file(struct http_request *r, int status, const char *content_type,
                      const char *path, int64_t offset, int64_t n_bytes);
/* Extra response header; before the answer is sent; name and value are copied. */
void http_answer_header(struct http_request *r, const char *name, const char *value);

/* A body written as it becomes known (server-sent events, long listings): the producer thread calls http_stream_put
 * until it ends; the HTTP thread sends what is there. The stream outlives the request: counted. */
struct http_stream;
struct http_stream *http_answer_stream(struct http_request *r, int status, const char *content_type,
                                       size_t max_bytes); /* NULL without memory (then answered) */
/* False when the peer is gone or max_bytes are waiting unsent past timeout_ms. */
bool http_stream_put(struct http_stream *s, struct str bytes, int64_t timeout_ms);
void http_stream_end(struct http_stream *s); /* ends the body and lets go; s is invalid after */

/* ---- the server ---- */
struct http_options {
    const char *host; /* "127.0.0.1"; an address */
    int port;         /* 0: any free one */
    int listen_fd;    /* >= 0: an inherited listening socket, else -1 (0 is taken as -1) */
    const char *const
        *hosts; /* NULL-terminated further names for Host; loopback names are always known */
    const char *spool_dir;                  /* for HTTP_SPOOL; may be NULL when no route has it */
    const char *tls_key_pem, *tls_cert_pem; /* both or none */
    bool is_behind_proxy;                   /* Host is then the proxy's business */
    int n_threads;                          /* HTTP threads; 0: 2 */
    int n_workers;                          /* for queued routes; 0: 8 */
    size_t queue_max;                       /* waiting queued requests; 0: 256 */
    unsigned connections_max;               /* 0: 4096 */
    size_t
        connection_bytes; /* request line and headers, and the pieces that bodies come in; 0: 16 KiB */
    size_t body_max_bytes;    /* 0: 64 MiB */
    size_t body_memory_bytes; /* above it a HTTP_SPOOL body goes to a file; 0: 1 MiB */
    size_t arena_bytes;       /* per request; 0: 256 MiB */
    unsigned idle_s;          /* idle connections are closed after; 0: 75 */
    int64_t deadline_ms;      /* of queued requests; 0: 60 s */
};

enum err_code http_server_open(const struct http_options *opt, const struct http_route *routes,
                               size_t n_routes, struct http_server **ret,
                               struct err *err) MUST_CHECK;
int http_server_port(const struct http_server *s);
/* Stops taking connections, ends open ones with their next answer, waits at most drain_ms for requests under way,
 * expires the rest with 503, joins all threads, frees. NULL is fine. A queued handler that still runs is waited for:
 * it must look at is_cancelled. */
void http_server_stop(struct http_server *s, int64_t drain_ms);
/* True from the call of http_server_drain (or stop) on. */
bool http_server_is_draining(const struct http_server *s);
/* First half of stop: readiness goes red, open connections close as they end; the listener stays until stop. */
void http_server_drain(struct http_server *s);

struct http_stats {
    uint64_t n_requests, n_connections_open, n_queue_full, n_expired,
        n_refused;         /* refused: Host, Origin, type, size */
    uint64_t by_status[6]; /* 1xx .. 5xx at [1]..[5] */
    uint64_t n_queue_waiting, n_workers_busy;
};
void http_server_stats(const struct http_server *s, struct http_stats *ret);

#endif
