/* push: the project of a folder, for the server to schedule. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "pipeline/push.h"

enum err_code op_project_push(struct op_call *call, const struct json *in, struct json **ret,
                              struct err *err)
{
    const struct services *sv = call->sv;
    const char *root = json_get_c(in, "root");
    enum err_code code = services_need(sv->pipeline, "the pipeline", err);
    if (code == ERR_OK)
        code = services_need(sv->db, "the database", err);
    if (code != ERR_OK)
        return code;
    struct pipeline_host host = *sv->pipeline;
    host.db = sv->db;
    const struct pipeline_push push = {.root = root != NULL ? root : sv->root,
                                       .actor = call->actor,
                                       .message = json_get_c(in, "message")};
    if (push.root == NULL)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no pawl.yaml here or above: go to a project's folder");
    return pipeline_push(&host, &push, call->arena, ret, err);
}
