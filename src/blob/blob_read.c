/* Looking into the store: paths, sizes, checked reads, exports. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/blob_int.h"

/* The path of a blob that is there. */
static enum err_code place_of(struct blob_store *s, const struct digest *d, char ret[PATH_BYTES],
                              struct stat *ret_st, struct err *err)
{
    char hex[DIGEST_HEX_BYTES];
    enum err_code code = blob_place(s, d, ret, NULL, err);
    if (code != ERR_OK)
        return code;
    if (stat(ret, ret_st) == 0)
        return ERR_OK;
    digest_hex(d, hex);
    if (errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "the content store has no %s", hex);
    return err_errno(err, errno, "look at %s", ret);
}

bool blob_has(struct blob_store *s, const struct digest *d)
{
    char path[PATH_BYTES];
    struct stat st;
    return place_of(s, d, path, &st, NULL) == ERR_OK;
}

enum err_code blob_path(struct blob_store *s, const struct digest *d, struct arena *a, char **ret,
                        struct err *err)
{
    char path[PATH_BYTES];
    struct stat st;
    enum err_code code = place_of(s, d, path, &st, err);
    if (code != ERR_OK)
        return code;
    char *copy = str_dup(a, str_c(path));
    if (!copy)
        return arena_err(a, err);
    *ret = copy;
    return ERR_OK;
}

enum err_code blob_size(struct blob_store *s, const struct digest *d, int64_t *ret, struct err *err)
{
    char path[PATH_BYTES];
    struct stat st;
    enum err_code code = place_of(s, d, path, &st, err);
    if (code == ERR_OK)
        *ret = st.st_size;
    return code;
}

static enum err_code judge(const struct digest *want, const struct digest *got, const char *path,
                           struct err *err)
{
    char want_hex[DIGEST_HEX_BYTES], got_hex[DIGEST_HEX_BYTES];
    if (digest_cmp(want, got) == 0)
        return ERR_OK;
    digest_hex(want, want_hex);
    digest_hex(got, got_hex);
    return err_set(err, ERR_CORRUPT,
                   "content %s is damaged: the bytes of %s hash to %.12s…; restore the file from a "
                   "copy, or remove it and make its content again",
                   want_hex, path, got_hex);
}

enum err_code blob_read(struct blob_store *s, const struct digest *d, size_t limit, struct arena *a,
                        struct str *ret, struct err *err)
{
    char path[PATH_BYTES];
    struct stat st;
    struct str text;
    struct digest got;
    enum err_code code = place_of(s, d, path, &st, err);
    if (code == ERR_OK)
        code = file_read(path, limit, a, &text, err);
    if (code != ERR_OK)
        return code;
    digest_of(text.p, text.n, &got);
    code = judge(d, &got, path, err);
    if (code == ERR_OK)
        *ret = text;
    return code;
}

enum err_code blob_verify(struct blob_store *s, const struct digest *d, struct err *err)
{
    char path[PATH_BYTES];
    struct stat st;
    struct digest got;
    int64_t bytes;
    enum err_code code = place_of(s, d, path, &st, err);
    if (code == ERR_OK)
        code = digest_of_file(path, &got, &bytes, err);
    return code == ERR_OK ? judge(d, &got, path, err) : code;
}

enum err_code blob_export(struct blob_store *s, const struct digest *d, const char *dst,
                          mode_t mode, struct err *err)
{
    char path[PATH_BYTES];
    struct stat st;
    struct digest got;
    int64_t bytes = 0;
    int from = -1, to = -1;
    enum err_code code = place_of(s, d, path, &st, err);
    if (code != ERR_OK)
        return code;
    from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return err_errno(err, errno, "open %s", path);
    to = open(dst, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (to < 0) {
        code = err_errno(err, errno, "make %s", dst);
        fd_close(&from);
        return code;
    }
    code = blob_copy(from, to, path, &got, &bytes, err);
    if (code == ERR_OK)
        code = judge(d, &got, path, err);
    if (code == ERR_OK && (fchmod(to, mode) != 0 || fsync(to) != 0))
        code = err_errno(err, errno, "sync %s", dst);
    if (code != ERR_OK)
        unlink(dst);
    fd_close(&from);
    fd_close(&to);
    return code;
}
