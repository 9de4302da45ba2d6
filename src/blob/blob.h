/* Content-addressed store: bytes are named by their SHA-256 and never change.
 *
 * home/store/ab/cdef… holds one file a blob, mode 0444. A put writes aside, syncs, renames and
 * syncs the directory, so that a blob is there whole or not at all; two puts of the same content at
 * once are safe and make one file. Bytes are checked against their name when asked (blob_verify,
 * blob_read) and always by those who load models. Not for: names that people give (registry/),
 * trees of files (blob/tree.h). Threads: any. */
#ifndef PAWL_BLOB_BLOB_H
#define PAWL_BLOB_BLOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"

struct blob_store;

/* Makes the directory when it is not there and removes what a crash left half written. */
enum err_code blob_open(const char *dir, struct blob_store **ret, struct err *err) MUST_CHECK;
void blob_close(struct blob_store *s); /* accepts NULL */

enum err_code blob_put_bytes(struct blob_store *s, struct str bytes, struct digest *ret,
                             struct err *err) MUST_CHECK;
/* Reflink where the file system can, else a copy; the digest is that of the bytes that were stored.
 * ret_bytes may be NULL. */
enum err_code blob_put_file(struct blob_store *s, const char *path, struct digest *ret,
                            int64_t *ret_bytes, struct err *err) MUST_CHECK;

/* A stream of unknown length: open, add, then exactly one of commit and abort. */
struct blob_writer;
enum err_code blob_writer_open(struct blob_store *s, struct blob_writer **ret,
                               struct err *err) MUST_CHECK;
enum err_code blob_writer_add(struct blob_writer *w, const void *p, size_t n,
                              struct err *err) MUST_CHECK;
enum err_code blob_writer_commit(struct blob_writer *w, struct digest *ret, int64_t *ret_bytes,
                                 struct err *err) MUST_CHECK;
void blob_writer_abort(struct blob_writer *w); /* accepts NULL */

bool blob_has(struct blob_store *s, const struct digest *d);
/* Where it lies, for programs that read files; ERR_NOT_FOUND when it does not. Never write there.
 * */
enum err_code blob_path(struct blob_store *s, const struct digest *d, struct arena *a, char **ret,
                        struct err *err) MUST_CHECK;
enum err_code blob_size(struct blob_store *s, const struct digest *d, int64_t *ret,
                        struct err *err) MUST_CHECK;
/* Whole and checked: ERR_CORRUPT names digest and file. At most limit bytes (ERR_TOO_LARGE). */
enum err_code blob_read(struct blob_store *s, const struct digest *d, size_t limit, struct arena *a,
                        struct str *ret, struct err *err) MUST_CHECK;
enum err_code blob_verify(struct blob_store *s, const struct digest *d, struct err *err) MUST_CHECK;
/* To a new file of one's own (reflink or copy), synced. */
enum err_code blob_export(struct blob_store *s, const struct digest *d, const char *dst,
                          mode_t mode, struct err *err) MUST_CHECK;

struct blob_report {
    int64_t n_blobs, n_bytes;
    int64_t n_bad; /* blob_verify_all: damaged; blob_sweep: 0 */
    int64_t n_swept, swept_bytes;
};
/* Checks every blob; tells each damaged one. ERR_CORRUPT when any was, with the first one's
 * sentence. */
enum err_code blob_verify_all(struct blob_store *s,
                              void (*on_bad)(void *arg, const struct digest *d, const char *text),
                              void *arg, struct blob_report *ret, struct err *err) MUST_CHECK;
/* The sweep of mark and sweep: removes what is_marked denies and what has not been put again since
 * before_us (file time). The owner of the home calls it; a put of swept content at the same time
 * makes it anew. */
enum err_code blob_sweep(struct blob_store *s, bool (*is_marked)(void *arg, const struct digest *d),
                         void *arg, int64_t before_us, struct blob_report *ret,
                         struct err *err) MUST_CHECK;

#endif
