#include "registry/registry_int.h"

#include <ctype.h>

enum err_code model_name_check(const char *name, struct err *err)
{
    if (!name || !*name)
        return err_set(err, ERR_INVALID, "Registered model name cannot be empty.");
    if (strlen(name) > MODEL_NAME_MAX)
        return err_set(err, ERR_INVALID, "a model's name has at most %d bytes", MODEL_NAME_MAX);
    if (strpbrk(name, "/:"))
        return err_set(err, ERR_INVALID,
                       "Invalid name for registered model: '%s'. It cannot contain '/' or ':'.",
                       name);
    return ERR_OK;
}

static bool is_version_like(const char *s)
{
    if ((*s != 'v' && *s != 'V') || !s[1])
        return false;
    for (s++; *s; s++)
        if (!isdigit((unsigned char)*s))
            return false;
    return true;
}

enum err_code alias_check(const char *alias, struct err *err)
{
    if (!alias || !*alias)
        return err_set(err, ERR_INVALID, "Registered model alias name cannot be empty.");
    if (strlen(alias) > ALIAS_MAX || strpbrk(alias, "/:@ "))
        return err_set(err, ERR_INVALID,
                       "\"%s\" is no alias: at most %d bytes, without '/', ':', '@' and blanks",
                       alias, ALIAS_MAX);
    if (strcasecmp(alias, "latest") == 0)
        return err_set(err, ERR_INVALID, "'%s' alias name (case insensitive) is reserved.", alias);
    if (is_version_like(alias))
        return err_set(err, ERR_INVALID, "Version alias name '%s' is reserved.", alias);
    return ERR_OK;
}

enum err_code registry_tag_check(const char *key, const char *value, struct err *err)
{
    if (!key || !*key)
        return err_set(err, ERR_INVALID, "Tag name cannot be empty.");
    if (strlen(key) > REGISTRY_TAG_KEY_MAX)
        return err_set(err, ERR_INVALID, "a tag's key has at most %d bytes", REGISTRY_TAG_KEY_MAX);
    if (value && strlen(value) > REGISTRY_TAG_VALUE_MAX)
        return err_set(err, ERR_INVALID, "tag '%s' has a value of more than %d bytes", key,
                       REGISTRY_TAG_VALUE_MAX);
    return ERR_OK;
}
