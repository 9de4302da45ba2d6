#include "app/worker_ops.h"

#include <stdlib.h>

#include "base/check.h"
#include "data/data_worker.h"
#include "evaluate/worker.h"
#include "features/features_worker.h"
#include "job/worker.h"
#include "monitor/monitor_worker.h"
#include "serve/rows_worker.h"
#include "train/train_worker.h"
#include "validate/validate_worker.h"

int worker_ops_main(int fd)
{
    const struct {
        const struct worker_op *ops;
        size_t n;
    } TABLES[] = {
        {DATA_WORKER_OPS, N_DATA_WORKER_OPS},         {VALIDATE_WORKER_OPS, N_VALIDATE_WORKER_OPS},
        {FEATURES_WORKER_OPS, N_FEATURES_WORKER_OPS}, {TRAIN_WORKER_OPS, N_TRAIN_WORKER_OPS},
        {EVALUATE_WORKER_OPS, N_EVALUATE_WORKER_OPS}, {MONITOR_WORKER_OPS, N_MONITOR_WORKER_OPS},
        {SERVE_WORKER_OPS, N_SERVE_WORKER_OPS},
    };
    size_t n = 0, at = 0;
    for (size_t i = 0; i < ARRAY_LEN(TABLES); i++)
        n += TABLES[i].n;
    struct worker_op *all = calloc(n + 1, sizeof *all);
    CHECK(all != NULL);
    for (size_t i = 0; i < ARRAY_LEN(TABLES); i++)
        for (size_t k = 0; k < TABLES[i].n; k++)
            all[at++] = TABLES[i].ops[k];
    int status = worker_main(fd, all, n);
    free(all);
    return status;
}
