/* File: 32-byte head {magic, byte order, version, unused}, then records {u32 length, u32 CRC-32C of what follows, u64 gen,
 * i64 at_us, JSON}. A record is whole or it is not there: appends are synced one by one, and a tail that is not whole
 * can only be the last append of a process that died. */
#include "audit/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/thread.h"

#define JOURNAL_MAGIC    "PAWLJRNL"
#define JOURNAL_VERSION  1
#define BYTE_ORDER_MARK  0x01020304u
#define RECORD_MAX_BYTES (64u << 20)
#define RANK_JOURNAL     4000

struct journal_head {
    char magic[8];
    uint32_t byte_order, version;
    uint64_t unused[2];
};

struct record_head {
    uint32_t length, crc; /* of gen, at_us and the text */
    uint64_t gen;
    int64_t at_us;
};

struct journal {
    struct mutex mutex; /* of appends */
    char *path;
    int fd;
    uint64_t gen;
    int64_t end;
};

static uint32_t record_crc(const struct record_head *h, struct str text)
{
    uint32_t crc = crc32c(0, &h->gen, sizeof h->gen);
    crc = crc32c(crc, &h->at_us, sizeof h->at_us);
    return crc32c(crc, text.p, text.n);
}

static enum err_code head_check(const struct journal *j, struct err *err)
{
    struct journal_head h;
    ssize_t n = pread(j->fd, &h, sizeof h, 0);
    if (n != (ssize_t)sizeof h || memcmp(h.magic, JOURNAL_MAGIC, sizeof h.magic) != 0)
        return err_set(err, ERR_CORRUPT, "%s is not a decision journal", j->path);
    if (h.byte_order != BYTE_ORDER_MARK || h.version != JOURNAL_VERSION)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s was written by another version or on another kind of machine", j->path);
    return ERR_OK;
}

enum step { STEP_OK, STEP_END, STEP_TORN };

/* The record at *at; its text in the arena. */
static enum step record_read(const struct journal *j, int64_t at, int64_t size, struct arena *a,
                             struct record_head *h, struct str *ret_text, enum err_code *ret_code,
                             struct err *err)
{
    *ret_code = ERR_OK;
    if (at == size)
        return STEP_END;
    if (size - at < (int64_t)sizeof *h || pread(j->fd, h, sizeof *h, at) != (ssize_t)sizeof *h)
        return STEP_TORN;
    if (h->length > RECORD_MAX_BYTES || size - at - (int64_t)sizeof *h < (int64_t)h->length)
        return STEP_TORN;
    char *p = arena_alloc(a, (size_t)h->length + 1);
    if (!p) {
        *ret_code = arena_err(a, err);
        return STEP_END;
    }
    *ret_text = str_n(p, h->length);
    if (pread(j->fd, p, h->length, at + (int64_t)sizeof *h) != (ssize_t)h->length ||
        h->crc != record_crc(h, *ret_text))
        return STEP_TORN;
    return STEP_OK;
}

static enum err_code scan_end(struct journal *j, int64_t size, int64_t *ret_cut, struct err *err)
{
    struct arena a;
    struct record_head h = {0};
    struct str text;
    enum err_code code = ERR_OK;
    enum step st = STEP_OK;
    arena_init(&a, 2 * (size_t)RECORD_MAX_BYTES);
    j->end = (int64_t)sizeof(struct journal_head);
    while (st == STEP_OK) {
        arena_reset(&a);
        st = record_read(j, j->end, size, &a, &h, &text, &code, err);
        if (st == STEP_OK && h.gen != j->gen + 1) {
            code =
                err_set(err, ERR_CORRUPT, "%s: generation %llu follows %llu at byte %lld", j->path,
                        (unsigned long long)h.gen, (unsigned long long)j->gen, (long long)j->end);
            st = STEP_END;
        }
        if (st == STEP_OK) {
            j->gen = h.gen;
            j->end += (int64_t)sizeof h + h.length;
        }
    }
    arena_fini(&a);
    *ret_cut = size - j->end;
    return code;
}

/* A damaged record in the middle has whole ones behind it: never cut those off. */
static bool has_record_behind(const struct journal *j, int64_t size)
{
    struct arena a;
    struct record_head h;
    struct str text;
    struct err ignored = ERR_INIT;
    enum err_code code;
    bool is_found = false;
    arena_init(&a, 2 * (size_t)RECORD_MAX_BYTES);
    for (int64_t at = j->end + 1; at < size - (int64_t)sizeof h && !is_found; at++) {
        arena_reset(&a);
        is_found = pread(j->fd, &h, sizeof h, at) == (ssize_t)sizeof h && h.gen > j->gen &&
                   h.gen < j->gen + 1000000 &&
                   record_read(j, at, size, &a, &h, &text, &code, &ignored) == STEP_OK;
    }
    arena_fini(&a);
    return is_found;
}

static enum err_code journal_load(struct journal *j, int64_t *ret_cut, struct err *err)
{
    struct stat st;
    if (head_check(j, err) != ERR_OK)
        return err->code;
    if (fstat(j->fd, &st) != 0)
        return err_errno(err, errno, "look at %s", j->path);
    if (scan_end(j, (int64_t)st.st_size, ret_cut, err) != ERR_OK)
        return err->code;
    if (*ret_cut > 0 && has_record_behind(j, (int64_t)st.st_size))
        return err_set(
            err, ERR_CORRUPT,
            "%s is damaged at byte %lld, behind generation %llu: restore it from a backup", j->path,
            (long long)j->end, (unsigned long long)j->gen);
    if (*ret_cut > 0 && (ftruncate(j->fd, (off_t)j->end) != 0 || fdatasync(j->fd) != 0))
        return err_errno(err, errno, "cut the torn tail of %s", j->path);
    return ERR_OK;
}

