#include "app/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "json/json.h"

#define FORMAT_BYTES_MAX 4096
#define LOCK_BYTES_MAX   4096
#define LOCK_LOOK_NS     20000000L /* between two looks at a lock that another process holds */

static const char *const FOLDERS[] = {"keys",        "store",   "artifacts", "online",
                                      "predictions", "serving", "jobs",      "tmp"};

char *home_find_up(const char *dir, const char *name, struct arena *a)
{
    char *at = str_dup(a, str_c(dir));
    while (at) {
        char *path = path_join(a, at, name);
        if (path && file_exists(path))
            return at;
        char *slash = strrchr(at, '/');
        if (!slash || !at[1])
            return NULL;
        *(slash == at ? slash + 1 : slash) = '\0';
    }
    return NULL;
}

static enum err_code write_format(const char *path, bool is_replay, struct err *err)
{
    struct arena a;
    struct buf text;
    arena_init(&a, 1 << 16);
    buf_init(&text, FORMAT_BYTES_MAX);
    struct json *doc = json_obj(&a);
    json_set(&a, doc, "format", json_int(&a, HOME_FORMAT));
    json_set(&a, doc, "is_replay", json_bool(&a, is_replay));
    enum err_code code = json_write(doc, JSON_PRETTY, &text, err);
    char *file = path_join(&a, path, "FORMAT");
    if (code == ERR_OK)
        code = file ? file_write(file, buf_view(&text), 0600, err) : arena_err(&a, err);
    buf_fini(&text);
    arena_fini(&a);
    return code;
}

bool home_is(const char *path)
{
    char file[PATH_BYTES];
    int n = snprintf(file, sizeof file, "%s/FORMAT", path);
    return n > 0 && (size_t)n < sizeof file && file_exists(file);
}

enum err_code home_make(const char *path, bool is_replay, struct err *err)
{
    struct arena a;
    struct home there = {.lock_fd = -1};
    arena_init(&a, 1 << 20);
    enum err_code code = dir_make(path, 0700, err);
    if (code == ERR_OK && home_is(path)) {
        code = home_open(path, &a, &there, err);
        if (code == ERR_OK && is_replay && !there.is_replay)
            code =
                err_set(err, ERR_EXISTS, "%s is there already and was made without --replay", path);
        goto done;
    }
    for (size_t i = 0; i < ARRAY_LEN(FOLDERS) && code == ERR_OK; i++) {
        char *folder = path_join(&a, path, FOLDERS[i]);
        code = folder ? dir_make(folder, 0700, err) : arena_err(&a, err);
    }
    if (code == ERR_OK)
        code = write_format(path, is_replay, err);
done:
    arena_fini(&a);
    return code == ERR_OK ? code : err_wrap(err, "make home %s", path);
}

enum err_code home_open(const char *path, struct arena *a, struct home *ret, struct err *err)
{
    struct str text;
    struct json *doc = NULL;
    char *file = path_join(a, path, "FORMAT"), *kept = str_dup(a, str_c(path));
    if (!file || !kept)
        return arena_err(a, err);
    enum err_code code = file_read(file, FORMAT_BYTES_MAX, a, &text, err);
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "%s is no home: make one with `pawl init`", path);
    if (code == ERR_OK)
        code = json_read(text, a, &doc, err);
    if (code != ERR_OK)
        return err_wrap(err, "open home %s: FORMAT", path);
    int64_t format = json_get_int(doc, "format", 0);
    if (format != HOME_FORMAT)
        return err_set(
            err, ERR_UNSUPPORTED,
            "%s has layout %lld and this program knows layout %d: use the program that made it",
            path, (long long)format, HOME_FORMAT);
    *ret = (struct home){
        .path = kept, .is_replay = json_get_bool(doc, "is_replay", false), .lock_fd = -1};
    return ERR_OK;
}

