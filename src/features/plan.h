/* The feature plan: what turns a request, or a row of training data, into the model's row of float32.
 *
 * One document (plan.json) is made with the training set, travels with the model and is evaluated by
 * this one implementation in both places: per request in serving (request fields + online store), over
 * chunks in training (request columns + the columns of the point-in-time join). The same values give
 * the same bits.
 *
 *   {format:1, expr:1, time:"date",
 *    request:[{name,type,required}],
 *    lookups:[{view, version, as?, key:[{entity, from}], columns:[{name,type,default?}], ttl_us,
 *              on_stale}],
 *    row:[{name, view, expr, type}],
 *    inputs:[{name, from, kind:"number"|"category", categories:[...]}]}
 *
 * Slots: the request fields, then the columns of the look-ups ("view.column", or "as.column"), then the
 * row features, in the order of the document. A request sets slots; it may set a looked-up column too
 * (by its name, or its last part where unique), which is then used instead of the look-up. A null key
 * is not looked up (NOT_FOUND).
 * default:  stands for a null of that column, in training and in serving alike.
 * on_stale: a value older than ttl is "default" (null, then the default), "serve_last" (used all the
 *           same) or "error".
 * Inputs:   number: int and float as they are, bool 0/1, null and NaN missing; category: index in the
 *           sorted list, unseen and null missing.
 *
 * Threads: a plan is immutable; each thread has its own plan_scratch. No allocation after
 * plan_scratch_new. */
#ifndef PAWL_FEATURES_PLAN_H
#define PAWL_FEATURES_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/value.h"
#include "features/online.h"
#include "model/signature.h"
#include "json/json.h"

#define PLAN_FORMAT         1
#define PLAN_SLOTS_MAX      4096
#define PLAN_LOOKUPS_MAX    64
#define PLAN_KEYS_MAX       8
#define PLAN_CATEGORIES_MAX 100000 /* of one input */

enum plan_on_stale { PLAN_STALE_DEFAULT, PLAN_STALE_SERVE_LAST, PLAN_STALE_ERROR, PLAN_ON_STALE_N };
const char *plan_on_stale_name(enum plan_on_stale s); /* "default" "serve_last" "error" */
bool plan_on_stale_from_name(struct str name, enum plan_on_stale *ret);

/* What became of one look-up of one request. */
enum plan_status {
    PLAN_PRESENT,
    PLAN_NOT_FOUND,       /* no value of that key known at that time, or a null key */
    PLAN_OUTSIDE_MAX_AGE, /* newest value older than ttl */
    PLAN_GIVEN,           /* every column came with the request */
    PLAN_NO_STORE,        /* the online store could not be read; treated as not found */
    PLAN_STATUS_N
};
const char *plan_status_name(
    enum plan_status s); /* "PRESENT" "NOT_FOUND" "OUTSIDE_MAX_AGE" "GIVEN" "NO_STORE" */

enum plan_slot_kind { PLAN_SLOT_REQUEST, PLAN_SLOT_LOOKUP, PLAN_SLOT_ROW, PLAN_SLOT_KIND_N };

struct plan_slot {
    const char *name; /* "distance", "airport_hour.delay_1h", "log_distance" */
    enum value_type type;
    enum plan_slot_kind kind;
    bool is_required; /* request fields */
    size_t lookup;    /* PLAN_SLOT_LOOKUP: which */
};

struct plan_key {
    const char *entity; /* name in the view */
    size_t slot;        /* request slot that it comes from */
};

struct plan_lookup {
    const char *view, *version;
    struct plan_key *keys;
    size_t n_keys;
    size_t first_slot, n_columns; /* slots first_slot .. first_slot + n_columns - 1 */
    const char *const *columns;   /* names inside the view */
    int64_t ttl_us;               /* 0 or less: unlimited */
    enum plan_on_stale on_stale;
};

struct plan_input {
    const char *name;
    size_t slot;
    bool is_category;
    const struct str *categories; /* sorted by bytes */
    size_t n_categories;
};

