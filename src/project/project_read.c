/* pawl.yaml of a folder, merged with what it includes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/vec.h"
#include "project/project_int.h"

#define INCLUDES_MAX 32

static const char *const SHARED[] = {"sources", "features", "checks", "owners"};

struct reader {
    const char *dir;
    struct arena *arena;
    struct cfg_problems *ps;
    VEC(const char *) files;
};

char *project_inside_path(struct arena *a, const char *path)
{
    if (strncmp(path, "../", 3) != 0)
        return str_dup(a, str_c(path));
    struct buf out;
    buf_init(&out, PATH_BYTES);
    buf_c(&out, PROJECT_INCLUDE_DIR);
    for (; strncmp(path, "../", 3) == 0; path += 3)
        buf_c(&out, "/up");
    buf_ch(&out, '/');
    buf_c(&out, path);
    char *text = buf_ok(&out, NULL) == ERR_OK ? str_dup(a, buf_view(&out)) : NULL;
    buf_fini(&out);
    return text;
}

/* Reads one file of the project; *ret NULL after problems. */
static enum err_code one_read(struct reader *r, const char *rel, struct cfg_node **ret,
                              struct err *err)
{
    struct str text;
    *ret = NULL;
    char *inside = project_inside_path(r->arena, rel);
    char *path = inside ? path_join(r->arena, r->dir, inside) : NULL;
    /* In a checked-out revision what lay outside lies in _include. */
    if (path && !file_exists(path))
        path = path_join(r->arena, r->dir, rel);
    const char **listed = VEC_ADD(r->arena, &r->files);
    char *name = str_dup(r->arena, str_c(rel));
    if (!path || !listed || !name)
        return arena_err(r->arena, err);
    *listed = name;
    enum err_code code = file_read(path, CFG_BYTES_MAX, r->arena, &text, err);
    return code == ERR_OK ? cfg_read(text, name, r->arena, ret, r->ps, err) : code;
}

static struct cfg_node *map_like(struct arena *a, const struct cfg_node *at, size_t n)
{
    struct cfg_node *m = ARENA_NEW(a, struct cfg_node);
    if (!m)
        return NULL;
    *m = *at;
    m->n = 0;
    m->items = ARENA_NEW_N(a, struct cfg_node *, n);
    m->keys = ARENA_NEW_N(a, struct str, n);
    m->key_nodes = ARENA_NEW_N(a, struct cfg_node *, n);
    return m->items && m->keys && m->key_nodes ? m : NULL;
}

static void member_add(struct cfg_node *map, const struct cfg_node *from, size_t i)
{
    map->items[map->n] = from->items[i];
    map->keys[map->n] = from->keys[i];
    map->key_nodes[map->n] = from->key_nodes[i];
    map->n++;
}

static ptrdiff_t index_of(const struct cfg_node *map, struct str key)
{
    for (size_t i = 0; i < map->n; i++)
        if (str_eq(map->keys[i], key))
            return (ptrdiff_t)i;
    return -1;
}

/* `base` with the members of `more` behind. A name in both: `more` wins for owners, else a problem. */
static struct cfg_node *section_merge(struct reader *r, const char *section,
                                      const struct cfg_node *base, const struct cfg_node *more)
{
    bool may_override = strcmp(section, "owners") == 0;
    struct cfg_node *m = map_like(r->arena, more, base->n + more->n);
    if (!m)
        return NULL;
    for (size_t i = 0; i < base->n; i++) {
        if (may_override && index_of(more, base->keys[i]) >= 0)
            continue;
        member_add(m, base, i);
    }
    for (size_t i = 0; i < more->n; i++) {
        ptrdiff_t at = index_of(base, more->keys[i]);
        if (at >= 0 && !may_override)
            cfg_error(r->ps, more->key_nodes[i],
                      "%s.%.*s is declared in %s:%d too: use one of them", section,
                      STR_ARG(more->keys[i]), base->key_nodes[at]->file, base->key_nodes[at]->line);
        else
            member_add(m, more, i);
    }
    return m;
}

/* Puts a section into a root whose arrays have room for one more. */
static enum err_code section_put(struct reader *r, struct cfg_node *root,
                                 const struct cfg_node *from, size_t i, struct err *err)
{
    struct str key = from->keys[i];
    ptrdiff_t at = index_of(root, key);
    if (at < 0) {
        member_add(root, from, i);
        return ERR_OK;
    }
    struct cfg_node *mine = root->items[at], *more = from->items[i];
    if (mine->type != CFG_MAP || more->type != CFG_MAP)
        return ERR_OK; /* the section's own decoder says what is wrong */
    char *name = str_dup(r->arena, key);
    struct cfg_node *merged = name ? section_merge(r, name, mine, more) : NULL;
    if (!merged)
        return arena_err(r->arena, err);
    root->items[at] = merged;
    return ERR_OK;
}

