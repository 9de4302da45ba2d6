/* Private to job/: frames on a stream socket: u32 length of the JSON, u8 kind, u32 CRC32C of kind and JSON, JSON;
 * integers little-endian. */
#ifndef PAWL_JOB_JOB_FRAME_H
#define PAWL_JOB_JOB_FRAME_H

#include <stdatomic.h>

#include "base/arena.h"
#include "json/json.h"

#define FRAME_BYTES_MAX                                                                            \
    (256u << 20) /* a result with every row of a small report; files carry the rest */
#define FRAME_HEAD_BYTES 9
#define FRAME_POLL_MS    50 /* how often a wait looks at its cancel flag */

enum frame_kind {
    FRAME_REQUEST = 1,
    FRAME_PROGRESS,
    FRAME_RECORD,
    FRAME_RESULT,
    FRAME_ERROR,
    FRAME_KIND_N
};

struct frame_wait {
    int64_t deadline_ns;             /* monotonic; 0: none */
    const atomic_bool *is_cancelled; /* may be NULL */
};

/* ERR_CHILD when the other side is gone. */
enum err_code frame_write(int fd, enum frame_kind kind, const struct json *v,
                          struct err *err) MUST_CHECK;
/* Blocks until a whole frame is there. ERR_EMPTY: the other side closed between two frames; ERR_CHILD: inside one; ERR_CORRUPT:
 * not a frame; ERR_TIMEOUT; ERR_CANCELLED. */
enum err_code frame_read(int fd, const struct frame_wait *w, struct arena *a,
                         enum frame_kind *ret_kind, struct json **ret, struct err *err) MUST_CHECK;

#endif
