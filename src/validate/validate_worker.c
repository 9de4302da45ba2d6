#include "validate/validate_worker.h"

#include "validate/check_int.h"

const struct worker_op VALIDATE_WORKER_OPS[] = {
    {"validate.run", validate_run_op},
    {"validate.dataset", validate_dataset_op},
};
const size_t N_VALIDATE_WORKER_OPS = sizeof(VALIDATE_WORKER_OPS) / sizeof(VALIDATE_WORKER_OPS[0]);
