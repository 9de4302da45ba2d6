/* What operations on sources, checks and features share: the project's sections, and the home's parts lent to data/. */
#ifndef PAWL_API_PROJECT_ENV_H
#define PAWL_API_PROJECT_ENV_H

#include "api/op.h"
#include "data/version.h"
#include "features/view.h"
#include "project/project.h"

struct project_env {
    struct op_call *call;
    struct data_env env;
    const char *root; /* the project's folder */
    struct project_file file;
    struct project_spec project;
    struct sources_spec sources;
    struct features_spec features;
};

/* Reads the project of `in.root`, else the home's; ERR_CONFIG with every problem of these sections. */
enum err_code project_env_open(struct op_call *call, const struct json *in, struct project_env *ret,
                               struct err *err) MUST_CHECK;
/* The home's parts alone, for files outside any project. */
enum err_code project_env_parts(struct op_call *call, struct data_env *ret,
                                struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND with the nearest name. */
enum err_code project_env_source(const struct project_env *p, struct str name,
                                 const struct source_spec **ret, struct err *err) MUST_CHECK;
/* Bindings of all sources as they are now. newest_us (may be NULL): newest time that anything is known at. */
enum err_code project_env_bindings(struct project_env *p, struct json **ret, int64_t *ret_newest_us,
                                   struct err *err) MUST_CHECK;
/* Now, or on a replay home the newest known row. */
int64_t project_env_now(const struct project_env *p, int64_t newest_us);
/* A file or folder to write, absolute: a relative one is of this process, so a server refuses it. */
enum err_code project_env_out(struct op_call *call, const struct json *in, const char **ret,
                              struct err *err) MUST_CHECK;

#endif
