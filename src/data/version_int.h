/* Private to data/: versions in the database. */
#ifndef PAWL_DATA_VERSION_INT_H
#define PAWL_DATA_VERSION_INT_H

#include "data/version.h"

/* ERR_NOT_FOUND when there is none. digest_prefix empty: the newest. */
enum err_code data_version_find(const struct data_env *env, struct str source,
                                struct str digest_prefix, struct arena *a, struct json **ret_doc,
                                struct err *err) MUST_CHECK;
/* Stores it, or makes it the newest again. */
enum err_code data_version_put(const struct data_env *env, const struct json *doc,
                               struct err *err) MUST_CHECK;
/* Fills the struct from its document. */
enum err_code data_version_of_doc(const struct json *doc, struct data_version *ret,
                                  struct err *err) MUST_CHECK;

#endif
