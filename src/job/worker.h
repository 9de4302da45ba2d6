/* Heavy work happens in children: `pawl worker` processes of this executable that load DuckDB, XGBoost and the
 * like on first use, so that the server and quick commands stay small and no foreign code can harm them.
 *
 * Parent and child talk over an inherited socketpair in frames {u32 length, u8 kind, u32 crc32c, JSON}: kinds
 * REQUEST, PROGRESS, RECORD, RESULT, ERROR. A child never opens the database; what it found it returns as
 * JSON, large results as files in a directory that the parent names. A warm child serves many requests; one that
 * dies, times out or is cancelled is replaced and its request fails with ERR_CHILD / ERR_TIMEOUT / ERR_CANCELLED.
 * Children die with their parent and start without inherited descriptors, in a session of their own.
 * Threads: pool_* from any. */
#ifndef PAWL_JOB_WORKER_H
#define PAWL_JOB_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "json/json.h"

/* ---- in the child ---- */
struct worker;

struct worker_op {
    const char *name; /* "data.profile" */
    enum err_code (*run)(struct worker *w, const struct json *args, struct json **ret,
                         struct err *err);
};

/* Serves requests on fd until it closes; the process's exit status. */
int worker_main(int fd, const struct worker_op *ops, size_t n_ops);
struct arena *worker_arena(struct worker *w); /* lives for one request */
/* 0..1 and a short sentence; sent at most ten times a second. */
void worker_progress(struct worker *w, double done, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* An intermediate result, such as one metric of one round; delivered in order before RESULT. */
enum err_code worker_record(struct worker *w, const char *kind, const struct json *v,
                            struct err *err) MUST_CHECK;

/* ---- in the parent ---- */
struct worker_pool;

struct worker_pool_options {
    const char *exe;      /* this executable; NULL: /proc/self/exe */
    int n_max;            /* children at most; 1..16 */
    int64_t idle_ms;      /* an idle child ends after this */
    int64_t memory_bytes; /* address-space limit of a child; 0: none */
};

struct worker_call {
    const char *op;
    const struct json *args;
    int64_t timeout_ms;              /* > 0 */
    const atomic_bool *is_cancelled; /* may be NULL; looked at every 50 ms */
    void (*on_progress)(void *arg, double done,
                        const char *text); /* may be NULL; on the calling thread */
    enum err_code (*on_record)(void *arg, const char *kind, const struct json *v,
                               struct err *err); /* may be NULL */
    void *arg;
};

enum err_code worker_pool_open(const struct worker_pool_options *opt, struct worker_pool **ret,
                               struct err *err) MUST_CHECK;
void worker_pool_close(struct worker_pool *p);
/* Waits for a free child, runs, returns the RESULT (in arena) or the child's error with its code and sentence. */
enum err_code worker_pool_call(struct worker_pool *p, const struct worker_call *call,
                               struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

/* ---- a user's command (`run:`) ---- */
struct command {
    const char *shell;       /* `sh -c` text, or NULL when argv is given */
    const char *const *argv; /* NULL-terminated */
    const char *cwd;
    const char *const *env; /* "NAME=value", NULL-terminated: the whole environment of the child */
    const char *log_path;   /* stdout and stderr, appended */
    int64_t timeout_ms;
    const atomic_bool *is_cancelled;
};

struct command_result {
    int exit_status; /* 128 + signal when killed */
    int64_t duration_ms;
    int64_t max_rss_bytes, cpu_us; /* of the whole process group where the kernel tells */
};

/* Runs to the end; ERR_TIMEOUT / ERR_CANCELLED after the whole process group was killed; a non-zero exit
 * status is not an error here. */
enum err_code command_run(const struct command *c, struct command_result *ret,
                          struct err *err) MUST_CHECK;

#endif
