/* features ls, check, join, materialize, get, restore, pause. */
#include "api/op_handlers.h"
#include "api/project_env.h"
#include "api/services.h"
#include "audit/chain.h"
#include "features/dataset.h"
#include "features/materialize.h"
#include "features/online.h"
#include "feedback/schema.h"

static struct str text_of(const struct json *v)
{
    return v && v->type == JSON_STR ? v->u.s : STR("");
}

/* ---- ls ---- */

static const struct json *named(const struct json *list, const char *key, struct str name)
{
    for (size_t i = 0; i < json_len(list); i++)
        if (str_eq(json_get_str(json_at(list, i), key), name))
            return json_at(list, i);
    return NULL;
}

static struct json *view_json(struct arena *a, const struct view_spec *v, const struct json *info,
                              const struct json *done)
{
    struct json *j = view_spec_json(v, a), *entity = json_arr(a);
    struct digest d;
    struct err none = ERR_INIT;
    for (size_t i = 0; i < v->n_entity; i++)
        json_add(a, entity, json_str(a, v->entity[i]));
    if (v->kind == VIEW_BATCH)
        json_set(a, j, "entity", entity);
    if (info) {
        json_set(a, j, "version", json_copy(a, json_get(info, "version")));
        json_set(a, j, "columns", json_copy(a, json_get(info, "columns")));
        json_set(a, j, "reads", json_copy(a, json_get(info, "reads")));
    } else if (v->kind == VIEW_ROW && view_row_version(v, a, &d, &none) == ERR_OK) {
        json_set(a, j, "version", json_hex(a, &d));
    }
    if (done) {
        json_set(a, j, "materialized_to", json_copy(a, json_get(done, "to")));
        json_set(a, j, "newest", json_copy(a, json_get(done, "newest")));
        json_set(a, j, "rows", json_copy(a, json_get(done, "rows_total")));
        json_set(a, j, "is_paused", json_copy(a, json_get(done, "is_paused")));
    }
    return j;
}

enum err_code op_features_list(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    struct project_env p;
    struct json *bindings = NULL, *infos = NULL, *done = NULL, *list = json_arr(call->arena);
    enum err_code code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = project_env_bindings(&p, &bindings, NULL, err);
    if (code == ERR_OK)
        code = views_describe(&p.env, &p.features, bindings, call->arena, &infos, err);
    if (code == ERR_OK)
        code = features_materializations(&p.env, call->arena, &done, err);
    for (size_t i = 0; code == ERR_OK && i < p.features.n; i++) {
        const struct view_spec *v = &p.features.p[i];
        json_add(
            call->arena, list,
            view_json(call->arena, v, named(infos, "name", v->name), named(done, "view", v->name)));
    }
    if (code == ERR_OK)
        *ret = json_set(call->arena, json_obj(call->arena), "views", list);
    return code;
}

/* ---- check ---- */

enum err_code op_features_check(struct op_call *call, const struct json *in, struct json **ret,
                                struct err *err)
{
    struct project_env p;
    struct json *bindings = NULL;
    enum err_code code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = project_env_bindings(&p, &bindings, NULL, err);
    if (code == ERR_OK)
        code = views_check_future(&p.env, &p.features, bindings, call->arena, ret, err);
    if (code != ERR_OK || !str_is(json_get_str(*ret, "verdict"), "fail"))
        return code;
    const struct json *bad = named(json_get(*ret, "views"), "verdict", STR("fail"));
    return err_set(err, ERR_NO, "%.*s", STR_ARG(json_get_str(bad, "message")));
}

/* ---- join ---- */

enum err_code op_features_join(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    struct project_env p;
    struct json *bindings = NULL;
    const char *out = NULL;
    enum err_code code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = project_env_out(call, in, &out, err);
    if (code == ERR_OK)
        code = project_env_bindings(&p, &bindings, NULL, err);
    if (code != ERR_OK)
        return code;
    struct join_order o = {.views = &p.features,
                           .bindings = bindings,
                           .rows_path = json_get_c(in, "rows"),
                           .time_column = json_get_str(in, "time"),
                           .wanted = json_get(in, "features"),
                           .keys = json_get(in, "keys"),
                           .out_path = out};
    return features_join(&p.env, &o, call->arena, ret, err);
}

/* ---- materialize ---- */

static enum err_code names_of(const struct json *list, struct arena *a, struct materialize_order *o,
                              struct err *err)
{
    struct str *names = ARENA_NEW_N(a, struct str, json_len(list) + 1);
    if (!names)
        return arena_err(a, err);
    for (size_t i = 0; i < json_len(list); i++)
        names[i] = text_of(json_at(list, i));
    o->names = names;
    o->n_names = json_len(list);
    return ERR_OK;
}

