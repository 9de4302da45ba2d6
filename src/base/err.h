/* Errors: one code from spec/errors.txt, one sentence, wrapped with context on its way up.
 *
 * Every fallible function returns enum err_code, takes `struct err *err` last and leaves its outputs
 * untouched when it fails. Library layers report through `err` only: they never log and never exit.
 * A bug is an assert (base/check.h), bad input is an error; the two never mix.
 *
 *     if (file_read(path, limit, arena, &text, err) != ERR_OK)
 *         return err_wrap(err, "load model %s", name);
 *     return err_set(err, ERR_PARSE, "trees[%zu]: split index %d of %d features", i, split, n);
 *
 * Threads: a struct err belongs to its caller; no allocation is needed to report. */
#ifndef PAWL_BASE_ERR_H
#define PAWL_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err_codes.h" /* generated from spec/errors.txt: enum err_code { ERR_OK = 0, ERR_NO, ... ERR_N } */

#define ERR_MSG_BYTES 1536

#define MUST_CHECK __attribute__((warn_unused_result))

struct err {
    enum err_code code;
    char msg[ERR_MSG_BYTES]; /* NUL-terminated UTF-8 sentence, cut with "..." when longer */
    const char *file;        /* where it was first set (static storage) */
    int line;
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        ERR_OK, "", NULL, 0                                                                        \
    }

/* Sets code and sentence; returns `code` so that `return err_set(...)` reads well. err may be NULL. */
#define err_set(err, code, ...) err_set_at((err), (code), __FILE__, __LINE__, __VA_ARGS__)

/* As err_set, with ": " and strerror(errnum) behind. ENOSPC, ENOENT, EACCES give IO, NOT_FOUND, FORBIDDEN. */
#define err_errno(err, errnum, ...) err_errno_at((err), (errnum), __FILE__, __LINE__, __VA_ARGS__)

enum err_code err_set_at(struct err *err, enum err_code code, const char *file, int line,
                         const char *fmt, ...) __attribute__((format(printf, 5, 6)));
enum err_code err_errno_at(struct err *err, int errnum, const char *file, int line, const char *fmt,
                           ...) __attribute__((format(printf, 5, 6)));

/* Puts "context: " before the sentence; keeps and returns the code. */
enum err_code err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Short for an allocation that failed. */
#define err_nomem(err) err_set((err), ERR_NOMEM, "out of memory")

void err_reset(struct err *err);

/* From the table: lower-case name ("not_found"), HTTP status, MLflow's code, exit status, may a retry help. */
const char *err_name(enum err_code code);
const char *err_text(enum err_code code);
int err_http_status(enum err_code code);
const char *err_mlflow_code(enum err_code code);
int err_exit_status(enum err_code code);
bool err_is_retryable(enum err_code code);

/* The code of a lower-case name; ERR_INTERNAL when there is none. */
enum err_code err_from_name(const char *name);

#endif
