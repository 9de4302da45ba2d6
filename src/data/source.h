/* Sources of pawl.yaml: where rows come from, when a row happened and when it became known.
 *
 *   sources:
 *     flights:
 *       path: data/flights/…parquet          # a path, a glob, or a list of them, relative to the
 * project time: date                           # column of the event time timezone: America/Chicago
 * # of naive times; default UTC known_at: "date + INTERVAL 1 HOUR"   # SQL expression over the row;
 * or available_after: 45m                 # known that long after `time` freshness: 36h # how old
 * the newest row may be owner: data@example.com reference: true                      # keep path
 * and hash only, do not copy into the store description: …   runbook: … pulled: { extract: { run:
 * python pull.py }, time: at }     # writes Parquet into $PAWL_OUT table:  { sql: "SELECT …",
 * connection: "${PG_URL}", time: at }
 *
 * A decoded spec is plain JSON as well (source_spec_json), which is what children get. Threads:
 * read-only data. */
#ifndef PAWL_DATA_SOURCE_H
#define PAWL_DATA_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "config/config.h"
#include "json/json.h"

enum source_kind { SOURCE_PATH, SOURCE_EXTRACT, SOURCE_SQL, SOURCE_KIND_N };

struct source_spec {
    struct str name;
    enum source_kind kind;
    struct str *paths; /* SOURCE_PATH: globs as written */
    size_t n_paths;
    struct str run;             /* SOURCE_EXTRACT: `sh -c` text */
    struct str sql;             /* SOURCE_SQL */
    struct str connection;      /* SOURCE_SQL: as written, ${NAME} not yet expanded */
    struct str time;            /* column; empty: rows have no time */
    struct str timezone;        /* "UTC" by default */
    struct str known_at;        /* SQL expression; empty: see available_after_us */
    int64_t available_after_us; /* -1: not given (known at its time) */
    int64_t freshness_us;       /* -1: not declared */
    struct str owner, description, runbook;
    bool is_reference;
    const struct cfg_node *node; /* for problems; NULL when read from JSON */
};

struct sources_spec {
    struct source_spec *p;
    size_t n;
};

/* Decodes the `sources` section (NULL: none). Always leaves a usable list; what is wrong is in
 * `ps`. */
void sources_spec_decode(const struct cfg_node *section, const struct cfg_node *root,
                         struct arena *a, struct sources_spec *ret, struct cfg_problems *ps);
const struct source_spec *sources_spec_find(const struct sources_spec *s,
                                            struct str name); /* NULL */
struct json *source_spec_json(const struct source_spec *s, struct arena *a);
enum err_code source_spec_from_json(const struct json *j, struct arena *a, struct source_spec *ret,
                                    struct err *err) MUST_CHECK;

#endif
