/* The command line: one generic client of the route table (api/op.h).
 *
 *     pawl [global flags] WORDS… [POSITIONALS] [--flag VALUE] [global flags]
 *
 * The words pick a row of OP_ROUTES; its parameters are read from positionals and flags; the operation is then
 * called by HTTP when a server runs on the home (or --server / PAWL_SERVER names one), otherwise in this process through
 * the host. With --json the bytes of the answer are printed as they are, and these are the same both ways; else a view of
 * them: a renderer of its own (cli/view.h) or a table of the members.
 * Exit status: spec/errors.txt. Progress goes to stderr when it is a terminal. */
#ifndef PAWL_CLI_CLI_H
#define PAWL_CLI_CLI_H

#include "api/op.h"

/* What stands before, between or behind a command's own flags. Paths are as given. */
struct cli_globals {
    const char *home, *server, *dir;
    bool is_json, is_quiet, is_help;
};

/* Where an operation is to be run. */
struct cli_target {
    const char *home; /* absolute path; NULL: none found */
    const char
        *root; /* the folder that holds pawl.yaml, at or above the working folder; NULL: none */
    const char *url;   /* of a live server; NULL: run it here */
    const char *token; /* for that server; NULL: none is known */
};

/* A command that is no operation: server, worker, help's own. `args` are what the globals left, without the words. */
struct cli_builtin {
    const char *words; /* "server" */
    const char *usage; /* "pawl server [--port N] …" */
    const char *summary;
    const char *help;                 /* more lines; may be NULL */
    void (*details)(struct buf *out); /* still more, from a table; may be NULL */
    /* The exit status, or CLI_GO_ON: the operation of the same words is to be run with the arguments left. */
    int (*run)(struct cli_globals *g, int *n_args, char **args);
};
#define CLI_GO_ON (-1)

/* What app/ provides. */
struct cli_host {
    const char *version;
    const struct cli_builtin *builtins;
    size_t n_builtins;
    /* Finds home, project and server. A home is made beside pawl.yaml when `may_make` and there is none. */
    enum err_code (*locate)(const struct cli_globals *g, bool may_make, struct arena *a,
                            struct cli_target *ret, struct err *err);
    /* Services of this process for one operation, and their end. home NULL: those that need none. */
    enum err_code (*open)(const struct cli_target *t, struct services **ret, struct err *err);
    void (*close)(struct services *sv);
    /* True when the answer is known without opening anything (an unchanged run). */
    bool (*shortcut)(const struct op_route *r, const struct cli_target *t, const struct json *in,
                     struct arena *a, struct json **ret);
};

/* Goes to the folder of -C. */
enum err_code cli_enter(struct cli_globals *g, struct err *err) MUST_CHECK;
/* Takes the global flag at args[*i], if it is one, and moves *i behind it. */
enum err_code cli_take_global(struct cli_globals *g, int n, char **args, int *i, bool *ret_taken,
                              struct err *err) MUST_CHECK;
/* The whole program's main; the exit status. */
int cli_main(const struct cli_host *host, int argc, char **argv);

#endif
