#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "access/access.h"
#include "app/home.h"
#include "app/server.h"
#include "app/settings.h"
#include "app/wire.h"
#include "app/worker_ops.h"
#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/replay.h"
#include "loop/section_checks.h"
#include "pipeline/fresh.h"

#define COMMAND_ARENA   (16U << 20)
#define COMMAND_WAIT_MS 10000 /* for another command on the same home */
#define PROJECT_FILE    "pawl.yaml"

/* ---- places ---- */
static char *working_folder(struct arena *a, struct err *err)
{
    char cwd[PATH_BYTES];
    if (!getcwd(cwd, sizeof cwd)) {
        err_errno(err, errno, "find the working folder");
        return NULL;
    }
    char *kept = str_dup(a, str_c(cwd));
    if (!kept)
        arena_err(a, err);
    return kept;
}

static char *absolute_of(const char *path, const char *cwd, struct arena *a)
{
    char *real = realpath(path, NULL);
    char *kept = real             ? str_dup(a, str_c(real))
                 : path[0] == '/' ? str_dup(a, str_c(path))
                                  : path_join(a, cwd, path);
    free(real);
    return kept;
}

/* The home that was named, or the one found upward, or (when it may) a new one beside pawl.yaml. */
static enum err_code find_home(const struct cli_globals *g, const char *cwd, bool may_make,
                               struct arena *a, struct cli_target *ret, struct err *err)
{
    char *above = g->home ? NULL : home_find_up(cwd, HOME_FOLDER "/FORMAT", a);
    ret->root = home_find_up(cwd, PROJECT_FILE, a);
    if (g->home)
        ret->home = absolute_of(g->home, cwd, a);
    else if (above)
        ret->home = path_join(a, above, HOME_FOLDER);
    else if (may_make && ret->root)
        ret->home = path_join(a, ret->root, HOME_FOLDER);
    if (ret->home && may_make && !home_is(ret->home) && (g->home || ret->root))
        return home_make(ret->home, false, err);
    return ERR_OK;
}

static enum err_code find_server(struct cli_target *ret, struct arena *a, struct err *err)
{
    bool is_owned = false;
    char *url = NULL, token[ACCESS_TOKEN_BYTES];
    enum err_code code = home_peek(ret->home, a, &is_owned, &url, err);
    if (code != ERR_OK || !url)
        return code;
    code = access_token_read(ret->home, token, err);
    if (code != ERR_OK)
        return code;
    ret->url = url;
    ret->token = str_dup(a, str_c(token));
    return ret->token ? ERR_OK : arena_err(a, err);
}

/* A server that was named; when it is the one that runs on the home found here, its token is at hand. */
static enum err_code named_server(const struct cli_globals *g, const char *cwd, struct arena *a,
                                  struct cli_target *ret, struct err *err)
{
    struct cli_target here = {0};
    struct str url = str_c(g->server);
    while (str_ends(url, STR("/")))
        url.n--;
    enum err_code code = find_home(g, cwd, false, a, &here, err);
    if (code == ERR_OK && here.home && home_is(here.home))
        code = find_server(&here, a, err);
    if (code != ERR_OK)
        return code;
    ret->root = here.root;
    ret->url = str_dup(a, url);
    if (here.url && str_is(url, here.url))
        ret->token = here.token;
    return ret->url ? ERR_OK : arena_err(a, err);
}

static enum err_code locate(const struct cli_globals *g, bool may_make, struct arena *a,
                            struct cli_target *ret, struct err *err)
{
    char *cwd = working_folder(a, err);
    if (!cwd)
        return err->code;
    if (g->server)
        return named_server(g, cwd, a, ret, err);
    enum err_code code = find_home(g, cwd, may_make, a, ret, err);
    if (code == ERR_OK && ret->home && home_is(ret->home))
        code = find_server(ret, a, err);
    return code;
}

