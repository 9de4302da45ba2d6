#include <string.h>

#include "base/check.h"
#include "features/online_int.h"

const char *online_status_name(enum online_status s)
{
    static const char *const NAMES[ONLINE_STATUS_N] = {"PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"};
    CHECK(s < ONLINE_STATUS_N);
    return NAMES[s];
}

void online_data_key(uint32_t id, struct str key, uint8_t out[ONLINE_DATA_KEY])
{
    struct hash128 h = hash128(key.p, key.n);
    for (size_t i = 0; i < 4; i++)
        out[i] = (uint8_t)(id >> (24 - 8 * i));
    memcpy(out + 4, &h.hi, 8);
    memcpy(out + 12, &h.lo, 8);
}

bool online_list_parse(struct str record, struct list_view *ret)
{
    uint32_t key_bytes, n;
    if (record.n < 8)
        return false;
    memcpy(&key_bytes, record.p, 4);
    memcpy(&n, record.p + 4, 4);
    size_t left = record.n - 8, heads = (size_t)n * sizeof(struct entry_head);
    if (key_bytes > left || n > ONLINE_HISTORY_MAX || heads > left - key_bytes)
        return false;
    ret->key = str_n(record.p + 8, key_bytes);
    ret->n = n;
    ret->heads = record.p + 8 + key_bytes;
    ret->rows = str_n(ret->heads + heads, left - key_bytes - heads);
    return true;
}

struct entry_head online_list_head(const struct list_view *l, size_t i)
{
    struct entry_head h;
    memcpy(&h, l->heads + i * sizeof h, sizeof h);
    return h;
}

int online_entry_cmp(const struct entry_head *a, const struct entry_head *b)
{
    if (a->time_us != b->time_us)
        return a->time_us < b->time_us ? -1 : 1;
    return (a->known_us > b->known_us) - (a->known_us < b->known_us);
}

static void put_value(struct buf *out, enum value_type type, const struct value *v)
{
    if (type == VAL_BOOL) {
        buf_ch(out, (char)v->u.b);
    } else if (type == VAL_STR) {
        uint32_t n = (uint32_t)v->u.s.n;
        buf_put(out, &n, sizeof n);
        buf_str(out, v->u.s);
    } else if (type == VAL_FLOAT) {
        double f = v->type == VAL_INT ? (double)v->u.i : v->u.f;
        buf_put(out, &f, sizeof f);
    } else {
        buf_put(out, &v->u.i, sizeof v->u.i);
    }
}

void online_row_put(struct buf *out, const struct online_column *cols, const struct value *vals,
                    size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        unsigned bits = 0;
        for (size_t k = i; k < n && k < i + 8; k++)
            bits |= (unsigned)(vals[k].type == VAL_NULL || cols[k].type == VAL_NULL) << (k - i);
        buf_ch(out, (char)bits);
    }
    for (size_t i = 0; i < n; i++) {
        if (vals[i].type != VAL_NULL && cols[i].type != VAL_NULL)
            put_value(out, cols[i].type, &vals[i]);
    }
}

/* Takes n bytes off the front. */
static bool take(struct str *s, void *to, size_t n)
{
    if (s->n < n)
        return false;
    memcpy(to, s->p, n);
    s->p += n;
    s->n -= n;
    return true;
}

static bool get_value(struct str *s, enum value_type type, struct value *ret)
{
    ret->type = type;
    if (type == VAL_BOOL) {
        char c = 0;
        bool is_ok = take(s, &c, 1);
        ret->u.b = c != 0;
        return is_ok;
    }
    if (type != VAL_STR)
        return take(s, &ret->u.i, sizeof ret->u.i); /* a double's bytes lie in the same place */
    uint32_t n;
    if (!take(s, &n, sizeof n) || s->n < n)
        return false;
    ret->u.s = str_n(s->p, n);
    s->p += n;
    s->n -= n;
    return true;
}

bool online_row_get(struct str row, const struct online_view_ref *ref, struct value *vals)
{
    size_t n_bitmap = (ref->n_stored + 7) / 8;
    if (row.n < n_bitmap)
        return false;
    const char *bitmap = row.p;
    struct str rest = str_n(row.p + n_bitmap, row.n - n_bitmap);
    for (size_t i = 0; i < ref->n_columns; i++)
        vals[i].type = VAL_NULL;
    for (size_t i = 0; i < ref->n_stored; i++) {
        struct value v = {.type = VAL_NULL};
        bool is_null = (bitmap[i / 8] >> (i % 8)) & 1;
        if (!is_null &&
            (ref->types[i] >= VAL_TYPE_N || !get_value(&rest, (enum value_type)ref->types[i], &v)))
            return false;
        if (ref->to[i] >= 0)
            vals[ref->to[i]] = v;
    }
    return true;
}
