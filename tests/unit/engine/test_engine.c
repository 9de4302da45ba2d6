/* Model directories: written, read, named, opened; refused when they are not what they say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/mlmodel.h"
#include "test.h"

static const char BOOSTER[] = "{\"learner\":{\"feature_names\":[\"a\",\"v.b\"],\"feature_types\":["
                              "\"float\",\"float\"],\"gradient_booster\":"
                              "{\"model\":{\"gbtree_model_param\":{\"num_trees\":\"1\"},\"tree_"
                              "info\":[0],\"trees\":[{\"left_children\":[1,-1,-1],"
                              "\"right_children\":[2,-1,-1],\"split_indices\":[1,0,0],\"split_"
                              "conditions\":[0.5,-1,1],\"default_left\":[1,0,0]}]},"
                              "\"name\":\"gbtree\"},\"learner_model_param\":{\"base_score\":\"5E-"
                              "1\",\"num_class\":\"0\",\"num_feature\":\"2\"},"
                              "\"objective\":{\"name\":\"binary:logistic\"}},\"version\":[1,7,4]}";

struct fix {
    char root[32], dir[64];
    struct arena a;
    struct err err;
    struct sig_field in[2], out[1];
    struct signature sig;
    struct model_write w;
};

static void fix_init(struct fix *f)
{
    memset(f, 0, sizeof *f);
    arena_init(&f->a, 1 << 24);
    memcpy(f->root, "/tmp/pawl-engine-XXXXXX", 24);
    assert_non_null(mkdtemp(f->root));
    snprintf(f->dir, sizeof f->dir, "%s/model", f->root);
    f->in[0] = (struct sig_field){.name = "a", .type = SIG_DOUBLE, .is_required = true};
    f->in[1] = (struct sig_field){.name = "v.b", .type = SIG_DOUBLE, .is_required = true};
    f->out[0] =
        (struct sig_field){.type = SIG_TENSOR, .dtype = "float32", .shape = {-1}, .n_dims = 1};
    f->sig = (struct signature){f->in, 2, f->out, 1};
    f->w = (struct model_write){.booster_json = {BOOSTER, sizeof BOOSTER - 1},
                                .signature = &f->sig,
                                .xgboost_version = "1.7.4",
                                .run_id = "0123",
                                .at_us = 1};
}

static void fix_fini(struct fix *f)
{
    ASSERT_OK(dir_remove(f->root, &f->err), &f->err);
    arena_fini(&f->a);
}

static void test_write_read_open(void **state)
{
    (void)state;
    struct fix f;
    struct model_info info;
    struct engine *e;
    struct digest d;
    fix_init(&f);
    struct model_file plan = {"pawl/plan.json", STR("{}")};
    f.w.files = &plan;
    f.w.n_files = 1;
    ASSERT_OK(model_dir_write(f.dir, &f.w, &f.a, &f.err), &f.err);
    assert_int_equal(model_dir_write(f.dir, &f.w, &f.a, &f.err), ERR_EXISTS);
    ASSERT_OK(model_dir_read(f.dir, &f.a, &info, &f.err), &f.err);
    assert_string_equal(info.flavor, "xgboost");
    assert_string_equal(info.data, "model.json");
    assert_string_equal(info.library_version, "1.7.4");
    assert_string_equal(info.loader_module, "mlflow.xgboost");
    assert_string_equal(info.run_id, "0123");
    assert_int_equal(strlen(info.model_uuid), 32);
    assert_null(info.model_id);
    assert_true(info.has_signature && info.signature.n_inputs == 2);
    assert_string_equal(info.signature.inputs[1].name, "v.b");
    ASSERT_OK(model_dir_digest(f.dir, &f.a, &d, &f.err), &f.err);
    ASSERT_OK(engine_open(f.dir, &d, &e, &f.err), &f.err);
    assert_string_equal(engine_kind(e), "trees");
    assert_true(engine_is_inline(e));
    assert_int_equal(engine_task(e), ENGINE_BINARY);
    assert_int_equal(engine_n_inputs(e), 2);
    assert_int_equal(engine_n_outputs(e), 1);
    assert_string_equal(engine_input_name(e, 1), "v.b");
    assert_int_equal(engine_signature(e)->n_inputs, 2);
    assert_non_null(engine_trees(e));
    float rows[] = {0, 0.4f, 0, 0.5f}, scores[2];
    float *scratch = calloc(engine_scratch_floats(e), sizeof *scratch);
    ASSERT_OK(engine_predict(e, rows, 2, scratch, scores, &f.err), &f.err);
    assert_float_equal(scores[0], 0.26894142f, 1e-6);
    assert_float_equal(scores[1], 0.7310586f, 1e-6);
    free(scratch);
    engine_close(e);
    fix_fini(&f);
}

static void digest_of_write(struct fix *f, const char *name, struct digest *ret)
{
    snprintf(f->dir, sizeof f->dir, "%s/%s", f->root, name);
    ASSERT_OK(model_dir_write(f->dir, &f->w, &f->a, &f->err), &f->err);
    ASSERT_OK(model_dir_digest(f->dir, &f->a, ret, &f->err), &f->err);
}

/* Run, time and uuid do not name a model; trees, files and signature do. */
static void test_digest(void **state)
{
    (void)state;
    struct fix f;
    struct digest first, other;
    fix_init(&f);
    digest_of_write(&f, "a", &first);
    f.w.run_id = "9999";
    f.w.model_id = "m-1";
    f.w.at_us = 77;
    digest_of_write(&f, "b", &other);
    assert_int_equal(digest_cmp(&first, &other), 0);
    f.in[0].type = SIG_FLOAT;
    digest_of_write(&f, "c", &other);
    assert_int_not_equal(digest_cmp(&first, &other), 0);
    f.in[0].type = SIG_DOUBLE;
    struct model_file extra = {"pawl/x/y.json", STR("1")};
    f.w.files = &extra;
    f.w.n_files = 1;
    digest_of_write(&f, "d", &other);
    assert_int_not_equal(digest_cmp(&first, &other), 0);
    struct engine *e;
    assert_int_equal(engine_open(f.dir, &first, &e, &f.err), ERR_CORRUPT);
    assert_non_null(strstr(f.err.msg, "not what was evaluated"));
    fix_fini(&f);
}

