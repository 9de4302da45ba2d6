#include "project/revision.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/vec.h"
#include "project/project_int.h"

#define COLUMNS        "digest, project, number, created_us, author, message, git_commit, is_dirty"
#define PREFIX_MIN     6
#define YAML_BYTES_MAX CFG_BYTES_MAX

static enum err_code row(const struct db_rows *r, struct arena *a, struct revision *ret,
                         struct err *err)
{
    const struct str digest = db_str(r, 0);
    struct revision v = {.project = db_dup(r, 1, a),
                         .number = db_i64(r, 2),
                         .created_us = db_i64(r, 3),
                         .author = db_dup(r, 4, a),
                         .message = db_dup(r, 5, a),
                         .commit = db_dup(r, 6, a),
                         .is_dirty = db_i64(r, 7) != 0};
    if (v.project == NULL || v.author == NULL)
        return arena_err(a, err);
    if (digest.n != DIGEST_HEX_BYTES - 1)
        return err_set(err, ERR_CORRUPT, "revision %lld of %s has a damaged digest",
                       (long long)v.number, v.project);
    memcpy(v.digest, digest.p, digest.n);
    v.digest[digest.n] = '\0';
    *ret = v;
    return ERR_OK;
}

struct query {
    const char *project, *prefix;
    int64_t limit;
    struct arena *a;
    VEC(struct revision) found;
};

static enum err_code query_run(struct db_tx *tx, void *arg, struct err *err)
{
    struct query *q = arg;
    struct db_rows *rows = NULL;
    const char *like = q->prefix != NULL ? str_printf(q->a, "%s%%", q->prefix) : NULL;
    q->found.n = 0;
    enum err_code code =
        db_query(tx, &rows, err,
                 "SELECT " COLUMNS
                 " FROM revisions WHERE (? IS NULL OR project = ?) AND (? IS NULL OR digest "
                 "LIKE ?) ORDER BY created_us DESC, number DESC LIMIT ?",
                 "ssssi", q->project, q->project, like, like, q->limit);
    if (code != ERR_OK)
        return code;
    while (code == ERR_OK && db_next(rows)) {
        struct revision *v = VEC_ADD(q->a, &q->found);
        code = v == NULL ? arena_err(q->a, err) : row(rows, q->a, v, err);
    }
    struct err end = ERR_INIT;
    const enum err_code ended = db_done(rows, &end);
    if (code == ERR_OK && ended != ERR_OK) {
        *err = end;
        code = ended;
    }
    return code;
}

enum err_code revision_list(struct db *db, const char *project, int64_t limit, struct arena *a,
                            struct revision **ret, size_t *ret_n, struct err *err)
{
    struct query q = {.project = project, .limit = limit, .a = a};
    const enum err_code code = db_read(db, query_run, &q, err);
    if (code == ERR_OK) {
        *ret = q.found.p;
        *ret_n = q.found.n;
    }
    return code;
}

enum err_code revision_get(struct db *db, const char *project, const char *ref, struct arena *a,
                           struct revision *ret, struct err *err)
{
    struct query q = {.project = project, .prefix = ref, .limit = 2, .a = a};
    const size_t n = ref != NULL ? strlen(ref) : 0;
    if (ref != NULL && (n < PREFIX_MIN || strspn(ref, "0123456789abcdef") != n))
        return err_set(
            err, ERR_INVALID,
            "\"%s\" names no revision: give its digest, or %d or more of its first digits", ref,
            PREFIX_MIN);
    const enum err_code code = db_read(db, query_run, &q, err);
    if (code != ERR_OK)
        return code;
    if (q.found.n == 0)
        return ref != NULL
                   ? err_set(err, ERR_NOT_FOUND, "there is no revision %s", ref)
                   : err_set(err, ERR_NOT_FOUND,
                             "project %s has no revision yet: `pawl run` or `pawl push` makes one",
                             project);
    if (ref != NULL && q.found.n > 1 && strcmp(q.found.p[0].digest, q.found.p[1].digest) != 0)
        return err_set(err, ERR_INVALID,
                       "%s is the beginning of more than one revision: give more digits", ref);
    *ret = q.found.p[0];
    return ERR_OK;
}

/* ---- pushing ---- */

enum err_code revision_push(struct db_tx *tx, const char *project, const char *digest,
                            int64_t at_us, struct err *err)
{
    enum err_code code =
        db_exec(tx, err, "UPDATE revisions SET pushed_us = ? WHERE project = ? AND digest = ?",
                "iss", at_us, project, digest);
    if (code == ERR_OK && db_changes(tx) == 0)
        code = err_set(err, ERR_NOT_FOUND, "there is no revision %.12s of %s", digest, project);
    return code;
}

struct pushed {
    const char *project;
    struct arena *a;
    char *digest;
};

static enum err_code find_pushed(struct db_tx *tx, void *arg, struct err *err)
{
    struct pushed *p = arg;
    return db_get_str(tx, p->a, &p->digest, err,
                      "SELECT digest FROM revisions WHERE project = ? AND pushed_us IS NOT NULL "
                      "ORDER BY pushed_us DESC, number DESC LIMIT 1",
                      "s", p->project);
}

