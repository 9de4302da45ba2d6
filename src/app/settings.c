#include "app/settings.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "config/config.h"

struct setting_row {
    const char *name, *env, *flag, *type, *def, *help;
};

static const struct setting_row ROWS[SETTING_N] = {
#include "app/setting_rows.inc"
};

static bool type_is(const struct setting_row *r, const char *type)
{
    return strcmp(r->type, type) == 0;
}

static enum err_code check_value(const struct setting_row *r, const char *value, const char *where,
                                 struct err *err)
{
    int64_t i = 0;
    bool b = false;
    enum err_code code = ERR_OK;
    if (type_is(r, "int"))
        code = parse_i64(str_c(value), &i, err);
    else if (type_is(r, "bool"))
        code = parse_bool(str_c(value), &b, err);
    else if (type_is(r, "size"))
        code = parse_size_bytes(str_c(value), &i, err);
    else if (type_is(r, "duration"))
        code = parse_duration_us(str_c(value), &i, err);
    return code == ERR_OK ? code : err_wrap(err, "%s", where);
}

static enum err_code take(struct settings *s, size_t i, const char *value, const char *where,
                          struct err *err)
{
    enum err_code code = check_value(&ROWS[i], value, where, err);
    if (code == ERR_OK)
        s->value[i] = value;
    return code;
}

static enum err_code read_conf(struct settings *s, const char *path, struct arena *a,
                               struct err *err)
{
    struct cfg_problems ps;
    struct cfg_node *root = NULL;
    const char *names[SETTING_N];
    struct str text;
    if (!path || !file_exists(path))
        return ERR_OK;
    cfg_problems_init(&ps, a);
    enum err_code code = file_read(path, CFG_BYTES_MAX, a, &text, err);
    if (code == ERR_OK)
        code = cfg_read(text, path, a, &root, &ps, err);
    if (code != ERR_OK)
        return code;
    for (size_t i = 0; i < SETTING_N; i++)
        names[i] = ROWS[i].name;
    cfg_known_keys(root, names, SETTING_N, &ps);
    for (size_t i = 0; i < SETTING_N; i++) {
        const struct cfg_node *n = cfg_get(root, ROWS[i].name);
        struct str value;
        struct err wrong = ERR_INIT;
        if (!n || !cfg_expand(n, a, &value, &ps))
            continue;
        if (take(s, i, value.p, ROWS[i].name, &wrong) != ERR_OK)
            cfg_error(&ps, n, "%s", wrong.msg);
    }
    return cfg_problems_err(&ps, err);
}

static enum err_code read_environment(struct settings *s, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < SETTING_N && code == ERR_OK; i++) {
        const char *value = ROWS[i].env ? getenv(ROWS[i].env) : NULL;
        if (value && value[0])
            code = take(s, i, value, ROWS[i].env, err);
    }
    return code;
}

/* One flag, or ERR_USAGE with the nearest name. Moves *i behind it. */
static enum err_code read_flag(struct settings *s, int n, char **args, int *i, struct err *err)
{
    const char *names[SETTING_N], *arg = args[*i];
    size_t n_names = 0, len = strcspn(arg, "=");
    for (size_t k = 0; k < SETTING_N; k++) {
        const char *flag = ROWS[k].flag;
        if (!flag)
            continue;
        names[n_names++] = flag;
        if (strlen(flag) != len || strncmp(arg, flag, len) != 0)
            continue;
        *i += 1;
        if (arg[len] == '=')
            return take(s, k, arg + len + 1, flag, err);
        if (type_is(&ROWS[k], "bool"))
            return take(s, k, "true", flag, err);
        if (*i >= n)
            return err_set(err, ERR_USAGE, "%s needs a value: %s", flag, ROWS[k].help);
        return take(s, k, args[(*i)++], flag, err);
    }
    const char *near = str_nearest(str_n(arg, len), names, n_names);
    return err_set(err, ERR_USAGE, "there is no flag %s%s%s%s", arg, near ? ": did you mean " : "",
                   near ? near : "", near ? "?" : "");
}

enum err_code settings_read(struct settings *ret, const char *conf_path, int n_args, char **args,
                            struct arena *a, struct err *err)
{
    struct settings s = {0};
    for (size_t i = 0; i < SETTING_N; i++)
        s.value[i] = ROWS[i].def;
    enum err_code code = read_conf(&s, conf_path, a, err);
    if (code == ERR_OK)
        code = read_environment(&s, err);
    for (int i = 0; i < n_args && code == ERR_OK;)
        code = read_flag(&s, n_args, args, &i, err);
    if (code == ERR_OK)
        *ret = s;
    return code;
}

int64_t settings_int(const struct settings *s, enum setting which, int64_t or_)
{
    int64_t v = or_;
    const char *text = s->value[which];
    if (!text)
        return or_;
    enum err_code code = type_is(&ROWS[which], "size") ? parse_size_bytes(str_c(text), &v, NULL)
                                                       : parse_i64(str_c(text), &v, NULL);
    CHECK(code == ERR_OK);
    return v;
}

bool settings_bool(const struct settings *s, enum setting which)
{
    return s->value[which] && strcmp(s->value[which], "true") == 0;
}

void settings_help(struct buf *out)
{
    for (size_t i = 0; i < SETTING_N; i++) {
        if (!ROWS[i].flag)
            continue;
        buf_printf(out, "  %-16s %-6s %s", ROWS[i].flag,
                   type_is(&ROWS[i], "bool") ? "" : ROWS[i].type, ROWS[i].help);
        buf_printf(out, ROWS[i].def ? " (default %s)\n" : "\n", ROWS[i].def);
    }
}
