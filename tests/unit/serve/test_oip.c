/* Inference over HTTP as clients send it: broken requests get their code and a sentence, good ones their answer, and a
 * hundred hot swaps under load lose none. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/oip_http.h"
#include "base/clock.h"
#include "http/client.h"
#include "http/load.h"
#include "serve_fix.h"

#define INFER "/v2/models/e/infer"

struct web {
    struct home *home;
    struct services sv;
    struct arena arena;
    struct http_server *server;
    struct http_client *client;
    int port;
};

static int web_make(void **state)
{
    struct web *w = calloc(1, sizeof *w);
    struct err err = ERR_INIT;
    struct http_route *routes;
    size_t n;
    if (home_make((void **)&w->home) != 0)
        return -1;
    arena_init(&w->arena, 64 << 20);
    go_live(w->home, 1, 1);
    w->sv = (struct services){.serve = w->home->serve, .log = w->home->log};
    ASSERT_OK(oip_http_routes(&w->sv, &w->arena, &routes, &n, &err), &err);
    struct http_options opt = {.body_max_bytes = 1 << 20};
    ASSERT_OK(http_server_open(&opt, routes, n, &w->server, &err), &err);
    w->sv.server = w->server;
    w->port = http_server_port(w->server);
    ASSERT_OK(http_client_open(&w->client, &err), &err);
    *state = w;
    return 0;
}

static int web_drop(void **state)
{
    struct web *w = *state;
    http_client_close(w->client);
    http_server_stop(w->server, 1000);
    void *home = w->home;
    arena_fini(&w->arena);
    free(w);
    return home_drop(&home);
}

static struct http_reply send(struct web *w, const char *path, struct str body,
                              const char *const *headers)
{
    char url[512];
    struct http_reply re;
    struct err err = ERR_INIT;
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", w->port, path);
    struct http_call call = {
        .method = body.p ? "POST" : "GET", .url = url, .body = body, .headers = headers};
    ASSERT_OK(http_call(w->client, &call, &w->arena, &re, &err), &err);
    return re;
}

static struct json *doc_of(struct web *w, const struct http_reply *re)
{
    struct json *doc;
    struct err err = ERR_INIT;
    ASSERT_OK(json_read(re->body, &w->arena, &doc, &err), &err);
    return doc;
}

struct broken {
    const char *path, *body;
    int status;
    const char *says;
};

#define X(data)                                                                                    \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":" data "}]}"
#define ONE(members) "{\"inputs\":[{" members "}]}"
#define AB(a, b)                                                                                   \
    "{\"inputs\":[{\"name\":\"a\",\"shape\":[1],\"datatype\":\"FP64\",\"data\":" a                 \
    "},{\"name\":\"b\",\"shape\":[1],\"datatype\":\"FP64\",\"data\":" b "}]}"

static const struct broken ROWS[] = {
    {INFER, "", 400, "body is empty"},
    {INFER, "   ", 400, "body is empty"},
    {INFER, "[", 400, "expected '{'"},
    {INFER, "{", 400, "found the end"},
    {INFER, "null", 400, "expected '{'"},
    {INFER, "{\"inputs\":}", 400, "expected '['"},
    {INFER, "{\"inputs\":[]}", 400, "has no inputs"},
    {INFER, "{}", 400, "has no inputs"},
    {INFER, "{\"inputs\":[1]}", 400, "expected '{'"},
    {INFER, "{\"inputs\":[{}]}", 400, "no name"},
    {INFER, ONE("\"name\":\"x\""), 400, "no datatype"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"FP32\""), 400, "no shape"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,2]"), 400, "no data"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"FLOAT\",\"shape\":[1,2],\"data\":[1,2]"), 400,
     "not one of BOOL"},
    {INFER, ONE("\"name\":7,\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1,2]"), 400,
     "expected '\"'"},
    {INFER, ONE("\"name\":\"\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1,2]"), 400,
     "1 to 512 bytes"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,2],\"data\":[1,2]"), 400,
     "shape[0] is -1"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1.5],\"data\":[1,2]"), 400,
     "whole numbers"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,1,2],\"data\":[1,2]"), 400,
     "3 dimensions"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[0,2],\"data\":[]"), 400,
     "no rows"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2000000000,2],\"data\":[1,2]"),
     400, "more than the body"},
    {INFER, X("[1]"), 400, "shape says 2 values, data has 1"},
    {INFER, X("[1,2,3]"), 400, "more than the 2 values"},
    {INFER, X("[1,\"two\"]"), 400, "found the text \"two\""},
    {INFER, X("[1,true]"), 400, "expected a number"},
    {INFER, X("[1,2"), 400, "found"},
    {INFER, X("[1,,2]"), 400, "expected a number"},
    {INFER, X("[1,2,]"), 400, "more than the 2 values"},
    {INFER, X("[01,2]"), 400, "expected a number"},
    {INFER, X("[1e999,2]"), 400, "1e999"},
    {INFER, X("{\"a\":1}"), 400, "expected '['"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"INT8\",\"shape\":[1,2],\"data\":[1,300]"), 400,
     "300 does not fit INT8"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"INT64\",\"shape\":[1,2],\"data\":[1,1.5]"), 400,
     "whole numbers"},
    {INFER, ONE("\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]"), 400,
     "3 columns"},
    {INFER, ONE("\"name\":\"aa\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]"), 400,
     "is not a field of e"},
    {INFER, ONE("\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]"), 400, "b"},
    {INFER, ONE("\"name\":\"a\",\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"x\"]"), 400, "a"},
    {INFER, AB("[1]", "[1,2]"), 400, "more than the 1 values"},
    {INFER, "{\"id\":7,\"inputs\":[]}", 400, "id is a text"},
    {INFER, "{\"inputs\":[],\"outputs\":7}", 400, "expected '['"},
    {INFER,
     "{\"outputs\":[{\"name\":\"probability\"}],\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],"
     "\"datatype\":\"FP32\","
     "\"data\":[1,2]}]}",
     400, "no output \"probability\""},
    {INFER, X("[1,2]") " tail", 400, "follows the JSON"},
    {INFER, "{\"id\":\"\xff\xfe\",\"inputs\":[]}", 400, "not UTF-8"},
    {INFER, "{\"id\":\"\\ud800\",\"inputs\":[]}", 400, "broken escape"},
    {"/v2/models/none/infer", X("[1,2]"), 404, "no endpoint none"},
    {"/v2/models/e/versions/r9/infer", X("[1,2]"), 404, "does not serve r9"},
    {"/v2/models/e/versions/x/infer", X("[1,2]"), 404, "such as r12"},
};

static void test_broken(void **state)
{
    struct web *w = *state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct http_reply re = send(w, ROWS[i].path, str_c(ROWS[i].body), NULL);
        const char *text = re.status == 200 ? NULL : json_get_c(doc_of(w, &re), "error");
        if (re.status != ROWS[i].status || !text || strlen(text) < 10 ||
            !strstr(text, ROWS[i].says))
            fail_msg("row %zu: %s\n-> %d %s", i, ROWS[i].body, re.status, re.body.p);
        assert_string_equal(re.content_type, "application/json");
    }
    struct record_filter f = {.from_us = AT_US_NONE, .to_us = AT_US_NONE, .role = -1, .status = -1};
    struct json *by;
    uint64_t n;
    struct err err = ERR_INIT;
    ASSERT_OK(feedback_log_count(w->home->log, &f, &w->arena, &n, &by, &err), &err);
    assert_int_equal(n, 0); /* none of them is a prediction */
}

