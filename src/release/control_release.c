/* Making releases: from a pipeline run, from a registered version, from another release; approving and rejecting them. */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "blob/tree.h"
#include "registry/registry.h"
#include "release/control_int.h"

#define PLAN_BYTES_MAX ((size_t)16 << 20)

/* ---- what is live ---- */
static const struct json *live_doc(struct release_host *h, const char *endpoint, struct arena *a,
                                   int64_t *ret_live)
{
    struct endpoint_state s;
    struct err none = ERR_INIT;

    *ret_live = 0;
    if (serve_endpoint(h->opt.serve, endpoint, a, &s, &none) != ERR_OK || s.live == 0)
        return NULL;
    *ret_live = s.live;
    return s.live_doc;
}

static enum err_code store(struct release_host *h, const struct json *doc,
                           const struct release_order *o, struct release_new *n,
                           int64_t *ret_number, struct err *err)
{
    n->doc = doc;
    n->author = o->actor;
    n->reason = o->reason ? o->reason : "";
    n->at_us = clock_now_us(&h->opt.clock);
    return release_create(h->opt.db, n, ret_number, err);
}

/* ---- policy of a candidate ---- */
static enum err_code changes_of(struct release_host *h, const char *endpoint, const char *revision,
                                struct arena *a, struct json **ret, struct err *err)
{
    const char *live = release_live_revision(h, endpoint, a, NULL);
    struct policy mine, in_force;

    *ret = NULL;
    if (!live || !revision || strcmp(live, revision) == 0)
        return ERR_OK;
    if (release_policy(h, live, a, &in_force, err) != ERR_OK ||
        release_policy(h, revision, a, &mine, err) != ERR_OK)
        return err->code;
    *ret = policy_diff(in_force.release.policy, mine.release.policy, a);
    if (json_len(*ret) == 0)
        *ret = NULL;
    return ERR_OK;
}

/* Views or the request's form changed against what is live: a features release. */
static bool has_other_features(const struct json *live, const struct json *views,
                               const struct json *signature)
{
    const struct json *old_views = json_get(live, "views"),
                      *old_signature = json_get(live, "signature");

    if (json_len(views) != json_len(old_views) ||
        (json_len(views) > 0 && !json_eq(views, old_views)))
        return true;
    return signature && old_signature && !json_eq(signature, old_signature);
}

enum err_code release_from_run(struct release_host *h, const struct pipeline_result *run,
                               const struct release_order *o, struct arena *a, int64_t *ret_number,
                               struct err *err)
{
    struct release_parts p = {.endpoint = o->endpoint,
                              .kind = RELEASE_RETRAIN,
                              .model_digest = run->model_digest,
                              .tree_digest = run->tree,
                              .views = run->views,
                              .threshold = run->threshold,
                              .signature = json_get(run->plan, "request")};
    struct release_new n = {.project = run->project,
                            .revision = run->revision,
                            .model = run->model_name,
                            .run_id = run->run_id};
    struct json *doc, *changes;
    struct digest digest;
    const struct json *live;

    if (host_need_db(h, err) != ERR_OK)
        return err->code;
    if (!run->tree || !run->model_digest)
        return err_set(err, ERR_REFUSED, "run %s came to no model: there is nothing to release",
                       run->run_id ? run->run_id : "?");
    live = live_doc(h, o->endpoint, a, &n.parent);
    if (changes_of(h, o->endpoint, run->revision, a, &changes, err) != ERR_OK)
        return err->code;
    if (changes)
        p.kind = RELEASE_POLICY;
    else if (live && has_other_features(live, run->views, p.signature))
        p.kind = RELEASE_FEATURES;
    if (release_doc(&p, a, &doc, &digest, err) != ERR_OK)
        return err->code;
    n.policy_changes = changes;
    if (run->model_version > 0)
        n.model_version = str_printf(a, "%lld", (long long)run->model_version);
    return store(h, doc, o, &n, ret_number, err);
}

static enum err_code tree_json(struct release_host *h, const char *tree, const char *path,
                               struct arena *a, struct json **ret, struct err *err)
{
    struct digest d;
    struct str text;

    if (digest_parse(str_c(tree), &d, err) != ERR_OK ||
        tree_read_file(h->opt.blobs, &d, path, PLAN_BYTES_MAX, a, &text, err) != ERR_OK)
        return err->code;
    return json_read(text, a, ret, err);
}

static const struct json *plan_views(const struct json *plan, struct arena *a)
{
    const struct json *lookups = json_get(plan, "lookups");
    struct json *views = json_obj(a);

    for (size_t i = 0; i < json_len(lookups); i++) {
        const char *view = json_get_c(json_at(lookups, i), "view");
        if (view)
            json_set(a, views, view, json_str(a, json_get_str(json_at(lookups, i), "version")));
    }
    return views;
}

