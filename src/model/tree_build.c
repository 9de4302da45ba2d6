/* Lays trees out: checks what a file claims and turns its arrays into nodes, level by level. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "model/tree_int.h"

/* Makes room for `more` further elements of a heap array. */
static enum err_code grow(void **p, size_t *cap, size_t n, size_t more, size_t elem_bytes,
                          struct err *err)
{
    if (*cap - n >= more)
        return ERR_OK;
    size_t want = *cap ? *cap : 1024;
    while (want - n < more)
        want *= 2;
    void *q = realloc(*p, want * elem_bytes);
    if (!q)
        return err_nomem(err);
    *p = q;
    *cap = want;
    return ERR_OK;
}

enum err_code tree_builder_init(struct tree_builder *b, struct tree_model *m, struct arena *tmp,
                                struct err *err)
{
    memset(b, 0, sizeof *b);
    b->m = m;
    b->tmp = tmp;
    b->cap_trees = 256;
    m->roots = malloc(b->cap_trees * sizeof *m->roots);
    b->depths = malloc(b->cap_trees * sizeof *b->depths);
    b->general = malloc(b->cap_trees * sizeof *b->general);
    return m->roots && b->depths && b->general ? ERR_OK : err_nomem(err);
}

void tree_builder_fini(struct tree_builder *b)
{
    free(b->depths);
    free(b->general);
    b->depths = NULL;
    b->general = NULL;
}

static enum err_code reserve_trees(struct tree_builder *b, size_t more, struct err *err)
{
    size_t n = b->m->n_trees, cap = b->cap_trees;
    if (cap - n >= more)
        return ERR_OK;
    enum err_code rc = grow((void **)&b->m->roots, &cap, n, more, sizeof *b->m->roots, err);
    cap = b->cap_trees;
    if (rc == ERR_OK)
        rc = grow((void **)&b->depths, &cap, n, more, sizeof *b->depths, err);
    cap = b->cap_trees;
    if (rc == ERR_OK)
        rc = grow((void **)&b->general, &cap, n, more, sizeof *b->general, err);
    if (rc == ERR_OK)
        b->cap_trees = cap;
    return rc;
}

/* What laying out one tree needs. */
struct layout {
    const struct raw_tree *raw;
    uint32_t *queue;  /* raw index of the i-th node in level order */
    uint32_t *depth;  /* its depth */
    int64_t *cat_of;  /* raw node -> entry of cat_nodes, or -1 */
    uint8_t *is_seen; /* raw nodes reached already */
    size_t n;
    uint32_t deepest;
    bool is_general;
};

static enum err_code layout_init(struct layout *l, const struct raw_tree *t, struct arena *tmp,
                                 struct err *err)
{
    memset(l, 0, sizeof *l);
    l->raw = t;
    l->queue = ARENA_NEW_N(tmp, uint32_t, t->n);
    l->depth = ARENA_NEW_N(tmp, uint32_t, t->n);
    l->is_seen = ARENA_NEW_N(tmp, uint8_t, t->n);
    l->cat_of = ARENA_NEW_N(tmp, int64_t, t->n);
    if (!l->queue || !l->depth || !l->is_seen || !l->cat_of)
        return arena_err(tmp, err);
    for (size_t i = 0; i < t->n; i++)
        l->cat_of[i] = -1;
    for (size_t i = 0; i < t->n_cat_nodes; i++) {
        int64_t node = t->cat_nodes[i];
        if (node < 0 || (size_t)node >= t->n)
            return err_set(err, ERR_PARSE, "categories_nodes[%zu]: node %lld of %zu nodes", i,
                           (long long)node, t->n);
        l->cat_of[node] = (int64_t)i;
    }
    return ERR_OK;
}

static enum err_code visit(struct layout *l, int64_t node, size_t parent, uint32_t depth,
                           struct err *err)
{
    if (node < 0 || (size_t)node >= l->raw->n)
        return err_set(err, ERR_PARSE, "node %zu: child %lld of %zu nodes", parent, (long long)node,
                       l->raw->n);
    if (l->is_seen[node])
        return err_set(err, ERR_PARSE,
                       "node %zu: child %lld has two parents or is its own ancestor", parent,
                       (long long)node);
    if (depth > TREE_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "node %zu: deeper than %d levels", parent, TREE_DEPTH_MAX);
    l->is_seen[node] = 1;
    l->queue[l->n] = (uint32_t)node;
    l->depth[l->n++] = depth;
    l->deepest = depth > l->deepest ? depth : l->deepest;
    return ERR_OK;
}

