/* The appending side of a series, and its opening. */
#include "feedback/series.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "feedback/series_int.h"

#define SEGMENT_BYTES  (INT64_C(64) << 20)
#define LIST_BYTES     (64u << 20)
#define POS_HEX_DIGITS 16

void log_pos_text(const struct log_pos *p, char out[LOG_POS_TEXT_BYTES])
{
    snprintf(out, LOG_POS_TEXT_BYTES, "%016llx-%016llx-%016llx", (unsigned long long)p->instance,
             (unsigned long long)p->segment, (unsigned long long)p->offset);
}

enum err_code log_pos_parse(struct str s, struct log_pos *ret, struct err *err)
{
    uint64_t v[3] = {0};
    struct str rest = s;
    for (int i = 0; i < 3; i++) {
        struct str part = str_split(&rest, '-');
        if (part.n != POS_HEX_DIGITS)
            return err_set(err, ERR_PARSE, "\"%.*s\" is not a position in a log", STR_ARG(s));
        for (size_t k = 0; k < part.n; k++) {
            static const char digits[] = "0123456789abcdef";
            const char *d = part.p[k] ? strchr(digits, part.p[k]) : NULL;
            if (!d)
                return err_set(err, ERR_PARSE, "\"%.*s\" is not a position in a log", STR_ARG(s));
            v[i] = v[i] << 4 | (uint64_t)(d - digits);
        }
    }
    if (rest.p)
        return err_set(err, ERR_PARSE, "\"%.*s\" is not a position in a log", STR_ARG(s));
    *ret = (struct log_pos){v[0], v[1], v[2]};
    return ERR_OK;
}

