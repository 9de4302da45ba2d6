/* Model files by hand: versions, forms of base_score, category sets, layouts of DART, and damaged files, each refused
 * with a sentence that names the place. Then every byte of a good file is damaged in turn: never a crash. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/doc.h"
#include "model/tree_model.h"
#include "test.h"

/* Three nodes: x1 < 0.5 left 1 (missing left) else -2; and a split by category of x0: {1, 33} right. */
#define TREE_NUMBER                                                                                \
    "{\"left_children\":[1,-1,-1],\"right_children\":[2,-1,-1],\"split_indices\":[1,0,0],"         \
    "\"split_conditions\":[5E-1,1,-2],\"default_left\":[true,false,false],\"loss_changes\":[3,0,"  \
    "0],"                                                                                          \
    "\"split_type\":[0,0,0],\"categories\":[],\"categories_nodes\":[],\"categories_segments\":[]," \
    "\"categories_sizes\":[],\"tree_param\":{\"num_nodes\":\"3\",\"size_leaf_vector\":\"1\"}}"
#define TREE_CATEGORY                                                                              \
    "{\"left_children\":[1,-1,-1],\"right_children\":[2,-1,-1],\"split_indices\":[0,0,0],"         \
    "\"split_conditions\":[NaN,4,8],\"default_left\":[0,0,0],\"loss_changes\":[1,0,0],"            \
    "\"split_type\":[1,0,0],\"categories\":[1,33],\"categories_nodes\":[0],\"categories_"          \
    "segments\":[0],"                                                                              \
    "\"categories_sizes\":[2],\"tree_param\":{\"num_nodes\":\"3\"}}"
#define GBTREE                                                                                     \
    "{\"model\":{\"gbtree_model_param\":{\"num_trees\":\"2\",\"num_parallel_tree\":\"1\"},\"tree_" \
    "info\":[0,0],"                                                                                \
    "\"trees\":[" TREE_NUMBER "," TREE_CATEGORY "]},\"name\":\"gbtree\"}"
#define FILE_OF(version, booster, base_score, objective)                                           \
    "{\"learner\":{\"attributes\":{\"best\\u0041\":\"\\\"1\\\"\"},\"feature_names\":[\"a\","       \
    "\"b\\u00e9\"],"                                                                               \
    "\"feature_types\":[\"c\",\"float\"],\"gradient_booster\":" booster                            \
    ",\"learner_model_param\":{\"base_score\":\"" base_score                                       \
    "\",\"num_class\":\"0\",\"num_feature\":\"2\",\"num_target\":\"1\"},\"objective\":{\"name\":"  \
    "\"" objective "\"}},\"version\":[" version "]}"
#define GOOD FILE_OF("1,7,4", GBTREE, "5E-1", "reg:squarederror")

static struct tree_model *read_ok(const char *text)
{
    struct tree_model *m = NULL;
    struct err err = ERR_INIT;
    ASSERT_OK(tree_model_read(str_c(text), &m, &err), &err);
    return m;
}

static float margin(const struct tree_model *m, float a, float b)
{
    float row[2] = {a, b}, scratch[4096], out;
    assert_true(tree_model_scratch_floats(m) <= 4096);
    tree_model_margin(m, row, 1, scratch, &out);
    return out;
}

static void expect_margin(const char *text, float a, float b, float want)
{
    struct tree_model *m = read_ok(text);
    float got = margin(m, a, b);
    if (got != want)
        fail_msg("margin %.9g, not %.9g", (double)got, (double)want);
    tree_model_free(m);
}

static void test_by_hand(void **state)
{
    (void)state;
    struct tree_model *m = read_ok(GOOD);
    assert_int_equal(tree_model_n_inputs(m), 2);
    assert_int_equal(tree_model_n_trees(m), 2);
    assert_int_equal(tree_model_n_outputs(m), 1);
    assert_int_equal(tree_model_task(m), TREE_REGRESSION);
    assert_string_equal(tree_model_version(m), "1.7.4");
    assert_string_equal(tree_model_format(m), "xgboost-json");
    assert_string_equal(tree_model_feature(m, 1)->name, "b\xc3\xa9");
    assert_true(tree_model_feature(m, 0)->is_category);
    assert_true(tree_model_feature(m, 1)->gain == 3.0);
    assert_true(margin(m, 1, 0.4f) == 0.5f + 1 + 8);
    assert_true(margin(m, 33, 0.5f) == 0.5f - 2 + 8);
    assert_true(margin(m, 2, NAN) == 0.5f + 1 + 4);
    assert_true(margin(m, -1, INFINITY) == 0.5f - 2 + 4);
    assert_true(margin(m, 1e9f, -INFINITY) == 0.5f + 1 + 4);
    assert_true(margin(m, NAN, 0) == 0.5f + 1 + 8); /* missing goes right */
    assert_true(margin(m, 1.9f, 0) == 0.5f + 1 + 8);
    tree_model_free(m);
}

