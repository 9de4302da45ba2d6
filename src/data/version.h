/* Data versions: every set of rows that was used, named by its bytes.
 *
 * data_snapshot() resolves a source to files, hashes each (a stat cache makes an unchanged source
 * cost microseconds a file), puts them into the blob store (or, for `reference: true`, remembers
 * path and hash), and has a child profile them. The version's digest is SHA-256 over the sorted
 * lines "sha256  path\n". Its document:
 *
 *   {"format":1,"source":NAME,"digest":HEX,"kind":"parquet|csv|jsonl","reference":false,
 *    "files":[{"path":REL,"sha256":HEX,"bytes":N,"rows":N}],"bytes":N,"rows":N,
 *    "columns":[{"name","sql_type","type"}],
 *    "time":{"column","min","max"},"known_at":{"max"},
 *    "profile":{COLUMN:{"nulls":N,"distinct":N,"min","max","mean","std","quantiles":[0,.01,.05,.1
 * ... 1], "top":[{"value","n"}]}}}
 *
 * and, from data_snapshot, "previous": digest or absent, "changes": what differs from it
 * (data_version_diff), "created_at". Stored in table data_versions. Threads: any; a data_env is
 * shared read-only. */
#ifndef PAWL_DATA_VERSION_H
#define PAWL_DATA_VERSION_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "data/source.h"
#include "json/json.h"

struct db;
struct blob_store;
struct worker_pool;

/* What the owner of the home lends to data/, validate/, features/. */
struct data_env {
    struct db *db;
    struct blob_store *blobs;
    struct worker_pool *pool;
    struct clock clock;
    const char *project;             /* its name: versions belong to it */
    const char *project_root;        /* absolute; sources' paths are relative to it */
    const char *tmp_dir;             /* absolute, on the home's file system */
    const atomic_bool *is_cancelled; /* may be NULL */
    void (*on_progress)(void *arg, double done, const char *text); /* may be NULL */
    void *progress_arg;
    /* Another way to the rows of a `sql` source: as files into out_dir. NULL: SQLite and PostgreSQL are read here. */
    enum err_code (*fetch_sql)(void *arg, const struct source_spec *s, const char *out_dir,
                               struct err *err);
    void *fetch_arg;
};

#define DATA_CALL_TIMEOUT_MS (INT64_C(24) * 3600 * 1000) /* a worker's longest pass over data */

/* A worker's operation with the env's cancel flag, progress and LIMITS added to args. */
enum err_code data_env_call(const struct data_env *env, const char *op, struct json *args,
                            struct arena *a, struct json **ret, struct err *err) MUST_CHECK;

struct data_version {
    struct str source;
    struct digest digest;
    int64_t n_rows, n_bytes;
    int64_t time_min_us, time_max_us; /* AT_US_NONE without a time column or rows */
    int64_t known_max_us;             /* newest known_at */
    int64_t created_us;
    const struct json *doc; /* the whole document */
};

/* The source as it is now. ERR_NOT_FOUND when no file matches; ERR_EMPTY for files without rows is
 * NOT raised here. is_new (may be NULL): this version was not seen before on this home. */
enum err_code data_snapshot(const struct data_env *env, const struct source_spec *s,
                            struct arena *a, struct data_version *ret, bool *ret_is_new,
                            struct err *err) MUST_CHECK;
/* Only files and digest, without profile, copies or database: for triggers and `new_data`. ret_files may be NULL. */
enum err_code data_peek(const struct data_env *env, const struct source_spec *s, struct arena *a,
                        struct digest *ret, int64_t *ret_files, struct err *err) MUST_CHECK;

/* The newest version of a source, or the one whose digest starts with `digest_prefix` (at least 6
 * digits). */
enum err_code data_version_load(const struct data_env *env, struct str source,
                                struct str digest_prefix, struct arena *a, struct data_version *ret,
                                struct err *err) MUST_CHECK;
/* Newest first, as JSON [{source, digest, rows, bytes, time, created_at, …}] without profiles;
 * source empty: all. */
enum err_code data_version_list(const struct data_env *env, struct str source, int64_t limit,
                                struct arena *a, struct json **ret, struct err *err) MUST_CHECK;
/* {"is_changed","files":{"added","removed","kept"},"rows":{"old","new"},"schema":[{"column","change"}],
 *  "distribution":[{"column","psi" | "nulls_old","nulls_new"
 * …,"is_notable"}],"notable":[sentences]}; nothing changed: is_changed false. */
struct json *data_version_diff(const struct json *old_doc, const struct json *new_doc,
                               struct arena *a);

/* Staleness of a version at a time: age of its newest known row against the declared freshness.
 * {"source","newest","age_us","limit_us","is_stale"}; without a declared limit is_stale is absent.
 */
struct json *data_freshness(const struct source_spec *s, const struct data_version *v,
                            int64_t at_us, struct arena *a);

/* What children read:
 * {"name","kind","files":[{"path":ABS,"rows"}],"columns","time","timezone","known_at",
 * "available_after_us","digest"}. json_set(…, "as_of", json_time(…)) limits it to rows known by then; see
 * data/scan.h. */
enum err_code data_binding(const struct data_env *env, const struct source_spec *s,
                           const struct data_version *v, struct arena *a, struct json **ret,
                           struct err *err) MUST_CHECK;

#endif