int log_pos_cmp(const struct log_pos *a, const struct log_pos *b)
{
    if (a->segment != b->segment)
        return a->segment < b->segment ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Written aside, synced, renamed: a segment is there with its head or not at all. */
static enum err_code segment_create(struct series *s, uint64_t number, struct err *err)
{
    struct segment_head h = {
        .instance = s->instance, .number = number, .created_us = clock_now_us(&CLOCK_SYSTEM)};
    char path[PATH_BYTES];
    memcpy(h.last_seq, s->last_seq, sizeof h.last_seq);
    segment_head_seal(&h);
    segment_path(s, number, path);
    if (file_write(path, str_n((const char *)&h, sizeof h), 0600, err) != ERR_OK)
        return err->code;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    fd_close(&s->fd);
    s->fd = fd;
    mutex_lock(&s->mutex);
    s->end = (struct log_pos){s->instance, number, sizeof h};
    s->bytes += (int64_t)sizeof h;
    if (s->first == 0)
        s->first = number;
    mutex_unlock(&s->mutex);
    return ERR_OK;
}

/* Keeps the bytes behind `end` aside for whoever wants to look, and cuts them off. */
static enum err_code tail_cut(struct series *s, const char *path, uint64_t end, uint64_t size,
                              struct err *err)
{
    char aside[PATH_BYTES + SEGMENT_NAME_BYTES];
    struct str tail = STR("");
    struct arena a;
    arena_init(&a, LIST_BYTES);
    char *p = arena_alloc(&a, size - end);
    if (p && pread(s->fd, p, size - end, (off_t)end) == (ssize_t)(size - end))
        tail = str_n(p, size - end);
    snprintf(aside, sizeof aside, "%s.cut-%llu", path, (unsigned long long)end);
    enum err_code code = tail.n ? file_write(aside, tail, 0600, err) : ERR_OK;
    arena_fini(&a);
    if (code == ERR_OK && (ftruncate(s->fd, (off_t)end) != 0 || fdatasync(s->fd) != 0))
        code = err_errno(err, errno, "cut the torn tail of %s", path);
    return code;
}

static enum err_code newest_recover(struct series *s, uint64_t number, int64_t *ret_cut,
                                    struct err *err)
{
    struct segment_head h;
    struct stat st;
    char path[PATH_BYTES];
    uint64_t end = 0;
    segment_path(s, number, path);
    s->fd = open(path, (s->may_write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (s->fd < 0)
        return err_errno(err, errno, "open %s", path);
    if (segment_head_read(s->fd, path, &h, err) != ERR_OK)
        return err->code;
    s->instance = h.instance;
    memcpy(s->last_seq, h.last_seq, sizeof s->last_seq);
    if (segment_scan(s->fd, path, sizeof h, s->last_seq, &end, err) != ERR_OK)
        return err->code;
    if (fstat(s->fd, &st) != 0)
        return err_errno(err, errno, "look at %s", path);
    s->end = (struct log_pos){s->instance, number, end};
    *ret_cut = (int64_t)((uint64_t)st.st_size - end);
    if (s->may_write && *ret_cut > 0)
        return tail_cut(s, path, end, (uint64_t)st.st_size, err);
    return ERR_OK;
}

static int64_t file_bytes(const struct series *s, uint64_t number)
{
    char path[PATH_BYTES];
    struct stat st;
    segment_path(s, number, path);
    return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

static enum err_code series_load(struct series *s, int64_t *ret_cut, struct err *err)
{
    uint64_t *numbers;
    size_t n;
    struct arena a;
    arena_init(&a, LIST_BYTES);
    enum err_code code = segment_list(s->dir, &a, &numbers, &n, err);
    *ret_cut = 0;
    if (code == ERR_OK && n > 0) {
        s->first = numbers[0];
        for (size_t i = 0; i < n; i++)
            s->bytes += file_bytes(s, numbers[i]);
        code = newest_recover(s, numbers[n - 1], ret_cut, err);
    } else if (code == ERR_OK && s->may_write) {
        random_bytes(&s->instance, sizeof s->instance);
        s->instance |= 1; /* never 0 */
        code = segment_create(s, 1, err);
    }
    arena_fini(&a);
    return code;
}

enum err_code series_open(const struct series_options *opt, struct series **ret,
                          struct series_recovery *ret_recovery, struct err *err)
{
    struct series *s = calloc(1, sizeof *s);
    int64_t cut = 0;
    if (!s)
        return err_nomem(err);
    s->fd = -1;
    s->may_write = opt->may_write;
    s->segment_bytes = opt->segment_bytes ? opt->segment_bytes : SEGMENT_BYTES;
    mutex_init(&s->mutex, "feedback.series", RANK_SERIES);
    cond_init(&s->moved);
    snprintf(s->dir, sizeof s->dir, "%s", opt->dir);
    enum err_code code = s->may_write ? dir_make(opt->dir, 0700, err) : ERR_OK;
    if (code == ERR_OK)
        code = series_load(s, &cut, err);
    if (code != ERR_OK) {
        series_close(s);
        return code;
    }
    if (ret_recovery) {
        ret_recovery->cut_bytes = cut;
        memcpy(ret_recovery->last_seq, s->last_seq, sizeof s->last_seq);
    }
    *ret = s;
    return ERR_OK;
}

void series_close(struct series *s)
{
    if (!s)
        return;
    fd_close(&s->fd);
    cond_fini(&s->moved);
    mutex_fini(&s->mutex);
    free(s);
}

/* All of iov at offset, going on after short writes. */
static enum err_code write_all_at(int fd, struct iovec *iov, int n, uint64_t offset,
                                  struct err *err)
{
    while (n > 0) {
        ssize_t r = pwritev(fd, iov, n < IOV_MAX ? n : IOV_MAX, (off_t)offset);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return err_errno(err, r == 0 ? ENOSPC : errno, "append to the log");
        offset += (uint64_t)r;
        size_t left = (size_t)r;
        while (n > 0 && left >= iov->iov_len) {
            left -= iov->iov_len;
            iov++;
            n--;
        }
        if (n > 0) {
            iov->iov_base = (char *)iov->iov_base + left;
            iov->iov_len -= left;
        }
    }
    return ERR_OK;
}

static enum err_code roll(struct series *s, struct err *err)
{
    if (fdatasync(s->fd) != 0)
        return err_errno(err, errno, "sync a full segment of %s", s->dir);
    return segment_create(s, s->end.segment + 1, err);
}

enum err_code series_append_frames(struct series *s, struct iovec *iov, int n_iov,
                                   const uint64_t last_seq[SERIES_LANES_MAX],
                                   struct log_pos *ret_pos, struct err *err)
{
    uint64_t n = 0;
    CHECK(s->may_write);
    for (int i = 0; i < n_iov; i++)
        n += iov[i].iov_len;
    if (s->end.offset > sizeof(struct segment_head) &&
        s->end.offset + n > (uint64_t)s->segment_bytes && roll(s, err) != ERR_OK)
        return err->code;
    struct log_pos pos = s->end;
    if (write_all_at(s->fd, iov, n_iov, pos.offset, err) != ERR_OK) {
        if (ftruncate(s->fd, (off_t)pos.offset) != 0)
            return err_wrap(err, "and its part could not be taken back");
        return err->code;
    }
    memcpy(s->last_seq, last_seq, sizeof s->last_seq);
    mutex_lock(&s->mutex);
    s->end.offset += n;
    s->bytes += (int64_t)n;
    cond_broadcast(&s->moved);
    mutex_unlock(&s->mutex);
    *ret_pos = pos;
    return ERR_OK;
}

enum err_code series_append(struct series *s, uint16_t type, uint16_t lane, uint64_t seq,
                            struct str payload, struct log_pos *ret_pos, struct err *err)
{
    uint64_t last_seq[SERIES_LANES_MAX];
    if (payload.n > SERIES_FRAME_MAX)
        return err_set(err, ERR_TOO_LARGE, "a record of %zu bytes is larger than %u", payload.n,
                       SERIES_FRAME_MAX);
    unsigned char *p = malloc(SERIES_FRAME_HEAD + payload.n);
    if (!p)
        return err_nomem(err);
    memcpy(p + SERIES_FRAME_HEAD, payload.p, payload.n);
    series_frame_seal(p, type, lane, seq, (uint32_t)payload.n);
    memcpy(last_seq, s->last_seq, sizeof last_seq);
    last_seq[lane] = seq > last_seq[lane] ? seq : last_seq[lane];
    struct iovec iov = {p, SERIES_FRAME_HEAD + payload.n};
    enum err_code code = series_append_frames(s, &iov, 1, last_seq, ret_pos, err);
    free(p);
    return code;
}

enum err_code series_sync(struct series *s, struct err *err)
{
    if (fdatasync(s->fd) != 0)
        return err_errno(err, errno, "sync %s", s->dir);
    return ERR_OK;
}

static enum err_code segments_drop_after(struct series *s, uint64_t number, struct err *err)
{
    char path[PATH_BYTES];
    for (uint64_t n = s->end.segment; n > number; n--) {
        s->bytes -= file_bytes(s, n);
        segment_path(s, n, path);
        if (file_remove(path, err) != ERR_OK)
            return err->code;
    }
    return ERR_OK;
}

enum err_code series_truncate(struct series *s, const struct log_pos *pos, struct err *err)
{
    struct segment_head h;
    char path[PATH_BYTES];
    uint64_t end = 0, number = pos->segment ? pos->segment : s->first;
    uint64_t offset = pos->segment ? pos->offset : sizeof h;
    if (pos->instance && pos->instance != s->instance)
        return err_set(err, ERR_CONFLICT, "the position belongs to another log than %s", s->dir);
    if (number < s->first || number > s->end.segment ||
        (number == s->end.segment && offset > s->end.offset))
        return err_set(err, ERR_RANGE, "%s does not reach to the position it is to be cut at",
                       s->dir);
    if (segments_drop_after(s, number, err) != ERR_OK)
        return err->code;
    segment_path(s, number, path);
    fd_close(&s->fd);
    s->fd = open(path, O_RDWR | O_CLOEXEC);
    if (s->fd < 0)
        return err_errno(err, errno, "open %s", path);
    s->bytes -= file_bytes(s, number) - (int64_t)offset;
    if (ftruncate(s->fd, (off_t)offset) != 0 || fdatasync(s->fd) != 0)
        return err_errno(err, errno, "cut %s", path);
    if (segment_head_read(s->fd, path, &h, err) != ERR_OK)
        return err->code;
    memcpy(s->last_seq, h.last_seq, sizeof s->last_seq);
    if (segment_scan(s->fd, path, sizeof h, s->last_seq, &end, err) != ERR_OK)
        return err->code;
    mutex_lock(&s->mutex);
    s->end = (struct log_pos){s->instance, number, end};
    s->truncations++;
    mutex_unlock(&s->mutex);
    return end == offset
               ? ERR_OK
               : err_set(err, ERR_CORRUPT, "%s was cut at %llu, which is not between frames", path,
                         (unsigned long long)offset);
}

struct log_pos series_end(const struct series *s)
{
    struct series *m = (struct series *)(uintptr_t)s;
    mutex_lock(&m->mutex);
    struct log_pos p = s->end;
    mutex_unlock(&m->mutex);
    return p;
}

struct log_pos series_start(const struct series *s)
{
    struct series *m = (struct series *)(uintptr_t)s;
    mutex_lock(&m->mutex);
    struct log_pos p = {s->instance, s->first, sizeof(struct segment_head)};
    mutex_unlock(&m->mutex);
    return p;
}

int64_t series_bytes(const struct series *s)
{
    struct series *m = (struct series *)(uintptr_t)s;
    mutex_lock(&m->mutex);
    int64_t n = s->bytes;
    mutex_unlock(&m->mutex);
    return n;
}

/* When the segment was closed: its successor's creation. */
static int64_t closed_us(const struct series *s, uint64_t number)
{
    struct segment_head h;
    char path[PATH_BYTES];
    struct err err = ERR_INIT;
    segment_path(s, number + 1, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int64_t at =
        fd >= 0 && segment_head_read(fd, path, &h, &err) == ERR_OK ? h.created_us : INT64_MAX;
    fd_close(&fd);
    return at;
}

size_t series_retain(struct series *s, int64_t before_us, int64_t max_bytes,
                     const struct log_pos *keep)
{
    size_t n_removed = 0;
    char path[PATH_BYTES];
    struct err err = ERR_INIT;
    for (uint64_t n = s->first; n < s->end.segment; n++) {
        bool is_over = max_bytes > 0 && series_bytes(s) > max_bytes;
        if ((keep && n >= keep->segment) || (!is_over && closed_us(s, n) >= before_us))
            break;
        int64_t bytes = file_bytes(s, n);
        segment_path(s, n, path);
        mutex_lock(&s->mutex);
        s->first = n + 1;
        s->bytes -= bytes;
        mutex_unlock(&s->mutex);
        if (file_remove(path, &err) != ERR_OK)
            break;
        n_removed++;
    }
    return n_removed;
}
