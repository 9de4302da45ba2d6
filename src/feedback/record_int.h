/* Inside of feedback: the first fields of a record without decoding the rest. */
#ifndef PAWL_FEEDBACK_RECORD_INT_H
#define PAWL_FEEDBACK_RECORD_INT_H

#include "feedback/record.h"

#define RECORD_VERSION 1

struct record_cursor {
    const unsigned char *p, *end;
    unsigned flags;
    bool is_bad;
};

/* Role, status, id, row, client id, endpoint, wall time; texts borrowed. False when the bytes are damaged. */
bool record_peek(struct record_cursor *c, struct prediction_record *r);

#endif
