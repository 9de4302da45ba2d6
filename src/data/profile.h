/* Private to data/ and validate/: the shape of a profile. */
#ifndef PAWL_DATA_PROFILE_H
#define PAWL_DATA_PROFILE_H

#include "table/table.h"
#include "json/json.h"

/* profile.COLUMN.quantiles are the values at these shares. */
#define PROFILE_N_QUANTILES 17
extern const double PROFILE_QUANTILES[PROFILE_N_QUANTILES];

/* A value as the JSON that documents show; NULL for null. */
struct json *profile_value_json(struct arena *a, const struct value *v);

/* Population stability index of two profiles of one column, from their quantiles (numbers) or frequent values (others), in
 * nats; -1 when either has not what it takes. Bins: the old version's quantiles at 0.1 .. 0.9, the new one's shares of them by
 * linear interpolation between its own quantiles. */
double profile_psi(const struct json *old_column, int64_t old_rows, const struct json *new_column,
                   int64_t new_rows);

#endif
