/* The scheduler: a pool of threads for one run, one lock over the states. Steps are looked at in graph order, so that with
 * one job the order is the same each time. */
#include "base/check.h"
#include "base/thread.h"
#include "pipeline/graph.h"

#define LOOK_MS  200 /* how often a waiting thread looks whether the run was cancelled */
#define JOBS_MAX 64

struct runner {
    struct graph *g;
    const struct graph_host *host;
    struct mutex lock;
    struct cond changed;
    size_t first; /* every step before it has left WAITING */
    size_t n_running;
    bool is_stopped; /* a failure of the host (not of a step), or cancelled */
    struct err err;  /* that failure */
};

static bool is_past(enum step_state s)
{
    return s != STEP_WAITING && s != STEP_RUNNING && s != STEP_UNASKED;
}

static bool is_good(enum step_state s)
{
    return s == STEP_DONE || s == STEP_CACHED;
}

static bool is_cancelled(const struct runner *r)
{
    return r->host->is_cancelled != NULL && atomic_load(r->host->is_cancelled);
}

/* Next step whose needs are all good; those with a need that went wrong are skipped on the way. Under the lock. */
static struct step *next_ready(struct runner *r, bool *ret_is_over)
{
    bool has_open = false;
    while (r->first < r->g->n && r->g->steps[r->first]->state != STEP_WAITING)
        r->first++;
    for (size_t i = r->first; i < r->g->n; i++) {
        struct step *s = r->g->steps[i];
        size_t good = 0;
        bool is_bad = false;
        if (s->state != STEP_WAITING)
            continue;
        for (size_t k = 0; k < s->n_needs; k++) {
            good += is_good(s->needs[k]->state);
            is_bad = is_bad || (is_past(s->needs[k]->state) && !is_good(s->needs[k]->state));
        }
        if (is_bad)
            s->state = STEP_SKIPPED;
        else if (good == s->n_needs)
            return s;
        else
            has_open = true;
    }
    *ret_is_over = !has_open || r->n_running == 0;
    return NULL;
}

/* Key, cache, and if need be the work. The step is the calling thread's alone. */
static enum err_code work(struct runner *r, struct step *s, struct err *err)
{
    const struct graph_host *h = r->host;
    s->started_us = h->now_us(h->ctx);
    enum err_code code = s->ops->parts(h->ctx, s, &s->parts, &s->err);
    if (code == ERR_OK)
        code = step_key(s->ops->kind, s->parts, s->key, &s->err);
    if (code != ERR_OK) {
        s->state = STEP_FAILED;
        s->ended_us = h->now_us(h->ctx);
        return h->finish(h->ctx, s, err);
    }
    code = h->find(h->ctx, s, err);
    if (code != ERR_OK)
        return code;
    if (s->out != NULL && (s->ops->restore == NULL || s->ops->restore(h->ctx, s, s->out))) {
        s->state = STEP_CACHED;
        s->ended_us = h->now_us(h->ctx);
        return h->finish(h->ctx, s, err);
    }
    s->out = NULL;
    code = h->begin(h->ctx, s, err);
    if (code != ERR_OK)
        return code;
    code = s->ops->run(h->ctx, s, &s->out, &s->err);
    s->ended_us = h->now_us(h->ctx);
    s->state = code == ERR_OK ? STEP_DONE : code == ERR_NO ? STEP_BLOCKED : STEP_FAILED;
    return h->finish(h->ctx, s, err);
}

/* Under the lock; gives it up while the step works. */
static void take(struct runner *r, struct step *s)
{
    struct err err = ERR_INIT;
    s->state = STEP_RUNNING;
    r->n_running++;
    mutex_unlock(&r->lock);
    enum err_code code = work(r, s, &err);
    mutex_lock(&r->lock);
    r->n_running--;
    if (code != ERR_OK) {
        s->state = STEP_FAILED;
        s->err = err;
        if (!r->is_stopped)
            r->err = err;
        r->is_stopped = true;
    }
    cond_broadcast(&r->changed);
}

static void *worker(void *arg)
{
    struct runner *r = arg;
    mutex_lock(&r->lock);
    for (;;) {
        bool is_over = false;
        if (!r->is_stopped && is_cancelled(r)) {
            r->is_stopped = true;
            (void)err_set(&r->err, ERR_CANCELLED, "the run was cancelled");
        }
        if (r->is_stopped)
            break;
        struct step *s = next_ready(r, &is_over);
        if (s != NULL)
            take(r, s);
        else if (is_over)
            break;
        else
            (void)cond_wait(&r->changed, &r->lock, LOOK_MS);
    }
    cond_broadcast(&r->changed);
    mutex_unlock(&r->lock);
    return NULL;
}

/* The run's verdict: a failed step before a blocked one. */
static enum err_code verdict(const struct runner *r, struct err *err)
{
    const struct step *blocked = NULL;
    if (r->is_stopped) {
        if (err != NULL)
            *err = r->err;
        return r->err.code;
    }
    for (size_t i = 0; i < r->g->n; i++) {
        const struct step *s = r->g->steps[i];
        if (s->state == STEP_FAILED) {
            if (err != NULL)
                *err = s->err;
            return err_wrap(err, "step %s", s->name);
        }
        if (s->state == STEP_BLOCKED && blocked == NULL)
            blocked = s;
    }
    if (blocked == NULL)
        return ERR_OK;
    if (err != NULL)
        *err = blocked->err;
    return err_wrap(err, "step %s", blocked->name);
}

enum err_code graph_run(struct graph *g, const struct graph_host *host, int jobs, struct err *err)
{
    struct runner r = {.g = g, .host = host};
    pthread_t threads[JOBS_MAX];
    int n = 0;
    enum err_code code = ERR_OK;
    CHECK(jobs >= 1 && jobs <= JOBS_MAX);
    mutex_init(&r.lock, "pipeline.graph", 10);
    cond_init(&r.changed);
    /* The caller's thread is one of the jobs. */
    for (; code == ERR_OK && n < jobs - 1; n++) {
        code = thread_start(&threads[n], "pawl-step", worker, &r, err);
        if (code != ERR_OK)
            break;
    }
    if (code == ERR_OK || n > 0)
        (void)worker(&r);
    for (int i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
    for (size_t i = 0; i < g->n; i++) {
        if (g->steps[i]->state == STEP_WAITING)
            g->steps[i]->state = STEP_SKIPPED;
    }
    if (code == ERR_OK)
        code = verdict(&r, err);
    cond_fini(&r.changed);
    mutex_fini(&r.lock);
    return code;
}
