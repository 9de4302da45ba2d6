/* The quick answer: true only while nothing that the record names moved. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "pipeline/fresh.h"
#include "test.h"

struct place {
    char dir[64];
    struct arena a;
    struct fresh_order o;
};

static const char *const STEPS[] = {"train"};

static void place_init(struct place *p)
{
    struct err err = ERR_INIT;
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/pawl-fresh-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    arena_init(&p->a, 1 << 24);
    p->o = (struct fresh_order){.home = p->dir,
                                .root = p->dir,
                                .steps = STEPS,
                                .n_steps = 1,
                                .as_of_us = AT_US_NONE,
                                .now_us = 1000};
    ASSERT_OK(dir_make(path_join(&p->a, p->dir, "jobs"), 0700, &err), &err);
}

static void place_fini(struct place *p)
{
    struct err err = ERR_INIT;
    ASSERT_OK(dir_remove(p->dir, &err), &err);
    arena_fini(&p->a);
}

static const char *put(struct place *p, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    const char *path = path_join(&p->a, p->dir, name);
    ASSERT_OK(file_write(path, str_c(text), 0600, &err), &err);
    return path;
}

static void save(struct place *p, const char *const *paths, size_t n, const char *pattern)
{
    struct err err = ERR_INIT;
    struct json *answer = json_set(&p->a, json_obj(&p->a), "run", json_cstr(&p->a, "r1"));
    struct fresh_record *r = fresh_record_new(&p->a);
    for (size_t i = 0; i < n; i++)
        fresh_record_path(r, paths[i]);
    if (pattern != NULL)
        fresh_record_glob(r, pattern);
    ASSERT_OK(fresh_record_save(r, &p->o, 2000, answer, &err), &err);
}

static bool is_unchanged(struct place *p)
{
    struct json *ret = NULL;
    bool is = fresh_is_unchanged(&p->o, &p->a, &ret);
    if (is)
        assert_string_equal(json_get_c(ret, "run"), "r1");
    return is;
}

/* Another size, or the same size and another time: both are seen. */
static void sees_every_change(void **state)
{
    struct place p;
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    (void)state;
    place_init(&p);
    const char *path = put(&p, "a.txt", "one");
    assert_false(is_unchanged(&p));
    save(&p, &path, 1, NULL);
    assert_true(is_unchanged(&p));
    assert_true(is_unchanged(&p));
    (void)put(&p, "a.txt", "two");
    assert_false(is_unchanged(&p));
    save(&p, &path, 1, NULL);
    assert_true(is_unchanged(&p));
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_false(is_unchanged(&p));
    assert_int_equal(unlink(path), 0);
    save(&p, &path, 1, NULL); /* absent is a state too */
    assert_true(is_unchanged(&p));
    (void)put(&p, "a.txt", "one");
    assert_false(is_unchanged(&p));
    place_fini(&p);
}

static void sees_new_files_of_a_glob(void **state)
{
    struct place p;
    (void)state;
    place_init(&p);
    (void)put(&p, "d1.csv", "x");
    const char *pattern = path_join(&p.a, p.dir, "*.csv");
    save(&p, NULL, 0, pattern);
    assert_true(is_unchanged(&p));
    (void)put(&p, "d2.csv", "x");
    assert_false(is_unchanged(&p));
    place_fini(&p);
}

static void is_bound_to_its_order_and_time(void **state)
{
    static const char *const OTHER[] = {"evaluate"};
    struct place p;
    struct err err = ERR_INIT;
    (void)state;
    place_init(&p);
    const char *path = put(&p, "a.txt", "one");
    save(&p, &path, 1, NULL);
    p.o.steps = OTHER;
    assert_false(is_unchanged(&p));
    p.o.steps = STEPS;
    p.o.as_of_us = 5;
    assert_false(is_unchanged(&p));
    p.o.as_of_us = AT_US_NONE;
    p.o.now_us = 2000; /* a freshness verdict ends */
    assert_false(is_unchanged(&p));
    p.o.now_us = 1999;
    assert_true(is_unchanged(&p));
    ASSERT_OK(fresh_forget(p.dir, &err), &err);
    assert_false(is_unchanged(&p));
    place_fini(&p);
}

/* Cut anywhere, a record is never taken for whole. */
static void survives_damage(void **state)
{
    struct place p;
    struct err err = ERR_INIT;
    char **names = NULL;
    size_t n = 0;
    struct str text;
    (void)state;
    place_init(&p);
    const char *path = put(&p, "a.txt", "one");
    save(&p, &path, 1, NULL);
    const char *jobs = path_join(&p.a, p.dir, "jobs");
    ASSERT_OK(dir_list(jobs, &p.a, &names, &n, &err), &err);
    assert_int_equal(n, 1);
    const char *record = path_join(&p.a, jobs, names[0]);
    ASSERT_OK(file_read(record, 1 << 20, &p.a, &text, &err), &err);
    for (size_t cut = 0; cut + 1 < text.n; cut += 3) {
        ASSERT_OK(file_write(record, str_n(text.p, cut), 0600, &err), &err);
        assert_false(is_unchanged(&p));
    }
    ASSERT_OK(file_write(record, text, 0600, &err), &err);
    assert_true(is_unchanged(&p));
    place_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sees_every_change),
        cmocka_unit_test(sees_new_files_of_a_glob),
        cmocka_unit_test(is_bound_to_its_order_and_time),
        cmocka_unit_test(survives_damage),
    };
    return RUN_TESTS(tests);
}
