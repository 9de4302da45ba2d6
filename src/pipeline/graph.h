/* Steps and how they hang together: keys, states, and a scheduler that runs what is ready on several threads.
 *
 * A step's `parts` say everything that its output depends on:
 *   {definition, inputs: {step: digest}, parameters, environment, seed, versions}
 * and its key is their digest (json_digest kind "step") with the kind and the format of this program. Parts are made when
 * the steps before it are done, so that an output that came out the same stops the wave.
 *
 *     WAITING -> READY -> RUNNING -> DONE      computed now
 *        |         |         +-----> FAILED | BLOCKED (a check said no)
 *        |         +---------------> CACHED   found by its key
 *        +-> SKIPPED (something before it did not come to an end) | UNASKED
 *
 * The graph knows nothing of what steps do: step_ops is plugged in. Threads: graph_run makes its own; a step's fields
 * belong to the thread that runs it until it is finished. */
#ifndef PAWL_PIPELINE_GRAPH_H
#define PAWL_PIPELINE_GRAPH_H

#include <stdatomic.h>

#include "base/arena.h"
#include "json/json.h"

#define GRAPH_STEPS_MAX 20000
/* Raised when the meaning of parts or outputs changes: every key then is another one. */
#define STEP_FORMAT 1

enum step_state {
    STEP_UNASKED,
    STEP_WAITING,
    STEP_RUNNING,
    STEP_CACHED,
    STEP_DONE,
    STEP_BLOCKED,
    STEP_FAILED,
    STEP_SKIPPED,
    STEP_STATE_N
};
const char *step_state_name(enum step_state s); /* "unasked" "waiting" … */

struct step;
struct graph;

struct step_ops {
    const char *kind; /* "ingest": enters the key */
    /* Everything the output depends on, in the step's arena; called when the needs are done. */
    enum err_code (*parts)(void *ctx, struct step *s, struct json **ret, struct err *err);
    /* The output document, in the step's arena: at least {digest}. ERR_NO: the check says no; *ret is then the report. */
    enum err_code (*run)(void *ctx, struct step *s, struct json **ret, struct err *err);
    /* Is a cached output still there (its blobs, its files)? Puts back what can be. false: run. May be NULL. */
    bool (*restore)(void *ctx, struct step *s, const struct json *out);
};

struct step {
    const char *name; /* "view.airport_hour"; unique */
    const struct step_ops *ops;
    const void *spec; /* the ops' own */
    struct step **needs;
    size_t n_needs;
    bool *is_order; /* needs[i] must have passed, but its content does not matter */
    /* filled by the run */
    enum step_state state;
    struct arena arena; /* parts, output, reason; freed with the graph */
    struct json *parts, *out;
    char key[65];        /* hex; "" before it is known */
    struct json *reason; /* why it ran: [{what, from?, to?}] */
    struct err err;      /* FAILED, BLOCKED */
    int64_t started_us, ended_us;
    char child_run[40];   /* run of track/ that recorded it; "" none */
    const char *log;      /* file with what its command said; NULL: none */
    const char *from_run; /* CACHED: run that computed it; NULL unknown */
};

struct graph {
    struct step **steps;
    size_t n, cap;
    struct arena *arena;
};

void graph_init(struct graph *g, struct arena *a);
void graph_fini(struct graph *g); /* the steps' arenas */
/* NULL when the arena is full. Names are not checked here: graph_check does. */
struct step *graph_add(struct graph *g, const char *name, const struct step_ops *ops,
                       const void *spec);
bool graph_need(struct graph *g, struct step *s, struct step *need);
bool graph_after(struct graph *g, struct step *s, struct step *before);
struct step *graph_find(const struct graph *g, const char *name); /* NULL */
/* Names unique, no circle; the error names the circle: "a -> b -> a". Sorts the steps so that needs come first. */
enum err_code graph_check(struct graph *g, struct err *err) MUST_CHECK;
/* Marks what is asked: these names (or "validate" for every "validate.X") and all they need; n == 0: every step.
 * ERR_NOT_FOUND suggests a name. */
enum err_code graph_ask(struct graph *g, const char *const *names, size_t n,
                        struct err *err) MUST_CHECK;

/* Key of given parts. */
enum err_code step_key(const char *kind, const struct json *parts, char ret[65],
                       struct err *err) MUST_CHECK;

/* Where outputs are kept, and who is told. All calls may come from several threads at once. */
struct graph_host {
    void *ctx;                                                          /* given to step_ops */
    enum err_code (*find)(void *ctx, struct step *s, struct err *err);  /* sets s->out on a hit */
    enum err_code (*begin)(void *ctx, struct step *s, struct err *err); /* it will be computed */
    enum err_code (*finish)(void *ctx, struct step *s,
                            struct err *err); /* done, cached, failed or blocked */
    int64_t (*now_us)(void *ctx);
    const atomic_bool *is_cancelled; /* may be NULL */
};

/* Runs what is asked. After the first failure nothing new begins that is not independent of it; a step that
 * cannot run is SKIPPED. Returns ERR_OK when all came to an end, ERR_NO when a check blocked, ERR_CANCELLED, else the
 * first failed step's error, wrapped with its name. */
enum err_code graph_run(struct graph *g, const struct graph_host *host, int jobs,
                        struct err *err) MUST_CHECK;

/* What changed between the parts of two keys: [{what: "inputs.dataset", from, to}], texts cut; NULL old: first time. */
struct json *parts_diff(const struct json *old, const struct json *now, struct arena *a);

#endif
