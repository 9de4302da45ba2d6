/* Private to evaluate/: rows, models and slices of one evaluation, all in one arena. */
#ifndef PAWL_EVALUATE_EVAL_INT_H
#define PAWL_EVALUATE_EVAL_INT_H

#include "engine/engine.h"
#include "evaluate/spec.h"
#include "features/plan.h"
#include "job/worker.h"
#include "stats/interval.h"
#include "table/table.h"

#define EVAL_BYTES_MAX   ((size_t)16 << 30) /* address space; pages are taken as rows come */
#define EVAL_MODELS_MAX  8
#define EVAL_SLICES_MAX  64   /* slice definitions */
#define EVAL_VALUES_MAX  1000 /* values of one slice */
#define EVAL_NUMERIC_MAX 64   /* distinct numbers of a column before it is cut into quartiles */
#define EVAL_NONE        UINT32_MAX

/* Some rows of a data set, in order. */
struct eval_rows {
    const struct column *cols;
    size_t n_cols, n;
    const double *label;    /* NULL: none */
    const int64_t *time;    /* NULL: none */
    const int64_t *ordinal; /* __row; NULL: none */
    const struct column *split;
};

struct eval_model {
    const char *name, *id, *dir;
    struct plan *plan; /* NULL for a baseline */
    struct engine *engine;
    size_t n_outputs;
    float *matrix; /* n x plan_n_inputs */
    struct column *row_features;
    size_t n_row_features;
    double *score; /* n x n_outputs */
    double threshold;
    const char *threshold_how;
    int64_t size_bytes;
    struct eval_rows rows; /* its own data set's, or the common ones */
    const char *error;     /* sentence: it could not be scored */
};

struct eval_subset {
    const uint32_t *row; /* ascending */
    size_t n;
};

struct eval_slice {
    struct str name;
    const char **values;
    size_t n_values;
    uint32_t *value_of; /* by row: index in values or EVAL_NONE */
    uint32_t *rows;     /* rows of the benchmark, those of one value after the other, ascending */
    size_t *from;       /* n_values + 1: where each value's rows start */
};

struct eval {
    struct arena arena;
    struct table *table;
    struct evaluate_spec spec;
    struct eval_rows rows;
    size_t n_classes;
    struct eval_model models[EVAL_MODELS_MAX];
    size_t n_models;
    struct eval_slice slices[EVAL_SLICES_MAX];
    size_t n_slices;
    const char *benchmark; /* name of the split that is compared on */
    struct eval_subset benchmark_rows;
    uint32_t *entity, *day; /* block numbers by row; NULL: none */
    size_t n_entities, n_days;
    uint64_t seed;
    size_t n_resamples;
    struct worker *worker; /* for progress; NULL in tests */
    struct arena *out;     /* where the answer lives */
};

/* ---- rows (eval_rows.c) ---- */
/* SELECT * over a file (Parquet, CSV, JSON Lines by name), with `tail` behind FROM. */
enum err_code eval_rows_load(struct eval *e, const char *path, const char *tail,
                             struct eval_rows *ret, struct err *err) MUST_CHECK;
const struct column *eval_column(const struct eval_rows *r, struct str name);
/* A column as doubles (NaN for null); NULL when it is no number or memory is out. */
double *eval_column_f64(const struct column *c, struct arena *a);
struct eval_subset eval_split_rows(const struct eval *e, const char *split); /* n 0: none */
/* A value as text: categories, slice values. NULL: no value. */
const char *eval_value_text(const struct value *v, struct arena *a);
enum err_code eval_blocks(struct eval *e, struct err *err) MUST_CHECK;

/* ---- models (eval_model.c) ---- */
enum err_code eval_model_open(struct eval *e, struct eval_model *m, struct err *err) MUST_CHECK;
void eval_model_close(struct eval_model *m);
/* Matrix, row features and scores of all its rows. */
enum err_code eval_model_score(struct eval *e, struct eval_model *m, struct err *err) MUST_CHECK;
/* Chooses m->threshold by the spec. */
enum err_code eval_model_threshold(struct eval *e, struct eval_model *m,
                                   struct err *err) MUST_CHECK;
struct metric_rows eval_metric_rows(const struct eval *e, const struct eval_model *m,
                                    const struct eval_subset *s, struct arena *a);
int64_t eval_dir_bytes(const char *dir, struct arena *a);

/* ---- one row through plan and engine, as serving does it (eval_single.c) ---- */
struct eval_single {
    const struct eval_model *model;
    struct plan_scratch *scratch;
    float *row, *engine_scratch, *out;
    struct value *values;          /* settable slots */
    const struct column **columns; /* of the data set, by settable slot; NULL: absent */
};
enum err_code eval_single_open(struct eval_single *s, const struct eval_model *m,
                               const struct eval_rows *rows, struct arena *a,
                               struct err *err) MUST_CHECK;
void eval_single_close(struct eval_single *s);
void eval_single_take(struct eval_single *s, size_t row); /* values of a row of the data set */
/* Scores s->values; *ret points into s. */
enum err_code eval_single_score(struct eval_single *s, int64_t at_us, const float **ret,
                                struct err *err) MUST_CHECK;
struct json *eval_latency_json(struct eval *e, const struct eval_model *m, int64_t n_calls);

/* ---- slices (eval_slice.c) ---- */
enum err_code eval_slice_get(struct eval *e, struct str name, const struct eval_slice **ret,
                             struct err *err) MUST_CHECK;
struct eval_subset eval_slice_rows(const struct eval_slice *s, size_t value);

/* ---- report (eval_report.c, eval_compare.c), cases (eval_cases.c), profile (eval_profile.c) ---- */
/* What is compared on which rows. */
struct eval_pair {
    enum metric_id metric;
    const struct eval_model *a, *b; /* b NULL: a alone */
    struct eval_subset rows;
    double confidence;
};
enum err_code eval_interval(struct eval *e, const struct eval_pair *p, struct interval *ret,
                            struct err *err) MUST_CHECK;
enum err_code eval_report(struct eval *e, const struct json *args, struct json **ret,
                          struct err *err) MUST_CHECK;
enum err_code eval_comparisons(struct eval *e, const struct json *gates, struct json **ret,
                               struct err *err) MUST_CHECK;
struct json *eval_cases(struct eval *e, const struct eval_model *m, const struct json *cases);
enum err_code eval_profile(struct eval *e, const struct json *args, struct json **ret,
                           struct err *err) MUST_CHECK;
enum err_code eval_regression(struct eval *e, const struct eval_model *m, int64_t n_rows,
                              struct json **ret, struct err *err) MUST_CHECK;

/* ---- the operations themselves (worker.c); w NULL: no progress; the answer lives in `a` ---- */
enum err_code eval_run(struct worker *w, const struct json *args, struct arena *a,
                       struct json **ret, struct err *err) MUST_CHECK;
enum err_code eval_profile_model(struct worker *w, const struct json *args, struct arena *a,
                                 struct json **ret, struct err *err) MUST_CHECK;

#endif
