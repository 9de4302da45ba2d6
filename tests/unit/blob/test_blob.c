#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "blob/tree.h"

struct fixture {
    char dir[64], store_dir[96], src[96], out[96];
    struct blob_store *store;
    struct arena arena;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err = ERR_INIT;
    snprintf(f->dir, sizeof(f->dir), "/tmp/pawl-blob-XXXXXX");
    CHECK(mkdtemp(f->dir));
    snprintf(f->store_dir, sizeof(f->store_dir), "%s/store", f->dir);
    snprintf(f->src, sizeof(f->src), "%s/src", f->dir);
    snprintf(f->out, sizeof(f->out), "%s/out", f->dir);
    arena_init(&f->arena, (size_t)8 << 20);
    ASSERT_OK(blob_open(f->store_dir, &f->store, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    blob_close(f->store);
    arena_fini(&f->arena);
    assert_int_equal(dir_remove(f->dir, NULL), ERR_OK);
    free(f);
    return 0;
}

static char *in_src(struct fixture *f, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    char *path = path_join(&f->arena, f->src, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    ASSERT_OK(dir_make(path, 0755, &err), &err);
    *slash = '/';
    ASSERT_OK(file_write(path, str_c(text), 0644, &err), &err);
    return path;
}

static void damage(const char *path)
{
    assert_int_equal(chmod(path, 0644), 0);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, "X", 1, 0) == 1);
    close(fd);
}

/* SHA-256 of "abc": FIPS 180-2, appendix B.1. */
static void bytes_are_named_by_their_sha256(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct digest d, e, g;
    char hex[DIGEST_HEX_BYTES], *path = NULL;
    struct str text;
    int64_t bytes = 0;
    ASSERT_OK(blob_put_bytes(f->store, STR("abc"), &d, &err), &err);
    digest_hex(&d, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ASSERT_OK(blob_put_file(f->store, in_src(f, "abc", "abc"), &e, &bytes, &err), &err);
    assert_int_equal(digest_cmp(&d, &e), 0);
    assert_int_equal(bytes, 3);
    struct blob_writer *w = NULL;
    ASSERT_OK(blob_writer_open(f->store, &w, &err), &err);
    ASSERT_OK(blob_writer_add(w, "a", 1, &err), &err);
    ASSERT_OK(blob_writer_add(w, "bc", 2, &err), &err);
    ASSERT_OK(blob_writer_commit(w, &g, &bytes, &err), &err);
    assert_int_equal(digest_cmp(&d, &g), 0);
    ASSERT_OK(blob_read(f->store, &d, 100, &f->arena, &text, &err), &err);
    assert_true(str_is(text, "abc"));
    assert_int_equal(blob_read(f->store, &d, 2, &f->arena, &text, &err), ERR_TOO_LARGE);
    ASSERT_OK(blob_path(f->store, &d, &f->arena, &path, &err), &err);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0444);
    struct blob_report report;
    ASSERT_OK(blob_verify_all(f->store, NULL, NULL, &report, &err), &err);
    assert_int_equal(report.n_blobs, 1);
}

static void absent_content_is_not_found_and_the_empty_blob_is_content(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct digest d;
    struct str text;
    digest_of("zzz", 3, &d);
    assert_false(blob_has(f->store, &d));
    assert_int_equal(blob_read(f->store, &d, 10, &f->arena, &text, &err), ERR_NOT_FOUND);
    ASSERT_OK(blob_put_bytes(f->store, str_n("", 0), &d, &err), &err);
    ASSERT_OK(blob_read(f->store, &d, 10, &f->arena, &text, &err), &err);
    assert_int_equal(text.n, 0);
}

static void damage_is_found_and_named(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct digest d, good;
    struct str text;
    char *path = NULL, hex[DIGEST_HEX_BYTES];
    struct blob_report report = {0};
    ASSERT_OK(blob_put_bytes(f->store, STR("precious"), &d, &err), &err);
    ASSERT_OK(blob_put_bytes(f->store, STR("whole"), &good, &err), &err);
    ASSERT_OK(blob_path(f->store, &d, &f->arena, &path, &err), &err);
    damage(path);
    digest_hex(&d, hex);
    assert_int_equal(blob_verify(f->store, &d, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, hex));
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(blob_read(f->store, &d, 100, &f->arena, &text, &err), ERR_CORRUPT);
    assert_int_equal(blob_export(f->store, &d, f->out, 0644, &err), ERR_CORRUPT);
    assert_false(file_exists(f->out));
    assert_int_equal(blob_verify_all(f->store, NULL, NULL, &report, &err), ERR_CORRUPT);
}

#define N_THREADS 8

static void *put_many(void *arg)
{
    struct blob_store *s = arg;
    char text[64];
    for (int i = 0; i < 100; i++) {
        struct digest d;
        int n = snprintf(text, sizeof(text), "content %d", i % 20);
        CHECK(blob_put_bytes(s, str_n(text, (size_t)n), &d, NULL) == ERR_OK);
        CHECK(blob_verify(s, &d, NULL) == ERR_OK);
    }
    return NULL;
}

static void many_may_put_the_same_content(void **state)
{
    struct fixture *f = *state;
    pthread_t t[N_THREADS];
    struct blob_report report;
    struct err err = ERR_INIT;
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, put_many, f->store), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(t[i], NULL);
    ASSERT_OK(blob_verify_all(f->store, NULL, NULL, &report, &err), &err);
    assert_int_equal(report.n_blobs, 20);
    char **names = NULL;
    size_t n = 0;
    ASSERT_OK(dir_list(path_join(&f->arena, f->store_dir, "tmp"), &f->arena, &names, &n, &err),
              &err);
    assert_int_equal(n, 0);
}

