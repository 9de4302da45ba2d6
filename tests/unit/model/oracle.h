/* The training library as an oracle: trains small models and predicts with them. */
#ifndef PAWL_TEST_MODEL_ORACLE_H
#define PAWL_TEST_MODEL_ORACLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct oracle;

struct oracle_case {
    const char *const *params; /* name, value, ..., NULL */
    const char *feature_types; /* one letter a feature: q number, c category; NULL: numbers */
    size_t n_rows, n_features;
    const float *rows, *labels;
    int n_rounds;
};

struct oracle *oracle_train(const struct oracle_case *c); /* fails the test on error */
void oracle_free(struct oracle *o);
/* Model file in "json" or "ubj"; valid until oracle_free. */
struct str oracle_save(struct oracle *o, const char *format);
/* One float per row and output; valid until the next call. is_in_place: the call that takes infinities. */
const float *oracle_predict(struct oracle *o, const float *rows, size_t n_rows, bool is_margin,
                            bool is_in_place, size_t *ret_n);

#endif
