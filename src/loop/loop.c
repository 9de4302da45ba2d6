#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "loop/loop_int.h"

#define TICK_MS_DEFAULT 10000
#define PROJECT_MS      200
#define UNSET_SLACK_US  (10 * US_PER_S)

enum err_code loop_open(const struct loop_options *opt, struct loop **ret, struct err *err)
{
    struct loop *l = calloc(1, sizeof(*l));

    if (!l)
        return err_nomem(err);
    l->opt = *opt;
    if (l->opt.tick_ms <= 0)
        l->opt.tick_ms = TICK_MS_DEFAULT;
    mutex_init(&l->mutex, "loop", LOOP_RANK);
    mutex_init(&l->state_mutex, "loop.state", LOOP_STATE_RANK);
    cond_init(&l->wake);
    *ret = l;
    return ERR_OK;
}

void loop_attach(struct loop *l, struct db *db, const struct pipeline_host *pipeline,
                 struct alert_sender *sender)
{
    mutex_lock(&l->mutex);
    l->opt.db = db;
    l->opt.pipeline = pipeline;
    l->opt.sender = sender;
    mutex_unlock(&l->mutex);
}

void loop_wake(struct loop *l)
{
    mutex_lock(&l->state_mutex);
    l->is_woken = true;
    cond_signal(&l->wake);
    mutex_unlock(&l->state_mutex);
}

static struct loop_endpoint *endpoint_get(struct loop *l, const char *name)
{
    struct loop_endpoint *ep = l->endpoints;

    while (ep && strcmp(ep->name, name) != 0)
        ep = ep->next;
    if (ep)
        return ep;
    ep = calloc(1, sizeof(*ep));
    if (!ep)
        return NULL;
    (void)snprintf(ep->name, sizeof(ep->name), "%s", name);
    ep->last_lap_us = ep->schedule_from_us = AT_US_NONE;
    mutex_lock(&l->state_mutex);
    ep->next = l->endpoints;
    l->endpoints = ep;
    mutex_unlock(&l->state_mutex);
    return ep;
}

/* Everything that is due at t->now_us, in the order of the barrier. The caller holds l->mutex. */
static enum err_code turn_run(struct turn *t)
{
    enum err_code (*const STEPS[])(struct turn *) = {
        loop_state_load, loop_project_refresh, loop_data_look, loop_candidate, loop_materialize,
        loop_watch,      loop_rollout,         loop_triggers,  loop_state_save};
    enum err_code code = monitor_drain(t->l->opt.monitor, t->ep->name, t->now_us, t->err);

    for (size_t i = 0; i < ARRAY_LEN(STEPS) && code == ERR_OK; i++)
        code = STEPS[i](t);
    if (code == ERR_OK)
        code = release_sync(t->l->opt.release, t->err);
    if (code == ERR_OK && t->l->opt.db)
        code = release_project(t->l->opt.release, t->err);
    return code;
}

/* Where the clock was put, or AT_US_NONE: a clock that never was follows the system's. */
static int64_t clock_before(struct loop *l, const char *endpoint)
{
    int64_t at = serve_clock(l->opt.serve, endpoint), now = clock_now_us(&CLOCK_SYSTEM);

    return at > now - UNSET_SLACK_US && at < now + UNSET_SLACK_US ? AT_US_NONE : at;
}

enum err_code loop_advance(struct loop *l, const char *endpoint, int64_t to_us, struct arena *a,
                           struct json **ret, struct err *err)
{
    struct turn t = {.l = l, .now_us = to_us, .a = a, .answer = json_obj(a), .err = err};
    struct endpoint_state state;
    int64_t from, started = mono_ns();
    enum err_code code;

    if (!l->opt.is_replay)
        return err_set(err, ERR_REFUSED,
                       "this home follows the system clock; only a home made with `pawl init "
                       "--replay` is advanced");
    if (serve_endpoint(l->opt.serve, endpoint, a, &state, err) != ERR_OK)
        return err->code;
    mutex_lock(&l->mutex);
    from = clock_before(l, endpoint);
    t.ep = endpoint_get(l, endpoint);
    if (!t.ep)
        code = err_nomem(err);
    else if (from != AT_US_NONE && to_us < from)
        code = err_set(err, ERR_REFUSED, "the event clock of %s does not go back", endpoint);
    else {
        release_barrier(l->opt.release, endpoint, to_us);
        code = turn_run(&t);
        if (code == ERR_OK)
            code = serve_clock_set(l->opt.serve, endpoint, to_us, err);
        release_barrier(l->opt.release, endpoint, AT_US_NONE);
    }
    mutex_unlock(&l->mutex);
    if (code != ERR_OK)
        return err_wrap(err, "advance the clock of %s", endpoint);
    json_set(a, t.answer, "endpoint", json_cstr(a, endpoint));
    json_set(a, t.answer, "from", json_time(a, from));
    json_set(a, t.answer, "to", json_time(a, to_us));
    *ret = json_set(a, t.answer, "ms", json_num(a, (double)(mono_ns() - started) / 1e6));
    return ERR_OK;
}

static enum err_code poll_one(struct loop *l, const char *name, struct err *err)
{
    struct arena a;
    struct turn t = {.l = l, .now_us = clock_now_us(&l->opt.clock), .a = &a, .err = err};
    enum err_code code;