static bool is_first(void *arg, const struct digest *d)
{
    return digest_cmp(arg, d) == 0;
}

static void the_sweep_spares_marked_and_young(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct digest kept, gone;
    struct blob_report report;
    ASSERT_OK(blob_put_bytes(f->store, STR("kept"), &kept, &err), &err);
    ASSERT_OK(blob_put_bytes(f->store, STR("gone"), &gone, &err), &err);
    int64_t now = clock_now_us(&CLOCK_SYSTEM);
    ASSERT_OK(blob_sweep(f->store, is_first, &kept, now - US_PER_DAY, &report, &err), &err);
    assert_int_equal(report.n_swept, 0);
    ASSERT_OK(blob_sweep(f->store, is_first, &kept, now + US_PER_DAY, &report, &err), &err);
    assert_int_equal(report.n_swept, 1);
    assert_int_equal(report.swept_bytes, 4);
    assert_true(blob_has(f->store, &kept));
    assert_false(blob_has(f->store, &gone));
}

static void put_renews_what_is_there(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct digest d, other;
    struct blob_report report;
    char *path = NULL;
    ASSERT_OK(blob_put_bytes(f->store, STR("old"), &d, &err), &err);
    ASSERT_OK(blob_path(f->store, &d, &f->arena, &path, &err), &err);
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    ASSERT_OK(blob_put_bytes(f->store, STR("old"), &d, &err), &err);
    digest_of("x", 1, &other);
    int64_t before = clock_now_us(&CLOCK_SYSTEM) - US_PER_HOUR;
    ASSERT_OK(blob_sweep(f->store, is_first, &other, before, &report, &err), &err);
    assert_int_equal(report.n_swept, 0);
}

/* ---- trees ---- */

static void a_tree_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct digest d, again;
    in_src(f, "b/deep/x.txt", "x");
    in_src(f, "a.txt", "a");
    chmod(in_src(f, "b/run.sh", "#!/bin/sh\n"), 0755);
    ASSERT_OK(tree_put_dir(f->store, f->src, &d, &err), &err);
    ASSERT_OK(tree_materialize(f->store, &d, f->out, &err), &err);
    ASSERT_OK(tree_put_dir(f->store, f->out, &again, &err), &err);
    assert_int_equal(digest_cmp(&d, &again), 0);
    struct tree t;
    ASSERT_OK(tree_read(f->store, &d, &f->arena, &t, &err), &err);
    assert_int_equal(t.n, 3);
    assert_string_equal(t.files[0].path, "a.txt");
    assert_true(tree_find(&t, "b/run.sh")->is_exec);
    assert_null(tree_find(&t, "b"));
    struct str text;
    ASSERT_OK(tree_read_file(f->store, &d, "b/deep/x.txt", 10, &f->arena, &text, &err), &err);
    assert_true(str_is(text, "x"));
    assert_int_equal(tree_materialize(f->store, &d, f->out, &err), ERR_EXISTS);
    /* The copy is the caller's own. */
    ASSERT_OK(file_write(path_join(&f->arena, f->out, "a.txt"), STR("changed"), 0644, &err), &err);
    ASSERT_OK(tree_verify(f->store, &d, &err), &err);
}

