/* The prediction log: every acknowledged record once, whatever kills the process; a full ring never blocks. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "feedback_fix.h"

#define THREADS     3
#define KILLS       25
#define NUMBERS_MAX (1u << 22)

static struct feedback_log *open_log(const char *dir, size_t ring_bytes, int64_t segment_bytes)
{
    struct feedback_log_options opt = {.dir = dir,
                                       .may_write = true,
                                       .n_lanes = THREADS + 1,
                                       .ring_bytes = ring_bytes,
                                       .segment_bytes = segment_bytes};
    struct feedback_log *l = NULL;
    struct err err = ERR_INIT;
    ASSERT_OK(feedback_log_open(&opt, &l, &err), &err);
    return l;
}

/* Every number that is in the log, counted. */
static void count_numbers(struct feedback_log *l, uint8_t *seen)
{
    struct log_pos start = {0}, next;
    struct log_reader *r = NULL;
    struct prediction_record rec;
    struct err err = ERR_INIT;
    bool is_there = true;
    ASSERT_OK(log_reader_open(feedback_log_series(l), &start, &r, &err), &err);
    for (;;) {
        ASSERT_OK(log_reader_next(r, 0, &is_there, &rec, &next, &err), &err);
        if (!is_there)
            break;
        assert_true(sample_number(&rec) < NUMBERS_MAX);
        seen[sample_number(&rec)]++;
    }
    log_reader_close(r);
}

static void test_put_and_read(void **state)
{
    struct scratch *t = *state;
    struct err err = ERR_INIT;
    struct log_ticket ticket;
    uint8_t *seen = calloc(NUMBERS_MAX, 1);
    struct feedback_log *l = open_log(t->dir, 0, 32768);
    for (uint32_t i = 0; i < 2000; i++) {
        struct sample s;
        sample_make(&s, i);
        assert_true(feedback_log_put(l, &s.r, &ticket));
        if (i % 200 == 0) /* a batch goes into one segment: make several */
            ASSERT_OK(feedback_log_wait(l, &ticket, LOG_ACK_WRITTEN, 10000, &err), &err);
    }
    ASSERT_OK(feedback_log_wait(l, &ticket, LOG_ACK_SYNCED, 10000, &err), &err);
    count_numbers(l, seen);
    for (uint32_t i = 0; i < 2000; i++)
        assert_int_equal(seen[i], 1);
    struct feedback_log_stats st;
    feedback_log_stats(l, &st);
    assert_true(st.n_records == 2000 && st.n_dropped == 0 && st.n_segments > 2);
    feedback_log_close(l);
    free(seen);
}

/* What a child shares with the test that kills it. */
struct shared {
    _Atomic uint32_t acked[THREADS]; /* numbers below are acknowledged, by thread */
};

struct writer {
    struct feedback_log *log;
    struct shared *shared;
    uint32_t thread, from;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    struct log_ticket ticket;
    for (uint32_t i = w->from;; i++) {
        struct sample s;
        sample_make(&s, i * THREADS + w->thread);
        while (!feedback_log_put(w->log, &s.r, &ticket))
            sched_yield(); /* full: not acknowledged, so it is tried again */
        atomic_store(&w->shared->acked[w->thread], i + 1);
    }
    return NULL;
}

static void child_main(const char *dir, struct shared *shared)
{
    struct feedback_log_options opt = {.dir = dir,
                                       .may_write = true,
                                       .n_lanes = THREADS + 1,
                                       .ring_bytes = 65536,
                                       .segment_bytes = 200000};
    static struct writer writers[THREADS];
    struct feedback_log *l = NULL;
    struct err err = ERR_INIT;
    if (feedback_log_open(&opt, &l, &err) != ERR_OK)
        _exit(1);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_t t;
        writers[i] = (struct writer){l, shared, i, atomic_load(&shared->acked[i])};
        if (pthread_create(&t, NULL, write_on, &writers[i]) != 0)
            _exit(1);
    }
    for (;;)
        pause();
}

