#include "serve/rows_worker.h"

#include "base/check.h"
#include "data/data_worker.h"
#include "data/scan.h"
#include "feedback/schema.h"
#include "table/table.h"

/* A scan adds known_at where the file has none: a label without it is known when it comes, not from the start. */
#define ROWS_SQL "SELECT * REPLACE (nullif(known_at, " SCAN_ALWAYS ") AS known_at) FROM rows"

static struct json *row_json(const struct table_chunk *c, size_t row, struct arena *a)
{
    struct json *o = json_obj(a);
    for (size_t i = 0; i < c->n_cols; i++) {
        struct value v = column_value(&c->cols[i], row);
        json_set(a, o, c->cols[i].name, record_value_json(&v, a)); /* a null is left out */
    }
    return o;
}

static enum err_code chunk_send(struct worker *w, const struct table_chunk *c, struct err *err)
{
    struct arena *a = worker_arena(w);
    for (size_t at = 0; at < c->n_rows; at += ROWS_PIECE) {
        struct arena_mark mark = arena_mark(a);
        struct json *rows = json_arr(a);
        for (size_t i = at; i < c->n_rows && i < at + ROWS_PIECE; i++)
            json_add(a, rows, row_json(c, i, a));
        if (worker_record(w, "rows", rows, err) != ERR_OK)
            return err->code;
        arena_release(a, mark);
    }
    return ERR_OK;
}

static enum err_code rows_send(struct worker *w, struct table *t, const char *select,
                               int64_t *ret_rows, struct err *err)
{
    struct table_rows *rows = NULL;
    struct table_chunk c;
    enum err_code code = table_query(t, TABLE_SQL(select), &rows, err);
    *ret_rows = 0;
    while (code == ERR_OK && (code = table_rows_next(rows, &c, err)) == ERR_OK && c.n_rows > 0) {
        *ret_rows += (int64_t)c.n_rows;
        code = chunk_send(w, &c, err);
    }
    table_rows_close(rows);
    return code;
}

static enum err_code rows_run(struct worker *w, const struct json *args, struct json **ret,
                              struct err *err)
{
    struct arena *a = worker_arena(w);
    struct table *t = NULL;
    struct json *binding = NULL;
    int64_t n = 0;
    const char *path = json_get_c(args, "file");
    if (!path)
        return err_set(err, ERR_INVALID, "serve.rows needs a file");
    enum err_code code = data_binding_of_file(path, STR("rows"), STR_NONE, a, &binding, err);
    if (code == ERR_OK)
        code = data_worker_session(args, &t, err);
    if (code == ERR_OK)
        code = data_scan_bind(t, binding, err);
    if (code == ERR_OK)
        code = rows_send(w, t, ROWS_SQL, &n, err);
    table_close(t);
    if (code != ERR_OK)
        return code;
    *ret = json_set(a, json_obj(a), "rows", json_int(a, n));
    return ERR_OK;
}

const struct worker_op SERVE_WORKER_OPS[] = {{"serve.rows", rows_run}};
const size_t N_SERVE_WORKER_OPS = ARRAY_LEN(SERVE_WORKER_OPS);
