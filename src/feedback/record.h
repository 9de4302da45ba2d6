/* One prediction as it is logged: what came, what was looked up, what the model saw, what it said, who said it.
 *
 * Encoded compactly (little overhead over the numbers themselves): varints, floats as float32 where that is exact, the model's row as
 * float32. Field names are not in the record: the release number leads to the schema (feedback/schema.h).
 * Threads: plain data. */
#ifndef PAWL_FEEDBACK_RECORD_H
#define PAWL_FEEDBACK_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/value.h"

#define BUCKET_N           10000
#define BUCKET_FALLBACK    10000 /* no sticky key was there: assigned by prediction id */
#define RECORD_OUTPUTS_MAX 1024

enum record_role { ROLE_LIVE, ROLE_CANARY, ROLE_SHADOW, ROLE_TEST, ROLE_N };
extern const char *const ROLE_NAMES[ROLE_N]; /* "live" "canary" "shadow" "test" */

enum record_status {
    RECORD_OK,
    RECORD_ERROR, /* the release could not answer (a candidate's: then the incumbent did, see RESCUED) */
    RECORD_FALLBACK, /* the live release could not; answered by the endpoint's fallback */
    RECORD_RESCUED, /* answered by the incumbent after the candidate failed: not a sample of the incumbent's arm */
    RECORD_STATUS_N
};
extern const char *const RECORD_STATUS_NAMES[RECORD_STATUS_N];

/* Status of one look-up; same values as features/plan.h's enum plan_status. */
enum record_lookup {
    LOOKUP_PRESENT,
    LOOKUP_NOT_FOUND,
    LOOKUP_OUTSIDE_MAX_AGE,
    LOOKUP_GIVEN,
    LOOKUP_NO_STORE,
    LOOKUP_N
};

struct prediction_record {
    uint8_t id[16];       /* UUIDv7 of the request */
    uint32_t row;         /* row within the request; (id, row) is the prediction's name */
    struct str client_id; /* empty: none given */
    struct str endpoint;
    int64_t event_us; /* AT_US_NONE: the request had no time */
    int64_t wall_us;
    int64_t release;     /* r<release> */
    uint64_t generation; /* of the endpoint's state that assigned it: leads to the rollout's step */
    enum record_role role;
    enum record_status status;
    uint16_t bucket;     /* 0..9999, BUCKET_FALLBACK */
    bool is_paired;      /* shadow role: scored beside the live one */
    uint32_t latency_us; /* of the request, from first line read to answer ready */
    uint32_t compute_ns; /* of features and model for this row */
    double decision;     /* 1/0 by threshold, class index, NaN: none */
    double *scores;      /* n_scores; NaN where the model gave none */
    uint32_t n_scores;
    uint8_t *lookups; /* n_lookups of enum record_lookup */
    uint32_t n_lookups;
    struct value *values; /* n_values: the schema's request fields, then its looked-up columns */
    uint32_t n_values;
    float *row_values; /* the model's row, n_row, by the schema's inputs */
    uint32_t n_row;
};

/* Largest encoding of such a record. */
size_t record_bytes_max(const struct prediction_record *r);
/* Writes at most record_bytes_max(r); returns the length. Allocates nothing. */
size_t record_encode(const struct prediction_record *r, unsigned char *out);
/* Arrays into the arena, texts borrowed from `bytes`. ERR_CORRUPT for anything that is not a whole record. */
enum err_code record_decode(struct str bytes, struct arena *a, struct prediction_record *ret,
                            struct err *err) MUST_CHECK;

/* The name of row `row` of request `id` where only 16 bytes fit (index, joins): id itself for row 0. */
void record_key(const uint8_t id[16], uint32_t row, uint8_t ret[16]);
/* "018f….-…" or "018f….-…/3". */
#define RECORD_NAME_BYTES 48
void record_name(const uint8_t id[16], uint32_t row, char out[RECORD_NAME_BYTES]);
enum err_code record_name_parse(struct str s, uint8_t ret_id[16], uint32_t *ret_row,
                                struct err *err) MUST_CHECK;

#endif
