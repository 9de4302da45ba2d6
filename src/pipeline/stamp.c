/* File digests by the stat cache: a file is read again only when size, times, inode or device moved, or when it
 * was modified so shortly before it was looked at that a later change could hide in the same time stamp (git's racy rule). */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "base/vec.h"
#include "pipeline/pipe.h"

#define RACY_NS INT64_C(20000000) /* coarser than any file system's clock tick in use */

struct stamp {
    char text[128]; /* what stat says */
    char sha256[DIGEST_HEX_BYTES];
    int64_t bytes;
    bool is_new; /* to be saved */
};

/* "" when the file may still change within its time stamp's granularity. */
static void stat_text(const struct stat *st, int64_t now_us, char out[128])
{
    int64_t mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    int64_t ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
    int64_t newest = mtime_ns > ctime_ns ? mtime_ns : ctime_ns;
    out[0] = '\0';
    if (now_us * 1000 - newest > RACY_NS)
        (void)snprintf(out, 128, "%lld:%lld:%lld:%llu:%llu", (long long)st->st_size,
                       (long long)mtime_ns, (long long)ctime_ns, (unsigned long long)st->st_ino,
                       (unsigned long long)st->st_dev);
}

struct load {
    struct pipe *p;
};

static enum err_code load_rows(struct db_tx *tx, void *arg, struct err *err)
{
    struct pipe *p = ((struct load *)arg)->p;
    struct db_rows *r = NULL;
    enum err_code code =
        db_query(tx, &r, err, "SELECT path, stamp, sha256, bytes FROM file_digests", "");
    if (code != ERR_OK)
        return code;
    while (db_next(r)) {
        struct stamp *s = ARENA_NEW(&p->shared, struct stamp);
        struct str path = db_str(r, 0);
        if (s == NULL)
            break;
        (void)snprintf(s->text, sizeof s->text, "%.*s", STR_ARG(db_str(r, 1)));
        (void)snprintf(s->sha256, sizeof s->sha256, "%.*s", STR_ARG(db_str(r, 2)));
        s->bytes = db_i64(r, 3);
        if (!map_put(p->stamps, path.p, path.n, s))
            break;
    }
    return db_done(r, err);
}

/* Under the lock. */
static enum err_code load(struct pipe *p, struct err *err)
{
    struct load l = {p};
    if (p->are_stamps_loaded)
        return ERR_OK;
    p->stamps = map_new(&p->shared);
    if (p->stamps == NULL)
        return arena_err(&p->shared, err);
    enum err_code code = db_read(p->host->db, load_rows, &l, err);
    p->are_stamps_loaded = code == ERR_OK;
    return code;
}

static enum err_code file_stamp(struct pipe *p, const char *path, const struct stat *st,
                                char ret[DIGEST_HEX_BYTES], struct err *err)
{
    char now[128];
    struct digest d;
    int64_t bytes = 0;
    stat_text(st, clock_now_us(p->host->clock), now);
    mutex_lock(&p->lock);
    enum err_code code = load(p, err);
    struct stamp *s = code == ERR_OK ? map_get(p->stamps, path, strlen(path)) : NULL;
    bool is_hit = s != NULL && now[0] != '\0' && strcmp(s->text, now) == 0;
    if (is_hit)
        memcpy(ret, s->sha256, DIGEST_HEX_BYTES);
    mutex_unlock(&p->lock);
    if (code != ERR_OK || is_hit)
        return code;
    code = digest_of_file(path, &d, &bytes, err);
    if (code != ERR_OK)
        return code;
    digest_hex(&d, ret);
    mutex_lock(&p->lock);
    s = ARENA_NEW(&p->shared, struct stamp);
    if (s != NULL && now[0] != '\0') {
        memcpy(s->text, now, sizeof now);
        memcpy(s->sha256, ret, DIGEST_HEX_BYTES);
        s->bytes = bytes;
        s->is_new = true;
        if (!map_put(p->stamps, path, strlen(path), s))
            s = NULL;
    }
    mutex_unlock(&p->lock);
    return s != NULL ? ERR_OK : err_nomem(err);
}

static enum err_code dir_stamp(struct pipe *p, const char *path, int depth, struct sha256 *h,
                               struct err *err)
{
    struct arena a;
    char **names = NULL;
    size_t n = 0;
    struct stat st;
    char hex[DIGEST_HEX_BYTES];
    if (depth > 32)
        return err_set(err, ERR_LIMIT, "%s: directories deeper than 32", path);
    arena_init(&a, (size_t)64 << 20);
    enum err_code code = dir_list(path, &a, &names, &n, err);
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        const char *sub = path_join(&a, path, names[i]);
        if (sub == NULL || lstat(sub, &st) != 0)
            continue;
        sha256_add(h, names[i], strlen(names[i]) + 1);
        if (S_ISDIR(st.st_mode)) {
            code = dir_stamp(p, sub, depth + 1, h, err);
        } else if (S_ISREG(st.st_mode)) {
            code = file_stamp(p, sub, &st, hex, err);
            if (code == ERR_OK)
                sha256_add(h, hex, strlen(hex));
        }
    }
    arena_fini(&a);
    return code;
}

enum err_code stamp_digest(struct pipe *p, const char *path, char ret[DIGEST_HEX_BYTES],
                           struct err *err)
{
    struct stat st;
    struct digest d;
    if (stat(path, &st) != 0) {
        ret[0] = '\0';
        return ERR_OK;
    }
    if (!S_ISDIR(st.st_mode))
        return file_stamp(p, path, &st, ret, err);
    struct sha256 *h = sha256_new();
    if (h == NULL)
        return err_nomem(err);
    enum err_code code = dir_stamp(p, path, 0, h, err);
    sha256_end(h, &d);
    sha256_free(h);
    digest_hex(&d, ret);
    return code;
}

static enum err_code save_rows(struct db_tx *tx, void *arg, struct err *err)
{
    struct pipe *p = ((struct load *)arg)->p;
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < map_count(p->stamps); i++) {
        const char *path = NULL;
        size_t n = 0;
        const struct stamp *s = map_at(p->stamps, i, &path, &n);
        if (!s->is_new)
            continue;
        struct str key = str_n(path, n);
        code = db_exec(tx, err, "DELETE FROM file_digests WHERE path = ?", "t", key);
        if (code == ERR_OK)
            code = db_exec(tx, err,
                           "INSERT INTO file_digests (path, stamp, sha256, bytes) VALUES (?,?,?,?)",
                           "tssi", key, s->text, s->sha256, s->bytes);
    }
    return code;
}

enum err_code stamps_save(struct pipe *p, struct err *err)
{
    struct load l = {p};
    return p->are_stamps_loaded ? db_write(p->host->db, save_rows, &l, err) : ERR_OK;
}
