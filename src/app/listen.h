/* The program's HTTP surface: every family of routes on one port. */
#ifndef PAWL_APP_LISTEN_H
#define PAWL_APP_LISTEN_H

#include "api/services.h"
#include "app/settings.h"

struct listener;

/* A listener beyond loopback asks every caller but probes for the home's token. The serving plane has the routes of
 * predictions and probes only: its own port, threads and limits. */
enum listen_plane { LISTEN_ALL, LISTEN_SERVING, LISTEN_PLANE_N };

struct listen_options {
    const struct settings *settings;
    enum listen_plane plane;
    const char *host; /* NULL: the settings' */
    int port;         /* 0: any free one */
};

/* The services' `server` and `url` are the caller's to set. */
enum err_code listener_open(struct services *sv, const struct listen_options *opt,
                            struct listener **ret, struct err *err) MUST_CHECK;
struct http_server *listener_server(struct listener *l);
const char *listener_url(const struct listener *l);
/* Goes red, drains, stops; NULL is fine. */
void listener_close(struct listener *l, int64_t drain_ms);

#endif
