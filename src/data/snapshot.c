/* Making a data version: files, digest, and, for a version not seen before, a profile by a child. */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "blob/blob.h"
#include "data/data_worker.h"
#include "data/profile_update.h"
#include "data/scan.h"
#include "data/source_files.h"
#include "data/version_int.h"
#include "job/worker.h"

struct json *data_worker_limits(const char *temp_dir, struct arena *a)
{
    struct json *j = json_obj(a);
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    if (pages > 0 && size > 0)
        json_set(a, j, "memory_bytes", json_int(a, (int64_t)pages * (int64_t)size / 2));
    /* A folder of its own: DuckDB lets a locked session read what lies where it spills. */
    if (temp_dir)
        json_set(a, j, "temp_dir", json_fmt(a, "%s/spill", temp_dir));
    return j;
}

enum err_code data_env_call(const struct data_env *env, const char *op, struct json *args,
                            struct arena *a, struct json **ret, struct err *err)
{
    json_set(a, args, "limits", data_worker_limits(env->tmp_dir, a));
    struct worker_call call = {.op = op,
                               .args = args,
                               .timeout_ms = DATA_CALL_TIMEOUT_MS,
                               .is_cancelled = env->is_cancelled,
                               .on_progress = env->on_progress,
                               .arg = env->progress_arg};
    return worker_pool_call(env->pool, &call, a, ret, err);
}

static enum err_code file_path(const struct data_env *env, const struct json *doc,
                               const struct json *file, struct arena *a, char **ret,
                               struct err *err)
{
    struct digest d;
    enum err_code code;
    if (json_get_bool(doc, "reference", false)) {
        const char *path = json_get_c(file, "path");
        char *abs = !path            ? NULL
                    : path[0] == '/' ? str_dup(a, str_c(path))
                                     : path_join(a, env->project_root, path);
        if (!abs)
            return arena_err(a, err);
        if (!file_exists(abs))
            return err_set(err, ERR_NOT_FOUND, "%s is gone (the source is kept by reference only)",
                           abs);
        *ret = abs;
        return ERR_OK;
    }
    code = digest_parse(json_get_str(file, "sha256"), &d, err);
    if (code == ERR_OK)
        code = blob_path(env->blobs, &d, a, ret, err);
    return code == ERR_OK ? ERR_OK
                          : err_wrap(err, "file %s of the version", json_get_c(file, "path"));
}

static void copy_member(struct arena *a, struct json *to, const struct json *from, const char *key)
{
    if (json_get(from, key))
        json_set(a, to, key, json_copy(a, json_get(from, key)));
}

static void bind_spec(struct json *b, const struct source_spec *s, struct arena *a)
{
    if (s->time.n > 0)
        json_set(a, b, "time", json_str(a, s->time));
    json_set(a, b, "timezone", json_str(a, s->timezone));
    if (s->known_at.n > 0)
        json_set(a, b, "known_at", json_str(a, s->known_at));
    if (s->available_after_us >= 0)
        json_set(a, b, "available_after_us", json_int(a, s->available_after_us));
}

static enum err_code binding_of_doc(const struct data_env *env, const struct source_spec *s,
                                    const struct json *doc, struct arena *a, struct json **ret,
                                    struct err *err)
{
    struct json *b = json_obj(a), *files = json_arr(a);
    const struct json *list = json_get(doc, "files");
    json_set(a, b, "name", json_str(a, s->name));
    copy_member(a, b, doc, "kind");
    for (size_t i = 0; i < json_len(list); i++) {
        struct json *f = json_obj(a);
        char *path = NULL;
        enum err_code code = file_path(env, doc, json_at(list, i), a, &path, err);
        if (code != ERR_OK)
            return code;
        json_set(a, f, "path", json_cstr(a, path));
        copy_member(a, f, json_at(list, i), "rows");
        json_add(a, files, f);
    }
    json_set(a, b, "files", files);
    copy_member(a, b, doc, "columns");
    copy_member(a, b, doc, "digest");
    copy_member(a, b, doc, "is_uniform");
    copy_member(a, b, doc, "dialect");
    bind_spec(b, s, a);
    *ret = b;
    return ERR_OK;
}

