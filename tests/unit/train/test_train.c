/* The train section, and XGBoost itself: two trainings with the same inputs give the same bytes, another seed other ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "test.h"
#include "train/train.h"
#include "train/train_xgboost.h"

static const struct cfg_node *yaml(struct arena *a, const char *text, struct cfg_problems *ps)
{
    struct cfg_node *root = NULL;
    struct err err = ERR_INIT;
    cfg_problems_init(ps, a);
    ASSERT_OK(cfg_read(str_c(text), "pawl.yaml", a, &root, ps, &err), &err);
    return root;
}

static void decodes_the_section(void **state)
{
    struct arena a;
    struct cfg_problems ps;
    struct train_spec s;
    (void)state;
    arena_init(&a, 1 << 22);
    const struct cfg_node *root = yaml(&a,
                                       "task: regression\ntrain:\n  engine: xgboost\n  params: { "
                                       "max_depth: 3, eta: 0.3, rounds: 50 }\n"
                                       "  seed: 9\n  sample: 50%\n",
                                       &ps);
    assert_true(train_spec_decode(cfg_get(root, "train"), root, &a, &s, &ps));
    assert_int_equal(s.engine, TRAIN_XGBOOST);
    assert_int_equal(s.task, TRAIN_REGRESSION);
    assert_int_equal(s.rounds, 50);
    assert_int_equal(s.seed, 9);
    assert_true(s.sample == 0.5);
    assert_int_equal(json_len(s.params), 2); /* rounds is ours, not the library's */
    assert_string_equal(json_get_c(train_spec_params(&s, &a), "eta"), "0.3");
    arena_fini(&a);
}

static void refuses_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *says;
    } CASES[] = {
        {"train: { engine: xgboost, params: { max_dept: 6 } }", "max_depth"},
        {"train: { engine: xgboost, params: { max_depth: six } }", "max_depth"},
        {"train: { engine: xgboost, params: { subsample: 1.5 } }", "subsample"},
        {"train: { engine: xgbost }", "xgboost"},
        {"train: { engine: xgboost, run: python t.py }", "both"},
        {"train: { seed: 1 }", "needs engine"},
        {"train: { engine: xgboost, sample: 0% }", "above 0"},
        {"train: { engine: xgboost, seed: 1, params: { seed: 2 } }", "keep one"},
        {"train: { run: \"\" }", "empty"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct arena a;
        struct cfg_problems ps;
        struct train_spec s;
        arena_init(&a, 1 << 22);
        const struct cfg_node *root = yaml(&a, CASES[i].text, &ps);
        assert_false(train_spec_decode(cfg_get(root, "train"), root, &a, &s, &ps));
        assert_true(ps.n_errors > 0);
        if (strstr(ps.p[0].text, CASES[i].says) == NULL)
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, ps.p[0].text, CASES[i].says);
        assert_int_equal(ps.p[0].line, 1);
        arena_fini(&a);
    }
}

/* ---- the library ---- */

enum { ROWS = 2000, COLS = 4 };

/* Column 3 is a category; the label depends on columns 0 and 3. */
static void make_rows(float *x, float *y, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t c = 0; c < 3; c++)
            x[i * COLS + c] = rng_below(&r, 20) == 0 ? NAN : (float)rng_f64(&r);
        x[i * COLS + 3] = (float)rng_below(&r, 8);
        double z = 3.0 * (double)(isnan(x[i * COLS]) ? 0.5F : x[i * COLS]) - 1.5 +
                   (x[i * COLS + 3] > 5 ? 1 : -0.5);
        y[i] = rng_f64(&r) < 1 / (1 + exp(-z)) ? 1 : 0;
    }
}

struct trained {
    struct digest model;
    int64_t rounds, kept;
    double first_loss, best_loss;
};

struct watch {
    int64_t n;
    double first, best;
};

static enum err_code on_round(void *arg, int64_t round, const struct xgb_metrics *m,
                              struct err *err)
{
    struct watch *w = arg;
    (void)err;
    assert_int_equal(round, w->n++);
    assert_int_equal(m->n, 4); /* auc and logloss of both */
    double loss = m->p[m->n - 1].value;
    assert_string_equal(m->p[m->n - 1].key, "validation-logloss");
    w->first = round == 0 ? loss : w->first;
    w->best = round == 0 || loss < w->best ? loss : w->best;
    return ERR_OK;
}

static const struct xgb_feature FEATURES[COLS] = {
    {"a", false}, {"b", false}, {"c", false}, {"kind", true}};

