/* Start: lock and local parts (predictions work), listen, then the database (again and again until it is there), then what
 * a dead process left, the scheduler last. Stop: in reverse; nothing is acknowledged and then lost. */
#include "app/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "access/access.h"
#include "api/op.h"
#include "base/check.h"
#include "base/log.h"
#include "loop/loop.h"
#include "pipeline/run.h"

#define ATTACH_EVERY_S   2
#define ATTACH_LOG_EVERY 30 /* tries between two lines about the same trouble */
#define LOCK_WAIT_MS     15000
#define PUSH_ARENA       ((size_t)64 << 20)

struct server {
    struct wiring *wiring;
    struct services *sv;
    bool is_attached, is_scheduling;
    int64_t n_tries; /* to reach the database */
    bool must_push;  /* the folder's project is still to be pushed */
};

/* With the database: what a dead process left is cleared up, then the scheduler starts. */
static enum err_code attach(struct server *s, struct err *err)
{
    int64_t n_left = 0;
    enum err_code code = wire_attach(s->wiring, err);
    if (code != ERR_OK)
        return code;
    code = pipeline_recover(s->sv->pipeline, &n_left, err);
    if (code != ERR_OK)
        return code;
    if (n_left > 0)
        log_write(LOG_WARN, "runs.interrupted",
                  "%lld runs of a process that ended were marked interrupted", (long long)n_left);
    if (s->is_scheduling)
        code = loop_start(s->sv->loop, err);
    s->is_attached = code == ERR_OK;
    return code;
}

static void try_attach(struct server *s)
{
    struct err err = ERR_INIT;
    if (s->is_attached)
        return;
    if (attach(s, &err) == ERR_OK) {
        if (s->n_tries > 0)
            log_write(LOG_INFO, "database.back", "the database is there");
        return;
    }
    if (s->n_tries++ % ATTACH_LOG_EVERY == 0)
        log_write(LOG_ERROR, "database.away", "predictions go on; tried again soon: %s", err.msg);
}

/* `pawl up`: what this folder declares is what is scheduled. A project that does not hold keeps what was pushed before. */
static void push_project(struct server *s)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct json *doc = NULL;
    char actor[ACCESS_ACTOR_BYTES];
    arena_init(&a, PUSH_ARENA);
    access_local_actor(actor);
    struct op_call call = {.sv = s->sv, .arena = &a, .actor = actor, .is_trusted = true};
    const struct op_route *push = op_find("project.push");
    s->must_push = false;
    if (op_run(push, &call, json_obj(&a), &doc, &err) == ERR_OK)
        log_write(LOG_INFO, "project.pushed", "%s, revision %s", json_get_c(doc, "project"),
                  json_get_c(doc, "revision"));
    else
        log_write(LOG_ERROR, "project.not_pushed", "%s", err.msg);
    arena_fini(&a);
}

/* Until a signal asks to end; meanwhile the database is tried again while it is away. */
static void wait_for_end(struct server *s, const sigset_t *signals)
{
    for (;;) {
        struct timespec every = {.tv_sec = s->is_attached ? 3600 : ATTACH_EVERY_S};
        int got = sigtimedwait(signals, NULL, &every);
        if (got == SIGTERM || got == SIGINT)
            return;
        if (got < 0 && errno == EAGAIN)
            try_attach(s);
        if (s->is_attached && s->must_push)
            push_project(s);
    }
}

static void stop(struct server *s)
{
    wire_close(s->wiring);
}

static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    CHECK(pthread_sigmask(SIG_BLOCK, signals, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
}

int server_run(const struct server_options *opt)
{
    struct server s = {.is_scheduling = settings_bool(opt->settings, SET_SCHEDULE),
                       .must_push = opt->root != NULL};
    struct wire_options wire = {.role = WIRE_SERVER,
                                .home = opt->home,
                                .root = opt->root,
                                .settings = opt->settings,
                                .lock_wait_ms = LOCK_WAIT_MS};
    struct err err = ERR_INIT;
    sigset_t signals;
    block_signals(&signals); /* before the first thread, so that all inherit it */
    enum err_code code = wire_open(&wire, &s.wiring, &err);
    if (code == ERR_OK) {
        s.sv = wire_services(s.wiring);
        code = wire_listen(s.wiring, &err);
        if (code == ERR_OK)
            code = home_publish(wire_home(s.wiring), s.sv->url, &err);
    }
    if (code == ERR_OK) {
        try_attach(&s);
        if (s.is_attached && s.must_push)
            push_project(&s);
        printf("ready %s\n", s.sv->url);
        fflush(stdout);
        log_write(LOG_INFO, "server.ready", "%s serves %s", s.sv->url, opt->home);
        wait_for_end(&s, &signals);
        log_write(LOG_INFO, "server.stopping", "a signal asked to end");
    } else {
        fprintf(stderr, "pawl: %s\n", err.msg);
    }
    stop(&s);
    return err_exit_status(code);
}
