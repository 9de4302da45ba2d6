/* The kernels (see tree_int.h for the idea). Per row and output the leaves are summed in float32 in
 * the order of the trees, starting from the base margin: the order in which XGBoost sums. */
#include <math.h>
#include <string.h>

#include "model/tree_int.h"

#define ROW_BLOCK_MAX    16 /* rows that share a walk over the trees: the trees stay in the cache */
#define ROW_BLOCK_FLOATS 16384 /* of doubled rows: 64 KiB, stays in the second-level cache */

static size_t row_block(const struct tree_model *m)
{
    size_t n = ROW_BLOCK_FLOATS / (2 * m->n_features + 1);
    return n < 1 ? 1 : n > ROW_BLOCK_MAX ? ROW_BLOCK_MAX : n;
}

size_t tree_model_scratch_floats(const struct tree_model *m)
{
    return row_block(m) * (2 * m->n_features + 1);
}

static void double_row(const float *row, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        float x = row[i];
        bool is_missing = x != x;
        out[2 * i] = is_missing ? INFINITY : x;
        out[2 * i + 1] = is_missing ? -INFINITY : x;
    }
    out[2 * n] = 0.0f; /* a model without features still looks at slot 0 */
}

/* Leaves of TREE_LANES trees for one doubled row. */
static void walk_lanes(const struct tree_node *nodes, const uint32_t *roots, uint32_t n_steps,
                       const float *row2, float *ret_leaf)
{
    uint32_t at[TREE_LANES];
    for (size_t k = 0; k < TREE_LANES; k++)
        at[k] = roots[k];
    for (uint32_t step = 0; step < n_steps; step++) {
        for (size_t k = 0; k < TREE_LANES; k++) {
            const struct tree_node *n = &nodes[at[k]];
            at[k] = n->child[!(row2[n->where & NODE_SLOT] < n->value)];
        }
    }
    for (size_t k = 0; k < TREE_LANES; k++)
        ret_leaf[k] = nodes[at[k]].value;
}

/* A member goes right; a code that is negative, too large or not in the set goes left. */
static bool category_goes_left(const struct tree_model *m, const struct tree_node *node, float x)
{
    if (x < 0.0f || x >= (float)TREE_CATEGORIES_MAX)
        return true;
    const struct tree_set *set = &m->sets[node->set];
    uint32_t code = (uint32_t)x;
    if (code / 32 >= set->n)
        return true;
    return !(m->set_words[set->first + code / 32] >> (code % 32) & 1);
}

static float walk_general(const struct tree_model *m, uint32_t root, const float *row)
{
    uint32_t at = root;
    for (;;) {
        const struct tree_node *n = &m->nodes[at];
        if (n->where & NODE_LEAF)
            return n->value;
        uint32_t slot = n->where & NODE_SLOT;
        float x = row[slot >> 1];
        bool goes_left;
        if (x != x)
            goes_left = slot & 1;
        else if (n->where & NODE_CATEGORY)
            goes_left = category_goes_left(m, n, x);
        else
            goes_left = x < n->value;
        at = n->child[!goes_left];
    }
}

static void add_leaves(const uint32_t *groups, const float *leaf, size_t n_groups, float *sums)
{
    if (n_groups == 1 && groups[TREE_LANES - 1] == 0) {
        float sum = sums[0];
        for (size_t k = 0; k < TREE_LANES; k++)
            sum += leaf[k];
        sums[0] = sum;
        return;
    }
    for (size_t k = 0; k < TREE_LANES && groups[k] < n_groups; k++)
        sums[groups[k]] += leaf[k];
}

/* At most row_block(m) rows. */
static void margin_block(const struct tree_model *m, const float *rows, size_t n_rows,
                         float *scratch, float *ret)
{
    size_t width = 2 * m->n_features + 1;
    for (size_t r = 0; r < n_rows; r++) {
        double_row(rows + r * m->n_features, m->n_features, scratch + r * width);
        memcpy(ret + r * m->n_groups, m->base_margin, m->n_groups * sizeof *ret);
    }
    for (size_t b = 0; b < m->n_blocks; b++) {
        const uint32_t *roots = m->roots + b * TREE_LANES, *groups = m->groups + b * TREE_LANES;
        for (size_t r = 0; r < n_rows; r++) {
            float leaf[TREE_LANES];
            if (!m->blocks[b].is_general)
                walk_lanes(m->nodes, roots, m->blocks[b].n_steps, scratch + r * width, leaf);
            for (size_t k = 0; m->blocks[b].is_general && k < TREE_LANES; k++)
                leaf[k] = walk_general(m, roots[k], rows + r * m->n_features);
            add_leaves(groups, leaf, m->n_groups, ret + r * m->n_groups);
        }
    }
}

void tree_model_margin(const struct tree_model *m, const float *rows, size_t n_rows, float *scratch,
                       float *ret_margin)
{
    size_t block = row_block(m);
    for (size_t done = 0; done < n_rows; done += block) {
        size_t n = n_rows - done < block ? n_rows - done : block;
        margin_block(m, rows + done * m->n_features, n, scratch, ret_margin + done * m->n_groups);
    }
}

void tree_model_predict(const struct tree_model *m, const float *rows, size_t n_rows,
                        float *scratch, float *ret_scores)
{
    tree_model_margin(m, rows, n_rows, scratch, ret_scores);
    for (size_t r = 0; r < n_rows; r++)
        tree_transform_apply(m->objective->transform, ret_scores + r * m->n_groups, m->n_groups);
}
