/* Predictions against the training library, bit for bit: objectives, classes, DART, forests, categories,
 * missing values, infinities; JSON and UBJSON. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "model/tree_model.h"
#include "oracle.h"

#define N_ROWS     1500
#define N_TEST     600
#define N_FEATURES 7

struct data {
    float rows[N_ROWS * N_FEATURES], labels[N_ROWS];
    float test[N_TEST * N_FEATURES];
};

enum label_kind { LABEL_BINARY, LABEL_CLASS3, LABEL_REAL, LABEL_COUNT };

static float cell(struct rng *r, bool is_category, bool may_be_odd)
{
    if (rng_below(r, 8) == 0)
        return NAN;
    if (is_category) {
        if (may_be_odd && rng_below(r, 6) == 0) {
            static const float ODD[] = {-1.0f, 40.0f, 1000.0f, 3.5f, 2.0e7f, -0.25f};
            return ODD[rng_below(r, 6)];
        }
        return (float)rng_below(r, 12);
    }
    if (may_be_odd && rng_below(r, 40) == 0)
        return rng_below(r, 2) ? 3.0e38f : -3.0e38f;
    return (float)(rng_normal(r) * 3.0);
}

static float label(struct rng *r, const float *x, enum label_kind kind)
{
    double z = 0;
    for (size_t i = 0; i < N_FEATURES; i++)
        z += isnan(x[i]) ? 0.7 : sin((double)x[i] * (double)(i + 1));
    z += rng_normal(r);
    switch (kind) {
    case LABEL_BINARY:
        return z > 0.5 ? 1.0f : 0.0f;
    case LABEL_CLASS3:
        return z < -1 ? 0.0f : z < 1 ? 1.0f : 2.0f;
    case LABEL_COUNT:
        return (float)floor(fabs(z) + 0.5) + 1.0f;
    case LABEL_REAL:
        break;
    }
    return (float)z;
}

static struct data *make_data(const char *types, enum label_kind kind, uint64_t seed)
{
    struct data *d = malloc(sizeof *d);
    struct rng r;
    rng_init(&r, seed);
    for (size_t i = 0; i < N_ROWS * N_FEATURES; i++)
        d->rows[i] = cell(&r, types && types[i % N_FEATURES] == 'c', false);
    for (size_t i = 0; i < N_TEST * N_FEATURES; i++)
        d->test[i] = cell(&r, types && types[i % N_FEATURES] == 'c', true);
    for (size_t i = 0; i < N_ROWS; i++)
        d->labels[i] = label(&r, d->rows + i * N_FEATURES, kind);
    return d;
}

static struct tree_model *read_model(struct str text)
{
    struct tree_model *m = NULL;
    struct err err = ERR_INIT;
    if (tree_model_read(text, &m, &err) != ERR_OK)
        fail_msg("%s", err.msg);
    return m;
}

static void same_floats(const char *what, const float *want, const float *got, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&want[i], &got[i], sizeof *want) != 0)
            fail_msg("%s: value %zu is %.9g, the library says %.9g", what, i, (double)got[i],
                     (double)want[i]);
    }
}

/* All rows at once, then row by row: margins and scores. */
static void compare(struct oracle *o, const struct tree_model *m, const float *rows,
                    bool is_in_place, bool has_scores)
{
    size_t n_out = tree_model_n_outputs(m), n;
    float *got = malloc(N_TEST * n_out * sizeof *got);
    float *scratch = malloc(tree_model_scratch_floats(m) * sizeof *scratch);
    const float *want = oracle_predict(o, rows, N_TEST, true, is_in_place, &n);
    assert_int_equal(n, N_TEST * n_out);
    tree_model_margin(m, rows, N_TEST, scratch, got);
    same_floats("margin of a batch", want, got, n);
    for (size_t r = 0; r < N_TEST; r++)
        tree_model_margin(m, rows + r * N_FEATURES, 1, scratch, got + r * n_out);
    same_floats("margin of a row", want, got, n);
    if (has_scores) {
        want = oracle_predict(o, rows, N_TEST, false, is_in_place, &n);
        assert_int_equal(n, N_TEST * n_out);
        tree_model_predict(m, rows, N_TEST, scratch, got);
        same_floats("score", want, got, n);
    }
    free(got);
    free(scratch);
}

