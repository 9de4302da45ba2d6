/* Inside of feedback/series: state shared by the appender and the readers. */
#ifndef PAWL_FEEDBACK_SERIES_INT_H
#define PAWL_FEEDBACK_SERIES_INT_H

#include "base/file.h"
#include "base/thread.h"
#include "feedback/frame.h"

#define RANK_SERIES        5200
#define SEGMENT_NAME_BYTES 32
#define SEGMENT_DIGITS     20

struct series {
    char dir[PATH_BYTES - SEGMENT_NAME_BYTES];
    bool may_write;
    int64_t segment_bytes;
    uint64_t instance;
    struct mutex mutex; /* end, first, waiters; append itself is one thread at a time */
    struct cond moved;
    uint64_t first;     /* oldest segment */
    struct log_pos end; /* committed */
    int fd;             /* of the newest segment, writing */
    int64_t bytes;      /* of all segments */
    uint64_t last_seq[SERIES_LANES_MAX];
    uint64_t truncations; /* so that readers drop what they have buffered */
};

void segment_path(const struct series *s, uint64_t number, char out[PATH_BYTES]);
enum err_code segment_head_read(int fd, const char *path, struct segment_head *ret,
                                struct err *err);
/* Numbers of the segments in dir, ascending. */
enum err_code segment_list(const char *dir, struct arena *a, uint64_t **ret, size_t *ret_n,
                           struct err *err) MUST_CHECK;
/* Reads frames from offset on: last_seq is brought up to date; *ret_end: behind the last whole frame. */
enum err_code segment_scan(int fd, const char *path, uint64_t offset, uint64_t *last_seq,
                           uint64_t *ret_end, struct err *err) MUST_CHECK;
/* Where readers may read to; looks at the directory when another process writes. */
enum err_code series_look(struct series *s, struct err *err) MUST_CHECK;

#endif
