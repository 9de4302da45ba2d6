/* The body of an inference request: its first two bytes say how much of the rest is JSON, what follows is raw tensors. */
#include "fuzz.h"

#include "api/oip_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t n = (size_t)data[0] | (size_t)data[1] << 8;
    n = n < size - 2 ? n : size - 2;
    char *json = fuzz_copy(data + 2, n), *raw = fuzz_copy(data + 2 + n, size - 2 - n);
    struct arena a;
    struct err err = ERR_INIT;
    struct oip_request q = {0};
    bool wants = false;
    arena_init(&a, FUZZ_ARENA_BYTES);
    if (oip_read(str_n(json, n), str_n(raw, size - 2 - n), &a, &q, &err) == ERR_OK)
        (void)(oip_outputs_check(&q, &wants, &err) == ERR_OK);
    arena_fini(&a);
    free(json);
    free(raw);
    return 0;
}
