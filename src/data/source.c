#include "data/source.h"

#include "base/check.h"
#include "base/vec.h"

static const char *const KIND_NAMES[SOURCE_KIND_N] = {"path", "extract", "sql"};

static const char *const KEYS[] = {
    "path",  "extract",   "sql",         "connection",      "cursor",
    "time",  "timezone",  "known_at",    "available_after", "freshness",
    "owner", "reference", "description", "runbook",
};

static void text(const struct cfg_node *map, const char *key, struct str *ret,
                 struct cfg_problems *ps)
{
    const struct cfg_node *n = cfg_get(map, key);
    if (n)
        (void)cfg_str(n, key, ret, ps);
}

static void decode_kind(const struct cfg_node *n, struct arena *a, struct source_spec *s,
                        struct cfg_problems *ps)
{
    static const char *const EXTRACT_KEYS[] = {"run"};
    const struct cfg_node *path = cfg_get(n, "path"), *extract = cfg_get(n, "extract"),
                          *sql = cfg_get(n, "sql");
    if (!!path + !!extract + !!sql != 1) {
        cfg_error(ps, n,
                  "source %.*s says where its rows come from in exactly one way: path (a glob or a "
                  "list), extract: { run: … } or sql with connection",
                  STR_ARG(s->name));
        return;
    }
    if (path) {
        s->kind = SOURCE_PATH;
        (void)cfg_str_list(path, "path", a, &s->paths, &s->n_paths, ps);
    } else if (extract) {
        s->kind = SOURCE_EXTRACT;
        if (!cfg_is_map(extract, "extract", ps))
            return;
        (void)cfg_known_keys(extract, EXTRACT_KEYS, ARRAY_LEN(EXTRACT_KEYS), ps);
        if (cfg_require(extract, "run", ps))
            text(extract, "run", &s->run, ps);
    } else {
        s->kind = SOURCE_SQL;
        text(n, "sql", &s->sql, ps);
        if (cfg_require(n, "connection", ps))
            text(n, "connection", &s->connection, ps);
    }
}

static bool is_name(struct str s)
{
    if (s.n == 0 || s.n > 64 || (s.p[0] >= '0' && s.p[0] <= '9'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return true;
}

static void decode_source(const struct cfg_node *n, struct arena *a, struct source_spec *s,
                          struct cfg_problems *ps)
{
    const struct cfg_node *x;
    s->timezone = STR("UTC");
    s->available_after_us = -1;
    s->freshness_us = -1;
    s->node = n;
    if (!is_name(s->name))
        cfg_error(ps, n, "source name '%.*s': letters, digits and _ only, because SQL names it",
                  STR_ARG(s->name));
    if (!cfg_is_map(n, "a source", ps))
        return;
    (void)cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps);
    decode_kind(n, a, s, ps);
    text(n, "time", &s->time, ps);
    text(n, "timezone", &s->timezone, ps);
    text(n, "known_at", &s->known_at, ps);
    text(n, "owner", &s->owner, ps);
    text(n, "description", &s->description, ps);
    text(n, "runbook", &s->runbook, ps);
    if ((x = cfg_get(n, "available_after")))
        (void)cfg_duration_us(x, "available_after", &s->available_after_us, ps);
    if ((x = cfg_get(n, "freshness")))
        (void)cfg_duration_us(x, "freshness", &s->freshness_us, ps);
    if ((x = cfg_get(n, "reference")))
        (void)cfg_bool(x, "reference", &s->is_reference, ps);
    if (s->known_at.n > 0 && s->available_after_us >= 0)
        cfg_error(ps, cfg_get(n, "available_after"),
                  "source %.*s declares known_at and available_after: keep one", STR_ARG(s->name));
    if (s->time.n == 0 && (s->available_after_us >= 0 || s->freshness_us >= 0))
        cfg_error(ps, n, "source %.*s needs `time:` for its available_after or freshness",
                  STR_ARG(s->name));
}

void sources_spec_decode(const struct cfg_node *section, const struct cfg_node *root,
                         struct arena *a, struct sources_spec *ret, struct cfg_problems *ps)
{
    *ret = (struct sources_spec){0};
    if (!section || !cfg_is_map(section, "sources", ps))
        return;
    struct source_spec *p = ARENA_NEW_N(a, struct source_spec, section->n);
    if (!p) {
        cfg_error(ps, section, "out of memory");
        return;
    }
    for (size_t i = 0; i < section->n; i++) {
        p[i].name = section->keys[i];
        decode_source(section->items[i], a, &p[i], ps);
    }
    ret->p = p;
    ret->n = section->n;
}

const struct source_spec *sources_spec_find(const struct sources_spec *s, struct str name)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (str_eq(s->p[i].name, name))
            return &s->p[i];
    return NULL;
}

