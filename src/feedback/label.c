/* Labels: a series of its own, one frame a label, synced before it is acknowledged. Sending the same label again (same name,
 * value and time) finds its hash among the last ones and changes nothing. */
#include "feedback/label.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/thread.h"
#include "feedback/frame.h"
#include "feedback/record.h"

#define RANK_LABEL     4900
#define FRAME_LABEL    3
#define LABEL_VERSION  1
#define DEDUP_LABELS   (1u << 20)
#define READER_BYTES   (16u << 20)
#define LABEL_TEXT_MAX 4096
#define WAYS           8

struct label_log {
    struct series *series;
    struct mutex mutex;
    uint64_t seq;
    size_t n_sets;
    uint64_t *seen; /* n_sets * WAYS hashes, 0 empty */
    uint8_t *turn;  /* n_sets: which way is replaced next */
};

/* ---- layout: u8 version, 16 id, u32 row, i64 event, known, wall, then value, then four texts with u32 lengths ---- */

static void put_text(struct buf *b, struct str s)
{
    uint32_t n = (uint32_t)s.n;
    buf_put(b, &n, sizeof n);
    buf_str(b, s);
}

/* All that makes two labels the same one: everything but the wall time. */
static void label_key(const struct label_record *l, struct buf *b)
{
    uint8_t version = LABEL_VERSION;
    buf_put(b, &version, 1);
    buf_put(b, l->id, sizeof l->id);
    buf_put(b, &l->row, sizeof l->row);
    buf_put(b, &l->event_us, sizeof l->event_us);
    buf_put(b, &l->known_us, sizeof l->known_us);
    put_text(b, l->endpoint);
    put_text(b, l->client_id);
    put_text(b, l->keys);
    put_text(b, l->name);
    uint8_t type = (uint8_t)l->label.type;
    buf_put(b, &type, 1);
    if (l->label.type == VAL_STR)
        put_text(b, l->label.u.s);
    else if (l->label.type == VAL_BOOL)
        buf_ch(b, l->label.u.b ? 1 : 0);
    else
        buf_put(b, &l->label.u.i, sizeof l->label.u.i); /* the float's bits are the union's */
}

static void get_bytes(struct str *rest, void *out, size_t n, bool *is_bad)
{
    if (*is_bad || rest->n < n) {
        *is_bad = true;
        return;
    }
    memcpy(out, rest->p, n);
    rest->p += n;
    rest->n -= n;
}

static struct str get_text(struct str *rest, bool *is_bad)
{
    uint32_t n = 0;
    get_bytes(rest, &n, sizeof n, is_bad);
    if (*is_bad || rest->n < n) {
        *is_bad = true;
        return STR("");
    }
    struct str s = str_n(rest->p, n);
    rest->p += n;
    rest->n -= n;
    return s;
}

static enum err_code label_decode(struct str bytes, struct label_record *ret, struct err *err)
{
    struct label_record l = {0};
    struct str rest = bytes;
    bool is_bad = false;
    uint8_t version = 0, type = 0, truth = 0;
    get_bytes(&rest, &version, 1, &is_bad);
    get_bytes(&rest, l.id, sizeof l.id, &is_bad);
    get_bytes(&rest, &l.row, sizeof l.row, &is_bad);
    get_bytes(&rest, &l.event_us, sizeof l.event_us, &is_bad);
    get_bytes(&rest, &l.known_us, sizeof l.known_us, &is_bad);
    l.endpoint = get_text(&rest, &is_bad);
    l.client_id = get_text(&rest, &is_bad);
    l.keys = get_text(&rest, &is_bad);
    l.name = get_text(&rest, &is_bad);
    get_bytes(&rest, &type, 1, &is_bad);
    l.label.type = type < VAL_TYPE_N ? (enum value_type)type : VAL_NULL;
    if (l.label.type == VAL_STR)
        l.label.u.s = get_text(&rest, &is_bad);
    else if (l.label.type == VAL_BOOL)
        get_bytes(&rest, &truth, 1, &is_bad);
    else
        get_bytes(&rest, &l.label.u.i, sizeof l.label.u.i, &is_bad);
    if (l.label.type == VAL_BOOL)
        l.label.u.b = truth != 0;
    get_bytes(&rest, &l.wall_us, sizeof l.wall_us, &is_bad);
    if (is_bad || rest.n || version != LABEL_VERSION || type >= VAL_TYPE_N)
        return err_set(err, ERR_CORRUPT, "a label record of %zu bytes is not whole", bytes.n);
    *ret = l;
    return ERR_OK;
}

