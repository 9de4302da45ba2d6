/* The home's token: made once, private, compared whole. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "test.h"

#include "access/access.h"
#include "base/file.h"

static void a_token_is_made_once_and_is_private(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char dir[] = "/tmp/pawl-access-XXXXXX", path[128], header[128];
    struct access *first = NULL, *second = NULL;
    struct access_identity who;
    struct stat st;
    assert_non_null(mkdtemp(dir));
    char token[ACCESS_TOKEN_BYTES];
    assert_int_equal(access_token_read(dir, token, &err), ERR_NOT_FOUND);
    ASSERT_OK(access_open(dir, &first, &err), &err);
    ASSERT_OK(access_open(dir, &second, &err), &err);
    assert_string_equal(access_token(first), access_token(second));
    (void)snprintf(path, sizeof(path), "%s/token", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    (void)snprintf(header, sizeof(header), "Bearer %s", access_token(first));
    ASSERT_OK(access_check(first, str_c(header), &who, &err), &err);
    assert_true(who.may_decide);
    assert_int_equal(strncmp(who.actor, "local:", 6), 0);
    header[20] = header[20] == 'a' ? 'b' : 'a';
    assert_int_equal(access_check(first, str_c(header), &who, &err), ERR_AUTH);
    assert_int_equal(access_check(first, STR("Basic x"), &who, &err), ERR_AUTH);
    ASSERT_OK(access_check(first, STR_NONE, &who, &err), &err);
    assert_false(who.may_decide);

    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(access_token_read(dir, token, &err), ERR_REFUSED);
    ASSERT_OK(file_write(path, STR("short"), 0600, &err), &err);
    assert_int_not_equal(access_token_read(dir, token, &err), ERR_OK);
    access_close(first);
    access_close(second);
    ASSERT_OK(dir_remove(dir, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_token_is_made_once_and_is_private)};
    return RUN_TESTS(tests);
}
