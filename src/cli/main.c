#include "cli/cli_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "access/access.h"
#include "base/check.h"
#include "cli/view.h"

struct progress {
    bool is_shown;
    bool is_on; /* a line stands on the terminal */
};

static void show_progress(void *arg, double done, const char *text)
{
    struct progress *p = arg;
    if (!p->is_shown)
        return;
    p->is_on = true;
    if (done >= 0)
        fprintf(stderr, "\r\033[K%3.0f %% %s", done * 100, text ? text : "");
    else
        fprintf(stderr, "\r\033[K%s", text ? text : "");
    fflush(stderr);
}

static void clear_progress(struct progress *p)
{
    if (p->is_on)
        fprintf(stderr, "\r\033[K");
    p->is_on = false;
}

static size_t terminal_width(void)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col;
    return 100;
}

/* The operation in this process. The answer is written out and so has the same bytes as by HTTP. */
static enum err_code call_here(struct cli_request *q, struct cli_reply *ret, struct err *err)
{
    struct services *sv = NULL;
    struct err failure = ERR_INIT;
    struct buf bytes;
    char actor[ACCESS_ACTOR_BYTES];
    struct progress progress = {.is_shown = !q->globals.is_quiet && isatty(STDERR_FILENO)};
    enum err_code code = ERR_OK;
    if (!q->host->shortcut ||
        !q->host->shortcut(q->route, &q->target, q->in, q->arena, &ret->doc)) {
        code = q->host->open(&q->target, &sv, err);
        if (code != ERR_OK)
            return code;
        access_local_actor(actor);
        struct op_call call = {.sv = sv,
                               .arena = q->arena,
                               .actor = actor,
                               .is_trusted = true,
                               .on_progress = show_progress,
                               .progress_arg = &progress};
        ret->code = op_run(q->route, &call, q->in, &ret->doc, &failure);
        clear_progress(&progress);
    }
    buf_init(&bytes, CLI_ANSWER_BYTES);
    code = op_answer(ret->code, ret->doc, &failure, &bytes, err);
    char *copy = code == ERR_OK ? str_dup(q->arena, buf_view(&bytes)) : NULL;
    if (code == ERR_OK && !copy)
        code = arena_err(q->arena, err);
    ret->bytes = str_n(copy, copy ? bytes.n : 0);
    if (ret->code != ERR_OK && !(ret->code == ERR_NO && ret->doc))
        ret->sentence =
            str_dup(q->arena, str_c(failure.msg[0] ? failure.msg : err_text(ret->code)));
    buf_fini(&bytes);
    q->host->close(sv);
    return code;
}

static void show(const struct cli_request *q, const struct cli_reply *reply)
{
    struct buf out;
    struct cli_page page = {&out, terminal_width()};
    if (q->globals.is_json) {
        fwrite(reply->bytes.p, 1, reply->bytes.n, stdout);
        return;
    }
    if (reply->sentence)
        fprintf(stderr, "pawl: %s\n", reply->sentence);
    if (!reply->doc || q->globals.is_quiet)
        return;
    buf_init(&out, CLI_ANSWER_BYTES);
    cli_view_show(&page, q->route, reply->doc);
    fwrite(buf_view(&out).p, 1, out.n, stdout);
    buf_fini(&out);
}

static int report(const struct cli_globals *g, enum err_code code, const struct err *err)
{
    struct buf bytes;
    if (g->is_json) {
        buf_init(&bytes, 1 << 16);
        if (op_answer(code, NULL, err, &bytes, NULL) == ERR_OK)
            fwrite(bytes.p, 1, bytes.n, stdout);
        buf_fini(&bytes);
    } else {
        fprintf(stderr, "pawl: %s\n", err->msg);
    }
    return err_exit_status(code);
}

enum err_code cli_enter(struct cli_globals *g, struct err *err)
{
    if (g->dir && chdir(g->dir) != 0)
        return err_errno(err, errno, "-C %s", g->dir);
    g->dir = NULL;
    return ERR_OK;
}

