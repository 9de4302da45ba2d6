/* Segments: order, rolling, torn tails, damage, truncation, retention, waiting readers. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "feedback/series.h"
#include "feedback_fix.h"

static struct series *open_at(const char *dir, bool may_write, int64_t bytes,
                              struct series_recovery *rec)
{
    struct series_options opt = {dir, may_write, bytes};
    struct series *s = NULL;
    struct err err = ERR_INIT;
    ASSERT_OK(series_open(&opt, &s, rec, &err), &err);
    return s;
}

static struct log_pos put(struct series *s, uint64_t seq)
{
    char text[64];
    struct log_pos pos;
    struct err err = ERR_INIT;
    int n = snprintf(text, sizeof text, "record %llu", (unsigned long long)seq);
    ASSERT_OK(series_append(s, 1, 0, seq, str_n(text, (size_t)n), &pos, &err), &err);
    return pos;
}

/* Reads on until nothing is there; the numbers must go up one by one from `first`. Returns the next number. */
static uint64_t read_all(struct series_reader *r, uint64_t first)
{
    struct series_frame f;
    struct err err = ERR_INIT;
    bool is_there = true;
    for (;;) {
        ASSERT_OK(series_reader_next(r, 0, &is_there, &f, &err), &err);
        if (!is_there)
            return first;
        assert_true(f.seq == first);
        first++;
    }
}

static uint64_t count_from(struct series *s, const struct log_pos *from, uint64_t first)
{
    struct series_reader *r = NULL;
    struct err err = ERR_INIT;
    ASSERT_OK(series_reader_open(s, from, &r, &err), &err);
    uint64_t next = read_all(r, first);
    series_reader_close(r);
    return next;
}

static void newest_path(const struct series *s, const char *dir, char out[256])
{
    snprintf(out, 256, "%s/%020llu.seg", dir, (unsigned long long)series_end(s).segment);
}

static void test_order_and_rolling(void **state)
{
    struct scratch *t = *state;
    struct log_pos start = {0}, middle = {0};
    struct series *s = open_at(t->dir, true, 4096, NULL);
    for (uint64_t i = 1; i <= 500; i++) {
        struct log_pos pos = put(s, i);
        middle = i == 250 ? pos : middle;
    }
    assert_true(series_end(s).segment > 3);
    assert_true(count_from(s, &start, 1) == 501);
    assert_true(count_from(s, &middle, 250) == 501);
    struct series_reader *r = NULL;
    struct err err = ERR_INIT;
    ASSERT_OK(series_reader_open(s, &middle, &r, &err), &err);
    assert_true(read_all(r, 250) == 501);
    put(s, 501);
    assert_true(read_all(r, 501) == 502);
    series_reader_close(r);
    series_close(s);
    struct series *other = open_at(t->dir, false, 0, NULL);
    assert_true(count_from(other, &start, 1) == 502);
    series_close(other);
}

static void test_torn_tail(void **state)
{
    struct scratch *t = *state;
    struct log_pos start = {0};
    struct stat st;
    char path[256];
    struct series *s = open_at(t->dir, true, 0, NULL);
    for (uint64_t i = 1; i <= 20; i++)
        put(s, i);
    newest_path(s, t->dir, path);
    series_close(s);
    assert_int_equal(stat(path, &st), 0);
    for (off_t cut = 1; cut < 29; cut++) { /* a crash inside the last append, at every byte */
        assert_int_equal(truncate(path, st.st_size - cut), 0);
        struct series_recovery rec;
        s = open_at(t->dir, true, 0, &rec);
        assert_true(rec.cut_bytes > 0 && rec.last_seq[0] == 19);
        assert_true(count_from(s, &start, 1) == 20);
        put(s, 20);
        assert_true(count_from(s, &start, 1) == 21);
        series_close(s);
    }
}