static void test_good(void **state)
{
    static const char *const bodies[] = {
        X("[2,3]"),
        X("[[2,3]]"),
        X(" [ 2.0 , 3e0 ] "),
        "{\"inputs\":[{\"data\":[2,3],\"shape\":[1,2],\"datatype\":\"FP32\",\"name\":\"x\"}],"
        "\"model_name\":\"e\",\"x\":{\"y\":[1]}}",
        AB("[2]", "[null]"),
        AB("[2.0]", "[\"NaN\"]"),
        AB("[2]", "[NaN]"),
        ONE("\"name\":\"x\",\"datatype\":\"INT32\",\"shape\":[1,2],\"data\":[2,3]")};
    struct web *w = *state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct http_reply re = send(w, INFER, str_c(bodies[i]), NULL);
        if (re.status != 200)
            fail_msg("body %zu: %d %s", i, re.status, re.body.p);
        struct json *doc = doc_of(w, &re);
        double score = 0;
        assert_true(json_as_f64(json_path(doc, "outputs.0.data.0"), &score));
        assert_true((float)score == score_of(1, 2));
        assert_string_equal(json_get_c(doc, "model_version"), "r1");
        assert_true(json_path(doc, "outputs.1.data.0")->u.b);
        assert_int_equal(strlen(json_get_c(doc, "id")), 36);
    }
}

