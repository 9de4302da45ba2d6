#include "access/access.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/file.h"
#include "base/hash.h"

struct access {
    char token[ACCESS_TOKEN_BYTES];
    char owner[ACCESS_ACTOR_BYTES];
};

static void token_path(const char *home, char ret[PATH_BYTES])
{
    (void)snprintf(ret, PATH_BYTES, "%s/token", home);
}

static bool is_hex(const char *s)
{
    return strlen(s) == ACCESS_TOKEN_BYTES - 1 && strspn(s, "0123456789abcdef") == strlen(s);
}

enum err_code access_token_read(const char *home, char ret[ACCESS_TOKEN_BYTES], struct err *err)
{
    char path[PATH_BYTES], token[ACCESS_TOKEN_BYTES] = "";
    struct stat st;
    token_path(home, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "%s is not there: the home has no token yet", path);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    enum err_code code = ERR_OK;
    if (fstat(fd, &st) != 0)
        code = err_errno(err, errno, "stat %s", path);
    else if ((st.st_mode & 077) != 0)
        code = err_set(err, ERR_REFUSED,
                       "%s may be read by others (mode %03o): whoever reads it owns the home; run "
                       "`chmod 600 %s` and, if in doubt, delete it to get a new one",
                       path, (unsigned)st.st_mode & 0777u, path);
    else
        code = fd_read_all(fd, token, sizeof(token) - 1, err);
    if (code == ERR_OK && !is_hex(token))
        code =
            err_set(err, ERR_CORRUPT, "%s does not hold a token: delete it to get a new one", path);
    if (code == ERR_OK)
        memcpy(ret, token, sizeof(token));
    sodium_memzero(token, sizeof(token));
    fd_close(&fd);
    return code;
}

/* Two processes that make a home at once agree on one token: the second finds the first's. */
static enum err_code token_make(const char *home, struct err *err)
{
    char path[PATH_BYTES], token[ACCESS_TOKEN_BYTES];
    uint8_t bytes[32];
    random_bytes(bytes, sizeof(bytes));
    hex_encode(bytes, sizeof(bytes), token);
    token_path(home, path);
    const enum err_code code = file_write(path, str_n(token, sizeof(token) - 1), 0600, err);
    sodium_memzero(bytes, sizeof(bytes));
    sodium_memzero(token, sizeof(token));
    return code;
}

enum err_code access_open(const char *home, struct access **ret, struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, ERR_INTERNAL, "libsodium does not start");
    struct access *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return err_nomem(err);
    enum err_code code = access_token_read(home, a->token, err);
    if (code == ERR_NOT_FOUND) {
        code = token_make(home, err);
        if (code == ERR_OK)
            code = access_token_read(home, a->token, err);
    }
    if (code != ERR_OK) {
        access_close(a);
        return code;
    }
    access_local_actor(a->owner);
    *ret = a;
    return ERR_OK;
}

void access_close(struct access *a)
{
    if (a == NULL)
        return;
    sodium_memzero(a, sizeof(*a));
    free(a);
}

const char *access_token(const struct access *a)
{
    return a->token;
}

enum err_code access_check(const struct access *a, struct str authorization,
                           struct access_identity *ret, struct err *err)
{
    struct access_identity who = {.actor = "anonymous", .may_decide = false};
    if (authorization.n > 0) {
        const struct str scheme = STR("Bearer ");
        struct str given = str_trim(authorization);
        if (!str_starts(given, scheme))
            return err_set(err, ERR_AUTH, "Authorization must be \"Bearer TOKEN\"");
        given = str_trim(str_n(given.p + scheme.n, given.n - scheme.n));
        if (given.n != ACCESS_TOKEN_BYTES - 1 || sodium_memcmp(given.p, a->token, given.n) != 0)
            return err_set(err, ERR_AUTH,
                           "the token is not this home's (see the file `token` in it)");
        memcpy(who.actor, a->owner, sizeof(who.actor));
        who.may_decide = true;
    }
    *ret = who;
    return ERR_OK;
}

void access_local_actor(char ret[ACCESS_ACTOR_BYTES])
{
    struct passwd entry, *found = NULL;
    char space[1024];
    if (getpwuid_r(geteuid(), &entry, space, sizeof(space), &found) == 0 && found != NULL)
        (void)snprintf(ret, ACCESS_ACTOR_BYTES, "local:%s", entry.pw_name);
    else
        (void)snprintf(ret, ACCESS_ACTOR_BYTES, "local:%u", (unsigned)geteuid());
}
