/* What every unit test includes: cmocka with its headers, and the shorthand for code under test. */
#ifndef PAWL_TESTS_TEST_H
#define PAWL_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"

/* The call succeeds; else the test shows the sentence. */
#define ASSERT_OK(call, err)                                                                       \
    do {                                                                                           \
        if ((call) != ERR_OK)                                                                      \
            fail_msg("%s: %s", #call, (err)->msg);                                                 \
    } while (0)

#define RUN_TESTS(tests) cmocka_run_group_tests_name(__FILE__, (tests), NULL, NULL)

#endif
