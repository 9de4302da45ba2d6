/* Entries stand in insertion order; an open-addressing table of indices (0 = free) finds them. */
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/vec.h"

struct map_entry {
    char *key;
    size_t key_bytes;
    uint64_t hash;
    void *val;
};

struct map {
    struct arena *arena;
    VEC(struct map_entry) entries;
    uint32_t *slots; /* index + 1 */
    size_t n_slots;  /* power of two, at least twice the entries; 0 before the first */
};

struct map *map_new(struct arena *a)
{
    struct map *m = ARENA_NEW(a, struct map);
    if (m)
        m->arena = a;
    return m;
}

static uint32_t *slot_find(const struct map *m, const char *key, size_t n, uint64_t hash)
{
    size_t mask = m->n_slots - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        uint32_t at = m->slots[i];
        if (at == 0)
            return &m->slots[i];
        const struct map_entry *e = &m->entries.p[at - 1];
        if (e->hash == hash && e->key_bytes == n && (n == 0 || memcmp(e->key, key, n) == 0))
            return &m->slots[i];
    }
}

static bool map_widen(struct map *m)
{
    size_t n = m->n_slots ? m->n_slots * 2 : 16;
    uint32_t *slots = ARENA_NEW_N(m->arena, uint32_t, n);
    if (!slots)
        return false;
    m->slots = slots;
    m->n_slots = n;
    for (size_t i = 0; i < m->entries.n; i++) {
        const struct map_entry *e = &m->entries.p[i];
        *slot_find(m, e->key, e->key_bytes, e->hash) = (uint32_t)(i + 1);
    }
    return true;
}

void *map_get(const struct map *m, const char *key, size_t key_bytes)
{
    if (m->n_slots == 0)
        return NULL;
    uint32_t at = *slot_find(m, key, key_bytes, hash64(key, key_bytes, 0));
    return at ? m->entries.p[at - 1].val : NULL;
}

bool map_put(struct map *m, const char *key, size_t key_bytes, void *val)
{
    CHECK(val != NULL);
    if ((m->entries.n + 1) * 2 > m->n_slots && !map_widen(m))
        return false;
    uint64_t hash = hash64(key, key_bytes, 0);
    uint32_t *slot = slot_find(m, key, key_bytes, hash);
    if (*slot) {
        m->entries.p[*slot - 1].val = val;
        return true;
    }
    char *copy = str_dup(m->arena, str_n(key, key_bytes));
    struct map_entry *e = copy ? VEC_ADD(m->arena, &m->entries) : NULL;
    if (!e)
        return false;
    *e = (struct map_entry){copy, key_bytes, hash, val};
    *slot = (uint32_t)m->entries.n;
    return true;
}

size_t map_count(const struct map *m)
{
    return m->entries.n;
}

void *map_at(const struct map *m, size_t i, const char **ret_key, size_t *ret_key_bytes)
{
    if (i >= m->entries.n)
        return NULL;
    *ret_key = m->entries.p[i].key;
    *ret_key_bytes = m->entries.p[i].key_bytes;
    return m->entries.p[i].val;
}