static void test_versions(void **state)
{
    (void)state;
    expect_margin(FILE_OF("1,0,0", GBTREE, "0.5", "reg:squarederror"), 1, 0, 9.5f);
    expect_margin(FILE_OF("3,1,0", GBTREE, "[5E-1]", "reg:squarederror"), 1, 0, 9.5f);
    expect_margin(FILE_OF("3,4,1", GBTREE, "[-1.25E0]", "reg:squarederror"), 1, 0, 7.75f);
    expect_margin(FILE_OF("2,0,0", GBTREE, "2", "count:poisson"), 1, 0, logf(2) + 1 + 8);
    expect_margin(FILE_OF("2,0,0", GBTREE, "0.25", "binary:logistic"), 1, 0,
                  -logf(1.0f / 0.25f - 1.0f) + 1 + 8);
#define DART_OLD "{\"name\":\"dart\",\"gbtree\":" GBTREE ",\"weight_drop\":[0.5,0.25]}"
#define DART_33  "{\"weight_drop\":[0.5,0.25]," GBTREE_INNER
#define GBTREE_INNER                                                                               \
    "\"model\":{\"gbtree_model_param\":{\"num_trees\":\"2\"},\"tree_info\":[0,0],\"trees\":"       \
    "[" TREE_NUMBER "," TREE_CATEGORY "]},\"name\":\"gbtree\"}"
#define DART_34                                                                                    \
    "{\"model\":{\"weight_drop\":[0.5,0.25],\"gbtree_model_param\":{\"num_trees\":\"2\"},\"tree_"  \
    "info\":[0,0],"                                                                                \
    "\"trees\":[" TREE_NUMBER "," TREE_CATEGORY "]},\"name\":\"gbtree\"}"
    expect_margin(FILE_OF("1,7,4", DART_OLD, "0", "reg:squarederror"), 1, 0, 0.5f + 2);
    expect_margin(FILE_OF("3,3,0", DART_33, "0", "reg:squarederror"), 1, 0, 0.5f + 2);
    expect_margin(FILE_OF("3,4,0", DART_34, "0", "reg:squarederror"), 1, 0, 0.5f + 2);
}

/* ---- damage ---- */

struct damage {
    const char *from, *to, *want; /* the first `from` in the file becomes `to` */
};

