/* Inside of http/server: one struct exchange per request, from its first line until nobody needs it. */
#ifndef PAWL_HTTP_SERVER_INT_H
#define PAWL_HTTP_SERVER_INT_H

#include <microhttpd.h>
#include <pthread.h>

#include "base/thread.h"
#include "http/server.h"

#define HEADERS_MAX        64
#define ANSWER_HEADERS_MAX 16
#define BODY_KEEP_BYTES    (256u << 10) /* larger body buffers are not kept for the next request */
#define ARENA_KEEP_BYTES   (1u << 20)
#define DRAIN_BODY_BYTES                                                                           \
    (64u << 10) /* a refused request's body up to this is read, so that its connection lives on */
#define POOL_MAX   256 /* idle exchanges kept */
#define PEER_BYTES 64

/* Who may resume a suspended request: the one that moves it from PENDING. */
enum claim { CLAIM_NONE, CLAIM_PENDING, CLAIM_DONE, CLAIM_EXPIRED };

enum answer_kind { ANSWER_NONE, ANSWER_BYTES, ANSWER_FILE, ANSWER_STREAM };

struct answer {
    enum answer_kind kind;
    int status;
    const char *content_type; /* static, or in the arena */
    struct str body;
    int fd; /* ANSWER_FILE, -1 otherwise */
    uint64_t fd_offset, fd_bytes;
    struct http_stream *stream;
    struct http_pair headers[ANSWER_HEADERS_MAX];
    size_t n_headers;
};

struct spool;

struct exchange {
    struct http_request pub; /* first: handlers see this */
    struct http_server *server;
    struct MHD_Connection *conn; /* only the HTTP thread touches what is behind it */
    atomic_int n_refs;           /* the connection, and a worker or the spool */
    atomic_int claim;            /* enum claim */
    int expire_status;           /* written by who claims EXPIRED */
    bool is_begun, is_dispatched, is_refused;
    struct arena arena;
    struct http_pair headers[HEADERS_MAX];
    size_t n_headers;
    unsigned char *body; /* heap, kept from request to request */
    size_t body_cap;
    size_t body_max;
    struct spool *spool; /* body goes to a file; NULL otherwise */
    struct answer answer;
    struct err refusal;
    int64_t deadline_ns;          /* queued; INT64_MAX: none */
    struct exchange *prev, *next; /* in server->pending */
    struct exchange *pool_next;
};

struct route_tree;

struct http_server {
    struct http_options opt;
    struct MHD_Daemon *daemon;
    int listen_fd;
    int port;
    struct arena arena; /* routes and names */
    struct route_tree *routes;
    atomic_bool is_draining, is_stopping, is_ended;
    struct queue *queue;
    pthread_t workers[256];
    int n_workers_started;
    pthread_t timer, spooler;
    bool has_timer, has_spooler;
    struct queue *spool_queue;
    struct mutex pending_mutex; /* pending, stopping, streams, spool waiters */
    struct exchange *pending;
    size_t n_pending;
    struct http_stream *streams;
    struct spool *spool_waiting;
    struct mutex pool_mutex;
    struct exchange *pool;
    size_t n_pool;
    atomic_llong n_inflight, n_busy;
    _Atomic uint64_t n_requests, n_queue_full, n_expired, n_refused, by_status[6];
};

enum { RANK_PENDING = 9000, RANK_STREAM = 9010, RANK_POOL = 9020 };

/* route_tree.c */
enum err_code route_tree_build(const struct http_route *routes, size_t n, struct arena *a,
                               struct route_tree **ret, struct err *err) MUST_CHECK;
/* NULL: no such path; *ret_allowed then is "", else the methods that the path has (when only the method is wrong). */
const struct http_route *route_tree_find(const struct route_tree *t, const char *method,
                                         struct str path, struct http_pair *params,
                                         size_t *ret_n_params, const char **ret_allowed);

/* guard.c: ERR_OK, or why this request is refused. */
enum err_code guard_check(const struct exchange *x, struct err *err) MUST_CHECK;

/* exchange.c */
struct exchange *exchange_take(struct http_server *s);
void exchange_unref(struct exchange *x);
void exchange_pool_free(struct http_server *s);
enum err_code exchange_body_add(struct exchange *x, const char *p, size_t n,
                                struct err *err) MUST_CHECK;
/* Makes headers independent of the connection. */
enum err_code exchange_detach(struct exchange *x, struct err *err) MUST_CHECK;

/* answer.c */
enum MHD_Result answer_send(struct exchange *x);
void answer_refusal(struct exchange *x); /* x->refusal as the answer */
void answer_discard(struct answer *a);   /* closes what the answer holds */

/* pending.c: queued requests */
enum MHD_Result pending_dispatch(struct exchange *x);
/* A spooled body is complete: goes on to the workers (the exchange is suspended already). */
void pending_enqueue(struct exchange *x);
/* Moves PENDING to `to`; the winner (true) takes it off the list and resumes its connection. */
bool pending_claim(struct exchange *x, enum claim to, int expire_status);
enum err_code pending_start(struct http_server *s, struct err *err) MUST_CHECK;
void pending_expire_all(struct http_server *s);
void pending_stop(struct http_server *s);

/* spool.c */
bool spool_wanted(const struct exchange *x, uint64_t content_length);
enum err_code spool_open(struct exchange *x, struct err *err) MUST_CHECK;
/* Takes the bytes (true), or has suspended the connection until there is room (false). */
bool spool_add(struct exchange *x, const char *p, size_t n);
/* The body is whole: hands the exchange over; it is suspended. */
void spool_finish(struct exchange *x);
void spool_free(struct spool *sp);
enum err_code spool_start(struct http_server *s, struct err *err) MUST_CHECK;
void spool_stop(struct http_server *s);

/* stream.c */
struct MHD_Response *stream_response(struct http_stream *st);
void stream_discard(struct http_stream *st);
void stream_end_all(struct http_server *s);

#endif
