/* job/: the worker pool against children that answer, fail, die, hang and talk garbage; and user commands.
 * This executable is its own worker: `test_job worker --fd 3`. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "job/worker.h"

/* ---- operations of the test worker ---- */

static enum err_code op_echo(struct worker *w, const struct json *args, struct json **ret,
                             struct err *err)
{
    *ret = json_copy(worker_arena(w), args);
    return ERR_OK;
}

static enum err_code op_pid(struct worker *w, const struct json *args, struct json **ret,
                            struct err *err)
{
    *ret = json_int(worker_arena(w), getpid());
    return ERR_OK;
}

static enum err_code op_fail(struct worker *w, const struct json *args, struct json **ret,
                             struct err *err)
{
    return err_set(err, ERR_FORBIDDEN, "no: %s", json_get_c(args, "why"));
}

static enum err_code op_records(struct worker *w, const struct json *args, struct json **ret,
                                struct err *err)
{
    for (int64_t i = 0; i < json_get_int(args, "n", 0); i++) {
        enum err_code code = worker_record(w, "round", json_int(worker_arena(w), i), err);
        if (code != ERR_OK)
            return code;
        worker_progress(w, (double)i / 10, "round %d", (int)i);
    }
    return ERR_OK;
}

static enum err_code op_hang(struct worker *w, const struct json *args, struct json **ret,
                             struct err *err)
{
    worker_progress(w, 0, "%d", (int)getpid());
    for (;;)
        (void)pause(); /* until it is killed */
    return ERR_OK;
}

static enum err_code op_die(struct worker *w, const struct json *args, struct json **ret,
                            struct err *err)
{
    (void)kill(getpid(), SIGKILL);
    return ERR_OK;
}

static enum err_code op_exit(struct worker *w, const struct json *args, struct json **ret,
                             struct err *err)
{
    _exit(7);
}

/* Bytes on the socket that are no frame: the socket is descriptor 3. */
static enum err_code op_garbage(struct worker *w, const struct json *args, struct json **ret,
                                struct err *err)
{
    static const char junk[] = "\x05\0\0\0\x04\xde\xad\xbe\xefhello and more";
    (void)!write(3, junk, sizeof junk);
    for (;;)
        (void)pause(); /* until it is killed */
    return ERR_OK;
}

static enum err_code op_cut(struct worker *w, const struct json *args, struct json **ret,
                            struct err *err)
{
    static const char part[] = "\xff\0\0\0\x04\xde\xad\xbe\xef{\"a\":";
    (void)!write(3, part, sizeof part - 1);
    _exit(0);
}

static enum err_code op_fds(struct worker *w, const struct json *args, struct json **ret,
                            struct err *err)
{
    char **names = NULL;
    size_t n = 0;
    enum err_code code = dir_list("/proc/self/fd", worker_arena(w), &names, &n, err);
    *ret = json_int(worker_arena(w), (int64_t)n);
    return code;
}

static enum err_code op_env(struct worker *w, const struct json *args, struct json **ret,
                            struct err *err)
{
    struct json *v = json_obj(worker_arena(w));
    struct rlimit lim;
    (void)getrlimit(RLIMIT_AS, &lim);
    json_set(worker_arena(w), v, "secret", json_cstr(worker_arena(w), getenv("MY_SECRET")));
    json_set(worker_arena(w), v, "path", json_cstr(worker_arena(w), getenv("PATH")));
    json_set(worker_arena(w), v, "is_leader", json_bool(worker_arena(w), getsid(0) == getpid()));
    json_set(worker_arena(w), v, "limit", json_int(worker_arena(w), (int64_t)lim.rlim_cur));
    *ret = v;
    return ERR_OK;
}

static enum err_code op_big(struct worker *w, const struct json *args, struct json **ret,
                            struct err *err)
{
    size_t n = (size_t)json_get_int(args, "n", 0);
    char *p = arena_alloc(worker_arena(w), n + 1);
    if (!p)
        return arena_err(worker_arena(w), err);
    memset(p, 'x', n);
    *ret = json_str(worker_arena(w), str_n(p, n));
    return ERR_OK;
}

static const struct worker_op OPS[] = {
    {"echo", op_echo}, {"pid", op_pid}, {"fail", op_fail}, {"records", op_records},
    {"hang", op_hang}, {"die", op_die}, {"exit", op_exit}, {"garbage", op_garbage},
    {"cut", op_cut},   {"fds", op_fds}, {"env", op_env},   {"big", op_big},
};

/* ---- the pool ---- */

struct fixture {
    struct worker_pool *pool;
    struct arena a;
};

