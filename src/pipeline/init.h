/* `pawl init FILE`: looks at a CSV or Parquet file and proposes a commented pawl.yaml: types,
 * checks, time column, label, split, gates. The proposal is valid as it stands; what was guessed
 * says so in a comment. */
#ifndef PAWL_PIPELINE_INIT_H
#define PAWL_PIPELINE_INIT_H

#include "pipeline/run.h"

struct init_options {
    const char *file;    /* as the user wrote it, relative to the project's folder */
    const char *project; /* name; NULL: from the folder */
    const char *label;   /* column or expression; NULL: guessed */
    const char *time;    /* column; NULL: guessed */
};

/* The proposal from a profile (data/ gives it): pure, so that it can be tested. *ret in the arena.
 */
enum err_code init_propose(const struct init_options *o, const struct json *profile,
                           struct arena *a, struct str *ret, struct json **ret_doc,
                           struct err *err) MUST_CHECK;

#endif
