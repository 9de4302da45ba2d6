#include <strings.h>

#include "registry/registry_int.h"

static const char *const STAGES[STAGE_N] = {[STAGE_NONE] = "None",
                                            [STAGE_STAGING] = "Staging",
                                            [STAGE_PRODUCTION] = "Production",
                                            [STAGE_ARCHIVED] = "Archived"};
static const char *const KINDS[LINEAGE_KIND_N] = {[LINEAGE_DATA] = "data",
                                                  [LINEAGE_VIEW] = "view",
                                                  [LINEAGE_CODE] = "code",
                                                  [LINEAGE_PARENT] = "parent"};

const char *model_stage_name(enum model_stage s)
{
    return (unsigned)s < STAGE_N ? STAGES[s] : STAGES[STAGE_NONE];
}

bool model_stage_from_name(struct str name, enum model_stage *ret)
{
    for (int i = 0; i < STAGE_N; i++)
        if (name.n == strlen(STAGES[i]) && strncasecmp(name.p, STAGES[i], name.n) == 0) {
            *ret = (enum model_stage)i;
            return true;
        }
    return false;
}

const char *lineage_kind_name(enum lineage_kind k)
{
    return (unsigned)k < LINEAGE_KIND_N ? KINDS[k] : KINDS[LINEAGE_DATA];
}

static struct json *tags_json(const struct tag *tags, size_t n, struct arena *a)
{
    struct json *j = json_obj(a);
    for (size_t i = 0; i < n; i++)
        json_set(a, j, tags[i].key, json_cstr(a, tags[i].value));
    return j;
}

struct json *model_json(const struct model *m, struct arena *a)
{
    struct json *j = json_obj(a), *aliases = json_obj(a);
    for (size_t i = 0; i < m->n_aliases; i++)
        json_set(a, aliases, m->aliases[i].alias, json_int(a, m->aliases[i].version));
    json_set(a, j, "name", json_cstr(a, m->name));
    json_set(a, j, "description", json_cstr(a, m->description));
    json_set(a, j, "last_version", json_int(a, m->last_version));
    json_set(a, j, "aliases", aliases);
    json_set(a, j, "tags", tags_json(m->tags, m->n_tags, a));
    json_set(a, j, "created", json_time(a, m->created_us));
    json_set(a, j, "updated", json_time(a, m->updated_us));
    return j;
}

struct json *model_version_json(const struct model_version *v, struct arena *a)
{
    struct json *j = json_obj(a), *aliases = json_arr(a), *lineage = json_arr(a);
    for (size_t i = 0; i < v->n_aliases; i++)
        json_add(a, aliases, json_cstr(a, v->aliases[i]));
    for (size_t i = 0; i < v->n_lineage; i++) {
        struct json *l = json_obj(a);
        json_set(a, l, "kind", json_cstr(a, lineage_kind_name(v->lineage[i].kind)));
        json_set(a, l, "name", json_cstr(a, v->lineage[i].name));
        json_set(a, l, "digest", json_cstr(a, v->lineage[i].digest));
        json_add(a, lineage, l);
    }
    json_set(a, j, "name", json_cstr(a, v->name));
    json_set(a, j, "version", json_int(a, v->version));
    json_set(a, j, "stage", json_cstr(a, model_stage_name(v->stage)));
    json_set(a, j, "aliases", aliases);
    json_set(a, j, "status", json_cstr(a, v->status));
    json_set(a, j, "status_message", json_cstr(a, v->status_message));
    json_set(a, j, "description", json_cstr(a, v->description));
    json_set(a, j, "digest", json_cstr(a, v->digest));
    json_set(a, j, "tree", json_cstr(a, v->tree));
    json_set(a, j, "source", json_cstr(a, v->source));
    json_set(a, j, "bytes", json_int(a, v->bytes));
    json_set(a, j, "run_id", json_cstr(a, v->run_id));
    json_set(a, j, "run_link", json_cstr(a, v->run_link));
    json_set(a, j, "user", json_cstr(a, v->user));
    json_set(a, j, "tags", tags_json(v->tags, v->n_tags, a));
    json_set(a, j, "lineage", lineage);
    json_set(a, j, "created", json_time(a, v->created_us));
    json_set(a, j, "updated", json_time(a, v->updated_us));
    return j;
}
