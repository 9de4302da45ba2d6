/* Which files make a project what it is: pawl.yaml and its includes; every file that a value in it names (cases, lock,
 * runbooks, SQL); the scripts that commands name, with their neighbours of the same suffix; the globs of code.files.
 * Data are not code: nothing below a source's `path` is taken. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/vec.h"
#include "project/revision.h"

#define FILE_BYTES_MAX (8 << 20)
#define FILES_MAX      10000

struct files {
    const char *dir;
    struct arena *a;
    struct map *seen;
    VEC(const char *) paths;
};

/* A regular file, below the folder or named with "../". */
static bool is_code_file(const struct files *f, const char *name)
{
    struct stat st;
    const char *path = name[0] == '/' ? NULL : path_join(f->a, f->dir, name);
    return path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_size <= FILE_BYTES_MAX;
}

static enum err_code add(struct files *f, struct str name, struct err *err)
{
    if (str_starts(name, STR("./")))
        name = str_n(name.p + 2, name.n - 2);
    const char *path = str_dup(f->a, name);
    if (path == NULL)
        return arena_err(f->a, err);
    if (map_get(f->seen, path, name.n) != NULL)
        return ERR_OK;
    if (f->paths.n >= FILES_MAX)
        return err_set(err, ERR_LIMIT, "the project names more than %d files", FILES_MAX);
    const char **slot = VEC_ADD(f->a, &f->paths);
    if (slot == NULL || !map_put(f->seen, path, name.n, f))
        return arena_err(f->a, err);
    *slot = path;
    return ERR_OK;
}

static struct str suffix_of(struct str name)
{
    for (size_t i = name.n; i > 0 && name.p[i - 1] != '/'; i--)
        if (name.p[i - 1] == '.')
            return str_n(name.p + i - 1, name.n - i + 1);
    return STR_NONE;
}

/* A script and what lies beside it with the same suffix: what it may import. */
static enum err_code add_script(struct files *f, struct str name, struct err *err)
{
    size_t dir_n = name.n;
    while (dir_n > 0 && name.p[dir_n - 1] != '/')
        dir_n--;
    const struct str suffix = suffix_of(name);
    const char *folder = str_printf(f->a, "%s/%.*s", f->dir, (int)dir_n, name.p);
    char **entries = NULL;
    size_t n = 0;
    enum err_code code = add(f, name, err);
    if (code != ERR_OK || suffix.n == 0 || folder == NULL)
        return code;
    code = dir_list(folder, f->a, &entries, &n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        const char *path = str_printf(f->a, "%.*s%s", (int)dir_n, name.p, entries[i]);
        if (path == NULL)
            return arena_err(f->a, err);
        if (str_ends(str_c(entries[i]), suffix) && is_code_file(f, path))
            code = add(f, str_c(path), err);
    }
    return code;
}

static enum err_code add_words(struct files *f, struct str command, struct err *err)
{
    enum err_code code = ERR_OK;
    while (command.p != NULL && code == ERR_OK) {
        const struct str word = str_trim(str_split(&command, ' '));
        const char *name = word.n > 0 && word.n < PATH_BYTES ? str_dup(f->a, word) : NULL;
        if (name != NULL && is_code_file(f, name))
            code = add_script(f, word, err);
    }
    return code;
}

static enum err_code walk(struct files *f, const struct cfg_node *n, struct str key,
                          struct err *err)
{
    enum err_code code = ERR_OK;
    if (n == NULL || str_is(key, "path"))
        return ERR_OK;
    if (n->type == CFG_SCALAR) {
        if (str_is(key, "run") || str_is(key, "0"))
            return add_words(f, n->text, err);
        const char *name = n->text.n > 0 && n->text.n < 1024 ? str_dup(f->a, n->text) : NULL;
        const bool is_path = name != NULL && strchr(name, '\n') == NULL && suffix_of(n->text).n > 0;
        return is_path && is_code_file(f, name) ? add(f, n->text, err) : ERR_OK;
    }
    for (size_t i = 0; i < n->n && code == ERR_OK; i++)
        code = walk(f, n->items[i], n->keys != NULL ? n->keys[i] : key, err);
    return code;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err_code add_globs(struct files *f, const struct project_spec *p,
                               const struct cfg_node *root, struct cfg_problems *ps,
                               struct err *err)
{
    const size_t skip = strlen(f->dir) + 1;
    enum err_code code = ERR_OK;
    for (size_t g = 0; g < p->n_code_files && code == ERR_OK; g++) {
        char **found = NULL;
        size_t n = 0;
        const char *pattern = path_join(f->a, f->dir, p->code_files[g]);
        code = pattern == NULL ? arena_err(f->a, err) : path_glob(pattern, f->a, &found, &n, err);
        if (code == ERR_OK && n == 0)
            cfg_error(ps, cfg_get(cfg_get(root, "code"), "files"), "code.files: nothing matches %s",
                      p->code_files[g]);
        for (size_t i = 0; i < n && code == ERR_OK; i++)
            if (is_code_file(f, found[i] + skip))
                code = add(f, str_c(found[i] + skip), err);
    }
    return code;
}

enum err_code revision_files(const struct project_file *file, const struct project_spec *p,
                             struct arena *a, const char ***ret, size_t *ret_n,
                             struct cfg_problems *ps, struct err *err)
{
    struct files f = {.dir = file->dir, .a = a, .seen = map_new(a)};
    if (f.seen == NULL)
        return arena_err(a, err);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < file->n_files && code == ERR_OK; i++)
        code = add(&f, str_c(file->files[i]), err);
    if (code == ERR_OK)
        code = walk(&f, file->root, STR(""), err);
    if (code == ERR_OK)
        code = add_globs(&f, p, file->root, ps, err);
    if (p->lock != NULL && !is_code_file(&f, p->lock))
        cfg_error(ps, cfg_get(cfg_get(file->root, "environment"), "lock"),
                  "environment.lock: there is no file %s", p->lock);
    if (code != ERR_OK)
        return code;
    qsort(f.paths.p, f.paths.n, sizeof(*f.paths.p), by_text);
    *ret = f.paths.p;
    *ret_n = f.paths.n;
    return ERR_OK;
}
