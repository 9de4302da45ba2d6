#include "blob/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/vec.h"

#define TREE_HEAD      "pawl.tree.v1\n"
#define MANIFEST_BYTES ((size_t)64 << 20)
#define TREE_DEPTH_MAX 32

/* Relative, with no part that could lead out of a folder. */
static bool is_path_clean(struct str path)
{
    struct str rest = path;
    if (path.n == 0 || path.n >= PATH_BYTES || !str_utf8_valid(path))
        return false;
    while (rest.p) {
        struct str part = str_split(&rest, '/');
        if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
            return false;
        for (size_t i = 0; i < part.n; i++)
            if ((unsigned char)part.p[i] < 0x20 || part.p[i] == '\\')
                return false;
    }
    return true;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct tree_file *)a)->path, ((const struct tree_file *)b)->path);
}

static struct json *manifest_json(const struct tree *t, struct arena *a)
{
    struct json *files = json_arr(a);
    for (size_t i = 0; i < t->n; i++) {
        struct json *f = json_obj(a);
        json_set(a, f, "path", json_cstr(a, t->files[i].path));
        json_set(a, f, "sha256", json_hex(a, &t->files[i].digest));
        json_set(a, f, "bytes", json_int(a, t->files[i].bytes));
        if (t->files[i].is_exec)
            json_set(a, f, "exec", json_bool(a, true));
        json_add(a, files, f);
    }
    return json_set(a, json_obj(a), "files", files);
}

enum err_code tree_put(struct blob_store *s, struct tree *t, struct digest *ret, struct err *err)
{
    struct arena a;
    struct buf text;
    enum err_code code = ERR_OK;
    if (t->n > 1)
        qsort(t->files, t->n, sizeof(t->files[0]), by_path);
    for (size_t i = 0; i < t->n && code == ERR_OK; i++) {
        if (!is_path_clean(str_c(t->files[i].path)))
            code = err_set(err, ERR_INVALID, "\"%s\" is no path that a tree may hold",
                           t->files[i].path);
        else if (i > 0 && strcmp(t->files[i - 1].path, t->files[i].path) == 0)
            code = err_set(err, ERR_INVALID, "a tree would hold %s twice", t->files[i].path);
    }
    if (code != ERR_OK)
        return code;
    arena_init(&a, MANIFEST_BYTES * 4);
    buf_init(&text, MANIFEST_BYTES);
    buf_c(&text, TREE_HEAD);
    code = json_write(manifest_json(t, &a), JSON_CANONICAL, &text, err);
    if (code == ERR_OK)
        code = blob_put_bytes(s, buf_view(&text), ret, err);
    buf_fini(&text);
    arena_fini(&a);
    return code;
}

/* A tree in the making: files below `dir`. */
struct gather {
    struct blob_store *store;
    const char *dir;
    struct arena *a;
    VEC(struct tree_file) files;
};

static enum err_code gather_file(struct gather *g, const char *rel, const char *full,
                                 const struct stat *st, struct err *err)
{
    if (g->files.n >= TREE_FILES_MAX)
        return err_set(err, ERR_LIMIT, "%s holds more than %d files", g->dir, TREE_FILES_MAX);
    struct tree_file *f = VEC_ADD(g->a, &g->files);
    char *path = str_dup(g->a, str_c(rel));
    if (!f || !path)
        return arena_err(g->a, err);
    f->path = path;
    f->is_exec = (st->st_mode & S_IXUSR) != 0;
    return blob_put_file(g->store, full, &f->digest, &f->bytes, err);
}

static enum err_code gather_one(struct gather *g, const char *rel, int depth, struct err *err);

static enum err_code gather_dir(struct gather *g, const char *rel, const char *full, int depth,
                                struct err *err)
{
    char **names = NULL;
    size_t n = 0;
    if (depth > TREE_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "%s is more than %d folders deep", full, TREE_DEPTH_MAX);
    enum err_code code = dir_list(full, g->a, &names, &n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        char *below = *rel ? path_join(g->a, rel, names[i]) : names[i];
        code = below ? gather_one(g, below, depth + 1, err) : arena_err(g->a, err);
    }
    return code;
}

static enum err_code gather_one(struct gather *g, const char *rel, int depth, struct err *err)
{
    struct stat st;
    char *full = *rel ? path_join(g->a, g->dir, rel) : str_dup(g->a, str_c(g->dir));
    if (!full)
        return arena_err(g->a, err);
    if (lstat(full, &st) != 0)
        return err_errno(err, errno, "look at %s", full);
    if (S_ISDIR(st.st_mode))
        return gather_dir(g, rel, full, depth, err);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID,
                       "%s is a link or special file: a tree keeps ordinary files only", full);
    return gather_file(g, rel, full, &st, err);
}

static enum err_code gather_all(struct blob_store *s, const char *dir, const char *const *paths,
                                size_t n, struct digest *ret, struct err *err)
{
    struct arena a;
    arena_init(&a, MANIFEST_BYTES * 4);
    struct gather g = {.store = s, .dir = dir, .a = &a};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        code = gather_one(&g, paths[i], 0, err);
    if (code == ERR_OK) {
        struct tree t = {.files = g.files.p, .n = g.files.n};
        code = tree_put(s, &t, ret, err);
    }
    arena_fini(&a);
    return code;
}

enum err_code tree_put_dir(struct blob_store *s, const char *dir, struct digest *ret,
                           struct err *err)
{
    const char *const all[] = {""};
    if (!dir_exists(dir))
        return err_set(err, ERR_NOT_FOUND, "%s is not a folder", dir);
    return gather_all(s, dir, all, 1, ret, err);
}

