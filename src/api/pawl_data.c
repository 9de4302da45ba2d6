/* data ls, show, diff, snapshot, freshness, get: the versions of the project's sources. */
#include "api/op_handlers.h"
#include "api/project_env.h"
#include "base/file.h"
#include "blob/blob.h"

enum err_code op_data_list(struct op_call *call, const struct json *in, struct json **ret,
                           struct err *err)
{
    struct project_env p;
    struct json *list = NULL;
    enum err_code code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = data_version_list(&p.env, json_get_str(in, "source"), json_get_int(in, "limit", 50),
                                 call->arena, &list, err);
    if (code == ERR_OK)
        *ret = json_set(call->arena, json_obj(call->arena), "versions", list);
    return code;
}

enum err_code op_data_show(struct op_call *call, const struct json *in, struct json **ret,
                           struct err *err)
{
    struct project_env p;
    struct data_version v;
    enum err_code code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = data_version_load(&p.env, json_get_str(in, "source"), json_get_str(in, "version"),
                                 call->arena, &v, err);
    if (code == ERR_OK)
        *ret = json_copy(call->arena, v.doc);
    return code;
}

enum err_code op_data_diff(struct op_call *call, const struct json *in, struct json **ret,
                           struct err *err)
{
    struct project_env p;
    struct data_version from, to;
    struct str source = json_get_str(in, "source"), from_digest = json_get_str(in, "from");
    enum err_code code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = data_version_load(&p.env, source, json_get_str(in, "to"), call->arena, &to, err);
    if (code != ERR_OK)
        return code;
    if (from_digest.n == 0)
        from_digest = json_get_str(to.doc, "previous");
    if (from_digest.n == 0)
        return err_set(err, ERR_NOT_FOUND, "%.*s has only one version", STR_ARG(source));
    code = data_version_load(&p.env, source, from_digest, call->arena, &from, err);
    if (code != ERR_OK)
        return code;
    struct json *diff = data_version_diff(from.doc, to.doc, call->arena);
    json_set(call->arena, diff, "from", json_hex(call->arena, &from.digest));
    json_set(call->arena, diff, "to", json_hex(call->arena, &to.digest));
    *ret = diff;
    return ERR_OK;
}

enum err_code op_data_snapshot(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    struct project_env p;
    struct data_version v;
    const struct source_spec *s = NULL;
    bool is_new = false;
    enum err_code code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = project_env_source(&p, json_get_str(in, "source"), &s, err);
    if (code == ERR_OK)
        code = data_snapshot(&p.env, s, call->arena, &v, &is_new, err);
    if (code != ERR_OK)
        return code;
    struct json *doc = json_copy(call->arena, v.doc);
    json_remove(doc, "profile");
    json_set(call->arena, doc, "is_new", json_bool(call->arena, is_new));
    *ret = doc;
    return ERR_OK;
}

enum err_code op_data_freshness(struct op_call *call, const struct json *in, struct json **ret,
                                struct err *err)
{
    struct project_env p;
    struct json *list = json_arr(call->arena);
    int64_t at_us = json_get_time(in, "at");
    enum err_code code = project_env_open(call, in, &p, err);
    for (size_t i = 0; code == ERR_OK && i < p.sources.n; i++) {
        struct data_version v;
        struct err none = ERR_INIT;
        const struct source_spec *s = &p.sources.p[i];
        enum err_code found = data_version_load(&p.env, s->name, STR(""), call->arena, &v, &none);
        if (found == ERR_OK) {
            int64_t now_us = at_us != AT_US_NONE ? at_us : project_env_now(&p, v.known_max_us);
            json_add(call->arena, list, data_freshness(s, &v, now_us, call->arena));
        } else if (found != ERR_NOT_FOUND) {
            code = err_set(err, found, "%s", none.msg);
        }
    }
    if (code == ERR_OK)
        *ret = json_set(call->arena, json_obj(call->arena), "sources", list);
    return code;
}

/* The folder of a file below `dir`, made when it is not there. A path of the version that leaves the folder keeps its last
 * part only. */
static enum err_code place(struct op_call *call, const char *dir, const char *name, char **ret,
                           struct err *err)
{
    if (name[0] == '/' || strstr(name, ".."))
        name = path_base(name);
    char *path = path_join(call->arena, dir, name);
    char *folder =
        path ? str_dup(call->arena, str_n(path, (size_t)(path_base(path) - path))) : NULL;
    if (!folder)
        return arena_err(call->arena, err);
    *ret = path;
    return dir_make(folder, 0700, err);
}

enum err_code op_data_get(struct op_call *call, const struct json *in, struct json **ret,
                          struct err *err)
{
    struct project_env p;
    struct data_version v;
    struct json *list = json_arr(call->arena), *out = json_obj(call->arena);
    const char *dir = NULL;
    enum err_code code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = project_env_out(call, in, &dir, err);
    if (code == ERR_OK)
        code = data_version_load(&p.env, json_get_str(in, "source"), json_get_str(in, "version"),
                                 call->arena, &v, err);
    if (code != ERR_OK)
        return code;
    if (json_get_bool(v.doc, "reference", false))
        return err_set(err, ERR_REFUSED,
                       "this version is kept by reference only: its files are where they were");
    const struct json *files = json_get(v.doc, "files");
    for (size_t i = 0; code == ERR_OK && i < json_len(files); i++) {
        struct digest d;
        char *path = NULL;
        code = digest_parse(json_get_str(json_at(files, i), "sha256"), &d, err);
        if (code == ERR_OK)
            code = place(call, dir, json_get_c(json_at(files, i), "path"), &path, err);
        if (code == ERR_OK)
            code = blob_export(p.env.blobs, &d, path, 0600, err);
        json_add(call->arena, list, json_cstr(call->arena, path));
    }
    json_set(call->arena, out, "digest", json_hex(call->arena, &v.digest));
    json_set(call->arena, out, "files", list);
    if (code == ERR_OK)
        *ret = out;
    return code;
}