static enum err_code lock_path(const char *home, char out[PATH_BYTES], struct err *err)
{
    int n = snprintf(out, PATH_BYTES, "%s/lock", home);
    if (n < 0 || n >= PATH_BYTES)
        return err_set(err, ERR_INVALID, "the home's path is too long");
    return ERR_OK;
}

/* What the owner wrote; an empty object when it has not yet. */
static struct json *read_owner(int fd, struct arena *a)
{
    char text[LOCK_BYTES_MAX];
    struct json *doc = NULL;
    ssize_t n = pread(fd, text, sizeof text, 0);
    if (n <= 0 || json_read(str_n(text, (size_t)n), a, &doc, NULL) != ERR_OK)
        return json_obj(a);
    return doc;
}

static enum err_code write_owner(int fd, const char *url, struct err *err)
{
    struct arena a;
    struct buf text;
    struct str boot;
    arena_init(&a, 1 << 16);
    buf_init(&text, LOCK_BYTES_MAX);
    struct json *doc = json_obj(&a);
    json_set(&a, doc, "pid", json_int(&a, getpid()));
    if (file_read("/proc/sys/kernel/random/boot_id", 100, &a, &boot, NULL) == ERR_OK)
        json_set(&a, doc, "boot_id", json_str(&a, str_trim(boot)));
    json_set(&a, doc, "started_at", json_time(&a, clock_now_us(&CLOCK_SYSTEM)));
    json_set(&a, doc, "url", json_cstr(&a, url));
    enum err_code code = json_write(doc, JSON_COMPACT, &text, err);
    if (code == ERR_OK) {
        ssize_t n = pwrite(fd, text.p, text.n, 0);
        if (n != (ssize_t)text.n || ftruncate(fd, (off_t)text.n) != 0)
            code = err_errno(err, errno, "write the home's lock");
    }
    buf_fini(&text);
    arena_fini(&a);
    return code;
}

static enum err_code busy(const struct home *h, int fd, struct err *err)
{
    struct arena a;
    arena_init(&a, 1 << 16);
    struct json *owner = read_owner(fd, &a);
    const char *url = json_get_c(owner, "url");
    err_set(err, ERR_BUSY, "%s belongs to process %lld%s%s: wait for it, or end it", h->path,
            (long long)json_get_int(owner, "pid", 0), url ? ", the server at " : "",
            url ? url : "");
    arena_fini(&a);
    return ERR_BUSY;
}

enum err_code home_lock(struct home *h, int64_t wait_ms, struct err *err)
{
    char path[PATH_BYTES];
    int64_t until_ns = mono_ns() + wait_ms * 1000000;
    enum err_code code = lock_path(h->path, path, err);
    if (code != ERR_OK)
        return code;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (mono_ns() > until_ns) {
            code = busy(h, fd, err);
            fd_close(&fd);
            return code;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOCK_LOOK_NS}, NULL);
    }
    code = write_owner(fd, NULL, err);
    if (code != ERR_OK) {
        fd_close(&fd);
        return code;
    }
    h->lock_fd = fd;
    return ERR_OK;
}

enum err_code home_publish(struct home *h, const char *url, struct err *err)
{
    CHECK(h->lock_fd >= 0);
    return write_owner(h->lock_fd, url, err);
}

void home_unlock(struct home *h)
{
    fd_close(&h->lock_fd);
}

enum err_code home_peek(const char *path, struct arena *a, bool *ret_is_owned, char **ret_url,
                        struct err *err)
{
    char lock[PATH_BYTES];
    enum err_code code = lock_path(path, lock, err);
    *ret_is_owned = false;
    *ret_url = NULL;
    if (code != ERR_OK)
        return code;
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_OK : err_errno(err, errno, "open %s", lock);
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        const char *url = json_get_c(read_owner(fd, a), "url");
        *ret_is_owned = true;
        *ret_url = url ? str_dup(a, str_c(url)) : NULL;
    }
    fd_close(&fd);
    return ERR_OK;
}