/* True when it was not there. */
static bool seen_add(struct label_log *l, struct str key)
{
    uint64_t h = hash64(key.p, key.n, 0) | 1, *set = l->seen + (h >> 1 & (l->n_sets - 1)) * WAYS;
    for (size_t i = 0; i < WAYS; i++)
        if (set[i] == h)
            return false;
    uint8_t *turn = &l->turn[h >> 1 & (l->n_sets - 1)];
    set[*turn] = h;
    *turn = (uint8_t)((*turn + 1) % WAYS);
    return true;
}

static void seen_remove(struct label_log *l, struct str key)
{
    uint64_t h = hash64(key.p, key.n, 0) | 1, *set = l->seen + (h >> 1 & (l->n_sets - 1)) * WAYS;
    for (size_t i = 0; i < WAYS; i++)
        if (set[i] == h)
            set[i] = 0;
}

/* The hashes of the newest labels, from the last two segments. */
static enum err_code seen_fill(struct label_log *l, struct err *err)
{
    struct log_pos at = series_start(l->series), end = series_end(l->series);
    struct series_reader *r = NULL;
    struct series_frame f;
    bool is_there = true;
    at.segment = end.segment > at.segment ? end.segment - 1 : at.segment;
    enum err_code code = series_reader_open(l->series, &at, &r, err);
    while (code == ERR_OK && is_there) {
        code = series_reader_next(r, 0, &is_there, &f, err);
        if (code == ERR_OK && is_there && f.payload.n > sizeof(int64_t))
            seen_add(l, str_n(f.payload.p, f.payload.n - sizeof(int64_t)));
    }
    series_reader_close(r);
    return code;
}

enum err_code label_log_open(const struct label_log_options *opt, struct label_log **ret,
                             struct err *err)
{
    struct label_log *l = calloc(1, sizeof *l);
    struct series_options so = {opt->dir, opt->may_write, opt->segment_bytes};
    struct series_recovery rec = {0};
    if (!l)
        return err_nomem(err);
    mutex_init(&l->mutex, "feedback.label", RANK_LABEL);
    l->n_sets = 64;
    while (l->n_sets * WAYS < (opt->dedup_labels ? opt->dedup_labels : DEDUP_LABELS))
        l->n_sets *= 2;
    l->seen = calloc(l->n_sets * WAYS, sizeof *l->seen);
    l->turn = calloc(l->n_sets, 1);
    enum err_code code = l->seen && l->turn ? ERR_OK : err_nomem(err);
    if (code == ERR_OK)
        code = series_open(&so, &l->series, &rec, err);
    if (code == ERR_OK) {
        l->seq = rec.last_seq[0];
        code = opt->may_write ? seen_fill(l, err) : ERR_OK;
    }
    if (code != ERR_OK) {
        label_log_close(l);
        return err_wrap(err, "open the label log");
    }
    *ret = l;
    return ERR_OK;
}

void label_log_close(struct label_log *l)
{
    if (!l)
        return;
    series_close(l->series);
    mutex_fini(&l->mutex);
    free(l->seen);
    free(l->turn);
    free(l);
}

