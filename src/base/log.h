/* The program's own log: one JSON object a line on stderr (or plain text on a terminal).
 * Only api/, cli/ and app/ log; library layers return errors. No secret is ever a field. */
#ifndef PAWL_BASE_LOG_H
#define PAWL_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_N };

void log_set_level(enum log_level level);
void log_set_text(int is_text); /* 1: "time level what: message"; 0: JSON lines (default) */
/* what: a stable short name ("server.ready"); the message is a sentence. Threads: any. */
void log_write(enum log_level level, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
