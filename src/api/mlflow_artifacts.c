/* MLflow: artifacts over HTTP. "mlflow-artifacts:/X" is home/artifacts/X; "trees/DIGEST/…" reads a
 * tree of the content store, so that versions which this program made can be loaded by MLflow's
 * client too. */
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#include "api/mlflow_int.h"
#include "base/check.h"
#include "base/file.h"
#include "blob/tree.h"

#define SCHEME "mlflow-artifacts:"
#define TREES  "trees/"

static enum err_code bad_path(struct err *err)
{
    return err_set(err, ERR_INVALID, "Invalid path");
}

/* Decoded until nothing changes, and safe at every stage: "%252e%252e" is ".." to somebody. */
static enum err_code path_clean(struct arena *a, struct str path, struct str *ret, struct err *err)
{
    for (int i = 0; i < 4; i++) {
        struct str next;
        if (!artifact_path_is_safe(path))
            return bad_path(err);
        if (!memchr(path.p, '%', path.n)) {
            *ret = path;
            return ERR_OK;
        }
        if (http_unescape(path, false, a, &next, NULL) != ERR_OK || str_eq(next, path)) {
            *ret = path; /* a plain percent sign */
            return ERR_OK;
        }
        path = next;
    }
    return bad_path(err);
}

static char *root_path(struct services *sv, struct arena *a, struct str path)
{
    return str_printf(a, "%s/artifacts%s%.*s", sv->home, path.n ? "/" : "", STR_ARG(path));
}

char *mlflow_local_path(struct services *sv, struct arena *a, const char *uri)
{
    struct str rest = str_c(uri), clean;
    if (!str_starts(rest, STR(SCHEME)))
        return NULL;
    rest = str_n(rest.p + strlen(SCHEME), rest.n - strlen(SCHEME));
    while (rest.n > 0 && rest.p[0] == '/')
        rest = str_n(rest.p + 1, rest.n - 1);
    if (path_clean(a, rest, &clean, NULL) != ERR_OK || str_starts(clean, STR(TREES)))
        return NULL;
    return root_path(sv, a, clean);
}

/* ---- what is where ---- */

struct place {
    char *file;         /* an ordinary file */
    char *dir;          /* a folder of home/artifacts */
    struct tree tree;   /* or a tree, and the path inside it */
    const char *inside; /* NULL: no tree */
    struct blob_store *blobs;
};

static enum err_code tree_place(struct services *sv, struct arena *a, struct str path,
                                struct place *ret, struct err *err)
{
    struct digest d;
    struct str rest = str_n(path.p + strlen(TREES), path.n - strlen(TREES));
    struct str hex = str_split(&rest, '/');
    if (digest_parse(hex, &d, NULL) != ERR_OK || !sv->blobs)
        return err_set(err, ERR_NOT_FOUND, "there is no artifact %.*s", STR_ARG(path));
    enum err_code code = tree_read(sv->blobs, &d, a, &ret->tree, err);
    if (code != ERR_OK)
        return code;
    ret->blobs = sv->blobs;
    ret->inside = rest.p ? str_dup(a, rest) : "";
    if (!ret->inside)
        return arena_err(a, err);
    const struct tree_file *f = tree_find(&ret->tree, ret->inside);
    return f ? blob_path(sv->blobs, &f->digest, a, &ret->file, err) : ERR_OK;
}

static enum err_code place_find(struct services *sv, struct arena *a, struct str path,
                                struct place *ret, struct err *err)
{
    *ret = (struct place){0};
    if (path.n == 0) {
        ret->dir = root_path(sv, a, path);
        return ret->dir ? ERR_OK : arena_err(a, err);
    }
    enum err_code code = path_clean(a, path, &path, err);
    if (code != ERR_OK)
        return code;
    if (str_starts(path, STR(TREES)))
        return tree_place(sv, a, path, ret, err);
    char *full = root_path(sv, a, path);
    if (!full)
        return arena_err(a, err);
    if (dir_exists(full))
        ret->dir = full;
    else if (file_exists(full))
        ret->file = full;
    return ERR_OK;
}

/* ---- listing ---- */

static void file_add(struct arena *a, struct json *list, const char *prefix, struct str name,
                     int64_t bytes)
{
    struct json *f = json_obj(a);
    json_set(a, f, "path", json_fmt(a, "%s%.*s", prefix, STR_ARG(name)));
    json_set(a, f, "is_dir", json_bool(a, bytes < 0));
    if (bytes >= 0)
        json_set(a, f, "file_size", json_int(a, bytes));
    json_add(a, list, f);
}

