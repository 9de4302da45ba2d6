/* Revisions: a project as it was when somebody ran or pushed it, so that nothing depends on a
 * folder that changes.
 *
 * A revision is a tree in the blob store: pawl.yaml, the files it includes, the case files, SQL
 * files, runbooks and lock file it names, the scripts its `run:` commands name (with their
 * neighbours of the same suffix), the files that code.files lists. Its digest is the tree's; the
 * same files give the same revision. Rows in `revisions` say who, when and for which project.
 * Secrets are not in it: ${NAME} stays as written. */
#ifndef PAWL_PROJECT_REVISION_H
#define PAWL_PROJECT_REVISION_H

#include "base/clock.h"
#include "blob/tree.h"
#include "db/db.h"
#include "project/project.h"

struct revision {
    char digest[DIGEST_HEX_BYTES];
    const char *project;
    int64_t number; /* counts up per project, from 1 */
    int64_t created_us;
    const char *author, *message; /* message NULL: none */
    const char *commit;           /* git commit of the folder; NULL: none */
    bool is_dirty;                /* the folder differed from that commit */
};

struct revision_new {
    const char *dir;          /* the project's folder */
    const char *const *paths; /* of revision_files */
    size_t n_paths;
    const char *project, *author, *message, *commit;
    bool is_dirty;
    int64_t at_us;
};

/* Paths (relative, sorted) that a revision of this project holds. Missing named files are problems.
 * */
enum err_code revision_files(const struct project_file *f, const struct project_spec *p,
                             struct arena *a, const char ***ret, size_t *ret_n,
                             struct cfg_problems *ps, struct err *err) MUST_CHECK;
/* Stores the files and the row; a revision that is there already is given back as it is. */
enum err_code revision_store(struct db *db, struct blob_store *blob, const struct revision_new *n,
                             struct arena *a, struct revision *ret, struct err *err) MUST_CHECK;
/* By digest, a unique prefix of 6 digits or more, or NULL for the newest of the project. */
enum err_code revision_get(struct db *db, const char *project, const char *ref, struct arena *a,
                           struct revision *ret, struct err *err) MUST_CHECK;
/* From now on this is what the server schedules for the project. ERR_NOT_FOUND. */
enum err_code revision_push(struct db_tx *tx, const char *project, const char *digest,
                            int64_t at_us, struct err *err) MUST_CHECK;
/* Digest of the last one that was pushed; ERR_NOT_FOUND when none was. */
enum err_code revision_pushed(struct db *db, const char *project, struct arena *a, char **ret,
                              struct err *err) MUST_CHECK;
/* Newest first; project NULL: all. */
enum err_code revision_list(struct db *db, const char *project, int64_t limit, struct arena *a,
                            struct revision **ret, size_t *ret_n, struct err *err) MUST_CHECK;
/* Its pawl.yaml, as text. */
enum err_code revision_yaml(struct blob_store *blob, const char *digest, struct arena *a,
                            struct str *ret, struct err *err) MUST_CHECK;
/* Its files into an empty or absent directory. */
enum err_code revision_checkout(struct blob_store *blob, const char *digest, const char *dir,
                                struct err *err) MUST_CHECK;
struct json *revision_json(const struct revision *r, struct arena *a);

#endif