enum err_code data_binding(const struct data_env *env, const struct source_spec *s,
                           const struct data_version *v, struct arena *a, struct json **ret,
                           struct err *err)
{
    enum err_code code = binding_of_doc(env, s, v->doc, a, ret, err);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "source %.*s", STR_ARG(s->name));
}

/* All files of one source are of one kind. */
static enum err_code kind_of_files(const struct source_files *f, const char **ret, struct err *err)
{
    const char *kind = NULL;
    for (size_t i = 0; i < f->n; i++) {
        const char *k = NULL;
        enum err_code code = data_kind_of_file(f->e[i].path, &k, err);
        if (code != ERR_OK)
            return code;
        if (kind && strcmp(kind, k) != 0)
            return err_set(err, ERR_INVALID,
                           "%s is %s, but %s is %s: the files of a source are of one kind",
                           f->names[i], k, f->names[i - 1], kind);
        kind = k;
    }
    *ret = kind;
    return ERR_OK;
}

static struct json *doc_begin(const struct source_spec *s, const struct source_files *f,
                              const char *kind, struct arena *a)
{
    struct json *doc = json_obj(a), *files = json_arr(a);
    int64_t bytes = 0;
    json_set(a, doc, "format", json_int(a, 1));
    json_set(a, doc, "source", json_str(a, s->name));
    json_set(a, doc, "digest", json_hex(a, &f->digest));
    json_set(a, doc, "kind", json_cstr(a, kind));
    json_set(a, doc, "reference", json_bool(a, !f->is_stored));
    for (size_t i = 0; i < f->n; i++) {
        struct json *one = json_obj(a);
        json_set(a, one, "path", json_cstr(a, f->names[i]));
        json_set(a, one, "sha256", json_hex(a, &f->e[i].digest));
        json_set(a, one, "bytes", json_int(a, f->e[i].st.st_size));
        json_add(a, files, one);
        bytes += f->e[i].st.st_size;
    }
    json_set(a, doc, "files", files);
    json_set(a, doc, "bytes", json_int(a, bytes));
    return doc;
}

static void doc_add_profile(struct json *doc, const struct json *profile, struct arena *a)
{
    static const char *const KEYS[] = {"rows",    "columns",    "time",   "known_at",
                                       "profile", "is_uniform", "dialect"};
    const struct json *files = json_get(doc, "files"), *counted = json_get(profile, "files");
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        copy_member(a, doc, profile, KEYS[i]);
    for (size_t i = 0; i < json_len(files); i++)
        copy_member(a, (struct json *)(uintptr_t)json_at(files, i), json_at(counted, i), "rows");
}

static enum err_code profile_new(const struct data_env *env, const struct source_spec *s,
                                 struct json *doc, const struct json *before, struct arena *a,
                                 struct err *err)
{
    struct json *binding = NULL, *profile = NULL;
    enum err_code code = binding_of_doc(env, s, doc, a, &binding, err);
    if (code == ERR_OK)
        code = profile_update(&(struct profile_order){env, doc, binding, before}, a, &profile, err);
    if (code == ERR_OK)
        doc_add_profile(doc, profile, a);
    return code;
}

/* The profile of a version made under another declaration of time or known_at is not this one's. */
static bool is_same_declaration(const struct json *doc, const struct source_spec *s,
                                struct arena *a)
{
    struct json *now = json_obj(a);
    bind_spec(now, s, a);
    return json_eq(json_get(doc, "declared"), now);
}

