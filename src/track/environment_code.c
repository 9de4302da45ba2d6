/* The git tree: commit, branch, what differs from it. git is asked by argv and with a deadline. */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "base/check.h"
#include "base/file.h"
#include "track/environment_int.h"

#define GIT_TIMEOUT_MS  10000
#define CHANGED_SHOWN   200
#define UNTRACKED_BYTES (64 << 10)

static bool git(const char *dir, size_t limit, struct arena *a, struct str *ret, bool *ret_is_cut,
                const char *const *args)
{
    const char *argv[16] = {"git", "--no-optional-locks", "-c", "core.quotePath=false"};
    size_t n = 4;
    for (size_t i = 0; args[i] && n < ARRAY_LEN(argv) - 1; i++)
        argv[n++] = args[i];
    struct capture c = {.argv = argv, .cwd = dir, .timeout_ms = GIT_TIMEOUT_MS, .limit = limit};
    return capture_run(&c, a, ret, ret_is_cut);
}

#define GIT(dir, limit, a, ret, cut, ...)                                                          \
    git((dir), (limit), (a), (ret), (cut), (const char *const[]){__VA_ARGS__, NULL})

/* ---- secrets ---- */

/* Names whose assigned value is not shown. */
static const char *const SECRET_NAMES[] = {"password", "passwd",      "secret",
                                           "token",    "api_key",     "apikey",
                                           "api-key",  "private_key", "credential"};
/* Beginnings of well-known key formats. */
static const char *const SECRET_FORMS[] = {"AKIA",   "ASIA", "ghp_", "gho_", "github_pat_",
                                           "glpat-", "sk-",  "xox",  "AIza", "-----BEGIN"};

static bool has_any(struct str line, const char *const *words, size_t n, bool with_case)
{
    for (size_t w = 0; w < n; w++) {
        size_t len = strlen(words[w]);
        for (size_t i = 0; i + len <= line.n; i++)
            if ((with_case ? strncmp(line.p + i, words[w], len)
                           : strncasecmp(line.p + i, words[w], len)) == 0)
                return true;
    }
    return false;
}

/* "name = value" with a value of some length: a mention alone is not a secret. */
static bool is_assignment(struct str line)
{
    for (size_t i = 1; i + 6 < line.n; i++)
        if ((line.p[i] == '=' || line.p[i] == ':') && !strchr("=!<>", line.p[i - 1]) &&
            line.p[i + 1] != '=')
            return true;
    return false;
}

static bool is_secret_line(struct str line)
{
    if (line.n == 0 || !strchr("+- ", line.p[0]))
        return false;
    return has_any(line, SECRET_FORMS, ARRAY_LEN(SECRET_FORMS), true) ||
           (has_any(line, SECRET_NAMES, ARRAY_LEN(SECRET_NAMES), false) && is_assignment(line));
}

struct str environment_redact(struct str text, struct arena *a, size_t *ret_n_redacted)
{
    struct buf out;
    struct str rest = text;
    bool is_in_key = false;
    *ret_n_redacted = 0;
    buf_init(&out, text.n * 2 + 64);
    while (rest.p && (rest.n || rest.p != text.p + text.n)) {
        struct str line = str_split(&rest, '\n');
        if (is_in_key || is_secret_line(line)) {
            buf_printf(&out, "%c[a line that looks like a secret was left out]\n",
                       line.n ? line.p[0] : ' ');
            (*ret_n_redacted)++;
            is_in_key = (is_in_key || str_find(line, STR("-----BEGIN")) >= 0) &&
                        str_find(line, STR("-----END")) < 0;
        } else {
            buf_str(&out, line);
            buf_ch(&out, '\n');
        }
    }
    char *copy = buf_ok(&out, NULL) == ERR_OK ? str_dup(a, buf_view(&out)) : NULL;
    struct str result = copy ? str_n(copy, out.n) : STR_NONE;
    buf_fini(&out);
    return result;
}

/* ---- diff ---- */