static enum err_code version_find_in(struct release_host *h, const char *ref, struct arena *a,
                                     struct model_version *ret, struct err *err)
{
    struct registry *reg = NULL;
    enum err_code code = registry_open(h->opt.db, h->opt.blobs, &h->opt.clock, &reg, err);

    if (code == ERR_OK)
        code = version_find(reg, ref, a, ret, err);
    registry_close(reg);
    if (code == ERR_OK && (!ret->tree || !ret->digest))
        return err_set(
            err, ERR_REFUSED,
            "%s/%lld lies outside the store (%s) and cannot be served: log it with its files",
            ret->name, (long long)ret->version, ret->source ? ret->source : "nowhere");
    return code;
}

enum err_code release_from_model(struct release_host *h, const char *ref,
                                 const struct release_order *o, struct arena *a,
                                 int64_t *ret_number, struct err *err)
{
    struct model_version v;
    struct release_parts p = {.endpoint = o->endpoint, .kind = RELEASE_RETRAIN, .threshold = NAN};
    struct release_new n = {0};
    struct json *plan = NULL, *baseline = NULL, *doc;
    struct err none = ERR_INIT;
    struct digest digest;
    const struct json *live;

    if (host_need_db(h, err) != ERR_OK || version_find_in(h, ref, a, &v, err) != ERR_OK)
        return err->code;
    /* A model logged from a notebook has neither plan nor baseline: its signature says what it takes. */
    if (tree_json(h, v.tree, "pawl/plan.json", a, &plan, &none) != ERR_OK)
        plan = NULL;
    if (tree_json(h, v.tree, "pawl/baseline.json", a, &baseline, &none) == ERR_OK)
        p.threshold = json_get_f64(baseline, "threshold", NAN);
    live = live_doc(h, o->endpoint, a, &n.parent);
    p.model_digest = v.digest;
    p.tree_digest = v.tree;
    p.views = plan ? plan_views(plan, a) : NULL;
    p.signature = json_get(plan, "request");
    if (live && has_other_features(live, p.views, p.signature))
        p.kind = RELEASE_FEATURES;
    if (release_doc(&p, a, &doc, &digest, err) != ERR_OK)
        return err->code;
    n.model = v.name;
    n.model_version = str_printf(a, "%lld", (long long)v.version);
    n.run_id = v.run_id;
    for (size_t i = 0; i < v.n_lineage; i++)
        if (v.lineage[i].kind == LINEAGE_CODE) {
            n.project = v.lineage[i].name;
            n.revision = v.lineage[i].digest;
        }
    return store(h, doc, o, &n, ret_number, err);
}

/* ---- from another release ---- */
static enum err_code apply_settings(struct json *doc, const struct json *set, struct arena *a,
                                    struct err *err)
{
    struct json *serving =
        json_get(doc, "serving") ? json_copy(a, json_get(doc, "serving")) : json_obj(a);

    for (size_t i = 0; i < json_len(set); i++) {
        const struct json_member *m = &set->u.obj.members[i];
        char *key = str_dup(a, m->key);
        if (!key)
            return arena_err(a, err);
        json_set(a, serving, key, json_copy(a, m->val));
    }
    if (json_len(serving) > 0)
        json_set(a, doc, "serving", serving);
    return ERR_OK;
}

enum err_code release_derive(struct release_host *h, int64_t from, double threshold,
                             const struct json *set, const struct release_order *o, struct arena *a,
                             int64_t *ret_number, struct err *err)
{
    struct release parent;
    struct json *doc;
    int64_t live;

    (void)live_doc(h, o->endpoint, a, &live);
    if (from == 0 && live == 0)
        return err_set(err, ERR_NOT_FOUND, "endpoint %s has no live release to start from",
                       o->endpoint);
    if (host_need_db(h, err) != ERR_OK ||
        release_get(h->opt.db, from ? from : live, a, &parent, err) != ERR_OK)
        return err->code;
    doc = json_copy(a, parent.doc);
    if (isfinite(threshold))
        json_set(a, doc, "threshold", json_num(a, threshold));
    if (json_len(set) > 0 && apply_settings(doc, set, a, err) != ERR_OK)
        return err->code;
    if (json_eq(doc, parent.doc))
        return err_set(err, ERR_INVALID,
                       "nothing changes against r%lld: give --threshold or --set KEY=VALUE",
                       (long long)parent.number);
    json_set(a, doc, "kind",
             json_cstr(
                 a, RELEASE_KIND_NAMES[isfinite(threshold) ? RELEASE_THRESHOLD : RELEASE_SERVING]));
    json_set(a, doc, "endpoint", json_cstr(a, o->endpoint));
    return store(h, doc, o,
                 &(struct release_new){.parent = parent.number,
                                       .project = parent.project,
                                       .revision = parent.revision,
                                       .model = parent.model,
                                       .model_version = parent.model_version,
                                       .run_id = parent.run_id},
                 ret_number, err);
}

