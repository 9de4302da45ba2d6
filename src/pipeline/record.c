/* What a run leaves behind: the step cache, the runs and steps of pipeline_runs / pipeline_steps, and the runs of track/. */
#include <stdio.h>

#include "base/check.h"
#include "pipeline/pipe.h"
#include "track/environment.h"

#define DOC_BYTES_MAX ((size_t)64 << 20)
#define CUT_MAX       256 /* runs of steps that one dead process left */

static enum err_code to_text(const struct json *v, struct buf *out, struct err *err)
{
    buf_init(out, DOC_BYTES_MAX);
    enum err_code code = json_write(v, JSON_CANONICAL, out, err);
    return code == ERR_OK ? buf_ok(out, err) : code;
}

/* ---- the step cache ---- */

struct row_get {
    const char *sql, *a, *b; /* one or two texts */
    struct arena *arena;
    char *text, *more; /* first and second column; NULL: no row */
};

static enum err_code get_row(struct db_tx *tx, void *arg, struct err *err)
{
    struct row_get *g = arg;
    struct db_rows *r = NULL;
    g->text = g->more = NULL;
    enum err_code code = g->b != NULL ? db_query(tx, &r, err, g->sql, "ss", g->a, g->b)
                                      : db_query(tx, &r, err, g->sql, "s", g->a);
    if (code != ERR_OK)
        return code;
    if (db_next(r)) {
        g->text = db_dup(r, 0, g->arena);
        g->more = db_dup(r, 1, g->arena);
    }
    return db_done(r, err);
}

/* A document of the store, with the run that made it. */
static enum err_code cached(struct pipe *p, const char *key, struct arena *a, struct json **ret,
                            const char **ret_run, struct err *err)
{
    struct row_get g = {
        .sql = "SELECT output, run_id FROM step_cache WHERE key = ?", .a = key, .arena = a};
    *ret = NULL;
    if (p->order->cache == PIPELINE_CACHE_BYPASS)
        return ERR_OK;
    enum err_code code = db_read(p->host->db, get_row, &g, err);
    if (code != ERR_OK || g.text == NULL)
        return code;
    *ret_run = g.more;
    return json_read(str_c(g.text), a, ret, err);
}

enum err_code cache_get(struct pipe *p, const char *key, struct arena *a, struct json **ret,
                        struct err *err)
{
    const char *run = NULL;
    return cached(p, key, a, ret, &run, err);
}

struct put {
    struct pipe *p;
    const struct cache_row *row;
    struct str out, parts;
    int64_t at_us, duration_us;
    enum step_state state;
    const struct step *step; /* NULL: only the cache */
    struct str reason;
};

static enum err_code put_cache(struct db_tx *tx, const struct put *x, struct err *err)
{
    enum err_code code = db_exec(tx, err, "DELETE FROM step_cache WHERE key = ?", "s", x->row->key);
    if (code == ERR_OK)
        code = db_exec(tx, err,
                       "INSERT INTO step_cache (key, kind, project, step, output, parts, run_id, "
                       "created_us, duration_us) VALUES (?,?,?,?,?,?,?,?,?)",
                       "ssssttsii", x->row->key, x->row->kind, x->p->spec->project.name,
                       x->row->step, x->out, x->parts,
                       x->p->run_id[0] != '\0' ? x->p->run_id : NULL, x->at_us, x->duration_us);
    return code;
}

static enum err_code put_only(struct db_tx *tx, void *arg, struct err *err)
{
    return put_cache(tx, arg, err);
}

enum err_code cache_put(struct pipe *p, const struct cache_row *row, struct err *err)
{
    struct buf out = {0}, parts = {0};
    struct put x = {.p = p, .row = row, .at_us = clock_now_us(p->host->clock)};
    if (p->order->cache == PIPELINE_CACHE_BYPASS)
        return ERR_OK;
    enum err_code code = to_text(row->out, &out, err);
    if (code == ERR_OK)
        code = to_text(row->parts, &parts, err);
    x.out = buf_view(&out);
    x.parts = buf_view(&parts);
    if (code == ERR_OK)
        code = db_write(p->host->db, put_only, &x, err);
    buf_fini(&out);
    buf_fini(&parts);
    return code;
}

enum err_code record_find(void *ctx, struct step *s, struct err *err)
{
    return cached(ctx, s->key, &s->arena, &s->out, &s->from_run, err);
}

/* ---- the run ---- */

struct opening {
    struct pipe *p;
    struct str asked;
    char resumed[RUN_ID_BYTES];
    int64_t at_us;
    bool is_leftover;
    char *cut[CUT_MAX];
    size_t n_cut;
};

