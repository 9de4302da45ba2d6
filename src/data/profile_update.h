/* Private to data/: profiling a version that may have grown out of another one. */
#ifndef PAWL_DATA_PROFILE_UPDATE_H
#define PAWL_DATA_PROFILE_UPDATE_H

#include "data/version.h"

struct profile_order {
    const struct data_env *env;
    const struct json *doc;     /* the new version: source, digest, kind, declared, files */
    const struct json *binding; /* its files, in the same order */
    const struct json *before;  /* the newest version until now; NULL: none */
};

/* What data.profile answers for the whole version. Keeps the sketches for the next time. */
enum err_code profile_update(const struct profile_order *o, struct arena *a, struct json **ret,
                             struct err *err) MUST_CHECK;

#endif
