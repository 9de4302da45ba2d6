/* Rollouts: what they decided, on which evidence, and decided again. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "release/control.h"

enum err_code op_rollouts_list(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    struct json *list;

    if (services_need(call->sv->release, "the release desk", err) != ERR_OK ||
        release_rollout_list(call->sv->release, json_get_c(in, "endpoint"),
                             json_get_int(in, "limit", 50), call->arena, &list, err) != ERR_OK)
        return err->code;
    *ret = json_set(call->arena, json_obj(call->arena), "rollouts", list);
    return ERR_OK;
}

enum err_code op_rollouts_show(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    if (services_need(call->sv->release, "the release desk", err) != ERR_OK)
        return err->code;
    return release_rollout_show(call->sv->release, json_get_int(in, "rollout", 0), NULL,
                                call->arena, ret, err);
}

enum err_code op_rollouts_replay(struct op_call *call, const struct json *in, struct json **ret,
                                 struct err *err)
{
    if (services_need(call->sv->release, "the release desk", err) != ERR_OK)
        return err->code;
    return release_rollout_replay(call->sv->release, json_get_int(in, "rollout", 0), call->arena,
                                  ret, err);
}
