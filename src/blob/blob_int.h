/* Inside blob/: paths in the store and copying with a hash. */
#ifndef PAWL_BLOB_BLOB_INT_H
#define PAWL_BLOB_BLOB_INT_H

#include <stdatomic.h>

#include "base/file.h"
#include "blob/blob.h"

struct blob_store {
    char dir[PATH_BYTES]; /* store/: ab/cdef…, tmp/, lock */
};

/* dir/ab/cdef… ; ret_parent (may be NULL) dir/ab. */
enum err_code blob_place(const struct blob_store *s, const struct digest *d, char ret[PATH_BYTES],
                         char ret_parent[PATH_BYTES], struct err *err) MUST_CHECK;
/* Copies from one descriptor to an empty one (sharing blocks where the file system can) and hashes
 * what was written. */
enum err_code blob_copy(int from, int to, const char *what, struct digest *ret, int64_t *ret_bytes,
                        struct err *err) MUST_CHECK;
/* Puts and the sweep exclude each other, over processes too: flock on store/lock. */
enum blob_lock { BLOB_LOCK_PUT, BLOB_LOCK_SWEEP, BLOB_LOCK_N };
enum err_code blob_lock_take(const struct blob_store *s, enum blob_lock how, int *ret_fd,
                             struct err *err) MUST_CHECK;
/* A new, empty file in store/tmp; mode 0600. */
enum err_code blob_temp(const struct blob_store *s, char ret_path[PATH_BYTES], int *ret_fd,
                        struct err *err) MUST_CHECK;
/* Gives the finished temporary file its name; closes *fd; path is gone afterwards in every case. */
enum err_code blob_settle(struct blob_store *s, const char *path, int *fd, const struct digest *d,
                          struct err *err) MUST_CHECK;

#endif
