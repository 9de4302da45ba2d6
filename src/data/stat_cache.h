/* Private to data/: digests of files that have not moved since they were hashed. */
#ifndef PAWL_DATA_STAT_CACHE_H
#define PAWL_DATA_STAT_CACHE_H

#include <sys/stat.h>

#include "base/arena.h"
#include "base/hash.h"
#include "db/db.h"

struct stat_entry {
    char *path; /* absolute */
    struct stat st;
    int64_t hashed_ns; /* wall time when hashing began; 0: digest not known */
    struct digest digest;
    bool is_new; /* hashed now: to be saved */
};

/* Fills stat and, from the table, digest of each entry whose file is as it was when it was hashed. A file changed
 * within the file system's granularity before it was hashed is never trusted (git's racy rule).
 * Cost: one stat and one indexed look-up a file. ERR_NOT_FOUND when a file is gone. */
enum err_code stat_cache_load(struct db *db, struct stat_entry *e, size_t n,
                              struct err *err) MUST_CHECK;
/* Stores the entries that are new. */
enum err_code stat_cache_save(struct db *db, const struct stat_entry *e, size_t n,
                              struct err *err) MUST_CHECK;
/* Is it still the same file, now that it has been hashed? */
bool stat_entry_is_same(const struct stat_entry *e);

#endif
