/* Streaming results, and what is built on them: fetch, load, get, describe. */
#include <stdlib.h>

#include "table/table_read.h"

struct table_rows {
    struct table *t;
    duckdb_prepared_statement st;
    duckdb_result result;
    duckdb_data_chunk chunk;
    bool has_result;
    struct arena arena; /* names and types */
    struct table_column *cols;
    struct column_reader *readers;
    struct column *view; /* what a chunk shows */
    size_t n_cols;
};

static enum err_code rows_columns(struct table_rows *r, struct err *err)
{
    const struct table_library *lib = r->t->lib;
    size_t n = lib->column_count(&r->result);
    r->cols = ARENA_NEW_N(&r->arena, struct table_column, n);
    r->readers = ARENA_NEW_N(&r->arena, struct column_reader, n);
    r->view = ARENA_NEW_N(&r->arena, struct column, n);
    if (!r->cols || !r->readers || !r->view)
        return arena_err(&r->arena, err);
    for (; r->n_cols < n; r->n_cols++) {
        size_t i = r->n_cols;
        duckdb_logical_type lt = lib->column_logical_type(&r->result, i);
        enum err_code code =
            table_column_of(lib, lib->column_name(&r->result, i), lt, &r->arena, &r->cols[i], err);
        if (code == ERR_OK && !r->cols[i].is_supported)
            code = err_set(err, ERR_UNSUPPORTED,
                           "column \"%s\" is of type %s, which cannot be read as one value: select "
                           "its parts, or cast it to VARCHAR",
                           r->cols[i].name, r->cols[i].sql_type);
        if (code == ERR_OK) {
            code = reader_init(&r->readers[i], lib, lt, &r->cols[i], err);
            if (code != ERR_OK)
                reader_fini(&r->readers[i], lib);
        }
        lib->destroy_logical_type(&lt);
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}

enum err_code table_query(struct table *t, const struct table_sql *q, struct table_rows **ret,
                          struct err *err)
{
    const struct table_library *lib = t->lib;
    duckdb_pending_result pending = NULL;
    struct table_rows *r = calloc(1, sizeof *r);
    enum err_code code;
    if (!r)
        return err_nomem(err);
    r->t = t;
    t->n_open_rows++;
    arena_init(&r->arena, 64 << 20);
    code = table_prepare(t, q, &r->st, err);
    if (code != ERR_OK)
        goto done;
    if (lib->pending_prepared_streaming(r->st, &pending) != DuckDBSuccess) {
        code = table_err(err, lib->pending_error(pending));
        goto done;
    }
    r->has_result = true;
    if (lib->execute_pending(pending, &r->result) != DuckDBSuccess) {
        code = table_err(err, lib->result_error(&r->result));
        goto done;
    }
    code = rows_columns(r, err);
done:
    lib->destroy_pending(&pending);
    if (code == ERR_OK)
        *ret = r;
    else
        table_rows_close(r);
    return code;
}

void table_rows_close(struct table_rows *r)
{
    if (!r)
        return;
    const struct table_library *lib = r->t->lib;
    for (size_t i = 0; i < r->n_cols; i++)
        reader_fini(&r->readers[i], lib);
    if (r->chunk)
        lib->destroy_data_chunk(&r->chunk);
    if (r->has_result)
        lib->destroy_result(&r->result);
    lib->destroy_prepare(&r->st);
    r->t->n_open_rows--;
    arena_fini(&r->arena);
    free(r);
}

size_t table_rows_n_cols(const struct table_rows *r)
{
    return r->n_cols;
}

const struct table_column *table_rows_cols(const struct table_rows *r)
{
    return r->cols;
}

enum err_code table_rows_next(struct table_rows *r, struct table_chunk *ret, struct err *err)
{
    const struct table_library *lib = r->t->lib;
    struct table_chunk c = {.n_cols = r->n_cols, .cols = r->view};
    do {
        if (r->chunk)
            lib->destroy_data_chunk(&r->chunk);
        r->chunk = lib->fetch_chunk(r->result);
        if (!r->chunk) {
            const char *why = lib->result_error(&r->result);
            if (why && *why)
                return table_err(err, why);
            *ret = c;
            return ERR_OK;
        }
        c.n_rows = lib->data_chunk_get_size(r->chunk);
    } while (c.n_rows == 0);
    for (size_t i = 0; i < r->n_cols; i++) {
        enum err_code code = reader_chunk(&r->readers[i], lib,
                                          lib->data_chunk_get_vector(r->chunk, i), c.n_rows, err);
        if (code != ERR_OK)
            return code;
        r->view[i] = r->readers[i].column;
    }
    *ret = c;
    return ERR_OK;
}

static bool value_keep(struct arena *a, struct value *v)
{
    if (v->type != VAL_STR || v->u.s.n == 0)
        return true;
    const char *p = str_dup(a, v->u.s);
    v->u.s.p = p;
    return p != NULL;
}

static enum err_code fetch_chunk_into(const struct table_chunk *c, struct arena *a,
                                      struct table_values *out, size_t *cap, struct err *err)
{
    size_t need = (out->n_rows + c->n_rows) * c->n_cols;
    if (need > *cap) {
        size_t bigger = need > 2 * *cap ? need : 2 * *cap;
        struct value *p = arena_grow(a, out->p, *cap * sizeof *p, bigger * sizeof *p);
        if (!p)
            return arena_err(a, err);
        out->p = p;
        *cap = bigger;
    }
    for (size_t i = 0; i < c->n_rows; i++)
        for (size_t j = 0; j < c->n_cols; j++) {
            struct value *v = &out->p[(out->n_rows + i) * c->n_cols + j];
            *v = column_value(&c->cols[j], i);
            if (!value_keep(a, v))
                return arena_err(a, err);
        }
    out->n_rows += c->n_rows;
    return ERR_OK;
}

enum err_code table_fetch(struct table *t, const struct table_sql *q, size_t max_rows,
                          struct arena *a, struct table_values *ret, struct err *err)
{
    struct table_rows *rows = NULL;
    struct table_chunk c = {0};
    struct table_values out = {0};
    size_t cap = 0;
    enum err_code code = table_query(t, q, &rows, err);
    if (code != ERR_OK)
        return code;
    out.n_cols = table_rows_n_cols(rows);
    while ((code = table_rows_next(rows, &c, err)) == ERR_OK && c.n_rows > 0) {
        if (out.n_rows + c.n_rows > max_rows) {
            code = err_set(err, ERR_TOO_LARGE, "more than %zu rows", max_rows);
            break;
        }
        code = fetch_chunk_into(&c, a, &out, &cap, err);
        if (code != ERR_OK)
            break;
    }
    table_rows_close(rows);
    if (code == ERR_OK)
        *ret = out;
    return code;
}

enum err_code table_get(struct table *t, const struct table_sql *q, struct arena *a,
                        struct value *ret, struct err *err)
{
    struct table_rows *rows = NULL;
    struct table_chunk c = {0};
    enum err_code code = table_query(t, q, &rows, err);
    if (code != ERR_OK)
        return code;
    code = table_rows_next(rows, &c, err);
    if (code == ERR_OK && (c.n_rows == 0 || c.n_cols == 0))
        code = err_set(err, ERR_NOT_FOUND, "the query gave no row");
    if (code == ERR_OK) {
        struct value v = column_value(&c.cols[0], 0);
        if (value_keep(a, &v))
            *ret = v;
        else
            code = arena_err(a, err);
    }
    table_rows_close(rows);
    return code;
}

enum err_code table_describe(struct table *t, struct str select, struct arena *a,
                             struct table_column **ret, size_t *ret_n, struct err *err)
{
    const struct table_library *lib = t->lib;
    duckdb_prepared_statement st = NULL;
    char *text = str_dup(a, select);
    struct table_column *cols = NULL;
    size_t n = 0;
    if (!text)
        return arena_err(a, err);
    enum err_code code = table_prepare(t, TABLE_SQL(text), &st, err);
    if (code == ERR_OK) {
        n = lib->prepared_statement_column_count(st);
        cols = ARENA_NEW_N(a, struct table_column, n);
        if (!cols)
            code = arena_err(a, err);
    }
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        duckdb_logical_type lt = lib->prepared_statement_column_logical_type(st, i);
        const char *name = lib->prepared_statement_column_name(st, i);
        code = table_column_of(lib, name, lt, a, &cols[i], err);
        lib->free((void *)(uintptr_t)name);
        lib->destroy_logical_type(&lt);
    }
    lib->destroy_prepare(&st);
    if (code != ERR_OK)
        return code;
    *ret = cols;
    *ret_n = n;
    return ERR_OK;
}

