/* The profile of a new version: of the added files alone, merged into that of the version before, where a version only
 * grew; else of everything. */
#include "data/profile_update.h"

#include "data/sketch.h"
#include "db/db.h"

struct sketch_row {
    const char *project;
    struct str source, digest;
    int64_t n_merges;
    struct buf *text;
    struct arena *a;
    char *doc;
};

static enum err_code load_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct sketch_row *r = arg;
    struct db_rows *rows = NULL;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT doc, n_merges FROM data_sketches WHERE project = ? AND source = ? AND digest = ?",
        "stt", r->project, r->source, r->digest);
    if (code != ERR_OK)
        return code;
    if (db_next(rows)) {
        r->doc = db_dup(rows, 0, r->a);
        r->n_merges = db_i64(rows, 1);
    }
    return db_done(rows, err);
}

static enum err_code save_tx(struct db_tx *tx, void *arg, struct err *err)
{
    const struct sketch_row *r = arg;
    return db_exec(tx, err,
                   "INSERT INTO data_sketches(project, source, digest, n_merges, doc) VALUES "
                   "(?,?,?,?,?) ON CONFLICT (project, "
                   "source) DO UPDATE SET digest = excluded.digest, n_merges = excluded.n_merges, "
                   "doc = excluded.doc",
                   "sttit", r->project, r->source, r->digest, r->n_merges, buf_view(r->text));
}

static const char *project_of(const struct data_env *env)
{
    return env->project ? env->project : "";
}

static const struct json *file_of(const struct json *files, struct str path)
{
    for (size_t i = 0; i < json_len(files); i++)
        if (str_eq(json_get_str(json_at(files, i), "path"), path))
            return json_at(files, i);
    return NULL;
}

/* The files of the binding that `before` has not; NULL when one of its files is gone or changed, or there is nothing new. */
static struct json *added_files(const struct json *before, const struct json *doc,
                                const struct json *binding, struct arena *a)
{
    const struct json *was = json_get(before, "files"), *is = json_get(doc, "files"),
                      *paths = json_get(binding, "files");
    struct json *out = json_arr(a);
    size_t n_kept = 0;
    for (size_t i = 0; i < json_len(is); i++) {
        const struct json *f = file_of(was, json_get_str(json_at(is, i), "path"));
        if (f && !str_eq(json_get_str(f, "sha256"), json_get_str(json_at(is, i), "sha256")))
            return NULL;
        if (f)
            n_kept++;
        else
            json_add(a, out, json_copy(a, json_at(paths, i)));
    }
    return n_kept == json_len(was) && json_len(out) > 0 ? out : NULL;
}

/* The document of data.profile for all files, from before's and that of the added ones. */
static struct json *join_answers(const struct json *before, const struct json *doc,
                                 const struct json *part, struct json *merged, struct arena *a)
{
    const struct json *is = json_get(doc, "files");
    struct json *files = json_arr(a);
    size_t k = 0;
    for (size_t i = 0; i < json_len(is); i++) {
        const struct json *f =
            file_of(json_get(before, "files"), json_get_str(json_at(is, i), "path"));
        struct json *one = json_obj(a);
        const struct json *rows = json_get(f ? f : json_at(json_get(part, "files"), k), "rows");
        k += f == NULL;
        json_set(a, one, "rows", json_copy(a, rows));
        json_add(a, files, one);
    }
    json_set(a, merged, "files", files);
    json_set(a, merged, "is_uniform", json_bool(a, true));
    if (json_get(before, "dialect"))
        json_set(a, merged, "dialect", json_copy(a, json_get(before, "dialect")));
    return merged;
}

/* NULL in *ret: it has to be made anew. */
static enum err_code try_merge(const struct profile_order *o, struct sketch_row *row,
                               struct arena *a, struct json **ret, struct err *err)
{
    struct json *binding = json_copy(a, o->binding), *args = json_obj(a), *part = NULL,
                *sketches = NULL;
    bool is_jsonl = str_is(json_get_str(o->doc, "kind"), "jsonl");
    if (!o->before || !json_eq(json_get(o->before, "declared"), json_get(o->doc, "declared")) ||
        !str_eq(json_get_str(o->before, "kind"), json_get_str(o->doc, "kind")) ||
        (!is_jsonl && !json_get_bool(o->before, "is_uniform", false)))
        return ERR_OK;
    struct json *added = added_files(o->before, o->doc, binding, a);
    row->digest = json_get_str(o->before, "digest");
    enum err_code code = added ? db_read(o->env->db, load_tx, row, err) : ERR_OK;
    if (code != ERR_OK || !row->doc || row->n_merges >= SKETCH_MERGES_MAX)
        return code;
    code = json_read(str_c(row->doc), a, &sketches, err);
    if (code != ERR_OK)
        return code;
    json_set(a, binding, "files", added);
    json_set(a, binding, "columns",
             json_copy(a, json_get(o->before, "columns"))); /* types of text files stay */
    json_set(a, args, "binding", binding);
    code = data_env_call(o->env, "data.profile", args, a, &part, err);
    if (code != ERR_OK || !json_eq(json_get(part, "columns"), json_get(o->before, "columns")) ||
        (!is_jsonl && !json_get_bool(part, "is_uniform", false)) ||
        !json_eq(json_get(part, "dialect"), json_get(o->before, "dialect")))
        return code;
    struct json *merged = profile_merge(&(struct profiled){o->before, sketches},
                                        &(struct profiled){part, json_get(part, "sketches")}, a);
    *ret = merged ? join_answers(o->before, o->doc, part, merged, a) : NULL;
    return ERR_OK;
}

enum err_code profile_update(const struct profile_order *o, struct arena *a, struct json **ret,
                             struct err *err)
{
    struct sketch_row row = {
        .project = project_of(o->env), .source = json_get_str(o->doc, "source"), .a = a};
    struct json *out = NULL;
    struct buf text = {0};
    enum err_code code = try_merge(o, &row, a, &out, err);
    if (code != ERR_OK)
        return code;
    row.n_merges = out ? row.n_merges + 1 : 0;
    if (!out) {
        struct json *args = json_obj(a);
        json_set(a, args, "binding", json_copy(a, o->binding));
        code = data_env_call(o->env, "data.profile", args, a, &out, err);
        if (code != ERR_OK)
            return code;
    }
    buf_init(&text, 256 << 20);
    code = json_write(json_get(out, "sketches"), JSON_COMPACT, &text, err);
    row.digest = json_get_str(o->doc, "digest");
    row.text = &text;
    if (code == ERR_OK)
        code = db_write(o->env->db, save_tx, &row, err);
    buf_fini(&text);
    if (code == ERR_OK)
        *ret = out;
    return code;
}
