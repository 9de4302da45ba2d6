#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "pawl: this is a bug: %s:%d: %s does not hold\n", file, line, expr);
    fflush(stderr);
    abort();
}
