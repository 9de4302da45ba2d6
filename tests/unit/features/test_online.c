/* The online store: as-of reads by golden cases and against a naive reference, late rows, history, views, restore,
 * reopening, readers beside a writer, death of the process between two puts. */
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/thread.h"
#include "online_fix.h"

#define HOUR US_PER_HOUR

static const struct online_column COLS[] = {{"x", VAL_FLOAT}, {"name", VAL_STR}};
static const char *const WANT_X[] = {"x"};

static void declare(struct online *o, const char *version, int history)
{
    struct err err = ERR_INIT;
    struct online_schema s = {.view = "v",
                              .version = version,
                              .columns = COLS,
                              .n_columns = 2,
                              .n_keys = 1,
                              .history = history};
    ASSERT_OK(online_declare(o, &s, &err), &err);
}

/* n rows of one key. */
static struct online_put_stats put(struct online *o, const char *key, size_t n, int64_t *times,
                                   int64_t *knowns, double *xs)
{
    struct err err = ERR_INIT;
    struct str keys[64], names[64];
    struct online_put_stats stats;
    for (size_t i = 0; i < n; i++) {
        keys[i] = str_c(key);
        names[i] = STR("n");
    }
    struct column key_col = {"k", VAL_STR, n, NULL, {.s = keys}};
    struct column values[2] = {{"x", VAL_FLOAT, n, NULL, {.f = xs}},
                               {"name", VAL_STR, n, NULL, {.s = names}}};
    struct column time = {"t", VAL_TIME, n, NULL, {.i = times}},
                  known = {"known", VAL_TIME, n, NULL, {.i = knowns}};
    struct online_batch b = {"v", "1", n, &key_col, values, &time, knowns ? &known : NULL};
    ASSERT_OK(online_put(o, &b, &stats, &err), &err);
    return stats;
}

static struct online_put_stats put1(struct online *o, const char *key, int64_t time, int64_t known,
                                    double x)
{
    return put(o, key, 1, &time, &known, &x);
}

/* Value of x as of t, NaN when not found. */
static double get(struct online_fix *f, const char *key, int64_t t, int64_t ttl,
                  enum online_status *ret)
{
    struct err err = ERR_INIT;
    struct online_view_ref ref = {.view = "v", .version = "1", .columns = WANT_X, .n_columns = 1};
    struct value k = {.type = VAL_STR, .u.s = str_c(key)}, v = {.type = VAL_FLOAT, .u.f = NAN};
    struct online_hit hit;
    ASSERT_OK(online_begin(f->r, &err), &err);
    ASSERT_OK(online_get(f->r, &ref, &(struct online_query){&k, 1, t, ttl}, &v, &hit, &err), &err);
    online_end(f->r);
    *ret = hit.status;
    return v.type == VAL_FLOAT ? v.u.f : NAN;
}

static void expect(struct online_fix *f, int64_t t, int64_t ttl, enum online_status status,
                   double x)
{
    enum online_status got;
    double v = get(f, "a", t, ttl, &got);
    if (got != status || (status != ONLINE_NOT_FOUND && v != x))
        fail_msg("as of %lld ttl %lld: %s %g", (long long)t, (long long)ttl,
                 online_status_name(got), v);
}

static void test_as_of(void **state)
{
    (void)state;
    struct online_fix f;
    fix_init(&f);
    expect(&f, 100, 0, ONLINE_NOT_FOUND, 0); /* no such view yet */
    declare(f.o, "1", 0);
    put1(f.o, "a", 100, 100, 1);
    put1(f.o, "a", 200, 250, 2); /* known only later */
    put1(f.o, "a", 300, 300, 3);
    expect(&f, 99, 0, ONLINE_NOT_FOUND, 0);
    expect(&f, 100, 0, ONLINE_PRESENT, 1);
    expect(&f, 249, 0, ONLINE_PRESENT, 1);
    expect(&f, 250, 0, ONLINE_PRESENT, 2);
    expect(&f, 299, 0, ONLINE_PRESENT, 2);
    expect(&f, 300, 0, ONLINE_PRESENT, 3);
    expect(&f, INT64_MAX, 0, ONLINE_PRESENT, 3);
    /* ttl: both ends belong to it */
    expect(&f, 400, 100, ONLINE_PRESENT, 3);
    expect(&f, 401, 100, ONLINE_OUTSIDE_MAX_AGE, 3);
    expect(&f, INT64_MAX, 1, ONLINE_OUTSIDE_MAX_AGE, 3);
    /* a late row: older event, known now */
    struct online_put_stats s = put1(f.o, "a", 150, 500, 1.5);
    assert_int_equal(s.n_late, 1);
    expect(&f, 199, 0, ONLINE_PRESENT, 1);
    expect(&f, 600, 0, ONLINE_PRESENT, 3);
    /* ties of event time go to what was known last; a later correction counts from when it was known */
    put1(f.o, "a", 300, 350, 3.5);
    expect(&f, 349, 0, ONLINE_PRESENT, 3);
    expect(&f, 350, 0, ONLINE_PRESENT, 3.5);
    /* the same value again replaces */
    s = put1(f.o, "a", 300, 350, 3.75);
    assert_int_equal(s.n_replaced, 1);
    assert_int_equal(s.n_stored, 0);
    expect(&f, 350, 0, ONLINE_PRESENT, 3.75);
    fix_fini(&f);
}

