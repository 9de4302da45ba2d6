/* pipeline_run from beginning to end: read, compile, run the graph, record, answer. */
#include "pipeline/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/vec.h"
#include "pipeline/pipe.h"
#include "pipeline/pipe_open.h"
#include "project/revision.h"

#define SHARED_BYTES ((size_t)1 << 30)

/* ---- one run per project at a time ---- */

static pthread_mutex_t ACTIVE_LOCK = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char home[512], project[256];
} ACTIVE[64];

static enum err_code claim(const char *home, const char *project, int *ret, struct err *err)
{
    enum err_code code = ERR_OK;
    int slot = -1;
    pthread_mutex_lock(&ACTIVE_LOCK);
    for (int i = 0; i < (int)ARRAY_LEN(ACTIVE); i++) {
        if (ACTIVE[i].home[0] == '\0')
            slot = slot < 0 ? i : slot;
        else if (strcmp(ACTIVE[i].project, project) == 0 && strcmp(ACTIVE[i].home, home) == 0)
            code = err_set(err, ERR_BUSY,
                           "project %s is being run already: wait for it, or cancel it first",
                           project);
    }
    if (code == ERR_OK && slot < 0)
        code = err_set(err, ERR_BUSY, "too many projects are being run at once");
    if (code == ERR_OK) {
        (void)snprintf(ACTIVE[slot].home, sizeof ACTIVE[slot].home, "%s", home);
        (void)snprintf(ACTIVE[slot].project, sizeof ACTIVE[slot].project, "%s", project);
        *ret = slot;
    }
    pthread_mutex_unlock(&ACTIVE_LOCK);
    return code;
}

static void release_claim(int slot)
{
    if (slot < 0)
        return;
    pthread_mutex_lock(&ACTIVE_LOCK);
    ACTIVE[slot].home[0] = '\0';
    pthread_mutex_unlock(&ACTIVE_LOCK);
}

/* ---- opening ---- */

static enum err_code make_dirs(struct pipe *p, struct err *err)
{
    struct arena *a = p->a;
    char name[33];
    unsigned char random[8];
    random_bytes(random, sizeof random);
    hex_encode(random, sizeof random, name);
    p->tmp = str_printf(a, "%s/tmp/run-%s", p->host->home, name);
    p->logs = str_printf(a, "%s/jobs/%s", p->host->home, name);
    if (p->tmp == NULL || p->logs == NULL)
        return arena_err(a, err);
    enum err_code code = dir_make(p->tmp, 0700, err);
    return code == ERR_OK ? dir_make(p->logs, 0700, err) : code;
}

/* The folder itself, or a stored revision laid out beside the home, with the project's data where they are. */
static enum err_code project_dir(struct pipe *p, const char **ret, struct err *err)
{
    const struct pipeline_order *o = p->order;
    char real[PATH_BYTES];
    if (o->revision == NULL) {
        if (realpath(o->root, real) == NULL)
            return err_set(err, ERR_NOT_FOUND, "%s is not a folder", o->root);
        *ret = str_dup(p->a, str_c(real));
        return *ret != NULL ? ERR_OK : arena_err(p->a, err);
    }
    const char *dir = path_join(p->a, p->tmp, "revision");
    if (dir == NULL)
        return arena_err(p->a, err);
    enum err_code code = revision_checkout(p->host->blobs, o->revision, dir, err);
    if (code == ERR_OK)
        *ret = dir;
    return code;
}

static struct json *asked_json(const struct pipe *p, struct arena *a)
{
    const struct pipeline_order *o = p->order;
    struct json *v = json_obj(a), *steps = json_arr(a), *peers = json_obj(a);
    for (size_t i = 0; i < o->n_steps; i++)
        (void)json_add(a, steps, json_cstr(a, o->steps[i]));
    for (size_t i = 0; i < o->n_peers; i++)
        (void)json_set(a, peers, o->peers[i].role, json_cstr(a, o->peers[i].tree));
    (void)json_set(a, v, "steps", steps);
    (void)json_set(a, v, "peers", peers);
    (void)json_set(a, v, "as_of", json_time(a, p->as_of_us));
    (void)json_set(a, v, "pins", p->pins);
    (void)json_set(a, v, "cache",
                   json_cstr(a, o->cache == PIPELINE_CACHE_BYPASS ? "bypass" : "use"));
    if (o->is_seed)
        (void)json_set(a, v, "seed", json_int(a, o->seed));
    if (o->benchmark_until_us != 0 && o->benchmark_until_us != AT_US_NONE)
        (void)json_set(a, v, "benchmark_until", json_time(a, o->benchmark_until_us));
    return v;
}