static void test_id_and_rows(void **state)
{
    struct web *w = *state;
    struct http_reply re = send(
        w, INFER,
        STR("{\"id\":\"o\\u00e9 1\",\"inputs\":[{\"name\":\"x\",\"shape\":[3,2],\"datatype\":"
            "\"FP32\",\"data\":[[0,0],[2,0],[null,0]]}],\"outputs\":[{\"name\":\"predict\"}]}"),
        NULL);
    assert_int_equal(re.status, 200);
    struct json *doc = doc_of(w, &re);
    assert_string_equal(json_get_c(doc, "id"), "o\xc3\xa9 1");
    assert_non_null(json_path(doc, "parameters.prediction_id"));
    assert_int_equal(json_len(json_get(doc, "outputs")), 1);
    assert_int_equal(json_len(json_path(doc, "outputs.0.data")), 3);
    const float want[] = {score_of(1, 0), score_of(1, 2), score_of(1, (double)NAN)};
    for (size_t i = 0; i < 3; i++) {
        double score = 0;
        assert_true(json_as_f64(json_at(json_path(doc, "outputs.0.data"), i), &score) &&
                    (float)score == want[i]);
    }
    struct err err = ERR_INIT;
    ASSERT_OK(feedback_log_flush(w->home->log, LOG_ACK_WRITTEN, 5000, &err), &err);
    struct record_filter f = {.from_us = AT_US_NONE, .to_us = AT_US_NONE, .role = -1, .status = -1};
    struct json *by;
    uint64_t n;
    ASSERT_OK(feedback_log_count(w->home->log, &f, &w->arena, &n, &by, &err), &err);
    assert_int_equal(n, 3);
}

/* The binary tensor extension, as tritonclient sends by default. */
static void test_binary(void **state)
{
    struct web *w = *state;
    char body[512], header[64];
    const float values[] = {2, 3};
    int n = snprintf(
        body, sizeof body,
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"parameters\":"
        "{\"binary_data_size\":8}}],\"parameters\":{\"binary_data_output\":true}}");
    memcpy(body + n, values, sizeof values);
    snprintf(header, sizeof header, "Inference-Header-Content-Length: %d", n);
    const char *const headers[] = {header, NULL};
    struct http_reply re = send(w, INFER, str_n(body, (size_t)n + 8), headers);
    assert_int_equal(re.status, 200);
    double score = 0;
    assert_true(json_as_f64(json_path(doc_of(w, &re), "outputs.0.data.0"), &score) &&
                (float)score == score_of(1, 2));
    re = send(w, INFER, str_n(body, (size_t)n + 4), headers);
    assert_int_equal(re.status, 400);
    re = send(w, INFER, str_n(body, (size_t)n + 9), headers);
    assert_int_equal(re.status, 400);
}

