/* `pawl doctor`: is everything here that the program stands on? Each finding says what to do. */
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "api/op_handlers.h"
#include "api/services.h"
#include "base/file.h"
#include "db/db.h"
#include "feedback/log.h"
#include "serve/serve.h"

#define DISK_LOW_BYTES (INT64_C(1) << 30)

struct findings {
    struct op_call *call;
    struct json *list;
    int64_t n_bad;
};

/* fix NULL: nothing is wrong. */
static struct json *find(struct findings *f, const char *what, const char *detail, const char *fix)
{
    struct arena *a = f->call->arena;
    struct json *o = json_obj(a);
    json_set(a, o, "check", json_cstr(a, what));
    json_set(a, o, "ok", json_bool(a, fix == NULL));
    json_set(a, o, "detail", json_cstr(a, detail));
    if (fix)
        json_set(a, o, "fix", json_cstr(a, fix));
    json_add(a, f->list, o);
    f->n_bad += fix != NULL;
    return o;
}

static void look_at_database(struct findings *f)
{
    struct err err = ERR_INIT;
    struct db *db = f->call->sv->db;
    char *detail = NULL;
    if (!db) {
        find(f, "database", "not reached", "start it; predictions and rollbacks go on without it");
        return;
    }
    if (db_ping(db, &err) != ERR_OK) {
        find(f, "database", str_dup(f->call->arena, str_c(err.msg)), "see the sentence beside it");
        return;
    }
    detail = str_printf(f->call->arena, "%s, schema %d",
                        db_is_postgres(db) ? "PostgreSQL" : "SQLite", db_schema_version(db));
    find(f, "database", detail, NULL);
}

static void look_at_disk(struct findings *f)
{
    struct statvfs st;
    if (statvfs(f->call->sv->home, &st) != 0) {
        find(f, "disk", "cannot be asked", "look whether the home's disk is mounted");
        return;
    }
    int64_t free_bytes = (int64_t)st.f_bavail * (int64_t)st.f_frsize;
    bool is_low = free_bytes < DISK_LOW_BYTES;
    struct json *found =
        find(f, "disk", is_low ? "less than 1 GiB is free" : "at least 1 GiB is free",
             is_low ? "make room: a full disk stops runs and logging" : NULL);
    json_set(f->call->arena, found, "free_bytes", json_int(f->call->arena, free_bytes));
}

static void look_at_log(struct findings *f)
{
    struct feedback_log_stats st;
    if (!f->call->sv->log)
        return;
    feedback_log_stats(f->call->sv->log, &st);
    find(f, "prediction log",
         str_printf(f->call->arena, "%llu records since the start, %llu dropped",
                    (unsigned long long)st.n_records, (unsigned long long)st.n_dropped),
         st.is_failing ? "the disk refuses writes: make room or repair it" : NULL);
}

static enum err_code look_at_endpoints(struct findings *f, struct err *err)
{
    const char **names = NULL;
    size_t n = 0;
    struct serve *s = f->call->sv->serve;
    enum err_code code = s ? serve_endpoints(s, f->call->arena, &names, &n, err) : ERR_OK;
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        const char *problem = serve_problem(s, names[i], f->call->arena);
        const char *what = str_printf(f->call->arena, "endpoint %s", names[i]);
        find(f, what, problem ? problem : "its live release is loaded",
             problem ? "roll back, or deploy a release that loads" : NULL);
    }
    return code;
}

/* Beside the executable, or where PAWL_DUCKDB says. */
static void look_at_duckdb(struct findings *f)
{
    char exe[PATH_BYTES];
    const char *named = getenv("PAWL_DUCKDB");
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n < 0)
        return;
    exe[n] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    char *beside = path_join(f->call->arena, exe, "libduckdb.so");
    bool is_there = (named && file_exists(named)) || (beside && file_exists(beside));
    find(f, "libduckdb.so", is_there ? "found" : "not found",
         is_there ? NULL
                  : "put it beside the executable (tools/setup fetches it), or set PAWL_DUCKDB");
}

enum err_code op_doctor_run(struct op_call *call, const struct json *in, struct json **ret,
                            struct err *err)
{
    struct arena *a = call->arena;
    struct findings f = {.call = call, .list = json_arr(a)};
    enum err_code code = ERR_OK;
    find(&f, "home", str_printf(a, "%s%s", call->sv->home, call->sv->is_replay ? " (replay)" : ""),
         access(call->sv->home, W_OK) == 0 ? NULL : "make it writable for this user");
    look_at_database(&f);
    look_at_disk(&f);
    look_at_log(&f);
    look_at_duckdb(&f);
    code = look_at_endpoints(&f, err);
    if (code != ERR_OK)
        return code;
    struct json *doc = json_set(a, json_obj(a), "checks", f.list);
    json_set(a, doc, "problems", json_int(a, f.n_bad));
    *ret = doc;
    return f.n_bad == 0 ? ERR_OK
                        : err_set(err, ERR_NO, "%lld things need a hand", (long long)f.n_bad);
}
