#include "feedback/log_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/thread.h"
#include "feedback/record_int.h"

#define RANK_INDEX  5100
#define INDEX_MAGIC "PAWLIDX1"
#define FIRST_CAP   1024

struct index_entry {
    uint64_t key;
    uint64_t offset;
};

struct index_head {
    char magic[8];
    uint64_t segment, n;
    uint32_t crc, unused; /* of the entries */
};

struct log_index {
    struct series *series;
    char dir[PATH_BYTES - 64];
    struct mutex mutex;
    uint64_t segment;            /* of the table */
    struct index_entry *entries; /* of the newest segment, in order of arrival */
    size_t n, cap;
    bool is_whole; /* nothing was lost for want of memory */
};

struct log_index *log_index_new(struct series *s, const char *dir)
{
    struct log_index *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->series = s;
    x->is_whole = true;
    snprintf(x->dir, sizeof x->dir, "%s", dir);
    mutex_init(&x->mutex, "feedback.index", RANK_INDEX);
    return x;
}

void log_index_free(struct log_index *x)
{
    if (!x)
        return;
    mutex_fini(&x->mutex);
    free(x->entries);
    free(x);
}

uint64_t log_index_key(const uint8_t id[16], uint32_t row)
{
    uint8_t key[16];
    record_key(id, row, key);
    return hash64(key, sizeof key, 0);
}

uint64_t log_index_client_key(struct str endpoint, struct str client_id, uint32_t row)
{
    return hash64(client_id.p, client_id.n, hash64(endpoint.p, endpoint.n, (uint64_t)row + 1));
}

static int entry_cmp(const void *a, const void *b)
{
    const struct index_entry *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void index_path(const struct log_index *x, uint64_t segment, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%020llu.idx", x->dir, (unsigned long long)segment);
}

/* Sorts and writes; the file may be made again any time, so an error only costs a scan later. */
static enum err_code index_write(struct log_index *x, uint64_t segment, struct index_entry *e,
                                 size_t n, struct err *err)
{
    char path[PATH_BYTES];
    struct buf b;
    if (n > 1)
        qsort(e, n, sizeof *e, entry_cmp);
    struct index_head h = {.segment = segment, .n = n, .crc = crc32c(0, e, n * sizeof *e)};
    memcpy(h.magic, INDEX_MAGIC, sizeof h.magic);
    index_path(x, segment, path);
    buf_init(&b, sizeof h + n * sizeof *e);
    buf_put(&b, &h, sizeof h);
    buf_put(&b, e, n * sizeof *e);
    enum err_code code = buf_ok(&b, err);
    if (code == ERR_OK)
        code = file_write(path, buf_view(&b), 0600, err);
    buf_fini(&b);
    return code;
}

static bool entry_add(struct log_index *x, uint64_t key, uint64_t offset)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : FIRST_CAP;
        struct index_entry *e = realloc(x->entries, cap * sizeof *e);
        if (!e) {
            x->is_whole = false;
            return false;
        }
        x->entries = e;
        x->cap = cap;
    }
    x->entries[x->n++] = (struct index_entry){key, offset};
    return true;
}

static bool payload_add(struct log_index *x, uint64_t offset, struct str payload)
{
    struct record_cursor c = {(const unsigned char *)payload.p,
                              (const unsigned char *)payload.p + payload.n, 0, false};
    struct prediction_record r = {0};
    if (!record_peek(&c, &r) || r.status == RECORD_ERROR)
        return true;
    bool is_ok = entry_add(x, log_index_key(r.id, r.row), offset);
    if (is_ok && r.client_id.n)
        is_ok = entry_add(x, log_index_client_key(r.endpoint, r.client_id, r.row), offset);
    return is_ok;
}

bool log_index_add(struct log_index *x, uint64_t segment, uint64_t offset, struct str payload)
{
    struct err ignored = ERR_INIT;
    mutex_lock(&x->mutex);
    if (segment != x->segment) {
        if (x->segment && x->is_whole &&
            index_write(x, x->segment, x->entries, x->n, &ignored) != ERR_OK)
            x->is_whole = false;
        x->segment = segment;
        x->n = 0;
        x->is_whole = true;
    }
    bool is_ok = payload_add(x, offset, payload);
    mutex_unlock(&x->mutex);
    return is_ok;
}

/* ---- closed segments ---- */

struct mapped {
    void *p;
    size_t bytes;
    const struct index_entry *e;
    size_t n;
};

