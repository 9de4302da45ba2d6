/* Assignment of requests to the arms of a rollout (decision 22): a bucket of 10,000 by hash of the sticky key and a salt
 * of the rollout, so that one entity always gets the same answer and raising the share never moves anyone back.
 *
 * bucket = XXH3-64(bytes, seed 0) mod 10,000, bytes = salt as a value_key_bytes string, then every sticky value as
 * value_key_bytes (type-tagged, length-prefixed). Without a key (a sticky field missing or null, or none declared) the 16
 * bytes of the prediction id take its place. A share s of 10,000 takes the buckets 0 .. s-1.
 * Threads: any; pure. */
#ifndef PAWL_SERVE_ASSIGN_H
#define PAWL_SERVE_ASSIGN_H

#include <stdint.h>

#include "base/value.h"

#define ASSIGN_BUCKETS       10000
#define ASSIGN_KEYS_MAX      8
#define ASSIGN_KEY_BYTES_MAX 2048 /* longer keys are hashed first, value by value */

/* 0..9999. values[n]: none may be null. */
uint16_t assign_bucket(struct str salt, const struct value *values, size_t n);
uint16_t assign_bucket_by_id(struct str salt, const uint8_t id[16]);

#endif
