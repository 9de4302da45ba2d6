/* Who owns a box and where its runbook is: own key, then the box, then the general ones. */
#include <stdio.h>

#include "base/check.h"
#include "base/vec.h"
#include "project/project_int.h"

const struct project_box PROJECT_BOXES[PROJECT_BOXES_N] = {
    {"ingest", "sources", true},   {"validate", "checks", true},    {"features", "features", false},
    {"train", "train", false},     {"evaluate", "evaluate", false}, {"registry", NULL, false},
    {"deploy", "endpoint", false}, {"serve", "endpoint", false},    {"monitor", "monitor", false},
    {"feedback", "labels", false}, {"retrain", "triggers", false},
};

/* Kinds of named things, the section their entries lie in, and the box they belong to. */
static const struct {
    const char *kind, *section, *box;
    bool is_map; /* entries by name; else the section itself is the thing */
} THINGS[] = {
    {"source", "sources", "ingest", true},    {"view", "features", "features", true},
    {"step", "steps", "train", true},         {"model", "train", "train", false},
    {"endpoint", "endpoint", "serve", false},
};

static const struct project_box *box_find(struct str name)
{
    for (size_t i = 0; i < PROJECT_BOXES_N; i++)
        if (str_is(name, PROJECT_BOXES[i].name))
            return &PROJECT_BOXES[i];
    return NULL;
}

/* What a box's name means: its own node in pawl.yaml (or NULL) and the box of the loop. */
struct place {
    const struct cfg_node *own;
    const struct project_box *box;
};

static struct place place_of(const struct cfg_node *root, const char *name)
{
    struct str rest = str_c(name);
    struct str kind = str_split(&rest, ':');
    struct place p = {.box = box_find(kind)};
    if (p.box && !rest.p) {
        const struct cfg_node *section = p.box->section ? cfg_get(root, p.box->section) : NULL;
        /* A section of named entries has no owner key of its own: "owner" there would be an entry. */
        bool is_entries = strcmp(p.box->name, "ingest") == 0 ||
                          strcmp(p.box->name, "validate") == 0 ||
                          strcmp(p.box->name, "features") == 0;
        p.own = is_entries ? NULL : section;
        return p;
    }
    for (size_t i = 0; i < ARRAY_LEN(THINGS); i++)
        if (str_is(kind, THINGS[i].kind)) {
            const struct cfg_node *section = cfg_get(root, THINGS[i].section);
            p.box = box_find(str_c(THINGS[i].box));
            p.own = THINGS[i].is_map && rest.p ? cfg_get(section, rest.p) : section;
        }
    return p;
}

static const char *scalar(const struct cfg_node *map, const char *key)
{
    const struct cfg_node *n = map && map->type == CFG_MAP ? cfg_get(map, key) : NULL;
    return n && n->type == CFG_SCALAR && n->text.n > 0 ? n->text.p : NULL;
}

static const char *person(const struct project_spec *p, const char *role)
{
    for (size_t i = 0; role && i < p->n_people; i++)
        if (strcmp(p->people[i].role, role) == 0)
            return p->people[i].who;
    return NULL;
}

static const char *first_of(const char *a, const char *b)
{
    return a ? a : b;
}

const char *project_owner(const struct project_spec *p, const struct cfg_node *root,
                          const char *box, enum owner_side side)
{
    struct place at = place_of(root, box);
    if (side == OWNER_BUSINESS)
        return person(p, "business");
    if (side == OWNER_ON_CALL)
        return first_of(first_of(scalar(at.own, "on_call"), person(p, "on_call.first")),
                        person(p, "ml"));
    const char *who = scalar(at.own, "owner");
    if (!who && at.box)
        who = person(p, at.box->name);
    if (!who && at.box && at.box->is_data)
        who = person(p, "data");
    return first_of(who, first_of(person(p, "ml"), person(p, "business")));
}

const char *project_runbook(const struct project_spec *p, const struct cfg_node *root,
                            const char *box)
{
    struct place at = place_of(root, box);
    const char *own = scalar(at.own, "runbook");
    if (!own && at.box && at.box->section && !at.box->is_data)
        own = scalar(cfg_get(root, at.box->section), "runbook");
    return first_of(own, p->runbook);
}

enum err_code project_boxes(const struct cfg_node *root, struct arena *a, const char ***ret,
                            size_t *ret_n, struct err *err)
{
    VEC(const char *) list = {0};
    for (size_t i = 0; i < PROJECT_BOXES_N; i++) {
        const char **x = VEC_ADD(a, &list);
        if (!x)
            return arena_err(a, err);
        *x = PROJECT_BOXES[i].name;
    }
    for (size_t i = 0; i < ARRAY_LEN(THINGS); i++) {
        const struct cfg_node *section = cfg_get(root, THINGS[i].section);
        const char *name = THINGS[i].is_map ? NULL : scalar(section, "name");
        if (!name && (!THINGS[i].is_map || !section || section->type != CFG_MAP))
            continue;
        for (size_t k = 0; k < (name ? 1 : section->n); k++) {
            struct str entry = name ? str_c(name) : section->keys[k];
            const char **x = VEC_ADD(a, &list);
            char *text = str_printf(a, "%s:%.*s", THINGS[i].kind, STR_ARG(entry));
            if (!x || !text)
                return arena_err(a, err);
            *x = text;
        }
    }
    *ret = list.p;
    *ret_n = list.n;
    return ERR_OK;
}
