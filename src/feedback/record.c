/* Layout of a record (version 1), little-endian, v = varint, z = zigzag varint:
 *   u8 version, role, status, flags | 16 id | v row | v+text client | v+text endpoint | i64 wall | z event - wall (flag)
 *   v release, generation, bucket, latency_us, compute_ns | decision as a value
 *   v n + scores (float32 each when flag, else float64) | v n + u8 lookups | v n + values | v n + float32 row
 * A value is a tag byte and what the tag says. */
#include "feedback/record.h"

#include <math.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "feedback/record_int.h"

const char *const ROLE_NAMES[ROLE_N] = {"live", "canary", "shadow", "test"};
const char *const RECORD_STATUS_NAMES[RECORD_STATUS_N] = {"ok", "error", "fallback", "rescued"};

enum { FLAG_EVENT = 1, FLAG_PAIRED = 2, FLAG_SCORES_F32 = 4 };
enum { TAG_NULL, TAG_FALSE, TAG_TRUE, TAG_INT, TAG_F64, TAG_F32, TAG_TIME, TAG_STR, TAG_N };

#define FIXED_BYTES_MAX 128
#define VARINT_MAX      10
#define VALUE_MAX       11

size_t record_bytes_max(const struct prediction_record *r)
{
    size_t n = FIXED_BYTES_MAX + r->client_id.n + r->endpoint.n +
               (size_t)r->n_scores * sizeof(double) + r->n_lookups +
               (size_t)r->n_row * sizeof(float) + (size_t)r->n_values * VALUE_MAX;
    for (uint32_t i = 0; i < r->n_values; i++)
        if (r->values[i].type == VAL_STR)
            n += r->values[i].u.s.n;
    return n;
}

static unsigned char *put_varint(unsigned char *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (unsigned char)(v | 0x80);
        v >>= 7;
    }
    *p++ = (unsigned char)v;
    return p;
}

