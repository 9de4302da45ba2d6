/* Feature views of pawl.yaml (`features`): what they are, and their versions.
 *
 * A batch view is SQL over sources (and other batch views): entity columns, a time from which the
 * value is true, an optional known_at column (or available_after; default: known at its time), a
 * ttl. A row view is named expressions over request columns and looked-up features, evaluated by
 * expr/ in training and in serving alike: its texts are handed on as written.
 *
 *   features:
 *     airport_hour:
 *       entity: [airport]
 *       time: hour
 *       known_at: …            # column of the view;   or available_after: 5m
 *       ttl: 6h
 *       on_stale: serve_last | default | error        (error by default)
 *       default: { delay_1h: 0 }  or one value for all columns
 *       owner: …  description: …
 *       sql: SELECT …
 *     request:
 *       row: { hour: hour(date), … }
 *
 * Version of a view: digest (kind "view") of its definition, the versions of the views it reads, of
 * DuckDB and of the expression semantics. ttl, on_stale, default, owner, description are not in it,
 * except what changes a value: ttl is. */
#ifndef PAWL_FEATURES_VIEW_H
#define PAWL_FEATURES_VIEW_H

#include "config/config.h"
#include "data/version.h"

enum view_kind { VIEW_BATCH, VIEW_ROW, VIEW_KIND_N };
/* What a value older than ttl becomes; DEFAULT, the first, is what training sees too. */
enum view_on_stale { VIEW_STALE_DEFAULT, VIEW_STALE_SERVE_LAST, VIEW_STALE_ERROR, VIEW_ON_STALE_N };

struct view_expr {
    struct str name, text;
    const struct cfg_node *node;
};

struct view_spec {
    struct str name;
    enum view_kind kind;
    /* batch */
    struct str *entity;
    size_t n_entity;
    struct str time, known_at, sql;
    int64_t available_after_us; /* -1: not given */
    int64_t ttl_us;             /* -1: unlimited */
    enum view_on_stale on_stale;
    struct json *defaults; /* object column -> value, or one scalar for all; NULL */
    /* row */
    struct view_expr *exprs;
    size_t n_exprs;
    struct str owner, description;
    const struct cfg_node *node;
};

struct features_spec {
    struct view_spec *p; /* in the order of the file */
    size_t n;
};

void features_spec_decode(const struct cfg_node *section, const struct cfg_node *root,
                          struct arena *a, struct features_spec *ret, struct cfg_problems *ps);
const struct view_spec *features_spec_find(const struct features_spec *s, struct str name);
const char *view_on_stale_name(enum view_on_stale s); /* "serve_last" "default" "error" */
struct json *view_spec_json(const struct view_spec *v, struct arena *a);
struct json *features_views_json(const struct features_spec *views,
                                 struct arena *a); /* all, as a list */

/* What a child finds out about a batch view: which sources and views its SQL reads and which
 * columns it has.
 * {"name","reads":[…],"entity":[{"name","type","sql_type"}],"columns":[{"name","type","sql_type"}],"version":HEX}; entity, time and
 * known_at are not among columns. views: all views of the project; bindings: all sources (their
 * schemas; data_binding). Result: list in dependency order. */
enum err_code views_describe(const struct data_env *env, const struct features_spec *views,
                             const struct json *bindings, struct arena *a, struct json **ret,
                             struct err *err) MUST_CHECK;
/* Version of a row view: pure. */
enum err_code view_row_version(const struct view_spec *v, struct arena *a, struct digest *ret,
                               struct err *err) MUST_CHECK;

/* One batch view as a Parquet file in (time, known_at, keys) order with its version: a pipeline step of its own.
 * as_of_us: from source rows known by then; AT_US_NONE: all. ret {"view","version","rows","digest","path","columns"}. */
struct view_order {
    const struct features_spec *views; /* all of the project */
    const struct json *bindings;
    struct str name;
    int64_t as_of_us;
    const char *out_path;
};
enum err_code view_build(const struct data_env *env, const struct view_order *o, struct arena *a,
                         struct json **ret, struct err *err) MUST_CHECK;

/* Does a view know the future? Recomputes each batch view with only source rows known by T for
 * several T.
 * {"verdict":"pass|fail","views":[{"view","verdict","columns":[…],"message","example":{key…,"time","full","known"}}]}
 */
enum err_code views_check_future(const struct data_env *env, const struct features_spec *views,
                                 const struct json *bindings, struct arena *a, struct json **ret,
                                 struct err *err) MUST_CHECK;

#endif
