/* One connection of the load client: a non-blocking socket, requests under way in order, and the reader of answers. */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "http/load_int.h"

#define READ_BYTES     (64u << 10)
#define OUT_MAX_BYTES  (256u << 20)
#define RETRY_NS       (20 * INT64_C(1000000))
#define HEAD_MAX_BYTES (64u << 10)
#define PORT_BYTES     8

void conn_init(struct load_conn *c, struct load *l)
{
    *c = (struct load_conn){.load = l, .fd = -1};
    buf_init(&c->out, OUT_MAX_BYTES);
    buf_init(&c->in, l->opt.answer_max_bytes + HEAD_MAX_BYTES);
}

void conn_fini(struct load_conn *c)
{
    fd_close(&c->fd);
    while (c->first) {
        struct load_item *it = c->first;
        c->first = it->next;
        free(it);
    }
    buf_fini(&c->out);
    buf_fini(&c->in);
}

void conn_lost(struct load_conn *c, int64_t now_ns, const char *why)
{
    if (c->state != CONN_DOWN)
        c->load->stats.n_reconnects++;
    fd_close(&c->fd);
    c->state = CONN_DOWN;
    c->retry_ns = now_ns + RETRY_NS;
    c->wants_write = false;
    c->out_at = 0;
    buf_reset(&c->out);
    buf_reset(&c->in);
    struct load_item *it = c->first, *next;
    c->first = c->last = NULL;
    c->n_items = 0;
    for (; it; it = next) {
        next = it->next;
        load_lost(c->load, it, why);
    }
}

static void epoll_set(struct load_conn *c, int op, bool wants_write)
{
    struct epoll_event ev = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0u), .data.ptr = c};
    epoll_ctl(c->load->epoll, op, c->fd, &ev);
    c->wants_write = wants_write;
}

void conn_connect(struct load_conn *c, int64_t now_ns)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *ai = NULL;
    char port[PORT_BYTES];
    int one = 1;
    snprintf(port, sizeof port, "%d", c->load->opt.port);
    if (getaddrinfo(c->load->host, port, &hints, &ai) != 0) {
        conn_lost(c, now_ns, "unknown host");
        return;
    }
    c->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r = c->fd < 0 ? -1 : connect(c->fd, ai->ai_addr, ai->ai_addrlen);
    int error = errno;
    freeaddrinfo(ai);
    if (c->fd < 0 || (r != 0 && error != EINPROGRESS)) {
        conn_lost(c, now_ns, "cannot connect");
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->state = CONN_CONNECTING;
    c->moved_ns = now_ns;
    epoll_set(c, EPOLL_CTL_ADD, true);
}

void conn_add(struct load_conn *c, struct load_item *it)
{
    it->next = NULL;
    it->n_sent++;
    if (c->last)
        c->last->next = it;
    else
        c->first = it;
    c->last = it;
    c->n_items++;
    buf_str(&c->out, it->bytes);
}

void conn_flush(struct load_conn *c)
{
    while (c->state == CONN_UP && c->out_at < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->out_at, c->out.n - c->out_at, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* full, or broken: the reader finds out */
        c->out_at += (size_t)n;
    }
    if (c->out_at == c->out.n) {
        buf_reset(&c->out);
        c->out_at = 0;
    }
    bool wants_write = c->out.n > 0;
    if (c->state == CONN_UP && wants_write != c->wants_write)
        epoll_set(c, EPOLL_CTL_MOD, wants_write);
}

static bool header_is(struct str line, const char *name, struct str *ret)
{
    size_t n = strlen(name);
    if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0)
        return false;
    *ret = str_trim(str_n(line.p + n + 1, line.n - n - 1));
    return true;
}

enum load_parse load_parse_answer(struct str in, int *ret_status, struct str *ret_body,
                                  size_t *ret_used)
{
    ptrdiff_t end = str_find(in, STR("\r\n\r\n"));
    if (end < 0)
        return in.n > HEAD_MAX_BYTES ? PARSE_BROKEN : PARSE_MORE;
    struct str head = str_n(in.p, (size_t)end), line = str_split(&head, '\n'), value;
    uint64_t n = 0, status = 0;
    bool is_closing = false;
    struct err err = ERR_INIT;
    if (line.n < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 ||
        parse_u64(str_n(line.p + 9, 3), &status, &err) != ERR_OK)
        return PARSE_BROKEN;
    while (head.p) {
        line = str_trim(str_split(&head, '\n'));
        if (header_is(line, "Content-Length", &value) && parse_u64(value, &n, &err) != ERR_OK)
            return PARSE_BROKEN;
        if (header_is(line, "Transfer-Encoding", &value))
            return PARSE_BROKEN;
        if (header_is(line, "Connection", &value) && value.n == 5 &&
            strncasecmp(value.p, "close", 5) == 0)
            is_closing = true;
    }
    size_t at = (size_t)end + 4;
    if (in.n - at < n)
        return PARSE_MORE;
    *ret_status = (int)status;
    *ret_body = str_n(in.p + at, (size_t)n);
    *ret_used = at + (size_t)n;
    return is_closing ? PARSE_CLOSE : PARSE_DONE;
}

/* Answers that are whole; false when the connection is of no use any more. */
static bool conn_answers(struct load_conn *c)
{
    size_t at = 0;
    enum load_parse p = PARSE_DONE;
    while (p == PARSE_DONE && at < c->in.n && c->first) {
        int status;
        struct str body;
        size_t used = 0;
        p = load_parse_answer(str_n(c->in.p + at, c->in.n - at), &status, &body, &used);
        if (p == PARSE_DONE || p == PARSE_CLOSE) {
            struct load_item *it = c->first;
            c->first = it->next;
            c->last = c->first ? c->last : NULL;
            c->n_items--;
            load_answered(c->load, it, status, body);
            at += used;
        }
    }
    size_t rest = c->in.n - at;
    memmove(c->in.p, c->in.p + at, rest);
    c->in.n = rest;
    return p == PARSE_DONE || p == PARSE_MORE;
}

static void conn_read(struct load_conn *c, int64_t now_ns)
{
    char piece[READ_BYTES];
    struct err err = ERR_INIT;
    for (;;) {
        ssize_t n = recv(c->fd, piece, sizeof piece, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            conn_lost(c, now_ns, "the connection was closed");
            return;
        }
        c->moved_ns = now_ns;
        buf_put(&c->in, piece, (size_t)n);
        if (buf_ok(&c->in, &err) != ERR_OK || !conn_answers(c)) {
            conn_lost(c, now_ns, "the answer cannot be read, or was the last of its connection");
            return;
        }
        if ((size_t)n < sizeof piece)
            return;
    }
}

void conn_event(struct load_conn *c, unsigned events, int64_t now_ns)
{
    if (c->state == CONN_CONNECTING) {
        int error = 0;
        socklen_t n = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
        if (error != 0 || (events & (EPOLLERR | EPOLLHUP))) {
            conn_lost(c, now_ns, "cannot connect");
            return;
        }
        c->state = CONN_UP;
        c->load->down_ns = 0;
    }
    if (c->state == CONN_UP && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        conn_read(c, now_ns);
    conn_flush(c);
}
