/* Decisions, snapshots, rollback, starting again, the fuse, the journal that cannot be written. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "serve/assign.h"
#include "serve_fix.h"

static struct serve_answer ask(struct home *h, double a, double b)
{
    static struct arena arena;
    struct serve_answer ans;
    struct err err = ERR_INIT;
    arena_fini(&arena);
    arena_init(&arena, 1 << 20);
    ASSERT_OK(predict_ab(h, NULL, a, b, &arena, &ans, &err), &err);
    return ans;
}

/* Vectors that must never change: the same entity would be assigned anew (decision 22). */
static void test_golden_buckets(void **state)
{
    struct value key[2] = {{VAL_STR, {.s = STR("ORD")}}, {VAL_STR, {.s = STR("LAX")}}};
    struct value number = {VAL_INT, {.i = 42}};
    uint8_t id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    static const unsigned char bytes[] = {VAL_STR, 4, 0, 0, 0, 's', 'a', 'l', 't',
                                          VAL_STR, 3, 0, 0, 0, 'O', 'R', 'D'};
    (void)state;
    assert_int_equal(hash64(bytes, sizeof bytes, 0) % ASSIGN_BUCKETS,
                     8618); /* what the header says, by hand */
    assert_int_equal(assign_bucket(STR("salt"), key, 2), 9869);
    assert_int_equal(assign_bucket(STR("salt"), key, 1), 8618);
    assert_int_equal(assign_bucket(STR("other"), key, 1), 6292);
    assert_int_equal(assign_bucket(STR("salt"), &number, 1), 9148);
    assert_int_equal(assign_bucket_by_id(STR("salt"), id), 3305);
}

static void test_buckets_are_even(void **state)
{
    uint32_t n[100] = {0};
    (void)state;
    for (int64_t i = 0; i < 100000; i++) {
        struct value v = {VAL_INT, {.i = i}};
        n[assign_bucket(STR("s"), &v, 1) / 100]++;
    }
    double chi2 = 0;
    for (int i = 0; i < 100; i++)
        chi2 += (n[i] - 1000.0) * (n[i] - 1000.0) / 1000.0;
    assert_true(chi2 < 148.2); /* chi-square, 99 degrees of freedom, 99.9 % */
}

static void test_live_and_rollback(void **state)
{
    struct home *h = *state;
    struct serve_result res;
    struct err err = ERR_INIT;
    struct arena a;
    struct serve_answer ans;
    arena_init(&a, 1 << 20);
    assert_int_equal(predict_ab(h, NULL, 0, 0, &a, &ans, &err), ERR_NOT_FOUND);
    go_live(h, 1, 1.0);
    go_live(h, 2, 2.0);
    go_live(h, 3, 3.0);
    ans = ask(h, 2, 0);
    assert_true(ans.release == 3 && ans.scores[0] == score_of(3, 2) && ans.decisions[0] == 1);
    struct serve_decision back = {
        .kind = SERVE_ROLLBACK, .endpoint = "e", .actor = "test", .reason = "bad"};
    decide_ok(h, &back, &res);
    assert_true(res.before == 3 && res.after == 2 && res.is_journaled && res.took_us < 1000000);
    assert_true(ask(h, 2, 0).scores[0] == score_of(2, 2));
    decide_ok(h, &back, &res); /* 3 was rolled back, so it is not a target again */
    assert_true(res.after == 1);
    err_reset(&err);
    assert_int_equal(serve_apply(h->serve, &back, &res, &err), ERR_REFUSED);
    back.release = 3;
    decide_ok(h, &back, &res); /* by name it may be */
    assert_true(ask(h, 2, 0).release == 3);
    arena_fini(&a);
}

