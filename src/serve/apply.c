/* Taking a decision: state -> load -> journal -> pointer -> snapshot file -> sink. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "serve/serve_int.h"

#define APPLY_BYTES (64u << 20)

void serve_tell(const struct serve *s, enum serve_event ev, const char *endpoint, uint64_t gen,
                const char *text)
{
    if (s->opt.sink.tell)
        s->opt.sink.tell(s->opt.sink.arg, ev, endpoint, gen, text);
}

static struct json *decision_record(const struct serve_decision *d,
                                    const struct endpoint_state *before,
                                    const struct endpoint_state *after, int64_t event_us,
                                    struct arena *a)
{
    struct json *v = json_obj(a), *state = endpoint_state_json(after, a);
    json_remove(state, "generation"); /* is the record's own */
    json_set(a, v, "kind", json_cstr(a, SERVE_DECISION_NAMES[d->kind]));
    json_set(a, v, "endpoint", json_cstr(a, d->endpoint));
    json_set(a, v, "actor", json_cstr(a, d->actor));
    json_set(a, v, "reason", json_cstr(a, d->reason));
    json_set(a, v, "event_at", json_time(a, event_us));
    if (d->release)
        json_set(a, v, "release", json_int(a, d->release));
    json_set(a, v, "before", json_int(a, before ? before->live : 0));
    json_set(a, v, "after", json_int(a, after->live));
    if (before && before->has_rollout)
        json_set(a, v, "candidate", json_int(a, before->rollout.candidate));
    else if (after->has_rollout)
        json_set(a, v, "candidate", json_int(a, after->rollout.candidate));
    if (before && before->has_rollout)
        json_set(a, v, "rollout", json_int(a, (int64_t)before->rollout.id));
    json_set(a, v, "extra", d->extra ? json_copy(a, d->extra) : NULL);
    return json_set(a, v, "state", state);
}

/* The generation enters what the record could not know of itself. */
static void state_stamp(struct endpoint_state *s, enum serve_decision_kind kind, uint64_t gen)
{
    s->generation = gen;
    if (kind == SERVE_ROLLOUT_START)
        s->rollout.id = gen;
}

static enum err_code owe(struct serve *s, const char *endpoint, const struct json *record,
                         int64_t at_us, struct err *err)
{
    struct buf b;
    struct owed_record *o = calloc(1, sizeof *o), **at = &s->owed;
    buf_init(&b, APPLY_BYTES);
    enum err_code code = o ? json_write(record, JSON_COMPACT, &b, err) : err_nomem(err);
    if (code == ERR_OK && !(o->text = strndup(b.p, b.n)))
        code = err_nomem(err);
    buf_fini(&b);
    if (code != ERR_OK) {
        free(o);
        return code;
    }
    o->at_us = at_us;
    memcpy(o->endpoint, endpoint, strlen(endpoint) + 1);
    while (*at)
        at = &(*at)->next;
    *at = o;
    return ERR_OK;
}

/* The newest owed record of an endpoint gives its state the generation. */
static void owed_done(struct serve *s, const struct owed_record *o, uint64_t gen)
{
    struct serve_entry *e = entry_find(s, o->endpoint);
    mutex_lock(&s->state_mutex);
    if (e)
        e->state.generation = gen;
    mutex_unlock(&s->state_mutex);
    s->generation = gen;
    serve_tell(s, SERVE_EV_DECIDED, o->endpoint, gen, "journaled late");
}

enum err_code owed_append(struct serve *s, struct err *err)
{
    enum err_code code = ERR_OK;
    while (s->owed && code == ERR_OK) {
        struct owed_record *o = s->owed;
        struct arena a;
        struct json *record;
        uint64_t gen;
        arena_init(&a, APPLY_BYTES);
        code = json_read(str_c(o->text), &a, &record, err);
        if (code == ERR_OK)
            code = journal_append(s->opt.journal, record, o->at_us, &gen, err);
        arena_fini(&a);
        if (code == ERR_OK) {
            s->owed = o->next;
            owed_done(s, o, gen);
            free(o->text);
            free(o);
        }
    }
    return code;
}

struct apply {
    struct serve *s;
    const struct serve_decision *d;
    struct arena arena;
    const struct endpoint_state *before; /* NULL: none */
    struct endpoint_state after;
    struct runtime *loaded[LOADED_MAX];
    size_t n_loaded;
    int64_t now_us, start_ns;
    struct serve_result res;
};

/* Journal; an urgent decision may go on without. */
static enum err_code apply_journal(struct apply *p, struct serve_entry *e, struct err *err)
{
    struct serve *s = p->s;
    int64_t event_us = s->opt.is_replay ? clock_of(s, &e->counters) : AT_US_NONE;
    struct json *record = decision_record(p->d, p->before, &p->after, event_us, &p->arena);
    uint64_t gen = 0;
    enum err_code code = owed_append(s, err);
    if (code == ERR_OK)
        code = journal_append(s->opt.journal, record, p->now_us, &gen, err);
    if (code != ERR_OK && !decision_is_urgent(p->d->kind))
        return err_wrap(err, "journal the decision");
    if (code != ERR_OK) {
        struct err owed = ERR_INIT;
        serve_tell(s, SERVE_EV_JOURNAL_FAILED, p->d->endpoint, 0, err->msg);
        if (owe(s, p->d->endpoint, record, p->now_us, &owed) != ERR_OK)
            serve_tell(s, SERVE_EV_JOURNAL_FAILED, p->d->endpoint, 0, owed.msg);
        err_reset(err);
        return ERR_OK; /* it serves now and is journaled when that works again */
    }
    p->res.generation = gen;
    p->res.is_journaled = true;
    s->generation = gen;
    state_stamp(&p->after, p->d->kind, gen);
    return ERR_OK;
}