static const struct damage DAMAGES[] = {
    {"\"left_children\":[1,-1,-1]", "\"left_children\":[3,-1,-1]",
     "trees[0]: node 0: child 3 of 3 nodes"},
    {"\"left_children\":[1,-1,-1]", "\"left_children\":[0,-1,-1]",
     "trees[0]: node 0: child 0 has two parents"},
    {"\"left_children\":[1,-1,-1]", "\"left_children\":[2,-1,-1]",
     "child 2 has two parents or is its own ancestor"},
    {"\"left_children\":[1,-1,-1]", "\"left_children\":[-1,-1,-1]",
     "has a right child but no left one"},
    {"\"left_children\":[1,-1,-1]", "\"left_children\":[1,-1]",
     "trees[0]: right_children has 3 entries, left_children 2"},
    {"\"left_children\":[1,-1,-1]", "\"left_children\":[1.5,-1,-1]",
     "trees[0]: left_children: byte"},
    {"\"left_children\":[1,-1,-1]", "\"left_children\":[1,-1,-1", "trees[0]: byte"},
    {"\"left_children\":[1,-1,-1]", "\"left_children\":\"no\"", "an array is expected here"},
    {"\"left_children\":[1,-1,-1]", "\"left_childrem\":[1,-1,-1]",
     "trees[0]: left_children is missing"},
    {"\"left_children\":[1,-1,-1]", "\"left_children\":[1,-1,-1],\"left_children\":[1,-1,-1]",
     "given twice"},
    {"\"right_children\":[2,-1,-1]", "\"right_children\":[-1,-1,-1]",
     "node 0: child -1 of 3 nodes"},
    {"\"right_children\":[2,-1,-1]", "\"right_children\":[1,-1,-1]", "child 1 has two parents"},
    {"\"right_children\":[2,-1,-1]", "\"right_children\":[99999999999999999999,-1,-1]",
     "trees[0]: right_children"},
    {"\"split_indices\":[1,0,0]", "\"split_indices\":[2,0,0]",
     "trees[0]: node 0: split index 2 of 2 features"},
    {"\"split_indices\":[1,0,0]", "\"split_indices\":[-1,0,0]", "split index -1 of 2 features"},
    {"\"split_indices\":[1,0,0]", "\"split_indices\":[]", "split_indices has 0 entries"},
    {"\"split_conditions\":[5E-1,1,-2]", "\"split_conditions\":[5E-1,NaN,-2]",
     "node 1: the leaf's value is not finite"},
    {"\"split_conditions\":[5E-1,1,-2]", "\"split_conditions\":[5E-1,1,-Infinity]",
     "node 2: the leaf's value"},
    {"\"split_conditions\":[5E-1,1,-2]", "\"split_conditions\":[5E-1,1e99,-2]",
     "node 1: the leaf's value"},
    {"\"split_conditions\":[5E-1,1,-2]", "\"split_conditions\":[5E-1,1]",
     "split_conditions has 2 entries"},
    {"\"split_conditions\":[5E-1,1,-2]", "\"split_conditions\":[5E,1,-2]", "trees[0]: byte"},
    {"\"split_conditions\":[5E-1,1,-2]", "\"split_conditions\":[--5,1,-2]", "trees[0]: byte"},
    {"\"split_conditions\":[5E-1,1,-2]", "\"split_conditions\":[null,1,-2]",
     "a number is expected here"},
    {"\"split_conditions\":[5E-1,1,-2]", "\"split_conditions\":[\"1\",1,-2]",
     "a number is expected here"},
    {"\"default_left\":[true,false,false]", "\"default_left\":[true,false]",
     "default_left has 2 entries"},
    {"\"default_left\":[true,false,false]", "\"default_left\":[true,maybe,false]",
     "trees[0]: byte"},
    {"\"split_type\":[0,0,0]", "\"split_type\":[2,0,0]", "node 0: unknown split type 2"},
    {"\"split_type\":[0,0,0]", "\"split_type\":[1,0,0]",
     "splits by category but has no categories"},
    {"\"split_type\":[0,0,0]", "\"split_type\":[0]", "split_type has 1 entries"},
    {"\"categories_nodes\":[0]", "\"categories_nodes\":[3]",
     "trees[1]: categories_nodes[0]: node 3 of 3 nodes"},
    {"\"categories_nodes\":[0]", "\"categories_nodes\":[-1]", "categories_nodes[0]: node -1"},
    {"\"categories_nodes\":[0]", "\"categories_nodes\":[]", "differ in length"},
    {"\"categories_nodes\":[0]", "\"categories_nodes\":[1]",
     "splits by category but has no categories"},
    {"\"categories_segments\":[0],", "\"categories_segments\":[1],", "codes 1 + 2 of 2"},
    {"\"categories_segments\":[0],", "\"categories_segments\":[-1],", "codes -1 + 2 of 2"},
    {"\"categories_sizes\":[2]", "\"categories_sizes\":[3]", "codes 0 + 3 of 2"},
    {"\"categories_sizes\":[2]", "\"categories_sizes\":[-2]", "codes 0 + -2 of 2"},
    {"\"categories_sizes\":[2]", "\"categories_sizes\":[2,1]", "differ in length"},
    {"\"categories\":[1,33]", "\"categories\":[1,-3]", "categories[1]: code -3 is outside"},
    {"\"categories\":[1,33]", "\"categories\":[1,16777216]", "code 16777216 is outside"},
    {"\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"3\"",
     "trees[0]: leaves are vectors of 3 values"},
    {"\"num_nodes\":\"3\"", "\"num_nodes\":\"4\"",
     "tree_param.num_nodes is 4, left_children has 3 entries"},
    {"\"num_nodes\":\"3\"", "\"num_nodes\":\"x\"", "tree_param.num_nodes"},
    {"\"num_nodes\":\"3\"", "\"num_nodes\":{}", "tree_param.num_nodes"},
    {"\"num_trees\":\"2\"", "\"num_trees\":\"3\"",
     "2 trees, but tree_info has 2 entries and num_trees is 3"},
    {"\"num_parallel_tree\":\"1\"", "\"num_parallel_tree\":\"9999999\"",
     "num_parallel_tree: 9999999 is outside"},
    {"\"tree_info\":[0,0]", "\"tree_info\":[0]", "tree_info has 1 entries"},
    {"\"tree_info\":[0,0]", "\"tree_info\":[0,1]", "tree_info[1]: output 1 of 1"},
    {"\"tree_info\":[0,0]", "\"tree_info\":[0,-1]", "tree_info[1]: output -1"},
    {"\"name\":\"gbtree\"", "\"name\":\"gblinear\"", "gradient_booster: name: booster 'gblinear'"},
    {"\"trees\":[", "\"treez\":[", "model.trees is missing"},
    {"\"gradient_booster\"", "\"gradient_buster\"", "learner.gradient_booster: missing"},
    {"\"base_score\":\"5E-1\"", "\"base_score\":\"half\"", "base_score: 'half' is not a number"},
    {"\"base_score\":\"5E-1\"", "\"base_score\":\"[1,2]\"", "base_score: '[1,2]' for 1 outputs"},
    {"\"base_score\":\"5E-1\"", "\"base_score\":\"\"", "base_score: '' is not a number"},
    {"\"base_score\":\"5E-1\"", "\"base_score\":0.5", "learner_model_param: base_score: byte"},
    {"\"base_score\":\"5E-1\"", "\"base_score\":\"1e99\"", "impossible for reg:squarederror"},
    {"\"num_feature\":\"2\"", "\"num_feature\":\"1\"",
     "feature_names: 2 names, but num_feature is 1"},
    {"\"num_feature\":\"2\"", "\"num_feature\":\"99999999\"", "num_feature: 99999999 is outside"},
    {"\"num_feature\":\"2\"", "\"num_feature\":\"-2\"", "num_feature: -2 is outside"},
    {"\"num_class\":\"0\"", "\"num_class\":\"99999\"",
     "num_class 99999 or num_target 1 is outside"},
    {"reg:squarederror", "reg:cubederror",
     "objective.name: 'reg:cubederror' is not known; known are binary:logistic"},
    {"reg:squarederror", "multi:softprob", "multi:softprob needs at least two classes"},
    {"\"version\":[1,7,4]", "\"version\":[4,0,0]",
     "written by XGBoost 4.0.0, files are understood up to 3.5"},
    {"\"version\":[1,7,4]", "\"version\":[3,6,0]", "written by XGBoost 3.6.0"},
    {"\"version\":[1,7,4]", "\"version\":[0,90,0]", "is none"},
    {"\"version\":[1,7,4]", "\"version\":[1,7]", "expected three numbers"},
    {"\"version\":[1,7,4]", "\"version\":[1,7,4,1]", "array of more than 3 elements"},
    {"\"version\":[1,7,4]", "\"versions\":[1,7,4]", "version: missing"},
    {"\"best\\u0041\"", "\"best\\u00\"", "unknown escape in a string"},
    {"\"best\\u0041\"", "\"best\\ud800x\"", "unknown escape"},
    {"\"feature_types\":[\"c\",\"float\"]", "\"feature_types\":[\"c\"]", "feature_types: 1 types"},
    {"[1,7,4]}", "[1,7,4]}{", "text behind the end"},
    {"\"version\":[1,7,4]}", "\"version\":[1,7,4]", "byte"},
    {"{\"learner\":{", "{\"learner\":[", "an object is expected here"},
    {"{\"learner\":{", "{\"learner\" {", "':' is expected here"},
};

