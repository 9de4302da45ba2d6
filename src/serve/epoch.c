/* Epoch-based reclamation: readers announce themselves in a slot of their own, one store on the way in and one on the
 * way out; a retired snapshot may go once no slot shows its epoch or an older one. Rejected: a reference count
 * per request (two contended atomics), and hazard pointers (the same store, more to scan). */
#include "serve/serve_int.h"

struct own_slot {
    uint64_t serial;
    int slot;
};
static _Thread_local struct own_slot own;
static _Atomic uint64_t last_serial;

void epochs_init(struct epochs *e)
{
    e->serial = atomic_fetch_add(&last_serial, 1) + 1;
    atomic_store(&e->now, 1);
}

int epoch_slot(struct epochs *e)
{
    if (own.serial == e->serial)
        return own.slot;
    int slot = EPOCH_NONE;
    for (int i = 0; i < EPOCH_SLOTS - 1 && slot == EPOCH_NONE; i++) {
        bool is_free = false;
        if (atomic_compare_exchange_strong(&e->slots[i].is_taken, &is_free, true))
            slot = i;
    }
    own = (struct own_slot){e->serial, slot};
    return slot;
}

uint64_t epoch_advance(struct epochs *e)
{
    return atomic_fetch_add_explicit(&e->now, 1, memory_order_seq_cst);
}

bool epoch_is_over(const struct epochs *e, uint64_t epoch)
{
    for (int i = 0; i < EPOCH_SLOTS; i++) {
        uint64_t since = atomic_load_explicit(&e->slots[i].since, memory_order_seq_cst);
        if (since != 0 && since <= epoch)
            return false;
    }
    return true;
}
