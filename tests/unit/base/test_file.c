#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"

static char dir[] = "/tmp/pawl-file-XXXXXX";
static struct arena arena;

static const char *in(const char *name)
{
    return path_join(&arena, dir, name);
}

static void written_files_read_back(void **state)
{
    struct err err = ERR_INIT;
    struct str text;
    struct digest d, whole;
    int64_t n = 0;
    char **names;
    size_t n_names;
    ASSERT_OK(file_write(in("a"), STR("one"), 0600, &err), &err);
    ASSERT_OK(file_write(in("a"), STR("two!"), 0600, &err), &err);
    ASSERT_OK(file_read(in("a"), 100, &arena, &text, &err), &err);
    assert_true(str_is(text, "two!"));
    assert_int_equal(text.p[4], '\0');
    assert_int_equal(file_read(in("a"), 3, &arena, &text, &err), ERR_TOO_LARGE);
    assert_int_equal(file_read(in("none"), 3, &arena, &text, &err), ERR_NOT_FOUND);
    ASSERT_OK(digest_of_file(in("a"), &d, &n, &err), &err);
    digest_of("two!", 4, &whole);
    assert_int_equal(digest_cmp(&d, &whole), 0);
    assert_int_equal(n, 4);
    ASSERT_OK(file_clone(in("a"), in("b"), 0644, &err), &err);
    assert_int_equal(file_clone(in("a"), in("b"), 0644, &err), ERR_EXISTS);
    ASSERT_OK(file_size(in("b"), &n, &err), &err);
    assert_int_equal(n, 4);
    ASSERT_OK(dir_list(dir, &arena, &names, &n_names, &err), &err);
    assert_int_equal(n_names, 2); /* nothing was left aside */
    ASSERT_OK(file_remove(in("b"), &err), &err);
    ASSERT_OK(file_remove(in("b"), &err), &err);
}

static void folders(void **state)
{
    struct err err = ERR_INIT;
    ASSERT_OK(dir_make(in("x/y/z"), 0700, &err), &err);
    ASSERT_OK(dir_make(in("x/y/z"), 0700, &err), &err);
    ASSERT_OK(file_write(in("x/y/f"), STR("f"), 0600, &err), &err);
    assert_int_equal(dir_make(in("x/y/f"), 0700, &err), ERR_EXISTS);
    assert_int_equal(symlink("/tmp", in("x/link")), 0);
    ASSERT_OK(dir_remove(in("x"), &err), &err);
    assert_false(file_exists(in("x")));
    assert_true(dir_exists("/tmp"));
    ASSERT_OK(dir_remove(in("x"), &err), &err);
    assert_string_equal(path_base("/a/b"), "b");
    assert_string_equal(path_base("b"), "b");
}

static void globs(void **state)
{
    static const char *const FILES[] = {"g/1.csv",     "g/2.csv",          "g/.hidden.csv",
                                        "g/sub/3.csv", "g/sub/deep/4.csv", "g/x.txt"};
    struct err err = ERR_INIT;
    char **found;
    size_t n;
    ASSERT_OK(dir_make(in("g/sub/deep"), 0700, &err), &err);
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++)
        ASSERT_OK(file_write(in(FILES[i]), STR(""), 0600, &err), &err);
    ASSERT_OK(path_glob(in("g/*.csv"), &arena, &found, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_string_equal(found[0], in("g/1.csv"));
    ASSERT_OK(path_glob(in("g/**/*.csv"), &arena, &found, &n, &err), &err);
    assert_int_equal(n, 4);
    assert_string_equal(found[3], in("g/sub/deep/4.csv"));
    ASSERT_OK(path_glob(in("g/[2-9].csv"), &arena, &found, &n, &err), &err);
    assert_int_equal(n, 1);
    ASSERT_OK(path_glob(in("g/x.txt"), &arena, &found, &n, &err), &err);
    assert_int_equal(n, 1);
    ASSERT_OK(path_glob(in("g/none/*"), &arena, &found, &n, &err), &err);
    assert_int_equal(n, 0);
}

/* A full disk, played by the limit on file size. */
static void a_failed_write_leaves_the_old_file(void **state)
{
    struct err err = ERR_INIT;
    struct str text;
    struct rlimit old, small;
    char **names;
    size_t n_before, n_after;
    static char big[100000];
    ASSERT_OK(file_write(in("kept"), STR("old"), 0600, &err), &err);
    ASSERT_OK(dir_list(dir, &arena, &names, &n_before, &err), &err);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){4096, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err_code code = file_write(in("kept"), str_n(big, sizeof big), 0600, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(code, ERR_IO);
    ASSERT_OK(file_read(in("kept"), 100, &arena, &text, &err), &err);
    assert_true(str_is(text, "old"));
    ASSERT_OK(dir_list(dir, &arena, &names, &n_after, &err), &err);
    assert_int_equal(n_before, n_after);
}

static int set_up(void **state)
{
    arena_init(&arena, 1 << 22);
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err = ERR_INIT;
    enum err_code code = dir_remove(dir, &err);
    arena_fini(&arena);
    return code == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_files_read_back),
        cmocka_unit_test(folders),
        cmocka_unit_test(globs),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
