#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"

#ifndef NDEBUG
#define HELD_MAX 16
static _Thread_local const struct mutex *held[HELD_MAX];
static _Thread_local size_t n_held;

static void held_add(const struct mutex *m)
{
    CHECK(n_held < HELD_MAX);
    held[n_held++] = m;
}

/* Called before the lock is waited for, so that a wrong order is found even when nothing blocks. */
static void held_check(const struct mutex *m)
{
    for (size_t i = 0; i < n_held; i++)
        if (held[i]->rank >= m->rank) {
            fprintf(stderr, "pawl: mutex %s (rank %d) locked while %s (rank %d) is held\n", m->name,
                    m->rank, held[i]->name, held[i]->rank);
            UNREACHABLE();
        }
}

static void held_drop(const struct mutex *m)
{
    for (size_t i = n_held; i-- > 0;)
        if (held[i] == m) {
            held[i] = held[--n_held];
            return;
        }
    UNREACHABLE();
}
#else
static void held_add(const struct mutex *m)
{
}
static void held_check(const struct mutex *m)
{
}
static void held_drop(const struct mutex *m)
{
}
#endif

void mutex_init(struct mutex *m, const char *name, int rank)
{
    m->name = name;
    m->rank = rank;
    CHECK(pthread_mutex_init(&m->m, NULL) == 0);
}

void mutex_fini(struct mutex *m)
{
    CHECK(pthread_mutex_destroy(&m->m) == 0);
}

void mutex_lock(struct mutex *m)
{
    held_check(m);
    CHECK(pthread_mutex_lock(&m->m) == 0);
    held_add(m);
}

void mutex_unlock(struct mutex *m)
{
    held_drop(m);
    CHECK(pthread_mutex_unlock(&m->m) == 0);
}

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;
    CHECK(pthread_condattr_init(&attr) == 0);
    CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&c->c, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

void cond_fini(struct cond *c)
{
    CHECK(pthread_cond_destroy(&c->c) == 0);
}

void cond_signal(struct cond *c)
{
    pthread_cond_signal(&c->c);
}

void cond_broadcast(struct cond *c)
{
    pthread_cond_broadcast(&c->c);
}

#define WAIT_MAX_MS (INT64_C(1000) * 3600 * 24 * 365)

bool cond_wait(struct cond *c, struct mutex *m, int64_t timeout_ms)
{
    int64_t ms = timeout_ms < 0 ? 0 : timeout_ms > WAIT_MAX_MS ? WAIT_MAX_MS : timeout_ms;
    int64_t until_ns = mono_ns() + ms * 1000000;
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                             .tv_nsec = (long)(until_ns % 1000000000)};
    int r = pthread_cond_timedwait(&c->c, &m->m, &until);
    CHECK(r == 0 || r == ETIMEDOUT);
    return r == 0;
}

enum err_code thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg,
                           struct err *err)
{
    char short_name[16];
    pthread_t t;
    int r = pthread_create(&t, NULL, fn, arg);
    if (r != 0)
        return err_errno(err, r, "start thread %s", name);
    snprintf(short_name, sizeof short_name, "%.15s", name);
    pthread_setname_np(t, short_name);
    *ret = t;
    return ERR_OK;
}
