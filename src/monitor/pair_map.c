/* Scored pairs by record key: open addressing, linear probing, never shrinks during a rollout. */
#include <stdlib.h>

#include "base/hash.h"
#include "monitor/monitor_int.h"

#define PAIRS_MAX ((size_t)1 << 23)

static size_t slot_of(const struct pair_map *m, const uint8_t key[16])
{
    size_t i = (size_t)hash64(key, 16, 0) & (m->cap - 1);

    while (m->p[i].is_used && memcmp(m->p[i].key, key, 16) != 0)
        i = (i + 1) & (m->cap - 1);
    return i;
}

static enum err_code grow(struct pair_map *m, struct err *err)
{
    struct pair_map bigger = {.cap = m->cap ? m->cap * 2 : 1024};

    if (m->n * 2 < m->cap)
        return ERR_OK;
    if (m->n >= PAIRS_MAX)
        return err_set(err, ERR_LIMIT, "a rollout keeps at most %zu scored pairs for labels",
                       PAIRS_MAX);
    bigger.p = calloc(bigger.cap, sizeof(*bigger.p));
    if (!bigger.p)
        return err_nomem(err);
    for (size_t i = 0; i < m->cap; i++)
        if (m->p[i].is_used)
            bigger.p[slot_of(&bigger, m->p[i].key)] = m->p[i];
    bigger.n = m->n;
    free(m->p);
    *m = bigger;
    return ERR_OK;
}

enum err_code pair_map_put(struct pair_map *m, const uint8_t key[16], const struct ev_scored *s,
                           struct err *err)
{
    size_t i;

    if (grow(m, err) != ERR_OK)
        return err->code;
    i = slot_of(m, key);
    m->n += m->p[i].is_used ? 0 : 1;
    memcpy(m->p[i].key, key, 16);
    m->p[i].is_used = true;
    m->p[i].scored = *s;
    return ERR_OK;
}

const struct ev_scored *pair_map_get(const struct pair_map *m, const uint8_t key[16])
{
    size_t i;

    if (m->cap == 0)
        return NULL;
    i = slot_of(m, key);
    return m->p[i].is_used ? &m->p[i].scored : NULL;
}

void pair_map_fini(struct pair_map *m)
{
    free(m->p);
    *m = (struct pair_map){0};
}
