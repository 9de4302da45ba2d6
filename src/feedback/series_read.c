/* Readers: a buffer over one segment at a time. In the writing process they read up to the committed end and wait on its
 * condition; beside another process they look at the files, and a frame that is not whole yet is simply not there yet. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "feedback/series_int.h"

#define BUFFER_BYTES (256u << 10)
#define POLL_MS      20

struct series_reader {
    struct series *s;
    struct log_pos pos; /* of the next frame */
    int fd;             /* of pos.segment; -1: not open */
    unsigned char *buf; /* bytes of the segment from buf_offset on */
    size_t n, cap;
    uint64_t buf_offset;
    uint64_t truncations;
};

/* The newest segment and its size, from the directory. */
enum err_code series_look(struct series *s, struct err *err)
{
    if (s->may_write)
        return ERR_OK;
    uint64_t *numbers;
    size_t n;
    char path[PATH_BYTES];
    int64_t size = 0;
    struct arena a;
    arena_init(&a, 16u << 20);
    enum err_code code = segment_list(s->dir, &a, &numbers, &n, err);
    if (code == ERR_OK && n > 0) {
        segment_path(s, numbers[n - 1], path);
        code = file_size(path, &size, err);
    }
    if (code == ERR_OK && n > 0) {
        mutex_lock(&s->mutex);
        s->first = numbers[0];
        s->end = (struct log_pos){s->instance, numbers[n - 1], (uint64_t)size};
        mutex_unlock(&s->mutex);
    }
    arena_fini(&a);
    return code;
}

static enum err_code segment_enter(struct series_reader *r, struct err *err)
{
    struct segment_head h;
    char path[PATH_BYTES];
    fd_close(&r->fd);
    r->n = 0;
    r->buf_offset = r->pos.offset;
    segment_path(r->s, r->pos.segment, path);
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "segment %llu of %s is not kept any more",
                       (unsigned long long)r->pos.segment, r->s->dir);
    if (r->fd < 0)
        return err_errno(err, errno, "open %s", path);
    if (segment_head_read(r->fd, path, &h, err) != ERR_OK)
        return err->code;
    if (r->s->instance == 0)
        r->s->instance = h.instance; /* the log was empty when it was opened */
    if (h.instance != r->s->instance)
        return err_set(err, ERR_CORRUPT, "%s belongs to another log", path);
    return ERR_OK;
}

enum err_code series_reader_open(struct series *s, const struct log_pos *from,
                                 struct series_reader **ret, struct err *err)
{
    if (series_look(s, err) != ERR_OK)
        return err->code;
    struct log_pos first = series_start(s), end = series_end(s), at = from->segment ? *from : first;
    if (from->segment && s->instance && from->instance != s->instance)
        return err_set(err, ERR_CONFLICT, "the position belongs to another log than %s", s->dir);
    if (at.segment < first.segment)
        return err_set(err, ERR_NOT_FOUND, "segment %llu of %s is not kept any more",
                       (unsigned long long)at.segment, s->dir);
    if (log_pos_cmp(&at, &end) > 0 && end.segment)
        return err_set(err, ERR_RANGE, "the position lies behind the end of %s", s->dir);
    struct series_reader *r = calloc(1, sizeof *r);
    if (r)
        r->buf = malloc(BUFFER_BYTES);
    if (!r || !r->buf) {
        free(r);
        return err_nomem(err);
    }
    r->s = s;
    r->fd = -1;
    r->cap = BUFFER_BYTES;
    r->pos = at;
    *ret = r;
    return ERR_OK;
}

void series_reader_close(struct series_reader *r)
{
    if (!r)
        return;
    fd_close(&r->fd);
    free(r->buf);
    free(r);
}

struct log_pos series_reader_pos(const struct series_reader *r)
{
    return r->pos;
}

/* Bytes at pos in the buffer, at least `want` of them when the segment has them below `limit`. */
static enum err_code fill(struct series_reader *r, size_t want, uint64_t limit, struct err *err)
{
    size_t at = (size_t)(r->pos.offset - r->buf_offset);
    CHECK(at <= r->n);
    if (r->n - at >= want || r->buf_offset + r->n >= limit)
        return ERR_OK;
    memmove(r->buf, r->buf + at, r->n - at);
    r->n -= at;
    r->buf_offset += at;
    if (want > r->cap) {
        unsigned char *p = realloc(r->buf, want);
        if (!p)
            return err_nomem(err);
        r->buf = p;
        r->cap = want;
    }
    while (r->n < r->cap && r->buf_offset + r->n < limit) {
        uint64_t left = limit - (r->buf_offset + r->n);
        size_t room = r->cap - r->n;
        ssize_t n = pread(r->fd, r->buf + r->n, left < room ? (size_t)left : room,
                          (off_t)(r->buf_offset + r->n));
        if (n < 0)
            return err_errno(err, errno, "read segment %llu of %s",
                             (unsigned long long)r->pos.segment, r->s->dir);
        if (n == 0)
            break;
        r->n += (size_t)n;
    }
    return ERR_OK;
}

