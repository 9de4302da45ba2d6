/* `pawl init FILE`: looks at the profile of a CSV, Parquet or JSON Lines file and proposes a commented
 * pawl.yaml: source, checks, time column, label, features, split, gates, endpoint. The proposal is
 * valid as it stands; what was guessed says so in a comment. Pure, so that it can be tested.
 * Threads: any. */
#ifndef PAWL_PIPELINE_INIT_H
#define PAWL_PIPELINE_INIT_H

#include "base/arena.h"
#include "base/str.h"
#include "json/json.h"

struct init_options {
    const char *file;    /* as it shall stand in the source, relative to the project's folder */
    const char *project; /* letters, digits, '_', '-'; NULL: from the file's name */
    const char *label;   /* column or SQL expression; NULL: guessed */
    const char *time;    /* column; NULL: guessed */
};

/* version_doc: the document of a data version (data/version.h) with its profile.
 * ret_yaml  text of pawl.yaml      ret_doc  {project, task, label, time, features: […], guessed: […]}
 * Errors    ERR_INVALID for a file without columns, ERR_NOT_FOUND for a named column that is not there */
enum err_code init_propose(const struct init_options *o, const struct json *version_doc,
                           struct arena *a, struct str *ret_yaml, struct json **ret_doc,
                           struct err *err) MUST_CHECK;
/* A name for things from a path: "data/My flights.csv" -> "my_flights". */
const char *init_name(const char *path, struct arena *a);

#endif