struct plan;

/* Reads and validates plan.json: names, types, expressions, order of row features, limits. Owner:
 * the arena, which must outlive the plan and its scratches. Errors: "row[2] log_distance: column 4:
 * unknown column ...". */
enum err_code plan_read(const struct json *doc, struct arena *a, struct plan **ret,
                        struct err *err) MUST_CHECK;

size_t plan_n_slots(const struct plan *p);
const struct plan_slot *plan_slot(const struct plan *p, size_t i);
size_t plan_n_request(const struct plan *p); /* slots 0 .. n-1 are request fields */
size_t
plan_n_settable(const struct plan *p); /* request fields and looked-up columns: slots 0 .. n-1 */
/* Slot of a request's field name, whole or, for looked-up columns, last part where unique; -1: not
 * known. */
ptrdiff_t plan_find(const struct plan *p, struct str name);
ptrdiff_t plan_time_slot(const struct plan *p); /* -1: the request carries no time */
size_t plan_n_lookups(const struct plan *p);
const struct plan_lookup *plan_lookup(const struct plan *p, size_t i);
size_t plan_n_inputs(const struct plan *p);
const struct plan_input *plan_input(const struct plan *p, size_t i);
/* What a request must look like, as a model's inputs: request fields, then looked-up columns (never
 * required). */
struct sig_field *plan_signature(const struct plan *p, struct arena *a,
                                 size_t *ret_n); /* NULL: arena full */
/* Name of the plan: json_digest kind "plan". */
const struct digest *plan_digest(const struct plan *p);

/* ---- one request ---- */
struct plan_scratch;
struct plan_scratch *plan_scratch_new(const struct plan *p); /* heap; NULL without memory */
void plan_scratch_free(struct plan_scratch *s);              /* accepts NULL */

/* Forgets the row before. */
void plan_begin(struct plan_scratch *s);
/* Sets a settable slot, converting: int -> float; a float that is whole -> int; bool -> int or
 * float; RFC 3339 text, or int milliseconds since 1970 -> timestamp; "NaN", "Infinity", "-Infinity"
 * -> float; null. Strings are borrowed until plan_run returns. ERR_INVALID names field, type and
 * what came. */
enum err_code plan_set(struct plan_scratch *s, size_t slot, const struct value *v,
                       struct err *err) MUST_CHECK;

struct plan_result {
    int64_t at_us; /* event time of the row: its time field, else the default given */
    const enum plan_status *statuses; /* one per look-up */
    const int64_t *age_us; /* per look-up: at_us - event time of the value; -1: no value */
    const struct value
        *values;     /* all slots, after look-up and row features; strings may be borrowed */
    bool is_default; /* some look-up gave no value */
};

/* Looks up, evaluates and fills the model's row.
 * store   NULL: no online store (statuses NO_STORE unless given)
 * now_us  the row's time where the request has none
 * row     plan_n_inputs floats
 * ret     points into the scratch, valid until plan_begin; looked-up strings are copied there
 * Errors  ERR_INVALID: a required field is missing (an explicit null is a missing value, as in
 *         training); ERR_UNAVAILABLE: a stale value with on_stale error; ERR_LIMIT: strings too long */
enum err_code plan_run(struct plan_scratch *s, struct online_reader *store, int64_t now_us,
                       float *row, struct plan_result *ret, struct err *err) MUST_CHECK;

/* ---- chunks, for training and scoring of tables ---- */
/* cols    the chunk's columns, found by name: every request field and looked-up column of the plan (a
 *         missing one is ERR_NOT_FOUND, so that no feature is silently null); others are ignored
 * matrix  n x plan_n_inputs, row-major, allocated in the arena
 * rows    when not NULL: the row features as columns (plan_n_slots - plan_n_settable), in the arena */
enum err_code plan_run_chunk(const struct plan *p, const struct column *cols, size_t n_cols,
                             size_t n, struct arena *a, float **ret_matrix,
                             struct column **ret_rows, struct err *err) MUST_CHECK;

#endif
