#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "project/revision.h"
#include "release/control_int.h"

enum err_code release_host_open(const struct release_host_options *opt, struct release_host **ret,
                                struct err *err)
{
    struct release_host *h = calloc(1, sizeof(*h));

    if (!h)
        return err_nomem(err);
    h->opt = *opt;
    h->barrier_us = AT_US_NONE;
    mutex_init(&h->mutex, "release", RELEASE_RANK);
    cond_init(&h->projected_cond);
    mutex_init(&h->project_mutex, "release.project", RELEASE_RANK - 1);
    book_init(&h->book);
    if (release_sync(h, err) != ERR_OK) {
        release_host_close(h);
        return err_wrap(err, "read the decision journal");
    }
    *ret = h;
    return ERR_OK;
}

void release_host_close(struct release_host *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n_ticks; i++)
        free(h->ticks[i].doc);
    book_fini(&h->book);
    cond_fini(&h->projected_cond);
    mutex_fini(&h->mutex);
    mutex_fini(&h->project_mutex);
    free(h);
}

enum err_code release_host_attach(struct release_host *h, struct db *db, struct audit_chain *audit,
                                  struct err *err)
{
    mutex_lock(&h->mutex);
    h->opt.db = db;
    h->opt.audit = audit;
    mutex_unlock(&h->mutex);
    return release_project(h, err);
}

enum err_code host_need_db(const struct release_host *h, struct err *err)
{
    return h->opt.db ? ERR_OK
                     : err_set(err, ERR_UNAVAILABLE,
                               "the database is away: serving and rollback go on, this needs it; "
                               "try again when it is back");
}

/* ---- the book ---- */
struct sync {
    struct release_host *h;
    struct err *err;
    enum err_code code;
};

static bool sync_record(void *arg, uint64_t gen, int64_t at_us, const struct json *record)
{
    struct sync *s = arg;

    s->code = book_apply(&s->h->book, gen, at_us, record, s->err);
    return s->code == ERR_OK;
}

/* A decision that could not be journaled (a rollback on a full disk) is in force all the same: what serves wins. */
static void follow_serving(struct release_host *h, struct book_endpoint *e, struct arena *a)
{
    struct endpoint_state s;
    struct err err = ERR_INIT;

    if (!e->has_rollout || serve_endpoint(h->opt.serve, e->name, a, &s, &err) != ERR_OK)
        return;
    if (s.has_rollout && s.rollout.id == (uint64_t)e->rollout.id)
        return;
    if (rollout_may_move(e->rollout.state, ROLLOUT_ABORTED))
        e->rollout.state = ROLLOUT_ABORTED;
    e->has_rollout = false;
    e->is_new = true;
}

static enum err_code watch_changes(struct release_host *h, struct err *err)
{
    struct rollout_watch *w = malloc(sizeof(*w)); /* some KB: not for the stack of a small thread */
    enum err_code code = w ? ERR_OK : err_nomem(err);

    for (struct book_endpoint *e = h->book.endpoints; e && code == ERR_OK; e = e->next) {
        if (!e->is_new || !h->opt.monitor)
            continue;
        if (book_watch(e, w))
            code = monitor_watch(h->opt.monitor, w, err);
        else
            monitor_unwatch(h->opt.monitor, e->name);
        e->is_new = code != ERR_OK;
    }
    free(w);
    return code;
}

/* The book alone: takes no lock that a slow database could hold. */
static enum err_code book_sync(struct release_host *h, struct err *err)
{
    struct sync s = {.h = h, .err = err};
    struct arena a;
    enum err_code code;

    arena_init(&a, HOST_SCRATCH_BYTES);
    mutex_lock(&h->mutex);
    code = journal_generation(h->opt.journal) > h->book.generation
               ? journal_read(h->opt.journal, h->book.generation, &a, sync_record, &s, err)
               : ERR_OK;
    if (code == ERR_OK)
        code = s.code;
    for (struct book_endpoint *e = h->book.endpoints; e && code == ERR_OK; e = e->next)
        follow_serving(h, e, &a);
    mutex_unlock(&h->mutex);
    arena_fini(&a);
    return code;
}

enum err_code release_sync(struct release_host *h, struct err *err)
{
    enum err_code code = book_sync(h, err);

    if (code != ERR_OK)
        return code;
    mutex_lock(&h->mutex);
    code = watch_changes(h, err);
    mutex_unlock(&h->mutex);
    return code;
}

/* ---- event time of decisions ---- */
void release_barrier(struct release_host *h, const char *endpoint, int64_t at_us)
{
    mutex_lock(&h->mutex);
    (void)snprintf(h->barrier_endpoint, sizeof(h->barrier_endpoint), "%s", endpoint);
    h->barrier_us = at_us;
    mutex_unlock(&h->mutex);
}

int64_t host_event_now(struct release_host *h, const char *endpoint)
{
    int64_t at;

    mutex_lock(&h->mutex);
    at = h->barrier_us != AT_US_NONE && strcmp(h->barrier_endpoint, endpoint) == 0 ? h->barrier_us
                                                                                   : AT_US_NONE;
    mutex_unlock(&h->mutex);
    return at != AT_US_NONE ? at : serve_clock(h->opt.serve, endpoint);
}