/* Runs of this project that a dead process left: the one that asked the same goes on, the others are over. */
static enum err_code find_leftover(struct db_tx *tx, void *arg, struct err *err)
{
    struct opening *o = arg;
    struct db_rows *r = NULL;
    o->is_leftover = false;
    o->resumed[0] = '\0';
    enum err_code code =
        db_query(tx, &r, err,
                 "SELECT run_id, revision, asked FROM pipeline_runs WHERE project = ? "
                 "AND state = 'running' ORDER BY started_us DESC",
                 "s", o->p->spec->project.name);
    if (code != ERR_OK)
        return code;
    while (db_next(r)) {
        o->is_leftover = true;
        if (o->resumed[0] == '\0' && str_is(db_str(r, 1), o->p->revision) &&
            str_eq(db_str(r, 2), o->asked))
            (void)snprintf(o->resumed, sizeof o->resumed, "%.*s", STR_ARG(db_str(r, 0)));
    }
    return db_done(r, err);
}

/* Runs of track/ that nobody ends any more: of steps that were being computed, and of whole runs that do not go on. */
static enum err_code find_cut(struct db_tx *tx, void *arg, struct err *err)
{
    struct opening *o = arg;
    struct db_rows *r = NULL;
    o->n_cut = 0;
    enum err_code code = db_query(
        tx, &r, err,
        "SELECT s.child_run FROM pipeline_steps s JOIN pipeline_runs r ON s.run_id = r.run_id "
        "WHERE "
        "r.project = ? AND r.state = 'running' AND s.state = 'running' UNION SELECT run_id FROM "
        "pipeline_runs WHERE project = ? AND state = 'running' AND run_id <> ?",
        "sss", o->p->spec->project.name, o->p->spec->project.name, o->resumed);
    if (code != ERR_OK)
        return code;
    while (o->n_cut < CUT_MAX && db_next(r))
        o->cut[o->n_cut++] = db_dup(r, 0, &o->p->shared);
    return db_done(r, err);
}

static enum err_code end_cut(struct opening *o, struct err *err)
{
    enum err_code code = db_read(o->p->host->db, find_cut, o, err);
    for (size_t i = 0; code == ERR_OK && i < o->n_cut; i++) {
        if (o->cut[i] != NULL && o->cut[i][0] != '\0')
            code = run_end(o->p->host->track, o->cut[i], RUN_KILLED, AT_US_NONE, err);
        if (code == ERR_NOT_FOUND) { /* deleted meanwhile */
            err_reset(err);
            code = ERR_OK;
        }
    }
    return code;
}

static enum err_code mark_interrupted(struct db_tx *tx, void *arg, struct err *err)
{
    struct opening *o = arg;
    enum err_code code =
        db_exec(tx, err,
                "UPDATE pipeline_steps SET state = 'interrupted', ended_us = ? WHERE state = "
                "'running' AND run_id IN (SELECT run_id FROM pipeline_runs WHERE project = ? AND "
                "state = 'running')",
                "is", o->at_us, o->p->spec->project.name);
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "UPDATE pipeline_runs SET state = 'interrupted', ended_us = ? WHERE project = ? AND "
            "state = 'running' AND run_id <> ?",
            "iss", o->at_us, o->p->spec->project.name, o->resumed);
    return code;
}

static enum err_code insert_run(struct db_tx *tx, void *arg, struct err *err)
{
    struct opening *o = arg;
    return db_exec(
        tx, err,
        "INSERT INTO pipeline_runs (run_id, project, revision, state, instance, asked, started_us) "
        "VALUES (?,?,?,'running',?,?,?)",
        "ssssti", o->p->run_id, o->p->spec->project.name, o->p->revision,
        o->p->host->instance != NULL ? o->p->host->instance : "", o->asked, o->at_us);
}

static enum err_code log_environment(struct pipe *p, struct err *err)
{
    static const char *const PYTHON[] = {"python3", "--version", NULL};
    const struct environment_program programs[] = {{"python", PYTHON}};
    struct environment_ask ask = {.project_dir = p->spec->dir,
                                  .libraries = p->versions,
                                  .has_seed = p->spec->has_train,
                                  .seed = p->order->is_seed ? p->order->seed : p->spec->train.seed};
    struct json *record = NULL;
    struct str diff = STR_NONE;
    if (p->spec->project.python != NULL || p->spec->train.engine == TRAIN_RUN) {
        ask.programs = programs;
        ask.n_programs = ARRAY_LEN(programs);
    }
    enum err_code code = environment_record(&ask, &p->shared, &record, &diff, err);
    return code == ERR_OK ? environment_log(p->host->track, p->run_id, record, diff, err) : code;
}

