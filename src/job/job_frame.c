#include "job/job_frame.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/hash.h"

static void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static enum err_code send_all(int fd, const char *p, size_t n, struct err *err)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return err_set(err, ERR_CHILD, "the other process is gone (%s)", strerror(errno));
        p += k;
        n -= (size_t)k;
    }
    return ERR_OK;
}

enum err_code frame_write(int fd, enum frame_kind kind, const struct json *v, struct err *err)
{
    struct buf b = {0};
    enum err_code code;
    char head[FRAME_HEAD_BYTES] = {0};
    buf_init(&b, FRAME_BYTES_MAX);
    buf_put(&b, head, sizeof head);
    code = json_write(v, JSON_COMPACT, &b, err);
    if (code == ERR_OK)
        code = buf_ok(&b, err);
    if (code == ERR_OK) {
        uint8_t *p = (uint8_t *)b.p;
        put_u32(p, (uint32_t)(b.n - FRAME_HEAD_BYTES));
        p[4] = (uint8_t)kind;
        uint32_t crc = crc32c(crc32c(0, p + 4, 1), p + FRAME_HEAD_BYTES, b.n - FRAME_HEAD_BYTES);
        put_u32(p + 5, crc);
        code = send_all(fd, b.p, b.n, err);
    }
    buf_fini(&b);
    return code;
}

/* Until something can be read. */
static enum err_code wait_readable(int fd, const struct frame_wait *w, struct err *err)
{
    for (;;) {
        int timeout_ms = w->is_cancelled ? FRAME_POLL_MS : -1;
        if (w->is_cancelled && atomic_load(w->is_cancelled))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (w->deadline_ns) {
            int64_t left_ms = (w->deadline_ns - mono_ns()) / 1000000;
            if (left_ms <= 0)
                return err_set(err, ERR_TIMEOUT, "took too long");
            if (timeout_ms < 0 || left_ms < timeout_ms)
                timeout_ms = left_ms > 60000 ? 60000 : (int)left_ms;
        }
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n = poll(&p, 1, timeout_ms);
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "poll");
        if (n > 0)
            return ERR_OK;
    }
}

/* *ret_n < n: the other side closed. */
static enum err_code read_some(int fd, const struct frame_wait *w, void *p, size_t n, size_t *ret_n,
                               struct err *err)
{
    size_t got = 0;
    while (got < n) {
        enum err_code code = wait_readable(fd, w, err);
        if (code != ERR_OK)
            return code;
        ssize_t k = recv(fd, (char *)p + got, n - got, 0);
        if (k < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (k < 0 && errno != ECONNRESET)
            return err_errno(err, errno, "recv");
        if (k <= 0)
            break;
        got += (size_t)k;
    }
    *ret_n = got;
    return ERR_OK;
}

enum err_code frame_read(int fd, const struct frame_wait *w, struct arena *a,
                         enum frame_kind *ret_kind, struct json **ret, struct err *err)
{
    uint8_t head[FRAME_HEAD_BYTES];
    size_t got = 0;
    struct json *v = NULL;
    enum err_code code = read_some(fd, w, head, sizeof head, &got, err);
    if (code != ERR_OK)
        return code;
    if (got == 0)
        return err_set(err, ERR_EMPTY, "closed");
    uint32_t n = get_u32(head);
    if (got == sizeof head &&
        (n > FRAME_BYTES_MAX || head[4] < FRAME_REQUEST || head[4] >= FRAME_KIND_N))
        return err_set(err, ERR_CORRUPT, "not a frame (length %u, kind %u)", n, (unsigned)head[4]);
    char *text = got == sizeof head ? arena_alloc(a, (size_t)n + 1) : NULL;
    if (got == sizeof head && !text)
        return arena_err(a, err);
    if (text)
        code = read_some(fd, w, text, n, &got, err);
    if (code != ERR_OK)
        return code;
    if (!text || got < n)
        return err_set(err, ERR_CHILD, "the other process ended in the middle of a message");
    if (crc32c(crc32c(0, head + 4, 1), text, n) != get_u32(head + 5))
        return err_set(err, ERR_CORRUPT, "a message with a wrong checksum");
    code = json_read(str_n(text, n), a, &v, err);
    if (code != ERR_OK)
        return err_wrap(err, "a message that is not JSON");
    *ret_kind = (enum frame_kind)head[4];
    *ret = v;
    return ERR_OK;
}
