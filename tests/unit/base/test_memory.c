/* Arenas, vectors and maps, with every allocation of a workload failing once. The executable is linked with
 * --wrap for the allocators, so that the k-th call can be refused. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"

static long fail_at = -1; /* counts down; the call that finds 0 fails */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static int is_refused(void)
{
    return fail_at >= 0 && fail_at-- == 0;
}

void *__wrap_malloc(size_t n)
{
    return is_refused() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return is_refused() ? NULL : __real_realloc(p, n);
}

static void pieces_are_zeroed_and_aligned(void **state)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < 300; n++) {
            unsigned char *p = arena_alloc(&a, n);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xee, n);
        }
        arena_reset(&a);
        assert_int_equal(a.used_bytes, 0);
    }
    arena_fini(&a);
}

static void the_limit_holds(void **state)
{
    struct arena a;
    struct err err = ERR_INIT;
    arena_init(&a, 1000);
    assert_non_null(arena_alloc(&a, 900));
    assert_null(arena_alloc(&a, 100));
    assert_int_equal(arena_err(&a, &err), ERR_LIMIT);
    assert_null(arena_array(&a, SIZE_MAX / 2, 4));
    assert_null(arena_alloc(&a, SIZE_MAX));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 900));
    arena_fini(&a);
}

static void marks_release_later_pieces(void **state)
{
    struct arena a;
    arena_init(&a, 10 << 20);
    char *kept = str_dup(&a, STR("kept"));
    struct arena_mark m = arena_mark(&a);
    size_t before = a.used_bytes;
    for (int i = 0; i < 1000; i++) {
        assert_non_null(arena_alloc(&a, 5000));
        if (i % 10 == 9)
            arena_release(&a, m);
    }
    assert_int_equal(a.used_bytes, before);
    assert_string_equal(kept, "kept");
    arena_fini(&a);
}

static char hook_log[16];

static void hook(void *arg)
{
    strncat(hook_log, arg, 1);
}

static void hooks_run_in_reverse(void **state)
{
    struct arena a;
    arena_init(&a, 1 << 16);
    hook_log[0] = '\0';
    assert_true(arena_on_release(&a, hook, (char *)"1"));
    struct arena_mark m = arena_mark(&a);
    assert_true(arena_on_release(&a, hook, (char *)"2"));
    assert_true(arena_on_release(&a, hook, (char *)"3"));
    arena_release(&a, m);
    assert_string_equal(hook_log, "32");
    arena_fini(&a);
    assert_string_equal(hook_log, "321");
}

static void the_last_piece_grows_in_place(void **state)
{
    struct arena a;
    arena_init(&a, 1 << 16);
    char *p = arena_alloc(&a, 10);
    memcpy(p, "0123456789", 10);
    char *q = arena_grow(&a, p, 10, 100);
    assert_ptr_equal(p, q);
    assert_memory_equal(q, "0123456789", 10);
    assert_int_equal(q[99], 0);
    assert_non_null(arena_alloc(&a, 1));
    char *r = arena_grow(&a, q, 100, 200);
    assert_ptr_not_equal(q, r);
    assert_memory_equal(r, "0123456789", 10);
    arena_fini(&a);
}

/* A map of n names in an arena; false when memory ended. */
static bool fill(struct arena *a, int n, struct map **ret)
{
    struct map *m = map_new(a);
    bool is_good = m != NULL;
    for (int i = 0; is_good && i < n; i++) {
        char *key = str_printf(a, "key %d", i);
        is_good = key && map_put(m, key, strlen(key), key);
    }
    *ret = m;
    return is_good;
}

static void maps_keep_order(void **state)
{
    struct arena a;
    struct map *m = NULL;
    const char *key = NULL;
    size_t key_bytes = 0;
    arena_init(&a, 1 << 22);
    assert_true(fill(&a, 5000, &m));
    assert_int_equal(map_count(m), 5000);
    assert_string_equal(map_get(m, "key 4711", 8), "key 4711");
    assert_null(map_get(m, "key", 3));
    assert_true(map_put(m, "key 0", 5, &a));
    assert_int_equal(map_count(m), 5000);
    assert_ptr_equal(map_at(m, 0, &key, &key_bytes), &a);
    assert_string_equal(map_at(m, 4999, &key, &key_bytes), "key 4999");
    assert_int_equal(key_bytes, 8);
    assert_null(map_at(m, 5000, &key, &key_bytes));
    arena_fini(&a);
}

static void every_failed_allocation_is_survived(void **state)
{
    bool is_done = false;
    int k = 0;
    for (; !is_done; k++) {
        struct arena a;
        struct map *m = NULL;
        struct buf b;
        arena_init(&a, 1 << 20);
        buf_init(&b, 1 << 20);
        fail_at = k;
        bool is_good = fill(&a, 300, &m);
        for (int i = 0; i < 300; i++)
            buf_printf(&b, "%d,", i);
        bool is_buf_good = buf_ok(&b, NULL) == ERR_OK;
        is_done = fail_at >= 0; /* nothing was left to refuse */
        fail_at = -1;
        assert_true(is_done == (is_good && is_buf_good));
        assert_true(is_good || arena_err(&a, NULL) == ERR_NOMEM);
        assert_true(is_buf_good || buf_ok(&b, NULL) == ERR_NOMEM);
        buf_fini(&b);
        arena_fini(&a);
    }
    assert_true(k > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_and_aligned),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(marks_release_later_pieces),
        cmocka_unit_test(hooks_run_in_reverse),
        cmocka_unit_test(the_last_piece_grows_in_place),
        cmocka_unit_test(maps_keep_order),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    return RUN_TESTS(tests);
}
