/* What app/ wires together and every operation works with. Pointers are borrowed: app/ owns what they
 * point to and closes it in reverse order. A NULL means "not there (yet)": ask with services_need, which answers
 * ERR_UNAVAILABLE with a sentence. The part above `db` is there as soon as operations are. */
#ifndef PAWL_API_SERVICES_H
#define PAWL_API_SERVICES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"

struct services {
    const char *home;          /* absolute path; NULL: a command that runs without one */
    const char *root;          /* the project's folder: the home's parent; NULL without a home */
    const char *instance;      /* id of this process, for what it leaves behind */
    const struct clock *clock; /* wall time */
    bool is_replay;            /* event clocks follow replayed events */
    bool is_server;  /* `pawl server` or `pawl up`; false: one command in its own process */
    const char *url; /* "http://127.0.0.1:5000" when listening, else NULL */
    atomic_bool *is_stopping; /* set once, at shutdown */
    /* Makes sure that `url` is there, for children that log to us: in a plain command a loopback port is opened for
     * as long as it runs. NULL without a home. */
    enum err_code (*listen)(struct services *sv, struct err *err);

    struct access *access;                /* access/access.h: the home's token */
    struct blob_store *blobs;             /* blob/blob.h */
    struct journal *journal;              /* audit/journal.h */
    struct worker_pool *pool;             /* job/worker.h */
    struct online *online;                /* features/online.h */
    struct feedback_log *log;             /* feedback/log.h */
    struct label_log *labels;             /* feedback/label.h */
    struct serve *serve;                  /* serve/serve.h */
    struct http_server *server;           /* http/server.h */
    struct monitor *monitor;              /* monitor/monitor.h */
    struct release_host *release;         /* release/control.h */
    const struct pipeline_host *pipeline; /* pipeline/run.h; its db is NULL until there is one */

    /* Appear together when the database has been reached: read each once. */
    struct db *_Atomic db;               /* db/db.h */
    struct audit_chain *_Atomic audit;   /* audit/chain.h */
    struct track *_Atomic track;         /* track/track.h */
    struct registry *_Atomic registry;   /* registry/registry.h */
    struct alert_sender *_Atomic sender; /* alert/sender.h */
    struct loop *_Atomic loop;           /* loop/loop.h: the scheduler; NULL in a plain command */
};

/* ERR_OK, or ERR_UNAVAILABLE: "the database is not there yet: try again". */
static inline enum err_code services_need(const void *part, const char *what, struct err *err)
{
    if (part)
        return ERR_OK;
    return err_set(err, ERR_UNAVAILABLE, "%s is not available now: try again in a moment", what);
}

#endif
