#include "serve/assign.h"

#include "base/check.h"
#include "base/hash.h"

/* Longer texts stand in the key as the 16 bytes of their hash, so that a key fits its buffer. */
#define TEXT_ROOM 128

struct key {
    char bytes[ASSIGN_KEY_BYTES_MAX];
    struct buf buf; /* over bytes: never grows, so the hot path allocates nothing */
};

static void key_start(struct key *k)
{
    k->buf = (struct buf){.p = k->bytes, .cap = sizeof k->bytes, .max = sizeof k->bytes - 1};
}

static void key_value(struct key *k, struct value v)
{
    struct hash128 h;
    if (v.type == VAL_STR && v.u.s.n > TEXT_ROOM) {
        h = hash128(v.u.s.p, v.u.s.n);
        v.u.s = str_n((const char *)&h, sizeof h);
    }
    value_key_bytes(&v, &k->buf);
}

static void key_salt(struct key *k, struct str salt)
{
    key_value(k, (struct value){VAL_STR, {.s = salt}});
}

static uint16_t key_bucket(const struct key *k)
{
    CHECK(!k->buf.is_failed && k->buf.p == k->bytes);
    return (uint16_t)(hash64(k->buf.p, k->buf.n, 0) % ASSIGN_BUCKETS);
}

uint16_t assign_bucket(struct str salt, const struct value *values, size_t n)
{
    struct key k;
    CHECK(n <= ASSIGN_KEYS_MAX);
    key_start(&k);
    key_salt(&k, salt);
    for (size_t i = 0; i < n; i++)
        key_value(&k, values[i]);
    return key_bucket(&k);
}

uint16_t assign_bucket_by_id(struct str salt, const uint8_t id[16])
{
    struct key k;
    key_start(&k);
    key_salt(&k, salt);
    buf_put(&k.buf, id, 16);
    return key_bucket(&k);
}
