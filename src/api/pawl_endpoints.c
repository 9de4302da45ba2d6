/* Endpoints: deploy, rollback, hold, resume, and what they are. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "loop/loop.h"
#include "release/control.h"
#include "release/counterfactual.h"

#define PROJECTION_WAIT_MS 500

static enum err_code need_release(const struct services *sv, struct err *err)
{
    return services_need(sv->release, "the release desk", err);
}

/* A decision is in force when it is answered; whoever looks next should find it in the tables too, if that is quick. */
static void tables_follow(struct op_call *call)
{
    struct err later = ERR_INIT;

    if (!call->sv->db)
        return;
    if (call->sv->loop && call->sv->is_server) {
        loop_wake(call->sv->loop);
        (void)release_project_wait(call->sv->release, PROJECTION_WAIT_MS);
    } else {
        (void)!release_project(call->sv->release, &later); /* the journal holds it: later */
    }
}

static bool is_release_name(struct str s)
{
    int64_t n;

    return s.n > 1 && s.p[0] == 'r' && parse_i64(str_n(s.p + 1, s.n - 1), &n, NULL) == ERR_OK;
}

/* A model becomes a release and passes its gates first; *ret the report when it does not. */
static enum err_code release_for(struct op_call *call, const struct json *in, int64_t *ret_number,
                                 struct json **ret, struct err *err)
{
    struct release_order order = {.endpoint = json_get_c(in, "endpoint"),
                                  .actor = call->actor,
                                  .reason = json_get_c(in, "reason")};
    struct json *report;
    struct release r;

    if (is_release_name(json_get_str(in, "what")))
        return release_parse(json_get_str(in, "what"), ret_number, err);
    if (release_from_model(call->sv->release, json_get_c(in, "what"), &order, call->arena,
                           ret_number, err) != ERR_OK ||
        release_gate(call->sv->release, *ret_number, call->arena, &report, err) != ERR_OK ||
        release_get(call->sv->db, *ret_number, call->arena, &r, err) != ERR_OK)
        return err->code;
    if (r.state == RELEASE_APPROVED)
        return ERR_OK;
    *ret = release_json(&r, call->arena);
    json_set(call->arena, *ret, "gates", report);
    return err_set(err, ERR_NO, "r%lld is %s: %s", (long long)*ret_number,
                   RELEASE_STATE_NAMES[r.state],
                   r.state == RELEASE_GATED ? "it waits for approval (`pawl approve`)"
                                            : "it does not pass its gates");
}

enum err_code op_endpoints_deploy(struct op_call *call, const struct json *in, struct json **ret,
                                  struct err *err)
{
    struct deploy_order order;
    int64_t number;
    enum err_code code;

    if (need_release(call->sv, err) != ERR_OK)
        return err->code;
    code = release_for(call, in, &number, ret, err);
    if (code != ERR_OK)
        return code;
    order = (struct deploy_order){.endpoint = json_get_c(in, "endpoint"),
                                  .number = number,
                                  .actor = call->actor,
                                  .reason = json_get_c(in, "reason"),
                                  .is_forced = json_get_bool(in, "force", false)};
    code = release_deploy(call->sv->release, &order, call->arena, ret, err);
    if (code == ERR_OK)
        tables_follow(call);
    return code;
}

enum err_code op_endpoints_rollback(struct op_call *call, const struct json *in, struct json **ret,
                                    struct err *err)
{
    int64_t to = 0;
    enum err_code code;

    if (need_release(call->sv, err) != ERR_OK ||
        (json_get(in, "to") && release_parse(json_get_str(in, "to"), &to, err) != ERR_OK))
        return err->code;
    code = release_rollback(call->sv->release, json_get_c(in, "endpoint"), to, call->actor,
                            json_get_c(in, "reason"), call->arena, ret, err);
    if (code == ERR_OK)
        tables_follow(call);
    return code;
}

static enum err_code shown(struct op_call *call, const struct json *in, struct json **ret,
                           struct err *err)
{
    tables_follow(call);
    return release_endpoint_json(call->sv->release, json_get_c(in, "endpoint"), call->arena, ret,
                                 err);
}

enum err_code op_endpoints_hold(struct op_call *call, const struct json *in, struct json **ret,
                                struct err *err)
{
    int64_t for_us = json_get_int(in, "for", 0);
    int64_t until = for_us > 0 ? clock_now_us(call->sv->clock) + for_us : AT_US_NONE;

    if (need_release(call->sv, err) != ERR_OK ||
        release_hold(call->sv->release, json_get_c(in, "endpoint"), until, call->actor,
                     json_get_c(in, "reason"), err) != ERR_OK)
        return err->code;
    return shown(call, in, ret, err);
}

enum err_code op_endpoints_resume(struct op_call *call, const struct json *in, struct json **ret,
                                  struct err *err)
{
    if (need_release(call->sv, err) != ERR_OK ||
        release_resume(call->sv->release, json_get_c(in, "endpoint"), call->actor,
                       json_get_c(in, "reason"), err) != ERR_OK)
        return err->code;
    return shown(call, in, ret, err);
}

enum err_code op_endpoints_list(struct op_call *call, const struct json *in, struct json **ret,
                                struct err *err)
{
    struct json *list = json_arr(call->arena);
    const char **names;
    size_t n;

    (void)in;
    if (need_release(call->sv, err) != ERR_OK ||
        serve_endpoints(call->sv->serve, call->arena, &names, &n, err) != ERR_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct json *o;
        if (release_endpoint_json(call->sv->release, names[i], call->arena, &o, err) != ERR_OK)
            return err->code;
        json_remove(o, "history");
        json_add(call->arena, list, o);
    }
    *ret = json_set(call->arena, json_obj(call->arena), "endpoints", list);
    return ERR_OK;
}

enum err_code op_endpoints_show(struct op_call *call, const struct json *in, struct json **ret,
                                struct err *err)
{
    struct json *windows;

    if (need_release(call->sv, err) != ERR_OK ||
        release_endpoint_json(call->sv->release, json_get_c(in, "endpoint"), call->arena, ret,
                              err) != ERR_OK)
        return err->code;
    if (!call->sv->monitor)
        return ERR_OK;
    if (monitor_json(call->sv->monitor, json_get_c(in, "endpoint"), 10, call->arena, &windows,
                     err) != ERR_OK)
        return err->code;
    json_set(call->arena, *ret, "monitor", windows);
    return ERR_OK;
}

enum err_code op_endpoints_counterfactual(struct op_call *call, const struct json *in,
                                          struct json **ret, struct err *err)
{
    struct counterfactual_order o = {.endpoint = json_get_c(in, "endpoint"),
                                     .from_us = json_get_time(in, "from"),
                                     .to_us = json_get_time(in, "to"),
                                     .log = call->sv->log,
                                     .labels = call->sv->labels,
                                     .online = call->sv->online,
                                     .blobs = call->sv->blobs,
                                     .home = call->sv->home,
                                     .is_replay = call->sv->is_replay,
                                     .is_cancelled = call->is_cancelled};

    if (services_need(call->sv->db, "the database", err) != ERR_OK ||
        release_parse(json_get_str(in, "release"), &o.release, err) != ERR_OK)
        return err->code;
    return release_counterfactual(call->sv->db, &o, call->arena, ret, err);
}