/* Level order of the nodes that are reached from the root. */
static enum err_code walk_levels(struct layout *l, struct err *err)
{
    const struct raw_tree *t = l->raw;
    enum err_code rc = visit(l, 0, 0, 0, err);
    for (size_t i = 0; rc == ERR_OK && i < l->n; i++) {
        size_t node = l->queue[i];
        if (t->left[node] < 0) {
            if (t->right[node] >= 0)
                return err_set(err, ERR_PARSE, "node %zu: has a right child but no left one", node);
            continue;
        }
        rc = visit(l, t->left[node], node, l->depth[i] + 1, err);
        if (rc == ERR_OK)
            rc = visit(l, t->right[node], node, l->depth[i] + 1, err);
    }
    return rc;
}

/* The bits of a category split, appended to the model's words. */
static enum err_code add_set(struct tree_builder *b, const struct raw_tree *t, int64_t entry,
                             struct tree_node *out, struct err *err)
{
    struct tree_model *m = b->m;
    int64_t first = t->cat_first[entry], n = t->cat_n[entry], highest = -1;
    if (first < 0 || n < 0 || first > (int64_t)t->n_categories ||
        n > (int64_t)t->n_categories - first)
        return err_set(err, ERR_PARSE, "categories_segments: codes %lld + %lld of %zu",
                       (long long)first, (long long)n, t->n_categories);
    for (int64_t i = first; i < first + n; i++) {
        if (t->categories[i] < 0 || t->categories[i] >= TREE_CATEGORIES_MAX)
            return err_set(err, ERR_RANGE, "categories[%lld]: code %lld is outside 0..%d",
                           (long long)i, (long long)t->categories[i], TREE_CATEGORIES_MAX - 1);
        highest = t->categories[i] > highest ? t->categories[i] : highest;
    }
    size_t n_words = (size_t)(highest / 32 + 1);
    if (highest < 0)
        n_words = 0;
    if (m->n_set_words + n_words > TREE_NODES_MAX)
        return err_set(err, ERR_LIMIT, "category sets of more than %d words", TREE_NODES_MAX);
    enum err_code rc = grow((void **)&m->sets, &b->cap_sets, m->n_sets, 1, sizeof *m->sets, err);
    if (rc == ERR_OK)
        rc = grow((void **)&m->set_words, &b->cap_set_words, m->n_set_words, n_words + 1,
                  sizeof *m->set_words, err);
    if (rc != ERR_OK)
        return rc;
    uint32_t *words = m->set_words + m->n_set_words;
    memset(words, 0, n_words * sizeof *words);
    for (int64_t i = first; i < first + n; i++)
        words[t->categories[i] / 32] |= UINT32_C(1) << (t->categories[i] % 32);
    out->set = (uint32_t)m->n_sets;
    m->sets[m->n_sets++] = (struct tree_set){(uint32_t)m->n_set_words, (uint32_t)n_words};
    m->n_set_words += n_words;
    return ERR_OK;
}

static enum err_code put_split(struct tree_builder *b, struct layout *l, size_t raw,
                               struct tree_node *out, struct err *err)
{
    const struct raw_tree *t = l->raw;
    int64_t feature = t->feature[raw];
    if (feature < 0 || (size_t)feature >= b->m->n_features)
        return err_set(err, ERR_PARSE, "node %zu: split index %lld of %zu features", raw,
                       (long long)feature, b->m->n_features);
    struct tree_feature *f = &b->m->features[feature];
    f->n_splits++;
    if (t->gain && isfinite(t->gain[raw]))
        f->gain += (double)t->gain[raw];
    out->where = (uint32_t)(2 * feature) + (t->default_left[raw] ? 1 : 0);
    out->value = t->value[raw];
    bool is_category = t->split_type && t->split_type[raw] == 1;
    if (t->split_type && (t->split_type[raw] < 0 || t->split_type[raw] > 1))
        return err_set(err, ERR_UNSUPPORTED, "node %zu: unknown split type %lld", raw,
                       (long long)t->split_type[raw]);
    if (!is_category) {
        l->is_general |= !isfinite(out->value);
        return ERR_OK;
    }
    if (l->cat_of[raw] < 0)
        return err_set(err, ERR_PARSE, "node %zu: splits by category but has no categories", raw);
    f->is_category = true;
    l->is_general = true;
    out->where |= NODE_CATEGORY;
    return add_set(b, t, l->cat_of[raw], out, err);
}