static void test_looking(void **state)
{
    struct web *w = *state;
    static const char *const paths[] = {"/v2",
                                        "/v2/",
                                        "/v2/health/live",
                                        "/v2/health/ready",
                                        "/v2/models",
                                        "/v2/models/e",
                                        "/v2/models/e/ready",
                                        "/v2/models/e/versions/r1",
                                        "/v2/models/e/versions/1/ready"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(send(w, paths[i], STR_NONE, NULL).status, 200);
    struct http_reply re = send(w, "/v2/models/e", STR_NONE, NULL);
    struct json *doc = doc_of(w, &re);
    assert_string_equal(json_path(doc, "inputs.1.name")->u.s.p, "b");
    assert_string_equal(json_path(doc, "outputs.0.name")->u.s.p, "predict");
    assert_int_equal(send(w, "/v2/models/none", STR_NONE, NULL).status, 404);
    assert_int_equal(send(w, "/v2/models/e/versions/r2/ready", STR_NONE, NULL).status, 404);
}

/* ---- swaps under load ---- */

struct run {
    struct web *web;
    atomic_bool is_over;
    uint64_t n_done, n_bad;
    struct arena arena;
};

static enum load_next on_next(void *arg, struct load_request *ret, int64_t *ret_wait_ms)
{
    struct run *r = arg;
    if (atomic_load(&r->is_over))
        return LOAD_END;
    *ret = (struct load_request){.method = "POST", .path = INFER, .body = STR(X("[2,3]"))};
    return LOAD_REQUEST;
}

static bool on_done(void *arg, uint64_t tag, int status, struct str body)
{
    struct run *r = arg;
    struct json *doc;
    struct err err = ERR_INIT;
    double score = 0;
    arena_reset(&r->arena);
    r->n_done++;
    if (status != 200 || json_read(body, &r->arena, &doc, &err) != ERR_OK ||
        !json_as_f64(json_path(doc, "outputs.0.data.0"), &score) ||
        (float)score != score_of((double)(json_get_c(doc, "model_version")[1] - '0'), 2))
        r->n_bad++;
    return true;
}

static void *load_main(void *arg)
{
    struct run *r = arg;
    struct load_options opt = {
        .host = "127.0.0.1", .port = r->web->port, .n_connections = 4, .pipeline = 4};
    struct load_calls calls = {r, on_next, on_done};
    struct load *l = NULL;
    struct err err = ERR_INIT;
    if (load_open(&opt, &l, &err) != ERR_OK || load_run(l, &calls, &err) != ERR_OK)
        r->n_bad++;
    load_close(l);
    return NULL;
}

static void test_hot_swaps(void **state)
{
    struct web *w = *state;
    struct run r = {.web = w};
    pthread_t t;
    struct serve_result res;
    arena_init(&r.arena, 1 << 20);
    go_live(w->home, 2, 2);
    assert_int_equal(pthread_create(&t, NULL, load_main, &r), 0);
    for (int i = 0; i < 100; i++) {
        struct serve_decision d = {.kind = SERVE_ROLLBACK,
                                   .endpoint = "e",
                                   .actor = "test",
                                   .reason = "swap",
                                   .release = i % 2 ? 2 : 1,
                                   .no_hold = true};
        decide_ok(w->home, &d, &res);
    }
    atomic_store(&r.is_over, true);
    pthread_join(t, NULL);
    assert_true(r.n_bad == 0 && r.n_done > 100);
    arena_fini(&r.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_broken, web_make, web_drop),
        cmocka_unit_test_setup_teardown(test_good, web_make, web_drop),
        cmocka_unit_test_setup_teardown(test_id_and_rows, web_make, web_drop),
        cmocka_unit_test_setup_teardown(test_binary, web_make, web_drop),
        cmocka_unit_test_setup_teardown(test_looking, web_make, web_drop),
        cmocka_unit_test_setup_teardown(test_hot_swaps, web_make, web_drop),
    };
    return RUN_TESTS(tests);
}