static void set_times(struct pipe *p)
{
    const struct pipeline_order *o = p->order;
    bool has_as_of = o->as_of_us != 0 && o->as_of_us != AT_US_NONE;
    p->as_of_us = has_as_of ? o->as_of_us : AT_US_NONE;
    if (has_as_of)
        p->at_us = o->as_of_us;
    else
        p->at_us = o->event_now_us > 0 ? o->event_now_us : clock_now_us(p->host->clock);
}

/* The files of a dvc.yaml project are its stages' own matter: the revision is that file. */
static enum err_code revision_of(struct pipe *p, struct cfg_problems *ps, struct err *err)
{
    const char *dvc[] = {"dvc.yaml"};
    const char **paths = dvc;
    size_t n = 1;
    struct revision rev;
    if (p->order->revision != NULL) {
        p->revision = p->order->revision;
        return ERR_OK;
    }
    enum err_code code = ERR_OK;
    if (!p->spec->is_dvc)
        code = revision_files(&p->spec->file, &p->spec->project, p->a, &paths, &n, ps, err);
    if (code == ERR_OK)
        code = cfg_problems_err(ps, err);
    size_t kept = 0;
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        if (!pipe_is_output(p->spec, paths[i]))
            paths[kept++] = paths[i];
    }
    n = kept;
    struct revision_new meta = {.dir = p->spec->dir,
                                .paths = paths,
                                .n_paths = n,
                                .project = p->spec->project.name,
                                .author = p->order->actor != NULL ? p->order->actor : "local",
                                .at_us = clock_now_us(p->host->clock)};
    if (code == ERR_OK)
        code = revision_store(p->host->db, p->host->blobs, &meta, p->a, &rev, err);
    if (code == ERR_OK && (p->revision = str_dup(p->a, str_c(rev.digest))) == NULL)
        code = arena_err(p->a, err);
    if (!p->spec->is_dvc) {
        p->revision_paths = paths;
        p->n_revision_paths = n;
    }
    return code;
}

static enum err_code read_spec(struct pipe *p, struct err *err)
{
    struct cfg_problems ps;
    struct pipeline_spec *spec = ARENA_NEW(p->a, struct pipeline_spec);
    const char *dir = NULL;
    if (spec == NULL)
        return arena_err(p->a, err);
    cfg_problems_init(&ps, p->a);
    enum err_code code = project_dir(p, &dir, err);
    if (code == ERR_OK)
        code = pipeline_spec_read(dir, p->a, spec, &ps, err);
    if (code == ERR_OK)
        code = cfg_problems_err(&ps, err);
    p->spec = spec;
    if (code == ERR_OK)
        code = claim(p->host->home, spec->project.name, &p->claim, err);
    if (code == ERR_OK)
        code = revision_of(p, &ps, err);
    return code;
}

