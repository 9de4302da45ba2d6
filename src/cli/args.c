/* From argv to the operation's `in`. The words are matched first, so that a flag can mean what its command says:
 * `pawl predict E --json FILE` has a parameter of that name, elsewhere --json asks for the bytes. */
#include "cli/cli_int.h"

#include <stdio.h>

#include "base/check.h"

static bool is_flag(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0';
}

/* "--name=value" or "--name value"; NULL when args[*i] is another flag. */
static enum err_code take_text(const char *name, int n, char **args, int *i, const char **ret,
                               struct err *err)
{
    size_t len = strlen(name);
    if (strncmp(args[*i], name, len) != 0 || (args[*i][len] != '\0' && args[*i][len] != '='))
        return ERR_OK;
    if (args[*i][len] == '=') {
        *ret = args[*i] + len + 1;
        *i += 1;
        return ERR_OK;
    }
    if (*i + 1 >= n)
        return err_set(err, ERR_USAGE, "%s needs a value", name);
    *ret = args[*i + 1];
    *i += 2;
    return ERR_OK;
}

enum err_code cli_take_global(struct cli_globals *g, int n, char **args, int *i, bool *ret_taken,
                              struct err *err)
{
    const struct {
        const char *name;
        const char **value;
    } TEXTS[] = {{"--home", &g->home}, {"--server", &g->server}, {"-C", &g->dir}};
    const struct {
        const char *name;
        bool *value;
    } FLAGS[] = {{"--json", &g->is_json},
                 {"--quiet", &g->is_quiet},
                 {"-q", &g->is_quiet},
                 {"--help", &g->is_help},
                 {"-h", &g->is_help}};
    int start = *i;
    for (size_t k = 0; k < ARRAY_LEN(FLAGS); k++)
        if (strcmp(args[start], FLAGS[k].name) == 0) {
            *FLAGS[k].value = true;
            *i += 1;
        }
    for (size_t k = 0; k < ARRAY_LEN(TEXTS) && *i == start; k++) {
        enum err_code code = take_text(TEXTS[k].name, n, args, i, TEXTS[k].value, err);
        if (code != ERR_OK)
            return code;
    }
    *ret_taken = *i != start;
    return ERR_OK;
}

/* How many of the n words the command takes, 0 when it is not their prefix. */
static int words_match(const char *command, int n, char **words)
{
    struct str rest = str_c(command);
    int used = 0;
    while (rest.p) {
        struct str word = str_split(&rest, ' ');
        if (used >= n || !str_is(word, words[used]))
            return 0;
        used++;
    }
    return used;
}

const struct op_route *cli_route_of(int n, char **words, int *ret_n)
{
    const struct op_route *best = NULL;
    *ret_n = 0;
    for (size_t i = 0; i < N_OP_ROUTES; i++) {
        int used = OP_ROUTES[i].command ? words_match(OP_ROUTES[i].command, n, words) : 0;
        if (used > *ret_n) {
            *ret_n = used;
            best = &OP_ROUTES[i];
        }
    }
    return best;
}

const struct cli_builtin *cli_builtin_of(const struct cli_host *h, int n, char **words, int *ret_n)
{
    const struct cli_builtin *best = NULL;
    *ret_n = 0;
    for (size_t i = 0; i < h->n_builtins; i++) {
        int used = words_match(h->builtins[i].words, n, words);
        if (used > *ret_n) {
            *ret_n = used;
            best = &h->builtins[i];
        }
    }
    return best;
}

/* The parameter of "--some-name", "--some_name=…", "--no-some-name"; NULL when the route has none. */
static const struct op_param *param_of_flag(const struct op_route *r, const char *arg,
                                            bool *ret_is_no, const char **ret_value)
{
    char name[64];
    size_t n = 0;
    const char *p = arg + 2;
    if (strncmp(arg, "--", 2) != 0)
        return NULL;
    for (; *p && *p != '=' && n < sizeof name - 1; p++)
        name[n++] = *p == '-' ? '_' : *p;
    name[n] = '\0';
    *ret_value = *p == '=' ? p + 1 : NULL;
    *ret_is_no = false;
    const struct op_param *found = op_param_find(r, str_n(name, n));
    if (!found && strncmp(name, "no_", 3) == 0) {
        found = op_param_find(r, str_c(name + 3));
        *ret_is_no = found && found->type == OP_P_BOOL;
        found = *ret_is_no ? found : NULL;
    }
    return found;
}

