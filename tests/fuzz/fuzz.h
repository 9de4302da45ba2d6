/* What every fuzz target shares: input in a block of its own, followed by a NUL, so that reading beyond it is found. */
#ifndef PAWL_FUZZ_FUZZ_H
#define PAWL_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define FUZZ_ARENA_BYTES ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline char *fuzz_copy(const uint8_t *data, size_t size)
{
    char *p = malloc(size + 1);
    if (p == NULL)
        abort();
    if (size > 0)
        memcpy(p, data, size);
    p[size] = '\0';
    return p;
}

#endif
