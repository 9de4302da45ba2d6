/* Labels and outcomes: push and tail. */
#include <stdlib.h>
#include <string.h>

#include "api/op_handlers.h"
#include "api/row_file.h"
#include "api/services.h"
#include "base/check.h"
#include "feedback/label.h"
#include "serve/serve.h"

#define PUSH_MAX   2000
#define TAIL_MAX   10000
#define TEXT_BYTES (1u << 30)

struct push {
    struct op_call *call;
    const char *endpoint;
    bool is_outcome;
    uint64_t n_rows, n_new;
};

static bool is_own_column(struct str name)
{
    static const char *const own[] = {"prediction_id", "id",    "client_id", "keys",
                                      "row",           "label", "value",     "name",
                                      "known_at",      "time",  "endpoint"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (str_is(name, own[i]))
            return true;
    return false;
}

/* A row of a table names its entity by columns: what is not ours is a key. */
static const struct json *with_keys(const struct json *row, struct arena *a)
{
    if (row->type != JSON_OBJ || json_get(row, "prediction_id") || json_get(row, "id") ||
        json_get(row, "client_id") || json_get(row, "keys"))
        return row;
    struct json *out = json_obj(a), *keys = json_obj(a);
    for (size_t i = 0; i < json_len(row); i++) {
        const struct json_member *m = &row->u.obj.members[i];
        json_set(a, is_own_column(m->key) ? out : keys, str_dup(a, m->key), m->val);
    }
    return json_set(a, out, "keys", keys);
}

static enum err_code rows_put(struct push *p, const struct json *rows, size_t from, size_t n,
                              struct arena *a, struct err *err)
{
    struct label_record *labels = ARENA_NEW_N(a, struct label_record, n);
    size_t n_new = 0;
    int64_t now_us = clock_now_us(p->call->sv->clock);
    if (!labels)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++) {
        const struct json *row = with_keys(json_at(rows, from + i), a);
        if (label_from_json(row, str_c(p->endpoint), now_us, a, &labels[i], err) != ERR_OK)
            return err_wrap(err, "row %llu", (unsigned long long)(p->n_rows + i));
        if (p->is_outcome && labels[i].name.n == 0)
            return err_set(err, ERR_INVALID, "row %llu: an outcome has a \"name\"",
                           (unsigned long long)(p->n_rows + i));
    }
    if (label_log_put(p->call->sv->labels, labels, n, &n_new, err) != ERR_OK)
        return err->code;
    p->n_rows += n;
    p->n_new += n_new;
    return ERR_OK;
}

static enum err_code on_rows(void *arg, const struct json *rows, struct err *err)
{
    struct push *p = arg;
    enum err_code code = ERR_OK;
    struct arena a;
    if (rows->type != JSON_ARR)
        return err_set(err, ERR_INVALID, "labels are a list of objects");
    arena_init(&a, TEXT_BYTES);
    for (size_t at = 0; code == ERR_OK && at < json_len(rows); at += PUSH_MAX) {
        size_t n = json_len(rows) - at < PUSH_MAX ? json_len(rows) - at : PUSH_MAX;
        code = rows_put(p, rows, at, n, &a, err);
        arena_reset(&a);
    }
    arena_fini(&a);
    return code;
}

static enum err_code push_begin(struct push *p, struct err *err)
{
    struct endpoint_state st;
    if (services_need(p->call->sv->labels, "the label log", err) != ERR_OK ||
        services_need(p->call->sv->serve, "serving", err) != ERR_OK)
        return err->code;
    return serve_endpoint(p->call->sv->serve, p->endpoint, p->call->arena, &st, err);
}

static struct json *push_result(const struct push *p)
{
    struct arena *a = p->call->arena;
    struct json *o = json_set(a, json_obj(a), "received", json_int(a, (int64_t)p->n_rows));
    return json_set(a, o, "new", json_int(a, (int64_t)p->n_new));
}

