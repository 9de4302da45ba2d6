/* Private to project/: files of a project that lie outside its folder. */
#ifndef PAWL_PROJECT_PROJECT_INT_H
#define PAWL_PROJECT_PROJECT_INT_H

#include "base/arena.h"

/* Where a revision keeps a file named by a path that leaves the folder: ".outside/up/shared/x.yaml"
 * for "../shared/x.yaml". NULL: it does not leave, or the arena is full. */
char *project_outside_path(struct arena *a, const char *path);

#endif
