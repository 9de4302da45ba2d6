/* Who is asking: the home's token for routes that decide, and the local user's name for the audit.
 *
 * home/token holds 256 random bits in hex, mode 0600; whoever can read it owns the home. Accounts,
 * roles and scoped tokens come behind the same call later: callers keep asking access_check and
 * using the identity it gives. Threads: any; immutable after access_open. */
#ifndef PAWL_ACCESS_ACCESS_H
#define PAWL_ACCESS_ACCESS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

#define ACCESS_TOKEN_BYTES 65 /* with NUL */
#define ACCESS_ACTOR_BYTES 128

struct access;

struct access_identity {
    char actor[ACCESS_ACTOR_BYTES]; /* "local:alice" */
    bool may_decide;
};

/* Reads home/token, or makes it. A token file that others may read is refused with a sentence. */
enum err_code access_open(const char *home, struct access **ret, struct err *err) MUST_CHECK;
void access_close(struct access *a); /* accepts NULL; wipes the token */
/* The token alone, for the command line: ERR_NOT_FOUND when the home has none. */
enum err_code access_token_read(const char *home, char ret[ACCESS_TOKEN_BYTES],
                                struct err *err) MUST_CHECK;
const char *access_token(const struct access *a);

/* Judges the value of an Authorization header ("Bearer TOKEN"; empty: nobody). A wrong token is
 * ERR_AUTH; none gives an identity that may not decide. Compares in constant time. */
enum err_code access_check(const struct access *a, struct str authorization,
                           struct access_identity *ret, struct err *err) MUST_CHECK;
/* "local:" + the name of the user this process runs as. */
void access_local_actor(char ret[ACCESS_ACTOR_BYTES]);

#endif
