/* Private to features/, in the child: a session in which sources are views, and so are the project's batch views.
 *
 * For each batch view NAME there is "NAME" (the user's SQL) and "NAME__canonical": entities, time as TIMESTAMP, __known_at,
 * feature columns. A view given as a file (args.view_files) is read from it. The session is locked: SQL sees the sources and
 * nothing else. */
#ifndef PAWL_FEATURES_FSESSION_H
#define PAWL_FEATURES_FSESSION_H

#include "job/worker.h"
#include "table/table.h"
#include "json/json.h"

#define FS_SQL_MAX (64 << 20)

struct fsession {
    struct worker *w;
    struct arena *a;
    struct table *t;
    const struct json *args;
    struct json *infos; /* what features.describe answers, in dependency order */
    int64_t as_of_us;   /* args.as_of */
    struct buf sql;     /* the statement being built */
};

/* outputs: files that will be written. fsession_close in any case. */
enum err_code fsession_open(struct worker *w, const struct json *args, const char *const *outputs,
                            size_t n_outputs, struct fsession *ret, struct err *err) MUST_CHECK;
void fsession_close(struct fsession *fs);
/* Runs fs->sql and empties it. */
enum err_code fs_exec(struct fsession *fs, struct err *err) MUST_CHECK;
enum err_code fs_fetch(struct fsession *fs, size_t max_rows, struct table_values *ret,
                       struct err *err) MUST_CHECK;
/* The description of a view; ERR_NOT_FOUND with the nearest name. */
enum err_code fs_info(const struct fsession *fs, struct str view, const struct json **ret,
                      struct err *err) MUST_CHECK;
/* The definition (view_spec_json) of a view. */
const struct json *fs_definition(const struct fsession *fs, struct str view);
/* ", "-joined identifiers, each behind `prefix`. */
void fs_names(struct buf *out, const char *prefix, const struct json *names_or_columns);
/* Appends FROM "NAME__canonical" WHERE no key or time is null and it was known at the as-of time. */
void fs_from_view(struct fsession *fs, const struct json *info);
/* Name of a member of entities or columns, or the text itself in a list of texts. */
struct str fs_name(const struct json *item);

#endif
