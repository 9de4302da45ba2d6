/* Records: what is written is read, damage is found, names and keys are stable. */
#include <math.h>

#include "feedback/record.h"
#include "feedback_fix.h"

static void assert_same(const struct prediction_record *a, const struct prediction_record *b)
{
    assert_memory_equal(a->id, b->id, 16);
    assert_true(a->row == b->row && a->event_us == b->event_us && a->wall_us == b->wall_us);
    assert_true(str_eq(a->endpoint, b->endpoint) && str_eq(a->client_id, b->client_id));
    assert_true(a->release == b->release && a->generation == b->generation &&
                a->bucket == b->bucket);
    assert_true(a->role == b->role && a->status == b->status && a->is_paired == b->is_paired);
    assert_true(a->latency_us == b->latency_us && a->compute_ns == b->compute_ns);
    assert_memory_equal(&a->decision, &b->decision, sizeof a->decision);
    assert_true(a->n_scores == b->n_scores && a->n_lookups == b->n_lookups);
    assert_true(a->n_values == b->n_values && a->n_row == b->n_row);
    if (a->n_scores)
        assert_memory_equal(a->scores, b->scores, a->n_scores * sizeof(double));
    if (a->n_row)
        assert_memory_equal(a->row_values, b->row_values, a->n_row * sizeof(float));
    for (uint32_t i = 0; i < a->n_values; i++)
        assert_true(value_same(&a->values[i], &b->values[i]));
}

static void round_trip(const struct prediction_record *r)
{
    unsigned char bytes[2048];
    struct arena a;
    struct err err = ERR_INIT;
    struct prediction_record back;
    arena_init(&a, 1 << 20);
    assert_true(record_bytes_max(r) <= sizeof bytes);
    size_t n = record_encode(r, bytes);
    assert_true(n <= record_bytes_max(r));
    ASSERT_OK(record_decode(str_n((char *)bytes, n), &a, &back, &err), &err);
    assert_same(r, &back);
    for (size_t cut = 0; cut < n; cut++) { /* every shorter text is refused, never read past */
        err_reset(&err);
        assert_int_equal(record_decode(str_n((char *)bytes, cut), &a, &back, &err), ERR_CORRUPT);
    }
    arena_fini(&a);
}

static void test_round_trip(void **state)
{
    struct sample s;
    (void)state;
    sample_make(&s, 7);
    round_trip(&s.r);
    s.r.client_id = STR("order-17");
    s.r.event_us = AT_US_NONE;
    s.r.is_paired = true;
    s.r.row = 70000;
    s.r.decision = (double)NAN;
    s.scores[0] = -(double)INFINITY;
    s.values[0] = (struct value){VAL_TIME, {.i = INT64_MIN}};
    s.values[1] = (struct value){VAL_BOOL, {.b = true}};
    s.values[2] = (struct value){VAL_FLOAT, {.f = (double)NAN}};
    round_trip(&s.r);
    s.r.n_scores = s.r.n_lookups = s.r.n_values = s.r.n_row = 0;
    s.r.status = RECORD_ERROR;
    round_trip(&s.r);
}

static void test_flipped_bits(void **state)
{
    unsigned char bytes[2048];
    struct sample s;
    struct arena a;
    struct prediction_record back;
    (void)state;
    arena_init(&a, 8 << 20);
    sample_make(&s, 9);
    size_t n = record_encode(&s.r, bytes);
    for (size_t bit = 0; bit < n * 8; bit++) { /* may decode to something else, must not run wild */
        struct err err = ERR_INIT;
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        enum err_code code = record_decode(str_n((char *)bytes, n), &a, &back, &err);
        assert_true(code == ERR_OK || code == ERR_CORRUPT);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        arena_reset(&a);
    }
    arena_fini(&a);
}

static void test_names(void **state)
{
    uint8_t id[16], back[16], key0[16], key1[16];
    char text[RECORD_NAME_BYTES];
    uint32_t row;
    struct err err = ERR_INIT;
    (void)state;
    uuid7(INT64_C(1700000000000000), id);
    record_name(id, 0, text);
    assert_int_equal(strlen(text), 36);
    ASSERT_OK(record_name_parse(str_c(text), back, &row, &err), &err);
    assert_memory_equal(id, back, 16);
    assert_int_equal(row, 0);
    record_name(id, 4000000000u, text);
    ASSERT_OK(record_name_parse(str_c(text), back, &row, &err), &err);
    assert_true(row == 4000000000u);
    assert_int_not_equal(record_name_parse(STR("nonsense"), back, &row, &err), ERR_OK);
    record_key(id, 0, key0);
    record_key(id, 1, key1);
    assert_memory_equal(id, key0, 16);
    assert_memory_not_equal(key0, key1, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_names),
    };
    return RUN_TESTS(tests);
}