static void put(struct fix *f, const char *name, const char *text)
{
    char *path = path_join(&f->a, f->dir, name);
    ASSERT_OK(file_write(path, str_c(text), 0644, &f->err), &f->err);
}

/* MLmodel files that do not lead to a model here. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const BAD[][2] = {
        {"", "the file is empty"},
        {"flavors: {}\n", "flavors is missing or empty"},
        {"flavors:\n  sklearn:\n    pickled_model: model.pkl\n",
         "no engine here serves a model of flavor 'sklearn'"},
        {"flavors:\n  python_function:\n    loader_module: x\n", "flavor 'python_function'"},
        {"flavors:\n  xgboost:\n    data: ../../etc/passwd\n",
         "is not inside the model's directory"},
        {"flavors:\n  xgboost:\n    data: /etc/passwd\n", "is not inside the model's directory"},
        {"flavors:\n  xgboost:\n    code: null\n", "flavors.xgboost.data is missing"},
        {"flavors:\n  xgboost:\n    data: absent.json\n", "absent.json"},
        {"flavors:\n  xgboost:\n    data: model.json\nsignature:\n  inputs: '[{\"type\": "
         "\"odd\"}]'\n",
         "signature.inputs: signature field 0: type 'odd'"},
        {"flavors:\n  xgboost:\n    data: model.json\nsignature:\n  inputs: '[{\"type\": "
         "\"double\", \"name\": \"a\"}]'\n",
         "the signature has 1 inputs, the model 2 features"},
        {"flavors: [\n", "MLmodel"},
    };
    struct fix f;
    fix_init(&f);
    ASSERT_OK(model_dir_write(f.dir, &f.w, &f.a, &f.err), &f.err);
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct engine *e;
        put(&f, "MLmodel", BAD[i][0]);
        assert_int_not_equal(engine_open(f.dir, NULL, &e, &f.err), ERR_OK);
        if (!strstr(f.err.msg, BAD[i][1]))
            fail_msg("%s: said '%s'", BAD[i][0], f.err.msg);
    }
    fix_fini(&f);
}

/* What MLflow itself writes, older and newer. */
static void test_mlflow_forms(void **state)
{
    (void)state;
    static const char *const FORMS[] = {
        "flavors:\n  python_function:\n    data: model.xgb\n    env: conda.yaml\n    "
        "loader_module: mlflow.xgboost\n"
        "    python_version: 3.8.10\n  xgboost:\n    code: null\n    data: model.xgb\n    "
        "model_class: "
        "xgboost.core.Booster\n    xgb_version: 1.5.0\nmodel_uuid: 6b4a\nutc_time_created: "
        "'2022-01-01 00:00:00.1'\n",
        "flavors:\n  python_function:\n    data: model.xgb\n    env:\n      conda: conda.yaml\n    "
        "  virtualenv: "
        "python_env.yaml\n    loader_module: mlflow.xgboost\n  xgboost:\n    data: model.xgb\n    "
        "model_format: xgb\n"
        "    xgb_version: 3.2.0\nis_signature_from_type_hint: false\nmlflow_version: "
        "3.17.2\nmodel_id: null\nprompts: "
        "null\nsignature:\n  inputs: '[{\"type\": \"double\", \"name\": \"a\", \"required\": "
        "true}, {\"type\": "
        "\"double\",\n    \"name\": \"v.b\", \"required\": true}]'\n  outputs: null\n  params: "
        "null\n",
    };
    struct fix f;
    fix_init(&f);
    ASSERT_OK(model_dir_write(f.dir, &f.w, &f.a, &f.err), &f.err);
    put(&f, "model.xgb", BOOSTER);
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        struct engine *e;
        struct digest d;
        put(&f, "MLmodel", FORMS[i]);
        ASSERT_OK(model_dir_digest(f.dir, &f.a, &d, &f.err), &f.err);
        ASSERT_OK(engine_open(f.dir, &d, &e, &f.err), &f.err);
        assert_int_equal(engine_signature(e)->n_inputs, i == 0 ? 0 : 2);
        engine_close(e);
    }
    fix_fini(&f);
}

static void test_bare_file(void **state)
{
    (void)state;
    struct fix f;
    struct engine *e;
    fix_init(&f);
    snprintf(f.dir, sizeof f.dir, "%s", f.root);
    put(&f, "m.json", BOOSTER);
    char *path = path_join(&f.a, f.dir, "m.json");
    ASSERT_OK(engine_open(path, NULL, &e, &f.err), &f.err);
    assert_int_equal(engine_signature(e)->n_inputs, 0);
    engine_close(e);
    path = path_join(&f.a, f.dir, "none.json");
    assert_int_equal(engine_open(path, NULL, &e, &f.err), ERR_NOT_FOUND);
    fix_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_read_open), cmocka_unit_test(test_digest),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_mlflow_forms),
        cmocka_unit_test(test_bare_file),
    };
    return RUN_TESTS(tests);
}