struct variant {
    const char *name;
    enum label_kind kind;
    const char *types;
    bool has_scores; /* the library's answer is our score (not for multi:softmax) */
    const char *params[17];
};

static const struct variant VARIANTS[] = {
    {"logistic", LABEL_BINARY, NULL, true, {"objective", "binary:logistic", "max_depth", "6"}},
    {"logistic with a base score",
     LABEL_BINARY,
     NULL,
     true,
     {"objective", "binary:logistic", "base_score", "0.2", "eta", "0.05"}},
    {"logitraw", LABEL_BINARY, NULL, true, {"objective", "binary:logitraw", "base_score", "0.3"}},
    {"hinge", LABEL_BINARY, NULL, true, {"objective", "binary:hinge"}},
    {"reg:logistic", LABEL_BINARY, NULL, true, {"objective", "reg:logistic"}},
    {"softprob", LABEL_CLASS3, NULL, true, {"objective", "multi:softprob", "num_class", "3"}},
    {"softmax", LABEL_CLASS3, NULL, false, {"objective", "multi:softmax", "num_class", "3"}},
    {"squared error",
     LABEL_REAL,
     NULL,
     true,
     {"objective", "reg:squarederror", "base_score", "-1.25"}},
    {"absolute error", LABEL_REAL, NULL, true, {"objective", "reg:absoluteerror"}},
    {"pseudo-Huber", LABEL_REAL, NULL, true, {"objective", "reg:pseudohubererror"}},
    {"squared log error", LABEL_COUNT, NULL, true, {"objective", "reg:squaredlogerror"}},
    {"poisson", LABEL_COUNT, NULL, true, {"objective", "count:poisson"}},
    {"gamma", LABEL_COUNT, NULL, true, {"objective", "reg:gamma", "base_score", "2"}},
    {"tweedie", LABEL_COUNT, NULL, true, {"objective", "reg:tweedie"}},
    {"cox", LABEL_COUNT, NULL, true, {"objective", "survival:cox"}},
    {"rank", LABEL_BINARY, NULL, true, {"objective", "rank:pairwise"}},
    {"dart",
     LABEL_BINARY,
     NULL,
     true,
     {"objective", "binary:logistic", "booster", "dart", "rate_drop", "0.3", "one_drop", "1"}},
    {"dart of classes",
     LABEL_CLASS3,
     NULL,
     true,
     {"objective", "multi:softprob", "num_class", "3", "booster", "dart", "rate_drop", "0.3"}},
    {"forest",
     LABEL_BINARY,
     NULL,
     true,
     {"objective", "binary:logistic", "num_parallel_tree", "5", "subsample", "0.7", "seed", "3"}},
    {"forest of classes",
     LABEL_CLASS3,
     NULL,
     true,
     {"objective", "multi:softprob", "num_class", "3", "num_parallel_tree", "3", "subsample",
      "0.7"}},
    {"lossguide, deep and lopsided",
     LABEL_REAL,
     NULL,
     true,
     {"objective", "reg:squarederror", "tree_method", "hist", "grow_policy", "lossguide",
      "max_leaves", "90", "max_depth", "0"}},
    {"pruned",
     LABEL_BINARY,
     NULL,
     true,
     {"objective", "binary:logistic", "tree_method", "exact", "gamma", "2", "max_depth", "8"}},
    {"categories in sets",
     LABEL_BINARY,
     "qcqcqcq",
     true,
     {"objective", "binary:logistic", "tree_method", "hist", "max_cat_to_onehot", "1"}},
    {"categories one by one",
     LABEL_CLASS3,
     "cqqqccq",
     true,
     {"objective", "multi:softprob", "num_class", "3", "tree_method", "approx", "max_cat_to_onehot",
      "100"}},
};

