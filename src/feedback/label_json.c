/* Labels as they come and go over the API. */
#include "base/clock.h"
#include "feedback/label.h"
#include "feedback/record.h"

#define LABEL_TEXT_MAX 4096

static enum err_code value_read(const struct json *v, struct value *ret, struct err *err)
{
    double f;
    switch (v ? v->type : JSON_NULL) {
    case JSON_BOOL:
        *ret = (struct value){VAL_BOOL, {.b = v->u.b}};
        return ERR_OK;
    case JSON_INT:
        *ret = (struct value){VAL_INT, {.i = v->u.i}};
        return ERR_OK;
    case JSON_REAL:
        *ret = (struct value){VAL_FLOAT, {.f = v->u.f}};
        return ERR_OK;
    case JSON_STR:
        *ret = (struct value){VAL_STR, {.s = v->u.s}};
        if (json_as_f64(v, &f))
            *ret = (struct value){VAL_FLOAT, {.f = f}};
        return ERR_OK;
    case JSON_NULL:
    case JSON_ARR:
    case JSON_OBJ:
    case JSON_TYPE_N:
        break;
    }
    return err_set(err, ERR_INVALID,
                   "\"label\" must be true, false, a number or the name of a class");
}

static enum err_code text_read(const struct json *v, const char *key, struct str *ret,
                               struct err *err)
{
    const struct json *m = json_get(v, key);
    if (!m || m->type == JSON_NULL)
        return ERR_OK;
    if (m->type != JSON_STR || m->u.s.n > LABEL_TEXT_MAX)
        return err_set(err, ERR_INVALID, "\"%s\" must be a text of at most %d bytes", key,
                       LABEL_TEXT_MAX);
    *ret = m->u.s;
    return ERR_OK;
}

static enum err_code time_read(const struct json *v, const char *key, int64_t *ret, struct err *err)
{
    struct str s = STR_NONE;
    *ret = AT_US_NONE;
    if (text_read(v, key, &s, err) != ERR_OK)
        return err->code;
    if (s.p && parse_time_us(s, ret, err) != ERR_OK)
        return err_wrap(err, "\"%s\"", key);
    return ERR_OK;
}

static enum err_code keys_read(const struct json *v, struct arena *a, struct str *ret,
                               struct err *err)
{
    const struct json *keys = json_get(v, "keys");
    if (!keys || keys->type == JSON_NULL)
        return ERR_OK;
    if (keys->type != JSON_OBJ || json_len(keys) == 0)
        return err_set(
            err, ERR_INVALID,
            "\"keys\" must be an object of request fields, such as {\"customer_id\": 7}");
    struct buf b;
    buf_init(&b, LABEL_TEXT_MAX);
    enum err_code code = json_write(keys, JSON_CANONICAL, &b, err);
    char *copy = code == ERR_OK ? str_dup(a, buf_view(&b)) : NULL;
    if (copy)
        *ret = str_n(copy, b.n);
    buf_fini(&b);
    return code != ERR_OK || copy ? code : arena_err(a, err);
}

static enum err_code id_read(const struct json *v, struct label_record *l, struct err *err)
{
    struct str name = STR_NONE;
    if (text_read(v, "prediction_id", &name, err) != ERR_OK ||
        (!name.p && text_read(v, "id", &name, err) != ERR_OK))
        return err->code;
    if (name.p && record_name_parse(name, l->id, &l->row, err) != ERR_OK)
        return err_wrap(err, "\"prediction_id\"");
    int64_t row = json_get_int(v, "row", l->row);
    if (row < 0 || row > UINT32_MAX)
        return err_set(err, ERR_RANGE, "\"row\" must be a row of the request, from 0");
    l->row = (uint32_t)row;
    bool has_id = name.p != NULL;
    if (text_read(v, "client_id", &l->client_id, err) != ERR_OK)
        return err->code;
    if ((int)has_id + (l->client_id.n > 0) + (l->keys.n > 0) != 1)
        return err_set(err, ERR_INVALID,
                       "a label needs exactly one of prediction_id, client_id, keys");
    return ERR_OK;
}

enum err_code label_from_json(const struct json *v, struct str endpoint, int64_t wall_us,
                              struct arena *a, struct label_record *ret, struct err *err)
{
    struct label_record l = {.endpoint = endpoint,
                             .wall_us = wall_us,
                             .client_id = STR(""),
                             .keys = STR(""),
                             .name = STR("")};
    if (!v || v->type != JSON_OBJ)
        return err_set(err, ERR_INVALID,
                       "a label is an object, such as {\"prediction_id\": …, \"label\": true}");
    const struct json *value = json_get(v, "label") ? json_get(v, "label") : json_get(v, "value");
    if (keys_read(v, a, &l.keys, err) != ERR_OK || id_read(v, &l, err) != ERR_OK ||
        text_read(v, "name", &l.name, err) != ERR_OK ||
        text_read(v, "endpoint", &l.endpoint, err) != ERR_OK ||
        time_read(v, "time", &l.event_us, err) != ERR_OK ||
        time_read(v, "known_at", &l.known_us, err) != ERR_OK ||
        value_read(value, &l.label, err) != ERR_OK)
        return err->code;
    if (l.endpoint.n == 0)
        return err_set(err, ERR_INVALID, "a label needs the endpoint that it is for");
    *ret = l;
    return ERR_OK;
}

static struct json *value_json(const struct value *v, struct arena *a)
{
    if (v->type == VAL_BOOL)
        return json_bool(a, v->u.b);
    if (v->type == VAL_INT)
        return json_int(a, v->u.i);
    return v->type == VAL_STR ? json_str(a, v->u.s) : json_num(a, v->u.f);
}

struct json *label_json(const struct label_record *l, struct arena *a)
{
    static const uint8_t none[16];
    char name[RECORD_NAME_BYTES];
    struct json *v = json_obj(a);
    struct json *keys = NULL;
    struct err ignored = ERR_INIT;
    json_set(a, v, "endpoint", json_str(a, l->endpoint));
    if (memcmp(l->id, none, sizeof none) != 0) {
        record_name(l->id, l->row, name);
        json_set(a, v, "prediction_id", json_cstr(a, name));
    }
    if (l->client_id.n)
        json_set(a, v, "client_id", json_str(a, l->client_id));
    if (l->keys.n && json_read(l->keys, a, &keys, &ignored) == ERR_OK)
        json_set(a, v, "keys", keys);
    if (l->event_us != AT_US_NONE)
        json_set(a, v, "time", json_time(a, l->event_us));
    if (l->name.n)
        json_set(a, v, "name", json_str(a, l->name));
    json_set(a, v, "label", value_json(&l->label, a));
    if (l->known_us != AT_US_NONE)
        json_set(a, v, "known_at", json_time(a, l->known_us));
    return json_set(a, v, "received_at", json_time(a, l->wall_us));
}
