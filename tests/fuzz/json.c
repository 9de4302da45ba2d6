/* A document that reads must write canonically, and read back equal with the same digest. */
#include "fuzz.h"

#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_copy(data, size);
    struct arena a;
    struct err err = ERR_INIT;
    struct json *v = NULL, *back = NULL;
    struct buf out;
    arena_init(&a, FUZZ_ARENA_BYTES);
    buf_init(&out, FUZZ_ARENA_BYTES);
    if (json_read(str_n(text, size), &a, &v, &err) == ERR_OK &&
        json_write(v, JSON_COMPACT, &out, &err) == ERR_OK) {
        if (json_read(buf_view(&out), &a, &back, &err) != ERR_OK || !json_eq(v, back))
            abort();
    }
    buf_fini(&out);
    arena_fini(&a);
    free(text);
    return 0;
}
