/* Hashes: SHA-256 names content, XXH3 keys caches and buckets, CRC32C guards frames. */
#ifndef PAWL_BASE_HASH_H
#define PAWL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define DIGEST_BYTES     32
#define DIGEST_HEX_BYTES 65 /* with NUL */

struct digest {
    uint8_t b[DIGEST_BYTES];
};

struct sha256; /* a running hash; heap */
struct sha256 *sha256_new(void);
void sha256_free(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *p, size_t n);
void sha256_end(struct sha256 *h, struct digest *ret); /* and starts again */

void digest_of(const void *p, size_t n, struct digest *ret);
/* SHA-256 of "pawl.<kind>.v1\n" + bytes: how canonical JSON documents are named. */
void digest_of_kind(const char *kind, struct str bytes, struct digest *ret);
enum err_code digest_of_file(const char *path, struct digest *ret, int64_t *ret_bytes,
                             struct err *err) MUST_CHECK;
void digest_hex(const struct digest *d, char out[DIGEST_HEX_BYTES]);
enum err_code digest_parse(struct str hex, struct digest *ret, struct err *err) MUST_CHECK;
int digest_cmp(const struct digest *a, const struct digest *b);

uint64_t hash64(const void *p, size_t n, uint64_t seed); /* XXH3-64 */
struct hash128 {
    uint64_t lo, hi;
};
struct hash128 hash128(const void *p, size_t n);        /* XXH3-128 */
uint32_t crc32c(uint32_t crc, const void *p, size_t n); /* start with 0 */
/* The same without the processor's instruction: the other side of a differential test. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

/* Lower-case hex of n bytes into out (2n + 1). */
void hex_encode(const void *p, size_t n, char *out);
int hex_value(char c); /* 0..15, or -1 */
/* Cryptographically random bytes from the kernel. */
void random_bytes(void *p, size_t n);
/* UUID version 7 (RFC 9562) at a wall time, in text and bytes. */
void uuid7(int64_t at_us, uint8_t ret[16]);
void uuid_text(const uint8_t id[16], char out[37]);
enum err_code uuid_parse(struct str s, uint8_t ret[16], struct err *err) MUST_CHECK;

/* Seeded generator for statistics and tests: xoshiro256**, the same sequence everywhere. Not for secrets. */
struct rng {
    uint64_t s[4];
};
void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* 0..n-1, unbiased, n > 0 */
double rng_f64(struct rng *r);                 /* [0, 1) */
double rng_normal(struct rng *r);

#endif
