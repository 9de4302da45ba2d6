/* Worker operations of validate/.
 *
 * validate.run      args {"bindings":[BINDING…],"rules":[…],"references":{…},"at":TIME,"limits"} ->
 * report (validate/check.h) validate.dataset  args
 * {"path","features":[…],"gap_us","auc_max","shared_max","shift_psi","limits"} -> report
 * (validate/leakage.h) */
#ifndef PAWL_VALIDATE_VALIDATE_WORKER_H
#define PAWL_VALIDATE_VALIDATE_WORKER_H

#include "job/worker.h"

extern const struct worker_op VALIDATE_WORKER_OPS[];
extern const size_t N_VALIDATE_WORKER_OPS;

#endif
