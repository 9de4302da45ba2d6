/* Walks over the whole store: verifying, and the sweep of mark and sweep. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "blob/blob_int.h"

/* What is done with each blob of one fan-out folder; an error ends the walk. */
struct walk {
    struct blob_store *store;
    enum err_code (*visit)(struct walk *w, const struct digest *d, const char *path,
                           const struct stat *st, struct err *err);
    struct blob_report report;
    /* verify */
    void (*on_bad)(void *arg, const struct digest *d, const char *text);
    struct err first;
    /* sweep */
    bool (*is_marked)(void *arg, const struct digest *d);
    int64_t before_us;
    void *arg;
};

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static enum err_code walk_folder(struct walk *w, const char *folder, struct arena *a,
                                 struct err *err)
{
    char dir[PATH_BYTES + 4], path[2 * PATH_BYTES], hex[DIGEST_HEX_BYTES];
    char **names = NULL;
    size_t n = 0;
    snprintf(dir, sizeof(dir), "%s/%s", w->store->dir, folder);
    enum err_code code = dir_list(dir, a, &names, &n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        struct digest d;
        struct stat st;
        if (!is_hex(names[i], DIGEST_HEX_BYTES - 3))
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        snprintf(hex, sizeof(hex), "%s%s", folder, names[i]);
        if (digest_parse(str_c(hex), &d, NULL) != ERR_OK || stat(path, &st) != 0)
            continue;
        w->report.n_blobs++;
        w->report.n_bytes += st.st_size;
        code = w->visit(w, &d, path, &st, err);
    }
    return code;
}

static enum err_code walk_store(struct walk *w, struct err *err)
{
    struct arena a;
    char **folders = NULL;
    size_t n = 0;
    arena_init(&a, (size_t)1 << 30);
    enum err_code code = dir_list(w->store->dir, &a, &folders, &n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        struct arena_mark m = arena_mark(&a);
        if (is_hex(folders[i], 2))
            code = walk_folder(w, folders[i], &a, err);
        arena_release(&a, m);
    }
    arena_fini(&a);
    return code;
}

static enum err_code visit_verify(struct walk *w, const struct digest *d, const char *path,
                                  const struct stat *st, struct err *err)
{
    struct err local = ERR_INIT;
    enum err_code code = blob_verify(w->store, d, &local);
    if (code == ERR_OK || code == ERR_NOT_FOUND)
        return ERR_OK;
    w->report.n_bad++;
    if (w->first.code == ERR_OK)
        w->first = local;
    if (w->on_bad)
        w->on_bad(w->arg, d, local.msg);
    return ERR_OK;
}

enum err_code blob_verify_all(struct blob_store *s,
                              void (*on_bad)(void *arg, const struct digest *d, const char *text),
                              void *arg, struct blob_report *ret, struct err *err)
{
    struct walk w = {
        .store = s, .visit = visit_verify, .on_bad = on_bad, .arg = arg, .first = ERR_INIT};
    enum err_code code = walk_store(&w, err);
    if (code != ERR_OK)
        return code;
    *ret = w.report;
    if (w.report.n_bad > 0 && err)
        *err = w.first;
    return w.report.n_bad > 0 ? ERR_CORRUPT : ERR_OK;
}

static enum err_code visit_sweep(struct walk *w, const struct digest *d, const char *path,
                                 const struct stat *st, struct err *err)
{
    struct stat now;
    int lock = -1;
    if (st->st_mtim.tv_sec * US_PER_S >= w->before_us || w->is_marked(w->arg, d))
        return ERR_OK;
    enum err_code code = blob_lock_take(w->store, BLOB_LOCK_SWEEP, &lock, err);
    if (code != ERR_OK)
        return code;
    /* Once more under the lock: a put may have renewed it. */
    if (stat(path, &now) == 0 && now.st_mtim.tv_sec * US_PER_S < w->before_us &&
        unlink(path) == 0) {
        w->report.n_swept++;
        w->report.swept_bytes += now.st_size;
    }
    fd_close(&lock);
    return ERR_OK;
}

enum err_code blob_sweep(struct blob_store *s, bool (*is_marked)(void *arg, const struct digest *d),
                         void *arg, int64_t before_us, struct blob_report *ret, struct err *err)
{
    struct walk w = {.store = s,
                     .visit = visit_sweep,
                     .is_marked = is_marked,
                     .before_us = before_us,
                     .arg = arg,
                     .first = ERR_INIT};
    enum err_code code = walk_store(&w, err);
    if (code == ERR_OK)
        *ret = w.report;
    return code;
}
