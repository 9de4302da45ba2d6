#include "app/worker_ops.h"

#include <stdlib.h>

#include "base/check.h"
#ifdef HAVE_DATA
#include "data/data_worker.h"
#endif
#ifdef HAVE_EVALUATE
#include "evaluate/worker.h"
#endif
#ifdef HAVE_FEATURES
#include "features/features_worker.h"
#endif
#include "job/worker.h"
#ifdef HAVE_TRAIN
#include "train/train_worker.h"
#endif
#ifdef HAVE_VALIDATE
#include "validate/validate_worker.h"
#endif

int worker_ops_main(int fd)
{
    const struct {
        const struct worker_op *ops;
        size_t n;
    } TABLES[] = {
#ifdef HAVE_DATA
        {DATA_WORKER_OPS, N_DATA_WORKER_OPS},
#endif
#ifdef HAVE_VALIDATE
        {VALIDATE_WORKER_OPS, N_VALIDATE_WORKER_OPS},
#endif
#ifdef HAVE_FEATURES
        {FEATURES_WORKER_OPS, N_FEATURES_WORKER_OPS},
#endif
#ifdef HAVE_TRAIN
        {TRAIN_WORKER_OPS, N_TRAIN_WORKER_OPS},
#endif
#ifdef HAVE_EVALUATE
        {EVALUATE_WORKER_OPS, N_EVALUATE_WORKER_OPS},
#endif
        {NULL, 0},
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