static enum err_code put_nodes(struct tree_builder *b, struct layout *l, struct err *err)
{
    const struct raw_tree *t = l->raw;
    struct tree_model *m = b->m;
    uint32_t base = (uint32_t)m->n_nodes,
             next = base + 1; /* index of the next children in level order */
    for (size_t i = 0; i < l->n; i++) {
        size_t raw = l->queue[i];
        uint32_t index = base + (uint32_t)i;
        struct tree_node *out = &m->nodes[index];
        if (t->left[raw] < 0) {
            if (!isfinite(t->value[raw]))
                return err_set(err, ERR_PARSE, "node %zu: the leaf's value is not finite", raw);
            *out = (struct tree_node){{t->value[raw]}, NODE_LEAF, {index, index}};
            continue;
        }
        enum err_code rc = put_split(b, l, raw, out, err);
        if (rc != ERR_OK)
            return rc;
        out->child[0] = next;
        out->child[1] = next + 1;
        next += 2;
    }
    m->n_nodes += l->n;
    return ERR_OK;
}

enum err_code tree_builder_add(struct tree_builder *b, const struct raw_tree *t, struct err *err)
{
    struct tree_model *m = b->m;
    if (m->n_trees >= TREE_TREES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d trees", TREE_TREES_MAX);
    if (t->n == 0)
        return err_set(err, ERR_PARSE, "a tree without nodes");
    if (m->n_nodes + t->n + 1 > TREE_NODES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d nodes in all", TREE_NODES_MAX);
    struct layout l;
    enum err_code rc = layout_init(&l, t, b->tmp, err);
    if (rc == ERR_OK)
        rc = walk_levels(&l, err);
    if (rc == ERR_OK)
        rc = reserve_trees(b, 1 + TREE_LANES, err);
    if (rc == ERR_OK)
        rc = grow((void **)&m->nodes, &b->cap_nodes, m->n_nodes, l.n + 1, sizeof *m->nodes, err);
    if (rc != ERR_OK)
        return rc;
    m->roots[m->n_trees] = (uint32_t)m->n_nodes;
    rc = put_nodes(b, &l, err);
    if (rc != ERR_OK)
        return rc;
    b->depths[m->n_trees] = l.deepest;
    b->general[m->n_trees] = l.is_general;
    m->n_trees++;
    return ERR_OK;
}

void tree_builder_scale(struct tree_builder *b, size_t i, float weight)
{
    struct tree_model *m = b->m;
    CHECK(i < m->n_trees);
    size_t end = i + 1 < m->n_trees ? m->roots[i + 1] : m->n_nodes;
    for (size_t k = m->roots[i]; k < end; k++) {
        if (m->nodes[k].where & NODE_LEAF)
            m->nodes[k].value *= weight;
    }
}

/* The last block is filled up with a tree of one leaf that no group sums. */
static void pad(struct tree_builder *b, size_t n_padded)
{
    struct tree_model *m = b->m;
    if (n_padded == m->n_trees)
        return;
    uint32_t leaf = (uint32_t)m->n_nodes++;
    m->nodes[leaf] = (struct tree_node){{0.0f}, NODE_LEAF, {leaf, leaf}};
    for (size_t i = m->n_trees; i < n_padded; i++) {
        m->roots[i] = leaf;
        m->groups[i] = TREE_GROUPS_MAX;
        b->depths[i] = 0;
        b->general[i] = false;
    }
}

enum err_code tree_builder_end(struct tree_builder *b, const int64_t *group, struct err *err)
{
    struct tree_model *m = b->m;
    for (size_t i = 0; i < m->n_trees; i++) {
        if (group[i] < 0 || (size_t)group[i] >= m->n_groups)
            return err_set(err, ERR_PARSE, "tree_info[%zu]: output %lld of %zu", i,
                           (long long)group[i], m->n_groups);
    }
    m->n_blocks = (m->n_trees + TREE_LANES - 1) / TREE_LANES;
    size_t n_padded = m->n_blocks * TREE_LANES;
    m->groups = malloc((n_padded + 1) * sizeof *m->groups);
    m->blocks = calloc(m->n_blocks + 1, sizeof *m->blocks);
    enum err_code rc = reserve_trees(b, TREE_LANES, err);
    if (rc != ERR_OK || !m->groups || !m->blocks)
        return rc != ERR_OK ? rc : err_nomem(err);
    for (size_t i = 0; i < m->n_trees; i++)
        m->groups[i] = (uint32_t)group[i];
    pad(b, n_padded);
    for (size_t i = 0; i < n_padded; i++) {
        struct tree_lane_block *block = &m->blocks[i / TREE_LANES];
        block->n_steps = b->depths[i] > block->n_steps ? b->depths[i] : block->n_steps;
        block->is_general |= b->general[i];
    }
    return ERR_OK;
}
