/* Queued requests: suspended connection, bounded queue, workers, deadlines.
 *
 *     NONE --dispatch--> PENDING --worker done--> DONE      the one who moves it resumes the connection, once
 *                           \-----deadline, stop-> EXPIRED
 */
#include "base/check.h"
#include "base/clock.h"
#include "http/server_int.h"

#define TIMER_MS      50
#define WORKER_POP_MS 1000

bool pending_claim(struct exchange *x, enum claim to, int expire_status)
{
    struct http_server *s = x->server;
    int from = CLAIM_PENDING;
    mutex_lock(&s->pending_mutex);
    if (to == CLAIM_EXPIRED && atomic_load(&x->claim) == CLAIM_PENDING)
        x->expire_status = expire_status;
    bool is_won = atomic_compare_exchange_strong(&x->claim, &from, (int)to);
    if (is_won) {
        if (x->prev)
            x->prev->next = x->next;
        else
            s->pending = x->next;
        if (x->next)
            x->next->prev = x->prev;
        x->prev = x->next = NULL;
        s->n_pending--;
    }
    mutex_unlock(&s->pending_mutex);
    if (is_won) {
        if (to == CLAIM_EXPIRED) {
            atomic_store(&x->pub.is_cancelled, true);
            atomic_fetch_add(&s->n_expired, 1);
        }
        MHD_resume_connection(x->conn);
    }
    return is_won;
}

/* Suspends and lists it; false when the server stops. */
static bool pending_add(struct exchange *x)
{
    struct http_server *s = x->server;
    int64_t ms = x->pub.route->deadline_ms ? x->pub.route->deadline_ms : s->opt.deadline_ms;
    x->deadline_ns = ms < 0 ? INT64_MAX : mono_ns() + ms * 1000000;
    mutex_lock(&s->pending_mutex);
    bool is_added = !atomic_load(&s->is_stopping);
    if (is_added) {
        atomic_store(&x->claim, CLAIM_PENDING);
        x->prev = NULL;
        x->next = s->pending;
        if (s->pending)
            s->pending->prev = x;
        s->pending = x;
        s->n_pending++;
        MHD_suspend_connection(x->conn);
    }
    mutex_unlock(&s->pending_mutex);
    return is_added;
}

static void refuse_full(struct exchange *x)
{
    atomic_fetch_add(&x->server->n_queue_full, 1);
    err_set(&x->refusal, ERR_BUSY, "%zu requests are waiting already: try again in a moment",
            x->server->opt.queue_max);
    answer_refusal(x);
    pending_claim(x, CLAIM_DONE, 0);
}

void pending_enqueue(struct exchange *x)
{
    atomic_fetch_add(&x->n_refs, 1); /* the worker's */
    if (queue_push(x->server->queue, x))
        return;
    refuse_full(x);
    exchange_unref(x);
}

enum MHD_Result pending_dispatch(struct exchange *x)
{
    struct err *err = &x->refusal;
    if (exchange_detach(x, err) != ERR_OK) {
        answer_refusal(x);
        return answer_send(x);
    }
    if (!pending_add(x)) {
        err_set(err, ERR_UNAVAILABLE, "the server stops");
        answer_refusal(x);
        return answer_send(x);
    }
    if (x->spool)
        spool_finish(x); /* enqueues it when the body is on disk */
    else
        pending_enqueue(x);
    return MHD_YES;
}

static void *worker_main(void *arg)
{
    struct http_server *s = arg;
    for (;;) {
        struct exchange *x = queue_pop(s->queue, WORKER_POP_MS);
        if (!x) {
            if (queue_is_closed(s->queue))
                return NULL;
            continue;
        }
        if (atomic_load(&x->claim) == CLAIM_PENDING) {
            atomic_fetch_add(&s->n_busy, 1);
            x->pub.route->fn(&x->pub, x->pub.route->arg);
            atomic_fetch_sub(&s->n_busy, 1);
            pending_claim(x, CLAIM_DONE, 0);
        }
        exchange_unref(x);
    }
}

/* One exchange past its deadline (all: any), with a reference; NULL when there is none. */
static struct exchange *expired_take(struct http_server *s, int64_t now_ns, bool all)
{
    mutex_lock(&s->pending_mutex);
    struct exchange *x = s->pending;
    while (x && !all && x->deadline_ns > now_ns)
        x = x->next;
    if (x)
        atomic_fetch_add(&x->n_refs, 1);
    mutex_unlock(&s->pending_mutex);
    return x;
}

static void expire(struct http_server *s, bool all, int status)
{
    struct exchange *x;
    while ((x = expired_take(s, mono_ns(), all)) != NULL) {
        pending_claim(x, CLAIM_EXPIRED, status);
        exchange_unref(x);
    }
}

void pending_expire_all(struct http_server *s)
{
    mutex_lock(&s->pending_mutex);
    atomic_store(&s->is_stopping, true);
    mutex_unlock(&s->pending_mutex);
    expire(s, true, 503);
}

static void *timer_main(void *arg)
{
    struct http_server *s = arg;
    while (!atomic_load(&s->is_ended)) {
        struct timespec ts = {.tv_nsec = TIMER_MS * 1000000L};
        nanosleep(&ts, NULL);
        expire(s, false, 504);
    }
    return NULL;
}

enum err_code pending_start(struct http_server *s, struct err *err)
{
    s->queue = queue_new("http.queue", s->opt.queue_max);
    if (!s->queue)
        return err_nomem(err);
    for (int i = 0; i < s->opt.n_workers; i++) {
        if (thread_start(&s->workers[i], "http-worker", worker_main, s, err) != ERR_OK)
            return err->code;
        s->n_workers_started++;
    }
    if (thread_start(&s->timer, "http-timer", timer_main, s, err) != ERR_OK)
        return err->code;
    s->has_timer = true;
    return ERR_OK;
}

void pending_stop(struct http_server *s)
{
    atomic_store(&s->is_ended, true);
    if (s->queue)
        queue_close(s->queue);
    for (int i = 0; i < s->n_workers_started; i++)
        pthread_join(s->workers[i], NULL);
    if (s->has_timer)
        pthread_join(s->timer, NULL);
    queue_free(s->queue);
    s->queue = NULL;
}
