/* The sections of pawl.yaml that belong to no other module, and the list of all that there are. */
#include <ctype.h>

#include "base/check.h"
#include "base/vec.h"
#include "project/project_int.h"

static const char *const SECTIONS[] = {
    "pawl",     "project",  "task",   "owners",   "sources",     "checks",  "protected",
    "features", "dataset",  "train",  "evaluate", "environment", "gates",   "approvals",
    "endpoint", "monitor",  "slo",    "triggers", "alerts",      "steps",   "include",
    "code",     "business", "labels", "log",      "sensitive",   "runbook",
};

static const char *const TASKS[PROJECT_TASK_N] = {[PROJECT_TASK_NONE] = "none",
                                                  [PROJECT_BINARY] = "binary",
                                                  [PROJECT_MULTICLASS] = "multiclass",
                                                  [PROJECT_REGRESSION] = "regression"};

const char *project_task_name(enum project_task t)
{
    return (unsigned)t < PROJECT_TASK_N ? TASKS[t] : TASKS[PROJECT_TASK_NONE];
}

/* The text of a scalar, NUL-terminated, or NULL. */
static const char *text_of(const struct cfg_node *n, const char *what, struct cfg_problems *ps)
{
    struct str s;
    return n && cfg_str(n, what, &s, ps) ? s.p : NULL;
}

static void name_decode(const struct cfg_node *root, struct project_spec *ret,
                        struct cfg_problems *ps)
{
    const struct cfg_node *n = cfg_require(root, "project", ps);
    const char *name = text_of(n, "project", ps);
    if (!name)
        return;
    size_t len = strlen(name);
    bool is_good = len >= 1 && len <= PROJECT_NAME_MAX && isalnum((unsigned char)name[0]);
    for (const char *p = name; *p && is_good; p++)
        is_good = isalnum((unsigned char)*p) || strchr("._-", *p);
    if (!is_good)
        cfg_error(
            ps, n,
            "project \"%s\" is no name: up to %d letters, digits, '.', '_' and '-', the first "
            "a letter or digit",
            name, PROJECT_NAME_MAX);
    ret->name = name;
}

static void format_decode(const struct cfg_node *root, struct project_spec *ret,
                          struct cfg_problems *ps)
{
    int64_t v = 0;
    const struct cfg_node *n = cfg_require(root, "pawl", ps);
    if (!n || !cfg_i64(n, "pawl", 1, 1000, &v, ps))
        return;
    ret->format = (int)v;
    if (v != PROJECT_FORMAT)
        cfg_error(ps, n,
                  "this file has format %lld, this program reads format %d: use \"pawl: %d\"",
                  (long long)v, PROJECT_FORMAT, PROJECT_FORMAT);
}

static void task_decode(const struct cfg_node *root, struct project_spec *ret,
                        struct cfg_problems *ps)
{
    int i = 0;
    const struct cfg_node *n = cfg_get(root, "task");
    const struct cfg_node *learns = cfg_get(root, cfg_get(root, "dataset") ? "dataset" : "train");
    if (!n && learns)
        cfg_error(ps, learns,
                  "a project that trains needs \"task:\" (binary, multiclass or regression)");
    if (n && cfg_enum(n, "task", TASKS + 1, PROJECT_TASK_N - 1, &i, ps))
        ret->task = (enum project_task)(i + 1);
}

struct people {
    struct arena *arena;
    struct cfg_problems *ps;
    VEC(struct project_person) list;
};

static void person_add(struct people *p, const char *role, const struct cfg_node *who)
{
    const char *name = text_of(who, role, p->ps);
    struct project_person *x = name ? VEC_ADD(p->arena, &p->list) : NULL;
    if (name && !*name)
        cfg_error(p->ps, who, "owner \"%s\" is empty: name a person, a group or an address", role);
    if (x)
        *x = (struct project_person){role, name};
}

/* Roles are free (approvals may name any), but one that is nearly a known one is a slip. */
static void role_judge(const struct cfg_node *at, const char *role, const char *const *known,
                       size_t n, struct cfg_problems *ps)
{
    const char *near = str_nearest(str_c(role), known, n);
    if (near && strcmp(near, role) != 0)
        cfg_warn(ps, at, "owners.%s is a role of your own, did you mean \"%s\"?", role, near);
}

