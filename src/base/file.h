/* Files: the one door to the file system. New files are written aside, synced, renamed, and the directory
 * synced, so that a reader or a crash sees the old or the new, never a part.
 * Paths are NUL-terminated. Threads: any. */
#ifndef PAWL_BASE_FILE_H
#define PAWL_BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define PATH_BYTES 4096

/* dir + "/" + name into the arena; NULL when full. */
char *path_join(struct arena *a, const char *dir, const char *name);
const char *path_base(const char *path);
bool file_exists(const char *path);
bool dir_exists(const char *path);
enum err_code dir_make(const char *path, mode_t mode,
                       struct err *err) MUST_CHECK; /* with parents; exists = ok */
enum err_code dir_sync(const char *path, struct err *err) MUST_CHECK;
/* Removes a tree, never following links; absent = ok. */
enum err_code dir_remove(const char *path, struct err *err) MUST_CHECK;
/* Entries in byte order, without "." and "..". */
enum err_code dir_list(const char *path, struct arena *a, char ***ret, size_t *ret_n,
                       struct err *err) MUST_CHECK;
/* Paths that match a shell glob with ** , in byte order; none = ok with 0. */
enum err_code path_glob(const char *pattern, struct arena *a, char ***ret, size_t *ret_n,
                        struct err *err) MUST_CHECK;
/* Whole file, at most limit bytes (ERR_TOO_LARGE). The text is NUL-terminated behind its end. */
enum err_code file_read(const char *path, size_t limit, struct arena *a, struct str *ret,
                        struct err *err) MUST_CHECK;
enum err_code file_write(const char *path, struct str bytes, mode_t mode,
                         struct err *err) MUST_CHECK;
enum err_code file_size(const char *path, int64_t *ret, struct err *err) MUST_CHECK;
enum err_code file_remove(const char *path, struct err *err) MUST_CHECK; /* absent = ok */
/* Reflink where the file system can, else a copy; synced; dst must not exist. */
enum err_code file_clone(const char *src, const char *dst, mode_t mode, struct err *err) MUST_CHECK;
enum err_code file_rename_sync(const char *from, const char *to, struct err *err) MUST_CHECK;
/* The whole n bytes, continuing after short writes and EINTR. */
enum err_code fd_write_all(int fd, const void *p, size_t n, struct err *err) MUST_CHECK;
enum err_code fd_read_all(int fd, void *p, size_t n,
                          struct err *err) MUST_CHECK; /* ERR_IO at early end */
void fd_close(int *fd);                                /* -1 = nothing; sets -1 */

#endif