static enum err_code create_run(struct pipe *p, struct opening *o, struct err *err)
{
    char as_of[TIME_TEXT_BYTES] = "";
    if (p->as_of_us != AT_US_NONE)
        (void)time_text(as_of, p->as_of_us);
    const struct tag tags[] = {{"pawl.kind", "pipeline"},
                               {"pawl.project", p->spec->project.name},
                               {"pawl.revision", p->revision},
                               {"pawl.as_of", as_of},
                               {"pawl.reason", p->order->reason != NULL ? p->order->reason : ""}};
    struct run_new n = {.experiment_id = p->experiment,
                        .parent_id = p->order->parent_run,
                        .user = p->order->actor,
                        .tags = tags,
                        .n_tags = ARRAY_LEN(tags)};
    enum err_code code =
        experiment_ensure(p->host->track, p->spec->project.name, &p->experiment, err);
    n.experiment_id = p->experiment;
    if (code == ERR_OK)
        code = run_create(p->host->track, &n, p->run_id, err);
    if (code == ERR_OK)
        code = db_write(p->host->db, insert_run, o, err);
    return code == ERR_OK ? log_environment(p, err) : code;
}

static enum err_code open_locked(struct pipe *p, struct err *err)
{
    struct opening o = {.p = p, .at_us = clock_now_us(p->host->clock)};
    struct run_update again = {.has_status = true, .status = RUN_RUNNING};
    struct buf asked = {0};
    enum err_code code = to_text(p->asked, &asked, err);
    o.asked = buf_view(&asked);
    if (code == ERR_OK)
        code = db_read(p->host->db, find_leftover, &o, err);
    if (code == ERR_OK && o.is_leftover)
        code = end_cut(&o, err);
    if (code == ERR_OK && o.is_leftover)
        code = db_write(p->host->db, mark_interrupted, &o, err);
    if (code == ERR_OK && o.resumed[0] != '\0') {
        memcpy(p->run_id, o.resumed, sizeof o.resumed);
        p->is_resumed = true;
        code = experiment_ensure(p->host->track, p->spec->project.name, &p->experiment, err);
        if (code == ERR_OK)
            code = run_update(p->host->track, p->run_id, &again, err);
    } else if (code == ERR_OK) {
        code = create_run(p, &o, err);
    }
    buf_fini(&asked);
    return code;
}

enum err_code record_open(struct pipe *p, struct err *err)
{
    enum err_code code = ERR_OK;
    mutex_lock(&p->lock);
    if (p->run_id[0] == '\0')
        code = open_locked(p, err);
    mutex_unlock(&p->lock);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "record the run");
}

enum err_code record_leftover(struct pipe *p, bool *ret, struct err *err)
{
    struct opening o = {.p = p};
    enum err_code code = db_read(p->host->db, find_leftover, &o, err);
    *ret = o.is_leftover;
    return code;
}

/* ---- steps ---- */

static enum err_code why(struct pipe *p, struct step *s, struct err *err)
{
    struct row_get g = {.sql = "SELECT parts, key FROM step_last WHERE project = ? AND step = ?",
                        .a = p->spec->project.name,
                        .b = s->name,
                        .arena = &s->arena};
    struct json *old = NULL;
    enum err_code code = db_read(p->host->db, get_row, &g, err);
    if (code == ERR_OK && g.text != NULL)
        code = json_read(str_c(g.text), &s->arena, &old, err);
    if (code != ERR_OK)
        return code;
    s->reason = parts_diff(old, s->parts, &s->arena);
    if (json_len(s->reason) == 0) {
        struct json *c = json_obj(&s->arena);
        const char *text = p->order->cache == PIPELINE_CACHE_BYPASS
                               ? "the cache is not used"
                               : "its result is not there any more";
        (void)json_set(&s->arena, c, "what", json_cstr(&s->arena, text));
        (void)json_add(&s->arena, s->reason, c);
    }
    return ERR_OK;
}

static enum err_code insert_step(struct db_tx *tx, void *arg, struct err *err)
{
    struct put *x = arg;
    enum err_code code =
        db_exec(tx, err, "DELETE FROM pipeline_steps WHERE run_id = ? AND step = ?", "ss",
                x->p->run_id, x->step->name);
    if (code != ERR_OK)
        return code;
    return db_exec(
        tx, err,
        "INSERT INTO pipeline_steps (run_id, step, state, key, child_run, reason, started_us) "
        "VALUES (?,?,'running',?,?,?,?)",
        "sssst"
        "i",
        x->p->run_id, x->step->name, x->step->key, x->step->child_run, x->reason,
        x->step->started_us);
}