static size_t value_bytes(enum value_type t)
{
    return t == VAL_BOOL ? 1 : t == VAL_STR ? sizeof(struct str) : 8;
}

/* Room for `cap` rows in each column; validity is always kept while loading. */
static enum err_code load_room(struct table_columns *out, size_t old_cap, size_t cap,
                               struct arena *a, struct err *err)
{
    for (size_t j = 0; j < out->n_cols; j++) {
        struct column *c = &out->p[j];
        size_t width = value_bytes(c->type);
        c->u.i = arena_grow(a, c->u.i, old_cap * width, cap * width);
        c->valid = arena_grow(a, c->valid, old_cap, cap);
        if (!c->u.i || !c->valid)
            return arena_err(a, err);
    }
    return ERR_OK;
}

static enum err_code load_chunk(struct table_columns *out, const struct table_chunk *chunk,
                                struct arena *a, struct err *err)
{
    for (size_t j = 0; j < out->n_cols; j++) {
        struct column *c = &out->p[j];
        const struct column *from = &chunk->cols[j];
        size_t width = value_bytes(c->type);
        memcpy((char *)c->u.i + c->n * width, from->u.i, chunk->n_rows * width);
        if (from->valid)
            memcpy(c->valid + c->n, from->valid, chunk->n_rows);
        else
            memset(c->valid + c->n, 1, chunk->n_rows);
        for (size_t i = 0; c->type == VAL_STR && i < chunk->n_rows; i++) {
            struct str *s = &c->u.s[c->n + i];
            if (s->n > 0 && !(s->p = str_dup(a, *s)))
                return arena_err(a, err);
        }
        c->n += chunk->n_rows;
    }
    out->n_rows += chunk->n_rows;
    return ERR_OK;
}

