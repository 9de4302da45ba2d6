/* Private to engine/: what a kind of engine is. A new kind is one file and one row of ENGINE_KINDS.
 */
#ifndef PAWL_ENGINE_ENGINE_INT_H
#define PAWL_ENGINE_ENGINE_INT_H

#include "base/arena.h"
#include "engine/engine.h"
#include "engine/mlmodel.h"

struct engine_kind {
    const char *name;
    const char *flavor; /* of the MLmodel file that it understands */
    bool is_inline;
    /* flavor: its section of MLmodel, NULL for a bare file; model_path: its data, or the bare file. Fills e->state and the
     * facts below. */
    enum err_code (*open)(struct engine *e, const struct json *flavor, const char *model_path,
                          struct err *err);
    void (*close)(struct engine *e);
    const char *(*input_name)(const struct engine *e, size_t i);
    enum err_code (*predict)(const struct engine *e, const float *rows, size_t n_rows,
                             float *scratch, float *ret_scores, struct err *err);
};

extern const struct engine_kind ENGINE_TREES;

struct engine {
    const struct engine_kind *kind;
    struct arena arena; /* signature and names */
    struct signature signature;
    void *state; /* owner: the kind */
    enum engine_task task;
    size_t n_inputs, n_outputs, scratch_floats, memory_bytes;
    const char *objective;
};

#endif
