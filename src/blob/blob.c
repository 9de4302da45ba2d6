#include "blob/blob_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define COPY_BYTES (1 << 18)

static enum err_code path_fill(char out[PATH_BYTES], struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static enum err_code path_fill(char out[PATH_BYTES], struct err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(out, PATH_BYTES, fmt, ap);
    va_end(ap);
    return n > 0 && n < PATH_BYTES ? ERR_OK
                                   : err_set(err, ERR_INVALID, "a path in the store is too long");
}

enum err_code blob_place(const struct blob_store *s, const struct digest *d, char ret[PATH_BYTES],
                         char ret_parent[PATH_BYTES], struct err *err)
{
    char hex[DIGEST_HEX_BYTES];
    digest_hex(d, hex);
    enum err_code code = path_fill(ret, err, "%s/%.2s/%s", s->dir, hex, hex + 2);
    if (code == ERR_OK && ret_parent)
        code = path_fill(ret_parent, err, "%s/%.2s", s->dir, hex);
    return code;
}

enum err_code blob_lock_take(const struct blob_store *s, enum blob_lock how, int *ret_fd,
                             struct err *err)
{
    char path[PATH_BYTES];
    enum err_code code = path_fill(path, err, "%s/lock", s->dir);
    if (code != ERR_OK)
        return code;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    int rc;
    do
        rc = flock(fd, how == BLOB_LOCK_SWEEP ? LOCK_EX : LOCK_SH);
    while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        code = err_errno(err, errno, "lock %s", path);
        fd_close(&fd);
        return code;
    }
    *ret_fd = fd;
    return ERR_OK;
}

/* Removes what writers of an earlier life left: files in tmp/ that nobody has touched for a day. */
static void temps_clear(const char *tmp)
{
    struct arena a;
    char **names = NULL, path[PATH_BYTES];
    size_t n = 0;
    struct stat st;
    int64_t before_s = (clock_now_us(&CLOCK_SYSTEM) - US_PER_DAY) / US_PER_S;
    arena_init(&a, (size_t)64 << 20);
    if (dir_list(tmp, &a, &names, &n, NULL) == ERR_OK)
        for (size_t i = 0; i < n; i++)
            if (path_fill(path, NULL, "%s/%s", tmp, names[i]) == ERR_OK && lstat(path, &st) == 0 &&
                S_ISREG(st.st_mode) && st.st_mtime < before_s)
                unlink(path);
    arena_fini(&a);
}

enum err_code blob_open(const char *dir, struct blob_store **ret, struct err *err)
{
    char tmp[PATH_BYTES];
    struct blob_store *s = calloc(1, sizeof(*s));
    enum err_code code = s ? path_fill(s->dir, err, "%s", dir) : err_nomem(err);
    if (code == ERR_OK)
        code = path_fill(tmp, err, "%s/tmp", dir);
    if (code == ERR_OK)
        code = dir_make(tmp, 0700, err);
    if (code != ERR_OK) {
        free(s);
        return err_wrap(err, "open the content store");
    }
    temps_clear(tmp);
    *ret = s;
    return ERR_OK;
}

void blob_close(struct blob_store *s)
{
    free(s);
}

enum err_code blob_temp(const struct blob_store *s, char ret_path[PATH_BYTES], int *ret_fd,
                        struct err *err)
{
    uint8_t bytes[16];
    char hex[33];
    random_bytes(bytes, sizeof(bytes));
    hex_encode(bytes, sizeof(bytes), hex);
    enum err_code code = path_fill(ret_path, err, "%s/tmp/%s", s->dir, hex);
    if (code != ERR_OK)
        return code;
    int fd = open(ret_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "make %s", ret_path);
    *ret_fd = fd;
    return ERR_OK;
}

static enum err_code parent_make(const char *parent, const char *store, struct err *err)
{
    if (mkdir(parent, 0700) == 0)
        return dir_sync(store, err);
    return errno == EEXIST ? ERR_OK : err_errno(err, errno, "make folder %s", parent);
}

/* Under the lock: content that is there already only gets a new time, so that a sweep spares it. */
static enum err_code settle_locked(struct blob_store *s, const char *temp, int fd,
                                   const struct digest *d, struct err *err)
{
    char path[PATH_BYTES], parent[PATH_BYTES];
    enum err_code code = blob_place(s, d, path, parent, err);
    if (code != ERR_OK)
        return code;
    if (utimensat(AT_FDCWD, path, NULL, 0) == 0)
        return ERR_OK;
    if (fchmod(fd, 0444) != 0 || fsync(fd) != 0)
        return err_errno(err, errno, "sync %s", temp);
    code = parent_make(parent, s->dir, err);
    return code == ERR_OK ? file_rename_sync(temp, path, err) : code;
}

enum err_code blob_settle(struct blob_store *s, const char *path, int *fd, const struct digest *d,
                          struct err *err)
{
    int lock = -1;
    enum err_code code = blob_lock_take(s, BLOB_LOCK_PUT, &lock, err);
    if (code == ERR_OK)
        code = settle_locked(s, path, *fd, d, err);
    fd_close(&lock);
    fd_close(fd);
    unlink(path);
    return code;
}