static void set_text(struct arena *a, struct json *obj, const char *key, struct str s)
{
    if (s.n > 0)
        json_set(a, obj, key, json_str(a, s));
}

struct json *source_spec_json(const struct source_spec *s, struct arena *a)
{
    struct json *j = json_obj(a), *paths = json_arr(a);
    set_text(a, j, "name", s->name);
    json_set(a, j, "kind", json_cstr(a, KIND_NAMES[s->kind]));
    for (size_t i = 0; i < s->n_paths; i++)
        json_add(a, paths, json_str(a, s->paths[i]));
    if (s->n_paths > 0)
        json_set(a, j, "paths", paths);
    set_text(a, j, "run", s->run);
    set_text(a, j, "sql", s->sql);
    set_text(a, j, "connection", s->connection);
    set_text(a, j, "time", s->time);
    set_text(a, j, "timezone", s->timezone);
    set_text(a, j, "known_at", s->known_at);
    if (s->available_after_us >= 0)
        json_set(a, j, "available_after_us", json_int(a, s->available_after_us));
    if (s->freshness_us >= 0)
        json_set(a, j, "freshness_us", json_int(a, s->freshness_us));
    set_text(a, j, "owner", s->owner);
    set_text(a, j, "description", s->description);
    set_text(a, j, "runbook", s->runbook);
    if (s->is_reference)
        json_set(a, j, "reference", json_bool(a, true));
    return j;
}

enum err_code source_spec_from_json(const struct json *j, struct arena *a, struct source_spec *ret,
                                    struct err *err)
{
    struct source_spec s = {.timezone = STR("UTC")};
    const struct json *paths = json_get(j, "paths");
    struct str kind = json_get_str(j, "kind");
    enum err_code code = json_need_str(j, "name", &s.name, err);
    if (code != ERR_OK)
        return code;
    s.kind = SOURCE_KIND_N;
    for (int k = 0; k < SOURCE_KIND_N; k++)
        if (str_is(kind, KIND_NAMES[k]))
            s.kind = (enum source_kind)k;
    if (s.kind == SOURCE_KIND_N)
        return err_set(err, ERR_INVALID, "source %.*s: unknown kind '%.*s'", STR_ARG(s.name),
                       STR_ARG(kind));
    s.n_paths = json_len(paths);
    s.paths = ARENA_NEW_N(a, struct str, s.n_paths);
    if (!s.paths)
        return arena_err(a, err);
    for (size_t i = 0; i < s.n_paths; i++)
        s.paths[i] = json_at(paths, i)->type == JSON_STR ? json_at(paths, i)->u.s : STR("");
    s.run = json_get_str(j, "run");
    s.sql = json_get_str(j, "sql");
    s.connection = json_get_str(j, "connection");
    s.time = json_get_str(j, "time");
    if (json_get_str(j, "timezone").n > 0)
        s.timezone = json_get_str(j, "timezone");
    s.known_at = json_get_str(j, "known_at");
    s.available_after_us = json_get_int(j, "available_after_us", -1);
    s.freshness_us = json_get_int(j, "freshness_us", -1);
    s.owner = json_get_str(j, "owner");
    s.description = json_get_str(j, "description");
    s.runbook = json_get_str(j, "runbook");
    s.is_reference = json_get_bool(j, "reference", false);
    *ret = s;
    return ERR_OK;
}
