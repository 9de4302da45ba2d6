/* register: the model directory becomes a version of the project's model, with where it came from. */
#include "base/check.h"
#include "pipeline/pipe.h"

static enum err_code register_parts(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    struct json *in = pipe_inputs(s);
    (void)err;
    (void)json_set(a, in, "tree", json_cstr(a, step_out(p->profile, "tree")));
    struct pipe_parts x = {.definition = json_cstr(a, p->spec->project.name), .inputs = in};
    *ret = pipe_parts_json(&x, a);
    return ERR_OK;
}

/* Sources with their data versions, views with theirs, and the code as the revision. */
static enum err_code lineage(struct pipe *p, struct arena *a, struct model_version *v,
                             struct err *err)
{
    const struct json *lookups = json_path(p->train->out, "plan.lookups");
    size_t cap = p->spec->sources.n + json_len(lookups) + 1, n = 0;
    struct lineage *l = ARENA_NEW_N(a, struct lineage, cap);
    if (l == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        char *hex = arena_alloc(a, DIGEST_HEX_BYTES);
        if (hex == NULL)
            return arena_err(a, err);
        if (!p->sources[i].is_ready)
            continue;
        digest_hex(&p->sources[i].version.digest, hex);
        l[n++] = (struct lineage){LINEAGE_DATA, str_dup(a, p->sources[i].spec->name), hex};
    }
    for (size_t i = 0; i < json_len(lookups); i++)
        l[n++] = (struct lineage){LINEAGE_VIEW, json_get_c(json_at(lookups, i), "view"),
                                  json_get_c(json_at(lookups, i), "version")};
    l[n++] = (struct lineage){LINEAGE_CODE, p->spec->project.name, p->revision};
    v->lineage = l;
    v->n_lineage = n;
    return ERR_OK;
}

static enum err_code tree_bytes(struct pipe *p, const char *hex, struct arena *a, int64_t *ret,
                                struct err *err)
{
    struct digest d;
    struct tree t = {0};
    enum err_code code = digest_parse(str_c(hex), &d, err);
    if (code == ERR_OK)
        code = tree_read(p->host->blobs, &d, a, &t, err);
    *ret = 0;
    for (size_t i = 0; code == ERR_OK && i < t.n; i++)
        *ret += t.files[i].bytes;
    return code;
}

static enum err_code register_run(void *ctx, struct step *s, struct json **ret, struct err *err)
{
    struct pipe *p = ctx;
    struct arena *a = &s->arena;
    const char *model = step_out(p->profile, "digest"), *report = step_out(p->evaluate, "report");
    struct tag tags[] = {{"pawl.report", report}, {"pawl.dataset", step_out(p->dataset, "digest")}};
    struct model_version v = {.name = p->spec->project.name,
                              .digest = model,
                              .tree = step_out(p->profile, "tree"),
                              .run_id =
                                  p->train->child_run[0] != '\0' ? p->train->child_run : p->run_id,
                              .user = p->order->actor,
                              .tags = tags,
                              .n_tags = ARRAY_LEN(tags)};
    struct version_made made = {0};
    struct json *out = json_obj(a);
    enum err_code code = lineage(p, a, &v, err);
    if (code == ERR_OK)
        code = tree_bytes(p, v.tree, a, &v.bytes, err);
    if (code == ERR_OK)
        code = version_create(p->host->registry, &v, &made, err);
    if (code != ERR_OK)
        return code;
    (void)json_set(a, out, "digest", json_cstr(a, model));
    (void)json_set(a, out, "name", json_cstr(a, v.name));
    *ret = json_set(a, out, "version", json_int(a, made.version));
    return ERR_OK;
}

/* A version that somebody deleted is made again. */
static bool register_restore(void *ctx, struct step *s, const struct json *out)
{
    struct pipe *p = ctx;
    struct model_version v;
    const char *name = json_get_c(out, "name");
    return name != NULL && version_get(p->host->registry, name, json_get_int(out, "version", 0),
                                       &s->arena, &v, NULL) == ERR_OK;
}

const struct step_ops STEP_REGISTER = {"register", register_parts, register_run, register_restore};
