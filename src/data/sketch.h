/* Private to data/: what a profile is merged from when files are added to a source.
 *
 *   {COLUMN: {"q": values at every hundredth (numbers), "theta": share of all hashes kept, "hashes": those of the column's
 *             distinct values below it, ascending, "counts": [{"n","value"}] of every value, where there are few}}
 *
 * Two sketches of the same column make one: counts and nulls add up, distinct values are estimated from the hashes that both
 * kept (theta sketch; Dasgupta, Lang, Rhodes, Thaler 2016), quantiles from the mixture of the two distributions, each
 * linear between its hundredths. A merged quantile is off by at most one hundredth more; after SKETCH_MERGES_MAX merges
 * everything is read again. */
#ifndef PAWL_DATA_SKETCH_H
#define PAWL_DATA_SKETCH_H

#include "data/profile.h"

#define SKETCH_Q_MAX      100
#define SKETCH_HASHES     256 /* relative error of a distinct count: 1/16 */
#define SKETCH_HASH_END   9223372036854775808.0
#define SKETCH_MERGES_MAX 32
#define SKETCH_TOP_N      20
#define SKETCH_FEW        1000

/* list: SKETCH_Q_MAX + 1 numbers; the profile's quantiles are some of them. */
void sketch_set_quantiles(struct arena *a, struct json *profile, struct json *sketch,
                          struct json *list);
/* counts in descending order; the profile's `top` are the first. */
void sketch_set_counts(struct arena *a, struct json *profile, struct json *sketch,
                       struct json *counts);

/* One set of rows as data.profile answers: rows, profile, time, known_at, and sketches. */
struct profiled {
    const struct json *doc, *sketches;
};
/* old with the rows of `added`: {"rows","time","known_at","profile","sketches"}; NULL when it cannot be merged. */
struct json *profile_merge(const struct profiled *old, const struct profiled *added,
                           struct arena *a);

#endif