static void test_damage_is_told(void **state)
{
    struct scratch *t = *state;
    struct log_pos start = {0};
    char path[256];
    struct err err = ERR_INIT;
    struct series *s = open_at(t->dir, true, 2048, NULL);
    for (uint64_t i = 1; i <= 100; i++)
        put(s, i);
    snprintf(path, sizeof path, "%s/%020d.seg", t->dir, 1);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pwrite(fd, "X", 1, 900) == 1);
    close(fd);
    struct series_reader *r = NULL;
    struct series_frame f;
    bool is_there = true;
    enum err_code code = series_reader_open(s, &start, &r, &err);
    while (code == ERR_OK && is_there)
        code = series_reader_next(r, 0, &is_there, &f, &err);
    assert_int_equal(code, ERR_CORRUPT);
    series_reader_close(r);
    series_close(s);
}

static void test_truncate(void **state)
{
    struct scratch *t = *state;
    struct log_pos start = {0}, at = {0};
    struct err err = ERR_INIT;
    struct series *s = open_at(t->dir, true, 1024, NULL);
    for (uint64_t i = 1; i <= 100; i++) {
        struct log_pos pos = put(s, i);
        at = i == 31 ? pos : at;
    }
    ASSERT_OK(series_truncate(s, &at, &err), &err);
    assert_true(count_from(s, &start, 1) == 31);
    put(s, 31);
    assert_true(count_from(s, &start, 1) == 32);
    at.instance++;
    assert_int_equal(series_truncate(s, &at, &err), ERR_CONFLICT);
    series_close(s);
}

static void test_retention(void **state)
{
    struct scratch *t = *state;
    struct log_pos start = {0};
    struct err err = ERR_INIT;
    struct series_reader *r = NULL;
    struct series *s = open_at(t->dir, true, 1024, NULL);
    for (uint64_t i = 1; i <= 200; i++)
        put(s, i);
    struct log_pos first = series_start(s), keep = first;
    int64_t bytes = series_bytes(s);
    assert_true(series_retain(s, INT64_MIN, 2048, &keep) == 0); /* pinned */
    keep.segment += 2;
    assert_true(series_retain(s, INT64_MIN, 1, &keep) == 2);
    assert_true(series_bytes(s) < bytes && series_start(s).segment == keep.segment);
    assert_int_equal(series_reader_open(s, &first, &r, &err), ERR_NOT_FOUND);
    assert_true(series_retain(s, INT64_MAX, 0, NULL) > 0);
    assert_true(series_start(s).segment == series_end(s).segment);
    ASSERT_OK(series_reader_open(s, &start, &r, &err), &err);
    series_reader_close(r);
    series_close(s);
}

static void *append_later(void *arg)
{
    put(arg, 1);
    return NULL;
}

static void test_waiting_reader(void **state)
{
    struct scratch *t = *state;
    struct log_pos start = {0};
    struct err err = ERR_INIT;
    struct series_reader *r = NULL;
    struct series_frame f;
    bool is_there = false;
    pthread_t thread;
    struct series *s = open_at(t->dir, true, 0, NULL);
    ASSERT_OK(series_reader_open(s, &start, &r, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, append_later, s), 0);
    ASSERT_OK(series_reader_next(r, 10000, &is_there, &f, &err), &err);
    assert_true(is_there && f.seq == 1);
    pthread_join(thread, NULL);
    series_reader_close(r);
    series_close(s);
}

static void test_positions_as_text(void **state)
{
    struct log_pos p = {UINT64_C(0xfedcba9876543210), 7, 4096}, q;
    char text[LOG_POS_TEXT_BYTES];
    struct err err = ERR_INIT;
    (void)state;
    log_pos_text(&p, text);
    ASSERT_OK(log_pos_parse(str_c(text), &q, &err), &err);
    assert_memory_equal(&p, &q, sizeof p);
    assert_int_equal(log_pos_parse(STR("1-2-3"), &q, &err), ERR_PARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_rolling, scratch_make, scratch_drop),
        cmocka_unit_test_setup_teardown(test_torn_tail, scratch_make, scratch_drop),
        cmocka_unit_test_setup_teardown(test_damage_is_told, scratch_make, scratch_drop),
        cmocka_unit_test_setup_teardown(test_truncate, scratch_make, scratch_drop),
        cmocka_unit_test_setup_teardown(test_retention, scratch_make, scratch_drop),
        cmocka_unit_test_setup_teardown(test_waiting_reader, scratch_make, scratch_drop),
        cmocka_unit_test(test_positions_as_text),
    };
    return RUN_TESTS(tests);
}
