/* All operations of `pawl worker` children: the modules' tables, one behind the other. */
#ifndef PAWL_APP_WORKER_OPS_H
#define PAWL_APP_WORKER_OPS_H

/* Serves requests on fd until it closes; the exit status. */
int worker_ops_main(int fd);

#endif
