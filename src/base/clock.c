#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

#include "base/check.h"

static int64_t read_ns(clockid_t id)
{
    struct timespec ts;
    CHECK(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t system_now_us(void *arg)
{
    return floor_div_i64(read_ns(CLOCK_REALTIME), 1000);
}

const struct clock CLOCK_SYSTEM = {system_now_us, NULL};

static int64_t manual_now_us(void *arg)
{
    return atomic_load((_Atomic int64_t *)arg);
}

struct clock clock_manual(_Atomic int64_t *at_us)
{
    return (struct clock){manual_now_us, at_us};
}

int64_t mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}
