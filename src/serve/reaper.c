/* The reaper: frees snapshots that nobody reads any more, ends rollouts whose fuse blew, and brings owed records into the
 * journal. It is the only thread that takes the slow ways so that no predicting thread has to. */
#include <stdio.h>

#include "base/clock.h"
#include "serve/serve_int.h"

#define REAP_MS 5
#define IDLE_MS 200

/* Unlinks what may go; the caller frees it without the mutex. */
static struct snapshot *retired_take(struct serve *s)
{
    struct snapshot *free_list = NULL, **at = &s->retired;
    while (*at) {
        struct snapshot *snap = *at;
        if (epoch_is_over(&s->epochs, snap->retired) && atomic_load(&snap->n_refs) == 0) {
            *at = snap->next;
            snap->next = free_list;
            free_list = snap;
        } else {
            at = &snap->next;
        }
    }
    return free_list;
}

static void reap(struct serve *s)
{
    mutex_lock(&s->reaper_mutex);
    struct snapshot *snap = retired_take(s), *next;
    mutex_unlock(&s->reaper_mutex);
    for (; snap; snap = next) {
        next = snap->next;
        snapshot_free(snap);
        atomic_fetch_add(&s->n_freed, 1);
    }
}

/* An endpoint whose candidate fails too often: its name and rollout. */
static bool blown_find(struct serve *s, char name[ENDPOINT_NAME_MAX + 1])
{
    bool is_found = false;
    mutex_lock(&s->state_mutex);
    for (struct serve_entry *e = s->entries; e && !is_found; e = e->next) {
        uint64_t blown = atomic_load(&e->counters.fuse_blown);
        is_found = e->is_there && blown && e->state.has_rollout && e->state.rollout.id == blown;
        if (is_found)
            snprintf(name, ENDPOINT_NAME_MAX + 1, "%s", e->name);
    }
    mutex_unlock(&s->state_mutex);
    return is_found;
}

static void fuses(struct serve *s)
{
    char name[ENDPOINT_NAME_MAX + 1];
    struct err err = ERR_INIT;
    struct serve_result res;
    if (!blown_find(s, name))
        return;
    struct serve_decision d = {.kind = SERVE_ROLLOUT_ABORT,
                               .endpoint = name,
                               .actor = "pawl",
                               .no_hold = true,
                               .reason = "fuse: the candidate failed on too many requests"};
    if (serve_apply(s, &d, &res, &err) == ERR_OK)
        serve_tell(s, SERVE_EV_FUSE, name, res.generation, d.reason);
}

static void debts(struct serve *s)
{
    struct err err = ERR_INIT;
    mutex_lock(&s->apply_mutex);
    if (s->owed && owed_append(s, &err) == ERR_OK && snapshot_file_write(s, &err) != ERR_OK)
        serve_tell(s, SERVE_EV_JOURNAL_FAILED, "", s->generation, err.msg);
    mutex_unlock(&s->apply_mutex);
}

static void *reaper_main(void *arg)
{
    struct serve *s = arg;
    while (!atomic_load(&s->is_stopping)) {
        mutex_lock(&s->reaper_mutex);
        cond_wait(&s->reaper_wake, &s->reaper_mutex, s->retired ? REAP_MS : IDLE_MS);
        mutex_unlock(&s->reaper_mutex);
        reap(s);
        fuses(s);
        debts(s);
    }
    return NULL;
}

enum err_code reaper_start(struct serve *s, struct err *err)
{
    if (thread_start(&s->reaper, "serve-reaper", reaper_main, s, err) != ERR_OK)
        return err->code;
    s->has_reaper = true;
    return ERR_OK;
}

void reaper_nudge(struct serve *s)
{
    cond_signal(&s->reaper_wake);
}

void reaper_stop(struct serve *s)
{
    if (!s->has_reaper)
        return;
    atomic_store(&s->is_stopping, true);
    reaper_nudge(s);
    pthread_join(s->reaper, NULL);
    s->has_reaper = false;
}
