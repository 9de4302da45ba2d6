/* home/jobs/fresh-<hash of the order>, one line each:
 *   V <stamp of the executable>   U <until, µs>   P <stamp> <path>   G <hash of the list> <pattern>   A <answer as JSON>
 * A stamp is what stat says. The file is written last and whole, so a record that is there is complete. */
#include "pipeline/fresh.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/vec.h"

#define RECORD_BYTES_MAX ((size_t)64 << 20)
/* Coarser than the clock tick of any file system in use: a change within it may not move the time stamp. */
#define RACY_NS   INT64_C(20000000)
#define STAMP_MAX 160
#define ABSENT    "-"
#define SELF      "/proc/self/exe"

struct fresh_record {
    struct arena *arena;
    VEC(const char *) paths;
    VEC(const char *) globs;
};

static int64_t stamp(const char *path, char out[STAMP_MAX])
{
    struct stat st;
    if (stat(path, &st) != 0) {
        (void)snprintf(out, STAMP_MAX, ABSENT);
        return 0;
    }
    int64_t mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    int64_t ctime = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
    (void)snprintf(out, STAMP_MAX, "%lld:%lld:%lld:%llu:%llu", (long long)st.st_size,
                   (long long)mtime, (long long)ctime, (unsigned long long)st.st_ino,
                   (unsigned long long)st.st_dev);
    return mtime > ctime ? mtime : ctime;
}

static char *record_path(const struct fresh_order *o, struct arena *a)
{
    struct buf key;
    char *path = NULL;
    buf_init(&key, 1 << 20);
    buf_printf(&key, "%s\n%lld\n", o->root, (long long)o->as_of_us);
    for (size_t i = 0; i < o->n_steps; i++)
        buf_printf(&key, "%s\n", o->steps[i]);
    struct hash128 h = hash128(key.p, key.n);
    if (buf_ok(&key, NULL) == ERR_OK)
        path = str_printf(a, "%s/jobs/fresh-%016llx%016llx", o->home, (unsigned long long)h.hi,
                          (unsigned long long)h.lo);
    buf_fini(&key);
    return path;
}

static uint64_t glob_hash(const char *pattern, struct arena *a, bool *ret_ok)
{
    char **paths = NULL;
    size_t n = 0;
    uint64_t h = 0;
    *ret_ok = path_glob(pattern, a, &paths, &n, NULL) == ERR_OK;
    for (size_t i = 0; *ret_ok && i < n; i++)
        h = hash64(paths[i], strlen(paths[i]) + 1, h);
    return h;
}

/* ---- asking ---- */

static bool is_line_true(struct str line, const struct fresh_order *o, struct arena *a)
{
    char now[STAMP_MAX];
    struct str rest = line;
    struct str kind = str_split(&rest, '\t');
    if (str_is(kind, "V")) {
        (void)stamp(SELF, now);
        return str_is(rest, now);
    }
    if (str_is(kind, "U")) {
        int64_t until = 0;
        return parse_i64(rest, &until, NULL) == ERR_OK && o->now_us < until;
    }
    struct str value = str_split(&rest, '\t');
    const char *path = rest.p != NULL ? rest.p : "";
    if (str_is(kind, "P")) {
        (void)stamp(path, now);
        return str_is(value, now);
    }
    if (str_is(kind, "G")) {
        bool is_ok = false;
        uint64_t want = 0, have = glob_hash(path, a, &is_ok);
        return is_ok && parse_u64(value, &want, NULL) == ERR_OK && want == have;
    }
    return false;
}

bool fresh_is_unchanged(const struct fresh_order *o, struct arena *a, struct json **ret)
{
    struct str text = STR_NONE;
    struct arena_mark mark = arena_mark(a);
    const char *path = record_path(o, a);
    if (path == NULL || file_read(path, RECORD_BYTES_MAX, a, &text, NULL) != ERR_OK)
        return false;
    struct str rest = text;
    while (rest.p != NULL) {
        struct str line = str_split(&rest, '\n');
        if (line.n == 0)
            continue;
        if (line.p[0] == 'A' && line.n > 2) {
            struct str answer = str_n(line.p + 2, line.n - 2);
            return json_read(answer, a, ret, NULL) == ERR_OK;
        }
        /* Lines end where the next begins: cut, so that paths are C strings. */
        ((char *)(uintptr_t)line.p)[line.n] = '\0';
        if (!is_line_true(line, o, a))
            break;
    }
    arena_release(a, mark);
    return false;
}

