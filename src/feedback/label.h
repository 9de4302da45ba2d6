/* Labels: what turned out to be true, joined to predictions by id, client id or entity keys; and outcomes, named business
 * values joined the same way. An append-only series (predictions/labels/), acknowledged when synced; the same
 * label sent again is one label. The fold reads it beside the prediction log. Threads: any. */
#ifndef PAWL_FEEDBACK_LABEL_H
#define PAWL_FEEDBACK_LABEL_H

#include "base/arena.h"
#include "base/value.h"
#include "feedback/series.h"
#include "json/json.h"

struct label_record {
    struct str endpoint;  /* required */
    uint8_t id[16];       /* all zero: by client id or keys */
    uint32_t row;         /* row of the request */
    struct str client_id; /* empty: not by client id */
    struct str
        keys; /* canonical JSON object {field: value} of request fields; empty: not by keys */
    int64_t event_us;   /* of the predicted event, with keys; else AT_US_NONE */
    struct str name;    /* empty: the label; else the outcome's name */
    struct value label; /* bool, int, float or string (class) */
    int64_t known_us;   /* when it was known, event time; AT_US_NONE: at wall_us */
    int64_t wall_us;    /* when it came */
};

struct label_log;
struct label_log_options {
    const char *dir; /* home/predictions/labels */
    bool may_write;
    int64_t segment_bytes; /* 0: 64 MiB */
    size_t dedup_labels;   /* how many last ones are remembered; 0: 1,048,576 */
};
enum err_code label_log_open(const struct label_log_options *opt, struct label_log **ret,
                             struct err *err) MUST_CHECK;
void label_log_close(struct label_log *l);
/* All of them synced when it returns; *ret_new: how many were not there before. Not inline. */
enum err_code label_log_put(struct label_log *l, const struct label_record *labels, size_t n,
                            size_t *ret_new, struct err *err) MUST_CHECK;
struct series *label_log_series(struct label_log *l);
uint64_t label_log_count(const struct label_log *l); /* frames since open and before */

struct label_reader;
enum err_code label_reader_open(struct series *s, const struct log_pos *from,
                                struct label_reader **ret, struct err *err) MUST_CHECK;
void label_reader_close(struct label_reader *r);
enum err_code label_reader_next(struct label_reader *r, int64_t timeout_ms, bool *ret_is_there,
                                struct label_record *ret, struct log_pos *ret_next,
                                struct err *err) MUST_CHECK;

/* {prediction_id|id|client_id|keys, row?, label|value, name?, known_at?, time?} -> record; texts in the arena. */
enum err_code label_from_json(const struct json *v, struct str endpoint, int64_t wall_us,
                              struct arena *a, struct label_record *ret,
                              struct err *err) MUST_CHECK;
struct json *label_json(const struct label_record *l, struct arena *a);
/* The label as a number: bool 0/1, int, float; NaN for a class name. */
double label_number(const struct label_record *l);

#endif
