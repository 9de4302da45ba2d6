#include "feedback/frame.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

/* u32 length, u32 crc, u16 type, u16 lane, u64 seq: packed, so by hand. */
enum { AT_CRC = 4, AT_TYPE = 8, AT_LANE = 10, AT_SEQ = 12 };
_Static_assert(AT_SEQ + sizeof(uint64_t) == SERIES_FRAME_HEAD, "head of a frame");

void series_frame_seal(unsigned char *out, uint16_t type, uint16_t lane, uint64_t seq,
                       uint32_t payload_bytes)
{
    memcpy(out, &payload_bytes, sizeof payload_bytes);
    memcpy(out + AT_TYPE, &type, sizeof type);
    memcpy(out + AT_LANE, &lane, sizeof lane);
    memcpy(out + AT_SEQ, &seq, sizeof seq);
    uint32_t crc = crc32c(0, out + AT_TYPE, SERIES_FRAME_HEAD - AT_TYPE + payload_bytes);
    memcpy(out + AT_CRC, &crc, sizeof crc);
}

void frame_head(const unsigned char *p, struct frame *ret)
{
    memcpy(&ret->payload_bytes, p, sizeof ret->payload_bytes);
    memcpy(&ret->type, p + AT_TYPE, sizeof ret->type);
    memcpy(&ret->lane, p + AT_LANE, sizeof ret->lane);
    memcpy(&ret->seq, p + AT_SEQ, sizeof ret->seq);
    ret->payload = p + SERIES_FRAME_HEAD;
}

enum frame_state frame_parse(const unsigned char *p, size_t n, struct frame *ret)
{
    uint32_t crc;
    if (n < SERIES_FRAME_HEAD)
        return FRAME_SHORT;
    frame_head(p, ret);
    if (ret->payload_bytes > SERIES_FRAME_MAX || ret->lane >= SERIES_LANES_MAX)
        return FRAME_BAD;
    if (n - SERIES_FRAME_HEAD < ret->payload_bytes)
        return FRAME_SHORT;
    memcpy(&crc, p + AT_CRC, sizeof crc);
    if (crc != crc32c(0, p + AT_TYPE, SERIES_FRAME_HEAD - AT_TYPE + ret->payload_bytes))
        return FRAME_BAD;
    return FRAME_OK;
}

static uint32_t head_crc(const struct segment_head *h)
{
    struct segment_head copy = *h;
    copy.crc = 0;
    return crc32c(0, &copy, sizeof copy);
}

void segment_head_seal(struct segment_head *h)
{
    memcpy(h->magic, SEGMENT_MAGIC, sizeof h->magic);
    h->byte_order = BYTE_ORDER_MARK;
    h->version = SEGMENT_VERSION;
    h->head_bytes = sizeof *h;
    h->crc = head_crc(h);
}

enum err_code segment_head_check(const struct segment_head *h, const char *path, struct err *err)
{
    if (memcmp(h->magic, SEGMENT_MAGIC, sizeof h->magic) != 0)
        return err_set(err, ERR_CORRUPT, "%s is not a segment of a log", path);
    if (h->byte_order != BYTE_ORDER_MARK)
        return err_set(err, ERR_UNSUPPORTED, "%s was written on a machine with another byte order",
                       path);
    if (h->version != SEGMENT_VERSION || h->head_bytes != sizeof *h)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s has version %u of the format; this program reads %d", path, h->version,
                       SEGMENT_VERSION);
    if (h->crc != head_crc(h))
        return err_set(err, ERR_CORRUPT, "the head of %s is damaged", path);
    return ERR_OK;
}
