/* MLflow: registered models. */
#include <strings.h>

#include "api/mlflow_int.h"
#include "base/check.h"

#define PROMPT_KEY "mlflow.prompt.is_prompt"

/* The newest version of each stage, or of the stages asked for. */
static enum err_code latest(struct mlflow_call *c, const char *name, const struct json *stages,
                            struct json **ret, struct err *err)
{
    struct model_version *list = NULL;
    size_t n = 0;
    char *token = NULL;
    bool is_seen[STAGE_N] = {false};
    const char *order = "version_number DESC";
    char *filter = str_printf(c->a, strchr(name, '\'') ? "name = \"%s\"" : "name = '%s'", name);
    struct search_query q = {
        .filter = filter, .limit = SEARCH_LIMIT_MAX, .order_by = &order, .n_order_by = 1};
    if (!filter)
        return arena_err(c->a, err);
    enum err_code code = version_search(c->registry, &q, c->a, &list, &n, &token, err);
    struct json *out = json_arr(c->a);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        bool is_wanted = json_len(stages) == 0;
        for (size_t k = 0; k < json_len(stages); k++) {
            enum model_stage s = STAGE_N;
            const struct json *text = json_at(stages, k);
            if (text->type != JSON_STR || !model_stage_from_name(text->u.s, &s))
                return mlf_invalid(text, "stages", err);
            is_wanted = is_wanted || s == list[i].stage;
        }
        if (is_wanted && !is_seen[list[i].stage])
            json_add(c->a, out, mlf_version_json(c->a, &list[i]));
        is_seen[list[i].stage] = true;
    }
    *ret = json_len(out) ? out : NULL;
    return code;
}

static enum err_code model_out(struct mlflow_call *c, const struct model *m, struct json **ret,
                               struct err *err)
{
    struct arena *a = c->a;
    struct json *j = json_obj(a), *aliases = json_arr(a), *versions = NULL;
    enum err_code code = latest(c, m->name, NULL, &versions, err);
    for (size_t i = 0; i < m->n_aliases; i++) {
        struct json *x = json_obj(a);
        json_set(a, x, "alias", json_cstr(a, m->aliases[i].alias));
        json_set(a, x, "version", json_fmt(a, "%lld", (long long)m->aliases[i].version));
        json_add(a, aliases, x);
    }
    json_set(a, j, "name", json_cstr(a, m->name));
    json_set(a, j, "creation_timestamp", mlf_ms(a, m->created_us));
    json_set(a, j, "last_updated_timestamp", mlf_ms(a, m->updated_us));
    json_set(a, j, "description", json_cstr(a, m->description));
    json_set(a, j, "latest_versions", versions);
    json_set(a, j, "tags", mlf_tags_json(a, m->tags, m->n_tags));
    json_set(a, j, "aliases", m->n_aliases ? aliases : NULL);
    *ret = j;
    return code;
}

static enum err_code get_out(struct mlflow_call *c, const char *name, struct json **ret,
                             struct err *err)
{
    struct model m;
    struct json *j = NULL;
    enum err_code code = model_get(c->registry, name, c->a, &m, err);
    if (code == ERR_OK)
        code = model_out(c, &m, &j, err);
    if (code == ERR_OK)
        json_set(c->a, *ret, "registered_model", j);
    return code;
}

static enum err_code create(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL;
    struct tag *tags = NULL;
    size_t n = 0;
    enum err_code code = mlf_need(c, "name", &name, err);
    if (code == ERR_OK)
        code = mlf_tags(c, mlf_list(c, "tags"), &tags, &n, err);
    if (code == ERR_OK)
        code = model_create(c->registry, name, mlf_str(c, c->in, "description"), tags, n, err);
    return code == ERR_OK ? get_out(c, name, ret, err) : code;
}

static enum err_code get(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL;
    enum err_code code = mlf_need(c, "name", &name, err);
    return code == ERR_OK ? get_out(c, name, ret, err) : code;
}

static enum err_code rename_(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL, *new_name = NULL;
    enum err_code code = mlf_need(c, "name", &name, err);
    if (code == ERR_OK)
        code = mlf_need(c, "new_name", &new_name, err);
    if (code == ERR_OK)
        code = model_rename(c->registry, name, new_name, err);
    return code == ERR_OK ? get_out(c, new_name, ret, err) : code;
}

static enum err_code update(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL;
    enum err_code code = mlf_need(c, "name", &name, err);
    if (code == ERR_OK)
        code = model_describe(c->registry, name, mlf_str(c, c->in, "description"), err);
    return code == ERR_OK ? get_out(c, name, ret, err) : code;
}

static enum err_code delete_(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL;
    enum err_code code = mlf_need(c, "name", &name, err);
    return code == ERR_OK ? model_delete(c->registry, name, err) : code;
}

/* Prompts are models with a tag, and are shown only to who asks for them. An absent tag means
 * 'false'. */
