/* Start: lock and local parts (predictions work), listen, then the database (again and again until it is there), then what
 * a dead process left, the scheduler last. Stop: in reverse; nothing is acknowledged and then lost. */
#include "app/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "api/op_http.h"
#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "http/server.h"
#include "pipeline/run.h"
#ifdef HAVE_LOOP
#include "loop/loop.h"
#endif

#define DRAIN_MS       10000
#define ATTACH_EVERY_S 2
#define LOCK_WAIT_MS   15000
#define ROUTES_ARENA   (16U << 20)

struct server {
    struct wiring *wiring;
    struct services *sv;
    struct http_server *http;
    const struct settings *settings;
    struct arena arena; /* routes and texts; outlives the listener */
    bool is_attached;
};

typedef enum err_code (*routes_fn)(struct services *sv, struct arena *a, struct http_route **ret,
                                   size_t *ret_n, struct err *err);

/* Every family of routes of the program. */
static const routes_fn ROUTE_FAMILIES[] = {op_http_routes};

static enum err_code all_routes(struct server *s, struct http_route **ret, size_t *ret_n,
                                struct err *err)
{
    struct http_route *families[ARRAY_LEN(ROUTE_FAMILIES)] = {0};
    size_t n[ARRAY_LEN(ROUTE_FAMILIES)] = {0}, total = 0, at = 0;
    for (size_t i = 0; i < ARRAY_LEN(ROUTE_FAMILIES); i++) {
        enum err_code code = ROUTE_FAMILIES[i](s->sv, &s->arena, &families[i], &n[i], err);
        if (code != ERR_OK)
            return code;
        total += n[i];
    }
    struct http_route *all = ARENA_NEW_N(&s->arena, struct http_route, total);
    if (!all)
        return arena_err(&s->arena, err);
    for (size_t i = 0; i < ARRAY_LEN(ROUTE_FAMILIES); i++) {
        if (n[i])
            memcpy(all + at, families[i], n[i] * sizeof *all);
        at += n[i];
    }
    *ret = all;
    *ret_n = total;
    return ERR_OK;
}

/* "a,b" as a NULL-terminated list. */
static const char *const *name_list(struct server *s, const char *text)
{
    const char **list = ARENA_NEW_N(&s->arena, const char *, 65);
    size_t n = 0;
    for (struct str rest = text ? str_c(text) : STR_NONE; list && rest.p && n < 64;) {
        struct str part = str_trim(str_split(&rest, ','));
        if (part.n)
            list[n++] = str_dup(&s->arena, part);
    }
    return list;
}

static enum err_code read_pem(struct server *s, enum setting which, const char **ret,
                              struct err *err)
{
    struct str text;
    const char *path = s->settings->value[which];
    if (!path)
        return ERR_OK;
    enum err_code code = file_read(path, 1 << 20, &s->arena, &text, err);
    if (code == ERR_OK)
        *ret = text.p;
    return code;
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static enum err_code listen_options(struct server *s, struct http_options *opt, struct err *err)
{
    const struct settings *set = s->settings;
    *opt = (struct http_options){.host = set->value[SET_HOST],
                                 .port = (int)settings_int(set, SET_PORT, 5000),
                                 .listen_fd = -1,
                                 .hosts = name_list(s, set->value[SET_HOSTS]),
                                 .is_behind_proxy = settings_bool(set, SET_BEHIND_PROXY),
                                 .n_threads = (int)settings_int(set, SET_HTTP_THREADS, 2),
                                 .n_workers = (int)settings_int(set, SET_WORKERS, 8),
                                 .spool_dir = path_join(&s->arena, s->sv->home, "tmp")};
    enum err_code code = read_pem(s, SET_TLS_CERT, &opt->tls_cert_pem, err);
    if (code == ERR_OK)
        code = read_pem(s, SET_TLS_KEY, &opt->tls_key_pem, err);
    if (code == ERR_OK && !is_loopback(opt->host) && !opt->tls_cert_pem && !opt->is_behind_proxy)
        code = err_set(
            err, ERR_REFUSED,
            "%s is not a loopback address: give --tls-cert and --tls-key, or say --behind-proxy",
            opt->host);
    return code;
}

static enum err_code start_listening(struct server *s, struct err *err)
{
    struct http_options opt;
    struct http_route *routes = NULL;
    size_t n = 0;
    enum err_code code = listen_options(s, &opt, err);
    if (code == ERR_OK)
        code = all_routes(s, &routes, &n, err);
    if (code == ERR_OK)
        code = http_server_open(&opt, routes, n, &s->http, err);
    if (code != ERR_OK)
        return err_wrap(err, "listen");
    bool is_v6 = strchr(opt.host, ':') != NULL;
    char *url = str_printf(&s->arena, "%s://%s%s%s:%d", opt.tls_cert_pem ? "https" : "http",
                           is_v6 ? "[" : "", opt.host, is_v6 ? "]" : "", http_server_port(s->http));
    if (!url)
        return arena_err(&s->arena, err);
    s->sv->server = s->http;
    wire_set_url(s->wiring, url);
    return home_publish(wire_home(s->wiring), url, err);
}

#ifdef HAVE_LOOP
static enum err_code start_loop(struct server *s, struct err *err)
{
    struct loop *loop = NULL;
    struct loop_options opt = {.services = NULL};
    enum err_code code = loop_open(&opt, &loop, err);
    s->sv->loop = loop;
    return code;
}
#endif

/* With the database: what a dead process left is cleared up, then the scheduler starts. */
static enum err_code attach(struct server *s, struct err *err)
{
    int64_t n_left = 0;
    enum err_code code = wire_attach(s->wiring, err);
    if (code != ERR_OK)
        return code;
#ifdef HAVE_PIPELINE
    code = pipeline_recover(s->sv->pipeline, &n_left, err);
    if (code != ERR_OK)
        return code;
#endif
    if (n_left > 0)
        log_write(LOG_WARN, "runs.interrupted",
                  "%lld runs of a process that ended were marked interrupted", (long long)n_left);
    s->is_attached = true;
    return ERR_OK;
}

static void try_attach(struct server *s)
{
    struct err err = ERR_INIT;
    if (!s->is_attached && attach(s, &err) != ERR_OK)
        log_write(LOG_ERROR, "database.away", "predictions go on; tried again soon: %s", err.msg);
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
    }
}

static void stop(struct server *s)
{
    if (s->http)
        http_server_drain(s->http);
    http_server_stop(s->http, DRAIN_MS);
    if (s->sv)
        s->sv->server = NULL;
    wire_close(s->wiring);
    arena_fini(&s->arena);
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
    struct server s = {.settings = opt->settings};
    struct wire_options wire = {.role = WIRE_SERVER,
                                .home = opt->home,
                                .root = opt->root,
                                .settings = opt->settings,
                                .lock_wait_ms = LOCK_WAIT_MS};
    struct err err = ERR_INIT;
    sigset_t signals;
    arena_init(&s.arena, ROUTES_ARENA);
    block_signals(&signals); /* before the first thread, so that all inherit it */
    enum err_code code = wire_open(&wire, &s.wiring, &err);
    if (code == ERR_OK) {
        s.sv = wire_services(s.wiring);
        code = start_listening(&s, &err);
    }
    if (code == ERR_OK) {
        try_attach(&s);
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
