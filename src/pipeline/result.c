/* The answer of a run: one document that is stored, printed and read back into struct pipeline_result. Plan, report and
 * signature are not in it but in the store, where the model's tree and the report have them. */
#include <math.h>

#include "base/check.h"
#include "features/plan.h"
#include "pipeline/pipe.h"

static const char *const OUTCOMES[] = {"unchanged", "done", "blocked", "failed"};

const char *pipeline_outcome_name(enum pipeline_outcome o)
{
    CHECK(o < PIPELINE_OUTCOME_N);
    return OUTCOMES[o];
}

static struct json *step_json(const struct step *s, struct arena *a)
{
    struct json *v = json_obj(a);
    bool is_bad = s->state == STEP_FAILED || s->state == STEP_BLOCKED;
    (void)json_set(a, v, "name", json_cstr(a, s->name));
    (void)json_set(a, v, "state", json_cstr(a, step_state_name(s->state)));
    (void)json_set(a, v, "why", s->reason != NULL ? json_copy(a, s->reason) : NULL);
    if (s->key[0] != '\0')
        (void)json_set(a, v, "key", json_cstr(a, s->key));
    if (s->state == STEP_DONE || is_bad)
        (void)json_set(a, v, "ms", json_int(a, (s->ended_us - s->started_us) / US_PER_MS));
    if (s->state == STEP_CACHED)
        (void)json_set(a, v, "from_run", json_cstr(a, s->from_run));
    if (s->child_run[0] != '\0')
        (void)json_set(a, v, "run", json_cstr(a, s->child_run));
    if (s->log != NULL)
        (void)json_set(a, v, "log", json_cstr(a, s->log));
    if (is_bad)
        (void)json_set(a, v, "error", json_cstr(a, s->err.msg));
    (void)json_set(a, v, "digest", json_copy(a, json_get(s->out, "digest")));
    return v;
}

/* {passed, verdict, reports: {step: report}}: every check that ran, without its rows when it passed. */
static struct json *checks_json_of(struct pipe *p, struct arena *a)
{
    struct json *reports = json_obj(a), *v = json_obj(a);
    bool is_passed = true, has_any = false;
    for (size_t i = 0; i < p->graph.n; i++) {
        const struct step *s = p->graph.steps[i];
        if (strncmp(s->name, "validate.", 9) != 0 || s->state == STEP_UNASKED)
            continue;
        has_any = true;
        is_passed = is_passed && (s->state == STEP_DONE || s->state == STEP_CACHED);
        if (s->out != NULL)
            (void)json_set(a, reports, s->name + 9, json_copy(a, s->out));
    }
    (void)json_set(a, v, "verdict",
                   json_cstr(a, !has_any    ? "no_evidence"
                                : is_passed ? "pass"
                                            : "fail"));
    return json_set(a, v, "reports", reports);
}

static struct json *data_json(struct pipe *p, struct arena *a)
{
    struct json *v = json_obj(a);
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        const char *name = str_dup(a, p->sources[i].spec->name);
        if (name != NULL && p->sources[i].is_ready)
            (void)json_set(a, v, name, json_hex(a, &p->sources[i].version.digest));
    }
    return v;
}

static struct json *freshness_json(struct pipe *p, struct arena *a)
{
    struct json *list = json_arr(a);
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        struct pipe_source *s = &p->sources[i];
        if (s->is_ready && s->spec->freshness_us >= 0)
            (void)json_add(a, list, data_freshness(s->spec, &s->version, p->at_us, a));
    }
    return list;
}

static struct json *view_versions(const struct json *plan, struct arena *a)
{
    struct json *v = json_obj(a);
    const struct json *lookups = json_get(plan, "lookups");
    for (size_t i = 0; i < json_len(lookups); i++) {
        const char *name = json_get_c(json_at(lookups, i), "view");
        if (name != NULL)
            (void)json_set(a, v, name, json_copy(a, json_get(json_at(lookups, i), "version")));
    }
    return v;
}

static bool is_good(const struct step *s)
{
    return s != NULL && (s->state == STEP_DONE || s->state == STEP_CACHED);
}

