/* Inside of `pawl replay`. Private to cli/replay*.c. */
#ifndef PAWL_CLI_REPLAY_INT_H
#define PAWL_CLI_REPLAY_INT_H

#include <pthread.h>

#include "base/clock.h"
#include "base/thread.h"
#include "cli/replay.h"

#define REPLAY_FILES_MAX 1024

struct replay_order {
    const char *files[REPLAY_FILES_MAX];
    size_t n_files;
    const char *endpoint, *time, *label, *known_at;
    int64_t label_after_us, tick_us, until_us; /* until AT_US_NONE: the tick behind the last row */
    double speed;                              /* event seconds a second; 0: as fast as it goes */
    int n_connections, pipeline;
};

/* replay_args.c */
enum err_code replay_parse(int n, char **args, struct replay_order *ret,
                           struct err *err) MUST_CHECK;

/* replay_rows.c: rows of the files, read by a worker beside the sending. */
struct replay_row {
    const struct json *columns; /* names */
    const struct json *values;
    int64_t at_us, known_us;
    double label; /* NaN: none */
    uint64_t seq; /* in its file */
    size_t file;
};
struct replay_rows;
enum err_code replay_rows_open(const struct replay_order *o, struct replay_rows **ret,
                               struct err *err) MUST_CHECK;
void replay_rows_close(struct replay_rows *r);
enum replay_next { REPLAY_ROW, REPLAY_LATER, REPLAY_END };
/* Never blocks; *ret lives until the next call that gives a row. */
enum replay_next replay_rows_next(struct replay_rows *r, struct replay_row *ret);
/* Why reading ended too early, or ERR_OK. */
enum err_code replay_rows_err(struct replay_rows *r, struct err *err) MUST_CHECK;

/* replay_fields.c: what the endpoint takes. */
struct replay_fields {
    const struct json *inputs; /* of the model's metadata */
    int64_t clock_us;          /* the endpoint's event clock; AT_US_NONE: never moved */
};
enum err_code replay_fields_get(const struct cli_target *t, const char *endpoint, struct arena *a,
                                struct replay_fields *ret, struct err *err) MUST_CHECK;
/* The request of a row. */
void replay_body(const struct replay_fields *f, const struct replay_row *row, const char *id,
                 struct buf *out);
void replay_id(const struct replay_order *o, const struct replay_row *row, char ret[64]);

#endif