/* Untracked text files are part of what ran: they are shown as git would show a new file. */
static void untracked_add(const char *dir, struct str names, struct arena *a, struct buf *out)
{
    struct str rest = names;
    while (rest.p && rest.n) {
        struct str name = str_split(&rest, '\0'), text;
        char *rel = str_dup(a, name);
        char *path = rel && *rel ? path_join(a, dir, rel) : NULL;
        if (!path || file_read(path, UNTRACKED_BYTES, a, &text, NULL) != ERR_OK ||
            !str_utf8_valid(text) || (text.n && memchr(text.p, 0, text.n)))
            continue;
        buf_printf(out, "diff --git a/%s b/%s\nnew file\n--- /dev/null\n+++ b/%s\n", rel, rel, rel);
        struct str lines = text;
        while (lines.p && lines.n) {
            buf_ch(out, '+');
            buf_str(out, str_split(&lines, '\n'));
            buf_ch(out, '\n');
        }
    }
}

static void diff_put(const char *dir, struct json *j, struct arena *a, struct str *ret_diff)
{
    struct str tracked = STR_NONE, untracked = STR_NONE;
    bool is_cut = false;
    size_t n_redacted = 0;
    struct buf all;
    struct digest d;
    GIT(dir, ENVIRONMENT_DIFF_MAX, a, &tracked, &is_cut, "diff", "HEAD", "--no-ext-diff",
        "--no-color", "--relative");
    GIT(dir, UNTRACKED_BYTES, a, &untracked, NULL, "ls-files", "--others", "--exclude-standard",
        "-z");
    buf_init(&all, (size_t)ENVIRONMENT_DIFF_MAX * 2);
    buf_str(&all, tracked);
    untracked_add(dir, untracked, a, &all);
    if (is_cut)
        buf_printf(&all, "\n[the diff is longer than %d bytes and was cut here]\n",
                   ENVIRONMENT_DIFF_MAX);
    *ret_diff = environment_redact(buf_view(&all), a, &n_redacted);
    buf_fini(&all);
    if (ret_diff->p) {
        digest_of(ret_diff->p, ret_diff->n, &d);
        json_set(a, j, "diff_sha256", json_hex(a, &d));
    }
    if (n_redacted)
        json_set(a, j, "n_redacted_lines", json_int(a, (int64_t)n_redacted));
}

/* "XY path" entries of `git status --porcelain -z`; the home of this program is no part of the
 * code. */
static size_t changed_put(struct str status, struct json *j, struct arena *a)
{
    struct json *list = json_arr(a);
    struct str rest = status;
    size_t n = 0;
    while (rest.p && rest.n) {
        struct str entry = str_split(&rest, '\0');
        if (entry.n < 4 || str_starts(str_n(entry.p + 3, entry.n - 3), STR(".pawl/")))
            continue;
        if (entry.p[0] == 'R' || entry.p[0] == 'C')
            str_split(&rest, '\0');
        if (n++ < CHANGED_SHOWN)
            json_add(a, list, json_str(a, str_n(entry.p + 3, entry.n - 3)));
    }
    if (n > 0)
        json_set(a, j, "changed", list);
    json_set(a, j, "n_changed_files", json_int(a, (int64_t)n));
    return n;
}

struct json *environment_code(const char *dir, struct arena *a, struct str *ret_diff)
{
    struct str commit, branch, status, url;
    *ret_diff = STR_NONE;
    if (!GIT(dir, 4096, a, &commit, NULL, "rev-parse", "HEAD"))
        return NULL;
    struct json *j = json_obj(a);
    json_set(a, j, "commit", json_str(a, str_trim(commit)));
    if (GIT(dir, 4096, a, &branch, NULL, "symbolic-ref", "--short", "-q", "HEAD"))
        json_set(a, j, "branch", json_str(a, str_trim(branch)));
    /* A remote's URL may carry a password: kept only without one. */
    if (GIT(dir, 4096, a, &url, NULL, "config", "--get", "remote.origin.url") &&
        str_find(url, STR("@")) < 0)
        json_set(a, j, "remote", json_str(a, str_trim(url)));
    if (!GIT(dir, (size_t)ENVIRONMENT_DIFF_MAX, a, &status, NULL, "status", "--porcelain", "-z",
             "--untracked-files=all", "--", "."))
        return j;
    bool is_dirty = changed_put(status, j, a) > 0;
    json_set(a, j, "is_dirty", json_bool(a, is_dirty));
    if (is_dirty)
        diff_put(dir, j, a, ret_diff);
    return j;
}