static struct worker_pool *pool_of(int n, int64_t idle_ms, int64_t memory)
{
    struct err err = ERR_INIT;
    struct worker_pool *p = NULL;
    struct worker_pool_options opt = {.n_max = n, .idle_ms = idle_ms, .memory_bytes = memory};
    if (worker_pool_open(&opt, &p, &err) != ERR_OK)
        fail_msg("%s", err.msg);
    return p;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->a, 256 << 20);
    f->pool = pool_of(2, 60000, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    worker_pool_close(f->pool);
    arena_fini(&f->a);
    free(f);
    return 0;
}

static enum err_code call(struct fixture *f, const char *op, const char *args, struct json **ret,
                          struct err *err)
{
    struct json *v = NULL;
    assert_int_equal(json_read(str_c(args), &f->a, &v, err), ERR_OK);
    struct worker_call c = {.op = op, .args = v, .timeout_ms = 20000};
    return worker_pool_call(f->pool, &c, &f->a, ret, err);
}

static int64_t call_int(struct fixture *f, const char *op)
{
    struct err err = ERR_INIT;
    struct json *v = NULL;
    if (call(f, op, "{}", &v, &err) != ERR_OK)
        fail_msg("%s: %s", op, err.msg);
    return v->u.i;
}

static void test_echo_reuses_a_warm_child(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct json *v = NULL;
    int64_t pid = call_int(f, "pid");
    assert_int_not_equal(pid, getpid());
    assert_int_equal(call(f, "echo", "{\"a\":[1,2.5,\"x\"]}", &v, &err), ERR_OK);
    assert_int_equal(json_len(json_get(v, "a")), 3);
    assert_int_equal(call_int(f, "pid"), pid);
}

static void test_errors_keep_code_and_sentence(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct json *v = NULL;
    int64_t pid = call_int(f, "pid");
    assert_int_equal(call(f, "fail", "{\"why\":\"because\"}", &v, &err), ERR_FORBIDDEN);
    assert_string_equal(err.msg, "no: because");
    assert_int_equal(call(f, "nothing", "{}", &v, &err), ERR_UNSUPPORTED);
    assert_int_equal(call_int(f, "pid"), pid); /* an error is an answer: the child stays */
}

static void assert_replaced(struct fixture *f, const char *op, const char *sentence)
{
    struct err err = ERR_INIT;
    struct json *v = NULL;
    int64_t pid = call_int(f, "pid");
    assert_int_equal(call(f, op, "{}", &v, &err), ERR_CHILD);
    assert_non_null(strstr(err.msg, op));
    assert_non_null(strstr(err.msg, sentence));
    assert_int_not_equal(call_int(f, "pid"), pid);
    assert_int_not_equal(kill((pid_t)pid, 0), 0);
}

static void test_a_dead_child_is_replaced(void **state)
{
    assert_replaced(*state, "die", "signal 9");
    assert_replaced(*state, "exit", "status 7");
    assert_replaced(*state, "cut", "died");
}

static void test_garbage_ends_the_child(void **state)
{
    assert_replaced(*state, "garbage", "damaged");
}

static void test_a_child_killed_while_idle_costs_nothing(void **state)
{
    struct fixture *f = *state;
    pid_t pid = (pid_t)call_int(f, "pid");
    assert_int_equal(kill(pid, SIGKILL), 0);
    /* until the kernel has ended it, however busy the machine is */
    const int64_t deadline_ns = mono_ns() + INT64_C(20000000000);
    bool is_gone = false;
    while (!is_gone && kill(pid, 0) == 0 && mono_ns() < deadline_ns) {
        char path[64], text[512] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "r");
        if (!file || !fgets(text, sizeof text, file) || strstr(text, ") Z "))
            is_gone = true;
        if (file)
            (void)fclose(file);
        (void)sched_yield();
    }
    assert_int_not_equal(call_int(f, "pid"), pid);
}

static void note_pid(void *arg, double done, const char *text)
{
    int64_t pid = 0;
    struct err err = ERR_INIT;
    assert_int_equal(parse_i64(str_c(text), &pid, &err), ERR_OK);
    *(int64_t *)arg = pid;
}

static void test_timeout_kills(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct json *v = NULL;
    int64_t pid = 0;
    struct worker_call c = {.op = "hang", .timeout_ms = 150, .on_progress = note_pid, .arg = &pid};
    assert_int_equal(worker_pool_call(f->pool, &c, &f->a, &v, &err), ERR_TIMEOUT);
    assert_true(pid > 0);
    assert_int_not_equal(kill((pid_t)pid, 0), 0);
    (void)call_int(f, "pid");
}

static void kill_it(void *arg, double done, const char *text)
{
    note_pid(arg, done, text);
    (void)kill((pid_t) * (int64_t *)arg, SIGKILL);
}