/* The frames of those that are new, one behind the other. */
static size_t frames_make(struct label_log *l, const struct label_record *labels, size_t n,
                          struct buf *frames, struct buf *one)
{
    size_t n_new = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char head[SERIES_FRAME_HEAD] = {0};
        buf_reset(one);
        buf_put(one, head, sizeof head);
        label_key(&labels[i], one);
        if (one->is_failed || !seen_add(l, str_n(one->p + sizeof head, one->n - sizeof head)))
            continue;
        buf_put(one, &labels[i].wall_us, sizeof labels[i].wall_us);
        if (one->is_failed)
            continue;
        n_new++;
        series_frame_seal((unsigned char *)one->p, FRAME_LABEL, 0, l->seq + n_new,
                          (uint32_t)(one->n - sizeof head));
        buf_put(frames, one->p, one->n);
    }
    return n_new;
}

/* After a failed append: the same labels must be new when they come again. */
static void frames_forget(struct label_log *l, struct str frames)
{
    struct frame f;
    while (frame_parse((const unsigned char *)frames.p, frames.n, &f) == FRAME_OK) {
        seen_remove(l, str_n((const char *)f.payload, f.payload_bytes - sizeof(int64_t)));
        frames.p += SERIES_FRAME_HEAD + f.payload_bytes;
        frames.n -= SERIES_FRAME_HEAD + f.payload_bytes;
    }
}

static enum err_code frames_append(struct label_log *l, struct buf *frames, size_t n_new,
                                   struct err *err)
{
    uint64_t last_seq[SERIES_LANES_MAX] = {l->seq + n_new};
    struct iovec iov = {frames->p, frames->n};
    struct log_pos pos;
    if (series_append_frames(l->series, &iov, 1, last_seq, &pos, err) != ERR_OK ||
        series_sync(l->series, err) != ERR_OK) {
        frames_forget(l, buf_view(frames));
        return err->code;
    }
    l->seq += n_new;
    return ERR_OK;
}

enum err_code label_log_put(struct label_log *l, const struct label_record *labels, size_t n,
                            size_t *ret_new, struct err *err)
{
    struct buf frames, one;
    buf_init(&frames, SIZE_MAX / 2);
    buf_init(&one, SERIES_FRAME_MAX);
    mutex_lock(&l->mutex);
    size_t n_new = frames_make(l, labels, n, &frames, &one);
    enum err_code code = buf_ok(&frames, err);
    if (code == ERR_OK)
        code = buf_ok(&one, err);
    if (code == ERR_OK && n_new > 0)
        code = frames_append(l, &frames, n_new, err);
    mutex_unlock(&l->mutex);
    if (code == ERR_OK)
        *ret_new = n_new;
    buf_fini(&frames);
    buf_fini(&one);
    return code;
}

struct series *label_log_series(struct label_log *l)
{
    return l->series;
}

uint64_t label_log_count(const struct label_log *l)
{
    struct label_log *m = (struct label_log *)(uintptr_t)l;
    mutex_lock(&m->mutex);
    uint64_t n = l->seq;
    mutex_unlock(&m->mutex);
    return n;
}

/* ---- reading ---- */

struct label_reader {
    struct series_reader *r;
};

enum err_code label_reader_open(struct series *s, const struct log_pos *from,
                                struct label_reader **ret, struct err *err)
{
    struct label_reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_nomem(err);
    if (series_reader_open(s, from, &r->r, err) != ERR_OK) {
        free(r);
        return err->code;
    }
    *ret = r;
    return ERR_OK;
}

void label_reader_close(struct label_reader *r)
{
    if (!r)
        return;
    series_reader_close(r->r);
    free(r);
}

enum err_code label_reader_next(struct label_reader *r, int64_t timeout_ms, bool *ret_is_there,
                                struct label_record *ret, struct log_pos *ret_next, struct err *err)
{
    struct series_frame f;
    if (series_reader_next(r->r, timeout_ms, ret_is_there, &f, err) != ERR_OK)
        return err->code;
    if (!*ret_is_there)
        return ERR_OK;
    *ret_next = f.next;
    return label_decode(f.payload, ret, err);
}

double label_number(const struct label_record *l)
{
    if (l->label.type == VAL_BOOL)
        return l->label.u.b ? 1 : 0;
    if (l->label.type == VAL_INT)
        return (double)l->label.u.i;
    return l->label.type == VAL_FLOAT ? l->label.u.f : (double)NAN;
}
