/* Releases: made, gated, approved, rejected, looked at. */
#include <math.h>

#include "api/op_handlers.h"
#include "api/services.h"
#include "release/control.h"

#define LIST_MAX 1000

static enum err_code release_of(const struct json *in, int64_t *ret, struct err *err)
{
    return release_parse(json_get_str(in, "release"), ret, err);
}

static enum err_code need_release(const struct services *sv, struct err *err)
{
    return services_need(sv->release, "the release desk", err);
}

/* KEY=VALUE settings; a value that reads as JSON is one, else it is text. */
static enum err_code settings_of(const struct json *list, struct arena *a, struct json **ret,
                                 struct err *err)
{
    struct json *o = json_obj(a);

    for (size_t i = 0; i < json_len(list); i++) {
        struct str rest = json_at(list, i)->u.s, key = str_split(&rest, '=');
        struct json *v;
        struct err none = ERR_INIT;
        char *name = str_dup(a, key);
        if (!rest.p || key.n == 0 || !name)
            return err_set(err, ERR_USAGE, "\"%.*s\" is not a setting: write it as KEY=VALUE",
                           STR_ARG(json_at(list, i)->u.s));
        if (json_read(rest, a, &v, &none) != ERR_OK)
            v = json_str(a, rest);
        json_set(a, o, name, v);
    }
    *ret = o;
    return ERR_OK;
}

static enum err_code gated(struct op_call *call, int64_t number, struct json **ret, struct err *err)
{
    struct json *report, *o;
    struct release r;

    if (release_gate(call->sv->release, number, call->arena, &report, err) != ERR_OK ||
        release_get(call->sv->db, number, call->arena, &r, err) != ERR_OK)
        return err->code;
    o = release_json(&r, call->arena);
    json_set(call->arena, o, "gates", report);
    *ret = o;
    if (r.state == RELEASE_REJECTED)
        return err_set(err, ERR_NO, "r%lld does not pass its gates", (long long)number);
    if (r.state == RELEASE_DRAFT)
        return err_set(err, ERR_NO, "r%lld is undecided: not enough evidence yet",
                       (long long)number);
    return ERR_OK;
}

enum err_code op_releases_create(struct op_call *call, const struct json *in, struct json **ret,
                                 struct err *err)
{
    struct str from = json_get_str(in, "from");
    struct release_order order = {.endpoint = json_get_c(in, "endpoint"),
                                  .actor = call->actor,
                                  .reason = json_get_c(in, "reason")};
    struct json *set;
    int64_t number = 0, made;

    if (need_release(call->sv, err) != ERR_OK ||
        settings_of(json_get(in, "set"), call->arena, &set, err) != ERR_OK)
        return err->code;
    if (!order.endpoint) {
        const char **names;
        size_t n;
        if (serve_endpoints(call->sv->serve, call->arena, &names, &n, err) != ERR_OK)
            return err->code;
        if (n != 1)
            return err_set(err, ERR_USAGE, "there are %zu endpoints: name one with --endpoint", n);
        order.endpoint = names[0];
    }
    if (!str_is(from, "live") && release_parse(from, &number, err) != ERR_OK)
        return err->code;
    if (release_derive(call->sv->release, number, json_get_f64(in, "threshold", NAN), set, &order,
                       call->arena, &made, err) != ERR_OK)
        return err->code;
    return gated(call, made, ret, err);
}

enum err_code op_releases_gate(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    int64_t number;

    if (need_release(call->sv, err) != ERR_OK || release_of(in, &number, err) != ERR_OK)
        return err->code;
    return gated(call, number, ret, err);
}

enum err_code op_releases_list(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    int64_t limit = json_get_int(in, "limit", 50);
    struct json *list = json_arr(call->arena);
    struct release *r;
    size_t n;

    if (services_need(call->sv->db, "the database", err) != ERR_OK ||
        release_list(call->sv->db, json_get_c(in, "endpoint"),
                     limit < 1 || limit > LIST_MAX ? LIST_MAX : limit, call->arena, &r, &n,
                     err) != ERR_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct json *o = release_json(&r[i], call->arena);
        json_remove(o, "document");
        json_remove(o, "gates");
        json_add(call->arena, list, o);
    }
    *ret = json_set(call->arena, json_obj(call->arena), "releases", list);
    return ERR_OK;
}

enum err_code op_releases_show(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    struct release r;
    int64_t number;

    if (services_need(call->sv->db, "the database", err) != ERR_OK ||
        release_of(in, &number, err) != ERR_OK ||
        release_get(call->sv->db, number, call->arena, &r, err) != ERR_OK)
        return err->code;
    *ret = release_json(&r, call->arena);
    return ERR_OK;
}

enum err_code op_releases_approve(struct op_call *call, const struct json *in, struct json **ret,
                                  struct err *err)
{
    int64_t number;

    if (need_release(call->sv, err) != ERR_OK || release_of(in, &number, err) != ERR_OK)
        return err->code;
    return release_approve(call->sv->release, number, json_get_c(in, "role"), call->actor,
                           json_get_c(in, "reason"), call->arena, ret, err);
}

enum err_code op_releases_reject(struct op_call *call, const struct json *in, struct json **ret,
                                 struct err *err)
{
    struct release r;
    int64_t number;

    if (need_release(call->sv, err) != ERR_OK || release_of(in, &number, err) != ERR_OK ||
        release_reject(call->sv->release, number, call->actor, json_get_c(in, "reason"), err) !=
            ERR_OK ||
        release_get(call->sv->db, number, call->arena, &r, err) != ERR_OK)
        return err->code;
    *ret = release_json(&r, call->arena);
    return ERR_OK;
}
