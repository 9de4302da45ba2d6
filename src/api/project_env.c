#include "api/project_env.h"

#include <unistd.h>

#include "api/services.h"
#include "base/file.h"
#include "pipeline/run.h"

enum err_code project_env_parts(struct op_call *call, struct data_env *ret, struct err *err)
{
    struct services *sv = call->sv;
    enum err_code code = services_need(sv->db, "the database", err);
    if (code == ERR_OK)
        code = services_need(sv->pool, "the worker pool", err);
    if (code == ERR_OK)
        code = services_need(sv->blobs, "the store", err);
    if (code != ERR_OK)
        return code;
    char *tmp = path_join(call->arena, sv->home, "tmp");
    if (!tmp)
        return arena_err(call->arena, err);
    code = dir_make(tmp, 0700, err);
    *ret = (struct data_env){.db = sv->db,
                             .blobs = sv->blobs,
                             .pool = sv->pool,
                             .clock = *sv->clock,
                             .project_root = sv->root,
                             .tmp_dir = tmp,
                             .is_cancelled = call->is_cancelled,
                             .on_progress = call->on_progress,
                             .progress_arg = call->progress_arg};
    if (sv->pipeline) {
        ret->fetch_sql = sv->pipeline->fetch_sql;
        ret->fetch_arg = sv->pipeline->fetch_arg;
    }
    return code;
}

enum err_code project_env_open(struct op_call *call, const struct json *in, struct project_env *ret,
                               struct err *err)
{
    struct arena *a = call->arena;
    struct cfg_problems ps;
    const char *root = json_get_c(in, "root");
    *ret = (struct project_env){.call = call, .root = root ? root : call->sv->root};
    if (!ret->root)
        return err_set(err, ERR_NOT_FOUND, "there is no project here: pawl init FILE proposes one");
    enum err_code code = project_env_parts(call, &ret->env, err);
    if (code != ERR_OK)
        return code;
    cfg_problems_init(&ps, a);
    code = project_read(ret->root, a, &ret->file, &ps, err);
    if (code != ERR_OK)
        return code;
    if (ret->file.root) {
        project_spec_decode(ret->file.root, a, &ret->project, &ps);
        sources_spec_decode(cfg_get(ret->file.root, "sources"), ret->file.root, a, &ret->sources,
                            &ps);
        features_spec_decode(cfg_get(ret->file.root, "features"), ret->file.root, a, &ret->features,
                             &ps);
    }
    code = cfg_problems_err(&ps, err);
    ret->env.project = ret->project.name ? ret->project.name : "";
    ret->env.project_root = ret->root;
    return code;
}

enum err_code project_env_source(const struct project_env *p, struct str name,
                                 const struct source_spec **ret, struct err *err)
{
    const struct source_spec *s = sources_spec_find(&p->sources, name);
    const char **names = ARENA_NEW_N(p->call->arena, const char *, p->sources.n);
    const char *near = NULL;
    if (s) {
        *ret = s;
        return ERR_OK;
    }
    for (size_t i = 0; names && i < p->sources.n; i++)
        names[i] = str_dup(p->call->arena, p->sources.p[i].name);
    if (names)
        near = str_nearest(name, names, p->sources.n);
    return err_set(err, ERR_NOT_FOUND, "there is no source '%.*s'%s%s%s", STR_ARG(name),
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

enum err_code project_env_bindings(struct project_env *p, struct json **ret, int64_t *ret_newest_us,
                                   struct err *err)
{
    struct arena *a = p->call->arena;
    struct json *list = json_arr(a);
    int64_t newest = AT_US_NONE;
    for (size_t i = 0; i < p->sources.n; i++) {
        struct data_version v = {0};
        struct json *b = NULL;
        enum err_code code = data_snapshot(&p->env, &p->sources.p[i], a, &v, NULL, err);
        if (code == ERR_OK)
            code = data_binding(&p->env, &p->sources.p[i], &v, a, &b, err);
        if (code != ERR_OK)
            return code;
        json_add(a, list, b);
        newest = v.known_max_us > newest ? v.known_max_us : newest;
    }
    *ret = list;
    if (ret_newest_us)
        *ret_newest_us = newest;
    return ERR_OK;
}

int64_t project_env_now(const struct project_env *p, int64_t newest_us)
{
    return p->call->sv->is_replay && newest_us != AT_US_NONE ? newest_us
                                                             : clock_now_us(p->call->sv->clock);
}

enum err_code project_env_out(struct op_call *call, const struct json *in, const char **ret,
                              struct err *err)
{
    const char *out = json_get_c(in, "out");
    char folder[PATH_BYTES];
    if (!out || !*out)
        return err_set(err, ERR_USAGE, "out is missing: where to write");
    if (!call->is_trusted)
        return err_set(err, ERR_FORBIDDEN,
                       "writing on the server's machine needs the home's token");
    if (out[0] == '/') {
        *ret = out;
        return ERR_OK;
    }
    if (call->sv->is_server || !getcwd(folder, sizeof folder))
        return err_set(err, ERR_INVALID, "out: '%s' is no absolute path", out);
    *ret = path_join(call->arena, folder, out);
    return *ret ? ERR_OK : arena_err(call->arena, err);
}