enum err_code table_load(struct table *t, const struct table_sql *q, struct arena *a,
                         struct table_columns *ret, struct err *err)
{
    struct table_rows *rows = NULL;
    struct table_chunk chunk = {0};
    struct table_columns out = {0};
    size_t cap = 0;
    enum err_code code = table_query(t, q, &rows, err);
    if (code != ERR_OK)
        return code;
    out.n_cols = table_rows_n_cols(rows);
    out.p = ARENA_NEW_N(a, struct column, out.n_cols);
    if (!out.p)
        code = arena_err(a, err);
    for (size_t j = 0; code == ERR_OK && j < out.n_cols; j++) {
        out.p[j].type = table_rows_cols(rows)[j].type;
        out.p[j].name = str_dup(a, str_c(table_rows_cols(rows)[j].name));
        if (!out.p[j].name)
            code = arena_err(a, err);
    }
    while (code == ERR_OK && (code = table_rows_next(rows, &chunk, err)) == ERR_OK &&
           chunk.n_rows > 0) {
        if (out.n_rows + chunk.n_rows > cap) {
            size_t bigger = cap ? 2 * cap : 8192;
            code = load_room(&out, cap, bigger, a, err);
            cap = bigger;
        }
        if (code == ERR_OK)
            code = load_chunk(&out, &chunk, a, err);
    }
    table_rows_close(rows);
    if (code == ERR_OK)
        *ret = out;
    return code;
}