enum err_code record_begin(void *ctx, struct step *s, struct err *err)
{
    struct pipe *p = ctx;
    struct buf reason = {0};
    struct put x = {.p = p, .step = s};
    const struct tag tags[] = {{"pawl.kind", "step"}, {"pawl.step", s->name}, {"pawl.key", s->key}};
    enum err_code code = record_open(p, err);
    if (code == ERR_OK)
        code = why(p, s, err);
    struct run_new n = {.experiment_id = p->experiment,
                        .name = s->name,
                        .parent_id = p->run_id,
                        .user = p->order->actor,
                        .tags = tags,
                        .n_tags = ARRAY_LEN(tags)};
    if (code == ERR_OK)
        code = run_create(p->host->track, &n, s->child_run, err);
    if (code == ERR_OK)
        code = to_text(s->reason, &reason, err);
    x.reason = buf_view(&reason);
    if (code == ERR_OK)
        code = db_write(p->host->db, insert_step, &x, err);
    buf_fini(&reason);
    if (code == ERR_OK && p->order->on_progress != NULL) {
        double done = p->n_asked > 0 ? (double)p->n_finished / (double)p->n_asked : 0;
        p->order->on_progress(p->order->progress_arg, done, s->name);
    }
    return code;
}

static enum err_code put_last(struct db_tx *tx, const struct put *x, struct err *err)
{
    const char *project = x->p->spec->project.name;
    enum err_code code = db_exec(tx, err, "DELETE FROM step_last WHERE project = ? AND step = ?",
                                 "ss", project, x->step->name);
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "INSERT INTO step_last (project, step, key, parts, run_id, at_us) VALUES (?,?,?,?,?,?)",
            "ssstsi", project, x->step->name, x->step->key, x->parts,
            x->p->run_id[0] != '\0' ? x->p->run_id : x->step->from_run, x->at_us);
    return code;
}

static enum err_code finish_tx(struct db_tx *tx, void *arg, struct err *err)
{
    struct put *x = arg;
    bool is_good = x->state == STEP_DONE || x->state == STEP_CACHED;
    bool is_kept = x->p->order->cache == PIPELINE_CACHE_USE;
    enum err_code code = ERR_OK;
    if (x->state == STEP_DONE && is_kept)
        code = put_cache(tx, x, err);
    if (code == ERR_OK && is_good && is_kept)
        code = put_last(tx, x, err);
    if (code == ERR_OK && x->step->child_run[0] != '\0')
        code = db_exec(tx, err,
                       "UPDATE pipeline_steps SET state = ?, error = ?, ended_us = ? WHERE run_id "
                       "= ? AND step = ?",
                       "ssiss", step_state_name(x->state), is_good ? NULL : x->step->err.msg,
                       x->step->ended_us, x->p->run_id, x->step->name);
    return code;
}

/* A step that was found and was the last time already: nothing to write. */
static enum err_code is_last(struct pipe *p, struct step *s, bool *ret, struct err *err)
{
    struct row_get g = {.sql = "SELECT key, run_id FROM step_last WHERE project = ? AND step = ?",
                        .a = p->spec->project.name,
                        .b = s->name,
                        .arena = &s->arena};
    enum err_code code = db_read(p->host->db, get_row, &g, err);
    *ret = g.text != NULL && strcmp(g.text, s->key) == 0;
    return code;
}

static enum err_code end_child(struct pipe *p, struct step *s, struct err *err)
{
    if (s->child_run[0] == '\0')
        return ERR_OK;
    const struct tag tag = {"pawl.error", s->err.msg};
    struct run_batch b = {.tags = &tag, .n_tags = 1};
    enum err_code code = ERR_OK;
    if (s->state != STEP_DONE)
        code = run_log(p->host->track, s->child_run, &b, err);
    if (code == ERR_OK)
        code = run_end(p->host->track, s->child_run,
                       s->state == STEP_DONE ? RUN_FINISHED : RUN_FAILED, AT_US_NONE, err);
    return code;
}

enum err_code record_finish(void *ctx, struct step *s, struct err *err)
{
    struct pipe *p = ctx;
    struct buf out = {0}, parts = {0};
    struct cache_row row = {s->key, s->ops->kind, s->name, s->out, s->parts};
    struct put x = {.p = p,
                    .row = &row,
                    .step = s,
                    .state = s->state,
                    .at_us = s->ended_us,
                    .duration_us = s->ended_us - s->started_us};
    bool is_same = false;
    enum err_code code = ERR_OK;
    if (s->state == STEP_CACHED)
        code = is_last(p, s, &is_same, err);
    if (code == ERR_OK && !is_same && s->out != NULL)
        code = to_text(s->out, &out, err);
    if (code == ERR_OK && !is_same && s->parts != NULL)
        code = to_text(s->parts, &parts, err);
    x.out = buf_view(&out);
    x.parts = buf_view(&parts);
    if (code == ERR_OK && !is_same)
        code = db_write(p->host->db, finish_tx, &x, err);
    if (code == ERR_OK)
        code = end_child(p, s, err);
    buf_fini(&out);
    buf_fini(&parts);
    mutex_lock(&p->lock);
    p->n_finished++;
    mutex_unlock(&p->lock);
    return code;
}