static enum err_code push(struct push *p, const struct json *in, const char *list_name,
                          struct json **ret, struct err *err)
{
    const char *file = json_get_c(in, "file");
    const struct json *list = json_get(in, list_name);
    if (push_begin(p, err) != ERR_OK)
        return err->code;
    if (!file == !list)
        return err_set(err, ERR_USAGE, "give either a file or the %s themselves", list_name);
    enum err_code code =
        file ? row_file_read(p->call, file, on_rows, p, err) : on_rows(p, list, err);
    if (code == ERR_OK)
        *ret = push_result(p);
    return code;
}

enum err_code op_labels_push(struct op_call *call, const struct json *in, struct json **ret,
                             struct err *err)
{
    struct push p = {.call = call, .endpoint = json_get_c(in, "endpoint")};
    return push(&p, in, "labels", ret, err);
}

enum err_code op_outcomes_push(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    struct push p = {.call = call, .endpoint = json_get_c(in, "endpoint"), .is_outcome = true};
    return push(&p, in, "outcomes", ret, err);
}

enum err_code op_labels_push_lines(struct op_call *call, const struct json *in, struct json **ret,
                                   struct err *err)
{
    struct push p = {.call = call, .endpoint = json_get_c(in, "endpoint")};
    if (push_begin(&p, err) != ERR_OK)
        return err->code;
    enum err_code code = call->body_path ? row_file_read(call, call->body_path, on_rows, &p, err)
                                         : row_text_read(call->body, on_rows, &p, err);
    if (code == ERR_OK)
        *ret = push_result(&p);
    return code;
}

/* ---- tail ---- */

static enum err_code places(struct label_log *l, const char *endpoint, struct log_pos *ring,
                            size_t limit, uint64_t *ret_n, struct err *err)
{
    struct log_pos at = {0}, next;
    struct label_reader *r = NULL;
    struct label_record rec;
    bool is_there = true;
    enum err_code code = label_reader_open(label_log_series(l), &at, &r, err);
    *ret_n = 0;
    at = series_start(label_log_series(l));
    while (code == ERR_OK && is_there) {
        code = label_reader_next(r, 0, &is_there, &rec, &next, err);
        if (code != ERR_OK || !is_there)
            break;
        if (str_is(rec.endpoint, endpoint))
            ring[(*ret_n)++ % limit] = at;
        at = next;
    }
    label_reader_close(r);
    return code;
}

static enum err_code label_at(struct label_log *l, const struct log_pos *pos, struct arena *a,
                              struct json *list, struct err *err)
{
    struct label_reader *r = NULL;
    struct label_record rec;
    struct log_pos next;
    bool is_there = false;
    enum err_code code = label_reader_open(label_log_series(l), pos, &r, err);
    if (code == ERR_OK)
        code = label_reader_next(r, 0, &is_there, &rec, &next, err);
    if (code == ERR_OK && is_there)
        json_add(a, list, label_json(&rec, a));
    label_reader_close(r);
    return code;
}

enum err_code op_labels_tail(struct op_call *call, const struct json *in, struct json **ret,
                             struct err *err)
{
    int64_t limit = json_get_int(in, "limit", 20);
    uint64_t n = 0;
    if (services_need(call->sv->labels, "the label log", err) != ERR_OK)
        return err->code;
    if (limit < 1 || limit > TAIL_MAX)
        return err_set(err, ERR_RANGE, "limit is between 1 and %d", TAIL_MAX);
    struct log_pos *ring = ARENA_NEW_N(call->arena, struct log_pos, (size_t)limit);
    if (!ring)
        return arena_err(call->arena, err);
    if (places(call->sv->labels, json_get_c(in, "endpoint"), ring, (size_t)limit, &n, err) !=
        ERR_OK)
        return err->code;
    struct json *list = json_arr(call->arena);
    for (uint64_t i = n > (uint64_t)limit ? n - (uint64_t)limit : 0; i < n; i++)
        if (label_at(call->sv->labels, &ring[i % (uint64_t)limit], call->arena, list, err) !=
            ERR_OK)
            return err->code;
    *ret = json_set(call->arena, json_obj(call->arena), "labels", list);
    return ERR_OK;
}
