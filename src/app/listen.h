/* The program's HTTP surface: every family of routes on one port. */
#ifndef PAWL_APP_LISTEN_H
#define PAWL_APP_LISTEN_H

#include "api/services.h"
#include "app/settings.h"

struct listener;

/* host, port: NULL and -1 take the settings'. The services' `server` and `url` are the caller's to set. */
enum err_code listener_open(struct services *sv, const struct settings *settings, const char *host,
                            int port, struct listener **ret, struct err *err) MUST_CHECK;
struct http_server *listener_server(struct listener *l);
const char *listener_url(const struct listener *l);
/* Goes red, drains, stops; NULL is fine. */
void listener_close(struct listener *l, int64_t drain_ms);

#endif