/* ---- approvals ---- */
static bool is_approved_by(const struct release *r, const char *role)
{
    for (size_t i = 0; i < json_len(r->approvals); i++)
        if (str_is(json_get_str(json_at(r->approvals, i), "role"), role))
            return true;
    return false;
}

/* The sentence of a refusal, or ERR_OK. */
static enum err_code may_approve(const struct release *r, const char *role, const char *actor,
                                 struct err *err)
{
    if (strcmp(role, APPROVAL_ROLE_NAMES[APPROVAL_ML]) != 0 &&
        strcmp(role, APPROVAL_ROLE_NAMES[APPROVAL_BUSINESS]) != 0)
        return err_set(err, ERR_INVALID, "\"%s\" is no role that approves: ml or business", role);
    if (r->state == RELEASE_DRAFT)
        return err_set(err, ERR_REFUSED, "r%lld has not passed its gates: nothing to approve yet",
                       (long long)r->number);
    if (r->state != RELEASE_GATED)
        return err_set(err, ERR_REFUSED, "r%lld is %s: only a gated release is approved",
                       (long long)r->number, RELEASE_STATE_NAMES[r->state]);
    if (strcmp(r->author, actor) == 0)
        return err_set(err, ERR_FORBIDDEN, "%s is the author of r%lld: somebody else approves it",
                       actor, (long long)r->number);
    if (!str_is(json_get_str(r->report, "digest"), r->digest))
        return err_set(err, ERR_REFUSED,
                       "the gate report of r%lld is about other content: gate it again",
                       (long long)r->number);
    if (is_approved_by(r, role))
        return err_set(err, ERR_EXISTS, "r%lld is approved by %s already", (long long)r->number,
                       role);
    return ERR_OK;
}

enum err_code release_approve(struct release_host *h, int64_t number, const char *role,
                              const char *actor, const char *reason, struct arena *a,
                              struct json **ret, struct err *err)
{
    struct release r;
    struct json *list, *one = json_obj(a), *missing = json_arr(a), *out = json_obj(a);
    int64_t now = clock_now_us(&h->opt.clock);
    const struct json *needs;

    if (host_need_db(h, err) != ERR_OK || release_get(h->opt.db, number, a, &r, err) != ERR_OK ||
        may_approve(&r, role, actor, err) != ERR_OK)
        return err->code;
    list = r.approvals ? json_copy(a, r.approvals) : json_arr(a);
    json_set(a, one, "role", json_cstr(a, role));
    json_set(a, one, "actor", json_cstr(a, actor));
    json_set(a, one, "at", json_time(a, now));
    json_set(a, one, "reason", json_cstr(a, reason));
    json_add(a, list, one);
    if (release_set_approvals(h->opt.db, number, list, err) != ERR_OK)
        return err->code;
    r.approvals = list;
    needs = json_get(r.report, "needs_approval");
    for (size_t i = 0; i < json_len(needs); i++)
        if (!is_approved_by(&r, json_at(needs, i)->u.s.p))
            json_add(a, missing, json_copy(a, json_at(needs, i)));
    if (json_len(missing) == 0 &&
        release_move(h->opt.db, number, RELEASE_APPROVED, actor, reason, now, err) != ERR_OK)
        return err->code;
    json_set(a, out, "release", json_fmt(a, "r%lld", (long long)number));
    json_set(
        a, out, "state",
        json_cstr(a,
                  RELEASE_STATE_NAMES[json_len(missing) == 0 ? RELEASE_APPROVED : RELEASE_GATED]));
    json_set(a, out, "missing", missing);
    *ret = out;
    return host_audit(h, actor, "release.approve",
                      str_printf(a, "release:r%lld", (long long)number), reason, one, err);
}

enum err_code release_reject(struct release_host *h, int64_t number, const char *actor,
                             const char *reason, struct err *err)
{
    char object[48];

    if (host_need_db(h, err) != ERR_OK ||
        release_move(h->opt.db, number, RELEASE_REJECTED, actor, reason,
                     clock_now_us(&h->opt.clock), err) != ERR_OK)
        return err->code;
    (void)snprintf(object, sizeof(object), "release:r%lld", (long long)number);
    return host_audit(h, actor, "release.reject", object, reason, NULL, err);
}
