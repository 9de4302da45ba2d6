/* The end of a run's record, and finding runs again. */
#include "base/check.h"
#include "base/file.h"
#include "pipeline/pipe.h"

enum err_code record_keys(const struct pipe *p, char ret[DIGEST_HEX_BYTES], struct err *err)
{
    struct arena a;
    struct digest d;
    arena_init(&a, (size_t)64 << 20);
    struct json *keys = json_obj(&a);
    for (size_t i = 0; i < p->graph.n; i++) {
        const struct step *s = p->graph.steps[i];
        if (s->state == STEP_CACHED || s->state == STEP_DONE)
            (void)json_set(&a, keys, s->name, json_cstr(&a, s->key));
    }
    enum err_code code = json_digest(keys, "steps", &d, err);
    if (code == ERR_OK)
        digest_hex(&d, ret);
    arena_fini(&a);
    return code;
}

struct same {
    const char *project, *keys;
    struct arena *a;
    char *run;
};

static enum err_code find_same(struct db_tx *tx, void *arg, struct err *err)
{
    struct same *x = arg;
    struct db_rows *r = NULL;
    x->run = NULL;
    enum err_code code =
        db_query(tx, &r, err,
                 "SELECT run_id FROM pipeline_runs WHERE project = ? AND keys_digest = ? AND "
                 "state = 'done' ORDER BY started_us DESC LIMIT 1",
                 "ss", x->project, x->keys);
    if (code != ERR_OK)
        return code;
    if (db_next(r))
        x->run = db_dup(r, 0, x->a);
    return db_done(r, err);
}

enum err_code record_same_run(struct pipe *p, const char *keys, struct arena *a, const char **ret,
                              struct err *err)
{
    struct same x = {p->spec->project.name, keys, a, NULL};
    enum err_code code = db_read(p->host->db, find_same, &x, err);
    if (code == ERR_OK)
        *ret = x.run;
    return code;
}

struct closing {
    struct pipe *p;
    const char *state, *error, *keys;
    struct str result;
    int64_t at_us;
};

static enum err_code close_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct closing *c = arg;
    return db_exec(
        tx, err,
        "UPDATE pipeline_runs SET state = ?, error = ?, keys_digest = ?, result = ?, ended_us = ? "
        "WHERE run_id = ?",
        "ssstis", c->state, c->error, c->keys, c->result, c->at_us, c->p->run_id);
}

/* The data that the run read, as inputs of the run. */
static enum err_code log_inputs(struct pipe *p, const struct pipeline_result *res, struct err *err)
{
    size_t n = 0;
    struct run_input *in = ARENA_NEW_N(p->a, struct run_input, p->spec->sources.n + 1);
    const struct tag tags[] = {
        {"pawl.model_digest", res->model_digest != NULL ? res->model_digest : ""},
        {"pawl.outcome", pipeline_outcome_name(res->outcome)}};
    if (in == NULL)
        return arena_err(p->a, err);
    for (size_t i = 0; i < p->spec->sources.n; i++) {
        char *hex = arena_alloc(p->a, DIGEST_HEX_BYTES);
        if (!p->sources[i].is_ready || hex == NULL)
            continue;
        digest_hex(&p->sources[i].version.digest, hex);
        in[n++] = (struct run_input){.name = str_dup(p->a, p->sources[i].spec->name),
                                     .digest = hex,
                                     .source_type = "pawl",
                                     .source = hex,
                                     .context = "training"};
    }
    struct run_batch b = {.inputs = in, .n_inputs = n, .tags = tags, .n_tags = ARRAY_LEN(tags)};
    return run_log(p->host->track, p->run_id, &b, err);
}

enum err_code record_close(struct pipe *p, const struct pipeline_result *res, const struct err *why,
                           struct err *err)
{
    char keys[DIGEST_HEX_BYTES];
    struct buf text;
    bool is_done = res->outcome == PIPELINE_DONE || res->outcome == PIPELINE_UNCHANGED;
    struct closing c = {.p = p,
                        .error = is_done ? NULL : why->msg,
                        .keys = keys,
                        .at_us = clock_now_us(p->host->clock)};
    buf_init(&text, PIPE_BLOB_MAX);
    c.state = is_done ? "done" : pipeline_outcome_name(res->outcome);
    if (why->code == ERR_CANCELLED)
        c.state = "cancelled";
    enum err_code code = record_keys(p, keys, err);
    if (code == ERR_OK)
        code = json_write(res->doc, JSON_COMPACT, &text, err);
    c.result = buf_view(&text);
    if (code == ERR_OK)
        code = log_inputs(p, res, err);
    if (code == ERR_OK)
        code = db_write(p->host->db, close_tx, &c, err);
    if (code == ERR_OK)
        code = run_end(p->host->track, p->run_id,
                       is_done                      ? RUN_FINISHED
                       : why->code == ERR_CANCELLED ? RUN_KILLED
                                                    : RUN_FAILED,
                       AT_US_NONE, err);
    buf_fini(&text);
    return code;
}

/* ---- the owner's start ---- */

static enum err_code count_cut(struct db_tx *tx, void *arg, struct err *err)
{
    return db_get_i64(tx, arg, err, "SELECT COUNT(*) FROM pipeline_runs WHERE state = 'running'",
                      "");
}

static enum err_code clear_tmp(const struct pipeline_host *host, struct err *err)
{
    struct arena a;
    char **names = NULL;
    size_t n = 0;
    arena_init(&a, (size_t)16 << 20);
    const char *dir = path_join(&a, host->home, "tmp");
    enum err_code code = dir != NULL ? ERR_OK : arena_err(&a, err);
    if (code == ERR_OK && dir_exists(dir))
        code = dir_list(dir, &a, &names, &n, err);
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        const char *path = path_join(&a, dir, names[i]);
        if (path != NULL && strncmp(names[i], "run-", 4) == 0)
            code = dir_remove(path, err);
    }
    arena_fini(&a);
    return code;
}

enum err_code pipeline_recover(const struct pipeline_host *host, int64_t *ret_n, struct err *err)
{
    int64_t n = 0;
    enum err_code code = db_read(host->db, count_cut, &n, err);
    if (code == ERR_OK)
        code = clear_tmp(host, err);
    if (code == ERR_OK)
        *ret_n = n;
    return code;
}
