/* The parent's side: a bounded set of warm children.
 *
 * A slot is EMPTY (no child) -> BUSY (a call owns it) -> IDLE (a warm child waits) -> BUSY ...; a call that fails in any way but
 * by the child's own ERROR ends its child, and the slot is EMPTY again. A keeper thread ends children that have been idle too long. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"
#include "job/job_frame.h"
#include "job/job_spawn.h"
#include "job/worker.h"

#define POOL_RANK         40
#define POOL_CHILDREN_MAX 16
#define POOL_KEEPER_MS    500
#define POOL_END_MS       2000 /* an idle child that was told to end */

enum slot_state { SLOT_EMPTY, SLOT_IDLE, SLOT_BUSY, SLOT_STATE_N };

struct slot {
    enum slot_state state;
    struct child child;
    int64_t idle_since_ns;
};

struct worker_pool {
    char *exe;
    int64_t idle_ms, memory_bytes;
    struct mutex mutex;
    struct cond changed;
    size_t n_slots;
    struct slot slots[POOL_CHILDREN_MAX];
    size_t n_calls; /* running or waiting */
    bool is_closing;
    pthread_t keeper;
};

/* Takes an idle child that is over its time; none: pid 0. */
static struct child take_stale(struct worker_pool *p, bool is_any)
{
    int64_t now = mono_ns();
    for (size_t i = 0; i < p->n_slots; i++) {
        struct slot *s = &p->slots[i];
        if (s->state == SLOT_IDLE && (is_any || now - s->idle_since_ns > p->idle_ms * 1000000)) {
            struct child c = s->child;
            *s = (struct slot){.child.fd = -1};
            return c;
        }
    }
    return (struct child){.fd = -1};
}

static void *keeper_main(void *arg)
{
    struct worker_pool *p = arg;
    mutex_lock(&p->mutex);
    while (!p->is_closing) {
        struct child c = take_stale(p, false);
        if (c.pid == 0) {
            (void)cond_wait(&p->changed, &p->mutex, POOL_KEEPER_MS);
            continue;
        }
        mutex_unlock(&p->mutex);
        (void)child_end(&c, POOL_END_MS);
        mutex_lock(&p->mutex);
    }
    mutex_unlock(&p->mutex);
    return NULL;
}

enum err_code worker_pool_open(const struct worker_pool_options *opt, struct worker_pool **ret,
                               struct err *err)
{
    CHECK(opt->n_max >= 1 && opt->n_max <= POOL_CHILDREN_MAX);
    struct worker_pool *p = calloc(1, sizeof *p);
    if (!p)
        return err_nomem(err);
    p->n_slots = (size_t)opt->n_max;
    p->idle_ms = opt->idle_ms;
    p->memory_bytes = opt->memory_bytes;
    for (size_t i = 0; i < POOL_CHILDREN_MAX; i++)
        p->slots[i].child.fd = -1;
    if (opt->exe && !(p->exe = strdup(opt->exe))) {
        free(p);
        return err_nomem(err);
    }
    mutex_init(&p->mutex, "worker-pool", POOL_RANK);
    cond_init(&p->changed);
    enum err_code code = thread_start(&p->keeper, "worker-keeper", keeper_main, p, err);
    if (code != ERR_OK) {
        cond_fini(&p->changed);
        mutex_fini(&p->mutex);
        free(p->exe);
        free(p);
        return code;
    }
    *ret = p;
    return ERR_OK;
}

void worker_pool_close(struct worker_pool *p)
{
    if (!p)
        return;
    mutex_lock(&p->mutex);
    p->is_closing = true;
    cond_broadcast(&p->changed);
    while (p->n_calls > 0)
        (void)cond_wait(&p->changed, &p->mutex, 1000);
    mutex_unlock(&p->mutex);
    (void)pthread_join(p->keeper, NULL);
    for (struct child c = take_stale(p, true); c.pid != 0; c = take_stale(p, true))
        (void)child_end(&c, POOL_END_MS);
    cond_fini(&p->changed);
    mutex_fini(&p->mutex);
    free(p->exe);
    free(p);
}

static struct slot *slot_free(struct worker_pool *p)
{
    struct slot *empty = NULL;
    for (size_t i = 0; i < p->n_slots; i++) {
        if (p->slots[i].state == SLOT_IDLE)
            return &p->slots[i];
        if (p->slots[i].state == SLOT_EMPTY && !empty)
            empty = &p->slots[i];
    }
    return empty;
}

/* A slot of one's own, waited for within the call's time. */
static enum err_code slot_take(struct worker_pool *p, const struct frame_wait *w, struct slot **ret,
                               struct err *err)
{
    enum err_code code = ERR_OK;
    struct slot *s = NULL;
    mutex_lock(&p->mutex);
    while (code == ERR_OK && !(s = slot_free(p))) {
        int64_t left_ms = (w->deadline_ns - mono_ns()) / 1000000;
        if (p->is_closing)
            code = err_set(err, ERR_UNAVAILABLE, "shutting down");
        else if (w->is_cancelled && atomic_load(w->is_cancelled))
            code = err_set(err, ERR_CANCELLED, "cancelled");
        else if (left_ms <= 0)
            code = err_set(err, ERR_BUSY, "all %zu workers were busy", p->n_slots);
        else
            (void)cond_wait(&p->changed, &p->mutex,
                            left_ms < FRAME_POLL_MS ? left_ms : FRAME_POLL_MS);
    }
    if (code == ERR_OK) {
        s->state = SLOT_BUSY;
        p->n_calls++;
        *ret = s;
    }
    mutex_unlock(&p->mutex);
    return code;
}

