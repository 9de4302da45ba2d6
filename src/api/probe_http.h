/* Probes and the metrics page: /livez, /readyz, /health, /metrics. */
#ifndef PAWL_API_PROBE_HTTP_H
#define PAWL_API_PROBE_HTTP_H

#include "api/services.h"
#include "http/server.h"

enum err_code probe_http_routes(struct services *sv, struct arena *a, struct http_route **ret,
                                size_t *ret_n, struct err *err) MUST_CHECK;

#endif
