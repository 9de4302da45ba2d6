/* Trees: a directory of files as one blob, the manifest.
 *
 * The manifest is "pawl.tree.v1\n" + canonical JSON {"files":[{"bytes","exec"?,"path","sha256"}]}
 * sorted by path, so the blob's own name is the document's digest of kind "tree": equal files give
 * an equal tree, whenever and wherever. Paths are relative, "/"-separated, without ".", ".." and
 * empty parts; links and special files are refused by name. Threads: any; a struct tree is plain
 * data in its arena. */
#ifndef PAWL_BLOB_TREE_H
#define PAWL_BLOB_TREE_H

#include "blob/blob.h"
#include "json/json.h"

#define TREE_FILES_MAX 100000

struct tree_file {
    const char *path;
    struct digest digest;
    int64_t bytes;
    bool is_exec;
};

struct tree {
    struct tree_file *files; /* sorted by path */
    size_t n;
};

/* Stores every file below dir and the manifest. */
enum err_code tree_put_dir(struct blob_store *s, const char *dir, struct digest *ret,
                           struct err *err) MUST_CHECK;
/* Stores the named files, relative to dir. */
enum err_code tree_put_files(struct blob_store *s, const char *dir, const char *const *paths,
                             size_t n, struct digest *ret, struct err *err) MUST_CHECK;
/* Stores the manifest of files that are in the store already; sorts t->files. Twice the same path:
 * ERR_INVALID. */
enum err_code tree_put(struct blob_store *s, struct tree *t, struct digest *ret,
                       struct err *err) MUST_CHECK;
/* The manifest, checked. */
enum err_code tree_read(struct blob_store *s, const struct digest *d, struct arena *a,
                        struct tree *ret, struct err *err) MUST_CHECK;
const struct tree_file *tree_find(const struct tree *t, const char *path); /* NULL when absent */
/* One file of a tree, checked: ERR_NOT_FOUND when it has no such path. */
enum err_code tree_read_file(struct blob_store *s, const struct digest *tree, const char *path,
                             size_t limit, struct arena *a, struct str *ret,
                             struct err *err) MUST_CHECK;
/* Writes the tree into dir, which must be absent or empty; every file is checked as it is read. On
 * error dir is removed again. Files are the caller's own: changing them does not touch the store.
 * */
enum err_code tree_materialize(struct blob_store *s, const struct digest *d, const char *dir,
                               struct err *err) MUST_CHECK;
/* Manifest and every file against their names; the error names the path. */
enum err_code tree_verify(struct blob_store *s, const struct digest *d, struct err *err) MUST_CHECK;

#endif
