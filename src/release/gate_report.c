/* The gate report of a release: every rule in force judged on documents, bound to the release's digest and the benchmark. */
#include <math.h>

#include "base/check.h"
#include "base/vec.h"
#include "pipeline/evaluate.h"
#include "release/control_int.h"
#include "track/track.h"

#define PARENT_TAG "mlflow.parentRunId"

struct gating {
    struct release_host *h;
    struct release r;
    struct policy policy;        /* in force */
    const char *policy_of;       /* "r12" or "this release" */
    struct endpoint_state state; /* zeroed without the endpoint */
    struct arena *a;
};

/* ---- peers ---- */
/* Value of the first metric of the candidate in a stored report, as goodness; NaN. */
static double report_goodness(const struct json *report)
{
    const struct json *rules = json_get(report, "rules");

    for (size_t i = 0; i < json_len(rules); i++) {
        const struct json *rule = json_at(rules, i);
        enum metric_id m;
        double v;
        if (metric_from_name(json_get_str(json_get(rule, "rule"), "metric"), &m) &&
            json_as_f64(json_get(rule, "candidate"), &v))
            return metric_goodness(m, v);
    }
    return NAN;
}

static enum err_code best_of(struct release_host *h, const struct endpoint_state *s,
                             struct arena *a, const struct release *live, struct release *ret,
                             struct err *err)
{
    double best = report_goodness(live->report);

    *ret = *live;
    for (size_t i = 0; i < s->n_history; i++) {
        struct release r;
        if (s->history[i].was_rolled_back || s->history[i].release == s->live)
            continue;
        if (release_get(h->opt.db, s->history[i].release, a, &r, err) != ERR_OK) {
            if (err->code != ERR_NOT_FOUND)
                return err->code;
            err_reset(err);
            continue;
        }
        if (report_goodness(r.report) > best) {
            best = report_goodness(r.report);
            *ret = r;
        }
    }
    return ERR_OK;
}

static void peer_of(const struct release *r, const char *role, struct arena *a,
                    struct pipeline_peer *ret)
{
    *ret = (struct pipeline_peer){.role = role,
                                  .tree = json_get_c(r->doc, "tree"),
                                  .revision = r->revision,
                                  .label = str_printf(a, "r%lld", (long long)r->number)};
}

enum err_code release_peers(struct release_host *h, const char *endpoint, struct arena *a,
                            struct pipeline_peer ret[2], size_t *ret_n, struct err *err)
{
    struct endpoint_state s;
    struct release live, best;
    struct err none = ERR_INIT;

    *ret_n = 0;
    if (serve_endpoint(h->opt.serve, endpoint, a, &s, &none) != ERR_OK || s.live == 0)
        return ERR_OK;
    if (host_need_db(h, err) != ERR_OK || release_get(h->opt.db, s.live, a, &live, err) != ERR_OK ||
        best_of(h, &s, a, &live, &best, err) != ERR_OK)
        return err->code;
    peer_of(&live, "incumbent", a, &ret[0]);
    peer_of(&best, "best", a, &ret[1]);
    *ret_n = 2;
    return ERR_OK;
}

/* ---- documents ---- */
static struct json *verdict_json(bool is_ok, const char *why, struct arena *a)
{
    struct json *o = json_obj(a);

    json_set(a, o, "ok", json_bool(a, is_ok));
    return json_set(a, o, "why", json_cstr(a, why));
}

static const struct json *field_named(const struct json *fields, struct str name)
{
    for (size_t i = 0; i < json_len(fields); i++)
        if (str_eq(json_get_str(json_at(fields, i), "name"), name))
            return json_at(fields, i);
    return NULL;
}

/* Old clients must go on: no new required field, no changed type, no field gone that was required. */
static struct json *interface_json(const struct json *live, const struct json *candidate,
                                   struct arena *a)
{
    const struct json *old = json_get(live, "signature"), *new_ = json_get(candidate, "signature");

    if (!live || !old || !new_)
        return verdict_json(
            true, live ? "the live release declares no request fields" : "the first release", a);
    for (size_t i = 0; i < json_len(new_); i++) {
        const struct json *f = json_at(new_, i), *was = field_named(old, json_get_str(f, "name"));
        struct str name = json_get_str(f, "name");
        if (!was && json_get_bool(f, "required", true))
            return verdict_json(
                false,
                str_printf(a, "field %.*s is new and required: requests of today would be refused",
                           STR_ARG(name)),
                a);
        if (was && !str_eq(json_get_str(was, "type"), json_get_str(f, "type")))
            return verdict_json(false,
                                str_printf(a, "field %.*s changes from %.*s to %.*s", STR_ARG(name),
                                           STR_ARG(json_get_str(was, "type")),
                                           STR_ARG(json_get_str(f, "type"))),
                                a);
        if (was && json_get_bool(f, "required", true) && !json_get_bool(was, "required", true))
            return verdict_json(false, str_printf(a, "field %.*s becomes required", STR_ARG(name)),
                                a);
    }
    return verdict_json(true, "every request that is answered today is answered by this release",
                        a);
}