    arena_init(&a, LOOP_SCRATCH_BYTES);
    t.answer = json_obj(&a);
    mutex_lock(&l->mutex);
    t.ep = endpoint_get(l, name);
    code = t.ep ? turn_run(&t) : err_nomem(err);
    mutex_unlock(&l->mutex);
    arena_fini(&a);
    return code;
}

enum err_code loop_poll(struct loop *l, struct err *err)
{
    struct arena a;
    const char **names;
    size_t n = 0;
    enum err_code code;

    arena_init(&a, LOOP_SCRATCH_BYTES);
    code = serve_endpoints(l->opt.serve, &a, &names, &n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        code = poll_one(l, names[i], err);
    arena_fini(&a);
    return code;
}

static void loop_problem(struct loop *l, const struct err *err)
{
    mutex_lock(&l->state_mutex);
    (void)snprintf(l->problem, sizeof(l->problem), "%.*s", (int)sizeof(l->problem) - 1, err->msg);
    mutex_unlock(&l->state_mutex);
}

char *loop_trouble(struct loop *l, struct arena *a)
{
    char *text;

    mutex_lock(&l->state_mutex);
    text = l->problem[0] ? str_dup(a, str_c(l->problem)) : NULL;
    mutex_unlock(&l->state_mutex);
    return text;
}

static bool loop_wait(struct loop *l)
{
    bool goes_on;

    mutex_lock(&l->state_mutex);
    if (!l->is_woken && !l->is_stopping)
        (void)cond_wait(&l->wake, &l->state_mutex, PROJECT_MS);
    l->is_woken = false;
    goes_on = !l->is_stopping;
    mutex_unlock(&l->state_mutex);
    return goes_on;
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;
    int64_t last = 0;

    while (loop_wait(l)) {
        struct err err = ERR_INIT;
        /* Decisions first: the book, the watch, the tables. Failures are tried again at the next round. */
        enum err_code code = release_sync(l->opt.release, &err);
        if (code == ERR_OK && l->opt.db)
            code = release_project(l->opt.release, &err);
        if (l->opt.is_replay || mono_ns() - last < l->opt.tick_ms * 1000000)
            continue;
        last = mono_ns();
        err_reset(&err);
        code = loop_poll(l, &err);
        loop_problem(l, code == ERR_OK ? &(struct err)ERR_INIT : &err);
    }
    return NULL;
}

enum err_code loop_start(struct loop *l, struct err *err)
{
    CHECK(!l->is_started);
    if (thread_start(&l->thread, "loop", loop_main, l, err) != ERR_OK)
        return err->code;
    l->is_started = true;
    return ERR_OK;
}

void loop_close(struct loop *l)
{
    if (!l)
        return;
    if (l->is_started) {
        mutex_lock(&l->state_mutex);
        l->is_stopping = true;
        cond_signal(&l->wake);
        mutex_unlock(&l->state_mutex);
        (void)pthread_join(l->thread, NULL);
    }
    while (l->endpoints) {
        struct loop_endpoint *next = l->endpoints->next;
        loop_job_join(l->endpoints);
        loop_project_free(l->endpoints->project);
        loop_project_free(l->endpoints->candidate);
        free(l->endpoints);
        l->endpoints = next;
    }
    cond_fini(&l->wake);
    mutex_fini(&l->mutex);
    mutex_fini(&l->state_mutex);
    free(l);
}

/* What another process stored, for one that has not looked itself. */
static void sources_stored(struct loop *l, const char *endpoint, struct arena *a,
                           struct loop_endpoint *ret)
{
    struct err err = ERR_INIT;
    struct turn t = {.l = l, .ep = ret, .a = a, .err = &err};

    (void)snprintf(ret->name, sizeof(ret->name), "%s", endpoint);
    if (loop_state_load(&t) != ERR_OK)
        ret->n_sources = 0;
    memcpy(ret->shown, ret->sources, sizeof(ret->shown));
    ret->n_shown = ret->n_sources;
}

struct json *loop_sources(struct loop *l, const char *endpoint, struct arena *a)
{
    struct json *list = json_arr(a);
    struct loop_endpoint *ep, *stored = ARENA_NEW(a, struct loop_endpoint);
    int64_t now = serve_clock(l->opt.serve, endpoint);

    if (stored)
        sources_stored(l, endpoint, a, stored);
    mutex_lock(&l->state_mutex);
    ep = l->endpoints;
    while (ep && strcmp(ep->name, endpoint) != 0)
        ep = ep->next;
    if (!ep || ep->n_shown == 0)
        ep = stored;
    for (size_t i = 0; ep && i < ep->n_shown; i++) {
        const struct loop_source *s = &ep->shown[i];
        struct source_facts f = {.name = s->name,
                                 .owner = s->owner,
                                 .newest_us = s->newest_us,
                                 .freshness_us = s->freshness_us,
                                 .blocked_us = s->blocked_us,
                                 .blocked_by = s->blocked_by};
        json_add(a, list, source_state_json(&f, now, a));
    }
    mutex_unlock(&l->state_mutex);
    return list;
}
