#include "track/track_int.h"

#include <ctype.h>

/* Characters, not bytes: continuation bytes do not count. */
static size_t utf8_count(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static bool is_key_char(unsigned char c)
{
    return isalnum(c) || c >= 0x80 || strchr("_/.-: ", c) != NULL;
}

/* No leading or trailing slash, no empty, "." or ".." part: keys become file names in clients. */
static bool is_clean_path(struct str key)
{
    struct str rest = key;
    while (rest.p) {
        struct str part = str_split(&rest, '/');
        if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
            return false;
    }
    return true;
}

enum err_code key_check(const char *what, const char *key, struct err *err)
{
    if (!key || !*key)
        return err_set(err, ERR_INVALID, "a %s has no key", what);
    if (utf8_count(key) > KEY_MAX)
        return err_set(err, ERR_INVALID, "%s key '%.40s…' has %zu characters, more than %d", what,
                       key, utf8_count(key), KEY_MAX);
    for (const char *p = key; *p; p++)
        if (!is_key_char((unsigned char)*p))
            return err_set(err, ERR_INVALID,
                           "%s key '%s' may hold only letters, digits, '_', '-', '.', ':', '/' and "
                           "blanks",
                           what, key);
    if (!is_clean_path(str_c(key)))
        return err_set(err, ERR_INVALID, "%s key '%s' must be a clean path: no empty part or dots",
                       what, key);
    return ERR_OK;
}

enum err_code experiment_name_check(const char *name, struct err *err)
{
    if (!name || !*name)
        return err_set(err, ERR_INVALID, "an experiment needs a name");
    if (utf8_count(name) > EXPERIMENT_NAME_MAX)
        return err_set(err, ERR_INVALID, "the experiment's name has more than %d characters",
                       EXPERIMENT_NAME_MAX);
    return ERR_OK;
}

bool run_id_is_valid(const char *id)
{
    size_t n = strlen(id);
    if (n == 0 || n >= RUN_ID_BYTES || !isalnum((unsigned char)id[0]))
        return false;
    for (const char *p = id; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-')
            return false;
    return true;
}

static enum err_code value_check(const char *what, const char *key, const char *value, size_t max,
                                 struct err *err)
{
    if (!value)
        return err_set(err, ERR_INVALID, "%s '%s' has no value", what, key);
    if (strlen(value) > max && utf8_count(value) > max)
        return err_set(err, ERR_INVALID, "%s '%s' has a value of more than %zu characters", what,
                       key, max);
    return ERR_OK;
}

static enum err_code params_check(const struct run_batch *b, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < b->n_params && code == ERR_OK; i++) {
        const struct param *p = &b->params[i];
        code = key_check("param", p->key, err);
        if (code == ERR_OK)
            code = value_check("param", p->key, p->value, PARAM_VALUE_MAX, err);
        for (size_t k = 0; k < i && code == ERR_OK; k++)
            if (strcmp(b->params[k].key, p->key) == 0)
                code = err_set(err, ERR_INVALID, "param '%s' occurs twice in one request", p->key);
    }
    return code;
}

enum err_code batch_check(const struct run_batch *b, struct err *err)
{
    enum err_code code = params_check(b, err);
    for (size_t i = 0; i < b->n_metrics && code == ERR_OK; i++) {
        /* Points of one key come in runs: the same text need not be looked at again. */
        if (i == 0 || strcmp(b->metrics[i].key, b->metrics[i - 1].key) != 0)
            code = key_check("metric", b->metrics[i].key, err);
        if (code == ERR_OK && b->metrics[i].at_us < 0)
            code =
                err_set(err, ERR_INVALID, "metric '%s' has a time before 1970", b->metrics[i].key);
    }
    for (size_t i = 0; i < b->n_tags && code == ERR_OK; i++) {
        code = key_check("tag", b->tags[i].key, err);
        if (code == ERR_OK)
            code = value_check("tag", b->tags[i].key, b->tags[i].value, TAG_VALUE_MAX, err);
    }
    for (size_t i = 0; i < b->n_inputs && code == ERR_OK; i++)
        if (!b->inputs[i].name || !b->inputs[i].digest || !b->inputs[i].source_type ||
            !b->inputs[i].source)
            code = err_set(err, ERR_INVALID, "an input needs name, digest, source type and source");
    return code;
}

bool artifact_path_is_safe(struct str path)
{
    for (size_t i = 0; i < path.n; i++)
        if ((unsigned char)path.p[i] < 0x20 || path.p[i] == '\\' || path.p[i] == '#' ||
            path.p[i] == 0x7f)
            return false;
    return path.n > 0 && path.n < 2048 && str_utf8_valid(path) && is_clean_path(path);
}
