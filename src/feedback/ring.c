#include "feedback/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "feedback/frame.h"

#define RING_PAGE 4096u
_Static_assert(sizeof(struct ring_head) <= RING_PAGE, "the head has a page");

static enum err_code ring_map(struct ring *r, const char *path, struct err *err)
{
    void *h = mmap(NULL, RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (h == MAP_FAILED)
        return err_errno(err, errno, "map %s", path);
    r->h = h;
    unsigned char *at = mmap(NULL, 2 * r->cap, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return err_errno(err, errno, "map %s", path);
    r->data = at;
    for (int i = 0; i < 2; i++)
        if (mmap(at + (uint64_t)i * r->cap, r->cap, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                 r->fd, RING_PAGE) == MAP_FAILED)
            return err_errno(err, errno, "map %s", path);
    return ERR_OK;
}

/* Is this file a ring that a process like us left behind? */
static bool ring_is_ours(const struct ring *r, uint64_t instance, uint16_t lane)
{
    const struct ring_head *h = r->h;
    uint64_t head = atomic_load(&h->head), tail = atomic_load(&h->tail);
    return memcmp(h->magic, RING_MAGIC, sizeof h->magic) == 0 && h->byte_order == BYTE_ORDER_MARK &&
           h->version == RING_VERSION && h->instance == instance && h->cap == r->cap &&
           h->lane == lane && head - tail <= r->cap;
}

static void ring_start(struct ring *r, uint64_t instance, uint16_t lane)
{
    memset(r->h, 0, sizeof *r->h);
    memcpy(r->h->magic, RING_MAGIC, sizeof r->h->magic);
    r->h->byte_order = BYTE_ORDER_MARK;
    r->h->version = RING_VERSION;
    r->h->instance = instance;
    r->h->cap = r->cap;
    r->h->lane = lane;
    atomic_store(&r->h->next_seq, 1);
}

enum err_code ring_open(struct ring *r, const char *path, uint64_t instance, uint16_t lane,
                        uint64_t cap, bool *ret_is_old, struct err *err)
{
    struct stat st;
    CHECK(cap >= RING_PAGE && (cap & (cap - 1)) == 0);
    *r = (struct ring){.cap = cap, .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (r->fd < 0 || fstat(r->fd, &st) != 0)
        return err_errno(err, errno, "open %s", path);
    bool has_size = st.st_size == (off_t)(RING_PAGE + cap);
    /* Blocks are allocated now: a full disk must not become a bus error in a prediction. */
    int e = has_size                   ? 0
            : ftruncate(r->fd, 0) == 0 ? posix_fallocate(r->fd, 0, (off_t)(RING_PAGE + cap))
                                       : errno;
    if (e != 0)
        return err_errno(err, e, "make %s of %llu bytes", path,
                         (unsigned long long)(RING_PAGE + cap));
    if (ring_map(r, path, err) != ERR_OK)
        return err->code;
    *ret_is_old = has_size && ring_is_ours(r, instance, lane);
    if (!*ret_is_old)
        ring_start(r, instance, lane);
    return ERR_OK;
}

void ring_close(struct ring *r)
{
    if (r->data)
        munmap(r->data, 2 * r->cap);
    if (r->h)
        munmap(r->h, RING_PAGE);
    if (r->cap)
        fd_close(&r->fd);
    *r = (struct ring){.fd = -1};
}