static char *prompt_filter(struct mlflow_call *c, const char *filter)
{
    static const char *const NO[] = {"= 'false'", "!= 'true'"};
    const char *at = filter ? strstr(filter, PROMPT_KEY) : NULL;
    if (!at)
        return filter && *filter ? str_printf(c->a, "%s AND tags.`" PROMPT_KEY "` IS NULL", filter)
                                 : str_printf(c->a, "tags.`" PROMPT_KEY "` IS NULL");
    const char *op = at + strlen(PROMPT_KEY);
    while (*op == '`' || *op == '"' || *op == ' ')
        op++;
    for (size_t i = 0; i < ARRAY_LEN(NO); i++)
        if (strncmp(op, NO[i], strlen(NO[i])) == 0)
            return str_printf(c->a, "%.*sIS NULL%s", (int)(op - filter), filter,
                              op + strlen(NO[i]));
    return str_dup(c->a, str_c(filter));
}

static enum err_code search(struct mlflow_call *c, struct json **ret, struct err *err)
{
    struct search_query q;
    struct model *list = NULL;
    size_t n = 0;
    char *token = NULL;
    enum err_code code = mlf_query(c, 100, 1000, &q, err);
    if (code == ERR_OK && !(q.filter = prompt_filter(c, q.filter)))
        code = arena_err(c->a, err);
    if (code == ERR_OK)
        code = model_search(c->registry, &q, c->a, &list, &n, &token, err);
    struct json *out = json_arr(c->a);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        struct json *j = NULL;
        code = model_out(c, &list[i], &j, err);
        json_add(c->a, out, j);
    }
    json_set(c->a, *ret, "registered_models", n ? out : NULL);
    mlf_page(c->a, *ret, token);
    return code;
}

static enum err_code latest_versions(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL;
    struct model m;
    struct json *list = NULL;
    enum err_code code = mlf_need(c, "name", &name, err);
    if (code == ERR_OK)
        code = model_get(c->registry, name, c->a, &m, err);
    if (code == ERR_OK)
        code = latest(c, name, mlf_list(c, "stages"), &list, err);
    if (code == ERR_OK)
        json_set(c->a, *ret, "model_versions", list);
    return code;
}

static enum err_code tag_set(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL, *key = NULL;
    enum err_code code = mlf_need(c, "name", &name, err);
    if (code == ERR_OK)
        code = mlf_need(c, "key", &key, err);
    return code == ERR_OK ? model_tag_set(c->registry, name, key, mlf_str(c, c->in, "value"), err)
                          : code;
}

static enum err_code tag_delete(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL, *key = NULL;
    enum err_code code = mlf_need(c, "name", &name, err);
    if (code == ERR_OK)
        code = mlf_need(c, "key", &key, err);
    return code == ERR_OK ? model_tag_delete(c->registry, name, key, err) : code;
}

/* ---- aliases ---- */

static enum err_code alias_set_(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL, *alias = NULL, *version = NULL;
    int64_t v = 0;
    enum err_code code = mlf_need(c, "name", &name, err);
    if (code == ERR_OK)
        code = mlf_need(c, "alias", &alias, err);
    if (code == ERR_OK)
        code = mlf_need(c, "version", &version, err);
    if (code == ERR_OK && parse_i64(str_c(version), &v, NULL) != ERR_OK)
        code = mlf_invalid(mlf_get(c->in, "version"), "version", err);
    return code == ERR_OK ? alias_set(c->registry, name, alias, v, err) : code;
}

static enum err_code alias_delete_(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL, *alias = NULL;
    enum err_code code = mlf_need(c, "name", &name, err);
    if (code == ERR_OK)
        code = mlf_need(c, "alias", &alias, err);
    return code == ERR_OK ? alias_delete(c->registry, name, alias, err) : code;
}

/* MLflow answers an alias that is not there with 400, and clients tell by that. */
static enum err_code alias_get(struct mlflow_call *c, struct json **ret, struct err *err)
{
    const char *name = NULL, *alias = NULL;
    struct model m;
    struct model_version v;
    enum err_code code = mlf_need(c, "name", &name, err);
    if (code == ERR_OK)
        code = mlf_need(c, "alias", &alias, err);
    if (code == ERR_OK)
        code = model_get(c->registry, name, c->a, &m, err);
    if (code != ERR_OK)
        return code;
    char *ref = str_printf(c->a, "%s@%s", name, alias);
    code = ref ? version_find(c->registry, ref, c->a, &v, err) : arena_err(c->a, err);
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_INVALID, "Registered model alias %s not found.", alias);
    if (code == ERR_OK)
        json_set(c->a, *ret, "model_version", mlf_version_json(c->a, &v));
    return code;
}

const struct mlflow_route MLFLOW_MODELS[] = {
    {"POST", "/registered-models/create", create},
    {"GET", "/registered-models/get", get},
    {"POST", "/registered-models/rename", rename_},
    {"PATCH", "/registered-models/update", update},
    {"DELETE", "/registered-models/delete", delete_},
    {"GET", "/registered-models/search", search},
    {"POST", "/registered-models/get-latest-versions", latest_versions},
    {"GET", "/registered-models/get-latest-versions", latest_versions},
    {"POST", "/registered-models/set-tag", tag_set},
    {"DELETE", "/registered-models/delete-tag", tag_delete},
    {"POST", "/registered-models/alias", alias_set_},
    {"DELETE", "/registered-models/alias", alias_delete_},
    {"GET", "/registered-models/alias", alias_get},
};
const size_t N_MLFLOW_MODELS = ARRAY_LEN(MLFLOW_MODELS);