static struct json *checks_json(const struct json *checks, struct arena *a)
{
    const bool is_good = !str_is(json_get_str(checks, "verdict"), "fail");
    struct json *o;

    if (!checks)
        return NULL;
    o = json_copy(a, checks);
    json_set(a, o, "verdict", json_cstr(a, is_good ? "pass" : "fail"));
    if (!json_get(checks, "why"))
        json_set(a, o, "why",
                 json_cstr(a, is_good ? "no blocking check failed" : "a blocking check failed"));
    return o;
}

/* Does this report hold the comparisons that the rules ask for, with what is live now? */
static bool report_fits(const struct gating *g, const struct json *report,
                        const struct pipeline_peer *peers, size_t n_peers)
{
    double threshold = json_get_f64(g->r.doc, "threshold", NAN);
    double used = json_get_f64(json_path(report, "models.candidate.threshold"), "value", NAN);

    if (!report || (isfinite(threshold) && threshold != used))
        return false;
    for (size_t i = 0; i < n_peers; i++) {
        const struct json *m = json_get(json_get(report, "models"), peers[i].role);
        if (!m || !str_is(json_get_str(m, "id"), peers[i].label))
            return false;
    }
    return true;
}

static enum err_code report_make(struct gating *g, const struct pipeline_result *run,
                                 const struct pipeline_peer *peers, size_t n_peers,
                                 const struct json **ret, struct err *err)
{
    struct pipeline_model models[4] = {{.role = "candidate",
                                        .tree = json_get_c(g->r.doc, "tree"),
                                        .revision = g->r.revision,
                                        .label = str_printf(g->a, "r%lld", (long long)g->r.number),
                                        .threshold = json_get_f64(g->r.doc, "threshold", NAN)}};
    struct pipeline_models all = {
        .p = models, .n = 1, .gates = gate_rules_json(&g->policy.release.gates, g->a)};
    struct json *report;

    for (size_t i = 0; i < n_peers; i++) {
        struct release peer;
        int64_t number;
        if (release_parse(str_c(peers[i].label), &number, err) != ERR_OK ||
            release_get(g->h->opt.db, number, g->a, &peer, err) != ERR_OK)
            return err->code;
        models[all.n++] =
            (struct pipeline_model){.role = peers[i].role,
                                    .tree = peers[i].tree,
                                    .revision = peers[i].revision,
                                    .label = peers[i].label,
                                    .threshold = json_get_f64(peer.doc, "threshold", NAN)};
    }
    if (pipeline_evaluate(g->h->opt.pipeline, run->run_id, &all, g->a, &report, err) != ERR_OK)
        return err->code;
    *ret = report;
    return ERR_OK;
}

enum err_code release_run_load(struct release_host *h, const char *run_id, struct arena *a,
                               struct pipeline_result *ret, struct err *err)
{
    struct run child;
    const char *parent = NULL;
    enum err_code code = pipeline_result_load(h->opt.pipeline, run_id, a, ret, err);

    if (code != ERR_NOT_FOUND || !h->opt.pipeline->track)
        return code;
    err_reset(err);
    if (run_get(h->opt.pipeline->track, run_id, a, &child, err) != ERR_OK)
        return err->code;
    for (size_t i = 0; i < child.n_tags; i++)
        if (strcmp(child.tags[i].key, PARENT_TAG) == 0)
            parent = child.tags[i].value;
    if (!parent)
        return err_set(err, ERR_NOT_FOUND, "run %s belongs to no pipeline run", run_id);
    return pipeline_result_load(h->opt.pipeline, parent, a, ret, err);
}

/* The evaluation to judge by. NULL when there is none to be had (a model without a run): rules that need it stay open. */
static enum err_code report_get(struct gating *g, struct pipeline_result *run,
                                const struct json **ret, struct err *err)
{
    struct pipeline_peer peers[2];
    size_t n_peers = 0;

    *ret = NULL;
    if (!g->r.run_id || !g->h->opt.pipeline)
        return ERR_OK;
    if (release_run_load(g->h, g->r.run_id, g->a, run, err) != ERR_OK) {
        if (err->code != ERR_NOT_FOUND && err->code != ERR_REFUSED)
            return err->code;
        err_reset(err);
        return ERR_OK;
    }
    if (release_peers(g->h, g->r.endpoint, g->a, peers, &n_peers, err) != ERR_OK)
        return err->code;
    if (report_fits(g, run->evaluation, peers, n_peers)) {
        *ret = run->evaluation;
        return ERR_OK;
    }
    return report_make(g, run, peers, n_peers, ret, err);
}

