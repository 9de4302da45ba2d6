/* Inside of serve: one request on its way. */
#ifndef PAWL_SERVE_PREDICT_INT_H
#define PAWL_SERVE_PREDICT_INT_H

#include "serve/serve_int.h"

/* A column of the request and the slot of the plan that it sets. */
struct bind {
    const struct value *values; /* of row 0 */
    size_t stride;              /* values from row to row */
    size_t slot;
    const struct serve_tensor *tensor;
};

struct predict {
    struct serve *s;
    const struct serve_request *q;
    struct arena *a;
    const struct snap_endpoint *ep;
    struct runtime *base; /* whose fields the request names: live, or the release asked for */
    bool is_test;         /* a release that does not serve was asked for */
    int slot;
    struct bind *binds;
    size_t n_binds, n_rows;
    int64_t wall_us, now_us;
    int64_t mono_ns; /* when the last row was scored */
    struct serve_answer ans;
    float *scores;
    double *decisions;
    struct str *payloads; /* encoded records of a request of many rows */
    size_t n_payloads;
};

/* Which release a row goes to. */
struct route {
    struct runtime *rt;
    const ptrdiff_t *map; /* base slot -> slot of rt; NULL: the same */
    enum record_role role;
    uint16_t bucket;
};

/* What became of a row. */
struct outcome {
    struct runtime_answer ans;
    enum record_status status;
    uint32_t compute_ns;
};

/* bind.c: tensors -> slots; every complaint names the input. */
enum err_code bind_inputs(struct predict *p, struct err *err) MUST_CHECK;
/* predict_log.c */
void log_row(struct predict *p, size_t row, const struct route *r, const struct outcome *o,
             const struct route *failed);
void log_finish(struct predict *p);

#endif
