/* Objectives: what a margin means. One row each; formulas in float32 as XGBoost's src/objective and
 * src/common/math.h compute them, so that scores are equal bit for bit on one libm. */
#include <math.h>

#include "base/check.h"
#include "model/tree_int.h"

static const struct tree_objective OBJECTIVES[] = {
    {"binary:logistic", TREE_BINARY, TRANSFORM_SIGMOID, LINK_LOGIT},
    {"binary:logitraw", TREE_BINARY, TRANSFORM_NONE, LINK_IDENTITY},
    {"binary:hinge", TREE_BINARY, TRANSFORM_STEP, LINK_IDENTITY},
    {"multi:softprob", TREE_MULTICLASS, TRANSFORM_SOFTMAX, LINK_IDENTITY},
    {"multi:softmax", TREE_MULTICLASS, TRANSFORM_SOFTMAX, LINK_IDENTITY},
    {"reg:squarederror", TREE_REGRESSION, TRANSFORM_NONE, LINK_IDENTITY},
    {"reg:linear", TREE_REGRESSION, TRANSFORM_NONE, LINK_IDENTITY},
    {"reg:squaredlogerror", TREE_REGRESSION, TRANSFORM_NONE, LINK_IDENTITY},
    {"reg:pseudohubererror", TREE_REGRESSION, TRANSFORM_NONE, LINK_IDENTITY},
    {"reg:absoluteerror", TREE_REGRESSION, TRANSFORM_NONE, LINK_IDENTITY},
    {"reg:quantileerror", TREE_REGRESSION, TRANSFORM_NONE, LINK_IDENTITY},
    {"reg:logistic", TREE_REGRESSION, TRANSFORM_SIGMOID, LINK_LOGIT},
    {"reg:gamma", TREE_REGRESSION, TRANSFORM_EXP, LINK_LOG},
    {"reg:tweedie", TREE_REGRESSION, TRANSFORM_EXP, LINK_LOG},
    {"count:poisson", TREE_REGRESSION, TRANSFORM_EXP, LINK_LOG},
    {"survival:cox", TREE_REGRESSION, TRANSFORM_EXP, LINK_LOG},
    {"survival:aft", TREE_REGRESSION, TRANSFORM_EXP, LINK_LOG},
    {"rank:pairwise", TREE_RANKING, TRANSFORM_NONE, LINK_IDENTITY},
    {"rank:ndcg", TREE_RANKING, TRANSFORM_NONE, LINK_IDENTITY},
    {"rank:map", TREE_RANKING, TRANSFORM_NONE, LINK_IDENTITY},
};

const struct tree_objective *tree_objective_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(OBJECTIVES); i++) {
        if (str_is(name, OBJECTIVES[i].name))
            return &OBJECTIVES[i];
    }
    return NULL;
}

void tree_objective_names(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(OBJECTIVES); i++)
        buf_printf(out, "%s%s", i ? ", " : "", OBJECTIVES[i].name);
}

bool tree_link_margin(enum tree_link link, float base_score, float *ret)
{
    switch (link) {
    case LINK_IDENTITY:
        *ret = base_score;
        return isfinite(base_score);
    case LINK_LOGIT:
        *ret = -logf(1.0f / base_score - 1.0f);
        return base_score > 0.0f && base_score < 1.0f;
    case LINK_LOG:
        *ret = logf(base_score);
        return base_score > 0.0f && isfinite(base_score);
    case LINK_N:
        break;
    }
    UNREACHABLE();
}

static float sigmoid(float x)
{
    const float eps = 1e-16f;          /* the library's guard against a zero denominator */
    float y = -x < 88.7f ? -x : 88.7f; /* expf would overflow beyond */
    return 1.0f / (expf(y) + 1.0f + eps);
}

static void softmax(float *x, size_t n)
{
    float highest = x[0];
    for (size_t i = 1; i < n; i++)
        highest = x[i] > highest ? x[i] : highest;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - highest);
        sum += (double)x[i];
    }
    for (size_t i = 0; i < n; i++)
        x[i] /= (float)sum;
}

void tree_transform_apply(enum tree_transform t, float *scores, size_t n)
{
    switch (t) {
    case TRANSFORM_NONE:
        return;
    case TRANSFORM_SOFTMAX:
        softmax(scores, n);
        return;
    case TRANSFORM_SIGMOID:
        for (size_t i = 0; i < n; i++)
            scores[i] = sigmoid(scores[i]);
        return;
    case TRANSFORM_EXP:
        for (size_t i = 0; i < n; i++)
            scores[i] = expf(scores[i]);
        return;
    case TRANSFORM_STEP:
        for (size_t i = 0; i < n; i++)
            scores[i] = scores[i] > 0.0f ? 1.0f : 0.0f;
        return;
    case TRANSFORM_N:
        break;
    }
    UNREACHABLE();
}
