/* The output of a short command, by argv: no shell, no inherited descriptors, a deadline. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "track/environment_int.h"

extern char **environ;

/* Where the child's output goes: both streams, or stdout alone. */
static int child_spawn(const struct capture *c, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (c->with_stderr)
        posix_spawn_file_actions_adddup2(&actions, out, 2);
    else
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (c->cwd)
        posix_spawn_file_actions_addchdir_np(&actions, c->cwd);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    int rc = posix_spawnp(ret_pid, c->argv[0], &actions, &attr, (char *const *)(uintptr_t)c->argv,
                          environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return rc;
}

/* Reads to the end, the limit or the deadline. False at the deadline. */
static bool output_read(int fd, size_t limit, int64_t until_ns, struct buf *out, bool *ret_is_cut)
{
    char piece[65536];
    for (;;) {
        int64_t left_ms = (until_ns - mono_ns()) / 1000000;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0)
            return false;
        int ready = poll(&p, 1, (int)(left_ms > 1000 ? 1000 : left_ms));
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return true;
        size_t room = limit - out->n;
        *ret_is_cut = *ret_is_cut || (size_t)n > room;
        buf_put(out, piece, (size_t)n < room ? (size_t)n : room);
        if (*ret_is_cut)
            return true;
    }
}

static int child_end(pid_t pid, bool must_kill)
{
    int status = 0;
    if (must_kill)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool capture_run(const struct capture *c, struct arena *a, struct str *ret, bool *ret_is_cut)
{
    int fds[2];
    pid_t pid = -1;
    struct buf out;
    bool is_cut = false;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    int rc = child_spawn(c, fds[1], &pid);
    fd_close(&fds[1]);
    buf_init(&out, c->limit + 1);
    bool is_done = rc == 0 && output_read(fds[0], c->limit, mono_ns() + c->timeout_ms * 1000000,
                                          &out, &is_cut);
    fd_close(&fds[0]);
    int status = rc == 0 ? child_end(pid, !is_done || is_cut) : 127;
    bool is_good = is_done && (status == 0 || is_cut) && buf_ok(&out, NULL) == ERR_OK;
    char *text = is_good ? str_dup(a, buf_view(&out)) : NULL;
    if (text)
        *ret = str_n(text, out.n);
    if (text && ret_is_cut)
        *ret_is_cut = is_cut;
    buf_fini(&out);
    return text != NULL;
}