static void test_history(void **state)
{
    (void)state;
    struct online_fix f;
    fix_init(&f);
    declare(f.o, "1", 3);
    int64_t times[] = {50, 10, 30, 20, 40};
    double xs[] = {5, 1, 3, 2, 4};
    struct online_put_stats s = put(f.o, "a", 5, times, NULL, xs);
    assert_int_equal(s.n_stored, 3);
    assert_int_equal(s.n_too_old, 2);
    expect(&f, 29, 0, ONLINE_NOT_FOUND, 0);
    expect(&f, 30, 0, ONLINE_PRESENT, 3);
    expect(&f, 60, 0, ONLINE_PRESENT, 5);
    s = put1(f.o, "a", 5, 5, 0.5);
    assert_int_equal(s.n_too_old, 1);
    expect(&f, 29, 0, ONLINE_NOT_FOUND, 0);
    fix_fini(&f);
}

/* Nulls in values stay nulls; a null in key or time skips the row; wanted columns come by name. */
static void test_nulls_and_columns(void **state)
{
    (void)state;
    struct online_fix f;
    struct err err = ERR_INIT;
    fix_init(&f);
    declare(f.o, "1", 0);
    struct str keys[] = {STR("a"), STR("b"), STR("c")},
               names[] = {STR("one"), STR(""), STR("three")};
    int64_t times[] = {1, 2, 3}, xs[] = {7, 8, 9}; /* ints are taken for floats */
    uint8_t key_valid[] = {1, 0, 1}, time_valid[] = {1, 1, 0}, x_valid[] = {0, 1, 1};
    struct column key = {"k", VAL_STR, 3, key_valid, {.s = keys}},
                  time = {"t", VAL_TIME, 3, time_valid, {.i = times}};
    struct column values[2] = {{"x", VAL_INT, 3, x_valid, {.i = xs}},
                               {"name", VAL_STR, 3, NULL, {.s = names}}};
    struct online_batch b = {"v", "1", 3, &key, values, &time, NULL};
    struct online_put_stats s;
    ASSERT_OK(online_put(f.o, &b, &s, &err), &err);
    assert_int_equal(s.n_stored, 1);
    assert_int_equal(s.n_skipped, 2);
    static const char *const WANT[] = {"gone", "name", "x"};
    struct online_view_ref ref = {.view = "v", .version = "1", .columns = WANT, .n_columns = 3};
    struct value k = {.type = VAL_STR, .u.s = STR("a")}, v[3];
    struct online_hit hit;
    ASSERT_OK(online_begin(f.r, &err), &err);
    ASSERT_OK(online_get(f.r, &ref, &(struct online_query){&k, 1, 5, 0}, v, &hit, &err), &err);
    assert_int_equal(hit.status, ONLINE_PRESENT);
    assert_int_equal(v[0].type, VAL_NULL);
    assert_true(v[1].type == VAL_STR && str_is(v[1].u.s, "one"));
    assert_int_equal(v[2].type, VAL_NULL);
    online_end(f.r);
    /* what does not fit is refused and changes nothing */
    values[0].type = VAL_STR;
    values[0].u.s = names;
    assert_int_equal(online_put(f.o, &b, &s, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "x is string, the store has it as float"));
    b.version = "2";
    assert_int_equal(online_put(f.o, &b, &s, &err), ERR_NOT_FOUND);
    fix_fini(&f);
}

