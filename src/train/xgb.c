/* The C interface of XGBoost 1.6 to 3.x behind dlopen. Only calls that all of them have are used: matrices come
 * from an array interface (XGDMatrixCreateFromDense), because the column constructor was renamed between 1.7 and 3.2. */
#include "train/xgb.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <xgboost/c_api.h>

#include "base/check.h"
#include "base/value.h"
#include "base/vec.h"
#include "json/json.h"

/* Every function that is used, with its type from the header. */
#define XGB_FUNCTIONS(X)                                                                           \
    X(XGBoostVersion)                                                                              \
    X(XGBGetLastError)                                                                             \
    X(XGBSetGlobalConfig)                                                                          \
    X(XGDMatrixCreateFromDense)                                                                    \
    X(XGDMatrixSetFloatInfo)                                                                       \
    X(XGDMatrixSetStrFeatureInfo)                                                                  \
    X(XGDMatrixFree)                                                                               \
    X(XGBoosterCreate)                                                                             \
    X(XGBoosterFree)                                                                               \
    X(XGBoosterSetParam)                                                                           \
    X(XGBoosterSetAttr)                                                                            \
    X(XGBoosterUpdateOneIter)                                                                      \
    X(XGBoosterEvalOneIter)                                                                        \
    X(XGBoosterSlice)                                                                              \
    X(XGBoosterSetStrFeatureInfo)                                                                  \
    X(XGBoosterSaveModelToBuffer)                                                                  \
    X(XGBoosterLoadModelFromBuffer)                                                                \
    X(XGBoosterPredictFromDMatrix)                                                                 \
    X(XGBoosterFeatureScore)

struct xgb {
#define MEMBER(f) __typeof__(f) *f;
    XGB_FUNCTIONS(MEMBER)
#undef MEMBER
    void *handle;
    char version[32];
    char path[512];
};

struct xgb_matrix {
    const struct xgb *x;
    DMatrixHandle h;
};

struct xgb_model {
    const struct xgb *x;
    BoosterHandle h;
};

static struct xgb XGB;
static pthread_mutex_t XGB_LOCK = PTHREAD_MUTEX_INITIALIZER;
static bool xgb_is_open;

/* dlsym gives an object pointer where a function pointer is wanted; POSIX promises that this works. */
static bool bind(void *handle, const char *name, void *slot)
{
    void *p = dlsym(handle, name);
    memcpy(slot, &p, sizeof p);
    return p != NULL;
}

