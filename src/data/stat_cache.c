#include "data/stat_cache.h"

#include <errno.h>
#include <stdio.h>

#define NS_PER_S       INT64_C(1000000000)
#define RACY_NS        (20 * INT64_C(1000000)) /* kernels stamp with the tick of a coarse clock */
#define RACY_COARSE_NS (2 * NS_PER_S)          /* file systems that keep whole seconds, or two */

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * NS_PER_S + t->tv_nsec;
}

/* Could the file have changed after it was hashed without its times showing it? */
static bool is_racy(const struct stat *st, int64_t hashed_ns)
{
    int64_t margin =
        st->st_mtim.tv_nsec == 0 && st->st_ctim.tv_nsec == 0 ? RACY_COARSE_NS : RACY_NS;
    return ns_of(&st->st_mtim) + margin >= hashed_ns || ns_of(&st->st_ctim) + margin >= hashed_ns;
}

static enum err_code load_one(struct db_tx *tx, struct stat_entry *e, struct err *err)
{
    struct db_rows *rows = NULL;
    char hex[DIGEST_HEX_BYTES] = "";
    int64_t hashed_ns = 0;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT digest, hashed_ns FROM data_files WHERE path = ? AND n_bytes = ? AND mtime_ns = ? "
        "AND ctime_ns = ? AND inode = ? AND device = ?",
        "siiiii", e->path, (int64_t)e->st.st_size, ns_of(&e->st.st_mtim), ns_of(&e->st.st_ctim),
        (int64_t)e->st.st_ino, (int64_t)e->st.st_dev);
    if (code != ERR_OK)
        return code;
    if (db_next(rows)) {
        (void)snprintf(hex, sizeof hex, "%.*s", STR_ARG(db_str(rows, 0)));
        hashed_ns = db_i64(rows, 1);
    }
    code = db_done(rows, err);
    if (code != ERR_OK || hashed_ns == 0 || is_racy(&e->st, hashed_ns))
        return code;
    code = digest_parse(str_c(hex), &e->digest, err);
    if (code == ERR_OK)
        e->hashed_ns = hashed_ns;
    return code;
}

struct entries {
    struct stat_entry *e;
    size_t n;
};

static enum err_code load_all(struct db_tx *tx, void *arg, struct err *err)
{
    const struct entries *all = arg;
    for (size_t i = 0; i < all->n; i++) {
        enum err_code code = load_one(tx, &all->e[i], err);
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}

enum err_code stat_cache_load(struct db *db, struct stat_entry *e, size_t n, struct err *err)
{
    struct entries all = {e, n};
    for (size_t i = 0; i < n; i++) {
        if (stat(e[i].path, &e[i].st) != 0)
            return err_errno(err, errno, "%s", e[i].path);
        if (!S_ISREG(e[i].st.st_mode))
            return err_set(err, ERR_INVALID, "%s is not a file", e[i].path);
    }
    return db_read(db, load_all, &all, err);
}

static enum err_code save_all(struct db_tx *tx, void *arg, struct err *err)
{
    const struct entries *all = arg;
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < all->n; i++) {
        const struct stat_entry *e = &all->e[i];
        char hex[DIGEST_HEX_BYTES];
        if (!e->is_new)
            continue;
        digest_hex(&e->digest, hex);
        code = db_exec(
            tx, err,
            "INSERT INTO data_files(path, n_bytes, mtime_ns, ctime_ns, inode, device, hashed_ns, "
            "digest) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (path) DO UPDATE SET n_bytes = "
            "excluded.n_bytes, mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns, inode = "
            "excluded.inode, device = excluded.device, hashed_ns = excluded.hashed_ns, digest = "
            "excluded.digest",
            "siiiiiis", e->path, (int64_t)e->st.st_size, ns_of(&e->st.st_mtim),
            ns_of(&e->st.st_ctim), (int64_t)e->st.st_ino, (int64_t)e->st.st_dev, e->hashed_ns, hex);
    }
    return code;
}

enum err_code stat_cache_save(struct db *db, const struct stat_entry *e, size_t n, struct err *err)
{
    struct entries all = {(struct stat_entry *)(uintptr_t)e, n};
    bool is_any = false;
    for (size_t i = 0; i < n; i++)
        is_any |= e[i].is_new;
    return is_any ? db_write(db, save_all, &all, err) : ERR_OK;
}

bool stat_entry_is_same(const struct stat_entry *e)
{
    struct stat now;
    return stat(e->path, &now) == 0 && now.st_size == e->st.st_size && now.st_ino == e->st.st_ino &&
           ns_of(&now.st_mtim) == ns_of(&e->st.st_mtim) &&
           ns_of(&now.st_ctim) == ns_of(&e->st.st_ctim);
}