static void test_kill_in_the_middle_of_a_call(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct json *v = NULL;
    int64_t pid = 0;
    struct worker_call c = {.op = "hang", .timeout_ms = 20000, .on_progress = kill_it, .arg = &pid};
    for (int i = 0; i < 20; i++)
        assert_int_equal(worker_pool_call(f->pool, &c, &f->a, &v, &err), ERR_CHILD);
    (void)call_int(f, "pid");
}

static void cancel_it(void *arg, double done, const char *text)
{
    atomic_store((atomic_bool *)arg, true);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct json *v = NULL;
    atomic_bool cancel = false;
    struct worker_call c = {.op = "hang",
                            .timeout_ms = 20000,
                            .is_cancelled = &cancel,
                            .on_progress = cancel_it,
                            .arg = &cancel};
    int64_t start = mono_ns();
    assert_int_equal(worker_pool_call(f->pool, &c, &f->a, &v, &err), ERR_CANCELLED);
    assert_true(mono_ns() - start < INT64_C(10000000000));
    (void)call_int(f, "pid");
}

static enum err_code on_record(void *arg, const char *kind, const struct json *v, struct err *err)
{
    int64_t *n = arg;
    assert_string_equal(kind, "round");
    assert_int_equal(v->u.i, *n);
    return ++*n == 7 ? err_set(err, ERR_IO, "disk full") : ERR_OK;
}

static void test_records_come_in_order_and_their_refusal_ends_the_call(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct json *args = json_obj(&f->a), *v = NULL;
    int64_t n = 0;
    json_set(&f->a, args, "n", json_int(&f->a, 6));
    struct worker_call c = {
        .op = "records", .args = args, .timeout_ms = 20000, .on_record = on_record, .arg = &n};
    assert_int_equal(worker_pool_call(f->pool, &c, &f->a, &v, &err), ERR_OK);
    assert_int_equal(n, 6);
    n = 0;
    json_set(&f->a, args, "n", json_int(&f->a, 100));
    assert_int_equal(worker_pool_call(f->pool, &c, &f->a, &v, &err), ERR_IO);
    assert_string_equal(err.msg, "disk full");
    (void)call_int(f, "pid");
}

static void test_large_results(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct json *v = NULL;
    assert_int_equal(call(f, "big", "{\"n\":5000000}", &v, &err), ERR_OK);
    assert_int_equal(v->u.s.n, 5000000);
}

static void test_isolation(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct json *v = NULL;
    assert_int_equal(setenv("MY_SECRET", "s3cret", 1), 0);
    worker_pool_close(f->pool);
    f->pool = pool_of(1, 60000, INT64_C(1) << 46);
    assert_int_equal(call(f, "env", "{}", &v, &err), ERR_OK);
    assert_null(json_get(v, "secret"));
    assert_non_null(json_get(v, "path"));
    assert_true(json_get_bool(v, "is_leader", false));
    assert_true(json_get_int(v, "limit", 0) == INT64_C(1) << 46);
    assert_int_equal(call_int(f, "fds"), 5); /* 0, 1, 2, the socket, the listing itself */
}

static void *call_many(void *arg)
{
    struct fixture *f = arg, own = {.pool = f->pool};
    arena_init(&own.a, 64 << 20);
    for (int i = 0; i < 50; i++) {
        struct err err = ERR_INIT;
        struct json *v = NULL;
        if (call(&own, i % 10 == 9 ? "exit" : "echo", "{\"k\":1}", &v, &err) !=
            (i % 10 == 9 ? ERR_CHILD : ERR_OK))
            abort();
        arena_reset(&own.a);
    }
    arena_fini(&own.a);
    return NULL;
}

static void test_many_callers_few_children(void **state)
{
    struct err err = ERR_INIT;
    pthread_t th[6];
    for (int i = 0; i < 6; i++)
        assert_int_equal(thread_start(&th[i], "caller", call_many, *state, &err), ERR_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_join(th[i], NULL), 0);
}

static void test_missing_executable(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct json *v = NULL;
    struct worker_pool_options opt = {.exe = "/nowhere/pawl", .n_max = 1, .idle_ms = 1000};
    worker_pool_close(f->pool);
    assert_int_equal(worker_pool_open(&opt, &f->pool, &err), ERR_OK);
    assert_int_equal(call(f, "pid", "{}", &v, &err), ERR_CHILD);
    assert_non_null(strstr(err.msg, "/nowhere/pawl"));
}