static void train_once(int64_t seed, int64_t stop, struct trained *ret, struct arena *a)
{
    const struct xgb *x = NULL;
    struct err err = ERR_INIT;
    float *values = malloc(sizeof(float) * ROWS * COLS), *labels = malloc(sizeof(float) * ROWS);
    struct xgb_matrix *train = NULL, *validation = NULL;
    struct boost_result res;
    struct watch w = {0};
    struct json *params = json_obj(a);
    struct str text;
    (void)json_set(a, params, "subsample", json_num(a, 0.8));
    (void)json_set(a, params, "max_depth", json_int(a, 3));
    ASSERT_OK(xgb_open(&x, &err), &err);
    struct xgb_table t = {.values = values,
                          .n_rows = ROWS,
                          .n_features = COLS,
                          .features = FEATURES,
                          .labels = labels,
                          .threads = 2};
    make_rows(values, labels, 1);
    ASSERT_OK(xgb_matrix_new(x, &t, &train, &err), &err);
    make_rows(values, labels, 2);
    ASSERT_OK(xgb_matrix_new(x, &t, &validation, &err), &err);
    struct boost_order o = {.task = "binary",
                            .params = params,
                            .rounds = stop > 0 ? 300 : 12,
                            .early_stopping = stop,
                            .seed = seed,
                            .threads = 2,
                            .features = FEATURES,
                            .n_features = COLS,
                            .on_round = on_round,
                            .arg = &w};
    ASSERT_OK(boost(x, &o, train, validation, &res, &err), &err);
    ASSERT_OK(xgb_save_json(res.model, a, &text, &err), &err);
    digest_of(text.p, text.n, &ret->model);
    *ret = (struct trained){ret->model, res.rounds, res.kept, w.first, w.best};
    /* The cut model has its names, so that importances find them; noise matters least. */
    struct xgb_importance *imp = NULL;
    ASSERT_OK(xgb_importance(res.model, FEATURES, COLS, a, &imp, &err), &err);
    assert_true(imp[0].total > imp[1].total && imp[3].total > imp[2].total);
    const float *scores = NULL;
    size_t n = 0;
    ASSERT_OK(xgb_predict(res.model, validation, a, &scores, &n, &err), &err);
    assert_int_equal(n, ROWS);
    xgb_model_free(res.model);
    xgb_matrix_free(train);
    xgb_matrix_free(validation);
    free(values);
    free(labels);
}

static void trains_the_same_twice(void **state)
{
    struct arena a;
    struct trained one, two, other;
    (void)state;
    arena_init(&a, 1 << 28);
    train_once(7, 10, &one, &a);
    train_once(7, 10, &two, &a);
    train_once(8, 10, &other, &a);
    assert_int_equal(digest_cmp(&one.model, &two.model), 0);
    assert_true(digest_cmp(&one.model, &other.model) != 0);
    assert_true(one.rounds < 300);               /* it stopped */
    assert_int_equal(one.kept, one.rounds - 10); /* at the best round */
    assert_true(one.best_loss < one.first_loss);
    train_once(7, 0, &other, &a); /* uncut: names are kept as well */
    assert_int_equal(other.kept, 12);
    arena_fini(&a);
}

static void says_what_the_library_says(void **state)
{
    const struct xgb *x = NULL;
    struct err err = ERR_INIT;
    struct arena a;
    float values[COLS] = {1, 2, 3, 1}, label = 1;
    struct xgb_matrix *m = NULL;
    struct boost_result res;
    (void)state;
    arena_init(&a, 1 << 20);
    ASSERT_OK(xgb_open(&x, &err), &err);
    struct xgb_table t = {values, 1, COLS, FEATURES, &label, 1};
    ASSERT_OK(xgb_matrix_new(x, &t, &m, &err), &err);
    struct json *params = json_set(&a, json_obj(&a), "objective", json_cstr(&a, "binary:wrong"));
    struct boost_order o = {.task = "binary",
                            .params = params,
                            .rounds = 1,
                            .threads = 1,
                            .features = FEATURES,
                            .n_features = COLS};
    assert_int_equal(boost(x, &o, m, NULL, &res, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "binary:wrong"));
    assert_null(strchr(err.msg, '\n'));
    xgb_matrix_free(m);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_the_section),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(trains_the_same_twice),
        cmocka_unit_test(says_what_the_library_says),
    };
    return RUN_TESTS(tests);
}
