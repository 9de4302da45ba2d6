/* The loop at a glance: boxes and arrows, laps, objectives. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "loop/status.h"

enum err_code op_status_get(struct op_call *call, const struct json *in, struct json **ret,
                            struct err *err)
{
    struct services *sv = call->sv;
    struct status_sources s = {.root = sv->root,
                               .db = sv->db,
                               .serve = sv->serve,
                               .monitor = sv->monitor,
                               .release = sv->release,
                               .loop = sv->loop,
                               .log = sv->log,
                               .clock = *sv->clock,
                               .is_replay = sv->is_replay};

    return status_json(&s, json_get_c(in, "endpoint"), call->arena, ret, err);
}

enum err_code op_laps_list(struct op_call *call, const struct json *in, struct json **ret,
                           struct err *err)
{
    struct json *list;

    if (services_need(call->sv->loop, "the scheduler", err) != ERR_OK ||
        loop_laps(call->sv->loop, json_get_c(in, "endpoint"), json_get_int(in, "limit", 50),
                  call->arena, &list, err) != ERR_OK)
        return err->code;
    *ret = json_set(call->arena, json_obj(call->arena), "laps", list);
    return ERR_OK;
}

enum err_code op_slo_list(struct op_call *call, const struct json *in, struct json **ret,
                          struct err *err)
{
    const char *endpoint = json_get_c(in, "endpoint");
    struct json *list;

    if (services_need(call->sv->monitor, "the monitor", err) != ERR_OK)
        return err->code;
    (void)monitor_slos(call->sv->monitor, endpoint, serve_clock(call->sv->serve, endpoint),
                       call->arena, &list);
    *ret = json_set(call->arena, json_obj(call->arena), "objectives", list);
    return ERR_OK;
}
