/* The quick no: is an earlier run still the whole truth?  Answered from the stat cache alone,
 * before a database or a YAML file is opened: 500 unchanged steps in milliseconds.
 *
 * A finished run leaves home/jobs/fresh-<key>: every path it depended on (files with size, mtime,
 * ctime, inode, device; directories that globs looked into), the program's version, until when its
 * freshness verdicts hold, and its answer. A file modified within the clock's granularity before
 * the record was made is never trusted (git's racy rule): the record then leaves it out and the
 * next run looks at its bytes. */
#ifndef PAWL_PIPELINE_FRESH_H
#define PAWL_PIPELINE_FRESH_H

#include "base/arena.h"
#include "json/json.h"

struct fresh_order {
    const char *home, *root;
    const char *const *steps;
    size_t n_steps;
    int64_t as_of_us; /* AT_US_NONE: none */
    int64_t now_us;
};

/* True: nothing changed, and *ret is the answer of `pawl run` (outcome "unchanged"). False: look
 * closely. Never an error: what cannot be read counts as changed. Threads: any. Cost: one stat per
 * path. */
bool fresh_is_unchanged(const struct fresh_order *o, struct arena *a, struct json **ret);

struct fresh_record; /* gathers paths during a run */
struct fresh_record *fresh_record_new(struct arena *a);
void fresh_record_path(struct fresh_record *r,
                       const char *path); /* file or directory; absent is a state too */
/* Every directory a glob's answer depends on, and the files it gave. */
void fresh_record_glob(struct fresh_record *r, const char *pattern);
/* Writes the record; `until_us`: freshness verdicts hold until then (INT64_MAX: for ever). */
enum err_code fresh_record_save(struct fresh_record *r, const struct fresh_order *o,
                                int64_t until_us, const struct json *answer,
                                struct err *err) MUST_CHECK;
/* Forgets every record of the home (cache cleared, store collected). */
enum err_code fresh_forget(const char *home, struct err *err) MUST_CHECK;

#endif
