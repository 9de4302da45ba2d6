/* Operations: every action of the program is one handler that takes and returns JSON. HTTP, the command line
 * and the web page call the same handler, so that permission, audit and validation are written once.
 *
 * A row in spec/routes/RESOURCE.toml names the operation; tools/gen_tables.py turns the rows into OP_ROUTES (method, path,
 * parameters, class, permission, command words, help) and into the reference; OpenAPI and shell completion are written
 * from OP_ROUTES. The handler of operation "runs.list" is op_runs_list, in api/pawl_runs.c.
 *
 * `in` is an object with the declared parameters, already checked for presence and type and filled with defaults:
 *     str file -> string     int -> integer     num -> number     bool -> boolean     json -> any
 *     time -> RFC 3339 text (json_get_time reads it)     duration -> integer microseconds
 *     list -> array of strings (from a list, a repeated flag, or a text split at commas)
 * A file is an absolute path of a file that may be read: uploaded ones stand for theirs ("upload:SHA256").
 * A handler may leave a document in *ret AND return ERR_NO ("the answer is no": a failed check, a refused gate): the
 * document is then printed and the exit status is 1. */
#ifndef PAWL_API_OP_H
#define PAWL_API_OP_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/clock.h"
#include "json/json.h"

struct services; /* api/services.h: what app/ wired together */

struct op_call {
    struct services *sv;
    struct arena *arena; /* of this request; *ret lives in it */
    const char *actor;   /* who asks, for the audit: "local:alice", "token:ci" */
    bool is_trusted;     /* holds the home's token, or runs in this process: may name local files */
    struct str body; /* raw request body where the route takes bytes (body = "raw"), else empty */
    const char *body_path;           /* a large raw body is in this file instead; NULL otherwise */
    const char *content_type;        /* of that body; may be NULL */
    const atomic_bool *is_cancelled; /* may be NULL */
    void (*on_progress)(void *arg, double done, const char *text); /* may be NULL */
    void *progress_arg;
};

typedef enum err_code (*op_fn)(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err);

enum op_class { OP_INLINE, OP_QUEUED, OP_CLASS_N };
enum op_permission {
    OP_OPEN,
    OP_DECIDE,
    OP_PERMISSION_N
}; /* DECIDE: needs the home's token over HTTP */
enum op_param_type {
    OP_P_STR,
    OP_P_INT,
    OP_P_NUM,
    OP_P_BOOL,
    OP_P_TIME,
    OP_P_DURATION,
    OP_P_JSON,
    OP_P_LIST,
    OP_P_FILE,
    OP_PARAM_TYPE_N
};
/* What a route needs besides its parameters. */
enum op_home {
    OP_HOME_NEEDED,
    OP_HOME_OPTIONAL,
    OP_HOME_N
}; /* OPTIONAL: the command works without a home */

struct op_param {
    const char *name;
    enum op_param_type type;
    bool is_required, is_positional, is_in_path;
    const char *def; /* default as text, or NULL */
    const char *help;
};

struct op_route {
    const char *name;    /* "runs.list" */
    const char *method;  /* "GET" */
    const char *path;    /* below /api/pawl/v1: "/runs/{run}" */
    const char *command; /* "runs ls"; NULL: HTTP only */
    enum op_class class_;
    enum op_permission permission;
    enum op_home home;
    bool is_raw_body; /* the body is bytes for the handler; parameters come by path and query */
    const char *summary;
    const char *const *examples; /* NULL-terminated command lines */
    const char *const *columns; /* NULL-terminated members that a table shows first; may be empty */
    const struct op_param *params;
    size_t n_params;
    op_fn fn;
};

extern const struct op_route OP_ROUTES[];
extern const size_t N_OP_ROUTES;

/* Checks and completes `in` by the row, calls the handler, and leaves the answer. */
enum err_code op_run(const struct op_route *r, struct op_call *call, const struct json *in,
                     struct json **ret, struct err *err) MUST_CHECK;
const struct op_route *op_find(const char *name);
const struct op_param *op_param_find(const struct op_route *r, struct str name);
const char *op_param_type_name(enum op_param_type t);

/* The bytes of an answer, the same for every way in: a document, or {"error":{"code","message"}}, in one line that
 * ends in a newline. `doc` may be NULL (then {} for success). */
enum err_code op_answer(enum err_code code, const struct json *doc, const struct err *failure,
                        struct buf *out, struct err *err) MUST_CHECK;

#endif
