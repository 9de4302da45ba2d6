#include "test.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/value.h"

static void sha256_is_fips_180(void **state)
{
    char hex[DIGEST_HEX_BYTES];
    struct digest d, back;
    struct err err = ERR_INIT;
    digest_of("abc", 3, &d);
    digest_hex(&d, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ASSERT_OK(digest_parse(str_c(hex), &back, &err), &err);
    assert_int_equal(digest_cmp(&d, &back), 0);
    assert_int_equal(digest_parse(STR("abc"), &back, &err), ERR_PARSE);
    digest_of(NULL, 0, &d);
    digest_hex(&d, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void pieces_give_the_same_digest(void **state)
{
    struct sha256 *h = sha256_new();
    struct digest whole, pieces;
    digest_of("hello world", 11, &whole);
    for (int round = 0; round < 2; round++) {
        sha256_add(h, "hello ", 6);
        sha256_add(h, "world", 5);
        sha256_end(h, &pieces);
        assert_int_equal(digest_cmp(&whole, &pieces), 0);
    }
    sha256_free(h);
}

static void kinds_keep_names_apart(void **state)
{
    struct digest plain, kind, other;
    char hex[DIGEST_HEX_BYTES];
    digest_of("pawl.release.v1\n{}", 18, &plain);
    digest_of_kind("release", STR("{}"), &kind);
    digest_of_kind("tree", STR("{}"), &other);
    assert_int_equal(digest_cmp(&plain, &kind), 0);
    assert_int_not_equal(digest_cmp(&kind, &other), 0);
    digest_hex(&kind, hex); /* golden: a change of this value is a change of every stored name */
    assert_string_equal(hex, "1bac78088cb398beeafd45f4f3fd0240b2dff9133b40390887d0bab390bfba4b");
}

static void xxh3_golden(void **state)
{
    /* Values of the XXH3 specification's reference for the empty input and seed 0. */
    assert_true(hash64("", 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash64("pawl", 4, 0) == UINT64_C(0x7c3ac062468ccda5));
    assert_true(hash64("pawl", 4, 1) != hash64("pawl", 4, 0));
    struct hash128 h = hash128("", 0);
    assert_true(h.hi == UINT64_C(0x99aa06d3014798d8) && h.lo == UINT64_C(0x6001c324468d497f));
}

static void crc32c_rfc3720(void **state)
{
    unsigned char zeros[32] = {0}, ones[32], up[32];
    memset(ones, 0xff, sizeof ones);
    for (unsigned char i = 0; i < 32; i++)
        up[i] = i;
    assert_true(crc32c(0, zeros, 32) == 0x8a9136aa);
    assert_true(crc32c(0, ones, 32) == 0x62a8ab43);
    assert_true(crc32c(0, up, 32) == 0x46dd794e);
    for (size_t n = 0; n < 32; n++) {
        assert_true(crc32c(7, up, n) == crc32c_portable(7, up, n));
        assert_true(crc32c(crc32c(0, up, n), up + n, 32 - n) == 0x46dd794e);
    }
}

static void uuid7_sorts_by_time(void **state)
{
    uint8_t a[16], b[16], back[16];
    char text[37];
    struct err err = ERR_INIT;
    uuid7(INT64_C(1000000000000000), a);
    uuid7(INT64_C(1000000000000300), b);
    assert_true(memcmp(a, b, 16) < 0);
    assert_int_equal(a[6] >> 4, 7);
    assert_int_equal(a[8] >> 6, 2);
    uuid_text(a, text);
    ASSERT_OK(uuid_parse(str_c(text), back, &err), &err);
    assert_memory_equal(a, back, 16);
    assert_int_equal(uuid_parse(STR("0188-xyz"), back, &err), ERR_PARSE);
    text[3] = 'g';
    assert_int_equal(uuid_parse(str_c(text), back, &err), ERR_PARSE);
}

static void the_generator_is_xoshiro256(void **state)
{
    /* First outputs for the state 1, 2, 3, 4, worked out by hand from the definition. */
    struct rng r = {{1, 2, 3, 4}};
    assert_true(rng_u64(&r) == 11520);
    assert_true(rng_u64(&r) == 0);
    assert_true(rng_u64(&r) == 1509978240);
    rng_init(&r, 42);
    double sum = 0, squares = 0;
    uint64_t counts[7] = {0};
    enum { N = 200000 };
    for (int i = 0; i < N; i++) {
        double x = rng_normal(&r);
        sum += x;
        squares += x * x;
        double u = rng_f64(&r);
        assert_true(u >= 0 && u < 1);
        counts[rng_below(&r, 7)]++;
    }
    assert_true(fabs(sum / N) < 3.3 / sqrt(N));               /* 99.9 % of N(0, 1/N) */
    assert_true(fabs(squares / N - 1) < 3.3 * sqrt(2.0 / N)); /* variance of chi-square */
    double chi2 = 0, expected = N / 7.0;
    for (int i = 0; i < 7; i++)
        chi2 += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
    assert_true(chi2 < 22.46); /* chi-square, 6 degrees of freedom, 99.9 % */
}

static void key_bytes_are_golden(void **state)
{
    struct buf b;
    struct value v = {.type = VAL_INT, .u.i = -2};
    buf_init(&b, 1000);
    value_key_bytes(&v, &b);
    assert_int_equal(b.n, 13);
    assert_memory_equal(b.p, "\x02\x08\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff", 13);
    buf_reset(&b);
    v = (struct value){.type = VAL_STR, .u.s = STR("JFK")};
    value_key_bytes(&v, &b);
    assert_memory_equal(b.p, "\x05\x03\0\0\0JFK", 8);
    assert_true(hash64(b.p, b.n, 0) == UINT64_C(0xc971a38a93435e93));
    buf_reset(&b);
    v = (struct value){.type = VAL_NULL};
    value_key_bytes(&v, &b);
    assert_memory_equal(b.p, "\0\0\0\0\0", 5);
    buf_fini(&b);
}

static void values_stay_distinct(void **state)
{
    struct value nan1 = {.type = VAL_FLOAT, .u.f = (double)NAN}, nan2 = nan1,
                 none = {.type = VAL_NULL};
    struct value zero = {.type = VAL_FLOAT, .u.f = 0.0}, minus = {.type = VAL_FLOAT, .u.f = -0.0};
    nan2.u.f = -nan2.u.f;
    assert_true(value_same(&nan1, &nan2));
    assert_false(value_same(&nan1, &none));
    assert_false(value_same(&zero, &minus));
    enum value_type t;
    for (int i = 0; i < VAL_TYPE_N; i++) {
        assert_true(value_type_from_name(str_c(value_type_name((enum value_type)i)), &t));
        assert_int_equal(t, i);
    }
    uint8_t valid[] = {1, 0};
    int64_t ints[] = {5, 6};
    struct column c = {.name = "x", .type = VAL_INT, .n = 2, .valid = valid, .u.i = ints};
    assert_int_equal(column_value(&c, 0).u.i, 5);
    assert_int_equal(column_value(&c, 1).type, VAL_NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_is_fips_180),
        cmocka_unit_test(pieces_give_the_same_digest),
        cmocka_unit_test(kinds_keep_names_apart),
        cmocka_unit_test(xxh3_golden),
        cmocka_unit_test(crc32c_rfc3720),
        cmocka_unit_test(uuid7_sorts_by_time),
        cmocka_unit_test(the_generator_is_xoshiro256),
        cmocka_unit_test(key_bytes_are_golden),
        cmocka_unit_test(values_stay_distinct),
    };
    return RUN_TESTS(tests);
}
