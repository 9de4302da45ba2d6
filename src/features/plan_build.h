/* Makes the plan document of a project from its decoded feature section, the columns of its rows and,
 * for category inputs, the values that occur in the training data.
 *
 * Two steps, because dictionaries need the training set and the training set needs the plan:
 *   1. plan_build(spec) -> document without categories (they are empty lists); plan_read it
 *   2. plan_dict_new(plan); plan_dict_add(dict, training chunk) ...; plan_dict_finish -> the document
 * Threads: one. */
#ifndef PAWL_FEATURES_PLAN_BUILD_H
#define PAWL_FEATURES_PLAN_BUILD_H

#include "expr/expr.h"
#include "features/plan.h"

/* A batch view, as far as a plan needs it. */
struct plan_view {
    const char *name, *version;
    const struct expr_column *entities; /* name and type of each key */
    size_t n_entities;
    const struct expr_column *columns; /* feature columns: without entities, time and known_at */
    size_t n_columns;
    int64_t ttl_us; /* 0 or less: unlimited */
    enum plan_on_stale on_stale;
    const struct json *defaults; /* {column: value}; NULL: none */
};

/* A row view: named expressions over request fields and other features. */
struct plan_row_view {
    const char *name;
    const char *const *names;
    const char *const *exprs;
    size_t n;
};

/* One item of dataset.features. */
struct plan_ref {
    const char *text; /* "distance", "request.*", "request.hour", "airport_hour.*"; or
                         "airport_hour" with keys */
    struct {
        const char *entity, *from; /* key: { airport: origin } */
    } keys[PLAN_KEYS_MAX];
    size_t n_keys;
    const char *const *columns; /* of a view item; NULL: all its columns */
    size_t n_columns;
    const char *prefix; /* `as:`: names the look-up when one view is looked up twice
                           ("origin_hour"); NULL: the view */
};

struct plan_spec {
    const char *time; /* time column of the rows; NULL: none */
    const struct expr_column
        *columns; /* columns of the training rows (not the label's own sources) */
    size_t n_columns;
    const struct plan_view *views;
    size_t n_views;
    const struct plan_row_view *row_views;
    size_t n_row_views;
    const struct plan_ref *refs;
    size_t n_refs;
};

/* Only what the inputs need enters the document. A string input becomes a category, others numbers.
 * Errors name the item: "dataset.features[2] 'request.huor': no feature ...; did you mean ...". */
enum err_code plan_build(const struct plan_spec *spec, struct arena *a, struct json **ret,
                         struct err *err) MUST_CHECK;

/* A plan for a model that takes its inputs as they come (deployed from a signature, no views): each
 * number or string input is a request field. Category lists, when the model has them, by input
 * name; may be NULL. */
enum err_code plan_build_plain(const struct signature *sig, const struct json *categories,
                               struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

struct plan_dict;
struct plan_dict *plan_dict_new(const struct plan *p); /* heap; NULL without memory */
void plan_dict_free(struct plan_dict *d);
enum err_code plan_dict_add(struct plan_dict *d, const struct column *cols, size_t n_cols, size_t n,
                            struct err *err) MUST_CHECK;
/* doc with the sorted categories filled in. ERR_LIMIT names an input with more than
 * PLAN_CATEGORIES_MAX. */
enum err_code plan_dict_finish(const struct plan_dict *d, const struct json *doc, struct arena *a,
                               struct json **ret, struct err *err) MUST_CHECK;

#endif