static void slot_give(struct worker_pool *p, struct slot *s)
{
    mutex_lock(&p->mutex);
    s->state = s->child.pid > 0 ? SLOT_IDLE : SLOT_EMPTY;
    s->idle_since_ns = mono_ns();
    p->n_calls--;
    cond_broadcast(&p->changed);
    mutex_unlock(&p->mutex);
}

/* A warm child that died while idle shows as a closed socket. */
static bool is_alive(const struct child *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN | POLLRDHUP};
    return c->pid > 0 && poll(&p, 1, 0) == 0;
}

static enum err_code request_send(struct worker_pool *p, struct child *c,
                                  const struct worker_call *call, struct arena *a, struct err *err)
{
    struct json *request = json_obj(a);
    json_set(a, request, "op", json_cstr(a, call->op));
    json_set(a, request, "args", call->args ? json_copy(a, call->args) : json_obj(a));
    if (c->pid > 0 && !is_alive(c))
        (void)child_end(c, 0);
    if (c->pid == 0) {
        enum err_code code = child_spawn(p->exe, p->memory_bytes, c, err);
        if (code != ERR_OK)
            return code;
    }
    return frame_write(c->fd, FRAME_REQUEST, request, err);
}

static enum err_code child_error(const struct json *v, struct err *err)
{
    const char *name = json_get_c(v, "code"), *text = json_get_c(v, "message");
    enum err_code code = err_from_name(name ? name : "");
    return err_set(err, code == ERR_OK ? ERR_INTERNAL : code, "%s", text ? text : "no message");
}

/* Reads frames until RESULT or ERROR; *ret_is_done tells that the child ended the call in order and stays usable. */
static enum err_code answer_read(const struct child *c, const struct worker_call *call,
                                 const struct frame_wait *w, struct arena *a, struct json **ret,
                                 bool *ret_is_done, struct err *err)
{
    for (;;) {
        struct arena_mark m = arena_mark(a);
        enum frame_kind kind;
        struct json *v = NULL;
        enum err_code code = frame_read(c->fd, w, a, &kind, &v, err);
        if (code != ERR_OK)
            return code;
        switch (kind) {
        case FRAME_PROGRESS:
            if (call->on_progress)
                call->on_progress(call->arg, json_get_f64(v, "done", 0), json_get_c(v, "text"));
            arena_release(a, m);
            break;
        case FRAME_RECORD:
            if (call->on_record)
                code = call->on_record(call->arg, json_get_c(v, "kind"), json_get(v, "value"), err);
            if (code != ERR_OK)
                return code;
            arena_release(a, m);
            break;
        case FRAME_RESULT:
            *ret_is_done = true;
            *ret = v;
            return ERR_OK;
        case FRAME_ERROR:
            *ret_is_done = true;
            return child_error(v, err);
        case FRAME_REQUEST:
        case FRAME_KIND_N:
        default:
            return err_set(err, ERR_CORRUPT, "the worker sent a request");
        }
    }
}

static enum err_code failure_text(struct worker_pool *p, struct slot *s, enum err_code code,
                                  const struct worker_call *call, struct err *err)
{
    char how[96];
    bool is_gone = code == ERR_EMPTY || code == ERR_CHILD;
    int status = child_end(&s->child, is_gone ? POOL_END_MS : 0);
    if (is_gone)
        return err_set(err, ERR_CHILD, "the worker died during %s: %s", call->op,
                       child_status_text(status, how, sizeof how));
    if (code == ERR_CORRUPT)
        return err_set(err, ERR_CHILD, "the worker answered %s with damaged data and was ended",
                       call->op);
    if (code == ERR_TIMEOUT)
        return err_set(err, ERR_TIMEOUT, "%s took longer than %lld ms", call->op,
                       (long long)call->timeout_ms);
    return code;
}

enum err_code worker_pool_call(struct worker_pool *p, const struct worker_call *call,
                               struct arena *a, struct json **ret, struct err *err)
{
    CHECK(call->timeout_ms > 0);
    struct frame_wait w = {mono_ns() + call->timeout_ms * 1000000, call->is_cancelled};
    struct slot *s = NULL;
    struct json *answer = NULL;
    bool is_done = false;
    enum err_code code = slot_take(p, &w, &s, err);
    if (code != ERR_OK)
        return code;
    code = request_send(p, &s->child, call, a, err);
    if (code == ERR_OK)
        code = answer_read(&s->child, call, &w, a, &answer, &is_done, err);
    if (!is_done && s->child.pid > 0)
        code = failure_text(p, s, code, call, err);
    slot_give(p, s);
    if (code == ERR_OK)
        *ret = answer;
    return code;
}
