/* The fold: the same logs give the same sums, wherever it was interrupted, and also when the database was away in between. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "monitor/monitor.h"

#define ARENA     ((size_t)256 << 20)
#define N_RECORDS 3000
#define START     (INT64_C(1000) * US_PER_DAY)

struct world {
    char dir[PATH_BYTES];
    struct arena a;
    struct db *db;
    struct journal *journal;
    struct blob_store *blobs;
    struct serve *serve;
    struct feedback_log *log;
    struct label_log *labels;
};

static void world_open(struct world *w)
{
    struct err err = ERR_INIT;
    struct serve_options so;
    struct feedback_log_options lo;
    struct label_log_options bo;
    struct db_options dbo;

    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/pawl-test-fold-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    arena_init(&w->a, ARENA);
    lo = (struct feedback_log_options){.dir = path_join(&w->a, w->dir, "predictions"),
                                       .may_write = true};
    bo = (struct label_log_options){.dir = path_join(&w->a, w->dir, "labels"), .may_write = true};
    dbo = (struct db_options){.url = str_printf(&w->a, "sqlite:%s/pawl.db", w->dir),
                              .n_readers = 1,
                              .busy_ms = 1000,
                              .may_migrate = true};
    ASSERT_OK(dir_make(lo.dir, 0700, &err), &err);
    ASSERT_OK(dir_make(bo.dir, 0700, &err), &err);
    ASSERT_OK(journal_open(path_join(&w->a, w->dir, "decisions.log"), &w->journal, NULL, &err),
              &err);
    ASSERT_OK(blob_open(path_join(&w->a, w->dir, "store"), &w->blobs, &err), &err);
    ASSERT_OK(feedback_log_open(&lo, &w->log, &err), &err);
    ASSERT_OK(label_log_open(&bo, &w->labels, &err), &err);
    so = (struct serve_options){.dir = path_join(&w->a, w->dir, "serving"),
                                .blobs = w->blobs,
                                .journal = w->journal,
                                .is_replay = true};
    ASSERT_OK(dir_make(so.dir, 0700, &err), &err);
    ASSERT_OK(serve_open(&so, &w->serve, &err), &err);
    ASSERT_OK(db_open(&dbo, &w->db, &err), &err);
}

static void world_close(struct world *w)
{
    struct err err = ERR_INIT;

    serve_close(w->serve);
    label_log_close(w->labels);
    feedback_log_close(w->log);
    blob_close(w->blobs);
    journal_close(w->journal);
    db_close(w->db);
    if (dir_remove(w->dir, &err) != ERR_OK)
        print_message("%s\n", err.msg);
    arena_fini(&w->a);
}

static struct monitor *monitor_at(struct world *w, struct db *db)
{
    struct monitor_options opt = {.db = db,
                                  .log = w->log,
                                  .labels = w->labels,
                                  .serve = w->serve,
                                  .blobs = w->blobs,
                                  .clock = CLOCK_SYSTEM,
                                  .is_replay = true,
                                  .commit_ms = 1};
    struct monitor *m;
    struct err err = ERR_INIT;

    ASSERT_OK(monitor_open(&opt, &m, &err), &err);
    return m;
}

static void record_id(int i, uint8_t id[16])
{
    memset(id, 0, 16);
    memcpy(id, &i, sizeof(i));
    id[15] = 7;
}

static void put_records(struct world *w, int from, int to)
{
    for (int i = from; i < to; i++) {
        double score = (double)((i * 37) % 100) / 100;
        struct prediction_record r = {.endpoint = STR("delay"),
                                      .event_us = START + i * US_PER_MIN * 2,
                                      .wall_us = i,
                                      .release = 1 + i / 2000,
                                      .role = ROLE_LIVE,
                                      .status = i % 97 == 0 ? RECORD_ERROR : RECORD_OK,
                                      .bucket = (uint16_t)(i % 10000),
                                      .latency_us = (uint32_t)(100 + i % 50),
                                      .decision = score > 0.5,
                                      .scores = &score,
                                      .n_scores = 1};
        struct log_ticket t;
        record_id(i, r.id);
        assert_true(feedback_log_put(w->log, &r, &t));
    }
}

static void put_labels(struct world *w, int from, int to, int64_t after_us)
{
    struct err err = ERR_INIT;
    struct label_record *l = calloc((size_t)(to - from), sizeof(*l));
    size_t n_new;

    for (int i = from; i < to; i++) {
        l[i - from] = (struct label_record){.endpoint = STR("delay"),
                                            .event_us = AT_US_NONE,
                                            .known_us = START + i * US_PER_MIN * 2 + after_us,
                                            .wall_us = i};
        record_id(i, l[i - from].id);
        l[i - from].label.type = VAL_BOOL;
        l[i - from].label.u.b = i % 3 == 0;
    }
    ASSERT_OK(label_log_put(w->labels, l, (size_t)(to - from), &n_new, &err), &err);
    free(l);
}

#define END (START + N_RECORDS * US_PER_MIN * 2 + US_PER_DAY)

static void test_same_windows(void **state)
{
    struct world w = {0};
    struct monitor *m;
    struct err err = ERR_INIT;
    struct json *whole, *pieces;

    (void)state;
    world_open(&w);
    m = monitor_at(&w, w.db);
    for (int i = 0; i < N_RECORDS;
         i += 500) { /* interrupted six times, labels waiting for their time in between */
        put_records(&w, i, i + 500);
        put_labels(&w, i, i + 500, 13 * US_PER_HOUR);
        ASSERT_OK(monitor_drain(m, "delay", START + (i + 500) * US_PER_MIN * 2, &err), &err);
        monitor_close(m);
        m = monitor_at(&w, w.db);
    }
    ASSERT_OK(monitor_drain(m, "delay", END, &err), &err);
    ASSERT_OK(monitor_json(m, "delay", 100, &w.a, &pieces, &err), &err);
    monitor_close(m);
    {
        struct db *fresh;
        struct db_options dbo = {.url = str_printf(&w.a, "sqlite:%s/other.db", w.dir),
                                 .n_readers = 1,
                                 .busy_ms = 1000,
                                 .may_migrate = true};
        ASSERT_OK(db_open(&dbo, &fresh, &err), &err);
        m = monitor_at(&w, fresh);
        ASSERT_OK(monitor_drain(m, "delay", END, &err), &err);
        ASSERT_OK(monitor_json(m, "delay", 100, &w.a, &whole, &err), &err);
        monitor_close(m);
        db_close(fresh);
    }
    assert_true(json_len(json_get(whole, "windows")) >= 5);
    assert_true(json_eq(json_get(whole, "windows"), json_get(pieces, "windows")));
    world_close(&w);
}