static void test_hold_and_start_again(void **state)
{
    struct home *h = *state;
    struct serve_result res;
    struct err err = ERR_INIT;
    struct model_shape shape = {.leaf = 2, .threshold = (double)NAN};
    go_live(h, 1, 1.0);
    struct serve_decision hold = {.kind = SERVE_HOLD,
                                  .endpoint = "e",
                                  .actor = "test",
                                  .reason = "wait",
                                  .until_us = AT_US_NONE};
    decide_ok(h, &hold, &res);
    static const char *const sticky[] = {"a", "b"};
    struct serve_decision start = {.kind = SERVE_ROLLOUT_START,
                                   .endpoint = "e",
                                   .actor = "test",
                                   .release = 2,
                                   .share = 2500,
                                   .doc = release_make(h, &shape),
                                   .salt = "pepper",
                                   .sticky_by = sticky,
                                   .n_sticky = 2};
    assert_int_equal(serve_apply(h->serve, &start, &res, &err), ERR_REFUSED);
    hold.kind = SERVE_RESUME;
    decide_ok(h, &hold, &res);
    decide_ok(h, &start, &res);
    uint64_t rollout = res.generation;
    home_close(h);
    home_open(h);
    struct endpoint_state st;
    ASSERT_OK(serve_endpoint(h->serve, "e", &h->arena, &st, &err), &err);
    assert_true(st.live == 1 && st.has_rollout && st.rollout.id == rollout &&
                st.rollout.share == 2500);
    assert_string_equal(st.rollout.salt, "pepper");
    assert_true(serve_is_ready(h->serve));
    /* and without the snapshot file, from the journal alone */
    char path[128];
    home_close(h);
    snprintf(path, sizeof path, "%s/serving/snapshot.json", h->dir);
    assert_int_equal(unlink(path), 0);
    home_open(h);
    ASSERT_OK(serve_endpoint(h->serve, "e", &h->arena, &st, &err), &err);
    assert_true(st.has_rollout && st.rollout.id == rollout && st.rollout.n_sticky == 2);
}

static void test_share_is_kept(void **state)
{
    struct home *h = *state;
    struct serve_result res;
    struct model_shape shape = {.leaf = 2, .threshold = 0.5};
    static const char *const sticky[] = {"b"};
    uint8_t before[2000], n = 0;
    go_live(h, 1, 1.0);
    struct serve_decision d = {.kind = SERVE_ROLLOUT_START,
                               .endpoint = "e",
                               .actor = "test",
                               .release = 2,
                               .share = 1000,
                               .doc = release_make(h, &shape),
                               .salt = "s",
                               .sticky_by = sticky,
                               .n_sticky = 1};
    decide_ok(h, &d, &res);
    size_t n_candidate = 0;
    for (int i = 0; i < 2000; i++) {
        struct serve_answer ans = ask(h, 2, i);
        before[i] = ans.release == 2;
        n_candidate += before[i];
        assert_true(ans.role == (before[i] ? ROLE_CANARY : ROLE_LIVE) &&
                    (ans.bucket < 1000) == before[i]);
    }
    assert_in_range(n_candidate, 157, 245); /* 10 % of 2,000: 99.9 % binomial */
    struct serve_decision step = {
        .kind = SERVE_ROLLOUT_STEP, .endpoint = "e", .actor = "test", .step = 1, .share = 5000};
    decide_ok(h, &step, &res);
    for (int i = 0; i < 2000; i++) /* raising the share moves nobody back */
        assert_true(!before[i] || ask(h, 2, i).release == 2);
    step.kind = SERVE_ROLLOUT_PAUSE;
    decide_ok(h, &step, &res);
    for (int i = 0; i < 200; i++)
        assert_true(ask(h, 2, i).release == 1);
    step.kind = SERVE_ROLLOUT_STEP;
    decide_ok(h, &step, &res);
    step.kind = SERVE_ROLLOUT_FINISH;
    decide_ok(h, &step, &res);
    assert_true(res.after == 2 && ask(h, 2, n).release == 2);
}

static void test_regression_refused(void **state)
{
    struct home *h = *state;
    struct serve_result res;
    struct err err = ERR_INIT;
    char good[256], text[NUM_TEXT_BYTES];
    num_f32(text, score_of(1, 2));
    snprintf(good, sizeof good,
             "{\"format\":1,\"rows\":[{\"request\":{\"a\":2,\"b\":0},\"scores\":[%s]}]}", text);
    struct model_shape shape = {.leaf = 1, .threshold = 0.5, .regression = good};
    struct serve_decision d = {.kind = SERVE_LIVE, .endpoint = "e", .actor = "test", .release = 1};
    d.doc = release_make(h, &shape);
    decide_ok(h, &d, &res);
    struct runtime *rt;
    ASSERT_OK(serve_runtime(h->serve, "e", 0, &rt, &err), &err);
    assert_int_equal(runtime_regression_rows(rt), 1);
    runtime_unref(rt);
    shape.regression =
        "{\"format\":1,\"rows\":[{\"request\":{\"a\":2,\"b\":0},\"scores\":[0.7310586]},"
        "{\"request\":{\"a\":null,\"b\":0},\"score\":0.5}]}";
    d.release = 2;
    d.doc = release_make(h, &shape);
    assert_int_equal(serve_apply(h->serve, &d, &res, &err), ERR_REFUSED);
    assert_non_null(strstr(err.msg, "evaluation stored"));
    err_reset(&err);
    assert_int_equal(serve_check(h->serve, 2, d.doc, &err), ERR_REFUSED);
    assert_true(ask(h, 2, 0).release == 1);
}

