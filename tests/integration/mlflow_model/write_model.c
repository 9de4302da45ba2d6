/* write_model OUT: trains small models with the XGBoost library, writes each as a model directory of ours, and beside it
 * what our engine answers:  OUT/<name>/model/   OUT/<name>/rows.csv (features as columns, then the scores)
 * write_model MODEL ROWS SCORES: answers of our engine for a model that somebody else wrote; float32 rows and scores */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <xgboost/c_api.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "engine/engine.h"
#include "engine/mlmodel.h"

#define N_ROWS     500
#define N_FEATURES 4

struct kind {
    const char *name, *objective, *n_classes, *types;
};

static const struct kind KINDS[] = {
    {"binary", "binary:logistic", NULL, "qqqq"},
    {"regression", "reg:squarederror", NULL, "qqqq"},
    {"counts", "count:poisson", NULL, "qqqq"},
    {"classes", "multi:softprob", "3", "qqqq"},
    {"categories", "binary:logistic", NULL, "qcqc"},
};
static const char *const NAMES[N_FEATURES] = {"distance", "airport_hour.delay_1h", "hour",
                                              "origin"};

static void ok(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "%s\n", XGBGetLastError());
        exit(1);
    }
}

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
}

static void make_rows(const struct kind *k, float *rows, float *labels)
{
    struct rng r;
    rng_init(&r, 11);
    for (size_t i = 0; i < N_ROWS; i++) {
        double z = rng_normal(&r);
        for (size_t f = 0; f < N_FEATURES; f++) {
            float x = k->types[f] == 'c' ? (float)rng_below(&r, 9) : (float)rng_normal(&r);
            rows[i * N_FEATURES + f] = rng_below(&r, 9) ? x : NAN;
            z += isnan(rows[i * N_FEATURES + f]) ? 0.3 : sin((double)x * 2.0);
        }
        labels[i] = k->n_classes             ? (float)(z < -0.7  ? 0
                                                       : z < 0.7 ? 1
                                                                 : 2)
                    : k->objective[0] == 'b' ? z > 0
                                             : (float)fabs(z);
    }
}

static BoosterHandle train(const struct kind *k, const float *rows, const float *labels)
{
    DMatrixHandle m;
    BoosterHandle b;
    const char *types[N_FEATURES];
    for (size_t f = 0; f < N_FEATURES; f++)
        types[f] = k->types[f] == 'c' ? "c" : "float";
    ok(XGDMatrixCreateFromMat(rows, N_ROWS, N_FEATURES, NAN, &m));
    ok(XGDMatrixSetFloatInfo(m, "label", labels, N_ROWS));
    ok(XGDMatrixSetStrFeatureInfo(m, "feature_name", (const char **)(uintptr_t)NAMES, N_FEATURES));
    ok(XGDMatrixSetStrFeatureInfo(m, "feature_type", types, N_FEATURES));
    ok(XGBoosterCreate(&m, 1, &b));
    ok(XGBoosterSetParam(b, "objective", k->objective));
    ok(XGBoosterSetParam(b, "tree_method", "hist"));
    ok(XGBoosterSetParam(b, "max_cat_to_onehot", "1"));
    ok(XGBoosterSetParam(b, "verbosity", "0"));
    if (k->n_classes)
        ok(XGBoosterSetParam(b, "num_class", k->n_classes));
    for (int i = 0; i < 12; i++)
        ok(XGBoosterUpdateOneIter(b, i, m));
    ok(XGDMatrixFree(m));
    return b;
}

