/* Leakage and split checks: is the training set what it claims to be?
 *
 * On a written data set (features/dataset.h): rows shared by two splits, one feature alone that
 * predicts the label too well, values known after their row, order and gap of the splits, a split
 * that shifted. On views: does a value at time <= T change when only source rows known by T are
 * used? Then it knows the future. Each finding names columns and rows. Report:
 *   {"verdict":"pass|warn|fail","checks":[{"name","verdict":"pass|fail|warn|no_evidence","observed","limit","message",
 *    "columns":[…]}]} */
#ifndef PAWL_VALIDATE_LEAKAGE_H
#define PAWL_VALIDATE_LEAKAGE_H

#include "data/version.h"

struct leakage_limits {
    double auc_max; /* univariate AUC (folded at 0.5) of one feature on the training split; default
                       0.98 */
    double shared_max; /* share of test rows that are also in train; default 0.05 */
    double shift_psi;  /* label or feature shift between train and validation to warn at; default
                          0.25 */
};
#define LEAKAGE_LIMITS_DEFAULT                                                                     \
    {                                                                                              \
        0.98, 0.05, 0.25                                                                           \
    }

struct leakage_order {
    const char *dataset_path;
    const char *const *features; /* names of the columns that the model reads */
    size_t n_features;
    int64_t gap_us; /* label_after */
    struct leakage_limits limits;
};

/* In a child on a dataset Parquet file. */
enum err_code leakage_check_dataset(const struct data_env *env, const struct leakage_order *o,
                                    struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

#endif
