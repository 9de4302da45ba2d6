#include "api/row_file.h"

#include "api/services.h"
#include "base/file.h"
#include "job/worker.h"

#define TEXT_BYTES_MAX  (INT64_C(1) << 30)
#define PIECE_BYTES_MAX (256u << 20)
#define PIECE_ROWS      1000
#define WORKER_MS       (INT64_C(3600) * 1000)
#define SNIFF_BYTES     64

/* One piece of lines; moves *rest behind them. */
static enum err_code lines_piece(struct str *rest, size_t *line, struct arena *a, struct json *rows,
                                 struct err *err)
{
    while (rest->p && json_len(rows) < PIECE_ROWS) {
        struct str text = str_trim(str_split(rest, '\n'));
        struct json *row;
        (*line)++;
        if (text.n == 0)
            continue;
        if (json_read(text, a, &row, err) != ERR_OK)
            return err_wrap(err, "line %zu", *line);
        json_add(a, rows, row);
    }
    return ERR_OK;
}

static enum err_code lines_read(struct str text, row_file_fn fn, void *arg, struct err *err)
{
    enum err_code code = ERR_OK;
    size_t line = 0;
    struct arena a;
    arena_init(&a, PIECE_BYTES_MAX);
    while (code == ERR_OK && text.p) {
        struct json *rows = json_arr(&a);
        code = lines_piece(&text, &line, &a, rows, err);
        if (code == ERR_OK && json_len(rows) > 0)
            code = fn(arg, rows, err);
        arena_reset(&a);
    }
    arena_fini(&a);
    return code;
}

static enum err_code list_read(struct str text, row_file_fn fn, void *arg, struct err *err)
{
    struct arena a;
    struct json *rows;
    arena_init(&a, (size_t)TEXT_BYTES_MAX);
    enum err_code code = json_read(text, &a, &rows, err);
    if (code == ERR_OK)
        code = fn(arg, rows, err);
    arena_fini(&a);
    return code;
}

enum err_code row_text_read(struct str text, row_file_fn fn, void *arg, struct err *err)
{
    struct str trimmed = str_trim(text);
    if (trimmed.n == 0)
        return err_set(err, ERR_EMPTY, "there are no rows");
    return trimmed.p[0] == '[' ? list_read(trimmed, fn, arg, err)
                               : lines_read(trimmed, fn, arg, err);
}

struct worker_rows {
    row_file_fn fn;
    void *arg;
};

static enum err_code on_record(void *arg, const char *kind, const struct json *v, struct err *err)
{
    const struct worker_rows *w = arg;
    (void)kind;
    return w->fn(w->arg, v, err);
}

static enum err_code table_read_by_worker(struct op_call *call, const char *path, row_file_fn fn,
                                          void *arg, struct err *err)
{
    struct worker_rows w = {fn, arg};
    struct json *done,
        *args = json_set(call->arena, json_obj(call->arena), "file", json_cstr(call->arena, path));
    struct worker_call wc = {.op = "serve.rows",
                             .args = args,
                             .timeout_ms = WORKER_MS,
                             .is_cancelled = call->is_cancelled,
                             .on_record = on_record,
                             .arg = &w};
    if (services_need(call->sv->pool, "the pool of workers", err) != ERR_OK)
        return err->code;
    return worker_pool_call(call->sv->pool, &wc, call->arena, &done, err);
}

enum err_code row_file_read(struct op_call *call, const char *path, row_file_fn fn, void *arg,
                            struct err *err)
{
    struct arena a;
    struct str text;
    arena_init(&a, (size_t)TEXT_BYTES_MAX + PATH_BYTES);
    enum err_code code = file_read(path, (size_t)TEXT_BYTES_MAX, &a, &text, err);
    if (code == ERR_OK) {
        struct str start = str_trim(str_n(text.p, text.n < SNIFF_BYTES ? text.n : SNIFF_BYTES));
        bool is_json = start.n == 0 || start.p[0] == '{' || start.p[0] == '[';
        code = is_json ? row_text_read(text, fn, arg, err)
                       : table_read_by_worker(call, path, fn, arg, err);
    }
    arena_fini(&a);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "%s", path);
}