static bool index_map(const char *path, uint64_t segment, struct mapped *m)
{
    struct stat st;
    struct index_head h;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_ok = fd >= 0 && fstat(fd, &st) == 0 &&
                 pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h &&
                 memcmp(h.magic, INDEX_MAGIC, sizeof h.magic) == 0 && h.segment == segment &&
                 (uint64_t)st.st_size == sizeof h + h.n * sizeof(struct index_entry);
    if (is_ok) {
        m->bytes = (size_t)st.st_size;
        m->p = mmap(NULL, m->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        is_ok = m->p != MAP_FAILED;
        m->e = (const struct index_entry *)(const void *)((const char *)m->p + sizeof h);
        m->n = h.n;
    }
    fd_close(&fd);
    return is_ok;
}

/* The entries of a segment by reading it, into tmp. */
static enum err_code segment_read(struct log_index *x, uint64_t segment, struct log_index *tmp,
                                  struct err *err)
{
    struct log_pos at = series_start(x->series);
    struct series_reader *r = NULL;
    struct series_frame f;
    bool is_there = true;
    *tmp = (struct log_index){.series = x->series, .is_whole = true, .segment = segment};
    memcpy(tmp->dir, x->dir, sizeof tmp->dir);
    at.segment = segment; /* the offset of a start is that of any segment's first frame */
    enum err_code code = series_reader_open(x->series, &at, &r, err);
    while (code == ERR_OK && is_there) {
        code = series_reader_next(r, 0, &is_there, &f, err);
        is_there = is_there && code == ERR_OK && f.pos.segment == segment;
        if (is_there && !payload_add(tmp, f.pos.offset, f.payload))
            code = err_nomem(err);
    }
    series_reader_close(r);
    return code;
}

static enum err_code index_rebuild(struct log_index *x, uint64_t segment, struct err *err)
{
    struct log_index tmp;
    enum err_code code = segment_read(x, segment, &tmp, err);
    if (code == ERR_OK)
        code = index_write(x, segment, tmp.entries, tmp.n, err);
    free(tmp.entries);
    return code;
}

/* A search: what for, and the places found so far. */
struct search {
    uint64_t key;
    struct log_pos *ret;
    size_t n_max, n;
};

/* The entries of one segment, sorted (a file) or in order of arrival (memory). */
struct entries {
    uint64_t segment;
    const struct index_entry *e;
    size_t n;
    bool is_sorted;
};

static size_t lower_bound(const struct entries *in, uint64_t key)
{
    size_t lo = 0, hi = in->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (in->e[mid].key < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void take(const struct log_index *x, const struct entries *in, struct search *q)
{
    uint64_t instance = series_start(x->series).instance;
    for (size_t i = in->is_sorted ? lower_bound(in, q->key) : 0; i < in->n && q->n < q->n_max;
         i++) {
        if (in->e[i].key == q->key)
            q->ret[q->n++] = (struct log_pos){instance, in->segment, in->e[i].offset};
        else if (in->is_sorted)
            break;
    }
}

static enum err_code find_closed(struct log_index *x, uint64_t segment, struct search *q,
                                 struct err *err)
{
    char path[PATH_BYTES];
    struct mapped m;
    index_path(x, segment, path);
    if (!index_map(path, segment, &m)) {
        if (index_rebuild(x, segment, err) != ERR_OK)
            return err_wrap(err, "index of segment %llu", (unsigned long long)segment);
        if (!index_map(path, segment, &m))
            return err_set(err, ERR_IO, "the index %s cannot be read", path);
    }
    take(x, &(struct entries){segment, m.e, m.n, true}, q);
    munmap(m.p, m.bytes);
    return ERR_OK;
}

/* The newest segment of another process: its index is not on disk yet. */
static enum err_code find_open(struct log_index *x, uint64_t segment, struct search *q,
                               struct err *err)
{
    struct log_index tmp;
    enum err_code code = segment_read(x, segment, &tmp, err);
    if (code == ERR_OK)
        take(x, &(struct entries){segment, tmp.entries, tmp.n, false}, q);
    free(tmp.entries);
    return code;
}

enum err_code log_index_find(struct log_index *x, uint64_t key, struct log_pos *ret, size_t n_max,
                             size_t *ret_n, struct err *err)
{
    enum err_code code = ERR_OK;
    struct search q = {key, ret, n_max, 0};
    mutex_lock(&x->mutex);
    struct log_pos end = series_end(x->series), start = series_start(x->series);
    for (uint64_t s = end.segment; code == ERR_OK && s >= start.segment && s > 0 && q.n < n_max;
         s--) {
        if (s == x->segment && x->is_whole)
            take(x, &(struct entries){s, x->entries, x->n, false}, &q);
        else if (s == end.segment)
            code = find_open(x, s, &q, err);
        else
            code = find_closed(x, s, &q, err);
    }
    mutex_unlock(&x->mutex);
    *ret_n = q.n;
    return code;
}

void log_index_drop_before(struct log_index *x, uint64_t segment)
{
    char path[PATH_BYTES];
    struct err ignored = ERR_INIT;
    for (uint64_t s = segment; s-- > 1;) {
        index_path(x, s, path);
        if (!file_exists(path) || file_remove(path, &ignored) != ERR_OK)
            return;
    }
}