/* ---- recording ---- */

struct fresh_record *fresh_record_new(struct arena *a)
{
    struct fresh_record *r = ARENA_NEW(a, struct fresh_record);
    if (r != NULL)
        r->arena = a;
    return r;
}

void fresh_record_path(struct fresh_record *r, const char *path)
{
    const char **slot = r != NULL ? VEC_ADD(r->arena, &r->paths) : NULL;
    if (slot != NULL)
        *slot = str_dup(r->arena, str_c(path));
}

void fresh_record_glob(struct fresh_record *r, const char *pattern)
{
    char **paths = NULL;
    size_t n = 0;
    const char **slot = r != NULL ? VEC_ADD(r->arena, &r->globs) : NULL;
    if (slot == NULL)
        return;
    *slot = str_dup(r->arena, str_c(pattern));
    if (path_glob(pattern, r->arena, &paths, &n, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < n; i++)
        fresh_record_path(r, paths[i]);
}

/* All lines but the answer; *ret_newest is the newest time stamp among them. */
static enum err_code write_lines(const struct fresh_record *r, int64_t until_us, struct buf *out,
                                 int64_t *ret_newest, struct err *err)
{
    char now[STAMP_MAX];
    int64_t newest = 0;
    (void)stamp(SELF, now);
    buf_printf(out, "V\t%s\nU\t%lld\n", now, (long long)until_us);
    for (size_t i = 0; i < r->paths.n; i++) {
        const char *p = r->paths.p[i];
        if (p == NULL || strchr(p, '\n') != NULL)
            return err_set(err, ERR_UNSUPPORTED, "a path with a line break");
        int64_t at = stamp(p, now);
        newest = at > newest ? at : newest;
        buf_printf(out, "P\t%s\t%s\n", now, p);
    }
    for (size_t i = 0; i < r->globs.n; i++) {
        bool is_ok = false;
        const char *g = r->globs.p[i];
        if (g == NULL || strchr(g, '\n') != NULL)
            return err_set(err, ERR_UNSUPPORTED, "a pattern with a line break");
        uint64_t h = glob_hash(g, r->arena, &is_ok);
        buf_printf(out, "G\t%llu\t%s\n", (unsigned long long)h, g);
    }
    *ret_newest = newest;
    return buf_ok(out, err);
}

/* What was written a moment ago is trusted only once the clock has left its tick. */
static void leave_tick(int64_t newest_ns)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - newest_ns;
    if (age < 0 || age >= RACY_NS)
        return;
    struct timespec rest = {.tv_nsec = (long)(RACY_NS - age)};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        continue;
}

enum err_code fresh_record_save(struct fresh_record *r, const struct fresh_order *o,
                                int64_t until_us, const struct json *answer, struct err *err)
{
    struct buf out, again;
    int64_t newest = 0;
    const char *path = record_path(o, r->arena);
    if (path == NULL)
        return arena_err(r->arena, err);
    buf_init(&out, RECORD_BYTES_MAX);
    buf_init(&again, RECORD_BYTES_MAX);
    enum err_code code = write_lines(r, until_us, &out, &newest, err);
    if (code == ERR_OK) {
        leave_tick(newest);
        code = write_lines(r, until_us, &again, &newest, err);
    }
    /* Something moved meanwhile: no record, the next run looks. */
    bool is_still = code == ERR_OK && str_eq(buf_view(&out), buf_view(&again));
    if (is_still) {
        buf_c(&out, "A\t");
        code = json_write(answer, JSON_COMPACT, &out, err);
        buf_ch(&out, '\n');
        if (code == ERR_OK)
            code = buf_ok(&out, err);
        if (code == ERR_OK)
            code = file_write(path, buf_view(&out), 0600, err);
    }
    buf_fini(&out);
    buf_fini(&again);
    return code;
}

enum err_code fresh_forget(const char *home, struct err *err)
{
    struct arena a;
    char **names = NULL;
    size_t n = 0;
    arena_init(&a, (size_t)16 << 20);
    const char *dir = path_join(&a, home, "jobs");
    enum err_code code = dir != NULL ? ERR_OK : arena_err(&a, err);
    if (code == ERR_OK && dir_exists(dir))
        code = dir_list(dir, &a, &names, &n, err);
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        const char *path = path_join(&a, dir, names[i]);
        if (path != NULL && strncmp(names[i], "fresh-", 6) == 0)
            code = file_remove(path, err);
    }
    arena_fini(&a);
    return code;
}