/* ---- one operation in this process ---- */
struct command {
    struct arena arena;
    struct settings settings;
    struct wiring *wiring;
};

static struct command command;

static enum err_code open_here(const struct cli_target *t, struct services **ret, struct err *err)
{
    arena_init(&command.arena, COMMAND_ARENA);
    const char *conf = t->home ? path_join(&command.arena, t->home, "pawl.conf") : NULL;
    struct wire_options opt = {.role = WIRE_COMMAND,
                               .home = t->home,
                               .root = t->root,
                               .settings = &command.settings,
                               .lock_wait_ms = COMMAND_WAIT_MS};
    enum err_code code = settings_read(&command.settings, conf, 0, NULL, &command.arena, err);
    if (code == ERR_OK)
        code = wire_open(&opt, &command.wiring, err);
    if (code == ERR_OK)
        *ret = wire_services(command.wiring);
    return code;
}

static void close_here(struct services *sv)
{
    wire_close(command.wiring);
    command.wiring = NULL;
    arena_fini(&command.arena);
}

/* `pawl run` of a project in which nothing changed is answered from its files' states alone. Only plain runs are: any
 * further parameter means a closer look. */
static bool unchanged_run(const struct op_route *r, const struct cli_target *t,
                          const struct json *in, struct arena *a, struct json **ret)
{
    struct fresh_order o = {.home = t->home,
                            .root = json_get_c(in, "root"),
                            .as_of_us = json_get_time(in, "as_of"),
                            .now_us = clock_now_us(&CLOCK_SYSTEM)};
    const struct json *steps = json_get(in, "steps");
    size_t n_known = (o.root ? 1U : 0U) + (steps ? 1U : 0U) + (json_get(in, "as_of") ? 1U : 0U);
    const char **names = ARENA_NEW_N(a, const char *, json_len(steps) + 1);
    if (!r->command || strcmp(r->command, "run") != 0 || json_len(in) != n_known || !t->home ||
        !names)
        return false;
    for (size_t i = 0; i < json_len(steps); i++)
        names[o.n_steps++] = json_at(steps, i)->u.s.p;
    o.steps = names;
    o.root = o.root ? o.root : t->root;
    return o.root && fresh_is_unchanged(&o, a, ret);
}

/* ---- commands that are no operations ---- */
static int fail(const struct err *err)
{
    fprintf(stderr, "pawl: %s\n", err->msg);
    return err_exit_status(err->code);
}

static void set_log(const struct settings *s)
{
    static const char *const LEVELS[LOG_LEVEL_N] = {"debug", "info", "warn", "error"};
    for (int i = 0; i < LOG_LEVEL_N; i++)
        if (s->value[SET_LOG] && strcmp(s->value[SET_LOG], LEVELS[i]) == 0)
            log_set_level((enum log_level)i);
    log_set_text(isatty(STDERR_FILENO));
}

/* Global flags out of a built-in command's arguments; the others move to the front, *n of them. */
static enum err_code take_globals(struct cli_globals *g, int *n, char **args, struct err *err)
{
    int kept = 0;
    for (int i = 0; i < *n;) {
        bool is_taken = false;
        enum err_code code = cli_take_global(g, *n, args, &i, &is_taken, err);
        if (code != ERR_OK)
            return code;
        if (!is_taken)
            args[kept++] = args[i++];
    }
    *n = kept;
    return ERR_OK;
}