struct json *host_extra(struct release_host *h, const char *endpoint, const char *project,
                        const char *revision, struct arena *a)
{
    struct json *o = json_obj(a);

    json_set(a, o, "event_at", json_time(a, host_event_now(h, endpoint)));
    json_set(a, o, "project", json_cstr(a, project));
    return json_set(a, o, "revision", json_cstr(a, revision));
}

enum err_code host_decide(struct release_host *h, const struct serve_decision *d,
                          struct serve_result *ret, struct err *err)
{
    struct serve_result result = {0};
    struct err later = ERR_INIT;
    /* A rollback waits for nobody: the monitor's watch and the tables are told by whoever polls. */
    bool is_urgent = d->kind == SERVE_ROLLBACK || d->kind == SERVE_HOLD;

    if (serve_apply(h->opt.serve, d, &result, err) != ERR_OK)
        return err->code;
    if (ret)
        *ret = result;
    if ((is_urgent ? book_sync(h, err) : release_sync(h, err)) != ERR_OK)
        return err_wrap(err, "the decision is in force, the book of rollouts is behind");
    if (!is_urgent && h->opt.db && release_project(h, &later) != ERR_OK)
        return ERR_OK; /* in force already; the tables catch up */
    return ERR_OK;
}

bool release_project_wait(struct release_host *h, int64_t timeout_ms)
{
    int64_t until = mono_ns() + timeout_ms * 1000000;
    uint64_t goal = journal_generation(h->opt.journal);
    bool is_done;

    mutex_lock(&h->mutex);
    while (h->projected < goal && mono_ns() < until)
        (void)cond_wait(&h->projected_cond, &h->mutex, (until - mono_ns()) / 1000000 + 1);
    is_done = h->projected >= goal;
    mutex_unlock(&h->mutex);
    return is_done;
}

enum err_code host_audit(struct release_host *h, const char *actor, const char *action,
                         const char *object, const char *reason, const struct json *detail,
                         struct err *err)
{
    struct audit_entry e = {
        .actor = actor, .action = action, .object = object, .reason = reason, .detail = detail};

    return h->opt.audit ? audit_write(h->opt.audit, &e, NULL, err) : ERR_OK;
}

/* ---- policy ---- */
static enum err_code revision_dir(struct release_host *h, const char *revision, struct arena *a,
                                  char **ret, struct err *err)
{
    char *dir = str_printf(a, "%s/tmp/revision-%.24s", h->opt.home, revision);
    char *aside = str_printf(a, "%s.%d", dir ? dir : "", (int)(mono_ns() % 1000000));

    if (!dir || !aside)
        return arena_err(a, err);
    *ret = dir;
    if (dir_exists(dir))
        return ERR_OK;
    if (revision_checkout(h->opt.blobs, revision, aside, err) != ERR_OK)
        return err->code;
    if (rename(aside, dir) != 0 && !dir_exists(dir))
        return err_errno(err, ERR_IO, "rename %s", aside);
    return ERR_OK;
}

static void decode_all(const struct cfg_node *root, struct arena *a, struct policy *ret,
                       struct cfg_problems *ps)
{
    ret->root = root;
    release_spec_decode(root, a, &ret->release, ps);
    monitor_spec_decode(root, a, &ret->monitor, ps);
    if (root)
        project_spec_decode(root, a, &ret->project, ps);
}

enum err_code release_policy(struct release_host *h, const char *revision, struct arena *a,
                             struct policy *ret, struct err *err)
{
    struct cfg_problems ps;
    struct project_file file = {0};
    char *dir = NULL;

    *ret = (struct policy){0};
    cfg_problems_init(&ps, a);
    if (!revision) {
        decode_all(NULL, a, ret, &ps);
        return ERR_OK;
    }
    if (revision_dir(h, revision, a, &dir, err) != ERR_OK ||
        project_read(dir, a, &file, &ps, err) != ERR_OK)
        return err_wrap(err, "policy of revision %.12s", revision);
    decode_all(file.root, a, ret, &ps);
    if (cfg_problems_err(&ps, err) != ERR_OK)
        return err_wrap(err, "policy of revision %.12s", revision);
    return ERR_OK;
}

const char *release_revision(struct release_host *h, const char *endpoint, int64_t number,
                             struct arena *a)
{
    const struct book_endpoint *e;
    const struct book_origin *o = NULL;
    const char *revision = NULL;

    mutex_lock(&h->mutex);
    e = book_find(&h->book, endpoint);
    if (e && number > 0)
        o = book_origin(e, number);
    if (o)
        revision = str_dup(a, str_c(o->revision));
    mutex_unlock(&h->mutex);
    return revision;
}

const char *release_live_revision(struct release_host *h, const char *endpoint, struct arena *a,
                                  const char **ret_project)
{
    const struct book_endpoint *e;
    const struct book_origin *o = NULL;
    const char *revision = NULL;

    mutex_lock(&h->mutex);
    e = book_find(&h->book, endpoint);
    if (e && e->live > 0)
        o = book_origin(e, e->live);
    if (o) {
        revision = str_dup(a, str_c(o->revision));
        if (ret_project)
            *ret_project = str_dup(a, str_c(o->project));
    } else if (ret_project) {
        *ret_project = NULL;
    }
    mutex_unlock(&h->mutex);
    return revision;
}
