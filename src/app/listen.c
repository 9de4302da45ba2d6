#include "app/listen.h"

#include <stdlib.h>

#include "access/access.h"
#include "api/mlflow_http.h"
#include "api/oip_http.h"
#include "api/op_http.h"
#include "api/probe_http.h"
#include "base/check.h"
#include "base/file.h"
#include "http/server.h"

#define ROUTES_ARENA (16U << 20)

struct listener {
    struct services *sv;
    struct http_server *http;
    const char *url;
    struct arena arena; /* routes and texts; outlives the server */
};

typedef enum err_code (*routes_fn)(struct services *sv, struct arena *a, struct http_route **ret,
                                   size_t *ret_n, struct err *err);

/* Every family of routes of the program, and the planes it is on. */
static const struct {
    routes_fn routes;
    bool is_serving;
} FAMILIES[] = {{op_http_routes, false},
                {mlflow_http_routes, false},
                {oip_http_routes, true},
                {probe_http_routes, true}};

/* A route of a listener that anybody can reach, and what stands behind it. */
struct guarded {
    struct listener *listener;
    http_fn fn;
    void *arg;
};

static void ask_for_token(struct http_request *r, void *arg)
{
    const struct guarded *g = arg;
    struct access_identity who = {0};
    struct err err = ERR_INIT;
    struct str authorization = http_header(r, "Authorization");
    enum err_code code = access_check(g->listener->sv->access,
                                      authorization.p ? authorization : STR(""), &who, &err);
    if (code == ERR_OK && !who.may_decide)
        code = err_set(
            &err, ERR_AUTH,
            "this server listens beyond loopback: send the home's token (Authorization: Bearer …)");
    if (code == ERR_OK) {
        g->fn(r, g->arg);
        return;
    }
    http_answer_header(r, "WWW-Authenticate", "Bearer");
    http_answer_err(r, &err);
}

/* Probes stay open: they tell nothing that a load balancer may not know. */
static enum err_code guard_routes(struct listener *l, struct http_route *routes, size_t n,
                                  struct err *err)
{
    struct guarded *guards = ARENA_NEW_N(&l->arena, struct guarded, n);
    if (!guards)
        return arena_err(&l->arena, err);
    for (size_t i = 0; i < n; i++) {
        if (routes[i].flags & HTTP_ANY_HOST)
            continue;
        guards[i] = (struct guarded){l, routes[i].fn, routes[i].arg};
        routes[i].fn = ask_for_token;
        routes[i].arg = &guards[i];
    }
    return ERR_OK;
}

static enum err_code all_routes(struct listener *l, enum listen_plane plane,
                                struct http_route **ret, size_t *ret_n, struct err *err)
{
    struct http_route *families[ARRAY_LEN(FAMILIES)] = {0};
    size_t n[ARRAY_LEN(FAMILIES)] = {0}, total = 0, at = 0;
    for (size_t i = 0; i < ARRAY_LEN(FAMILIES); i++) {
        if (plane == LISTEN_SERVING && !FAMILIES[i].is_serving)
            continue;
        enum err_code code = FAMILIES[i].routes(l->sv, &l->arena, &families[i], &n[i], err);
        if (code != ERR_OK)
            return code;
        total += n[i];
    }
    struct http_route *all = ARENA_NEW_N(&l->arena, struct http_route, total);
    if (!all)
        return arena_err(&l->arena, err);
    for (size_t i = 0; i < ARRAY_LEN(FAMILIES); i++) {
        if (n[i])
            memcpy(all + at, families[i], n[i] * sizeof *all);
        at += n[i];
    }
    *ret = all;
    *ret_n = total;
    return ERR_OK;
}

/* "a,b" as a NULL-terminated list. */
static const char *const *name_list(struct listener *l, const char *text)
{
    const char **list = ARENA_NEW_N(&l->arena, const char *, 65);
    size_t n = 0;
    for (struct str rest = text ? str_c(text) : STR_NONE; list && rest.p && n < 64;) {
        struct str part = str_trim(str_split(&rest, ','));
        if (part.n)
            list[n++] = str_dup(&l->arena, part);
    }
    return list;
}

static enum err_code read_pem(struct listener *l, const struct settings *settings,
                              enum setting which, const char **ret, struct err *err)
{
    struct str text;
    const char *path = settings->value[which];
    if (!path)
        return ERR_OK;
    enum err_code code = file_read(path, 1 << 20, &l->arena, &text, err);
    if (code == ERR_OK)
        *ret = text.p;
    return code;
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static enum err_code http_options_of(struct listener *l, const struct listen_options *lo,
                                     struct http_options *opt, struct err *err)
{
    const struct settings *set = lo->settings;
    *opt = (struct http_options){.host = lo->host ? lo->host : set->value[SET_HOST],
                                 .port = lo->port,
                                 .listen_fd = -1,
                                 .hosts = name_list(l, set->value[SET_HOSTS]),
                                 .is_behind_proxy = settings_bool(set, SET_BEHIND_PROXY),
                                 .n_threads = (int)settings_int(set, SET_HTTP_THREADS, 2),
                                 .n_workers = (int)settings_int(set, SET_WORKERS, 8),
                                 .spool_dir = path_join(&l->arena, l->sv->home, "tmp")};
    enum err_code code = read_pem(l, set, SET_TLS_CERT, &opt->tls_cert_pem, err);
    if (code == ERR_OK)
        code = read_pem(l, set, SET_TLS_KEY, &opt->tls_key_pem, err);
    if (code == ERR_OK && !is_loopback(opt->host) && !opt->tls_cert_pem && !opt->is_behind_proxy)
        code = err_set(
            err, ERR_REFUSED,
            "%s is not a loopback address: give --tls-cert and --tls-key, or say --behind-proxy",
            opt->host);
    return code;
}

static enum err_code make_url(struct listener *l, const struct http_options *opt, struct err *err)
{
    bool is_v6 = strchr(opt->host, ':') != NULL;
    l->url = str_printf(&l->arena, "%s://%s%s%s:%d", opt->tls_cert_pem ? "https" : "http",
                        is_v6 ? "[" : "", opt->host, is_v6 ? "]" : "", http_server_port(l->http));
    return l->url ? ERR_OK : arena_err(&l->arena, err);
}

enum err_code listener_open(struct services *sv, const struct listen_options *opt,
                            struct listener **ret, struct err *err)
{
    struct http_options http;
    struct http_route *routes = NULL;
    size_t n = 0;
    struct listener *l = calloc(1, sizeof *l);
    if (!l)
        return err_nomem(err);
    arena_init(&l->arena, ROUTES_ARENA);
    l->sv = sv;
    enum err_code code = http_options_of(l, opt, &http, err);
    if (code == ERR_OK)
        code = all_routes(l, opt->plane, &routes, &n, err);
    if (code == ERR_OK && (!is_loopback(http.host) || http.is_behind_proxy))
        code = guard_routes(l, routes, n, err);
    if (code == ERR_OK)
        code = http_server_open(&http, routes, n, &l->http, err);
    if (code == ERR_OK)
        code = make_url(l, &http, err);
    if (code != ERR_OK) {
        listener_close(l, 0);
        return err_wrap(err, "listen");
    }
    *ret = l;
    return ERR_OK;
}

struct http_server *listener_server(struct listener *l)
{
    return l->http;
}

const char *listener_url(const struct listener *l)
{
    return l->url;
}

void listener_close(struct listener *l, int64_t drain_ms)
{
    if (!l)
        return;
    if (l->http)
        http_server_drain(l->http);
    http_server_stop(l->http, drain_ms);
    arena_fini(&l->arena);
    free(l);
}
