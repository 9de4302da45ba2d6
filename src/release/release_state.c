#include "release/release.h"

#include <stdio.h>

#include "base/check.h"

const char *const RELEASE_STATE_NAMES[RELEASE_STATE_N] = {
    "draft", "gated", "approved", "rolling", "live", "retired", "rejected", "rolled_back"};
const char *const RELEASE_KIND_NAMES[RELEASE_KIND_N] = {"retrain", "features", "threshold",
                                                        "serving", "policy"};

#define TO(s) (1U << RELEASE_##s)

/* Bit sets of the states that may follow. A rollback makes a retired release live again; a release that was rolled back
 * rolls again only by force, which first takes it to gated, where its gates count anew. */
static const unsigned MAY[RELEASE_STATE_N] = {
    [RELEASE_DRAFT] = TO(GATED) | TO(REJECTED),
    [RELEASE_GATED] = TO(APPROVED) | TO(REJECTED),
    [RELEASE_APPROVED] = TO(ROLLING) | TO(LIVE) | TO(REJECTED),
    [RELEASE_ROLLING] = TO(LIVE) | TO(ROLLED_BACK) | TO(APPROVED),
    [RELEASE_LIVE] = TO(RETIRED) | TO(ROLLED_BACK),
    [RELEASE_RETIRED] = TO(LIVE) | TO(ROLLING),
    [RELEASE_REJECTED] = 0,
    [RELEASE_ROLLED_BACK] = TO(GATED) | TO(LIVE),
};

bool release_may_move(enum release_state from, enum release_state to)
{
    CHECK(from < RELEASE_STATE_N && to < RELEASE_STATE_N);
    return (MAY[from] & (1U << to)) != 0;
}

enum err_code release_check_move(int64_t number, enum release_state from, enum release_state to,
                                 struct err *err)
{
    char allowed[128] = "";
    size_t n = 0;

    if (release_may_move(from, to))
        return ERR_OK;
    for (int s = 0; s < RELEASE_STATE_N; s++)
        if (MAY[from] & (1U << s))
            n += (size_t)snprintf(allowed + n, sizeof(allowed) - n, "%s%s", n ? ", " : "",
                                  RELEASE_STATE_NAMES[s]);
    return err_set(err, ERR_REFUSED, "r%lld is %s and cannot become %s (%s%s)", (long long)number,
                   RELEASE_STATE_NAMES[from], RELEASE_STATE_NAMES[to],
                   n ? "from there: " : "that is its end", allowed);
}

enum err_code release_parse(struct str text, int64_t *ret, struct err *err)
{
    struct str digits = text.n > 1 && text.p[0] == 'r' ? str_n(text.p + 1, text.n - 1) : text;

    if (parse_i64(digits, ret, err) != ERR_OK || *ret < 1)
        return err_set(err, ERR_INVALID,
                       "\"%.*s\" is not a release: write r and its number, as in r12",
                       STR_ARG(text));
    return ERR_OK;
}
