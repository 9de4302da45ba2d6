/* Growing arrays in an arena:  VEC(struct foo) v = {0};  VEC_PUSH(arena, &v, foo) -> pointer or NULL.
 * Old storage stays in the arena until it is released: at most as much again as the array. */
#ifndef PAWL_BASE_VEC_H
#define PAWL_BASE_VEC_H

#include "base/arena.h"

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *p;                                                                                   \
        size_t n, cap;                                                                             \
    }

/* Makes room for one more; true unless the arena is full. */
#define VEC_RESERVE(a, v)                                                                          \
    ((v)->n < (v)->cap || vec_grow((a), (void **)&(v)->p, &(v)->cap, sizeof(*(v)->p)))

/* Address of the new, zeroed element, or NULL. */
#define VEC_ADD(a, v) (VEC_RESERVE((a), (v)) ? &(v)->p[(v)->n++] : NULL)

bool vec_grow(struct arena *a, void **p, size_t *cap, size_t elem_bytes);

/* String -> pointer, in an arena; insertion order kept. */
struct map;
struct map *map_new(struct arena *a);                                  /* NULL when full */
void *map_get(const struct map *m, const char *key, size_t key_bytes); /* NULL when absent */
bool map_put(struct map *m, const char *key, size_t key_bytes,
             void *val) /* val not NULL; key is copied */
    MUST_CHECK;
size_t map_count(const struct map *m);
void *map_at(const struct map *m, size_t i, const char **ret_key, size_t *ret_key_bytes);

#endif
