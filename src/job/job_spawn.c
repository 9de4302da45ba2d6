#include "job/job_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"

extern char **environ;

#define CHILD_FD 3

/* What a child may see of the environment: where programs and libraries are, never a secret (decision 28). */
static const char *const ENV_ALLOWED[] = {
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "PAWL_DUCKDB",
    "PAWL_XGBOOST",
    "PAWL_PYTHON",
    "OMP_NUM_THREADS",
    "ASAN_OPTIONS",
    "UBSAN_OPTIONS",
    "LSAN_OPTIONS",
    "TSAN_OPTIONS",
};

static bool env_is_allowed(const char *entry)
{
    for (size_t i = 0; i < ARRAY_LEN(ENV_ALLOWED); i++) {
        size_t n = strlen(ENV_ALLOWED[i]);
        if (strncmp(entry, ENV_ALLOWED[i], n) == 0 && entry[n] == '=')
            return true;
    }
    return false;
}

static void env_fill(char *env[ARRAY_LEN(ENV_ALLOWED) + 1])
{
    size_t n = 0;
    for (char **e = environ; e && *e && n < ARRAY_LEN(ENV_ALLOWED); e++)
        if (env_is_allowed(*e))
            env[n++] = *e;
    env[n] = NULL;
}

static int actions_fill(posix_spawn_file_actions_t *fa, int fd)
{
    int e = posix_spawn_file_actions_addopen(fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (e == 0)
        e = posix_spawn_file_actions_adddup2(fa, STDERR_FILENO, STDOUT_FILENO);
    if (e == 0)
        e = posix_spawn_file_actions_adddup2(fa, fd, CHILD_FD);
    if (e == 0)
        e = posix_spawn_file_actions_addclosefrom_np(fa, CHILD_FD + 1);
    return e;
}

static int spawn(const char *exe, int fd, pid_t *ret)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t none, all;
    char name[] = "worker", flag[] = "--fd", number[] = "3", self[PATH_BYTES];
    char *env[ARRAY_LEN(ENV_ALLOWED) + 1];
    (void)snprintf(self, sizeof self, "%s", exe);
    char *argv[] = {self, name, flag, number, NULL};
    int e = posix_spawn_file_actions_init(&fa);
    if (e != 0)
        return e;
    e = posix_spawnattr_init(&attr);
    if (e != 0) {
        (void)posix_spawn_file_actions_destroy(&fa);
        return e;
    }
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &all);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    env_fill(env);
    e = actions_fill(&fa, fd);
    if (e == 0)
        e = posix_spawn(ret, exe, &fa, &attr, argv, env);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&fa);
    return e;
}

enum err_code child_spawn(const char *exe, int64_t memory_bytes, struct child *ret, struct err *err)
{
    int fds[2];
    pid_t pid = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return err_errno(err, errno, "socketpair");
    int e = spawn(exe ? exe : "/proc/self/exe", fds[1], &pid);
    fd_close(&fds[1]);
    if (e != 0) {
        fd_close(&fds[0]);
        return err_set(err, ERR_CHILD, "cannot start a worker (%s): %s",
                       exe ? exe : "/proc/self/exe", strerror(e));
    }
    if (memory_bytes > 0) {
        struct rlimit lim = {(rlim_t)memory_bytes, (rlim_t)memory_bytes};
        (void)prlimit(pid, RLIMIT_AS, &lim,
                      NULL); /* a child that has ended already has no limit to set */
    }
    *ret = (struct child){.pid = pid, .fd = fds[0]};
    return ERR_OK;
}

bool child_wait(pid_t pid, int64_t deadline_ns)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool is_ended = false;
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0) {
            is_ended = true;
            break;
        }
        int64_t left_ms = (deadline_ns - mono_ns()) / 1000000;
        if (left_ms <= 0)
            break;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        (void)poll(&p, fd >= 0 ? 1 : 0, fd >= 0 ? (int)left_ms : 2);
    }
    if (fd >= 0)
        (void)close(fd);
    return is_ended;
}

int child_end(struct child *c, int64_t grace_ms)
{
    int status = 0;
    fd_close(&c->fd);
    if (c->pid <= 0)
        return 0;
    (void)child_wait(c->pid, mono_ns() + grace_ms * 1000000);
    (void)kill(-c->pid, SIGKILL); /* what it started itself, too: it leads a session */
    (void)kill(c->pid, SIGKILL);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        ;
    c->pid = 0;
    return status;
}

const char *child_status_text(int status, char *out, size_t n)
{
    if (WIFSIGNALED(status))
        (void)snprintf(out, n, "killed by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(out, n, "exit status %d", WEXITSTATUS(status));
    return out;
}