enum err_code blob_copy(int from, int to, const char *what, struct digest *ret, int64_t *ret_bytes,
                        struct err *err)
{
    enum err_code code = ERR_OK;
    bool is_shared = ioctl(to, FICLONE, from) == 0;
    int source = is_shared ? to : from;
    int64_t total = 0;
    struct sha256 *h = sha256_new();
    char *piece = malloc(COPY_BYTES);
    if (!h || !piece)
        code = err_nomem(err);
    while (code == ERR_OK) {
        ssize_t n = read(source, piece, COPY_BYTES);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            code = err_errno(err, errno, "read %s", what);
            break;
        }
        sha256_add(h, piece, (size_t)n);
        total += n;
        if (!is_shared)
            code = fd_write_all(to, piece, (size_t)n, err);
    }
    if (code == ERR_OK) {
        sha256_end(h, ret);
        *ret_bytes = total;
    }
    free(piece);
    sha256_free(h);
    return code;
}

enum err_code blob_put_file(struct blob_store *s, const char *path, struct digest *ret,
                            int64_t *ret_bytes, struct err *err)
{
    char temp[PATH_BYTES];
    int from = -1, to = -1;
    struct digest d;
    struct stat st;
    int64_t bytes = 0;
    enum err_code code = ERR_OK;
    from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) != 0)
        code = err_errno(err, errno, "open %s", path);
    else if (!S_ISREG(st.st_mode))
        code = err_set(err, ERR_INVALID, "%s is not an ordinary file", path);
    if (code == ERR_OK)
        code = blob_temp(s, temp, &to, err);
    if (code == ERR_OK) {
        code = blob_copy(from, to, path, &d, &bytes, err);
        if (code == ERR_OK)
            code = blob_settle(s, temp, &to, &d, err);
        else
            unlink(temp);
    }
    fd_close(&from);
    fd_close(&to);
    if (code != ERR_OK)
        return err_wrap(err, "store %s", path);
    *ret = d;
    if (ret_bytes)
        *ret_bytes = bytes;
    return ERR_OK;
}

struct blob_writer {
    struct blob_store *store;
    struct sha256 *hash;
    char temp[PATH_BYTES];
    int fd;
    int64_t bytes;
};

enum err_code blob_writer_open(struct blob_store *s, struct blob_writer **ret, struct err *err)
{
    struct blob_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return err_nomem(err);
    w->store = s;
    w->fd = -1;
    w->hash = sha256_new();
    enum err_code code = w->hash ? blob_temp(s, w->temp, &w->fd, err) : err_nomem(err);
    if (code != ERR_OK) {
        blob_writer_abort(w);
        return code;
    }
    *ret = w;
    return ERR_OK;
}

enum err_code blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *err)
{
    enum err_code code = fd_write_all(w->fd, p, n, err);
    if (code != ERR_OK)
        return err_wrap(err, "write to the content store");
    sha256_add(w->hash, p, n);
    w->bytes += (int64_t)n;
    return ERR_OK;
}

enum err_code blob_writer_commit(struct blob_writer *w, struct digest *ret, int64_t *ret_bytes,
                                 struct err *err)
{
    struct digest d;
    int64_t bytes = w->bytes;
    sha256_end(w->hash, &d);
    enum err_code code = blob_settle(w->store, w->temp, &w->fd, &d, err);
    blob_writer_abort(w);
    if (code != ERR_OK)
        return err_wrap(err, "write to the content store");
    *ret = d;
    if (ret_bytes)
        *ret_bytes = bytes;
    return ERR_OK;
}

void blob_writer_abort(struct blob_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        unlink(w->temp);
    fd_close(&w->fd);
    sha256_free(w->hash);
    free(w);
}

/* Short content that is there already costs no file: the common case of unchanged documents. */
enum err_code blob_put_bytes(struct blob_store *s, struct str bytes, struct digest *ret,
                             struct err *err)
{
    struct digest d;
    struct blob_writer *w = NULL;
    char path[PATH_BYTES];
    int lock = -1;
    digest_of(bytes.p, bytes.n, &d);
    enum err_code code = blob_place(s, &d, path, NULL, err);
    if (code == ERR_OK)
        code = blob_lock_take(s, BLOB_LOCK_PUT, &lock, err);
    if (code != ERR_OK)
        return code;
    bool is_there = utimensat(AT_FDCWD, path, NULL, 0) == 0;
    fd_close(&lock);
    if (!is_there) {
        code = blob_writer_open(s, &w, err);
        if (code == ERR_OK && (code = blob_writer_add(w, bytes.p, bytes.n, err)) != ERR_OK)
            blob_writer_abort(w);
        else if (code == ERR_OK)
            code = blob_writer_commit(w, &d, NULL, err);
    }
    if (code == ERR_OK)
        *ret = d;
    return code;
}
