#include "data/sql_fetch.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "db/foreign.h"

#define URL_BYTES_MAX (1 << 16)
#define ROW_BYTES_MAX (64 << 20)

struct fetch {
    FILE *file;
    struct buf row;
    int64_t n_rows;
};

/* Non-finite numbers travel as the texts that both our reader and DuckDB's take for them. */
static void put_value(struct buf *b, const struct value *v)
{
    char text[NUM_TEXT_BYTES];
    if (v->type == VAL_NULL) {
        buf_c(b, "null");
    } else if (v->type == VAL_BOOL) {
        buf_c(b, v->u.b ? "true" : "false");
    } else if (v->type == VAL_INT) {
        (void)num_i64(text, v->u.i);
        buf_c(b, text);
    } else if (v->type == VAL_FLOAT) {
        (void)num_f64(text, v->u.f);
        buf_printf(b, isfinite(v->u.f) ? "%s" : "\"%s\"", text);
    } else {
        json_write_str(b, v->u.s);
    }
}

static enum err_code put_row(void *arg, const char *const *names, const struct value *values,
                             size_t n, struct err *err)
{
    struct fetch *f = arg;
    buf_reset(&f->row);
    buf_ch(&f->row, '{');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_ch(&f->row, ',');
        if (values[i].type == VAL_STR && !str_utf8_valid(values[i].u.s))
            return err_set(err, ERR_INVALID,
                           "row %lld, column %s: no valid UTF-8; cast or encode it in the SQL",
                           (long long)f->n_rows + 1, names[i]);
        json_write_str(&f->row, str_c(names[i]));
        buf_ch(&f->row, ':');
        put_value(&f->row, &values[i]);
    }
    buf_c(&f->row, "}\n");
    enum err_code code = buf_ok(&f->row, err);
    if (code == ERR_OK && fwrite(f->row.p, 1, f->row.n, f->file) != f->row.n)
        code = err_errno(err, errno, "writing rows");
    f->n_rows++;
    return code;
}

/* ${NAME} from the environment: what is stored and shown is the reference, never the value. */
static enum err_code expand(struct str text, struct buf *out, struct err *err)
{
    while (text.n > 0) {
        ptrdiff_t start = str_find(text, STR("${"));
        if (start < 0) {
            buf_str(out, text);
            break;
        }
        buf_put(out, text.p, (size_t)start);
        struct str rest = str_n(text.p + start + 2, text.n - (size_t)start - 2);
        struct str name = str_split(&rest, '}');
        char key[256];
        (void)snprintf(key, sizeof key, "%.*s", STR_ARG(name));
        const char *value = getenv(key);
        if (!rest.p || !value)
            return err_set(err, ERR_CONFIG,
                           "the connection names ${%.*s}, which is not set in the environment",
                           STR_ARG(name));
        buf_c(out, value);
        text = rest;
    }
    return buf_ok(out, err);
}

static enum err_code url_of(const struct data_env *env, const struct source_spec *s,
                            struct arena *a, const char **ret, struct err *err)
{
    struct buf b = {0};
    buf_init(&b, URL_BYTES_MAX);
    enum err_code code = expand(s->connection, &b, err);
    struct str url = buf_view(&b);
    if (code == ERR_OK) {
        bool is_relative = str_starts(url, STR("sqlite:")) && !str_starts(url, STR("sqlite:/"));
        *ret = is_relative
                   ? str_printf(a, "sqlite:%s/%.*s", env->project_root, (int)url.n - 7, url.p + 7)
                   : str_dup(a, url);
        if (!*ret)
            code = arena_err(a, err);
    }
    buf_fini(&b);
    return code;
}

enum err_code sql_fetch(const struct data_env *env, const struct source_spec *s,
                        const char *out_dir, struct arena *a, struct err *err)
{
    struct fetch f = {0};
    const char *url = NULL, *path = path_join(a, out_dir, "rows.jsonl"), *sql = str_dup(a, s->sql);
    if (!path || !sql)
        return arena_err(a, err);
    enum err_code code = url_of(env, s, a, &url, err);
    if (code != ERR_OK)
        return code;
    f.file = fopen(path, "wbe");
    if (!f.file)
        return err_errno(err, errno, "%s", path);
    buf_init(&f.row, ROW_BYTES_MAX);
    struct foreign_query q = {url, sql, put_row, &f, env->is_cancelled};
    code = foreign_read(&q, err);
    if (fclose(f.file) != 0 && code == ERR_OK)
        code = err_errno(err, errno, "writing %s", path);
    buf_fini(&f.row);
    if (code == ERR_OK && f.n_rows == 0)
        code = err_set(err, ERR_EMPTY, "the query gave no rows");
    return code;
}
