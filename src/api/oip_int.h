/* Inside of api/oip: an inference request of the Open Inference Protocol, from bytes to tensors, and its answer. */
#ifndef PAWL_API_OIP_INT_H
#define PAWL_API_OIP_INT_H

#include "base/arena.h"
#include "http/server.h"
#include "serve/serve.h"

#define OIP_INPUTS_MAX  4096
#define OIP_OUTPUTS_MAX 16
#define OIP_ID_MAX      256

struct oip_request {
    struct str id;
    struct serve_tensor *inputs;
    size_t n_inputs;
    struct str outputs[OIP_OUTPUTS_MAX]; /* names asked for; none: all */
    size_t n_outputs;
};

/* json: the body, or its part before the raw tensors; raw: what follows (binary tensor extension). Errors name input and
 * place. Everything is in the arena or borrowed from the body. */
enum err_code oip_read(struct str json, struct str raw, struct arena *a, struct oip_request *ret,
                       struct err *err) MUST_CHECK;
/* Values of a tensor from its bytes (oip_binary.c). */
enum err_code oip_binary_values(struct str bytes, enum tensor_type type, size_t n, struct str name,
                                struct arena *a, struct value **ret, struct err *err) MUST_CHECK;
/* Refuses an output that does not exist, before anything is predicted. */
enum err_code oip_outputs_check(const struct oip_request *q, bool *ret_wants_decision,
                                struct err *err) MUST_CHECK;
/* The answer's JSON in the arena. */
enum err_code oip_write(const struct oip_request *q, const struct serve_answer *ans,
                        struct arena *a, struct str *ret, struct err *err) MUST_CHECK;

#endif