static void test_views(void **state)
{
    (void)state;
    struct online_fix f;
    struct err err = ERR_INIT;
    enum online_status status;
    fix_init(&f);
    declare(f.o, "1", 4);
    declare(f.o, "2", 0);
    declare(f.o, "1", 5); /* again: the history is taken over */
    struct online_schema other = {
        .view = "v", .version = "1", .columns = COLS, .n_columns = 1, .n_keys = 1};
    assert_int_equal(online_declare(f.o, &other, &err), ERR_CONFLICT);
    put1(f.o, "a", 10 * HOUR, 11 * HOUR, 1);
    put1(f.o, "b", 12 * HOUR, 12 * HOUR, 2);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct online_view_info *list;
    size_t n;
    ASSERT_OK(online_views(f.o, &a, &list, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].version, "1");
    assert_int_equal(list[0].n_keys, 2);
    assert_int_equal(list[0].n_puts, 2);
    assert_int_equal(list[0].history, 5);
    assert_int_equal(list[0].newest_us, 12 * HOUR);
    assert_string_equal(list[0].columns[1].name, "name");
    assert_int_equal(list[1].n_keys, 0);
    ASSERT_OK(online_drop(f.o, "v", "1", &err), &err);
    ASSERT_OK(online_drop(f.o, "v", "1", &err), &err);
    get(&f, "a", 20 * HOUR, 0, &status);
    assert_int_equal(status, ONLINE_NOT_FOUND);
    declare(f.o, "1", 0); /* a new life begins empty */
    get(&f, "a", 20 * HOUR, 0, &status);
    assert_int_equal(status, ONLINE_NOT_FOUND);
    ASSERT_OK(online_views(f.o, &a, &list, &n, &err), &err);
    assert_int_equal(n, 2);
    arena_fini(&a);
    fix_fini(&f);
}

static void test_restore(void **state)
{
    (void)state;
    struct online_fix f;
    struct err err = ERR_INIT;
    int64_t removed;
    fix_init(&f);
    declare(f.o, "1", 0);
    put1(f.o, "a", 100, 100, 1);
    put1(f.o, "a", 200, 200, 2);
    put1(f.o, "a", 150, 300, 1.5); /* known later than the bad time: goes */
    put1(f.o, "b", 250, 250, 9);
    ASSERT_OK(online_restore(f.o, "v", "1", 220, &removed, &err), &err);
    assert_int_equal(removed, 2);
    expect(&f, 400, 0, ONLINE_PRESENT, 2);
    enum online_status status;
    get(&f, "b", 400, 0, &status);
    assert_int_equal(status, ONLINE_NOT_FOUND);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct online_view_info *list;
    size_t n;
    ASSERT_OK(online_views(f.o, &a, &list, &n, &err), &err);
    assert_int_equal(list[0].n_keys, 1);
    assert_true(list[0].newest_known_us <= 220);
    arena_fini(&a);
    fix_fini(&f);
}

/* ---- against a naive reference ---- */

#define N_KEYS   20
#define N_ROWS   4000
#define REF_HIST 7

struct ref_row {
    int key;
    int64_t time, known;
    double x;
};

/* What a read must give: rows of the key by (time, known), the last REF_HIST of each state of the store. */
struct ref_list {
    struct ref_row rows[REF_HIST + 1];
    size_t n;
};

static void ref_put(struct ref_list *l, const struct ref_row *r)
{
    size_t at = l->n;
    while (at > 0 && (l->rows[at - 1].time > r->time ||
                      (l->rows[at - 1].time == r->time && l->rows[at - 1].known > r->known)))
        at--;
    if (at > 0 && l->rows[at - 1].time == r->time && l->rows[at - 1].known == r->known) {
        l->rows[at - 1] = *r;
        return;
    }
    memmove(&l->rows[at + 1], &l->rows[at], (l->n - at) * sizeof *r);
    l->rows[at] = *r;
    if (++l->n > REF_HIST)
        memmove(&l->rows[0], &l->rows[1], --l->n * sizeof *r);
}

static void ref_check(struct online_fix *f, const struct ref_list *lists, struct rng *rng)
{
    for (int i = 0; i < 200; i++) {
        char key[8];
        int k = (int)rng_below(rng, N_KEYS);
        int64_t t = (int64_t)rng_below(rng, 600), ttl = (int64_t)rng_below(rng, 100);
        const struct ref_row *want = NULL;
        snprintf(key, sizeof key, "k%d", k);
        for (size_t j = lists[k].n; j-- > 0 && !want;)
            want = lists[k].rows[j].time <= t && lists[k].rows[j].known <= t ? &lists[k].rows[j]
                                                                             : NULL;
        enum online_status got, status = !want                         ? ONLINE_NOT_FOUND
                                         : ttl && want->time < t - ttl ? ONLINE_OUTSIDE_MAX_AGE
                                                                       : ONLINE_PRESENT;
        double x = get(f, key, t, ttl, &got);
        assert_int_equal(got, status);
        if (want)
            assert_true(x == want->x);
    }
}

