/* The training set (`dataset`): rows, label, the point-in-time join, splits, benchmark.
 *
 *   dataset:
 *     rows: flights                 # a source, or { sql: "SELECT …", time: column }
 *     label: delay > 15             # SQL expression over the row; or
 *                                   # { source: events, key: customer_id, within: 90d }: is there a
 *                                   # row of it for the key in (time, time + within]?
 *     label_after: 13h
 *     features: [{ view: airport_hour, key: { airport: origin }, as: at_origin },
 *                request.*, distance, origin]
 *     split: { by: time, train: 59d, validation: 7d, test: 7d }
 *         or { by: group, group: customer_id, validation: 10%, test: 10% }
 *     benchmark: { hold_out: 10%, by: day, seed: 1, refresh: 90d }
 *     sample: 20%                   # of all rows, by a hash of the row's ordinal; or
 *                                   # { train: 20%, validation: 50% }
 *     protected: { age_band: { source: customers, key: customer_id } }   # for slices only
 *
 * The file that features.dataset writes: the columns of the rows source without those the label
 * reads, "view.column" columns ("at_origin.column" with `as`), and __label DOUBLE, __time,
 * __known_at TIMESTAMP (when the label is known), __row BIGINT, __split VARCHAR, __day DATE;
 * ordered by __row.
 *
 * Join: of a view's rows with equal keys, time <= row time, known_at <= row time and time >= row
 * time - ttl (both ends inclusive) the newest by (time, known_at, order in the view); none: nulls.
 * A null key or null time matches nothing. The order in the view decides only between rows equal in
 * key, time and known_at; then the view is sorted by all its columns, so that it decides alike. */
#ifndef PAWL_FEATURES_DATASET_H
#define PAWL_FEATURES_DATASET_H

#include "features/view.h"

enum dataset_feature_kind {
    DATASET_VIEW,
    DATASET_ROW_VIEW,
    DATASET_COLUMN,
    DATASET_FEATURE_KIND_N
};

struct dataset_feature {
    enum dataset_feature_kind kind;
    struct str view;    /* DATASET_VIEW, DATASET_ROW_VIEW */
    struct str column;  /* one column of it, or the bare column; empty: all (view.*) */
    struct str as;      /* DATASET_VIEW: prefix of its columns; the view's name by default */
    struct str *entity; /* DATASET_VIEW: entity[i] of the view is looked up by column from[i] */
    struct str *from;
    size_t n_keys;
    struct str *columns; /* DATASET_VIEW with columns: [..]; n 0: all */
    size_t n_columns;
    const struct cfg_node *node;
};

enum split_by { SPLIT_TIME, SPLIT_GROUP, SPLIT_NONE, SPLIT_BY_N };
enum dataset_split { DS_TRAIN, DS_VALIDATION, DS_TEST, DS_BENCHMARK, DS_SPLIT_N };

struct dataset_spec {
    struct str rows; /* source name; empty when rows_sql is given */
    struct str rows_sql;
    struct str rows_time; /* time column of rows_sql */
    struct str label;     /* expression; empty: none or label_source */
    struct str label_source, label_key;
    int64_t label_within_us;
    int64_t label_after_us; /* 0 by default */
    struct dataset_feature *features;
    size_t n_features;
    enum split_by split_by;
    struct str group;
    int64_t train_us, validation_us, test_us; /* by time; train -1: all */
    double validation_share, test_share;      /* by group */
    double hold_out;                          /* benchmark; 0: none */
    int64_t benchmark_seed, refresh_us;
    double sample[DS_SPLIT_N];   /* 1: all */
    struct json *protected_spec; /* {name: {source, key}}: joined for slices only; NULL */
    const struct cfg_node *node;
};

void dataset_spec_decode(const struct cfg_node *section, const struct sources_spec *sources,
                         const struct features_spec *views, struct arena *a,
                         struct dataset_spec *ret, struct cfg_problems *ps);
struct json *dataset_spec_json(const struct dataset_spec *d, struct arena *a);
const char *dataset_split_name(enum dataset_split s); /* "train" … */

struct dataset_order {
    const struct dataset_spec *dataset;
    const struct features_spec *views;
    const struct json *bindings; /* every source used by rows, label and views (data_binding) */
    const struct json *
        view_files; /* {"view": ret of view_build}: views computed already, as of the same time; NULL */
    int64_t
        as_of_us; /* only rows, features and labels known then; AT_US_NONE: everything there is */
    int64_t
        benchmark_until_us; /* days from here on are held out, not yet in the benchmark; AT_US_NONE: all are in */
    const char *out_path; /* the Parquet file to write */
};

/* Builds the data set in a child.
 * ret  {"path","digest" (typed rows),"rows","bytes","splits":{"train":{"rows","from","to","label_mean"},…},
 *       "dropped":{"label_unknown","label_null","gap","benchmark_gap","later_benchmark","outside","sampled_out","no_time"},
 *       "benchmark_days":[DATE…],"views":[{"name","version","rows","matched"}],"columns":[{"name","type"}],
 *       "label":{"type","columns":[…],"classes":[…]|absent},"as_of","duration_ms"} */
enum err_code dataset_build(const struct data_env *env, const struct dataset_order *o,
                            struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

/* Static leakage: a column that the label reads is no feature, no lookup key, no input of a row view. Findings go to `ps`.
 * label_columns: names as table_names_used gives them (op features.names, or dataset_label_columns). */
enum err_code dataset_check_static(const struct dataset_spec *d, const struct features_spec *views,
                                   const struct json *label_columns, struct arena *a,
                                   struct cfg_problems *ps, struct err *err) MUST_CHECK;
/* Columns that the label expression reads, [names]; in a child. */
enum err_code dataset_label_columns(const struct data_env *env, const struct dataset_spec *d,
                                    struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

struct join_order {
    const struct features_spec *views;
    const struct json *bindings;
    const char
        *rows_path; /* CSV, Parquet, JSON Lines with a time column and the views' entity columns */
    struct str time_column;
    const struct json *wanted; /* ["view.column", "view.*"] */
    const struct json *keys;   /* {"view": {"entity": "column"}} where the names differ; NULL */
    const char *out_path;      /* Parquet; CSV or JSON Lines by its ending */
};

/* Joins features to rows of any file: `pawl features join`. ret {"path","rows","views":[…],"columns":[…]} */
enum err_code features_join(const struct data_env *env, const struct join_order *o, struct arena *a,
                            struct json **ret, struct err *err) MUST_CHECK;

#endif