static void test_wrong_digest(void **state)
{
    struct home *h = *state;
    struct serve_result res;
    struct err err = ERR_INIT;
    struct model_shape shape = {.leaf = 1, .threshold = 0.5};
    struct json *doc = release_make(h, &shape);
    struct str digest = json_get_str(doc, "model");
    char *other = str_dup(&h->arena, digest);
    other[0] = other[0] == 'a' ? 'b' : 'a';
    json_set(&h->arena, doc, "model", json_cstr(&h->arena, other));
    struct serve_decision d = {
        .kind = SERVE_LIVE, .endpoint = "e", .actor = "test", .release = 1, .doc = doc};
    assert_int_equal(serve_apply(h->serve, &d, &res, &err), ERR_CORRUPT);
}

/* A disk that is full: the journal cannot grow, a rollback flips all the same and is journaled later. */
static void test_rollback_without_journal(void **state)
{
    struct home *h = *state;
    struct serve_result res;
    struct err err = ERR_INIT;
    struct rlimit was, none = {.rlim_cur = 64, .rlim_max = RLIM_INFINITY};
    go_live(h, 1, 1.0);
    go_live(h, 2, 2.0);
    uint64_t gen = journal_generation(h->journal);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, SIG_IGN);
    none.rlim_max = was.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0); /* no file grows beyond 64 bytes */
    struct serve_decision live = {
        .kind = SERVE_FALLBACK, .endpoint = "e", .actor = "test", .fallback = 0.5};
    enum err_code refused = serve_apply(h->serve, &live, &res, &err);
    err_reset(&err);
    struct serve_decision back = {
        .kind = SERVE_ROLLBACK, .endpoint = "e", .actor = "test", .reason = "disk full"};
    enum err_code code = serve_apply(h->serve, &back, &res, &err);
    struct serve_answer ans = ask(h, 2, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_not_equal(refused, ERR_OK);
    ASSERT_OK(code, &err);
    assert_true(!res.is_journaled && res.after == 1 && ans.release == 1);
    assert_true(h->n_told[SERVE_EV_JOURNAL_FAILED] > 0);
    int64_t until_ns = mono_ns() + 10 * INT64_C(1000000000);
    while (journal_generation(h->journal) == gen && mono_ns() < until_ns)
        usleep(1000);
    assert_true(journal_generation(h->journal) == gen + 1);
    home_close(h);
    home_open(h);
    assert_true(ask(h, 2, 0).release == 1);
}

/* A candidate that cannot be asked: fields of its own that are required. */
static const char NEEDY_PLAN[] =
    "{\"format\":1,\"expr\":1,\"request\":[{\"name\":\"a\",\"type\":\"float\",\"required\":true},"
    "{\"name\":\"b\",\"type\":\"float\",\"required\":true},{\"name\":\"c\",\"type\":\"float\","
    "\"required\":true}],"
    "\"lookups\":[],\"row\":[],\"inputs\":[{\"name\":\"a\",\"from\":\"a\",\"kind\":\"number\"},"
    "{\"name\":\"b\",\"from\":\"b\",\"kind\":\"number\"}]}";

static void test_rescue_and_fuse(void **state)
{
    struct home *h = *state;
    struct serve_result res;
    struct err err = ERR_INIT;
    struct model_shape shape = {.leaf = 2, .threshold = 0.5, .plan = NEEDY_PLAN};
    go_live(h, 1, 1.0);
    struct serve_decision d = {.kind = SERVE_ROLLOUT_START,
                               .endpoint = "e",
                               .actor = "test",
                               .release = 2,
                               .share = 10000,
                               .doc = release_make(h, &shape),
                               .fuse = 0.5,
                               .fuse_min = 20};
    decide_ok(h, &d, &res);
    size_t n_rescued = 0;
    for (int i = 0; i < 40; i++) {
        struct serve_answer ans = ask(h, 2, i);
        assert_true(ans.release == 1 && ans.scores[0] == score_of(1, 2)); /* no client suffers */
        n_rescued += ans.is_rescued;
    }
    assert_in_range(n_rescued, 20, 40);
    int64_t until_ns = mono_ns() + 10 * INT64_C(1000000000);
    struct endpoint_state st = {.has_rollout = true};
    while (st.has_rollout && mono_ns() < until_ns) {
        ASSERT_OK(serve_endpoint(h->serve, "e", &h->arena, &st, &err), &err);
        usleep(1000);
    }
    assert_false(st.has_rollout);
    ASSERT_OK(feedback_log_flush(h->log, LOG_ACK_WRITTEN, 5000, &err), &err);
    struct record_filter f = {
        .from_us = AT_US_NONE, .to_us = AT_US_NONE, .role = ROLE_CANARY, .status = RECORD_ERROR};
    uint64_t n;
    struct json *by;
    ASSERT_OK(feedback_log_count(h->log, &f, &h->arena, &n, &by, &err), &err);
    assert_int_equal(n, n_rescued);
    f.role = ROLE_LIVE;
    f.status = RECORD_RESCUED;
    ASSERT_OK(feedback_log_count(h->log, &f, &h->arena, &n, &by, &err), &err);
    assert_int_equal(n, n_rescued);
}