static enum frame_state parse_here(struct series_reader *r, struct frame *f)
{
    size_t at = (size_t)(r->pos.offset - r->buf_offset);
    return frame_parse(r->buf + at, r->n - at, f);
}

/* One look, without waiting. */
static enum err_code next_now(struct series_reader *r, bool *ret_is_there, struct series_frame *ret,
                              struct err *err)
{
    *ret_is_there = false;
    struct log_pos end = series_end(r->s);
    if (r->truncations != r->s->truncations) {
        r->truncations = r->s->truncations;
        fd_close(&r->fd);
    }
    if (r->pos.segment == 0)
        r->pos = series_start(r->s);
    if (end.segment == 0 || r->pos.segment == 0)
        return ERR_OK;
    if (r->fd < 0 && segment_enter(r, err) != ERR_OK)
        return err->code;
    bool is_newest = r->pos.segment == end.segment;
    uint64_t limit = is_newest ? end.offset : UINT64_MAX;
    struct frame f = {0};
    enum frame_state st = FRAME_SHORT;
    if (fill(r, SERIES_FRAME_HEAD, limit, err) != ERR_OK)
        return err->code;
    st = parse_here(r, &f);
    if (st == FRAME_SHORT && r->n - (r->pos.offset - r->buf_offset) >= SERIES_FRAME_HEAD) {
        if (fill(r, SERIES_FRAME_HEAD + f.payload_bytes, limit, err) != ERR_OK)
            return err->code;
        st = parse_here(r, &f);
    }
    if (st == FRAME_OK) {
        ret->pos = r->pos;
        r->pos.offset += SERIES_FRAME_HEAD + f.payload_bytes;
        ret->next = r->pos;
        ret->type = f.type;
        ret->lane = f.lane;
        ret->seq = f.seq;
        ret->payload = str_n((const char *)f.payload, f.payload_bytes);
        *ret_is_there = true;
        return ERR_OK;
    }
    bool is_at_end = r->n == (size_t)(r->pos.offset - r->buf_offset);
    if (is_newest && (is_at_end || !r->s->may_write))
        return ERR_OK;
    if (!is_at_end)
        return err_set(err, ERR_CORRUPT, "segment %llu of %s is damaged at byte %llu",
                       (unsigned long long)r->pos.segment, r->s->dir,
                       (unsigned long long)r->pos.offset);
    r->pos = (struct log_pos){r->s->instance, r->pos.segment + 1, sizeof(struct segment_head)};
    fd_close(&r->fd);
    return next_now(r, ret_is_there, ret, err);
}

/* Until the end moved, or the time is over. */
static void wait_moved(struct series_reader *r, int64_t ms)
{
    struct series *s = r->s;
    if (!s->may_write) {
        struct timespec ts = {.tv_nsec = (ms < POLL_MS ? ms : POLL_MS) * 1000000};
        struct err ignored = ERR_INIT;
        nanosleep(&ts, NULL);
        if (series_look(s, &ignored) != ERR_OK)
            return;
        return;
    }
    mutex_lock(&s->mutex);
    if (log_pos_cmp(&r->pos, &s->end) >= 0)
        cond_wait(&s->moved, &s->mutex, ms);
    mutex_unlock(&s->mutex);
}

enum err_code series_reader_next(struct series_reader *r, int64_t timeout_ms, bool *ret_is_there,
                                 struct series_frame *ret, struct err *err)
{
    int64_t until_ns = 0;
    for (;;) {
        if (next_now(r, ret_is_there, ret, err) != ERR_OK)
            return err->code;
        if (*ret_is_there || timeout_ms <= 0)
            return ERR_OK;
        int64_t now_ns = mono_ns();
        if (until_ns == 0)
            until_ns = now_ns + timeout_ms * 1000000;
        if (now_ns >= until_ns)
            return ERR_OK;
        wait_moved(r, (until_ns - now_ns) / 1000000 + 1);
    }
}

enum err_code series_read_at(struct series *s, const struct log_pos *pos, struct arena *a,
                             struct series_frame *ret, struct err *err)
{
    struct series_reader *r;
    struct series_frame f;
    bool is_there = false;
    if (series_reader_open(s, pos, &r, err) != ERR_OK)
        return err->code;
    enum err_code code = series_reader_next(r, 0, &is_there, &f, err);
    if (code == ERR_OK && !is_there)
        code = err_set(err, ERR_NOT_FOUND, "there is no record at that position of %s", s->dir);
    if (code == ERR_OK) {
        char *copy = str_dup(a, f.payload);
        if (copy) {
            f.payload.p = copy;
            *ret = f;
        } else {
            code = arena_err(a, err);
        }
    }
    series_reader_close(r);
    return code;
}
