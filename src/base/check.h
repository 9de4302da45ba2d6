/* Asserts that stay on in release builds: they state what must hold if the program has no bug. */
#ifndef PAWL_BASE_CHECK_H
#define PAWL_BASE_CHECK_H

_Noreturn void check_failed(const char *expr, const char *file, int line);

#define CHECK(expr)   ((expr) ? (void)0 : check_failed(#expr, __FILE__, __LINE__))
#define UNREACHABLE() check_failed("unreachable", __FILE__, __LINE__)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