/* The new state takes the entry; the old runtimes are let go by the caller. */
static enum err_code entry_take(struct apply *p, struct serve_entry *e, struct err *err)
{
    struct arena fresh;
    struct endpoint_state state;
    arena_init(&fresh, APPLY_BYTES);
    if (endpoint_state_copy(&p->after, &fresh, &state, err) != ERR_OK) {
        arena_fini(&fresh);
        return err->code;
    }
    mutex_lock(&p->s->state_mutex);
    arena_fini(&e->arena);
    e->arena = fresh;
    e->state = state;
    e->is_there = p->d->kind != SERVE_DROP;
    e->problem[0] = 0;
    struct runtime *old[LOADED_MAX];
    size_t n_old = e->n_loaded;
    memcpy(old, e->loaded, sizeof old);
    memcpy(e->loaded, p->loaded, sizeof e->loaded);
    e->n_loaded = p->n_loaded;
    memcpy(p->loaded, old, sizeof old);
    p->n_loaded = n_old; /* so that the end of apply lets the old ones go */
    mutex_unlock(&p->s->state_mutex);
    return ERR_OK;
}

static void apply_count(const struct apply *p, struct serve_entry *e)
{
    struct endpoint_counters *c = &e->counters;
    if (p->d->kind == SERVE_ROLLBACK || p->d->kind == SERVE_ROLLOUT_ABORT)
        atomic_fetch_add(&c->n_rollbacks, 1);
    if (p->d->kind == SERVE_ROLLOUT_START) {
        atomic_store(&c->fuse_requests, 0);
        atomic_store(&c->fuse_errors, 0);
        atomic_store(&c->fuse_blown, 0);
        atomic_store(&c->fuse_rollout, p->after.rollout.id);
    }
}

static void result_fill(struct apply *p)
{
    const struct endpoint_state *b = p->before;
    p->res.before = b ? b->live : 0;
    p->res.after = p->after.live;
    p->res.candidate = b && b->has_rollout    ? b->rollout.candidate
                       : p->after.has_rollout ? p->after.rollout.candidate
                                              : 0;
    p->res.rollout = b && b->has_rollout    ? b->rollout.id
                     : p->after.has_rollout ? p->after.rollout.id
                                            : 0;
}

static enum err_code apply_locked(struct apply *p, struct err *err)
{
    struct serve *s = p->s;
    struct serve_entry *e = endpoint_name_ok(p->d->endpoint) ? entry_find(s, p->d->endpoint) : NULL;
    p->before = e && e->is_there ? &e->state : NULL;
    if (decide(p->before, p->d, p->now_us, &p->arena, &p->after, err) != ERR_OK)
        return err->code;
    result_fill(p); /* before entry_take moves the state */
    mutex_lock(&s->state_mutex);
    e = entry_get(s, p->d->endpoint);
    mutex_unlock(&s->state_mutex);
    if (!e)
        return err_nomem(err);
    if (p->d->kind != SERVE_DROP &&
        entry_load(s, e, &p->after, p->loaded, &p->n_loaded, err) != ERR_OK) {
        p->n_loaded = 0;
        return err->code;
    }
    if (apply_journal(p, e, err) != ERR_OK)
        return err->code;
    result_fill(p);
    apply_count(p, e);
    if (entry_take(p, e, err) != ERR_OK || snapshot_publish(s, err) != ERR_OK)
        return err->code;
    p->res.took_us = (mono_ns() - p->start_ns) / 1000;
    return ERR_OK;
}

enum err_code serve_apply(struct serve *s, const struct serve_decision *d, struct serve_result *ret,
                          struct err *err)
{
    struct apply p = {.s = s, .d = d, .now_us = clock_now_us(&CLOCK_SYSTEM), .start_ns = mono_ns()};
    CHECK((unsigned)d->kind < SERVE_DECISION_N);
    arena_init(&p.arena, APPLY_BYTES);
    mutex_lock(&s->apply_mutex);
    enum err_code code = apply_locked(&p, err);
    if (code == ERR_OK && p.res.is_journaled) {
        struct err file_err =
            ERR_INIT; /* the journal has it: a snapshot file that lags is made up for at the next start */
        if (snapshot_file_write(s, &file_err) != ERR_OK)
            serve_tell(s, SERVE_EV_JOURNAL_FAILED, d->endpoint, p.res.generation, file_err.msg);
    }
    mutex_unlock(&s->apply_mutex);
    runtimes_unref(p.loaded, p.n_loaded);
    if (code == ERR_OK) {
        *ret = p.res;
        serve_tell(s, SERVE_EV_DECIDED, d->endpoint, p.res.generation,
                   SERVE_DECISION_NAMES[d->kind]);
    }
    arena_fini(&p.arena);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "endpoint %s", d->endpoint ? d->endpoint : "");
}

enum err_code serve_check(struct serve *s, int64_t release, const struct json *doc, struct err *err)
{
    struct runtime_source src = {s->opt.blobs, s->models_dir, s->opt.online};
    struct runtime *r;
    if (runtime_load(&src, release, doc, &r, err) != ERR_OK)
        return err->code;
    runtime_unref(r);
    return ERR_OK;
}