/* A process that starts a hanging child and is killed: the child must not stay. */
static void test_children_die_with_the_parent(void **state)
{
    int fds[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {(char *)(uintptr_t) "test_job", (char *)(uintptr_t) "orphan", NULL};
        (void)dup2(fds[1], 9);
        (void)execv("/proc/self/exe", argv);
        _exit(1);
    }
    (void)close(fds[1]);
    int64_t child = 0;
    assert_int_equal(recv(fds[0], &child, sizeof child, MSG_WAITALL), sizeof child);
    assert_int_equal(kill((pid_t)child, 0), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(recv(fds[0], &byte, 1, 0),
                     0); /* ends when the last holder of the other end is gone */
    (void)close(fds[0]);
}

static void tell_pid(void *arg, double done, const char *text)
{
    int64_t pid = 0;
    note_pid(&pid, done, text);
    (void)!write(9, &pid, sizeof pid);
}

static int orphan_main(void)
{
    struct err err = ERR_INIT;
    struct arena a = {0};
    struct json *v = NULL;
    struct worker_call c = {.op = "hang", .timeout_ms = 60000, .on_progress = tell_pid};
    arena_init(&a, 1 << 20);
    return (int)worker_pool_call(pool_of(1, 1000, 0), &c, &a, &v, &err);
}

/* ---- commands ---- */

static const char *const ENV[] = {"PATH=/usr/bin:/bin", "WHO=world", NULL};

static enum err_code command(const char *shell, int64_t timeout_ms, const atomic_bool *cancel,
                             const char *log, struct command_result *ret, struct err *err)
{
    struct command c = {.shell = shell,
                        .env = ENV,
                        .cwd = "/tmp",
                        .log_path = log,
                        .timeout_ms = timeout_ms,
                        .is_cancelled = cancel};
    return command_run(&c, ret, err);
}

static void test_command(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct command_result r = {0};
    struct str text;
    char log[] = "/tmp/pawl-job-log-XXXXXX";
    int fd = mkstemp(log);
    (void)close(fd);
    assert_int_equal(
        command("echo hello $WHO; pwd; echo oops >&2; exit 3", 20000, NULL, log, &r, &err), ERR_OK);
    assert_int_equal(r.exit_status, 3);
    assert_true(r.max_rss_bytes > 0);
    assert_int_equal(file_read(log, 1000, &f->a, &text, &err), ERR_OK);
    assert_true(str_is(text, "hello world\n/tmp\noops\n"));
    const char *const argv[] = {"sh", "-c", "kill -9 $$", NULL};
    struct command c = {.argv = argv, .env = ENV, .timeout_ms = 20000};
    assert_int_equal(command_run(&c, &r, &err), ERR_OK);
    assert_int_equal(r.exit_status, 128 + 9);
    assert_int_equal(command("true", 20000, NULL, "/nowhere/log", &r, &err), ERR_NOT_FOUND);
    c.cwd = "/nowhere";
    assert_int_equal(command_run(&c, &r, &err), ERR_OK);
    assert_int_equal(r.exit_status, 127);
    assert_int_equal(file_remove(log, &err), ERR_OK);
}

static void test_command_timeout_kills_the_whole_group(void **state)
{
    struct err err = ERR_INIT;
    struct command_result r = {0};
    struct arena *a = &((struct fixture *)*state)->a;
    char log[] = "/tmp/pawl-job-log-XXXXXX";
    struct str text;
    int64_t pid = 0;
    int fd = mkstemp(log);
    (void)close(fd);
    assert_int_equal(command("sleep 1000 & echo $!; wait", 300, NULL, log, &r, &err), ERR_TIMEOUT);
    assert_int_equal(file_read(log, 1000, a, &text, &err), ERR_OK);
    assert_int_equal(parse_i64(str_trim(text), &pid, &err), ERR_OK);
    for (int i = 0; i < 100000 && kill((pid_t)pid, 0) == 0; i++)
        ; /* its new parent reaps it */
    atomic_bool cancel = true;
    assert_int_equal(command("sleep 1000", 20000, &cancel, log, &r, &err), ERR_CANCELLED);
    assert_int_equal(file_remove(log, &err), ERR_OK);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "worker") == 0)
        return worker_main(argv[3][0] - '0', OPS, sizeof OPS / sizeof *OPS);
    if (argc > 1 && strcmp(argv[1], "orphan") == 0)
        return orphan_main();
    const struct CMUnitTest tests[] = {
        T(test_echo_reuses_a_warm_child),
        T(test_errors_keep_code_and_sentence),
        T(test_a_dead_child_is_replaced),
        T(test_garbage_ends_the_child),
        T(test_a_child_killed_while_idle_costs_nothing),
        T(test_timeout_kills),
        T(test_kill_in_the_middle_of_a_call),
        T(test_cancel),
        T(test_records_come_in_order_and_their_refusal_ends_the_call),
        T(test_large_results),
        T(test_isolation),
        T(test_many_callers_few_children),
        T(test_missing_executable),
        T(test_children_die_with_the_parent),
        T(test_command),
        T(test_command_timeout_kills_the_whole_group),
    };
    return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
