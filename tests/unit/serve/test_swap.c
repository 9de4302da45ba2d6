/* Swapping what serves while it is asked: no request fails, no answer mixes two releases. Also run under TSan. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve_fix.h"

#define ASKERS 3
#define SWAPS  200

struct asker {
    struct home *home;
    atomic_bool *is_over;
    uint64_t n, n_bad;
};

static void *ask_on(void *arg)
{
    struct asker *k = arg;
    struct arena a;
    arena_init(&a, 1 << 20);
    while (!atomic_load(k->is_over)) {
        struct serve_answer ans;
        struct err err = ERR_INIT;
        arena_reset(&a);
        enum err_code code = predict_ab(k->home, NULL, 2, (double)k->n, &a, &ans, &err);
        k->n++;
        if (code != ERR_OK || ans.scores[0] != score_of((double)ans.release, 2))
            k->n_bad++;
    }
    arena_fini(&a);
    return NULL;
}

static void test_swaps(void **state)
{
    struct home *h = *state;
    struct asker askers[ASKERS];
    pthread_t threads[ASKERS];
    atomic_bool is_over = false;
    struct serve_result res;
    struct serve_stats st;
    go_live(h, 1, 1);
    go_live(h, 2, 2);
    for (int i = 0; i < ASKERS; i++) {
        askers[i] = (struct asker){h, &is_over, 0, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on, &askers[i]), 0);
    }
    for (int i = 0; i < SWAPS; i++) {
        struct serve_decision d = {.kind = SERVE_ROLLBACK,
                                   .endpoint = "e",
                                   .actor = "test",
                                   .reason = "swap",
                                   .release = i % 2 ? 2 : 1,
                                   .no_hold = true};
        decide_ok(h, &d, &res);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < ASKERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(askers[i].n_bad, 0);
        assert_true(askers[i].n > 0);
    }
    int64_t until_ns = mono_ns() + 10 * INT64_C(1000000000);
    do {
        usleep(1000);
        serve_stats(h->serve, &st);
    } while (st.n_freed + 1 < st.n_snapshots && mono_ns() < until_ns);
    assert_true(st.n_snapshots > SWAPS &&
                st.n_freed + 1 == st.n_snapshots); /* all but the one that serves are gone */
}

/* More threads than slots: they take the snapshot by reference. */
static void *ask_once(void *arg)
{
    struct asker *k = arg;
    struct serve_answer ans;
    struct err err = ERR_INIT;
    struct arena a;
    arena_init(&a, 1 << 20);
    k->n_bad += predict_ab(k->home, NULL, 0, 0, &a, &ans, &err) != ERR_OK;
    arena_fini(&a);
    return NULL;
}

static void test_many_threads(void **state)
{
    struct home *h = *state;
    struct asker k = {.home = h};
    go_live(h, 1, 1);
    for (int i = 0; i < 300; i++) {
        pthread_t t;
        assert_int_equal(pthread_create(&t, NULL, ask_once, &k), 0);
        pthread_join(t, NULL);
    }
    assert_int_equal(k.n_bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_swaps, home_make, home_drop),
        cmocka_unit_test_setup_teardown(test_many_threads, home_make, home_drop),
    };
    return RUN_TESTS(tests);
}
