/* Inside of http/load: connections of the load client. */
#ifndef PAWL_HTTP_LOAD_INT_H
#define PAWL_HTTP_LOAD_INT_H

#include "http/load.h"

/* A request until it is answered; kept whole, so that it can be sent again. */
struct load_item {
    uint64_t tag;
    int n_sent;       /* times */
    struct str bytes; /* behind the struct */
    struct load_item *next;
};

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_UP };

struct load_conn {
    struct load *load;
    int fd;
    enum conn_state state;
    int64_t retry_ns;               /* DOWN: not before */
    int64_t moved_ns;               /* last byte or connect */
    struct load_item *first, *last; /* under way, in order */
    int n_items;
    struct buf out, in;
    size_t out_at;
    bool wants_write; /* as epoll knows it */
};

struct load {
    struct load_options opt;
    char host[256];
    struct load_conn *conns;
    int epoll;
    struct load_item *again; /* lost with a connection, first to go */
    int n_under_way;
    bool has_ended, is_stopped;
    int64_t wait_until_ns; /* next said LOAD_WAIT */
    int64_t down_ns;       /* since when no connection is up; 0: one is */
    const struct load_calls *calls;
    struct load_stats stats;
    struct err err;
};

enum load_parse { PARSE_MORE, PARSE_DONE, PARSE_CLOSE, PARSE_BROKEN };
/* One answer at the start of in[n]; *ret_used bytes of it when DONE or CLOSE (the peer will close). */
enum load_parse load_parse_answer(struct str in, int *ret_status, struct str *ret_body,
                                  size_t *ret_used);

/* load_conn.c */
void conn_init(struct load_conn *c, struct load *l);
void conn_fini(struct load_conn *c);
void conn_connect(struct load_conn *c, int64_t now_ns);
/* Takes the item; sends what the socket takes. */
void conn_add(struct load_conn *c, struct load_item *it);
void conn_event(struct load_conn *c, unsigned events, int64_t now_ns);
void conn_flush(struct load_conn *c);
void conn_lost(struct load_conn *c, int64_t now_ns, const char *why);
/* load.c: what a connection tells */
void load_answered(struct load *l, struct load_item *it, int status, struct str body);
void load_lost(struct load *l, struct load_item *it, const char *why);

#endif
