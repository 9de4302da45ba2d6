#include "cli/cli_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/vec.h"

static const char GLOBALS[] =
    "\nGlobal flags: --json (the API's bytes), --home DIR, --server URL, -C DIR, "
    "--quiet, --help\n";

static const char EXITS[] =
    "Exit status: 0 done, 1 the answer is no, 2 bad usage or configuration, 3 not "
    "found, 4 refused, 5 system\n";

static void put_upper(struct buf *out, const char *name)
{
    for (const char *p = name; *p; p++)
        buf_ch(out, (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p));
}

static void put_flag(struct buf *out, const struct op_param *p)
{
    buf_c(out, "--");
    for (const char *c = p->name; *c; c++)
        buf_ch(out, *c == '_' ? '-' : *c);
}

void cli_usage_of(const struct op_route *r, struct buf *out)
{
    buf_printf(out, "pawl %s", r->command);
    for (size_t i = 0; i < r->n_params; i++) {
        const struct op_param *p = &r->params[i];
        buf_c(out, p->is_required ? " " : " [");
        if (p->is_positional) {
            put_upper(out, p->name);
        } else {
            put_flag(out, p);
            if (p->type != OP_P_BOOL)
                buf_ch(out, ' ');
            if (p->type != OP_P_BOOL)
                put_upper(out, p->type == OP_P_STR ? p->name : op_param_type_name(p->type));
        }
        buf_c(out, p->type == OP_P_LIST ? "…" : "");
        buf_c(out, p->is_required ? "" : "]");
    }
}

static void help_route(const struct op_route *r, struct buf *out)
{
    buf_printf(out, "%s\n\n  ", r->summary);
    cli_usage_of(r, out);
    buf_ch(out, '\n');
    if (r->n_params)
        buf_ch(out, '\n');
    for (size_t i = 0; i < r->n_params; i++) {
        struct buf name;
        const struct op_param *p = &r->params[i];
        buf_init(&name, 200);
        if (p->is_positional)
            put_upper(&name, p->name);
        else
            put_flag(&name, p);
        buf_printf(out, "  %-20.*s %s", STR_ARG(buf_view(&name)), p->help);
        buf_printf(out, p->def ? " (default %s)\n" : "\n", p->def);
        buf_fini(&name);
    }
    for (size_t i = 0; r->examples && r->examples[i]; i++)
        buf_printf(out, "%s  %s\n", i == 0 ? "\nExamples:\n" : "", r->examples[i]);
    buf_c(out, GLOBALS);
}

/* All commands, in order of their words: those of the table and those of the program itself. */
struct line {
    const char *words, *summary;
};

static int by_words(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->words, ((const struct line *)b)->words);
}

/* A built-in command that goes on to an operation speaks for both. */
static bool is_builtin(const struct cli_host *h, const char *words)
{
    for (size_t i = 0; i < h->n_builtins; i++)
        if (strcmp(h->builtins[i].words, words) == 0)
            return true;
    return false;
}

static size_t all_lines(const struct cli_host *h, struct line **ret)
{
    size_t n = 0;
    struct line *lines = calloc(N_OP_ROUTES + h->n_builtins + 1, sizeof *lines);
    CHECK(lines != NULL);
    for (size_t i = 0; i < N_OP_ROUTES; i++)
        if (OP_ROUTES[i].command && !is_builtin(h, OP_ROUTES[i].command))
            lines[n++] = (struct line){OP_ROUTES[i].command, OP_ROUTES[i].summary};
    for (size_t i = 0; i < h->n_builtins; i++)
        if (h->builtins[i].summary)
            lines[n++] = (struct line){h->builtins[i].words, h->builtins[i].summary};
    qsort(lines, n, sizeof *lines, by_words);
    *ret = lines;
    return n;
}

static int first_sentence(const char *text)
{
    const char *end = strstr(text, ". ");
    return end ? (int)(end - text) + 1 : (int)strlen(text);
}

static size_t show_lines(const struct cli_host *h, struct str prefix, struct buf *out)
{
    struct line *lines = NULL;
    size_t n = all_lines(h, &lines), n_shown = 0;
    for (size_t i = 0; i < n; i++) {
        struct str words = str_c(lines[i].words);
        bool is_below = words.n == prefix.n || prefix.n == 0 ||
                        (words.n > prefix.n && words.p[prefix.n] == ' ');
        if (!str_starts(words, prefix) || !is_below)
            continue;
        buf_printf(out, "  pawl %-24s %.*s\n", lines[i].words, first_sentence(lines[i].summary),
                   lines[i].summary);
        n_shown++;
    }
    free(lines);
    return n_shown;
}

static void help_all(const struct cli_host *h, struct buf *out)
{
    buf_printf(
        out,
        "Pawl %s: the whole loop of a machine-learning model, from data to release to monitor and "
        "back.\n\n  pawl init FILE      look at a table, propose pawl.yaml, make the home\n"
        "  pawl run            validate, train, evaluate, register\n"
        "  pawl up             serve and schedule this project\n"
        "  pawl status         the loop, box by box\n\nCommands (pawl help COMMAND):\n\n",
        h->version);
    show_lines(h, STR(""), out);
    buf_c(out, GLOBALS);
    buf_c(out, EXITS);
}

