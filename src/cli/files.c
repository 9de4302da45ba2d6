#include "cli/cli_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

#define STDIN_BYTES_MAX ((size_t)1 << 30)

enum err_code cli_read_stdin(struct arena *a, struct str *ret, struct err *err)
{
    enum err_code code = file_read("/dev/stdin", STDIN_BYTES_MAX, a, ret, err);
    return code == ERR_OK ? code : err_wrap(err, "read standard input");
}

static void drop_file(void *path)
{
    unlink(path);
}

/* Standard input as a file that lives as long as the command. */
static enum err_code spool_stdin(struct cli_request *q, const char **ret, struct err *err)
{
    struct str text;
    const char *dir = getenv("TMPDIR");
    enum err_code code = cli_read_stdin(q->arena, &text, err);
    if (code != ERR_OK)
        return code;
    char *path = str_printf(q->arena, "%s/pawl-stdin-XXXXXX", dir ? dir : "/tmp");
    if (!path)
        return arena_err(q->arena, err);
    int fd = mkstemp(path);
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot make %s", path);
    code = fd_write_all(fd, text.p, text.n, err);
    fd_close(&fd);
    if (!arena_on_release(q->arena, drop_file, path))
        drop_file(path);
    *ret = path;
    return code;
}

/* Absolute for this machine's processes; the name stays when no such file is here: it may mean something else, unless the
 * file is still to be written. */
static enum err_code absolute(struct cli_request *q, const char *given, bool is_output,
                              const char **ret, struct err *err)
{
    char *path = realpath(given, NULL), *cwd = NULL;
    *ret = given;
    if (path)
        *ret = str_dup(q->arena, str_c(path));
    else if (is_output && given[0] != '/' && (cwd = realpath(".", NULL)) != NULL)
        *ret = path_join(q->arena, cwd, given);
    free(path);
    free(cwd);
    return *ret ? ERR_OK : arena_err(q->arena, err);
}

static enum err_code place_file(struct cli_request *q, const struct op_param *p, const char *given,
                                struct err *err)
{
    const char *path = given;
    enum err_code code = strcmp(given, "-") == 0
                             ? spool_stdin(q, &path, err)
                             : absolute(q, given, strcmp(p->name, "out") == 0, &path, err);
    if (code == ERR_OK && q->globals.server && path[0] == '/' && file_exists(path) &&
        !dir_exists(path)) {
        char *name = NULL;
        code = cli_upload(q, path, &name, err);
        path = name;
    }
    if (code == ERR_OK)
        json_set(q->arena, q->in, p->name, json_cstr(q->arena, path));
    return code;
}

/* A JSON parameter is written out ('{', '[', a number, …), or names a file, or is "-". */
static enum err_code place_json(struct cli_request *q, const struct op_param *p, const char *given,
                                struct err *err)
{
    struct str text = str_c(given);
    struct json *v = NULL;
    enum err_code code = ERR_OK;
    bool is_inline = given[0] == '{' || given[0] == '[' || given[0] == '"';
    if (strcmp(given, "-") == 0)
        code = cli_read_stdin(q->arena, &text, err);
    else if (!is_inline && file_exists(given))
        code = file_read(given, STDIN_BYTES_MAX, q->arena, &text, err);
    if (code == ERR_OK)
        code = json_read(text, q->arena, &v, err);
    if (code != ERR_OK)
        return err_wrap(err, "--%s %s", p->name, given);
    json_set(q->arena, q->in, p->name, v);
    return ERR_OK;
}

enum err_code cli_place_files(struct cli_request *q, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < q->route->n_params && code == ERR_OK; i++) {
        const struct op_param *p = &q->route->params[i];
        const char *given = json_get_c(q->in, p->name);
        if (!given && strcmp(p->name, "root") == 0 && p->type == OP_P_FILE && q->target.root &&
            !q->globals.server)
            json_set(q->arena, q->in, p->name, json_cstr(q->arena, q->target.root));
        else if (given && p->type == OP_P_FILE)
            code = place_file(q, p, given, err);
        else if (given && p->type == OP_P_JSON)
            code = place_json(q, p, given, err);
    }
    return code;
}
