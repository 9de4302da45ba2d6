/* Inside of feedback: one writer lane, a ring of frames in a shared-memory file.
 *
 *     page 0: ring_head     then `cap` bytes, mapped twice in a row so that no frame is ever split
 *
 * One producer thread at a time, one consumer. head and tail only grow; a frame is there once head was moved past it, so
 * the file is whole at every moment a process can die. After a power failure it may be anything: every frame has a
 * checksum, and sequence numbers say what the segments hold already. */
#ifndef PAWL_FEEDBACK_RING_H
#define PAWL_FEEDBACK_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define RING_MAGIC   "PAWLRING"
#define RING_VERSION 1

struct ring_head {
    char magic[8];
    uint32_t byte_order, version;
    uint64_t instance, cap;
    uint64_t lane;
    _Alignas(64) _Atomic uint64_t head; /* producer */
    _Atomic uint64_t next_seq;
    _Alignas(64) _Atomic uint64_t tail; /* consumer */
};

struct ring {
    struct ring_head *h;
    unsigned char *data; /* 2 * cap bytes of address space */
    uint64_t cap;
    int fd;
};

/* Maps the file, making it when it is absent, of another instance or size. *ret_is_old: it holds what a process left. */
enum err_code ring_open(struct ring *r, const char *path, uint64_t instance, uint16_t lane,
                        uint64_t cap, bool *ret_is_old, struct err *err) MUST_CHECK;
void ring_close(struct ring *r);

/* Room for n bytes, or NULL when it is full. */
static inline unsigned char *ring_reserve(struct ring *r, uint64_t n)
{
    uint64_t head = atomic_load_explicit(&r->h->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&r->h->tail, memory_order_acquire);
    return r->cap - (head - tail) < n ? NULL : r->data + (head & (r->cap - 1));
}

static inline void ring_commit(struct ring *r, uint64_t n)
{
    uint64_t head = atomic_load_explicit(&r->h->head, memory_order_relaxed);
    atomic_store_explicit(&r->h->head, head + n, memory_order_release);
}

#endif