static void test_variants(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof VARIANTS / sizeof VARIANTS[0]; i++) {
        const struct variant *v = &VARIANTS[i];
        print_message("# %s\n", v->name);
        struct data *d = make_data(v->types, v->kind, i + 1);
        struct oracle *o = oracle_train(&(struct oracle_case){.params = v->params,
                                                              .feature_types = v->types,
                                                              .n_rows = N_ROWS,
                                                              .n_features = N_FEATURES,
                                                              .rows = d->rows,
                                                              .labels = d->labels,
                                                              .n_rounds = 21});
        static const char *const FORMATS[] = {"json", "ubj"};
        for (size_t f = 0; f < 2; f++) {
            struct tree_model *m = read_model(oracle_save(o, FORMATS[f]));
            compare(o, m, d->test, false, v->has_scores);
            tree_model_free(m);
        }
        oracle_free(o);
        free(d);
    }
}

/* The library's matrix refuses infinities, its in-place call takes them. */
static void test_infinities(void **state)
{
    (void)state;
    struct data *d = make_data(NULL, LABEL_BINARY, 99);
    static const char *const PARAMS[] = {"objective", "binary:logistic", NULL};
    struct oracle *o = oracle_train(&(struct oracle_case){.params = PARAMS,
                                                          .n_rows = N_ROWS,
                                                          .n_features = N_FEATURES,
                                                          .rows = d->rows,
                                                          .labels = d->labels,
                                                          .n_rounds = 20});
    for (size_t i = 0; i < N_TEST * N_FEATURES; i += 5)
        d->test[i] = i % 2 ? INFINITY : -INFINITY;
    struct tree_model *m = read_model(oracle_save(o, "json"));
    compare(o, m, d->test, true, true);
    tree_model_free(m);
    oracle_free(o);
    free(d);
}

/* UBJSON with bytes changed and cut short: read or refused, never worse. */
static void test_damaged_ubjson(void **state)
{
    (void)state;
    struct data *d = make_data("cqqqccq", LABEL_CLASS3, 7);
    static const char *const PARAMS[] = {
        "objective", "multi:softprob", "num_class", "3", "max_depth", "3", NULL};
    struct oracle *o = oracle_train(&(struct oracle_case){.params = PARAMS,
                                                          .feature_types = "cqqqccq",
                                                          .n_rows = N_ROWS,
                                                          .n_features = N_FEATURES,
                                                          .rows = d->rows,
                                                          .labels = d->labels,
                                                          .n_rounds = 2});
    struct str good = oracle_save(o, "ubj");
    struct rng rng;
    rng_init(&rng, 3);
    char *text = malloc(good.n + 1);
    for (int i = 0; i < 4000; i++) {
        struct tree_model *m = NULL;
        size_t n = i % 4 ? good.n : rng_below(&rng, good.n);
        memcpy(text, good.p, good.n);
        text[n] = '\0';
        for (uint64_t k = rng_below(&rng, 3); n && k-- > 0;)
            text[rng_below(&rng, n)] = (char)rng_below(&rng, 256);
        if (tree_model_read(str_n(text, n), &m, NULL) == ERR_OK &&
            tree_model_n_inputs(m) <= N_FEATURES) {
            float *scratch = malloc(tree_model_scratch_floats(m) * sizeof *scratch);
            float *out = malloc((tree_model_n_outputs(m) + 1) * sizeof *out);
            tree_model_predict(m, d->test, 1, scratch, out);
            free(scratch);
            free(out);
        }
        tree_model_free(m);
    }
    free(text);
    oracle_free(o);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_infinities),
        cmocka_unit_test(test_damaged_ubjson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