static void put(struct cli_request *q, const struct op_param *p, const char *value)
{
    struct arena *a = q->arena;
    if (p->type != OP_P_LIST) {
        json_set(a, q->in, p->name, json_cstr(a, value));
        return;
    }
    struct json *list = (struct json *)json_get(q->in, p->name);
    if (!list) {
        list = json_arr(a);
        json_set(a, q->in, p->name, list);
    }
    for (struct str rest = str_c(value); rest.p;) {
        struct str part = str_trim(str_split(&rest, ','));
        if (part.n)
            json_add(a, list, json_str(a, part));
    }
}

static bool is_given(const struct cli_request *q, const struct op_param *p)
{
    return json_get(q->in, p->name) != NULL;
}

/* The next positional that is not filled; a list is never full. */
static const struct op_param *next_positional(const struct cli_request *q)
{
    for (size_t i = 0; i < q->route->n_params; i++) {
        const struct op_param *p = &q->route->params[i];
        if (p->is_positional && (p->type == OP_P_LIST || !is_given(q, p)))
            return p;
    }
    return NULL;
}

static enum err_code unknown_flag(const struct op_route *r, const char *arg, struct err *err)
{
    const char *names[64];
    size_t n = 0;
    char plain[64];
    snprintf(plain, sizeof plain, "%.*s", (int)strcspn(arg + 2, "="),
             strlen(arg) > 2 ? arg + 2 : "");
    for (; n < r->n_params && n < ARRAY_LEN(names); n++)
        names[n] = r->params[n].name;
    for (char *p = plain; *p; p++)
        *p = *p == '-' ? '_' : *p;
    const char *near = str_nearest(str_c(plain), names, n);
    if (near)
        return err_set(err, ERR_USAGE, "`pawl %s` has no flag %s: did you mean --%s?", r->command,
                       arg, near);
    return err_set(err, ERR_USAGE, "`pawl %s` has no flag %s: see `pawl help %s`", r->command, arg,
                   r->command);
}

/* Words behind a list flag belong to it when no positional waits for them: --key a=1 b=2. */
static void take_more_items(struct cli_request *q, const struct op_param *p, int n, char **args,
                            int *i)
{
    while (*i < n && !is_flag(args[*i]) && !next_positional(q))
        put(q, p, args[(*i)++]);
}

static enum err_code take_flag(struct cli_request *q, int n, char **args, int *i, struct err *err)
{
    bool is_no = false, is_taken = false;
    const char *arg = args[*i], *value = NULL;
    const struct op_param *p = param_of_flag(q->route, arg, &is_no, &value);
    if (!p) {
        enum err_code code = cli_take_global(&q->globals, n, args, i, &is_taken, err);
        if (code == ERR_OK && !is_taken)
            code = unknown_flag(q->route, arg, err);
        return code;
    }
    *i += 1;
    if (p->type == OP_P_BOOL && !value) {
        put(q, p, is_no ? "false" : "true");
        return ERR_OK;
    }
    if (!value && *i >= n)
        return err_set(err, ERR_USAGE, "%s needs a value: %s", arg, p->help);
    put(q, p, value ? value : args[(*i)++]);
    if (p->type == OP_P_LIST)
        take_more_items(q, p, n, args, i);
    return ERR_OK;
}

enum err_code cli_parse(struct cli_request *q, int n, char **args, struct err *err)
{
    bool is_only_words = false;
    enum err_code code = ERR_OK;
    for (int i = 0; i < n && code == ERR_OK;) {
        if (!is_only_words && strcmp(args[i], "--") == 0) {
            is_only_words = true;
            i++;
        } else if (!is_only_words && is_flag(args[i])) {
            code = take_flag(q, n, args, &i, err);
        } else {
            const struct op_param *p = next_positional(q);
            if (!p)
                return err_set(err, ERR_USAGE, "`pawl %s` takes no \"%s\": see `pawl help %s`",
                               q->route->command, args[i], q->route->command);
            put(q, p, args[i++]);
        }
    }
    return code;
}