static enum err_code load(struct xgb *x, struct err *err)
{
    const char *named = getenv("PAWL_XGBOOST");
    const char *const names[] = {named, "libxgboost.so.0", "libxgboost.so"};
    /* OpenMP's threads spin between rounds, which on shared cores costs more than the work. Read when it loads. */
    (void)setenv("OMP_WAIT_POLICY", "passive", 0);
    /* OpenMP reads this when it is loaded: threads that spin while they wait cost several times the work when the cores are
     * shared with anything else. */
    (void)setenv("OMP_WAIT_POLICY", "PASSIVE", 0);
    for (size_t i = 0; i < ARRAY_LEN(names) && x->handle == NULL; i++) {
        if (names[i] != NULL && names[i][0] != '\0')
            x->handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (x->handle == NULL)
        return err_set(err, ERR_UNAVAILABLE,
                       "libxgboost.so is not there (%s): install libxgboost0, or name the file in "
                       "PAWL_XGBOOST",
                       dlerror());
#define BIND(f)                                                                                    \
    if (!bind(x->handle, #f, &x->f))                                                               \
        return err_set(err, ERR_UNSUPPORTED,                                                       \
                       "libxgboost has no function %s: XGBoost 1.6 or newer is needed", #f);
    XGB_FUNCTIONS(BIND)
#undef BIND
    int major = 0, minor = 0, patch = 0;
    x->XGBoostVersion(&major, &minor, &patch);
    (void)snprintf(x->version, sizeof x->version, "%d.%d.%d", major, minor, patch);
    Dl_info info;
    void *sym = dlsym(x->handle, "XGBoosterCreate");
    if (dladdr(sym, &info) != 0 && info.dli_fname != NULL)
        (void)snprintf(x->path, sizeof x->path, "%s", info.dli_fname);
    (void)x->XGBSetGlobalConfig("{\"verbosity\":0}");
    return ERR_OK;
}

enum err_code xgb_open(const struct xgb **ret, struct err *err)
{
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&XGB_LOCK);
    if (!xgb_is_open) {
        code = load(&XGB, err);
        xgb_is_open = code == ERR_OK;
    }
    pthread_mutex_unlock(&XGB_LOCK);
    if (code == ERR_OK)
        *ret = &XGB;
    return code;
}

const char *xgb_version(const struct xgb *x)
{
    return x->version;
}

const char *xgb_path(const struct xgb *x)
{
    return x->path;
}

/* The library's message holds a time stamp, a source line and a stack behind line breaks: the first line tells. */
static enum err_code xgb_fail(const struct xgb *x, struct err *err, const char *what)
{
    const char *m = x->XGBGetLastError();
    const char *end = strchr(m, '\n');
    int n = (int)(end != NULL ? (size_t)(end - m) : strlen(m));
    return err_set(err, ERR_INVALID, "xgboost %s: %s: %.*s", x->version, what, n, m);
}

/* Both have the same call for a matrix and for a booster. */
typedef int (*set_text)(void *handle, const char *field, const char **features, const bst_ulong n);

static enum err_code set_features(const struct xgb *x, set_text set, void *h,
                                  const struct xgb_feature *f, size_t n, struct err *err)
{
    const char **text = calloc(n ? n : 1, sizeof *text);
    if (text == NULL)
        return err_nomem(err);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < n; i++)
        text[i] = f[i].name;
    if (set(h, "feature_name", text, n) != 0)
        code = xgb_fail(x, err, "feature names");
    for (size_t i = 0; i < n; i++)
        text[i] = f[i].is_category ? "c" : "float";
    if (code == ERR_OK && set(h, "feature_type", text, n) != 0)
        code = xgb_fail(x, err, "feature types");
    free(text);
    return code;
}

enum err_code xgb_matrix_new(const struct xgb *x, const struct xgb_table *t,
                             struct xgb_matrix **ret, struct err *err)
{
    char array[160], config[64];
    (void)snprintf(array, sizeof array,
                   "{\"data\":[%zu,true],\"shape\":[%zu,%zu],\"typestr\":\"<f4\",\"version\":3}",
                   (size_t)t->values, t->n_rows, t->n_features);
    (void)snprintf(config, sizeof config, "{\"missing\":NaN,\"nthread\":%d}", t->threads);
    struct xgb_matrix *m = calloc(1, sizeof *m);
    if (m == NULL)
        return err_nomem(err);
    m->x = x;
    enum err_code code = ERR_OK;
    if (x->XGDMatrixCreateFromDense(array, config, &m->h) != 0) {
        code = xgb_fail(x, err, "make the matrix");
        goto done;
    }
    code = set_features(x, x->XGDMatrixSetStrFeatureInfo, m->h, t->features, t->n_features, err);
    if (code == ERR_OK && t->labels != NULL &&
        x->XGDMatrixSetFloatInfo(m->h, "label", t->labels, t->n_rows) != 0)
        code = xgb_fail(x, err, "set labels");
done:
    if (code == ERR_OK)
        *ret = m;
    else
        xgb_matrix_free(m);
    return code;
}

void xgb_matrix_free(struct xgb_matrix *m)
{
    if (m == NULL)
        return;
    if (m->h != NULL)
        (void)m->x->XGDMatrixFree(m->h);
    free(m);
}

enum err_code xgb_model_new(const struct xgb *x, struct xgb_matrix *const *ms, size_t n,
                            struct xgb_model **ret, struct err *err)
{
    DMatrixHandle hs[XGB_WATCH_MAX];
    CHECK(n <= ARRAY_LEN(hs));
    for (size_t i = 0; i < n; i++)
        hs[i] = ms[i]->h;
    struct xgb_model *m = calloc(1, sizeof *m);
    if (m == NULL)
        return err_nomem(err);
    m->x = x;
    if (x->XGBoosterCreate(hs, n, &m->h) != 0) {
        free(m);
        return xgb_fail(x, err, "make the booster");
    }
    *ret = m;
    return ERR_OK;
}

void xgb_model_free(struct xgb_model *m)
{
    if (m == NULL)
        return;
    if (m->h != NULL)
        (void)m->x->XGBoosterFree(m->h);
    free(m);
}

enum err_code xgb_set(struct xgb_model *m, const char *name, const char *value, struct err *err)
{
    if (m->x->XGBoosterSetParam(m->h, name, value) != 0)
        return xgb_fail(m->x, err, name);
    return ERR_OK;
}

enum err_code xgb_set_attr(struct xgb_model *m, const char *name, const char *value,
                           struct err *err)
{
    if (m->x->XGBoosterSetAttr(m->h, name, value) != 0)
        return xgb_fail(m->x, err, name);
    return ERR_OK;
}

enum err_code xgb_round(struct xgb_model *m, int64_t round, struct xgb_matrix *train,
                        struct err *err)
{
    if (m->x->XGBoosterUpdateOneIter(m->h, (int)round, train->h) != 0)
        return xgb_fail(m->x, err, "train");
    return ERR_OK;
}

/* As the library prints a number, through the C++ stream: nan, inf. */
static enum err_code parse_metric(struct str v, double *ret, struct err *err)
{
    if (str_is(v, "nan") || str_is(v, "-nan"))
        v = STR("NaN");
    else if (str_is(v, "inf"))
        v = STR("Infinity");
    else if (str_is(v, "-inf"))
        v = STR("-Infinity");
    return parse_f64(v, ret, err);
}

/* "[12]\ttrain-auc:0.71\tvalidation-auc:0.69" */
static enum err_code parse_eval(const char *text, struct xgb_metrics *ret, struct err *err)
{
    struct str rest = str_c(text);
    ret->n = 0;
    (void)str_split(&rest, '\t');
    while (rest.p != NULL && ret->n < XGB_METRICS_MAX) {
        struct str part = str_trim(str_split(&rest, '\t'));
        struct xgb_metric *m = &ret->p[ret->n];
        size_t colon = part.n;
        while (colon > 0 && part.p[colon - 1] != ':')
            colon--;
        if (colon < 2 || colon > sizeof m->key)
            continue;
        memcpy(m->key, part.p, colon - 1);
        m->key[colon - 1] = '\0';
        enum err_code code = parse_metric(str_n(part.p + colon, part.n - colon), &m->value, err);
        if (code != ERR_OK)
            return err_wrap(err, "xgboost's metric %s", m->key);
        ret->n++;
    }
    return ERR_OK;
}

enum err_code xgb_eval(struct xgb_model *m, int64_t round, const struct xgb_watch *w,
                       struct xgb_metrics *ret, struct err *err)
{
    DMatrixHandle hs[XGB_WATCH_MAX];
    const char *names[XGB_WATCH_MAX];
    const char *text = NULL;
    CHECK(w->n <= XGB_WATCH_MAX);
    for (size_t i = 0; i < w->n; i++) {
        hs[i] = w->matrices[i]->h;
        names[i] = w->names[i];
    }
    if (m->x->XGBoosterEvalOneIter(m->h, (int)round, hs, names, w->n, &text) != 0)
        return xgb_fail(m->x, err, "evaluate");
    return parse_eval(text, ret, err);
}

enum err_code xgb_cut(struct xgb_model *m, int64_t n_rounds, struct err *err)
{
    BoosterHandle cut = NULL;
    if (m->x->XGBoosterSlice(m->h, 0, (int)n_rounds, 1, &cut) != 0)
        return xgb_fail(m->x, err, "cut the model to its best round");
    (void)m->x->XGBoosterFree(m->h);
    m->h = cut;
    return ERR_OK;
}

enum err_code xgb_name(struct xgb_model *m, const struct xgb_feature *f, size_t n_features,
                       struct err *err)
{
    return set_features(m->x, m->x->XGBoosterSetStrFeatureInfo, m->h, f, n_features, err);
}

enum err_code xgb_save_json(struct xgb_model *m, struct arena *a, struct str *ret, struct err *err)
{
    bst_ulong n = 0;
    const char *p = NULL;
    if (m->x->XGBoosterSaveModelToBuffer(m->h, "{\"format\":\"json\"}", &n, &p) != 0)
        return xgb_fail(m->x, err, "save the model");
    char *copy = str_dup(a, str_n(p, (size_t)n));
    if (copy == NULL)
        return arena_err(a, err);
    *ret = str_n(copy, (size_t)n);
    return ERR_OK;
}

enum err_code xgb_load_json(struct xgb_model *m, struct str text, struct err *err)
{
    if (m->x->XGBoosterLoadModelFromBuffer(m->h, text.p, text.n) != 0)
        return xgb_fail(m->x, err, "load the model");
    return ERR_OK;
}

enum err_code xgb_predict(struct xgb_model *m, struct xgb_matrix *rows, struct arena *a,
                          const float **ret, size_t *ret_n, struct err *err)
{
    const bst_ulong *shape = NULL;
    bst_ulong dim = 0;
    const float *out = NULL;
    if (m->x->XGBoosterPredictFromDMatrix(m->h, rows->h,
                                          "{\"type\":0,\"training\":false,\"iteration_begin\":0,"
                                          "\"iteration_end\":0,\"strict_shape\":false}",
                                          &shape, &dim, &out) != 0)
        return xgb_fail(m->x, err, "predict");
    size_t n = 1;
    for (bst_ulong i = 0; i < dim; i++)
        n *= (size_t)shape[i];
    float *copy = ARENA_NEW_N(a, float, n);
    if (copy == NULL)
        return arena_err(a, err);
    if (n > 0)
        memcpy(copy, out, n * sizeof *copy);
    *ret = copy;
    *ret_n = n;
    return ERR_OK;
}

/* One kind of importance into the table, matched by name: the library leaves out unused features and sorts. */
static enum err_code score(struct xgb_model *m, const char *kind, struct xgb_importance *rows,
                           size_t n, struct err *err)
{
    char config[64];
    (void)snprintf(config, sizeof config, "{\"importance_type\":\"%s\"}", kind);
    bst_ulong n_out = 0, dim = 0;
    const char **names = NULL;
    const bst_ulong *shape = NULL;
    const float *scores = NULL;
    if (m->x->XGBoosterFeatureScore(m->h, config, &n_out, &names, &dim, &shape, &scores) != 0)
        return xgb_fail(m->x, err, "importances");
    for (bst_ulong i = 0; i < n_out; i++) {
        for (size_t k = 0; k < n; k++) {
            if (strcmp(rows[k].feature, names[i]) != 0)
                continue;
            double v = (double)scores[i];
            if (kind[0] == 'w')
                rows[k].splits = (int64_t)v;
            else if (kind[0] == 'g')
                rows[k].gain = v;
            else
                rows[k].total = v;
        }
    }
    return ERR_OK;
}

enum err_code xgb_importance(struct xgb_model *m, const struct xgb_feature *f, size_t n_features,
                             struct arena *a, struct xgb_importance **ret, struct err *err)
{
    struct xgb_importance *rows = ARENA_NEW_N(a, struct xgb_importance, n_features);
    if (rows == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < n_features; i++)
        rows[i].feature = f[i].name;
    static const char *const KINDS[] = {"weight", "gain", "total_gain"};
    for (size_t k = 0; k < ARRAY_LEN(KINDS); k++) {
        enum err_code code = score(m, KINDS[k], rows, n_features, err);
        if (code != ERR_OK)
            return code;
    }
    *ret = rows;
    return ERR_OK;
}
