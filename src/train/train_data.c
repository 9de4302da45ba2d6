/* Loads splits, makes matrices by the one plan implementation (features/plan.h). The matrix is filled in slices, so that
 * the temporary memory of the plan stays small beside the matrix itself. */
#include "train/train_data.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/vec.h"

#define SLICE_ROWS 32768

static const struct column *find_col(const struct column *cols, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(cols[i].name, name) == 0)
            return &cols[i];
    }
    return NULL;
}

/* Only what the plan and the trainer read, in the file's own order. */
static enum err_code load_sql(const struct plan *p, const struct train_pick *pick, struct buf *w,
                              struct err *err)
{
    buf_c(w, "SELECT __label, __row, __time");
    for (size_t i = 0; i < plan_n_settable(p); i++) {
        buf_c(w, ", ");
        table_sql_ident(w, str_c(plan_slot(p, i)->name));
    }
    buf_c(w, " FROM read_parquet(");
    table_sql_text(w, str_c(pick->path));
    buf_c(w, ") WHERE __split = ");
    table_sql_text(w, str_c(pick->split));
    buf_c(w, " AND __label IS NOT NULL ORDER BY __row");
    buf_ch(w, '\0');
    return buf_ok(w, err);
}

/* Moves the rows to keep to the front of a column. */
static void compact(struct column *c, const uint8_t *keep, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (!keep[i])
            continue;
        if (c->valid != NULL)
            c->valid[k] = c->valid[i];
        if (c->type == VAL_BOOL)
            c->u.b[k] = c->u.b[i];
        else if (c->type == VAL_FLOAT)
            c->u.f[k] = c->u.f[i];
        else if (c->type == VAL_STR)
            c->u.s[k] = c->u.s[i];
        else if (c->type == VAL_INT || c->type == VAL_TIME)
            c->u.i[k] = c->u.i[i];
        k++;
    }
    c->n = k;
}

static enum err_code take_sample(struct train_rows *r, const struct train_pick *pick,
                                 struct arena *a, struct err *err)
{
    const struct column *row = find_col(r->cols, r->n_cols, "__row");
    uint8_t *keep = arena_alloc(a, r->n + 1);
    size_t kept = 0;
    if (keep == NULL)
        return arena_err(a, err);
    CHECK(row != NULL && row->type == VAL_INT);
    for (size_t i = 0; i < r->n; i++) {
        double u = (double)(hash64(&row->u.i[i], sizeof row->u.i[i], (uint64_t)pick->seed) >> 11);
        keep[i] = u * 0x1p-53 < pick->sample;
        kept += keep[i];
    }
    for (size_t c = 0; c < r->n_cols; c++)
        compact(&r->cols[c], keep, r->n);
    r->n = kept;
    return ERR_OK;
}

static enum err_code take_labels(struct train_rows *r, struct arena *a, struct err *err)
{
    const struct column *label = find_col(r->cols, r->n_cols, "__label");
    float *out = ARENA_NEW_N(a, float, r->n + 1);
    if (out == NULL)
        return arena_err(a, err);
    if (label == NULL || label->type != VAL_FLOAT)
        return err_set(err, ERR_INVALID, "the data set's __label is not a column of numbers");
    for (size_t i = 0; i < r->n; i++) {
        if (!isfinite(label->u.f[i]))
            return err_set(err, ERR_INVALID, "the label of training row %zu is not a finite number",
                           i);
        out[i] = (float)label->u.f[i];
    }
    r->labels = out;
    return ERR_OK;
}

enum err_code train_rows_load(struct table *t, const struct plan *p, const struct train_pick *pick,
                              struct arena *a, struct train_rows *ret, struct err *err)
{
    struct table_columns cols = {0};
    struct train_rows r = {0};
    struct buf sql;
    buf_init(&sql, 1 << 20);
    enum err_code code = load_sql(p, pick, &sql, err);
    if (code == ERR_OK)
        code = table_load(t, TABLE_SQL(sql.p), a, &cols, err);
    buf_fini(&sql);
    r = (struct train_rows){.cols = cols.p, .n_cols = cols.n_cols, .n = cols.n_rows};
    if (code == ERR_OK && pick->sample < 1)
        code = take_sample(&r, pick, a, err);
    if (code == ERR_OK && r.n == 0)
        code = err_set(
            err, ERR_EMPTY,
            "the %s split has no row with a known label: widen dataset.split or look at what was "
            "dropped",
            pick->split);
    if (code == ERR_OK)
        code = take_labels(&r, a, err);
    if (code == ERR_OK)
        *ret = r;
    return code;
}

