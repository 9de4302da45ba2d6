/* The environment record of a real git tree, made for the test. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "fixture/home.h"
#include "track/environment.h"
#include "track/track.h"

static void git(const char *dir, const char *args)
{
    char command[512];
    snprintf(command, sizeof(command),
             "git -C %s -c user.name=t -c user.email=t@example.com -c init.defaultBranch=main %s "
             ">/dev/null 2>&1",
             dir, args);
    assert_int_equal(system(command), 0);
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[256];
    struct err err = ERR_INIT;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    ASSERT_OK(file_write(path, str_c(text), 0644, &err), &err);
}

struct fixture {
    struct home home;
    char dir[96];
};

static int setup(void **state)
{
    static struct fixture f;
    struct err err = ERR_INIT;
    home_init(&f.home, NULL);
    snprintf(f.dir, sizeof(f.dir), "%s/project", f.home.dir);
    ASSERT_OK(dir_make(f.dir, 0755, &err), &err);
    git(f.dir, "init");
    put(f.dir, "train.py", "depth = 6\n");
    put(f.dir, ".gitignore", "data/\n");
    git(f.dir, "add -A");
    git(f.dir, "commit -m first");
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    home_fini(&f->home);
    return 0;
}

static struct json *record(struct fixture *f, struct str *ret_diff)
{
    struct err err = ERR_INIT;
    struct json *j = NULL;
    const char *const command[] = {"pawl", "run", NULL};
    const char *const version[] = {"sh", "-c", "echo tool 1.2; echo more", NULL},
                      *const absent[] = {"no-such-program-here", NULL};
    struct environment_program programs[] = {{"tool", version}, {"absent", absent}};
    struct environment_ask ask = {.project_dir = f->dir,
                                  .command = command,
                                  .programs = programs,
                                  .n_programs = 2,
                                  .has_seed = true,
                                  .seed = 7};
    ASSERT_OK(environment_record(&ask, &f->home.arena, &j, ret_diff, &err), &err);
    return j;
}

static void a_clean_tree_is_its_commit(void **state)
{
    struct fixture *f = *state;
    struct str diff;
    struct json *j = record(f, &diff);
    assert_int_equal(json_path(j, "code.commit")->u.s.n, 40);
    assert_true(str_is(json_path(j, "code.branch")->u.s, "main"));
    assert_false(json_get_bool(json_get(j, "code"), "is_dirty", true));
    assert_int_equal(diff.n, 0);
    assert_int_equal(json_get_int(j, "seed", 0), 7);
    assert_int_equal(json_len(json_get(j, "programs")), 1);
    assert_string_equal(json_get_c(json_path(j, "programs.0"), "version"), "tool 1.2");
    assert_true(json_get_int(json_get(j, "host"), "cores", 0) >= 1);
    assert_true(json_get_int(json_get(j, "host"), "ram_bytes", 0) > 1000000);
    assert_non_null(json_get_c(json_get(j, "host"), "libc"));
    assert_int_equal(json_len(json_get(j, "command")), 2);
}

static void a_dirty_tree_shows_what_differs_and_no_secret(void **state)
{
    struct fixture *f = *state;
    struct str diff;
    put(f->dir, "train.py", "depth = 8\npassword = 'hunter2hunter2'\nn_tokens = 5\n");
    put(f->dir, "new file.py", "x = 1\n");
    put(f->dir, "key.pem",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQsecret\n-----END PRIVATE KEY-----\n");
    struct json *j = record(f, &diff);
    assert_true(json_get_bool(json_get(j, "code"), "is_dirty", false));
    assert_int_equal(json_get_int(json_get(j, "code"), "n_changed_files", 0), 3);
    assert_true(str_find(diff, STR("+depth = 8")) >= 0);
    assert_true(str_find(diff, STR("+++ b/new file.py\n+x = 1")) >= 0);
    assert_true(str_find(diff, STR("hunter2")) < 0);
    assert_true(str_find(diff, STR("MIIEvQ")) < 0);
    assert_true(json_get_int(json_get(j, "code"), "n_redacted_lines", 0) >= 4);
    struct digest d;
    char hex[DIGEST_HEX_BYTES];
    digest_of(diff.p, diff.n, &d);
    digest_hex(&d, hex);
    assert_string_equal(json_get_c(json_get(j, "code"), "diff_sha256"), hex);
}

static void a_folder_without_git_has_no_code(void **state)
{
    struct fixture *f = *state;
    struct str diff;
    snprintf(f->dir, sizeof(f->dir), "/");
    struct json *j = record(f, &diff);
    assert_null(json_get(j, "code"));
}

static void a_run_carries_its_record(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct str diff, text;
    struct track *t = NULL;
    char artifacts[96], id[RUN_ID_BYTES], *dir = NULL;
    put(f->dir, "train.py", "depth = 8\n");
    struct json *j = record(f, &diff);
    snprintf(artifacts, sizeof(artifacts), "%s/artifacts", f->home.dir);
    ASSERT_OK(track_open(f->home.db, artifacts, &f->home.clock, &t, &err), &err);
    struct run_new n = {.name = "x"};
    ASSERT_OK(run_create(t, &n, id, &err), &err);
    ASSERT_OK(environment_log(t, id, j, diff, &err), &err);
    struct run r;
    ASSERT_OK(run_get(t, id, &f->home.arena, &r, &err), &err);
    bool is_dirty = false;
    for (size_t i = 0; i < r.n_tags; i++)
        is_dirty = is_dirty || (strcmp(r.tags[i].key, "pawl.git.dirty") == 0 &&
                                strcmp(r.tags[i].value, "true") == 0);
    assert_true(is_dirty);
    ASSERT_OK(run_artifact_dir(t, id, RUN_DIR_MAY_BE_ABSENT, &f->home.arena, &dir, &err), &err);
    ASSERT_OK(file_read(path_join(&f->home.arena, dir, "pawl/diff.patch"), 1 << 20, &f->home.arena,
                        &text, &err),
              &err);
    assert_true(str_eq(text, diff));
    track_close(t);
}

int main(void)
{
    if (system("git --version >/dev/null 2>&1") != 0) {
        printf("1..0 # SKIP git is not installed\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_clean_tree_is_its_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dirty_tree_shows_what_differs_and_no_secret, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_folder_without_git_has_no_code, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_carries_its_record, setup, teardown),
    };
    return RUN_TESTS(tests);
}
