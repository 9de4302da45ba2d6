/* validate, checks run, checks infer: declared expectations on files and on the project's sources. */
#include "api/op_handlers.h"
#include "api/project_env.h"
#include "base/file.h"
#include "config/config.h"
#include "data/scan.h"
#include "validate/check.h"

#define FILE_SOURCE "data" /* how checks of a plain file name it */

/* A list of checks, the `checks` section of a file, or of a whole pawl.yaml: as one source's section. */
static const struct cfg_node *section_of(const struct cfg_node *root, struct str source,
                                         struct arena *a)
{
    const struct cfg_node *checks = cfg_get(root, "checks") ? cfg_get(root, "checks") : root;
    if (checks && checks->type == CFG_MAP)
        return checks;
    struct cfg_node *map = ARENA_NEW(a, struct cfg_node);
    struct cfg_node **items = ARENA_NEW_N(a, struct cfg_node *, 1),
                    **key_nodes = ARENA_NEW_N(a, struct cfg_node *, 1);
    struct str *keys = ARENA_NEW_N(a, struct str, 1);
    if (!map || !items || !keys || !key_nodes || !checks)
        return NULL;
    items[0] = key_nodes[0] = (struct cfg_node *)(uintptr_t)checks;
    keys[0] = source;
    *map = *checks;
    map->type = CFG_MAP;
    map->n = 1;
    map->items = items;
    map->keys = keys;
    map->key_nodes = key_nodes;
    return map;
}

static enum err_code one_of(const struct checks_spec *spec, struct str source,
                            const struct checks_of_source **ret, struct err *err)
{
    const struct checks_of_source *c = source.n > 0 ? checks_spec_find(spec, source) : NULL;
    if (source.n == 0 && spec->n == 1)
        c = &spec->p[0];
    if (source.n == 0 && spec->n > 1)
        return err_set(err, ERR_USAGE, "the file has checks of %zu sources: name one with --source",
                       spec->n);
    if (!c)
        return err_set(err, ERR_NOT_FOUND, "the file has no checks of '%.*s'", STR_ARG(source));
    *ret = c;
    return ERR_OK;
}

static enum err_code read_checks(struct op_call *call, const struct json *in,
                                 const struct checks_of_source **ret, struct err *err)
{
    struct arena *a = call->arena;
    struct cfg_problems ps;
    struct cfg_node *root = NULL;
    struct str text, source = json_get_str(in, "source");
    struct checks_spec *spec = ARENA_NEW(a, struct checks_spec);
    const char *path = json_get_c(in, "checks");
    if (!spec)
        return arena_err(a, err);
    cfg_problems_init(&ps, a);
    enum err_code code = file_read(path, CFG_BYTES_MAX, a, &text, err);
    if (code == ERR_OK)
        code = cfg_read(text, path_base(path), a, &root, &ps, err);
    if (code != ERR_OK)
        return err_wrap(err, "checks");
    if (root) {
        const struct cfg_node *section =
            section_of(root, source.n > 0 ? source : STR(FILE_SOURCE), a);
        checks_spec_decode(section, root, NULL, a, spec, &ps);
    }
    code = cfg_problems_err(&ps, err);
    return code == ERR_OK ? one_of(spec, source, ret, err) : code;
}

/* A report with a blocking failure is an answer that is no. */
static enum err_code verdict(const struct json *report, struct err *err)
{
    struct buf text = {0};
    if (!str_is(json_get_str(report, "verdict"), "fail"))
        return ERR_OK;
    buf_init(&text, ERR_MSG_BYTES);
    checks_report_text(report, &text);
    enum err_code code = err_set(err, ERR_NO, "%.*s", STR_ARG(str_trim(buf_view(&text))));
    buf_fini(&text);
    return code;
}

enum err_code op_checks_run(struct op_call *call, const struct json *in, struct json **ret,
                            struct err *err)
{
    struct data_env env;
    struct checks_order o = {.at_us = json_get_time(in, "at")};
    struct json *bindings = json_arr(call->arena), *b = NULL;
    enum err_code code = project_env_parts(call, &env, err);
    if (code == ERR_OK)
        code = read_checks(call, in, &o.checks, err);
    if (code == ERR_OK)
        code = data_binding_of_file(json_get_c(in, "file"), o.checks->source,
                                    json_get_str(in, "time"), call->arena, &b, err);
    if (code != ERR_OK)
        return code;
    json_add(call->arena, bindings, b);
    o.bindings = bindings;
    if (o.at_us == AT_US_NONE)
        o.at_us = clock_now_us(&env.clock);
    code = checks_run(&env, &o, call->arena, ret, err);
    return code == ERR_OK ? verdict(*ret, err) : code;
}

