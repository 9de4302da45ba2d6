/* Predictions: ask, tail, query, count. */
#include <math.h>
#include <string.h>

#include "access/access.h"
#include "api/op_handlers.h"
#include "api/services.h"
#include "base/check.h"
#include "feedback/log.h"
#include "serve/serve.h"

#define ACK_MS     10000
#define FIELDS_MAX 4096

/* ---- predict ---- */

/* The rows as columns: the fields of the first row; every row must have the same ones. */
static enum err_code column_make(const struct json *rows, struct str name, struct arena *a,
                                 struct serve_tensor *t, struct err *err)
{
    size_t n = json_len(rows);
    struct value *v = ARENA_NEW_N(a, struct value, n);
    const char *key = str_dup(a, name);
    if (!v || !key)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++)
        if (runtime_value(json_get(json_at(rows, i), key), &v[i], err) != ERR_OK)
            return err_wrap(err, "field \"%s\", row %zu", key, i);
    *t = (struct serve_tensor){str_c(key), TENSOR_BYTES, n, 1, v};
    return ERR_OK;
}

static enum err_code tensors_make(const struct json *rows, struct arena *a, struct serve_request *q,
                                  struct err *err)
{
    const struct json *first = json_at(rows, 0);
    size_t n = json_len(first);
    if (!first || first->type != JSON_OBJ || n == 0 || n > FIELDS_MAX)
        return err_set(err, ERR_INVALID,
                       "a request is an object of fields, such as {\"distance\": 733}");
    for (size_t i = 1; i < json_len(rows); i++) {
        const struct json *row = json_at(rows, i);
        for (size_t k = 0; k < json_len(row); k++)
            if (row->type != JSON_OBJ || !json_get(first, str_dup(a, row->u.obj.members[k].key)))
                return err_set(err, ERR_INVALID, "row %zu has a field that row 0 has not", i);
    }
    struct serve_tensor *t = ARENA_NEW_N(a, struct serve_tensor, n);
    if (!t)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++)
        if (column_make(rows, first->u.obj.members[i].key, a, &t[i], err) != ERR_OK)
            return err->code;
    q->inputs = t;
    q->n_inputs = n;
    return ERR_OK;
}

static struct json *row_answer(const struct serve_answer *ans, size_t row, struct arena *a)
{
    char name[RECORD_NAME_BYTES];
    struct json *o = json_obj(a), *scores = json_arr(a);
    const float *s = ans->scores + row * ans->n_outputs;
    record_name(ans->id, (uint32_t)row, name);
    json_set(a, o, "prediction_id", json_cstr(a, name));
    for (size_t i = 0; i < ans->n_outputs; i++)
        json_add(a, scores, json_num(a, (double)s[i]));
    json_set(a, o, ans->n_outputs == 1 ? "score" : "scores",
             ans->n_outputs == 1 ? json_num(a, (double)s[0]) : scores);
    if (ans->decisions && !isnan(ans->decisions[row]))
        json_set(a, o, "decision",
                 ans->is_multiclass ? json_int(a, (int64_t)ans->decisions[row])
                                    : json_bool(a, ans->decisions[row] > 0));
    return o;
}

static struct json *answer_json(const struct serve_answer *ans, const char *endpoint,
                                struct arena *a)
{
    struct json *o = json_obj(a), *list = json_arr(a);
    json_set(a, o, "endpoint", json_cstr(a, endpoint));
    json_set(a, o, "release", json_fmt(a, "r%lld", (long long)ans->release));
    json_set(a, o, "role", json_cstr(a, ROLE_NAMES[ans->role]));
    for (size_t i = 0; i < ans->n_rows; i++)
        json_add(a, list, row_answer(ans, i, a));
    json_set(a, o, "predictions", list);
    json_set(a, o, "logged", json_bool(a, ans->is_logged || ans->is_known_id));
    if (ans->is_fallback)
        json_set(a, o, "fallback", json_bool(a, true));
    return ans->is_rescued ? json_set(a, o, "rescued", json_bool(a, true)) : o;
}

