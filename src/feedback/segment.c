/* Segment files: names, heads, and the scan that finds the last whole frame. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/vec.h"
#include "feedback/series_int.h"

#define SCAN_BYTES (SERIES_FRAME_MAX + SERIES_FRAME_HEAD)

void segment_path(const struct series *s, uint64_t number, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%0*llu.seg", s->dir, SEGMENT_DIGITS, (unsigned long long)number);
}

enum err_code segment_head_read(int fd, const char *path, struct segment_head *ret, struct err *err)
{
    ssize_t n = pread(fd, ret, sizeof *ret, 0);
    if (n < 0)
        return err_errno(err, errno, "read %s", path);
    if ((size_t)n != sizeof *ret)
        return err_set(err, ERR_CORRUPT, "%s is shorter than a segment's head", path);
    return segment_head_check(ret, path, err);
}

enum err_code segment_list(const char *dir, struct arena *a, uint64_t **ret, size_t *ret_n,
                           struct err *err)
{
    char **names;
    size_t n;
    if (dir_list(dir, a, &names, &n, err) != ERR_OK)
        return err->code;
    VEC(uint64_t) v = {0};
    for (size_t i = 0; i < n; i++) {
        struct str name = str_c(names[i]);
        uint64_t number;
        struct err ignored = ERR_INIT;
        if (name.n != SEGMENT_DIGITS + 4 || !str_ends(name, STR(".seg")) ||
            parse_u64(str_n(name.p, SEGMENT_DIGITS), &number, &ignored) != ERR_OK)
            continue;
        uint64_t *p = VEC_ADD(a, &v);
        if (!p)
            return arena_err(a, err);
        *p = number; /* names have leading zeros: byte order is number order */
    }
    *ret = v.p;
    *ret_n = v.n;
    return ERR_OK;
}

struct scan {
    unsigned char *buf;
    size_t n, at;    /* bytes in buf, next frame */
    uint64_t offset; /* in the file, of buf[0] */
};

/* Moves what is left to the front and reads on. False at the end of the file. */
static bool scan_fill(struct scan *s, int fd)
{
    memmove(s->buf, s->buf + s->at, s->n - s->at);
    s->offset += s->at;
    s->n -= s->at;
    s->at = 0;
    ssize_t n = pread(fd, s->buf + s->n, SCAN_BYTES - s->n, (off_t)(s->offset + s->n));
    if (n <= 0)
        return false;
    s->n += (size_t)n;
    return true;
}

enum err_code segment_scan(int fd, const char *path, uint64_t offset, uint64_t *last_seq,
                           uint64_t *ret_end, struct err *err)
{
    struct scan s = {.buf = malloc(SCAN_BYTES), .offset = offset};
    struct frame f;
    if (!s.buf)
        return err_set(err, ERR_NOMEM, "%s: out of memory", path);
    for (;;) {
        enum frame_state st = frame_parse(s.buf + s.at, s.n - s.at, &f);
        if (st == FRAME_SHORT && scan_fill(&s, fd))
            continue;
        if (st != FRAME_OK)
            break;
        s.at += SERIES_FRAME_HEAD + f.payload_bytes;
        if (f.seq > last_seq[f.lane])
            last_seq[f.lane] = f.seq;
    }
    *ret_end = s.offset + s.at;
    free(s.buf);
    return ERR_OK;
}
