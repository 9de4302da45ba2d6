/* Directories and path patterns. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/vec.h"

#define TREE_FDS       32 /* descriptors nftw may hold open */
#define GLOB_DEPTH_MAX 64

enum err_code dir_make(const char *path, mode_t mode, struct err *err)
{
    char part[PATH_BYTES];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return err_set(err, ERR_INVALID, "a folder's path has 1 to %d bytes", PATH_BYTES - 1);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char kept = part[i];
        part[i] = '\0';
        if (mkdir(part, mode) != 0 && errno != EEXIST)
            return err_errno(err, errno, "make folder %s", part);
        part[i] = kept;
    }
    if (!dir_exists(path))
        return err_set(err, ERR_EXISTS, "%s is there and is not a folder", path);
    return ERR_OK;
}

enum err_code dir_sync(const char *path, struct err *err)
{
    enum err_code code = ERR_OK;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open folder %s", path);
    if (fsync(fd) != 0)
        code = err_errno(err, errno, "sync folder %s", path);
    fd_close(&fd);
    return code;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

enum err_code dir_remove(const char *path, struct err *err)
{
    if (nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return err_errno(err, errno, "remove folder %s", path);
    return ERR_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

typedef VEC(char *) path_list;

static enum err_code list_entries(DIR *d, struct arena *a, path_list *out, struct err *err)
{
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e)
            return errno ? err_errno(err, errno, "read folder") : ERR_OK;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char **slot = VEC_ADD(a, out);
        char *name = slot ? str_dup(a, str_c(e->d_name)) : NULL;
        if (!name)
            return arena_err(a, err);
        *slot = name;
    }
}

enum err_code dir_list(const char *path, struct arena *a, char ***ret, size_t *ret_n,
                       struct err *err)
{
    path_list names = {0};
    DIR *d = opendir(path);
    if (!d)
        return err_errno(err, errno, "open folder %s", path);
    enum err_code code = list_entries(d, a, &names, err);
    closedir(d);
    if (code != ERR_OK)
        return err_wrap(err, "%s", path);
    if (names.n > 1)
        qsort(names.p, names.n, sizeof *names.p, by_bytes);
    *ret = names.p;
    *ret_n = names.n;
    return ERR_OK;
}

struct glob_walk {
    struct arena *arena;
    path_list found;
    struct err *err;
};

static bool has_magic(struct str s)
{
    return s.n > 0 && (memchr(s.p, '*', s.n) || memchr(s.p, '?', s.n) || memchr(s.p, '[', s.n));
}

static enum err_code glob_step(struct glob_walk *w, const char *dir, struct str rest, int depth);

/* One entry of dir that matched the segment: a result at the pattern's end, else a folder to go into. */
static enum err_code glob_take(struct glob_walk *w, const char *dir, const char *name,
                               struct str rest, int depth)
{
    char *path = dir[0] ? path_join(w->arena, dir, name) : str_dup(w->arena, str_c(name));
    if (!path)
        return arena_err(w->arena, w->err);
    if (rest.p)
        return dir_exists(path) ? glob_step(w, path, rest, depth + 1) : ERR_OK;
    if (!file_exists(path))
        return ERR_OK;
    char **slot = VEC_ADD(w->arena, &w->found);
    if (!slot)
        return arena_err(w->arena, w->err);
    *slot = path;
    return ERR_OK;
}

static bool is_real_dir(struct arena *a, const char *dir, const char *name)
{
    struct stat st;
    const char *path = dir[0] ? path_join(a, dir, name) : name;
    return path && lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum err_code glob_match_dir(struct glob_walk *w, const char *dir, const char *segment,
                                    struct str rest, int depth)
{
    char **names = NULL;
    size_t n = 0;
    enum err_code code = dir_list(dir[0] ? dir : ".", w->arena, &names, &n, w->err);
    if (code == ERR_NOT_FOUND || code == ERR_FORBIDDEN)
        return ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        if (fnmatch(segment, names[i], FNM_PERIOD) == 0)
            code = glob_take(w, dir, names[i], rest, depth);
    return code;
}

/* `**`: this folder, and each folder below it, links not followed. */
static enum err_code glob_deep(struct glob_walk *w, const char *dir, struct str whole,
                               struct str rest, int depth)
{
    char **names = NULL;
    size_t n = 0;
    enum err_code code = glob_step(w, dir, rest.p ? rest : STR("*"), depth + 1);
    if (code == ERR_OK)
        code = dir_list(dir[0] ? dir : ".", w->arena, &names, &n, w->err);
    if (code == ERR_NOT_FOUND || code == ERR_FORBIDDEN)
        return ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        if (names[i][0] != '.' && is_real_dir(w->arena, dir, names[i]))
            code = glob_take(w, dir, names[i], whole, depth);
    return code;
}

static enum err_code glob_step(struct glob_walk *w, const char *dir, struct str rest, int depth)
{
    struct str whole = rest, segment = str_split(&rest, '/');
    if (depth > GLOB_DEPTH_MAX)
        return err_set(w->err, ERR_LIMIT, "%s is more than %d folders deep", dir, GLOB_DEPTH_MAX);
    if (str_is(segment, "**"))
        return glob_deep(w, dir, whole, rest, depth);
    char *name = str_dup(w->arena, segment);
    if (!name)
        return arena_err(w->arena, w->err);
    if (segment.n == 0 && rest.p)
        return glob_step(w, dir, rest, depth + 1);
    if (has_magic(segment))
        return glob_match_dir(w, dir, name, rest, depth);
    return glob_take(w, dir, name, rest, depth);
}

enum err_code path_glob(const char *pattern, struct arena *a, char ***ret, size_t *ret_n,
                        struct err *err)
{
    struct glob_walk w = {.arena = a, .err = err};
    struct str rest = str_c(pattern);
    const char *start = "";
    size_t n = 0;
    if (rest.n > 0 && rest.p[0] == '/') {
        start = "/";
        rest = str_n(rest.p + 1, rest.n - 1);
    }
    enum err_code code = glob_step(&w, start, rest, 0);
    if (code != ERR_OK)
        return err_wrap(err, "match %s", pattern);
    if (w.found.n > 1)
        qsort(w.found.p, w.found.n, sizeof *w.found.p, by_bytes);
    for (size_t i = 0; i < w.found.n; i++)
        if (n == 0 || strcmp(w.found.p[n - 1], w.found.p[i]) != 0)
            w.found.p[n++] = w.found.p[i];
    *ret = w.found.p;
    *ret_n = n;
    return ERR_OK;
}