static unsigned char *put_zigzag(unsigned char *p, int64_t v)
{
    return put_varint(p, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static unsigned char *put_bytes(unsigned char *p, const void *src, size_t n)
{
    if (n)
        memcpy(p, src, n);
    return p + n;
}

static unsigned char *put_text(unsigned char *p, struct str s)
{
    return put_bytes(put_varint(p, s.n), s.p, s.n);
}

static bool is_f32(double v)
{
    double back = (double)(float)v;
    return memcmp(&back, &v, sizeof v) == 0;
}

static unsigned char *put_float(unsigned char *p, double v)
{
    float f = (float)v;
    if (is_f32(v)) {
        *p++ = TAG_F32;
        return put_bytes(p, &f, sizeof f);
    }
    *p++ = TAG_F64;
    return put_bytes(p, &v, sizeof v);
}

static unsigned char *put_value(unsigned char *p, const struct value *v)
{
    switch (v->type) {
    case VAL_BOOL:
        *p++ = v->u.b ? TAG_TRUE : TAG_FALSE;
        return p;
    case VAL_INT:
        *p++ = TAG_INT;
        return put_zigzag(p, v->u.i);
    case VAL_TIME:
        *p++ = TAG_TIME;
        return put_zigzag(p, v->u.i);
    case VAL_FLOAT:
        return put_float(p, v->u.f);
    case VAL_STR:
        *p++ = TAG_STR;
        return put_text(p, v->u.s);
    case VAL_NULL:
    case VAL_TYPE_N:
        break;
    }
    *p++ = TAG_NULL;
    return p;
}

static bool scores_are_f32(const struct prediction_record *r)
{
    for (uint32_t i = 0; i < r->n_scores; i++)
        if (!is_f32(r->scores[i]))
            return false;
    return true;
}

static unsigned char *put_scores(unsigned char *p, const struct prediction_record *r, bool f32)
{
    p = put_varint(p, r->n_scores);
    for (uint32_t i = 0; i < r->n_scores; i++) {
        float f = (float)r->scores[i];
        p = f32 ? put_bytes(p, &f, sizeof f) : put_bytes(p, &r->scores[i], sizeof(double));
    }
    return p;
}

size_t record_encode(const struct prediction_record *r, unsigned char *out)
{
    bool f32 = scores_are_f32(r), has_event = r->event_us != AT_US_NONE;
    unsigned char *p = out;
    *p++ = RECORD_VERSION;
    *p++ = (unsigned char)r->role;
    *p++ = (unsigned char)r->status;
    *p++ = (unsigned char)((has_event ? FLAG_EVENT : 0) | (r->is_paired ? FLAG_PAIRED : 0) |
                           (f32 ? FLAG_SCORES_F32 : 0));
    p = put_bytes(p, r->id, sizeof r->id);
    p = put_varint(p, r->row);
    p = put_text(p, r->client_id);
    p = put_text(p, r->endpoint);
    p = put_bytes(p, &r->wall_us, sizeof r->wall_us);
    if (has_event)
        p = put_zigzag(p, (int64_t)((uint64_t)r->event_us - (uint64_t)r->wall_us));
    p = put_varint(p, (uint64_t)r->release);
    p = put_varint(p, r->generation);
    p = put_varint(p, r->bucket);
    p = put_varint(p, r->latency_us);
    p = put_varint(p, r->compute_ns);
    p = put_float(p, r->decision);
    p = put_scores(p, r, f32);
    p = put_varint(p, r->n_lookups);
    p = put_bytes(p, r->lookups, r->n_lookups);
    p = put_varint(p, r->n_values);
    for (uint32_t i = 0; i < r->n_values; i++)
        p = put_value(p, &r->values[i]);
    p = put_varint(p, r->n_row);
    p = put_bytes(p, r->row_values, (size_t)r->n_row * sizeof(float));
    return (size_t)(p - out);
}

/* ---- reading ---- */

static uint64_t get_varint(struct record_cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (c->p == c->end) {
            c->is_bad = true;
            return 0;
        }
        unsigned char b = *c->p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    c->is_bad = true;
    return 0;
}

static int64_t get_zigzag(struct record_cursor *c)
{
    uint64_t v = get_varint(c);
    return (int64_t)((v >> 1) ^ (0 - (v & 1)));
}

static void get_bytes(struct record_cursor *c, void *out, size_t n)
{
    if (c->is_bad || (size_t)(c->end - c->p) < n) {
        c->is_bad = true;
        return;
    }
    if (n)
        memcpy(out, c->p, n);
    c->p += n;
}

static struct str get_text(struct record_cursor *c)
{
    uint64_t n = get_varint(c);
    if (c->is_bad || (uint64_t)(c->end - c->p) < n) {
        c->is_bad = true;
        return STR("");
    }
    struct str s = str_n((const char *)c->p, (size_t)n);
    c->p += n;
    return s;
}

/* A count of things of at least `each` bytes: never more than the bytes left can hold. */
static uint32_t get_count(struct record_cursor *c, size_t each)
{
    uint64_t n = get_varint(c);
    if (c->is_bad || n > (uint64_t)(c->end - c->p) / each) {
        c->is_bad = true;
        return 0;
    }
    return (uint32_t)n;
}

static double get_float(struct record_cursor *c, unsigned char tag)
{
    float f = 0;
    double v = 0;
    if (tag == TAG_F32) {
        get_bytes(c, &f, sizeof f);
        return (double)f;
    }
    if (tag != TAG_F64)
        c->is_bad = true;
    get_bytes(c, &v, sizeof v);
    return v;
}

static void get_value(struct record_cursor *c, struct value *ret)
{
    unsigned char tag = TAG_N;
    get_bytes(c, &tag, 1);
    switch (tag) {
    case TAG_NULL:
        ret->type = VAL_NULL;
        break;
    case TAG_FALSE:
    case TAG_TRUE:
        ret->type = VAL_BOOL;
        ret->u.b = tag == TAG_TRUE;
        break;
    case TAG_INT:
    case TAG_TIME:
        ret->type = tag == TAG_INT ? VAL_INT : VAL_TIME;
        ret->u.i = get_zigzag(c);
        break;
    case TAG_F32:
    case TAG_F64:
        ret->type = VAL_FLOAT;
        ret->u.f = get_float(c, tag);
        break;
    case TAG_STR:
        ret->type = VAL_STR;
        ret->u.s = get_text(c);
        break;
    default:
        c->is_bad = true;
        break;
    }
}

bool record_peek(struct record_cursor *c, struct prediction_record *r)
{
    unsigned char head[4] = {0};
    get_bytes(c, head, sizeof head);
    if (head[0] != RECORD_VERSION || head[1] >= ROLE_N || head[2] >= RECORD_STATUS_N)
        c->is_bad = true;
    r->role = (enum record_role)head[1];
    r->status = (enum record_status)head[2];
    r->is_paired = (head[3] & FLAG_PAIRED) != 0;
    c->flags = head[3];
    get_bytes(c, r->id, sizeof r->id);
    r->row = (uint32_t)get_varint(c);
    r->client_id = get_text(c);
    r->endpoint = get_text(c);
    get_bytes(c, &r->wall_us, sizeof r->wall_us);
    return !c->is_bad;
}

static void get_numbers(struct record_cursor *c, struct prediction_record *r)
{
    unsigned char tag = TAG_N;
    r->event_us = AT_US_NONE;
    if (c->flags & FLAG_EVENT)
        r->event_us = (int64_t)((uint64_t)r->wall_us + (uint64_t)get_zigzag(c));
    r->release = (int64_t)get_varint(c);
    r->generation = get_varint(c);
    r->bucket = (uint16_t)get_varint(c);
    r->latency_us = (uint32_t)get_varint(c);
    r->compute_ns = (uint32_t)get_varint(c);
    get_bytes(c, &tag, 1);
    r->decision = get_float(c, tag);
}

static void get_arrays(struct record_cursor *c, struct arena *a, struct prediction_record *r,
                       bool *ret_is_full)
{
    size_t each = c->flags & FLAG_SCORES_F32 ? sizeof(float) : sizeof(double);
    r->n_scores = get_count(c, each);
    r->scores = ARENA_NEW_N(a, double, r->n_scores);
    for (uint32_t i = 0; r->scores && i < r->n_scores; i++)
        r->scores[i] = get_float(c, each == sizeof(float) ? TAG_F32 : TAG_F64);
    r->n_lookups = get_count(c, 1);
    r->lookups = ARENA_NEW_N(a, uint8_t, r->n_lookups);
    if (r->lookups)
        get_bytes(c, r->lookups, r->n_lookups);
    r->n_values = get_count(c, 1);
    r->values = ARENA_NEW_N(a, struct value, r->n_values);
    for (uint32_t i = 0; r->values && i < r->n_values; i++)
        get_value(c, &r->values[i]);
    r->n_row = get_count(c, sizeof(float));
    r->row_values = ARENA_NEW_N(a, float, r->n_row);
    if (r->row_values)
        get_bytes(c, r->row_values, (size_t)r->n_row * sizeof(float));
    *ret_is_full = !r->scores || !r->lookups || !r->values || !r->row_values;
}

enum err_code record_decode(struct str bytes, struct arena *a, struct prediction_record *ret,
                            struct err *err)
{
    struct record_cursor c = {(const unsigned char *)bytes.p,
                              (const unsigned char *)bytes.p + bytes.n, 0, false};
    struct prediction_record r = {0};
    bool is_full = false;
    if (record_peek(&c, &r)) {
        get_numbers(&c, &r);
        get_arrays(&c, a, &r, &is_full);
    }
    if (is_full)
        return arena_err(a, err);
    if (c.is_bad || c.p != c.end)
        return err_set(err, ERR_CORRUPT, "a prediction record of %zu bytes is not whole", bytes.n);
    *ret = r;
    return ERR_OK;
}

/* ---- names ---- */

void record_key(const uint8_t id[16], uint32_t row, uint8_t ret[16])
{
    memcpy(ret, id, 16);
    for (int i = 0; i < 4; i++)
        ret[12 + i] ^= (uint8_t)(row >> (24 - 8 * i));
}

void record_name(const uint8_t id[16], uint32_t row, char out[RECORD_NAME_BYTES])
{
    static const uint8_t groups[] = {4, 2, 2, 2, 6};
    char number[NUM_TEXT_BYTES];
    size_t n = 0, at = 0;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) { /* without printf: every answer carries one */
        hex_encode(id + at, groups[i], out + n);
        at += groups[i];
        n += 2u * groups[i];
        out[n++] = '-';
    }
    out[--n] = 0;
    if (row == 0)
        return;
    size_t m = num_i64(number, row);
    CHECK(n + 1 + m < RECORD_NAME_BYTES);
    out[n] = '/';
    memcpy(out + n + 1, number, m + 1);
}

enum err_code record_name_parse(struct str s, uint8_t ret_id[16], uint32_t *ret_row,
                                struct err *err)
{
    struct str rest = s, id = str_split(&rest, '/');
    uint64_t row = 0;
    if (rest.p && parse_u64(rest, &row, err) != ERR_OK)
        return err_wrap(err, "row of prediction id %.*s", STR_ARG(s));
    if (row > UINT32_MAX)
        return err_set(err, ERR_RANGE, "row of prediction id %.*s is too large", STR_ARG(s));
    if (uuid_parse(id, ret_id, err) != ERR_OK)
        return err->code;
    *ret_row = (uint32_t)row;
    return ERR_OK;
}