/* Files and folders directly below the path inside a tree, which is sorted. */
static void tree_list(struct arena *a, const struct place *p, const char *prefix, struct json *list)
{
    struct str below = str_c(p->inside), last = STR_NONE;
    for (size_t i = 0; i < p->tree.n; i++) {
        struct str path = str_c(p->tree.files[i].path);
        if (below.n > 0) {
            if (!str_starts(path, below) || path.n <= below.n || path.p[below.n] != '/')
                continue;
            path = str_n(path.p + below.n + 1, path.n - below.n - 1);
        }
        struct str rest = path, name = str_split(&rest, '/');
        if (!rest.p)
            file_add(a, list, prefix, name, p->tree.files[i].bytes);
        else if (!last.p || !str_eq(last, name))
            file_add(a, list, prefix, name, -1);
        last = rest.p ? name : last;
    }
}

static enum err_code place_list(struct arena *a, const struct place *p, const char *prefix,
                                struct json *list, struct err *err)
{
    char **names = NULL;
    size_t n = 0;
    if (p->inside && !p->file)
        tree_list(a, p, prefix, list);
    if (!p->dir)
        return ERR_OK;
    enum err_code code = dir_list(p->dir, a, &names, &n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        struct stat st;
        char *full = path_join(a, p->dir, names[i]);
        if (!full)
            return arena_err(a, err);
        if (stat(full, &st) == 0)
            file_add(a, list, prefix, str_c(names[i]), S_ISDIR(st.st_mode) ? -1 : st.st_size);
    }
    return code;
}

static void answer_json(struct http_request *r, const struct json *j)
{
    struct buf text;
    struct err err = ERR_INIT;
    buf_init(&text, (size_t)64 << 20);
    char *copy = json_write(j, JSON_COMPACT, &text, &err) == ERR_OK
                     ? str_dup(r->arena, buf_view(&text))
                     : NULL;
    if (copy) {
        http_answer_json(r, 200, str_n(copy, text.n));
    } else {
        err_nomem(&err);
        mlflow_answer_err(r, &err);
    }
    buf_fini(&text);
}

void mlflow_artifact_list(struct http_request *r, void *arg)
{
    struct services *sv = arg;
    struct err err = ERR_INIT;
    struct place p;
    struct str path = http_query(r, "path");
    struct json *list = json_arr(r->arena), *out = json_obj(r->arena);
    while (path.n > 0 && path.p[path.n - 1] == '/')
        path.n--;
    enum err_code code = place_find(sv, r->arena, path.p ? path : STR(""), &p, &err);
    if (code == ERR_OK)
        code = place_list(r->arena, &p, "", list, &err);
    if (code == ERR_OK)
        answer_json(r, json_len(list) ? json_set(r->arena, out, "files", list) : out);
    else
        mlflow_answer_err(r, &err);
}

enum err_code mlflow_run_artifacts(struct mlflow_call *c, struct json **ret, struct err *err)
{
    struct run r;
    const char *id = mlf_str(c, c->in, "run_id"), *path = mlf_str(c, c->in, "path");
    struct json *list = json_arr(c->a);
    struct place p = {0};
    if (!id)
        id = mlf_str(c, c->in, "run_uuid");
    if (!id)
        return mlf_need(c, "run_id", &id, err);
    enum err_code code = run_get(c->track, id, c->a, &r, err);
    if (code != ERR_OK)
        return code;
    const char *prefix = path && *path ? str_printf(c->a, "%s/", path) : "";
    char *root = mlflow_local_path(c->sv, c->a, r.info.artifact_uri);
    char *rel = str_printf(c->a, "%lld/%s/artifacts%s%s", (long long)r.info.experiment_id, id,
                           path && *path ? "/" : "", path ? path : "");
    if (!prefix || !rel)
        return arena_err(c->a, err);
    if (root)
        code = place_find(c->sv, c->a, str_c(rel), &p, err);
    if (code == ERR_OK)
        code = place_list(c->a, &p, prefix, list, err);
    json_set(c->a, *ret, "root_uri", json_cstr(c->a, r.info.artifact_uri));
    json_set(c->a, *ret, "files", json_len(list) ? list : NULL);
    return code;
}

/* ---- reading ---- */

static const char *type_of(const char *path)
{
    static const struct {
        const char *suffix, *type;
    } TYPES[] = {
        {".json", "text/plain"},   {".yaml", "text/plain"}, {".yml", "text/plain"},
        {".txt", "text/plain"},    {".md", "text/plain"},   {".py", "text/plain"},
        {".log", "text/plain"},    {".csv", "text/csv"},    {".html", "text/html"},
        {".png", "image/png"},     {".jpg", "image/jpeg"},  {".svg", "image/svg+xml"},
        {"MLmodel", "text/plain"},
    };
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        if (str_ends(str_c(path), str_c(TYPES[i].suffix)))
            return TYPES[i].type;
    return "application/octet-stream";
}