static void test_client_id(void **state)
{
    struct home *h = *state;
    struct err err = ERR_INIT;
    struct serve_answer one, two;
    struct arena a;
    uint64_t n;
    struct json *by;
    arena_init(&a, 1 << 20);
    go_live(h, 1, 1.0);
    ASSERT_OK(predict_ab(h, "order-1", 2, 0, &a, &one, &err), &err);
    ASSERT_OK(predict_ab(h, "order-1", 2, 0, &a, &two, &err), &err);
    assert_memory_equal(one.id, two.id, 16);
    assert_true(!one.is_known_id && two.is_known_id);
    ASSERT_OK(feedback_log_flush(h->log, LOG_ACK_WRITTEN, 5000, &err), &err);
    struct record_filter f = {.from_us = AT_US_NONE, .to_us = AT_US_NONE, .role = -1, .status = -1};
    ASSERT_OK(feedback_log_count(h->log, &f, &a, &n, &by, &err), &err);
    assert_int_equal(n, 1);
    arena_fini(&a);
}

static void test_score_again(void **state)
{
    struct home *h = *state;
    struct err err = ERR_INIT;
    struct log_pos pos;
    struct prediction_record rec;
    struct runtime *rt;
    struct runtime_answer again;
    struct serve_answer ans;
    struct arena a;
    arena_init(&a, 1 << 20);
    go_live(h, 1, 1.0);
    ASSERT_OK(predict_ab(h, NULL, 2, (double)NAN, &a, &ans, &err), &err);
    ASSERT_OK(feedback_log_flush(h->log, LOG_ACK_WRITTEN, 5000, &err), &err);
    ASSERT_OK(feedback_log_find(h->log, ans.id, 0, &a, &rec, &pos, &err), &err);
    ASSERT_OK(serve_runtime(h->serve, "e", 1, &rt, &err), &err);
    struct runtime_scratch *s = runtime_scratch_new(rt);
    ASSERT_OK(runtime_score_record(s, &rec, schema_store_get(feedback_log_schemas(h->log), 1),
                                   &again, &err),
              &err);
    assert_true(again.scores[0] == ans.scores[0] && (double)again.scores[0] == rec.scores[0]);
    assert_true(rec.n_row == 2 && rec.row_values[0] == 2 && isnan(rec.row_values[1]));
    runtime_scratch_free(s);
    runtime_unref(rt);
    arena_fini(&a);
}

static void test_replay_clock(void **state)
{
    struct home *h = *state;
    struct err err = ERR_INIT;
    int64_t at_us = 0;
    go_live(h, 1, 1.0);
    assert_int_equal(serve_clock_set(h->serve, "e", US_PER_DAY, &err), ERR_REFUSED);
    home_close(h);
    h->is_replay = true;
    home_open(h);
    err_reset(&err);
    ASSERT_OK(parse_time_us(STR("2001-03-01T00:00:00Z"), &at_us, &err), &err);
    ASSERT_OK(serve_clock_set(h->serve, "e", at_us, &err), &err);
    assert_int_equal(serve_clock_set(h->serve, "e", at_us - 1, &err), ERR_REFUSED);
    home_close(h);
    home_open(h);
    assert_true(serve_clock(h->serve, "e") == at_us);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_buckets),
        cmocka_unit_test(test_buckets_are_even),
        cmocka_unit_test_setup_teardown(test_live_and_rollback, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_hold_and_start_again, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_share_is_kept, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_regression_refused, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_wrong_digest, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_rollback_without_journal, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_rescue_and_fuse, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_client_id, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_score_again, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_replay_clock, home_make, home_drop),
    };
    return RUN_TESTS(tests);
}