/* Kill at a moment that the seed picks, by progress and by time within it. */
static void kill_when(pid_t pid, struct shared *shared, struct rng *rng)
{
    uint32_t goal = atomic_load(&shared->acked[0]) + (uint32_t)rng_below(rng, 3000) + 1;
    int status = 0;
    while (atomic_load(&shared->acked[0]) < goal)
        if (waitpid(pid, &status, WNOHANG) == pid)
            fail_msg("the writer ended by itself with status %d", status);
    for (uint64_t spin = rng_below(rng, 100000); spin > 0; spin--)
        atomic_signal_fence(memory_order_seq_cst);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_kill_9(void **state)
{
    struct scratch *t = *state;
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t *seen = calloc(NUMBERS_MAX, 1), *may_be_twice = calloc(NUMBERS_MAX, 1);
    struct rng rng;
    rng_init(&rng, 20260101);
    assert_true(shared != MAP_FAILED && seen && may_be_twice);
    for (int round = 0; round < KILLS; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            child_main(t->dir, shared);
        kill_when(pid, shared, &rng);
        for (uint32_t i = 0; i < THREADS;
             i++) /* put, and killed before its writer could say so: the next one puts it again */
            may_be_twice[atomic_load(&shared->acked[i]) * THREADS + i] = 1;
    }
    struct feedback_log *l = open_log(t->dir, 65536, 200000);
    struct feedback_log_stats st;
    feedback_log_stats(l, &st);
    count_numbers(l, seen);
    for (uint32_t i = 0; i < THREADS; i++) {
        uint32_t n = atomic_load(&shared->acked[i]);
        assert_true(n > 100);
        for (uint32_t k = 0; k < n; k++)
            assert_in_range(seen[k * THREADS + i], 1, may_be_twice[k * THREADS + i] ? 2 : 1);
    }
    assert_true(st.n_recovered > 0);
    feedback_log_close(l);
    munmap(shared, sizeof *shared);
    free(may_be_twice);
    free(seen);
}

static void test_full_ring(void **state)
{
    struct scratch *t = *state;
    struct sample s;
    struct log_ticket ticket;
    struct feedback_log_stats st;
    struct feedback_log *l = open_log(t->dir, 4096, 0);
    struct prediction_record rows[64];
    for (uint32_t i = 0; i < 64; i++) {
        sample_make(&s, i);
        rows[i] = s.r;
    }
    assert_false(feedback_log_put_rows(
        l, rows, 64, &ticket)); /* more than the ring can ever hold: none of them */
    sample_make(&s, 1);
    assert_true(feedback_log_put(l, &s.r, &ticket));
    feedback_log_stats(l, &st);
    assert_true(st.n_dropped == 64 && st.n_records == 1);
    feedback_log_close(l);
}

static void test_clients_ids(void **state)
{
    struct scratch *t = *state;
    struct err err = ERR_INIT;
    struct log_ticket ticket;
    struct sample s;
    uint8_t first[16], id[16];
    int64_t now_us = clock_now_us(&CLOCK_SYSTEM);
    struct feedback_log *l = open_log(t->dir, 0, 0);
    sample_make(&s, 5);
    s.r.wall_us = now_us;
    s.r.client_id = STR("order-5");
    memcpy(first, s.r.id, 16);
    assert_int_equal(feedback_log_dedup(l, STR("delay"), STR("order-5"), now_us, s.r.id),
                     DEDUP_NEW);
    assert_true(feedback_log_put(l, &s.r, &ticket));
    memset(id, 1, sizeof id);
    assert_int_equal(feedback_log_dedup(l, STR("delay"), STR("order-5"), now_us + 1, id),
                     DEDUP_KNOWN);
    assert_memory_equal(id, first, 16);
    assert_int_equal(feedback_log_dedup(l, STR("other"), STR("order-5"), now_us + 1, id),
                     DEDUP_NEW);
    assert_int_equal(
        feedback_log_dedup(l, STR("delay"), STR("order-5"), now_us + 11 * US_PER_MIN, id),
        DEDUP_NEW);
    feedback_log_close(l);
    l = open_log(t->dir, 0, 0); /* the window outlives the process */
    memset(id, 2, sizeof id);
    assert_int_equal(feedback_log_dedup(l, STR("delay"), STR("order-5"), now_us + 2, id),
                     DEDUP_KNOWN);
    assert_memory_equal(id, first, 16);
    feedback_log_forget(l, STR("delay"), STR("order-5"));
    assert_int_equal(feedback_log_dedup(l, STR("delay"), STR("order-5"), now_us + 3, id),
                     DEDUP_NEW);
    ASSERT_OK(feedback_log_flush(l, LOG_ACK_WRITTEN, 5000, &err), &err);
    feedback_log_close(l);
}

static void test_find_and_query(void **state)
{
    struct scratch *t = *state;
    struct err err = ERR_INIT;
    struct log_ticket ticket;
    struct log_pos pos;
    struct prediction_record rec;
    struct sample s;
    struct arena a;
    struct json *by, *list;
    uint64_t n;
    arena_init(&a, 64 << 20);
    struct feedback_log *l = open_log(t->dir, 0, 20000);
    for (uint32_t i = 0; i < 1000; i++) {
        sample_make(&s, i);
        snprintf(s.client, sizeof s.client, "c%u", i);
        s.r.client_id = str_c(s.client);
        s.r.release = i < 600 ? 1 : 2;
        assert_true(feedback_log_put(l, &s.r, &ticket));
        if (i % 50 == 0) /* so that there are several segments */
            ASSERT_OK(feedback_log_wait(l, &ticket, LOG_ACK_WRITTEN, 5000, &err), &err);
    }
    ASSERT_OK(feedback_log_flush(l, LOG_ACK_WRITTEN, 5000, &err), &err);
    for (int round = 0; round < 2;
         round++) { /* with the index in memory and on disk, then made again */
        for (uint32_t i = 0; i < 1000; i += 111) {
            uint8_t id[16];
            sample_make(&s, i);
            snprintf(s.client, sizeof s.client, "c%u", i);
            ASSERT_OK(
                feedback_log_find_client(l, STR("delay"), str_c(s.client), 0, &a, &rec, &pos, &err),
                &err);
            assert_true(sample_number(&rec) == i);
            memcpy(id, rec.id, sizeof id);
            ASSERT_OK(feedback_log_find(l, id, 0, &a, &rec, &pos, &err), &err);
            assert_true(sample_number(&rec) == i);
            assert_int_equal(feedback_log_find(l, id, 1, &a, &rec, &pos, &err), ERR_NOT_FOUND);
            err_reset(&err);
        }
        feedback_log_close(l);
        l = open_log(t->dir, 0, 20000);
    }
    struct record_filter f = {.endpoint = STR("delay"),
                              .from_us = AT_US_NONE,
                              .to_us = AT_US_NONE,
                              .role = -1,
                              .status = -1};
    ASSERT_OK(feedback_log_count(l, &f, &a, &n, &by, &err), &err);
    assert_true(n == 1000 && json_get_int(by, "r1", 0) == 600 && json_get_int(by, "r2", 0) == 400);
    f.release = 2;
    ASSERT_OK(feedback_log_query(l, &f, 5, &a, &list, &err), &err);
    assert_int_equal(json_len(list), 5);
    assert_string_equal(json_get_c(json_at(list, 4), "client_id"), "c999");
    feedback_log_close(l);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_and_read, scratch_make, scratch_drop),
        cmocka_unit_test_setup_teardown(test_kill_9, scratch_make, scratch_drop),
        cmocka_unit_test_setup_teardown(test_full_ring, scratch_make, scratch_drop),
        cmocka_unit_test_setup_teardown(test_clients_ids, scratch_make, scratch_drop),
        cmocka_unit_test_setup_teardown(test_find_and_query, scratch_make, scratch_drop),
    };
    return RUN_TESTS(tests);
}