static enum err_code include_one(struct reader *r, const struct cfg_node *at, struct str rel,
                                 struct cfg_node *root, struct err *err)
{
    struct cfg_node *file = NULL;
    char *path = str_dup(r->arena, rel);
    if (!path)
        return arena_err(r->arena, err);
    if (*path == '/') {
        cfg_error(r->ps, at, "include \"%s\" must be relative to the project's folder", path);
        return ERR_OK;
    }
    struct err local = ERR_INIT;
    enum err_code code = one_read(r, path, &file, &local);
    if (code == ERR_NOT_FOUND) {
        cfg_error(r->ps, at, "included file %s is not there", path);
        return ERR_OK;
    }
    if (code != ERR_OK && err)
        *err = local;
    if (code != ERR_OK || !file || !cfg_is_map(file, "an included file", r->ps))
        return code;
    cfg_known_keys(file, SHARED, ARRAY_LEN(SHARED), r->ps);
    for (size_t i = 0; i < file->n && code == ERR_OK; i++)
        for (size_t k = 0; k < ARRAY_LEN(SHARED) && code == ERR_OK; k++)
            if (str_is(file->keys[i], SHARED[k]))
                code = section_put(r, root, file, i, err);
    return code;
}

/* Included sections first, the project's own behind them. */
static enum err_code includes_merge(struct reader *r, const struct cfg_node *own,
                                    const struct cfg_node **ret, struct err *err)
{
    struct str *list = NULL;
    size_t n = 0;
    const struct cfg_node *at = cfg_get(own, "include");
    *ret = own;
    if (!at || own->type != CFG_MAP || !cfg_str_list(at, "include", r->arena, &list, &n, r->ps))
        return ERR_OK;
    if (n > INCLUDES_MAX) {
        cfg_error(r->ps, at, "at most %d files can be included", INCLUDES_MAX);
        return ERR_OK;
    }
    struct cfg_node *root = map_like(r->arena, own, own->n + ARRAY_LEN(SHARED));
    enum err_code code = root ? ERR_OK : arena_err(r->arena, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++)
        code = include_one(r, at, list[i], root, err);
    for (size_t i = 0; i < own->n && code == ERR_OK; i++)
        code = section_put(r, root, own, i, err);
    if (code == ERR_OK)
        *ret = root;
    return code;
}

enum err_code project_read(const char *dir, struct arena *a, struct project_file *ret,
                           struct cfg_problems *ps, struct err *err)
{
    struct reader r = {.dir = dir, .arena = a, .ps = ps};
    struct cfg_node *own = NULL;
    const struct cfg_node *root = NULL;
    struct err local = ERR_INIT;
    enum err_code code = one_read(&r, PROJECT_FILE_NAME, &own, &local);
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND,
                       "%s has no %s: `pawl init` proposes one, or go to the project's folder", dir,
                       PROJECT_FILE_NAME);
    if (code != ERR_OK && err)
        *err = local;
    if (code == ERR_OK && own)
        code = includes_merge(&r, own, &root, err);
    if (code != ERR_OK)
        return code;
    char *kept = str_dup(a, str_c(dir));
    if (!kept)
        return arena_err(a, err);
    *ret =
        (struct project_file){.root = root, .dir = kept, .files = r.files.p, .n_files = r.files.n};
    return ERR_OK;
}

enum err_code project_find(const char *from, struct arena *a, char **ret_dir, struct err *err)
{
    char path[PATH_BYTES], full[PATH_BYTES + 16];
    if (!realpath(from, path))
        return err_set(err, ERR_NOT_FOUND, "folder %s is not there", from);
    for (;;) {
        snprintf(full, sizeof(full), "%s/%s", path, PROJECT_FILE_NAME);
        if (file_exists(full))
            break;
        char *slash = strrchr(path, '/');
        if (!slash || slash == path)
            return err_set(err, ERR_NOT_FOUND, "no %s in %s or any folder above it",
                           PROJECT_FILE_NAME, from);
        *slash = '\0';
    }
    *ret_dir = str_dup(a, str_c(path));
    return *ret_dir ? ERR_OK : arena_err(a, err);
}
