#include "serve_fix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "blob/tree.h"
#include "engine/mlmodel.h"

static void on_told(void *arg, enum serve_event ev, const char *endpoint, uint64_t gen,
                    const char *text)
{
    struct home *h = arg;
    (void)endpoint;
    (void)gen;
    (void)text;
    __atomic_fetch_add(&h->n_told[ev], 1, __ATOMIC_RELAXED);
}

void home_open(struct home *h)
{
    struct err err = ERR_INIT;
    char store[128], decisions[128], predictions[128], serving[128];
    snprintf(store, sizeof store, "%s/store", h->dir);
    snprintf(decisions, sizeof decisions, "%s/decisions.log", h->dir);
    snprintf(predictions, sizeof predictions, "%s/predictions", h->dir);
    snprintf(serving, sizeof serving, "%s/serving", h->dir);
    struct feedback_log_options lo = {.dir = predictions, .may_write = true};
    ASSERT_OK(blob_open(store, &h->blobs, &err), &err);
    ASSERT_OK(journal_open(decisions, &h->journal, NULL, &err), &err);
    ASSERT_OK(feedback_log_open(&lo, &h->log, &err), &err);
    struct serve_options so = {.dir = serving,
                               .blobs = h->blobs,
                               .journal = h->journal,
                               .log = h->log,
                               .sink = {on_told, h},
                               .is_replay = h->is_replay};
    ASSERT_OK(serve_open(&so, &h->serve, &err), &err);
}

void home_close(struct home *h)
{
    serve_close(h->serve);
    feedback_log_close(h->log);
    journal_close(h->journal);
    blob_close(h->blobs);
}

int home_make(void **state)
{
    struct home *h = calloc(1, sizeof *h);
    snprintf(h->dir, sizeof h->dir, "/tmp/pawl-serve-XXXXXX");
    if (!mkdtemp(h->dir))
        return -1;
    arena_init(&h->arena, 64 << 20);
    home_open(h);
    *state = h;
    return 0;
}

int home_drop(void **state)
{
    struct home *h = *state;
    struct err err = ERR_INIT;
    home_close(h);
    enum err_code code = dir_remove(h->dir, &err);
    arena_fini(&h->arena);
    free(h);
    return code == ERR_OK ? 0 : -1;
}

float score_of(double leaf, double a)
{
    float margin = (float)(a < 1 || isnan(a) ? -leaf : leaf);
    return 1.0f / (1.0f + expf(-margin));
}

static const char MODEL[] =
    "{\"learner\":{\"attributes\":{},\"feature_names\":[\"a\",\"b\"],\"feature_types\":[\"float\","
    "\"float\"],"
    "\"gradient_booster\":{\"model\":{\"gbtree_model_param\":{\"num_parallel_tree\":\"1\",\"num_"
    "trees\":\"1\"},"
    "\"tree_info\":[0],\"trees\":[{\"base_weights\":[0,0,0],\"categories\":[],\"categories_nodes\":"
    "[],"
    "\"categories_segments\":[],\"categories_sizes\":[],\"default_left\":[1,0,0],\"id\":0,\"left_"
    "children\":[1,-1,-1],"
    "\"loss_changes\":[1,0,0],\"parents\":[2147483647,0,0],\"right_children\":[2,-1,-1],"
    "\"split_conditions\":[1,%s,%s],\"split_indices\":[0,0,0],\"split_type\":[0,0,0],\"sum_"
    "hessian\":[2,1,1],"
    "\"tree_param\":{\"num_deleted\":\"0\",\"num_feature\":\"2\",\"num_nodes\":\"3\",\"size_leaf_"
    "vector\":\"0\"}}]},"
    "\"name\":\"gbtree\"},\"learner_model_param\":{\"base_score\":\"5E-1\",\"num_class\":\"0\","
    "\"num_feature\":\"2\"},"
    "\"objective\":{\"name\":\"binary:logistic\",\"reg_loss_param\":{\"scale_pos_weight\":\"1\"}}},"
    "\"version\":[1,7,4]}";

static void model_write(const char *dir, const struct model_shape *shape)
{
    char text[4096], left[NUM_TEXT_BYTES], right[NUM_TEXT_BYTES];
    struct model_file files[2];
    size_t n = 0;
    struct err err = ERR_INIT;
    struct arena a;
    arena_init(&a, 8 << 20);
    num_f32(left, (float)-shape->leaf);
    num_f32(right, (float)shape->leaf);
    int length = snprintf(text, sizeof text, MODEL, left, right);
    if (shape->plan)
        files[n++] = (struct model_file){"pawl/plan.json", str_c(shape->plan)};
    if (shape->regression)
        files[n++] = (struct model_file){"pawl/regression.json", str_c(shape->regression)};
    struct model_write w = {.booster_json = str_n(text, (size_t)length),
                            .xgboost_version = "1.7.4",
                            .files = files,
                            .n_files = n,
                            .at_us = US_PER_DAY};
    ASSERT_OK(model_dir_write(dir, &w, &a, &err), &err);
    arena_fini(&a);
}

struct json *release_make(struct home *h, const struct model_shape *shape)
{
    char dir[128], hex[DIGEST_HEX_BYTES];
    struct digest model, tree;
    struct err err = ERR_INIT;
    struct json *doc = json_obj(&h->arena);
    snprintf(dir, sizeof dir, "%s/model-%p", h->dir, (void *)doc);
    model_write(dir, shape);
    ASSERT_OK(model_dir_digest(dir, &h->arena, &model, &err), &err);
    ASSERT_OK(tree_put_dir(h->blobs, dir, &tree, &err), &err);
    ASSERT_OK(dir_remove(dir, &err), &err);
    json_set(&h->arena, doc, "format", json_int(&h->arena, 1));
    json_set(&h->arena, doc, "kind", json_cstr(&h->arena, "retrain"));
    json_set(&h->arena, doc, "endpoint", json_cstr(&h->arena, "e"));
    digest_hex(&model, hex);
    json_set(&h->arena, doc, "model", json_cstr(&h->arena, hex));
    digest_hex(&tree, hex);
    json_set(&h->arena, doc, "tree", json_cstr(&h->arena, hex));
    if (!isnan(shape->threshold))
        json_set(&h->arena, doc, "threshold", json_num(&h->arena, shape->threshold));
    return doc;
}

void decide_ok(struct home *h, const struct serve_decision *d, struct serve_result *ret)
{
    struct err err = ERR_INIT;
    ASSERT_OK(serve_apply(h->serve, d, ret, &err), &err);
}

void go_live(struct home *h, int64_t number, double leaf)
{
    struct model_shape shape = {.leaf = leaf, .threshold = 0.5};
    struct serve_result res;
    struct serve_decision d = {.kind = SERVE_LIVE,
                               .endpoint = "e",
                               .actor = "test",
                               .reason = "first",
                               .release = number,
                               .doc = release_make(h, &shape)};
    decide_ok(h, &d, &res);
}

enum err_code predict_ab(struct home *h, const char *id, double a, double b, struct arena *arena,
                         struct serve_answer *ret, struct err *err)
{
    struct value va = {VAL_FLOAT, {.f = a}}, vb = {VAL_FLOAT, {.f = b}};
    struct serve_tensor t[2] = {{STR("a"), TENSOR_FP64, 1, 1, &va},
                                {STR("b"), TENSOR_FP64, 1, 1, &vb}};
    struct serve_request q = {.endpoint = STR("e"),
                              .id = str_c(id ? id : ""),
                              .inputs = t,
                              .n_inputs = 2,
                              .mono_ns = mono_ns()};
    return serve_predict(h->serve, &q, arena, ret, err);
}
