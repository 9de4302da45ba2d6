/* Rows as requests: only the columns that the endpoint takes, in the types it names. */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/replay_int.h"
#include "http/client.h"

enum err_code replay_fields_get(const struct cli_target *t, const char *endpoint, struct arena *a,
                                struct replay_fields *ret, struct err *err)
{
    struct http_client *c = NULL;
    struct http_call call = {.url = str_printf(a, "%s/v2/models/%s", t->url, endpoint),
                             .bearer = t->token};
    struct json *meta = NULL, *clock = NULL;
    enum err_code code = http_client_open(&c, err);

    if (code == ERR_OK)
        code = http_json(c, &call, NULL, a, &meta, err);
    if (code == ERR_OK) {
        call.url = str_printf(a, "%s/api/pawl/v1/endpoints/%s/clock", t->url, endpoint);
        code = http_json(c, &call, NULL, a, &clock, err);
    }
    http_client_close(c);
    if (code != ERR_OK)
        return err_wrap(err, "ask for endpoint %s", endpoint);
    if (!json_get_bool(clock, "is_replay", false))
        return err_set(
            err, ERR_REFUSED,
            "the home behind %s follows the system clock: make one with `pawl init --replay`",
            t->url);
    ret->inputs = json_get(meta, "inputs");
    ret->clock_us = json_get_time(clock, "clock");
    return ERR_OK;
}

void replay_id(const struct replay_order *o, const struct replay_row *row, char ret[64])
{
    const char *name = path_base(o->files[row->file]);

    (void)snprintf(ret, 64, "rp-%08llx-%llu-%llu",
                   (unsigned long long)(hash64(name, strlen(name), 0) & 0xffffffff),
                   (unsigned long long)row->seq, (unsigned long long)row->at_us);
}

static const struct json *value_of(const struct replay_row *row, struct str name)
{
    for (size_t i = 0; i < json_len(row->columns); i++)
        if (str_eq(json_at(row->columns, i)->u.s, name))
            return json_at(row->values, i);
    return NULL;
}

static void number_put(const struct json *v, struct buf *out)
{
    char text[NUM_TEXT_BYTES];
    int64_t at_us;

    if (v->type == JSON_STR &&
        parse_time_us(v->u.s, &at_us, NULL) == ERR_OK) { /* a time where milliseconds are taken */
        (void)num_i64(text, at_us / US_PER_MS);
        buf_c(out, text);
    } else if (v->type == JSON_STR) {
        json_write_str(out, v->u.s);
    } else if (v->type == JSON_BOOL) {
        buf_c(out, v->u.b ? "true" : "false");
    } else if (v->type == JSON_INT) {
        (void)num_i64(text, v->u.i);
        buf_c(out, text);
    } else {
        (void)num_f64(text, v->u.f);
        buf_c(out, text);
    }
}

static void text_put(const struct json *v, struct buf *out)
{
    if (v->type == JSON_STR) {
        json_write_str(out, v->u.s);
        return;
    }
    buf_ch(out, '"');
    number_put(v, out);
    buf_ch(out, '"');
}

void replay_body(const struct replay_fields *f, const struct replay_row *row, const char *id,
                 struct buf *out)
{
    bool is_first = true;

    buf_printf(out, "{\"id\":\"%s\",\"inputs\":[", id);
    for (size_t i = 0; i < json_len(f->inputs); i++) {
        const struct json *in = json_at(f->inputs, i), *v = value_of(row, json_get_str(in, "name"));
        struct str type = json_get_str(in, "datatype");
        if (!v || v->type == JSON_NULL) /* left out: null */
            continue;
        buf_c(out, is_first ? "{\"name\":" : ",{\"name\":");
        json_write_str(out, json_get_str(in, "name"));
        buf_printf(out, ",\"shape\":[1],\"datatype\":\"%.*s\",\"data\":[", STR_ARG(type));
        if (str_is(type, "BYTES"))
            text_put(v, out);
        else
            number_put(v, out);
        buf_c(out, "]}");
        is_first = false;
    }
    buf_c(out, "]}");
}
