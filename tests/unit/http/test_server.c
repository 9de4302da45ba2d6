/* The server: routes, what is refused, queued requests, deadlines, spooling, streams, stopping. */
#include <pthread.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "http/client.h"
#include "http_fix.h"

static atomic_int n_running, n_released;
static atomic_bool is_open; /* the gate that slow handlers wait at */

static void on_echo(struct http_request *r, void *arg)
{
    struct str who = http_param(r, "who"), q = http_query(r, "q");
    char *text = str_printf(r->arena, "%.*s|%.*s|%.*s", STR_ARG(who), STR_ARG(q.p ? q : STR("-")),
                            STR_ARG(r->body));
    http_answer_text(r, 200, str_c(text));
}

static void on_rest(struct http_request *r, void *arg)
{
    http_answer_text(r, 200, http_param(r, "rest"));
}

static void on_static(struct http_request *r, void *arg)
{
    http_answer_text(r, 200, STR("static"));
}

/* Stays until the gate opens or it is cancelled. */
static void on_slow(struct http_request *r, void *arg)
{
    atomic_fetch_add(&n_running, 1);
    while (!atomic_load(&is_open) && !atomic_load(&r->is_cancelled))
        usleep(500);
    atomic_fetch_add(&n_released, 1);
    http_answer_text(r, 200, STR("slow"));
}

static void on_spool(struct http_request *r, void *arg)
{
    int64_t size = r->body_bytes;
    struct err err = ERR_INIT;
    if (r->body_path && file_size(r->body_path, &size, &err) != ERR_OK) {
        http_answer_err(r, &err);
        return;
    }
    http_answer_text(
        r, 200,
        str_c(str_printf(r->arena, "%lld %s", (long long)size, r->body_path ? "file" : "memory")));
}

static void on_nothing(struct http_request *r, void *arg)
{
}

static void *stream_main(void *arg)
{
    struct http_stream *st = arg;
    for (int i = 0; i < 2000; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "data: %d\n\n", i);
        if (!http_stream_put(st, str_n(text, (size_t)n), 5000))
            break;
    }
    http_stream_end(st);
    return NULL;
}

static void on_stream(struct http_request *r, void *arg)
{
    pthread_t t;
    struct http_stream *st = http_answer_stream(r, 200, "text/event-stream", 4096);
    if (st && pthread_create(&t, NULL, stream_main, st) == 0)
        pthread_detach(t);
}

static const struct http_route ROUTES[] = {
    {.method = "GET", .path = "/echo/{who}", .fn = on_echo},
    {.method = "POST", .path = "/echo/{who}", .body_max_bytes = 100, .fn = on_echo},
    {.method = "POST", .path = "/any/{who}", .flags = HTTP_ANY_TYPE, .fn = on_echo},
    {.method = "GET", .path = "/echo/static", .fn = on_static},
    {.method = "GET", .path = "/files/{rest*}", .fn = on_rest},
    {.method = "GET", .path = "/slow", .class_ = HTTP_QUEUED, .fn = on_slow},
    {.method = "GET", .path = "/late", .class_ = HTTP_QUEUED, .deadline_ms = 100, .fn = on_slow},
    {.method = "PUT",
     .path = "/spool",
     .class_ = HTTP_QUEUED,
     .flags = HTTP_ANY_TYPE | HTTP_SPOOL,
     .body_max_bytes = 1u << 30,
     .fn = on_spool},
    {.method = "GET", .path = "/nothing", .fn = on_nothing},
    {.method = "GET", .path = "/probe", .flags = HTTP_ANY_HOST, .fn = on_static},
    {.method = "GET", .path = "/stream", .fn = on_stream},
};

struct fix {
    struct http_server *server;
    int port;
    char dir[64];
};

static int fix_make(void **state)
{
    static const char *const hosts[] = {"pawl.example", NULL};
    struct fix *f = calloc(1, sizeof *f);
    struct err err = ERR_INIT;
    snprintf(f->dir, sizeof f->dir, "/tmp/pawl-http-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    struct http_options opt = {.hosts = hosts,
                               .n_workers = 2,
                               .queue_max = 2,
                               .body_memory_bytes = 65536,
                               .spool_dir = f->dir};
    atomic_store(&is_open, false);
    atomic_store(&n_running, 0);
    atomic_store(&n_released, 0);
    ASSERT_OK(http_server_open(&opt, ROUTES, sizeof ROUTES / sizeof *ROUTES, &f->server, &err),
              &err);
    f->port = http_server_port(f->server);
    *state = f;
    return 0;
}

static int fix_drop(void **state)
{
    struct fix *f = *state;
    struct err err = ERR_INIT;
    http_server_stop(f->server, 1000);
    enum err_code code = dir_remove(f->dir, &err);
    free(f);
    return code == ERR_OK ? 0 : -1;
}

