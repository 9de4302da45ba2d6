/* Inside of feedback: the bytes of segment heads and frames (series.h tells the layout). */
#ifndef PAWL_FEEDBACK_FRAME_H
#define PAWL_FEEDBACK_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "feedback/series.h"

#define SEGMENT_MAGIC   "PAWLSEG1"
#define SEGMENT_VERSION 1
#define BYTE_ORDER_MARK 0x01020304u

struct segment_head {
    char magic[8];
    uint32_t byte_order, version;
    uint64_t instance, number;
    int64_t created_us;
    uint32_t head_bytes, crc; /* crc of the whole head with this field 0 */
    uint64_t last_seq[SERIES_LANES_MAX];
};

void segment_head_seal(struct segment_head *h);
enum err_code segment_head_check(const struct segment_head *h, const char *path,
                                 struct err *err) MUST_CHECK;

enum frame_state { FRAME_OK, FRAME_SHORT, FRAME_BAD };
struct frame {
    uint32_t payload_bytes;
    uint16_t type, lane;
    uint64_t seq;
    const unsigned char *payload;
};
/* The frame at p[n]: OK, SHORT (it ends behind n), BAD (checksum or length). */
enum frame_state frame_parse(const unsigned char *p, size_t n, struct frame *ret);
/* Head only, without the checksum: for a ring that its owner wrote a moment ago. */
void frame_head(const unsigned char *p, struct frame *ret);

#endif
