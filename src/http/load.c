#include "http/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "http/load_int.h"

#define IDLE_MS       30000
#define ANSWER_BYTES  (4u << 20)
#define EVENTS        64
#define TICK_MS       20
#define REQUEST_BYTES (64u << 20)
#define CONNS_MAX     256
#define PIPELINE_MAX  64
#define NS_PER_MS     INT64_C(1000000)

enum err_code load_open(const struct load_options *opt, struct load **ret, struct err *err)
{
    if (opt->n_connections < 1 || opt->n_connections > CONNS_MAX || opt->pipeline < 1 ||
        opt->pipeline > PIPELINE_MAX)
        return err_set(err, ERR_RANGE,
                       "1 to %d connections with 1 to %d requests each, not %d with %d", CONNS_MAX,
                       PIPELINE_MAX, opt->n_connections, opt->pipeline);
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        return err_nomem(err);
    l->opt = *opt;
    l->opt.idle_ms = opt->idle_ms ? opt->idle_ms : IDLE_MS;
    l->opt.answer_max_bytes = opt->answer_max_bytes ? opt->answer_max_bytes : ANSWER_BYTES;
    snprintf(l->host, sizeof l->host, "%s", opt->host);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->conns = calloc((size_t)opt->n_connections, sizeof *l->conns);
    if (l->epoll < 0 || !l->conns) {
        load_close(l);
        return err_errno(err, errno, "open the load client");
    }
    for (int i = 0; i < opt->n_connections; i++)
        conn_init(&l->conns[i], l);
    *ret = l;
    return ERR_OK;
}

void load_close(struct load *l)
{
    if (!l)
        return;
    for (int i = 0; l->conns && i < l->opt.n_connections; i++)
        conn_fini(&l->conns[i]);
    while (l->again) {
        struct load_item *it = l->again;
        l->again = it->next;
        free(it);
    }
    fd_close(&l->epoll);
    free(l->conns);
    free(l);
}

void load_answered(struct load *l, struct load_item *it, int status, struct str body)
{
    l->n_under_way--;
    l->wait_until_ns = 0; /* an answer is what a wait is ended by */
    l->stats.n_answers++;
    if (!l->calls->done(l->calls->arg, it->tag, status, body))
        l->is_stopped = true;
    free(it);
}

void load_lost(struct load *l, struct load_item *it, const char *why)
{
    if (it->n_sent <= l->opt.n_retries) {
        l->stats.n_retried++;
        it->next = l->again;
        l->again = it;
        return;
    }
    l->stats.n_given_up++;
    l->n_under_way--;
    if (!l->calls->done(l->calls->arg, it->tag, 0, str_c(why)))
        l->is_stopped = true;
    free(it);
}

static struct load_item *item_make(const struct load *l, const struct load_request *r,
                                   struct err *err)
{
    struct buf b;
    struct load_item *it = NULL;
    buf_init(&b, REQUEST_BYTES);
    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: %s:%d\r\n", r->method, r->path, l->host, l->opt.port);
    if (r->bearer)
        buf_printf(&b, "Authorization: Bearer %s\r\n", r->bearer);
    if (r->body.p)
        buf_printf(&b, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                   r->content_type ? r->content_type : "application/json", r->body.n);
    buf_c(&b, "\r\n");
    buf_str(&b, r->body);
    if (buf_ok(&b, err) == ERR_OK) {
        it = malloc(sizeof *it + b.n);
        if (it) {
            *it = (struct load_item){.tag = r->tag, .bytes = {(char *)(it + 1), b.n}};
            memcpy(it + 1, b.p, b.n);
        } else {
            err_nomem(err);
        }
    }
    buf_fini(&b);
    return it;
}