static struct json *model_json_of(struct pipe *p, struct arena *a)
{
    struct json *v = json_obj(a);
    if (is_good(p->train))
        (void)json_set(a, v, "trained", json_cstr(a, step_out(p->train, "digest")));
    if (is_good(p->profile)) {
        (void)json_set(a, v, "tree", json_cstr(a, step_out(p->profile, "tree")));
        (void)json_set(a, v, "digest", json_cstr(a, step_out(p->profile, "digest")));
        (void)json_set(a, v, "views", view_versions(json_get(p->train->out, "plan"), a));
        (void)json_set(a, v, "importance", json_copy(a, json_get(p->train->out, "importance")));
    }
    if (is_good(p->evaluate)) {
        (void)json_set(a, v, "report", json_cstr(a, step_out(p->evaluate, "report")));
        (void)json_set(a, v, "threshold", json_copy(a, json_get(p->evaluate->out, "threshold")));
        (void)json_set(a, v, "split", json_copy(a, json_get(p->evaluate->out, "split")));
        (void)json_set(a, v, "metrics", json_copy(a, json_get(p->evaluate->out, "metrics")));
    }
    if (is_good(p->register_)) {
        (void)json_set(a, v, "name", json_cstr(a, step_out(p->register_, "name")));
        (void)json_set(a, v, "version", json_copy(a, json_get(p->register_->out, "version")));
    }
    return json_len(v) > 0 ? v : NULL;
}

static void count(const struct pipe *p, struct pipeline_result *r)
{
    for (size_t i = 0; i < p->graph.n; i++) {
        enum step_state s = p->graph.steps[i]->state;
        r->n_steps += s != STEP_UNASKED;
        r->n_cached += s == STEP_CACHED;
        r->n_ran += s == STEP_DONE || s == STEP_FAILED || s == STEP_BLOCKED;
    }
}

static enum pipeline_outcome outcome_of(const struct pipeline_result *r, enum err_code code)
{
    if (code == ERR_NO)
        return PIPELINE_BLOCKED;
    if (code != ERR_OK)
        return PIPELINE_FAILED;
    return r->n_ran == 0 ? PIPELINE_UNCHANGED : PIPELINE_DONE;
}

enum err_code result_fill(struct pipe *p, enum err_code code, struct pipeline_result *ret,
                          struct err *err)
{
    struct arena *a = p->a;
    struct pipeline_result r = {.threshold = (double)NAN};
    struct json *doc = json_obj(a), *steps = json_arr(a), *counts = json_obj(a);
    char keys[DIGEST_HEX_BYTES];
    const char *same = p->run_id[0] != '\0' ? p->run_id : NULL;
    count(p, &r);
    r.outcome = outcome_of(&r, code);
    enum err_code ret_code = record_keys(p, keys, err);
    if (ret_code == ERR_OK && same == NULL)
        ret_code = record_same_run(p, keys, a, &same, err);
    if (ret_code != ERR_OK)
        return ret_code;
    for (size_t i = 0; i < p->graph.n; i++) {
        if (p->graph.steps[i]->state != STEP_UNASKED)
            (void)json_add(a, steps, step_json(p->graph.steps[i], a));
    }
    (void)json_set(a, counts, "steps", json_int(a, (int64_t)r.n_steps));
    (void)json_set(a, counts, "ran", json_int(a, (int64_t)r.n_ran));
    (void)json_set(a, counts, "reused", json_int(a, (int64_t)r.n_cached));
    (void)json_set(a, doc, "outcome", json_cstr(a, pipeline_outcome_name(r.outcome)));
    (void)json_set(a, doc, "run", json_cstr(a, same));
    (void)json_set(a, doc, "project", json_cstr(a, p->spec->project.name));
    (void)json_set(a, doc, "revision", json_cstr(a, p->revision));
    (void)json_set(a, doc, "as_of", json_time(a, p->as_of_us));
    if (p->spec->has_train)
        (void)json_set(a, doc, "seed",
                       json_int(a, p->order->is_seed ? p->order->seed : p->spec->train.seed));
    if (p->is_resumed)
        (void)json_set(a, doc, "resumed", json_bool(a, true));
    (void)json_set(a, doc, "counts", counts);
    (void)json_set(a, doc, "steps", steps);
    (void)json_set(a, doc, "model", model_json_of(p, a));
    (void)json_set(a, doc, "checks", checks_json_of(p, a));
    (void)json_set(a, doc, "data", data_json(p, a));
    (void)json_set(a, doc, "freshness", freshness_json(p, a));
    if (is_good(p->dataset)) {
        (void)json_set(a, doc, "dataset", json_cstr(a, step_out(p->dataset, "digest")));
        (void)json_set(a, doc, "splits", json_copy(a, json_get(p->dataset->out, "splits")));
        (void)json_set(a, doc, "benchmark_until",
                       json_copy(a, json_get(p->dataset->out, "benchmark_until")));
    }
    return result_read(p->host, doc, a, ret, err);
}

/* ---- back from the document ---- */

