#include "test.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"

static void rfc3339_texts(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } GOOD[] = {{"1970-01-01T00:00:00Z", 0},
                {"2001-03-01T08:15:00.000000Z", INT64_C(983434500000000)},
                {"2001-03-01 08:15", INT64_C(983434500000000)},
                {"2001-03-01 08:15:00", INT64_C(983434500000000)},
                {"2001-03-01T10:15:00+02:00", INT64_C(983434500000000)},
                {"2001-03-01T02:45:00-0530", INT64_C(983434500000000)},
                {"2001-03-01", INT64_C(983404800000000)},
                {"2001-03-01T08:15:00.123456789Z", INT64_C(983434500123456)},
                {"2001-03-01T08:15:00.5", INT64_C(983434500500000)},
                {"1969-12-31T23:59:59.999999Z", -1},
                {"2000-02-29T00:00:00Z", INT64_C(951782400000000)},
                {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
                {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)}};
    static const char *const BAD[] = {"",
                                      "2001",
                                      "2001-13-01",
                                      "2001-02-29",
                                      "1900-02-29",
                                      "2001-03-01T",
                                      "2001-03-01T24:00:00Z",
                                      "2001-03-01T08:60:00Z",
                                      "2001-03-01T08:15:00.Z",
                                      "2001-03-01T08:15:00Zx",
                                      "01/02/2001",
                                      "2001-03-01T08",
                                      "2001-3-1",
                                      "2001-03-01T08:15:00+25:00",
                                      "2001-03-01T08:15:00.1234567890Z",
                                      " 2001-03-01"};
    struct err err = ERR_INIT;
    int64_t us = 0;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        ASSERT_OK(parse_time_us(str_c(GOOD[i].text), &us, &err), &err);
        assert_true(us == GOOD[i].us);
    }
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_int_equal(parse_time_us(str_c(BAD[i]), &us, &err), ERR_PARSE);
}

static void texts_read_back(void **state)
{
    struct rng rng;
    char text[TIME_TEXT_BYTES];
    rng_init(&rng, 3);
    for (int i = 0; i < 100000; i++) {
        int64_t us = (int64_t)rng_below(&rng, UINT64_C(253402300799999999)) -
                     (i % 2 ? INT64_C(62135596800000000) : 0);
        if (us > INT64_C(253402300799999999))
            continue;
        int64_t back = 0;
        size_t n = time_text(text, us);
        assert_int_equal(parse_time_us(str_n(text, n), &back, NULL), ERR_OK);
        assert_true(back == us);
    }
    assert_true(time_text(text, INT64_MAX) > 0);
    assert_true(time_text(text, INT64_MIN + 1) > 0);
}

static void every_day_follows_the_one_before(void **state)
{
    struct civil before, c;
    civil_from_us(-719528 * US_PER_DAY, &before); /* 0000-01-01 */
    assert_int_equal(before.year, 0);
    for (int64_t day = -719527; day < 400 * 366; day++) {
        civil_from_us(day * US_PER_DAY, &c);
        assert_int_equal(civil_to_us(&c), day * US_PER_DAY);
        assert_int_equal(c.weekday, (before.weekday + 1) % 7);
        assert_true(c.day == before.day + 1 || c.day == 1);
        assert_true(c.yearday == before.yearday + 1 ||
                    (c.yearday == 1 && c.month == 1 && c.day == 1));
        before = c;
    }
    civil_from_us(INT64_C(983434500123456), &c); /* 2001-03-01 was a Thursday */
    assert_int_equal(c.weekday, 4);
    assert_int_equal(c.yearday, 60);
    assert_int_equal(c.us, 123456);
}

static void clocks(void **state)
{
    _Atomic int64_t at = 5;
    struct clock c = clock_manual(&at);
    assert_int_equal(clock_now_us(&c), 5);
    atomic_store(&at, 9);
    assert_int_equal(clock_now_us(&c), 9);
    assert_true(clock_now_us(&CLOCK_SYSTEM) > INT64_C(1577836800000000)); /* 2020 */
    int64_t a = mono_ns();
    assert_true(mono_ns() >= a);
    assert_int_equal(floor_div_i64(-1, 10), -1);
    assert_int_equal(floor_div_i64(-10, 10), -1);
    assert_int_equal(floor_div_i64(19, 10), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3339_texts),
        cmocka_unit_test(texts_read_back),
        cmocka_unit_test(every_day_follows_the_one_before),
        cmocka_unit_test(clocks),
    };
    return RUN_TESTS(tests);
}
