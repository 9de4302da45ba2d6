/* The load client: every request answered once, in order of its connection, also across a server that comes back. */
#include <pthread.h>

#include "base/clock.h"
#include "http/load.h"
#include "http/prom.h"
#include "http_fix.h"

#define REQUESTS 5000

static atomic_int n_served[REQUESTS];

static void on_count(struct http_request *r, void *arg)
{
    struct err err = ERR_INIT;
    uint64_t n = REQUESTS;
    if (parse_u64(r->body, &n, &err) == ERR_OK && n < REQUESTS)
        atomic_fetch_add(&n_served[n], 1);
    http_answer_text(r, 200, r->body);
}

static const struct http_route ROUTES[] = {
    {.method = "POST", .path = "/count", .flags = HTTP_ANY_TYPE, .fn = on_count}};

struct run {
    uint64_t next, n_done, n_bad;
    char body[32];
    struct http_server **server; /* restarted in the middle when not NULL */
    int port;
};

static struct http_server *server_start(int port)
{
    struct http_options opt = {.port = port};
    struct http_server *s = NULL;
    struct err err = ERR_INIT;
    ASSERT_OK(http_server_open(&opt, ROUTES, 1, &s, &err), &err);
    return s;
}

static enum load_next on_next(void *arg, struct load_request *ret, int64_t *ret_wait_ms)
{
    struct run *r = arg;
    if (r->next == REQUESTS)
        return LOAD_END;
    if (r->next == REQUESTS / 2 && r->server) {
        http_server_stop(*r->server, 1000);
        *r->server = server_start(r->port);
        r->server = NULL;
    }
    int n = snprintf(r->body, sizeof r->body, "%llu", (unsigned long long)r->next);
    *ret = (struct load_request){
        .method = "POST", .path = "/count", .body = {r->body, (size_t)n}, .tag = r->next++};
    return LOAD_REQUEST;
}

static bool on_done(void *arg, uint64_t tag, int status, struct str body)
{
    struct run *r = arg;
    struct err err = ERR_INIT;
    uint64_t n = 0;
    r->n_done++;
    if (status != 200 || parse_u64(body, &n, &err) != ERR_OK || n != tag)
        r->n_bad++;
    return true;
}

static void run_all(bool is_restarted)
{
    struct http_server *s = server_start(0);
    struct run r = {.server = is_restarted ? &s : NULL, .port = http_server_port(s)};
    struct load_options opt = {.host = "127.0.0.1",
                               .port = r.port,
                               .n_connections = 4,
                               .pipeline = 8,
                               .n_retries = 3,
                               .reconnect_ms = 10000};
    struct load_calls calls = {&r, on_next, on_done};
    struct load *l = NULL;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < REQUESTS; i++)
        atomic_store(&n_served[i], 0);
    ASSERT_OK(load_open(&opt, &l, &err), &err);
    ASSERT_OK(load_run(l, &calls, &err), &err);
    assert_true(r.n_done == REQUESTS && r.n_bad == 0);
    for (size_t i = 0; i < REQUESTS; i++)
        assert_true(atomic_load(&n_served[i]) >= 1 &&
                    (is_restarted || atomic_load(&n_served[i]) == 1));
    load_close(l);
    http_server_stop(s, 1000);
}

static void test_all_once(void **state)
{
    run_all(false);
}

static void test_server_comes_back(void **state)
{
    run_all(true);
}

static void test_server_stays_away(void **state)
{
    struct http_server *s = server_start(0);
    struct run r = {.port = http_server_port(s)};
    struct load_options opt = {.host = "127.0.0.1",
                               .port = r.port,
                               .n_connections = 1,
                               .pipeline = 1,
                               .reconnect_ms = 100};
    struct load_calls calls = {&r, on_next, on_done};
    struct load *l = NULL;
    struct err err = ERR_INIT;
    http_server_stop(s, 0);
    ASSERT_OK(load_open(&opt, &l, &err), &err);
    assert_int_equal(load_run(l, &calls, &err), ERR_UNAVAILABLE);
    load_close(l);
}

static void test_metrics_page(void **state)
{
    struct buf b;
    struct prom p;
    struct prom_histogram h = {0};
    buf_init(&b, 1 << 16);
    prom_init(&p, &b);
    prom_observe_ns(&h, 60000);
    prom_observe_ns(&h, INT64_C(10000000000));
    prom_family(&p, PROM_HTTP_REQUESTS);
    prom_sample(&p, 3, "class", "a\"b\\c\nd", "none", NULL, NULL);
    prom_family(&p, PROM_PREDICTION_DURATION);
    prom_histogram(&p, &h, "endpoint", "e", NULL);
    const char *page = b.p;
    assert_non_null(strstr(page,
                           "# TYPE pawl_http_requests_total "
                           "counter\npawl_http_requests_total{class=\"a\\\"b\\\\c\\nd\"} 3\n"));
    assert_non_null(
        strstr(page,
               "pawl_prediction_duration_seconds_bucket{endpoint=\"e\",le=\"0.00005\"} 0\n") ||
                strstr(page, "le=\"5e-05\"} 0\n") || strstr(page, "le=\"5e-5\"} 0\n")
            ? page
            : NULL);
    assert_non_null(
        strstr(page, "pawl_prediction_duration_seconds_bucket{endpoint=\"e\",le=\"+Inf\"} 2\n"));
    assert_non_null(strstr(page, "pawl_prediction_duration_seconds_count{endpoint=\"e\"} 2\n"));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_once),
        cmocka_unit_test(test_server_comes_back),
        cmocka_unit_test(test_server_stays_away),
        cmocka_unit_test(test_metrics_page),
    };
    return RUN_TESTS(tests);
}
