/* From a file of feature rows into the online store. */
#include "features/online.h"
#include "features/rows_file.h"

#define PUT_ROWS 4096 /* rows in memory at a time */

struct put {
    struct online *online;
    struct feature_rows *file;
    struct arena *a;
    const char *view, *version;
    size_t n_keys, n_values, n;
    struct column *cols; /* keys, values, time, known_at */
};

static enum err_code make_columns(struct put *p, struct err *err)
{
    const struct json *h = feature_rows_header(p->file);
    const struct json *lists[2] = {json_get(h, "entity"), json_get(h, "columns")};
    size_t c = 0;
    p->view = json_get_c(h, "view");
    p->version = json_get_c(h, "version");
    p->n_keys = json_len(lists[0]);
    p->n_values = json_len(lists[1]);
    p->cols = ARENA_NEW_N(p->a, struct column, p->n_keys + p->n_values + 2);
    if (!p->cols)
        return arena_err(p->a, err);
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < json_len(lists[l]); i++, c++) {
            p->cols[c].name = json_get_c(json_at(lists[l], i), "name");
            if (!value_type_from_name(json_get_str(json_at(lists[l], i), "type"), &p->cols[c].type))
                return err_set(err, ERR_CORRUPT, "column %s of view %s has no type",
                               p->cols[c].name, p->view);
        }
    p->cols[c].type = p->cols[c + 1].type = VAL_TIME;
    p->cols[c].name = "__time";
    p->cols[c + 1].name = "__known_at";
    for (size_t i = 0; i < p->n_keys + p->n_values + 2; i++) {
        p->cols[i].valid = ARENA_NEW_N(p->a, uint8_t, PUT_ROWS);
        p->cols[i].u.s = ARENA_NEW_N(p->a, struct str, PUT_ROWS); /* the widest of them */
        if (!p->cols[i].valid || !p->cols[i].u.s)
            return arena_err(p->a, err);
    }
    return ERR_OK;
}

static enum err_code declare(struct put *p, struct err *err)
{
    struct online_column *columns = ARENA_NEW_N(p->a, struct online_column, p->n_values);
    if (!columns)
        return arena_err(p->a, err);
    for (size_t i = 0; i < p->n_values; i++)
        columns[i] =
            (struct online_column){p->cols[p->n_keys + i].name, p->cols[p->n_keys + i].type};
    struct online_schema s = {.view = p->view,
                              .version = p->version,
                              .columns = columns,
                              .n_columns = p->n_values,
                              .n_keys = p->n_keys};
    return online_declare(p->online, &s, err);
}

static enum err_code set_value(struct put *p, size_t c, const struct value *v, struct err *err)
{
    struct column *col = &p->cols[c];
    col->valid[p->n] = v->type != VAL_NULL;
    if (v->type == VAL_NULL)
        return ERR_OK;
    if (v->type != col->type)
        return err_set(err, ERR_CORRUPT, "column %s of view %s: %s where %s was declared",
                       col->name, p->view, value_type_name(v->type), value_type_name(col->type));
    if (v->type == VAL_STR) {
        const char *text = str_dup(p->a, v->u.s);
        if (!text)
            return arena_err(p->a, err);
        col->u.s[p->n] = str_n(text, v->u.s.n);
    } else if (v->type == VAL_BOOL) {
        col->u.b[p->n] = v->u.b;
    } else {
        col->u.i[p->n] = v->u.i;
    }
    return ERR_OK;
}

static enum err_code flush(struct put *p, struct err *err)
{
    struct online_put_stats stats = {0};
    size_t n_all = p->n_keys + p->n_values;
    if (p->n == 0)
        return ERR_OK;
    for (size_t i = 0; i < n_all + 2; i++)
        p->cols[i].n = p->n;
    struct online_batch b = {.view = p->view,
                             .version = p->version,
                             .n = p->n,
                             .keys = p->cols,
                             .values = p->cols + p->n_keys,
                             .time = &p->cols[n_all],
                             .known_at = &p->cols[n_all + 1]};
    p->n = 0;
    return online_put(p->online, &b, &stats, err);
}

static enum err_code put_row(struct put *p, const struct feature_row *row, struct err *err)
{
    size_t n_all = p->n_keys + p->n_values;
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < n_all; i++)
        code = set_value(p, i, i < p->n_keys ? &row->keys[i] : &row->values[i - p->n_keys], err);
    if (code != ERR_OK)
        return code;
    p->cols[n_all].valid[p->n] = p->cols[n_all + 1].valid[p->n] = 1;
    p->cols[n_all].u.i[p->n] = row->time_us;
    p->cols[n_all + 1].u.i[p->n] = row->known_us;
    p->n++;
    return ERR_OK;
}

enum err_code feature_rows_put(void *online, const char *path, struct err *err)
{
    struct arena a = {0};
    struct put p = {.online = online, .a = &a};
    struct feature_row row;
    arena_init(&a, (size_t)1 << 30);
    enum err_code code = feature_rows_open(path, &p.file, err);
    if (code == ERR_OK)
        code = make_columns(&p, err);
    if (code == ERR_OK)
        code = declare(&p, err);
    struct arena_mark mark = arena_mark(&a);
    while (code == ERR_OK && feature_rows_next(p.file, &row)) {
        code = put_row(&p, &row, err);
        if (code == ERR_OK && p.n == PUT_ROWS) {
            code = flush(&p, err);
            arena_release(&a, mark);
        }
    }
    if (code == ERR_OK)
        code = flush(&p, err);
    struct err ignored = ERR_INIT;
    enum err_code closed = feature_rows_close(p.file, code == ERR_OK ? err : &ignored);
    arena_fini(&a);
    return code != ERR_OK ? code : closed;
}