static enum err_code journal_make(const char *path, struct err *err)
{
    struct journal_head h = {.byte_order = BYTE_ORDER_MARK, .version = JOURNAL_VERSION};
    memcpy(h.magic, JOURNAL_MAGIC, sizeof h.magic);
    return file_write(path, str_n((const char *)&h, sizeof h), 0600, err);
}

enum err_code journal_open(const char *path, struct journal **ret, int64_t *ret_cut,
                           struct err *err)
{
    int64_t cut = 0;
    if (!file_exists(path) && journal_make(path, err) != ERR_OK)
        return err_wrap(err, "make the decision journal");
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        return err_nomem(err);
    mutex_init(&j->mutex, "audit.journal", RANK_JOURNAL);
    j->path = strdup(path);
    j->fd = open(path, O_RDWR | O_CLOEXEC);
    enum err_code code = ERR_OK;
    if (!j->path)
        code = err_nomem(err);
    else if (j->fd < 0)
        code = err_errno(err, errno, "open %s", path);
    else
        code = journal_load(j, &cut, err);
    if (code != ERR_OK) {
        journal_close(j);
        return code;
    }
    if (ret_cut)
        *ret_cut = cut;
    *ret = j;
    return ERR_OK;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    fd_close(&j->fd);
    mutex_fini(&j->mutex);
    free(j->path);
    free(j);
}

static enum err_code append_bytes(struct journal *j, const struct record_head *h, struct str text,
                                  struct err *err)
{
    struct buf b;
    buf_init(&b, sizeof *h + text.n);
    buf_put(&b, h, sizeof *h);
    buf_str(&b, text);
    enum err_code code = buf_ok(&b, err);
    if (code == ERR_OK) {
        ssize_t n = pwrite(j->fd, b.p, b.n, (off_t)j->end);
        if (n != (ssize_t)b.n || fdatasync(j->fd) != 0) {
            code = err_errno(err, n >= 0 && n != (ssize_t)b.n ? ENOSPC : errno, "append to %s",
                             j->path);
            if (ftruncate(j->fd, (off_t)j->end) != 0)
                err_wrap(err, "and the part written could not be taken back");
        }
    }
    buf_fini(&b);
    return code;
}

static enum err_code record_text(const struct json *record, uint64_t gen, int64_t at_us,
                                 struct arena *a, struct buf *out, struct err *err)
{
    struct json *doc = json_obj(a);
    json_set(a, doc, "gen", json_int(a, (int64_t)gen));
    json_set(a, doc, "at", json_time(a, at_us));
    for (size_t i = 0; i < json_len(record); i++)
        json_set(a, doc, record->u.obj.members[i].key.p, record->u.obj.members[i].val);
    return json_write(doc, JSON_COMPACT, out, err);
}

enum err_code journal_append(struct journal *j, const struct json *record, int64_t at_us,
                             uint64_t *ret_gen, struct err *err)
{
    struct arena a;
    struct buf b;
    CHECK(record->type == JSON_OBJ);
    arena_init(&a, RECORD_MAX_BYTES);
    buf_init(&b, RECORD_MAX_BYTES);
    mutex_lock(&j->mutex);
    struct record_head h = {.gen = j->gen + 1, .at_us = at_us};
    enum err_code code = record_text(record, h.gen, at_us, &a, &b, err);
    if (code == ERR_OK) {
        h.length = (uint32_t)b.n;
        h.crc = record_crc(&h, buf_view(&b));
        code = append_bytes(j, &h, buf_view(&b), err);
    }
    if (code == ERR_OK) {
        j->gen = h.gen;
        j->end += (int64_t)(sizeof h + b.n);
        *ret_gen = h.gen;
    }
    mutex_unlock(&j->mutex);
    buf_fini(&b);
    arena_fini(&a);
    return code;
}

uint64_t journal_generation(const struct journal *j)
{
    struct journal *m = (struct journal *)(uintptr_t)j;
    mutex_lock(&m->mutex);
    uint64_t gen = j->gen;
    mutex_unlock(&m->mutex);
    return gen;
}

enum err_code journal_read(struct journal *j, uint64_t after, struct arena *a, journal_fn fn,
                           void *arg, struct err *err)
{
    struct record_head h = {0};
    int64_t at = (int64_t)sizeof(struct journal_head);
    mutex_lock(&j->mutex);
    int64_t end = j->end;
    mutex_unlock(&j->mutex);
    enum err_code code = ERR_OK;
    bool is_wanted = true;
    while (code == ERR_OK && is_wanted && at < end) {
        struct arena_mark mark = arena_mark(a);
        struct str text;
        struct json *doc;
        enum step st = record_read(j, at, end, a, &h, &text, &code, err);
        if (code == ERR_OK && st != STEP_OK)
            code = err_set(err, ERR_CORRUPT, "%s is damaged at byte %lld", j->path, (long long)at);
        if (code == ERR_OK && h.gen > after) {
            code = json_read(text, a, &doc, err);
            is_wanted = code == ERR_OK && fn(arg, h.gen, h.at_us, doc);
        }
        at += (int64_t)sizeof h + h.length;
        arena_release(a, mark);
    }
    return code;
}
