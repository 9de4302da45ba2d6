/* Inside of serve/runtime. */
#ifndef PAWL_SERVE_RUNTIME_INT_H
#define PAWL_SERVE_RUNTIME_INT_H

#include <stdatomic.h>

#include "serve/runtime.h"

#define RUNTIME_ARENA_BYTES (256u << 20)
#define RUNTIME_SLOTS       256 /* threads that predict, each with its own scratch */

struct runtime {
    atomic_int n_refs;
    struct arena arena; /* everything below that is not an engine or a scratch */
    int64_t release;
    struct json *doc;
    char *dir;
    struct plan *plan;
    bool is_plain_plan; /* made from the model's inputs: a null is a missing number */
    struct engine *engine;
    struct record_schema schema;
    struct online *online;
    double threshold;
    size_t n_outputs, n_regression_rows;
    _Atomic(struct runtime_scratch *) scratches[RUNTIME_SLOTS];
};

struct runtime_scratch {
    struct runtime *r;
    struct plan_scratch *plan;
    struct online_reader *online; /* NULL: no store, or no look-ups */
    float *row, *scores, *engine;
};

/* runtime_plan.c */
enum err_code runtime_plan_open(struct runtime *r, struct err *err) MUST_CHECK;
enum err_code runtime_schema_make(struct runtime *r, struct err *err) MUST_CHECK;
/* runtime_regression.c */
enum err_code runtime_regression_check(struct runtime *r, struct err *err) MUST_CHECK;
/* runtime_score.c: the scratch of a predicting thread, made at its first use. */
struct runtime_scratch *runtime_slot_scratch(struct runtime *r, int slot);

#endif
