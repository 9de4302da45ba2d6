/* A user's command: its own session, its output in a log file, killed as a whole at its deadline.
 *
 * fork and exec, not posix_spawn: the child asks the kernel to die with the thread that waits for it, which only code of
 * ours between the two can do. That code calls nothing but system calls. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "job/job_frame.h"
#include "job/job_spawn.h"
#include "job/worker.h"

#define COMMAND_NOT_STARTED 127

static _Noreturn void child_exec(const struct command *c, int log_fd, pid_t parent)
{
    static const char WHY[] = "pawl: cannot change to the folder or start the command\n";
    char shell[] = "/bin/sh", flag[] = "-c";
    char *const sh_argv[] = {shell, flag, (char *)(uintptr_t)c->shell, NULL};
    sigset_t none;
    int null_fd = open("/dev/null", O_RDONLY);
    (void)setsid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(COMMAND_NOT_STARTED);
    (void)dup2(null_fd, STDIN_FILENO);
    (void)dup2(log_fd, STDOUT_FILENO);
    (void)dup2(log_fd, STDERR_FILENO);
    (void)close_range(3, ~0u, 0);
    for (int s = 1; s < NSIG; s++)
        (void)signal(s, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (!c->cwd || chdir(c->cwd) == 0) {
        char *const *env = (char *const *)(uintptr_t)c->env;
        if (c->shell)
            (void)execve(shell, sh_argv, env);
        else
            (void)execvpe(c->argv[0], (char *const *)(uintptr_t)c->argv, env);
    }
    (void)!write(STDERR_FILENO, WHY, sizeof WHY - 1);
    _exit(COMMAND_NOT_STARTED);
}

/* ERR_OK when it ended by itself. */
static enum err_code command_wait(const struct command *c, pid_t pid, struct err *err)
{
    int64_t deadline = mono_ns() + c->timeout_ms * 1000000;
    for (;;) {
        int64_t now = mono_ns(), slice = now + FRAME_POLL_MS * 1000000;
        if (c->is_cancelled && atomic_load(c->is_cancelled))
            return err_set(err, ERR_CANCELLED, "cancelled; the command was ended");
        if (c->timeout_ms > 0 && now >= deadline)
            return err_set(err, ERR_TIMEOUT, "the command ran longer than %lld ms and was ended",
                           (long long)c->timeout_ms);
        if (c->timeout_ms > 0 && deadline < slice)
            slice = deadline;
        if (child_wait(pid, slice))
            return ERR_OK;
    }
}

enum err_code command_run(const struct command *c, struct command_result *ret, struct err *err)
{
    CHECK((c->shell != NULL) != (c->argv != NULL) && c->env);
    struct rusage usage = {0};
    int status = 0;
    int64_t start = mono_ns();
    const char *path = c->log_path ? c->log_path : "/dev/null";
    int log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log_fd < 0)
        return err_errno(err, errno, "open the log %s", path);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        child_exec(c, log_fd, parent);
    int fork_errno = errno;
    fd_close(&log_fd);
    if (pid < 0)
        return err_errno(err, fork_errno, "fork");
    enum err_code code = command_wait(c, pid, err);
    (void)kill(-pid, SIGKILL); /* what it left running */
    (void)kill(pid, SIGKILL);
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    if (code != ERR_OK)
        return code;
    ret->exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    ret->duration_ms = (mono_ns() - start) / 1000000;
    ret->max_rss_bytes = (int64_t)usage.ru_maxrss * 1024;
    ret->cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_S +
                  usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return ERR_OK;
}