static int serve_command(struct cli_globals *g, int *n, char **args, bool is_up)
{
    struct arena a;
    struct settings settings;
    struct cli_target t = {0};
    struct err err = ERR_INIT;
    int status = 0;
    arena_init(&a, COMMAND_ARENA);
    enum err_code code = take_globals(g, n, args, &err);
    if (code == ERR_OK)
        code = cli_enter(g, &err);
    char *cwd = code == ERR_OK ? working_folder(&a, &err) : NULL;
    if (code == ERR_OK)
        code = cwd ? find_home(g, cwd, true, &a, &t, &err) : err.code;
    if (code == ERR_OK && !t.home)
        code = err_set(
            &err, ERR_NOT_FOUND,
            "there is no home here or above: name one with --home, or make one with `pawl init`");
    if (code == ERR_OK)
        code = settings_read(&settings, path_join(&a, t.home, "pawl.conf"), *n, args, &a, &err);
    if (code == ERR_OK) {
        struct server_options opt = {
            .home = t.home, .root = is_up ? t.root : NULL, .settings = &settings};
        set_log(&settings);
        status = server_run(&opt);
    } else {
        status = fail(&err);
    }
    arena_fini(&a);
    return status;
}

static int run_server(struct cli_globals *g, int *n, char **args)
{
    return serve_command(g, n, args, false);
}

static int run_up(struct cli_globals *g, int *n, char **args)
{
    return serve_command(g, n, args, true);
}

static int run_worker(struct cli_globals *g, int *n, char **args)
{
    struct err err = ERR_INIT;
    int64_t fd = -1;
    if (*n != 2 || strcmp(args[0], "--fd") != 0 || parse_i64(str_c(args[1]), &fd, &err) != ERR_OK) {
        err_set(&err, ERR_USAGE,
                "pawl worker is started by the program itself: pawl worker --fd N");
        return fail(&err);
    }
    return worker_ops_main((int)fd);
}

/* Takes the flag out of the arguments; true when it was there. */
static bool take_flag(int *n, char **args, const char *flag)
{
    int kept = 0;
    for (int i = 0; i < *n; i++)
        if (strcmp(args[i], flag) != 0)
            args[kept++] = args[i];
    bool is_there = kept != *n;
    *n = kept;
    return is_there;
}

static void print_home(const char *path, bool is_replay, struct arena *a)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    struct json *doc = json_set(a, json_obj(a), "home", json_cstr(a, path));
    json_set(a, doc, "is_replay", json_bool(a, is_replay));
    if (op_answer(ERR_OK, doc, NULL, &text, NULL) == ERR_OK)
        fwrite(text.p, 1, text.n, stdout);
    buf_fini(&text);
}

/* Makes the home; with a FILE the operation of the same name then proposes pawl.yaml. */
static int run_init(struct cli_globals *g, int *n, char **args)
{
    struct arena a;
    struct err err = ERR_INIT;
    bool is_replay = take_flag(n, args, "--replay"), has_more = false;
    arena_init(&a, COMMAND_ARENA);
    enum err_code code = take_globals(g, n, args, &err);
    has_more = *n > 0;
    if (code == ERR_OK)
        code = cli_enter(g, &err);
    char *cwd = code == ERR_OK ? working_folder(&a, &err) : NULL;
    const char *path = cwd ? absolute_of(g->home ? g->home : HOME_FOLDER, cwd, &a) : NULL;
    if (code == ERR_OK)
        code = path ? home_make(path, is_replay, &err) : arena_err(&a, &err);
    if (code == ERR_OK && !has_more) {
        if (g->is_json)
            print_home(path, is_replay, &a);
        else if (!g->is_quiet)
            printf("home %s%s\n", path, is_replay ? " (event clocks follow replayed events)" : "");
    }
    arena_fini(&a);
    return code != ERR_OK ? fail(&err) : has_more ? CLI_GO_ON : 0;
}

