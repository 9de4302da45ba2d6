/* Private to the plan. */
#ifndef PAWL_FEATURES_PLAN_INT_H
#define PAWL_FEATURES_PLAN_INT_H

#include "expr/expr.h"
#include "features/plan.h"

#define PLAN_ROW_TEXT_BYTES    8192  /* strings that one row feature makes */
#define PLAN_LOOKUP_TEXT_BYTES 65536 /* looked-up strings of one request */
#define PLAN_STATE_BYTES_MAX   (INT64_C(256) << 20)

/* Category -> index, open addressing. */
struct plan_categories {
    uint32_t *table; /* index + 1; 0: free */
    size_t mask;     /* size - 1 */
};

struct plan {
    struct digest digest;
    struct plan_slot *slots;
    struct expr_column *columns; /* the slots, as expressions see them */
    struct value *defaults;      /* per slot; null: none */
    size_t n_slots, n_request, n_settable;
    ptrdiff_t time_slot;
    struct plan_lookup *lookups;
    size_t n_lookups;
    struct expr **exprs; /* of slots n_settable ... */
    struct plan_input *inputs;
    struct plan_categories *categories; /* per input; empty for numbers */
    size_t n_inputs;
    struct map *names; /* name, and last part where unique -> slot pointer */
};

struct plan_scratch {
    const struct plan *plan;
    struct arena arena; /* everything below */
    struct value *values;
    bool *is_given; /* settable slots */
    enum plan_status *statuses;
    int64_t *age_us;
    struct online_view_ref *refs;
    struct value *looked_up; /* columns of one look-up */
    struct expr_state *states;
    char *text; /* copies of looked-up strings */
    size_t text_used;
};

/* Index of a category value; -1: unseen or null. */
int64_t plan_category_index(const struct plan *p, size_t input, const struct value *v);
/* A category's text: strings as they are, ints and bools written out into buf. */
struct str plan_category_text(const struct value *v, char buf[NUM_TEXT_BYTES]);
/* Defaults for nulls, row features, inputs: everything after the settable slots are filled. */
enum err_code plan_finish_row(struct plan_scratch *s, float *row, struct err *err) MUST_CHECK;

#endif