static void answer_place(struct http_request *r, const struct place *p, struct str path)
{
    struct err err = ERR_INIT;
    char *name = str_dup(r->arena, path);
    if (!p->file || !name) {
        err_set(&err, ERR_NOT_FOUND, "there is no artifact %.*s", STR_ARG(path));
        mlflow_answer_err(r, &err);
        return;
    }
    char *disposition = str_printf(r->arena, "attachment; filename=\"%s\"", path_base(name));
    if (disposition && !strpbrk(path_base(name), "\"\r\n"))
        http_answer_header(r, "Content-Disposition", disposition);
    http_answer_header(r, "X-Content-Type-Options", "nosniff");
    http_answer_file(r, 200, type_of(name), p->file, 0, -1);
}

void mlflow_artifact_get(struct http_request *r, void *arg)
{
    struct err err = ERR_INIT;
    struct place p;
    struct str path = http_param(r, "path");
    if (place_find(arg, r->arena, path, &p, &err) == ERR_OK)
        answer_place(r, &p, path);
    else
        mlflow_answer_err(r, &err);
}

void mlflow_run_artifact_get(struct http_request *r, void *arg)
{
    struct services *sv = arg;
    struct track *t = sv->track;
    struct err err = ERR_INIT;
    struct place p;
    struct run run;
    struct str id = http_query(r, "run_id"), path = http_query(r, "path");
    if (!id.p)
        id = http_query(r, "run_uuid");
    char *run_id = str_dup(r->arena, id.p ? id : STR(""));
    enum err_code code = services_need(t, "the tracking store", &err);
    if (code == ERR_OK)
        code = run_id ? run_get(t, run_id, r->arena, &run, &err) : arena_err(r->arena, &err);
    char *full = code == ERR_OK
                     ? str_printf(r->arena, "%lld/%s/artifacts/%.*s",
                                  (long long)run.info.experiment_id, run_id, STR_ARG(path))
                     : NULL;
    if (code == ERR_OK)
        code = full ? place_find(sv, r->arena, str_c(full), &p, &err) : arena_err(r->arena, &err);
    if (code == ERR_OK)
        answer_place(r, &p, str_c(full));
    else
        mlflow_answer_err(r, &err);
}

/* ---- writing ---- */

/* The file that a PUT or DELETE means; trees are read-only. */
static enum err_code writable(struct services *sv, struct http_request *r, char **ret,
                              struct err *err)
{
    struct str path = http_param(r, "path");
    enum err_code code = path_clean(r->arena, path, &path, err);
    if (code == ERR_OK && str_starts(path, STR(TREES)))
        code = err_set(err, ERR_FORBIDDEN, "what is in the content store is not changed");
    if (code != ERR_OK)
        return code;
    *ret = root_path(sv, r->arena, path);
    return *ret ? ERR_OK : arena_err(r->arena, err);
}

void mlflow_artifact_put(struct http_request *r, void *arg)
{
    struct err err = ERR_INIT;
    char *full = NULL, *slash = NULL;
    enum err_code code = writable(arg, r, &full, &err);
    if (code == ERR_OK && (slash = strrchr(full, '/'))) {
        *slash = '\0';
        code = dir_make(full, 0700, &err);
        *slash = '/';
    }
    if (code == ERR_OK && dir_exists(full))
        code = err_set(&err, ERR_INVALID, "there is a folder of that name");
    else if (code == ERR_OK && r->body_path)
        code = file_rename_sync(r->body_path, full, &err);
    else if (code == ERR_OK)
        code = file_write(full, r->body, 0600, &err);
    if (code == ERR_OK)
        http_answer_json(r, 200, STR("{}"));
    else
        mlflow_answer_err(r, &err);
}

void mlflow_artifact_delete(struct http_request *r, void *arg)
{
    struct err err = ERR_INIT;
    char *full = NULL;
    enum err_code code = writable(arg, r, &full, &err);
    if (code == ERR_OK)
        code = dir_exists(full) ? dir_remove(full, &err) : file_remove(full, &err);
    if (code == ERR_OK)
        http_answer_json(r, 200, STR("{}"));
    else
        mlflow_answer_err(r, &err);
}

/* The words make clients fall back to a single PUT or GET. */
void mlflow_artifact_multipart(struct http_request *r, void *arg)
{
    http_answer_json(
        r, 501,
        STR("{\"error_code\":\"NOT_IMPLEMENTED\",\"message\":\"Multipart upload is not supported "
            "for the current artifact repository\"}"));
}