/* The bindings a rule may name: the source first, then all others. */
static enum err_code bindings_of(struct project_env *p, const struct source_spec *s,
                                 const struct data_version *v, struct json **ret, struct err *err)
{
    struct arena *a = p->call->arena;
    struct json *list = json_arr(a), *b = NULL;
    enum err_code code = data_binding(&p->env, s, v, a, &b, err);
    json_add(a, list, b);
    for (size_t i = 0; code == ERR_OK && i < p->sources.n; i++) {
        struct data_version other;
        if (&p->sources.p[i] == s)
            continue;
        code = data_snapshot(&p->env, &p->sources.p[i], a, &other, NULL, err);
        if (code == ERR_OK)
            code = data_binding(&p->env, &p->sources.p[i], &other, a, &b, err);
        if (code == ERR_OK)
            json_add(a, list, b);
    }
    *ret = list;
    return code;
}

static enum err_code previous_of(struct project_env *p, const struct data_version *v,
                                 struct json **ret, struct err *err)
{
    struct data_version before;
    struct arena *a = p->call->arena;
    *ret = json_obj(a);
    if (json_get_str(v->doc, "previous").n == 0)
        return ERR_OK;
    enum err_code code =
        data_version_load(&p->env, v->source, json_get_str(v->doc, "previous"), a, &before, err);
    if (code == ERR_OK)
        json_set(a, *ret, "previous", json_copy(a, before.doc));
    return code;
}

enum err_code op_checks_source(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    struct project_env p;
    struct cfg_problems ps;
    struct checks_spec spec;
    struct data_version v;
    struct checks_order o = {.at_us = json_get_time(in, "at")};
    struct json *bindings = NULL, *references = NULL;
    const struct source_spec *s = NULL;
    struct str source = json_get_str(in, "source"), version = json_get_str(in, "version");
    enum err_code code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = project_env_source(&p, source, &s, err);
    if (code != ERR_OK)
        return code;
    cfg_problems_init(&ps, call->arena);
    checks_spec_decode(cfg_get(p.file.root, "checks"), p.file.root, &p.sources, call->arena, &spec,
                       &ps);
    code = cfg_problems_err(&ps, err);
    if (code == ERR_OK)
        code = one_of(&spec, source, &o.checks, err);
    if (code == ERR_OK)
        code = version.n > 0 ? data_version_load(&p.env, source, version, call->arena, &v, err)
                             : data_snapshot(&p.env, s, call->arena, &v, NULL, err);
    if (code == ERR_OK)
        code = bindings_of(&p, s, &v, &bindings, err);
    if (code == ERR_OK)
        code = previous_of(&p, &v, &references, err);
    if (code != ERR_OK)
        return code;
    o.bindings = bindings;
    o.references = references;
    if (o.at_us == AT_US_NONE)
        o.at_us = project_env_now(&p, v.known_max_us);
    code = checks_run(&p.env, &o, call->arena, ret, err);
    return code == ERR_OK ? verdict(*ret, err) : code;
}

enum err_code op_checks_infer(struct op_call *call, const struct json *in, struct json **ret,
                              struct err *err)
{
    struct data_env env;
    struct arena *a = call->arena;
    struct json *args = json_obj(a), *b = NULL, *profile = NULL;
    struct str yaml = {0}, source = json_get_str(in, "source");
    enum err_code code = project_env_parts(call, &env, err);
    if (code == ERR_OK)
        code = data_binding_of_file(json_get_c(in, "file"), source, STR(""), a, &b, err);
    if (code != ERR_OK)
        return code;
    json_set(a, args, "binding", b);
    code = data_env_call(&env, "data.profile", args, a, &profile, err);
    if (code != ERR_OK)
        return code;
    json_set(a, profile, "source", json_str(a, source));
    code = checks_infer(profile, a, &yaml, err);
    if (code == ERR_OK)
        *ret = json_set(a, json_obj(a), "text", json_str(a, yaml));
    return code;
}
