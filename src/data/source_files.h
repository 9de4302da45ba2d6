/* Private to data/: a source as files with digests. */
#ifndef PAWL_DATA_SOURCE_FILES_H
#define PAWL_DATA_SOURCE_FILES_H

#include "data/stat_cache.h"
#include "data/version.h"

struct source_files {
    struct stat_entry *e; /* in byte order of names */
    char *
        *names; /* as the version shows them: relative to the project, or to the extract's folder */
    size_t n;
    char *out_dir; /* of an extract: to be removed; NULL */
    struct digest digest;
    bool is_stored; /* every file is in the blob store */
};

enum files_mode { FILES_HASH, FILES_STORE, FILES_MODE_N };

/* Resolves the source (runs its extract), hashes what the stat cache does not know and, with FILES_STORE, puts files into the
 * blob store. source_files_fini in any case. */
enum err_code source_files_find(const struct data_env *env, const struct source_spec *s,
                                enum files_mode mode, struct arena *a, struct source_files *ret,
                                struct err *err) MUST_CHECK;
void source_files_fini(struct source_files *f);

#endif
