/* Lean HTTP/1.1 load client: one thread, N keep-alive connections, pipelined requests. For `pawl replay`, tests and
 * benches; against our own server only (Content-Length answers, no redirects, no TLS).
 *
 * load_run asks `next` for requests while a connection has room and hands each answer to `done`, in the order of
 * the connection. A request whose answer did not come before its connection was lost is sent again after a
 * reconnect, so a request should carry an id of its own that the server deduplicates. */
#ifndef PAWL_HTTP_LOAD_H
#define PAWL_HTTP_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct load;

struct load_options {
    const char *host;
    int port;
    int n_connections;    /* 1..256 */
    int pipeline;         /* requests under way per connection, 1..64 */
    int n_retries;        /* per request after a lost connection */
    int64_t reconnect_ms; /* how long a server that does not answer is waited for in all */
    int64_t
        idle_ms; /* no byte for this long with requests under way: the connection counts as lost; 0: 30 s */
    size_t answer_max_bytes; /* 0: 4 MiB */
};

struct load_request {
    const char *method;       /* "POST" */
    const char *path;         /* encoded, with query */
    const char *content_type; /* NULL: application/json */
    const char *bearer;       /* may be NULL */
    struct str body;
    uint64_t tag; /* handed back in the answer */
};

enum load_next { LOAD_REQUEST, LOAD_WAIT, LOAD_END, LOAD_NEXT_N };

struct load_calls {
    void *arg;
    /* Fills *ret (copied before the call returns). LOAD_WAIT: nothing now, ask again when an answer came or *ret_wait_ms passed. */
    enum load_next (*next)(void *arg, struct load_request *ret, int64_t *ret_wait_ms);
    /* status 0: given up, body is the reason. Returning false stops the run. */
    bool (*done)(void *arg, uint64_t tag, int status, struct str body);
};

enum err_code load_open(const struct load_options *opt, struct load **ret,
                        struct err *err) MUST_CHECK;
void load_close(struct load *l);
/* Until next said LOAD_END and every answer is there (or done said stop). May be called again: the connections stay. */
enum err_code load_run(struct load *l, const struct load_calls *calls, struct err *err) MUST_CHECK;

struct load_stats {
    uint64_t n_sent, n_answers, n_reconnects, n_retried, n_given_up;
};
void load_stats(const struct load *l, struct load_stats *ret);

#endif
