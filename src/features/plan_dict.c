/* Category dictionaries: the distinct values of the category inputs in the training data, sorted by
 * bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/vec.h"
#include "features/plan_build.h"
#include "features/plan_int.h"

#define DICT_BYTES_MAX (INT64_C(1) << 30)

struct plan_dict {
    const struct plan *plan;
    struct arena arena; /* the values seen */
    struct map **seen;  /* per input; NULL: a number */
};

struct plan_dict *plan_dict_new(const struct plan *p)
{
    struct plan_dict *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->plan = p;
    arena_init(&d->arena, (size_t)DICT_BYTES_MAX);
    d->seen = ARENA_NEW_N(&d->arena, struct map *, p->n_inputs);
    bool is_ok = d->seen != NULL;
    for (size_t i = 0; is_ok && i < p->n_inputs; i++) {
        d->seen[i] = p->inputs[i].is_category ? map_new(&d->arena) : NULL;
        is_ok = !p->inputs[i].is_category || d->seen[i];
    }
    if (!is_ok) {
        plan_dict_free(d);
        return NULL;
    }
    return d;
}

void plan_dict_free(struct plan_dict *d)
{
    if (!d)
        return;
    arena_fini(&d->arena);
    free(d);
}

static const struct column *find_column(const char *name, const struct column *cols, size_t n_cols)
{
    for (size_t i = 0; i < n_cols; i++) {
        if (strcmp(cols[i].name, name) == 0)
            return &cols[i];
    }
    return NULL;
}

static enum err_code add_values(struct plan_dict *d, size_t input, const struct column *c, size_t n,
                                struct err *err)
{
    char buf[NUM_TEXT_BYTES];
    for (size_t row = 0; row < n; row++) {
        struct value v = column_value(c, row);
        if (v.type == VAL_NULL)
            continue;
        struct str text = plan_category_text(&v, buf);
        if (map_get(d->seen[input], text.p, text.n))
            continue;
        if (map_count(d->seen[input]) == PLAN_CATEGORIES_MAX)
            return err_set(err, ERR_LIMIT,
                           "input '%s' has more than %d categories: leave it out, or make buckets "
                           "with hash_bucket()",
                           d->plan->inputs[input].name, PLAN_CATEGORIES_MAX);
        if (!map_put(d->seen[input], text.p, text.n, d))
            return arena_err(&d->arena, err);
    }
    return ERR_OK;
}

enum err_code plan_dict_add(struct plan_dict *d, const struct column *cols, size_t n_cols, size_t n,
                            struct err *err)
{
    const struct plan *p = d->plan;
    struct arena a;
    float *matrix;
    struct column *rows;
    arena_init(&a, (size_t)DICT_BYTES_MAX);
    enum err_code rc = plan_run_chunk(p, cols, n_cols, n, &a, &matrix, &rows, err);
    for (size_t i = 0; rc == ERR_OK && i < p->n_inputs; i++) {
        size_t slot = p->inputs[i].slot;
        if (!p->inputs[i].is_category)
            continue;
        const struct column *c = slot < p->n_settable
                                     ? find_column(p->slots[slot].name, cols, n_cols)
                                     : &rows[slot - p->n_settable];
        CHECK(c != NULL); /* plan_run_chunk found it */
        rc = add_values(d, i, c, n, err);
        const struct value *fallback = &p->defaults[slot];
        if (rc == ERR_OK && slot < p->n_settable && fallback->type != VAL_NULL) {
            struct column one = {.type = VAL_STR, .n = 1, .u.s = (struct str[]){fallback->u.s}};
            rc = fallback->type == VAL_STR ? add_values(d, i, &one, 1, err) : ERR_OK;
        }
    }
    arena_fini(&a);
    return rc;
}

static int by_bytes(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static enum err_code sorted_list(const struct map *seen, struct arena *a, struct json **ret,
                                 struct err *err)
{
    size_t n = map_count(seen);
    struct str *values = ARENA_NEW_N(a, struct str, n);
    if (!values)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++)
        map_at(seen, i, &values[i].p, &values[i].n);
    if (n)
        qsort(values, n, sizeof *values, by_bytes);
    *ret = json_arr(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, *ret, json_str(a, values[i]));
    return ERR_OK;
}

enum err_code plan_dict_finish(const struct plan_dict *d, const struct json *doc, struct arena *a,
                               struct json **ret, struct err *err)
{
    struct json *out = json_copy(a, doc), *inputs = json_arr(a);
    const struct json *before = json_get(doc, "inputs");
    if (json_len(before) != d->plan->n_inputs)
        return err_set(err, ERR_INVALID,
                       "the document has other inputs than the plan that was read from it");
    for (size_t i = 0; i < d->plan->n_inputs; i++) {
        struct json *input = json_copy(a, json_at(before, i)), *list = NULL;
        if (d->seen[i]) {
            enum err_code rc = sorted_list(d->seen[i], a, &list, err);
            if (rc != ERR_OK)
                return rc;
            json_set(a, input, "categories", list);
        }
        json_add(a, inputs, input);
    }
    *ret = json_set(a, out, "inputs", inputs);
    return ERR_OK;
}
