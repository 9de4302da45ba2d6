/* Cron rules: fields, zones, the hours that a clock skips and repeats. */
#include "test.h"

#include <string.h>

#include "base/clock.h"
#include "loop/cron.h"
#include "loop/trigger_spec.h"

static int64_t at(const char *text)
{
    int64_t us = 0;
    struct err err = ERR_INIT;

    ASSERT_OK(parse_time_us(str_c(text), &us, &err), &err);
    return us;
}

static void check_next(const char *rule, const char *zone, const char *after, const char *expect)
{
    struct arena a;
    struct cron c;
    struct err err = ERR_INIT;
    char got[TIME_TEXT_BYTES], want[TIME_TEXT_BYTES];

    arena_init(&a, 1 << 24);
    ASSERT_OK(cron_parse(str_c(rule), str_c(zone), &a, &c, &err), &err);
    (void)time_text(got, cron_next(&c, at(after)));
    (void)time_text(want, at(expect));
    assert_string_equal(got, want);
    arena_fini(&a);
}

static void test_next(void **state)
{
    (void)state;
    check_next("0 4 * * mon", "UTC", "2001-03-01", "2001-03-05 04:00");
    check_next("0 4 * * mon", "UTC", "2001-03-05 04:00", "2001-03-12 04:00"); /* strictly after */
    check_next("*/15 * * * *", "UTC", "2001-03-01 10:07", "2001-03-01 10:15");
    check_next("30 2 1,15 * *", "", "2001-02-16", "2001-03-01 02:30");
    check_next("0 0 29 2 *", "UTC", "2001-03-01", "2004-02-29");
    check_next("0 12 13 * fri", "UTC", "2001-04-01", "2001-04-06 12:00"); /* day or weekday */
    check_next("5 4 * jan-mar sun", "UTC", "2001-12-31", "2002-01-06 04:05");
    check_next("0 9-17/4 * * 1-5", "UTC", "2001-03-02 13:30", "2001-03-02 17:00");
    check_next("0 0 * * 7", "UTC", "2001-03-01", "2001-03-04"); /* 7 is Sunday */
}

/* Zone rules of Berlin and New York in 2023 (IANA time zone database). */
static void test_zones(void **state)
{
    (void)state;
    check_next("0 4 * * *", "Europe/Berlin", "2023-01-10", "2023-01-10T03:00:00Z");
    check_next("0 4 * * *", "Europe/Berlin", "2023-07-10", "2023-07-10T02:00:00Z");
    check_next("30 2 * * *", "Europe/Berlin", "2023-03-25T12:00:00Z",
               "2023-03-26T01:00:00Z"); /* skipped: the moment after */
    check_next("30 1 * * *", "America/New_York", "2023-11-05T00:00:00Z",
               "2023-11-05T05:30:00Z"); /* twice: the first */
    check_next("30 1 * * *", "America/New_York", "2023-11-05T05:30:00Z",
               "2023-11-06T06:30:00Z"); /* and once only */
}

static void test_bad_rules(void **state)
{
    static const char *const BAD[] = {"",
                                      "* * * *",
                                      "60 * * * *",
                                      "* 24 * * *",
                                      "* * 0 * *",
                                      "* * * 13 *",
                                      "* * * * foo",
                                      "*/0 * * * *",
                                      "5-1 * * * *",
                                      "* * * * * *",
                                      "1,,2 * * * *"};
    struct arena a;
    struct cron c;
    struct err err = ERR_INIT;

    (void)state;
    arena_init(&a, 1 << 24);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_int_equal(cron_parse(str_c(BAD[i]), STR("UTC"), &a, &c, &err), ERR_PARSE);
    assert_int_not_equal(cron_parse(STR("0 0 * * *"), STR("Mars/Olympus"), &a, &c, &err), ERR_OK);
    assert_int_not_equal(cron_parse(STR("0 0 * * *"), STR("../../etc/passwd"), &a, &c, &err),
                         ERR_OK);
    arena_fini(&a);
}

static void test_triggers(void **state)
{
    struct arena a;
    struct trigger_spec s;
    struct cfg_problems ps;
    struct cfg_node *root;
    struct err err = ERR_INIT;

    (void)state;
    arena_init(&a, 1 << 24);
    cfg_problems_init(&ps, &a);
    ASSERT_OK(cfg_read(STR("- { schedule: \"0 4 * * mon\", timezone: UTC }\n- { when: [new_data, "
                           "drift, decay], cooldown: 1d }\n"),
                       "pawl.yaml", &a, &root, &ps, &err),
              &err);
    trigger_spec_decode(root, root, &a, &s, &ps);
    assert_int_equal(ps.n, 0);
    assert_int_equal(s.n, 2);
    assert_true(s.triggers[0].when[TRIGGER_SCHEDULE]);
    assert_true(s.triggers[1].when[TRIGGER_DRIFT] && s.triggers[1].when[TRIGGER_DECAY] &&
                s.triggers[1].when[TRIGGER_NEW_DATA]);
    assert_false(s.triggers[1].when[TRIGGER_NEW_CODE]);
    assert_int_equal(s.triggers[1].cooldown_us, US_PER_DAY);
    ASSERT_OK(
        cfg_read(STR("- { schedule: \"0 4 * * mon\", when: [drift] }\n- { when: [full_moon] }\n"),
                 "pawl.yaml", &a, &root, &ps, &err),
        &err);
    trigger_spec_decode(root, root, &a, &s, &ps);
    assert_int_equal(ps.n_errors, 2);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_next), cmocka_unit_test(test_zones),
                                       cmocka_unit_test(test_bad_rules),
                                       cmocka_unit_test(test_triggers)};

    return RUN_TESTS(tests);
}
