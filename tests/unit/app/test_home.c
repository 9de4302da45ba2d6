#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/home.h"
#include "app/settings.h"
#include "base/check.h"
#include "base/file.h"

static struct arena arena;
static char dir[] = "/tmp/pawl-home-XXXXXX";

static char *in(const char *name)
{
    return path_join(&arena, dir, name);
}

static void a_home_is_made_once(void **state)
{
    struct err err = ERR_INIT;
    struct home h;
    struct stat st;
    ASSERT_OK(home_make(in("a/.pawl"), true, &err), &err);
    ASSERT_OK(home_make(in("a/.pawl"), true, &err), &err);
    ASSERT_OK(home_make(in("a/.pawl"), false, &err), &err);
    ASSERT_OK(home_make(in("b/.pawl"), false, &err), &err);
    assert_int_equal(home_make(in("b/.pawl"), true, &err), ERR_EXISTS);
    ASSERT_OK(home_open(in("a/.pawl"), &arena, &h, &err), &err);
    assert_true(h.is_replay);
    assert_int_equal(stat(h.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(home_open(in("none"), &arena, &h, &err), ERR_NOT_FOUND);
    ASSERT_OK(file_write(in("a/.pawl/FORMAT"), STR("{\"format\":99}"), 0600, &err), &err);
    assert_int_equal(home_open(in("a/.pawl"), &arena, &h, &err), ERR_UNSUPPORTED);
}

static void it_is_found_upward(void **state)
{
    struct err err = ERR_INIT;
    ASSERT_OK(home_make(in("p/.pawl"), false, &err), &err);
    ASSERT_OK(dir_make(in("p/x/y"), 0700, &err), &err);
    assert_string_equal(home_find_up(in("p/x/y"), ".pawl/FORMAT", &arena), in("p"));
    assert_string_equal(home_find_up(in("p"), ".pawl/FORMAT", &arena), in("p"));
    assert_null(home_find_up("/", "no-such-file-here", &arena));
    assert_null(home_find_up("/tmp", "no-such-file-here", &arena));
}

static void it_has_one_owner(void **state)
{
    struct err err = ERR_INIT;
    struct home h;
    bool is_owned = true;
    char *url = NULL;
    int status = 0;
    ASSERT_OK(home_make(in("o"), false, &err), &err);
    ASSERT_OK(home_open(in("o"), &arena, &h, &err), &err);
    ASSERT_OK(home_peek(h.path, &arena, &is_owned, &url, &err), &err);
    assert_false(is_owned);
    ASSERT_OK(home_lock(&h, 0, &err), &err);
    ASSERT_OK(home_peek(h.path, &arena, &is_owned, &url, &err), &err);
    assert_true(is_owned && !url);
    ASSERT_OK(home_publish(&h, "http://127.0.0.1:5000", &err), &err);
    pid_t pid = fork();
    if (pid == 0) {
        struct home other;
        bool is_right = home_open(h.path, &arena, &other, &err) == ERR_OK &&
                        home_lock(&other, 30, &err) == ERR_BUSY &&
                        strstr(err.msg, "http://127.0.0.1:5000") != NULL &&
                        home_peek(h.path, &arena, &is_owned, &url, &err) == ERR_OK && is_owned &&
                        url;
        _exit(is_right ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    home_unlock(&h);
    ASSERT_OK(home_peek(h.path, &arena, &is_owned, &url, &err), &err);
    assert_false(is_owned);
    ASSERT_OK(home_lock(&h, 0, &err), &err);
    home_unlock(&h);
}

static void the_later_setting_wins(void **state)
{
    struct err err = ERR_INIT;
    struct settings s;
    char *flags[] = {"--jobs", "5", "--behind-proxy"}, *bad[] = {"--prot", "5"},
         *wrong[] = {"--port", "x"};
    unsetenv("PAWL_PORT");
    ASSERT_OK(settings_read(&s, in("none.conf"), 0, NULL, &arena, &err), &err);
    assert_int_equal(settings_int(&s, SET_PORT, 0), 5000);
    ASSERT_OK(
        file_write(in("pawl.conf"), STR("port: 6000\njobs: 3\njob_memory: 2GiB\n"), 0600, &err),
        &err);
    ASSERT_OK(settings_read(&s, in("pawl.conf"), 0, NULL, &arena, &err), &err);
    assert_int_equal(settings_int(&s, SET_PORT, 0), 6000);
    assert_int_equal(settings_int(&s, SET_JOB_MEMORY, 0), INT64_C(2) << 30);
    setenv("PAWL_PORT", "7000", 1);
    ASSERT_OK(settings_read(&s, in("pawl.conf"), 3, flags, &arena, &err), &err);
    assert_int_equal(settings_int(&s, SET_PORT, 0), 7000);
    assert_int_equal(settings_int(&s, SET_JOBS, 0), 5);
    assert_true(settings_bool(&s, SET_BEHIND_PROXY));
    assert_int_equal(settings_read(&s, NULL, 2, bad, &arena, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "did you mean --port?"));
    assert_int_equal(settings_read(&s, NULL, 2, wrong, &arena, &err), ERR_PARSE);
    unsetenv("PAWL_PORT");
    ASSERT_OK(file_write(in("pawl.conf"), STR("prot: 6000\njobs: many\n"), 0600, &err), &err);
    assert_int_equal(settings_read(&s, in("pawl.conf"), 0, NULL, &arena, &err), ERR_CONFIG);
    assert_non_null(strstr(err.msg, "pawl.conf:1:1: unknown key \"prot\", did you mean \"port\"?"));
    assert_non_null(strstr(err.msg, "pawl.conf:2:7: "));
}

static int set_up(void **state)
{
    arena_init(&arena, 64 << 20);
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
        cmocka_unit_test(a_home_is_made_once),
        cmocka_unit_test(it_is_found_upward),
        cmocka_unit_test(it_has_one_owner),
        cmocka_unit_test(the_later_setting_wins),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
