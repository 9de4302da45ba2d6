#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

char *path_join(struct arena *a, const char *dir, const char *name)
{
    size_t n = strlen(dir);
    const char *slash = n > 0 && dir[n - 1] == '/' ? "" : "/";
    return str_printf(a, "%s%s%s", dir, slash, name);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool dir_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

enum err_code fd_write_all(int fd, const void *p, size_t n, struct err *err)
{
    const char *b = p;
    while (n > 0) {
        ssize_t w = write(fd, b, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return err_errno(err, w == 0 ? EIO : errno, "write");
        b += w;
        n -= (size_t)w;
    }
    return ERR_OK;
}

enum err_code fd_read_all(int fd, void *p, size_t n, struct err *err)
{
    char *b = p;
    while (n > 0) {
        ssize_t r = read(fd, b, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_errno(err, errno, "read");
        if (r == 0)
            return err_set(err, ERR_IO, "the input ends %zu bytes early", n);
        b += r;
        n -= (size_t)r;
    }
    return ERR_OK;
}

/* Reads what there is, not what stat promised: files of /proc have size 0, others grow. */
static enum err_code read_to_end(int fd, size_t limit, struct buf *out, struct err *err)
{
    char piece[16384];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "read");
        if (n == 0)
            return buf_ok(out, err);
        if ((size_t)n > limit - out->n)
            return err_set(err, ERR_TOO_LARGE, "it is larger than the %zu bytes allowed here",
                           limit);
        buf_put(out, piece, (size_t)n);
    }
}

enum err_code file_read(const char *path, size_t limit, struct arena *a, struct str *ret,
                        struct err *err)
{
    struct buf bytes;
    enum err_code code;
    buf_init(&bytes, limit);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    code = read_to_end(fd, limit, &bytes, err);
    if (code != ERR_OK) {
        err_wrap(err, "%s", path);
        goto done;
    }
    char *copy = str_dup(a, buf_view(&bytes));
    if (!copy) {
        code = arena_err(a, err);
        goto done;
    }
    *ret = str_n(copy, bytes.n);
done:
    buf_fini(&bytes);
    fd_close(&fd);
    return code;
}

enum err_code file_size(const char *path, int64_t *ret, struct err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(err, errno, "look at %s", path);
    *ret = (int64_t)st.st_size;
    return ERR_OK;
}

enum err_code file_remove(const char *path, struct err *err)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", path);
    return ERR_OK;
}

/* The folder that holds path, as text: "." when it names none. */
static enum err_code parent_of(const char *path, char out[PATH_BYTES], struct err *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= PATH_BYTES)
        return err_set(err, ERR_INVALID, "the path is longer than %d bytes", PATH_BYTES);
    if (!slash) {
        snprintf(out, PATH_BYTES, ".");
        return ERR_OK;
    }
    n = n == 0 ? 1 : n;
    memcpy(out, path, n);
    out[n] = '\0';
    return ERR_OK;
}

static enum err_code parent_sync(const char *path, struct err *err)
{
    char parent[PATH_BYTES];
    enum err_code code = parent_of(path, parent, err);
    return code == ERR_OK ? dir_sync(parent, err) : code;
}

/* Syncs and closes; the first failure counts. */
static enum err_code fd_finish(int *fd, const char *path, struct err *err)
{
    enum err_code code = ERR_OK;
    if (fsync(*fd) != 0)
        code = err_errno(err, errno, "sync %s", path);
    if (close(*fd) != 0 && code == ERR_OK)
        code = err_errno(err, errno, "close %s", path);
    *fd = -1;
    return code;
}

enum err_code file_rename_sync(const char *from, const char *to, struct err *err)
{
    if (rename(from, to) != 0)
        return err_errno(err, errno, "rename %s to %s", from, to);
    return parent_sync(to, err);
}

enum err_code file_write(const char *path, struct str bytes, mode_t mode, struct err *err)
{
    char aside[PATH_BYTES];
    uint64_t unique;
    random_bytes(&unique, sizeof unique);
    int n = snprintf(aside, sizeof aside, "%s.%016llx.tmp", path, (unsigned long long)unique);
    if (n < 0 || (size_t)n >= sizeof aside)
        return err_set(err, ERR_INVALID, "the path is longer than %d bytes", PATH_BYTES);
    int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_errno(err, errno, "make %s", aside);
    enum err_code code = fd_write_all(fd, bytes.p, bytes.n, err);
    if (code != ERR_OK)
        err_wrap(err, "%s", path);
    else
        code = fd_finish(&fd, path, err);
    if (code == ERR_OK)
        code = file_rename_sync(aside, path, err);
    if (code != ERR_OK)
        unlink(aside);
    fd_close(&fd);
    return code;
}

static enum err_code copy_bytes(int from, int to, const char *src, struct err *err)
{
    enum { PIECE_BYTES = 1 << 17 };
    char *piece = malloc(PIECE_BYTES);
    enum err_code code = piece ? ERR_OK : err_nomem(err);
    while (code == ERR_OK) {
        ssize_t n = read(from, piece, PIECE_BYTES);
        if (n == 0)
            break;
        if (n > 0)
            code = fd_write_all(to, piece, (size_t)n, err);
        else if (errno != EINTR)
            code = err_errno(err, errno, "read %s", src);
    }
    free(piece);
    return code;
}

enum err_code file_clone(const char *src, const char *dst, mode_t mode, struct err *err)
{
    enum err_code code = ERR_OK;
    int to = -1, from = open(src, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return err_errno(err, errno, "open %s", src);
    to = open(dst, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (to < 0) {
        code = err_errno(err, errno, "make %s", dst);
        fd_close(&from);
        return code;
    }
    if (ioctl(to, FICLONE, from) != 0)
        code = copy_bytes(from, to, src, err);
    if (code == ERR_OK)
        code = fd_finish(&to, dst, err);
    if (code == ERR_OK)
        code = parent_sync(dst, err);
    if (code != ERR_OK)
        unlink(dst);
    fd_close(&from);
    fd_close(&to);
    return code;
}
