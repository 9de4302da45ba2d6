/* `pawl check`: everything wrong with a project, all at once, each with file:line:column.
 *
 * Every section's own decoder runs; then what only the whole shows: columns that no source or view
 * has, a view that is not there, the label as a feature, a slice on an unknown column, steps in a
 * circle, views that know the future. The quick part needs no child; the data part reads schemas
 * through workers and is skipped for sources that cannot be read (with a warning). */
#ifndef PAWL_PIPELINE_CHECK_H
#define PAWL_PIPELINE_CHECK_H

#include "pipeline/run.h"

enum check_depth {
    CHECK_DEPTH_FILE, /* pawl.yaml alone */
    CHECK_DEPTH_DATA, /* and the data's schemas */
    CHECK_DEPTH_LEAK, /* and views recomputed as of several times: does one know the future? */
    CHECK_DEPTH_N
};

/* {ok, problems: [{file,line,column,severity,message}], steps: […], needs: {…}}. ERR_NO with *ret
 * when there are errors. */
enum err_code pipeline_check(const struct pipeline_host *host, const char *root,
                             enum check_depth depth, struct arena *a, struct json **ret,
                             struct err *err) MUST_CHECK;

/* Further sections decoded by higher layers (gates, endpoint, monitor, triggers) report through
 * this: app/ plugs them in. */
struct cfg_node;
struct cfg_problems;
struct pipeline_section_check {
    const char *name;
    /* Decodes and judges; may add members to `needs` (what a rollout step needs, in samples and
     * time). */
    void (*run)(const struct cfg_node *root, struct arena *a, struct cfg_problems *ps,
                struct json *needs);
};
#define PIPELINE_SECTION_CHECKS_MAX 16
/* Not thread-safe; once at start, before the first check. */
void pipeline_check_add(const struct pipeline_section_check *c);

#endif
