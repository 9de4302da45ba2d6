/* Event clocks of a replay home. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "loop/loop.h"

enum err_code op_clock_advance(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    if (services_need(call->sv->loop, "the scheduler", err) != ERR_OK)
        return err->code;
    return loop_advance(call->sv->loop, json_get_c(in, "endpoint"), json_get_time(in, "to"),
                        call->arena, ret, err);
}

enum err_code op_clock_show(struct op_call *call, const struct json *in, struct json **ret,
                            struct err *err)
{
    const char *endpoint = json_get_c(in, "endpoint");
    struct json *o = json_obj(call->arena);

    if (services_need(call->sv->serve, "serving", err) != ERR_OK)
        return err->code;
    json_set(call->arena, o, "endpoint", json_cstr(call->arena, endpoint));
    json_set(call->arena, o, "clock",
             json_time(call->arena, serve_clock(call->sv->serve, endpoint)));
    *ret = json_set(call->arena, o, "is_replay", json_bool(call->arena, call->sv->is_replay));
    return ERR_OK;
}
