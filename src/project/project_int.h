/* Inside project/: the boxes of the loop and where their sections lie. */
#ifndef PAWL_PROJECT_PROJECT_INT_H
#define PAWL_PROJECT_PROJECT_INT_H

#include "project/project.h"

#define PROJECT_FORMAT   1
#define PROJECT_NAME_MAX 64
#define PROJECT_BOXES_N  11
/* Where a revision keeps an included file from outside the project's folder. */
#define PROJECT_INCLUDE_DIR "_include"

/* A box, the section of pawl.yaml that is about it, and whether `owners.data` speaks for it. */
struct project_box {
    const char *name, *section;
    bool is_data;
};
extern const struct project_box PROJECT_BOXES[PROJECT_BOXES_N];

/* The path inside a revision of a file named relative to the project's folder: "../x" lies in
 * _include/up/x. In the arena; NULL when full. */
char *project_inside_path(struct arena *a, const char *path);

#endif