/* The name is the canonical document's digest of kind "tree". */
static void a_tree_is_named_by_its_document(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct digest d, want, file;
    char hex[DIGEST_HEX_BYTES], text[256];
    in_src(f, "a", "1");
    ASSERT_OK(tree_put_dir(f->store, f->src, &d, &err), &err);
    digest_of("1", 1, &file);
    digest_hex(&file, hex);
    int n = snprintf(text, sizeof(text),
                     "{\"files\":[{\"bytes\":1,\"path\":\"a\",\"sha256\":\"%s\"}]}", hex);
    digest_of_kind("tree", str_n(text, (size_t)n), &want);
    assert_int_equal(digest_cmp(&d, &want), 0);
}

static void links_bad_paths_and_twice_the_same_are_refused(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct digest d;
    in_src(f, "a", "1");
    assert_int_equal(symlink("/etc/passwd", path_join(&f->arena, f->src, "link")), 0);
    assert_int_equal(tree_put_dir(f->store, f->src, &d, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "link"));
    const char *const BAD[] = {"../x", "/x", "a//b", "a/./b", "", "a\\b"};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct tree_file file = {.path = BAD[i]};
        struct tree t = {&file, 1};
        assert_int_equal(tree_put(f->store, &t, &d, &err), ERR_INVALID);
    }
    struct tree_file twice[2] = {{.path = "a"}, {.path = "a"}};
    struct tree t = {twice, 2};
    assert_int_equal(tree_put(f->store, &t, &d, &err), ERR_INVALID);
}

static void a_damaged_file_stops_materialising(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct digest d;
    struct tree t;
    char *path = NULL;
    in_src(f, "dir/good", "good");
    in_src(f, "dir/victim", "victim");
    ASSERT_OK(tree_put_dir(f->store, f->src, &d, &err), &err);
    ASSERT_OK(tree_read(f->store, &d, &f->arena, &t, &err), &err);
    ASSERT_OK(blob_path(f->store, &tree_find(&t, "dir/victim")->digest, &f->arena, &path, &err),
              &err);
    damage(path);
    assert_int_equal(tree_materialize(f->store, &d, f->out, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "dir/victim"));
    assert_false(dir_exists(f->out));
    assert_int_equal(tree_verify(f->store, &d, &err), ERR_CORRUPT);
}

/* Writing fails in a child that may make no file longer than 1,000 bytes. */
static void a_write_that_fails_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct blob_report report;
    struct err err = ERR_INIT;
    pid_t pid = fork();
    if (pid == 0) {
        static char big[100000];
        struct rlimit limit = {1000, 1000};
        struct digest d;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(blob_put_bytes(f->store, str_n(big, sizeof(big)), &d, NULL) == ERR_OK);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    ASSERT_OK(blob_verify_all(f->store, NULL, NULL, &report, &err), &err);
    assert_int_equal(report.n_blobs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_are_named_by_their_sha256, setup, teardown),
        cmocka_unit_test_setup_teardown(absent_content_is_not_found_and_the_empty_blob_is_content,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_found_and_named, setup, teardown),
        cmocka_unit_test_setup_teardown(many_may_put_the_same_content, setup, teardown),
        cmocka_unit_test_setup_teardown(the_sweep_spares_marked_and_young, setup, teardown),
        cmocka_unit_test_setup_teardown(put_renews_what_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tree_comes_back_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tree_is_named_by_its_document, setup, teardown),
        cmocka_unit_test_setup_teardown(links_bad_paths_and_twice_the_same_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_damaged_file_stops_materialising, setup, teardown),
        cmocka_unit_test_setup_teardown(a_write_that_fails_leaves_nothing, setup, teardown),
    };
    return RUN_TESTS(tests);
}
