/* Private to model/: the flat layout, how readers build it, the table of formats and of objectives.
 *
 * Nodes of a tree stand level by level, siblings beside each other. A row is first written out
 * twice over, value 2f with a missing one as +inf and value 2f+1 with a missing one as -inf; a
 * split names one of the two by its default direction, so that one comparison decides and no branch
 * is needed. A leaf points at itself with both children, so that eight trees are walked in lockstep
 * for as many steps as the deepest of them has: the processor overlaps their memory accesses, which
 * is what the time goes into. (Tried and left: one tree after the other with an exit at the leaf: a
 * misprediction a tree.) Splits by category, and conditions that are not finite, are decided by the
 * general walk. */
#ifndef PAWL_MODEL_TREE_INT_H
#define PAWL_MODEL_TREE_INT_H

#include "base/arena.h"
#include "model/tree_model.h"

#define TREE_LANES 8 /* trees walked together */

#define NODE_CATEGORY UINT32_C(0x80000000)
#define NODE_LEAF     UINT32_C(0x40000000)
#define NODE_SLOT     UINT32_C(0x3fffffff) /* 2 * feature + (missing goes left) */

struct tree_node {
    union {
        float value;  /* condition of a numeric split, value of a leaf */
        uint32_t set; /* category split: index in the sets */
    };
    uint32_t where;    /* flags and slot; a leaf's slot is 0 */
    uint32_t child[2]; /* left, right: index in all nodes; a leaf: itself twice */
};

struct tree_set { /* category bits of one split: words first .. first + n - 1; member -> right */
    uint32_t first, n;
};

struct tree_lane_block {
    uint32_t n_steps; /* of the deepest tree among the lanes */
    bool is_general;  /* some tree of it needs the general walk */
};

enum tree_transform {
    TRANSFORM_NONE,
    TRANSFORM_SIGMOID,
    TRANSFORM_SOFTMAX,
    TRANSFORM_EXP,
    TRANSFORM_STEP,
    TRANSFORM_N
};

enum tree_link {
    LINK_IDENTITY,
    LINK_LOGIT,
    LINK_LOG,
    LINK_N
}; /* output -> margin, for the base score */

struct tree_objective {
    const char *name;
    enum tree_task task;
    enum tree_transform transform;
    enum tree_link link;
};
/* NULL when not known. */
const struct tree_objective *tree_objective_find(struct str name);
/* Names of all, for a sentence. */
void tree_objective_names(struct buf *out);
/* Base score in output space -> margin, in float32 as the library computes it. False: outside the
 * link's domain. */
bool tree_link_margin(enum tree_link link, float base_score, float *ret);
void tree_transform_apply(enum tree_transform t, float *scores, size_t n);

struct tree_model {
    struct arena names; /* strings and features */
    const char *format, *version;
    const struct tree_objective *objective;
    size_t n_features, n_groups, n_trees, n_nodes, n_blocks;
    struct tree_feature *features;
    struct tree_node *nodes;
    uint32_t *roots;  /* per tree, padded to a multiple of TREE_LANES with a leaf of value 0 */
    uint32_t *groups; /* per tree; of the padding TREE_GROUPS_MAX */
    struct tree_lane_block *blocks;
    struct tree_set *sets;
    size_t n_sets;
    uint32_t *set_words;
    size_t n_set_words;
    float *base_margin;       /* n_groups */
    int64_t best_iteration;   /* -1: not noted */
    size_t n_iteration_trees; /* of one iteration */
};

/* ---- building ---- */

/* One tree as a file has it: arrays of n nodes; node 0 is the root; left < 0 marks a leaf. */
struct raw_tree {
    size_t n;
    const int64_t *left, *right, *feature, *default_left;
    const int64_t *split_type; /* NULL: all numeric */
    const float *value;        /* condition, or the leaf's value */
    const float *gain;         /* NULL: not in the file */
    /* category splits: node, first and number of codes in `categories` */
    const int64_t *cat_nodes, *cat_first, *cat_n;
    size_t n_cat_nodes;
    const int64_t *categories;
    size_t n_categories;
};

struct tree_builder {
    struct tree_model *m;
    struct arena *tmp; /* marks and queues while one tree is laid out */
    uint32_t *depths;  /* per tree */
    bool *general;
    size_t cap_nodes, cap_trees, cap_sets, cap_set_words;
};

/* m: zeroed, with n_features set and features allocated. */
enum err_code tree_builder_init(struct tree_builder *b, struct tree_model *m, struct arena *tmp,
                                struct err *err) MUST_CHECK;
void tree_builder_fini(struct tree_builder *b);
/* Checks the tree (indices, no cycle, no node reached twice, finite leaves) and lays it out; scale
 * multiplies leaves. */
enum err_code tree_builder_add(struct tree_builder *b, const struct raw_tree *t,
                               struct err *err) MUST_CHECK;
/* Multiplies the leaves of tree i (DART weights, known only at the end of a file). */
void tree_builder_scale(struct tree_builder *b, size_t i, float weight);
/* group: of each tree. Pads, makes the lane blocks. */
enum err_code tree_builder_end(struct tree_builder *b, const int64_t *group,
                               struct err *err) MUST_CHECK;

/* ---- formats: one row each ---- */
struct tree_format {
    const char *name;
    bool (*is_it)(struct str text);
    /* Fills m (zeroed; names initialised) with the help of tmp. */
    enum err_code (*read)(struct str text, struct tree_model *m, struct arena *tmp,
                          struct err *err);
};
extern const struct tree_format TREE_FORMATS[];
extern const size_t TREE_N_FORMATS;

bool xgboost_json_is_it(struct str text);
enum err_code xgboost_json_read(struct str text, struct tree_model *m, struct arena *tmp,
                                struct err *err);
bool xgboost_ubjson_is_it(struct str text);
enum err_code xgboost_ubjson_read(struct str text, struct tree_model *m, struct arena *tmp,
                                  struct err *err);

#endif
