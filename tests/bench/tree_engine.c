/* One row through our trees and through XGBoost's own single-row call, in one run, interleaved.
 * Prints microseconds a row for both and the ratio; then the same for batches of 1,000 rows. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xgboost/c_api.h>

#include "base/clock.h"
#include "base/hash.h"
#include "model/tree_model.h"

#define N_FEATURES 20
#define N_TRAIN    20000
#define N_ROWS     1000
#define N_ROUNDS   100
#define REPEATS    9

static float rows[N_TRAIN * N_FEATURES], labels[N_TRAIN];

static void ok(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "%s\n", XGBGetLastError());
        exit(1);
    }
}

static BoosterHandle train(void)
{
    struct rng r;
    rng_init(&r, 1);
    for (size_t i = 0; i < N_TRAIN; i++) {
        double z = rng_normal(&r);
        for (size_t k = 0; k < N_FEATURES; k++) {
            rows[i * N_FEATURES + k] = (float)rng_normal(&r);
            z += sin((double)rows[i * N_FEATURES + k] * (double)(k + 1));
        }
        labels[i] = z > 0 ? 1.0f : 0.0f;
    }
    DMatrixHandle m;
    BoosterHandle b;
    ok(XGDMatrixCreateFromMat(rows, N_TRAIN, N_FEATURES, NAN, &m));
    ok(XGDMatrixSetFloatInfo(m, "label", labels, N_TRAIN));
    ok(XGBoosterCreate(&m, 1, &b));
    ok(XGBoosterSetParam(b, "objective", "binary:logistic"));
    ok(XGBoosterSetParam(b, "tree_method", "hist"));
    ok(XGBoosterSetParam(b, "max_depth", "6"));
    ok(XGBoosterSetParam(b, "nthread", "1"));
    for (int i = 0; i < N_ROUNDS; i++)
        ok(XGBoosterUpdateOneIter(b, i, m));
    ok(XGDMatrixFree(m));
    return b;
}

static float library_predict(BoosterHandle b, const float *x, size_t n)
{
    static const char CONFIG[] =
        "{\"type\":0,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,"
        "\"strict_shape\":false,\"cache_id\":0,\"missing\":NaN}";
    char array[128];
    snprintf(array, sizeof array,
             "{\"data\":[%zu,true],\"shape\":[%zu,%d],\"typestr\":\"<f4\",\"version\":3}",
             (size_t)(uintptr_t)x, n, N_FEATURES);
    bst_ulong const *shape;
    bst_ulong dim;
    const float *out;
    ok(XGBoosterPredictFromDense(b, array, CONFIG, NULL, &shape, &dim, &out));
    return out[0];
}

/* Microseconds a row, best of REPEATS; `batch` rows a call. */
static void measure(BoosterHandle b, const struct tree_model *m, size_t batch)
{
    float *scratch = malloc(tree_model_scratch_floats(m) * sizeof *scratch), scores[N_ROWS];
    double best[2] = {1e9, 1e9}, sink = 0;
    size_t n_calls = N_ROWS / batch * (batch == 1 ? 5 : 20);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        for (int who = 0; who < 2; who++) {
            int64_t start = mono_ns();
            for (size_t i = 0; i < n_calls; i++) {
                const float *x = rows + i * batch % N_ROWS * N_FEATURES;
                if (who == 0)
                    tree_model_predict(m, x, batch, scratch, scores);
                sink += (double)(who == 0 ? scores[0] : library_predict(b, x, batch));
            }
            double us = (double)(mono_ns() - start) / 1e3 / (double)(n_calls * batch);
            best[who] = us < best[who] ? us : best[who];
        }
    }
    printf("%zu row(s) a call: ours %.3f us a row, library %.3f us a row, ratio %.3f (%.0f)\n",
           batch, best[0], best[1], best[0] / best[1], sink);
    free(scratch);
}

int main(void)
{
    BoosterHandle b = train();
    bst_ulong n;
    const char *text;
    ok(XGBoosterSaveModelToBuffer(b, "{\"format\":\"json\"}", &n, &text));
    char *copy = malloc(n + 1);
    memcpy(copy, text, n);
    copy[n] = '\0';
    struct tree_model *m;
    struct err err = ERR_INIT;
    int64_t start = mono_ns();
    if (tree_model_read(str_n(copy, n), &m, &err) != ERR_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    printf("model of %zu trees, %zu nodes, %zu bytes of JSON read in %.1f ms\n",
           tree_model_n_trees(m), tree_model_n_nodes(m), (size_t)n,
           (double)(mono_ns() - start) / 1e6);
    measure(b, m, 1);
    measure(b, m, N_ROWS);
    tree_model_free(m);
    free(copy);
    ok(XGBoosterFree(b));
    return 0;
}
