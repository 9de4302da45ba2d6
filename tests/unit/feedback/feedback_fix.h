/* Scratch directories and records for the tests of feedback. */
#ifndef PAWL_TESTS_FEEDBACK_FIX_H
#define PAWL_TESTS_FEEDBACK_FIX_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "feedback/log.h"
#include "test.h"

struct scratch {
    char dir[64];
};

static inline int scratch_make(void **state)
{
    struct scratch *s = calloc(1, sizeof *s);
    snprintf(s->dir, sizeof s->dir, "/tmp/pawl-feedback-XXXXXX");
    if (!mkdtemp(s->dir))
        return -1;
    *state = s;
    return 0;
}

static inline int scratch_drop(void **state)
{
    struct scratch *s = *state;
    struct err err = ERR_INIT;
    enum err_code code = dir_remove(s->dir, &err);
    free(s);
    return code == ERR_OK ? 0 : -1;
}

/* A record of a few fields, numbered so that it can be told again. */
struct sample {
    struct prediction_record r;
    double scores[2];
    uint8_t lookups[1];
    struct value values[4];
    float row[3];
    char client[32];
};

static inline void sample_make(struct sample *s, uint32_t number)
{
    memset(s, 0, sizeof *s);
    uuid7(INT64_C(1700000000000000) + number, s->r.id);
    memcpy(s->r.id + 12, &number, sizeof number);
    s->r.endpoint = STR("delay");
    s->r.client_id = STR("");
    s->r.event_us = INT64_C(983433600000000) + number;
    s->r.wall_us = INT64_C(1700000000000000) + number;
    s->r.release = 12;
    s->r.generation = 40;
    s->r.role = ROLE_CANARY;
    s->r.bucket = (uint16_t)(number % 10000);
    s->r.latency_us = 31;
    s->r.compute_ns = 1900;
    s->r.decision = 1;
    s->scores[0] = 0.25 + number;
    s->scores[1] = 1.0 / 3;
    s->r.scores = s->scores;
    s->r.n_scores = 2;
    s->lookups[0] = LOOKUP_NOT_FOUND;
    s->r.lookups = s->lookups;
    s->r.n_lookups = 1;
    s->values[0] = (struct value){VAL_STR, {.s = STR("ORD")}};
    s->values[1] = (struct value){VAL_INT, {.i = -(int64_t)number}};
    s->values[2] = (struct value){VAL_FLOAT, {.f = 0.1}};
    s->values[3] = (struct value){.type = VAL_NULL};
    s->r.values = s->values;
    s->r.n_values = 4;
    s->row[0] = (float)number;
    s->row[1] = 1.5f;
    s->r.row_values = s->row;
    s->r.n_row = 3;
}

static inline uint32_t sample_number(const struct prediction_record *r)
{
    uint32_t n;
    memcpy(&n, r->id + 12, sizeof n);
    return n;
}

#endif
