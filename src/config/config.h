/* YAML files as a tree with positions. Each module decodes its own section from it and adds what it finds
 * wrong to one list of problems, so that `pawl check` prints all of them at once, each with file:line:column.
 *
 * YAML 1.2 (libfyaml): "yes" and "on" are strings; duplicate keys, aliases across documents and input over
 * CFG_BYTES_MAX are refused. `${NAME}` in a scalar stays as written: expand late with cfg_expand, so that a
 * secret is stored as a reference. Threads: a tree is read-only after cfg_read. */
#ifndef PAWL_CONFIG_CONFIG_H
#define PAWL_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "json/json.h"

#define CFG_BYTES_MAX (1 << 20)
#define CFG_DEPTH_MAX 32

enum cfg_type { CFG_NULL, CFG_SCALAR, CFG_LIST, CFG_MAP, CFG_TYPE_N };

struct cfg_node {
    enum cfg_type type;
    const char *file; /* as given to cfg_read */
    int line, column; /* 1-based */
    struct str text;  /* scalar, NUL-terminated behind; block scalars with their line breaks */
    bool is_quoted;   /* '...' or "..." or block: never read as a number */
    size_t n;         /* items or members */
    struct cfg_node **items;     /* list items, or member values */
    struct str *keys;            /* member keys; NULL for lists */
    struct cfg_node **key_nodes; /* positions of the keys */
};

struct cfg_problem {
    const char *file;
    int line, column;
    bool is_warning;
    char *text; /* sentence, with a suggestion when there is one */
};

struct cfg_problems {
    struct arena *arena; /* owner of the texts */
    struct cfg_problem *p;
    size_t n, cap, n_errors;
};

void cfg_problems_init(struct cfg_problems *ps, struct arena *a);
/* Adds an error (or warning) at a node; node NULL: at the file as a whole. Kept to CFG_PROBLEMS_MAX. */
#define CFG_PROBLEMS_MAX 200
void cfg_error(struct cfg_problems *ps, const struct cfg_node *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void cfg_warn(struct cfg_problems *ps, const struct cfg_node *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* [{file,line,column,severity,message}] in file order. */
struct json *cfg_problems_json(const struct cfg_problems *ps, struct arena *a);
/* All errors as one struct err sentence (ERR_CONFIG), or ERR_OK when there is none. */
enum err_code cfg_problems_err(const struct cfg_problems *ps, struct err *err) MUST_CHECK;

/* Parses text; syntax errors go to `ps` and *ret is NULL. Returns an error only for memory. */
enum err_code cfg_read(struct str text, const char *file, struct arena *a, struct cfg_node **ret,
                       struct cfg_problems *ps, struct err *err) MUST_CHECK;

/* ---- access; all accept NULL nodes ---- */
const struct cfg_node *cfg_get(const struct cfg_node *map, const char *key); /* NULL when absent */
const struct cfg_node *cfg_key_node(const struct cfg_node *map,
                                    const char *key); /* position of a key */
/* Each member key not in names[] is an error with the nearest name as suggestion. False when any was. */
bool cfg_known_keys(const struct cfg_node *map, const char *const *names, size_t n,
                    struct cfg_problems *ps);
/* Type checks: each adds a problem that names what was expected and what stands there, and returns false.
 * An absent (NULL) node returns false without a problem: use cfg_require first where it must be there. */
const struct cfg_node *cfg_require(const struct cfg_node *map, const char *key,
                                   struct cfg_problems *ps);
bool cfg_is_map(const struct cfg_node *n, const char *what, struct cfg_problems *ps);
bool cfg_is_list(const struct cfg_node *n, const char *what, struct cfg_problems *ps);
bool cfg_str(const struct cfg_node *n, const char *what, struct str *ret, struct cfg_problems *ps);
bool cfg_i64(const struct cfg_node *n, const char *what, int64_t min, int64_t max, int64_t *ret,
             struct cfg_problems *ps);
bool cfg_f64(const struct cfg_node *n, const char *what, double min, double max, double *ret,
             struct cfg_problems *ps);
bool cfg_ratio(const struct cfg_node *n, const char *what, double *ret,
               struct cfg_problems *ps); /* "1%" or 0.01 */
bool cfg_duration_us(const struct cfg_node *n, const char *what, int64_t *ret,
                     struct cfg_problems *ps);
bool cfg_bool(const struct cfg_node *n, const char *what, bool *ret, struct cfg_problems *ps);
/* Index in names[], with a suggestion when it is none of them. */
bool cfg_enum(const struct cfg_node *n, const char *what, const char *const *names, size_t n_names,
              int *ret, struct cfg_problems *ps);
/* A scalar alone or a list of scalars, as a list. */
bool cfg_str_list(const struct cfg_node *n, const char *what, struct arena *a, struct str **ret,
                  size_t *ret_n, struct cfg_problems *ps);
/* The tree as JSON: unquoted true/false/null and numbers typed, the rest strings. For hashing definitions. */
struct json *cfg_json(const struct cfg_node *n, struct arena *a);
/* Replaces ${NAME} from the environment; a problem names a variable that is not set. */
bool cfg_expand(const struct cfg_node *n, struct arena *a, struct str *ret,
                struct cfg_problems *ps);

#endif
