/* Between the files of the command line. */
#ifndef PAWL_CLI_INT_H
#define PAWL_CLI_INT_H

#include "cli/cli.h"

#define CLI_ARENA_BYTES  ((size_t)1 << 30)
#define CLI_WORDS_MAX    4 /* of a command */
#define CLI_ANSWER_BYTES ((size_t)1 << 30)

/* One command on its way: parsed, placed, run. */
struct cli_request {
    const struct cli_host *host;
    struct arena *arena;
    struct cli_globals globals;
    const struct op_route *route;
    struct json *in;
    struct cli_target target;
};

/* What came back: the exact bytes, and what they mean. */
struct cli_reply {
    enum err_code code;
    struct str bytes;
    struct json *doc;     /* the document, or NULL for an error */
    const char *sentence; /* of an error; NULL otherwise */
};

/* args.c */
/* The row whose command is the longest prefix of the words; how many it takes. NULL: none. */
const struct op_route *cli_route_of(int n, char **words, int *ret_n);
const struct cli_builtin *cli_builtin_of(const struct cli_host *h, int n, char **words, int *ret_n);
enum err_code cli_parse(struct cli_request *q, int n, char **args, struct err *err) MUST_CHECK;

/* files.c: makes values of file and json parameters what the operation can use: absolute, uploaded, or read. */
enum err_code cli_place_files(struct cli_request *q, struct err *err) MUST_CHECK;
enum err_code cli_read_stdin(struct arena *a, struct str *ret, struct err *err) MUST_CHECK;

/* remote.c */
enum err_code cli_call_remote(struct cli_request *q, struct cli_reply *ret,
                              struct err *err) MUST_CHECK;
/* PUTs a file for a later operation; *ret is what names it. */
enum err_code cli_upload(struct cli_request *q, const char *path, char **ret,
                         struct err *err) MUST_CHECK;

/* help.c */
void cli_usage_of(const struct op_route *r, struct buf *out);
int cli_help(const struct cli_host *h, int n, char **topic);
enum err_code cli_unknown(const struct cli_host *h, int n, char **words, struct err *err);
int cli_completion(const struct cli_host *h, int n, char **args);

#endif