static void test_random(void **state)
{
    (void)state;
    struct online_fix f;
    struct err err = ERR_INIT;
    struct rng rng;
    static struct ref_list lists[N_KEYS];
    rng_init(&rng, 5);
    fix_init(&f);
    declare(f.o, "1", REF_HIST);
    for (size_t done = 0; done < N_ROWS;) {
        struct str keys[97], names[97];
        int64_t times[97], knowns[97];
        double xs[97];
        char text[97][8];
        int of_key[97];
        size_t n = 1 + rng_below(&rng, 97);
        for (size_t i = 0; i < n; i++) {
            struct ref_row r = {(int)rng_below(&rng, N_KEYS),
                                (int64_t)(done / 10 + rng_below(&rng, 60)), 0, rng_f64(&rng)};
            r.known = r.time + (int64_t)rng_below(&rng, 20);
            of_key[i] = r.key;
            snprintf(text[i], sizeof text[i], "k%d", r.key);
            keys[i] = str_c(text[i]);
            names[i] = STR("x");
            times[i] = r.time;
            knowns[i] = r.known;
            xs[i] = r.x;
        }
        struct column key = {"k", VAL_STR, n, NULL, {.s = keys}},
                      time = {"t", VAL_TIME, n, NULL, {.i = times}};
        struct column known = {"known", VAL_TIME, n, NULL, {.i = knowns}};
        struct column values[2] = {{"x", VAL_FLOAT, n, NULL, {.f = xs}},
                                   {"name", VAL_STR, n, NULL, {.s = names}}};
        struct online_batch b = {"v", "1", n, &key, values, &time, &known};
        ASSERT_OK(online_put(f.o, &b, NULL, &err), &err);
        for (size_t i = 0; i < n; i++) {
            struct ref_row r = {of_key[i], times[i], knowns[i], xs[i]};
            ref_put(&lists[r.key], &r);
        }
        done += n;
        if (rng_below(&rng, 4) == 0)
            ref_check(&f, lists, &rng);
        if (rng_below(&rng, 16) == 0) {
            fix_close(&f);
            fix_open(&f);
        }
    }
    ref_check(&f, lists, &rng);
    fix_fini(&f);
}

/* ---- a writer that is killed ---- */

/* Puts value i at time i for i = 0, 1, ..., telling each over the pipe, until it is killed. */
static void write_until_killed(const char *dir, int fd)
{
    struct online *o;
    struct err err = ERR_INIT;
    if (online_open(&(struct online_options){.dir = dir, .map_bytes = INT64_C(1) << 32}, &o,
                    &err) != ERR_OK)
        _exit(1);
    for (int64_t i = 0;; i++) {
        double x = (double)i;
        put(o, "a", 1, &i, NULL, &x);
        if (write(fd, &i, sizeof i) != sizeof i)
            _exit(2);
    }
}

static void test_kill(void **state)
{
    (void)state;
    struct online_fix f;
    struct err err = ERR_INIT;
    fix_init(&f);
    declare(f.o, "1", 0);
    for (int round = 0; round < 5; round++) {
        int fds[2], status;
        int64_t told = -1, got;
        fix_close(&f);
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0)
            write_until_killed(f.dir, fds[1]);
        close(fds[1]);
        for (int i = 0; i < 10 + 7 * round; i++)
            assert_int_equal(read(fds[0], &told, sizeof told), sizeof told);
        kill(pid, SIGKILL);
        while (read(fds[0], &got, sizeof got) == sizeof got)
            told = got;
        close(fds[0]);
        waitpid(pid, &status, 0);
        fix_open(&f);
        enum online_status found;
        double x = get(&f, "a", INT64_MAX, 0, &found); /* acknowledged: there; one more may be */
        assert_int_equal(found, ONLINE_PRESENT);
        assert_true(x >= (double)told);
        ASSERT_OK(online_restore(f.o, "v", "1", -1, NULL, &err), &err);
    }
    fix_fini(&f);
}

/* ---- readers beside a writer ---- */

struct reading {
    struct online *o;
    atomic_bool is_over;
    int64_t n_reads;
};

/* The writer puts (t, x = t) in growing order: whatever is read is whole and never goes back. */
static void *read_along(void *arg)
{
    struct reading *g = arg;
    struct err err = ERR_INIT;
    struct online_fix f = {.o = g->o};
    double last = -1;
    ASSERT_OK(online_reader_new(g->o, &f.r, &err), &err);
    while (!atomic_load(&g->is_over)) {
        enum online_status status;
        double x = get(&f, "a", INT64_MAX, 0, &status);
        if (status == ONLINE_PRESENT && x < last)
            return g;
        last = status == ONLINE_PRESENT ? x : last;
        g->n_reads++;
    }
    online_reader_free(f.r);
    return NULL;
}

static void test_readers(void **state)
{
    (void)state;
    struct online_fix f;
    struct err err = ERR_INIT;
    fix_init(&f);
    declare(f.o, "1", 8);
    struct reading g[2] = {{.o = f.o}, {.o = f.o}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        ASSERT_OK(thread_start(&threads[i], "reader", read_along, &g[i], &err), &err);
    for (int64_t t = 0; t < 300; t++)
        put1(f.o, "a", t, t, (double)t);
    for (int i = 0; i < 2; i++) {
        void *bad;
        atomic_store(&g[i].is_over, true);
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    fix_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_of),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_nulls_and_columns),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_readers),
    };
    return RUN_TESTS(tests);
}
