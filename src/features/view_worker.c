/* features.describe, features.view, features.names, and the table of operations. */
#include "features/features_worker.h"

#include "base/check.h"
#include "base/clock.h"
#include "data/data_worker.h"
#include "data/scan.h"
#include "features/features_ops.h"
#include "features/fsession.h"

static enum err_code op_describe(struct worker *w, const struct json *args, struct json **ret,
                                 struct err *err)
{
    struct fsession fs;
    enum err_code code = fsession_open(w, args, NULL, 0, &fs, err);
    fsession_close(&fs);
    if (code == ERR_OK)
        *ret = fs.infos;
    return code;
}

/* Columns in the order that the file has: entities, time, __known_at, columns. */
static void canonical_names(struct fsession *fs, const struct json *info)
{
    fs_names(&fs->sql, "", json_get(info, "entity"));
    buf_c(&fs->sql, ", ");
    table_sql_ident(&fs->sql, json_get_str(info, "time"));
    buf_c(&fs->sql, ", __known_at, ");
    fs_names(&fs->sql, "", json_get(info, "columns"));
}

static enum err_code op_view(struct worker *w, const struct json *args, struct json **ret,
                             struct err *err)
{
    struct fsession fs;
    const char *out_path = json_get_c(args, "out");
    const struct json *info = NULL;
    struct json *out = json_obj(worker_arena(w));
    struct digest digest;
    int64_t n_rows = 0, start = mono_ns();
    enum err_code code = fsession_open(w, args, &out_path, 1, &fs, err);
    if (code == ERR_OK)
        code = data_scan_set_as_of(fs.t, fs.as_of_us, err);
    if (code == ERR_OK)
        code = fs_info(&fs, json_get_str(args, "view"), &info, err);
    if (code == ERR_OK) {
        worker_progress(w, 0.1, "view %.*s", STR_ARG(json_get_str(args, "view")));
        buf_c(&fs.sql, "SELECT ");
        canonical_names(&fs, info);
        fs_from_view(&fs, info);
        buf_c(&fs.sql, " ORDER BY ");
        table_sql_ident(&fs.sql, json_get_str(info, "time"));
        buf_c(&fs.sql, ", __known_at, ");
        fs_names(&fs.sql, "", json_get(info, "entity"));
        buf_c(&fs.sql, ", ");
        fs_names(&fs.sql, "", json_get(info, "columns"));
        code = table_write_parquet(fs.t, buf_view(&fs.sql), out_path, &n_rows, err);
        buf_reset(&fs.sql);
    }
    if (code == ERR_OK) {
        buf_c(&fs.sql, "SELECT * FROM read_parquet(");
        table_sql_text(&fs.sql, str_c(out_path));
        buf_ch(&fs.sql, ')');
        code = table_digest(fs.t, buf_view(&fs.sql), &digest, &n_rows, err);
    }
    if (code == ERR_OK) {
        json_set(fs.a, out, "view", json_str(fs.a, json_get_str(info, "name")));
        json_set(fs.a, out, "version", json_str(fs.a, json_get_str(info, "version")));
        json_set(fs.a, out, "rows", json_int(fs.a, n_rows));
        json_set(fs.a, out, "digest", json_hex(fs.a, &digest));
        json_set(fs.a, out, "path", json_cstr(fs.a, out_path));
        json_set(fs.a, out, "entity", json_copy(fs.a, json_get(info, "entity")));
        json_set(fs.a, out, "columns", json_copy(fs.a, json_get(info, "columns")));
        json_set(fs.a, out, "duration_ms", json_int(fs.a, (mono_ns() - start) / 1000000));
        *ret = out;
    }
    fsession_close(&fs);
    return code == ERR_OK ? ERR_OK
                          : err_wrap(err, "view %.*s", STR_ARG(json_get_str(args, "view")));
}

static enum err_code op_names(struct worker *w, const struct json *args, struct json **ret,
                              struct err *err)
{
    struct arena *a = worker_arena(w);
    struct json *out = json_arr(a);
    const struct json *texts = json_get(args, "texts");
    struct table *t = NULL;
    enum err_code code = data_worker_session(args, &t, err);
    for (size_t i = 0; code == ERR_OK && i < json_len(texts); i++) {
        const struct json *x = json_at(texts, i);
        struct table_names names = {0};
        struct json *list = json_arr(a);
        code = table_names_used(t, json_get_str(x, "text"), json_get_bool(x, "is_expression", true),
                                a, &names, err);
        for (size_t k = 0; k < names.n_columns; k++)
            json_add(a, list, json_str(a, names.columns[k]));
        json_add(a, out, list);
    }
    table_close(t);
    if (code == ERR_OK)
        *ret = out;
    return code;
}

const struct worker_op FEATURES_WORKER_OPS[] = {
    {"features.describe", op_describe},
    {"features.view", op_view},
    {"features.names", op_names},
    {"features.future", features_op_future},
    {"features.dataset", features_op_dataset},
    {"features.join", features_op_join},
    {"features.materialize", features_op_materialize},
};
const size_t N_FEATURES_WORKER_OPS = ARRAY_LEN(FEATURES_WORKER_OPS);
