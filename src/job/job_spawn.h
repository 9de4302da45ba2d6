/* Private to job/: starting and ending children. */
#ifndef PAWL_JOB_JOB_SPAWN_H
#define PAWL_JOB_JOB_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct child {
    pid_t pid; /* 0: none */
    int fd;    /* our end; -1: none */
};

/* `exe worker --fd 3` in a session of its own, with no descriptor but the socket, an allow-list of variables, and
 * `memory_bytes` of address space (0: no limit). */
enum err_code child_spawn(const char *exe, int64_t memory_bytes, struct child *ret,
                          struct err *err) MUST_CHECK;
/* Closes our end; waits `grace_ms` for it to end by itself, then kills its whole session. Returns the wait status. */
int child_end(struct child *c, int64_t grace_ms);
/* "exit status 3", "killed by signal 9" */
const char *child_status_text(int status, char *out, size_t n);
/* Waits until pid ends or the deadline (monotonic ns) passes; false at the deadline. */
bool child_wait(pid_t pid, int64_t deadline_ns);

#endif