static enum err_code release_read(const char *text, int64_t *ret, struct err *err)
{
    *ret = 0;
    if (!text)
        return ERR_OK;
    if (parse_i64(str_c(text[0] == 'r' ? text + 1 : text), ret, err) != ERR_OK || *ret <= 0)
        return err_set(err, ERR_INVALID, "\"%s\" is not a release: such as r12", text);
    return ERR_OK;
}

static enum err_code ack_read(const char *text, enum log_ack *ret, struct err *err)
{
    static const char *const names[LOG_ACK_N] = {"ring", "written", "synced"};
    for (int i = 0; i < LOG_ACK_N; i++)
        if (text && strcmp(text, names[i]) == 0) {
            *ret = (enum log_ack)i;
            return ERR_OK;
        }
    return err_set(err, ERR_INVALID, "ack is ring, written or synced");
}

/* A release that is not live answers only to who holds the home's token. */
static enum err_code tester_check(const struct op_call *call, const char *endpoint, int64_t release,
                                  struct err *err)
{
    struct endpoint_state st;
    if (release == 0 || call->is_trusted)
        return ERR_OK;
    if (serve_endpoint(call->sv->serve, endpoint, call->arena, &st, err) != ERR_OK)
        return err->code;
    if (st.live != release)
        return err_set(err, ERR_FORBIDDEN,
                       "r%lld is not live on %s: asking it needs the home's token",
                       (long long)release, endpoint);
    return ERR_OK;
}

static enum err_code predict(struct op_call *call, const struct json *in, struct serve_request *q,
                             struct serve_answer *ans, struct err *err)
{
    const struct json *rows = json_get(in, "json");
    const char *endpoint = json_get_c(in, "endpoint");
    enum log_ack ack = LOG_ACK_RING;
    if (rows && rows->type == JSON_OBJ)
        rows = json_add(call->arena, json_arr(call->arena), json_copy(call->arena, rows));
    if (!rows || rows->type != JSON_ARR)
        return err_set(err, ERR_INVALID,
                       "the request is an object of fields, or a list of such objects");
    if (ack_read(json_get_c(in, "ack"), &ack, err) != ERR_OK ||
        release_read(json_get_c(in, "release"), &q->release, err) != ERR_OK ||
        tester_check(call, endpoint, q->release, err) != ERR_OK ||
        tensors_make(rows, call->arena, q, err) != ERR_OK ||
        serve_predict(call->sv->serve, q, call->arena, ans, err) != ERR_OK)
        return err->code;
    if (ack == LOG_ACK_RING || !ans->is_logged || ans->is_known_id)
        return ERR_OK;
    return feedback_log_wait(call->sv->log, &ans->ticket, ack, ACK_MS, err);
}

enum err_code op_predictions_predict(struct op_call *call, const struct json *in, struct json **ret,
                                     struct err *err)
{
    const char *endpoint = json_get_c(in, "endpoint"), *id = json_get_c(in, "id");
    struct serve_request q = {
        .endpoint = str_c(endpoint), .id = str_c(id ? id : ""), .mono_ns = mono_ns()};
    struct serve_answer ans;
    if (services_need(call->sv->serve, "serving", err) != ERR_OK)
        return err->code;
    if (predict(call, in, &q, &ans, err) != ERR_OK)
        return err->code;
    *ret = answer_json(&ans, endpoint, call->arena);
    return ERR_OK;
}

/* ---- the log ---- */

static enum err_code name_find(const char *text, const char *const *names, int n, const char *what,
                               int *ret, struct err *err)
{
    *ret = -1;
    for (int i = 0; text && i < n; i++)
        if (strcmp(text, names[i]) == 0)
            *ret = i;
    if (text && *ret < 0)
        return err_set(err, ERR_INVALID, "\"%s\" is not a %s of predictions", text, what);
    return ERR_OK;
}

