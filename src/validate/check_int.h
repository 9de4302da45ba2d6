/* Private to validate/. */
#ifndef PAWL_VALIDATE_CHECK_INT_H
#define PAWL_VALIDATE_CHECK_INT_H

#include "job/worker.h"
#include "validate/check.h"

#define VALIDATE_SQL_MAX    (8 << 20)
#define VALIDATE_ROWS_SHOWN 5

const char *check_kind_name(enum check_kind k);

/* validate.run and validate.dataset, in the child. */
enum err_code validate_run_op(struct worker *w, const struct json *args, struct json **ret,
                              struct err *err) MUST_CHECK;
enum err_code validate_dataset_op(struct worker *w, const struct json *args, struct json **ret,
                                  struct err *err) MUST_CHECK;

#endif
