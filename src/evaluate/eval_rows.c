/* Rows of a data set in memory, and what groups them: splits, entities, days. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/vec.h"
#include "evaluate/eval_int.h"

const struct column *eval_column(const struct eval_rows *r, struct str name)
{
    for (size_t i = 0; i < r->n_cols; i++)
        if (str_is(name, r->cols[i].name))
            return &r->cols[i];
    return NULL;
}

double *eval_column_f64(const struct column *c, struct arena *a)
{
    double *x = ARENA_NEW_N(a, double, c->n);
    for (size_t i = 0; x && i < c->n; i++) {
        struct value v = column_value(c, i);
        switch (v.type) {
        case VAL_BOOL:
            x[i] = v.u.b ? 1 : 0;
            break;
        case VAL_INT:
        case VAL_TIME:
            x[i] = (double)v.u.i;
            break;
        case VAL_FLOAT:
            x[i] = v.u.f;
            break;
        case VAL_NULL:
            x[i] = NAN;
            break;
        case VAL_STR:
        case VAL_TYPE_N:
            return NULL;
        }
    }
    return x;
}

static const char *reader_of(const char *path)
{
    struct str p = str_c(path);
    if (str_ends(p, STR(".csv")) || str_ends(p, STR(".tsv")) || str_ends(p, STR(".csv.gz")))
        return "read_csv_auto";
    return str_ends(p, STR(".jsonl")) || str_ends(p, STR(".json")) ? "read_json_auto"
                                                                   : "read_parquet";
}

static void find_parts(struct eval_rows *r, struct arena *a)
{
    const struct column *label = eval_column(r, STR("__label")),
                        *time = eval_column(r, STR("__time")),
                        *ordinal = eval_column(r, STR("__row"));
    r->split = eval_column(r, STR("__split"));
    r->label = label ? eval_column_f64(label, a) : NULL;
    r->time = time && time->type == VAL_TIME ? time->u.i : NULL;
    r->ordinal = ordinal && ordinal->type == VAL_INT ? ordinal->u.i : NULL;
}

enum err_code eval_rows_load(struct eval *e, const char *path, const char *tail,
                             struct eval_rows *ret, struct err *err)
{
    struct buf sql;
    struct table_columns cols;
    buf_init(&sql, 1 << 20);
    buf_printf(&sql, "SELECT * FROM %s(", reader_of(path));
    table_sql_text(&sql, str_c(path));
    buf_printf(&sql, ") %s", tail);
    enum err_code rc = buf_ok(&sql, err);
    if (rc == ERR_OK)
        rc = table_load(e->table, &(struct table_sql){.text = sql.p}, &e->arena, &cols, err);
    buf_fini(&sql);
    if (rc != ERR_OK)
        return err_wrap(err, "data set %s", path);
    struct eval_rows r = {.cols = cols.p, .n_cols = cols.n_cols, .n = cols.n_rows};
    find_parts(&r, &e->arena);
    *ret = r;
    return ERR_OK;
}

struct eval_subset eval_split_rows(const struct eval *e, const char *split)
{
    struct arena *a = (struct arena *)(uintptr_t)&e->arena;
    uint32_t *row = ARENA_NEW_N(a, uint32_t, e->rows.n);
    size_t n = 0;
    for (size_t i = 0; row && i < e->rows.n; i++) {
        struct value v = e->rows.split ? column_value(e->rows.split, i) : (struct value){0};
        if (!e->rows.split || (v.type == VAL_STR && str_is(v.u.s, split)))
            row[n++] = (uint32_t)i;
    }
    return (struct eval_subset){row, n};
}

const char *eval_value_text(const struct value *v, struct arena *a)
{
    char text[TIME_TEXT_BYTES];
    switch (v->type) {
    case VAL_STR:
        return str_dup(a, v->u.s);
    case VAL_BOOL:
        return v->u.b ? "true" : "false";
    case VAL_INT:
        return str_dup(a, str_n(text, num_i64(text, v->u.i)));
    case VAL_TIME:
        return str_dup(a, str_n(text, time_text(text, v->u.i)));
    case VAL_FLOAT:
        return isnan(v->u.f) ? NULL : str_dup(a, str_n(text, num_f64(text, v->u.f)));
    case VAL_NULL:
    case VAL_TYPE_N:
        break;
    }
    return NULL;
}

/* ---- blocks ---- */

/* Numbers 0.. for equal keys of eight bytes. */
static enum err_code number_keys(const uint64_t *key, size_t n, struct arena *a, uint32_t **ret,
                                 size_t *ret_n, struct err *err)
{
    uint32_t *block = ARENA_NEW_N(a, uint32_t, n);
    struct arena_mark mark = arena_mark(a);
    struct map *seen = map_new(a);
    uint32_t *ids = ARENA_NEW_N(a, uint32_t, n);
    if (!block || !seen || !ids)
        return arena_err(a, err);
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t *id = map_get(seen, (const char *)&key[i], sizeof(key[i]));
        if (!id) {
            id = &ids[next];
            *id = next++;
            if (!map_put(seen, (const char *)&key[i], sizeof(key[i]), id))
                return arena_err(a, err);
        }
        block[i] = *id;
    }
    arena_release(a, mark);
    *ret = block;
    *ret_n = next;
    return ERR_OK;
}

static enum err_code entity_blocks(struct eval *e, uint64_t *key, struct err *err)
{
    const struct column *cols[16];
    size_t n_cols = 0;
    for (size_t i = 0; i < e->spec.n_entity && n_cols < 16; i++) {
        cols[n_cols] = eval_column(&e->rows, e->spec.entity[i]);
        if (!cols[n_cols])
            return err_set(err, ERR_NOT_FOUND,
                           "evaluate.entity: the data set has no column \"%.*s\"",
                           STR_ARG(e->spec.entity[i]));
        n_cols++;
    }
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t r = 0; r < e->rows.n; r++) {
        buf_reset(&b);
        for (size_t i = 0; i < n_cols; i++) {
            struct value v = column_value(cols[i], r);
            value_key_bytes(&v, &b);
        }
        key[r] = hash64(b.p, b.n, 0);
    }
    enum err_code rc = buf_ok(&b, err);
    buf_fini(&b);
    return rc == ERR_OK ? number_keys(key, e->rows.n, &e->arena, &e->entity, &e->n_entities, err)
                        : rc;
}

enum err_code eval_blocks(struct eval *e, struct err *err)
{
    uint64_t *key = ARENA_NEW_N(&e->arena, uint64_t, e->rows.n);
    enum err_code rc = key ? ERR_OK : arena_err(&e->arena, err);
    if (rc == ERR_OK && e->rows.time) {
        for (size_t i = 0; i < e->rows.n; i++)
            key[i] = (uint64_t)floor_div_i64(e->rows.time[i], US_PER_DAY);
        rc = number_keys(key, e->rows.n, &e->arena, &e->day, &e->n_days, err);
    }
    if (rc == ERR_OK && e->spec.n_entity > 0)
        rc = entity_blocks(e, key, err);
    return rc;
}