static char *damaged(const char *text, const struct damage *d)
{
    const char *at = strstr(text, d->from);
    assert_non_null(at);
    size_t head = (size_t)(at - text), n = strlen(text) + strlen(d->to) + 1;
    char *out = calloc(1, n);
    memcpy(out, text, head);
    snprintf(out + head, n - head, "%s%s", d->to, at + strlen(d->from));
    return out;
}

static void test_damages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof DAMAGES / sizeof DAMAGES[0]; i++) {
        char *text = damaged(GOOD, &DAMAGES[i]);
        struct tree_model *m = NULL;
        struct err err = ERR_INIT;
        if (tree_model_read(str_c(text), &m, &err) == ERR_OK)
            fail_msg("%s -> %s was read", DAMAGES[i].from, DAMAGES[i].to);
        if (!strstr(err.msg, DAMAGES[i].want))
            fail_msg("%s -> %s: said '%s'", DAMAGES[i].from, DAMAGES[i].to, err.msg);
        free(text);
    }
}

static void test_foreign(void **state)
{
    (void)state;
    static const char *const FOREIGN[][2] = {
        {"", "not a tree model"},
        {"binf\1\2\3", "old binary format"},
        {"tree\nversion=v4\n", "LightGBM"},
        {"<xml/>", "not a tree model"},
        {"{}", "version: missing"},
        {"{\"a\":1}", "version: missing"},
        {"{", "byte"},
    };
    for (size_t i = 0; i < sizeof FOREIGN / sizeof FOREIGN[0]; i++) {
        struct tree_model *m = NULL;
        struct err err = ERR_INIT;
        assert_int_not_equal(tree_model_read(str_c(FOREIGN[i][0]), &m, &err), ERR_OK);
        if (!strstr(err.msg, FOREIGN[i][1]))
            fail_msg("%s: said '%s'", FOREIGN[i][0], err.msg);
    }
}