enum err_code train_plan_finish(const struct plan *open, const struct json *doc,
                                const struct train_rows *train, struct arena *a,
                                struct train_plan *ret, struct err *err)
{
    struct plan_dict *d = plan_dict_new(open);
    struct train_plan full = {0};
    if (d == NULL)
        return err_nomem(err);
    enum err_code code = plan_dict_add(d, train->cols, train->n_cols, train->n, err);
    if (code == ERR_OK)
        code = plan_dict_finish(d, doc, a, &full.doc, err);
    plan_dict_free(d);
    if (code == ERR_OK)
        code = plan_read(full.doc, a, &full.p, err);
    if (code == ERR_OK)
        *ret = full;
    return code;
}

/* Columns of rows [from, from + n) as views of the whole. */
static void slice(const struct train_rows *rows, size_t from, size_t n, struct column *ret)
{
    for (size_t c = 0; c < rows->n_cols; c++) {
        ret[c] = rows->cols[c];
        ret[c].n = n;
        if (ret[c].valid != NULL)
            ret[c].valid += from;
        if (ret[c].type == VAL_BOOL)
            ret[c].u.b += from;
        else if (ret[c].type == VAL_FLOAT)
            ret[c].u.f += from;
        else if (ret[c].type == VAL_STR)
            ret[c].u.s += from;
        else if (ret[c].type == VAL_INT || ret[c].type == VAL_TIME)
            ret[c].u.i += from;
    }
}

static enum err_code check_finite(const struct plan *p, const float *m, size_t first_row, size_t n,
                                  struct err *err)
{
    size_t k = plan_n_inputs(p);
    for (size_t i = 0; i < n * k; i++) {
        if (isinf(m[i]))
            return err_set(err, ERR_INVALID,
                           "feature %s is infinite in training row %zu: XGBoost refuses it; use "
                           "coalesce or a guard in its expression",
                           plan_input(p, i % k)->name, first_row + i / k);
    }
    return ERR_OK;
}

enum err_code train_matrix(const struct plan *p, const struct train_rows *rows, float **ret,
                           struct err *err)
{
    struct arena scratch;
    size_t k = plan_n_inputs(p);
    float *m = malloc(rows->n * k * sizeof *m + 1);
    struct column *cols = calloc(rows->n_cols + 1, sizeof *cols);
    enum err_code code = ERR_OK;
    arena_init(&scratch, (size_t)1 << 31);
    if (m == NULL || cols == NULL)
        code = err_nomem(err);
    for (size_t from = 0; code == ERR_OK && from < rows->n; from += SLICE_ROWS) {
        size_t n = rows->n - from < SLICE_ROWS ? rows->n - from : SLICE_ROWS;
        float *part = NULL;
        slice(rows, from, n, cols);
        arena_reset(&scratch);
        code = plan_run_chunk(p, cols, rows->n_cols, n, &scratch, &part, NULL, err);
        if (code == ERR_OK)
            code = check_finite(p, part, from, n, err);
        if (code == ERR_OK)
            memcpy(m + from * k, part, n * k * sizeof *m);
    }
    arena_fini(&scratch);
    free(cols);
    if (code == ERR_OK)
        *ret = m;
    else
        free(m);
    return code;
}

/* The column that an input reads: loaded, or computed by the plan. */
static const struct column *input_column(const struct plan *p, const struct train_rows *rows,
                                         const struct column *computed, size_t input)
{
    size_t slot = plan_input(p, input)->slot;
    if (slot >= plan_n_settable(p))
        return &computed[slot - plan_n_settable(p)];
    return find_col(rows->cols, rows->n_cols, plan_slot(p, slot)->name);
}

enum err_code train_rows_write(struct table *t, const struct plan *p, const struct train_rows *rows,
                               const char *path, struct arena *a, struct err *err)
{
    float *matrix = NULL;
    struct column *computed = NULL;
    int64_t n = 0;
    size_t k = plan_n_inputs(p);
    struct column *out = ARENA_NEW_N(a, struct column, k + 2);
    enum err_code code = ERR_OK;
    if (out == NULL)
        return arena_err(a, err);
    code = plan_run_chunk(p, rows->cols, rows->n_cols, rows->n, a, &matrix, &computed, err);
    for (size_t i = 0; code == ERR_OK && i < k; i++) {
        const struct column *c = input_column(p, rows, computed, i);
        CHECK(c != NULL);
        out[i] = *c;
        out[i].name = plan_input(p, i)->name;
    }
    if (code == ERR_OK) {
        static const char *const OWN[] = {"__label", "__time"};
        for (size_t i = 0; i < ARRAY_LEN(OWN); i++)
            out[k + i] = *find_col(rows->cols, rows->n_cols, OWN[i]);
        code = table_put(t, "pawl_export", out, k + 2, err);
    }
    if (code == ERR_OK)
        code = table_write_parquet(t, STR("SELECT * FROM pawl_export"), path, &n, err);
    if (code == ERR_OK)
        code = table_exec(t, TABLE_SQL("DROP TABLE pawl_export"), err);
    return code;
}
