/* Threads that share by message: ranked mutexes, bounded queues, stop flags with a deadline on each wait.
 * A thread may lock a mutex only of a higher rank than those it holds; debug builds check it. */
#ifndef PAWL_BASE_THREAD_H
#define PAWL_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct mutex {
    pthread_mutex_t m;
    const char *name;
    int rank;
};
void mutex_init(struct mutex *m, const char *name, int rank);
void mutex_fini(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

struct cond {
    pthread_cond_t c;
};
void cond_init(struct cond *c); /* on the monotonic clock */
void cond_fini(struct cond *c);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);
/* False when timeout_ms passed. Spurious wake-ups are possible. */
bool cond_wait(struct cond *c, struct mutex *m, int64_t timeout_ms);

/* Bounded multi-producer multi-consumer queue of pointers. */
struct queue;
struct queue *queue_new(const char *name, size_t capacity); /* NULL without memory */
void queue_free(struct queue *q);                           /* must be empty or closed */
bool queue_push(struct queue *q, void *item); /* false when full or closed; never blocks */
bool queue_push_wait(struct queue *q, void *item, int64_t timeout_ms);
void *queue_pop(struct queue *q,
                int64_t timeout_ms); /* NULL at the deadline or when closed and empty */
void queue_close(struct queue *q);
bool queue_is_closed(struct queue *q);
size_t queue_count(struct queue *q);

enum err_code thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg,
                           struct err *err) MUST_CHECK;

#endif
