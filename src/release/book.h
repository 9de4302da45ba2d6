/* The book of rollouts: what the decision journal says about every endpoint, applied record by record. The same book is
 * kept in memory (up to the newest record) and built anew by the projection (up to each record it writes). Pure: no
 * clock, no database. Threads: one at a time. */
#ifndef PAWL_RELEASE_BOOK_H
#define PAWL_RELEASE_BOOK_H

#include "monitor/monitor.h"
#include "release/rollout.h"

struct book_origin { /* where a release came from, as its decision said */
    int64_t release;
    const char *project, *revision; /* NULL: none */
};

struct book_endpoint {
    const char *name;
    int64_t live;
    bool has_rollout;       /* the last one is in progress */
    struct rollout rollout; /* the last one; id 0: there never was one */
    struct watch_stretch stretches[WATCH_STRETCHES_MAX];
    size_t n_stretches;
    struct book_origin *origins;
    size_t n_origins;
    int64_t changed_us; /* event time of the last decision */
    bool is_new;        /* changed since the owner last cleared it */
    struct book_endpoint *next;
};

struct book {
    struct arena arena;
    struct book_endpoint *endpoints;
    uint64_t generation; /* newest record applied */
};

void book_init(struct book *b);
void book_fini(struct book *b);
/* One journal record {gen, at, kind, endpoint, …}. Records at or below the book's generation are skipped. */
enum err_code book_apply(struct book *b, uint64_t gen, int64_t at_us, const struct json *record,
                         struct err *err) MUST_CHECK;
struct book_endpoint *book_find(struct book *b, const char *endpoint);
const struct book_origin *book_origin(const struct book_endpoint *e, int64_t release); /* NULL */
/* What the monitor is to watch; false without a rollout in progress. */
bool book_watch(const struct book_endpoint *e, struct rollout_watch *ret);

#endif
