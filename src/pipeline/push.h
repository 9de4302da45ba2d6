/* `pawl push`: the folder's project as the revision that the server schedules from now on.
 *
 * What triggers retrain is the last revision that was pushed, never a folder that somebody edits and never one that a person
 * merely ran. Pushing changes nothing that serves. */
#ifndef PAWL_PIPELINE_PUSH_H
#define PAWL_PIPELINE_PUSH_H

#include "pipeline/run.h"

struct pipeline_push {
    const char *root;            /* the project's folder */
    const char *actor, *message; /* message NULL: none */
};

/* {revision, project, number, created_at, author, files: [path…]}. ERR_CONFIG with every problem of the files; nothing is
 * pushed then. The project's receivers of alerts become those of this revision. */
enum err_code pipeline_push(const struct pipeline_host *host, const struct pipeline_push *push,
                            struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

#endif