enum err_code tree_put_files(struct blob_store *s, const char *dir, const char *const *paths,
                             size_t n, struct digest *ret, struct err *err)
{
    return gather_all(s, dir, paths, n, ret, err);
}

static enum err_code file_decode(const struct json *j, struct arena *a, struct tree_file *ret,
                                 struct err *err)
{
    struct str path, hex;
    enum err_code code = json_need_str(j, "path", &path, err);
    if (code == ERR_OK)
        code = json_need_str(j, "sha256", &hex, err);
    if (code == ERR_OK)
        code = json_need_int(j, "bytes", &ret->bytes, err);
    if (code == ERR_OK)
        code = digest_parse(hex, &ret->digest, err);
    if (code == ERR_OK && !is_path_clean(path))
        code = err_set(err, ERR_CORRUPT, "its path \"%.*s\" is not clean", STR_ARG(path));
    ret->path = code == ERR_OK ? str_dup(a, path) : NULL;
    ret->is_exec = json_get_bool(j, "exec", false);
    return code == ERR_OK && !ret->path ? arena_err(a, err) : code;
}

enum err_code tree_read(struct blob_store *s, const struct digest *d, struct arena *a,
                        struct tree *ret, struct err *err)
{
    struct str text;
    struct json *doc = NULL;
    char hex[DIGEST_HEX_BYTES];
    enum err_code code = blob_read(s, d, MANIFEST_BYTES, a, &text, err);
    if (code != ERR_OK)
        return code;
    digest_hex(d, hex);
    if (!str_starts(text, STR(TREE_HEAD)))
        return err_set(err, ERR_INVALID, "content %s is not a tree", hex);
    size_t head = strlen(TREE_HEAD);
    code = json_read(str_n(text.p + head, text.n - head), a, &doc, err);
    const struct json *files = json_get(doc, "files");
    size_t n = json_len(files);
    struct tree_file *list = code == ERR_OK ? ARENA_NEW_N(a, struct tree_file, n) : NULL;
    if (code == ERR_OK && !list)
        code = arena_err(a, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        code = file_decode(json_at(files, i), a, &list[i], err);
    if (code != ERR_OK)
        return err_wrap(err, "tree %s", hex);
    *ret = (struct tree){.files = list, .n = n};
    return ERR_OK;
}

const struct tree_file *tree_find(const struct tree *t, const char *path)
{
    struct tree_file key = {.path = path};
    return t->n ? bsearch(&key, t->files, t->n, sizeof(t->files[0]), by_path) : NULL;
}

enum err_code tree_read_file(struct blob_store *s, const struct digest *tree, const char *path,
                             size_t limit, struct arena *a, struct str *ret, struct err *err)
{
    struct tree t;
    char hex[DIGEST_HEX_BYTES];
    enum err_code code = tree_read(s, tree, a, &t, err);
    if (code != ERR_OK)
        return code;
    const struct tree_file *f = tree_find(&t, path);
    if (f)
        return blob_read(s, &f->digest, limit, a, ret, err);
    digest_hex(tree, hex);
    return err_set(err, ERR_NOT_FOUND, "tree %.12s… has no file %s", hex, path);
}

static enum err_code parents_make(char *full, size_t dir_bytes, struct err *err)
{
    char *slash = strrchr(full + dir_bytes, '/');
    if (!slash || slash == full + dir_bytes)
        return ERR_OK;
    *slash = '\0';
    enum err_code code = dir_make(full, 0755, err);
    *slash = '/';
    return code;
}

static enum err_code files_export(struct blob_store *s, const struct tree *t, const char *dir,
                                  struct arena *a, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < t->n && code == ERR_OK; i++) {
        struct arena_mark m = arena_mark(a);
        char *full = path_join(a, dir, t->files[i].path);
        code = full ? parents_make(full, strlen(dir), err) : arena_err(a, err);
        if (code == ERR_OK)
            code =
                blob_export(s, &t->files[i].digest, full, t->files[i].is_exec ? 0755 : 0644, err);
        if (code != ERR_OK)
            err_wrap(err, "%s", t->files[i].path);
        arena_release(a, m);
    }
    return code;
}

enum err_code tree_materialize(struct blob_store *s, const struct digest *d, const char *dir,
                               struct err *err)
{
    struct arena a;
    struct tree t;
    char **names = NULL;
    size_t n = 0;
    arena_init(&a, MANIFEST_BYTES * 4);
    enum err_code code = tree_read(s, d, &a, &t, err);
    if (code == ERR_OK)
        code = dir_make(dir, 0755, err);
    if (code == ERR_OK)
        code = dir_list(dir, &a, &names, &n, err);
    if (code == ERR_OK && n > 0)
        code =
            err_set(err, ERR_EXISTS, "%s is not empty: a tree is written into a new folder", dir);
    else if (code == ERR_OK && (code = files_export(s, &t, dir, &a, err)) != ERR_OK &&
             dir_remove(dir, NULL) != ERR_OK)
        err_wrap(err, "%s is left half written", dir);
    arena_fini(&a);
    return code;
}

enum err_code tree_verify(struct blob_store *s, const struct digest *d, struct err *err)
{
    struct arena a;
    struct tree t = {0};
    arena_init(&a, MANIFEST_BYTES * 4);
    enum err_code code = tree_read(s, d, &a, &t, err);
    for (size_t i = 0; i < t.n && code == ERR_OK; i++)
        if ((code = blob_verify(s, &t.files[i].digest, err)) != ERR_OK)
            err_wrap(err, "%s", t.files[i].path);
    arena_fini(&a);
    return code;
}