enum err_code op_features_materialize(struct op_call *call, const struct json *in,
                                      struct json **ret, struct err *err)
{
    struct project_env p;
    struct json *bindings = NULL;
    int64_t newest_us = AT_US_NONE;
    struct materialize_order o = {
        .to_us = json_get_time(in, "to"), .sink = feature_rows_put, .sink_arg = call->sv->online};
    enum err_code code = services_need(call->sv->online, "the online store", err);
    if (code == ERR_OK)
        code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = names_of(json_get(in, "views"), call->arena, &o, err);
    if (code == ERR_OK)
        code = project_env_bindings(&p, &bindings, &newest_us, err);
    if (code != ERR_OK)
        return code;
    if (o.to_us == AT_US_NONE)
        o.to_us = project_env_now(&p, newest_us);
    o.views = &p.features;
    o.bindings = bindings;
    return features_materialize(&p.env, &o, call->arena, ret, err);
}

/* ---- get ---- */

struct get {
    struct op_call *call;
    struct project_env p;
    struct online_reader *reader;
    const struct json *keys; /* texts NAME=VALUE */
    int64_t at_us;
    struct json *out;
};

static enum err_code key_text(const struct get *g, struct str name, struct str *ret,
                              struct err *err)
{
    for (size_t i = 0; i < json_len(g->keys); i++) {
        struct str rest = text_of(json_at(g->keys, i)), key = str_split(&rest, '=');
        if (rest.p && str_eq(key, name)) {
            *ret = rest;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_USAGE, "--key %.*s=… is missing", STR_ARG(name));
}

/* The store types its keys, a command line does not: numbers are tried as numbers first, then as text. */
static enum err_code keys_of(const struct get *g, const struct json *entity, bool is_text,
                             struct value *ret, struct err *err)
{
    for (size_t i = 0; i < json_len(entity); i++) {
        struct str s = {0};
        struct err none = ERR_INIT;
        enum err_code code = key_text(g, text_of(json_at(entity, i)), &s, err);
        if (code != ERR_OK)
            return code;
        ret[i].type = !is_text && parse_i64(s, &ret[i].u.i, &none) == ERR_OK ? VAL_INT : VAL_STR;
        if (ret[i].type == VAL_STR)
            ret[i].u.s = s;
    }
    return ERR_OK;
}

static enum err_code find_info(struct get *g, struct str view, struct str version,
                               const struct online_view_info **ret, struct err *err)
{
    struct online_view_info *infos = NULL;
    size_t n = 0;
    enum err_code code = online_views(g->call->sv->online, g->call->arena, &infos, &n, err);
    for (size_t i = 0; code == ERR_OK && i < n; i++)
        if (str_is(view, infos[i].view) && str_is(version, infos[i].version)) {
            *ret = &infos[i];
            return ERR_OK;
        }
    return code == ERR_OK
               ? err_set(err, ERR_NOT_FOUND, "view %.*s is not in the online store", STR_ARG(view))
               : code;
}

static enum err_code look_up(struct get *g, const struct json *definition,
                             const struct online_view_info *info, struct value *vals,
                             struct online_hit *hit, struct err *err)
{
    const struct json *entity = json_get(definition, "entity");
    struct online_view_ref ref = {
        .view = info->view, .version = info->version, .n_columns = info->n_columns};
    struct value *keys = ARENA_NEW_N(g->call->arena, struct value, json_len(entity) + 1);
    int64_t ttl_us = json_get_int(definition, "ttl_us", 0);
    int64_t at_us = g->at_us != AT_US_NONE                    ? g->at_us
                    : info->newest_known_us > info->newest_us ? info->newest_known_us
                                                              : info->newest_us;
    enum err_code code = ERR_OK;
    if (!keys)
        return arena_err(g->call->arena, err);
    hit->status = ONLINE_NOT_FOUND;
    for (int is_text = 0; code == ERR_OK && is_text < 2 && hit->status == ONLINE_NOT_FOUND;
         is_text++) {
        code = keys_of(g, entity, is_text, keys, err);
        if (code == ERR_OK)
            code = online_get(g->reader, &ref,
                              &(struct online_query){keys, json_len(entity), at_us, ttl_us}, vals,
                              hit, err);
    }
    return code;
}

static struct json *feature_json(struct arena *a, const struct online_view_info *info, size_t i,
                                 const struct online_hit *hit, const struct value *v)
{
    struct json *j = json_obj(a);
    json_set(a, j, "feature", json_fmt(a, "%s.%s", info->view, info->columns[i].name));
    if (hit->status == ONLINE_NOT_FOUND || v->type == VAL_NULL)
        json_set_null(a, j, "value");
    else
        json_set(a, j, "value", record_value_json(v, a));
    json_set(a, j, "status", json_cstr(a, online_status_name(hit->status)));
    json_set(a, j, "time", json_time(a, hit->time_us));
    json_set(a, j, "known_at", json_time(a, hit->known_us));
    json_set(a, j, "version", json_cstr(a, info->version));
    return j;
}

static enum err_code get_view(struct get *g, struct str view, struct str column, struct err *err)
{
    struct arena *a = g->call->arena;
    struct json *definition = NULL;
    struct str version = {0};
    const struct online_view_info *info = NULL;
    struct online_hit hit = {0};
    bool is_any = false;
    enum err_code code =
        features_definition(&g->p.env, view, STR(""), a, &definition, &version, err);
    if (code == ERR_OK)
        code = find_info(g, view, version, &info, err);
    if (code != ERR_OK)
        return code;
    struct value *vals = ARENA_NEW_N(a, struct value, info->n_columns + 1);
    if (!vals)
        return arena_err(a, err);
    code = online_begin(g->reader, err);
    if (code != ERR_OK)
        return code;
    code = look_up(g, definition, info, vals, &hit, err);
    for (size_t i = 0; code == ERR_OK && i < info->n_columns; i++)
        if (column.n == 0 || str_is(column, "*") || str_is(column, info->columns[i].name)) {
            is_any = true;
            json_add(a, g->out, feature_json(a, info, i, &hit, &vals[i]));
        }
    online_end(g->reader);
    if (code == ERR_OK && !is_any)
        code = err_set(err, ERR_NOT_FOUND, "view %.*s has no column '%.*s'", STR_ARG(view),
                       STR_ARG(column));
    return code;
}

enum err_code op_features_get(struct op_call *call, const struct json *in, struct json **ret,
                              struct err *err)
{
    struct get g = {.call = call,
                    .keys = json_get(in, "key"),
                    .at_us = json_get_time(in, "at"),
                    .out = json_arr(call->arena)};
    const struct json *wanted = json_get(in, "features");
    enum err_code code = services_need(call->sv->online, "the online store", err);
    if (code == ERR_OK)
        code = project_env_open(call, in, &g.p, err);
    if (code == ERR_OK)
        code = online_reader_new(call->sv->online, &g.reader, err);
    for (size_t i = 0; code == ERR_OK && i < json_len(wanted); i++) {
        struct str column = text_of(json_at(wanted, i)), view = str_split(&column, '.');
        code = get_view(&g, view, column, err);
    }
    online_reader_free(g.reader);
    if (code == ERR_OK)
        *ret = json_set(call->arena, json_obj(call->arena), "features", g.out);
    return code;
}

/* ---- restore, pause ---- */

static enum err_code note(struct op_call *call, const char *action, const struct json *in,
                          struct str view, const char *after, struct err *err)
{
    struct audit_entry e = {
        .actor = call->actor, .action = action, .after = after, .reason = json_get_c(in, "reason")};
    e.object = str_printf(call->arena, "view:%.*s", STR_ARG(view));
    if (!e.object)
        return arena_err(call->arena, err);
    return call->sv->audit ? audit_write(call->sv->audit, &e, NULL, err) : ERR_OK;
}

enum err_code op_features_restore(struct op_call *call, const struct json *in, struct json **ret,
                                  struct err *err)
{
    struct arena *a = call->arena;
    struct project_env p;
    struct online_view_info *infos = NULL;
    struct str view = json_get_str(in, "view");
    int64_t to_us = json_get_time(in, "to"), n_removed = 0;
    size_t n = 0, n_found = 0;
    enum err_code code = services_need(call->sv->online, "the online store", err);
    if (code == ERR_OK)
        code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = online_views(call->sv->online, a, &infos, &n, err);
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        int64_t removed = 0;
        if (!str_is(view, infos[i].view))
            continue;
        n_found++;
        code =
            online_restore(call->sv->online, infos[i].view, infos[i].version, to_us, &removed, err);
        n_removed += removed;
    }
    if (code == ERR_OK && n_found == 0)
        code = err_set(err, ERR_NOT_FOUND, "view %.*s is not in the online store", STR_ARG(view));
    if (code == ERR_OK)
        code = features_forget(&p.env, view, err);
    if (code == ERR_OK)
        code = note(call, "features.restore", in, view, json_get_c(in, "to"), err);
    if (code != ERR_OK)
        return code;
    *ret = json_obj(a);
    json_set(a, *ret, "view", json_str(a, view));
    json_set(a, *ret, "to", json_time(a, to_us));
    json_set(a, *ret, "removed", json_int(a, n_removed));
    return ERR_OK;
}

enum err_code op_features_pause(struct op_call *call, const struct json *in, struct json **ret,
                                struct err *err)
{
    struct project_env p;
    struct str view = json_get_str(in, "view");
    bool is_paused = !json_get_bool(in, "resume", false);
    enum err_code code = project_env_open(call, in, &p, err);
    if (code == ERR_OK)
        code = features_pause(&p.env, view, is_paused, err);
    if (code == ERR_OK)
        code = note(call, is_paused ? "features.pause" : "features.resume", in, view, NULL, err);
    if (code != ERR_OK)
        return code;
    *ret = json_obj(call->arena);
    json_set(call->arena, *ret, "view", json_str(call->arena, view));
    json_set(call->arena, *ret, "is_paused", json_bool(call->arena, is_paused));
    return ERR_OK;
}
