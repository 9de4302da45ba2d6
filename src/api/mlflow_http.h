/* The MLflow REST API: tracking, registry, artifacts, so that an unmodified MLflow client works. */
#ifndef PAWL_API_MLFLOW_HTTP_H
#define PAWL_API_MLFLOW_HTTP_H

#include "api/services.h"
#include "http/server.h"

enum err_code mlflow_http_routes(struct services *sv, struct arena *a, struct http_route **ret,
                                 size_t *ret_n, struct err *err) MUST_CHECK;

#endif
