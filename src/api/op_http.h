/* Operations as HTTP routes below /api/pawl/v1: path and query parameters and the members of a JSON body become the
 * operation's `in`; the answer's bytes are those of op_answer, its status that of the error's row in spec/errors.txt
 * (ERR_NO keeps its document). Host, Origin and Content-Type are checked by the server for every route; an operation
 * that decides needs the home's token. */
#ifndef PAWL_API_OP_HTTP_H
#define PAWL_API_OP_HTTP_H

#include "api/op.h"
#include "http/server.h"

#define OP_HTTP_PREFIX "/api/pawl/v1"

/* One route per operation, in the arena, which must outlive the server. */
enum err_code op_http_routes(struct services *sv, struct arena *a, struct http_route **ret,
                             size_t *ret_n, struct err *err) MUST_CHECK;

#endif