static enum err_code make_version(const struct data_env *env, const struct source_spec *s,
                                  const struct source_files *f, struct arena *a, struct json **ret,
                                  struct err *err)
{
    struct json *before = NULL, *declared = json_obj(a);
    struct err ignored = ERR_INIT;
    const char *kind = NULL;
    enum err_code code = kind_of_files(f, &kind, err);
    if (code != ERR_OK)
        return code;
    struct json *doc = doc_begin(s, f, kind, a);
    bind_spec(declared, s, a);
    json_set(a, doc, "declared", declared);
    if (data_version_find(env, s->name, STR(""), a, &before, &ignored) != ERR_OK)
        before = NULL;
    code = profile_new(env, s, doc, before, a, err);
    if (code != ERR_OK)
        return code;
    if (before && !str_eq(json_get_str(before, "digest"), json_get_str(doc, "digest"))) {
        json_set(a, doc, "previous", json_copy(a, json_get(before, "digest")));
        json_set(a, doc, "changes", data_version_diff(before, doc, a));
    }
    *ret = doc;
    return ERR_OK;
}

enum err_code data_snapshot(const struct data_env *env, const struct source_spec *s,
                            struct arena *a, struct data_version *ret, bool *ret_is_new,
                            struct err *err)
{
    struct source_files f = {0};
    struct json *doc = NULL, *newest = NULL;
    struct err ignored = ERR_INIT;
    char hex[DIGEST_HEX_BYTES];
    bool is_new = false;
    enum err_code code = source_files_find(env, s, FILES_STORE, a, &f, err);
    if (code != ERR_OK)
        goto done;
    digest_hex(&f.digest, hex);
    if (data_version_find(env, s->name, str_c(hex), a, &doc, &ignored) != ERR_OK ||
        !is_same_declaration(doc, s, a)) {
        is_new = doc == NULL;
        code = make_version(env, s, &f, a, &doc, err);
        if (code != ERR_OK)
            goto done;
        newest = NULL;
    } else if (data_version_find(env, s->name, STR(""), a, &newest, &ignored) == ERR_OK &&
               str_is(json_get_str(newest, "digest"), hex)) {
        code = data_version_of_doc(doc, ret, err);
        goto done;
    }
    json_set(a, doc, "created_at", json_time(a, clock_now_us(&env->clock)));
    code = data_version_put(env, doc, err);
    if (code == ERR_OK)
        code = data_version_of_doc(doc, ret, err);
done:
    source_files_fini(&f);
    if (code != ERR_OK)
        return err_wrap(err, "data version of %.*s", STR_ARG(s->name));
    if (ret_is_new)
        *ret_is_new = is_new;
    return ERR_OK;
}

enum err_code data_peek(const struct data_env *env, const struct source_spec *s, struct arena *a,
                        struct digest *ret, int64_t *ret_files, struct err *err)
{
    struct source_files f = {0};
    enum err_code code = source_files_find(env, s, FILES_HASH, a, &f, err);
    if (code == ERR_OK) {
        *ret = f.digest;
        if (ret_files)
            *ret_files = (int64_t)f.n;
    }
    source_files_fini(&f);
    return code;
}

struct json *data_freshness(const struct source_spec *s, const struct data_version *v,
                            int64_t at_us, struct arena *a)
{
    struct json *j = json_obj(a);
    json_set(a, j, "source", json_str(a, s->name));
    json_set(a, j, "at", json_time(a, at_us));
    if (s->freshness_us >= 0)
        json_set(a, j, "limit_us", json_int(a, s->freshness_us));
    if (v->time_max_us == AT_US_NONE) {
        if (s->freshness_us >= 0)
            json_set(a, j, "is_stale", json_bool(a, true)); /* no row at all */
        return j;
    }
    json_set(a, j, "newest", json_time(a, v->time_max_us));
    json_set(a, j, "age_us", json_int(a, at_us - v->time_max_us));
    if (s->freshness_us >= 0)
        json_set(a, j, "is_stale", json_bool(a, at_us - v->time_max_us > s->freshness_us));
    return j;
}
