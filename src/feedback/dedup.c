#include "feedback/dedup.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

#define WAYS    8
#define N_LOCKS 64 /* power of two */
#define KEY_MAX 1024

struct dedup_entry {
    uint64_t lo, hi;
    int64_t at_us; /* 0: empty */
    uint8_t id[16];
};

struct dedup {
    size_t n_sets; /* power of two */
    int64_t window_us;
    pthread_spinlock_t locks[N_LOCKS];
    struct dedup_entry *sets; /* n_sets * WAYS */
};

struct dedup *dedup_new(size_t n_ids, int64_t window_us)
{
    struct dedup *d = calloc(1, sizeof *d);
    size_t n = N_LOCKS;
    while (n * WAYS < n_ids)
        n *= 2;
    if (!d)
        return NULL;
    d->n_sets = n;
    d->window_us = window_us;
    d->sets = calloc(n * WAYS, sizeof *d->sets);
    if (!d->sets) {
        free(d);
        return NULL;
    }
    for (size_t i = 0; i < N_LOCKS; i++)
        CHECK(pthread_spin_init(&d->locks[i], PTHREAD_PROCESS_PRIVATE) == 0);
    return d;
}

void dedup_free(struct dedup *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < N_LOCKS; i++)
        pthread_spin_destroy(&d->locks[i]);
    free(d->sets);
    free(d);
}

static struct hash128 key_of(struct str endpoint, struct str client_id)
{
    char bytes[KEY_MAX];
    size_t n = client_id.n < KEY_MAX - 17 ? client_id.n : KEY_MAX - 17;
    struct hash128 e = hash128(endpoint.p, endpoint.n);
    memcpy(bytes, &e, sizeof e);
    if (n < client_id.n) { /* longer than ids should be: its hash stands for it */
        struct hash128 c = hash128(client_id.p, client_id.n);
        memcpy(bytes + sizeof e, &c, sizeof c);
        n = sizeof c;
    } else {
        memcpy(bytes + sizeof e, client_id.p, n);
    }
    return hash128(bytes, sizeof e + n);
}

static struct dedup_entry *set_of(struct dedup *d, const struct hash128 *k,
                                  pthread_spinlock_t **ret_lock)
{
    size_t set = (size_t)k->lo & (d->n_sets - 1);
    *ret_lock = &d->locks[set & (N_LOCKS - 1)];
    return d->sets + set * WAYS;
}

bool dedup_get(struct dedup *d, struct str endpoint, struct str client_id, int64_t now_us,
               uint8_t id[16])
{
    struct hash128 k = key_of(endpoint, client_id);
    pthread_spinlock_t *lock;
    struct dedup_entry *set = set_of(d, &k, &lock), *oldest = set, *hit = NULL;
    pthread_spin_lock(lock);
    for (size_t i = 0; i < WAYS && !hit; i++) {
        if (set[i].at_us && set[i].lo == k.lo && set[i].hi == k.hi)
            hit = &set[i];
        else if (set[i].at_us < oldest->at_us)
            oldest = &set[i];
    }
    bool is_known = hit && now_us - hit->at_us <= d->window_us;
    if (is_known) {
        memcpy(id, hit->id, sizeof hit->id);
    } else {
        hit = hit ? hit : oldest;
        hit->lo = k.lo;
        hit->hi = k.hi;
        hit->at_us = now_us ? now_us : 1;
        memcpy(hit->id, id, sizeof hit->id);
    }
    pthread_spin_unlock(lock);
    return is_known;
}

void dedup_forget(struct dedup *d, struct str endpoint, struct str client_id)
{
    struct hash128 k = key_of(endpoint, client_id);
    pthread_spinlock_t *lock;
    struct dedup_entry *set = set_of(d, &k, &lock);
    pthread_spin_lock(lock);
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].lo == k.lo && set[i].hi == k.hi)
            set[i].at_us = 0;
    pthread_spin_unlock(lock);
}