/* The next request to send; NULL when there is none now. */
static struct load_item *item_next(struct load *l, int64_t now_ns)
{
    struct load_item *it = l->again;
    if (it) {
        l->again = it->next;
        return it;
    }
    if (l->has_ended || now_ns < l->wait_until_ns)
        return NULL;
    struct load_request r = {0};
    int64_t wait_ms = 1;
    enum load_next next = l->calls->next(l->calls->arg, &r, &wait_ms);
    if (next == LOAD_END)
        l->has_ended = true;
    if (next == LOAD_WAIT)
        l->wait_until_ns = now_ns + wait_ms * NS_PER_MS;
    if (next != LOAD_REQUEST)
        return NULL;
    it = item_make(l, &r, &l->err);
    if (it) {
        l->n_under_way++;
        l->stats.n_sent++;
    }
    return it;
}

static bool has_work(const struct load *l)
{
    return l->again || !l->has_ended;
}

static void conns_fill(struct load *l, int64_t now_ns)
{
    for (int i = 0; i < l->opt.n_connections; i++) {
        struct load_conn *c = &l->conns[i];
        if (c->state == CONN_DOWN && has_work(l) && now_ns >= c->retry_ns)
            conn_connect(c, now_ns);
    }
    bool is_found = true;
    for (int round = 0; is_found && round < l->opt.pipeline; round++) {
        is_found = false;
        for (int i = 0; i < l->opt.n_connections; i++) {
            struct load_conn *c = &l->conns[i];
            if (c->state != CONN_UP || c->n_items >= l->opt.pipeline)
                continue;
            struct load_item *it = item_next(l, now_ns);
            if (!it)
                break;
            conn_add(c, it);
            c->moved_ns = c->n_items == 1 ? now_ns : c->moved_ns;
            is_found = true;
        }
    }
    for (int i = 0; i < l->opt.n_connections; i++)
        conn_flush(&l->conns[i]);
}

/* Connections that are silent for too long; and a server that is away for too long. */
static enum err_code watch(struct load *l, int64_t now_ns, struct err *err)
{
    bool is_up = false;
    for (int i = 0; i < l->opt.n_connections; i++) {
        struct load_conn *c = &l->conns[i];
        bool is_silent = now_ns - c->moved_ns > l->opt.idle_ms * NS_PER_MS;
        if (c->state != CONN_DOWN && is_silent && (c->n_items > 0 || c->state == CONN_CONNECTING))
            conn_lost(c, now_ns, "no answer for too long");
        is_up = is_up || c->state == CONN_UP;
    }
    if (is_up || (!has_work(l) && l->n_under_way == 0)) {
        l->down_ns = 0;
    } else if (l->down_ns == 0) {
        l->down_ns = now_ns;
    } else if (now_ns - l->down_ns > l->opt.reconnect_ms * NS_PER_MS) {
        return err_set(err, ERR_UNAVAILABLE, "no connection to %s port %d for %lld ms", l->host,
                       l->opt.port, (long long)l->opt.reconnect_ms);
    }
    if (l->err.code != ERR_OK) {
        *err = l->err;
        return err->code;
    }
    return ERR_OK;
}

static int wait_ms(const struct load *l, int64_t now_ns)
{
    int64_t ms = TICK_MS;
    if (!l->has_ended && l->wait_until_ns > now_ns)
        ms = (l->wait_until_ns - now_ns) / NS_PER_MS + 1;
    return (int)(ms < TICK_MS ? ms : TICK_MS);
}

enum err_code load_run(struct load *l, const struct load_calls *calls, struct err *err)
{
    struct epoll_event events[EVENTS];
    enum err_code code = ERR_OK;
    l->calls = calls;
    l->has_ended = l->is_stopped = false;
    l->wait_until_ns = 0;
    l->down_ns = 0;
    err_reset(&l->err);
    while (code == ERR_OK && !l->is_stopped) {
        int64_t now_ns = mono_ns();
        conns_fill(l, now_ns);
        if (l->has_ended && l->n_under_way == 0)
            break;
        int n = epoll_wait(l->epoll, events, EVENTS, wait_ms(l, now_ns));
        now_ns = mono_ns();
        for (int i = 0; i < n; i++)
            conn_event(events[i].data.ptr, events[i].events, now_ns);
        code = watch(l, now_ns, err);
    }
    return code;
}

void load_stats(const struct load *l, struct load_stats *ret)
{
    *ret = l->stats;
}
