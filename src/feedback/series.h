/* A series: append-only segment files in one directory, the ground of the prediction, shadow and label logs.
 *
 *     <dir>/00000000000000000001.seg    64-byte head {magic, version, byte order, instance, number, created, lanes}
 *                                       frames {u32 length, u32 CRC-32C, u16 type, u16 lane, u64 seq, payload}
 *
 * Length counts the payload; the checksum covers type, lane, seq and payload. All numbers are in the byte order that the
 * head names; another order is refused. (lane, seq) names a record of its writer lane; a lane's numbers only grow, which is what
 * makes recovery exactly-once. A head carries the last seq of every lane before it.
 * Opening for writing cuts a torn tail of the newest segment (a crash inside an append); damage elsewhere ends
 * the reading of that segment with ERR_CORRUPT. A position (instance, segment, offset) names a place between frames.
 * Threads: one appender at a time; readers from any thread and from other processes; each reader one at a time. */
#ifndef PAWL_FEEDBACK_SERIES_H
#define PAWL_FEEDBACK_SERIES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/arena.h"
#include "base/str.h"

#define SERIES_LANES_MAX  64
#define SERIES_FRAME_MAX  (4u << 20)
#define SERIES_FRAME_HEAD 20u

struct log_pos {
    uint64_t instance; /* of the directory; 0: the very start */
    uint64_t segment;  /* 0: the very start */
    uint64_t offset;   /* bytes from the segment's start */
};
/* "instance-segment-offset" in hex, for JSON and databases; 51 characters with NUL. */
#define LOG_POS_TEXT_BYTES 51
void log_pos_text(const struct log_pos *p, char out[LOG_POS_TEXT_BYTES]);
enum err_code log_pos_parse(struct str s, struct log_pos *ret, struct err *err) MUST_CHECK;
int log_pos_cmp(const struct log_pos *a, const struct log_pos *b); /* same instance */

struct series;

struct series_options {
    const char *dir;
    bool may_write;        /* else read only: another process's series, or the owner is away */
    int64_t segment_bytes; /* a full segment is closed; 0: 64 MiB */
};

struct series_recovery {
    int64_t cut_bytes;                   /* torn tail */
    uint64_t last_seq[SERIES_LANES_MAX]; /* newest of each lane on disk */
};

enum err_code series_open(const struct series_options *opt, struct series **ret,
                          struct series_recovery *ret_recovery, struct err *err) MUST_CHECK;
void series_close(struct series *s); /* NULL is fine */

/* One frame: head and payload. */
enum err_code series_append(struct series *s, uint16_t type, uint16_t lane, uint64_t seq,
                            struct str payload, struct log_pos *ret_pos,
                            struct err *err) MUST_CHECK;
/* Ready frames in iov, whole; readers see them all or (after a crash) a prefix. last_seq: of every lane after
 * them. *ret_pos: of the first. */
enum err_code series_append_frames(struct series *s, struct iovec *iov, int n_iov,
                                   const uint64_t last_seq[SERIES_LANES_MAX],
                                   struct log_pos *ret_pos, struct err *err) MUST_CHECK;
enum err_code series_sync(struct series *s, struct err *err) MUST_CHECK;
/* Removes everything behind a position (a fold's side output after a crash). */
enum err_code series_truncate(struct series *s, const struct log_pos *pos,
                              struct err *err) MUST_CHECK;
struct log_pos series_end(const struct series *s);   /* behind the newest frame */
struct log_pos series_start(const struct series *s); /* of the oldest segment kept */
/* Closed segments older than `before_us` (creation of the next one), then the oldest until at most max_bytes are left (0: no
 * bound), never one at or behind `keep`. Returns how many were removed. */
size_t series_retain(struct series *s, int64_t before_us, int64_t max_bytes,
                     const struct log_pos *keep);
int64_t series_bytes(const struct series *s);
/* Writes a ready frame's head; payload lies at out + SERIES_FRAME_HEAD. */
void series_frame_seal(unsigned char *out, uint16_t type, uint16_t lane, uint64_t seq,
                       uint32_t payload_bytes);

/* ---- reading ---- */
struct series_frame {
    struct log_pos pos;  /* of this frame */
    struct log_pos next; /* behind it: store this one once it is folded */
    uint16_t type, lane;
    uint64_t seq;
    struct str payload; /* until the next call */
};

struct series_reader;
/* from: a stored position, or zeroes for the oldest. ERR_NOT_FOUND when retention has passed it (then start again
 * at series_start and say so), ERR_CONFLICT for another instance's. */
enum err_code series_reader_open(struct series *s, const struct log_pos *from,
                                 struct series_reader **ret, struct err *err) MUST_CHECK;
void series_reader_close(struct series_reader *r);
/* The next frame; *ret_is_there false when there was none within timeout_ms (0: do not wait). */
enum err_code series_reader_next(struct series_reader *r, int64_t timeout_ms, bool *ret_is_there,
                                 struct series_frame *ret, struct err *err) MUST_CHECK;
/* Where it stands: the position of the next frame. */
struct log_pos series_reader_pos(const struct series_reader *r);
/* One frame at a position that a reader or an index gave. */
enum err_code series_read_at(struct series *s, const struct log_pos *pos, struct arena *a,
                             struct series_frame *ret, struct err *err) MUST_CHECK;

#endif