static void write_dir(const char *dir, BoosterHandle b, size_t n_outputs, struct arena *a)
{
    struct err err = ERR_INIT;
    struct sig_field in[N_FEATURES] = {0},
                     out = {.type = SIG_TENSOR, .dtype = "float32", .shape = {-1, 3}, .n_dims = 1};
    bst_ulong n;
    const char *text;
    out.n_dims = n_outputs > 1 ? 2 : 1;
    for (size_t f = 0; f < N_FEATURES; f++)
        in[f] = (struct sig_field){.name = NAMES[f], .type = SIG_DOUBLE, .is_required = true};
    ok(XGBoosterSaveModelToBuffer(b, "{\"format\":\"json\"}", &n, &text));
    struct signature sig = {in, N_FEATURES, &out, 1};
    struct model_file plan = {"pawl/plan.json", STR("{}")};
    struct model_write w = {.booster_json = str_n(text, n),
                            .signature = &sig,
                            .xgboost_version = "1.7.4",
                            .run_id = "0123456789abcdef0123456789abcdef",
                            .at_us = clock_now_us(&CLOCK_SYSTEM),
                            .files = &plan,
                            .n_files = 1};
    must(model_dir_write(dir, &w, a, &err), &err);
}

static void write_answers(const char *model_dir, const char *path, const float *rows,
                          struct arena *a)
{
    struct err err = ERR_INIT;
    struct engine *e;
    struct buf csv;
    must(engine_open(model_dir, NULL, &e, &err), &err);
    size_t n_out = engine_n_outputs(e);
    float *scores = ARENA_NEW_N(a, float, N_ROWS *n_out),
          *scratch = ARENA_NEW_N(a, float, engine_scratch_floats(e));
    must(engine_predict(e, rows, N_ROWS, scratch, scores, &err), &err);
    buf_init(&csv, 1 << 24);
    for (size_t f = 0; f < N_FEATURES; f++)
        buf_printf(&csv, "%s,", NAMES[f]);
    for (size_t k = 0; k < n_out; k++)
        buf_printf(&csv, "score%zu%c", k, k + 1 < n_out ? ',' : '\n');
    for (size_t i = 0; i < N_ROWS; i++) {
        char text[NUM_TEXT_BYTES];
        for (size_t f = 0; f < N_FEATURES; f++) {
            num_f32(text, rows[i * N_FEATURES + f]);
            buf_printf(&csv, "%s,", text);
        }
        for (size_t k = 0; k < n_out; k++) {
            num_f32(text, scores[i * n_out + k]);
            buf_printf(&csv, "%s%c", text, k + 1 < n_out ? ',' : '\n');
        }
    }
    must(file_write(path, buf_view(&csv), 0644, &err), &err);
    buf_fini(&csv);
    engine_close(e);
}

static int answer(const char *model, const char *rows_path, const char *scores_path)
{
    struct err err = ERR_INIT;
    struct engine *e;
    struct arena a;
    struct str rows;
    arena_init(&a, INT64_C(1) << 30);
    must(engine_open(model, NULL, &e, &err), &err);
    must(file_read(rows_path, 1 << 28, &a, &rows, &err), &err);
    size_t n = rows.n / (engine_n_inputs(e) * sizeof(float)), n_scores = n * engine_n_outputs(e);
    float *scores = ARENA_NEW_N(&a, float, n_scores);
    float *scratch = ARENA_NEW_N(&a, float, engine_scratch_floats(e));
    must(engine_predict(e, (const float *)(const void *)rows.p, n, scratch, scores, &err), &err);
    must(
        file_write(scores_path, str_n((const char *)scores, n_scores * sizeof *scores), 0644, &err),
        &err);
    engine_close(e);
    arena_fini(&a);
    return 0;
}

int main(int argc, char **argv)
{
    static float rows[N_ROWS * N_FEATURES], labels[N_ROWS];
    if (argc == 4)
        return answer(argv[1], argv[2], argv[3]);
    if (argc != 2)
        return 2;
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        struct arena a;
        arena_init(&a, 64 << 20);
        char *dir = str_printf(&a, "%s/%s/model", argv[1], KINDS[i].name);
        char *csv = str_printf(&a, "%s/%s/rows.csv", argv[1], KINDS[i].name);
        make_rows(&KINDS[i], rows, labels);
        BoosterHandle b = train(&KINDS[i], rows, labels);
        write_dir(dir, b, KINDS[i].n_classes ? 3 : 1, &a);
        write_answers(dir, csv, rows, &a);
        ok(XGBoosterFree(b));
        arena_fini(&a);
    }
    return 0;
}