static void test_database_comes_late(void **state)
{
    struct world w = {0};
    struct monitor *m;
    struct monitor_telemetry t;
    struct err err = ERR_INIT;

    (void)state;
    world_open(&w);
    m = monitor_at(&w, NULL);
    put_records(&w, 0, 100);
    assert_int_equal(monitor_drain(m, "delay", END, &err), ERR_UNAVAILABLE);
    err_reset(&err);
    ASSERT_OK(monitor_attach(m, w.db, &err), &err);
    ASSERT_OK(monitor_drain(m, "delay", END, &err), &err);
    monitor_telemetry(m, &t);
    assert_int_equal(t.n_records, 100);
    monitor_close(m);
    world_close(&w);
}

/* A label counts from its known time on, and an orphan is counted, not lost. */
static void test_labels_wait(void **state)
{
    struct world w = {0};
    struct monitor *m;
    struct monitor_telemetry t;
    struct err err = ERR_INIT;

    (void)state;
    world_open(&w);
    m = monitor_at(&w, w.db);
    put_records(&w, 0, 11);
    put_labels(&w, 1, 11, 2 * US_PER_HOUR); /* record 0 is an error: there is nothing to label */
    put_labels(&w, 5000, 5001, 0);          /* nobody predicted that */
    ASSERT_OK(monitor_drain(m, "delay", START + US_PER_HOUR, &err), &err);
    monitor_telemetry(m, &t);
    assert_int_equal(t.n_labels, 0);
    assert_int_equal(t.n_pending_labels, 11);
    ASSERT_OK(monitor_drain(m, "delay", START + 2 * US_PER_HOUR + 6 * US_PER_MIN, &err), &err);
    monitor_telemetry(m, &t);
    assert_int_equal(t.n_labels, 3);
    ASSERT_OK(monitor_drain(m, "delay", START + 100 * US_PER_DAY, &err), &err);
    monitor_telemetry(m, &t);
    assert_int_equal(t.n_labels, 10);
    assert_int_equal(t.n_orphans, 1);
    monitor_close(m);
    world_close(&w);
}

