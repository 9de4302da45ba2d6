/* The child's side: a loop over requests, and a thread that ends the process when the parent is gone, even in the middle of
 * foreign code. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "job/job_frame.h"
#include "job/worker.h"

#define CHILD_ARENA_BYTES ((size_t)16 << 30) /* the address-space limit is the real one */
#define PROGRESS_EVERY_NS (100 * INT64_C(1000000))

struct worker {
    int fd;
    struct arena arena;
    int64_t progress_ns; /* when the last progress was sent */
};

struct arena *worker_arena(struct worker *w)
{
    return &w->arena;
}

void worker_progress(struct worker *w, double done, const char *fmt, ...)
{
    char text[256];
    struct err err = ERR_INIT;
    int64_t now = mono_ns();
    va_list ap;
    if (w->progress_ns && now - w->progress_ns < PROGRESS_EVERY_NS)
        return;
    w->progress_ns = now;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct arena a = {0};
    arena_init(&a, 1 << 16);
    struct json *v = json_obj(&a);
    json_set(&a, v, "done", json_num(&a, done));
    json_set(&a, v, "text", json_cstr(&a, text));
    /* When the parent is gone the watcher ends this process. */
    (void)!frame_write(w->fd, FRAME_PROGRESS, v, &err);
    arena_fini(&a);
}

enum err_code worker_record(struct worker *w, const char *kind, const struct json *v,
                            struct err *err)
{
    struct json *r = json_obj(&w->arena);
    json_set(&w->arena, r, "kind", json_cstr(&w->arena, kind));
    json_set(&w->arena, r, "value", json_copy(&w->arena, v));
    return frame_write(w->fd, FRAME_RECORD, r, err);
}

static void *parent_watch(void *arg)
{
    int fd = *(int *)arg;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLRDHUP};
        if (poll(&p, 1, -1) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
            _exit(1);
    }
    return NULL;
}

/* Nothing of the parent but the socket and the standard streams. */
static void leave_parent(int fd)
{
    (void)signal(SIGINT, SIG_IGN); /* a terminal's Ctrl-C goes to the parent, which cancels */
    (void)signal(SIGPIPE, SIG_IGN);
    if (fd > 3)
        (void)close_range(3, (unsigned)fd - 1, 0);
    (void)close_range((unsigned)fd + 1, ~0u, 0);
}

static const struct worker_op *op_named(const struct worker_op *ops, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (name && strcmp(ops[i].name, name) == 0)
            return &ops[i];
    return NULL;
}

static enum err_code serve_one(struct worker *w, const struct worker_op *ops, size_t n_ops,
                               const struct json *request, struct err *err)
{
    struct err op_err = ERR_INIT;
    struct json *result = NULL;
    const char *name = json_get_c(request, "op");
    const struct worker_op *op = op_named(ops, n_ops, name);
    enum err_code code;
    w->progress_ns = 0;
    if (op)
        code = op->run(w, json_get(request, "args"), &result, &op_err);
    else
        code =
            err_set(&op_err, ERR_UNSUPPORTED, "the worker has no operation '%s'", name ? name : "");
    if (code == ERR_OK) {
        code = frame_write(w->fd, FRAME_RESULT, result ? result : json_null(&w->arena), &op_err);
        if (code == ERR_OK || code == ERR_CHILD)
            return code;
    }
    arena_reset(&w->arena);
    struct json *v = json_obj(&w->arena);
    json_set(&w->arena, v, "code", json_cstr(&w->arena, err_name(code)));
    json_set(&w->arena, v, "message", json_cstr(&w->arena, op_err.msg));
    return frame_write(w->fd, FRAME_ERROR, v, err);
}

int worker_main(int fd, const struct worker_op *ops, size_t n_ops)
{
    struct worker w = {.fd = fd};
    struct err err = ERR_INIT;
    struct frame_wait forever = {0};
    pthread_t watcher;
    enum err_code code;
    leave_parent(fd);
    if (thread_start(&watcher, "parent-watch", parent_watch, &w.fd, &err) != ERR_OK)
        return err_exit_status(err.code);
    (void)pthread_detach(watcher);
    arena_init(&w.arena, CHILD_ARENA_BYTES);
    for (;;) {
        struct json *request = NULL;
        enum frame_kind kind;
        code = frame_read(fd, &forever, &w.arena, &kind, &request, &err);
        if (code != ERR_OK)
            break;
        if (kind != FRAME_REQUEST) {
            code = err_set(&err, ERR_CORRUPT, "expected a request");
            break;
        }
        code = serve_one(&w, ops, n_ops, request, &err);
        if (code != ERR_OK)
            break;
        arena_reset(&w.arena);
    }
    arena_fini(&w.arena);
    return code == ERR_EMPTY ? 0 : err_exit_status(code);
}
