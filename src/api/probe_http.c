#include "api/probe_http.h"

#include <string.h>
#include <time.h>

#include "audit/journal.h"
#include "base/check.h"
#include "feedback/label.h"
#include "feedback/log.h"
#include "http/prom.h"
#include "serve/serve.h"

#define PAGE_BYTES_MAX (16u << 20)

#ifndef PAWL_VERSION
#define PAWL_VERSION "0"
#endif

static void on_live(struct http_request *r, void *arg)
{
    (void)arg;
    http_answer_text(r, 200, STR("ok\n"));
}

/* Ready to predict: nothing here asks the database, which predictions do not need. */
static void on_ready(struct http_request *r, void *arg)
{
    const struct services *sv = arg;
    if (sv->server && http_server_is_draining(sv->server))
        http_answer_text(r, 503, STR("the server stops\n"));
    else if (!sv->serve)
        http_answer_text(r, 503, STR("serving has not started\n"));
    else if (!serve_is_ready(sv->serve))
        http_answer_text(r, 503, STR("a live release is not loaded: see pawl endpoints\n"));
    else
        http_answer_text(r, 200, STR("ok\n"));
}

/* MLflow's clients ask /health and compare with these bytes. */
static void on_health(struct http_request *r, void *arg)
{
    (void)arg;
    http_answer_text(r, 200, STR("OK"));
}

static void server_metrics(const struct services *sv, struct prom *p)
{
    static const char *const classes[] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct http_stats st;
    if (!sv->server)
        return;
    http_server_stats(sv->server, &st);
    prom_family(p, PROM_HTTP_REQUESTS);
    for (size_t i = 1; i < ARRAY_LEN(classes); i++)
        prom_sample(p, (double)st.by_status[i], "class", classes[i], NULL);
    const struct {
        enum prom_metric metric;
        uint64_t n;
    } rows[] = {{PROM_HTTP_CONNECTIONS, st.n_connections_open},
                {PROM_HTTP_QUEUE_WAITING, st.n_queue_waiting + st.n_workers_busy},
                {PROM_HTTP_QUEUE_FULL, st.n_queue_full},
                {PROM_HTTP_EXPIRED, st.n_expired},
                {PROM_HTTP_REFUSED, st.n_refused}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        prom_family(p, rows[i].metric);
        prom_sample(p, (double)rows[i].n, NULL);
    }
}

static void log_metrics(const struct services *sv, struct prom *p)
{
    struct feedback_log_stats st;
    if (!sv->log)
        return;
    feedback_log_stats(sv->log, &st);
    const struct {
        enum prom_metric metric;
        double value;
    } rows[] = {
        {PROM_LOG_RECORDS, (double)st.n_records},
        {PROM_LOG_DROPPED, (double)st.n_dropped},
        {PROM_LOG_BYTES, (double)st.log_bytes},
        {PROM_LOG_RECOVERED, (double)st.n_recovered},
        {PROM_LOG_RING_FULL_RATIO, st.ring_full_ratio},
        {PROM_LABELS, sv->labels ? (double)label_log_count(sv->labels) : 0},
        {PROM_JOURNAL_GENERATION, sv->journal ? (double)journal_generation(sv->journal) : 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        prom_family(p, rows[i].metric);
        prom_sample(p, rows[i].value, NULL);
    }
}

static void on_metrics(struct http_request *r, void *arg)
{
    struct services *sv = arg;
    struct err err = ERR_INIT;
    struct buf b;
    struct prom p;
    buf_init(&b, PAGE_BYTES_MAX);
    prom_init(&p, &b);
    prom_family(&p, PROM_BUILD_INFO);
    prom_sample(&p, 1, "version", PAWL_VERSION, NULL);
    server_metrics(sv, &p);
    if (sv->serve)
        serve_metrics(sv->serve, &p);
    log_metrics(sv, &p);
    char *page = buf_ok(&b, &err) == ERR_OK ? str_dup(r->arena, buf_view(&b)) : NULL;
    if (page)
        http_answer(r, 200, "text/plain; version=0.0.4; charset=utf-8", str_n(page, b.n));
    else
        http_answer_err(r,
                        err.code ? &err : &(struct err){.code = ERR_NOMEM, .msg = "out of memory"});
    buf_fini(&b);
}

enum err_code probe_http_routes(struct services *sv, struct arena *a, struct http_route **ret,
                                size_t *ret_n, struct err *err)
{
    static const struct http_route rows[] = {
        {.method = "GET", .path = "/livez", .flags = HTTP_ANY_HOST, .fn = on_live},
        {.method = "GET", .path = "/readyz", .flags = HTTP_ANY_HOST, .fn = on_ready},
        {.method = "GET", .path = "/health", .flags = HTTP_ANY_HOST, .fn = on_health},
        {.method = "GET",
         .path = "/metrics",
         .class_ = HTTP_QUEUED,
         .flags = HTTP_ANY_HOST,
         .fn = on_metrics},
    };
    struct http_route *routes = ARENA_NEW_N(a, struct http_route, ARRAY_LEN(rows));
    if (!routes)
        return arena_err(a, err);
    memcpy(routes, rows, sizeof rows);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        routes[i].arg = sv;
    *ret = routes;
    *ret_n = ARRAY_LEN(rows);
    return ERR_OK;
}