/* Brings the metadata store to this program's version, after a backup. */
static int run_migrate(struct cli_globals *g, int *n, char **args)
{
    struct cli_target t = {0};
    struct arena a;
    struct settings settings;
    struct err err = ERR_INIT;
    struct wiring *w = NULL;
    arena_init(&a, COMMAND_ARENA);
    enum err_code code = take_globals(g, n, args, &err);
    if (code == ERR_OK && *n > 0)
        code = err_set(&err, ERR_USAGE, "`pawl migrate` takes no \"%s\"", args[0]);
    if (code == ERR_OK)
        code = locate(g, false, &a, &t, &err);
    if (code == ERR_OK && (!t.home || t.url))
        code = t.url ? err_set(&err, ERR_BUSY, "%s runs on this home and has migrated it", t.url)
                     : err_set(&err, ERR_NOT_FOUND, "there is no home here or above");
    if (code == ERR_OK)
        code = settings_read(&settings, path_join(&a, t.home, "pawl.conf"), 0, NULL, &a, &err);
    if (code == ERR_OK) {
        struct wire_options opt = {.role = WIRE_COMMAND,
                                   .home = t.home,
                                   .settings = &settings,
                                   .may_migrate = true,
                                   .lock_wait_ms = COMMAND_WAIT_MS};
        code = wire_open(&opt, &w, &err);
    }
    if (code == ERR_OK && !g->is_quiet)
        printf("the metadata of %s have the version of this program\n", t.home);
    wire_close(w);
    arena_fini(&a);
    return code == ERR_OK ? 0 : fail(&err);
}

/* Plays rows of a file as live traffic against the server of this home. */
static int run_replay(struct cli_globals *g, int *n, char **args)
{
    struct arena a;
    struct cli_target t = {0};
    struct err err = ERR_INIT;
    arena_init(&a, COMMAND_ARENA);
    enum err_code code = take_globals(g, n, args, &err);
    if (code == ERR_OK)
        code = cli_enter(g, &err);
    if (code == ERR_OK)
        code = locate(g, false, &a, &t, &err);
    if (code == ERR_OK && !t.url)
        code = err_set(&err, ERR_UNAVAILABLE,
                       "no server runs on this home: start one with `pawl up` or `pawl server`");
    int status = code == ERR_OK ? cli_replay(g, &t, *n, args) : fail(&err);
    arena_fini(&a);
    return status;
}

static const struct cli_builtin BUILTINS[] = {
    {.words = "init",
     .usage = "pawl init [FILE] [--replay] [--home DIR] …",
     .summary = "Makes a home here; with a table, looks at it and proposes pawl.yaml.",
     .help = "--replay: the event clocks of its endpoints follow replayed events (pawl replay).\n",
     .run = run_init},
    {.words = "migrate",
     .usage = "pawl migrate",
     .summary = "Brings the metadata store to this program's version, after a backup.",
     .run = run_migrate},
    {.words = "server",
     .usage = "pawl server [--home DIR] [FLAGS]",
     .summary = "Serves a home: HTTP API, predictions, scheduler of the projects pushed to it.",
     .help =
         "Prints \"ready http://…\" when it answers. Flags win over PAWL_… variables, these over\n"
         "HOME/pawl.conf:\n",
     .details = settings_help,
     .run = run_server},
    {.words = "up",
     .usage = "pawl up [FLAGS]",
     .summary = "Serves the home of this folder and schedules its project.",
     .help = "Takes the flags of `pawl server`.\n",
     .run = run_up},
    {.words = "replay",
     .usage = "pawl replay FILE… --endpoint E --time COLUMN [--speed N|max] [--label EXPR] "
              "[--label-after D] [--known-at EXPR] [--until TIME]",
     .summary = "Plays the rows of files as live traffic, in the order of their time.",
     .run = run_replay},
    {.words = "worker", .usage = "pawl worker --fd N", .run = run_worker},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < N_LOOP_SECTION_CHECKS; i++)
        pipeline_check_add(&LOOP_SECTION_CHECKS[i]);
    const struct cli_host host = {.version = PAWL_VERSION,
                                  .builtins = BUILTINS,
                                  .n_builtins = ARRAY_LEN(BUILTINS),
                                  .locate = locate,
                                  .open = open_here,
                                  .shortcut = unchanged_run,
                                  .close = close_here};
    return cli_main(&host, argc, argv);
}
