/* Times, durations, numbers and the rest of the parse_ family: what reads must write and read back the same. */
#include "fuzz.h"

#include "base/clock.h"

static void time_back(struct str s)
{
    struct err err = ERR_INIT;
    char text[TIME_TEXT_BYTES];
    int64_t us = 0, again = 0;
    if (parse_time_us(s, &us, &err) != ERR_OK)
        return;
    size_t n = time_text(text, us);
    if (parse_time_us(str_n(text, n), &again, &err) != ERR_OK || again != us)
        abort();
}

static void duration_back(struct str s)
{
    struct err err = ERR_INIT;
    char text[NUM_TEXT_BYTES];
    int64_t us = 0, again = 0;
    if (parse_duration_us(s, &us, &err) != ERR_OK)
        return;
    size_t n = duration_text(text, us);
    if (parse_duration_us(str_n(text, n), &again, &err) != ERR_OK || again != us)
        abort();
}

static void number_back(struct str s)
{
    struct err err = ERR_INIT;
    char text[NUM_TEXT_BYTES];
    double v = 0, again = 0;
    if (parse_f64(s, &v, &err) != ERR_OK)
        return;
    size_t n = num_f64(text, v);
    if (parse_f64(str_n(text, n), &again, &err) != ERR_OK ||
        (v == v && memcmp(&v, &again, sizeof v) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_copy(data, size);
    struct str s = str_n(text, size);
    struct err err = ERR_INIT;
    int64_t i = 0;
    uint64_t u = 0;
    double f = 0;
    bool b = false;
    time_back(s);
    duration_back(s);
    number_back(s);
    (void)(parse_i64(s, &i, &err) == ERR_OK && parse_u64(s, &u, &err) == ERR_OK);
    (void)(parse_size_bytes(s, &i, &err) == ERR_OK);
    (void)(parse_ratio(s, &f, &err) == ERR_OK);
    (void)(parse_bool(s, &b, &err) == ERR_OK);
    free(text);
    return 0;
}