static enum err_code filter_read(struct op_call *call, const struct json *in,
                                 struct record_filter *f, struct err *err)
{
    if (services_need(call->sv->log, "the prediction log", err) != ERR_OK)
        return err->code;
    *f = (struct record_filter){.endpoint = json_get_str(in, "endpoint"),
                                .from_us = json_get_time(in, "from"),
                                .to_us = json_get_time(in, "to")};
    if (release_read(json_get_c(in, "release"), &f->release, err) != ERR_OK ||
        name_find(json_get_c(in, "role"), ROLE_NAMES, ROLE_N, "role", &f->role, err) != ERR_OK)
        return err->code;
    if (name_find(json_get_c(in, "status"), RECORD_STATUS_NAMES, RECORD_STATUS_N, "status",
                  &f->status, err) != ERR_OK)
        return err->code;
    return feedback_log_flush(call->sv->log, LOG_ACK_WRITTEN, ACK_MS, err);
}

static enum err_code query(struct op_call *call, const struct record_filter *f, int64_t limit,
                           struct json **ret, struct err *err)
{
    struct json *list = NULL;
    if (feedback_log_query(call->sv->log, f, limit < 0 ? 0 : (size_t)limit, call->arena, &list,
                           err) != ERR_OK)
        return err->code;
    *ret = json_set(call->arena, json_obj(call->arena), "predictions", list);
    return ERR_OK;
}

enum err_code op_predictions_tail(struct op_call *call, const struct json *in, struct json **ret,
                                  struct err *err)
{
    struct record_filter f;
    if (filter_read(call, in, &f, err) != ERR_OK)
        return err->code;
    return query(call, &f, json_get_int(in, "limit", 20), ret, err);
}

/* One prediction by its name or the client's. */
static enum err_code find_one(struct op_call *call, const struct json *in, struct json **ret,
                              struct err *err)
{
    const char *id = json_get_c(in, "id");
    struct arena *a = call->arena;
    struct prediction_record rec;
    struct log_pos pos;
    uint8_t bytes[16];
    uint32_t row = 0;
    enum err_code code;
    if (id) {
        code = record_name_parse(str_c(id), bytes, &row, err);
        if (code == ERR_OK)
            code = feedback_log_find(call->sv->log, bytes, row, a, &rec, &pos, err);
    } else {
        code = feedback_log_find_client(call->sv->log, json_get_str(in, "endpoint"),
                                        json_get_str(in, "client_id"), 0, a, &rec, &pos, err);
    }
    if (code != ERR_OK)
        return code;
    const struct record_schema *schema =
        schema_store_get(feedback_log_schemas(call->sv->log), rec.release);
    *ret = json_set(a, json_obj(a), "predictions",
                    json_add(a, json_arr(a), record_json(&rec, schema, a)));
    return ERR_OK;
}

enum err_code op_predictions_query(struct op_call *call, const struct json *in, struct json **ret,
                                   struct err *err)
{
    struct record_filter f;
    if (filter_read(call, in, &f, err) != ERR_OK)
        return err->code;
    if (json_get(in, "id") || json_get(in, "client_id"))
        return find_one(call, in, ret, err);
    return query(call, &f, json_get_int(in, "limit", 100), ret, err);
}

enum err_code op_predictions_count(struct op_call *call, const struct json *in, struct json **ret,
                                   struct err *err)
{
    struct record_filter f;
    struct json *by = NULL, *o = json_obj(call->arena);
    uint64_t n = 0;
    if (filter_read(call, in, &f, err) != ERR_OK ||
        feedback_log_count(call->sv->log, &f, call->arena, &n, &by, err) != ERR_OK)
        return err->code;
    json_set(call->arena, o, "endpoint", json_cstr(call->arena, json_get_c(in, "endpoint")));
    json_set(call->arena, o, "count", json_int(call->arena, (int64_t)n));
    *ret = json_set(call->arena, o, "by_release", by);
    return ERR_OK;
}
