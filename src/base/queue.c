#include <limits.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"

struct queue {
    struct mutex mutex; /* highest rank: nothing is locked inside */
    struct cond has_item, has_room;
    size_t capacity, first, n;
    bool is_closed;
    void *items[]; /* ring */
};

struct queue *queue_new(const char *name, size_t capacity)
{
    CHECK(capacity > 0);
    struct queue *q = NULL;
    if (capacity <= (SIZE_MAX - sizeof *q) / sizeof(void *))
        q = calloc(1, sizeof *q + capacity * sizeof(void *));
    if (!q)
        return NULL;
    mutex_init(&q->mutex, name, INT_MAX);
    cond_init(&q->has_item);
    cond_init(&q->has_room);
    q->capacity = capacity;
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    CHECK(q->n == 0 || q->is_closed);
    cond_fini(&q->has_item);
    cond_fini(&q->has_room);
    mutex_fini(&q->mutex);
    free(q);
}

bool queue_push_wait(struct queue *q, void *item, int64_t timeout_ms)
{
    int64_t until_ns = mono_ns() + timeout_ms * 1000000;
    CHECK(item != NULL);
    mutex_lock(&q->mutex);
    while (!q->is_closed && q->n == q->capacity) {
        int64_t left_ms = (until_ns - mono_ns()) / 1000000;
        if (timeout_ms <= 0 || left_ms < 0)
            break;
        cond_wait(&q->has_room, &q->mutex, left_ms + 1);
    }
    bool is_pushed = !q->is_closed && q->n < q->capacity;
    if (is_pushed) {
        q->items[(q->first + q->n) % q->capacity] = item;
        q->n++;
        cond_signal(&q->has_item);
    }
    mutex_unlock(&q->mutex);
    return is_pushed;
}

bool queue_push(struct queue *q, void *item)
{
    return queue_push_wait(q, item, 0);
}

void *queue_pop(struct queue *q, int64_t timeout_ms)
{
    int64_t until_ns = mono_ns() + timeout_ms * 1000000;
    void *item = NULL;
    mutex_lock(&q->mutex);
    while (!q->is_closed && q->n == 0) {
        int64_t left_ms = (until_ns - mono_ns()) / 1000000;
        if (timeout_ms <= 0 || left_ms < 0)
            break;
        cond_wait(&q->has_item, &q->mutex, left_ms + 1);
    }
    if (q->n > 0) {
        item = q->items[q->first];
        q->first = (q->first + 1) % q->capacity;
        q->n--;
        cond_signal(&q->has_room);
    }
    mutex_unlock(&q->mutex);
    return item;
}

void queue_close(struct queue *q)
{
    mutex_lock(&q->mutex);
    q->is_closed = true;
    cond_broadcast(&q->has_item);
    cond_broadcast(&q->has_room);
    mutex_unlock(&q->mutex);
}

bool queue_is_closed(struct queue *q)
{
    mutex_lock(&q->mutex);
    bool is_closed = q->is_closed;
    mutex_unlock(&q->mutex);
    return is_closed;
}

size_t queue_count(struct queue *q)
{
    mutex_lock(&q->mutex);
    size_t n = q->n;
    mutex_unlock(&q->mutex);
    return n;
}
