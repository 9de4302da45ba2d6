/* Drift: two files side by side, and the verdicts that the monitor made. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "job/worker.h"
#include "monitor/monitor.h"

#define COMPARE_TIMEOUT_MS (INT64_C(3600) * 1000)

enum err_code op_drift_compare(struct op_call *call, const struct json *in, struct json **ret,
                               struct err *err)
{
    struct json *args = json_obj(call->arena);
    struct worker_call wc = {.op = "monitor.compare",
                             .args = args,
                             .timeout_ms = COMPARE_TIMEOUT_MS,
                             .is_cancelled = call->is_cancelled,
                             .on_progress = call->on_progress,
                             .arg = call->progress_arg};

    if (services_need(call->sv->pool, "the worker pool", err) != ERR_OK)
        return err->code;
    json_set(call->arena, args, "reference", json_str(call->arena, json_get_str(in, "reference")));
    json_set(call->arena, args, "current", json_str(call->arena, json_get_str(in, "current")));
    json_set(call->arena, args, "alpha", json_num(call->arena, json_get_f64(in, "alpha", 0.01)));
    if (worker_pool_call(call->sv->pool, &wc, call->arena, ret, err) != ERR_OK)
        return err->code;
    return str_is(json_get_str(*ret, "verdict"), "drift") ? err_set(err, ERR_NO, "the files differ")
                                                          : ERR_OK;
}

enum err_code op_drift_list(struct op_call *call, const struct json *in, struct json **ret,
                            struct err *err)
{
    struct json *list;

    if (services_need(call->sv->db, "the database", err) != ERR_OK ||
        monitor_verdicts(call->sv->db, json_get_c(in, "endpoint"), json_get_c(in, "kind"),
                         json_get_int(in, "limit", 50), call->arena, &list, err) != ERR_OK)
        return err->code;
    *ret = json_set(call->arena, json_obj(call->arena), "verdicts", list);
    return ERR_OK;
}