static char *joined(struct arena *a, int n, char **words)
{
    struct buf text;
    buf_init(&text, 4096);
    for (int i = 0; i < n; i++)
        buf_printf(&text, "%s%s", i ? " " : "", words[i]);
    char *copy = str_dup(a, buf_view(&text));
    buf_fini(&text);
    return copy;
}

enum err_code cli_unknown(const struct cli_host *h, int n, char **words, struct err *err)
{
    struct arena arena;
    struct line *lines = NULL;
    size_t n_lines = all_lines(h, &lines);
    const char **names = calloc(n_lines + 1, sizeof *names);
    CHECK(names != NULL);
    for (size_t i = 0; i < n_lines; i++)
        names[i] = lines[i].words;
    arena_init(&arena, 1 << 16);
    const char *given = joined(&arena, n > 2 ? 2 : n, words);
    const char *near = given ? str_nearest(str_c(given), names, n_lines) : NULL;
    if (!near && n > 0)
        near = str_nearest(str_c(words[0]), names, n_lines);
    if (near)
        err_set(err, ERR_USAGE, "there is no command `pawl %s`: did you mean `pawl %s`?",
                given ? given : "", near);
    else
        err_set(err, ERR_USAGE, "there is no command `pawl %s`: see `pawl help`",
                given ? given : "");
    arena_fini(&arena);
    free(names);
    free(lines);
    return ERR_USAGE;
}

int cli_help(const struct cli_host *h, int n, char **topic)
{
    struct buf out;
    struct arena arena;
    struct err err = ERR_INIT;
    int n_used = 0, n_builtin = 0, status = 0;
    const struct op_route *r = cli_route_of(n, topic, &n_used);
    const struct cli_builtin *b = cli_builtin_of(h, n, topic, &n_builtin);
    buf_init(&out, 1 << 20);
    arena_init(&arena, 1 << 16);
    const char *prefix = joined(&arena, n, topic);
    if (n == 0) {
        help_all(h, &out);
    } else if (b && n_builtin == n) {
        buf_printf(&out, "%s\n\n  %s\n%s%s", b->summary, b->usage, b->help ? "\n" : "",
                   b->help ? b->help : "");
        if (b->details) {
            buf_ch(&out, '\n');
            b->details(&out);
        }
        if (r && n_used == n) {
            buf_ch(&out, '\n');
            help_route(r, &out);
        }
    } else if (r && n_used == n) {
        help_route(r, &out);
    } else if (show_lines(h, str_c(prefix), &out) == 0) {
        cli_unknown(h, n, topic, &err);
        fprintf(stderr, "pawl: %s\n", err.msg);
        status = err_exit_status(ERR_USAGE);
    }
    fwrite(buf_view(&out).p, 1, out.n, stdout);
    arena_fini(&arena);
    buf_fini(&out);
    return status;
}

/* ---- completion ---- */
static void put_case(const struct op_route *r, struct buf *out)
{
    buf_printf(out, "    \"%s\") flags=\"", r->command);
    for (size_t i = 0; i < r->n_params; i++)
        if (!r->params[i].is_positional) {
            put_flag(out, &r->params[i]);
            buf_ch(out, ' ');
        }
    buf_c(out, "\";;\n");
}

int cli_completion(const struct cli_host *h, int n, char **args)
{
    struct buf out;
    struct line *lines = NULL;
    if (n != 1 || strcmp(args[0], "bash") != 0) {
        fprintf(stderr, "pawl: completion is written for bash: eval \"$(pawl completion bash)\"\n");
        return err_exit_status(ERR_USAGE);
    }
    size_t n_lines = all_lines(h, &lines);
    buf_init(&out, 1 << 20);
    buf_c(&out, "_pawl() {\n  local words=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\" "
                "word=\"${COMP_WORDS[COMP_CWORD]}\" flags= next=\n  local commands=\"");
    for (size_t i = 0; i < n_lines; i++)
        buf_printf(&out, "%s\n", lines[i].words);
    buf_c(&out, "\"\n  case \"$words\" in\n");
    for (size_t i = 0; i < N_OP_ROUTES; i++)
        if (OP_ROUTES[i].command)
            put_case(&OP_ROUTES[i], &out);
    buf_c(
        &out,
        "  esac\n"
        "  next=$(printf '%s' \"$commands\" | awk -v w=\"${words:+$words }\" "
        "'index($0, w) == 1 { split(substr($0, length(w) + 1), a, \" \"); print a[1] }' | sort "
        "-u)\n"
        "  COMPREPLY=($(compgen -W \"$next $flags --json --home --server --help\" -- \"$word\"))\n"
        "  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$word\"))\n"
        "}\ncomplete -F _pawl pawl\n");
    fwrite(buf_view(&out).p, 1, out.n, stdout);
    buf_fini(&out);
    free(lines);
    return 0;
}
