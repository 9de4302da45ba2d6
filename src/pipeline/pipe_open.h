/* Opening and closing a run from within pipeline/: runs, evaluations of given models, the list of steps. Private. */
#ifndef PAWL_PIPELINE_PIPE_OPEN_H
#define PAWL_PIPELINE_PIPE_OPEN_H

#include "pipeline/pipe.h"

/* Reads and compiles the project and marks what is asked. pipe_close in any case. */
enum err_code pipe_open(const struct pipeline_host *host, const struct pipeline_order *order,
                        struct arena *a, struct pipe *p, struct err *err) MUST_CHECK;
void pipe_close(struct pipe *p);
enum err_code pipe_run_graph(struct pipe *p, struct err *err) MUST_CHECK;
/* The record for the quick answer next time (fresh_write.c); nothing when something cannot be told by stat. */
enum err_code fresh_write(struct pipe *p, const struct pipeline_result *res,
                          struct err *err) MUST_CHECK;

#endif
