/* xoshiro256** of Blackman and Vigna ("Scrambled linear pseudorandom number generators", 2021), its state
 * filled by splitmix64 as its authors advise. */
#include <math.h>

#include "base/check.h"
#include "base/hash.h"

__extension__ typedef unsigned __int128 wide;

static uint64_t splitmix64(uint64_t *x)
{
    uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void rng_init(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix64(&seed);
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s, ret = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return ret;
}

/* Lemire, "Fast random integer generation in an interval" (2019): multiply, reject the short remainder. */
uint64_t rng_below(struct rng *r, uint64_t n)
{
    CHECK(n > 0);
    wide m = (wide)rng_u64(r) * n;
    if ((uint64_t)m < n) {
        uint64_t floor_ = (0 - n) % n;
        while ((uint64_t)m < floor_)
            m = (wide)rng_u64(r) * n;
    }
    return (uint64_t)(m >> 64);
}

double rng_f64(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1.0p-53;
}

/* Marsaglia's polar method; the second value is dropped so that the state is the generator's alone. */
double rng_normal(struct rng *r)
{
    for (;;) {
        double x = 2 * rng_f64(r) - 1, y = 2 * rng_f64(r) - 1, s = x * x + y * y;
        if (s > 0 && s < 1)
            return x * sqrt(-2 * log(s) / s);
    }
}