static void owners_decode(const struct cfg_node *root, struct arena *a, struct project_spec *ret,
                          struct cfg_problems *ps)
{
    static const char *const GENERAL[] = {"business", "ml", "data", "on_call"};
    const char *known[ARRAY_LEN(GENERAL) + PROJECT_BOXES_N];
    struct people p = {.arena = a, .ps = ps};
    const struct cfg_node *owners = cfg_get(root, "owners");
    if (!owners || !cfg_is_map(owners, "owners", ps))
        return;
    memcpy(known, GENERAL, sizeof(GENERAL));
    for (size_t i = 0; i < PROJECT_BOXES_N; i++)
        known[ARRAY_LEN(GENERAL) + i] = PROJECT_BOXES[i].name;
    for (size_t i = 0; i < owners->n; i++) {
        const struct cfg_node *who = owners->items[i];
        const char *role = str_dup(a, owners->keys[i]);
        if (!role)
            return;
        role_judge(owners->key_nodes[i], role, known, ARRAY_LEN(known), ps);
        if (who->type != CFG_MAP) {
            person_add(&p, strcmp(role, "on_call") == 0 ? "on_call.first" : role, who);
            continue;
        }
        for (size_t k = 0; k < who->n; k++) {
            const char *below = str_printf(a, "%s.%.*s", role, STR_ARG(who->keys[k]));
            if (below)
                person_add(&p, below, who->items[k]);
        }
    }
    ret->people = p.list.p;
    ret->n_people = p.list.n;
}

static const char **strings_of(const struct cfg_node *n, const char *what, struct arena *a,
                               size_t *ret_n, struct cfg_problems *ps)
{
    struct str *list = NULL;
    size_t n_list = 0;
    if (!n || !cfg_str_list(n, what, a, &list, &n_list, ps))
        return NULL;
    const char **out = ARENA_NEW_N(a, const char *, n_list);
    for (size_t i = 0; out && i < n_list; i++)
        if (!(out[i] = str_dup(a, list[i])))
            return NULL;
    *ret_n = out ? n_list : 0;
    return out;
}

static void code_decode(const struct cfg_node *root, struct arena *a, struct project_spec *ret,
                        struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"git", "ref", "files"};
    const struct cfg_node *code = cfg_get(root, "code");
    if (!code || !cfg_is_map(code, "code", ps))
        return;
    cfg_known_keys(code, KEYS, ARRAY_LEN(KEYS), ps);
    ret->code_url = text_of(cfg_get(code, "git"), "code.git", ps);
    ret->code_ref = text_of(cfg_get(code, "ref"), "code.ref", ps);
    ret->code_files = strings_of(cfg_get(code, "files"), "code.files", a, &ret->n_code_files, ps);
    if (ret->code_ref && !ret->code_url)
        cfg_error(ps, cfg_get(code, "ref"), "code.ref needs code.git, the repository it is of");
}

static void environment_decode(const struct cfg_node *root, struct project_spec *ret,
                               struct cfg_problems *ps)
{
    static const char *const KEYS[] = {"python", "lock", "container"};
    const struct cfg_node *env = cfg_get(root, "environment");
    if (!env || !cfg_is_map(env, "environment", ps))
        return;
    cfg_known_keys(env, KEYS, ARRAY_LEN(KEYS), ps);
    const struct cfg_node *python = cfg_get(env, "python");
    ret->python = text_of(python, "environment.python", ps);
    /* 3.10 unquoted is a number in other tools and reads as 3.1. */
    if (python && !python->is_quoted)
        cfg_warn(ps, python,
                 "write the version in quotes (\"%.*s\"): other YAML tools read a number",
                 STR_ARG(python->text));
    ret->lock = text_of(cfg_get(env, "lock"), "environment.lock", ps);
    ret->container = text_of(cfg_get(env, "container"), "environment.container", ps);
}

void project_spec_decode(const struct cfg_node *root, struct arena *a, struct project_spec *ret,
                         struct cfg_problems *ps)
{
    memset(ret, 0, sizeof(*ret));
    if (!root || !cfg_is_map(root, "a project file", ps))
        return;
    cfg_known_keys(root, SECTIONS, ARRAY_LEN(SECTIONS), ps);
    format_decode(root, ret, ps);
    name_decode(root, ret, ps);
    task_decode(root, ret, ps);
    owners_decode(root, a, ret, ps);
    code_decode(root, a, ret, ps);
    environment_decode(root, ret, ps);
    ret->includes = strings_of(cfg_get(root, "include"), "include", a, &ret->n_includes, ps);
    ret->runbook = text_of(cfg_get(root, "runbook"), "runbook", ps);
    ret->has_model =
        cfg_get(root, "dataset") || cfg_get(root, "train") || cfg_get(root, "endpoint");
}

struct json *project_json(const struct project_spec *p, struct arena *a)
{
    struct json *j = json_obj(a), *people = json_obj(a);
    for (size_t i = 0; i < p->n_people; i++)
        json_set(a, people, p->people[i].role, json_cstr(a, p->people[i].who));
    json_set(a, j, "name", json_cstr(a, p->name));
    json_set(a, j, "task", p->task ? json_cstr(a, project_task_name(p->task)) : NULL);
    json_set(a, j, "owners", people);
    json_set(a, j, "runbook", json_cstr(a, p->runbook));
    return j;
}
