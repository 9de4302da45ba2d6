#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

struct err_row {
    const char *name, *text;
    int http_status;
    const char *mlflow_code;
    int exit_status;
    bool is_retryable;
};

static const struct err_row ERR_ROWS[ERR_N] = {
#include "base/err_rows.inc"
};

static const struct err_row *row_of(enum err_code code)
{
    CHECK((unsigned)code < ERR_N);
    return &ERR_ROWS[code];
}

/* Copies text into the fixed buffer; what does not fit is cut at a character and marked. */
static void message_store(struct err *err, const char *text)
{
    size_t n = strlen(text);
    if (n < ERR_MSG_BYTES) {
        memcpy(err->msg, text, n + 1);
        return;
    }
    size_t cut = ERR_MSG_BYTES - sizeof "...";
    while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    memcpy(err->msg, text, cut);
    memcpy(err->msg + cut, "...", sizeof "...");
}

/* Formatted aside first, because the arguments may point into err->msg. */
__attribute__((format(printf, 5, 0))) static enum err_code
set_va(struct err *err, enum err_code code, const char *file, int line, const char *fmt, va_list ap)
{
    char text[ERR_MSG_BYTES + 64];
    CHECK(code != ERR_OK && (unsigned)code < ERR_N);
    if (!err)
        return code;
    vsnprintf(text, sizeof text, fmt, ap);
    err->code = code;
    err->file = file;
    err->line = line;
    message_store(err, text);
    return code;
}

enum err_code err_set_at(struct err *err, enum err_code code, const char *file, int line,
                         const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_va(err, code, file, line, fmt, ap);
    va_end(ap);
    return code;
}

static enum err_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERR_FORBIDDEN;
    case EEXIST:
        return ERR_EXISTS;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

enum err_code err_errno_at(struct err *err, int errnum, const char *file, int line, const char *fmt,
                           ...)
{
    enum err_code code = code_of_errno(errnum);
    char reason[128], text[ERR_MSG_BYTES + 64];
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set_at(err, code, file, line, "%s: %s", text,
                      strerror_r(errnum, reason, sizeof reason));
}

enum err_code err_wrap(struct err *err, const char *fmt, ...)
{
    char text[2 * ERR_MSG_BYTES + 64];
    if (!err)
        return ERR_INTERNAL;
    CHECK(err->code != ERR_OK);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, ERR_MSG_BYTES, fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n < ERR_MSG_BYTES ? (size_t)n : ERR_MSG_BYTES - 1;
    snprintf(text + used, sizeof text - used, ": %s", err->msg);
    message_store(err, text);
    return err->code;
}

void err_reset(struct err *err)
{
    if (!err)
        return;
    err->code = ERR_OK;
    err->msg[0] = '\0';
    err->file = NULL;
    err->line = 0;
}

const char *err_name(enum err_code code)
{
    return row_of(code)->name;
}

const char *err_text(enum err_code code)
{
    return row_of(code)->text;
}

int err_http_status(enum err_code code)
{
    return row_of(code)->http_status;
}

const char *err_mlflow_code(enum err_code code)
{
    return row_of(code)->mlflow_code;
}

int err_exit_status(enum err_code code)
{
    return row_of(code)->exit_status;
}

bool err_is_retryable(enum err_code code)
{
    return row_of(code)->is_retryable;
}

enum err_code err_from_name(const char *name)
{
    for (unsigned i = 0; name && i < ERR_N; i++)
        if (strcmp(ERR_ROWS[i].name, name) == 0)
            return (enum err_code)i;
    return ERR_INTERNAL;
}