static enum err_code signature_of(const struct json *plan_doc, struct arena *a, struct json **ret,
                                  struct err *err)
{
    struct plan *plan = NULL;
    struct sig_field out = {.type = SIG_DOUBLE, .is_required = true, .name = "score"};
    struct signature sig = {.outputs = &out, .n_outputs = 1};
    enum err_code code = plan_read(plan_doc, a, &plan, err);
    if (code != ERR_OK)
        return code;
    sig.inputs = plan_signature(plan, a, &sig.n_inputs);
    if (sig.inputs == NULL)
        return arena_err(a, err);
    *ret = signature_json(&sig, a);
    return ERR_OK;
}

static enum err_code load_model(const struct pipeline_host *host, struct pipeline_result *r,
                                struct arena *a, struct err *err)
{
    struct digest d;
    struct str text = STR_NONE;
    struct json *plan = NULL, *signature = NULL, *report = NULL;
    enum err_code code = digest_parse(str_c(r->tree), &d, err);
    if (code == ERR_OK)
        code = tree_read_file(host->blobs, &d, "pawl/plan.json", PIPE_BLOB_MAX, a, &text, err);
    if (code == ERR_OK)
        code = json_read(text, a, &plan, err);
    if (code == ERR_OK)
        code = signature_of(plan, a, &signature, err);
    r->plan = plan;
    r->signature = signature;
    if (code != ERR_OK || r->report == NULL)
        return code;
    code = digest_parse(str_c(r->report), &d, err);
    if (code == ERR_OK)
        code = blob_read(host->blobs, &d, PIPE_BLOB_MAX, a, &text, err);
    if (code == ERR_OK)
        code = json_read(text, a, &report, err);
    r->evaluation = report;
    return code;
}

enum err_code result_read(const struct pipeline_host *host, const struct json *doc, struct arena *a,
                          struct pipeline_result *ret, struct err *err)
{
    const struct json *m = json_get(doc, "model"), *counts = json_get(doc, "counts");
    const char *outcome = json_get_c(doc, "outcome");
    struct pipeline_result r = {.run_id = json_get_c(doc, "run"),
                                .project = json_get_c(doc, "project"),
                                .revision = json_get_c(doc, "revision"),
                                .model_name = json_get_c(m, "name"),
                                .model_version = json_get_int(m, "version", 0),
                                .tree = json_get_c(m, "tree"),
                                .model_digest = json_get_c(m, "digest"),
                                .views = json_get(m, "views"),
                                .threshold = json_get_f64(m, "threshold", (double)NAN),
                                .report = json_get_c(m, "report"),
                                .checks = json_get(doc, "checks"),
                                .data = json_get(doc, "data"),
                                .dataset = json_get_c(doc, "dataset"),
                                .n_steps = (size_t)json_get_int(counts, "steps", 0),
                                .n_ran = (size_t)json_get_int(counts, "ran", 0),
                                .n_cached = (size_t)json_get_int(counts, "reused", 0),
                                .doc = doc};
    for (size_t i = 0; outcome != NULL && i < PIPELINE_OUTCOME_N; i++) {
        if (strcmp(outcome, OUTCOMES[i]) == 0)
            r.outcome = (enum pipeline_outcome)i;
    }
    enum err_code code = r.tree != NULL ? load_model(host, &r, a, err) : ERR_OK;
    if (code == ERR_OK)
        *ret = r;
    return code;
}

struct stored {
    const char *run;
    struct arena *a;
    char *text, *state;
};

static enum err_code read_stored(struct db_tx *tx, void *arg, struct err *err)
{
    struct stored *x = arg;
    struct db_rows *r = NULL;
    x->text = x->state = NULL;
    /* The registry names the training run, which is a child of the pipeline's. */
    enum err_code code =
        db_query(tx, &r, err,
                 "SELECT result, state FROM pipeline_runs WHERE run_id = ? OR run_id = "
                 "(SELECT parent_id FROM runs WHERE id = ?)",
                 "ss", x->run, x->run);
    if (code != ERR_OK)
        return code;
    if (db_next(r)) {
        x->text = db_dup(r, 0, x->a);
        x->state = db_dup(r, 1, x->a);
    }
    return db_done(r, err);
}

enum err_code pipeline_result_load(const struct pipeline_host *host, const char *run_id,
                                   struct arena *a, struct pipeline_result *ret, struct err *err)
{
    struct stored x = {.run = run_id, .a = a};
    struct json *doc = NULL;
    enum err_code code = db_read(host->db, read_stored, &x, err);
    if (code != ERR_OK)
        return code;
    if (x.state == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s is not a pipeline run", run_id);
    if (x.text == NULL)
        return err_set(err, ERR_REFUSED, "run %s is %s: it has no result", run_id, x.state);
    code = json_read(str_c(x.text), a, &doc, err);
    return code == ERR_OK ? result_read(host, doc, a, ret, err) : code;
}