/* A request, the status it must get, and what the answer must say. */
struct row {
    const char *request;
    int status;
    const char *says;
};

static const struct row ROWS[] = {
    {"GET /echo/a HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "a|-|"},
    {"GET /echo/a%20b%2Fc?q=x+y%26 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n", 200, "a b/c|x y&|"},
    {"HEAD /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200,
     "Content-Length: 4"},
    {"GET /echo/static HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "static"},
    {"GET /files/a/b//c HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "a/b//c"},
    {"OPTIONS /echo/a HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "Allow: "},
    {"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "there is no /none here"},
    {"DELETE /echo/a HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "not DELETE"},
    {"GET /echo/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "percent escape"},
    {"GET /echo/a HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, "not a name of this server"},
    {"GET /echo/a HTTP/1.1\r\nHost: PAWL.example:9\r\n\r\n", 200, "a|-|"},
    {"GET /probe HTTP/1.1\r\nHost: 10.0.0.7\r\n\r\n", 200, "static"},
    {"GET /echo/a HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", 403,
     "may not call"},
    {"GET /echo/a HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n", 403, "may not call"},
    {"GET /echo/a HTTP/1.1\r\nHost: localhost:5\r\nOrigin: http://localhost:5\r\n\r\n", 200,
     "a|-|"},
    {"POST /echo/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json; "
     "charset=utf-8\r\nContent-Length: "
     "2\r\n\r\n{}",
     200, "a|-|{}"},
    {"POST /echo/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: "
     "2\r\n\r\n{}",
     415, "application/json"},
    {"POST /any/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 200, "a|-|{}"},
    {"POST /any/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
     "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
     200, "a|-|abcde"},
    {"POST /any/a HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: "
     "2\r\n\r\n{}",
     415, "Content-Encoding gzip"},
    {"POST /echo/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
     "application/json\r\nContent-Length: 1000\r\n\r\n",
     413, "at most 100"},
    {"POST /echo/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
     "application/json\r\nContent-Length: 99999999\r\n\r\n",
     413, "99999999"},
    {"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 500, "no answer"},
};

static void test_rows(void **state)
{
    struct fix *f = *state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char out[8192], request[2048];
        size_t n = strlen(ROWS[i].request);
        memcpy(request, ROWS[i].request, n + 1);
        if (strstr(request,
                   "Content-Length: 1000\r\n")) { /* a small body is read before it is refused */
            memset(request + n, ' ', 1000);
            request[n + 1000] = 0;
        }
        int status = ask(f->port, request, out, sizeof out);
        if (status != ROWS[i].status || !strstr(out, ROWS[i].says))
            fail_msg("row %zu: %s\n-> %s", i, ROWS[i].request, out);
    }
}

static void wait_for(const atomic_int *n, int goal)
{
    int64_t until_ns = mono_ns() + 10 * INT64_C(1000000000);
    while (atomic_load(n) < goal && mono_ns() < until_ns)
        usleep(500);
    assert_true(atomic_load(n) >= goal);
}

static const char SLOW[] = "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";

/* Both workers busy, one after the other so that nothing is queued meanwhile; then the queue of two full. */
static void four_slow(struct fix *f, int fds[4])
{
    struct http_stats st;
    for (int i = 0; i < 4; i++) {
        fds[i] = socket_to(f->port);
        send_text(fds[i], SLOW);
        wait_for(&n_running, i < 2 ? i + 1 : 2);
    }
    int64_t until_ns = mono_ns() + 10 * INT64_C(1000000000);
    do
        http_server_stats(f->server, &st);
    while (st.n_queue_waiting < 2 && mono_ns() < until_ns);
}

static void test_full_queue(void **state)
{
    struct fix *f = *state;
    int fds[4];
    char out[4096];
    four_slow(f, fds);
    assert_int_equal(ask(f->port, SLOW, out, sizeof out), 503);
    assert_non_null(strstr(out, "Retry-After: 1"));
    assert_int_equal(
        ask(f->port, "GET /echo/x HTTP/1.1\r\nHost: localhost\r\n\r\n", out, sizeof out),
        200); /* inline goes on */
    atomic_store(&is_open, true);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(read_answer(fds[i], out, sizeof out), 200);
        close(fds[i]);
    }
}

static void test_deadline(void **state)
{
    struct fix *f = *state;
    char out[4096];
    int fd = socket_to(f->port);
    send_text(fd, "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(read_answer(fd, out, sizeof out), 504);
    wait_for(&n_released, 1); /* the handler was told */
    send_text(
        fd,
        "GET /echo/again HTTP/1.1\r\nHost: localhost\r\n\r\n"); /* and the connection lives on */
    assert_int_equal(read_answer(fd, out, sizeof out), 200);
    close(fd);
}

static void test_client_goes_away(void **state)
{
    struct fix *f = *state;
    char out[4096];
    for (int i = 0; i < 2; i++) {
        int fd = socket_to(f->port);
        send_text(fd, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
        wait_for(&n_running, i + 1);
        close(fd);
    }
    atomic_store(&is_open, true);
    wait_for(&n_released, 2);
    assert_int_equal(ask(f->port, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n", out, sizeof out),
                     200);
}

static void test_spool(void **state)
{
    struct fix *f = *state;
    static const size_t sizes[] = {10, 65536, 65537, 300000, 40000000};
    struct http_client *c = NULL;
    struct err err = ERR_INIT;
    struct arena a;
    char url[128], path[128], want[64];
    arena_init(&a, 64 << 20);
    ASSERT_OK(http_client_open(&c, &err), &err);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/spool", f->port);
    snprintf(path, sizeof path, "%s/source", f->dir);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *bytes = malloc(sizes[i]);
        struct http_reply re;
        memset(bytes, 'x', sizes[i]);
        ASSERT_OK(file_write(path, str_n(bytes, sizes[i]), 0600, &err), &err);
        free(bytes);
        struct http_call call = {.method = "PUT",
                                 .url = url,
                                 .body_path = path,
                                 .content_type = "application/octet-stream"};
        ASSERT_OK(http_call(c, &call, &a, &re, &err), &err);
        snprintf(want, sizeof want, "%zu %s", sizes[i], sizes[i] > 65536 ? "file" : "memory");
        assert_int_equal(re.status, 200);
        assert_string_equal(re.body.p, want);
    }
    http_client_close(c);
    char **names;
    size_t n;
    int64_t until_ns = mono_ns() + 10 * INT64_C(1000000000);
    do
        ASSERT_OK(dir_list(f->dir, &a, &names, &n, &err), &err);
    while (n > 1 && mono_ns() < until_ns);
    assert_int_equal(n, 1); /* no body is left behind */
    arena_fini(&a);
}

static void test_stream(void **state)
{
    struct fix *f = *state;
    struct http_client *c = NULL;
    struct err err = ERR_INIT;
    struct arena a;
    struct http_reply re;
    char url[128];
    arena_init(&a, 64 << 20);
    ASSERT_OK(http_client_open(&c, &err), &err);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/stream", f->port);
    struct http_call call = {.url = url};
    ASSERT_OK(http_call(c, &call, &a, &re, &err), &err);
    assert_string_equal(re.content_type, "text/event-stream");
    assert_non_null(strstr(re.body.p, "data: 1999\n\n"));
    int fd = socket_to(f->port); /* a listener that goes away ends its producer */
    send_text(fd, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    close(fd);
    http_client_close(c);
    arena_fini(&a);
}

static void *stop_main(void *arg)
{
    http_server_stop(arg, 200);
    return NULL;
}

/* Stopping with requests under way: they are answered, and nothing hangs or aborts. */
static void test_stop_under_way(void **state)
{
    struct fix *f = *state;
    char out[4096];
    int fds[4];
    pthread_t t;
    four_slow(f, fds);
    assert_int_equal(pthread_create(&t, NULL, stop_main, f->server), 0);
    f->server = NULL;
    for (int i = 0; i < 4; i++) {
        if (read_answer(fds[i], out, sizeof out) != 503 || !strcasestr(out, "Connection: close"))
            fail_msg("connection %d: %s", i, out);
        close(fds[i]);
    }
    pthread_join(t, NULL);
}

static void test_routes_twice(void **state)
{
    static const struct http_route twice[] = {{.method = "GET", .path = "/a/{x}", .fn = on_static},
                                              {.method = "GET", .path = "/a/{y}", .fn = on_static}};
    struct http_options opt = {0};
    struct http_server *s = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(http_server_open(&opt, twice, 2, &s, &err), ERR_EXISTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, fix_make, fix_drop),
        cmocka_unit_test_setup_teardown(test_full_queue, fix_make, fix_drop),
        cmocka_unit_test_setup_teardown(test_deadline, fix_make, fix_drop),
        cmocka_unit_test_setup_teardown(test_client_goes_away, fix_make, fix_drop),
        cmocka_unit_test_setup_teardown(test_spool, fix_make, fix_drop),
        cmocka_unit_test_setup_teardown(test_stream, fix_make, fix_drop),
        cmocka_unit_test_setup_teardown(test_stop_under_way, fix_make, fix_drop),
        cmocka_unit_test(test_routes_twice),
    };
    return RUN_TESTS(tests);
}
