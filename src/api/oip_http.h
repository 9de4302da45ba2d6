/* Open Inference Protocol v2 over REST: health, metadata, infer. A model is an endpoint, a version is a release (r12). */
#ifndef PAWL_API_OIP_HTTP_H
#define PAWL_API_OIP_HTTP_H

#include "api/services.h"
#include "http/server.h"

enum err_code oip_http_routes(struct services *sv, struct arena *a, struct http_route **ret,
                              size_t *ret_n, struct err *err) MUST_CHECK;

#endif
