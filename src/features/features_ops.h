/* Private to features/: the operations behind FEATURES_WORKER_OPS. */
#ifndef PAWL_FEATURES_FEATURES_OPS_H
#define PAWL_FEATURES_FEATURES_OPS_H

#include "job/worker.h"

enum err_code features_op_dataset(struct worker *w, const struct json *args, struct json **ret,
                                  struct err *err) MUST_CHECK;
enum err_code features_op_join(struct worker *w, const struct json *args, struct json **ret,
                               struct err *err) MUST_CHECK;
enum err_code features_op_future(struct worker *w, const struct json *args, struct json **ret,
                                 struct err *err) MUST_CHECK;
enum err_code features_op_materialize(struct worker *w, const struct json *args, struct json **ret,
                                      struct err *err) MUST_CHECK;

#endif
