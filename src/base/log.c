#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define LOG_LINE_BYTES 8192

static _Atomic int log_level = LOG_INFO;
static _Atomic int log_is_text;

static const char *const LEVEL_NAMES[LOG_LEVEL_N] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
    atomic_store(&log_level, (int)level);
}

void log_set_text(int is_text)
{
    atomic_store(&log_is_text, is_text);
}

void log_write(enum log_level level, const char *what, const char *fmt, ...)
{
    struct buf line, text;
    char at[TIME_TEXT_BYTES];
    if ((int)level < atomic_load(&log_level))
        return;
    buf_init(&line, LOG_LINE_BYTES);
    buf_init(&text, LOG_LINE_BYTES / 4);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    time_text(at, clock_now_us(&CLOCK_SYSTEM));
    if (atomic_load(&log_is_text)) {
        buf_printf(&line, "%s %-5s %s: %.*s\n", at, LEVEL_NAMES[level], what,
                   STR_ARG(buf_view(&text)));
    } else {
        buf_printf(&line, "{\"at\":\"%s\",\"level\":\"%s\",\"what\":", at, LEVEL_NAMES[level]);
        buf_quote(&line, str_c(what));
        buf_c(&line, ",\"message\":");
        buf_quote(&line, buf_view(&text));
        buf_c(&line, "}\n");
    }
    /* One write: lines of several threads do not mix. A log that cannot be written has nowhere to say so. */
    if (fd_write_all(STDERR_FILENO, line.p, line.n, NULL) != ERR_OK)
        atomic_store(&log_level, (int)LOG_ERROR);
    buf_fini(&line);
    buf_fini(&text);
}
