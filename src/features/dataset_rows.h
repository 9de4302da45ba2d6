/* Private to features/, in the child: the rows of a data set, narrow: ordinal, time, label, keys, split. */
#ifndef PAWL_FEATURES_DATASET_ROWS_H
#define PAWL_FEATURES_DATASET_ROWS_H

#include "features/dataset.h"
#include "features/pit_join.h"

struct dataset_work {
    struct fsession *fs;
    const struct json *spec; /* dataset_spec_json */
    struct pit_join join;
    struct str rows_table; /* what the wide columns are fetched from, by __row */
    struct str time;
    int64_t gap_us, as_of_us, until_us;
    const char *label_type;      /* "bool" … */
    struct json *label_columns;  /* texts */
    struct json *classes;        /* of a text label; NULL */
    int64_t min_us, max_us;      /* of the rows' times */
    struct json *benchmark_days; /* texts */
    struct json *dropped;        /* {reason: rows} */
    struct json *splits;
    int64_t n_rows;
};

/* Table __all (__row, __t, __known_at, __label, key columns): every row with what is known of its label. */
enum err_code dataset_rows(struct dataset_work *d, struct err *err) MUST_CHECK;
/* Table __rows: the rows that stay, with __split; counts of the others in d->dropped. */
enum err_code dataset_split_rows(struct dataset_work *d, struct err *err) MUST_CHECK;
/* Is this day held out? The same answer for ever: a hash of the day and the seed. */
bool dataset_is_benchmark_day(int64_t day, double hold_out, int64_t seed);

#endif