static int run_route(struct cli_request *q, int n, char **args)
{
    struct err err = ERR_INIT;
    struct cli_reply reply = {0};
    bool has_json_param = op_param_find(q->route, STR("json")) != NULL;
    enum err_code code = cli_parse(q, n, args, &err);
    if (code == ERR_OK && q->globals.is_help)
        return cli_help(q->host, 1, (char *[]){(char *)q->route->command});
    if (code == ERR_OK)
        code = cli_enter(&q->globals, &err);
    if (code == ERR_OK)
        code = q->host->locate(&q->globals, q->route->home == OP_HOME_NEEDED, q->arena, &q->target,
                               &err);
    if (code == ERR_OK)
        code = cli_place_files(q, &err);
    if (code == ERR_OK)
        code = q->target.url ? cli_call_remote(q, &reply, &err) : call_here(q, &reply, &err);
    q->globals.is_json = q->globals.is_json || has_json_param;
    if (code != ERR_OK)
        return report(&q->globals, code, &err);
    show(q, &reply);
    return err_exit_status(reply.code);
}

/* The words in front: globals are taken off, the first other flag ends them. */
static enum err_code take_words(struct cli_globals *g, int argc, char **argv, char **words,
                                int *ret_n, int *ret_next, struct err *err)
{
    int i = 1, n = 0;
    while (i < argc && n < CLI_WORDS_MAX) {
        bool is_taken = false;
        if (argv[i][0] == '-') {
            enum err_code code =
                n == 0 ? cli_take_global(g, argc, argv, &i, &is_taken, err) : ERR_OK;
            if (code != ERR_OK)
                return code;
            if (!is_taken)
                break;
            continue;
        }
        words[n++] = argv[i++];
    }
    *ret_n = n;
    *ret_next = i;
    return ERR_OK;
}

static bool has_help_flag(int n, char **args)
{
    bool is_there = false;
    for (int i = 0; i < n; i++)
        is_there = is_there || strcmp(args[i], "--help") == 0 || strcmp(args[i], "-h") == 0;
    return is_there;
}

static int run_words(const struct cli_host *host, struct cli_globals *g, int n_words, char **words,
                     int n_rest, char **rest)
{
    struct arena arena;
    struct err err = ERR_INIT;
    int n_route = 0, n_builtin = 0, status;
    const struct op_route *r = cli_route_of(n_words, words, &n_route);
    const struct cli_builtin *b = cli_builtin_of(host, n_words, words, &n_builtin);
    char **args = rest;
    int used = b && n_builtin >= n_route ? n_builtin : n_route;
    if (!b && !r) {
        enum err_code code = cli_unknown(host, n_words, words, &err);
        return report(g, code, &err);
    }
    /* The words that the command does not take stand directly in front of the rest. */
    int n_args = n_rest + n_words - used;
    args = rest - (n_words - used);
    if (b && n_builtin >= n_route) {
        if (has_help_flag(n_args, args))
            return cli_help(host, n_builtin, words);
        status = b->run(g, &n_args, args);
        if (status != CLI_GO_ON)
            return status;
        if (!r || n_route != n_builtin)
            return report(
                g, err_set(&err, ERR_UNSUPPORTED, "`pawl %s` is not in this build", b->words),
                &err);
    }
    arena_init(&arena, CLI_ARENA_BYTES);
    struct cli_request q = {
        .host = host, .arena = &arena, .globals = *g, .route = r, .in = json_obj(&arena)};
    status = run_route(&q, n_args, args);
    arena_fini(&arena);
    return status;
}

int cli_main(const struct cli_host *host, int argc, char **argv)
{
    struct cli_globals g = {.server = getenv("PAWL_SERVER"), .home = getenv("PAWL_HOME")};
    struct err err = ERR_INIT;
    char *words[CLI_WORDS_MAX];
    int n = 0, next = 1;
    g.server = g.server && g.server[0] ? g.server : NULL;
    g.home = g.home && g.home[0] ? g.home : NULL;
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0)) {
        printf("pawl %s\n", host->version);
        return 0;
    }
    enum err_code code = take_words(&g, argc, argv, words, &n, &next, &err);
    if (code != ERR_OK)
        return report(&g, code, &err);
    if (n > 0 && strcmp(words[0], "completion") == 0)
        return cli_completion(host, argc - next + n - 1, argv + next - (n - 1));
    if (n > 0 && strcmp(words[0], "help") == 0)
        return cli_help(host, n - 1, words + 1);
    if (n == 0 && next < argc) {
        err_set(&err, ERR_USAGE, "there is no flag %s here: see `pawl help`", argv[next]);
        return report(&g, ERR_USAGE, &err);
    }
    if (n == 0)
        return cli_help(host, 0, NULL);
    return run_words(host, &g, n, words, argc - next, argv + next);
}