struct told {
    int n_starved, n_performance, n_alarms;
};

static void take(void *arg, const struct monitor_event *ev)
{
    struct told *t = arg;

    t->n_starved += ev->kind == MONITOR_STARVED ? 1 : 0;
    t->n_performance += ev->kind == MONITOR_PERFORMANCE ? 1 : 0;
    t->n_alarms += ev->kind == MONITOR_PERFORMANCE && ev->is_persistent ? 1 : 0;
}

/* Performance is judged once a window is final by coverage or age; without labels there is a starvation, never a verdict. */
static void test_final_windows(void **state)
{
    struct world w = {0};
    struct perf_rule rule = {
        .metric = METRIC_CALIBRATION, .kind = PERF_RULE_AT_MOST, .value = 0.02, .k = 1, .r = 1};
    struct monitor_spec spec = MONITOR_DEFAULTS;
    struct monitor *m;
    struct told t = {0};
    struct err err = ERR_INIT;
    struct json *list;

    (void)state;
    spec.perf = &rule;
    spec.n_perf = 1;
    spec.labels_by_us = 2 * US_PER_DAY;
    spec.coverage = 0.8;
    world_open(&w);
    m = monitor_at(&w, w.db);
    ASSERT_OK(monitor_configure(m, "delay", &spec, &err), &err);
    put_records(&w, 0, 1440); /* two days */
    put_labels(&w, 0, 720, US_PER_HOUR);
    ASSERT_OK(monitor_drain(m, "delay", START + US_PER_DAY, &err), &err);
    ASSERT_OK(monitor_evaluate(m, "delay", START + US_PER_DAY, take, &t, &err), &err);
    assert_int_equal(t.n_performance, 1); /* closed, and 97 % of its labels are there */
    assert_int_equal(t.n_alarms, 1); /* scores have a mean of 0.5, a third of the labels is 1 */
    ASSERT_OK(monitor_evaluate(m, "delay", START + US_PER_DAY, take, &t, &err), &err);
    assert_int_equal(t.n_performance, 1); /* once */
    ASSERT_OK(monitor_drain(m, "delay", START + 3 * US_PER_DAY, &err), &err);
    ASSERT_OK(monitor_evaluate(m, "delay", START + 3 * US_PER_DAY, take, &t, &err), &err);
    assert_int_equal(t.n_starved, 0); /* the second day is not old enough */
    ASSERT_OK(monitor_evaluate(m, "delay", START + 4 * US_PER_DAY, take, &t, &err), &err);
    assert_int_equal(t.n_starved, 1);
    assert_int_equal(t.n_performance, 1);
    ASSERT_OK(monitor_verdicts(w.db, "delay", NULL, 100, &w.a, &list, &err), &err);
    assert_int_equal(json_len(list), 2);
    monitor_close(m);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_windows), cmocka_unit_test(test_database_comes_late),
        cmocka_unit_test(test_labels_wait), cmocka_unit_test(test_final_windows)};

    return RUN_TESTS(tests);
}