/* Read or refused, but never worse: every prefix, and every byte changed in several ways. What is read must predict. */
static void try_text(const char *text, size_t n)
{
    struct tree_model *m = NULL;
    struct err err = ERR_INIT;
    if (tree_model_read(str_n(text, n), &m, &err) != ERR_OK) {
        assert_true(err.msg[0] != '\0');
        return;
    }
    size_t n_in = tree_model_n_inputs(m), n_out = tree_model_n_outputs(m);
    float *row = calloc(n_in + 1, sizeof *row), *out = calloc(n_out, sizeof *out);
    float *scratch = calloc(tree_model_scratch_floats(m), sizeof *scratch);
    tree_model_predict(m, row, 1, scratch, out);
    free(row);
    free(out);
    free(scratch);
    tree_model_free(m);
}

static void test_every_byte(void **state)
{
    (void)state;
    static const char GOOD_TEXT[] = GOOD;
    size_t n = sizeof GOOD_TEXT - 1;
    struct rng rng;
    rng_init(&rng, 1);
    char *text = malloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        memcpy(text, GOOD_TEXT, n + 1);
        text[i] = '\0';
        try_text(text, i); /* a prefix */
        static const char BYTES[] = "09-]}\",[{:tN\\";
        for (size_t k = 0; k < 4; k++) {
            memcpy(text, GOOD_TEXT, n + 1);
            text[i] =
                k == 3 ? (char)rng_below(&rng, 256) : BYTES[rng_below(&rng, sizeof BYTES - 1)];
            try_text(text, n);
        }
    }
    free(text);
}

/* Decimal text is rounded once: as strtof, for shortest texts, long ones, and ones exactly between two floats. */
static void test_numbers(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "16777217",
        "16777217.0",
        "16777219E0",
        "1.6777217E7",
        "1e-45",
        "1.1754943E-38",
        "3.4028235E38",
        "9.9999999e37",
        "-0.0",
        "-0",
        "0.1",
        "5E-1",
        "123456789012345678901234567890",
        "1e22",
        "1E23",
        "1e-23",
        "2.5e-5",
        "8388608.5",
        "33554431.5",
        "0.000000000001",
        "1.00000006",
        "1.000000059604644775390625",
        "1.00000017881393432617187",
        "7.0385307e-26",
        "1e-400",
        "000012.5",
    };
    struct rng rng;
    rng_init(&rng, 9);
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0] + 200000; i++) {
        char text[NUM_TEXT_BYTES];
        const char *t = text;
        uint32_t bits = (uint32_t)rng_u64(&rng);
        float f, want;
        memcpy(&f, &bits, sizeof f);
        if (i < sizeof TEXTS / sizeof TEXTS[0])
            t = TEXTS[i];
        else if (isfinite(f))
            num_f32(text, f);
        else
            continue;
        want = strtof(t, NULL);
        if (!doc_parse_f32(str_c(t), &f) || memcmp(&f, &want, sizeof f) != 0)
            fail_msg("%s is read as %.9g", t, (double)f);
    }
    static const char *const BAD[] = {"",     ".",   "-",   "e5", "1e",  "1.2.3",
                                      "0x10", "1e+", "inf", "1 ", "--1", "+"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        float f;
        if (doc_parse_f32(str_c(BAD[i]), &f))
            fail_msg("'%s' was read", BAD[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),  cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_versions), cmocka_unit_test(test_damages),
        cmocka_unit_test(test_foreign),  cmocka_unit_test(test_every_byte),
    };
    return RUN_TESTS(tests);
}
