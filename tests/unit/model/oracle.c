#include "oracle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xgboost/c_api.h>

struct oracle {
    BoosterHandle booster;
    size_t n_features;
    char *types;
    char *saved;
};

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, XGBGetLastError());                                          \
    } while (0)

static DMatrixHandle matrix(const struct oracle *o, const float *rows, size_t n_rows)
{
    DMatrixHandle m;
    OK(XGDMatrixCreateFromMat(rows, n_rows, o->n_features, NAN, &m));
    if (o->types) {
        const char **names = malloc(o->n_features * sizeof *names);
        for (size_t i = 0; i < o->n_features; i++)
            names[i] = o->types[i] == 'c' ? "c" : "q";
        OK(XGDMatrixSetStrFeatureInfo(m, "feature_type", names, o->n_features));
        free(names);
    }
    return m;
}

struct oracle *oracle_train(const struct oracle_case *c)
{
    struct oracle *o = calloc(1, sizeof *o);
    o->n_features = c->n_features;
    o->types = c->feature_types ? strdup(c->feature_types) : NULL;
    DMatrixHandle m = matrix(o, c->rows, c->n_rows);
    OK(XGDMatrixSetFloatInfo(m, "label", c->labels, c->n_rows));
    OK(XGBoosterCreate(&m, 1, &o->booster));
    OK(XGBoosterSetParam(o->booster, "verbosity", "0"));
    OK(XGBoosterSetParam(o->booster, "nthread", "1"));
    for (const char *const *p = c->params; *p; p += 2)
        OK(XGBoosterSetParam(o->booster, p[0], p[1]));
    for (int i = 0; i < c->n_rounds; i++)
        OK(XGBoosterUpdateOneIter(o->booster, i, m));
    OK(XGDMatrixFree(m));
    return o;
}

void oracle_free(struct oracle *o)
{
    OK(XGBoosterFree(o->booster));
    free(o->types);
    free(o->saved);
    free(o);
}

struct str oracle_save(struct oracle *o, const char *format)
{
    char config[64];
    snprintf(config, sizeof config, "{\"format\":\"%s\"}", format);
    bst_ulong n;
    const char *p;
    OK(XGBoosterSaveModelToBuffer(o->booster, config, &n, &p));
    free(o->saved);
    o->saved = malloc(n + 1);
    memcpy(o->saved, p, n);
    o->saved[n] = '\0';
    return str_n(o->saved, n);
}

const float *oracle_predict(struct oracle *o, const float *rows, size_t n_rows, bool is_margin,
                            bool is_in_place, size_t *ret_n)
{
    bst_ulong const *shape;
    bst_ulong dim;
    const float *out;
    char config[256], array[256];
    snprintf(config, sizeof config,
             "{\"type\":%d,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,\"strict_"
             "shape\":true,"
             "\"cache_id\":0,\"missing\":NaN}",
             is_margin);
    if (is_in_place) {
        snprintf(array, sizeof array,
                 "{\"data\":[%zu,true],\"shape\":[%zu,%zu],\"typestr\":\"<f4\",\"version\":3}",
                 (size_t)(uintptr_t)rows, n_rows, o->n_features);
        OK(XGBoosterPredictFromDense(o->booster, array, config, NULL, &shape, &dim, &out));
    } else {
        DMatrixHandle m = matrix(o, rows, n_rows);
        OK(XGBoosterPredictFromDMatrix(o->booster, m, config, &shape, &dim, &out));
        OK(XGDMatrixFree(m));
    }
    *ret_n = 1;
    for (bst_ulong i = 0; i < dim; i++)
        *ret_n *= shape[i];
    return out;
}