enum err_code revision_pushed(struct db *db, const char *project, struct arena *a, char **ret,
                              struct err *err)
{
    struct pushed p = {.project = project, .a = a};
    const enum err_code code = db_read(db, find_pushed, &p, err);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "no revision of %s was pushed: run `pawl push` or `pawl up`",
                       project);
    if (code == ERR_OK)
        *ret = p.digest;
    return code;
}

/* ---- making ---- */

struct making {
    const struct revision_new *meta;
    const char *digest;
    struct arena *a;
    struct revision made;
};

/* One that is pushed again becomes the newest again: what a server runs is the last that was pushed. */
static enum err_code put_row(struct db_tx *tx, void *arg, struct err *err)
{
    struct making *m = arg;
    const struct revision_new *n = m->meta;
    struct db_rows *rows = NULL;
    enum err_code code = db_exec(
        tx, err,
        "INSERT INTO revisions(" COLUMNS
        ") VALUES (?, ?, (SELECT COALESCE(MAX(number), 0) + 1 FROM "
        "revisions WHERE project = ?), ?, ?, ?, ?, ?) ON CONFLICT (project, digest) DO UPDATE SET "
        "created_us = excluded.created_us",
        "sssisssi", m->digest, n->project, n->project, n->at_us, n->author, n->message, n->commit,
        (int64_t)n->is_dirty);
    if (code == ERR_OK)
        code = db_query(tx, &rows, err,
                        "SELECT " COLUMNS " FROM revisions WHERE project = ? AND digest = ?", "ss",
                        n->project, m->digest);
    if (code != ERR_OK)
        return code;
    if (db_next(rows))
        code = row(rows, m->a, &m->made, err);
    struct err end = ERR_INIT;
    const enum err_code ended = db_done(rows, &end);
    if (code == ERR_OK && ended != ERR_OK) {
        *err = end;
        code = ended;
    }
    return code;
}

/* Files from outside the folder are kept inside the revision, under a name of their own. */
static enum err_code put_files(struct blob_store *blob, const struct revision_new *n,
                               struct arena *a, struct digest *ret, struct err *err)
{
    struct tree t = {.files = ARENA_NEW_N(a, struct tree_file, n->n_paths), .n = n->n_paths};
    if (t.files == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < n->n_paths; i++) {
        const char *path = path_join(a, n->dir, n->paths[i]);
        struct stat st;
        t.files[i].path = project_inside_path(a, n->paths[i]);
        if (path == NULL || t.files[i].path == NULL)
            return arena_err(a, err);
        t.files[i].is_exec = stat(path, &st) == 0 && (st.st_mode & S_IXUSR) != 0;
        const enum err_code code =
            blob_put_file(blob, path, &t.files[i].digest, &t.files[i].bytes, err);
        if (code != ERR_OK)
            return err_wrap(err, "revision: %s", n->paths[i]);
    }
    return tree_put(blob, &t, ret, err);
}

enum err_code revision_store(struct db *db, struct blob_store *blob, const struct revision_new *n,
                             struct arena *a, struct revision *ret, struct err *err)
{
    struct digest d;
    char hex[DIGEST_HEX_BYTES];
    enum err_code code = put_files(blob, n, a, &d, err);
    if (code != ERR_OK)
        return code;
    digest_hex(&d, hex);
    struct making m = {.meta = n, .digest = hex, .a = a};
    code = db_write(db, put_row, &m, err);
    if (code == ERR_OK)
        *ret = m.made;
    return code;
}

enum err_code revision_yaml(struct blob_store *blob, const char *digest, struct arena *a,
                            struct str *ret, struct err *err)
{
    struct digest d;
    enum err_code code = digest_parse(str_c(digest), &d, err);
    if (code == ERR_OK)
        code = tree_read_file(blob, &d, PROJECT_FILE_NAME, YAML_BYTES_MAX, a, ret, err);
    return code == ERR_OK ? code : err_wrap(err, "revision %.12s", digest);
}

enum err_code revision_checkout(struct blob_store *blob, const char *digest, const char *dir,
                                struct err *err)
{
    struct digest d;
    enum err_code code = digest_parse(str_c(digest), &d, err);
    if (code == ERR_OK)
        code = tree_materialize(blob, &d, dir, err);
    return code == ERR_OK ? code : err_wrap(err, "revision %.12s", digest);
}

struct json *revision_json(const struct revision *r, struct arena *a)
{
    struct json *v = json_obj(a);
    json_set(a, v, "revision", json_cstr(a, r->digest));
    json_set(a, v, "project", json_cstr(a, r->project));
    json_set(a, v, "number", json_int(a, r->number));
    json_set(a, v, "created_at", json_time(a, r->created_us));
    json_set(a, v, "author", json_cstr(a, r->author));
    json_set(a, v, "message", json_cstr(a, r->message));
    json_set(a, v, "commit", json_cstr(a, r->commit));
    json_set(a, v, "dirty", json_bool(a, r->is_dirty));
    return v;
}