static enum err_code judge(struct gating *g, struct gate_outcome *ret,
                           const struct json **ret_report, struct err *err)
{
    struct pipeline_result run = {0};
    struct gate_documents docs = {.has_incumbent = g->state.live > 0};
    struct err load = ERR_INIT;
    enum err_code code = serve_check(g->h->opt.serve, g->r.number, g->r.doc, &load);

    if (report_get(g, &run, &docs.report, err) != ERR_OK)
        return err_wrap(err, "evaluate r%lld", (long long)g->r.number);
    *ret_report = docs.report;
    docs.checks = checks_json(run.checks, g->a);
    docs.loads = verdict_json(
        code == ERR_OK || code == ERR_REFUSED,
        code == ERR_OK || code == ERR_REFUSED ? "the serving engine loads it" : load.msg, g->a);
    docs.regression = verdict_json(
        code == ERR_OK, code == ERR_OK ? "answers as the evaluation did" : load.msg, g->a);
    docs.interface = interface_json(g->state.live > 0 ? g->state.live_doc : NULL, g->r.doc, g->a);
    return gate_judge(&g->policy.release.gates, &docs, g->a, ret, err);
}

static struct json *needs_json(const struct gating *g)
{
    struct json *list = json_arr(g->a);
    bool is_policy = g->r.kind == RELEASE_POLICY;

    for (int role = 0; role < APPROVAL_ROLE_N; role++)
        if (g->policy.release.needs[role] || (role == APPROVAL_BUSINESS && is_policy))
            json_add(g->a, list, json_cstr(g->a, APPROVAL_ROLE_NAMES[role]));
    return list;
}

/* A first release without declared gates has nothing that could say no but loading: that is said, not hidden. */
static enum err_code settle(struct gating *g, enum verdict verdict, const struct json *needs,
                            struct err *err)
{
    int64_t now = clock_now_us(&g->h->opt.clock);
    struct db *db = g->h->opt.db;

    if (g->r.state != RELEASE_DRAFT || verdict == VERDICT_OPEN)
        return ERR_OK;
    if (verdict == VERDICT_FAIL)
        return release_move(db, g->r.number, RELEASE_REJECTED, "pawl:gates", "a gate failed", now,
                            err);
    if (release_move(db, g->r.number, RELEASE_GATED, "pawl:gates", "all gates passed", now, err) !=
        ERR_OK)
        return err->code;
    if (json_len(needs) > 0)
        return ERR_OK;
    return release_move(db, g->r.number, RELEASE_APPROVED, "pawl:gates", "nobody must agree", now,
                        err);
}

enum err_code release_gate(struct release_host *h, int64_t number, struct arena *a,
                           struct json **ret, struct err *err)
{
    struct gating g = {.h = h, .a = a, .policy_of = "this release"};
    struct gate_outcome o;
    const struct json *report = NULL;
    struct json *doc, *needs;
    const char *revision;
    struct err none = ERR_INIT;

    if (host_need_db(h, err) != ERR_OK || release_get(h->opt.db, number, a, &g.r, err) != ERR_OK)
        return err->code;
    if (serve_endpoint(h->opt.serve, g.r.endpoint, a, &g.state, &none) != ERR_OK)
        g.state = (struct endpoint_state){0};
    revision = release_live_revision(h, g.r.endpoint, a, NULL);
    if (revision)
        g.policy_of = str_printf(a, "r%lld", (long long)g.state.live);
    if (release_policy(h, revision ? revision : g.r.revision, a, &g.policy, err) != ERR_OK ||
        judge(&g, &o, &report, err) != ERR_OK)
        return err->code;
    doc = gate_outcome_json(&o, a);
    needs = needs_json(&g);
    json_set(a, doc, "release", json_fmt(a, "r%lld", (long long)number));
    json_set(a, doc, "digest", json_cstr(a, g.r.digest));
    json_set(a, doc, "policy_of", json_cstr(a, g.policy_of));
    json_set(a, doc, "benchmark",
             report && json_get(report, "benchmark") ? json_copy(a, json_get(report, "benchmark"))
                                                     : NULL);
    json_set(a, doc, "needs_approval", needs);
    json_set(a, doc, "policy_changes",
             g.r.policy_changes ? json_copy(a, g.r.policy_changes) : NULL);
    json_set(a, doc, "at", json_time(a, clock_now_us(&h->opt.clock)));
    if (release_set_report(h->opt.db, number, doc, err) != ERR_OK ||
        settle(&g, o.verdict, needs, err) != ERR_OK)
        return err->code;
    *ret = doc;
    return ERR_OK;
}