/* Data lie in the project's folder, which holds the home: also for a revision, which is configuration and code only. */
static enum err_code data_root(struct pipe *p, const char **ret, struct err *err)
{
    char real[PATH_BYTES];
    const char *asked =
        p->order->root != NULL ? p->order->root : path_join(p->a, p->host->home, "..");
    if (asked == NULL)
        return arena_err(p->a, err);
    if (realpath(asked, real) == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s is not a folder", asked);
    *ret = str_dup(p->a, str_c(real));
    return *ret != NULL ? ERR_OK : arena_err(p->a, err);
}

static enum err_code fill_env(struct pipe *p, struct err *err)
{
    const char *root = NULL;
    enum err_code code = data_root(p, &root, err);
    p->env = (struct data_env){.db = p->host->db,
                               .blobs = p->host->blobs,
                               .pool = p->host->pool,
                               .clock = *p->host->clock,
                               .project = p->spec->project.name,
                               .project_root = root,
                               .tmp_dir = p->tmp,
                               .is_cancelled = p->order->is_cancelled,
                               .fetch_sql = p->host->fetch_sql,
                               .fetch_arg = p->host->fetch_arg};
    return code;
}

enum err_code pipe_open(const struct pipeline_host *host, const struct pipeline_order *order,
                        struct arena *a, struct pipe *p, struct err *err)
{
    struct json *pins = NULL;
    *p = (struct pipe){.host = host, .order = order, .a = a, .claim = -1};
    mutex_init(&p->lock, "pipeline.run", 11);
    arena_init(&p->shared, SHARED_BYTES);
    set_times(p);
    enum err_code code = ERR_OK;
    if (order->pins != NULL)
        code = json_read(str_c(order->pins), a, &pins, err);
    p->pins = pins;
    p->asked = asked_json(p, a);
    if (code == ERR_OK)
        code = make_dirs(p, err);
    if (code == ERR_OK)
        code = read_spec(p, err);
    if (code == ERR_OK)
        code = fill_env(p, err);
    if (code == ERR_OK)
        code = pipe_compile(p, err);
    if (code == ERR_OK)
        code = graph_ask(&p->graph, order->steps, order->n_steps, err);
    for (size_t i = 0; i < p->graph.n; i++)
        p->n_asked += p->graph.steps[i]->state == STEP_WAITING;
    return code;
}

void pipe_close(struct pipe *p)
{
    if (p->tmp != NULL)
        (void)!dir_remove(p->tmp, NULL);
    /* Empty unless a command wrote its log. */
    if (p->logs != NULL)
        (void)rmdir(p->logs);
    graph_fini(&p->graph);
    arena_fini(&p->shared);
    mutex_fini(&p->lock);
    release_claim(p->claim);
}

static int64_t now_us(void *ctx)
{
    return clock_now_us(((struct pipe *)ctx)->host->clock);
}

enum err_code pipe_run_graph(struct pipe *p, struct err *err)
{
    const struct graph_host host = {.ctx = p,
                                    .find = record_find,
                                    .begin = record_begin,
                                    .finish = record_finish,
                                    .now_us = now_us,
                                    .is_cancelled = p->order->is_cancelled};
    int jobs = p->order->jobs > 0 ? p->order->jobs : PIPELINE_JOBS_DEFAULT;
    return graph_run(&p->graph, &host, jobs < PIPELINE_JOBS_MAX ? jobs : PIPELINE_JOBS_MAX, err);
}

/* ---- the run ---- */

/* A run is on record when something was computed, when a dead one is taken over, or when nobody ran just this before. */
static enum err_code record_if_needed(struct pipe *p, enum err_code outcome, struct err *err)
{
    char keys[DIGEST_HEX_BYTES];
    const char *same = NULL;
    if (p->run_id[0] != '\0')
        return ERR_OK;
    enum err_code code = ERR_OK;
    if (outcome == ERR_OK)
        code = record_keys(p, keys, err);
    if (code == ERR_OK && outcome == ERR_OK)
        code = record_same_run(p, keys, p->a, &same, err);
    return code == ERR_OK && same == NULL ? record_open(p, err) : code;
}

static enum err_code finish(struct pipe *p, enum err_code code, const struct err *why,
                            struct pipeline_result *ret, struct err *err)
{
    enum err_code end = stamps_save(p, err);
    if (end == ERR_OK)
        end = record_if_needed(p, code, err);
    if (end == ERR_OK)
        end = result_fill(p, code, ret, err);
    if (end == ERR_OK && p->run_id[0] != '\0')
        end = record_close(p, ret, why, err);
    if (end == ERR_OK && code == ERR_OK)
        end = fresh_write(p, ret, err);
    return end;
}

static enum err_code run_opened(struct pipe *p, struct pipeline_result *ret, struct err *err)
{
    struct err why = ERR_INIT;
    bool is_leftover = false;
    enum err_code code = record_leftover(p, &is_leftover, err);
    if (code == ERR_OK && is_leftover)
        code = record_open(p, err);
    if (code != ERR_OK)
        return code;
    code = pipe_run_graph(p, &why);
    enum err_code end = finish(p, code, &why, ret, err);
    if (end != ERR_OK)
        return end;
    if (code != ERR_OK && err != NULL)
        *err = why;
    return code;
}

enum err_code pipeline_run(const struct pipeline_host *host, const struct pipeline_order *order,
                           struct arena *a, struct pipeline_result *ret, struct err *err)
{
    struct pipe p;
    CHECK(order->root != NULL || order->revision != NULL);
    enum err_code code = pipe_open(host, order, a, &p, err);
    if (code == ERR_OK)
        code = run_opened(&p, ret, err);
    pipe_close(&p);
    return code;
}
