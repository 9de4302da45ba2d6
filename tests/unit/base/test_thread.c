#include "test.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/thread.h"

enum { N_ITEMS = 20000, N_PRODUCERS = 3, N_CONSUMERS = 3 };

static struct queue *queue;
static atomic_long sum, count;

static void *produce(void *arg)
{
    for (intptr_t i = 1; i <= N_ITEMS; i++)
        while (!queue_push_wait(queue, (void *)i, 1000))
            ;
    return NULL;
}

static void *consume(void *arg)
{
    void *item;
    while ((item = queue_pop(queue, 10000)) != NULL) {
        atomic_fetch_add(&sum, (long)(intptr_t)item);
        atomic_fetch_add(&count, 1);
    }
    return NULL;
}

static void queues_lose_nothing(void **state)
{
    pthread_t t[N_PRODUCERS + N_CONSUMERS];
    struct err err = ERR_INIT;
    queue = queue_new("test", 16);
    for (int i = 0; i < N_PRODUCERS + N_CONSUMERS; i++)
        ASSERT_OK(thread_start(&t[i], "test", i < N_PRODUCERS ? produce : consume, NULL, &err),
                  &err);
    for (int i = 0; i < N_PRODUCERS; i++)
        pthread_join(t[i], NULL);
    queue_close(queue);
    for (int i = N_PRODUCERS; i < N_PRODUCERS + N_CONSUMERS; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&count), (long)N_PRODUCERS * N_ITEMS);
    assert_int_equal(atomic_load(&sum), (long)N_PRODUCERS * N_ITEMS * (N_ITEMS + 1) / 2);
    queue_free(queue);
}

static void queues_are_bounded(void **state)
{
    int x = 0, y = 0;
    struct queue *q = queue_new("test", 2);
    assert_null(queue_pop(q, 0));
    assert_true(queue_push(q, &x) && queue_push(q, &y));
    assert_false(queue_push(q, &x));
    assert_false(queue_push_wait(q, &x, 5));
    assert_int_equal(queue_count(q), 2);
    assert_ptr_equal(queue_pop(q, 0), &x);
    queue_close(q);
    assert_true(queue_is_closed(q));
    assert_false(queue_push(q, &x));
    assert_ptr_equal(queue_pop(q, 0), &y); /* what was accepted is delivered */
    assert_null(queue_pop(q, 1000));
    queue_free(q);
}

static void waits_have_a_deadline(void **state)
{
    struct mutex m;
    struct cond c;
    mutex_init(&m, "test", 1);
    cond_init(&c);
    mutex_lock(&m);
    assert_false(cond_wait(&c, &m, 2));
    mutex_unlock(&m);
    cond_fini(&c);
    mutex_fini(&m);
}

static void locking_downwards_is_a_bug(void **state)
{
    struct mutex low, high;
    int status = 0;
    mutex_init(&low, "low", 1);
    mutex_init(&high, "high", 2);
    mutex_lock(&low);
    mutex_lock(&high);
    mutex_unlock(&low); /* any order of release */
    mutex_unlock(&high);
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        close(STDERR_FILENO);
        mutex_lock(&high);
        mutex_lock(&low);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    mutex_fini(&low);
    mutex_fini(&high);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_lose_nothing),
        cmocka_unit_test(queues_are_bounded),
        cmocka_unit_test(waits_have_a_deadline),
        cmocka_unit_test(locking_downwards_is_a_bug),
    };
    return RUN_TESTS(tests);
}
